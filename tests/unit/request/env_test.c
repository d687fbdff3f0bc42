/* env.c: the variables of mod_env and mod_setenvif, when and from what they are set. */
#include "site.h"

#include "request/core.h"
#include "request/env.h"
#include "request/sections.h"

static struct conf_module *const modules[] = { &core_module, &env_module, &setenvif_module, NULL };

static const struct { const char *text, *method, *path, *fields, *vars; } rows[] = {
	{ "SetEnv A one\nSetEnv B\nSetEnv A two", "GET", "/", "", "B= A=two" },
	{ "SetEnv A one\nSetEnv B x\nUnsetEnv A C", "GET", "/", "", "B=x" },
	{ "PassEnv BULKHEAD_TEST_VARIABLE", "GET", "/", "", "BULKHEAD_TEST_VARIABLE=passed" },
	{ "SetEnv A main\nSetEnv K main\n<Location /a>\nSetEnv A loc\n</Location>", "GET", "/a", "", "K=main A=loc" },
	{ "SetEnvIf Request_URI \"^/cgi-bin/(\\w+)\" script=$1", "GET", "/cgi-bin/env/x", "", "script=env" },
	{ "SetEnvIf Remote_Addr \"^198\\.51\\.\" near=yes !gone", "GET", "/", "", "near=yes" },
	{ "SetEnvIf Server_Addr \"^192\\.0\\.2\\.10$\" here", "GET", "/", "", "here=1" },
	{ "SetEnvIf Request_Method POST posted", "POST", "/", "", "posted=1" }, { "SetEnvIf Request_Method POST posted", "GET", "/", "", "" },
	{ "SetEnvIf Request_Protocol \"HTTP/1\\.1\" new", "GET", "/", "", "new=1" },
	{ "SetEnvIf X-Colour red c=red\nSetEnvIfNoCase X-Colour BLUE c=blue", "GET", "/", "X-Colour: light blue", "c=blue" },
	{ "SetEnvIf X-Colour red c=red", "GET", "/", "x-colour: reddish", "c=red" },
	{ "SetEnvIf X-Colour RED c=red", "GET", "/", "X-Colour: red", "" },
	{ "SetEnvIf X-Colour \"^$\" none", "GET", "/", "", "none=1" },          /* a missing field counts as empty */
	{ "SetEnvIf X-A a first\nSetEnvIf first . second\nSetEnvIf second . !first", "GET", "/", "X-A: a", "second=1" },
	{ "SetEnvIfNoCase ^X-T.*T$ \"(.*)\" any=<$1>", "GET", "/", "X-Test: tee", "any=<tee>" },
	{ "SetEnvIf ^X-T.*T$ \"(.+)\" any=<$1>", "GET", "/", "X-Test: tee", "" },        /* names in their case, too */
	{ "SetEnvIf ^Ab \"^(x|y)$\" any=<$1>", "GET", "/", "Aba: z\nAbb: y\nAbc: z", "any=<y>" },    /* one of them is enough */
	{ "SetEnvIf ^Ab ^$ none", "GET", "/", "A: x", "none=1" },
	{ "SetEnvIf A x v= w", "GET", "/", "A: x", "v=1 w=1" },
	{ "SetEnv V env\nSetEnvIf A x V=if\nSetEnv W env", "GET", "/", "A: x", "V=if W=env" }, /* SetEnv only adds */
	{ "SetEnvIf A x V=if\nUnsetEnv V", "GET", "/", "A: x", "V=if" },
	{ "SetEnvIfNoCase ^(Accept-Enc[o0]ding|X{3})$ ^gzip mangled", "GET", "/", "Accept-Enc0ding: GZIP", "mangled=1" },
	{ "BrowserMatch \"MSIE ([0-9]+)\" ie=$1\nBrowserMatchNoCase robot bot", "GET", "/", "User-Agent: MSIE 6 ROBOT", "ie=6 bot=1" },
	{ "BrowserMatch MSIE ie", "GET", "/", "User-Agent: msie", "" },
	{ "SetEnvIf A x v=\\$1", "GET", "/", "A: x", "v=$1" },
	{ "SetEnvIf A x early\n<Location /a>\nSetEnvIf early . late\n</Location>", "GET", "/a", "A: x", "early=1 late=1" },
	{ "SetEnvIf A x early\n<Location /a>\nSetEnvIf early . late\n</Location>", "GET", "/b", "A: x", "early=1" },
	{ "SetEnv S set\nSetEnvIf S set seen", "GET", "/", "", "S=set" },       /* SetEnv comes last */
	{ "SetEnvIfExpr \"%{REQUEST_URI} =~ m#^/a/([0-9]+)#\" id=$1 seen !gone", "GET", "/a/77", "", "id=77 seen=1" },
	{ "SetEnvIfExpr \"%{REQUEST_URI} =~ m#^/a/([0-9]+)#\" id=$1", "GET", "/b", "", "" },
	{ "SetEnvIfExpr \"%{REQUEST_METHOD} == 'GET'\" id=<$1>", "GET", "/", "", "id=<>" },     /* no pattern, no captures */
	{ "SetEnvIf A x first\nSetEnvIfExpr \"reqenv('first') == '1' && -z req('B')\" v=w", "GET", "/", "A: x", "first=1 v=w" },
	{ "<Location /a>\nSetEnvIfExpr \"%{REQUEST_URI} =~ /^.((((.+)+)+)+)+b$/ || true\" v\n</Location>", "GET", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", "" },
};

static struct request *prepare(struct world *w, const char *method, const char *path, const char *fields)
{
	struct request *r = world_request(w, path, NULL);
	struct text rest = text_of(*fields ? fields : NULL), line;

	r->method = text_of(method);
	r->method_id = http_method_find(r->method);
	while (text_split(&rest, '\n', &line)) {
		struct text name, value = line;
		text_split(&value, ':', &name);
		fields_add(&r->in, name, text_trim(value));
	}
	return r;
}

static void variables_are_set(void **state)
{
	(void)state;
	setenv("BULKHEAD_TEST_VARIABLE", "passed", 1);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct world *w = world_good(modules, rows[i].text);
		struct request *r = prepare(w, rows[i].method, rows[i].path, rows[i].fields);
		char got[512] = "";
		env_early(r);
		assert_int_equal(sections_apply(r), 0);
		env_sections(r);
		env_late(r);
		for (unsigned k = 0; k < r->env.n; k++)
			snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s=%.*s", k ? " " : "", (int)r->env.at[k].name.n, r->env.at[k].name.p,
				 (int)r->env.at[k].value.n, r->env.at[k].value.p);
		if (strcmp(got, rows[i].vars) != 0) {
			print_error("%s\n%s: \"%s\", not \"%s\"\n", rows[i].text, rows[i].path, got, rows[i].vars);
			fail();
		}
		arena_free(r->arena);
		world_free(w);
	}
}

static void old_browsers_end_the_connection(void **state)
{
	static const struct { const char *agent; bool keepalive; } agents[] = { { "new", true }, { "old", false }, { "mended", true }, { "older", false } };
	struct world *w = world_good(modules, "BrowserMatch old nokeepalive\nBrowserMatch mended nokeepalive\nBrowserMatch mended !nokeepalive\n"
					      "BrowserMatch older !nokeepalive downgrade-1.0\n");

	(void)state;
	for (size_t i = 0; i < sizeof agents / sizeof agents[0]; i++) {
		char field[64];
		struct request *r;
		snprintf(field, sizeof field, "User-Agent: %s", agents[i].agent);
		r = prepare(w, "GET", "/", field);
		r->keepalive = true;
		w->client.nokeepalive = false;
		env_early(r);
		assert_int_equal(r->keepalive, agents[i].keepalive);
		assert_int_equal(w->client.nokeepalive, !agents[i].keepalive);
		arena_free(r->arena);
	}
	world_free(w);
}

static void faults_are_named(void **state)
{
	static const struct refused refused[] = {
		{ "SetEnv\n", "E t.conf:1" }, { "SetEnv a=b\n", "E t.conf:1|no name" }, { "SetEnvIf A \"(\" x\n", "E t.conf:1|regular expression" },
		{ "SetEnvIf A b\n", "E t.conf:1" }, { "SetEnvIf \"(\" b c\n", "E t.conf:1|regular expression" }, { "SetEnvIf A b =c\n", "E t.conf:1|no variable" },
		{ "SetEnvIf OID() b c\n", "E t.conf:1|certificate" }, { "SetEnvIfExpr %{X x\n", "E t.conf:1|column 1" },
		{ "SetEnvIfExpr true\n", "E t.conf:1" }, { "SetEnvIfExpr \"%{NOBODY} == ''\" x\n", "E t.conf:1|column 3" },
		{ "SetEnvIf Remote_Host x y\n", "N t.conf:1|Remote_Addr" }, { "PassEnv BULKHEAD_NO_SUCH_VARIABLE\n", "W t.conf:1|BULKHEAD_NO_SUCH_VARIABLE" },
	};

	(void)state;
	check_refused(modules, refused, sizeof refused / sizeof refused[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_are_set), cmocka_unit_test(old_browsers_end_the_connection), cmocka_unit_test(faults_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

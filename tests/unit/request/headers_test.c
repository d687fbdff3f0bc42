/*
 * headers_test.c - server/request/headers.c: the actions, their tables, their order over sections.
 */
#include "served.h"

static struct served *site(const char *text)
{
	struct served *v = served_site(text);

	served_file_make(v, "htdocs/a.txt", "a");
	served_file_make(v, "htdocs/b.txt", "b");
	return v;
}

static void actions(void **state)
{
	struct served *v = site(
		"Header set X-Set one\nHeader set X-Set two\n"
		"Header append X-App one\nHeader append X-App two\n"
		"Header add X-Add one\nHeader add X-Add two\n"
		"Header merge X-Merge a\nHeader merge X-Merge b\nHeader merge X-Merge A\n"
		"Header set X-Gone 1\nHeader unset X-Gone\n"
		"Header set X-Edit \"foo boo\"\nHeader edit X-Edit \"o(.)\" \"0$1\"\n"
		"Header set X-Edit2 \"foo boo\"\nHeader edit* X-Edit2 \"o\" \"0\"\n"
		"Header setifempty X-Empty first\nHeader setifempty X-Empty second\n"
		"Header echo ^X-Echo\n"
		"SetEnv VALUE here\n"
		"Header set X-Format \"%D %t %% %{VALUE}e %{NONE}e\"\n"
		"Header set X-Colon: 1\nHeader set Content-Type text/x-other\nHeader set Server mine\nHeader unset Date\n"
		"Header note X-Set seen\n");

	(void)state;
	assert_int_equal(served_ask(v, "GET", "/a.txt", "X-Echo-This: back\r\n"), 200);
	assert_field(v, "X-Set", "two");
	assert_field(v, "X-App", "one, two");
	assert_field(v, "X-Merge", "a, b");
	assert_null(served_field(v, "X-Gone"));
	assert_field(v, "X-Edit", "f0o boo");
	assert_field(v, "X-Edit2", "f00 b00");
	assert_field(v, "X-Empty", "first");
	assert_field(v, "X-Echo-This", "back");
	assert_field(v, "X-Colon", "1");
	assert_field(v, "Content-Type", "text/x-other");
	assert_non_null(strstr(v->head, "X-Add: one\nX-Add: two\n"));
	assert_non_null(strstr(v->head, "X-Format: D="));
	assert_non_null(strstr(v->head, " % here (null)\n"));
	assert_string_equal(served_field(v, "Server"), "Bulkhead/0.1 (Unix)");
	assert_non_null(served_field(v, "Date"));
	assert_true(text_is(fields_get(&v->last->notes, "seen"), "two"));
	served_free(v);
}

static void tables_and_conditions(void **state)
{
	struct served *v = site(
		"Header set X-Success 1\nHeader always set X-Always 1\nHeader onsuccess set X-On 1\n"
		"SetEnvIf Request_URI b is_b\nHeader set X-B yes env=is_b\nHeader set X-Not-B yes env=!is_b\n"
		"Header always set X-Proto \"%{SSL_PROTOCOL}s\"\n"
		"Redirect /moved http://x.test/\nErrorDocument 410 /a.txt\nRedirect gone /gone\n");

	(void)state;
	assert_int_equal(served_get(v, "/a.txt"), 200);
	assert_field(v, "X-Success", "1");
	assert_field(v, "X-Always", "1");
	assert_field(v, "X-On", "1");
	assert_field(v, "X-Proto", "(null)");
	assert_null(served_field(v, "X-B"));
	assert_field(v, "X-Not-B", "yes");
	v->client.secure = true;
	assert_int_equal(served_get(v, "/b.txt"), 200);
	assert_field(v, "X-Proto", "TLSv1.3");
	assert_field(v, "X-B", "yes");
	assert_null(served_field(v, "X-Not-B"));
	assert_int_equal(served_get(v, "/none"), 404);
	assert_null(served_field(v, "X-Success"));
	assert_field(v, "X-Always", "1");
	assert_int_equal(served_get(v, "/moved"), 302);
	assert_null(served_field(v, "X-Success"));
	assert_field(v, "X-Always", "1");
	assert_int_equal(served_get(v, "/gone"), 410);  /* a file as error document is delivered like any other */
	assert_field(v, "X-Success", "1");
	served_free(v);
}

static void sections_come_in_apaches_order(void **state)
{
	struct served *v = site(
		"<Location /a.txt>\nHeader append X-Order location\n</Location>\n<Files a.txt>\nHeader append X-Order files\n</Files>\n"
		"<Directory \"@DIR@/htdocs\">\nHeader append X-Order directory\n</Directory>\nHeader append X-Order main\n"
		"<VirtualHost *:80>\nServerName one.test\nHeader append X-Order host\n</VirtualHost>\n");

	(void)state;
	assert_int_equal(served_ask(v, "GET", "/a.txt", "Host: one.test\r\n"), 200);
	assert_field(v, "X-Order", "main, host, directory, files, location");
	served_free(v);
}

static void requests_are_changed_before_the_handler(void **state)
{
	struct served *v = site(
		"RequestHeader set X-Added \"by server\"\nRequestHeader unset X-Removed\nRequestHeader append X-Via one\n"
		"RequestHeader edit X-Edit ^a b\nRequestHeader set X-Env \"%{MADE}e\"\nSetEnv MADE made\n"
		"RequestHeader setifempty X-Given default\nRequestHeader unset X-Early early\nSetEnvIf X-Early . seen\n"
		"SetEnvIf X-Removed . late\n");
	const struct fields *in;

	(void)state;
	served_ask(v, "GET", "/a.txt", "X-Removed: 1\r\nX-Via: zero\r\nX-Edit: aa\r\nX-Given: mine\r\nX-Early: 1\r\n");
	in = &v->last->in;
	assert_true(text_is(fields_get(in, "X-Added"), "by server"));
	assert_null(fields_get(in, "X-Removed").p);
	assert_true(text_is(fields_get(in, "X-Via"), "zero, one"));
	assert_true(text_is(fields_get(in, "X-Edit"), "ba"));
	assert_true(text_is(fields_get(in, "X-Env"), "made"));
	assert_true(text_is(fields_get(in, "X-Given"), "mine"));
	assert_null(request_env(v->last, "seen").p);
	assert_true(text_is(request_env(v->last, "late"), "1"));
	served_free(v);
}

/* What comes from the network into a value must not become a field of its own. */
static void values_end_no_field(void **state)
{
	struct served *v = site("SetEnvIf Request_URI \"^/(.*)\" at=$1\nHeader always set X-At \"%{at}e\"\n");

	(void)state;
	served_get(v, "/x%0d%0aX-Forged:%201");
	assert_field(v, "X-At", "x  X-Forged: 1");
	assert_null(served_field(v, "X-Forged"));
	served_free(v);
}

/* An empty value is a value; RequestHeader edit reads several lines as one. */
static void empty_and_several_values(void **state)
{
	struct served *v = site(
		"Header set X-Empty \"\"\nHeader set X-Edit foo\nHeader edit X-Edit ^foo$ \"\"\nHeader set X-All abab\nHeader edit* X-All b \"\"\n"
		"Header set X-Https \"%{HTTPS}s\"\nRequestHeader set X-Blank \"\"\nRequestHeader edit X-List ^a b\n");

	(void)state;
	assert_int_equal(served_ask(v, "GET", "/a.txt", "X-List: aa\r\nX-List: ab\r\n"), 200);
	assert_field(v, "X-Empty", "");
	assert_field(v, "X-Edit", "");
	assert_field(v, "X-All", "aa");
	assert_field(v, "X-Https", "off");
	assert_true(text_is(fields_get(&v->last->in, "X-List"), "ba, ab"));
	assert_non_null(fields_get(&v->last->in, "X-Blank").p);
	served_free(v);
}

/* Values and conditions that are expressions; one without an answer sets nothing. */
static void expressions(void **state)
{
	struct served *v = site(
		"Header set X-Saw \"expr=%{req:X-A}|%{REQUEST_URI}\"\nHeader set X-Yes 1 \"expr=%{REQUEST_STATUS} == 200 && -n %{QUERY_STRING}\"\n"
		"Header set X-No 1 \"expr=%{QUERY_STRING} == 'other'\"\nRequestHeader set X-Proto \"expr=%{REQUEST_SCHEME}\"\n"
		"Header set X-Lines \"expr=%{unescape:%{QUERY_STRING}}\"\nHeader set X-Edit ab\nHeader edit X-Edit a(.) \"expr=\\$1%{REQUEST_METHOD}$1\"\n"
		"Header set X-None \"expr=%{file:@DIR@/missing}\"\nHeader always set X-Always 1 \"expr=%{REQUEST_STATUS} -ge 400\"\n"
		"Header set X-Late 1 \"expr=%{resp:X-Yes} == '1'\"\n");

	(void)state;
	assert_int_equal(served_ask(v, "GET", "/a.txt?a%0d%0aX-Forged:%201", "X-A: some\r\n"), 200);
	assert_field(v, "X-Saw", "some|/a.txt");
	assert_field(v, "X-Yes", "1");
	assert_null(served_field(v, "X-No"));
	assert_field(v, "X-Lines", "a  X-Forged: 1");
	assert_field(v, "X-Edit", "bGET");
	assert_null(served_field(v, "X-None"));
	assert_null(served_field(v, "X-Always"));
	assert_field(v, "X-Late", "1");
	assert_true(text_is(fields_get(&v->last->in, "X-Proto"), "http"));
	assert_int_equal(served_ask(v, "GET", "/none?q", ""), 404);
	assert_null(served_field(v, "X-Yes"));
	assert_field(v, "X-Always", "1");
	served_free(v);
}

static void bad_lines_are_refused(void **state)
{
	static const struct { const char *line, *word; } rows[] = {
		{ "Header set X", "wants 2" }, { "Header put X y", "put" }, { "Header set X a b", "quotes" }, { "Header set \"X Y\" a", "X Y" },
		{ "Header set X \"expr=%{NOBODY}\"", "column 3" }, { "Header set X a \"expr=1\"", "column 2" }, { "Header edit X ( b", "regular" },
		{ "Header set X %{Y}z", "%{Y}z" }, { "Header set X 50%", "%" }, { "Header always", "Header" }, { "RequestHeader echo X", "echo" },
		{ "<Location />\nRequestHeader unset X early\n</Location>", "early" }, { "Header set X a env=", "env" },
		{ "Header unset X Y Z", "unset" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_new();

		if (served_configure(v, rows[i].line) == 0)
			fail_msg("%s: accepted", rows[i].line);
		if (!strstr(v->said, rows[i].word))
			fail_msg("%s: %s", rows[i].line, v->said);
		served_free(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(actions), cmocka_unit_test(tables_and_conditions), cmocka_unit_test(sections_come_in_apaches_order),
		cmocka_unit_test(requests_are_changed_before_the_handler), cmocka_unit_test(values_end_no_field),
		cmocka_unit_test(empty_and_several_values), cmocka_unit_test(expressions), cmocka_unit_test(bad_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

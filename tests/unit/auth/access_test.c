/* access.c: what Require trees grant, how they merge, and what is refused because it would be dropped. */
#include "tests/unit/request/site.h"

#include "request/access.h"
#include "auth/authn.h"
#include "auth/compat.h"
#include "request/core.h"
#include "request/env.h"
#include "request/phases.h"
#include "request/sections.h"

static struct conf_module *const modules[] = { &core_module, &authz_core_module, &authn_module, &access_compat_module, &setenvif_module, NULL };

enum { SECURE = 1, LOCAL = 2, V6 = 4 };

#define BASIC "AuthType Basic\nAuthName x\nAuthUserFile /dev/null\n"
#define ALL(rules) "<RequireAll>\n" rules "\n</RequireAll>"

/* Rules inside <Location />; the client is 198.51.100.7, the method GET unless said. */
static const struct { const char *rules; const char *method; unsigned how; unsigned status; } rows[] = {
	{ "", "GET", 0, 0 },
	{ "Require all granted", "GET", 0, 0 }, { "Require all denied", "GET", 0, 403 }, { "Require all Granted", "GET", 0, 0 },
	{ "Require ip 198.51.100.7", "GET", 0, 0 }, { "Require ip 198.51.100", "GET", 0, 0 }, { "Require ip 198.51.100.0/24 10.1", "GET", 0, 0 },
	{ "Require ip 198.51.100.0/255.255.255.248", "GET", 0, 0 }, { "Require ip 198.51.100.8", "GET", 0, 403 },
	{ "Require ip 2001:db8::/32", "GET", V6, 0 }, { "Require ip 2001:db9::/32 198.51", "GET", V6, 403 },
	{ "Require local", "GET", 0, 403 }, { "Require local", "GET", LOCAL, 0 },
	{ "Require ssl", "GET", 0, 403 }, { "Require ssl", "GET", SECURE, 0 },
	{ "Require method GET POST", "POST", 0, 0 }, { "Require method GET", "HEAD", 0, 0 }, { "Require method GET", "PUT", 0, 403 },
	{ "Require env seen", "GET", 0, 0 }, { "Require env other", "GET", 0, 403 }, { "Require env other seen", "GET", 0, 0 },
	{ "Require ip 10.1\nRequire all granted", "GET", 0, 0 },                /* several lines: one is enough */
	{ "Require ip 10.1\nRequire ip 10.2", "GET", 0, 403 },
	{ "<RequireAll>\nRequire all granted\nRequire ip 10.1\n</RequireAll>", "GET", 0, 403 },
	{ "<RequireAll>\nRequire all granted\nRequire not ip 10.1\n</RequireAll>", "GET", 0, 0 },
	{ "<RequireAll>\nRequire all granted\nRequire not ip 198.51.100.7\n</RequireAll>", "GET", 0, 403 },
	{ "<RequireAny>\nRequire ip 10.1\n<RequireAll>\nRequire ip 198.51\nRequire method GET\n</RequireAll>\n</RequireAny>", "GET", 0, 0 },
	{ "<RequireAny>\nRequire ip 10.1\n<RequireAll>\nRequire ip 198.51\nRequire method GET\n</RequireAll>\n</RequireAny>", "PUT", 0, 403 },
	{ "<RequireAll>\nRequire all granted\n<RequireNone>\nRequire ip 10.1\nRequire ip 198.51\n</RequireNone>\n</RequireAll>", "GET", 0, 403 },
	{ "<RequireAll>\nRequire all granted\n<RequireNone>\nRequire ip 10.1\nRequire ip 10.2\n</RequireNone>\n</RequireAll>", "GET", 0, 0 },
	{ "<Limit GET>\nRequire all denied\n</Limit>", "GET", 0, 403 }, { "<Limit GET>\nRequire all denied\n</Limit>", "HEAD", 0, 403 },
	{ "<Limit GET>\nRequire all denied\n</Limit>", "OPTIONS", 0, 0 },
	{ "<LimitExcept GET OPTIONS>\nRequire all denied\n</LimitExcept>", "HEAD", 0, 0 },
	{ "<LimitExcept GET OPTIONS>\nRequire all denied\n</LimitExcept>", "POST", 0, 403 },
	{ "<LimitExcept GET OPTIONS>\nRequire all denied\n</LimitExcept>", "FROB", 0, 403 },
	{ "Require ip 10.1\n<Limit PUT>\nRequire all granted\n</Limit>", "GET", 0, 403 },       /* a grant for others grants nothing here */
	{ "Require ip 10.1\n<Limit PUT>\nRequire all granted\n</Limit>", "PUT", 0, 0 },
	{ "SSLRequireSSL\nRequire all granted", "GET", 0, 403 }, { "SSLRequireSSL\nRequire all granted", "GET", SECURE, 0 },
	{ "SSLRequireSSL", "GET", 0, 403 },
	{ "AuthType None\nRequire all granted", "GET", 0, 0 },
	{ "Require expr \"%{REQUEST_METHOD} == 'GET'\"", "GET", 0, 0 }, { "Require expr %{REQUEST_METHOD} == 'GET'", "PUT", 0, 403 },
	/* users: 401 where one may help, 500 where nothing says how to ask */
	{ "Require valid-user", "GET", 0, 500 }, { BASIC "Require valid-user", "GET", 0, 401 }, { BASIC, "GET", 0, 500 },
	{ "AuthType Basic\nRequire valid-user", "GET", 0, 500 }, { "AuthType None\nRequire valid-user", "GET", 0, 500 },
	{ BASIC "Require user ann\nRequire ip 198.51", "GET", 0, 0 }, { BASIC "Require ip 10.1\nRequire user ann", "GET", 0, 401 },
	{ BASIC ALL("Require user ann\nRequire ip 10.1"), "GET", 0, 403 }, { BASIC ALL("Require ip 10.1\nRequire user ann"), "GET", 0, 403 },
	{ BASIC ALL("Require user ann\nRequire ip 198.51"), "GET", 0, 401 }, { BASIC ALL("Require all granted\nRequire not user ann"), "GET", 0, 0 },
	{ BASIC ALL("Require all denied\nRequire valid-user"), "GET", 0, 403 }, { BASIC "Require all denied\nRequire group staff", "GET", 0, 401 },
	{ BASIC "<Limit PUT>\nRequire valid-user\n</Limit>", "GET", 0, 0 }, { BASIC "<Limit PUT>\nRequire valid-user\n</Limit>", "PUT", 0, 401 },
	{ BASIC "Require expr \"%{REMOTE_USER} == 'ann'\"", "GET", 0, 401 }, { BASIC "Require expr false", "GET", 0, 403 },
	{ ALL("Require all granted\nRequire not expr false"), "GET", 0, 0 },
	/* what cannot be told denies, also behind a "not" */
	{ ALL("Require all granted\nRequire not expr \"file('/none') == 'x'\""), "GET", 0, 403 },
	{ "Require expr \"file('/none') == 'x'\"", "GET", 0, 403 },
	/* the rules of 2.2 */
	{ "Order allow,deny", "GET", 0, 403 }, { "Order deny,allow", "GET", 0, 0 }, { "Deny from all", "GET", 0, 403 },
	{ "Order allow,deny\nAllow from 198.51\nDeny from 198.51.100.7", "GET", 0, 403 }, { "Order deny,allow\nDeny from all\nAllow from 198.51", "GET", 0, 0 },
	{ "Order mutual-failure\nAllow from all\nDeny from 10.1", "GET", 0, 0 }, { "Order Allow,Deny\nAllow from 10.1 198.51.100.0/24", "GET", 0, 0 },
	{ "Order deny,allow\nDeny from env=seen", "GET", 0, 403 }, { "Deny from env=!seen", "GET", 0, 0 }, { "Deny from env=other", "GET", 0, 0 },
	{ "Deny from all\n<Limit PUT>\nAllow from all\n</Limit>", "PUT", 0, 0 }, { "Deny from all\n<Limit PUT>\nAllow from all\n</Limit>", "GET", 0, 403 },
	{ "<Limit PUT>\nOrder allow,deny\n</Limit>", "PUT", 0, 403 }, { "<Limit PUT>\nOrder allow,deny\n</Limit>", "GET", 0, 0 },
	/* both kinds: each must grant, with Satisfy Any one of them */
	{ "Require all granted\nDeny from all", "GET", 0, 403 }, { "Require all denied\nAllow from all", "GET", 0, 403 },
	{ "Require all denied\nAllow from all\nSatisfy Any", "GET", 0, 0 }, { "Require all granted\nDeny from all\nSatisfy Any", "GET", 0, 0 },
	{ "Require all denied\nDeny from all\nSatisfy Any", "GET", 0, 403 },
	{ BASIC "Require valid-user\nDeny from all\nSatisfy Any", "GET", 0, 401 }, { BASIC "Require valid-user\nDeny from all", "GET", 0, 403 },
	{ BASIC "Require valid-user\nDeny from 10.1\nSatisfy Any", "GET", 0, 0 }, { BASIC "Require valid-user\nSatisfy All", "GET", 0, 401 }, { "Require all granted\nSatisfy All", "GET", 0, 0 },
	{ BASIC "Require valid-user\n<Limit PUT>\nSatisfy Any\n</Limit>", "GET", 0, 401 }, { BASIC "Require valid-user\n<Limit PUT>\nSatisfy Any\n</Limit>", "PUT", 0, 0 },
	{ "SSLRequireSSL\nRequire all granted\nDeny from all\nSatisfy Any", "GET", 0, 0 },
};

static unsigned ask_for(struct world *w, const char *path, const char *filename, const char *method, unsigned how)
{
	struct request *r = world_request(w, path, filename);
	unsigned status;

	r->method = text_of(method);
	r->method_id = http_method_find(r->method);
	w->client.secure = how & SECURE;
	assert_int_equal(addr_parse(&w->client.peer, how & V6 ? "2001:db8::7" : how & LOCAL ? "127.0.0.1" : "198.51.100.7", 1234), 0);
	fields_set(&r->env, "seen", "");
	assert_int_equal(sections_apply(r), 0);
	status = access_run(r);
	if (status == 0 && r->asks_user)
		status = access_user_run(r);
	assert_true((status == 403) == (r->refused != NULL));
	arena_free(r->arena);
	return status;
}

static unsigned ask(struct world *w, const char *path, const char *method, unsigned how)
{
	return ask_for(w, path, NULL, method, how);
}

static unsigned ask_file(struct world *w, const char *path)
{
	return ask_for(w, path, path, "GET", 0);
}

static void rules_grant_and_deny(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[1024];
		struct world *w;
		unsigned status;
		snprintf(text, sizeof text, "<Location />\n%s\n</Location>\n", rows[i].rules);
		w = world_good(modules, text);
		status = ask(w, "/", rows[i].method, rows[i].how);
		if (status != rows[i].status) {
			print_error("%s\n%s: %u, not %u\n", rows[i].rules, rows[i].method, status, rows[i].status);
			fail();
		}
		world_free(w);
	}
}

static void inner_sections_override_or_join(void **state)
{
	static const struct { const char *path; unsigned status; } paths[] = {
		{ "/x", 403 }, { "/all", 0 }, { "/and", 403 }, { "/or", 0 }, { "/orip", 403 }, { "/andok", 403 }, { "/off", 0 }, { "/none", 403 }, { "/ssl", 403 },
	};
	struct world *w = world_good(modules,
		"<Location />\nRequire all denied\n</Location>\n<Location /all>\nRequire all granted\n</Location>\n"
		"<Location /and>\nAuthMerging And\nRequire all granted\n</Location>\n<Location /or>\nAuthMerging Or\nRequire all granted\n</Location>\n"
		"<Location /orip>\nAuthMerging Or\nRequire ip 10.1\n</Location>\n<Location /andok>\nAuthMerging And\nRequire all granted\n</Location>\n"
		"<Location /off>\nAuthMerging Off\nRequire all granted\n</Location>\n<Location /none>\nAuthMerging Or\n</Location>\n"
		"<Location /ssl>\nSSLRequireSSL\nRequire all granted\n</Location>\n");

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		if (ask(w, paths[i].path, "GET", 0) != paths[i].status) {
			print_error("%s: not %u\n", paths[i].path, paths[i].status);
			fail();
		}
	world_free(w);
}

static void rules_have_names_of_their_own(void **state)
{
	struct world *w = world_good(modules, "<AuthzProviderAlias ip office \"198.51.100.0/24 10.1\">\n</AuthzProviderAlias>\n<Location />\nRequire office\n</Location>\n"
					      "<Location /not>\n<RequireAll>\nRequire all granted\nRequire not office\n</RequireAll>\n</Location>\n");

	(void)state;
	assert_int_equal(ask(w, "/", "GET", 0), 0);
	assert_int_equal(ask(w, "/", "GET", V6), 403);
	assert_int_equal(ask(w, "/not", "GET", 0), 403);
	assert_int_equal(ask(w, "/not", "GET", V6), 0);
	world_free(w);
}

/* Two merged sets that share an outer tree must not change each other. */
static void joined_trees_stay_apart(void **state)
{
	struct world *w = world_good(modules, "<Location />\nRequire ip 10.1\n</Location>\n<Location /a>\nAuthMerging Or\nRequire all granted\n</Location>\n"
					      "<Location /b>\nAuthMerging Or\nRequire ip 10.2\n</Location>\n");

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(w, "/a", "GET", 0), 0);
		assert_int_equal(ask(w, "/b", "GET", 0), 403);
		assert_int_equal(ask(w, "/", "GET", 0), 403);
	}
	world_free(w);
}

/*
 * An operator counts without rules beside it, and an Off lets go of the outer ones; sections of a kind come together first, so
 * that "Or" in /d/e speaks of what /d requires and all that against the folder.
 */
static void operators_stand_alone(void **state)
{
	static const struct { const char *path; unsigned status; } paths[] = {
		{ "/x", 403 }, { "/off", 0 }, { "/off/and", 403 }, { "/d", 403 }, { "/d/e", 0 }, { "/k", 403 }, { "/k/e", 403 },
	};
	struct world *w = world_good(modules,
		"<Directory />\nRequire all denied\n</Directory>\n<Location /off>\nAuthMerging Off\n</Location>\n"
		"<Location /off/and>\nAuthMerging And\n</Location>\n"
		"<Location /d>\nRequire all granted\nAuthMerging And\n</Location>\n<Location /d/e>\nAuthMerging Or\n</Location>\n"
		"<Location /k>\nRequire all granted\nAuthMerging And\n</Location>\n<Location /k/e>\nSSLRequireSSL\n</Location>\n");

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		if (ask_file(w, paths[i].path) != paths[i].status) {
			print_error("%s: not %u\n", paths[i].path, paths[i].status);
			fail();
		}
	world_free(w);
}

/* ---------------------------------------------------------------------------------------------- names */

/* What the fake name service says: questions and answers, both ended by NUL; "!" = it gives no answer. */
struct book { const char *question, *answer; };
static const struct book *book;
static char asked[256];         /* the questions */
static unsigned questions;
static bool in_book, at_once;   /* answers are known without asking; asking has them at once (-X) */

static enum client_knows fake_knows(struct client *c, const char *question, struct text *answer)
{
	(void)c;
	if (!in_book && !(at_once && strstr(asked, question)))
		return CLIENT_UNASKED;
	for (const struct book *b = book; b->question; b++) {
		if (strcmp(b->question, question) != 0)
			continue;
		if (*b->answer == '!')
			return CLIENT_FAILED;
		/* A second string may stand behind the first. */
		size_t n = strlen(b->answer) + 1;
		*answer = (struct text){ b->answer, *b->answer ? n + (strcmp(question, "home.example") == 0 ? strlen(b->answer + n) + 1 : 0) : 0 };
		return CLIENT_KNOWS;
	}
	return CLIENT_UNASKED;
}

static bool fake_ask(struct client *c, const char *question)
{
	(void)c;
	snprintf(asked + strlen(asked), sizeof asked - strlen(asked), "%s ", question);
	questions++;
	return !at_once;
}

static const struct client_ops fake_ops = { .knows = fake_knows, .ask = fake_ask };
#define PEER "198.51.100.7"
#define NONE(rules) "<RequireNone>\n" rules "\n</RequireNone>"

static unsigned ask_names(const char *rules, const struct book *with)
{
	char text[1024];
	struct world *w;
	unsigned status;

	snprintf(text, sizeof text, "<Location />\n%s\n</Location>\n", rules);
	w = world_good(modules, text);
	assert_true(w->site->asks_names);
	w->client.ops = &fake_ops;
	book = with;
	asked[0] = '\0';
	questions = 0;
	struct request *r = world_request(w, "/", NULL);
	assert_int_equal(sections_apply(r), 0);
	status = access_run(r);
	assert_true((status == 403) == (r->refused != NULL));
	arena_free(r->arena);
	world_free(w);
	return status;
}

static void names_match_by_components(void **state)
{
	static const struct { const char *rules, *name; unsigned status; } named[] = {
		{ "Require host example.org", "example.org", 0 }, { "Require host example.org", "www.example.org", 0 },
		{ "Require host example.org", "a.b.example.org", 0 }, { "Require host example.org", "badexample.org", 403 },
		{ "Require host example.org", "org", 403 }, { "Require host example.org", "example.org.evil.net", 403 },
		{ "Require host Example.ORG", "www.example.org", 0 }, { "Require host .net", "example.net", 0 }, { "Require host .net", "net", 403 },
		{ "Require host net", "net", 0 }, { "Require host net", "subnet", 403 }, { "Require host .example.net", "example.net", 403 },
		{ "Require host example.org .net", "x.net", 0 }, { "Require host example.org .net", "x.com", 403 },
		{ "Require host example.org", "", 403 },
		{ ALL("Require all granted\nRequire not host example.org"), "www.example.org", 403 },
		{ ALL("Require all granted\nRequire not host example.org"), "example.com", 0 },
		{ ALL("Require all granted\nRequire not host example.org"), "", 0 },
		{ ALL("Require all granted\n" NONE("Require host a.org\nRequire host b.org")), "b.org", 403 },
		{ ALL("Require all granted\n" NONE("Require host a.org\nRequire host b.org")), "c.org", 0 },
		{ ALL("Require host a.org\nRequire ip 198.51"), "a.org", 0 }, { ALL("Require host a.org\nRequire ip 10.1"), "a.org", 403 },
		/* no answer: whatever stands around it, the rule counts against the client */
		{ "Require host example.org", "!", 403 }, { ALL("Require all granted\nRequire not host example.org"), "!", 403 },
		{ ALL("Require all granted\n" NONE("Require host a.org")), "!", 403 },
		{ ALL("Require all granted\n" NONE(ALL("Require all granted\nRequire host a.org"))), "!", 403 },
		{ "Require host a.org\nRequire ip 198.51", "!", 0 },
	};

	(void)state;
	in_book = true;
	for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
		const struct book one[] = { { PEER, named[i].name }, { NULL, NULL } };
		unsigned status = ask_names(named[i].rules, one);
		if (status != named[i].status)
			fail_msg("%s\n%s: %u", named[i].rules, named[i].name, status);
		assert_int_equal(questions, 0);
	}
	in_book = false;
}

static void forward_names_lead_to_the_client(void **state)
{
	static const struct book addresses[] = {
		{ "home.example", "192.0.2.1\000198.51.100.7" }, { "us.example", PEER }, { "them.example", "198.51.100.70" }, { "none.example", "" },
		{ "dead.example", "!" }, { NULL, NULL },
	};

	(void)state;
	in_book = true;
	assert_int_equal(ask_names("Require forward-dns us.example", addresses), 0);
	assert_int_equal(ask_names("Require forward-dns home.example", addresses), 0);
	assert_int_equal(ask_names("Require forward-dns them.example none.example", addresses), 403);
	assert_int_equal(ask_names("Require forward-dns them.example us.example", addresses), 0);
	assert_int_equal(ask_names("Require forward-dns dead.example us.example", addresses), 0);
	assert_int_equal(ask_names("Require forward-dns dead.example none.example", addresses), 403);
	assert_int_equal(ask_names(ALL("Require all granted\nRequire not forward-dns us.example"), addresses), 403);
	in_book = false;
}

static void names_are_asked_for_where_they_decide(void **state)
{
	static const struct { const char *rules; unsigned status; const char *question; } open[] = {
		{ "Require host a.org", PHASE_WAIT, PEER }, { "Require forward-dns us.example", PHASE_WAIT, "us.example" },
		{ "Require ip 198.51\nRequire host a.org", 0, NULL }, { "Require host a.org\nRequire ip 198.51", 0, NULL },
		{ "Require ip 10.1\nRequire host a.org", PHASE_WAIT, PEER },
		{ ALL("Require host a.org\nRequire ip 10.1"), 403, NULL }, { ALL("Require ip 10.1\nRequire host a.org"), 403, NULL },
		{ ALL("Require host a.org\nRequire ip 198.51"), PHASE_WAIT, PEER },
		{ ALL("Require all granted\nRequire not host a.org"), PHASE_WAIT, PEER },
		{ ALL("Require all denied\nRequire not host a.org"), 403, NULL },
		{ ALL("Require all granted\n" NONE("Require host a.org\nRequire ip 198.51")), 403, NULL },
		{ "<Limit PUT>\nRequire host a.org\n</Limit>\nRequire all granted", 0, NULL },
	};
	static const struct book answers[] = { { PEER, "www.a.org" }, { "us.example", PEER }, { NULL, NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
		unsigned status = ask_names(open[i].rules, answers);
		if (status != open[i].status || questions != (open[i].question != NULL) || (open[i].question && !strstr(asked, open[i].question)))
			fail_msg("%s: %u after %u questions: %s", open[i].rules, status, questions, asked);
	}
	at_once = true;
	assert_int_equal(ask_names("Require host a.org", answers), 0);
	assert_int_equal(ask_names("Require host b.org", answers), 403);
	assert_int_equal(ask_names("Require host b.org\nRequire forward-dns us.example", (const struct book[]){ { PEER, "!" }, { "us.example", "192.0.2.1" }, { NULL, NULL } }), 403);
	at_once = false;
}

static void what_would_restrict_is_refused(void **state)
{
#define IN(line) "<Location />\n" line "\n</Location>\n"
	static const struct refused refused[] = {
		{ IN("Require host"), "E t.conf:2|nothing is named" }, { IN("Require host a.example,b.example"), "E t.conf:2|no host name" },
		{ IN("Require host *.example.org"), "E t.conf:2|no host name" }, { IN("Require forward-dns %{HTTP_HOST}"), "E t.conf:2|no host name" },
		{ IN("Require host example.org # ours"), "E t.conf:2|no host name" }, { IN("Require not host example.org"), "E t.conf:2|RequireAll" },
		{ IN("Require valid-user now"), "E t.conf:2|no further words" }, { IN("Require user"), "E t.conf:2|nothing is named" },
		{ IN("Require dbm-group g"), "E t.conf:2|dbm-group|AuthGroupFile" }, { IN("Require expr %{"), "E t.conf:2" }, { IN("Require expr"), "E t.conf:2|no expression" },
		{ IN("Require ldap-user x"), "E t.conf:2|ldap-user|AuthUserFile" }, { IN("Require not valid-user"), "E t.conf:2|RequireAll" },
		{ IN("Require ssl-verify-client now"), "E t.conf:2|no further words" },
		{ IN("Require ALL granted"), "E t.conf:2|no rule named" }, { IN("Require all maybe"), "E t.conf:2|granted or denied" },
		{ IN("Require all granted # really"), "E t.conf:2|nothing more" }, { IN("Require"), "E t.conf:2" },
		{ IN("Require ip"), "E t.conf:2|no address" }, { IN("Require ip 300.1"), "E t.conf:2|300.1" },
		{ IN("Require ip 10.1, 10.2"), "E t.conf:2|10.1," }, { IN("Require method get"), "E t.conf:2|get" }, { IN("Require local here"), "E t.conf:2" },
		{ IN("Require not ip 10.1"), "E t.conf:2|RequireAll" }, { IN("<RequireAll>\n</RequireAll>"), "E t.conf:2|empty" },
		{ IN("<RequireAll>\nRequire not ip 10.1\n</RequireAll>"), "E t.conf:2|only negated" },
		{ IN("<RequireNone>\nRequire ip 10.1\n</RequireNone>"), "E t.conf:2|RequireAll" },
		{ IN("AuthType Kerberos"), "E t.conf:2|Kerberos|None, Basic, Digest" }, { IN("AuthType Form"), "E t.conf:2|Form" },
		{ IN("AuthBasicProvider ldap"), "E t.conf:2|ldap|AuthUserFile" }, { IN("AuthBasicProvider staff"), "E t.conf:2|staff|AuthnProviderAlias" },
		{ IN("AuthDigestProvider anon"), "E t.conf:2|anon" }, { IN("AuthDigestAlgorithm MD5-sess"), "E t.conf:2|MD5-sess" },
		{ IN("AuthDigestQop auth-int"), "E t.conf:2|auth-int" }, { IN("Order deny, allow"), "E t.conf:2|Order" }, { IN("Order maybe"), "E t.conf:2|maybe" },
		{ IN("Deny all"), "E t.conf:2" }, { IN("Allow to all"), "E t.conf:2|from" }, { IN("Deny from 10.0.0.0/40"), "E t.conf:2|10.0.0.0/40" },
		{ IN("Allow from 300.1.1.1"), "E t.conf:2|300.1.1.1" }, { IN("Allow from env="), "E t.conf:2|env=" }, { IN("Satisfy some"), "E t.conf:2|some" },
		{ IN("<RequireAll>\nOptions None\nRequire all granted\n</RequireAll>"), "E t.conf:3|Options is not allowed in <RequireAll>" },
		{ "<AuthzProviderAlias ldap-user x \"y\">\n</AuthzProviderAlias>\n", "E t.conf:1|ldap-user" }, { "<AuthzProviderAlias ip>\n</AuthzProviderAlias>\n", "E t.conf:1|name" },
		{ "Require all denied\n", "E t.conf:1|not allowed" }, { IN("AuthMerging maybe"), "E t.conf:2|maybe" },
	};

	(void)state;
	check_refused(modules, refused, sizeof refused / sizeof refused[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_grant_and_deny), cmocka_unit_test(inner_sections_override_or_join), cmocka_unit_test(joined_trees_stay_apart), cmocka_unit_test(rules_have_names_of_their_own), cmocka_unit_test(operators_stand_alone),
		cmocka_unit_test(names_match_by_components), cmocka_unit_test(forward_names_lead_to_the_client), cmocka_unit_test(names_are_asked_for_where_they_decide),
		cmocka_unit_test(what_would_restrict_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

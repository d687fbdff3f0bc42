/* access.c: what Require trees grant, how they merge, and what is refused because it would be dropped. */
#include "site.h"

#include "request/access.h"
#include "request/core.h"
#include "request/env.h"
#include "request/sections.h"

static struct conf_module *const modules[] = { &core_module, &authz_core_module, &setenvif_module, NULL };

enum { SECURE = 1, LOCAL = 2, V6 = 4 };

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
	assert_true((status != 0) == (r->refused != NULL));
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

static void what_would_restrict_is_refused(void **state)
{
#define IN(line) "<Location />\n" line "\n</Location>\n"
	static const struct refused refused[] = {
		{ IN("Require host example.org"), "E t.conf:2|host|Require ip" }, { IN("Require forward-dns x"), "E t.conf:2|Require ip" },
		{ IN("Require valid-user"), "E t.conf:2|valid-user|not available" }, { IN("Require user ann"), "E t.conf:2|not available" },
		{ IN("Require group g"), "E t.conf:2|not available" }, { IN("Require expr true"), "E t.conf:2|expressions" },
		{ IN("Require not valid-user"), "E t.conf:2|not available" }, { IN("Require ssl-verify-client"), "E t.conf:2|certificates" },
		{ IN("Require ALL granted"), "E t.conf:2|no rule named" }, { IN("Require all maybe"), "E t.conf:2|granted or denied" },
		{ IN("Require all granted # really"), "E t.conf:2|nothing more" }, { IN("Require"), "E t.conf:2" },
		{ IN("Require ip"), "E t.conf:2|no address" }, { IN("Require ip 300.1"), "E t.conf:2|300.1" },
		{ IN("Require ip 10.1, 10.2"), "E t.conf:2|10.1," }, { IN("Require method get"), "E t.conf:2|get" }, { IN("Require local here"), "E t.conf:2" },
		{ IN("Require not ip 10.1"), "E t.conf:2|RequireAll" }, { IN("<RequireAll>\n</RequireAll>"), "E t.conf:2|empty" },
		{ IN("<RequireAll>\nRequire not ip 10.1\n</RequireAll>"), "E t.conf:2|only negated" },
		{ IN("<RequireNone>\nRequire ip 10.1\n</RequireNone>"), "E t.conf:2|RequireAll" },
		{ IN("AuthType Basic"), "E t.conf:2|Basic" }, { IN("AuthName \"x\""), "E t.conf:2|later release" },
		{ IN("AuthUserFile /x"), "E t.conf:2|later release" }, { IN("Order allow,deny"), "E t.conf:2|Require all" },
		{ IN("Deny from all"), "E t.conf:2|Require all" }, { IN("Allow from all"), "E t.conf:2|Require all" }, { IN("Satisfy Any"), "E t.conf:2|Require all" },
		{ IN("<RequireAll>\nOptions None\nRequire all granted\n</RequireAll>"), "E t.conf:3|Options is not allowed in <RequireAll>" },
		{ "Require all denied\n", "E t.conf:1|not allowed" }, { IN("AuthMerging maybe"), "E t.conf:2|maybe" },
	};

	(void)state;
	check_refused(modules, refused, sizeof refused / sizeof refused[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_grant_and_deny), cmocka_unit_test(inner_sections_override_or_join), cmocka_unit_test(joined_trees_stay_apart), cmocka_unit_test(operators_stand_alone),
		cmocka_unit_test(what_would_restrict_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

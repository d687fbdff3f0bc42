/*
 * status_test.c - the forms of the status with numbers and texts that a child may have made up: JSON stays JSON, lines stay lines, pages hold
 * nobody else's elements; and what is left out of a directive that server-info shows.
 */
#define SERVED_HANDLERS
#define SERVED_MORE_MODULES &status_module,
#include "handler/status.h"
#include "tests/unit/request/served.h"

#include <jansson.h>

#include "handler/statusform.h"
#include "handler/tell.h"

#define NASTY "/<script>\"'&\\\n\r\x01\xff\xc3"
#define CHILDREN 40

static unsigned children;

/* Every number as great as it can be, every text nasty. */
static int take(struct arena *a, const struct site *site, struct status *s)
{
	static struct status_count counts[] = { { "one", UINT64_MAX }, { "two words", 0 } };
	static struct status_backend backend = { .balancer = "pool", .url = "http://user:secret@127.0.0.1:1/" NASTY, .route = NASTY, .state = "Err", .retry_ms = INT64_MAX };

	(void)site;
	memset(s, 0xff, sizeof *s);
	s->now = 1800000000;
	s->started = s->restarted = s->now - 100;
	s->uptime = 100;
	s->load[0] = s->load[1] = s->load[2] = 0.5;
	s->nplaces = s->nchildren = children;
	s->letters = arena_zalloc(a, children + 1);
	s->children = arena_array(a, children, sizeof *s->children);
	for (unsigned i = 0; i < children; i++) {
		struct status_child *c = &s->children[i];

		memset(&c->sums, 0xff, sizeof c->sums);
		memset(&c->places, 0xff, sizeof c->places);
		s->letters[i] = c->letter = 'W';
		snprintf(c->peer, sizeof c->peer, "%s", NASTY);
		snprintf(c->path, sizeof c->path, "%s", NASTY);
		snprintf(c->method, sizeof c->method, "%s", "<b>");
		c->since_ms = INT64_MAX;
	}
	s->nrequests = 1;
	s->requests = arena_array(a, 1, sizeof *s->requests);
	s->requests[0].since_ms = INT64_MIN;
	snprintf(s->requests[0].path, sizeof s->requests[0].path, "%s", NASTY);
	s->ends = s->tls.versions = s->tls.kinds = s->tls.suites = s->tls.failures = (struct status_counts){ counts, 2 };
	s->keys.isolated = s->cache.there = true;
	s->nhosts = 2;
	s->hosts = arena_array(a, 2, sizeof *s->hosts);
	memset(s->hosts, 0xff, 2 * sizeof *s->hosts);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(s->hosts[i].name, sizeof s->hosts[i].name, "%u%s", i, NASTY);
		s->hosts[i].current = i == 0;
		s->hosts[i].staple = i ? STATUS_STAPLE_MISSING : STATUS_STAPLE_THERE;
	}
	s->ncrashes = 1;
	s->crashes = arena_zalloc(a, sizeof *s->crashes);
	s->crashes->fingerprint = s->crashes->n = UINT64_MAX;
	s->nbackends = 1;
	s->backends = &backend;
	return 0;
}

static struct served *site(const char *more)
{
	char lines[512];

	snprintf(lines, sizeof lines, "%s\n<Location \"/s\">\nSetHandler server-status\n</Location>\n", more);
	children = CHILDREN;
	return served_site(lines);
}

/* All of it into a buffer of its own: pages are long. */
static const char *ask(struct served *v, const char *target)
{
	static char all[1 << 20];
	size_t n = 0;

	v->room = 8192;
	phases_run(served_request(v, "GET", target, ""));
	for (unsigned turns = 0; turns < 1000; turns++) {
		assert_true(n + v->n < sizeof all);
		memcpy(all + n, v->body, v->n);
		n += v->n;
		v->n = 0;
		if (v->ends)
			break;
		page_writable(v->stream.request);
	}
	assert_int_equal(v->ends, 1);
	assert_int_equal(v->status, 200);
	all[n] = '\0';
	return all;
}

static void json_stays_json(void **state)
{
	struct served *v = site("");
	json_error_t e;
	json_t *o = json_loads(ask(v, "/s?json"), 0, &e), *child;

	(void)state;
	if (!o)
		fail_msg("%s at %d", e.text, e.position);
	child = json_array_get(json_object_get(json_object_get(o, "children"), "list"), CHILDREN - 1);
	assert_string_equal(json_string_value(json_object_get(child, "path")), "/<script>\"'&\\%0A%0D%01%FF%C3");
	assert_true(json_integer_value(json_object_get(child, "requests")) == INT64_MAX);
	assert_int_equal(json_array_size(json_object_get(o, "longest")), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(o, "backends"), 0), "url")), "http://127.0.0.1:1//<script>\"'&\\%0A%0D%01%FF%C3");
	json_decref(o);
	served_free(v);
}

static void lines_stay_lines(void **state)
{
	struct served *v = site("StatusFormat prometheus");
	const char *text = ask(v, "/s");

	(void)state;
	assert_non_null(strstr(text, "bulkhead_host_sent_bytes_total{host=\"0/<script>\\\"'&\\\\%0A%0D%01%FF%C3\"} 18446744073709551615\n"));
	assert_null(strstr(text, "secret"));
	for (const char *p = text; *p; p = strchr(p, '\n') + 1)
		if (strncmp(p, "# ", 2) != 0 && strncmp(p, "bulkhead_", 9) != 0)
			fail_msg("a line begins with %.60s", p);
	text = ask(v, "/s?auto");
	assert_non_null(strstr(text, "\nTotal Accesses: 18446744073709551615\n"));
	assert_non_null(strstr(text, "\nScoreboard: WWWW"));
	for (const char *p = strchr(text, '\n') + 1; *p; p = strchr(p, '\n') + 1)
		if (strncmp(p, "TLSSessionCacheStatus", 21) != 0 && strcspn(p, ":") > strcspn(p, "\n"))
			fail_msg("not a name and a value: %.60s", p);
	served_free(v);
}

static void pages_hold_only_ours(void **state)
{
	struct served *v = site("");
	const char *text = ask(v, "/s?notable");

	(void)state;
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, ">Generation<"));
	text = ask(v, "/s?live");
	assert_non_null(strstr(text, "<td>/&lt;script&gt;"));
	text = strstr(text, "<script>");
	assert_non_null(text);
	assert_null(strstr(text + 1, "<script>"));
	v->last = NULL;
	children = STATUS_CHILDREN_SHOWN + 7;
	assert_non_null(strstr(ask(v, "/s"), "<p>7 more are not shown.</p>"));
	served_free(v);
	v = site("ExtendedStatus Off");
	text = ask(v, "/s");
	assert_null(strstr(text, "&lt;b&gt;"));
	assert_null(strstr(text, "Longest requests"));
	served_free(v);
}

static void words(void **state)
{
	static const struct { int64_t seconds; const char *text; } rows[] = {
		{ 0, "0 seconds" }, { 1, "1 second" }, { 60, "1 minute 0 seconds" }, { 3600, "1 hour 0 minutes 0 seconds" },
		{ 90061, "1 day 1 hour 1 minute 1 second" }, { 172800, "2 days 0 hours 0 minutes 0 seconds" },
	};
	struct arena *a = arena_new(0);
	char buf[96];

	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(status_duration(rows[i].seconds, buf), rows[i].text);
	assert_string_equal(status_clean(a, "balancer://pool"), "balancer://pool");
	assert_string_equal(status_clean(a, "http://u:p@h/a@b"), "http://h/a@b");
	assert_string_equal(status_clean(a, "http://@"), "http://");
	assert_string_equal(status_clean(a, "a b\x7f"), "a%20b%7F");
	arena_free(a);
}

static void secrets_are_left_out(void **state)
{
	static const struct { const char *name, *args, *shown; } rows[] = {
		{ "SetEnv", "COLOUR red", "COLOUR red" },
		{ "SetEnv", "DB_PASSWORD \"a b\"", "DB_PASSWORD ***" },
		{ "SetEnv", "api_key", "api_key" },
		{ "RequestHeader", "set  Authorization \"Basic x\" env=y", "set Authorization *** ***" },
		{ "Header", "always set X-A \"say \\\"token\\\"\"", "always set X-A \"say \\\"token\\\"\"" },
		{ "Header", "always set X-Token \"x\"", "always set X-Token ***" },
		{ "ProxyPass", "/a \"http://u:p@h/x\" secret=abc timeout=3", "/a \"http://***@h/x\" secret=*** timeout=3" },
		{ "ProxyPass", "/mail/@me http://h/@me", "/mail/@me http://h/@me" },
		{ "AuthBasicFake", "demo word", "demo ***" },
		{ "Require", "all granted", "all granted" },
		{ "ServerSignature", "", "" },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct conf_node n = { .name = rows[i].name, .args = rows[i].args };

		assert_string_equal(tell_args(a, &n), rows[i].shown);
	}
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_stays_json), cmocka_unit_test(lines_stay_lines), cmocka_unit_test(pages_hold_only_ours), cmocka_unit_test(words),
		cmocka_unit_test(secrets_are_left_out),
	};

	status_show(take);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

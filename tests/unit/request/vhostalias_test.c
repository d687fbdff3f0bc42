/*
 * vhostalias_test.c - folders made of the host's name: the forms of a percent sign, and names that would lead elsewhere.
 */
#include "served.h"

static const char *led_to(struct served *v, const char *host, const char *path)
{
	char field[256];
	struct request *r;

	snprintf(field, sizeof field, "Host: %s\r\n", host);
	r = served_request(v, "GET", path, field);
	r->host = v->site->main;
	r->section = r->host->section;
	r->hostname = arena_strndup(r->arena, host, strcspn(host, ":"));
	r->path = path;
	assert_int_equal(vhostalias_run(r), 0);
	return r->filename ? r->filename : "nothing";
}

static void forms(void **state)
{
	static const struct { const char *pattern, *host, *filename; } rows[] = {
		{ "/s/%0", "Www.Example.COM", "/s/www.example.com/p" }, { "/s/%1/%2/%3", "a.b.c", "/s/a/b/c/p" }, { "/s/%-1/%-2", "a.b.c", "/s/c/b/p" },
		{ "/s/%4", "a.b.c", "/s/_/p" }, { "/s/%-4", "a.b.c", "/s/_/p" }, { "/s/%2+", "a.b.c", "/s/b.c/p" }, { "/s/%-2+", "a.b.c", "/s/a.b/p" },
		{ "/s/%2.1/%2.2/%2.3", "www.ab.test", "/s/a/b/_/p" }, { "/s/%2.-1/%2.2+", "www.abc.test", "/s/c/bc/p" },
		{ "/s/%2.-2+", "www.abc.test", "/s/ab/p" }, { "/s/%%/%p/", "a.test", "/s/%/80/p" }, { "/s/%p", "a.test:8080", "/s/8080/p" },
		{ "/s/fixed", "a.test", "/s/fixed/p" }, { "none", "a.test", "nothing" }, { "/s/%1.x", "a.b", "/s/a.x/p" },
		{ "/s/%0", "..", "/s/main.test/p" }, { "/s/%0", "a..b", "/s/main.test/p" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char lines[128];
		struct served *v;
		const char *got;

		snprintf(lines, sizeof lines, "UseCanonicalName Off\nVirtualDocumentRoot %s\n", rows[i].pattern);
		v = served_site(lines);
		got = led_to(v, rows[i].host, "/p");
		if (strcmp(got, rows[i].filename) != 0)
			fail_msg("row %zu: %s of %s leads to %s, not to %s", i, rows[i].pattern, rows[i].host, got, rows[i].filename);
		served_free(v);
	}
}

static void by_address(void **state)
{
	struct served *v = served_site("VirtualDocumentRootIP /s/%0/%4\n");

	(void)state;
	assert_string_equal(led_to(v, "a.test", "/x"), "/s/127.0.0.1/1/x");
	served_free(v);
}

static void faults_are_named(void **state)
{
	struct served *v = served_new();

	(void)state;
	assert_int_equal(served_configure(v, "VirtualDocumentRoot s/%0\nVirtualDocumentRoot /s/%x\nVirtualScriptAlias /s/%\nVirtualDocumentRoot /s/%-0\n"), 4);
	assert_non_null(strstr(v->said, "E 1: VirtualDocumentRoot: \"s/%0\" is no absolute path"));
	assert_non_null(strstr(v->said, "E 2: VirtualDocumentRoot: \"%x\" is none of the forms"));
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(forms), cmocka_unit_test(by_address), cmocka_unit_test(faults_are_named) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

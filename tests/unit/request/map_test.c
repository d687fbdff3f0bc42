/*
 * map_test.c - server/request/map.c: Redirect, Alias, DocumentRoot, and what their directives refuse.
 */
#include "served.h"

#include "base/text.h"

static void redirects_answer_by_prefix_and_pattern(void **state)
{
	struct served *v = served_site(
		"Redirect \"/old\" \"http://new.test/place\"\n"
		"Redirect 303 /see https://new.test/other\n"
		"Redirect gone /gone\n"
		"Redirect 410 /also-gone\n"
		"RedirectPermanent /perm /here\n"
		"RedirectTemp /temp http://new.test/t\n"
		"RedirectMatch 301 \"^/img/(.*)\\.gif$\" http://img.test/$1.png\n"
		"RedirectMatch seeother ^/q/(.*)$ /find?for=$1\n"
		"Redirect 308 /slash/ /to/\n"
		"RedirectMatch ^/rest(.*)$ $1\n"
		"<Location /near>\nRedirectRelative On\nRedirect 301 /there\n</Location>\n"
		"<Location /near/rest>\nRedirectMatch ^/near/rest(.*)$ $1\n</Location>\n"
		"<Location /near/far>\nRedirectRelative Off\n</Location>\n"
		"Alias /old /nowhere\n");
	static const struct { const char *target; unsigned status; const char *where; } rows[] = {
		{ "/old/sub/x?q=1", 302, "http://new.test/place/sub/x?q=1" },
		{ "/old", 302, "http://new.test/place" },
		{ "/older", 404, NULL },
		{ "/see", 303, "https://new.test/other" },
		{ "/gone", 410, NULL },
		{ "/also-gone/x", 410, NULL },
		{ "/perm/x", 301, "http://main.test/here/x" },
		{ "/temp", 302, "http://new.test/t" },
		{ "/img/a/b.gif", 301, "http://img.test/a/b.png" },
		{ "/img/a%20b%0d%0aX:%20y.gif", 301, "http://img.test/a%20b%0d%0aX:%20y.png" },
		{ "/old/a%3fb", 302, "http://new.test/place/a%3fb" },
		{ "/q/x?lost=1", 303, "http://main.test/find?for=x" },
		{ "/slash/a", 308, "http://main.test/to/a" },
		{ "/slash", 404, NULL },
		{ "/rest/of/it", 302, "http://main.test/of/it" }, { "/rest//other.test/", 302, "http://main.test/other.test/" },
		{ "/restored", 500, NULL }, { "/rest", 500, NULL },
		{ "/near/x?q", 301, "/there?q" }, { "/near/far", 301, "http://main.test/there" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = served_get(v, rows[i].target);

		if (status != rows[i].status)
			fail_msg("%s: %u", rows[i].target, status);
		if (rows[i].where)
			assert_field(v, "Location", rows[i].where);
		else
			assert_null(served_field(v, "Location"));
	}
	served_free(v);
}

/* But those of a <Location> that name no path: as in Apache they answer before anything is looked up. */
static void redirects_in_sections_come_after_access(void **state)
{
	struct served *v = served_site(
		"Redirect 410 /first\n<Location /first>\nRequire all denied\nRedirect 303 https://first.test/\n</Location>\n"
		"<Location /in>\nRedirect 301 /in https://other.test/\n</Location>\n"
		"<Location /bare>\nRedirect https://bare.test/x\n</Location>\n"
		"<Location /closed>\nRequire all denied\nRedirect 301 /closed https://other.test/\n</Location>\n"
		"<Location /gone>\nRedirect gone\n</Location>\n");

	(void)state;
	assert_int_equal(served_get(v, "/in/a"), 301);
	assert_field(v, "Location", "https://other.test//a");
	assert_int_equal(served_get(v, "/bare/anything"), 302);
	assert_field(v, "Location", "https://bare.test/x");
	assert_int_equal(served_get(v, "/closed"), 403);
	assert_int_equal(served_get(v, "/gone"), 410);
	assert_int_equal(served_get(v, "/first/x"), 303);
	assert_field(v, "Location", "https://first.test/");
	served_free(v);
}

/* Where a path leads, without the walk. */
static const char *leads(struct served *v, const char *target)
{
	struct request *r = served_request(v, "GET", target, "");
	const char *at;

	r->host = v->site->main;
	r->section = r->host->section;
	r->path = r->target.p ? arena_strndup(r->arena, r->target.p, r->target.n) : NULL;
	assert_int_equal(map_run(r), 0);
	at = r->filename;
	return at && strncmp(at, v->dir, strlen(v->dir)) == 0 ? at + strlen(v->dir) : at;
}

static void aliases_lead(void **state)
{
	struct served *v = served_site(
		"Alias /pics \"@DIR@/images\"\n"
		"Alias /pics/deep \"@DIR@/other\"\n"
		"AliasMatch \"^/v(\\d+)/(.*)$\" \"@DIR@/images/$2\"\n"
		"Alias /relative some/folder\n"
		"Alias /icons/ /usr/share/icons/\n"
		"AliasMatch ^/dots(.*)$ \"@DIR@/x/.$1\"\n"
		"Alias /up \"@DIR@/a/../b/./c\"\n");
	static const struct { const char *path, *file; } rows[] = {
		{ "/pics/a.txt", "/images/a.txt" }, { "/pics", "/images" }, { "/picsy.txt", "/htdocs/picsy.txt" },
		{ "/pics/deep/b", "/images/deep/b" }, { "/v12/a.txt", "/images/a.txt" }, { "/relative/x", "/some/folder/x" },
		{ "/icons/a.png", "/usr/share/icons/a.png" }, { "/icons", "/htdocs/icons" }, { "/", "/htdocs/" },
		{ "/up/x", "/b/c/x" }, { "/.well-known/x", "/htdocs/.well-known/x" }, { "/a/..b/.../c", "/htdocs/a/..b/.../c" },
	};
	struct request *r;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(leads(v, rows[i].path), rows[i].file);
	/* pieces that come together as ".." lead nowhere */
	r = served_request(v, "GET", "/dots./etc/passwd", "");
	r->host = v->site->main;
	r->section = r->host->section;
	r->path = "/dots./etc/passwd";
	assert_int_equal(map_run(r), 403);
	served_free(v);
}

/* Where slashes are not merged a prefix matches all the same: what it leads away must not be found below DocumentRoot. */
static void prefixes_match_any_number_of_slashes(void **state)
{
	struct served *v = served_site("MergeSlashes Off\nScriptAlias /cgi-bin/ \"@DIR@/htdocs/cgi-bin/\"\nRedirect 410 /a/b\nRedirect /c http://c.test\n"
				       "Redirect 302 /d// http://d.test/\n");
	static const struct { const char *target; unsigned status; const char *where; } rows[] = {
		{ "/cgi-bin/x.sh", 403, NULL }, { "//cgi-bin/x.sh", 403, NULL }, { "/cgi-bin///x.sh", 403, NULL }, { "//a///b", 410, NULL },
		{ "//a/b//c", 410, NULL }, { "//a/bc", 404, NULL }, { "/a", 404, NULL }, { "///c//x", 302, "http://c.test//x" }, { "/d/x", 302, "http://d.test/x" },
	};

	(void)state;
	served_folder(v, "htdocs/cgi-bin");
	served_file_make(v, "htdocs/cgi-bin/x.sh", "source");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = served_get(v, rows[i].target);

		if (status != rows[i].status)
			fail_msg("%s: %u", rows[i].target, status);
		if (rows[i].where)
			assert_field(v, "Location", rows[i].where);
	}
	served_free(v);
}

static void programs_are_denied_where_nothing_runs_them(void **state)
{
	struct served *v = served_site("ScriptAlias /cgi-bin/ \"@DIR@/cgi-bin/\"\nErrorDocument 403 \"closed here\"\n");

	(void)state;
	served_folder(v, "cgi-bin");
	served_file_make(v, "cgi-bin/secret.pl", "source");
	assert_int_equal(served_get(v, "/cgi-bin/secret.pl"), 403);
	assert_string_equal(v->body, "closed here");
	served_free(v);
}

static void hosts_come_before_the_main_server(void **state)
{
	struct served *v = served_site(
		"Redirect /a http://main.test/a\nAlias /x /main\n"
		"<VirtualHost *:80>\nServerName one.test\nRedirect /a http://one.test/a\nAlias /x /one\n</VirtualHost>\n");

	(void)state;
	assert_int_equal(served_ask(v, "GET", "/a", "Host: one.test\r\n"), 302);
	assert_field(v, "Location", "http://one.test/a");
	served_free(v);
}

static void bad_lines_are_refused(void **state)
{
	static const struct { const char *line, *word; } rows[] = {
		{ "Redirect 999 /x /y", "999" }, { "Redirect 200 /x /y", "200" }, { "Redirect /x", "path and a URL" },
		{ "Redirect permanent /x", "URL" }, { "Redirect gone /x /y", "410" }, { "Redirect /x nowhere", "nowhere" },
		{ "Redirect sometimes /x /y", "sometimes" }, { "RedirectMatch ^/( /y", "regular" }, { "Alias /x", "folder" },
		{ "AliasMatch ( /x", "regular" }, { "<Location /x>\nAlias /a /folder\n</Location>", "section" },
		{ "<Directory /x>\nAlias /folder\n</Directory>", "<Location>" }, { "<Location /x>\nAlias /%{NOBODY}\n</Location>", "column 4" },
		{ "<Location /x>\nRedirect https://%{HTTP_HOST\n</Location>", "column 9" },
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

/* Targets that are expressions, where the section's path stands for the rule's. */
static void expressions_lead(void **state)
{
	static const struct { const char *target; unsigned status; const char *where; } rows[] = {
		{ "/go/a%20b?x=1", 302, "https://www.test/go/a%20b?x=1" }, { "/to?q=1", 301, "http://other.test/?from=/to" }, { "/bad", 500, NULL },
		{ "/file", 200, NULL }, { "/file/any/thing", 200, NULL }, { "/kept/a.txt", 200, NULL }, { "/kept", 301, "http://www.test/kept/" }, { "/match/b/x", 200, NULL },
		{ "/named/x", 404, NULL }, { "/none", 500, NULL }, { "/up?..", 403, NULL },
	};
	struct served *v = served_site(
		"<Location /go>\nRedirect \"https://%{HTTP_HOST}%{REQUEST_URI}\"\n</Location>\n"
		"<Location /to>\nRedirect permanent \"http://other.test/?from=%{REQUEST_URI}\"\n</Location>\n"
		"<Location /bad>\nRedirect \"%{REQUEST_METHOD}\"\n</Location>\n"
		"<Location /file>\nAlias \"%{DOCUMENT_ROOT}/one.txt\"\n</Location>\n"
		"<Location /kept>\nAliasPreservePath On\nAlias \"@DIR@/%{tolower:KEEP}\"\n</Location>\n"
		"<LocationMatch ^/match/>\nAlias \"@DIR@/htdocs/%{:sub(s#^/match/(.).*#$1#, %{REQUEST_URI}):}.txt\"\n</LocationMatch>\n"
		"<Location /named>\nAlias \"@DIR@/%{env:NOBODY}.txt\"\n</Location>\n<Location /none>\nAlias \"%{env:NOBODY}\"\n</Location>\n"
		"<Location /up>\nAlias \"@DIR@/%{QUERY_STRING}/x\"\n</Location>\n"
		"<Directory @DIR@>\nRequire all granted\n</Directory>\n");

	(void)state;
	served_folder(v, "keep");
	served_file_make(v, "htdocs/one.txt", "one");
	served_file_make(v, "htdocs/b.txt", "b");
	served_file_make(v, "keep/a.txt", "a");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = served_ask(v, "GET", rows[i].target, "Host: www.test\r\n");

		if (status != rows[i].status)
			fail_msg("%s: %u", rows[i].target, status);
		if (rows[i].where)
			assert_field(v, "Location", rows[i].where);
	}
	served_free(v);
}

static void doubtful_aliases_are_told(void **state)
{
	struct served *v = served_site("Alias /img/ /data\nAlias /img/ /other/\n");

	(void)state;
	assert_non_null(strstr(v->said, "W 3: "));
	assert_non_null(strstr(v->said, "ends in a slash"));
	assert_non_null(strstr(v->said, "W 4: "));
	assert_non_null(strstr(v->said, "test.conf:3"));
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redirects_answer_by_prefix_and_pattern), cmocka_unit_test(redirects_in_sections_come_after_access),
		cmocka_unit_test(aliases_lead), cmocka_unit_test(prefixes_match_any_number_of_slashes),
		cmocka_unit_test(programs_are_denied_where_nothing_runs_them), cmocka_unit_test(hosts_come_before_the_main_server),
		cmocka_unit_test(bad_lines_are_refused), cmocka_unit_test(doubtful_aliases_are_told), cmocka_unit_test(expressions_lead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * autoindex_test.c - listings: sizes, escaping, order, what is left out, widths, back-pressure, many entries, faults.
 */
#define SERVED_HANDLERS
#define SERVED_MORE_MODULES &autoindex_module,
#include "handler/autoindex.h"
#include "tests/unit/request/served.h"

#include "handler/file.h"

static struct served *listing(const char *options, const char *const *names)
{
	char lines[1024];
	struct served *v;

	snprintf(lines, sizeof lines, "Options Indexes\n%s", options);
	v = served_site(lines);
	for (; *names; names++) {
		char at[300];

		snprintf(at, sizeof at, "htdocs/%s", *names);
		if (at[strlen(at) - 1] == '/') {
			at[strlen(at) - 1] = '\0';
			served_folder(v, at);
		} else {
			served_file_make(v, at, "x");
		}
	}
	return v;
}

/* The names linked to, in order. */
static const char *links(struct served *v)
{
	static char all[4096];
	const char *p = v->body;

	v->body[v->n] = '\0';
	all[0] = '\0';
	while ((p = strstr(p, "<a href=\""))) {
		size_t n = strcspn(p += 9, "\"");
		if (*p != '?')
			snprintf(all + strlen(all), sizeof all - strlen(all), "%s%.*s", all[0] ? " " : "", (int)n, p);
	}
	return all;
}

static void sizes(void **state)
{
	static const struct { int64_t size; const char *text; } rows[] = {
		{ -1, "  - " }, { 0, "  0 " }, { 5, "  5 " }, { 972, "972 " }, { 973, "1.0K" }, { 1024, "1.0K" }, { 1536, "1.5K" }, { 10100, "9.9K" },
		{ 10240, " 10K" }, { 995328, "972K" }, { 996352, "1.0M" }, { 1048576, "1.0M" }, { 3 << 20, "3.0M" }, { INT64_MAX, "8.0E" },
	};
	char buf[8];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *got = index_size(rows[i].size, buf);
		if (strcmp(got, rows[i].text) != 0)
			fail_msg("%lld is \"%s\"", (long long)rows[i].size, got);
	}
}

static void order(void **state)
{
	static const char *const names[] = { "b", "A", "c-10", "c-9", "sub/", NULL };
	static const struct { const char *options, *query, *links; } rows[] = {
		{ "", "", "A b c-10 c-9 sub/" }, { "IndexOptions IgnoreCase\n", "", "A b c-10 c-9 sub/" }, { "IndexOptions VersionSort\n", "", "A b c-9 c-10 sub/" },
		{ "IndexOptions VersionSort IgnoreCase FoldersFirst\n", "", "sub/ A b c-9 c-10" }, { "", "?C=N;O=D", "sub/ c-9 c-10 b A" },
		{ "", "?C=N&O=D&V=1", "sub/ c-10 c-9 b A" }, { "IndexOptions IgnoreClient\n", "?C=N;O=D", "A b c-10 c-9 sub/" }, { "", "?P=c*", "c-10 c-9" },
		{ "", "?P=%63*", "c-10 c-9" }, { "", "?P=%zz*", "A b c-10 c-9 sub/" }, { "", "?O=D;C=X;V=1", "sub/ c-9 c-10 b A" },
		{ "IndexOrderDefault Descending Name\n", "", "sub/ c-9 c-10 b A" }, { "IndexIgnore c-* b\n", "", "A sub/" },
		{ "<Files A>\nRequire all denied\n</Files>\n", "", "b c-10 c-9 sub/" },
		{ "<Files A>\nRequire all denied\n</Files>\nIndexOptions ShowForbidden\n", "", "A b c-10 c-9 sub/" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = listing(rows[i].options, names);
		char target[64];

		snprintf(target, sizeof target, "/%s", rows[i].query);
		assert_int_equal(served_get(v, target), 200);
		if (strcmp(links(v), rows[i].links) != 0)
			fail_msg("row %zu: %s, not %s", i, links(v), rows[i].links);
		served_free(v);
	}
}

/* A name can be neither markup, a scheme, a query nor a fragment; cut names are cut between characters. */
static void names_are_only_names(void **state)
{
	static const char *const names[] = { "<b>&\"'.txt", "java:script?#%", "\303\274\303\274\303\274\303\274\303\274\303\274\303\274", NULL };
	struct served *v = listing("IndexOptions FancyIndexing NameWidth=6\n", names);

	(void)state;
	assert_int_equal(served_get(v, "/"), 200);
	assert_string_equal(links(v), "%3Cb%3E%26%22%27.txt java%3Ascript%3F%23%25 %C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC");
	assert_null(strstr(v->body, "<b>"));
	assert_non_null(strstr(v->body, ">&lt;b&gt;..&gt;</a>"));
	assert_non_null(strstr(v->body, ">\303\274\303\274\303\274..&gt;</a>"));
	served_free(v);
}

static void slow_clients_get_all_of_it(void **state)
{
	struct served *v = listing("IndexOptions FancyIndexing\n", (const char *const[]){ NULL });
	unsigned turns = 0;
	size_t whole;

	(void)state;
	for (unsigned i = 0; i < 150; i++) {
		char at[64];

		snprintf(at, sizeof at, "htdocs/%s-%03u", "a-rather-long-name-for-a-file", i);
		served_file_make(v, at, "");
	}
	assert_int_equal(served_get(v, "/"), 200);
	whole = v->n;
	v->room = 1000;
	phases_run(served_request(v, "GET", "/", ""));
	for (; !v->ends; turns++)
		autoindex_handler.writable(v->stream.request);
	assert_int_equal(v->n, whole);
	assert_true(turns > 10);
	served_free(v);
}

static void columns_and_parts(void **state)
{
	static const char *const names[] = { "page.html", "dir/", NULL };
	struct served *v = listing("AddType text/html .html\nIndexOptions FancyIndexing HTMLTable ScanHTMLTitles TrackModified SuppressSize\nHeaderName /above.html\nIndexIgnore *.html~\n"
				   "IndexHeadInsert \"<meta name=robots>\"\nAddIcon (DIR,/d.gif) ^^DIRECTORY^^\nAddIcon /up.gif ..\nServerSignature On\n", names);

	(void)state;
	served_file_make(v, "htdocs/page.html", "<html><title>\n A  page </title>");
	served_file_make(v, "htdocs/above.html", "<p>hello</p>");
	assert_int_equal(served_get(v, "/"), 200);
	v->body[v->n] = '\0';
	assert_non_null(strstr(v->body, "<meta name=robots>"));
	assert_non_null(strstr(v->body, "<body>\n<p>hello</p>"));
	assert_non_null(strstr(v->body, "<td>A page</td>"));
	assert_non_null(strstr(v->body, "<img src=\"/d.gif\" alt=\"[DIR]\">"));
	assert_non_null(strstr(v->body, "<address>"));
	assert_null(strstr(v->body, "C=S"));
	assert_null(strstr(v->body, "Parent Directory"));
	assert_field(v, "Content-Type", "text/html;charset=UTF-8");
	assert_non_null(served_field(v, "ETag"));
	assert_int_equal(served_get(v, "/dir/"), 200);
	v->body[v->n] = '\0';
	assert_non_null(strstr(v->body, "<img src=\"/up.gif\""));
	assert_non_null(strstr(v->body, "<a href=\"/\">Parent Directory</a>"));
	assert_int_equal(served_ask(v, "POST", "/dir/", ""), 404);        /* there is no file to post to, as in Apache */
	assert_int_equal(served_ask(v, "PUT", "/dir/", ""), 405);
	assert_int_equal(served_ask(v, "OPTIONS", "/dir/", ""), 200);
	served_free(v);
}

static void faults_are_named(void **state)
{
	static const struct { const char *line, *said; } rows[] = {
		{ "IndexOptions Frob", "\"Frob\" is none of its words" }, { "IndexOptions +None", "None takes no sign" },
		{ "IndexOptions None FancyIndexing", "None and other words exclude each other" }, { "IndexOptions NameWidth=x", "\"NameWidth=x\" is no width" },
		{ "IndexOptions NameWidth=4", "is no width" }, { "IndexOptions -DescriptionWidth=40", "is no width" }, { "IndexOptions IconWidth=a", "is no size" },
		{ "IndexOrderDefault Up Name", "\"Up\" is no direction" }, { "IndexOrderDefault Ascending Colour", "\"Colour\" is no column" },
		{ "AddIcon (X,/a.gif .a", "has no closing parenthesis" }, { "AddIcon /a.gif ^^WHAT^^", "stands for nothing" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_new();
		char line[128];

		snprintf(line, sizeof line, "%s\n", rows[i].line);
		assert_int_equal(served_configure(v, line), 1);
		if (!strstr(v->said, rows[i].said))
			fail_msg("%s: %s", rows[i].line, v->said);
		served_free(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes), cmocka_unit_test(order), cmocka_unit_test(names_are_only_names), cmocka_unit_test(slow_clients_get_all_of_it),
		cmocka_unit_test(columns_and_parts), cmocka_unit_test(faults_are_named),
	};

	handler_register(&file_handler);
	handler_register(&autoindex_handler);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

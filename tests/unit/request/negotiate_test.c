/*
 * negotiate_test.c - the choice among variants, step by step of the documented order; MultiViews over real folders.
 */
#include "served.h"

static struct variant PAGES[] = {
	{ .name = "p.en.html", .type = "text/html", .language = "en", .quality = 1, .size = 10 },
	{ .name = "p.de.html", .type = "text/html", .language = "de", .quality = 1, .size = 20 },
	{ .name = "p.ga.html", .type = "text/html", .language = "en-GB", .quality = 1, .size = 5 },
	{ .name = "p.txt", .type = "text/plain", .quality = 0.5, .size = 4 },
};
static struct variant CODED[] = {
	{ .name = "c.txt", .type = "text/plain", .quality = 1, .size = 100 },
	{ .name = "c.txt.gz", .type = "text/plain", .encoding = "x-gzip", .quality = 1, .size = 10 },
	{ .name = "c.txt.br", .type = "text/plain", .encoding = "br", .quality = 1, .size = 9 },
};
static struct variant SMALL[] = {
	{ .name = "s.txt", .type = "text/plain", .quality = 1, .size = 1 },
	{ .name = "s.txt.gz", .type = "text/plain", .encoding = "gzip", .quality = 1, .size = 21 },
};
static struct variant CHARSETS[] = {
	{ .name = "l", .type = "text/plain", .charset = "iso-8859-1", .quality = 1, .size = 1 },
	{ .name = "u", .type = "text/plain", .charset = "utf-8", .quality = 1, .size = 2 },
};
static struct variant LEVELS[] = {
	{ .name = "1", .type = "text/html", .quality = 1, .level = 1, .size = 1 }, { .name = "2", .type = "text/html", .quality = 1, .level = 2, .size = 9 },
};

static void the_order_of_decisions(void **state)
{
	static const char priority[] = "LanguagePriority de en\n", fallback[] = "LanguagePriority de en\nForceLanguagePriority Prefer Fallback\n";
	static const char never[] = "LanguagePriority de\nForceLanguagePriority None\n";
	static const struct { const char *lines; struct variant *at; unsigned n; const char *fields, *name, *vary; } rows[] = {
		{ "", PAGES, 4, "", "p.ga.html", "negotiate,accept,accept-language" },
		{ "", PAGES, 4, "Accept-Language: de, en;q=0.5\r\n", "p.de.html", NULL },
		{ "", PAGES, 4, "Accept-Language: en\r\n", "p.ga.html", NULL }, { "", PAGES, 4, "Accept-Language: en-US\r\n", "p.en.html", NULL },
		{ "", PAGES, 4, "Accept-Language: en-US, de;q=0.1\r\n", "p.de.html", NULL }, { "", PAGES, 4, "Accept-Language: fr, *;q=0.2\r\n", "p.ga.html", NULL },
		{ "", PAGES, 4, "Accept: text/plain, text/html;q=0.1\r\n", "p.txt", NULL }, { "", PAGES, 4, "Accept: text/plain;q=0.9, text/html;q=0.5, */*;q=0.1\r\n", "p.ga.html", NULL },
		{ "", PAGES, 4, "Accept: text/*\r\nAccept-Language: de\r\n", "p.de.html", NULL }, { "", PAGES, 4, "Accept: image/png\r\n", NULL, NULL },
		{ "", PAGES, 3, "Accept-Language: fr\r\n", NULL, NULL }, { "", PAGES, 4, "Accept-Language: fr\r\n", "p.txt", NULL },
		{ priority, PAGES, 4, "", "p.de.html", NULL }, { priority, PAGES, 4, "Accept-Language: en, de\r\n", "p.de.html", NULL },
		{ never, PAGES, 4, "Accept-Language: en, de\r\n", "p.ga.html", NULL }, { fallback, PAGES, 3, "Accept-Language: fr\r\n", "p.de.html", NULL },
		{ fallback, PAGES, 4, "Accept-Language: fr\r\n", "p.de.html", NULL }, { fallback, PAGES, 4, "Accept-Language: fr\r\nAccept: image/png\r\n", NULL, NULL },
		{ "", CODED, 3, "", "c.txt", "negotiate,accept-encoding" }, { "", CODED, 3, "Accept-Encoding: gzip\r\n", "c.txt.gz", NULL },
		{ "", CODED, 3, "Accept-Encoding: gzip;q=0.5, br\r\n", "c.txt.br", NULL }, { "", CODED, 3, "Accept-Encoding: *;q=0\r\n", NULL, NULL },
		{ "", CODED, 3, "Accept-Encoding: identity;q=0, gzip;q=0.1\r\n", "c.txt.gz", NULL },
		{ "", SMALL, 2, "Accept-Encoding: gzip\r\n", "s.txt.gz", NULL }, { "", SMALL, 2, "", "s.txt", NULL },
		{ "", SMALL, 2, "Accept-Encoding: br\r\n", "s.txt", NULL }, { "", SMALL, 2, "Accept-Encoding: gzip;q=0.5, identity\r\n", "s.txt", NULL },
		{ "", CHARSETS, 2, "", "u", "negotiate,accept-charset" }, { "", CHARSETS, 2, "Accept-Charset: utf-8;q=0.2\r\n", "l", NULL },
		{ "", CHARSETS, 2, "Accept-Charset: iso-8859-1;q=0.1, *;q=0.5\r\n", "u", NULL }, { "", LEVELS, 2, "", "2", NULL },
		{ "", LEVELS, 2, "Accept: text/html;level=1\r\n", "1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_site(rows[i].lines);
		struct request *r = served_request(v, "GET", "/p", rows[i].fields);
		struct variants l = { rows[i].at, rows[i].n };
		const struct variant *best;
		struct text vary;

		phases_use_host(r, v->site->main);
		best = negotiate_choose(r, &l);
		if ((best == NULL) != (rows[i].name == NULL) || (best && strcmp(best->name, rows[i].name) != 0))
			fail_msg("row %zu: %s", i, best ? best->name : "none");
		vary = fields_get(&r->always, "Vary");
		if (rows[i].vary && !text_is(vary, rows[i].vary))
			fail_msg("row %zu: Vary is %.*s", i, (int)vary.n, vary.p);
		assert_true(text_is(fields_get(&r->always, "TCN"), best ? "choice" : "list"));
		served_free(v);
	}
}

static void names_of_a_folder(void **state)
{
	static const struct { const char *lines, *target; unsigned status; const char *path; } rows[] = {
		{ "", "/p", 200, "/htdocs/p.html" }, { "", "/p.html", 200, "/htdocs/p.html" }, { "", "/q", 404, NULL }, { "", "/shut", 404, NULL },
		{ "", "/odd", 404, NULL }, { "MultiviewsMatch Any\n", "/odd", 200, "/htdocs/odd.xyzzy" }, { "", "/dir", 301, NULL },
		{ "", "/z", 404, NULL }, { "", "/p?x=1", 200, "/htdocs/p.html" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char lines[512];
		struct served *v;
		unsigned status;

		snprintf(lines, sizeof lines, "Options MultiViews\nAddType text/html .html\nAddType text/plain .txt\n%s<Files shut.txt>\nRequire all denied\n</Files>\n", rows[i].lines);
		v = served_site(lines);
		served_folder(v, "htdocs/dir");
		served_folder(v, "htdocs/z.html");
		for (const char *const *f = (const char *const[]){ "p.html", "shut.txt", "odd.xyzzy", "dir.html", "pp.html", NULL }; *f; f++) {
			char at[64];
			snprintf(at, sizeof at, "htdocs/%s", *f);
			served_file_make(v, at, "x");
		}
		status = served_get(v, rows[i].target);
		if (status != rows[i].status)
			fail_msg("row %zu: %s is answered with %u", i, rows[i].target, status);
		if (rows[i].path)
			assert_string_equal(v->last->filename + strlen(v->dir), rows[i].path);
		served_free(v);
	}
}

static void what_is_not_acceptable_is_listed(void **state)
{
	struct served *v = served_site("Options MultiViews\nAddType text/html .html\nAddLanguage en .en\nAddLanguage de .de\n");

	(void)state;
	served_file_make(v, "htdocs/a&b.html.en", "x");
	served_file_make(v, "htdocs/a&b.html.de", "x");
	assert_int_equal(served_ask(v, "GET", "/a&b", "Accept-Language: fr\r\n"), 406);
	v->body[v->n] = '\0';
	assert_non_null(strstr(v->body, "<a href=\"a&amp;b.html.de\">a&amp;b.html.de</a>"));
	assert_field(v, "TCN", "list");
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_order_of_decisions), cmocka_unit_test(names_of_a_folder), cmocka_unit_test(what_is_not_acceptable_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * typemap_test.c - type maps: what lines mean, bodies in the map, and what is wrong with a map by its line.
 */
#define SERVED_HANDLERS
#include "tests/unit/request/served.h"

#include "handler/file.h"
#include "handler/typemap.h"

static int parsed(struct arena *a, const char *text, struct variants *v, struct err *e)
{
	size_t n = strlen(text);
	char *copy = arena_alloc(a, n + 1);

	memcpy(copy, text, n + 1);
	return typemap_parse(a, copy, n, v, e);
}

static void lines(void **state)
{
	static const char text[] = "# comment\nURI: a.html\nContent-type: text/html; charset=\"utf-8\"; qs=0.25; level=2\r\ncontent-language: en, de\n"
		"Content-Encoding: gzip\nContent-Length: 77\nDescription: a b\n\n\nURI: nothing\n\nContent-Type: text/plain\nBody:--x--\nhello\n\nthere\n--x--\n\n"
		"URI:b.png\nContent-Type:image/png;q=7";
	struct arena *a = arena_new(0);
	struct variants v;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(parsed(a, text, &v, &e), 0);
	assert_int_equal(v.n, 3);
	assert_string_equal(v.at[0].name, "a.html");
	assert_string_equal(v.at[0].type, "text/html");
	assert_string_equal(v.at[0].charset, "utf-8");
	assert_string_equal(v.at[0].language, "en, de");
	assert_string_equal(v.at[0].encoding, "gzip");
	assert_string_equal(v.at[0].description, "a b");
	assert_true(v.at[0].quality > 0.24 && v.at[0].quality < 0.26 && v.at[0].level == 2 && v.at[0].size == 77);
	assert_null(v.at[1].name);
	assert_memory_equal(text + v.at[1].body_at, "hello\n\nthere\n", 13);
	assert_int_equal(v.at[1].body_n, 13);
	assert_string_equal(v.at[2].name, "b.png");
	assert_true(v.at[2].quality > 0.99);
	arena_free(a);
}

static void faults(void **state)
{
	static const struct { const char *text, *said; } rows[] = {
		{ "URI: a\nrubbish\n", "line 2: \"rubbish\" has no colon" }, { "URI: a\nContent-Length: x\n", "line 2: \"x\" is no length" },
		{ "Content-Type: a/b\nBody:--x--\nno end\n", "line 2: its body has no end" }, { "Content-Type: a/b\nBody:\nx\n", "line 2: its body has no end" },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct variants v;
		struct err e = { 0 };
		assert_int_equal(parsed(a, rows[i].text, &v, &e), -1);
		assert_string_equal(e.text, rows[i].said);
	}
	arena_free(a);
}

static void requests(void **state)
{
	struct served *v = served_site("AddHandler type-map .var\nAddType text/html .html\n<Location /shut.html>\nRequire all denied\n</Location>\n");

	(void)state;
	served_file_make(v, "htdocs/a.var", "URI: a.html\nContent-Type: text/html\n");
	served_file_make(v, "htdocs/a.html", "from a");
	served_file_make(v, "htdocs/b.var", "Content-Type: text/plain\nBody:--\ninside--\n");
	served_file_make(v, "htdocs/c.var", "URI: ../../etc/passwd\nContent-Type: text/plain\n");
	served_file_make(v, "htdocs/d.var", "URI: shut.html\nContent-Type: text/html\n");
	served_file_make(v, "htdocs/e.var", "nonsense\n");
	served_file_make(v, "htdocs/f.var", "");
	assert_int_equal(served_get(v, "/a.var"), 200);
	assert_memory_equal(v->body, "from a", 6);
	assert_field(v, "Content-Location", "a.html");
	assert_int_equal(served_get(v, "/b.var"), 200);
	assert_memory_equal(v->body, "inside", 6);
	assert_int_equal(v->n, 6);
	assert_int_equal(served_get(v, "/c.var"), 500);
	assert_int_equal(served_get(v, "/d.var"), 403);
	served_log(v);
	assert_int_equal(served_get(v, "/e.var"), 500);
	assert_non_null(strstr(served_log(v), "e.var cannot be used: line 1: \"nonsense\" has no colon"));
	assert_int_equal(served_get(v, "/f.var"), 500);
	assert_int_equal(served_ask(v, "GET", "/a.var", "Accept: image/png\r\n"), 406);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(lines), cmocka_unit_test(faults), cmocka_unit_test(requests) };

	handler_register(&file_handler);
	handler_register(&typemap_handler);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

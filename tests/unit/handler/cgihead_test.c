/* cgihead_test.c - heads of programs: what is taken, what is refused, however the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "handler/cgihead.h"

static struct arena *a;

static int begin(void **state)
{
	(void)state;
	a = arena_new(0);
	return a ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static void ends_are_found_however_they_come(void **state)
{
	static const struct { const char *text; size_t end; } rows[] = {
		{ "", 0 }, { "\n", 1 }, { "\r\n", 2 }, { "\r", 0 }, { "A: b\n", 0 }, { "A: b\n\nx", 6 }, { "A: b\r\n\r\nx", 8 }, { "A: b\n\r\nx", 7 },
		{ "A: b\r\n\nx", 7 }, { "A: b\n\r", 0 }, { "A\n\n\n", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t n = strlen(rows[i].text), found = 0;

		if (cgihead_end(rows[i].text, n, 0) != rows[i].end)
			fail_msg("row %zu whole", i);
		for (size_t k = 1; k <= n && !found; k++)
			found = cgihead_end(rows[i].text, k, k - 1);
		if (found != rows[i].end)
			fail_msg("row %zu byte by byte: %zu", i, found);
	}
}

static enum cgihead_result parse(const char *text, bool line, struct cgihead *h)
{
	return cgihead_parse(a, text, strlen(text), line, h);
}

static void fields_are_sorted_out(void **state)
{
	struct cgihead h;

	(void)state;
	assert_int_equal(parse("Status: 404 Not here\r\nContent-Type:  text/plain \nX-A: 1\nX-A : 2\nLocation: /x\nContent-Length: 5\nETag: \"e\"\n"
			       "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Encoding: gzip\nConnection: close\nDate: never\nServer: mine\n"
			       "Transfer-Encoding: chunked\nSet-Cookie: a=b\n\n", false, &h), CGIHEAD_DONE);
	assert_int_equal(h.status, 404);
	assert_string_equal(h.reason, "Not here");
	assert_string_equal(h.type, "text/plain");
	assert_string_equal(h.location, "/x");
	assert_string_equal(h.encoding, "gzip");
	assert_string_equal(h.etag, "\"e\"");
	assert_int_equal(h.length, 5);
	assert_int_equal(h.modified, 784111777);
	assert_true(h.close);
	assert_int_equal(h.fields.n, 3);
	assert_int_equal(fields_count(&h.fields, "x-a"), 2);
	assert_int_equal(parse("\n", false, &h), CGIHEAD_DONE);
	assert_int_equal(h.status, 0);
	assert_int_equal(parse("Last-Modified: soon\n\n", false, &h), CGIHEAD_DONE);
	assert_int_equal(h.modified, -1);
}

static void status_lines_only_where_they_may_be(void **state)
{
	struct cgihead h;

	(void)state;
	assert_int_equal(parse("HTTP/1.1 299 My Own\r\nX-A: 1\r\n\r\n", true, &h), CGIHEAD_DONE);
	assert_int_equal(h.status, 299);
	assert_string_equal(h.reason, "My Own");
	assert_int_equal(parse("HTTP/1.1 299 My Own\r\n\r\n", false, &h), CGIHEAD_BAD);
	assert_int_equal(parse("HTTP/1.1 299 My\rOwn\r\n\r\n", true, &h), CGIHEAD_BAD);         /* it would end its line for some */
}

static void bad_ones_are_refused(void **state)
{
	static const char *const rows[] = {
		"no colon\n\n", "X A: b\n\n", ": b\n\n", " X: b\n\n", "X: a\rb\n\n", "X: a\001b\n\n", "Status: abc\n\n", "Status: 99\n\n", "Status: 100\n\n", "Status: 2000\n\n",
		"Status:\n\n", "Content-Length: -1\n\n", "Content-Length: 5x\n\n", "Content-Length: 99999999999999999999\n\n", "X: b\n<html>\n\n",
	};
	struct cgihead h;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (parse(rows[i], false, &h) != CGIHEAD_BAD)
			fail_msg("%s", rows[i]);
		assert_non_null(h.why);
		assert_non_null(h.line);
	}
	assert_int_equal(cgihead_parse(a, "X: a\0b\n\n", 8, false, &h), CGIHEAD_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ends_are_found_however_they_come, begin, end), cmocka_unit_test_setup_teardown(fields_are_sorted_out, begin, end),
		cmocka_unit_test_setup_teardown(status_lines_only_where_they_may_be, begin, end), cmocka_unit_test_setup_teardown(bad_ones_are_refused, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * headlenient_test.c - what HttpProtocolOptions Unsafe and Allow0.9 let pass, what they do not, and that the strict form is read the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/head.h"

#define T(text) { text, sizeof(text) - 1 }
static const struct head_limits limits = { 100, 100, 4 };

/* "METHOD target version|name=value|…" of a head that is done, or its status. */
static const char *read_as(struct arena *a, struct text t, unsigned flags, size_t *used)
{
	static char told[1024];
	struct request_head h = { 0 };
	enum head_result r;
	struct buf b;

	fields_init(&h.fields, a);
	r = head_parse_lenient(a, t.p, t.n, &limits, flags, &h, used);
	buf_init(&b, told, sizeof told);
	if (r != HEAD_DONE) {
		buf_printf(&b, "%s", r == HEAD_MORE ? "more" : "");
		if (r == HEAD_BAD)
			buf_printf(&b, "%u", h.status);
		return told;
	}
	buf_printf(&b, "%.*s %.*s %u.%u", (int)h.method.n, h.method.p, (int)h.target.n, h.target.p, h.major, h.minor);
	for (unsigned i = 0; i < h.fields.n; i++)
		buf_printf(&b, "|%.*s=%.*s", (int)h.fields.at[i].name.n, h.fields.at[i].name.p, (int)h.fields.at[i].value.n, h.fields.at[i].value.p);
	return told;
}

static void what_passes_and_what_does_not(void **state)
{
	static const struct { struct text head; unsigned flags; const char *told; } rows[] = {
		{ T("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), HEAD_UNSAFE, "GET / 1.1|Host=x" }, { T("GET / HTTP/1.1\nHost: x\n\n"), HEAD_UNSAFE, "GET / 1.1|Host=x" },
		{ T("GET / HTTP/1.1\nHost: x\n\n"), 0, "400" }, { T("GET / HTTP/1.1\nHost: x\n\n"), HEAD_OLD, "400" },
		{ T("\n\r\nGET \t /a   HTTP/1.0 \r\n\n"), HEAD_UNSAFE, "GET /a 1.0" }, { T("GET / HTTP/1.1\nA : b\nC:\td \n\n"), HEAD_UNSAFE, "GET / 1.1|A=b|C=d" },
		{ T("GET / HTTP/1.1\nA: one\n  two\n\tthree\n\n"), HEAD_UNSAFE, "GET / 1.1|A=one two three" },
		{ T("GET / HTTP/1.1\nA: \x1b[31m\x7f\n\n"), HEAD_UNSAFE, "GET / 1.1|A=\x1b[31m\x7f" }, { T("GET / HTTP/1.1\nA: b\rContent-Length: 5\n\n"), HEAD_UNSAFE, "GET / 1.1|A=b Content-Length: 5" },
		{ T("GET / HTTP/1.1\nA: \0b\n\n"), HEAD_UNSAFE, "400" }, { T("GET / HTTP/1.1\n folded\n\n"), HEAD_UNSAFE, "400" }, { T("GET / HTTP/1.1\nno colon\n\n"), HEAD_UNSAFE, "400" },
		{ T("GET / HTTP/1.1\n: x\n\n"), HEAD_UNSAFE, "400" }, { T("GET / HTTP/1.1\nA b: x\n\n"), HEAD_UNSAFE, "400" }, { T("GET / x HTTP/1.1\n\n"), HEAD_UNSAFE, "400" },
		{ T("GET /\x01 HTTP/1.1\n\n"), HEAD_UNSAFE, "400" }, { T("GET / HTTP/2.0\n\n"), HEAD_UNSAFE, "505" }, { T("GET / HTTX/1.0\n\n"), HEAD_UNSAFE, "400" },
		{ T("GET /\n"), HEAD_UNSAFE, "400" }, { T("GET /\n"), HEAD_OLD, "GET / 0.9" }, { T("GET /a\r\nrest"), HEAD_OLD, "GET /a 0.9" },
		{ T("GET /\n"), HEAD_OLD | HEAD_UNSAFE, "GET / 0.9" }, { T("POST /\r\n"), HEAD_OLD, "400" }, { T("GET /"), HEAD_OLD, "more" },
		{ T("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), HEAD_OLD, "GET / 1.1|Host=x" }, { T("GET / HTTP/1.1\nA: b\n"), HEAD_UNSAFE, "more" },
		{ T("\x16\x03\x01 \n\n"), HEAD_UNSAFE, "400" }, { T("\n\n\n\n\n\n\n\n\n\n\n"), HEAD_UNSAFE, "400" },
		{ T("GET / HTTP/1.1\nA: 1\nB: 2\nC: 3\nD: 4\n\n"), HEAD_UNSAFE, "GET / 1.1|A=1|B=2|C=3|D=4" },
		{ T("GET / HTTP/1.1\nA: 1\nB: 2\nC: 3\nD: 4\nE: 5\n\n"), HEAD_UNSAFE, "431" },
		{ T("GET /0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"), HEAD_UNSAFE, "414" },
		{ T("GET / HTTP/1.1\nA: 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"), HEAD_UNSAFE, "431" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct arena *a = arena_new(0);
		size_t used;
		const char *told = read_as(a, rows[i].head, rows[i].flags, &used);
		if (strcmp(told, rows[i].told) != 0)
			fail_msg("row %zu: \"%s\", not \"%s\"", i, told, rows[i].told);
		arena_free(a);
	}
}

/* With each beginning of a head that is whole later, more is wanted; what follows is not looked at. */
static void in_pieces(void **state)
{
	static const char head[] = "\nGET  / HTTP/1.1\nA : b\n c\nHost: x\r\n\nGET / HTTP/1.1\n";
	struct arena *a = arena_new(0);
	size_t used, whole = strlen(head) - strlen("GET / HTTP/1.1\n");

	(void)state;
	for (size_t n = 0; n < whole; n++)
		assert_string_equal(read_as(a, (struct text){ head, n }, HEAD_UNSAFE, &used), "more");
	assert_string_equal(read_as(a, (struct text){ head, strlen(head) }, HEAD_UNSAFE, &used), "GET / 1.1|A=b c|Host=x");
	assert_int_equal(used, whole);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_passes_and_what_does_not), cmocka_unit_test(in_pieces) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

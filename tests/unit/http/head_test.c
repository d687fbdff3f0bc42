/*
 * head_test.c - covers server/http/head.c. Each head is given at once, then in every prefix, each in a buffer of exactly
 * its size (so that a sanitizer sees any byte read behind the end); whatever way, the verdict must be the same.
 */
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct head_limits defaults = { 8190, 8190, 100 };
static struct arena *arena;

static int begin(void **state)
{
	(void)state;
	arena = arena_new(0);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

/* Parses a copy without a byte to spare; the texts in *h point into the arena. */
static enum head_result parse(const char *p, size_t n, const struct head_limits *limits, struct request_head *h, size_t *used)
{
	char *exact = malloc(n ? n : 1);
	enum head_result r;

	memcpy(exact, p, n);
	fields_init(&h->fields, arena);
	r = head_parse_request(n ? exact : exact + 1, n, limits, h, used);
	free(exact);
	return r;
}

static enum head_result parse_all_ways(const char *name, struct text t, const struct head_limits *limits, struct request_head *h, size_t *used)
{
	enum head_result whole = parse(t.p, t.n, limits, h, used), r = HEAD_MORE;
	size_t n = 0, part_used = 0;
	struct request_head part;

	while (r == HEAD_MORE && n <= t.n) {
		arena_reset(arena);
		r = parse(t.p, n++, limits, &part, &part_used);
	}
	if (r != whole || (r != HEAD_MORE && (part_used != *used || part.status != h->status || part.reason != h->reason)))
		fail_msg("%s: another verdict when it comes byte by byte (%d/%u at %zu)", name, r, r == HEAD_BAD ? part.status : 0, n - 1);
	fields_init(&h->fields, arena);
	return head_parse_request(t.p, t.n, limits, h, used);
}

static void accepts(void **state)
{
	static const struct { const char *name; struct text head; size_t left; const char *method, *target; unsigned minor, fields; const char *last, *value; } rows[] = {
		{ "the least", TEXT("GET / HTTP/1.0\r\n\r\n"), 0, "GET", "/", 0, 0, NULL, NULL },
		{ "ordinary", TEXT("GET /a?b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"), 0, "GET", "/a?b", 1, 2, "Accept", "*/*" },
		{ "more behind it", TEXT("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n"), 17, "GET", "/", 1, 1, "Host", "x" },
		{ "two at once", TEXT("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 18, "GET", "/", 1, 0, NULL, NULL },
		{ "empty lines before", TEXT("\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n"), 0, "GET", "/", 1, 1, "A", "b" },
		{ "blanks around a value", TEXT("GET / HTTP/1.1\r\nA: \t b c\t \r\n\r\n"), 0, "GET", "/", 1, 1, "A", "b c" },
		{ "no blank after the colon", TEXT("GET / HTTP/1.1\r\nA:b\r\n\r\n"), 0, "GET", "/", 1, 1, "A", "b" },
		{ "empty value", TEXT("GET / HTTP/1.1\r\nA:\r\n\r\n"), 0, "GET", "/", 1, 1, "A", "" },
		{ "blank value", TEXT("GET / HTTP/1.1\r\nA: \t \r\n\r\n"), 0, "GET", "/", 1, 1, "A", "" },
		{ "colons in a value", TEXT("GET / HTTP/1.1\r\nA:::\r\n\r\n"), 0, "GET", "/", 1, 1, "A", "::" },
		{ "high bytes in a value", TEXT("GET / HTTP/1.1\r\nA: \xe4\x80\xff\r\n\r\n"), 0, "GET", "/", 1, 1, "A", "\xe4\x80\xff" },
		{ "high bytes in the target", TEXT("GET /\xc3\xa4 HTTP/1.1\r\n\r\n"), 0, "GET", "/\xc3\xa4", 1, 0, NULL, NULL },
		{ "an HTAB in a value", TEXT("GET / HTTP/1.1\r\nA: a long value\twith HTAB in it\r\n\r\n"), 0, "GET", "/", 1, 1, "A", "a long value\twith HTAB in it" },
		{ "all of a token", TEXT("GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"), 0, "GET", "/", 1, 1, "!#$%&'*+-.^_`|~09azAZ", "x" },
		{ "unknown method", TEXT("SPRUNG * HTTP/1.1\r\n\r\n"), 0, "SPRUNG", "*", 1, 0, NULL, NULL },
		{ "method of 32 bytes", TEXT("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n\r\n"), 0, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF", "/", 1, 0, NULL, NULL },
		{ "HTTP/1.9", TEXT("GET / HTTP/1.9\r\n\r\n"), 0, "GET", "/", 9, 0, NULL, NULL },
		{ "absolute form", TEXT("GET http://x/ HTTP/1.1\r\n\r\n"), 0, "GET", "http://x/", 1, 0, NULL, NULL },
		{ "the target is judged elsewhere", TEXT("GET x HTTP/1.1\r\n\r\n"), 0, "GET", "x", 1, 0, NULL, NULL },
		{ "eight empty lines", TEXT("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 0, "GET", "/", 1, 0, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct request_head h;
		size_t used;
		if (parse_all_ways(rows[i].name, rows[i].head, &defaults, &h, &used) != HEAD_DONE)
			fail_msg("%s: not accepted (%s)", rows[i].name, h.reason ? h.reason : "more");
		if (used != rows[i].head.n - rows[i].left)
			fail_msg("%s: %zu bytes used", rows[i].name, used);
		if (!text_is(h.method, rows[i].method) || !text_is(h.target, rows[i].target) || h.major != 1 || h.minor != rows[i].minor)
			fail_msg("%s: request line", rows[i].name);
		if (h.fields.n != rows[i].fields)
			fail_msg("%s: %u fields", rows[i].name, h.fields.n);
		if (rows[i].last && (!text_is(h.fields.at[h.fields.n - 1].name, rows[i].last) || !text_is(h.fields.at[h.fields.n - 1].value, rows[i].value)))
			fail_msg("%s: last field", rows[i].name);
	}
}

#define GET11 "GET / HTTP/1.1\r\n"

static void refuses(void **state)
{
	static const struct { const char *name; struct text head; unsigned status; const char *reason; } rows[] = {
		{ "bare LF after the request line", TEXT("GET / HTTP/1.1\nHost: x\n\n"), 400, "bare LF" },
		{ "bare CR after the request line", TEXT("GET / HTTP/1.1\rHost"), 400, "bare CR" },
		{ "two CR", TEXT("GET / HTTP/1.1\r\r\n\r\n"), 400, "bare CR" },
		{ "HTTP/0.9", TEXT("GET /x\r\n"), 400, "no version" },
		{ "no target", TEXT("GET\r\n\r\n"), 400, "no method" },
		{ "a blank and no target", TEXT("GET \r\n\r\n"), 400, "no version" },
		{ "two blanks after the method", TEXT("GET  / HTTP/1.1\r\n\r\n"), 400, "more than one blank" },
		{ "two blanks before the version", TEXT("GET /  HTTP/1.1\r\n\r\n"), 400, "no HTTP version" },
		{ "HTAB as blank", TEXT("GET\t/ HTTP/1.1\r\n\r\n"), 400, "no method" },
		{ "HTAB in the target", TEXT("GET /\tHTTP/1.1\r\n\r\n"), 400, "control" },
		{ "blank after the version", TEXT("GET / HTTP/1.1 \r\n\r\n"), 400, "follows the version" },
		{ "blank before the method", TEXT(" GET / HTTP/1.1\r\n\r\n"), 400, "no method" },
		{ "LF before the request line", TEXT("\nGET / HTTP/1.1\r\n\r\n"), 400, "no method" },
		{ "CR before the request line", TEXT("\rGET / HTTP/1.1\r\n\r\n"), 400, "CR without LF" },
		{ "nine empty lines", TEXT("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 400, "empty lines" },
		{ "no token as method", TEXT("G(T / HTTP/1.1\r\n\r\n"), 400, "not HTTP" },
		{ "a ClientHello", TEXT("\x16\x03\x01\x02"), 400, "not HTTP" },
		{ "high byte in the method", TEXT("G\xc4T / HTTP/1.1\r\n\r\n"), 400, "not HTTP" },
		{ "control byte in the target", TEXT("GET /a\x01.txt HTTP/1.1\r\n\r\n"), 400, "control" },
		{ "DEL in the target", TEXT("GET /a\x7f.txt HTTP/1.1\r\n\r\n"), 400, "control" },
		{ "NUL in the target", TEXT("GET /a\0.txt HTTP/1.1\r\n\r\n"), 400, "control" },
		{ "another protocol", TEXT("GET / HTTQ/1.1\r\n\r\n"), 400, "no HTTP version" },
		{ "lower case", TEXT("GET / http/1.1\r\n\r\n"), 400, "no HTTP version" },
		{ "no minor version", TEXT("GET / HTTP/1\r\n\r\n"), 400, "no HTTP version" },
		{ "long minor version", TEXT("GET / HTTP/1.10\r\n\r\n"), 400, "follows the version" },
		{ "long major version", TEXT("GET / HTTP/11.1\r\n\r\n"), 400, "no HTTP version" },
		{ "HTTP/2.0", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, "not HTTP/1" },
		{ "HTTP/3.0", TEXT("GET / HTTP/3.0\r\nHost: x\r\n\r\n"), 505, "not HTTP/1" },
		{ "HTTP/0.9 in the new form", TEXT("GET / HTTP/0.9\r\n\r\n"), 505, "not HTTP/1" },
		{ "method of 33 bytes", TEXT("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"), 501, "method" },
		{ "blank before the colon", TEXT(GET11 "X-A : b\r\n\r\n"), 400, "before the colon" },
		{ "HTAB before the colon", TEXT(GET11 "X-A\t: b\r\n\r\n"), 400, "before the colon" },
		{ "no colon", TEXT(GET11 "Nonsense\r\n\r\n"), 400, "without a colon" },
		{ "no colon, more words", TEXT(GET11 "Non sense\r\n\r\n"), 400, "before the colon" },
		{ "empty name", TEXT(GET11 ": b\r\n\r\n"), 400, "without a name" },
		{ "odd character in a name", TEXT(GET11 "A(b): c\r\n\r\n"), 400, "no field name" },
		{ "high byte in a name", TEXT(GET11 "A\xe4: c\r\n\r\n"), 400, "no field name" },
		{ "NUL in a name", TEXT(GET11 "A\0: c\r\n\r\n"), 400, "no field name" },
		{ "folding", TEXT(GET11 "A: b\r\n c\r\n\r\n"), 400, "folding" },
		{ "folding by HTAB", TEXT(GET11 "A: b\r\n\tc\r\n\r\n"), 400, "folding" },
		{ "folding at the first field", TEXT(GET11 " A: b\r\n\r\n"), 400, "folding" },
		{ "folding of nothing", TEXT(GET11 "A: b\r\n \r\n\r\n"), 400, "folding" },
		{ "NUL in a value", TEXT(GET11 "X-A: a\0b\r\n\r\n"), 400, "control" },
		{ "DEL in a value", TEXT(GET11 "X-A: some longer value\x7f\r\n\r\n"), 400, "control" },
		{ "escape in a value", TEXT(GET11 "X-A: \x1b[0m\r\n\r\n"), 400, "control" },
		{ "bare CR in a value", TEXT(GET11 "X-A: a\rb\r\n\r\n"), 400, "CR without LF" },
		{ "bare LF after a field", TEXT(GET11 "X-A: a\nB: c\r\n\r\n"), 400, "bare LF" },
		{ "bare LF as last line", TEXT(GET11 "X-A: a\r\n\n"), 400, "bare LF" },
		{ "CR and a byte as last line", TEXT(GET11 "X-A: a\r\n\rX"), 400, "CR without LF" },
		{ "two CR at the end of a field", TEXT(GET11 "X-A: a\r\r\n\r\n"), 400, "CR without LF" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct request_head h;
		size_t used;
		if (parse_all_ways(rows[i].name, rows[i].head, &defaults, &h, &used) != HEAD_BAD)
			fail_msg("%s: not refused", rows[i].name);
		if (h.status != rows[i].status || !strstr(h.reason, rows[i].reason))
			fail_msg("%s: %u, %s", rows[i].name, h.status, h.reason);
	}
}

static void waits(void **state)
{
	static const struct text heads[] = {
		TEXT(""), TEXT("\r"), TEXT("\r\n"), TEXT("G"), TEXT("GET "), TEXT("GET / HT"), TEXT("GET / HTTP/1.1"), TEXT("GET / HTTP/1.1\r"),
		TEXT(GET11), TEXT(GET11 "A"), TEXT(GET11 "A:"), TEXT(GET11 "A: b"), TEXT(GET11 "A: b\r"), TEXT(GET11 "A: b\r\n"), TEXT(GET11 "A: b\r\n\r"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		struct request_head h;
		size_t used;
		if (parse(heads[i].p, heads[i].n, &defaults, &h, &used) != HEAD_MORE)
			fail_msg("row %zu", i);
	}
}

/* A head whose request line has `line` bytes and that has `fields` field lines of `field` bytes each. */
static struct text build(size_t line, size_t fields, size_t field, bool finished)
{
	size_t cap = line + fields * (field + 2) + 64;
	struct buf b;

	buf_init(&b, arena_alloc(arena, cap), cap);
	buf_puts(&b, "GET /");
	while (b.n < line - strlen(" HTTP/1.1"))
		buf_putc(&b, 'a');
	buf_puts(&b, " HTTP/1.1\r\n");
	for (size_t i = 0; i < fields; i++) {
		size_t start = b.n;
		buf_puts(&b, "A: ");
		while (b.n - start < field)
			buf_putc(&b, 'v');
		buf_puts(&b, "\r\n");
	}
	if (finished)
		buf_puts(&b, "\r\n");
	return (struct text){ b.p, b.n };
}

static void limits(void **state)
{
	static const struct { const char *name; size_t line, fields, field; struct head_limits limits; unsigned status; } rows[] = {
		{ "line at the limit", 50, 1, 10, { 50, 20, 5 }, 0 }, { "line above the limit", 51, 1, 10, { 50, 20, 5 }, 414 },
		{ "field at the limit", 50, 3, 20, { 50, 20, 5 }, 0 }, { "field above the limit", 50, 3, 21, { 50, 20, 5 }, 431 },
		{ "fields at the limit", 50, 5, 20, { 50, 20, 5 }, 0 }, { "fields above the limit", 50, 6, 20, { 50, 20, 5 }, 431 },
		{ "no limit of fields", 50, 300, 10, { 50, 20, 0 }, 0 }, { "a line far above", 500, 0, 0, { 50, 20, 5 }, 414 },
		{ "a field far above", 50, 1, 500, { 50, 20, 5 }, 431 }, { "one field allowed", 50, 2, 4, { 50, 20, 1 }, 431 },
		{ "a limit below the method", 50, 0, 0, { 2, 20, 1 }, 414 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (int finished = 0; finished <= 1; finished++) {
			struct text t = build(rows[i].line, rows[i].fields, rows[i].field, finished);
			char *kept = malloc(t.n);
			struct request_head h;
			size_t used;
			enum head_result r, want = rows[i].status ? HEAD_BAD : finished ? HEAD_DONE : HEAD_MORE;
			memcpy(kept, t.p, t.n);                 /* the arena is reset on the way */
			r = parse_all_ways(rows[i].name, (struct text){ kept, t.n }, &rows[i].limits, &h, &used);
			if (r != want || h.status != rows[i].status)
				fail_msg("%s, %s: %d, %u", rows[i].name, finished ? "whole" : "cut", r, h.status);
			free(kept);
			arena_reset(arena);
		}
}

/* What is wrong before a limit is passed is said first, however the bytes come. */
static void the_first_error_counts(void **state)
{
	static const struct head_limits small = { 40, 20, 2 };
	static const struct { const char *name; struct text head; unsigned status; } rows[] = {
		{ "NUL, then a long line", TEXT(GET11 "A: \0\r\nB: 1234567890123456789012345678901234567890\r\n\r\n"), 400 },
		{ "a long line, then NUL", TEXT(GET11 "B: 1234567890123456789012345678901234567890\r\nA: \0\r\n\r\n"), 431 },
		{ "NUL behind the limit", TEXT(GET11 "B: 1234567890123456789012345678901234567890\0\r\n\r\n"), 431 },
		{ "NUL before the limit of a long line", TEXT(GET11 "B: 123\0" "567890123456789012345678901234567890\r\n\r\n"), 400 },
		{ "too many, the last one bad", TEXT(GET11 "A: 1\r\nB: 2\r\n bad\r\n\r\n"), 431 },
		{ "bad, then too many", TEXT(GET11 "A: 1\r\n: 2\r\nC: 3\r\n\r\n"), 400 },
		{ "a bad method, then a long line", TEXT("G{T /1234567890123456789012345678901234567890 HTTP/1.1\r\n\r\n"), 400 },
		{ "a long line, then a bad version", TEXT("GET /1234567890123456789012345678901234567890 HTTQ/1.1\r\n\r\n"), 414 },
		{ "version 2 and bad fields", TEXT("GET / HTTP/2.0\r\n: x\r\n\r\n"), 505 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct request_head h;
		size_t used;
		if (parse_all_ways(rows[i].name, rows[i].head, &small, &h, &used) != HEAD_BAD || h.status != rows[i].status)
			fail_msg("%s: %u", rows[i].name, h.status);
	}
}

static void keeps_the_line_for_the_log(void **state)
{
	static const struct { const char *name; struct text head; const char *line; } rows[] = {
		{ "good", TEXT("GET /a HTTP/1.1\r\nA: b\r\n\r\n"), "GET /a HTTP/1.1" },
		{ "after empty lines", TEXT("\r\nGET /a HTTP/1.1\r\n\r\n"), "GET /a HTTP/1.1" },
		{ "bad version", TEXT("GET /a HTTQ/1.1\r\nA: b\r\n\r\n"), "GET /a HTTQ/1.1" },
		{ "bare LF", TEXT("GET /a HTTP/1.1\nA: b\n\n"), "GET /a HTTP/1.1" },
		{ "bad field", TEXT("GET /a HTTP/1.1\r\n: b\r\n\r\n"), "GET /a HTTP/1.1" },
		{ "505", TEXT("GET /a HTTP/7.1\r\n\r\n"), "GET /a HTTP/7.1" },
		{ "not whole", TEXT("G(T /a"), "G(T /a" },
		{ "too long", TEXT("GET /12345678901234567890 HTTP/1.1\r\n"), "GET /1234567890123456" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct head_limits l = { 20, 100, 10 };
		struct request_head h;
		size_t used;
		fields_init(&h.fields, arena);
		head_parse_request(rows[i].head.p, rows[i].head.n, &l, &h, &used);
		if (!text_is(h.line, rows[i].line))
			fail_msg("%s: <%.*s>", rows[i].name, (int)h.line.n, h.line.p);
	}
}

/* Every byte at every place of a value and of a target, in all alignments. */
static void every_byte(void **state)
{
	char head[96], *value = head + sizeof GET11 - 1 + 3;
	struct request_head h;
	size_t used;

	(void)state;
	for (int c = 0; c < 256; c++)
		for (int at = 1; at < 33; at++) {
			bool good = (c >= 0x20 && c != 0x7f) || c == '\t';
			int n = snprintf(head, sizeof head, "%sA: %-34.34s.\r\n\r\n", GET11, "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv");
			value[at] = (char)c;
			if ((parse(head, (size_t)n, &defaults, &h, &used) == HEAD_DONE) != good)
				fail_msg("byte %d at %d of a value", c, at);
			if (http_is_value((struct text){ value, 34 }) != good)
				fail_msg("http_is_value: byte %d at %d", c, at);
			n = snprintf(head, sizeof head, "GET /%s HTTP/1.1\r\n\r\n", "tttttttttttttttttttttttttttttttttt");
			head[4 + at] = (char)c;
			if ((parse(head, (size_t)n, &defaults, &h, &used) == HEAD_DONE) != (c > 0x20 && c != 0x7f))
				fail_msg("byte %d at %d of a target", c, at);
		}
}

static void methods_and_phrases(void **state)
{
	(void)state;
	assert_int_equal(http_method_find(TEXT("GET")), HTTP_GET);
	assert_int_equal(http_method_find(TEXT("TRACE")), HTTP_TRACE);
	assert_int_equal(http_method_find(TEXT("UNLOCK")), HTTP_UNLOCK);
	assert_int_equal(http_method_find(TEXT("get")), HTTP_OTHER);
	assert_int_equal(http_method_find(TEXT("GETX")), HTTP_OTHER);
	assert_int_equal(http_method_find((struct text){ NULL, 0 }), HTTP_OTHER);
	assert_string_equal(http_phrase(404), "Not Found");
	assert_string_equal(http_phrase(200), "OK");
	assert_string_equal(http_phrase(299), "Unknown");
	assert_string_equal(http_phrase(0), "Unknown");
	assert_string_equal(http_phrase(4000000000u), "Unknown");
	assert_true(http_is_token(TEXT("a-b")));
	assert_false(http_is_token(TEXT("a b")));
	assert_false(http_is_token(TEXT("")));
	assert_true(http_is_value(TEXT("")));
	assert_false(http_is_value(TEXT("a\r\nb")));
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, begin, finish)
	const struct CMUnitTest tests[] = {
		T(accepts), T(refuses), T(waits), T(limits), T(the_first_error_counts), T(keeps_the_line_for_the_log), T(every_byte),
		T(methods_and_phrases),
	};
	return cmocka_run_group_tests_name("http/head", tests, NULL, NULL);
}

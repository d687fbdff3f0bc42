/*
 * body_test.c - covers server/http/body.c: framing, and the chunked coding fed at once, byte by byte and cut in two at
 * every place.
 */
#include "http/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void framing(void **state)
{
	static const struct { const char *name, *fields; unsigned minor, status; enum body_kind kind; uint64_t length; } rows[] = {
		{ "none", "", 1, 0, BODY_NONE, 0 },
		{ "length", "Content-Length: 5\r\n", 1, 0, BODY_LENGTH, 5 },
		{ "length 0", "Content-Length: 0\r\n", 1, 0, BODY_LENGTH, 0 },
		{ "leading zeros", "Content-Length: 0005\r\n", 1, 0, BODY_LENGTH, 5 },
		{ "the largest", "Content-Length: 9223372036854775807\r\n", 1, 0, BODY_LENGTH, INT64_MAX },
		{ "too large", "Content-Length: 9223372036854775808\r\n", 1, 413, BODY_NONE, 0 },
		{ "far too large", "Content-Length: 99999999999999999999999\r\n", 1, 413, BODY_NONE, 0 },
		{ "letters", "Content-Length: 5x\r\n", 1, 400, BODY_NONE, 0 },
		{ "hexadecimal", "Content-Length: 0x5\r\n", 1, 400, BODY_NONE, 0 },
		{ "negative", "Content-Length: -5\r\n", 1, 400, BODY_NONE, 0 },
		{ "plus", "Content-Length: +5\r\n", 1, 400, BODY_NONE, 0 },
		{ "fraction", "Content-Length: 5.0\r\n", 1, 400, BODY_NONE, 0 },
		{ "blank inside", "Content-Length: 5 5\r\n", 1, 400, BODY_NONE, 0 },
		{ "empty", "Content-Length:\r\n", 1, 400, BODY_NONE, 0 },
		{ "differ", "Content-Length: 5\r\nContent-Length: 6\r\n", 1, 400, BODY_NONE, 0 },
		{ "differ in one line", "Content-Length: 5, 6\r\n", 1, 400, BODY_NONE, 0 },
		{ "differ in writing", "Content-Length: 5\r\nContent-Length: 05\r\n", 1, 400, BODY_NONE, 0 },
		{ "the same twice", "Content-Length: 5\r\ncontent-length: 5\r\n", 1, 400, BODY_NONE, 0 },
		{ "the same in one line", "Content-Length: 5, 5\r\n", 1, 400, BODY_NONE, 0 },
		{ "an empty member", "Content-Length: 5,\r\n", 1, 400, BODY_NONE, 0 },
		{ "chunked", "Transfer-Encoding: chunked\r\n", 1, 0, BODY_CHUNKED, 0 },
		{ "Chunked", "transfer-encoding: cHUNKED\r\n", 1, 0, BODY_CHUNKED, 0 },
		{ "chunked in 1.0", "Transfer-Encoding: chunked\r\n", 0, 400, BODY_NONE, 0 },
		{ "both", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 1, 400, BODY_NONE, 0 },
		{ "both the other way round", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 1, 400, BODY_NONE, 0 },
		{ "gzip", "Transfer-Encoding: gzip\r\n", 1, 501, BODY_NONE, 0 },
		{ "gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n", 1, 501, BODY_NONE, 0 },
		{ "chunked, gzip", "Transfer-Encoding: chunked, gzip\r\n", 1, 400, BODY_NONE, 0 },
		{ "chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 1, 400, BODY_NONE, 0 },
		{ "chunked and nothing", "Transfer-Encoding: chunked,\r\n", 1, 400, BODY_NONE, 0 },
		{ "nothing and chunked", "Transfer-Encoding: , chunked\r\n", 1, 400, BODY_NONE, 0 },
		{ "empty coding", "Transfer-Encoding:\r\n", 1, 400, BODY_NONE, 0 },
		{ "identity", "Transfer-Encoding: identity\r\n", 1, 501, BODY_NONE, 0 },
		{ "quoted", "Transfer-Encoding: \"chunked\"\r\n", 1, 501, BODY_NONE, 0 },
		{ "parameter", "Transfer-Encoding: chunked;q=1\r\n", 1, 501, BODY_NONE, 0 },
		{ "xchunked", "Transfer-Encoding: xchunked\r\n", 1, 501, BODY_NONE, 0 },
	};
	static const struct head_limits l = { 8190, 8190, 100 };
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *text = arena_printf(a, "POST / HTTP/1.%u\r\n%s\r\n", rows[i].minor, rows[i].fields);
		struct request_head h;
		struct body_framing f;
		size_t used;
		int r;
		fields_init(&h.fields, a);
		if (head_parse_request(text, strlen(text), &l, &h, &used) != HEAD_DONE)
			fail_msg("%s: %s", rows[i].name, h.reason);
		r = body_framing(&h, &f);
		if ((r != 0) != (rows[i].status != 0) || f.status != rows[i].status || (r != 0 && !f.reason))
			fail_msg("%s: status %u", rows[i].name, f.status);
		if (r == 0 && (f.kind != rows[i].kind || f.length != rows[i].length))
			fail_msg("%s: kind %d, length %llu", rows[i].name, f.kind, (unsigned long long)f.length);
	}
	arena_free(a);
}

/* What came of feeding a body in pieces. */
struct outcome {
	enum body_result end;
	size_t used, n;
	char data[256];
	const char *reason;
};

/* Feeds p in pieces that end at `cut`, then at every `step` bytes; each piece has a buffer of its own size. */
static struct outcome feed(const struct body_framing *f, struct text t, size_t cut, size_t step)
{
	struct outcome o = { .end = BODY_MORE };
	struct body_reader b;
	size_t to = cut;

	body_reader_init(&b, f);
	for (;;) {
		size_t n = to - o.used, used;
		char *piece = malloc(n ? n : 1);
		struct text data;
		memcpy(piece, t.p + o.used, n);
		o.end = body_read(&b, n ? piece : piece + 1, n, &used, &data);
		assert_true(used <= n);
		if (o.end == BODY_DATA) {
			assert_true(data.n > 0 && data.p >= piece && data.p + data.n <= piece + used);
			assert_true(o.n + data.n <= sizeof o.data);
			memcpy(o.data + o.n, data.p, data.n);
			o.n += data.n;
		}
		o.used += used;
		free(piece);
		if (o.end == BODY_END || o.end == BODY_BAD)
			break;
		if (o.end == BODY_MORE) {
			assert_int_equal(used, n);
			if (to == t.n)
				break;
			to = t.n - to < step ? t.n : to + step;
		}
	}
	assert_int_equal(b.total, o.n);
	o.reason = b.reason;
	return o;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->end == b->end && a->n == b->n && memcmp(a->data, b->data, a->n) == 0 && a->reason == b->reason
		&& (a->end == BODY_BAD || a->used == b->used);
}

static struct outcome feed_all_ways(const char *name, const struct body_framing *f, struct text t)
{
	struct outcome whole = feed(f, t, t.n, 1), other = feed(f, t, 0, 1);

	if (!same(&whole, &other))
		fail_msg("%s: byte by byte: %d, %zu used, %zu data", name, other.end, other.used, other.n);
	for (size_t cut = 0; cut <= t.n; cut++) {
		other = feed(f, t, cut, t.n);
		if (!same(&whole, &other))
			fail_msg("%s: cut at %zu: %d, %zu used, %zu data", name, cut, other.end, other.used, other.n);
	}
	return whole;
}

static void chunked(void **state)
{
	static const struct { const char *name; struct text in; enum body_result end; const char *data; size_t left; } rows[] = {
		{ "empty", TEXT("0\r\n\r\n"), BODY_END, "", 0 },
		{ "one chunk", TEXT("5\r\nhello\r\n0\r\n\r\n"), BODY_END, "hello", 0 },
		{ "three chunks", TEXT("5\r\nhello\r\n1\r\n \r\n0005\r\nworld\r\n0\r\n\r\n"), BODY_END, "hello world", 0 },
		{ "hexadecimal", TEXT("A\r\n0123456789\r\nb\r\n0123456789x\r\n0\r\n\r\n"), BODY_END, "01234567890123456789x", 0 },
		{ "data that looks like framing", TEXT("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"), BODY_END, "\r\n0\r\n\r\n", 0 },
		{ "extensions", TEXT("1;name=\"value\"\r\nx\r\n1;a;b=c ; d\r\ny\r\n0;z\r\n\r\n"), BODY_END, "xy", 0 },
		{ "blanks before an extension", TEXT("1 \t;a\r\nx\r\n0\r\n\r\n"), BODY_END, "x", 0 },
		{ "trailers", TEXT("1\r\nx\r\n0\r\nX-Trailer: t\r\nX-More:\r\n\r\n"), BODY_END, "x", 0 },
		{ "the next request behind it", TEXT("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), BODY_END, "x", 16 },
		{ "several zeros", TEXT("000\r\n\r\n"), BODY_END, "", 0 },
		{ "sixteen figures", TEXT("0000000000000001\r\nx\r\n0\r\n\r\n"), BODY_END, "x", 0 },
		{ "not whole", TEXT("5\r\nhel"), BODY_MORE, "hel", 0 },
		{ "the last line is missing", TEXT("5\r\nhello\r\n0\r\n"), BODY_MORE, "hello", 0 },
		{ "half of the largest size", TEXT("7fffffffffffffff\r\nabc"), BODY_MORE, "abc", 0 },
		{ "above the largest size", TEXT("8000000000000000\r\nabc"), BODY_BAD, "", 0 },
		{ "seventeen figures", TEXT("00000000000000001\r\nx\r\n"), BODY_BAD, "", 0 },
		{ "far too large", TEXT("ffffffffffffffffff\r\nhello"), BODY_BAD, "", 0 },
		{ "no number", TEXT("xyz\r\nhello\r\n"), BODY_BAD, "", 0 },
		{ "0x", TEXT("0x5\r\nhello\r\n"), BODY_BAD, "", 0 },
		{ "negative", TEXT("-5\r\nhello\r\n"), BODY_BAD, "", 0 },
		{ "empty line", TEXT("\r\nhello\r\n"), BODY_BAD, "", 0 },
		{ "no size before an extension", TEXT(";a\r\nhello\r\n"), BODY_BAD, "", 0 },
		{ "blank before the size", TEXT(" 5\r\nhello\r\n"), BODY_BAD, "", 0 },
		{ "blank after the size", TEXT("5 \r\nhello\r\n0\r\n\r\n"), BODY_BAD, "", 0 },
		{ "bare LF after the size", TEXT("5\nhello\r\n0\r\n\r\n"), BODY_BAD, "", 0 },
		{ "bare CR after the size", TEXT("5\rhello\r\n0\r\n\r\n"), BODY_BAD, "", 0 },
		{ "bare LF in an extension", TEXT("5;a\nhello\r\n0\r\n\r\n"), BODY_BAD, "", 0 },
		{ "bare LF in a quoted extension", TEXT("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), BODY_BAD, "", 0 },
		{ "NUL in an extension", TEXT("5;a\0\r\nhello\r\n"), BODY_BAD, "", 0 },
		{ "longer than its size", TEXT("5\r\nhello!\r\n0\r\n\r\n"), BODY_BAD, "hello", 0 },
		{ "bare LF after the data", TEXT("5\r\nhello\n0\r\n\r\n"), BODY_BAD, "hello", 0 },
		{ "nothing after the data", TEXT("5\r\nhello0\r\n\r\n"), BODY_BAD, "hello", 0 },
		{ "CR and a byte at the end", TEXT("0\r\n\rX"), BODY_BAD, "", 0 },
		{ "bare LF at the end", TEXT("0\r\n\n"), BODY_BAD, "", 0 },
		{ "a trailer without colon", TEXT("0\r\nNonsense\r\n\r\n"), BODY_BAD, "", 0 },
		{ "a folded trailer", TEXT("0\r\nA: b\r\n c\r\n\r\n"), BODY_BAD, "", 0 },
		{ "a trailer without name", TEXT("0\r\n: b\r\n\r\n"), BODY_BAD, "", 0 },
		{ "NUL in a trailer", TEXT("0\r\nA: \0\r\n\r\n"), BODY_BAD, "", 0 },
		{ "bare LF in a trailer", TEXT("0\r\nA: b\n\r\n"), BODY_BAD, "", 0 },
	};
	static const struct body_framing f = { .kind = BODY_CHUNKED };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct outcome o = feed_all_ways(rows[i].name, &f, rows[i].in);
		if (o.end != rows[i].end || !text_is((struct text){ o.data, o.n }, rows[i].data))
			fail_msg("%s: %d, <%.*s> (%s)", rows[i].name, o.end, (int)o.n, o.data, o.reason ? o.reason : "-");
		if ((o.end == BODY_BAD) != (o.reason != NULL))
			fail_msg("%s: a reason and BODY_BAD belong together", rows[i].name);
		if (o.end == BODY_END && o.used != rows[i].in.n - rows[i].left)
			fail_msg("%s: %zu bytes used", rows[i].name, o.used);
	}
}

static void lengths(void **state)
{
	static const struct { const char *name; enum body_kind kind; uint64_t length; struct text in; enum body_result end; const char *data; } rows[] = {
		{ "none", BODY_NONE, 0, TEXT("GET /"), BODY_END, "" }, { "length 0", BODY_LENGTH, 0, TEXT("GET /"), BODY_END, "" },
		{ "whole", BODY_LENGTH, 5, TEXT("hello"), BODY_END, "hello" }, { "more behind it", BODY_LENGTH, 5, TEXT("helloGET /"), BODY_END, "hello" },
		{ "not whole", BODY_LENGTH, 6, TEXT("hello"), BODY_MORE, "hello" }, { "huge", BODY_LENGTH, INT64_MAX, TEXT("hello"), BODY_MORE, "hello" },
		{ "nothing yet", BODY_LENGTH, 5, TEXT(""), BODY_MORE, "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct body_framing f = { .kind = rows[i].kind, .length = rows[i].length };
		struct outcome o = feed_all_ways(rows[i].name, &f, rows[i].in);
		if (o.end != rows[i].end || !text_is((struct text){ o.data, o.n }, rows[i].data) || o.used != o.n)
			fail_msg("%s: %d, <%.*s>", rows[i].name, o.end, (int)o.n, o.data);
	}
}

/* Lines without end are refused while they come. */
static void bounds(void **state)
{
	static const struct { const char *name, *before, *again, *after; size_t limit; } rows[] = {
		{ "extension", "1;", "x", "\r\n", 4096 }, { "blanks", "1", " ", ";\r\n", 4096 },
		{ "one long trailer", "0\r\nA: ", "x", "\r\n\r\n", 16384 }, { "many trailers", "0\r\n", "A: b\r\n", "\r\n", 16384 },
	};
	static const struct body_framing f = { .kind = BODY_CHUNKED };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct text before = text_of(rows[i].before), again = text_of(rows[i].again), data;
		size_t fed = 0, used;
		struct body_reader b;
		enum body_result r = BODY_MORE;
		body_reader_init(&b, &f);
		body_read(&b, before.p, before.n, &used, &data);
		while (r == BODY_MORE && fed < 100000) {
			r = body_read(&b, again.p, again.n, &used, &data);
			fed += used;
		}
		if (r != BODY_BAD || fed > rows[i].limit + 8 || fed + 16 < rows[i].limit)
			fail_msg("%s: %d after %zu bytes", rows[i].name, r, fed);
		if (body_read(&b, again.p, again.n, &used, &data) != BODY_BAD || used != 0)
			fail_msg("%s: bad, then good", rows[i].name);
	}
}

static void end_repeats_itself(void **state)
{
	static const struct body_framing f = { .kind = BODY_CHUNKED };
	struct body_reader b;
	struct text data;
	size_t used;

	(void)state;
	body_reader_init(&b, &f);
	assert_int_equal(body_read(&b, "0\r\n\r\nGET", 8, &used, &data), BODY_END);
	assert_int_equal(used, 5);
	assert_int_equal(body_read(&b, "GET", 3, &used, &data), BODY_END);
	assert_int_equal(used, 0);
	assert_null(data.p);
}

static void writes_chunks(void **state)
{
	static const struct { size_t n; const char *text; } rows[] = {
		{ 0, "0\r\n" }, { 1, "1\r\n" }, { 15, "f\r\n" }, { 16, "10\r\n" }, { 0x1a2b, "1a2b\r\n" }, { 65536, "10000\r\n" },
		{ SIZE_MAX, "ffffffffffffffff\r\n" },
	};
	char line[20];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct text t = { line, chunk_head(rows[i].n, line) };
		if (!text_is(t, rows[i].text))
			fail_msg("%zu: %.*s", rows[i].n, (int)t.n, t.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(framing), cmocka_unit_test(chunked), cmocka_unit_test(lengths), cmocka_unit_test(bounds),
		cmocka_unit_test(end_repeats_itself), cmocka_unit_test(writes_chunks),
	};
	return cmocka_run_group_tests_name("http/body", tests, NULL, NULL);
}

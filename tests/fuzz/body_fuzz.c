/*
 * body_fuzz.c - fuzzes server/http/body.c. The first byte of the input says how the rest is cut, the rest is a body in the
 * chunked coding with whatever comes behind it. Holds:
 * - however it is cut, the same data come out, the same number of bytes is used, the verdict is the same;
 * - data lie inside what was used; BODY_MORE uses everything; the end and a refusal repeat themselves;
 * - what comes out, chunked again, comes out again.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "http/body.h"

struct outcome {
	enum body_result end;
	size_t used, n;
	const char *reason;
};

static struct outcome feed(const struct body_framing *f, const char *p, size_t n, size_t step, char *out)
{
	struct outcome o = { .end = BODY_MORE };
	struct body_reader b;
	struct text data;
	size_t used, to = step < n ? step : n;

	body_reader_init(&b, f);
	for (;;) {
		o.end = body_read(&b, p + o.used, to - o.used, &used, &data);
		CHECK(used <= to - o.used);
		if (o.end == BODY_DATA) {
			CHECK(data.n > 0 && data.p >= p + o.used && data.p + data.n == p + o.used + used);
			memcpy(out + o.n, data.p, data.n);
			o.n += data.n;
		} else {
			CHECK(data.n == 0);
		}
		o.used += used;
		if (o.end == BODY_END || o.end == BODY_BAD)
			break;
		if (o.end == BODY_MORE) {
			CHECK(o.used == to);
			if (to == n)
				break;
			to = n - to < step ? n : to + step;
		}
	}
	CHECK(b.total == o.n && (o.end == BODY_BAD) == (b.reason != NULL));
	if (o.end == BODY_END || o.end == BODY_BAD)
		CHECK(body_read(&b, p + o.used, n - o.used, &used, &data) == o.end && used == 0);
	o.reason = b.reason;
	return o;
}

/* Writes what came out as chunks of `size` bytes and reads it back. */
static void again(const struct body_framing *f, const char *p, size_t n, size_t size)
{
	char *coded = malloc(n * 24 + 16), *out = malloc(n + 1);
	const struct text end = TEXT(CHUNK_END), last = TEXT(CHUNK_LAST);
	size_t at = 0;
	struct outcome o;

	for (size_t i = 0; i < n; i += size) {
		size_t part = n - i < size ? n - i : size;
		at += chunk_head(part, coded + at);
		memcpy(coded + at, p + i, part);
		memcpy(coded + at + part, end.p, end.n);
		at += part + end.n;
	}
	memcpy(coded + at, last.p, last.n);
	at += last.n;
	o = feed(f, coded, at, 7, out);
	CHECK(o.end == BODY_END && o.used == at && o.n == n && memcmp(out, p, n) == 0);
	free(coded);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct body_framing chunked = { .kind = BODY_CHUNKED };
	const char *p = (const char *)data;
	size_t step = n ? (size_t)data[0] + 1 : 1;
	char *a, *b;
	struct outcome whole, cut;

	if (n == 0)
		return 0;
	p++;
	n--;
	a = malloc(n + 1);
	b = malloc(n + 1);
	whole = feed(&chunked, p, n, n + 1, a);
	for (int way = 0; way < 2; way++) {
		cut = feed(&chunked, p, n, way ? step : 1, b);
		CHECK(cut.end == whole.end && cut.used == whole.used && cut.reason == whole.reason);
		CHECK(cut.n == whole.n && memcmp(a, b, whole.n) == 0);
	}
	if (whole.end == BODY_END)
		again(&chunked, a, whole.n, step);
	cut = feed(&(struct body_framing){ .kind = BODY_LENGTH, .length = step }, p, n, 3, b);
	CHECK(cut.end == (n < step ? BODY_MORE : BODY_END) && cut.n == (n < step ? n : step));
	free(a);
	free(b);
	return 0;
}

/*
 * fcgi_fuzz.c - fuzzes the reader of server/handler/records.c: what a backend sends. The first byte is the size of the pieces. Holds:
 * - whatever the pieces, the same bytes of both streams come out, and the verdict is the same;
 * - what is given lies inside the input; nothing is taken behind the end, or behind what is no FastCGI.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "handler/records.h"

struct told { uint64_t sum[2]; size_t n[2]; enum fcgi_event last; };

static void note(struct told *t, int stream, struct text data)
{
	for (size_t i = 0; i < data.n; i++)
		t->sum[stream] = t->sum[stream] * 31 + (unsigned char)data.p[i];
	t->n[stream] += data.n;
}

static struct told read_all(const char *p, size_t n, size_t piece)
{
	struct fcgi_reader r = { .have = 0 };
	struct told t = { .last = FCGI_MORE };

	for (size_t at = 0; at < n;) {
		size_t part = n - at < piece ? n - at : piece, used;
		struct text data;

		t.last = fcgi_read(&r, p + at, part, &used, &data);
		CHECK(used <= part);
		CHECK(!data.p || (data.p >= p + at && data.p + data.n <= p + at + used));
		if (t.last == FCGI_STDOUT || t.last == FCGI_STDERR)
			note(&t, t.last == FCGI_STDERR, data);
		if (t.last == FCGI_END || t.last == FCGI_BAD) {
			CHECK((t.last == FCGI_BAD) == (r.why != NULL));
			break;
		}
		CHECK(used > 0);
		at += used;
	}
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct told whole, parts;

	if (n < 2)
		return 0;
	whole = read_all((const char *)data + 1, n - 1, n);
	parts = read_all((const char *)data + 1, n - 1, 1u + data[0] % 16);
	CHECK(whole.sum[0] == parts.sum[0] && whole.sum[1] == parts.sum[1] && whole.n[0] == parts.n[0] && whole.n[1] == parts.n[1]);
	CHECK((whole.last == FCGI_END) == (parts.last == FCGI_END) && (whole.last == FCGI_BAD) == (parts.last == FCGI_BAD));
	return 0;
}

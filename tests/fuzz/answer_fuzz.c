/*
 * answer_fuzz.c - fuzzes what reads answers of HTTP servers behind: server/http/responsehead.c, and body.c as such answers use it. The first byte
 * says how lines that are no fields are taken, whether the request was HEAD, and how the rest is cut. Holds:
 * - a head is not told before it is whole; more bytes behind it change nothing of it; texts lie inside it;
 * - what is passed on holds no line end: names are tokens, values have no control characters;
 * - a body that two readers could end at two places is refused: never both framings, never two lengths;
 * - however it is cut, the same data come out of the body, with the same verdict at the same place.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/arena.h"
#include "http/responsehead.h"

struct outcome { enum body_result end; size_t used, n; uint64_t sum; };

static bool inside(struct text t, const char *p, size_t n)
{
	return !t.n || (t.p >= p && t.p + t.n <= p + n);
}

static void check_head(const struct response_head *h, const char *p, size_t used)
{
	CHECK(h->status >= 100 && h->status <= 599 && h->major == 1 && h->minor <= 9);
	CHECK(inside(h->reason, p, used) && http_is_value(h->reason));
	for (unsigned i = 0; i < h->fields.n; i++) {
		const struct field *f = &h->fields.at[i];

		CHECK(inside(f->name, p, used) && inside(f->value, p, used));
		CHECK(http_is_token(f->name) && http_is_value(f->value));
		CHECK(!f->value.n || (f->value.p[0] != ' ' && f->value.p[f->value.n - 1] != ' '));
	}
}

static void check_framing(const struct response_head *h, const struct response_framing *f)
{
	unsigned codings = fields_count(&h->fields, "Transfer-Encoding"), lengths = fields_count(&h->fields, "Content-Length");

	CHECK(!codings || !lengths);
	CHECK(codings < 2 && lengths < 2);
	CHECK(f->end != RESPONSE_CHUNKED || (codings && h->minor >= 1));
	CHECK(f->end != RESPONSE_LENGTH || (lengths && f->length <= INT64_MAX));
	CHECK(f->end != RESPONSE_UNTIL_CLOSE || (!codings && !lengths));
}

static struct outcome read_body(const struct body_framing *f, const char *p, size_t n, size_t piece)
{
	struct outcome o = { .end = BODY_MORE };
	struct body_reader b;
	size_t to = 0;

	body_reader_init(&b, f);
	for (;;) {
		struct text data = { 0 };
		size_t used;

		o.end = body_read(&b, p + o.used, to - o.used, &used, &data);
		CHECK(used <= to - o.used && inside(data, p + o.used, used));
		o.used += used;
		o.n += data.n;
		for (size_t i = 0; i < data.n; i++)
			o.sum = o.sum * 31 + (unsigned char)data.p[i];
		if (o.end == BODY_END || o.end == BODY_BAD || (o.end == BODY_MORE && to == n))
			return o;
		if (o.end == BODY_MORE)
			to = n - to < piece ? n : to + piece;
	}
}

static void check_body(const struct response_framing *f, const char *p, size_t n, size_t piece)
{
	struct body_framing b = { .kind = f->end == RESPONSE_CHUNKED ? BODY_CHUNKED : BODY_LENGTH, .length = f->length };
	struct outcome whole, parts;

	if (f->end != RESPONSE_CHUNKED && f->end != RESPONSE_LENGTH)
		return;
	whole = read_body(&b, p, n, n + 1);
	parts = read_body(&b, p, n, piece);
	CHECK(whole.end == parts.end && whole.n == parts.n && whole.sum == parts.sum);
	CHECK(whole.end == BODY_BAD || whole.used == parts.used);
	CHECK(f->end != RESPONSE_LENGTH || whole.n <= f->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum response_bad ways[] = { RESPONSE_BAD_REFUSED, RESPONSE_BAD_SKIPPED, RESPONSE_BAD_IS_BODY, RESPONSE_BAD_REFUSED };
	const char *p = (const char *)data + 1;
	enum response_bad how = ways[n ? data[0] & 3 : 0];
	struct arena *a = arena_new(0);
	struct response_head h = { 0 }, again = { 0 };
	struct response_framing f;
	size_t used = 0, used_again = 0;

	if (n < 2 || !a) {
		arena_free(a);
		return 0;
	}
	n--;
	fields_init(&h.fields, a);
	if (response_head_parse(p, n, how, &h, &used) == HEAD_DONE) {
		CHECK(used > 0 && used <= n);
		check_head(&h, p, used);
		for (size_t i = 1; how != RESPONSE_BAD_IS_BODY && i < used; i++) {
			fields_init(&again.fields, a);
			CHECK(response_head_parse(p, i, how, &again, &used_again) == HEAD_MORE);
		}
		if (response_framing(&h, data[0] & 4, &f) == 0) {
			check_framing(&h, &f);
			check_body(&f, p + used, n - used, 1u + (data[0] >> 3));
		}
	} else {
		CHECK(used == 0);
	}
	arena_free(a);
	return 0;
}

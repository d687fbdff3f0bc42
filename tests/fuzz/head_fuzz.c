/*
 * head_fuzz.c - fuzzes server/http/head.c, and with each head it accepts server/http/body.c (framing) and
 * server/http/uri.c (target and Host). The input is the bytes of a connection. Holds:
 * - whether the bytes come at once, one by one or in steps, the verdict is the same;
 * - what is used is at most what is there, and the head alone gets the same verdict as with bytes behind it;
 * - every text lies inside the input; names are tokens, values hold no control bytes; a refusal names status and reason.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "http/body.h"
#include "http/head.h"
#include "http/uri.h"

#define WHOLE 300                       /* inputs up to this size are cut everywhere */

static struct arena *arena;

static bool inside(struct text t, const char *p, size_t n)
{
	return !t.p || (t.p >= p && t.p + t.n <= p + n);
}

static enum head_result parse(const char *p, size_t n, const struct head_limits *l, struct request_head *h, size_t *used)
{
	fields_init(&h->fields, arena);
	return head_parse_request(p, n, l, h, used);
}

static void check_done(const char *p, size_t used, const struct head_limits *l, const struct request_head *h)
{
	struct body_framing f;
	struct text host, port;
	struct uri u;

	CHECK(used >= 4 && memcmp(p + used - 4, "\r\n\r\n", 4) == 0);
	CHECK(http_is_token(h->method) && h->target.n && h->major == 1 && h->minor <= 9);
	CHECK(h->line.n <= l->line && (!l->fields || h->fields.n <= l->fields));
	for (unsigned i = 0; i < h->fields.n; i++) {
		struct field *line = &h->fields.at[i];
		CHECK(inside(line->name, p, used) && inside(line->value, p, used) && line->value.p);
		CHECK(http_is_token(line->name) && http_is_value(line->value));
		CHECK(line->name.n + 1 + line->value.n <= l->field);
		CHECK(text_eq(line->value, text_trim(line->value)));
	}
	if (body_framing(h, &f) != 0)
		CHECK(f.status && f.reason);
	if (uri_parse(h->target, h->method_id, &u) == 0)
		CHECK(inside(u.query, p, used) && inside(u.host, p, used) && inside(u.port, p, used));
	uri_parse_host(fields_get(&h->fields, "Host"), &host, &port);
}

static void check(const char *p, size_t n, const struct head_limits *l)
{
	struct request_head h, part;
	size_t used, part_used = 0, cut = 0, step = n <= WHOLE ? 1 : n / 32;
	enum head_result whole = parse(p, n, l, &h, &used), r = HEAD_MORE;

	CHECK(used <= n);
	CHECK(inside(h.line, p, n) && inside(h.method, p, n) && inside(h.target, p, n));
	CHECK((whole == HEAD_BAD) == (h.status != 0) && (whole == HEAD_BAD) == (h.reason != NULL));
	if (whole == HEAD_DONE)
		check_done(p, used, l, &h);
	for (;;) {
		char *exact = malloc(cut ? cut : 1);
		memcpy(exact, p, cut);
		r = parse(exact, cut, l, &part, &part_used);
		free(exact);
		if (r != HEAD_MORE || cut == n)
			break;
		cut = n - cut < step ? n : cut + step;
	}
	CHECK(r == whole && part.status == h.status && part.reason == h.reason && part_used == used);
	if (whole == HEAD_DONE) {
		CHECK(part.fields.n == h.fields.n);
		CHECK(parse(p, used, l, &part, &part_used) == HEAD_DONE && part_used == used && part.fields.n == h.fields.n);
	}
}

/*
 * The lenient reader: what the strict one takes it takes too, with the same fields; its names are tokens, and no value holds a NUL, a CR
 * or an LF.
 */
static void check_lenient(const char *p, size_t n, const struct head_limits *l)
{
	struct request_head strict, h = { 0 };
	size_t used, strict_used;
	enum head_result r = parse(p, n, l, &strict, &strict_used);

	fields_init(&h.fields, arena);
	if (head_parse_lenient(arena, p, n, l, HEAD_UNSAFE, &h, &used) != HEAD_DONE) {
		CHECK(r != HEAD_DONE);
		return;
	}
	CHECK(used <= n && http_is_token(h.method) && h.major == 1);
	for (unsigned i = 0; i < h.fields.n; i++) {
		struct text v = h.fields.at[i].value;
		CHECK(http_is_token(h.fields.at[i].name));
		CHECK(v.n == 0 || (!memchr(v.p, '\0', v.n) && !memchr(v.p, '\r', v.n) && !memchr(v.p, '\n', v.n)));
	}
	if (r == HEAD_DONE) {
		CHECK(strict_used == used && strict.fields.n == h.fields.n && text_eq(strict.target, h.target));
		for (unsigned i = 0; i < h.fields.n; i++)
			CHECK(text_eq(strict.fields.at[i].value, h.fields.at[i].value));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct head_limits wide = { 8190, 8190, 100 }, tight = { 40, 24, 3 };

	if (!arena)
		arena = arena_new(65536);
	check((const char *)data, n, &wide);
	arena_reset(arena);
	check_lenient((const char *)data, n, &wide);
	arena_reset(arena);
	check((const char *)data, n, &tight);
	arena_reset(arena);
	return 0;
}

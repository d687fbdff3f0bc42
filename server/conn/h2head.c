/*
 * h2head.c - the heads of HTTP/2 that go out: of answers, interim ones, and those that a handler writes itself as HTTP/1 and that have to
 * be read for that. Runs in the children.
 */
#include "conn/h2.h"

#include <stdlib.h>

#include "http/responsehead.h"

/* Of one connection, not of the content (RFC 9113, 8.2.2; RFC 8441, 5); lengths are ours to say. */
static bool is_sent(struct text name)
{
	static const struct text not[] = {
		TEXT("Connection"), TEXT("Keep-Alive"), TEXT("Proxy-Connection"), TEXT("Transfer-Encoding"), TEXT("Upgrade"), TEXT("Content-Length"), TEXT("Sec-WebSocket-Accept"),
	};

	for (size_t i = 0; i < sizeof not / sizeof *not; i++)
		if (name.n == not[i].n && text_eq_nocase(name, not[i]))
			return false;
	return true;
}

static nghttp2_nv nv_of(struct text name, struct text value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)(value.n ? value.p : ""), name.n, value.n, NGHTTP2_NV_FLAG_NONE };
}

struct head_out { nghttp2_nv *at; size_t n, bytes; };

static void put_field(struct head_out *o, struct text name, struct text value)
{
	o->at[o->n++] = nv_of(name, value);
	o->bytes += name.n + value.n;
}

static void put_fields(struct head_out *o, const struct fields *f)
{
	for (unsigned i = 0; i < f->n; i++)
		if (is_sent(f->at[i].name))
			put_field(o, f->at[i].name, f->at[i].value);
}

static struct text number(struct arena *a, uint64_t v)
{
	char *p = arena_alloc(a, 24);
	struct buf b;

	if (!p)
		return (struct text){ 0 };
	buf_init(&b, p, 24);
	buf_put_u64(&b, v);
	return (struct text){ b.p, b.n };
}

/* `last`: nothing follows, so that the access line goes first. */
static int submit(struct h2_stream *st, const struct head_out *o, bool last)
{
	nghttp2_data_provider body = { .read_callback = h2_fetch };
	int rc;

	st->submitted = true;
	st->stream.head_bytes += o->bytes;
	if (last)
		h2_log(st);
	rc = nghttp2_submit_response(st->h->session, st->id, o->at, o->n, last ? NULL : &body);
	if (rc != 0)
		h2_abort(st, NGHTTP2_INTERNAL_ERROR);
	return rc == 0 ? 0 : -1;
}

/* The head of the request's answer; without a body it waits for the handler's end, since it is the last that is sent. */
int h2_head_submit(struct h2_stream *st)
{
	struct request *r = st->stream.request;
	struct head_out o = { .at = arena_array(r->arena, 2 + r->out.n + r->always.n, sizeof *o.at) };

	if (!o.at) {
		h2_abort(st, NGHTTP2_INTERNAL_ERROR);
		return -1;
	}
	put_field(&o, TEXT(":status"), number(r->arena, r->status));
	put_fields(&o, &r->out);
	put_fields(&o, &r->always);
	if (r->length >= 0 && r->status != 204 && r->status != 304)
		put_field(&o, TEXT("content-length"), number(r->arena, (uint64_t)r->length));
	return submit(st, &o, st->form == H2_NOTHING);
}

static int submit_interim(struct h2_stream *st, const struct head_out *o)
{
	st->stream.head_bytes += o->bytes;
	return nghttp2_submit_headers(st->h->session, NGHTTP2_FLAG_NONE, st->id, NULL, o->at, o->n, NULL) == 0 ? 0 : -1;
}

void h2_hint(struct request *r)
{
	const struct h2_section *s = request_config(r, &h2_module);
	struct head_out o = { 0 };
	size_t n = 1;

	if (conn_of(r->client)->speech != &h2_speech || !s || s->early != 1 || !s->hints || r->head_sent)
		return;
	for (const struct h2_hint *h = s->hints; h; h = h->next)
		n++;
	o.at = arena_array(r->arena, n, sizeof *o.at);
	if (!o.at)
		return;                         /* it is no more than a hint */
	put_field(&o, TEXT(":status"), TEXT("103"));
	for (const struct h2_hint *h = s->hints; h; h = h->next)
		put_field(&o, text_of(h->name), text_of(h->value));
	submit_interim(h2_of(r->stream), &o);
}

void h2_head_continue(struct h2_stream *st)
{
	nghttp2_nv go_on = nv_of(TEXT(":status"), TEXT("100"));

	submit_interim(st, &(struct head_out){ &go_on, 1, 10 });
}

/* ------------------------------------------------------------------------------------------------ heads that handlers write */

/* A head of HTTP/1 among the bytes: its fields. -1: it is none. *used: its length; 0: it is not whole. */
static int read_head(struct h2_stream *st, const char *p, size_t n, struct head_out *o, unsigned *status, size_t *used)
{
	struct response_head h = { 0 };
	enum head_result result;

	fields_init(&h.fields, st->arena);
	result = response_head_parse(p, n, RESPONSE_BAD_REFUSED, &h, used);
	if (result == HEAD_MORE)
		*used = 0;
	if (result != HEAD_DONE)
		return result == HEAD_MORE ? 0 : -1;
	o->at = arena_array(st->arena, 1 + h.fields.n, sizeof *o->at);
	if (!o->at)
		return -1;
	*status = h.status;
	put_field(o, TEXT(":status"), number(st->arena, h.status == 101 ? 200 : h.status));
	put_fields(o, &h.fields);
	return 0;
}

/* The first bytes of a tunnel, whose head the handler writes itself: its 101, in however many pieces. 0 or -1. */
int h2_head_raw(struct h2_stream *st, const char *p, size_t n)
{
	struct left *held = &st->held;
	struct head_out o = { 0 };
	char *grown = realloc(held->p, held->n + n);
	unsigned status = 0;
	size_t used;
	int rc;

	if (!grown)
		return -1;
	memcpy(grown + held->n, p, n);
	*held = (struct left){ grown, held->n + n };
	if (read_head(st, held->p, held->n, &o, &status, &used) < 0)
		return -1;
	if (!used)
		return held->n > RESPONSE_HEAD_MOST ? -1 : 0;
	if (status != 101)
		return -1;
	st->raw = false;
	st->stream.request->status = status;
	rc = submit(st, &o, false);
	if (rc == 0 && held->n > used)
		rc = h2_keep(st, held->p + used, held->n - used);
	free(held->p);
	*held = (struct left){ 0 };
	return rc;
}

int h2_head_interim(struct h2_stream *st, const char *p, size_t n)
{
	struct head_out o = { 0 };
	unsigned status;
	size_t used = 0;

	if (read_head(st, p, n, &o, &status, &used) < 0 || !used || status == 101)
		return -1;
	return status == 100 ? 0 : submit_interim(st, &o);      /* 100: said, or not awaited */
}

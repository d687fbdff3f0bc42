/*
 * proxyhttp.c - HTTP/1 with servers behind (mod_proxy_http, mod_proxy_wstunnel): heads and bodies in its form, and 101, from which on bytes
 * go both ways. The rest is exchange.c's. Runs in the children.
 */
#include "handler/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "handler/proxyfields.h"
#include "http/body.h"
#include "log/log.h"
#include "request/response.h"

#define INTERIMS_MOST 16                /* heads before that of the answer */

struct http {
	struct exchange x;              /* first */
	struct proxy_ask ask;
	struct held raw;                /* read behind x.in, and not looked at */
	bool keeps;                     /* the connection may serve another request */
	bool expects;                   /* the client waits for 100 */
	unsigned interims;
	struct response_framing framing;
	struct body_reader reader;
};

static char chunk[32 + 65536];          /* of the turn at hand */

static struct http *http_of(struct exchange *x)
{
	return (struct http *)(void *)x;
}

/* ------------------------------------------------------------------------------------------------ the end */

static void release(struct exchange *x)
{
	held_free(&http_of(x)->raw);
}

static void finish(struct http *h)
{
	struct exchange *x = &h->x;
	bool whole = x->body_ended && !x->out.p && !h->raw.p && !x->deaf;

	exchange_release(x, h->keeps && whole && h->framing.end != RESPONSE_UNTIL_CLOSE && !h->framing.doubtful);
	stream_end(x->r->stream);
}

static void closed(struct exchange *x)
{
	struct http *h = http_of(x);

	if (exchange_repeat(x))
		return;
	if (x->state == EXCHANGE_TUNNEL) {
		if (!x->in.p)
			finish(h);
		else
			x->ended = true;        /* over once the client has the rest */
	} else if (x->state == EXCHANGE_BODY && h->framing.end == RESPONSE_UNTIL_CLOSE) {
		finish(h);
	} else {
		exchange_bad(x, x->heard ? "it closed the connection before the end of its answer" : "it closed the connection without one");
	}
}

/* ------------------------------------------------------------------------------------------------ the request */

static int send_chunk(struct exchange *x, struct text data)
{
	size_t n = 0;

	if (!data.p)
		return exchange_send(x, CHUNK_LAST, sizeof CHUNK_LAST - 1);
	while (data.n) {
		size_t part = data.n < 65536 ? data.n : 65536;

		n = chunk_head(part, chunk);
		memcpy(chunk + n, data.p, part);
		memcpy(chunk + n + part, CHUNK_END, 2);
		if (exchange_send(x, chunk, n + part + 2) < 0)
			return -1;
		data = (struct text){ data.p + part, data.n - part };
	}
	return 0;
}

static int send_part(struct exchange *x, struct text data)
{
	if (http_of(x)->ask.chunked)
		return send_chunk(x, data);
	return data.p ? exchange_send(x, data.p, data.n) : 0;
}

/* ------------------------------------------------------------------------------------------------ the answer's body */

/* The framed part of it. */
static void feed_framed(struct http *h, const char *p, size_t n)
{
	struct exchange *x = &h->x;

	while (x->state == EXCHANGE_BODY) {
		struct text data = { 0 };
		size_t used = 0;

		if (x->in.p) {                  /* the client first */
			if (held_add(&h->raw, p, n) < 0)
				exchange_fail(x, 503);
			return;
		}
		switch (body_read(&h->reader, p, n, &used, &data)) {
		case BODY_DATA:
			if (!exchange_put(x, data.p, data.n))
				return;
			break;
		case BODY_END:
			if (used < n)           /* more than was announced */
				h->keeps = false;
			finish(h);
			return;
		case BODY_BAD:
			exchange_bad(x, "its chunks are broken");
			return;
		case BODY_MORE:
			return;
		}
		p += used;
		n -= used;
	}
}

static void feed(struct http *h, const char *p, size_t n)
{
	if (h->x.state == EXCHANGE_TUNNEL || h->framing.end == RESPONSE_UNTIL_CLOSE)
		exchange_put(&h->x, p, n);
	else
		feed_framed(h, p, n);
}

static void writable(struct request *r)
{
	struct exchange *x = r->handler_data;
	struct http *h = http_of(x);
	struct held raw;

	if ((x->state != EXCHANGE_BODY && x->state != EXCHANGE_TUNNEL) || !exchange_drain(x))
		return;
	if (x->ended) {
		finish(h);
		return;
	}
	raw = h->raw;
	h->raw = (struct held){ 0 };
	if (raw.p || h->framing.end == RESPONSE_LENGTH || h->framing.end == RESPONSE_CHUNKED)
		feed(h, raw.p ? raw.p + raw.at : "", raw.n - raw.at);
	held_free(&raw);
	exchange_pace(x);
}

/* ------------------------------------------------------------------------------------------------ the answer's head */

/* Whether the server behind keeps the connection. */
static bool stays(const struct response_head *head)
{
	if (fields_has_token(&head->fields, "Connection", "close"))
		return false;
	return head->minor >= 1 || fields_has_token(&head->fields, "Connection", "keep-alive");
}

static void interim(struct http *h, const struct response_head *head)
{
	struct exchange *x = &h->x;
	struct text all;
	struct iovec iov;

	if (head->status == 100) {
		if (x->waits)
			exchange_begin_body(x);
		return;
	}
	all = proxy_interim_head(x->r, head, NULL);
	iov = (struct iovec){ (void *)(uintptr_t)all.p, all.n };
	if (all.p)
		stream_interim(x->r->stream, &iov, 1);
}

/* 101: from now on bytes. */
static void open_tunnel(struct http *h, const struct response_head *head, const char *p, size_t n)
{
	struct exchange *x = &h->x;
	struct request *r = x->r;
	struct text all;

	if (!h->ask.upgrade || !fields_has_token(&head->fields, "Upgrade", h->ask.upgrade)) {
		exchange_bad(x, "it answers with 101 to what is another protocol, or was not asked to change");
		return;
	}
	all = proxy_interim_head(r, head, h->ask.upgrade);
	if (!all.p || stream_tunnel(r->stream) < 0) {
		exchange_fail(x, 500);
		return;
	}
	r->status = 101;
	x->state = EXCHANGE_TUNNEL;
	x->body_ended = false;
	h->keeps = false;
	if (exchange_put(x, all.p, all.n) && n)
		exchange_put(x, p, n);
	if (x->state == EXCHANGE_TUNNEL)
		stream_read(r->stream, true);
}

/* The head of the answer itself; p..p+n has come behind it. */
static void answer(struct http *h, const struct response_head *head, const char *p, size_t n)
{
	struct exchange *x = &h->x;
	struct request *r = x->r;
	char status[12];
	struct buf b;

	if (response_framing(head, r->method_id == HTTP_HEAD, &h->framing) < 0) {
		exchange_bad(x, h->framing.why);
		return;
	}
	h->keeps = stays(head) && !h->ask.close;
	x->waits = false;
	exchange_note_status(x, head->status);
	buf_init(&b, status, sizeof status);
	buf_put_u64(&b, head->status);
	request_note(r, "proxy-status", status);
	if (proxy_overrides(r, head->status)) {
		exchange_override(x, head->status, &head->fields, h->framing.end == RESPONSE_NO_BODY && h->keeps && x->body_ended && !x->deaf);
		return;
	}
	r->length = h->framing.end == RESPONSE_LENGTH ? (int64_t)h->framing.length : -1;
	if (r->method_id == HTTP_HEAD && fields_count(&head->fields, "Content-Length"))
		r->length = (int64_t)h->framing.length;
	if (proxy_take_head(r, head) < 0) {
		exchange_fail(x, 503);
		return;
	}
	if (!exchange_answer(x))
		return;
	if (h->framing.end == RESPONSE_NO_BODY || r->no_body) {
		if (n)
			h->keeps = false;
		finish(h);
		return;
	}
	if (h->framing.end != RESPONSE_UNTIL_CLOSE)
		body_reader_init(&h->reader, &(struct body_framing){ .kind = h->framing.end == RESPONSE_CHUNKED ? BODY_CHUNKED : BODY_LENGTH, .length = h->framing.length });
	if (n || h->framing.end == RESPONSE_LENGTH)
		feed(h, p, n);
}

static int gather(struct exchange *x, const char *p, size_t n)
{
	char *grown = realloc(x->head, x->head_n + n);

	if (!grown)
		return -1;
	memcpy(grown + x->head_n, p, n);
	x->head = grown;
	x->head_n += n;
	return 0;
}

/* Heads, as far as they have come: interim ones, then the answer's. */
static void read_heads(struct http *h)
{
	static const enum response_bad how[] = {
		[PROXY_BAD_ERROR] = RESPONSE_BAD_REFUSED, [PROXY_BAD_IGNORE] = RESPONSE_BAD_SKIPPED, [PROXY_BAD_START_BODY] = RESPONSE_BAD_IS_BODY,
	};
	struct exchange *x = &h->x;

	while (x->state == EXCHANGE_HEAD && x->head_n) {
		/* A head that is whole is read where its texts live as long as the request. */
		bool whole = memmem(x->head, x->head_n, "\r\n\r\n", 4);
		const char *all = whole ? arena_memdup(x->r->arena, x->head, x->head_n) : x->head;
		struct response_head head;
		size_t used = 0;

		fields_init(&head.fields, x->r->arena);
		if (!all) {
			exchange_fail(x, 503);
			return;
		}
		switch (response_head_parse(all, x->head_n, how[proxy_bad_header(x->r)], &head, &used)) {
		case HEAD_MORE:
			return;
		case HEAD_BAD:
			exchange_bad(x, head.why);
			return;
		case HEAD_DONE:
			break;
		}
		if (head.status == 101) {
			open_tunnel(h, &head, all + used, x->head_n - used);
			return;
		}
		if (head.status >= 200) {
			answer(h, &head, all + used, x->head_n - used);
			return;
		}
		if (++h->interims > INTERIMS_MOST) {
			exchange_bad(x, "too many interim heads come before it");
			return;
		}
		interim(h, &head);
		memmove(x->head, x->head + used, x->head_n - used);
		x->head_n -= used;
	}
}

static void take(struct exchange *x, const char *p, size_t n)
{
	if (x->state != EXCHANGE_HEAD)
		feed(http_of(x), p, n);
	else if (gather(x, p, n) < 0)
		exchange_fail(x, 503);
	else
		read_heads(http_of(x));
}

/* ------------------------------------------------------------------------------------------------ the beginning */

static void ready(struct exchange *x)
{
	struct http *h = http_of(x);
	struct request *r = x->r;
	const struct proxy_worker *w = x->t.worker;
	struct text head;

	h->ask.close = !w->cell || w->reuse == PROXY_KEEP_NEVER || request_env(r, "proxy-nokeepalive").p;
	h->ask.upgrade = proxy_upgrade(r, w);
	h->ask.expects = h->expects || (w->ping > 0 && r->has_body && !h->ask.old);
	x->ping = w->ping;
	head = proxy_request_head(&x->t, &h->ask);
	if (!head.p) {
		exchange_fail(x, 503);
		return;
	}
	x->out = (struct held){ .p = (char *)(uintptr_t)head.p, .n = head.n };
	x->waits = h->ask.expects && !x->body_used;
	exchange_go(x);
}

/* What is not handed on at all. 0: it is. */
static unsigned refuses(struct request *r)
{
	struct text forwards = fields_get(&r->in, "Max-Forwards");
	uint64_t n;

	if (forwards.n && (text_u64(forwards, INT32_MAX, &n) != 0 || n == 0)) {
		log_infox(&r->client->about, LOG_PROXY, "BH0753", "%s answered with 400: its Max-Forwards is %s; servers that hand requests to each other may stand in a circle",
			  r->path, text_is(forwards, "0") ? "0" : "no number from 1 on");
		return 400;
	}
	return 0;
}

static void start(struct request *r)
{
	static const struct exchange_ops ops = { .ready = ready, .send = send_part, .take = take, .closed = closed, .release = release };
	unsigned status = refuses(r);
	struct http *h;

	if (status) {
		request_close(r);
		response_error(r, status);
		return;
	}
	h = (struct http *)(void *)exchange_new(r, sizeof *h, &ops);
	if (!h)
		return;
	h->ask.old = request_env(r, "force-proxy-request-1.0").p != NULL;
	h->ask.chunked = r->has_body && (r->body_length == UINT64_MAX || r->stream->input);
	h->expects = r->has_body && !request_is_old(r) && proxy_passes_expect(r) && fields_has_token(&r->in, "Expect", "100-continue");
	if (h->ask.chunked && h->ask.old)
		exchange_fail(&h->x, 411);
	else
		exchange_connect(&h->x);
}

const struct handler proxyhttp_handler = { .name = "proxy-http", .start = start, .body = exchange_body, .writable = writable, .ended = exchange_over };

/*
 * h2in.c - what comes in on HTTP/2: frames are counted, heads gathered, bodies kept until they are read, requests begun. Runs in the
 * children.
 *
 * Back-pressure: body bytes are held as far as the stream's window lets them come; the window opens again as the handler reads.
 */
#include "conn/h2.h"

#include <stdlib.h>
#include <time.h>

#include "log/target.h"
#include "request/core.h"
#include "request/filter.h"
#include "request/phases.h"
#include "request/response.h"

#define BATCH 32                        /* requests that begin before the first is worked at: that many arenas are kept */
#define LIST_MOST ((size_t)256 << 10)   /* behind it no field is looked at: a few bytes of HPACK can name long ones again and again */

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static int64_t now_of(const struct h2 *h)
{
	return loop_now(h->c->server->loop);
}

/* ------------------------------------------------------------------------------------------------ frames */

/* What costs us more than the client, and is bounded by nothing else. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
	struct h2 *h = user;
	bool fine = true;

	(void)session;
	switch (hd->type) {
	case NGHTTP2_HEADERS: case NGHTTP2_PUSH_PROMISE:
		break;
	case NGHTTP2_DATA:
		if (!hd->length && !(hd->flags & NGHTTP2_FLAG_END_STREAM))
			fine = h2_count(h, H2_EMPTY);
		break;
	case NGHTTP2_CONTINUATION:
		if (!hd->length)
			fine = h2_count(h, H2_EMPTY);
		break;
	case NGHTTP2_RST_STREAM:
		fine = h2_count(h, H2_RESETS);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		fine = h2_count(h, H2_WINDOWS);
		break;
	case NGHTTP2_SETTINGS: case NGHTTP2_PING:
		if (!(hd->flags & NGHTTP2_FLAG_ACK))
			fine = h2_count(h, H2_CONTROL);
		break;
	default:
		fine = h2_count(h, H2_CONTROL);
	}
	(void)fine;                             /* the connection is on its way out, and nghttp2 knows */
	return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	const struct conn_settings *set = h->c->settings;
	const struct head_limits limits = { (size_t)set->limit_line, (size_t)set->limit_field, (unsigned)set->limit_fields };
	struct h2_stream *st;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	st = h->over ? NULL : h2_stream_new(h, frame->hd.stream_id);
	if (!st || nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, st) != 0) {
		if (st)
			h2_stream_free(st);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	h->begun++;
	stream_head_init(&st->head, st->arena, &limits);
	return 0;
}

/* Trailers are dropped, as in HTTP/1. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t nname, const uint8_t *value, size_t nvalue,
		     uint8_t flags, void *user)
{
	struct h2_stream *st = stream_of(session, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (!st)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	st->heard_at = now_of(st->h);
	if (!st->whole)
		stream_head_add(&st->head, (struct text){ (const char *)name, nname }, (struct text){ (const char *)value, nvalue });
	st->listed += nname + nvalue;
	st->h->paused = st->h->begun > BATCH;
	if (st->listed <= LIST_MOST)
		return st->h->paused ? NGHTTP2_ERR_PAUSE : 0;
	h2_count_error(st->h);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* RFC 9113, 8.2.1: a field that is none makes the request malformed. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t nname, const uint8_t *value, size_t nvalue,
			     uint8_t flags, void *user)
{
	(void)flags;
	(void)user;
	(void)name;
	(void)nname;
	(void)value;
	(void)nvalue;
	if (nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR) != 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_stream *st = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA ? stream_of(session, frame->hd.stream_id) : NULL;

	(void)user;
	if (!st)
		return 0;
	st->heard_at = now_of(st->h);
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		st->whole = true;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		st->remote_done = true;
	h2_wake(st);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct h2_stream *st = stream_of(session, id);
	struct left *in = st ? &st->in : NULL;
	char *grown;

	(void)flags;
	(void)user;
	if (!st || st->ended || st->aborted)    /* nobody wants it; the stream's window stays shut, the connection's does not */
		return nghttp2_session_consume_connection(session, n) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
	grown = realloc(in->p, in->n + n);
	if (!grown)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	memcpy(grown + in->n, p, n);
	*in = (struct left){ grown, in->n + n };
	st->heard_at = now_of(st->h);
	if (st->reading)
		h2_wake(st);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct h2_stream *st = stream_of(session, id);

	(void)user;
	if (!st)
		return 0;
	st->closed = true;
	st->reason = code;
	h2_wake(st);
	return 0;
}

static int on_error(nghttp2_session *session, int error, const char *words, size_t n, void *user)
{
	const struct h2 *h = user;

	(void)session;
	(void)error;
	log_debugx(&h->c->own.client.about, LOG_HTTP2, NULL, "connection %llu of HTTP/2: %.*s", (unsigned long long)h->c->own.client.id, (int)n, words);
	return 0;
}

void h2_reader_set(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_error_callback2(cb, on_error);
}

/* ------------------------------------------------------------------------------------------------ the request */

/* The client as this stream's request sees it: the connection, but what a request may change of it is its own. */
static void take_client(struct h2_stream *st)
{
	struct conn *c = st->h->c;
	struct client *client = &st->asker.client;
	const struct log_host *logs = host_config(c->host, &log_module);

	c->own.client.requests++;
	*client = c->own.client;
	client->whole = &c->own.client;
	client->about = (struct log_about){ .settings = &logs->settings, .peer = &client->peer, .ops = client->about.ops, .of = client };
}

static struct text number(struct arena *a, uint64_t connection, int32_t id)
{
	char *p = arena_alloc(a, 40);
	struct buf b;

	if (!p)
		return (struct text){ 0 };
	buf_init(&b, p, 40);
	if (connection) {
		buf_put_u64(&b, connection);
		buf_putc(&b, '-');
	}
	buf_put_u64(&b, (uint64_t)id);
	return (struct text){ b.p, b.n };
}

/* As mod_http2 tells programs and rules. */
static void note_env(struct h2_stream *st, struct request *r)
{
	fields_add(&r->env, TEXT("HTTP2"), TEXT("on"));
	fields_add(&r->env, TEXT("H2PUSH"), TEXT("off"));
	fields_add(&r->env, TEXT("H2_PUSH"), TEXT("off"));
	fields_add(&r->env, TEXT("H2_STREAM_ID"), number(r->arena, 0, st->id));
	fields_add(&r->env, TEXT("H2_STREAM_TAG"), number(r->arena, r->client->id, st->id));
}

static void refuse(struct h2_stream *st, struct request *r, unsigned status, const char *why)
{
	log_infox(&st->asker.client.about, LOG_HTTP, "BH0521", "request refused with %u: %s", status, why);
	r->section = r->host->section;
	response_error(r, status);
}

static struct request *make_request(struct h2_stream *st, const struct request_head *head)
{
	struct conn *c = st->h->c;
	struct conn_server *s = c->server;
	struct request *r = request_new(st->arena);

	if (!r)
		return NULL;
	asker_fill(c, r, &st->stream, &st->asker, head);
	r->keepalive = true;
	st->stream.request = st->asker.client.request = r;
	st->stream.in_bytes = st->head.size;
	note_env(st, r);
	counter_add(&s->o.counters->requests, 1);
	if (r->activity)
		activity_request(r->activity, (uint64_t)loop_now(s->loop), r->method.p, r->method.n, r->target.p, r->target.n);
	return r;
}

/* nghttp2 has looked whether the length is a number, and ends the stream where it is not that of the body. */
static void frame_body(struct h2_stream *st, struct request *r)
{
	struct text length = fields_get(&r->in, "Content-Length");
	uint64_t n = UINT64_MAX;

	if (length.p && text_u64(length, INT64_MAX, &n) < 0)
		n = UINT64_MAX;
	st->connect = st->head.protocol.p != NULL;
	r->has_body = !st->connect && !st->remote_done && n;
	r->body_length = r->has_body || st->connect ? n : 0;
	if (st->remote_done && st->in.n) {      /* all of it is there already */
		r->has_body = true;
		r->body_length = st->in.n;
	}
	st->body_done = !r->has_body;
	st->expects = r->has_body && !st->remote_done && !st->in.n && fields_has_token(&r->in, "Expect", "100-continue");
}

/* A WebSocket of HTTP/1 has a key, to which the answer fits; in HTTP/2 nobody needs it but servers behind (RFC 8441, 5). */
static void add_key(struct request *r)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *key = arena_alloc(r->arena, 25);

	if (!key || fields_get(&r->in, "Sec-WebSocket-Key").p)
		return;
	for (int i = 0; i < 22; i++)
		key[i] = digits[arc4random_uniform(i < 21 ? 64 : 4) << (i < 21 ? 0 : 4)];      /* 16 bytes: the last digit has two bits */
	memcpy(key + 22, "==", 3);
	fields_add(&r->in, TEXT("Sec-WebSocket-Key"), (struct text){ key, 24 });
}

void h2_begin_request(struct h2_stream *st)
{
	struct request_head head;
	enum head_result result = stream_head_finish(&st->head, &head);
	struct request *r;

	if (st->h->c->state == CONN_HEAD)
		conn_state(st->h->c, CONN_REQUEST);
	take_client(st);
	r = make_request(st, &head);
	if (!r) {
		h2_abort(st, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	if (result == HEAD_BAD) {
		st->body_done = true;
		refuse(st, r, head.status, head.reason);
		return;
	}
	frame_body(st, r);
	if (st->connect && !text_is_nocase(st->head.protocol, "websocket")) {
		refuse(st, r, 501, "its :protocol is none that is spoken here");
		return;
	}
	if (st->connect)
		add_key(r);
	if (!asker_method(st->h->c->settings, r)) {
		refuse(st, r, 501, "its method is not registered, and HttpProtocolOptions has RegisteredMethods");
		return;
	}
	phases_run(r);
	if (st->stream.request->host)
		st->asker.settings = host_config(st->stream.request->host, &conn_module);
}

/* ------------------------------------------------------------------------------------------------ its body */

void h2_refuse_body(struct h2_stream *st, unsigned status, const char *why)
{
	struct request *r = st->stream.request;

	log_infox(&st->asker.client.about, LOG_HTTP, "BH0522", "request refused with %u: %s", status, why);
	st->body_done = true;
	if (!st->started)
		response_error(r, status);
	else if (!st->ended)
		h2_abort(st, NGHTTP2_CANCEL);
}

/* The handler gets all that is there; the windows open by as much. */
static void feed(struct h2_stream *st)
{
	const struct request *r = st->stream.request;
	struct left in = st->in;

	st->in = (struct left){ 0 };
	st->stream.in_bytes += in.n;
	st->body_total += in.n;
	st->expects = false;
	if (r->body_length == UINT64_MAX && st->body_total > core_body_limit(r) && !st->tunnel)
		h2_refuse_body(st, 413, "its body is longer than LimitRequestBody allows");
	else if (!filter_body(&st->stream, (struct text){ in.p, in.n }))
		st->h->c->again = true;
	nghttp2_session_consume(st->h->session, st->id, in.n);
	free(in.p);
}

bool h2_body(struct h2_stream *st)
{
	if (st->body_done || st->ended || !st->reading)
		return false;
	if (!st->body_began)
		st->body_began = now_of(st->h);
	if (filter_body_waits(&st->stream)) {
		if (!filter_body_more(&st->stream))
			st->h->c->again = true;
		return true;
	}
	if (st->in.n) {
		feed(st);
		return true;
	}
	if (!st->remote_done)
		return false;
	st->body_done = true;
	filter_body(&st->stream, (struct text){ 0 });
	return true;
}

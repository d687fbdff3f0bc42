/*
 * h1.c - HTTP/1 on a connection: requests one after another, their heads and bodies. Their time limits are h1time.c's, the wire
 * form of responses is h1out.c's. Runs in the children.
 *
 * A request passes head → (body ⇄ handler → response) → next. The handler is called from h1_run only, never from inside
 * its own stream calls. While the client takes no more bytes, nothing else is done for it.
 */
#include "conn/h1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/effort.h"
#include "request/core.h"
#include "request/filter.h"
#include "request/phases.h"
#include "request/response.h"

#define TURN_REQUESTS 32                /* pipelined requests of one connection a turn */
#define HEAD_STEP 4096                  /* bytes without a line end that are looked at again for the limits' sake */

int h1_begin(struct conn *c)
{
	struct h1 *h = calloc(1, sizeof *h);

	if (!h)
		return -1;
	h->c = c;
	h->stream.ops = &h1_stream_ops;
	h->file = -1;
	c->h1 = h;
	c->speech = &h1_speech;
	return 0;
}

static bool reads(const struct conn *c)
{
	const struct h1 *h = c->h1;

	if (!h->stream.request)
		return true;
	return !h->body_done && (h->reading || h->ended);
}

static bool duplex(const struct conn *c)
{
	const struct h1 *h = c->h1;

	return h->stream.request && h->tunnel && !h->ended;
}

bool h1_body_over(const struct conn *c, uint64_t most)
{
	const struct h1 *h = c->h1;
	const struct request *r = h ? h->stream.request : NULL;

	return r && r->has_body && !h->expects && r->body_length != UINT64_MAX && r->body_length > most;
}

void h1_last(struct conn *c)
{
	if (c->h1->stream.request)
		c->h1->stream.request->keepalive = false;
	c->h1->client_stays = false;
	c->h1->body_done = c->h1->closes = true;
	c->lingers = true;
}

static int take_arena(struct h1 *h)
{
	if (!h->arena)
		h->arena = asker_arena(h->c->server);
	return h->arena ? 0 : -1;
}

static void give_arena(struct h1 *h)
{
	h->c->own.client.request = NULL;
	conn_use_host(h->c, h->c->host);        /* the settings for messages may lie in the arena */
	asker_arena_back(h->c->server, h->arena);
	h->arena = NULL;
}

/* ------------------------------------------------------------------------------------------------ the request */

static void begin_request(struct h1 *h, struct request *r)
{
	struct conn *c = h->c;
	struct request_head *head_in = &h->head;

	c->own.client.requests++;
	asker_forget(&c->own, false);
	client_is(&c->own.client, &c->own.client.arrived);
	asker_fill(c, r, &h->stream, &c->own, head_in);
	h->stream.request = c->own.client.request = r;
	h->stream.head_us = 0;
	h->stream.ops = &h1_stream_ops;
	h->stream.filter = NULL;
	h->stream.input = NULL;
	h->stream.reads = false;
	h->stream.head_bytes = h->stream.body_bytes = 0;
	h->started = h->ended = h->logged = h->wants_room = h->aborted = h->closes = h->tunnel = h->reading = h->expects = false;
	h->form = WIRE_NONE;
	h->promised = h->discarded = 0;
	h->body_began = h->paused_at = 0;
	h->body_done = true;
	h->client_stays = false;
	conn_state(c, CONN_REQUEST);
	counter_add(&c->server->o.counters->requests, 1);
	if (r->activity)
		activity_request(r->activity, (uint64_t)loop_now(c->server->loop), r->method.p, r->method.n, r->target.p, r->target.n);
}

/* Refused before the phases: the rest of what came cannot be trusted to be a request. */
static void refuse(struct h1 *h, struct request *r, unsigned status, const char *why)
{
	log_infox(&h->c->own.client.about, LOG_HTTP, "BH0521", "request refused with %u: %s", status, why);
	r->keepalive = false;
	r->section = r->host->section;
	h->c->lingers = true;
	response_error(r, status);
}

static void answer_plain_on_tls(struct conn *c, struct request *r)
{
	struct text field = fields_get(&r->in, "Host"), name, port;
	const char *host = r->host->name;
	char shown[280];

	if (field.p && uri_parse_host(field, &name, &port) == 0 && name.n && name.n < 254)
		host = arena_strndup(r->arena, name.p, name.n);
	uint16_t number = addr_port(&c->own.client.local);
	bool v6 = host && strchr(host, ':');
	if (number == 443)
		snprintf(shown, sizeof shown, v6 ? "https://[%s]/" : "https://%s/", host ? host : "localhost");
	else
		snprintf(shown, sizeof shown, v6 ? "https://[%s]:%u/" : "https://%s:%u/", host ? host : "localhost", number);
	r->keepalive = false;
	r->section = r->host->section;
	c->lingers = true;
	response_error_text(r, 400, arena_printf(r->arena, "You speak plain HTTP to a port that serves HTTPS. Use %s instead.", shown));
}

static bool wants_keepalive(const struct request *r)
{
	if (fields_has_token(&r->in, "Connection", "close"))
		return false;
	return r->minor >= 1 || fields_has_token(&r->in, "Connection", "keep-alive");
}

static void start_request(struct h1 *h, enum head_result result)
{
	struct conn *c = h->c;
	struct request *r = request_new(h->arena);
	struct body_framing framing = { 0 };

	if (!r) {
		conn_break(c, "out of memory");
		return;
	}
	begin_request(h, r);
	if (c->plain_on_tls) {
		answer_plain_on_tls(c, r);
		return;
	}
	if (result == HEAD_BAD) {
		refuse(h, r, h->head.status, h->head.reason);
		return;
	}
	r->keepalive = h->client_stays = wants_keepalive(r);
	if (r->major == 0) {                    /* HTTP/0.9: the content alone, then the end */
		r->raw = true;
		r->keepalive = h->client_stays = false;
	}
	if (!asker_method(c->settings, r)) {
		refuse(h, r, 501, "its method is not registered, and HttpProtocolOptions has RegisteredMethods");
		return;
	}
	if (body_framing(&h->head, &framing) < 0) {
		refuse(h, r, framing.status, framing.reason);
		return;
	}
	r->has_body = framing.kind == BODY_CHUNKED || (framing.kind == BODY_LENGTH && framing.length);
	r->body_length = framing.kind == BODY_CHUNKED ? UINT64_MAX : framing.length;
	body_reader_init(&h->body, &framing);
	h->body_done = !r->has_body;
	h->expects = r->has_body && r->minor >= 1 && fields_has_token(&r->in, "Expect", "100-continue");
	phases_run(r);
	if (h->stream.request->host)
		conn_use_host(c, h->stream.request->host);
}

/* The body cannot be read on: answered, or the response that has begun is cut short. */
void h1_refuse_body(struct h1 *h, unsigned status, const char *why)
{
	struct request *r = h->stream.request;

	log_infox(&h->c->own.client.about, LOG_HTTP, "BH0522", "request refused with %u: %s", status, why);
	h->body_done = true;
	h->closes = true;
	r->keepalive = false;
	h->c->lingers = true;
	if (!h->started)
		response_error(r, status);
	else if (!h->ended)
		h->aborted = true;
}

/* Hands body bytes that are there to the handler, or drops them. False: none are there, or the request cannot go on. */
static bool feed_body(struct h1 *h)
{
	struct conn *c = h->c;
	struct conn_server *s = c->server;
	struct request *r = h->stream.request;
	struct text data = { 0 };
	size_t used = 0;

	enum body_result result = body_read(&h->body, s->in + s->in_at, s->in_n - s->in_at, &used, &data);
	s->in_at += used;
	h->stream.in_bytes += used;
	if (used)
		h->expects = false;
	switch (result) {
	case BODY_DATA:
		if (!h->ended && r->body_length == UINT64_MAX && h->body.total > core_body_limit(r)) {
			h1_refuse_body(h, 413, "its chunked body is longer than LimitRequestBody allows");
			return true;
		}
		if (!h->ended) {
			if (!filter_body(&h->stream, data))
				c->again = true;
			return true;
		}
		h->discarded += data.n;
		if (h->discarded <= DISCARD_MAX)
			return true;
		break;
	case BODY_END:
		h->body_done = true;
		if (!h->ended)
			filter_body(&h->stream, (struct text){ 0 });
		return true;
	case BODY_MORE:
		return false;
	case BODY_BAD:
		h1_refuse_body(h, 400, h->body.reason);
		return true;
	}
	h->body_done = true;            /* too much that nobody wants */
	h->closes = true;
	c->lingers = true;
	return true;
}

static void next_request(struct h1 *h, enum handler_end how)
{
	struct conn *c = h->c;

	filter_over(&h->stream);
	phases_over(h->stream.request, how);
	chans_close(&c->own);
	h1_close_file(h);
	if (how == HANDLER_ABORTED) {
		h1_log(h);
		output_flush(c);
		conn_break(c, "the response was cut short");
	} else if (h->closes) {
		if (!h->body_done || c->server->in_at < c->server->in_n)
			c->lingers = true;
		conn_bye(c);
	} else {
		conn_state(c, CONN_HEAD);
		c->head_began = 0;
	}
	h->stream.request = NULL;
	h->stream.in_bytes = 0;
	give_arena(h);
}

void h1_late_head(struct h1 *h)
{
	struct conn *c = h->c;
	struct request *r;

	if (c->server->in_n == c->server->in_at || c->plain_on_tls) {
		conn_bye(c);
		return;
	}
	r = take_arena(h) == 0 ? request_new(h->arena) : NULL;
	if (!r) {
		conn_break(c, "out of memory");
		return;
	}
	h->head = (struct request_head){ 0 };
	begin_request(h, r);
	c->server->in_at = c->server->in_n;
	refuse(h, r, 408, "its head did not come within the time of RequestReadTimeout or Timeout");
}

/* ------------------------------------------------------------------------------------------------ driving */

static void move_text(struct text *t, const char *from, size_t n, const char *to)
{
	if (t->p >= from && t->p <= from + n)
		t->p = to + (t->p - from);
	else
		*t = (struct text){ 0 };
}

/* Makes a head borrow a copy of its bytes. */
static void move_head(struct request_head *h, const char *from, size_t n, const char *to)
{
	move_text(&h->line, from, n, to);
	move_text(&h->method, from, n, to);
	move_text(&h->target, from, n, to);
	for (unsigned i = 0; i < h->fields.n; i++) {
		move_text(&h->fields.at[i].name, from, n, to);
		move_text(&h->fields.at[i].value, from, n, to);
	}
}

/* Whether the bytes are worth a look: the first, those with the end of a line, or many. A head that drips in must not cost its square. */
static bool head_grew(const struct h1 *h, const char *p, size_t n)
{
	size_t grown = n - h->head_seen;

	return grown && (!h->head_seen || grown >= HEAD_STEP || memchr(p + h->head_seen, '\n', grown));
}

static enum head_result parse_head(struct h1 *h, const char *p, size_t n, size_t *used)
{
	const struct conn_settings *set = h->c->settings;
	const struct head_limits limits = { (size_t)set->limit_line, (size_t)set->limit_field, (unsigned)set->limit_fields };
	enum head_result result = HEAD_MORE;

	if (head_grew(h, p, n)) {
		fields_init(&h->head.fields, h->arena);
		result = set->unsafe || set->old ? head_parse_lenient(h->arena, p, n, &limits, (set->unsafe ? HEAD_UNSAFE : 0u) | (set->old ? HEAD_OLD : 0u),
								      &h->head, used) :
			 head_parse_request(p, n, &limits, &h->head, used);
		h->head_seen = n;
	}
	if (result == HEAD_MORE && n == IN_SIZE) {
		result = HEAD_BAD;
		fields_init(&h->head.fields, h->arena);
		h->head.status = 431;
		h->head.reason = "its head is longer than 64 KiB";
	}
	return result;
}

/* n bytes of it have come. False: no more is there. */
static bool wait_for_head(struct h1 *h, size_t n)
{
	struct conn *c = h->c;
	ssize_t got;

	give_arena(h);
	if (n && !c->head_began)
		c->head_began = loop_now(c->server->loop);
	got = input_more(c);
	if (got == 0)
		conn_bye(c);            /* the client has said all */
	return got > 0;
}

/* Reads a head. False: wait, the connection is on its way out, or has gone over to HTTP/2. */
static bool do_head(struct h1 *h)
{
	struct conn *c = h->c;
	struct conn_server *s = c->server;
	const char *p = s->in + s->in_at;
	size_t n = s->in_n - s->in_at, used = 0;

	if (c->blocked || c->wire_left.n)
		return false;
	if (!n)
		return wait_for_head(h, 0);
	if (take_arena(h) < 0) {
		conn_break(c, "out of memory");
		return false;
	}
	if (s->o.activity)
		activity_head(s->o.activity);
	switch (h2_preface(c, p, n)) {
	case H2_PREFACE_WHOLE:
		if (h2_begin(c) < 0)
			conn_break(c, "out of memory");
		return false;
	case H2_PREFACE_MORE:
		return wait_for_head(h, n);
	case H2_PREFACE_NOT:
		break;
	}
	enum head_result result = parse_head(h, p, n, &used);
	if (result != HEAD_MORE) {
		/* The head's texts must outlive the buffer: a handler may wait, and other connections use it meanwhile. */
		size_t whole = result == HEAD_DONE ? used : n;
		char *copy = arena_memdup(h->arena, p, whole);

		if (!copy) {
			conn_break(c, "out of memory");
			return false;
		}
		move_head(&h->head, p, whole, copy);
		s->in_at += whole;
		h->stream.in_bytes = whole;
		h->head_seen = 0;
		if (result == HEAD_DONE && h2_upgrade(c, &h->head))
			return false;
		start_request(h, result);
		return true;
	}
	return wait_for_head(h, n);
}

/* Reads on in the request's body. False: wait. */
static bool do_body(struct h1 *h)
{
	struct conn *c = h->c;

	if (h->body_done || !(h->reading || h->ended))
		return false;
	if (!h->body_began)
		h->body_began = loop_now(c->server->loop);
	if (!h->ended && filter_body_waits(&h->stream)) {
		if (!filter_body_more(&h->stream))
			c->again = true;
		return true;
	}
	if (feed_body(h))
		return true;
	ssize_t got = input_more(c);
	if (got == 0 && h->ended) {             /* the body will never be whole */
		h->body_done = h->closes = true;
	} else if (got == 0 && h->tunnel) {     /* that is its end */
		h->body_done = true;
		filter_body(&h->stream, (struct text){ 0 });
	} else if (got == 0) {
		h->aborted = true;
	}
	return got >= 0;
}

/* Goes on with a request. False: wait. */
static bool do_request(struct h1 *h)
{
	struct conn *c = h->c;
	struct request *r = h->stream.request;

	if (h->aborted) {
		next_request(h, HANDLER_ABORTED);
		return true;
	}
	if (c->blocked || c->wire_left.n)
		return duplex(c) && (chans_run(&c->own) || do_body(h));
	if (r->waits && (c->own.asking || c->own.working || c->late.asks))
		return false;
	if (r->waits) {
		phases_resume(r);
		return true;
	}
	if (!h1_pump(h))
		return h->aborted;
	if (h->ended) {
		if (h->form != WIRE_NONE && !h1_finish(h))
			return h->aborted;
		if (h->body_done || h->closes) {
			next_request(h, HANDLER_DONE);
			return true;
		}
	} else if (h->wants_room) {
		h->wants_room = false;
		if (h->stream.filter && !filter_writable(&h->stream))
			return true;
		if (r->handler && r->handler->writable) {
			r->handler->writable(r);
			return true;
		}
	} else if (chans_run(&c->own)) {
		return true;
	}
	return do_body(h);
}

static void run(struct conn *c)
{
	struct h1 *h = c->h1;
	unsigned requests = c->own.client.requests;

	while (!c->gone && !c->again && (c->state == CONN_HEAD || c->state == CONN_REQUEST)) {
		if (!(h->stream.request ? do_request(h) : do_head(h)))
			break;
		if ((c->own.client.requests - requests >= TURN_REQUESTS || effort_tired()) && !h->stream.request && c->state == CONN_HEAD)
			c->again = true;
	}
	if (c->speech != &h1_speech) {          /* h is no more */
		if (!c->gone)
			c->speech->run(c);
		return;
	}
	if (h->stream.request && h->stream.filter && !h->ended && !c->gone && !c->again && !c->blocked)
		filter_idle(&h->stream);
}

static void note(const struct conn *c, struct activity *a)
{
	const struct h1 *h = c->h1;
	const struct request *r = h->stream.request;

	if (!r)
		return;
	activity_resume(a, (uint64_t)r->started_us / 1000, r->method.p, r->method.n, r->target.p, r->target.n, r->handler ? r->handler->name : NULL);
	activity_phase(a, h->reading && !h->body_done ? "body" : "send");
}

static void over(struct conn *c)
{
	struct h1 *h = c->h1;

	if (h->stream.request) {
		h->aborted = true;
		if (h->stream.request->waits)
			h->stream.request->status = 403;        /* for the log: nothing was granted */
		filter_over(&h->stream);
		phases_over(h->stream.request, HANDLER_ABORTED);
		h1_log(h);
	}
	h1_close_file(h);
	give_arena(h);
	free(h);
	c->h1 = NULL;
	c->speech = NULL;
}

const struct speech h1_speech = { .run = run, .timeout = h1_timeout, .due = h1_due, .reads = reads, .duplex = duplex, .note = note, .held_up = h1_held_up, .end = over };

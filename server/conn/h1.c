/*
 * h1.c - HTTP/1 on a connection: requests one after another, their bodies, and the wire form of responses.
 *
 * The order of a response's end is kept here: the access line is committed to the log ring BEFORE the last bytes are
 * handed to the socket, so that a client that has its answer has its line, whatever kills this process next.
 *
 * A request passes head → (body ⇄ handler → response) → next. The handler is called from h1_run only, never from inside
 * its own stream calls.
 */
#include "conn/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "http/body.h"
#include "log/format.h"
#include "log/target.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/logline.h"
#include "request/phases.h"
#include "request/response.h"

#define DISCARD_MAX (1024 * 1024)       /* body bytes that nobody wanted, read so that the connection can stay open */
#define TURN_REQUESTS 32                /* pipelined requests of one connection a turn */
#define RING_WAIT_MS 1000               /* how long a full ring may hold this child up */
#define LINE_SIZE 16384

enum wire_form { WIRE_NONE, WIRE_LENGTH, WIRE_CHUNKED, WIRE_CLOSE };

struct h1 {
	struct stream stream;           /* what the handler holds */
	struct conn *c;
	struct arena *arena;
	struct request_head head;
	struct body_reader body;
	bool busy;                      /* a request is being worked on */
	bool body_done;                 /* nothing of its body is left to read */
	bool expects;                   /* Expect: 100-continue, and neither 100 nor body bytes have gone by */
	bool reading;                   /* the handler wants the body */
	uint64_t discarded;
	int64_t body_began;             /* ms: when its first byte was waited for; 0 = not yet */
	bool started;                   /* the response's head is queued */
	bool ended;                     /* the handler has said all */
	bool logged;
	bool wants_room;                /* a write was cut short */
	bool aborted;
	bool closes;                    /* the connection ends after this response */
	enum wire_form form;
	uint64_t promised;              /* WIRE_LENGTH: bytes still to come */
	int file;                       /* -1 = none */
	uint64_t file_at, file_left;
};

static const struct stream_ops ops;

static struct h1 *h1_of(struct stream *s)
{
	return (struct h1 *)(void *)((char *)s - offsetof(struct h1, stream));
}

int h1_begin(struct conn *c)
{
	struct h1 *h = calloc(1, sizeof *h);

	if (!h)
		return -1;
	h->c = c;
	h->stream.ops = &ops;
	h->file = -1;
	h->arena = arena_new(0);
	if (!h->arena) {
		free(h);
		return -1;
	}
	c->h1 = h;
	return 0;
}

bool h1_idle(const struct conn *c)
{
	return !c->h1 || !c->h1->busy;
}

bool h1_reads(const struct conn *c)
{
	const struct h1 *h = c->h1;

	if (!h || !h->busy)
		return true;
	return !h->body_done && (h->reading || h->ended);
}

/* ------------------------------------------------------------------------------------------------ the access log */

static void put_line(struct conn_server *s, unsigned target, const char *line, size_t n)
{
	static const uint64_t one = 1;
	struct iovec iov = { (void *)(uintptr_t)line, n };
	static bool full;

	if (!s->o.ring) {
		s->o.put_line(target, line, n);
		return;
	}
	/* A ring that stays full (no logger, a full disk) holds this child up for a second, once: then lines are counted, not kept. */
	for (int waited = 0; ring_put(s->o.ring, target, &iov, 1) < 0; waited += 5) {
		if (full || waited >= RING_WAIT_MS) {
			full = true;
			ring_drop(s->o.ring);
			return;
		}
		if (s->o.ring_wake >= 0 && write(s->o.ring_wake, &one, sizeof one) < 0)
			waited += 5;
		struct timespec pause = { 0, 5000000 };
		nanosleep(&pause, NULL);
	}
	full = false;
}

static void write_log(struct h1 *h)
{
	static char line[LINE_SIZE];
	struct request *r = h->stream.request;
	const struct log_host *logs = host_config(r->host ? r->host : h->c->host, &log_module);
	struct logline l = { .now_us = (uint64_t)loop_clock_us(), .aborted = h->aborted, .kept = h->c->client.requests - 1 };

	if (h->logged)
		return;
	h->logged = true;
	for (const struct log_access *a = logs->access; a; a = a->next) {
		struct buf b;

		if (!logline_wanted(a, r))
			continue;
		buf_init(&b, line, sizeof line - 1);
		logline_render(a, r, &l, &b);
		if (b.full)
			line[b.n - 1] = '\n';
		put_line(h->c->server, a->target, line, b.n);
	}
}

/* ------------------------------------------------------------------------------------------------ the response's wire form */

static void put_field(struct buf *b, struct text name, struct text value)
{
	buf_put(b, name.p, name.n);
	buf_put(b, ": ", 2);
	buf_put(b, value.p, value.n);
	buf_put(b, "\r\n", 2);
}

static size_t fields_size(const struct fields *f)
{
	size_t n = 0;

	for (unsigned i = 0; i < f->n; i++)
		n += f->at[i].name.n + f->at[i].value.n + 4;
	return n;
}

/* Whether the connection can take another request after this response; what is left of the body decides with it. */
static bool stays_open(struct h1 *h, const struct request *r)
{
	struct conn *c = h->c;

	if (!r->keepalive || c->client.nokeepalive || c->server->draining || !c->settings->keepalive || c->plain_on_tls)
		return false;
	if (c->settings->max_requests && c->client.requests >= (uint64_t)c->settings->max_requests)
		return false;
	if (h->body_done || h->reading)
		return true;
	return !h->expects && (h->body.kind == BODY_CHUNKED || h->body.left <= DISCARD_MAX);
}

static void choose_form(struct h1 *h, const struct request *r, bool old)
{
	h->promised = 0;
	if (r->no_body) {
		h->form = WIRE_NONE;
	} else if (r->length >= 0) {
		h->form = WIRE_LENGTH;
		h->promised = (uint64_t)r->length;
	} else if (!old) {
		h->form = WIRE_CHUNKED;
	} else {
		h->form = WIRE_CLOSE;
		h->closes = true;
	}
}

static void put_connection(struct h1 *h, const struct request *r, struct buf *b)
{
	const struct conn_settings *set = h->c->settings;

	if (h->closes) {
		buf_puts(b, "Connection: close\r\n");
	} else if (r->minor == 0 || fields_has_token(&r->in, "Connection", "keep-alive")) {
		buf_printf(b, "Keep-Alive: timeout=%lld", (long long)(set->keepalive_timeout / 1000));
		if (set->max_requests)
			buf_printf(b, ", max=%lld", (long long)set->max_requests - h->c->client.requests);
		buf_puts(b, "\r\nConnection: Keep-Alive\r\n");
	}
}

static int head(struct stream *s)
{
	struct h1 *h = h1_of(s);
	struct request *r = s->request;
	size_t cap = 512 + fields_size(&r->out) + fields_size(&r->always);
	char *p = arena_alloc(r->arena, cap);
	bool old = r->major == 1 && r->minor == 0, claims_old = request_env(r, "force-response-1.0").p != NULL;
	struct buf b;

	if (h->c->gone || h->started || !p)
		return -1;
	h->started = r->head_sent = true;
	h->closes = !stays_open(h, r);
	choose_form(h, r, old || claims_old);
	buf_init(&b, p, cap);
	buf_printf(&b, "HTTP/1.%d %u %s\r\n", claims_old ? 0 : 1, r->status, http_phrase(r->status));
	for (unsigned i = 0; i < r->out.n; i++)
		put_field(&b, r->out.at[i].name, r->out.at[i].value);
	for (unsigned i = 0; i < r->always.n; i++)
		put_field(&b, r->always.at[i].name, r->always.at[i].value);
	if (r->length >= 0 && r->status != 204 && r->status != 304)
		buf_printf(&b, "Content-Length: %lld\r\n", (long long)r->length);
	if (h->form == WIRE_CHUNKED)
		buf_puts(&b, "Transfer-Encoding: chunked\r\n");
	put_connection(h, r, &b);
	buf_puts(&b, "\r\n");
	s->head_bytes += b.n;
	if (h->c->server->o.activity)
		activity_event(h->c->server->o.activity, (uint64_t)loop_now(h->c->server->loop), ACTIVITY_RESPONSE, r->status);
	return output_must(h->c, b.p, b.n);
}

static size_t total_of(const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

static ssize_t write_body(struct stream *s, const struct iovec *iov, int n)
{
	struct h1 *h = h1_of(s);
	size_t total = total_of(iov, n), take, left;
	char line[20];

	if (h->c->gone || h->aborted)
		return -1;
	if (h->form == WIRE_NONE || !total)
		return (ssize_t)total;
	if (h->form == WIRE_LENGTH && total > h->promised)      /* a handler that says more than it promised */
		total = (size_t)h->promised;
	take = output_space(h->c);
	take = total < take ? total : take;
	/* The buffer of this turn is full; the socket need not be: then nothing else would ask for a further turn. */
	if (take < total)
		h->wants_room = h->c->again = true;
	if (!take)
		return h->c->gone ? -1 : 0;
	if (h->form == WIRE_CHUNKED && output_must(h->c, line, chunk_head(take, line)) < 0)
		return -1;
	left = take;
	for (int i = 0; i < n && left; i++) {
		size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

		if (output_must(h->c, iov[i].iov_base, part) < 0)
			return -1;
		left -= part;
	}
	if (h->form == WIRE_CHUNKED && output_must(h->c, CHUNK_END, 2) < 0)
		return -1;
	s->body_bytes += take;
	if (h->form == WIRE_LENGTH) {
		h->promised -= take;
		if (!h->promised)
			write_log(h);           /* these are the last bytes, and they are not sent yet */
	}
	return (ssize_t)take;
}

static int file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	struct h1 *h = h1_of(s);

	if (h->c->gone || h->aborted || h->file >= 0 || h->form == WIRE_NONE || !length) {
		close(fd);
		return h->c->gone || h->aborted || h->file >= 0 ? -1 : 0;
	}
	h->file = fd;
	h->file_at = offset;
	h->file_left = length;
	return 0;
}

static void end(struct stream *s)
{
	h1_of(s)->ended = true;
}

static void want_body(struct stream *s, bool on)
{
	h1_of(s)->reading = on;
}

static void give_up(struct stream *s, const char *reason)
{
	struct h1 *h = h1_of(s);

	h->aborted = true;
	log_infox(&h->c->client.about, LOG_HTTP, "BH0520", "the response is cut short: %s", reason);
}

static const struct stream_ops ops = { head, write_body, file, end, want_body, give_up };

/* ------------------------------------------------------------------------------------------------ sending */

static void close_file(struct h1 *h)
{
	if (h->file >= 0)
		close(h->file);
	h->file = -1;
}

/* Moves a file on. True when it is done (or there is none). */
static bool pump_file(struct h1 *h)
{
	struct conn *c = h->c;

	while (h->file >= 0 && !c->gone && !c->blocked && !c->again) {
		if (h->file_left <= FILE_TURN && h->ended) {
			h->stream.body_bytes += h->file_left;
			write_log(h);
			h->stream.body_bytes -= h->file_left;
		}
		ssize_t took = output_file(c, h->file, h->file_at, h->file_left);
		if (took < 0) {
			give_up(&h->stream, "the file became shorter, or cannot be read, while it was being sent");
			close_file(h);
			return false;
		}
		if (!took)
			break;
		h->file_at += (uint64_t)took;
		h->file_left -= (uint64_t)took;
		h->stream.body_bytes += (uint64_t)took;
		h->promised -= h->promised < (uint64_t)took ? h->promised : (uint64_t)took;
		if (!h->file_left) {
			close_file(h);
			h->wants_room = c->again = !h->ended;
		}
	}
	return h->file < 0;
}

void h1_writable(struct conn *c)
{
	struct h1 *h = c->h1;
	struct request *r = h && h->busy ? h->stream.request : NULL;

	if (!r || !pump_file(h) || c->gone)
		return;
	if (h->wants_room && !h->ended && r->handler && r->handler->writable) {
		h->wants_room = false;
		r->handler->writable(r);
		pump_file(h);
	}
}

/* The last word of a chunked body; the log before it. True when the response is whole. */
static bool finish_response(struct h1 *h)
{
	if (!h->ended || !pump_file(h))
		return false;
	if (h->form == WIRE_LENGTH && h->promised) {
		give_up(&h->stream, "the handler ended before it had sent what Content-Length says");
		return false;
	}
	write_log(h);
	if (h->form == WIRE_CHUNKED)
		output_must(h->c, CHUNK_LAST, sizeof CHUNK_LAST - 1);
	h->form = WIRE_NONE;
	return true;
}

/* ------------------------------------------------------------------------------------------------ the request */

static void begin_request(struct h1 *h, struct request *r)
{
	struct conn *c = h->c;
	struct request_head *head_in = &h->head;

	c->client.requests++;
	*r = (struct request){
		.arena = r->arena, .stream = &h->stream, .client = &c->client, .site = c->server->o.site, .activity = c->server->o.activity,
		.line = head_in->line, .method = head_in->method, .method_id = head_in->method_id, .target = head_in->target,
		.major = head_in->major, .minor = head_in->minor, .in = head_in->fields, .env = r->env, .out = r->out, .always = r->always,
		.status = 200, .length = -1, .fd = -1, .modified = -1, .host = (struct host *)(uintptr_t)c->host, .started_us = loop_clock_us(),
	};
	clock_gettime(CLOCK_REALTIME, &r->received);
	h->stream.request = r;
	h->stream.head_bytes = h->stream.body_bytes = 0;
	h->busy = true;
	h->started = h->ended = h->logged = h->wants_room = h->aborted = h->closes = h->reading = h->expects = false;
	h->form = WIRE_NONE;
	h->promised = h->discarded = 0;
	h->body_began = 0;
	h->body_done = true;
	conn_state(c, CONN_REQUEST);
	conn_deadline(c, c->settings->timeout);
	counter_add(&c->server->o.counters->requests, 1);
	if (r->activity)
		activity_request(r->activity, (uint64_t)loop_now(c->server->loop), r->method.p, r->method.n, r->target.p, r->target.n);
}

/* Refused before the phases: the rest of what came cannot be trusted to be a request. */
static void refuse(struct h1 *h, struct request *r, unsigned status, const char *why)
{
	log_infox(&h->c->client.about, LOG_HTTP, "BH0521", "request refused with %u: %s", status, why);
	r->keepalive = false;
	r->section = r->host->section;
	h->c->lingers = true;
	response_error(r, status);
}

static void answer_plain_on_tls(struct request *r)
{
	struct conn *c = h1_of(r->stream)->c;
	struct text field = fields_get(&r->in, "Host"), name, port;
	const char *host = r->host->name;
	char shown[280];

	if (field.p && uri_parse_host(field, &name, &port) == 0 && name.n && name.n < 254)
		host = arena_strndup(r->arena, name.p, name.n);
	uint16_t number = addr_port(&c->client.local);
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
	if (result == HEAD_BAD) {
		refuse(h, r, h->head.status, h->head.reason);
		return;
	}
	r->keepalive = wants_keepalive(r);
	if (c->plain_on_tls) {
		answer_plain_on_tls(r);
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
static void refuse_body(struct h1 *h, unsigned status, const char *why)
{
	struct request *r = h->stream.request;

	log_infox(&h->c->client.about, LOG_HTTP, "BH0522", "request refused with %u: %s", status, why);
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
			refuse_body(h, 413, "its chunked body is longer than LimitRequestBody allows");
			return true;
		}
		if (!h->ended) {
			r->handler->body(r, data);
			return true;
		}
		h->discarded += data.n;
		if (h->discarded <= DISCARD_MAX)
			return true;
		break;
	case BODY_END:
		h->body_done = true;
		if (!h->ended)
			r->handler->body(r, (struct text){ 0 });
		return true;
	case BODY_MORE:
		return false;
	case BODY_BAD:
		refuse_body(h, 400, h->body.reason);
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
	struct request *r = h->stream.request;

	if (r->handler && r->handler->ended)
		r->handler->ended(r, how);
	close_file(h);
	h->busy = false;
	if (how == HANDLER_ABORTED) {
		write_log(h);
		output_flush(c);
		conn_break(c, "the response was cut short");
	} else if (h->closes || c->eof) {
		if (!h->body_done || c->server->in_at < c->server->in_n)
			c->lingers = true;
		conn_bye(c);
	} else {
		conn_state(c, CONN_HEAD);
		c->kept = true;
		c->head_began = 0;
		conn_deadline(c, c->settings->keepalive_timeout);
	}
	h->stream.request = NULL;
	h->stream.in_bytes = 0;
	arena_reset(h->arena);
}

/* ------------------------------------------------------------------------------------------------ driving */

/*
 * RequestReadTimeout: `low` ms from *began, more as bytes come at the least rate, with an upper bound where one is given.
 * low 0: Timeout alone counts, anew with each byte.
 */
static void allow_time(struct conn *c, int64_t *began, int64_t bytes, int64_t low, int64_t high, int64_t rate)
{
	int64_t now = loop_now(c->server->loop), limit = low;

	if (!*began)
		*began = now;
	if (!low) {
		conn_deadline(c, c->settings->timeout);
		return;
	}
	if (rate)
		limit += bytes * 1000 / rate;
	if (high && limit > high)
		limit = high;
	conn_deadline(c, *began + limit - now);
}

static void head_progress(struct conn *c)
{
	const struct conn_settings *set = c->settings;

	allow_time(c, &c->head_began, (int64_t)(c->server->in_n - c->server->in_at), set->read_header, set->read_header_max, set->read_header_rate);
}

static void body_progress(struct h1 *h)
{
	const struct conn_settings *set = h->c->settings;

	allow_time(h->c, &h->body_began, (int64_t)h->body.total, set->read_body, set->read_body_max, set->read_body_rate);
}

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

/* Reads a head. False: wait, or the connection is on its way out. */
static bool do_head(struct h1 *h)
{
	struct conn *c = h->c;
	struct conn_server *s = c->server;
	const struct head_limits limits = { (size_t)c->settings->limit_line, (size_t)c->settings->limit_field, (unsigned)c->settings->limit_fields };
	size_t used = 0;

	if (c->blocked || c->wire_left.n)
		return false;
	fields_init(&h->head.fields, h->arena);
	enum head_result result = s->in_n > s->in_at ? head_parse_request(s->in + s->in_at, s->in_n - s->in_at, &limits, &h->head, &used) : HEAD_MORE;
	if (result == HEAD_MORE && s->in_n - s->in_at == IN_SIZE) {
		result = HEAD_BAD;
		h->head.status = 431;
		h->head.reason = "its head is longer than 64 KiB";
	}
	if (result != HEAD_MORE) {
		/* The head's texts must outlive the buffer: a handler may wait, and other connections use it meanwhile. */
		size_t whole = result == HEAD_DONE ? used : s->in_n - s->in_at;
		char *copy = arena_memdup(h->arena, s->in + s->in_at, whole);

		if (!copy) {
			conn_break(c, "out of memory");
			return false;
		}
		move_head(&h->head, s->in + s->in_at, whole, copy);
		s->in_at += whole;
		h->stream.in_bytes = whole;
		start_request(h, result);
		return true;
	}
	arena_reset(h->arena);
	ssize_t got = input_more(c);
	if (got > 0) {
		head_progress(c);
		return true;
	}
	if (got == 0)
		conn_bye(c);            /* the client has said all */
	return false;
}

/* Goes on with a request. False: wait. */
static bool do_request(struct h1 *h)
{
	struct conn *c = h->c;
	struct conn_server *s = c->server;

	if (h->aborted) {
		next_request(h, HANDLER_ABORTED);
		return true;
	}
	if (h->ended && h->form != WIRE_NONE && !finish_response(h))
		return h->aborted;
	if (h->ended && h->form == WIRE_NONE && !h->logged)
		write_log(h);
	if (h->ended && (h->body_done || h->closes)) {
		next_request(h, HANDLER_DONE);
		return true;
	}
	if (!h->ended)
		pump_file(h);
	if (h->body_done || !(h->reading || h->ended))
		return h->ended;
	if (h->expects && h->reading && !h->started) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

		h->expects = false;
		if (s->in_at == s->in_n)
			output_must(c, go_on, sizeof go_on - 1);
	}
	if (s->in_n > s->in_at && feed_body(h))
		return true;
	ssize_t got = input_more(c);
	if (got == 0)
		h->aborted = true;      /* the body will never be whole */
	if (got > 0 || !h->body_began)
		body_progress(h);
	return got >= 0;
}

void h1_run(struct conn *c)
{
	struct h1 *h = c->h1;
	unsigned requests = c->client.requests;

	while (!c->gone && (c->state == CONN_HEAD || c->state == CONN_REQUEST)) {
		if (!(h->busy ? do_request(h) : do_head(h)))
			break;
		if (c->client.requests - requests >= TURN_REQUESTS && !h->busy) {
			c->again = c->server->in_n > c->server->in_at;
			if (c->again)
				break;
		}
	}
}

void h1_timeout(struct conn *c)
{
	struct h1 *h = c->h1;
	bool nothing_came = c->state == CONN_HEAD && c->server->in_n == c->server->in_at;

	if (c->state == CONN_HEAD && (nothing_came || c->plain_on_tls)) {
		conn_bye(c);
	} else if (c->state == CONN_HEAD) {
		struct request *r = request_new(h->arena);

		if (!r) {
			conn_break(c, NULL);
			return;
		}
		h->head = (struct request_head){ 0 };
		begin_request(h, r);
		c->server->in_at = c->server->in_n;
		refuse(h, r, 408, "its head did not come within the time of RequestReadTimeout or Timeout");
	} else if (h->busy && h->ended && h->form == WIRE_NONE && !output_pending(c)) {
		h->body_done = h->closes = c->lingers = true;   /* answered, but the body that nobody wanted never came */
	} else if (h->busy && !h->started && h->reading && !h->body_done) {
		h->body_done = true;
		refuse(h, h->stream.request, 408, "its body did not come within the time of RequestReadTimeout or Timeout");
	} else {
		log_infox(&c->client.about, LOG_HTTP, "BH0523", "the client took or gave no byte within Timeout (%lld s): the connection ends",
			  (long long)(c->settings->timeout / 1000));
		h->aborted = true;
	}
	h1_run(c);
}

void h1_end(struct conn *c)
{
	struct h1 *h = c->h1;

	if (!h)
		return;
	if (h->busy) {
		struct request *r = h->stream.request;

		h->aborted = true;
		if (r->handler && r->handler->ended)
			r->handler->ended(r, HANDLER_ABORTED);
		write_log(h);
	}
	close_file(h);
	arena_free(h->arena);
	free(h);
	c->h1 = NULL;
}

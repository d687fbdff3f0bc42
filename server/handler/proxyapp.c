/*
 * proxyapp.c - FastCGI, SCGI and uwsgi with application servers behind. Runs in the children.
 *
 *   (GATHER →) CONNECT → HEAD → BODY → over            request out, a program's head in (cgihead.h), then its body
 *                          └→ DRAIN → redirect         a Location without a page: the rest is dropped first
 *
 * These protocols want the body's length before its first byte. A body that comes in chunks is gathered first, up to GATHER_MOST;
 * others go out as they come. Each direction holds at most what one read brought.
 */
#include "handler/proxyapp.h"

#include <stdio.h>

#include "handler/cgi.h"
#include "handler/cgihead.h"
#include "handler/held.h"
#include "handler/proxy.h"
#include "handler/records.h"
#include "log/log.h"
#include "request/phases.h"
#include "request/response.h"

#define READ_SIZE 32768
#define GATHER_MOST (1024 * 1024)
#define LINE_MOST 2048                  /* of standard error in one line of the log */

enum protocol { FCGI, SCGI, UWSGI };
enum state { APP_GATHER, APP_CONNECT, APP_HEAD, APP_BODY, APP_DRAIN, APP_OVER };

struct app {
	struct proxy_try t;             /* first */
	struct request *r;
	enum protocol protocol;
	enum state state;
	struct held out;                /* for the server behind */
	struct held in;                 /* for the client */
	struct held gathered;           /* a body without a length */
	bool gathers;
	bool body_ended, body_used;
	bool deaf;                      /* the server behind reads no more */
	bool ended;                     /* its answer is whole */
	bool repeated;
	struct fcgi_reader reader;
	char *head;                     /* CGIHEAD_MOST bytes, while it is gathered */
	size_t head_n;
	const char *redirect;
	char line[LINE_MOST];           /* of standard error, so far */
	size_t line_n;
};

static char buffer[READ_SIZE];          /* of the turn at hand */

/* ------------------------------------------------------------------------------------------------ the end */

static void put_line(struct app *x)
{
	while (x->line_n && (x->line[x->line_n - 1] == '\r' || x->line[x->line_n - 1] == '\n'))
		x->line_n--;
	if (x->line_n)
		log_errorx(&x->r->client->about, LOG_PROXY, "BH0760", "%.*s: said by %s for %s", (int)x->line_n, x->line, x->t.worker->name, x->r->path);
	x->line_n = 0;
}

static void complaint(struct app *x, struct text t)
{
	for (size_t i = 0; i < t.n; i++) {
		if (t.p[i] != '\n')
			x->line[x->line_n++] = t.p[i];
		if (t.p[i] == '\n' || x->line_n == sizeof x->line)
			put_line(x);
	}
}

static void release(struct app *x, bool reusable)
{
	if (x->state == APP_OVER)
		return;
	x->state = APP_OVER;
	put_line(x);
	proxy_done(&x->t, reusable);
	held_free(&x->out);
	held_free(&x->in);
	held_free(&x->gathered);
	free(x->head);
	x->head = NULL;
}

static void fail(struct app *x, unsigned status)
{
	struct request *r = x->r;

	if (!x->body_ended)
		r->keepalive = false;
	release(x, false);
	if (r->head_sent)
		stream_abort(r->stream, "the answer of the server behind is not whole");
	else
		response_error(r, status);
}

static void bad_answer(struct app *x, const char *why)
{
	log_errorx(&x->r->client->about, LOG_PROXY, "BH0761", "%s: the answer of %s cannot be passed on: %s%s", x->r->path, x->t.worker->name, why,
		   x->r->head_sent ? "; what the client has of it is cut off" : "; answered with 502");
	fail(x, 502);
}

static bool reusable(const struct app *x)
{
	return x->protocol == FCGI && x->ended && x->body_ended && !x->out.p && !x->deaf && x->t.worker->reuse == PROXY_KEEP_ALWAYS;
}

/* All of the answer has come. */
static void finish(struct app *x)
{
	struct request *r = x->r;
	const char *redirect = x->redirect;

	if (x->in.p)                            /* writable() comes back here */
		return;
	release(x, reusable(x));
	if (!redirect)
		stream_end(r->stream);
	else if (*redirect == '/')
		phases_redirect(r, redirect, r->status);
	else
		response_redirect(r, 302, redirect);
}

static void answer_ended(struct app *x)
{
	x->ended = true;
	if (x->state == APP_HEAD)
		bad_answer(x, x->head_n ? "it ends within its head (lines of \"Name: value\", then an empty one)" : "there is nothing in it");
	else
		finish(x);
}

static void connection_ended(struct app *x)
{
	if (x->state == APP_HEAD && x->t.u.reused && !x->repeated && !x->head_n && !x->body_used) {
		x->repeated = true;
		x->state = APP_CONNECT;
		held_free(&x->out);
		proxy_retry(&x->t);
	} else if (x->protocol != FCGI && x->state != APP_HEAD) {
		answer_ended(x);
	} else if (!x->ended) {
		bad_answer(x, "it closed the connection before the end of its answer");
	}
}

/* ------------------------------------------------------------------------------------------------ who is waited for */

static void pace(struct app *x)
{
	bool client_slow = x->in.p, client_writes = x->state == APP_HEAD && !x->body_ended && !x->out.p && !x->deaf;

	if (x->state == APP_OVER || x->state == APP_CONNECT || x->state == APP_GATHER)
		return;
	chan_want(x->t.u.chan, (client_slow || x->ended ? 0 : CHAN_READ) | (x->out.p && !x->deaf ? CHAN_WRITE : 0));
	chan_deadline(x->t.u.chan, client_slow || client_writes || x->ended ? CHAN_NEVER : proxy_timeout(x->r, x->t.worker));
}

/* ------------------------------------------------------------------------------------------------ the request */

static void stop_sending(struct app *x)
{
	x->deaf = true;
	held_free(&x->out);
	if (!x->body_ended)
		stream_read(x->r->stream, true);
}

static bool flush(struct app *x)
{
	while (x->out.p) {
		ssize_t took = chan_write(x->t.u.chan, x->out.p + x->out.at, x->out.n - x->out.at);

		if (took == CHAN_BROKEN)
			stop_sending(x);
		if (took < 0)
			return false;
		upstream_traffic(x->t.worker, (uint64_t)took);
		x->out.at += (size_t)took;
		if (x->out.at == x->out.n)
			held_free(&x->out);
	}
	return true;
}

/* Body bytes in the protocol's form; an absent text is their end. 0 or -1. */
static int send_body(struct app *x, struct text data)
{
	unsigned char head[FCGI_HEAD];
	int rc = 0;

	if (x->protocol != FCGI)
		return held_add(&x->out, data.p, data.n);
	if (!data.p) {
		fcgi_stdin(head, 0);
		return held_add(&x->out, (char *)head, sizeof head);
	}
	while (data.n && rc == 0) {
		size_t part = data.n < FCGI_CONTENT ? data.n : FCGI_CONTENT;

		fcgi_stdin(head, part);
		rc = held_add(&x->out, (char *)head, sizeof head) | held_add(&x->out, data.p, part);
		data = (struct text){ data.p + part, data.n - part };
	}
	return rc;
}

static void gather(struct app *x, struct text data)
{
	if (data.p && x->gathered.n + data.n > GATHER_MOST) {
		log_errorx(&x->r->client->about, LOG_PROXY, "BH0762", "%s answered with 411: its body comes in chunks and has more than %d bytes; FastCGI and its like want a length, "
			   "which the client has to send then", x->r->path, GATHER_MOST);
		x->state = APP_OVER;
		x->r->keepalive = false;
		held_free(&x->gathered);
		response_error(x->r, 411);
		return;
	}
	if (data.p && held_add(&x->gathered, data.p, data.n) < 0) {
		fail(x, 503);
		return;
	}
	if (!data.p) {
		x->state = APP_CONNECT;
		proxy_connect(&x->t);
	}
}

static void body(struct request *r, struct text data)
{
	struct app *x = r->handler_data;

	x->body_ended |= !data.p;
	x->body_used |= data.p != NULL;
	if (x->state == APP_GATHER) {
		gather(x, data);
		return;
	}
	if (x->state == APP_OVER || x->deaf || x->gathers)
		return;
	if (send_body(x, data) < 0) {
		fail(x, 503);
		return;
	}
	flush(x);
	if (x->out.p && !x->body_ended)
		stream_read(r->stream, false);
	pace(x);
}

/* ------------------------------------------------------------------------------------------------ the answer */

/* Bytes for the client. False: over. */
static bool put(struct app *x, const char *p, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };
	ssize_t took = x->in.p || !n ? 0 : x->r->no_body ? (ssize_t)n : stream_write(x->r->stream, &iov, 1);

	if (took < 0) {
		release(x, false);
		return false;
	}
	if (held_add(&x->in, p + took, n - (size_t)took) < 0) {
		fail(x, 503);
		return false;
	}
	return true;
}

static void override(struct app *x, unsigned status)
{
	struct request *r = x->r;

	release(x, false);
	response_error(r, status);
}

/* The head is whole. True: its body may follow. */
static bool take_head(struct app *x, size_t n)
{
	struct request *r = x->r;
	struct cgihead h;
	int rc;

	if (cgihead_parse(r->arena, x->head, n, x->protocol == UWSGI, &h) != CGIHEAD_DONE) {
		bad_answer(x, arena_printf(r->arena, "%s: \"%s\"", h.why, h.line ? h.line : ""));
		return false;
	}
	if (h.location && (!h.status || h.status == 200)) {
		for (unsigned i = 0; i < h.fields.n; i++)
			fields_add(&r->always, h.fields.at[i].name, h.fields.at[i].value);
		x->redirect = h.location;
		x->state = APP_DRAIN;
		return true;
	}
	if (h.status && proxy_overrides(r, h.status)) {
		override(x, h.status);
		return false;
	}
	if (cgi_take_head(r, &h) < 0) {
		fail(x, 503);
		return false;
	}
	if (!x->body_ended)                     /* the head promises a connection that stays open only if the body will be read */
		stream_read(r->stream, true);
	rc = response_start(r);
	if (rc == 0 && !x->body_ended)
		stream_read(r->stream, !x->out.p);
	if (rc != 0) {
		release(x, false);
		return false;
	}
	x->state = APP_BODY;
	return true;
}

static void take_output(struct app *x, const char *p, size_t n)
{
	size_t seen = x->head_n, part = n < CGIHEAD_MOST - seen ? n : CGIHEAD_MOST - seen, end;

	if (x->state == APP_DRAIN || !n)
		return;
	if (x->state == APP_BODY) {
		put(x, p, n);
		return;
	}
	if (!x->head && !(x->head = malloc(CGIHEAD_MOST))) {
		fail(x, 503);
		return;
	}
	memcpy(x->head + seen, p, part);
	x->head_n += part;
	end = cgihead_end(x->head, x->head_n, seen);
	if (!end && x->head_n == CGIHEAD_MOST) {
		bad_answer(x, "its head is longer than 64 KiB, or no empty line stands behind it");
		return;
	}
	if (!end || !take_head(x, end) || x->state != APP_BODY)
		return;
	if (put(x, x->head + end, x->head_n - end) && part < n)
		put(x, p + part, n - part);
}

static void take_records(struct app *x, const char *p, size_t n)
{
	while (x->state != APP_OVER && !x->ended) {
		struct text data;
		size_t used;

		switch (fcgi_read(&x->reader, p, n, &used, &data)) {
		case FCGI_MORE:
			return;
		case FCGI_STDOUT:
			take_output(x, data.p, data.n);
			break;
		case FCGI_STDERR:
			complaint(x, data);
			break;
		case FCGI_END:
			if (x->reader.refused)
				bad_answer(x, x->reader.refused == 2 ? "it says that it is overloaded" : "it refuses the request (FastCGI, END_REQUEST)");
			else
				answer_ended(x);
			return;
		case FCGI_BAD:
			bad_answer(x, arena_printf(x->r->arena, "it is no FastCGI: %s", x->reader.why));
			return;
		}
		p += used;
		n -= used;
	}
}

static void writable(struct request *r)
{
	struct app *x = r->handler_data;
	struct iovec iov;
	ssize_t took;

	if (x->state != APP_BODY || !x->in.p)
		return;
	iov = (struct iovec){ x->in.p + x->in.at, x->in.n - x->in.at };
	took = stream_write(r->stream, &iov, 1);
	if (took < 0) {
		release(x, false);
		return;
	}
	x->in.at += (size_t)took;
	if (x->in.at < x->in.n)
		return;
	held_free(&x->in);
	if (x->ended)
		finish(x);
	else
		pace(x);
}

/* ------------------------------------------------------------------------------------------------ events */

static void too_late(struct app *x)
{
	log_errorx(&x->r->client->about, LOG_PROXY, "BH0763", "%s: %s gave and took nothing within its time (timeout=, ProxyTimeout or Timeout)%s", x->r->path, x->t.worker->name,
		   x->r->head_sent ? ": the answer is cut off" : ": answered with 504");
	fail(x, 504);
}

static void event(struct chan *chan, unsigned events)
{
	struct app *x = chan->ctx;
	ssize_t got = CHAN_AGAIN;

	if (events & CHAN_LATE && !(events & (CHAN_READ | CHAN_WRITE))) {
		too_late(x);
		return;
	}
	if (events & CHAN_WRITE && x->out.p && flush(x) && !x->body_ended && !x->deaf)
		stream_read(x->r->stream, true);
	if (events & CHAN_READ && x->state != APP_OVER && !x->ended)
		got = chan_read(x->t.u.chan, buffer, sizeof buffer);
	if (got > 0) {
		upstream_traffic(x->t.worker, (uint64_t)got);
		if (x->protocol == FCGI)
			take_records(x, buffer, (size_t)got);
		else
			take_output(x, buffer, (size_t)got);
	} else if (got != CHAN_AGAIN) {
		connection_ended(x);
	}
	pace(x);
}

/* What goes out first: the variables in the protocol's form. Absent: no memory, or too much. */
static struct text request_head(struct app *x)
{
	struct request *r = x->r;
	const struct proxy_worker *w = x->t.worker;
	const char *path = proxy_path(&x->t, true);
	uint64_t length = x->gathers ? x->gathered.n : r->has_body ? r->body_length : 0;
	struct fields variables;
	char number[24];
	bool too_long;

	fields_init(&variables, r->arena);
	if (!path || proxyapp_variables(r, w->scheme, w->authority, path, &variables) < 0)
		return (struct text){ 0 };
	snprintf(number, sizeof number, "%llu", (unsigned long long)length);
	if (r->has_body && fields_set(&variables, "CONTENT_LENGTH", number) < 0)
		return (struct text){ 0 };
	switch (x->protocol) {
	case FCGI:
		return fcgi_request(r->arena, &variables, w->reuse == PROXY_KEEP_ALWAYS);
	case SCGI:
		return scgi_request(r->arena, &variables, length);
	default:
		return uwsgi_request(r->arena, &variables, &too_long);
	}
}

static void ready(struct proxy_try *t)
{
	struct app *x = t->ctx;
	struct text head = request_head(x);
	int rc;

	x->state = APP_HEAD;
	x->head_n = 0;
	x->reader = (struct fcgi_reader){ .have = 0 };
	rc = head.p ? held_add(&x->out, head.p, head.n) : -1;
	if (rc == 0 && x->gathered.n)
		rc = send_body(x, (struct text){ x->gathered.p, x->gathered.n });
	if (rc == 0 && x->body_ended)
		rc = send_body(x, (struct text){ 0 });
	if (rc < 0) {
		fail(x, 500);
		return;
	}
	t->u.chan->event = event;
	t->u.chan->ctx = x;
	flush(x);
	if (!x->body_ended && !x->deaf)
		stream_read(x->r->stream, !x->out.p);
	pace(x);
}

static void gone(struct proxy_try *t)
{
	struct app *x = t->ctx;

	if (!x->body_ended)
		x->r->keepalive = false;
	release(x, false);
}

static void begin(struct request *r, enum protocol protocol)
{
	struct app *x = arena_zalloc(r->arena, sizeof *x);

	request_close(r);
	if (!x) {
		response_error(r, 503);
		return;
	}
	r->handler_data = x;
	x->r = r;
	x->protocol = protocol;
	x->body_ended = !r->has_body;
	x->gathers = r->has_body && (r->body_length == UINT64_MAX || r->stream->input);
	x->t = (struct proxy_try){ .r = r, .ready = ready, .failed = gone, .ctx = x };
	x->state = x->gathers ? APP_GATHER : APP_CONNECT;
	if (x->gathers)
		stream_read(r->stream, true);
	else
		proxy_connect(&x->t);
}

static void over(struct request *r, enum handler_end how)
{
	struct app *x = r->handler_data;

	(void)how;
	if (x)
		release(x, false);
}

static void start_fcgi(struct request *r) { begin(r, FCGI); }
static void start_scgi(struct request *r) { begin(r, SCGI); }
static void start_uwsgi(struct request *r) { begin(r, UWSGI); }

const struct handler fcgi_handler = { .name = "proxy-fcgi", .start = start_fcgi, .body = body, .writable = writable, .ended = over };
const struct handler scgi_handler = { .name = "proxy-scgi", .start = start_scgi, .body = body, .writable = writable, .ended = over };
const struct handler uwsgi_handler = { .name = "proxy-uwsgi", .start = start_uwsgi, .body = body, .writable = writable, .ended = over };

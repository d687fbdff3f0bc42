/*
 * proxyapp.c - FastCGI, SCGI and uwsgi with application servers behind: requests and answers in their form. The rest is exchange.c's. Runs in
 * the children.
 *
 * The answer is that of a program (cgihead.h). A Location without a page leads on, once the rest has been read and dropped.
 * These protocols want the body's length before its first byte. A body that comes in chunks is gathered first, up to GATHER_MOST;
 * others go out as they come.
 */
#include "handler/proxyapp.h"

#include <stdio.h>

#include "handler/cgi.h"
#include "handler/cgihead.h"
#include "handler/exchange.h"
#include "handler/records.h"
#include "log/log.h"
#include "request/phases.h"
#include "request/response.h"

#define GATHER_MOST (1024 * 1024)
#define LINE_MOST 2048                  /* of standard error in one line of the log */

enum protocol { FCGI, SCGI, UWSGI };

struct app {
	struct exchange x;              /* first */
	enum protocol protocol;
	struct held gathered;           /* a body without a length */
	bool gathers;
	struct fcgi_reader reader;
	const char *redirect;
	char line[LINE_MOST];           /* of standard error, so far */
	size_t line_n;
};

static struct app *app_of(struct exchange *x)
{
	return (struct app *)(void *)x;
}

/* ------------------------------------------------------------------------------------------------ the end */

static void put_line(struct app *a)
{
	while (a->line_n && (a->line[a->line_n - 1] == '\r' || a->line[a->line_n - 1] == '\n'))
		a->line_n--;
	if (a->line_n)
		log_errorx(&a->x.r->client->about, LOG_PROXY, "BH0760", "%.*s: said by %s for %s", (int)a->line_n, a->line, a->x.t.worker->name, a->x.r->path);
	a->line_n = 0;
}

static void complaint(struct app *a, struct text t)
{
	for (size_t i = 0; i < t.n; i++) {
		if (t.p[i] != '\n')
			a->line[a->line_n++] = t.p[i];
		if (t.p[i] == '\n' || a->line_n == sizeof a->line)
			put_line(a);
	}
}

static void release(struct exchange *x)
{
	put_line(app_of(x));
	held_free(&app_of(x)->gathered);
}

static bool reusable(const struct app *a)
{
	const struct exchange *x = &a->x;

	return a->protocol == FCGI && x->ended && x->body_ended && !x->out.p && !x->deaf && x->t.worker->reuse == PROXY_KEEP_ALWAYS;
}

/* All of the answer has come. */
static void finish(struct app *a)
{
	struct exchange *x = &a->x;
	struct request *r = x->r;

	if (x->in.p)                            /* writable() comes back here */
		return;
	exchange_release(x, reusable(a));
	if (!a->redirect)
		stream_end(r->stream);
	else if (*a->redirect == '/' && proxyapp_leads_on(r, x->t.worker->scheme))
		phases_redirect(r, a->redirect, r->status);
	else
		response_redirect(r, 302, a->redirect);
}

static void answer_ended(struct app *a)
{
	struct exchange *x = &a->x;

	x->ended = true;
	if (x->state == EXCHANGE_HEAD)
		exchange_bad(x, x->head_n ? "it ends within its head (lines of \"Name: value\", then an empty one)" : "there is nothing in it");
	else
		finish(a);
}

static void closed(struct exchange *x)
{
	struct app *a = app_of(x);

	if (exchange_repeat(x))
		return;
	if (a->protocol != FCGI && x->state != EXCHANGE_HEAD)
		answer_ended(a);
	else
		exchange_bad(x, "it closed the connection before the end of its answer");
}

/* ------------------------------------------------------------------------------------------------ the request */

/* Body bytes in the protocol's form; an absent text is their end. 0 or -1. */
static int add_body(struct app *a, struct text data)
{
	unsigned char head[FCGI_HEAD];
	struct held *out = &a->x.out;
	int rc = 0;

	if (a->protocol != FCGI)
		return held_add(out, data.p, data.n);
	if (!data.p) {
		fcgi_stdin(head, 0);
		return held_add(out, (char *)head, sizeof head);
	}
	while (data.n && rc == 0) {
		size_t part = data.n < FCGI_CONTENT ? data.n : FCGI_CONTENT;

		fcgi_stdin(head, part);
		rc = held_add(out, (char *)head, sizeof head) | held_add(out, data.p, part);
		data = (struct text){ data.p + part, data.n - part };
	}
	return rc;
}

static int send_part(struct exchange *x, struct text data)
{
	if (add_body(app_of(x), data) < 0)
		return -1;
	exchange_flush(x);
	return 0;
}

static void gather(struct app *a, struct text data)
{
	struct exchange *x = &a->x;

	if (data.p && a->gathered.n + data.n > GATHER_MOST) {
		log_errorx(&x->r->client->about, LOG_PROXY, "BH0762", "%s answered with 411: its body comes in chunks and has more than %d bytes; FastCGI and its like want a length, "
			   "which the client has to send then", x->r->path, GATHER_MOST);
		exchange_fail(x, 411);
	} else if (data.p && held_add(&a->gathered, data.p, data.n) < 0) {
		exchange_fail(x, 503);
	} else if (!data.p) {
		x->body_ended = true;
		exchange_connect(x);
	}
}

static void body(struct request *r, struct text data)
{
	struct app *a = r->handler_data;

	if (a->x.state == EXCHANGE_GATHER)
		gather(a, data);
	else if (!a->gathers)
		exchange_body(r, data);
}

/* ------------------------------------------------------------------------------------------------ the answer */

/* The head is whole. True: its body may follow. */
static bool take_head(struct app *a, size_t n)
{
	struct exchange *x = &a->x;
	struct request *r = x->r;
	struct cgihead h;

	if (cgihead_parse(r->arena, x->head, n, a->protocol == UWSGI, &h) != CGIHEAD_DONE) {
		exchange_bad(x, arena_printf(r->arena, "%s: \"%s\"", h.why, h.line ? h.line : ""));
		return false;
	}
	exchange_note_status(x, h.status ? h.status : 200);
	if (h.location && (!h.status || h.status == 200)) {
		for (unsigned i = 0; i < h.fields.n; i++)
			fields_add(&r->always, h.fields.at[i].name, h.fields.at[i].value);
		a->redirect = h.location;
		x->state = EXCHANGE_DRAIN;
		return true;
	}
	if (h.status && proxy_overrides(r, h.status)) {
		exchange_override(x, h.status, &h.fields, false);
		return false;
	}
	if (cgi_take_head(r, &h) < 0) {
		exchange_fail(x, 503);
		return false;
	}
	return exchange_answer(x);
}

static void take_output(struct app *a, const char *p, size_t n)
{
	struct exchange *x = &a->x;
	size_t seen = x->head_n, part = n < CGIHEAD_MOST - seen ? n : CGIHEAD_MOST - seen, end;

	if (x->state == EXCHANGE_DRAIN || !n)
		return;
	if (x->state == EXCHANGE_BODY) {
		exchange_put(x, p, n);
		return;
	}
	if (!x->head && !(x->head = malloc(CGIHEAD_MOST))) {
		exchange_fail(x, 503);
		return;
	}
	memcpy(x->head + seen, p, part);
	x->head_n += part;
	end = cgihead_end(x->head, x->head_n, seen);
	if (!end && x->head_n == CGIHEAD_MOST) {
		exchange_bad(x, "its head is longer than 64 KiB, or no empty line stands behind it");
		return;
	}
	if (!end || !take_head(a, end) || x->state != EXCHANGE_BODY)
		return;
	if (exchange_put(x, x->head + end, x->head_n - end) && part < n)
		exchange_put(x, p + part, n - part);
}

static void take_records(struct app *a, const char *p, size_t n)
{
	struct exchange *x = &a->x;

	while (x->state != EXCHANGE_OVER && !x->ended) {
		struct text data;
		size_t used;

		switch (fcgi_read(&a->reader, p, n, &used, &data)) {
		case FCGI_MORE:
			return;
		case FCGI_STDOUT:
			take_output(a, data.p, data.n);
			break;
		case FCGI_STDERR:
			complaint(a, data);
			break;
		case FCGI_END:
			if (a->reader.refused)
				exchange_bad(x, a->reader.refused == 2 ? "it says that it is overloaded" : "it refuses the request (FastCGI, END_REQUEST)");
			else
				answer_ended(a);
			return;
		case FCGI_BAD:
			exchange_bad(x, arena_printf(x->r->arena, "it is no FastCGI: %s", a->reader.why));
			return;
		}
		p += used;
		n -= used;
	}
}

static void take(struct exchange *x, const char *p, size_t n)
{
	if (app_of(x)->protocol == FCGI)
		take_records(app_of(x), p, n);
	else
		take_output(app_of(x), p, n);
}

static void writable(struct request *r)
{
	struct exchange *x = r->handler_data;

	if (x->state != EXCHANGE_BODY || !x->in.p || !exchange_drain(x))
		return;
	if (x->ended)
		finish(app_of(x));
	else
		exchange_pace(x);
}

/* ------------------------------------------------------------------------------------------------ the beginning */

/* What goes out first: the variables in the protocol's form. Absent: no memory, or too much. */
static struct text request_head(struct app *a)
{
	struct request *r = a->x.r;
	const struct proxy_worker *w = a->x.t.worker;
	const char *path = proxy_path(&a->x.t, true);
	uint64_t length = a->gathers ? a->gathered.n : r->has_body ? r->body_length : 0;
	struct fields variables;
	char number[24];
	bool too_long;

	fields_init(&variables, r->arena);
	if (!path || proxyapp_variables(r, w->scheme, w->authority, path, &variables) < 0)
		return (struct text){ 0 };
	snprintf(number, sizeof number, "%llu", (unsigned long long)length);
	if (r->has_body && fields_set(&variables, "CONTENT_LENGTH", number) < 0)
		return (struct text){ 0 };
	switch (a->protocol) {
	case FCGI:
		return fcgi_request(r->arena, &variables, w->reuse == PROXY_KEEP_ALWAYS);
	case SCGI:
		return scgi_request(r->arena, &variables, length);
	default:
		return uwsgi_request(r->arena, &variables, &too_long);
	}
}

static void ready(struct exchange *x)
{
	struct app *a = app_of(x);
	struct text head = request_head(a);
	int rc = head.p ? held_add(&x->out, head.p, head.n) : -1;

	a->reader = (struct fcgi_reader){ .have = 0 };
	if (rc == 0 && a->gathered.n)
		rc = add_body(a, (struct text){ a->gathered.p, a->gathered.n });
	if (rc == 0 && x->body_ended)
		rc = add_body(a, (struct text){ 0 });
	if (rc < 0)
		exchange_fail(x, 500);
	else
		exchange_go(x);
}

static void begin(struct request *r, enum protocol protocol)
{
	static const struct exchange_ops ops = { .ready = ready, .send = send_part, .take = take, .closed = closed, .release = release };
	struct app *a = (struct app *)(void *)exchange_new(r, sizeof *a, &ops);

	if (!a)
		return;
	a->protocol = protocol;
	a->gathers = r->has_body && (r->body_length == UINT64_MAX || r->stream->input);
	a->x.state = EXCHANGE_GATHER;
	if (a->gathers)
		stream_read(r->stream, true);
	else
		exchange_connect(&a->x);
}

static void start_fcgi(struct request *r) { begin(r, FCGI); }
static void start_scgi(struct request *r) { begin(r, SCGI); }
static void start_uwsgi(struct request *r) { begin(r, UWSGI); }

#define HANDLER(label, function) { .name = (label), .start = (function), .body = body, .writable = writable, .ended = exchange_over }

const struct handler fcgi_handler = HANDLER("proxy-fcgi", start_fcgi);
const struct handler scgi_handler = HANDLER("proxy-scgi", start_scgi);
const struct handler uwsgi_handler = HANDLER("proxy-uwsgi", start_uwsgi);

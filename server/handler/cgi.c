/*
 * cgi.c - the handler "cgi-script": a program for each request, started by the spawner. Runs in the children.
 *
 *   CHECK → HEAD → BODY → over            the answer: head gathered, then handed on as it comes
 *             └→ DRAIN → redirect         a Location without a page: what the program still says is dropped first
 *             └→ WHY → 500                its output ended within the head: how it ended is waited for, shortly
 *
 * The request's body goes the other way at the same time. Each direction holds at most one buffer: while the client takes no
 * more, the program's output is not read; while the program takes no more, the body is not read.
 */
#include "handler/cgi.h"

#include <stdlib.h>
#include <string.h>

#include "handler/cgienv.h"
#include "handler/cgihead.h"
#include "handler/cgilog.h"
#include "handler/cgiwhy.h"
#include "handler/held.h"
#include "handler/spawn.h"
#include "log/log.h"
#include "request/core.h"
#include "request/env.h"
#include "request/phases.h"
#include "request/response.h"

#define READ_SIZE 32768

enum state { CGI_HEAD, CGI_BODY, CGI_DRAIN, CGI_WHY, CGI_OVER };

struct cgi {
	struct request *r;
	struct spawned program;
	enum state state;
	bool nph;
	bool gone;                      /* spawn_over was said */
	bool ended;                     /* `status` tells how */
	int status;
	bool body_ended;                /* all of the request's body has come */
	struct held in;                 /* of it, what the program has not taken */
	struct held out;                /* of the answer's body, what the client has not taken */
	char *head;                     /* CGIHEAD_MOST bytes, while it is gathered */
	size_t head_n;
	const char *redirect;           /* CGI_DRAIN: where to */
	struct cgilog log;              /* its standard error */
};

static char buffer[READ_SIZE];          /* of the turn at hand */

/* ------------------------------------------------------------------------------------------------ the end */

/* Lets go of the program: its pipes, and itself. */
static void release(struct cgi *c, bool kill)
{
	if (c->gone)
		return;
	c->gone = true;
	c->state = CGI_OVER;
	chan_close(c->program.in);
	chan_close(c->program.out);
	chan_close(c->program.err);
	c->program.in = c->program.out = c->program.err = NULL;
	spawn_over(c->r, &c->program, kill);
	held_free(&c->in);
	held_free(&c->out);
	free(c->head);
	c->head = NULL;
}

/* Before the head: a page. Behind it: the answer is cut short. */
static void fail(struct cgi *c, unsigned status)
{
	struct request *r = c->r;

	cgilog_rest(&c->log, c->program.err);
	release(c, true);
	if (r->head_sent)
		stream_abort(r->stream, "its program failed");
	else
		response_error(r, status);
}

/* What it wrote is no answer. */
static void bad_answer(struct cgi *c)
{
	cgilog_rest(&c->log, c->program.err);
	cgilog_bad_head(&c->log, 500, (struct text){ c->head, c->head_n });
	fail(c, 500);
}

static void too_short(struct cgi *c)
{
	log_errorx(&c->r->client->about, LOG_CGI, "BH0665", "premature end of script headers: %s wrote %zu bytes and no empty line behind its head%s%s",
		   c->r->filename, c->head_n, cgi_end_words(c->r, c->ended, c->status),
		   c->head_n ? "" : "; run it by hand as the server's user, it must print \"Content-Type: …\" and an empty line first");
	bad_answer(c);
}

static void too_late(struct cgi *c)
{
	log_errorx(&c->r->client->about, LOG_CGI, "BH0667",
		   "timeout waiting for output from %s: it gave and took nothing in that time and is ended; CGIScriptTimeout or Timeout make it longer",
		   c->r->filename);
	c->r->keepalive = false;
	fail(c, 504);
}

/* ------------------------------------------------------------------------------------------------ time */

/* Silence counts only where it is the program's: not while the client is waited for. */
static void go_on_reading(struct cgi *c);

static void pace(struct cgi *c)
{
	bool client_reads = !c->out.p, client_writes = c->r->has_body && !c->body_ended && !c->in.p;

	if (c->state == CGI_OVER || c->state == CGI_WHY)
		return;
	go_on_reading(c);
	chan_deadline(c->program.out, client_reads && !(client_writes && c->state == CGI_HEAD) ? cgi_timeout(c->r) : CHAN_NEVER);
}

/* ------------------------------------------------------------------------------------------------ the answer */

/*
 * The answer is not begun while the request's body still comes and is taken: so that a body that breaks off, or is too long,
 * still has its own status. A program that takes no more may wait for its output to be read, and one that has ended takes nothing.
 */
static void go_on_reading(struct cgi *c)
{
	bool body_first = c->state == CGI_HEAD && c->program.in && !c->ended && !c->body_ended && !c->in.p;

	if (c->state != CGI_OVER && c->state != CGI_WHY)
		chan_want(c->program.out, c->out.p || body_first ? 0 : CHAN_READ);
}

static void finish(struct cgi *c)
{
	struct request *r = c->r;

	cgilog_rest(&c->log, c->program.err);
	if (c->ended && c->status == -1) {
		release(c, true);
		stream_abort(r->stream, "the spawner died, and its program with it");
		return;
	}
	release(c, false);
	stream_end(r->stream);
}

static void redirect(struct cgi *c)
{
	struct request *r = c->r;
	const char *where = c->redirect;

	cgilog_rest(&c->log, c->program.err);
	release(c, false);
	if (*where == '/')
		phases_redirect(r, where, r->status);
	else
		response_redirect(r, 302, where);
}

/* Bytes of the answer's body. False: the client is gone, or all was said. */
static bool put_body(struct cgi *c, const char *p, size_t n)
{
	struct request *r = c->r;
	struct iovec iov = { (void *)(uintptr_t)p, n };
	ssize_t took = r->no_body && !r->raw ? (ssize_t)n : n ? stream_write(r->stream, &iov, 1) : 0;

	if (took < 0) {
		release(c, true);
		return false;
	}
	if ((size_t)took < n && held_add(&c->out, p + took, n - (size_t)took) < 0) {
		fail(c, 503);
		return false;
	}
	return true;
}

static int add(struct fields *f, const char *name, const char *value)
{
	return value ? fields_add(f, text_of(name), text_of(value)) : 0;
}

/* Its fields go into those of all statuses, as Apache's, so that they outlive an error page. */
int cgi_take_head(struct request *r, const struct cgihead *h)
{
	bool conditional = !h->status && r->status == 200 && (r->method_id == HTTP_GET || r->method_id == HTTP_HEAD);
	char date[HTTP_DATE];
	int rc = 0;

	for (unsigned i = 0; i < h->fields.n && rc == 0; i++)
		rc = fields_add(&r->always, h->fields.at[i].name, h->fields.at[i].value);
	r->type = h->type;
	r->charset = r->language = NULL;
	r->encoding = h->encoding;
	if (h->status) {
		r->status = h->status;
		r->reason = h->reason;
	}
	r->length = h->length;
	if (h->close)
		r->keepalive = false;
	rc |= add(&r->out, "Content-Range", h->range) | add(&r->out, "Location", h->location);
	if (conditional) {
		r->etag = h->etag;
		r->modified = h->modified;
	} else {
		rc |= add(&r->out, "ETag", h->etag);
		if (h->modified != -1)
			rc |= fields_add_copy(&r->out, "Last-Modified", http_date(h->modified, date));
	}
	return rc;
}

static void bad_head(struct cgi *c, const struct cgihead *h)
{
	log_errorx(&c->r->client->about, LOG_CGI, "BH0666", "malformed header from script %s: %s: \"%s\"; a head is lines of \"Name: value\", then an empty one",
		   c->r->filename, h->why, h->line ? h->line : "");
	bad_answer(c);
}

/* A Location and no Status. True: it is one, and under way. */
static bool leads_away(struct cgi *c, const struct cgihead *h)
{
	struct request *r = c->r;

	if (!h->location || (h->status && h->status != 200))
		return false;
	for (unsigned i = 0; i < h->fields.n; i++)
		fields_add(&r->always, h->fields.at[i].name, h->fields.at[i].value);
	c->redirect = h->location;
	c->state = CGI_DRAIN;
	stream_read(r->stream, false);
	held_free(&c->in);
	chan_close(c->program.in);
	c->program.in = NULL;
	return true;
}

/* The head is whole. True: go on with what stands behind it. */
static bool take_head(struct cgi *c, size_t n)
{
	struct request *r = c->r;
	struct cgihead h;
	int rc;

	if (cgihead_parse(r->arena, c->head, n, c->nph, &h) != CGIHEAD_DONE) {
		bad_head(c, &h);
		return false;
	}
	if (leads_away(c, &h))
		return true;
	if (cgi_take_head(r, &h) < 0) {
		fail(c, 503);
		return false;
	}
	/* The head promises a connection that stays open only if the body will be read: also where it waits now, not where it is dropped. */
	if (!c->body_ended)
		stream_read(r->stream, c->program.in != NULL);
	rc = response_start(r);
	if (rc == 0 && !c->body_ended)
		stream_read(r->stream, !c->in.p);
	if (rc != 0) {
		cgilog_rest(&c->log, c->program.err);
		release(c, rc < 0);
		return false;
	}
	c->state = CGI_BODY;
	return true;
}

/* nph-: the bytes go out as they come. The status in the first line is for the log. */
static bool take_raw(struct cgi *c)
{
	struct request *r = c->r;
	struct text line = { c->head, c->head_n }, word;
	uint64_t status;

	if (text_split(&line, ' ', &word) && text_starts(word, "HTTP/") && line.n >= 3 && text_u64((struct text){ line.p, 3 }, 999, &status) == 0)
		r->status = (unsigned)status;
	r->raw = true;
	r->keepalive = false;
	if (stream_head(r->stream) < 0) {
		release(c, true);
		return false;
	}
	c->state = CGI_BODY;
	return true;
}

static void gather(struct cgi *c, const char *p, size_t n)
{
	size_t seen = c->head_n, part = n < CGIHEAD_MOST - seen ? n : CGIHEAD_MOST - seen, end;
	char *head;

	memcpy(c->head + seen, p, part);
	c->head_n += part;
	if (c->nph && c->r->major < 2)
		end = memchr(c->head, '\n', c->head_n) || c->head_n == CGIHEAD_MOST ? c->head_n : 0;
	else
		end = cgihead_end(c->head, c->head_n, seen);
	if (!end && c->head_n == CGIHEAD_MOST) {
		log_errorx(&c->r->client->about, LOG_CGI, "BH0672", "the head that %s writes is longer than 64 KiB, or has no empty line behind it", c->r->filename);
		bad_answer(c);
		return;
	}
	if (!end || !(c->nph && c->r->major < 2 ? take_raw(c) : take_head(c, end)))
		return;
	head = c->head;
	c->head = NULL;
	if (c->state == CGI_BODY && (!c->r->raw ? put_body(c, head + end, c->head_n - end) : put_body(c, head, c->head_n)) && part < n && !c->out.p)
		put_body(c, p + part, n - part);
	else if (c->state == CGI_BODY && part < n) {    /* as much as one read, behind what is held already */
		if (held_add(&c->out, p + part, n - part) < 0)
			fail(c, 503);
	}
	free(head);
}

static void output_ended(struct cgi *c)
{
	switch (c->state) {
	case CGI_BODY:
		finish(c);
		return;
	case CGI_DRAIN:
		redirect(c);
		return;
	case CGI_HEAD:
		if (c->ended) {
			too_short(c);
			return;
		}
		c->state = CGI_WHY;
		chan_want(c->program.out, 0);
		chan_deadline(c->program.out, CGI_WHY_MS);
		return;
	case CGI_WHY: case CGI_OVER:
		return;
	}
}

static void output_event(struct chan *chan, unsigned events)
{
	struct cgi *c = chan->ctx;
	ssize_t got;

	if (events & CHAN_LATE && c->state == CGI_WHY) {
		too_short(c);
		return;
	}
	if (!(events & CHAN_READ)) {
		too_late(c);
		return;
	}
	got = chan_read(chan, buffer, sizeof buffer);
	if (got == CHAN_AGAIN)
		return;
	if (got <= 0) {
		output_ended(c);
		return;
	}
	if (c->state == CGI_HEAD)
		gather(c, buffer, (size_t)got);
	else if (c->state == CGI_BODY)
		put_body(c, buffer, (size_t)got);
	pace(c);
}

static void error_event(struct chan *chan, unsigned events)
{
	struct cgi *c = chan->ctx;

	(void)events;
	if (cgilog_read(&c->log, chan))
		return;
	chan_close(chan);
	c->program.err = NULL;
}

static void writable(struct request *r)
{
	struct cgi *c = r->handler_data;
	struct iovec iov;
	ssize_t took;

	if (c->state != CGI_BODY || !c->out.p)
		return;
	iov = (struct iovec){ c->out.p + c->out.at, c->out.n - c->out.at };
	took = stream_write(r->stream, &iov, 1);
	if (took < 0) {
		release(c, true);
		return;
	}
	c->out.at += (size_t)took;
	if (c->out.at == c->out.n)
		held_free(&c->out);
	pace(c);
}

/* ------------------------------------------------------------------------------------------------ the request's body */

/* A program that reads no more has what it wanted: the rest is read and dropped, so that the client comes to its answer. */
static void input_over(struct cgi *c)
{
	held_free(&c->in);
	chan_close(c->program.in);
	c->program.in = NULL;
	if (!c->body_ended)
		stream_read(c->r->stream, true);
}

/* How many bytes the program took; all, where it reads no more. */
static size_t give(struct cgi *c, const char *p, size_t n)
{
	ssize_t took = chan_write(c->program.in, p, n);

	if (took == CHAN_BROKEN) {
		input_over(c);
		return n;
	}
	return took < 0 ? 0 : (size_t)took;
}

static void body(struct request *r, struct text data)
{
	struct cgi *c = r->handler_data;
	size_t took;

	c->body_ended |= !data.p;
	if (!c->program.in)
		return;
	cgilog_body(&c->log, data);
	if (!data.p) {
		if (!c->in.p)
			input_over(c);
	} else if ((took = give(c, data.p, data.n)) < data.n) {
		if (held_add(&c->in, data.p + took, data.n - took) < 0) {
			fail(c, 503);
			return;
		}
		stream_read(r->stream, false);
		chan_want(c->program.in, CHAN_WRITE);
	}
	pace(c);
}

static void input_event(struct chan *chan, unsigned events)
{
	struct cgi *c = chan->ctx;

	(void)events;
	if (c->in.p) {
		size_t n = c->in.n - c->in.at, took = give(c, c->in.p + c->in.at, n);

		if (!c->program.in)
			return;
		c->in.at += took;
		if (took < n) {
			pace(c);
			return;
		}
		held_free(&c->in);
	}
	chan_want(chan, 0);
	if (c->body_ended)
		input_over(c);
	else
		stream_read(c->r->stream, true);
	pace(c);
}

/* ------------------------------------------------------------------------------------------------ its beginning and end */

static void failed(struct spawned *program, enum spawn_stage stage, int errnum)
{
	struct cgi *c = program->ctx;
	unsigned status = cgi_tell_not_run(c->r, stage, errnum);

	cgilog_rest(&c->log, c->program.err);
	fail(c, status);
}

static void ended(struct spawned *program, int status)
{
	struct cgi *c = program->ctx;

	c->ended = true;
	c->status = status;
	if (c->state == CGI_WHY || (status == -1 && c->state == CGI_HEAD))
		too_short(c);
	else if (status == -1)
		fail(c, 500);
	else
		pace(c);
}

static bool is_nph(const char *filename)
{
	const char *slash = strrchr(filename, '/');

	return strncmp(slash ? slash + 1 : filename, "nph-", 4) == 0;
}

static void watch(struct cgi *c)
{
	struct spawned *p = &c->program;

	p->in->event = input_event;
	p->out->event = output_event;
	p->err->event = error_event;
	p->in->ctx = p->out->ctx = p->err->ctx = c;
	chan_want(p->err, CHAN_READ);
	if (c->r->has_body)
		stream_read(c->r->stream, true);
	else
		input_over(c);
	pace(c);
}

static void start(struct request *r)
{
	struct cgi *c;
	struct spawn_spec spec;
	unsigned status = cgi_refuses(r);

	if (status) {
		response_error(r, status);
		return;
	}
	request_close(r);
	c = arena_zalloc(r->arena, sizeof *c);
	env_for_programs(r);
	spec = (struct spawn_spec){ .path = r->filename, .args = cgienv_words(r), .env = cgienv_strings(r), .limits = cgi_limits(r) };
	if (!c || !spec.args || !spec.env || !(c->head = malloc(CGIHEAD_MOST))) {
		response_error(r, 503);
		return;
	}
	c->r = r;
	c->nph = is_nph(r->filename);
	c->body_ended = !r->has_body;
	cgilog_begin(&c->log, r);
	c->program = (struct spawned){ .ctx = c, .failed = failed, .ended = ended };
	r->handler_data = c;
	if (spawn_program(r, &spec, &c->program) < 0) {
		log_errorx(&r->client->about, LOG_CGI, "BH0669",
			   "%s was not run: the process that starts programs (the spawner) is not there or has too much to do, or its variables are longer than 128 KiB",
			   r->filename);
		c->gone = true;
		c->state = CGI_OVER;
		free(c->head);
		c->head = NULL;
		response_error(r, 503);
		return;
	}
	watch(c);
}

static void over(struct request *r, enum handler_end how)
{
	struct cgi *c = r->handler_data;

	if (c)
		release(c, how == HANDLER_ABORTED);
}

const struct handler cgi_handler = { .name = "cgi-script", .start = start, .body = body, .writable = writable, .ended = over };

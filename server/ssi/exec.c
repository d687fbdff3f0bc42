/*
 * exec.c - the handler behind exec cmd: /bin/sh in the folder of the page, its output as it comes. Runs in the children; the spawner
 * starts it, and only below folders whose Options have Includes. Silence ends it as it ends CGI programs (CGIScriptTimeout).
 */
#include "ssi/page.h"

#include <string.h>

#include "handler/cgi.h"
#include "handler/cgienv.h"
#include "handler/spawn.h"
#include "log/log.h"
#include "request/handler.h"
#include "request/response.h"

#define LINE_MOST 1024

struct command {
	struct request *r;
	struct spawned program;
	bool gone, said, ended, waits;  /* waits: it said nothing, and how it ended is not known yet */
	char held[8192];                /* what the page has no room for yet */
	size_t at, n;
	char line[LINE_MOST];           /* of standard error, so far */
	size_t line_n;
};

static void release(struct command *c, bool kill)
{
	if (c->gone)
		return;
	c->gone = true;
	chan_close(c->program.in);
	chan_close(c->program.out);
	chan_close(c->program.err);
	c->program.in = c->program.out = c->program.err = NULL;
	spawn_over(c->r, &c->program, kill);
}

static void put_line(struct command *c)
{
	if (c->line_n)
		log_errorx(&c->r->client->about, LOG_CGI, "BH0738", "%.*s: said by a command of %s", (int)c->line_n, c->line, c->r->filename);
	c->line_n = 0;
}

static void error_event(struct chan *chan, unsigned events)
{
	struct command *c = chan->ctx;
	char part[1024];
	ssize_t got;

	(void)events;
	while ((got = chan_read(chan, part, sizeof part)) > 0)
		for (ssize_t i = 0; i < got; i++) {
			if (part[i] != '\n')
				c->line[c->line_n++] = part[i];
			if (part[i] == '\n' || c->line_n == sizeof c->line)
				put_line(c);
		}
	if (got == CHAN_AGAIN)
		return;
	put_line(c);
	chan_close(chan);
	c->program.err = NULL;
}

/* Reads only while the page takes what comes; its own silence alone counts. */
static void pace(struct command *c)
{
	bool full = c->at < c->n;

	if (c->gone)
		return;
	chan_want(c->program.out, full ? 0 : CHAN_READ);
	chan_deadline(c->program.out, full ? CHAN_NEVER : cgi_timeout(c->r));
}

static bool put(struct command *c)
{
	struct iovec iov = { c->held + c->at, c->n - c->at };
	ssize_t took = stream_write(c->r->stream, &iov, 1);

	if (took < 0) {
		release(c, true);
		return false;
	}
	c->at += (size_t)took;
	return c->at == c->n;
}

static void finish(struct command *c)
{
	if (c->program.err)
		error_event(c->program.err, CHAN_READ);
	put_line(c);
	release(c, false);
	stream_end(c->r->stream);
}

/* One that said nothing may not have begun at all. */
static void output_ended(struct command *c)
{
	if (c->said || c->ended) {
		finish(c);
		return;
	}
	c->waits = true;
	chan_want(c->program.out, 0);
	chan_deadline(c->program.out, CGI_WHY_MS);
}

static void output_event(struct chan *chan, unsigned events)
{
	struct command *c = chan->ctx;
	ssize_t got;

	if (c->waits) {
		finish(c);
		return;
	}
	if (!(events & CHAN_READ)) {
		log_errorx(&c->r->client->about, LOG_CGI, "BH0734", "a command of %s gave nothing within CGIScriptTimeout or Timeout, and is ended", c->r->filename);
		release(c, true);
		stream_abort(c->r->stream, "a command was silent for too long");
		return;
	}
	got = chan_read(chan, c->held, sizeof c->held);
	if (got == CHAN_AGAIN)
		return;
	if (got <= 0) {
		output_ended(c);
		return;
	}
	c->said = true;
	c->at = 0;
	c->n = (size_t)got;
	put(c);
	pace(c);
}

static void writable(struct request *r)
{
	struct command *c = r->handler_data;

	if (!c->gone && c->at < c->n && put(c))
		pace(c);
}

static void failed(struct spawned *program, enum spawn_stage stage, int errnum)
{
	struct command *c = program->ctx;

	log_errorx(&c->r->client->about, LOG_CGI, "BH0734", "a command of %s is not run: %s%s", c->r->filename,
		   stage == SPAWN_REFUSED ? "no section of the configuration itself gives Options Includes to the folder" :
		   stage == SPAWN_GONE ? "the process that starts programs (the spawner) died over it" :
		   stage == SPAWN_BUSY ? "too many programs run already, or memory ran out" :
		   stage == SPAWN_FOLDER ? "its folder cannot be entered: " : stage == SPAWN_LIMITS ? "RLimitCPU, RLimitMEM or RLimitNPROC cannot be set: " :
		   "/bin/sh cannot be executed: ", errnum ? strerrordesc_np(errnum) : "");
	release(c, true);
	response_error(c->r, 500);
}

static void ended(struct spawned *program, int status)
{
	struct command *c = program->ctx;

	c->ended = true;
	if (status == -1) {
		release(c, true);
		stream_abort(c->r->stream, "the spawner died, and a command with it");
	} else if (c->waits) {
		finish(c);
	}                                       /* else: what it has written may still be on its way */
}

static void start(struct request *r)
{
	const char *args[] = { "-c", r->handler_data, NULL };
	struct command *c = arena_zalloc(r->arena, sizeof *c);
	struct spawn_spec spec = { .path = r->filename, .shell = true, .args = args, .env = cgienv_strings(r), .limits = cgi_limits(r) };

	r->handler_data = c;
	if (!c || !spec.env) {
		response_error(r, 503);
		return;
	}
	c->r = r;
	c->program = (struct spawned){ .ctx = c, .failed = failed, .ended = ended };
	r->length = -1;
	if (spawn_program(r, &spec, &c->program) < 0) {
		log_errorx(&r->client->about, LOG_CGI, "BH0734",
			   "a command of %s is not run: the spawner is not there or has too much to do, or its variables are longer than 128 KiB", r->filename);
		c->gone = true;
		response_error(r, 503);
		return;
	}
	chan_close(c->program.in);
	c->program.in = NULL;
	c->program.out->event = output_event;
	c->program.err->event = error_event;
	c->program.out->ctx = c->program.err->ctx = c;
	chan_want(c->program.err, CHAN_READ);
	r->filtered = true;                     /* it is no page of its own */
	if (response_start(r) == 0)
		pace(c);
	else
		release(c, true);
}

static void over(struct request *r, enum handler_end how)
{
	struct command *c = r->handler_data;

	if (c)
		release(c, how == HANDLER_ABORTED);
}

const struct handler ssi_exec = { .name = "exec", .start = start, .writable = writable, .ended = over };

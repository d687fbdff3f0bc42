/*
 * exchange.c - a request and the server behind that answers it: both directions, waiting, ends; for HTTP (proxyhttp.c), FastCGI, SCGI and
 * uwsgi (proxyapp.c). Runs in the children.
 */
#include "handler/exchange.h"

#include "log/log.h"
#include "request/response.h"

#define READ_SIZE 32768
#define EXPECT_MS 1000                  /* how long a server behind has for its 100, before the body is sent all the same */

static char buffer[READ_SIZE];          /* of the turn at hand */

/* ------------------------------------------------------------------------------------------------ the end */

void exchange_release(struct exchange *x, bool reusable)
{
	if (x->state == EXCHANGE_OVER)
		return;
	x->state = EXCHANGE_OVER;
	if (x->ops->release)
		x->ops->release(x);
	proxy_done(&x->t, reusable);
	held_free(&x->out);
	held_free(&x->in);
	free(x->head);
	x->head = NULL;
}

void exchange_fail(struct exchange *x, unsigned status)
{
	struct request *r = x->r;

	if (x->state == EXCHANGE_OVER)
		return;
	if (!x->body_ended)
		r->keepalive = false;
	exchange_release(x, false);
	if (r->head_sent)
		stream_abort(r->stream, "the answer of the server behind is not whole");
	else
		response_error(r, status);
}

void exchange_bad(struct exchange *x, const char *why)
{
	log_errorx(&x->r->client->about, LOG_PROXY, "BH0750", "%s: the answer of %s cannot be passed on: %s%s", x->r->path, x->t.worker->name, why,
		   x->r->head_sent ? "; what the client has of it is cut off" : "; answered with 502");
	exchange_fail(x, 502);
}

static void too_late(struct exchange *x)
{
	const struct proxy_balancer *b = x->r->proxy->balancer;

	if (x->state == EXCHANGE_TUNNEL) {
		log_infox(&x->r->client->about, LOG_PROXY, "BH0915", "%s: nothing went through the tunnel to %s within its time (timeout=, ProxyTimeout or Timeout): it ends",
			  x->r->path, x->t.worker->name);
		exchange_release(x, false);
		stream_end(x->r->stream);
		return;
	}
	log_errorx(&x->r->client->about, LOG_PROXY, "BH0751", "%s: %s gave and took nothing within its time (timeout=, ProxyTimeout or Timeout)%s", x->r->path, x->t.worker->name,
		   x->r->head_sent ? ": the answer is cut off" : ": answered with 504");
	if (b && b->timeout_fails == 1)
		upstream_failed(x->t.worker);
	exchange_fail(x, 504);
}

static void no_sign(struct exchange *x)
{
	log_errorx(&x->r->client->about, LOG_PROXY, "BH0755", "%s answered with 503: %s did not say 100 Continue within ping=: it is left alone for retry= seconds", x->r->path,
		   x->t.worker->name);
	upstream_failed(x->t.worker);
	exchange_fail(x, 503);
}

/* Nothing has come, the connection was a kept one, and once is as good as twice. */
static bool repeatable(const struct exchange *x)
{
	enum http_method m = x->r->method_id;
	bool idempotent = m == HTTP_GET || m == HTTP_HEAD || m == HTTP_OPTIONS || m == HTTP_PUT || m == HTTP_DELETE || m == HTTP_TRACE || m == HTTP_PROPFIND;

	return x->state == EXCHANGE_HEAD && x->t.u.reused && !x->repeated && !x->heard && !x->body_used && idempotent;
}

bool exchange_repeat(struct exchange *x)
{
	if (!repeatable(x))
		return false;
	x->repeated = true;
	x->deaf = false;                        /* that was the connection before */
	x->state = EXCHANGE_CONNECT;
	held_free(&x->out);
	proxy_retry(&x->t);
	return true;
}

void exchange_note_status(struct exchange *x, unsigned status)
{
	const struct proxy_balancer *b = x->r->proxy->balancer;

	for (const int *code = b ? b->fail_on : NULL; code && *code; code++)
		if ((unsigned)*code == status) {
			log_errorx(&x->r->client->about, LOG_PROXY, "BH0752", "%s answered with %u, which failonstatus= of balancer://%s names: it is left alone for retry= seconds",
				   x->t.worker->name, status, b->name);
			upstream_failed(x->t.worker);
		}
}

void exchange_override(struct exchange *x, unsigned status, const struct fields *f, bool reusable)
{
	struct request *r = x->r;

	for (unsigned i = 0; i < f->n; i++)
		if (text_is_nocase(f->at[i].name, "WWW-Authenticate"))
			fields_add(&r->always, f->at[i].name, f->at[i].value);
	if (!x->body_ended)
		r->keepalive = false;
	exchange_release(x, reusable);
	response_error(r, status);
}

/* ------------------------------------------------------------------------------------------------ who is waited for */

void exchange_pace(struct exchange *x)
{
	struct chan *c = x->t.u.chan;
	bool client_slow = x->in.p, client_writes = x->state == EXCHANGE_HEAD && !x->body_ended && !x->out.p && !x->waits && !x->deaf;

	if (x->state == EXCHANGE_OVER || x->state == EXCHANGE_CONNECT || x->state == EXCHANGE_GATHER)
		return;
	chan_want(c, (client_slow || x->ended ? 0 : CHAN_READ) | (x->out.p && !x->deaf ? CHAN_WRITE : 0));
	if (client_slow || client_writes || x->ended)
		chan_deadline(c, CHAN_NEVER);
	else
		chan_deadline(c, x->waits ? (x->ping > 0 ? x->ping : EXPECT_MS) : proxy_timeout(x->r, x->t.worker));
}

/* ------------------------------------------------------------------------------------------------ the request */

/* A server behind that reads no more may have answered all the same: the rest of the body is read and dropped. */
static void stop_sending(struct exchange *x)
{
	x->deaf = true;
	held_free(&x->out);
	if (!x->body_ended)
		stream_read(x->r->stream, true);
}

/* The client of a tunnel has ended its side, and all that it said has been sent: the server behind sees that, and may go on. */
static void hang_up(struct exchange *x)
{
	if (x->state == EXCHANGE_TUNNEL && x->body_ended && !x->out.p && !x->deaf)
		chan_hang_up(x->t.u.chan);
}

bool exchange_flush(struct exchange *x)
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
	hang_up(x);
	return true;
}

int exchange_send(struct exchange *x, const char *p, size_t n)
{
	ssize_t took = 0;

	if (x->deaf)
		return 0;
	if (!x->out.p && (took = chan_write(x->t.u.chan, p, n)) == CHAN_BROKEN) {
		stop_sending(x);
		return 0;
	}
	if (took < 0)
		took = 0;
	upstream_traffic(x->t.worker, (uint64_t)took);
	return held_add(&x->out, p + took, n - (size_t)took);
}

void exchange_body(struct request *r, struct text data)
{
	struct exchange *x = r->handler_data;

	x->body_ended |= !data.p;
	x->body_used |= data.p != NULL;
	if (x->state == EXCHANGE_OVER || x->deaf)
		return;
	if (x->ops->send(x, data) < 0) {
		exchange_fail(x, 503);
		return;
	}
	if (x->out.p && !x->body_ended)
		stream_read(r->stream, false);
	hang_up(x);
	exchange_pace(x);
}

void exchange_begin_body(struct exchange *x)
{
	x->waits = false;
	if (!x->body_ended && !x->deaf)
		stream_read(x->r->stream, !x->out.p);
}

/* ------------------------------------------------------------------------------------------------ the answer */

bool exchange_put(struct exchange *x, const char *p, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };
	bool unwanted = x->r->no_body && x->state != EXCHANGE_TUNNEL;
	ssize_t took = x->in.p || !n ? 0 : unwanted ? (ssize_t)n : stream_write(x->r->stream, &iov, 1);

	if (took < 0) {
		exchange_release(x, false);
		return false;
	}
	if (held_add(&x->in, p + took, n - (size_t)took) < 0) {
		exchange_fail(x, 503);
		return false;
	}
	return true;
}

bool exchange_drain(struct exchange *x)
{
	struct iovec iov = { x->in.p + x->in.at, x->in.n - x->in.at };
	ssize_t took = x->in.p ? stream_write(x->r->stream, &iov, 1) : 0;

	if (took < 0) {
		exchange_release(x, false);
		return false;
	}
	x->in.at += (size_t)took;
	if (x->in.at < x->in.n)
		return false;
	held_free(&x->in);
	return true;
}

bool exchange_answer(struct exchange *x)
{
	struct stream *s = x->r->stream;

	/* The head promises a connection that stays open only if the body will be read. */
	if (!x->body_ended)
		stream_read(s, true);
	if (response_start(x->r) != 0) {
		exchange_release(x, false);
		return false;
	}
	if (!x->body_ended)
		stream_read(s, !x->out.p);
	x->state = EXCHANGE_BODY;
	return true;
}

/* ------------------------------------------------------------------------------------------------ events */

static void readable(struct exchange *x)
{
	ssize_t got = chan_read(x->t.u.chan, buffer, sizeof buffer);

	if (got == CHAN_AGAIN)
		return;
	if (got <= 0) {
		x->ops->closed(x);
		return;
	}
	x->heard = true;
	upstream_traffic(x->t.worker, (uint64_t)got);
	x->ops->take(x, buffer, (size_t)got);
}

static void event(struct chan *chan, unsigned events)
{
	struct exchange *x = chan->ctx;

	if (events & CHAN_LATE && x->waits) {
		if (x->ping > 0)
			no_sign(x);
		else
			exchange_begin_body(x);
		exchange_pace(x);
		return;
	}
	if (events & CHAN_LATE && !(events & (CHAN_READ | CHAN_WRITE))) {
		too_late(x);
		return;
	}
	if (events & CHAN_WRITE && x->out.p && exchange_flush(x) && !x->body_ended && !x->waits && !x->deaf)
		stream_read(x->r->stream, true);
	if (events & CHAN_READ && x->state != EXCHANGE_OVER && !x->ended)
		readable(x);
	exchange_pace(x);
}

void exchange_go(struct exchange *x)
{
	x->t.u.chan->event = event;
	x->t.u.chan->ctx = x;
	exchange_flush(x);
	if (!x->waits)
		exchange_begin_body(x);
	exchange_pace(x);
}

static void ready(struct proxy_try *t)
{
	struct exchange *x = t->ctx;

	x->state = EXCHANGE_HEAD;
	x->head_n = 0;
	x->ops->ready(x);
}

static void gone(struct proxy_try *t)
{
	struct exchange *x = t->ctx;

	if (!x->body_ended)
		x->r->keepalive = false;
	exchange_release(x, false);
}

void exchange_over(struct request *r, enum handler_end how)
{
	struct exchange *x = r->handler_data;

	(void)how;
	if (x)
		exchange_release(x, false);
}

struct exchange *exchange_new(struct request *r, size_t size, const struct exchange_ops *ops)
{
	struct exchange *x = arena_zalloc(r->arena, size);

	request_close(r);
	if (!x) {
		response_error(r, 503);
		return NULL;
	}
	r->handler_data = x;
	x->r = r;
	x->ops = ops;
	x->body_ended = !r->has_body;
	x->t = (struct proxy_try){ .r = r, .ready = ready, .failed = gone, .ctx = x };
	return x;
}

void exchange_connect(struct exchange *x)
{
	x->state = EXCHANGE_CONNECT;
	proxy_connect(&x->t);
}

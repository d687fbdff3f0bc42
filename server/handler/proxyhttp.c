/*
 * proxyhttp.c - HTTP/1 with servers behind (mod_proxy_http, mod_proxy_wstunnel). Runs in the children.
 *
 *   CONNECT → HEAD → BODY → over           request out, head of the answer in, then its body as it comes
 *               └→ TUNNEL → over           101: bytes both ways
 *
 * The request's body goes out at the same time. Each direction holds at most what one read brought: while the client takes no more,
 * the server behind is not read; while that takes no more, the body is not read.
 *
 * A request that can be repeated without harm, and of which nothing but its head was sent, is sent once more where a kept connection
 * ends before the first byte of an answer: the server behind had closed it. Nothing else is ever sent twice.
 */
#include "handler/proxy.h"

#include <stdlib.h>
#include <string.h>

#include "handler/held.h"
#include "handler/proxyfields.h"
#include "http/body.h"
#include "log/log.h"
#include "request/response.h"

#define READ_SIZE 32768
#define EXPECT_MS 1000                  /* how long a server behind has for its 100, before the body is sent all the same */

enum state { ASK_CONNECT, ASK_HEAD, ASK_BODY, ASK_TUNNEL, ASK_OVER };

struct exchange {
	struct proxy_try t;             /* first */
	struct request *r;
	enum state state;
	struct proxy_ask ask;
	struct held out;                /* for the server behind: the head, then of the body */
	struct held in;                 /* for the client: body bytes as they are sent on */
	struct held raw;                /* read behind these, and not looked at */
	bool body_ended, body_used;     /* all of the request's body has come; some of it has */
	bool waits;                     /* for 100: the body is not read yet */
	bool deaf;                      /* the server behind reads no more of the request */
	bool keeps;                     /* the connection may serve another request */
	bool repeated;
	unsigned interims;
	char *head;
	size_t head_n;
	struct response_framing framing;
	struct body_reader reader;
};

static char buffer[READ_SIZE];          /* of the turn at hand */
static char chunk[32 + 65536];

/* ------------------------------------------------------------------------------------------------ the end */

static void release(struct exchange *x, bool reusable)
{
	if (x->state == ASK_OVER)
		return;
	x->state = ASK_OVER;
	proxy_done(&x->t, reusable);
	held_free(&x->out);
	held_free(&x->in);
	held_free(&x->raw);
	free(x->head);
	x->head = NULL;
}

static void fail(struct exchange *x, unsigned status)
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

static void bad_answer(struct exchange *x, const char *why)
{
	log_errorx(&x->r->client->about, LOG_PROXY, "BH0750", "%s: the answer of %s cannot be passed on: %s%s", x->r->path, x->t.worker->name, why,
		   x->r->head_sent ? "; what the client has of it is cut off" : "; answered with 502");
	fail(x, 502);
}

static void too_late(struct exchange *x)
{
	const struct proxy_balancer *b = x->r->proxy->balancer;

	log_errorx(&x->r->client->about, LOG_PROXY, "BH0751", "%s: %s gave and took nothing within its time (timeout=, ProxyTimeout or Timeout)%s", x->r->path, x->t.worker->name,
		   x->r->head_sent ? ": the answer is cut off" : ": answered with 504");
	if (b && b->timeout_fails == 1)
		upstream_failed(x->t.worker);
	fail(x, 504);
}

static void finish(struct exchange *x)
{
	bool whole = x->body_ended && !x->out.p && !x->raw.p && !x->deaf;

	release(x, x->keeps && whole && x->framing.end != RESPONSE_UNTIL_CLOSE && !x->framing.doubtful);
	stream_end(x->r->stream);
}

/* Whether the request may be sent once more: nothing has come, the connection was a kept one, and once is as good as twice. */
static bool repeatable(const struct exchange *x)
{
	enum http_method m = x->r->method_id;
	bool idempotent = m == HTTP_GET || m == HTTP_HEAD || m == HTTP_OPTIONS || m == HTTP_PUT || m == HTTP_DELETE || m == HTTP_TRACE || m == HTTP_PROPFIND;

	return x->state == ASK_HEAD && x->t.u.reused && !x->repeated && !x->head_n && !x->body_used && idempotent;
}

static void connection_ended(struct exchange *x)
{
	if (repeatable(x)) {
		x->repeated = true;
		x->state = ASK_CONNECT;
		held_free(&x->out);
		proxy_retry(&x->t);
	} else if (x->state == ASK_TUNNEL) {
		if (!x->in.p)
			finish(x);
		else
			x->deaf = true;         /* over once the client has the rest */
	} else if (x->state == ASK_BODY && x->framing.end == RESPONSE_UNTIL_CLOSE) {
		finish(x);
	} else {
		bad_answer(x, x->state == ASK_HEAD && !x->head_n ? "it closed the connection without one" : "it closed the connection before the end of its answer");
	}
}

/* ------------------------------------------------------------------------------------------------ who is waited for */

/* Silence counts only where it is the server's behind: not while the client is waited for. */
static void pace(struct exchange *x)
{
	struct chan *c = x->t.u.chan;
	bool client_slow = x->in.p, client_writes = x->state == ASK_HEAD && x->r->has_body && !x->body_ended && !x->out.p && !x->waits && !x->deaf;

	if (x->state == ASK_OVER || x->state == ASK_CONNECT)
		return;
	chan_want(c, (client_slow ? 0 : CHAN_READ) | (x->out.p && !x->deaf ? CHAN_WRITE : 0));
	if (client_slow || client_writes)
		chan_deadline(c, CHAN_NEVER);
	else
		chan_deadline(c, x->waits ? EXPECT_MS : proxy_timeout(x->r, x->t.worker));
}

/* ------------------------------------------------------------------------------------------------ the request */

/* A server behind that reads no more may have answered all the same: the rest of the body is read and dropped. */
static void stop_sending(struct exchange *x)
{
	x->deaf = true;
	x->keeps = false;
	held_free(&x->out);
	if (!x->body_ended)
		stream_read(x->r->stream, true);
}

/* False: some is left, or it reads no more. */
static bool flush(struct exchange *x)
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

/* Bytes for the server behind. -1: no memory. */
static int send_on(struct exchange *x, const char *p, size_t n)
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

static int send_chunk(struct exchange *x, struct text data)
{
	size_t n = 0;

	if (!data.p)
		return send_on(x, CHUNK_LAST, sizeof CHUNK_LAST - 1);
	while (data.n) {
		size_t part = data.n < 65536 ? data.n : 65536;

		n = chunk_head(part, chunk);
		memcpy(chunk + n, data.p, part);
		memcpy(chunk + n + part, CHUNK_END, 2);
		if (send_on(x, chunk, n + part + 2) < 0)
			return -1;
		data = (struct text){ data.p + part, data.n - part };
	}
	return 0;
}

static void body(struct request *r, struct text data)
{
	struct exchange *x = r->handler_data;
	int rc = 0;

	x->body_ended |= !data.p;
	if (data.p)
		x->body_used = true;
	if (x->state == ASK_OVER || x->deaf)
		return;
	if (x->ask.chunked)
		rc = send_chunk(x, data);
	else if (data.p)
		rc = send_on(x, data.p, data.n);
	if (rc < 0) {
		fail(x, 503);
		return;
	}
	if (x->out.p && !x->body_ended)
		stream_read(r->stream, false);
	pace(x);
}

static void begin_body(struct exchange *x)
{
	x->waits = false;
	if (!x->body_ended && !x->deaf)
		stream_read(x->r->stream, !x->out.p);
}

/* ------------------------------------------------------------------------------------------------ the answer's body */

/* Bytes for the client. False: over. */
static bool put(struct exchange *x, const char *p, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };
	ssize_t took = x->in.p || !n ? 0 : stream_write(x->r->stream, &iov, 1);

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

/* The framed part of it. */
static void feed_framed(struct exchange *x, const char *p, size_t n)
{
	while (x->state == ASK_BODY) {
		struct text data = { 0 };
		size_t used = 0;

		if (x->in.p) {                  /* the client first */
			if (held_add(&x->raw, p, n) < 0)
				fail(x, 503);
			return;
		}
		switch (body_read(&x->reader, p, n, &used, &data)) {
		case BODY_DATA:
			if (!put(x, data.p, data.n))
				return;
			break;
		case BODY_END:
			if (used < n)           /* more than was announced */
				x->keeps = false;
			finish(x);
			return;
		case BODY_BAD:
			bad_answer(x, "its chunks are broken");
			return;
		case BODY_MORE:
			return;
		}
		p += used;
		n -= used;
	}
}

static void feed(struct exchange *x, const char *p, size_t n)
{
	if (x->state == ASK_TUNNEL || x->framing.end == RESPONSE_UNTIL_CLOSE)
		put(x, p, n);
	else
		feed_framed(x, p, n);
}

static void writable(struct request *r)
{
	struct exchange *x = r->handler_data;
	struct held raw;

	if (x->state != ASK_BODY && x->state != ASK_TUNNEL)
		return;
	if (x->in.p) {
		struct iovec iov = { x->in.p + x->in.at, x->in.n - x->in.at };
		ssize_t took = stream_write(r->stream, &iov, 1);

		if (took < 0) {
			release(x, false);
			return;
		}
		x->in.at += (size_t)took;
		if (x->in.at < x->in.n)
			return;
		held_free(&x->in);
	}
	if (x->state == ASK_TUNNEL && x->deaf) {
		finish(x);
		return;
	}
	raw = x->raw;
	x->raw = (struct held){ 0 };
	if (raw.p || x->framing.end == RESPONSE_LENGTH || x->framing.end == RESPONSE_CHUNKED)
		feed(x, raw.p ? raw.p + raw.at : "", raw.n - raw.at);
	held_free(&raw);
	pace(x);
}

/* ------------------------------------------------------------------------------------------------ the answer's head */

/* Whether the server behind keeps the connection. */
static bool stays(const struct response_head *h)
{
	if (fields_has_token(&h->fields, "Connection", "close"))
		return false;
	return h->minor >= 1 || fields_has_token(&h->fields, "Connection", "keep-alive");
}

/* An interim answer. False: the head cannot be passed on. */
static bool interim(struct exchange *x, const struct response_head *h)
{
	struct text head;
	struct iovec iov;

	if (h->status == 100) {
		if (x->waits)
			begin_body(x);
		return true;
	}
	head = proxy_interim_head(x->r, h, NULL);
	iov = (struct iovec){ (void *)(uintptr_t)head.p, head.n };
	if (head.p)
		stream_interim(x->r->stream, &iov, 1);
	return true;
}

/* 101: from now on bytes. */
static void open_tunnel(struct exchange *x, const struct response_head *h, const char *p, size_t n)
{
	struct request *r = x->r;
	struct text head;

	if (!x->ask.upgrade || !fields_has_token(&h->fields, "Upgrade", x->ask.upgrade)) {
		bad_answer(x, "it answers with 101 to what is another protocol, or was not asked to change");
		return;
	}
	head = proxy_interim_head(r, h, x->ask.upgrade);
	if (!head.p || stream_tunnel(r->stream) < 0) {
		fail(x, 500);
		return;
	}
	r->status = 101;
	x->state = ASK_TUNNEL;
	x->body_ended = false;
	x->keeps = false;
	if (put(x, head.p, head.n) && n)
		put(x, p, n);
	if (x->state == ASK_TUNNEL)
		stream_read(r->stream, true);
}

static void note_failure(struct exchange *x, unsigned status)
{
	const struct proxy_balancer *b = x->r->proxy->balancer;

	for (const int *code = b ? b->fail_on : NULL; code && *code; code++)
		if ((unsigned)*code == status) {
			log_errorx(&x->r->client->about, LOG_PROXY, "BH0752", "%s answered with %u, which failonstatus= of balancer://%s names: it is left alone for retry= seconds",
				   x->t.worker->name, status, b->name);
			upstream_failed(x->t.worker);
		}
}

/* ProxyErrorOverride: our page in place of theirs. What 401 asks for must come along. */
static void override(struct exchange *x, const struct response_head *h)
{
	struct request *r = x->r;

	for (unsigned i = 0; i < h->fields.n; i++)
		if (text_is_nocase(h->fields.at[i].name, "WWW-Authenticate"))
			fields_add(&r->always, h->fields.at[i].name, h->fields.at[i].value);
	release(x, x->framing.end == RESPONSE_NO_BODY && x->keeps && x->body_ended);
	response_error(r, h->status);
}

/* The head of the answer itself; p..p+n has come behind it. */
static void answer(struct exchange *x, const struct response_head *h, const char *p, size_t n)
{
	struct request *r = x->r;
	int rc;

	if (response_framing(h, r->method_id == HTTP_HEAD, &x->framing) < 0) {
		bad_answer(x, x->framing.why);
		return;
	}
	x->keeps = stays(h) && !x->ask.close;
	x->waits = false;
	note_failure(x, h->status);
	if (proxy_overrides(r, h->status)) {
		override(x, h);
		return;
	}
	r->length = x->framing.end == RESPONSE_LENGTH ? (int64_t)x->framing.length : -1;
	if (r->method_id == HTTP_HEAD && fields_count(&h->fields, "Content-Length"))
		r->length = (int64_t)x->framing.length;
	if (proxy_take_head(r, h) < 0) {
		fail(x, 503);
		return;
	}
	/* The head promises a connection that stays open only if the body will be read. */
	if (!x->body_ended)
		stream_read(r->stream, true);
	rc = response_start(r);
	if (rc != 0) {
		release(x, false);
		return;
	}
	if (!x->body_ended)
		stream_read(r->stream, !x->out.p);
	x->state = ASK_BODY;
	if (x->framing.end == RESPONSE_NO_BODY || r->no_body) {
		if (n)
			x->keeps = false;
		finish(x);
		return;
	}
	if (x->framing.end != RESPONSE_UNTIL_CLOSE)
		body_reader_init(&x->reader, &(struct body_framing){ .kind = x->framing.end == RESPONSE_CHUNKED ? BODY_CHUNKED : BODY_LENGTH, .length = x->framing.length });
	if (n || x->framing.end == RESPONSE_LENGTH)
		feed(x, p, n);
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
static void read_heads(struct exchange *x)
{
	static const enum response_bad how[] = {
		[PROXY_BAD_ERROR] = RESPONSE_BAD_REFUSED, [PROXY_BAD_IGNORE] = RESPONSE_BAD_SKIPPED, [PROXY_BAD_START_BODY] = RESPONSE_BAD_IS_BODY,
	};

	while (x->state == ASK_HEAD && x->head_n) {
		struct response_head h;
		size_t used = 0;
		char *all;

		fields_init(&h.fields, x->r->arena);
		switch (response_head_parse(x->head, x->head_n, how[proxy_bad_header(x->r)], &h, &used)) {
		case HEAD_MORE:
			return;
		case HEAD_BAD:
			bad_answer(x, h.why);
			return;
		case HEAD_DONE:
			break;
		}
		/* Its texts must live as long as the request. */
		all = arena_memdup(x->r->arena, x->head, x->head_n);
		fields_init(&h.fields, x->r->arena);
		if (!all || response_head_parse(all, x->head_n, how[proxy_bad_header(x->r)], &h, &used) != HEAD_DONE) {
			fail(x, 503);
			return;
		}
		if (h.status == 101) {
			open_tunnel(x, &h, all + used, x->head_n - used);
			return;
		}
		if (h.status >= 200) {
			answer(x, &h, all + used, x->head_n - used);
			return;
		}
		if (++x->interims > 16) {
			bad_answer(x, "too many interim heads come before it");
			return;
		}
		interim(x, &h);
		memmove(x->head, x->head + used, x->head_n - used);
		x->head_n -= used;
	}
}

/* ------------------------------------------------------------------------------------------------ events */

static void readable(struct exchange *x)
{
	ssize_t got = chan_read(x->t.u.chan, buffer, sizeof buffer);

	if (got == CHAN_AGAIN)
		return;
	if (got <= 0) {
		connection_ended(x);
		return;
	}
	upstream_traffic(x->t.worker, (uint64_t)got);
	if (x->state != ASK_HEAD)
		feed(x, buffer, (size_t)got);
	else if (gather(x, buffer, (size_t)got) < 0)
		fail(x, 503);
	else
		read_heads(x);
}

static void event(struct chan *chan, unsigned events)
{
	struct exchange *x = chan->ctx;

	if (events & CHAN_LATE && x->waits) {
		begin_body(x);
		pace(x);
		return;
	}
	if (events & CHAN_LATE && !(events & (CHAN_READ | CHAN_WRITE))) {
		too_late(x);
		return;
	}
	if (events & CHAN_WRITE && x->out.p && flush(x) && !x->body_ended && !x->waits && !x->deaf)
		stream_read(x->r->stream, true);
	if (events & CHAN_READ && x->state != ASK_OVER)
		readable(x);
	pace(x);
}

/* The connection is there: once for each server that is tried. */
static void ready(struct proxy_try *t)
{
	struct exchange *x = t->ctx;
	struct request *r = x->r;
	struct text head;

	x->state = ASK_HEAD;
	x->head_n = 0;
	x->ask.close = !t->worker->cell || t->worker->reuse == PROXY_KEEP_NEVER || request_env(r, "proxy-nokeepalive").p;
	x->ask.upgrade = proxy_upgrade(r, t->worker);
	head = proxy_request_head(t, &x->ask);
	if (!head.p) {
		fail(x, 503);
		return;
	}
	t->u.chan->event = event;
	t->u.chan->ctx = x;
	x->out = (struct held){ .p = (char *)(uintptr_t)head.p, .n = head.n };
	flush(x);
	x->waits = x->ask.expects && !x->body_used;
	if (r->has_body && !x->waits)
		begin_body(x);
	pace(x);
}

static void gone(struct proxy_try *t)
{
	struct exchange *x = t->ctx;

	if (!x->body_ended)
		x->r->keepalive = false;
	release(x, false);
}

/* What is not handed on at all. 0: it is. */
static unsigned refuses(struct request *r)
{
	struct text forwards = fields_get(&r->in, "Max-Forwards");
	uint64_t n;

	if (forwards.n && text_u64(forwards, INT32_MAX, &n) == 0 && n == 0) {
		log_infox(&r->client->about, LOG_PROXY, "BH0753", "%s answered with 502: its Max-Forwards is 0; servers that hand requests to each other may stand in a circle",
			  r->path);
		return 502;
	}
	return 0;
}

static void start(struct request *r)
{
	struct exchange *x;
	unsigned status = refuses(r);

	request_close(r);
	x = status ? NULL : arena_zalloc(r->arena, sizeof *x);
	if (!x) {
		response_error(r, status ? status : 503);
		return;
	}
	r->handler_data = x;
	x->r = r;
	x->body_ended = !r->has_body;
	x->ask.old = request_env(r, "force-proxy-request-1.0").p != NULL;
	x->ask.chunked = r->has_body && (r->body_length == UINT64_MAX || r->stream->input);
	x->ask.expects = r->has_body && r->minor >= 1 && proxy_passes_expect(r) && fields_has_token(&r->in, "Expect", "100-continue");
	if (x->ask.chunked && x->ask.old) {
		response_error(r, 411);
		return;
	}
	x->t = (struct proxy_try){ .r = r, .ready = ready, .failed = gone, .ctx = x };
	proxy_connect(&x->t);
}

static void over(struct request *r, enum handler_end how)
{
	struct exchange *x = r->handler_data;

	(void)how;
	if (x)
		release(x, false);
}

const struct handler proxyhttp_handler = { .name = "proxy-http", .start = start, .body = body, .writable = writable, .ended = over };

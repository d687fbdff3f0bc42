/*
 * backend.c - connections to servers behind, in the child's loop: a kept one, or a new one, whose way is
 *
 *   (wait →) connect → (TLS) → there        wait: max= are in use; connect: the next address of the name where one refuses
 *
 * It belongs to the stream of the request that asked for it, as a chan; handler/upstream.h is what its user sees. Runs in the children.
 */
#include "conn/internal.h"

#include <errno.h>
#include <string.h>

#include "handler/upstream.h"
#include "upstream/link.h"
#include "upstream/pool.h"

struct backend {
	struct upstream *u;
	struct stream *stream;
	struct link *link;              /* of the chan */
	const struct proxy_tls *tls;    /* NULL: plain */
	struct pool_waiter waiter;
	unsigned at;                    /* addresses tried */
	bool shaking;
	bool granted;                   /* a place is kept for it: counted as in use */
	bool fresh;                     /* no kept connection */
};

static int fail(struct upstream *u, enum upstream_why why, int errnum)
{
	u->why = why;
	u->errnum = errnum;
	return -1;
}

static void let_go(struct backend *b)
{
	if (b->u->chan)
		chan_close(b->u->chan);
	b->u->chan = NULL;
	b->link = NULL;
}

/* A place that was granted and is not used. */
static void give_place_back(struct backend *b)
{
	if (b->granted)
		pool_count(b->u->worker, -1);
	b->granted = false;
}

static int attach(struct backend *b, struct link *l)
{
	b->u->chan = chan_open_link(b->stream, l);
	if (!b->u->chan) {
		pool_close(l);
		return fail(b->u, UPSTREAM_BUSY, ENOMEM);
	}
	if (!b->granted)
		pool_count(l->worker, 1);
	b->granted = false;
	b->link = l;
	return 0;
}

void backend_closed(struct link *l)
{
	pool_count(l->worker, -1);
	pool_close(l);
}

/* ------------------------------------------------------------------------------------------------ on the way */

static void there(struct backend *b)
{
	struct upstream *u = b->u;

	u->chan->event = NULL;
	chan_want(u->chan, 0);
	chan_deadline(u->chan, CHAN_NEVER);
	u->connected(u);
}

static void failed(struct backend *b, enum upstream_why why, int errnum, const char *text)
{
	struct upstream *u = b->u;

	u->text = text ? arena_strdup(b->stream->request->arena, text) : NULL;
	let_go(b);
	fail(u, why, errnum);
	u->failed(u);
}

/* One step of the handshake. 1 done, 0 under way, -1 with why. */
static int shake(struct backend *b, char why[SECURE_WHY])
{
	switch (secure_step(b->link, why)) {
	case SECURE_DONE:
		return 1;
	case SECURE_READ:
		chan_used(b->u->chan, CHAN_READ);
		chan_want(b->u->chan, CHAN_READ);
		return 0;
	case SECURE_WRITE:
		chan_used(b->u->chan, CHAN_WRITE);
		chan_want(b->u->chan, CHAN_WRITE);
		return 0;
	case SECURE_FAILED:
		break;
	}
	return -1;
}

static void shake_on(struct backend *b)
{
	char why[SECURE_WHY] = "";
	int rc = b->shaking ? 0 : secure_start(b->link, b->tls, why);

	b->shaking = true;
	if (rc == 0)
		rc = shake(b, why);
	if (rc > 0)
		there(b);
	else if (rc < 0)
		failed(b, UPSTREAM_TLS, 0, why);
}

static int connect_next(struct backend *b, bool *pending);
static void wait_for(struct backend *b);

static void on_the_way(struct chan *chan, unsigned events)
{
	struct backend *b = chan->ctx;
	bool pending = false;
	int error;

	if (events & CHAN_LATE) {
		failed(b, UPSTREAM_LATE, ETIMEDOUT, NULL);
		return;
	}
	if (b->shaking) {
		shake_on(b);
		return;
	}
	error = link_error(b->link);
	if (error) {
		pool_count(b->u->worker, 1);    /* its place is kept for the next address */
		b->granted = true;
		let_go(b);
		fail(b->u, UPSTREAM_REFUSED, error);
		if (connect_next(b, &pending) < 0) {
			give_place_back(b);
			failed(b, b->u->why, b->u->errnum, NULL);
			return;
		}
		wait_for(b);
		if (pending)
			return;
	}
	if (b->tls)
		shake_on(b);
	else
		there(b);
}

/* connectiontimeout=, else timeout= or ProxyTimeout, else Timeout: the whole way, TLS too. */
static void wait_for(struct backend *b)
{
	const struct proxy_worker *w = b->u->worker;
	struct chan *c = b->u->chan;

	c->event = on_the_way;
	c->ctx = b;
	chan_want(c, CHAN_WRITE);
	chan_deadline(c, w->connect_timeout > 0 ? w->connect_timeout : proxy_timeout(b->stream->request, w));
}

/* 0 with *pending, or -1: no address is left. */
static int connect_next(struct backend *b, bool *pending)
{
	struct upstream *u = b->u;
	struct addr to;

	if (!b->at)                             /* unless one is there */
		fail(u, UPSTREAM_NAME, 0);
	while (u->worker->socket ? !b->at : addresses_at(u->worker, b->at, &to)) {
		struct link *l = link_open(u->worker, &to, pending);

		b->at++;
		if (l) {
			l->born = loop_now(conn_of(b->stream->request->client)->server->loop);
			return attach(b, l);
		}
		fail(u, errno == EMFILE || errno == ENFILE || errno == ENOMEM ? UPSTREAM_BUSY : UPSTREAM_REFUSED, errno);
	}
	return -1;
}

/* ------------------------------------------------------------------------------------------------ for handlers */

/* A kept connection, or a new one. As backend_get. */
static int obtain(struct backend *b)
{
	struct upstream *u = b->u;
	struct link *kept = b->fresh ? NULL : pool_take(u->worker, b->tls ? b->tls->id : 0);
	bool pending = false;

	if (kept) {
		u->reused = true;
		return attach(b, kept) < 0 ? -1 : 1;
	}
	if (connect_next(b, &pending) < 0)
		return -1;
	if (!pending && !b->tls)
		return 1;
	wait_for(b);
	return 0;
}

/* In a turn of the stream's connection: a place is there, or it was waited for long enough. */
static void waited(struct chan *chan, unsigned events)
{
	struct backend *b = chan->ctx;
	struct upstream *u = b->u;
	int rc;

	(void)events;
	pool_leave(u->worker, &b->waiter);
	let_go(b);
	if (!b->granted) {
		failed(b, UPSTREAM_BUSY, 0, NULL);
		return;
	}
	rc = obtain(b);
	if (rc < 0) {
		give_place_back(b);
		failed(b, u->why, u->errnum, u->text);
	} else if (rc > 0) {
		there(b);
	}
}

/* Within a turn of whoever ends: it goes on in its own. */
static void granted(struct pool_waiter *p)
{
	struct backend *b = (struct backend *)(void *)((char *)p - offsetof(struct backend, waiter));

	b->granted = true;
	chan_deadline(b->u->chan, 1);
}

/* acquire=, else as long as a connection may take. */
static int queue(struct backend *b)
{
	const struct proxy_worker *w = b->u->worker;

	b->u->chan = chan_open(b->stream, -1);
	if (!b->u->chan)
		return fail(b->u, UPSTREAM_BUSY, ENOMEM);
	list_init(&b->waiter.item);
	b->waiter.granted = granted;
	if (!pool_wait(w, &b->waiter)) {
		let_go(b);
		return fail(b->u, UPSTREAM_BUSY, 0);
	}
	b->u->chan->event = waited;
	b->u->chan->ctx = b;
	chan_deadline(b->u->chan, w->acquire > 0 ? w->acquire : w->connect_timeout > 0 ? w->connect_timeout : proxy_timeout(b->stream->request, w));
	return 0;
}

int backend_get(struct stream *s, unsigned flags, struct upstream *u)
{
	const struct proxy_worker *w = u->worker;
	const struct proxy_tls *tls = w->secure ? proxy_tls(s->request->host, w) : NULL;
	struct backend *b = arena_zalloc(s->request->arena, sizeof *b);

	u->chan = NULL;
	u->backend = b;
	u->reused = false;
	u->why = UPSTREAM_OK;
	u->text = NULL;
	if (!b)
		return fail(u, UPSTREAM_BUSY, ENOMEM);
	*b = (struct backend){ .u = u, .stream = s, .tls = tls, .fresh = flags & UPSTREAM_FRESH };
	if (tls && tls->engine != 1)
		return fail(u, UPSTREAM_OFF, 0);
	return pool_full(w) ? queue(b) : obtain(b);
}

void backend_put(struct upstream *u, bool reusable)
{
	struct backend *b = u->backend;
	const struct proxy_worker *w = u->worker;
	struct link *l;

	if (!b || !u->chan)
		return;
	u->backend = NULL;
	if (!b->link) {                         /* it waits */
		pool_leave(w, &b->waiter);
		let_go(b);
		give_place_back(b);
		return;
	}
	l = chan_take_link(u->chan);
	u->chan = NULL;
	pool_count(w, -1);
	if (reusable && w->cell && w->reuse != PROXY_KEEP_NEVER && !conn_of(b->stream->request->client)->server->draining)
		pool_put(l);
	else
		pool_close(l);
}

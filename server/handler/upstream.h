/*
 * upstream.h - connections to backends, for handlers: kept ones are used again, others made; TCP, unix sockets, TLS. And
 * which member of a balancer is next. upstream/ keeps and picks, conn/backend.c connects in the child's loop.
 *
 *   prepare (before start):  upstream_question(r, w) → NULL, or a name to be asked: upstream_answer with what came
 *   start:                   upstream_get → 1 u->chan is there; 0 `connected` or `failed` comes; -1 u->why, u->errnum
 *   the end:                 upstream_put (whole: the next request may use it), also out of ended()
 *
 * u->chan is request/chan.h's; it is the handler's from `connected` on: set event and ctx, want what is wanted. Never chan_close it:
 * upstream_put does.
 */
#ifndef BULKHEAD_HANDLER_UPSTREAM_H
#define BULKHEAD_HANDLER_UPSTREAM_H

#include "request/chan.h"
#include "request/client.h"
#include "request/proxy.h"
#include "request/request.h"

enum upstream_why {
	UPSTREAM_OK,
	UPSTREAM_BUSY,                  /* max= connections are in use, no descriptors, or no memory: 503 */
	UPSTREAM_NAME,                  /* no address is known for its name: 502 */
	UPSTREAM_REFUSED,               /* errnum: nobody listens, no way there …: 503 */
	UPSTREAM_LATE,                  /* not connected in time: 503 */
	UPSTREAM_TLS,                   /* u->text says why: 502 */
	UPSTREAM_OFF,                   /* TLS is wanted and SSLProxyEngine is off: 500 */
};

/* A connection as its user holds it; zeroed at first, in the user's own structure. */
struct upstream {
	struct chan *chan;
	const struct proxy_worker *worker;
	bool reused;                    /* it has served before: the backend may have closed it by now */
	enum upstream_why why;
	int errnum;
	const char *text;               /* of the request's arena */
	void *ctx;
	/* In a turn of the stream's connection, once, after upstream_get said 0. */
	void (*connected)(struct upstream *u);
	void (*failed)(struct upstream *u);
	void *backend;                  /* conn/'s */
};

enum { UPSTREAM_FRESH = 1 };            /* no kept connection: the one before had been closed */
static inline int upstream_get(struct request *r, const struct proxy_worker *w, unsigned flags, struct upstream *u)
{
	u->worker = w;
	u->why = UPSTREAM_BUSY;
	return r->client->ops->upstream_get ? r->client->ops->upstream_get(r->stream, flags, u) : -1;
}
/* reusable: all of the answer was read and nothing more came. May be repeated. */
static inline void upstream_put(struct request *r, struct upstream *u, bool reusable)
{
	if (r->client->ops->upstream_put)
		r->client->ops->upstream_put(u, reusable);
}

/* The name whose addresses have to be asked for before upstream_get; NULL: all is known. */
const char *upstream_question(const struct proxy_worker *w);
/* The answer: addresses, each with its NUL; absent: there is none at present. */
void upstream_answer(const struct proxy_worker *w, struct text addresses);

/*
 * balance.c: the member that is next, by method, route, sets and health, but none of the `ntried` ones; NULL: none is left.
 * `route` may be NULL. Counts as elected. *moved: the route's own member is not the one.
 */
const struct proxy_worker *upstream_pick(const struct proxy_balancer *b, const char *route, const struct proxy_worker *const *tried, unsigned ntried,
					 bool *moved);
/* Whether a worker that is not of a balancer takes requests; one that has failed does so after retry= (a balancer's after its own). */
bool upstream_takes(const struct proxy_worker *w);
/* It could not be reached, or failed: it is left alone for retry=. `always`: for lone workers too whose retry would let them. */
void upstream_failed(const struct proxy_worker *w);
void upstream_well(const struct proxy_worker *w);
/* A request begins or ends there: busyness; bytes: traffic. */
void upstream_busy(const struct proxy_worker *w, int more);
void upstream_traffic(const struct proxy_worker *w, uint64_t bytes);

#endif

/*
 * proxy.h - requests that servers behind answer, whatever is spoken with them: which server, a connection to it, another one where
 * that fails, and what the client is told where none is left. exchange.c, for all protocols, does this:
 *
 *   start():  t->r, t->ready, t->failed, t->ctx; proxy_connect(t)
 *   ready():  t->u.chan is there (perhaps still within proxy_connect); speak
 *   failed(): nothing could be had; the answer has been sent: free what is yours
 *   over:     proxy_done(t, reusable), also out of ended(); proxy_retry(t) where a kept connection turned out to be closed
 */
#ifndef BULKHEAD_HANDLER_PROXY_H
#define BULKHEAD_HANDLER_PROXY_H

#include "handler/upstream.h"
#include "request/handler.h"
#include "request/proxy.h"

#define PROXY_TRIES 16                  /* members asked for one request */

struct proxy_try {
	struct request *r;
	struct upstream u;
	const struct proxy_worker *worker;
	const struct proxy_worker *tried[PROXY_TRIES];
	unsigned ntried;
	bool busy;                      /* counted as under way at the worker */
	void (*ready)(struct proxy_try *t);
	void (*failed)(struct proxy_try *t);
	void *ctx;
};

/* "proxy-server": prepare() asks for names and puts the protocol's handler in its own place. */
extern const struct handler proxy_handler;
extern const struct handler proxyhttp_handler;

void proxy_connect(struct proxy_try *t);
/* Once more to the same server, on a new connection. */
void proxy_retry(struct proxy_try *t);
/* May be repeated. */
void proxy_done(struct proxy_try *t, bool reusable);
/* The path that is asked for at the worker: to->path behind the URL of the member that was picked. NULL on ENOMEM. */
const char *proxy_path(struct proxy_try *t, bool decoded);

#endif

/*
 * pool.h - what a child keeps of servers behind: idle connections, who waits for one, and the addresses of names. One a child; for conn/.
 */
#ifndef BULKHEAD_UPSTREAM_POOL_H
#define BULKHEAD_UPSTREAM_POOL_H

#include "upstream/link.h"

/* The child's loop, when it is there. Before anything else here. */
void pool_init(struct loop *l);
void pool_free(void);

/* An idle connection of the worker with these TLS settings (0: none) that seems to live; NULL: there is none. */
struct link *pool_take(const struct proxy_worker *w, unsigned tls_id);
/* Keeps it, or closes it: not wanted, or there are enough. */
void pool_put(struct link *l);
/* Closes one that was in a chan or here; not one of health.c's. */
void pool_close(struct link *l);

/* Who waits for the end of a connection: max= of the worker are in use. */
#define POOL_WAITERS 256                /* at one worker, at once */
struct pool_waiter {
	struct list item;               /* list_init first */
	bool waits;
	void (*granted)(struct pool_waiter *p); /* a place is there, and counted as in use already; not within a call of its own */
};
/* Whether one more has to wait. */
bool pool_full(const struct proxy_worker *w);
/* False: too many wait. */
bool pool_wait(const struct proxy_worker *w, struct pool_waiter *p);
/* Waits no longer; may be repeated. */
void pool_leave(const struct proxy_worker *w, struct pool_waiter *p);
/* Connections in use are counted by the caller. Whoever waits may be granted a place here. */
void pool_count(const struct proxy_worker *w, int more);
/* Which server behind most requests of this process are at, or wait for, and how many. NULL: none are. */
const struct proxy_worker *pool_busiest(unsigned *used);

/*
 * addresses.c: the addresses of workers' names. Those of the configuration are asked for when the child begins, one after the other, and told in the
 * log where there are none; then by requests and health checks when they are old.
 */
typedef bool addresses_ask(void *ctx, uint32_t id, const char *question);  /* addresses_answer comes, perhaps within this call; false: it does not */
void addresses_init(struct loop *l, const struct site *s, addresses_ask *ask, void *ctx);
void addresses_fini(void);
/* What came; n < 0: there is no answer at present. False: it is not for here. */
bool addresses_answer(uint32_t id, const char *text, ssize_t n);
/* Asks anew where the addresses are old, without waiting. */
void addresses_want(const struct proxy_worker *w);
/* The at-th address of the worker; false: there is none behind that, or none is known. */
bool addresses_at(const struct proxy_worker *w, unsigned at, struct addr *a);

/* health.c: the clock of health checks, where the site has any. */
void health_init(struct loop *l, const struct site *s);
void health_fini(void);

#endif

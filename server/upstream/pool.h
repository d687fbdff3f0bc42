/*
 * pool.h - what a child keeps of servers behind: idle connections, and the addresses of names. One a child; for conn/.
 */
#ifndef BULKHEAD_UPSTREAM_POOL_H
#define BULKHEAD_UPSTREAM_POOL_H

#include "upstream/link.h"

#define POOL_ADDRESSES 8

/* The child's loop, when it is there. Before anything else here. */
void pool_init(struct loop *l);
void pool_free(void);

/* An idle connection of the worker with these TLS settings (0: none) that seems to live; NULL: there is none. */
struct link *pool_take(const struct proxy_worker *w, unsigned tls_id);
/* Keeps it, or closes it: not wanted, or there are enough. */
void pool_put(struct link *l);
/* Connections in use: those it knows are counted by the caller. */
unsigned pool_in_use(const struct proxy_worker *w);
void pool_count(const struct proxy_worker *w, int more);
/* The at-th address of the worker; false: there is none behind that, or none is known. */
bool pool_address(const struct proxy_worker *w, unsigned at, struct addr *a);

/* health.c: the clock of health checks, where the site has any. */
void health_init(struct loop *l, const struct site *s);
void health_fini(void);

#endif

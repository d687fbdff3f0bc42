/*
 * resolver.h - the process that asks the name service for a generation's children (Require host, Require forward-dns): one a
 * generation, only where its configuration needs names. Each child has a socket of its own to it (conn/lookup.h).
 */
#ifndef BULKHEAD_PROCESS_RESOLVER_H
#define BULKHEAD_PROCESS_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/config.h"

struct generation;
struct resolver;

/* NULL with *e. */
struct resolver *resolver_start(const struct config *cfg, struct err *e);
/* A socket for a child: its own end in *child, not blocking, the resolver's in *kept. 0 or -1. */
int resolver_attach(struct resolver *v, int *child, int *kept);
/* True if the pid was the resolver: it is replaced, at once unless it was young. */
bool resolver_reaped(struct resolver *v, const struct generation *g, pid_t pid, int status, int64_t now);
/* Tries again what is due. When it is due next: resolver_due (INT64_MAX = nothing). */
void resolver_tick(struct resolver *v, const struct generation *g, int64_t now);
int64_t resolver_due(const struct resolver *v);
/* Lets it end (it does when its control socket closes), and frees. */
void resolver_end(struct resolver *v);

#endif

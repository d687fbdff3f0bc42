/*
 * cache.h - the life of the session cache: made with the first configuration that speaks TLS, kept over restarts, given
 * another size while everything goes on, removed at the end. Master only, but for the first part.
 *
 * Another size (shmcache/shmcache.h has the library's side of it):
 *
 *     cache_fit             a second segment is there; children forked from now on use both: their age is cache_age()
 *     slots.c               they are forked, but take no connection before those of a lower age have stopped taking any
 *                           (a session in the new segment is not there for a child that knows the old one alone)
 *     cache_tick            when the last of lower age is gone, a job moves the sessions over; it may be killed
 *     cache_tick            the old segment is let go
 *
 * One change at a time: what another configuration asks for meanwhile follows by cache_follow.
 */
#ifndef BULKHEAD_PROCESS_CACHE_H
#define BULKHEAD_PROCESS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "process/config.h"

/* -------------------------------------------------------------------------------------------- what a configuration asks for */

struct cache_wish {
	bool tls;                       /* some host speaks TLS; nothing else is filled where none does */
	size_t bytes, sessions;         /* 0: none, only the ring of seeds */
	size_t each;                    /* bytes of a session that `sessions` counts with */
	char name[64];                  /* of the shared memory object */
	char lockfile[4096];
	const char *mechanism;          /* of the lock, in Apache's word */
	unsigned timeout_ms;            /* how long storing waits for it */
};
void cache_wish(const struct config *cfg, struct cache_wish *w);
/* "SSLSessionCache: 512000 bytes hold about 1100 sessions (TLS 1.2, 356 bytes each)"; "" where there is none. Returns buf. */
char *cache_words(const struct config *cfg, char *buf, size_t n);

/* What a running server with that configuration has counted. False: there is none, or its cache may not be looked at. */
struct cache_counts {
	uint64_t resumed, missed, kept, live;   /* sessions found, not found, stored; there now */
};
bool cache_look(const struct config *cfg, struct cache_counts *out);

/* -------------------------------------------------------------------------------------------- master */

/* Makes the cache (shared.cache) if the configuration wants one and there is none. 0 or -1 with *e. */
int cache_prepare(const struct config *cfg, struct err *e);
/* The cache, for the program that is executed next; cache_prepare takes over what the one before left (handover.h). */
void cache_hand_over(FILE *to);
/* For a generation that is complete but for its children: begins what makes the cache fit it. Cannot fail it. */
void cache_fit(const struct config *cfg);
/* The generation that serves has this configuration, and no other is being made: begins what had to wait. True: it did,
 * and the children of that generation are now to be replaced, since they know the old segment alone. */
bool cache_follow(const struct config *cfg);
/* How often the size was changed: a child of a lower age than this knows the segment before. */
unsigned cache_age(void);
/* A change of size is under way. */
bool cache_moving(void);
/* Goes on with it. `older`: some child of a lower age lives. */
void cache_tick(const struct config *cfg, bool older, int64_t now);
int64_t cache_due(void);

#endif

/*
 * sim.h - how well the cache chooses what to keep, and how much it keeps, measured on a real cache with
 * made-up clients. Everything follows from seeds: the same program finds the same figures again. For
 * `bulkhead-cache bench` and for the tests; libc and the library only.
 */
#ifndef SHMCACHE_TOOLSIM_H
#define SHMCACHE_TOOLSIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shmcache;

/*
 * Clients that come back. A client whose session the server has lost gets a new session under a new ID, as in TLS;
 * what was not fetched is never asked for again.
 */
enum sim_kind {
	SIM_ZIPF,                       /* `clients` of them, the n-th as often as n^-0.9 */
	/* each step someone new, who connects four times with pauses from one step to `pause`, most of them short */
	SIM_VISITS,
};
struct sim_population {
	enum sim_kind kind;
	uint32_t clients;               /* SIM_ZIPF */
	uint32_t steps;                 /* the unit of time; the first half fills the cache and is not counted */
	uint32_t pause;                 /* SIM_VISITS: the longest, in steps: pause to the power of a squared chance */
	uint32_t life;                  /* of a session, in steps; 0 = it never expires */
	unsigned flood;                 /* sessions of clients that never return, for each connection */
	uint64_t seed;
};

/* Per cent of the connections of clients with a session still valid, that found it. */
struct sim_ratio {
	double ours, fifo, lru;         /* the models have the bytes of the cache's rings, and know no fragments */
};

/* Lengths of sessions: the mix that GnuTLS' clients make, 60 % 285, 25 % 600, 15 % 1467 bytes. */
#define SIM_MIX 0
#define SIM_MIX_AVERAGE 541

/*
 * c: an empty cache of this process's own, after shmcache_child_init; it is full of rubbish afterwards. Its
 * shards are written without their locks, with a clock of the simulation's own. 0, or -1: no memory, or the
 * cache failed.
 */
int sim_policy(struct shmcache *c, const struct sim_population *p, struct sim_ratio *out);

/*
 * Stores four times as many sessions of len bytes (or SIM_MIX) as there is room for, nobody coming back, and counts
 * what can be fetched then. c as above. -1: a store failed.
 */
long sim_kept(struct shmcache *c, size_t len);

#endif

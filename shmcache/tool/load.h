/*
 * load.h - scratch caches and the processes that load them, for `bulkhead-cache bench`. The program that
 * calls makes the caches and waits; all that uses them runs in processes forked for the purpose.
 */
#ifndef SHMCACHE_TOOLLOAD_H
#define SHMCACHE_TOOLLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmcache/shmcache.h"

enum { LOAD_MOST = 64 };                /* processes at once */

/*
 * A private folder for lockfiles, below /run or TMPDIR, and handlers for SIGINT, SIGTERM and SIGHUP, which end the
 * processes at once and let every call below fail. 0, or -1 with *err. load_fini removes what there is; then, if a
 * signal came, it lets it end this program.
 */
int load_init(struct shmcache_err *err);
void load_fini(void);

/* A cache with a name of its own; drop removes it. NULL with *err. */
struct shmcache *load_cache(size_t bytes, size_t avg_data, enum shmcache_lock_kind kind, struct shmcache_err *err);
void load_drop(struct shmcache *c);
/* The bytes of a cache that is planned to hold about so many sessions. */
size_t load_bytes(size_t sessions, size_t avg_data);

/*
 * Runs work in a process that has called child_init, and returns what it wrote to *out (which lies in shared memory).
 * 0, or -1: it failed, was killed or stopped.
 */
int load_alone(struct shmcache *c, int (*work)(struct shmcache *c, const void *arg, double out[4]), const void *arg,
               double out[4]);

enum load_op { LOAD_HIT, LOAD_MISS, LOAD_MIXED, LOAD_REMOVE, LOAD_STORE, LOAD_OPS };

struct load_plan {
	unsigned processes, rounds;
	uint64_t round_ns;              /* of CPU time, of each process and round */
	uint32_t sessions;              /* what the cache holds: twice as many are stored first */
	size_t len;
};

/*
 * CPU time of an operation in ns, the best round of each: in a full cache, by `processes` at once. mixed: 95 fetches,
 * 5 stores over what was there. 0, or -1 as load_alone.
 */
int load_costs(struct shmcache *c, const struct load_plan *p, double ns[LOAD_OPS]);

/* How long stores held and awaited their locks, in ns of real time; processes do nothing but store. */
struct load_locks {
	double held[2], waited[2];      /* half of them took no longer, 99 % */
	double waited_longest;
	double stores, given_up;        /* counts */
};
int load_locks(struct shmcache *c, const struct load_plan *p, struct load_locks *out);

#endif

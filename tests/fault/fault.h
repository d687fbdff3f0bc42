/*
 * fault.h - what the programs of tests/fault share: a cache with names of its own, entries whose content tells which
 * they are, and the counting of what passed.
 */
#ifndef TESTS_FAULT_FAULT_H
#define TESTS_FAULT_FAULT_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fault/view.h"
#include "tests/unit/shmcache/entries.h"

static unsigned passed, failed;

static inline void expect(bool ok, const char *what)
{
	if (ok)
		passed++;
	else
		failed++;
	printf("%s %s\n", ok ? "ok  " : "FAIL", what);
}

static inline int verdict(void)
{
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}

static inline uint64_t next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static inline double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------------------------------------ a cache */

struct place {
	char dir[64], lockfile[96], other[96], name[64];
	struct shmcache_lock_options lock;
};

/* Master only; ends the program where it cannot be had. */
static inline struct shmcache *place_open(struct place *p, const struct shmcache_plan *plan,
                                          enum shmcache_lock_kind kind, unsigned timeout_ms)
{
	static unsigned n;
	struct shmcache_err e = { .text = "no folder below /tmp" };
	struct shmcache *c = NULL;

	snprintf(p->dir, sizeof(p->dir), "/tmp/shmcache-fault-XXXXXX");
	if (mkdtemp(p->dir) != NULL) {
		snprintf(p->lockfile, sizeof(p->lockfile), "%s/lock", p->dir);
		snprintf(p->other, sizeof(p->other), "%s/copy", p->dir);
		snprintf(p->name, sizeof(p->name), "/shmcache-fault-%ld-%u", (long)getpid(), n++);
		p->lock = (struct shmcache_lock_options){ .lockfile = p->lockfile, .kind = kind, .timeout_ms = timeout_ms };
		c = shmcache_create(plan, p->name, &p->lock, &e);
	}
	if (c == NULL) {
		fprintf(stderr, "no cache: %s (%s)\n", e.text, e.remedy);
		exit(1);
	}
	return c;
}

static inline void place_close(struct place *p, struct shmcache *c)
{
	shmcache_unlink(c);
	shmcache_close(c);
	unlink(p->other);
	unlink(p->lockfile);
	rmdir(p->dir);
}

/* So many shards, each as small as can be: rings that are soon full, and more than one lock. */
static inline struct shmcache_plan small_plan(uint32_t shards)
{
	struct shmcache_plan p;

	if (shmcache_plan(SHMCACHE_MIN_BYTES, 0, &p, NULL) < 0)
		exit(1);
	p.shards = shards;
	p.bytes *= shards;
	p.sessions *= shards;
	p.segment = SHMC_SHARDS + (size_t)shards * p.shard_bytes;
	return p;
}

/* ------------------------------------------------------------------------------------------------ entries */

static inline uint32_t shard_of(const struct shmcache *c, uint64_t n)
{
	unsigned char key[SHMCACHE_KEY];

	key_of(n, key);
	return shmc_shard_of(c, shmc_hash(c, key));
}

#endif

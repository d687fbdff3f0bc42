/*
 * check.h - a shard's invariants told one by one: what check.c offers to look.c. Not for users of the library.
 */
#ifndef SHMCACHE_CHECK_H
#define SHMCACHE_CHECK_H

#include "shmcache/internal.h"

/* Who is told of a violation: its invariant's number and a sentence. say = NULL: they are only counted. */
struct shmc_listener {
	void (*say)(void *ctx, unsigned shard, unsigned invariant, const char *what);
	void *ctx;
};

/*
 * All invariants that can be seen, of shard `index`, whose first word is h: a private copy that nobody changes.
 * `inside`: it was made while somebody was inside, or had died there; main's reserve may then be in use. Returns
 * how many violations there are.
 */
unsigned shmc_audit(const struct shmcache *c, uint32_t index, struct shmc_shard_head *h, bool inside,
                    const struct shmc_listener *to);

#endif

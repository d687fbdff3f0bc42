/*
 * children.h - children of a test that have the cache: started, ended, killed, held inside a shard. Included after
 * fixture.h.
 */
#ifndef SHMCACHE_CHILDREN_H
#define SHMCACHE_CHILDREN_H

#include <signal.h>

#include "fixture.h"

/* In a child every expectation that fails ends it, and says where. */
#define NEED(x) do { if (!(x)) { fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #x, errno); _exit(1); } } while (0)

static int ready = -1;                  /* where a holder says that it is inside */

/* Forks a child that has the cache and runs fn; its exit status. */
static inline pid_t child_start(struct shmcache *c, int (*fn)(struct shmcache *))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct shmcache_err e;

		alarm(60);              /* a holder must not outlive a test that failed */
		if (shmcache_child_init(c, &e) < 0) {
			fprintf(stderr, "child_init: %s (%s)\n", e.text, e.remedy);
			_exit(99);
		}
		_exit(fn(c));
	}
	return pid;
}

static inline int child(struct shmcache *c, int (*fn)(struct shmcache *))
{
	return ended(child_start(c, fn));
}

static inline int store_some(struct shmcache *c)
{
	for (uint64_t i = 0; i < 20; i++)
		NEED(put(c, i, 0, 356, 1000) == 0);
	return 0;
}

static inline int fetch_some(struct shmcache *c)
{
	for (uint64_t i = 0; i < 20; i++)
		NEED(get(c, i, 0, 356) == 1);
	return 0;
}

/* Takes shard 0's lock, as a holder that is inside, says so, and waits for its end. */
static inline int hold(struct shmcache *c)
{
	struct shmc_shard s;

	NEED(shmc_shard_enter(c, 0, &s) == 0);
	NEED(write(ready, "h", 1) == 1);
	for (;;)
		pause();
}

static inline pid_t holder_start(struct shmcache *c, int (*fn)(struct shmcache *))
{
	int p[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	ready = p[1];
	pid = child_start(c, fn);
	close(p[1]);
	assert_int_equal(read(p[0], &byte, 1), 1);
	close(p[0]);
	return pid;
}

static inline void kill_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(ended(pid), 256 + SIGKILL);
}

/* Numbers whose keys fall into shard 0, or into any other. */
static inline uint64_t in_shard(const struct shmcache *c, bool zero, uint64_t after)
{
	unsigned char key[SHMCACHE_KEY];

	do
		key_of(++after, key);
	while ((shmc_shard_of(c, shmc_hash(c, key)) == 0) != zero);
	return after;
}

#endif

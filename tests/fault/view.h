/*
 * view.h - handles for tests that look into a cache: on the segment itself, or on a copy of it as if whoever worked
 * there had just died. What looks at a copy has a lockfile of its own.
 */
#ifndef TESTS_FAULT_VIEW_H
#define TESTS_FAULT_VIEW_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmcache/internal.h"

static inline int view_common(struct shmcache *v, const struct shmcache *c, unsigned char *base)
{
	memset(v, 0, sizeof(*v));
	v->plan = c->plan;
	v->base = base;
	v->timeout_ms = c->timeout_ms;
	v->lock = v->segfd = v->lockfd = v->keyfd = -1;
	v->self = getpid();
	return shmc_fork_page(v, NULL) == 0 && shmc_cipher_open(c->keyfd, &v->cipher, v->hash_key, NULL) == 0 ? 0 : -1;
}

/* A child's handle in the master, which stays what it was: the segment itself, its lockfile. 0 or -1. */
static inline int view_live(struct shmcache *v, const struct shmcache *c)
{
	int r;

	if (view_common(v, c, c->base) < 0)
		return -1;
	v->kind = c->kind;
	v->lockfd = c->lockfd;
	v->lock_dev = c->lock_dev;
	v->lock_ino = c->lock_ino;
	snprintf(v->lockfile, sizeof(v->lockfile), "%s", c->lockfile);
	r = shmc_lock_init(v, NULL);
	v->lockfd = -1;
	return r;
}

/* Some memory of the segment's size, and a lockfile that nobody else uses. 0 or -1. */
static inline int view_copy(struct shmcache *v, const struct shmcache *c, unsigned char *base, const char *lockfile)
{
	if (base == NULL || view_common(v, c, base) < 0)
		return -1;
	v->lock = open(lockfile, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return v->lock >= 0 ? 0 : -1;
}

static inline void view_end(struct shmcache *v)
{
	close(v->lock);
	munmap(v->fork, (size_t)sysconf(_SC_PAGESIZE));
	gcry_cipher_close(v->cipher);
}

#endif

/*
 * fixture.h - a cache in a folder of its own for the tests of shmcache/. Included by each test after
 * cmocka.h.
 */
#ifndef SHMCACHE_FIXTURE_H
#define SHMCACHE_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcache/internal.h"
#include "tests/unit/shmcache/entries.h"

struct fixture {
	char dir[64], lockfile[96], name[64];
	struct shmcache_err err;
};

/* What tests that failed did not come to remove: only at the end of the process that made it. */
static pid_t fixture_maker;
static unsigned fixture_count;
static char fixture_dirs[256][64];

static inline void fixture_sweep(void)
{
	if (getpid() != fixture_maker)
		return;
	for (unsigned i = 0; i < fixture_count && i < 256; i++) {
		char path[96];

		snprintf(path, sizeof(path), "/shmcache-test-%ld-%u", (long)getpid(), i);
		shm_unlink(path);
		snprintf(path, sizeof(path), "/shmcache-test-%ld-%u-2", (long)getpid(), i);     /* of another size */
		shm_unlink(path);
		snprintf(path, sizeof(path), "%.63s/lock", fixture_dirs[i]);
		unlink(path);
		rmdir(fixture_dirs[i]);
	}
}

static inline void fixture_init(struct fixture *f)
{

	if (fixture_maker == 0) {
		fixture_maker = getpid();
		atexit(fixture_sweep);
	}
	memset(f, 0, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/shmcache-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->lockfile, sizeof(f->lockfile), "%s/lock", f->dir);
	snprintf(f->name, sizeof(f->name), "/shmcache-test-%ld-%u", (long)getpid(), fixture_count);
	if (fixture_maker == getpid() && fixture_count < 256)
		memcpy(fixture_dirs[fixture_count], f->dir, sizeof(f->dir));
	fixture_count++;
}

static inline void fixture_fini(struct fixture *f)
{
	unlink(f->lockfile);
	rmdir(f->dir);
}

/* Master only. */
static inline struct shmcache *fixture_create(struct fixture *f, size_t bytes, enum shmcache_lock_kind kind)
{
	struct shmcache_lock_options lock = { .lockfile = f->lockfile, .kind = kind };
	struct shmcache_plan plan;
	struct shmcache *c;

	assert_int_equal(shmcache_plan(bytes, 0, &plan, &f->err), 0);
	c = shmcache_create(&plan, f->name, &lock, &f->err);
	if (c == NULL)
		fail_msg("%s (%s)", f->err.text, f->err.remedy);
	return c;
}

/* Master and child at once. */
static inline struct shmcache *fixture_open(struct fixture *f, size_t bytes)
{
	struct shmcache *c;

	fixture_init(f);
	c = fixture_create(f, bytes, SHMCACHE_LOCK_OFD);
	if (shmcache_child_init(c, &f->err) < 0)
		fail_msg("%s (%s)", f->err.text, f->err.remedy);
	return c;
}

static inline void fixture_end(struct fixture *f, struct shmcache *c)
{
	shmcache_unlink(c);
	shmcache_close(c);
	fixture_fini(f);
}

/* All shards keep the invariants. */
static inline void assert_whole(struct shmcache *c)
{
	for (unsigned i = 0; i < shmcache_geometry(c)->shards; i++)
		assert_int_equal(shmcache_check(c, i, false), 0);
}

/* Waits for a child; its exit status, or 256 + signal. */
static inline int ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

#endif

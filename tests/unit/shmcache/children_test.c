/*
 * What a child has of the cache, and what it has not. Real forks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <sys/mman.h>

#include "children.h"

static void children_share(void **state)
{
	struct fixture f;
	struct shmcache *c;
	struct shmcache_counters n;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 512000, SHMCACHE_LOCK_OFD);
	/* before child_init nothing is there and nothing breaks */
	assert_int_equal(put(c, 1, 0, 10, 10), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(get(c, 1, 0, 10), 0);
	drop(c, 1);
	assert_int_equal(shmcache_check(c, 0, false), -1);
	shmcache_crash_release(c);
	shmcache_crash_release(NULL);
	assert_int_equal(child(c, store_some), 0);
	assert_int_equal(child(c, fetch_some), 0);
	shmcache_counters(c, &n);
	assert_int_equal(n.hits, 20);
	assert_int_equal(n.live, 20);
	fixture_end(&f, c);
}

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void child_keeps_one_descriptor(void **state)
{
	struct fixture f;
	struct shmcache *c;
	unsigned before = open_descriptors();
	pid_t pid;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	assert_int_equal(open_descriptors(), before + 3);
	pid = fork();
	if (pid == 0) {
		int fds[SHMCACHE_FDS];

		before = open_descriptors();
		NEED(shmcache_child_init(c, NULL) == 0);
		shmcache_fds(c, fds);
		NEED(fds[0] == -1 && fds[1] == -1 && fds[2] == -1);
		NEED(c->lock >= 0 && c->readonly_head);
		NEED(open_descriptors() == before - 3 + 1);
		_exit(0);
	}
	assert_int_equal(ended(pid), 0);
	fixture_end(&f, c);
	assert_int_equal(open_descriptors(), before);
}

/* Its head, with geometry and seeds, a child can neither write nor make writable again; the shards it can write. */
static int cannot_write_the_head(struct shmcache *c)
{
	NEED(c->readonly_head);
	for (size_t at = 0; at < SHMC_SHARDS; at += 4096)
		NEED(mprotect(c->base + at, 4096, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	NEED(mprotect(c->base, SHMC_SHARDS, PROT_READ) == 0);
	NEED(((struct shmc_header *)c->base)->magic == SHMC_MAGIC);
	NEED(put(c, 1, 0, 10, 100) == 0 && get(c, 1, 0, 10) == 1);
	return 0;
}

/* ... and what the master writes there afterwards, it sees. */
static int sees_a_new_seed(struct shmcache *c)
{
	uint64_t serial = shmcache_ticket_serial(c);

	NEED(write(ready, "h", 1) == 1);
	while (shmcache_ticket_serial(c) == serial)
		usleep(1000);
	return 0;
}

static void head_stays_readonly(void **state)
{
	struct shmcache_seed seed = { .id = 1, .not_before = 1, .not_after = 2 };
	struct fixture f;
	struct shmcache *c;
	pid_t pid;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	assert_int_equal(child(c, cannot_write_the_head), 0);
	pid = holder_start(c, sees_a_new_seed);
	assert_int_equal(shmcache_ticket_put(c, &seed, 1), 0);
	assert_int_equal(ended(pid), 0);
	fixture_end(&f, c);
}

static int forks_again(struct shmcache *c)
{
	pid_t pid;
	int status;

	NEED(put(c, 1, 0, 10, 100) == 0);
	pid = fork();
	if (pid == 0) {
		NEED(put(c, 2, 0, 10, 100) == -1 && errno == ECHILD);
		NEED(shmcache_check(c, 0, false) == -1 && errno == ECHILD);
		NEED(get(c, 1, 0, 10) == 1);
		_exit(0);
	}
	NEED(waitpid(pid, &status, 0) == pid && status == 0);
	NEED(put(c, 3, 0, 10, 100) == 0);
	return 0;
}

static void fork_after_init_is_seen(void **state)
{
	struct fixture f;
	struct shmcache *c;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	assert_int_equal(child(c, forks_again), 0);
	fixture_end(&f, c);
}

static int nothing_to_keep(struct shmcache *c)
{
	NEED(put(c, 1, 0, 10, 10) == -1 && errno == ENOTSUP);
	NEED(get(c, 1, 0, 10) == 0);
	drop(c, 1);
	return 0;
}

static void no_sessions_is_legal(void **state)
{
	struct fixture f;
	struct shmcache *c;
	struct shmcache_counters n;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 0, SHMCACHE_LOCK_OFD);
	assert_int_equal(child(c, nothing_to_keep), 0);
	shmcache_counters(c, &n);
	assert_int_equal(n.misses, 0);
	fixture_end(&f, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_share), cmocka_unit_test(child_keeps_one_descriptor), cmocka_unit_test(head_stays_readonly),
		cmocka_unit_test(fork_after_init_is_seen), cmocka_unit_test(no_sessions_is_legal),
	};

	alarm(120);
	return cmocka_run_group_tests_name("shmcache children", tests, NULL, NULL);
}

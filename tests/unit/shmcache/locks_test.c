/*
 * Locks of every kind: they exclude, they are free when their holder dies or crashes, a stopped holder costs little, and
 * lockfiles that cannot do are refused. Real forks and kills.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <grp.h>
#include <sys/vfs.h>
#include <time.h>

#include "children.h"

enum { KINDS = 4 };

static const enum shmcache_lock_kind kinds[KINDS] = { SHMCACHE_LOCK_OFD, SHMCACHE_LOCK_FCNTL, SHMCACHE_LOCK_FLOCK,
	                                              SHMCACHE_LOCK_ROBUST };

static int store_is_refused(struct shmcache *c)
{
	struct timespec a, b;
	long ms;

	clock_gettime(CLOCK_MONOTONIC, &a);
	NEED(put(c, in_shard(c, true, 0), 0, 10, 100) == -1 && errno == ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	NEED(ms >= 49 && ms < 2000);
	return 0;
}

static int store_works(struct shmcache *c)
{
	uint64_t n = in_shard(c, true, 0);

	NEED(put(c, n, 0, 10, 100) == 0);
	NEED(get(c, n, 0, 10) == 1);
	NEED(shmcache_check(c, 0, false) == 0);
	return 0;
}

/* Every kind of lock excludes others, and is free at once when its holder is killed. */
static void locks_exclude(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct fixture f;
		struct shmcache *c;
		struct shmcache_counters n;
		pid_t pid;

		fixture_init(&f);
		c = fixture_create(&f, 512000, kinds[i]);
		pid = holder_start(c, hold);
		assert_int_equal(child(c, store_is_refused), 0);
		kill_wait(pid);
		assert_int_equal(child(c, store_works), 0);
		shmcache_counters(c, &n);
		assert_int_equal(n.lock_timeout, 1);
		assert_int_equal(n.repairs, 1);
		assert_int_equal(n.resets, 0);
		fixture_end(&f, c);
	}
}

/*
 * The lockfile below a 0700 folder is deleted, and made anew; a child without rights: its locks exclude as
 * before.
 */
static int as_nobody(struct shmcache *c)
{
	if (geteuid() == 0) {
		NEED(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
		NEED(open(c->lockfile, O_RDWR) < 0);
	}
	return store_is_refused(c);
}

static void lockfile_may_vanish(void **state)
{
	struct fixture f;
	struct shmcache *c;
	pid_t pid;
	int fd;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 512000, SHMCACHE_LOCK_OFD);
	pid = holder_start(c, hold);
	assert_int_equal(unlink(f.lockfile), 0);
	assert_int_equal(child(c, as_nobody), 0);
	fd = open(f.lockfile, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(child(c, as_nobody), 0);
	kill_wait(pid);
	assert_int_equal(child(c, store_works), 0);
	/* the file of that name is not ours, and stays */
	shmcache_unlink(c);
	assert_int_equal(access(f.lockfile, F_OK), 0);
	shmcache_close(c);
	fixture_fini(&f);
}

/* No /proc and no path: classic locks on the inherited descriptor, which exclude the others' OFD locks. */
static pid_t in_chroot(struct shmcache *c, const char *dir, int (*fn)(struct shmcache *), int want)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct shmcache_err e;

		alarm(60);
		NEED(chroot(dir) == 0 && chdir("/") == 0);
		NEED(shmcache_child_init(c, &e) == want);
		_exit(want == 0 ? fn(c) : e.text[0] == '\0' || e.remedy[0] == '\0');
	}
	return pid;
}

static int uses_classic_locks(struct shmcache *c)
{
	NEED(c->how == SHMCACHE_LOCK_FCNTL);
	return store_is_refused(c);
}

static void inherited_descriptor_does(void **state)
{
	struct fixture f;
	struct shmcache *c;
	pid_t pid;
	int p[2];
	char byte;

	(void)state;
	if (geteuid() != 0)
		skip();
	fixture_init(&f);
	c = fixture_create(&f, 512000, SHMCACHE_LOCK_OFD);
	pid = holder_start(c, hold);
	assert_int_equal(ended(in_chroot(c, f.dir, uses_classic_locks, 0)), 0);
	kill_wait(pid);
	assert_int_equal(ended(in_chroot(c, f.dir, store_works, 0)), 0);
	/* two that have but the inherited description keep each other out */
	assert_int_equal(pipe(p), 0);
	ready = p[1];
	pid = in_chroot(c, f.dir, hold, 0);
	close(p[1]);
	assert_int_equal(read(p[0], &byte, 1), 1);
	close(p[0]);
	assert_int_equal(ended(in_chroot(c, f.dir, uses_classic_locks, 0)), 0);
	kill_wait(pid);
	assert_int_equal(ended(in_chroot(c, f.dir, store_works, 0)), 0);
	fixture_end(&f, c);
	/* flock locks of one description would exclude nobody: refused */
	fixture_init(&f);
	c = fixture_create(&f, 512000, SHMCACHE_LOCK_FLOCK);
	assert_int_equal(ended(in_chroot(c, f.dir, store_works, -1)), 0);
	fixture_end(&f, c);
}

/* A holder that is stopped costs stores in its shard, and one full wait a second; nothing else. */
static int beside_a_stopped_one(struct shmcache *c)
{
	uint64_t n = 0, other = 0;
	struct timespec a, b;

	for (unsigned i = 0; i < 20; i++) {
		other = in_shard(c, false, other);
		NEED(put(c, other, 0, 100, 100) == 0);
		NEED(get(c, other, 0, 100) == 1);
	}
	n = in_shard(c, true, 1000000);
	NEED(get(c, n, 5, 100) == 1);
	drop(c, n);
	NEED(get(c, n, 5, 100) == 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned i = 0; i < 20; i++) {
		n = in_shard(c, true, n);
		NEED(put(c, n, 0, 100, 100) == -1 && errno == ETIMEDOUT);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	NEED((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 800);
	return 0;
}

static int store_first(struct shmcache *c)
{
	NEED(put(c, in_shard(c, true, 1000000), 5, 100, 100) == 0);
	return 0;
}

static void stopped_holder_costs_only_stores(void **state)
{
	struct fixture f;
	struct shmcache *c;
	pid_t pid;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 512000, SHMCACHE_LOCK_OFD);
	assert_int_equal(child(c, store_first), 0);
	pid = holder_start(c, hold);
	kill(pid, SIGSTOP);
	assert_int_equal(child(c, beside_a_stopped_one), 0);
	kill_wait(pid);
	assert_int_equal(child(c, store_works), 0);
	fixture_end(&f, c);
}

/* A crash handler gives the lock up while its process goes on existing. */
static struct shmcache *crashing;

static void on_crash(int sig)
{
	(void)sig;
	shmcache_crash_release(crashing);
	(void)!write(ready, "h", 1);
	for (;;)
		pause();
}

static int crash_inside(struct shmcache *c)
{
	struct shmc_shard s;

	crashing = c;
	signal(SIGUSR1, on_crash);
	NEED(shmc_shard_enter(c, 0, &s) == 0);
	raise(SIGUSR1);
	return 1;
}

static void crash_releases(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct fixture f;
		struct shmcache *c;
		struct shmcache_counters n;
		pid_t pid;

		fixture_init(&f);
		c = fixture_create(&f, 512000, kinds[i]);
		pid = holder_start(c, crash_inside);
		assert_int_equal(child(c, store_works), 0);
		kill_wait(pid);
		shmcache_counters(c, &n);
		assert_int_equal(n.repairs, 1);
		assert_int_equal(n.lock_timeout, 0);
		fixture_end(&f, c);
	}
}

static unsigned long magic;

static int pretend(const char *path, struct statfs *s)
{
	int r = statfs(path, s);

	s->f_type = (__typeof__(s->f_type))magic;
	return r;
}

/* A robust mutex that somebody wrote over is one that is never had: no program ends by it, and fetching goes on. */
static int meets_a_damaged_mutex(struct shmcache *c)
{
	struct shmc_shard_head *h = shmc_shard_at(c, 0);
	uint64_t n = in_shard(c, true, 0), seed = 88172645463325252u;
	unsigned had = 0;

	NEED(put(c, n, 0, 10, 100) == 0);
	c->timeout_ms = 1;
	/* Of another type it would be had as a rule, and stay locked for ever when its holder dies. */
	for (unsigned bit = 0; bit < 32; bit++) {
		h->mutex.__data.__kind ^= (int)(1u << bit);
		NEED(put(c, n, 0, 10, 100) == -1 && errno == ETIMEDOUT);
		NEED(get(c, n, 0, 10) == 1);
		h->mutex.__data.__kind ^= (int)(1u << bit);
		c->stuck[0].until = 0;
	}
	NEED(put(c, n, 0, 10, 100) == 0);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t words[sizeof(h->line) / sizeof(uint64_t)];

		memcpy(words, h->line, sizeof(h->line));
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		/* any byte of lock, count, owner, users and type; the list behind them is written only by who has the lock */
		h->line[seed % 20] ^= (unsigned char)(1 << (seed >> 32) % 8);
		if (put(c, n, 0, 10, 100) == 0)
			had++;
		else
			NEED(errno == ETIMEDOUT);
		NEED(get(c, n, 0, 10) == 1);
		memcpy(h->line, words, sizeof(h->line));
		c->stuck[0].until = 0;
	}
	NEED(had < 3000);
	NEED(put(c, n, 0, 10, 100) == 0);
	return 0;
}

static void damaged_mutex_is_never_had(void **state)
{
	struct fixture f;
	struct shmcache *c;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_ROBUST);
	assert_int_equal(child(c, meets_a_damaged_mutex), 0);
	fixture_end(&f, c);
}

/* A signal may come before the lock is had, or after it was given away: what is not ours is not given up. */
static int releases_only_its_own(struct shmcache *c)
{
	uint64_t n = in_shard(c, true, 0);

	c->inside = shmc_shard_at(c, 0);        /* as in the middle of shmc_lock */
	shmcache_crash_release(c);
	c->inside = NULL;
	NEED(put(c, n, 0, 10, 100) == -1 && errno == ETIMEDOUT);
	return 0;
}

static void crash_releases_only_its_own(void **state)
{
	struct fixture f;
	struct shmcache *c;
	pid_t pid;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_ROBUST);
	pid = holder_start(c, hold);
	assert_int_equal(child(c, releases_only_its_own), 0);
	kill_wait(pid);
	assert_int_equal(child(c, store_works), 0);
	fixture_end(&f, c);
}

/* The last wait is told: for whom, how long, and in vain or not. */
static pid_t held_by;

static int tells_its_waits(struct shmcache *c)
{
	struct shmcache_wait w;
	uint64_t n = in_shard(c, true, 0), other = in_shard(c, false, 0);
	struct shmc_shard_head *h = shmc_shard_at(c, 0);

	shmcache_last_wait(c, &w);
	NEED(w.n == 0);
	NEED(put(c, other, 0, 10, 100) == 0);
	shmcache_last_wait(c, &w);
	NEED(w.n == 0);
	NEED(put(c, n, 0, 10, 100) == -1 && errno == ETIMEDOUT);
	shmcache_last_wait(c, &w);
	NEED(w.n == 1 && w.shard == 0 && w.given_up && w.owner == held_by && w.us >= 49000 && w.us < 2000000);
	NEED(put(c, n, 0, 10, 100) == -1 && errno == ETIMEDOUT);
	shmcache_last_wait(c, &w);
	NEED(w.n == 2 && w.given_up && w.owner == held_by && w.us < 40000);
	/* somebody else inside, or somebody has stored: patience anew; not so while nothing changes */
	shmc_release(&h->owner, 1);
	NEED(put(c, n, 0, 10, 100) == -1 && errno == ETIMEDOUT);
	shmcache_last_wait(c, &w);
	NEED(w.n == 3 && w.owner == 1 && w.us >= 49000);
	shmc_release(&h->ring[PROBATION].head, h->ring[PROBATION].head + 4);
	NEED(put(c, n, 0, 10, 100) == -1 && errno == ETIMEDOUT);
	shmcache_last_wait(c, &w);
	NEED(w.n == 4 && w.us >= 49000);
	NEED(put(c, n, 0, 10, 100) == -1 && errno == ETIMEDOUT);
	shmcache_last_wait(c, &w);
	NEED(w.n == 5 && w.us < 40000);
	shmc_release(&h->ring[PROBATION].head, h->ring[PROBATION].head - 4);
	shmc_release(&h->owner, (uint64_t)held_by);
	c->timeout_ms = 10000;
	kill(held_by, SIGUSR1);                 /* it goes on holding for a while, and ends */
	NEED(put(c, n, 0, 10, 100) == 0);
	shmcache_last_wait(c, &w);
	NEED(w.n == 6 && !w.given_up && w.shard == 0 && w.owner == held_by && w.us >= 20000);
	NEED(c->stuck[0].until == 0);
	return 0;
}

static void on_usr1(int sig)
{
	(void)sig;
	usleep(40000);
	_exit(0);
}

static int hold_until_told(struct shmcache *c)
{
	signal(SIGUSR1, on_usr1);
	return hold(c);
}

static void waits_are_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct fixture f;
		struct shmcache *c;

		if (kinds[i] == SHMCACHE_LOCK_FLOCK)    /* one lock for all shards: any store waits */
			continue;
		fixture_init(&f);
		c = fixture_create(&f, 512000, kinds[i]);
		held_by = holder_start(c, hold_until_told);
		assert_int_equal(child(c, tells_its_waits), 0);
		assert_int_equal(ended(held_by), 0);
		fixture_end(&f, c);
	}
}

static void refuses_network_file_systems(void **state)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} rows[] = { { 0x6969, "NFS" }, { 0xff534d42, "CIFS" }, { 0x01021997, "9p" }, { 0x65735546, "FUSE" }, { 0x517b, "SMB" },
		     { 0x01021994, NULL }, { 0xef53, NULL }, { 0x58465342, NULL } };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	shmc_statfs = pretend;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct shmcache_lock_options lock = { .lockfile = f.lockfile };
		struct shmcache_plan plan;
		struct shmcache_err e;
		struct shmcache *c;

		magic = rows[i].magic;
		assert_int_equal(shmcache_plan(65536, 0, &plan, &e), 0);
		c = shmcache_create(&plan, f.name, &lock, &e);
		if (rows[i].name == NULL) {
			assert_non_null(c);
			shmcache_unlink(c);
			shmcache_close(c);
		} else {
			assert_null(c);
			assert_non_null(strstr(e.text, rows[i].name));
			assert_non_null(strstr(e.remedy, "/run"));
			assert_int_equal(access(f.lockfile, F_OK), -1);
		}
	}
	shmc_statfs = statfs;
	fixture_fini(&f);
}

/* A path that names somebody's file by mistake: nothing of it may be lost, neither now nor when the server ends. */
static void spares_files_that_hold_something(void **state)
{
	static const struct { const char *held; bool ours; } rows[] = {
		{ "", true }, { "4711\n", true }, { "4711", true }, { "-----BEGIN PRIVATE KEY-----\n", false }, { "4711\n4712\n", false }, { "\n", false },
		{ "4711 is my number\n", false }, { "12345678901234567890123456789012345\n", false },
	};
	struct shmcache_plan plan;
	struct shmcache_err e;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_int_equal(shmcache_plan(65536, 0, &plan, &e), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shmcache_lock_options lock = { .lockfile = f.lockfile };
		struct shmcache *c;
		char held[64] = "";
		struct stat st;
		FILE *file = fopen(f.lockfile, "w");

		assert_non_null(file);
		fputs(rows[i].held, file);
		fclose(file);
		assert_int_equal(chmod(f.lockfile, 0640), 0);
		c = shmcache_create(&plan, f.name, &lock, &e);
		assert_true((c != NULL) == rows[i].ours);
		if (c != NULL) {
			shmcache_unlink(c);
			shmcache_close(c);
			continue;
		}
		assert_non_null(strstr(e.text, f.lockfile));
		assert_non_null(strstr(e.text, "holds something else"));
		assert_true(e.remedy[0] != '\0');
		file = fopen(f.lockfile, "r");
		assert_non_null(file);
		assert_int_equal(fread(held, 1, sizeof(held) - 1, file), strlen(rows[i].held));
		assert_string_equal(held, rows[i].held);
		assert_int_equal(fstat(fileno(file), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		fclose(file);
	}
	fixture_fini(&f);
}

static void refuses_bad_lockfiles(void **state)
{
	struct fixture f;
	char path[128], target[128];

	(void)state;
	fixture_init(&f);
	snprintf(target, sizeof(target), "%s/target", f.dir);
	for (unsigned i = 0; i < 7; i++) {
		struct shmcache_lock_options lock = { .lockfile = path };
		struct shmcache_plan plan;
		struct shmcache_err e;

		snprintf(path, sizeof(path), "%s", f.lockfile);
		switch (i) {
		case 0: snprintf(path, sizeof(path), "lock"); break;
		case 1: snprintf(path, sizeof(path), "%s/none/lock", f.dir); break;
		case 2: snprintf(path, sizeof(path), "%s/", f.dir); break;
		case 3: assert_int_equal(symlink(target, path), 0); break;
		case 4: assert_int_equal(mkfifo(path, 0600), 0); break;
		case 5: assert_int_equal(mkdir(path, 0700), 0); break;
		case 6:
			if (geteuid() != 0)
				continue;
			close(open(path, O_CREAT | O_RDWR, 0600));
			assert_int_equal(chown(path, 65534, 65534), 0);
			break;
		}
		assert_int_equal(shmcache_plan(65536, 0, &plan, &e), 0);
		assert_null(shmcache_create(&plan, f.name, &lock, &e));
		assert_non_null(strstr(e.text, i == 1 ? "/none" : path));
		assert_true(strlen(e.remedy) > 0);
		assert_true((i == 3) == (strstr(e.remedy, "symbolic link") != NULL));
		assert_int_equal(access(target, F_OK), -1);
		unlink(f.lockfile);
		rmdir(f.lockfile);
	}
	for (unsigned i = 0; i < 4; i++) {
		static const char *const names[] = { "", "/", "bulkhead", "/a/b" };
		struct shmcache_lock_options lock = { .lockfile = f.lockfile };
		struct shmcache_plan plan;
		struct shmcache_err e;

		assert_int_equal(shmcache_plan(65536, 0, &plan, &e), 0);
		assert_null(shmcache_create(&plan, names[i], &lock, &e));
		assert_true(e.text[0] != '\0' && e.remedy[0] != '\0');
	}
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locks_exclude), cmocka_unit_test(lockfile_may_vanish),
		cmocka_unit_test(inherited_descriptor_does),
		cmocka_unit_test(stopped_holder_costs_only_stores), cmocka_unit_test(crash_releases),
		cmocka_unit_test(crash_releases_only_its_own), cmocka_unit_test(damaged_mutex_is_never_had),
		cmocka_unit_test(waits_are_told),
		cmocka_unit_test(refuses_network_file_systems), cmocka_unit_test(refuses_bad_lockfiles),
		cmocka_unit_test(spares_files_that_hold_something),
	};

	alarm(120);
	return cmocka_run_group_tests_name("shmcache locks", tests, NULL, NULL);
}

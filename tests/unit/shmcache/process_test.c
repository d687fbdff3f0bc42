/*
 * Processes: making, names, left-overs, adoption, children's locks, stopped and crashing holders. Real forks
 * and execs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "fixture.h"

static const char *self;
static int ready = -1;                  /* where a holder says that it is inside */

/* In a child every expectation that fails ends it with the line's number, low byte. */
#define NEED(x) do { if (!(x)) { fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #x, errno); _exit(1); } } while (0)

/* Forks a child that has the cache and runs fn; its exit status. */
static pid_t child_start(struct shmcache *c, int (*fn)(struct shmcache *))
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

static int child(struct shmcache *c, int (*fn)(struct shmcache *))
{
	return ended(child_start(c, fn));
}

static int store_some(struct shmcache *c)
{
	for (uint64_t i = 0; i < 20; i++)
		NEED(put(c, i, 0, 356, 1000) == 0);
	return 0;
}

static int fetch_some(struct shmcache *c)
{
	for (uint64_t i = 0; i < 20; i++)
		NEED(get(c, i, 0, 356) == 1);
	return 0;
}

/* Takes shard 0's lock, as a holder that is inside, says so, and waits for its end. */
static int hold(struct shmcache *c)
{
	struct shmc_shard s;

	NEED(shmc_shard_enter(c, 0, &s) == 0);
	NEED(write(ready, "h", 1) == 1);
	for (;;)
		pause();
}

static pid_t holder_start(struct shmcache *c, int (*fn)(struct shmcache *))
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

static void kill_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(ended(pid), 256 + SIGKILL);
}

/* Numbers whose keys fall into shard 0, or into any other. */
static uint64_t in_shard(const struct shmcache *c, bool zero, uint64_t after)
{
	unsigned char key[SHMCACHE_KEY];

	do
		key_of(++after, key);
	while ((shmc_shard_of(c, shmc_hash(c, key)) == 0) != zero);
	return after;
}

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
	static const enum shmcache_lock_kind kinds[] = { SHMCACHE_LOCK_OFD, SHMCACHE_LOCK_FCNTL, SHMCACHE_LOCK_FLOCK };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
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

	(void)state;
	if (geteuid() != 0)
		skip();
	fixture_init(&f);
	c = fixture_create(&f, 512000, SHMCACHE_LOCK_OFD);
	pid = holder_start(c, hold);
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
	static const enum shmcache_lock_kind kinds[] = { SHMCACHE_LOCK_OFD, SHMCACHE_LOCK_FCNTL, SHMCACHE_LOCK_FLOCK };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
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

/* ------------------------------------------------------------------------------------------------ names */

static void in_use_says_by_whom(void **state)
{
	struct fixture f;
	struct shmcache *c;
	struct shmcache_plan plan;
	struct shmcache_lock_options lock;
	struct shmcache_err e;
	char pid[32], other[128];

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	lock = (struct shmcache_lock_options){ .lockfile = f.lockfile };
	assert_int_equal(shmcache_plan(65536, 0, &plan, &e), 0);
	assert_null(shmcache_create(&plan, "/shmcache-test-other", &lock, &e));
	snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	assert_non_null(strstr(e.text, pid));
	assert_non_null(strstr(e.text, f.lockfile));
	assert_string_not_equal(e.remedy, "");
	/* the same name with another lockfile */
	snprintf(other, sizeof(other), "%s2", f.lockfile);
	lock.lockfile = other;
	assert_null(shmcache_create(&plan, f.name, &lock, &e));
	assert_non_null(strstr(e.text, f.lockfile));
	assert_int_equal(access(other, F_OK), -1);      /* what the failed attempt made is gone again */
	assert_int_equal(access(f.lockfile, F_OK), 0);
	fixture_end(&f, c);
	assert_int_equal(shm_open(f.name, O_RDONLY, 0), -1);
	assert_int_equal(errno, ENOENT);
}

/* What a killed master left is removed; with the same lockfile, and with one that has moved. */
static void left_overs_go(void **state)
{
	(void)state;
	for (int moved = 0; moved < 2; moved++) {
		struct fixture f;
		struct shmcache *c;
		pid_t pid;
		int fd;

		fixture_init(&f);
		pid = fork();
		if (pid == 0) {
			(void)fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
			kill(getpid(), SIGKILL);
		}
		assert_int_equal(ended(pid), 256 + SIGKILL);
		fd = shm_open(f.name, O_RDONLY, 0);
		assert_true(fd >= 0);
		close(fd);
		if (moved) {
			char other[128];

			snprintf(other, sizeof(other), "%s-old", f.lockfile);
			assert_int_equal(rename(f.lockfile, other), 0);
			c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
			unlink(other);
		} else {
			c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
		}
		assert_string_equal(shmcache_name(c), f.name);
		assert_int_equal(child(c, store_some), 0);
		fixture_end(&f, c);
	}
}

/* A child gone wild may have named any file as the lockfile: only one as we make them says that somebody lives. */
static void believes_no_scribbled_header(void **state)
{
	struct fixture f;
	struct shmcache *c;
	struct shmc_header h;
	struct stat st;
	char other[128];
	int fd, lock;
	pid_t pid;

	(void)state;
	fixture_init(&f);
	snprintf(other, sizeof(other), "%s-other", f.lockfile);
	lock = open(other, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(lock >= 0 && fchmod(lock, 0644) == 0);
	assert_int_equal(shmc_instance_take(lock), 0);
	assert_int_equal(fstat(lock, &st), 0);
	pid = fork();
	if (pid == 0) {
		(void)fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(ended(pid), 256 + SIGKILL);
	fd = shm_open(f.name, O_RDWR, 0);
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	snprintf(h.lockfile, sizeof(h.lockfile), "%s", other);
	h.lock_dev = st.st_dev;
	h.lock_ino = st.st_ino;
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	close(fd);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	close(lock);
	unlink(other);
	fixture_end(&f, c);
}

static unsigned long magic;

static int pretend(const char *path, struct statfs *s)
{
	int r = statfs(path, s);

	s->f_type = (__typeof__(s->f_type))magic;
	return r;
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

/* Memory that cannot be had is an error at the start, and leaves no name behind. */
static void full_memory_is_said(void **state)
{
	struct fixture f;
	pid_t pid;

	(void)state;
	fixture_init(&f);
	pid = fork();
	if (pid == 0) {
		struct shmcache_lock_options lock = { .lockfile = f.lockfile };
		struct rlimit limit = { 1 << 20, 1 << 20 };
		struct shmcache_plan plan;
		struct shmcache_err e;

		signal(SIGXFSZ, SIG_IGN);
		NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
		NEED(shmcache_plan(2 << 20, 0, &plan, &e) == 0);
		NEED(shmcache_create(&plan, f.name, &lock, &e) == NULL);
		NEED(strstr(e.remedy, "/dev/shm") != NULL);
		NEED(shm_open(f.name, O_RDONLY, 0) < 0 && access(f.lockfile, F_OK) < 0);
		_exit(0);
	}
	assert_int_equal(ended(pid), 0);
	fixture_fini(&f);
}

/* Without /dev/shm a memfd does, sealed against being cut. */
static void nameless_memory_does(void **state)
{
	struct fixture f;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	fixture_init(&f);
	pid = fork();
	if (pid == 0) {
		struct shmcache_lock_options lock = { .lockfile = "/lock" };
		struct shmcache_plan plan;
		struct shmcache_err e;
		struct shmcache *c;
		int fds[SHMCACHE_FDS];

		NEED(chroot(f.dir) == 0 && chdir("/") == 0);
		NEED(shmcache_plan(65536, 0, &plan, &e) == 0);
		c = shmcache_create(&plan, f.name, &lock, &e);
		NEED(c != NULL);
		NEED(shmcache_name(c)[0] == '\0');
		shmcache_fds(c, fds);
		NEED(ftruncate(fds[0], 0) < 0 && errno == EPERM);
		NEED(shmcache_child_init(c, &e) == 0);
		NEED(put(c, 1, 0, 100, 100) == 0 && get(c, 1, 0, 100) == 1);
		shmcache_unlink(c);
		NEED(access("/lock", F_OK) < 0);
		shmcache_close(c);
		_exit(0);
	}
	assert_int_equal(ended(pid), 0);
	fixture_fini(&f);
}

/* ------------------------------------------------------------------------------------------------ adoption */

/*
 * The program after exec: adopts, and finds what the one before kept; the instance is locked all the while.
 */
static int adopted_main(char **arg)
{
	struct shmcache_err e;
	struct shmcache *c = shmcache_adopt((const int[]){ atoi(arg[0]), atoi(arg[1]), atoi(arg[2]), -1 }, &e);
	struct shmcache_seed seeds[SHMCACHE_SEEDS];
	int fds[SHMCACHE_FDS];

	if (c == NULL) {
		fprintf(stderr, "adopt: %s\n", e.text);
		return 2;
	}
	NEED(shmcache_ticket_list(c, seeds) == 1 && seeds[0].id == 77);
	NEED(shmc_instance_lives(c->lockfile, c->lock_dev, c->lock_ino));
	shmcache_fds(c, fds);
	NEED(fcntl(fds[0], F_GETFD) == FD_CLOEXEC && fcntl(fds[2], F_GETFD) == FD_CLOEXEC);
	NEED(child(c, fetch_some) == 0);
	NEED(child(c, store_some) == 0);
	shmcache_unlink(c);
	NEED(access(c->lockfile, F_OK) < 0);
	shmcache_close(c);
	return 0;
}

static void exec_keeps_everything(void **state)
{
	struct shmcache_seed seed = { .id = 77, .not_before = 1, .not_after = 2 };
	struct fixture f;
	pid_t pid;

	(void)state;
	fixture_init(&f);
	pid = fork();
	if (pid == 0) {
		struct shmcache *c = fixture_create(&f, 512000, SHMCACHE_LOCK_OFD);
		char text[3][16];
		int fds[SHMCACHE_FDS];

		NEED(child(c, store_some) == 0);
		NEED(shmcache_ticket_put(c, &seed, seed.not_before) == 0);
		shmcache_fds(c, fds);
		for (int i = 0; i < 3; i++) {
			NEED(fcntl(fds[i], F_SETFD, 0) == 0);
			snprintf(text[i], sizeof(text[i]), "%d", fds[i]);
		}
		execl(self, self, "adopt", text[0], text[1], text[2], (char *)NULL);
		_exit(98);
	}
	assert_int_equal(ended(pid), 0);
	assert_int_equal(shm_open(f.name, O_RDONLY, 0), -1);
	fixture_fini(&f);
}

static void adopts_only_what_is_whole(void **state)
{
	struct fixture f, g;
	struct shmcache *c, *other;
	struct shmc_header *h;
	struct shmcache_err e;
	int fds[SHMCACHE_FDS], foreign[SHMCACHE_FDS];

	(void)state;
	fixture_init(&f);
	fixture_init(&g);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	other = fixture_create(&g, 65536, SHMCACHE_LOCK_OFD);
	shmcache_fds(c, fds);
	shmcache_fds(other, foreign);
	h = (struct shmc_header *)c->base;
	assert_null(shmcache_adopt((const int[]){ fds[0], fds[1], foreign[2], -1 }, &e));    /* another key */
	assert_non_null(strstr(e.text, "key"));
	assert_null(shmcache_adopt((const int[]){ fds[0], foreign[1], fds[2], -1 }, &e));    /* another lockfile */
	assert_non_null(strstr(e.text, "lockfile"));
	assert_null(shmcache_adopt((const int[]){ fds[2], fds[1], fds[2], -1 }, &e));        /* not a segment */
	assert_null(shmcache_adopt((const int[]){ -1, fds[1], fds[2], -1 }, &e));
	for (size_t i = 0; i < offsetof(struct shmc_header, lockfile) + 100; i++) {
		unsigned char *byte = (unsigned char *)h + i;

		*byte ^= 0x20;
		e.text[0] = '\0';
		assert_null(shmcache_adopt((const int[]){ fds[0], fds[1], fds[2], -1 }, &e));
		assert_true(e.text[0] != '\0' && e.remedy[0] != '\0');
		*byte ^= 0x20;
	}
	h->version = h->oldest = SHMC_VERSION + 1;
	assert_null(shmcache_adopt((const int[]){ fds[0], fds[1], fds[2], -1 }, &e));
	assert_non_null(strstr(e.text, "layout"));
	h->version = h->oldest = SHMC_VERSION;
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);           /* still the caller's */
	{       /* and the whole one is taken: by its own description, through a copy */
		struct shmcache *again = shmcache_adopt((const int[]){ dup(fds[0]), dup(fds[1]), dup(fds[2]), -1 }, &e);

		assert_non_null(again);
		assert_string_equal(shmcache_name(again), f.name);
		assert_memory_equal(shmcache_geometry(again), shmcache_geometry(c), sizeof(struct shmcache_plan));
		shmcache_close(again);
	}
	fixture_end(&f, c);
	fixture_end(&g, other);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_share), cmocka_unit_test(child_keeps_one_descriptor),
		cmocka_unit_test(fork_after_init_is_seen), cmocka_unit_test(locks_exclude),
		cmocka_unit_test(lockfile_may_vanish), cmocka_unit_test(inherited_descriptor_does),
		cmocka_unit_test(stopped_holder_costs_only_stores), cmocka_unit_test(crash_releases),
		cmocka_unit_test(in_use_says_by_whom), cmocka_unit_test(left_overs_go),
		cmocka_unit_test(believes_no_scribbled_header),
		cmocka_unit_test(refuses_network_file_systems), cmocka_unit_test(refuses_bad_lockfiles),
		cmocka_unit_test(full_memory_is_said), cmocka_unit_test(nameless_memory_does),
		cmocka_unit_test(exec_keeps_everything), cmocka_unit_test(adopts_only_what_is_whole),
		cmocka_unit_test(no_sessions_is_legal),
	};

	alarm(120);
	self = argv[0];
	if (argc == 5 && strcmp(argv[1], "adopt") == 0)
		return adopted_main(argv + 2);
	return cmocka_run_group_tests_name("shmcache processes", tests, NULL, NULL);
}

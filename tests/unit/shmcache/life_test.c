/*
 * The life of a segment: names, what the dead leave, memory that is full or nameless, adoption after exec. Real forks and
 * execs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "children.h"

static const char *self;

static int migrate_all(struct shmcache *c)
{
	NEED(shmcache_migrate(c, NULL) == 20);
	return 0;
}

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
	assert_non_null(strstr(e.text, pid));
	assert_non_null(strstr(e.text, f.name));
	assert_string_not_equal(e.remedy, "");
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

/* /dev/shm of 600 KiB: what does not fit is told with both sizes, what fits is there to its last byte. */
static int in_small_memory(struct fixture *f)
{
	struct shmcache_lock_options lock = { .lockfile = f->lockfile };
	struct shmcache_plan large, small;
	struct shmcache_err e;
	struct shmcache *c;
	char second[80];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=600k") < 0)
		return 77;
	snprintf(second, sizeof(second), "%s-2", f->name);
	NEED(shmcache_plan(1 << 20, 0, &large, &e) == 0 && shmcache_plan(400000, 0, &small, &e) == 0);
	NEED(shmcache_create(&large, f->name, &lock, &e) == NULL);
	NEED(strstr(e.text, "614400") != NULL && strstr(e.text, "/dev/shm") != NULL);
	snprintf(second, sizeof(second), "%zu", large.segment);
	NEED(strstr(e.text, second) != NULL && strstr(e.remedy, "remount") != NULL);
	NEED(shm_open(f->name, O_RDONLY, 0) < 0 && errno == ENOENT && access(f->lockfile, F_OK) < 0);
	c = shmcache_create(&small, f->name, &lock, &e);
	NEED(c != NULL);
	memset(c->base + SHMC_SHARDS, 0, c->plan.segment - SHMC_SHARDS);        /* no page is only promised */
	NEED(child(c, store_some) == 0);
	/* a second one beside it does not fit: the first goes on as if nothing had been */
	NEED(shmcache_resize(c, &small, &e) == -1 && errno == ENOSPC);
	NEED(strstr(e.text, "614400") != NULL);
	snprintf(second, sizeof(second), "%s-2", f->name);
	NEED(!shmcache_resizing(c) && shm_open(second, O_RDONLY, 0) < 0 && errno == ENOENT);
	NEED(strcmp(shmcache_name(c), f->name) == 0 && shmcache_geometry(c)->bytes == 400000);
	shmcache_unlink(c);
	shmcache_close(c);
	return 0;
}

static void full_memory_is_said_with_sizes(void **state)
{
	struct fixture f;
	pid_t pid;
	int r;

	(void)state;
	if (geteuid() != 0)
		skip();
	fixture_init(&f);
	pid = fork();
	if (pid == 0)
		_exit(in_small_memory(&f));
	r = ended(pid);
	fixture_fini(&f);
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
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

/*
 * The program after exec: adopts, and finds what the one before kept; the instance is locked all the while.
 */
static int adopted_main(char **arg)
{
	const int given[SHMCACHE_FDS] = { atoi(arg[0]), atoi(arg[1]), atoi(arg[2]), atoi(arg[3]) };
	struct shmcache_err e;
	struct shmcache *c = shmcache_adopt(given, &e);
	struct shmcache_seed seeds[SHMCACHE_SEEDS];
	int fds[SHMCACHE_FDS];

	if (c == NULL) {
		fprintf(stderr, "adopt: %s\n", e.text);
		return 2;
	}
	NEED(shmcache_ticket_list(c, seeds) == 1 && seeds[0].id == 77);
	NEED(shmc_instance_lives(c->lockfile, c->lock_dev, c->lock_ino));
	NEED(shmc_instance_pid(c->lockfile) == getpid());
	shmcache_fds(c, fds);
	for (int i = 0; i < SHMCACHE_FDS; i++)
		NEED(fds[i] == given[i] && (fds[i] < 0 || fcntl(fds[i], F_GETFD) == FD_CLOEXEC));
	NEED(shmcache_resizing(c) == (given[3] >= 0));
	NEED(child(c, fetch_some) == 0);
	if (shmcache_resizing(c)) {
		NEED(child(c, migrate_all) == 0);
		shmcache_resized(c);
		NEED(child(c, fetch_some) == 0);
		NEED(strstr(shmcache_name(c), "-2") != NULL);
	}
	NEED(child(c, store_some) == 0);
	shmcache_unlink(c);
	NEED(access(c->lockfile, F_OK) < 0);
	shmcache_close(c);
	return 0;
}

/* Over exec with all descriptors, twice: in quiet, and in the middle of a resize. */
static void exec_keeps_everything(void **state)
{
	struct shmcache_seed seed = { .id = 77, .not_before = 1, .not_after = 2 };

	(void)state;
	for (int resizing = 0; resizing < 2; resizing++) {
		struct fixture f;
		pid_t pid, before;

		fixture_init(&f);
		pid = fork();
		if (pid == 0) {
			struct shmcache *c = fixture_create(&f, 512000, SHMCACHE_LOCK_OFD);
			char text[SHMCACHE_FDS][16];
			struct shmcache_plan plan;
			int fds[SHMCACHE_FDS];

			NEED(child(c, store_some) == 0);
			NEED(shmcache_ticket_put(c, &seed, seed.not_before) == 0);
			NEED(shmcache_plan(1 << 20, 0, &plan, NULL) == 0);
			NEED(!resizing || shmcache_resize(c, &plan, NULL) == 0);
			shmcache_fds(c, fds);
			for (int i = 0; i < SHMCACHE_FDS; i++) {
				NEED(fds[i] < 0 || fcntl(fds[i], F_SETFD, 0) == 0);
				snprintf(text[i], sizeof(text[i]), "%d", fds[i]);
			}
			before = fork();        /* the program after may have another pid */
			if (before > 0)
				_exit(ended(before));
			execl(self, self, "adopt", text[0], text[1], text[2], text[3], (char *)NULL);
			_exit(98);
		}
		assert_int_equal(ended(pid), 0);
		assert_int_equal(shm_open(f.name, O_RDONLY, 0), -1);
		fixture_fini(&f);
	}
}

/* An older segment that is none is let go of; the cache itself is taken, and no child looks further. */
static void adopts_without_an_older_one(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct fixture f, g;
		struct shmcache *c, *other, *again;
		struct shmcache_plan plan;
		struct shmcache_err e;
		int fds[SHMCACHE_FDS], older;

		fixture_init(&f);
		fixture_init(&g);
		c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
		other = fixture_create(&g, 65536, SHMCACHE_LOCK_OFD);
		assert_int_equal(shmcache_plan(131072, 0, &plan, &e), 0);
		assert_int_equal(shmcache_resize(c, &plan, &e), 0);
		shmcache_fds(c, fds);
		switch (i) {
		case 0: older = dup(other->segfd); break;               /* another instance's */
		case 1: older = dup(fds[2]); break;                     /* no segment */
		case 2: older = dup(fds[0]); break;                     /* itself */
		default:                                                /* damaged */
			older = dup(fds[3]);
			c->older->base[offsetof(struct shmc_header, segment)] ^= 1;
		}
		again = shmcache_adopt((const int[]){ dup(fds[0]), dup(fds[1]), dup(fds[2]), older }, &e);
		assert_non_null(again);
		assert_false(shmcache_resizing(again));
		assert_int_equal(fcntl(older, F_GETFD), -1);
		assert_int_equal(shmc_load(&shmc_seeds_of(again)->alone), 1);
		assert_int_equal(child(again, store_some), 0);
		shmcache_close(again);
		fixture_end(&f, c);
		fixture_end(&g, other);
	}
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_use_says_by_whom), cmocka_unit_test(left_overs_go),
		cmocka_unit_test(believes_no_scribbled_header), cmocka_unit_test(full_memory_is_said),
		cmocka_unit_test(nameless_memory_does), cmocka_unit_test(exec_keeps_everything),
		cmocka_unit_test(adopts_only_what_is_whole), cmocka_unit_test(adopts_without_an_older_one),
		cmocka_unit_test(full_memory_is_said_with_sizes),
	};

	alarm(120);
	self = argv[0];
	if (argc == 2 + SHMCACHE_FDS && strcmp(argv[1], "adopt") == 0)
		return adopted_main(argv + 2);
	return cmocka_run_group_tests_name("shmcache life", tests, NULL, NULL);
}

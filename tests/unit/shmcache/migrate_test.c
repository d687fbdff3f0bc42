/*
 * Another size while everything goes on: children of both generations, a helper that is killed, adoption in the middle.
 * Real forks, kills and steps of single instructions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include "children.h"

static bool exists(const char *name)
{
	int fd = shm_open(name, O_RDONLY, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int resize(struct shmcache *c, size_t bytes)
{
	struct shmcache_plan plan;
	struct shmcache_err e;
	int r;

	assert_int_equal(shmcache_plan(bytes, 0, &plan, &e), 0);
	r = shmcache_resize(c, &plan, &e);
	if (r < 0)
		assert_true(e.text[0] != '\0');
	return r;
}

static int migrate(struct shmcache *c)
{
	struct shmcache_err e;
	long n = shmcache_migrate(c, &e);

	if (n < 0)
		fprintf(stderr, "migrate: %s (%s)\n", e.text, e.remedy);
	return n < 0 ? 255 : n > 250 ? 250 : (int)n;
}

/* ------------------------------------------------------------------------------------------------ one after another */

static int older_use(struct shmcache *c)
{
	struct shmcache_plan plan = *shmcache_geometry(c);
	struct shmcache_counters n;

	NEED(c->older != NULL && c->older->readonly_head && c->older->segfd == -1);
	NEED(mprotect(c->older->base, SHMC_SHARDS, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	NEED(fetch_some(c) == 0);
	shmcache_counters(c->older, &n);
	NEED(n.live == 20);
	NEED(put(c, 3, 1, 200, 1000) == 0);             /* into the new one; the old one's is gone */
	NEED(get(c, 3, 1, 200) == 1);
	shmcache_counters(c->older, &n);
	NEED(n.live == 19);
	drop(c, 4);
	NEED(get(c, 4, 0, 356) == 0);
	drop(c, 3);
	NEED(get(c, 3, 1, 200) == 0);
	NEED(put(c, 100, 0, 50, 1000) == 0);
	NEED(shmcache_resize(c, &plan, NULL) == -1 && errno == EBUSY);
	return 0;
}

static int all_but_two(struct shmcache *c)
{
	for (uint64_t i = 0; i < 20; i++)
		NEED(get(c, i, 0, 356) == (i != 3 && i != 4));
	NEED(get(c, 100, 0, 50) == 1);
	for (unsigned i = 0; i < shmcache_geometry(c)->shards; i++)
		NEED(shmcache_check(c, i, false) == 0);
	return 0;
}

/* A child that was there before the end lets go of the older segment at a miss, and finds the rest as before. */
static int lets_go(struct shmcache *c)
{
	unsigned char *older = c->older->base;
	unsigned char there;

	NEED(write(ready, "h", 1) == 1);
	while (shmc_load(&shmc_seeds_of(c)->alone) == 0)
		usleep(1000);
	NEED(all_but_two(c) == 0);
	NEED(c->older == NULL);
	NEED(mincore(older, 4096, &there) == -1 && errno == ENOMEM);
	return all_but_two(c);
}

static void goes_on_with_another_size(void **state)
{
	static const size_t sizes[][2] = { { 65536, 4 << 20 }, { 4 << 20, 65536 }, { 512000, 512000 }, { 8192 * 4, 2 << 20 } };
	static const enum shmcache_lock_kind kinds[] = { SHMCACHE_LOCK_OFD, SHMCACHE_LOCK_ROBUST, SHMCACHE_LOCK_FLOCK,
		                                         SHMCACHE_LOCK_FCNTL };
	struct shmcache_seed seed = { .id = 7, .not_before = 1, .not_after = 2 }, seeds[SHMCACHE_SEEDS];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct shmcache_counters n;
		struct shmcache *c;
		struct fixture f;
		char second[80];
		int fds[SHMCACHE_FDS];
		pid_t pid;

		fixture_init(&f);
		snprintf(second, sizeof(second), "%s-2", f.name);
		c = fixture_create(&f, sizes[i][0], kinds[i]);
		assert_int_equal(shmcache_ticket_put(c, &seed, 1), 0);
		assert_int_equal(child(c, store_some), 0);
		assert_false(shmcache_resizing(c));
		assert_int_equal(resize(c, sizes[i][1]), 0);
		assert_true(shmcache_resizing(c));
		assert_int_equal(resize(c, sizes[i][1]), -1);
		assert_int_equal(shmcache_geometry(c)->bytes, sizes[i][1]);
		assert_string_equal(shmcache_name(c), second);
		assert_true(exists(f.name) && exists(second));
		shmcache_fds(c, fds);
		assert_true(fds[3] >= 0 && fds[3] != fds[0]);
		assert_int_equal(shmcache_ticket_list(c, seeds), 1);
		assert_int_equal(child(c, older_use), 0);
		assert_int_equal(child(c, migrate), 18);
		assert_int_equal(child(c, migrate), 0);         /* again: nothing is left to do */
		pid = holder_start(c, lets_go);
		shmcache_resized(c);
		assert_int_equal(ended(pid), 0);
		assert_false(shmcache_resizing(c));
		assert_true(!exists(f.name) && exists(second));
		assert_int_equal(child(c, all_but_two), 0);
		shmcache_counters(c, &n);
		assert_int_equal(n.live, 19);
		/* and back: the names take turns */
		assert_int_equal(resize(c, sizes[i][0]), 0);
		assert_string_equal(shmcache_name(c), f.name);
		assert_int_equal(child(c, migrate), 19);
		shmcache_resized(c);
		assert_true(exists(f.name) && !exists(second));
		assert_int_equal(child(c, all_but_two), 0);
		assert_int_equal(shmcache_ticket_list(c, seeds), 1);
		fixture_end(&f, c);
	}
}

static void no_sessions_before_or_after(void **state)
{
	struct fixture f;
	struct shmcache *c;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 0, SHMCACHE_LOCK_OFD);
	assert_int_equal(resize(c, 65536), 0);
	assert_int_equal(child(c, store_some), 0);
	assert_int_equal(child(c, migrate), 0);
	shmcache_resized(c);
	assert_int_equal(child(c, fetch_some), 0);
	assert_int_equal(resize(c, 0), 0);
	assert_int_equal(child(c, fetch_some), 0);
	assert_int_equal(child(c, migrate), 0);
	shmcache_resized(c);
	shmcache_resized(c);
	fixture_end(&f, c);
}

/* The process that uses the cache cannot be its master in a resize. */
static void one_process_cannot(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536);

	(void)state;
	assert_int_equal(resize(c, 131072), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(put(c, 1, 0, 10, 100), 0);
	assert_int_equal(migrate(c), 0);
	assert_string_equal(shmcache_name(c), f.name);
	fixture_end(&f, c);
}

/* Both names of a master that was killed in a resize go at the next start; at an end both go too. */
static void left_overs_of_both_go(void **state)
{
	struct fixture f;
	struct shmcache *c;
	char second[80];
	pid_t pid;

	(void)state;
	fixture_init(&f);
	snprintf(second, sizeof(second), "%s-2", f.name);
	pid = fork();
	if (pid == 0) {
		c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
		(void)resize(c, 131072);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(ended(pid), 256 + SIGKILL);
	assert_true(exists(f.name) && exists(second));
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	assert_true(exists(f.name) && !exists(second));
	assert_int_equal(resize(c, 131072), 0);
	assert_true(exists(second));
	fixture_end(&f, c);
	assert_true(!exists(f.name) && !exists(second));
}

/* ------------------------------------------------------------------------------------------------ smaller */

enum { MANY = 2000, WANTED = 80 };

static int store_many(struct shmcache *c)
{
	for (uint64_t i = 0; i < MANY; i++) {
		NEED(put(c, i, 0, 356, 1000) == 0);
		/* some of all ages are asked for, most of them more than once */
		if (i % (MANY / WANTED) == 0)
			for (unsigned hits = 0; hits < 2; hits++)
				NEED(get(c, i, 0, 356) == 1);
	}
	return 0;
}

static int most_wanted_stayed(struct shmcache *c)
{
	unsigned wanted = 0, young = 0, old = 0;

	for (uint64_t i = 0; i < MANY; i++) {
		int r = get(c, i, 0, 356);

		NEED(r >= 0);
		if (i % (MANY / WANTED) == 0)
			wanted += r == 1;
		else if (i < MANY / 4)
			old += r == 1;
		else if (i >= MANY - MANY / 20)
			young += r == 1;
	}
	if (wanted < WANTED || young < MANY / 20 * 8 / 10 || old > 0)
		fprintf(stderr, "%u of %d wanted, %u of %d young, %u old\n", wanted, WANTED, young, MANY / 20, old);
	NEED(wanted == WANTED && young >= MANY / 20 * 8 / 10 && old == 0);
	return 0;
}

static void most_wanted_fit_into_less(void **state)
{
	struct fixture f;
	struct shmcache *c;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 1 << 20, SHMCACHE_LOCK_OFD);
	assert_int_equal(child(c, store_many), 0);
	assert_int_equal(resize(c, 131072), 0);
	assert_int_equal(child(c, migrate), 250);
	shmcache_resized(c);
	assert_int_equal(child(c, most_wanted_stayed), 0);
	fixture_end(&f, c);
}

/* ------------------------------------------------------------------------------------------------ under load */

/* Keys from 0: stored before and for ever there; then those stored again and again; those removed one by one; others. */
enum { STABLE = 150, AGAIN = 60, REMOVED = 150, OTHERS = 60, LEN = 300 };
enum { FIRST_AGAIN = STABLE, FIRST_REMOVED = FIRST_AGAIN + AGAIN, FIRST_OTHER = FIRST_REMOVED + REMOVED };

static struct tally {
	uint32_t turn[AGAIN];           /* of the last store that has returned */
	uint32_t removed, looks, stop_old, stop;
} *tally;

static uint32_t peek(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static void poke(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }

static int store_load(struct shmcache *c)
{
	for (uint64_t i = 0; i < FIRST_OTHER; i++)
		NEED(put(c, i, 0, LEN, 1000) == 0);
	return 0;
}

static int look_at_all(struct shmcache *c)
{
	for (uint64_t i = 0; i < STABLE; i++)
		NEED(get(c, i, 0, LEN) == 1);
	for (uint32_t i = peek(&tally->removed); i-- > 0;)
		NEED(get(c, FIRST_REMOVED + i, 0, LEN) == 0);
	__atomic_add_fetch(&tally->looks, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int read_old(struct shmcache *c)
{
	NEED(c->older == NULL);
	while (!peek(&tally->stop_old))
		NEED(look_at_all(c) == 0);
	return 0;
}

static int write_old(struct shmcache *c)
{
	for (uint64_t i = 0; !peek(&tally->stop_old); i++) {
		if (i < OTHERS)
			NEED(put(c, FIRST_OTHER + i, 0, LEN, 1000) == 0);
		usleep(500);
	}
	return 0;
}

/* What was stored again is there in its last turn, or in that of the store under way. */
static int read_new(struct shmcache *c)
{
	NEED(c->older != NULL);
	while (!peek(&tally->stop)) {
		NEED(look_at_all(c) == 0);
		for (uint64_t i = 0; i < AGAIN; i++) {
			uint32_t turn = peek(&tally->turn[i]);
			int r = -1;

			for (uint32_t t = turn; r < 0 && t < turn + 3; t++)
				r = get(c, FIRST_AGAIN + i, t, LEN);
			NEED(r == 1);
		}
	}
	NEED(c->older != NULL || get(c, UINT64_MAX, 0, 1) == 0);
	return 0;
}

static int write_new(struct shmcache *c)
{
	for (uint32_t turn = 1; !peek(&tally->stop); turn++) {
		for (uint64_t i = 0; i < AGAIN && !peek(&tally->stop) && turn <= 3; i++) {
			NEED(put(c, FIRST_AGAIN + i, turn, LEN, 1000) == 0);
			poke(&tally->turn[i], turn);
			usleep(500);
		}
		usleep(500);
	}
	return 0;
}

static int remove_new(struct shmcache *c)
{
	for (uint32_t i = 0; i < REMOVED; i++) {
		drop(c, FIRST_REMOVED + i);
		poke(&tally->removed, i + 1);
		usleep(1000);
	}
	return 0;
}

static uint32_t looks_more(uint32_t n)
{
	uint32_t from = peek(&tally->looks);

	for (unsigned i = 0; i < 20000 && peek(&tally->looks) < from + n; i++)
		usleep(1000);
	return peek(&tally->looks) - from;
}

static void nothing_is_missing_meanwhile(void **state)
{
	static const size_t sizes[][2] = { { 512000, 2 << 20 }, { 2 << 20, 512000 } };

	(void)state;
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(tally, MAP_FAILED);
	for (size_t i = 0; i < 2; i++) {
		pid_t old[2], new[4];
		struct fixture f;
		struct shmcache *c;
		unsigned inside = 0;

		memset(tally, 0, sizeof(*tally));
		fixture_init(&f);
		c = fixture_create(&f, sizes[i][0], SHMCACHE_LOCK_OFD);
		assert_int_equal(child(c, store_load), 0);
		old[0] = child_start(c, read_old);
		old[1] = child_start(c, write_old);
		assert_int_equal(resize(c, sizes[i][1]), 0);
		new[0] = child_start(c, read_new);
		new[1] = child_start(c, read_new);
		new[2] = child_start(c, write_new);
		new[3] = child_start(c, remove_new);
		assert_true(looks_more(10) >= 10);
		poke(&tally->stop_old, 1);
		for (unsigned n = 0; n < 2; n++)
			assert_int_equal(ended(old[n]), 0);
		for (unsigned n = 0; n < 100; n++) {
			pid_t helper = child_start(c, migrate);

			usleep(n * 37 % 1500);
			kill(helper, SIGKILL);
			inside += ended(helper) == 256 + SIGKILL;
		}
		assert_true(inside > 10);
		assert_true(child(c, migrate) < 251);
		assert_true(looks_more(4) >= 4);
		shmcache_resized(c);
		assert_true(looks_more(10) >= 10);
		poke(&tally->stop, 1);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(ended(new[n]), 0);
		fixture_end(&f, c);
	}
	munmap(tally, sizeof(*tally));
}

/* ------------------------------------------------------------------------------------------------ step by step */

/* A handle for this process, which is the master and yet looks as a child of the new generation does. */
static struct shmcache *view(const struct shmcache *c)
{
	struct shmcache *v = malloc(sizeof(*v));

	*v = *c;
	v->lock = -1;
	v->self = getpid();
	assert_int_equal(shmc_fork_page(v, NULL), 0);
	assert_int_equal(shmc_lock_init(v, NULL), 0);
	assert_int_equal(shmc_cipher_open(c->keyfd, &v->cipher, v->hash_key, NULL), 0);
	return v;
}

static void view_end(struct shmcache *v)
{
	gcry_cipher_close(v->cipher);
	munmap(v->fork, (size_t)sysconf(_SC_PAGESIZE));
	close(v->lock);
	free(v);
}

static int put_one(struct shmcache *c)
{
	NEED(put(c, 1, 0, 10, 1000) == 0);
	return 0;
}

static int migrate_traced(struct shmcache *c)
{
	NEED(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	raise(SIGSTOP);
	NEED(migrate(c) <= 1);
	return 0;
}

/* Steps on to the next change of the new segment. 0: it has ended. */
static int next_change(pid_t pid, const struct shmcache *c, unsigned char *last)
{
	int status;

	do {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status)) {
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
			return 0;
		}
	} while (memcmp(last, c->base, c->plan.segment) == 0);
	memcpy(last, c->base, c->plan.segment);
	return 1;
}

static bool stopped_at_start(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSTOPPED(status);
}

enum after { GO_ON, KILL, KILL_LATER, KILL_UNREMOVED };

/*
 * One entry is moved; at the at-th change it is removed, and the helper goes on, or dies; or it is removed at the first
 * change, before it is copied, and the helper dies at the at-th; or the helper just dies. False: there are not so many
 * changes. Before it is removed it is there at each step; after, at none, nor when another helper has done all.
 */
static bool interrupted_at(unsigned at, enum after what)
{
	static unsigned char last[65536];
	struct shmcache *c, *v;
	struct fixture f;
	unsigned changes = 0;
	bool gone = false;
	pid_t pid;

	fixture_init(&f);
	c = fixture_create(&f, SHMCACHE_MIN_BYTES, SHMCACHE_LOCK_OFD);
	assert_int_equal(child(c, put_one), 0);
	assert_int_equal(resize(c, SHMCACHE_MIN_BYTES), 0);
	assert_true(c->plan.segment <= sizeof(last));
	v = view(c);
	pid = child_start(c, migrate_traced);
	if (!stopped_at_start(pid))
		fail_msg("the helper does not start");
	memcpy(last, c->base, c->plan.segment);
	while (pid != 0) {
		int more = next_change(pid, c, last);

		changes++;
		if (changes == (what == KILL_LATER ? 1 : at) && more && what != KILL_UNREMOVED) {
			drop(v, 1);
			memcpy(last, c->base, c->plan.segment);
			gone = true;
		}
		assert_int_equal(get(v, 1, 0, 10), !gone);
		memcpy(last, c->base, c->plan.segment);
		if (changes == at && more && what != GO_ON) {
			kill_wait(pid);
			pid = 0;
		}
		if (!more)
			pid = 0;
	}
	assert_int_equal(get(v, 1, 0, 10), !gone);
	assert_true(child(c, migrate) <= 1);
	assert_int_equal(get(v, 1, 0, 10), !gone);
	assert_int_equal(put(v, 2, 0, 10, 1000), 0);
	assert_int_equal(get(v, 1, 0, 10), !gone);
	assert_int_equal(get(v, 2, 0, 10), 1);
	assert_int_equal(shmcache_check(v, 0, false), 0);
	assert_int_equal(shmc_load(&shmc_shard_at(c, 0)->arriving), 0);
	view_end(v);
	shmcache_resized(c);
	v = view(c);
	assert_int_equal(get(v, 1, 0, 10), !gone);
	view_end(v);
	fixture_end(&f, c);
	return changes >= at;
}

/* ptrace may be forbidden. */
static int may_trace(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0);
	return ended(pid) == 0;
}

static void removed_does_not_come_back(void **state)
{
	(void)state;
	if (!may_trace()) {
		print_message("a process cannot be traced here\n");
		skip();
	}
	for (int what = GO_ON; what <= KILL_UNREMOVED; what++) {
		unsigned at = 1;

		while (interrupted_at(at, (enum after)what))
			at++;
		assert_true(at > 12);
	}
}

enum { RACES = 160, STEP = 7 };

static int store_races(struct shmcache *c)
{
	for (uint64_t i = 0; i < RACES; i++)
		NEED(put(c, i, 0, 40, 1000) == 0);
	return 0;
}

static int fetch_races(struct shmcache *c)
{
	NEED(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	for (uint64_t i = 0; i < RACES; i++) {
		unsigned char key[SHMCACHE_KEY], data[SHMCACHE_MAX_DATA];
		size_t len;

		key_of(i, key);
		raise(SIGSTOP);
		NEED(shmcache_fetch(c, key, data, sizeof(data), &len) == 1 && len == 40);
	}
	return 0;
}

/* A reader is halted after so many instructions, each time some more; the entry it looks for is stored anew then. */
static void stored_anew_is_not_missed(void **state)
{
	struct shmcache *c, *v;
	struct fixture f;
	pid_t pid;
	int status;

	(void)state;
	if (!may_trace())
		skip();
	fixture_init(&f);
	c = fixture_create(&f, 262144, SHMCACHE_LOCK_OFD);
	assert_int_equal(child(c, store_races), 0);
	assert_int_equal(resize(c, 262144), 0);
	v = view(c);
	pid = child_start(c, fetch_races);
	for (uint64_t i = 0; i < RACES; i++) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
		for (unsigned n = 0; n < i * STEP; n++) {
			assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		}
		assert_int_equal(put(v, i, 1, 40, 1000), 0);
		assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	}
	assert_int_equal(ended(pid), 0);
	view_end(v);
	fixture_end(&f, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_on_with_another_size), cmocka_unit_test(no_sessions_before_or_after),
		cmocka_unit_test(one_process_cannot), cmocka_unit_test(left_overs_of_both_go),
		cmocka_unit_test(most_wanted_fit_into_less), cmocka_unit_test(nothing_is_missing_meanwhile),
		cmocka_unit_test(removed_does_not_come_back), cmocka_unit_test(stored_anew_is_not_missed),
	};

	alarm(180);
	return cmocka_run_group_tests_name("shmcache resizing", tests, NULL, NULL);
}

/*
 * A writer is run one instruction at a time. After each change of the segment a copy of it is taken, as if
 * the writer had been killed there, and looked at: nothing wrong may be read, no entry may be missing that
 * was there before and is there after, the next writer must find a free lock and leave a whole shard. Many a
 * writer really is killed at one of these points, and the next goes on with what it left: some holes need two
 * deaths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include "fixture.h"

enum {
	KEYS = 30,
	HOT = 25,                       /* from this key on they are stored at first only, and asked for all the time */
	IN_MOVE = 100000,
	FRESH = 1000,                   /* keys that only copies see */
	CHURN = 2000,                   /* keys that make room be needed between the operations */
};

/* How many; another number may be given as the argument: stepping is slow. */
static unsigned operations = 60;

/* The turn in which each key was last stored, as far as the operations have come; its data follow from it. */
static uint32_t turn_of[KEYS];
static unsigned states;
/* A process gone wild was here: entries may be missing, and what is left mends itself. */
static bool damaged;

static uint64_t key_for(unsigned op) { return (op * 2654435761u >> 7) % (op % 2 == 0 ? HOT : 8); }
/*
 * The hot ones, of turn 0, are the longest: a move of one of them that is cut short uses all of main's
 * reserve.
 */
static size_t length_for(uint32_t turn) { return turn == 0 ? 460 : 60 + turn * 97 % 400; }
static bool removes(unsigned op) { return op % 11 == 10; }

/* A handle on some memory in which this process may look and store, with a lockfile of its own. */
static void view(struct shmcache *v, const struct shmcache *c, unsigned char *base, const char *lockfile)
{
	memset(v, 0, sizeof(*v));
	v->plan = c->plan;
	v->base = base;
	v->timeout_ms = 50;
	v->segfd = v->lockfd = v->keyfd = -1;
	v->self = getpid();
	v->lock = open(lockfile, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(v->lock >= 0);
	assert_int_equal(shmc_fork_page(v, NULL), 0);
	assert_int_equal(shmc_cipher_open(c->keyfd, &v->cipher, v->hash_key, NULL), 0);
}

static void view_end(struct shmcache *v)
{
	close(v->lock);
	munmap(v->fork, (size_t)sysconf(_SC_PAGESIZE));
	gcry_cipher_close(v->cipher);
}

/* Bit k: key k is there, as it should be, or as the operation under way makes it. Anything else fails. */
static uint64_t present(struct shmcache *v, uint64_t key, uint32_t turn)
{
	uint64_t mask = 0;

	for (uint64_t k = 0; k < KEYS; k++) {
		int r = get(v, k, turn_of[k], length_for(turn_of[k]));

		if (r < 0 && k == key)
			r = get(v, k, turn, length_for(turn));
		assert_true(r >= 0);
		mask |= (uint64_t)(r == 1) << k;
	}
	return mask;
}

/* What the next writer would meet, had this one died now. */
static uint64_t look_at(struct shmcache *copy, const unsigned char *live, uint64_t key, uint32_t turn)
{
	struct shmcache_counters before, after;
	uint64_t mask;

	memcpy(copy->base, live, copy->plan.segment);
	states++;
	shmcache_counters(copy, &before);
	mask = present(copy, key, turn);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(put(copy, FRESH + i, turn, 300 + 50 * i, 1000), 0);
	assert_int_equal(get(copy, FRESH + 2, turn, 400), 1);
	if (damaged) {
		assert_true(shmcache_check(copy, 0, true) >= 0);
		mask = 0;
	}
	assert_int_equal(shmcache_check(copy, 0, false), 0);
	(void)present(copy, key, turn);
	shmcache_counters(copy, &after);
	assert_true(damaged || after.resets == before.resets);
	assert_int_equal(after.badtag, before.badtag);
	return mask;
}

static pid_t writer_start(struct shmcache *c, unsigned op)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (shmcache_child_init(c, NULL) < 0 || ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		for (;; op++) {
			if (removes(op))
				drop(c, key_for(op));
			else if (put(c, key_for(op), op, length_for(op), 1000) < 0)
				_exit(1);
			raise(SIGSTOP);
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSTOPPED(status)) {
		print_message("a process cannot be traced here\n");
		skip();
	}
	return pid;
}

/*
 * A store first seals, which changes nothing that is shared: runs on to behind its first system call, the
 * lock.
 */
static void skip_to_lock(pid_t pid)
{
	int status;

	for (int stop = 0; stop < 2; stop++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	}
}

static void writer_end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(ended(pid), 256 + SIGKILL);
}

/*
 * One operation of the writer, step by step. 1: it ended; 0: it was killed: at the kill_at-th change, or
 * (IN_MOVE) as soon as main has a copy whose original is not passed yet; 0 = not at all.
 */
static int step_through(pid_t pid, struct shmcache *c, struct shmcache *copy, unsigned op, unsigned kill_at)
{
	static unsigned char last[65536];
	size_t all = c->plan.segment;
	uint64_t key = key_for(op), first, must, always = UINT64_MAX;
	struct shmc_shard_head *h = shmc_shard_at(c, 0);
	uint64_t main_head;
	unsigned changes = 0;
	int status;

	assert_true(all <= sizeof(last));
	memcpy(last, c->base, all);
	first = look_at(copy, last, key, op);
	main_head = shmc_load(&h->ring[MAIN].head);
	if (!removes(op))
		skip_to_lock(pid);
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status));
		if (WSTOPSIG(status) == SIGSTOP)
			break;
		assert_int_equal(WSTOPSIG(status), SIGTRAP);
		if (memcmp(last, c->base, all) == 0)
			continue;
		memcpy(last, c->base, all);
		always &= look_at(copy, last, key, op);
		changes++;
		if (kill_at == IN_MOVE ? shmc_load(&h->ring[MAIN].head) != main_head : changes == kill_at) {
			writer_end(pid);
			return 0;
		}
	}
	/* the old entry of the key that is being stored may have to make room for the new one */
	must = first & look_at(copy, last, key, op) & ~((uint64_t)1 << key);
	assert_int_equal(always & must, must);
	return 1;
}

/*
 * Between operations: hits, so that the hot ones are moved on and on in main, and stores that fill the rings
 * again.
 */
static void keep_busy(struct shmcache *live, unsigned stores)
{
	static uint64_t churn = CHURN;

	for (unsigned hits = 0; hits < 3; hits++)
		for (uint64_t k = HOT; k < KEYS; k++)
			assert_true(get(live, k, 0, length_for(0)) >= 0);
	for (; stores > 0; stores--, churn++)
		assert_int_equal(put(live, churn, 0, 60 + churn * 53 % 400, 1000), 0);
	for (uint64_t k = HOT; k < KEYS; k++)
		if (get(live, k, 0, length_for(0)) == 0)
			assert_int_equal(put(live, k, 0, length_for(0), 1000), 0);
}

static void each_instruction_leaves_it_whole(void **state)
{
	struct fixture f;
	struct shmcache *c, *copy = calloc(1, sizeof(*copy)), *live = calloc(1, sizeof(*live));
	struct shmcache_counters n;
	char other[128];
	pid_t pid;
	unsigned killed = 0;
	int done = 1;

	(void)state;
	fixture_init(&f);
	snprintf(other, sizeof(other), "%s-copy", f.lockfile);
	c = fixture_create(&f, SHMCACHE_MIN_BYTES, SHMCACHE_LOCK_OFD);
	view(copy, c, malloc(c->plan.segment), other);
	view(live, c, c->base, other);
	pid = writer_start(c, 0);
	for (unsigned op = 0; op < operations; op++) {
		uint64_t key = key_for(op);
		/* after a kill it is the stepped writer that finds what was left */
		if (op == 0 || done)
			keep_busy(live, op == 0 ? 60 : 5);
		done = step_through(pid, c, copy, op, op % 6 == 2 ? 1 + op * 37 % 60 : op % 6 >= 4 ? IN_MOVE : 0);
		/* what a killed one has brought so far is known by looking */
		if (!removes(op) && get(live, key, turn_of[key], length_for(turn_of[key])) != 1)
			turn_of[key] = op;
		if (!done) {
			killed++;
			pid = writer_start(c, op + 1);
		}
	}
	writer_end(pid);
	shmcache_counters(live, &n);
	print_message("%u states, %u killed, %llu inside; %llu moved, %llu evicted, %llu replaced\n", states, killed,
	              (unsigned long long)n.repairs, (unsigned long long)n.moved, (unsigned long long)n.evicted,
	              (unsigned long long)n.replaced);
	assert_true(killed > operations / 10 && n.repairs > 0 && n.moved > 0 && n.evicted > 0 && n.replaced > 0);
	assert_int_equal(n.resets, 0);
	assert_int_equal(n.badtag, 0);
	free(copy->base);
	view_end(copy);
	view_end(live);
	free(copy);
	free(live);
	unlink(other);
	fixture_end(&f, c);
}

/* The same while a shard whose chain is broken, or whose positions cannot be, is emptied; some die in that as well. */
static void each_instruction_of_a_reset(void **state)
{
	struct fixture f;
	struct shmcache *c, *copy = calloc(1, sizeof(*copy)), *live = calloc(1, sizeof(*live));
	struct shmcache_counters n;
	struct shmc_shard_head *h;
	char other[128];

	(void)state;
	memset(turn_of, 0, sizeof(turn_of));
	fixture_init(&f);
	snprintf(other, sizeof(other), "%s-copy", f.lockfile);
	c = fixture_create(&f, SHMCACHE_MIN_BYTES, SHMCACHE_LOCK_OFD);
	view(copy, c, malloc(c->plan.segment), other);
	view(live, c, c->base, other);
	h = shmc_shard_at(c, 0);
	damaged = true;
	for (unsigned i = 0; i < 2 + operations / 20; i++) {
		unsigned op = 1000 + i * 11;            /* a store each */
		int done = 0;
		pid_t pid;

		keep_busy(live, 40);
		if (i % 2 == 0)
			shmc_ring_at(c, h, MAIN)[h->ring[MAIN].tail % c->plan.ring_units[MAIN] * 2] ^= 1;
		else
			h->ring[PROBATION].tail += (uint64_t)1 << 30;
		h->owner = 1;
		pid = writer_start(c, op);
		/* two die in it, the third comes to its end */
		for (unsigned death = 0; !done; death++, op += 11) {
			uint64_t key = key_for(op);

			done = step_through(pid, c, copy, op, death < 2 ? 4 + (i * 17 + death * 9) % 30 : 0);
			if (get(live, key, turn_of[key], length_for(turn_of[key])) != 1)
				turn_of[key] = op;
			if (!done)
				pid = writer_start(c, op + 11);
		}
		writer_end(pid);
		assert_int_equal(shmcache_check(live, 0, true), 0);
	}
	damaged = false;
	shmcache_counters(live, &n);
	print_message("%llu resets, %llu repairs\n", (unsigned long long)n.resets, (unsigned long long)n.repairs);
	assert_true(n.resets > 2 && n.repairs > 2);
	free(copy->base);
	view_end(copy);
	view_end(live);
	free(copy);
	free(live);
	unlink(other);
	fixture_end(&f, c);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_instruction_leaves_it_whole),
		                            cmocka_unit_test(each_instruction_of_a_reset) };

	if (argc > 1)
		operations = (unsigned)strtoul(argv[1], NULL, 10);
	return cmocka_run_group_tests_name("shmcache step by step", tests, NULL, NULL);
}

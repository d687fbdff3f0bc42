/*
 * live_test.c - snapshots of a process that goes on: who is obeyed, what a fault in the making costs, and that nothing of
 * the process changes.
 */
#include "tests/unit/crashdump/harness.h"

static struct page {
	struct activity activity;
	_Atomic uint32_t live;
	_Atomic unsigned answer, rounds;
} *page;

static int setup(void **state)
{
	page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? -1 : harness_setup(state);
}

/* The master's part: takes the snapshot up and frees the slot. The copy, or NULL when none came. */
static struct crash_snapshot *take_up(int ms)
{
	struct crash_snapshot *copy = NULL;

	for (uint64_t end = now_ms() + (uint64_t)ms; !atomic_load(&page->live) && now_ms() < end; )
		poll(NULL, 0, 1);
	if (!atomic_exchange(&page->live, 0))
		return NULL;
	copy = snapshot_copy(pool, HARNESS_SLOTS - 1);
	crash_pool_free(pool, HARNESS_SLOTS - 1);
	return copy;
}

/* Counts a known sum again and again; a register or errno that was changed behind its back shows. */
static void work(void)
{
	for (;;) {
		volatile unsigned sum = 0;

		errno = 1234;
		for (unsigned i = 0; i < 1000; i++)
			sum += i;
		atomic_store(&page->answer, sum == 499500 && errno == 1234 ? 1 : 2);
		atomic_fetch_add(&page->rounds, 1);
	}
}

static pid_t begin(struct activity *activity, uid_t obeyed)
{
	struct crash_options options = { .pool = pool, .activity = activity, .role = "child", .live = &page->live, .live_wake = -1, .live_uid = obeyed };
	pid_t pid;

	atomic_store(&page->live, 0);
	atomic_store(&page->rounds, 0);
	pid = fork();
	if (!pid) {
		default_signals();
		alarm(20);              /* a test that fails leaves it behind */
		signal(CRASH_LIVE_SIGNAL, SIG_IGN);
		if (crash_files_open(&options.files) < 0)
			_exit(94);
		drop_uid();
		if (crash_install(&options) <= 0)
			_exit(95);
		atomic_store(&page->rounds, 1);
		work();
	}
	for (uint64_t end = now_ms() + 5000; !atomic_load(&page->rounds) && now_ms() < end; )
		poll(NULL, 0, 1);
	return pid;
}

static void end(pid_t pid)
{
	unsigned rounds = atomic_load(&page->rounds);
	int status;

	/* What was sent in a storm is queued, and handled one by one. */
	for (uint64_t until = now_ms() + 10000; atomic_load(&page->rounds) < rounds + 5 && now_ms() < until; )
		poll(NULL, 0, 1);
	assert_true(atomic_load(&page->rounds) >= rounds + 5);
	assert_int_equal(atomic_load(&page->answer), 1);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	crash_pool_free(pool, 0);
	crash_pool_free(pool, 1);
}

static void goes_on_as_if_nothing_had_been(void **state)
{
	pid_t pid = begin(&page->activity, geteuid());
	unsigned most = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct crash_snapshot *s;

		kill(pid, CRASH_LIVE_SIGNAL);
		s = take_up(2000);
		assert_non_null(s);
		assert_int_equal(s->owner, pid);
		assert_true(s->complete && !s->skipped && s->frames > 2 && s->maps_whole && s->stack_length);
		if (s->handler_us > most)
			most = s->handler_us;
		snapshot_drop(s);
		assert_int_equal(atomic_load(&page->answer), 1);
	}
	print_message("the slowest of 300 took %u us\n", most);
	end(pid);
}

/* It may come at any moment, thousands of times a second, and nobody takes the snapshot up. */
static void storm_is_passed_over(void **state)
{
	pid_t pid = begin(&page->activity, geteuid());
	struct crash_snapshot *s;

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		kill(pid, CRASH_LIVE_SIGNAL);
	s = take_up(1000);
	assert_non_null(s);
	snapshot_drop(s);
	assert_int_equal(crash_pool_owner(pool, 0), 0);         /* the place for a crash was left free */
	end(pid);
}

static void fault_in_a_step_costs_that_step(void **state)
{
	pid_t pid = begin((struct activity *)8, geteuid());

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct crash_snapshot *s;

		kill(pid, CRASH_LIVE_SIGNAL);
		s = take_up(2000);
		assert_non_null(s);
		assert_int_equal(s->skipped, 1u << CRASH_STEP_FACTS);
		assert_true(s->complete && s->frames > 2);
		snapshot_drop(s);
	}
	end(pid);
}

/* The kernel vouches for the sender of kill() alone; whoever queues a signal writes the sender himself. */
static void others_are_not_obeyed(void **state)
{
	pid_t pid, other;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = begin(&page->activity, 0);
	sigqueue(pid, CRASH_LIVE_SIGNAL, (union sigval){ .sival_int = 0 });
	assert_null(take_up(200));
	other = fork();
	if (!other) {
		drop_uid();
		_exit(kill(pid, CRASH_LIVE_SIGNAL) ? 1 : 0);
	}
	assert_int_equal(waitpid(other, NULL, 0), other);
	assert_null(take_up(200));
	kill(pid, CRASH_LIVE_SIGNAL);
	snapshot_drop(take_up(2000));
	assert_null(take_up(50));
	end(pid);
}

/* A crash after, before or during a live snapshot is a crash with a snapshot of its own. */
static void crash_has_its_own_place(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		pid_t pid = begin(&page->activity, geteuid());
		int status;

		kill(pid, CRASH_LIVE_SIGNAL);
		if (i % 2)
			poll(NULL, 0, 1);
		kill(pid, SIGSEGV);
		waitpid(pid, &status, 0);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
			fail_msg("round %u: status %x", i, (unsigned)status);
		assert_int_equal(crash_pool_owner(pool, 0), pid);
		struct crash_snapshot *s = snapshot_copy(pool, 0);
		assert_non_null(s);
		assert_int_equal(s->signal, SIGSEGV);
		assert_true(s->complete && s->frames > 2);
		snapshot_drop(s);
		atomic_store(&page->live, 0);
		crash_pool_free(pool, 0);
		crash_pool_free(pool, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_on_as_if_nothing_had_been),
		cmocka_unit_test(storm_is_passed_over),
		cmocka_unit_test(fault_in_a_step_costs_that_step),
		cmocka_unit_test(others_are_not_obeyed),
		cmocka_unit_test(crash_has_its_own_place),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

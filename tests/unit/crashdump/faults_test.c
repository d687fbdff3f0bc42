/*
 * faults_test.c - when the crash handler itself meets trouble, what it must leave alone, and what must never reach a
 * disk.
 */
#include "tests/unit/crashdump/harness.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>

static volatile int sink;
static int *volatile null_pointer;

__attribute__((noinline, noclone, no_sanitize("address", "undefined"))) static void crash_null(void)
{
	*null_pointer = 1;
}

static void assert_segv(const struct outcome *o)
{
	assert_true(WIFSIGNALED(o->status));
	assert_int_equal(WTERMSIG(o->status), SIGSEGV);
}

static void assert_whole(const struct outcome *o)
{
	assert_non_null(o->report);
	assert_string_equal(o->report + strlen(o->report) - 15, "\nend: complete\n");
}

/* ---------------------------------------------------------------------------------------------- trouble in the handler */

/* For ten seconds only: a watchdog that does not bite fails the test instead of stopping it. */
static void hang(void)
{
	for (uint64_t end = now_ms() + 10000; now_ms() < end; )
		sink++;
	_exit(97);
}

__attribute__((no_sanitize("address", "undefined"))) static void fault(void)
{
	*null_pointer = 2;
}

static void hang_ends_by_the_watchdog(void **state)
{
	struct run run = { .crash = crash_null, .release = hang, .watchdog_s = 1 };
	uint64_t began = now_ms();
	struct outcome o = harness_run(&run);

	(void)state;
	assert_segv(&o);
	assert_in_range(now_ms() - began, 900, 5000);
	assert_true(o.client_eof);
	assert_whole(&o);
	assert_non_null(strstr(harness_value(&o, "snapshot"), "left-by=SIGALRM left=release"));
	harness_done(&o);
}

static void fault_in_a_step_costs_that_step_only(void **state)
{
	struct run run = { .crash = crash_null, .release = fault };
	struct outcome o = harness_run(&run);

	(void)state;
	assert_segv(&o);
	assert_true(o.client_eof);
	assert_whole(&o);
	assert_non_null(strstr(harness_value(&o, "snapshot"), "left-by=SIGSEGV left=release"));
	assert_string_equal(harness_value(&o, "class"), "null-deref");
	harness_done(&o);
}

static volatile unsigned depth;
static volatile int *volatile nothing;

__attribute__((noinline, no_sanitize("undefined"))) static void fall(void)
{
	if (depth-- > 1)
		fall();
	*nothing = 1;
}

static void crash_deep(void)
{
	fall();
}

static uint64_t fingerprint(void (*crash)(void))
{
	struct run run = { .crash = crash };
	struct outcome o = harness_run(&run);
	uint64_t it = o.summary.fingerprint;

	assert_true(o.slot >= 0);
	assert_int_not_equal(it, 0);
	harness_done(&o);
	return it;
}

/* The same fault has the same one in every process, another fault another; how deep a function called itself is no matter. */
static void fingerprint_tells_faults_apart(void **state)
{
	static void (*const crashes[])(void) = { crash_null, crash_null, crash_deep, crash_deep, abort };
	uint64_t got[5];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {      /* all called from one place: callers are a part of it */
		depth = i == 2 ? 20 : 12;
		got[i] = fingerprint(crashes[i]);
	}
	assert_true(got[0] == got[1]);
	assert_true(got[2] == got[3]);
	assert_false(got[0] == got[2]);
	assert_false(got[0] == got[4]);
	assert_false(got[2] == got[4]);
}

/* The watchdog and the crash signals are there for every step, also above the remains of earlier ones. */
static void trouble_in_two_steps(void **state)
{
	static const struct { void (*first)(void), (*second)(void); const char *by; } rows[] = {
		{ fault, fault, "SIGSEGV" }, { fault, hang, "SIGALRM" }, { hang, fault, "SIGSEGV" }, { hang, hang, "SIGALRM" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct run run = { .crash = crash_null, .release = rows[i].first, .shutdown_clients = rows[i].second,
				   .watchdog_s = 1 };
		uint64_t began = now_ms();
		struct outcome o = harness_run(&run);
		char left[64];

		snprintf(left, sizeof left, "left-by=%s left=release left=clients", rows[i].by);
		if (!WIFSIGNALED(o.status) || WTERMSIG(o.status) != SIGSEGV || now_ms() - began > 5000 ||
		    !strstr(harness_value(&o, "snapshot"), left))
			fail_msg("row %zu: status %x, %s", i, (unsigned)o.status, harness_value(&o, "snapshot"));
		harness_done(&o);
	}
}

static void refused_call(void)
{
	syscall(SYS_getppid);           /* not among crash_system_calls */
}

static void refused_call_in_the_handler(void **state)
{
	struct run run = { .crash = crash_null, .release = refused_call, .sandbox = true };
	struct outcome o;

	(void)state;
#ifdef BULKHEAD_SANITIZE
	skip();         /* the sanitizer's run time makes system calls of its own */
#endif
	o = harness_run(&run);
	assert_segv(&o);
	assert_whole(&o);
	assert_non_null(strstr(harness_value(&o, "snapshot"), "left-by=SIGSYS left=release"));
	harness_done(&o);
}

static void used_up_pool_changes_nothing_else(void **state)
{
	struct run run = { .crash = crash_null, .release = harness_release };
	struct outcome o;

	(void)state;
	assert_non_null(snapshot_claim(pool, 1));
	assert_non_null(snapshot_claim(pool, 2));
	o = harness_run(&run);
	assert_segv(&o);
	assert_int_equal(o.slot, -1);
	assert_int_equal(o.released, 1);
	assert_true(o.client_eof);
	if (harness_cores_work())
		assert_true(o.has_core);
	harness_done(&o);
	crash_pool_free(pool, crash_pool_find(pool, 1));
	crash_pool_free(pool, crash_pool_find(pool, 2));
	assert_int_equal(crash_pool_find(pool, 1), -1);
}

/* ------------------------------------------------------------------------------------------------ what is left alone */

static void own_handler(int signal)
{
	_exit(signal == SIGSEGV ? 33 : 34);
}

static void foreign_handlers_stay(void **state)
{
	struct crash_options options = { .files = { -1, -1 }, .role = "child" };
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		default_signals();
		signal(SIGSEGV, own_handler);
		if (crash_install(&options) != 6)
			_exit(35);
		crash_null();
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 33);
}

static void debugger_gets_the_signals(void **state)
{
	struct crash_options options = { .files = { -1, -1 }, .role = "child" };
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		struct sigaction sa;

		default_signals();
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(35);
		if (crash_install(&options) != 0 || sigaction(SIGSEGV, NULL, &sa) < 0)
			_exit(36);
		_exit(sa.sa_handler == SIG_DFL ? 33 : 37);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 33);
}

/* ----------------------------------------------------------------------------------------------------------- secrets */

#define SECRET_LENGTH 32

/* Made up at run time, so that the program file does not hold it. */
static void make_secret(char *to)
{
	for (int i = 0; i < SECRET_LENGTH; i++)
		to[i] = (char)('!' + (i * 37 + 11) % 90);
}

static char *volatile planted[4];
static __thread char planted_in_thread[64];

static void crash_with_secrets(void)
{
	volatile char marker[] = "stack-marker-of-the-crash-test-0123456789";

	planted[0] = malloc(64);
	planted[1] = malloc(3000000);
	planted[2] = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	planted[3] = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 4; i++)
		make_secret(planted[i]);
	make_secret(planted_in_thread);
	sink = marker[3];
	crash_null();
	sink = marker[3];
}

/* After a change of uid the kernel writes no core by itself: this one asks for it. */
static void crash_with_secrets_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1);
	crash_with_secrets();
}

static void secrets_reach_no_disk(void **state)
{
	struct run run = { .crash = crash_with_secrets_dumpable, .unarmed = true };
	char *secret = malloc(SECRET_LENGTH);   /* not on the stack: children inherit that, and cores show it */
	struct outcome o;

	(void)state;
	/* Cores piped elsewhere cannot be looked into; and a sanitizer's allocator and terabytes are not ours to judge. */
#ifdef BULKHEAD_SANITIZE
	const bool sanitized = true;
#else
	const bool sanitized = false;
#endif
	if (sanitized || !harness_cores_work()) {
		free(secret);
		skip();
		return;
	}
	make_secret(secret);
	/* Without the handler the kernel does write the secret: so the search below can find one. */
	o = harness_run(&run);
	assert_true(o.has_core && harness_file_has(o.core, secret, SECRET_LENGTH));
	harness_done(&o);
	run.crash = crash_with_secrets;
	run.unarmed = false;
	o = harness_run(&run);
	assert_segv(&o);
	assert_true(o.has_core);
	assert_true(harness_file_has(o.core, "stack-marker-of-the-crash-test-0123456789", 41));
	assert_false(harness_file_has(o.core, secret, SECRET_LENGTH));
	assert_whole(&o);
	assert_null(strstr(o.report, "stack-marker"));
	assert_null(memmem(o.report, strlen(o.report), secret, SECRET_LENGTH));
	assert_memory_equal(harness_value(&o, "core-excludes"), "heap, anonymous", 15);
	harness_done(&o);
	/* Without the map nothing can be told apart: the core holds no memory at all, and the frames are libunwind's. */
	run.without_map = true;
	o = harness_run(&run);
	assert_segv(&o);
	assert_true(o.has_core);
	assert_false(harness_file_has(o.core, secret, SECRET_LENGTH));
	assert_false(harness_file_has(o.core, "stack-marker-of-the-crash-test-0123456789", 41));
	assert_whole(&o);
	assert_memory_equal(harness_value(&o, "core-excludes"), "all memory", 10);
	assert_non_null(strstr(harness_value(&o, "frame"), "trust=raw"));
	harness_done(&o);
	free(secret);
}

/* A call into the heap must not print heap as code. */
static void crash_into_heap(void)
{
	char *heap = malloc(64);
	void (*volatile f)(void) = (void (*)(void))(uintptr_t)heap;

	memset(heap, 'S', 64);
	f();
	sink = heap[1];
}

static void heap_is_not_shown_as_code(void **state)
{
	struct run run = { .crash = crash_into_heap };
	struct outcome o = harness_run(&run);

	(void)state;
	assert_whole(&o);
	assert_string_equal(harness_value(&o, "class"), "bad-call");
	assert_null(strstr(o.report, "53 53 53"));
	assert_null(strstr(o.report, "5353535353"));
	harness_done(&o);
}

/* -------------------------------------------------------------------------------------- what the job makes of a snapshot */

static void change_build_id(struct crash_snapshot *s)
{
	s->module[0].id[3] ^= 0xff;
}

static void replaced_program_is_recognised(void **state)
{
	struct run run = { .crash = crash_null, .meddle = change_build_id };
	struct outcome o = harness_run(&run);

	(void)state;
	assert_whole(&o);
	assert_non_null(strstr(harness_value(&o, "note"), "was replaced or removed"));
	assert_null(strstr(o.report, "crash_null"));            /* a name out of another build would be a lie */
	harness_done(&o);
}

static void remove_program(struct crash_snapshot *s)
{
	char *at = s->executable + strlen(s->executable) - 1, *name = strdup(s->executable);

	*at = '~';
	for (char *p = s->maps; (p = strstr(p, name)); p += strlen(name))
		p[strlen(name) - 1] = '~';
	free(name);
}

static void removed_program_is_still_at_hand(void **state)
{
	struct run run = { .crash = crash_null, .meddle = remove_program };
	struct outcome o = harness_run(&run);

	(void)state;
	assert_whole(&o);
	assert_non_null(strstr(harness_value(&o, "frame"), "crash_null"));
	harness_done(&o);
}

static unsigned seed;

/* All that a child which was taken over could write, lengths and counts at their worst. */
static void random_bytes(struct crash_snapshot *s)
{
	int32_t owner = s->owner;
	unsigned char *p = (unsigned char *)s;

	srand(seed);
	for (size_t i = 0; i < sizeof *s; i++)
		p[i] = (unsigned char)rand();
	s->owner = owner;
	if (seed & 1)
		s->frames = s->modules = s->maps_length = s->stack_length = s->text_length = UINT32_MAX;
}

/* Sound maps, so that the unwinder goes to work, on a wild stack. */
static void random_stack(struct crash_snapshot *s)
{
	srand(seed);
	for (uint32_t i = 0; i + 8 <= s->stack_length; i += 8) {
		uint64_t word = s->registers[REGISTER_PC] + (unsigned)rand() % 65536 - 32768;

		if (rand() % 4)
			memcpy(s->stack + i, &word, sizeof word);
	}
	for (unsigned i = 0; i < REGISTER_SP; i++)
		s->registers[i] = s->stack_address + (unsigned)rand() % SNAPSHOT_STACK;
}

static void hostile_snapshots(void **state)
{
	struct run run = { .crash = crash_null };

	(void)state;
	for (seed = 0; seed < 24; seed++) {
		struct outcome o;

		run.meddle = seed % 3 ? random_bytes : random_stack;
		o = harness_run(&run);
		assert_true(WIFEXITED(o.job_status));
		assert_true(o.answer[0]);
		for (const char *p = o.answer; *p; p++)
			assert_true(*p >= ' ' && *p <= '~');
		for (const char *p = o.report; p && *p; p++)
			assert_true((*p >= ' ' && *p <= '~') || *p == '\n');
		harness_done(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hang_ends_by_the_watchdog),
		cmocka_unit_test(fault_in_a_step_costs_that_step_only),
		cmocka_unit_test(fingerprint_tells_faults_apart),
		cmocka_unit_test(trouble_in_two_steps),
		cmocka_unit_test(refused_call_in_the_handler),
		cmocka_unit_test(used_up_pool_changes_nothing_else),
		cmocka_unit_test(foreign_handlers_stay),
		cmocka_unit_test(debugger_gets_the_signals),
		cmocka_unit_test(secrets_reach_no_disk),
		cmocka_unit_test(heap_is_not_shown_as_code),
		cmocka_unit_test(replaced_program_is_recognised),
		cmocka_unit_test(removed_program_is_still_at_hand),
		cmocka_unit_test(hostile_snapshots),
	};

	return cmocka_run_group_tests(tests, harness_setup, NULL);
}

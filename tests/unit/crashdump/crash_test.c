/*
 * crash_test.c - one test for each way to crash: the parent must see the true signal, the report must name the class
 * and the functions, the locks must have been released, the client must have seen its end.
 */
#include "tests/unit/crashdump/harness.h"

#include <dlfcn.h>
#include <pthread.h>

#include <gnutls/crypto.h>

#define CRASHES __attribute__((noinline, noclone, no_sanitize("address", "undefined")))

/* Two callers below each crash; the barrier behind the call keeps it from becoming a jump. */
static void (*volatile the_crash)(void);
static volatile int zero;
static int *volatile null_pointer;
static volatile int sink;

CRASHES static void inner(void)
{
	the_crash();
	__asm__ volatile("" ::: "memory");
}

CRASHES static void outer(void)
{
	inner();
	__asm__ volatile("" ::: "memory");
}

CRASHES static void crash_null(void) { *null_pointer = 1; }
CRASHES static void crash_leaf(void) { sink = *null_pointer; }
CRASHES static void crash_divide(void) { sink = sink / zero; }
CRASHES static void crash_illegal(void) { __builtin_trap(); }
CRASHES static void crash_abort(void) { abort(); }
CRASHES static void crash_trap(void) { raise(SIGTRAP); __asm__ volatile("" ::: "memory"); }

CRASHES static void crash_raise_fpe(void) { raise(SIGFPE); __asm__ volatile("" ::: "memory"); }
CRASHES static void crash_raise_ill(void) { pthread_kill(pthread_self(), SIGILL); __asm__ volatile("" ::: "memory"); }
CRASHES static void crash_raise_segv(void) { kill(getpid(), SIGSEGV); __asm__ volatile("" ::: "memory"); }
CRASHES static void crash_raise_bus(void) { syscall(SYS_tgkill, getpid(), gettid(), SIGBUS); __asm__ volatile("" ::: "memory"); }

CRASHES static void crash_noncanonical(void)
{
	volatile uintptr_t address = 0x4141414141414141;

	sink = *(volatile int *)address;
}

CRASHES static void crash_memcpy(void)
{
	char *volatile from = (char *)16;
	static char to[4096];

	memcpy(to, from, 4000 + (unsigned)zero);
	sink = to[17];
}

CRASHES static void crash_bus(void)
{
	char name[] = "./bus-XXXXXX";
	int fd = mkstemp(name);
	char *mem;

	unlink(name);
	if (fd < 0 || ftruncate(fd, 4096) || (mem = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED ||
	    ftruncate(fd, 0))
		_exit(80);
	sink = *(volatile char *)mem;
}

CRASHES static void crash_call_null(void)
{
	void (*volatile f)(void) = NULL;

	f();
	__asm__ volatile("" ::: "memory");
}

CRASHES static void crash_call_garbage(void)
{
	void (*volatile f)(void) = (void (*)(void))0x123456789000;

	f();
	__asm__ volatile("" ::: "memory");
}

CRASHES static void crash_call_data(void)
{
	static char data[64] = { (char)0xc3 };
	void (*volatile f)(void) = (void (*)(void))(uintptr_t)data;

	f();
	__asm__ volatile("" ::: "memory");
}

CRASHES static int crash_recursion(int depth)
{
	volatile char room[512];

	room[0] = (char)depth;
	if (depth == zero - 1)
		return 0;
	return crash_recursion(depth + 1) + room[0];
}

CRASHES static void crash_overflow(void) { sink = crash_recursion(0); }

#ifndef BULKHEAD_SANITIZE
CRASHES static void crash_canary(void)
{
	char room[24];
	volatile char *p = room;

	for (int i = 0; i < 40; i++)
		p[i] = 'A';
	sink = p[3];
}

/* The chunk is too large for tcache and fast bins: free() finds the damage with the arena's lock held. */
CRASHES static void crash_malloc(void)
{
	char *a = malloc(5000), *b = calloc(1, 5000);

	for (volatile char *p = a + 5000; p < a + 5024; p++)
		*p = 'A';
	free(a);
	sink = b[0];
}
#endif

/* In the assembler of a cryptographic library, with and without unwind tables. */
CRASHES static void crash_hash(gnutls_digest_algorithm_t algorithm)
{
	const void *volatile from = (const void *)16;
	unsigned char digest[64];

	gnutls_hash_fast(algorithm, from, 1 << 20, digest);
	sink = digest[1];
}

CRASHES static void crash_sha256(void)
{
	crash_hash(GNUTLS_DIG_SHA256);
	__asm__ volatile("" ::: "memory");
}

CRASHES static void crash_md5(void)
{
	crash_hash(GNUTLS_DIG_MD5);
	__asm__ volatile("" ::: "memory");
}

CRASHES static void wait_for_signal(void)
{
	poll(NULL, 0, 10000);
	__asm__ volatile("" ::: "memory");
}

#if defined __x86_64__
CRASHES static void crash_smashed_return(void)
{
	void *volatile *frame = __builtin_frame_address(0);

	frame[1] = (void *)0xdeadbeef;
}

/*
 * At the first instruction of a function in the kernel's object, where no register points to a frame yet: the processor
 * stops after the call (trap flag).
 */
CRASHES static void crash_vdso(void)
{
	struct timespec now;
	void *f = dlsym(dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD), "__vdso_clock_gettime");

	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; call *%[f]" : [f] "+a" (f) : "D" (CLOCK_MONOTONIC), "S" (&now)
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
	sink = (int)now.tv_sec;
}
#endif

struct row {
	const char *name;
	void (*crash)(void);
	int signal;
	const char *class;
	const char *trust_of_caller;    /* of the frame of `inner`, or NULL: not looked at */
	const char *functions[8];
};

static const struct row rows[] = {
	{ "null", crash_null, SIGSEGV, "null-deref", "cfi", { "crash_null", "inner", "outer", "child", "main" } },
	{ "leaf", crash_leaf, SIGSEGV, "null-deref", "cfi", { "crash_leaf", "inner", "outer", "main" } },
	{ "memcpy", crash_memcpy, SIGSEGV, "null-deref", "cfi", { "crash_memcpy", "inner", "outer", "main" } },
	{ "bus", crash_bus, SIGBUS, "bus", "cfi", { "crash_bus", "inner", "outer", "main" } },
	{ "illegal", crash_illegal, SIGILL, "illegal-instruction", "cfi", { "crash_illegal", "inner", "outer", "main" } },
	{ "trap", crash_trap, SIGTRAP, "raised", "cfi", { "crash_trap", "inner", "outer", "main" } },
	{ "raise-fpe", crash_raise_fpe, SIGFPE, "raised", "cfi", { "crash_raise_fpe", "inner", "outer", "main" } },
	{ "raise-ill", crash_raise_ill, SIGILL, "raised", "cfi", { "crash_raise_ill", "inner", "outer", "main" } },
	{ "raise-segv", crash_raise_segv, SIGSEGV, "raised", "cfi", { "crash_raise_segv", "inner", "outer", "main" } },
	{ "raise-bus", crash_raise_bus, SIGBUS, "raised", "cfi", { "crash_raise_bus", "inner", "outer", "main" } },
	{ "abort", crash_abort, SIGABRT, "abort", "cfi", { "abort", "crash_abort", "inner", "outer", "main" } },
	{ "call-null", crash_call_null, SIGSEGV, "bad-call", "cfi", { "crash_call_null", "inner", "outer", "main" } },
	{ "call-garbage", crash_call_garbage, SIGSEGV, "bad-call", "cfi", { "crash_call_garbage", "inner", "main" } },
	{ "call-data", crash_call_data, SIGSEGV, "bad-call", "cfi", { "crash_call_data", "inner", "outer", "main" } },
	{ "sha256", crash_sha256, SIGSEGV, "null-deref", NULL, { "crash_hash", "crash_sha256", "inner", "outer", "main" } },
	{ "md5", crash_md5, SIGSEGV, "null-deref", NULL, { "crash_hash", "crash_md5", "inner", "outer", "main" } },
	{ "overflow", crash_overflow, SIGSEGV, "stack-overflow", NULL, { "crash_recursion", "crash_recursion" } },
#if defined __x86_64__
	{ "non-canonical", crash_noncanonical, SIGSEGV, "non-canonical", "cfi", { "crash_noncanonical", "inner", "main" } },
	{ "divide", crash_divide, SIGFPE, "arithmetic", "cfi", { "crash_divide", "inner", "outer", "main" } },
	{ "vdso", crash_vdso, SIGTRAP, "trap", "cfi", { "__vdso_clock_gettime", "crash_vdso", "inner", "outer", "main" } },
	{ "smashed", crash_smashed_return, SIGSEGV, "bad-call", NULL, { "outer", "main" } },
#endif
#ifndef BULKHEAD_SANITIZE       /* the sanitizer finds these before glibc does */
	{ "canary", crash_canary, SIGABRT, "canary", "cfi", { "__stack_chk_fail", "crash_canary" } },
	{ "malloc", crash_malloc, SIGABRT, "heap-abort", "cfi", { "crash_malloc", "inner", "outer", "main" } },
#endif
};

static void row_fails(const struct row *row, const struct outcome *o, const char *why)
{
	fail_msg("%s: %s\nstatus 0x%x, job 0x%x\nanswer: %s\n%s", row->name, why, (unsigned)o->status,
		 (unsigned)o->job_status, o->answer,
		 o->report ? o->report : "(no report)");
}

static void check_row(const struct row *row, bool sandbox)
{
	struct run run = { .crash = outer, .release = harness_release, .sandbox = sandbox };
	struct outcome o;

	the_crash = row->crash;
	o = harness_run(&run);
#define CHECK(cond) do { if (!(cond)) row_fails(row, &o, #cond); } while (0)
	CHECK(WIFSIGNALED(o.status) && WTERMSIG(o.status) == row->signal);
	CHECK(o.slot >= 0 && o.summary.complete && o.summary.pid == o.pid && o.summary.signal == row->signal);
	CHECK(!strcmp(o.summary.request, "GET /shop for 192.0.2.1:4711 on www.example.org, phase send"));
	CHECK(o.released == 1);
	CHECK(o.client_eof);
	CHECK(o.report);
	CHECK(!strncmp(o.report, "crash-report: 1\nsignature: SIG", 30));
	CHECK(!strcmp(o.report + strlen(o.report) - 15, "\nend: complete\n"));
	CHECK(!strcmp(harness_value(&o, "class"), row->class));
	if (!strcmp(row->class, "raised"))      /* by whom, not by which function of the C library */
		CHECK(strstr(harness_value(&o, "signature"), row->functions[0]) == strchr(harness_value(&o, "signature"), ' ') + 1);
	CHECK(!strncmp(harness_value(&o, "snapshot"), "complete", 8));
	CHECK(!strstr(harness_value(&o, "snapshot"), "left"));
	CHECK(!strcmp(harness_value(&o, "path"), "/shop"));
	CHECK(!strcmp(harness_value(&o, "phase"), "send"));
	CHECK(!strstr(o.report, "kept-secret"));
	CHECK(harness_frames(&o, row->functions));
	if (row->trust_of_caller) {
		char want[64];
		const char *frame = strstr(o.report, " inner+0x");

		snprintf(want, sizeof want, "trust=%s\n", row->trust_of_caller);
		CHECK(frame);
		CHECK(strncmp(strchr(frame, '\n') + 1 - strlen(want), want, strlen(want)) == 0);
		CHECK(strcmp(row->trust_of_caller, "cfi") != 0 || !strstr(o.report, "trust=scan"));     /* nor below it */
	}
	if (harness_cores_work()) {
		char name[96];

		snprintf(name, sizeof name, "%s/core.%d", o.dir, o.pid);
		CHECK(WCOREDUMP(o.status));
		CHECK(o.has_core && !strcmp(o.core, name) && !strcmp(harness_value(&o, "core"), name));
	}
	harness_done(&o);
}

static void each_way_to_crash(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_row(&rows[i], false);
}

static void each_way_in_the_sandbox(void **state)
{
	(void)state;
#ifdef BULKHEAD_SANITIZE
	skip();         /* the sanitizer's run time makes system calls of its own */
#endif
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		/* Files and kill() are what the sandbox refuses. */
		if (rows[i].crash != crash_bus && rows[i].crash != crash_raise_segv)
			check_row(&rows[i], true);
}

CRASHES static void crash_execve(void)
{
	syscall(SYS_execve, "/bin/true", NULL, NULL);
	__asm__ volatile("" ::: "memory");
}

static void refused_system_call_is_named(void **state)
{
	struct run run = { .crash = outer, .release = harness_release, .sandbox = true };
	static const char *const functions[8] = { "crash_execve", "inner", "outer", "main" };
	char number[32];
	struct outcome o;

	(void)state;
#ifdef BULKHEAD_SANITIZE
	skip();         /* the sanitizer's run time makes system calls of its own */
#endif
	the_crash = crash_execve;
	o = harness_run(&run);
	assert_true(WIFSIGNALED(o.status));
	assert_int_equal(WTERMSIG(o.status), SIGSYS);
	assert_non_null(o.report);
	assert_string_equal(harness_value(&o, "class"), "sandbox");
	snprintf(number, sizeof number, "%d machine=", SYS_execve);
	assert_memory_equal(harness_value(&o, "system-call"), number, strlen(number));
	assert_true(harness_frames(&o, functions));
	assert_int_equal(o.summary.address, SYS_execve);
	harness_done(&o);
}

static void signal_from_another_process(void **state)
{
	struct run run = { .crash = outer, .signal_after_ms = 100 };
	static const char *const functions[8] = { "wait_for_signal", "inner", "outer", "main" };
	char sender[64];
	struct outcome o;

	(void)state;
	the_crash = wait_for_signal;
	o = harness_run(&run);
	assert_true(WIFSIGNALED(o.status));
	assert_int_equal(WTERMSIG(o.status), SIGSEGV);
	assert_non_null(o.report);
	assert_string_equal(harness_value(&o, "class"), "sent-by-pid");
	snprintf(sender, sizeof sender, "pid=%d uid=%u", getpid(), getuid());
	assert_string_equal(harness_value(&o, "sender"), sender);
	if (!harness_frames(&o, functions))
		fail_msg("frames of a signal from outside\n%s", o.report);
	harness_done(&o);
}

static void signature_holds_over_runs(void **state)
{
	struct run run = { .crash = outer };
	char first[512];

	(void)state;
	the_crash = crash_null;
	for (int i = 0; i < 2; i++) {
		struct outcome o = harness_run(&run);

		assert_non_null(o.report);
		if (i)
			assert_string_equal(harness_value(&o, "signature"), first);
		snprintf(first, sizeof first, "%s", harness_value(&o, "signature"));
		harness_done(&o);
	}
	assert_memory_equal(first, "SIGSEGV crash_null<inner<outer<child<", 37);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_to_crash),
		cmocka_unit_test(each_way_in_the_sandbox),
		cmocka_unit_test(refused_system_call_is_named),
		cmocka_unit_test(signal_from_another_process),
		cmocka_unit_test(signature_holds_over_runs),
	};

	return cmocka_run_group_tests(tests, harness_setup, NULL);
}

/*
 * ways.c - the ways to crash that bulkhead-crash test offers. Each runs in a scratch process and does not return.
 */
#include "crashdump/tool/ways.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CRASHES __attribute__((noinline, noclone, no_sanitize("address", "undefined"))) static
#define STAY    __asm__ volatile("" ::: "memory")       /* keeps a call from becoming a jump, which would hide the caller */

static volatile int zero, sink;
static int *volatile null_pointer;
static const int constant[64] = { 1 };

CRASHES void crash_null(void) { *null_pointer = 1; }
CRASHES void crash_illegal(void) { __builtin_trap(); }
CRASHES void crash_divide(void) { sink = sink / zero; }
CRASHES void crash_abort(void) { abort(); }
CRASHES void crash_assert(void) { assert(zero == 1); STAY; }
CRASHES void crash_trap(void) { raise(SIGTRAP); STAY; }

CRASHES void crash_wild(void)
{
	volatile uintptr_t address = 0x123456789000;

	sink = *(volatile int *)address;
}

CRASHES void crash_non_canonical(void)
{
	volatile uintptr_t address = 0x4141414141414141;

	sink = *(volatile int *)address;
}

CRASHES void crash_read_only(void)
{
	volatile uintptr_t address = (uintptr_t)constant;

	*(volatile int *)address = 2;
}

CRASHES void crash_bad_call(void)
{
	void (*volatile f)(void) = (void (*)(void))(uintptr_t)0x123456789000;

	f();
	STAY;
}

CRASHES int recurse(int depth)
{
	volatile char room[512];

	room[0] = (char)depth;
	if (depth == zero - 1)
		return 0;
	return recurse(depth + 1) + room[0];
}

CRASHES void crash_stack_overflow(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_STACK, &r) == 0) {
		r.rlim_cur = 1u << 20;
		setrlimit(RLIMIT_STACK, &r);
	}
	sink = recurse(0);
}

/* Over what the C library keeps in front of each block. */
CRASHES void crash_heap(void)
{
	volatile char *block = malloc(5000);

	for (int i = 1; block && i <= 16; i++)
		block[zero - i] = 'A';
	free((void *)(uintptr_t)block);
}

CRASHES void crash_canary(void)
{
	char room[24];
	volatile char *p = room;

	for (int i = 0; i < 40; i++)
		p[i] = 'A';
	sink = p[3];
}

CRASHES void crash_bus(void)
{
	int fd = memfd_create("rehearsal", MFD_CLOEXEC);
	char *mem;

	if (fd < 0 || ftruncate(fd, 4096) || (mem = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED ||
	    ftruncate(fd, 0))
		_exit(80);
	sink = *(volatile char *)mem;
}

/* As a child's sandbox would: one system call is refused. */
CRASHES void crash_sandbox(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof filter / sizeof filter[0], filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(80);
	syscall(SYS_getppid);
	STAY;
}

const struct toolway toolways[] = {
	{ "null", SIGSEGV, "writes through a null pointer", crash_null },
	{ "wild", SIGSEGV, "reads where no memory is", crash_wild },
	{ "non-canonical", SIGSEGV, "follows a pointer that is text", crash_non_canonical },
	{ "read-only", SIGSEGV, "writes to constant data", crash_read_only },
	{ "bad-call", SIGSEGV, "calls where no code is", crash_bad_call },
	{ "stack-overflow", SIGSEGV, "recurses without end", crash_stack_overflow },
	{ "abort", SIGABRT, "calls abort()", crash_abort },
	{ "assert", SIGABRT, "an assertion fails", crash_assert },
	{ "heap", SIGABRT, "writes before a block of the heap", crash_heap },
	{ "canary", SIGABRT, "writes past an array on the stack", crash_canary },
	{ "fpe", SIGFPE, "divides by zero", crash_divide },
	{ "illegal", SIGILL, "executes an illegal instruction", crash_illegal },
	{ "bus", SIGBUS, "reads behind the end of a mapped file", crash_bus },
	{ "trap", SIGTRAP, "sends itself SIGTRAP", crash_trap },
	{ "sandbox", SIGSYS, "makes a system call that a sandbox refuses", crash_sandbox },
	{ NULL, 0, NULL, NULL }
};

/* Two callers, as a server would have many. */
static void (*volatile chosen)(void);

CRASHES void rehearse_inner(void)
{
	chosen();
	STAY;
}

__attribute__((noinline, noclone)) void toolways_crash(const struct toolway *way)
{
	chosen = way->crash;
	rehearse_inner();
	STAY;
}

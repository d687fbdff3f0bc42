/*
 * handler.c - all code of crashdump/ that runs in the signal handler, with unwind_interrupted (unwind.c) and the claim
 * and the reading of maps (snapshot.c), and nothing else. It runs in a dying process whose heap, locks and data may be
 * in any state: so raw system calls, no malloc, no stdio, no locks.
 *
 * The work is a row of steps. A step that faults, or hangs until the watchdog's alarm, is left and the next one is done:
 * the nested handler simply goes on with the row. So a broken stack costs the backtrace, but never the release of the
 * locks, nor the clients' end of file, nor the true signal for the master.
 *
 * A live snapshot is made by the steps that gather, without those that end the process. It is made on the same stack: the
 * crash signals are not blocked meanwhile, and a fault in it leads back out of it, not to a crash.
 */
#include "crashdump/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/unwind.h"

#if defined __SANITIZE_ADDRESS__
#define READS_ANYTHING __attribute__((no_sanitize("address", "undefined")))
#else
#define READS_ANYTHING
#endif

#define PAGE 4096u              /* of the loader's list: where pages are larger, madvise refuses, and it stays hidden */

static struct handler_setup setup;

static struct {
	_Atomic int tid;                        /* the thread that crashes, 0 = none */
	volatile unsigned next;                 /* step to be done next */
	volatile bool nested;                   /* a step was left: we are above the remains of another handler */
	int signal;
	siginfo_t info;
	ucontext_t *context;
	struct crash_snapshot *snapshot;        /* NULL: none was free; the other steps are done all the same */
	uint64_t began_us;
	uint64_t registers[REGISTERS_MAX];
	struct crash_fault fault;
	/* The map in private memory: what decides over secrets must not lie where siblings can write. */
	char maps[SNAPSHOT_MAPS];
	size_t maps_length;
	bool maps_whole;
} crash;

/* A live snapshot under way, and the way out of it. */
static volatile sig_atomic_t live;
static sigjmp_buf live_out;

void handler_prepare(const struct handler_setup *from)
{
	setup = *from;
}

/* Plain loads in a plain loop: what is copied may lie in a sanitizer's red zones. */
READS_ANYTHING static void copy(void *to, const void *from, size_t n)
{
	const volatile unsigned char *f = from;
	volatile unsigned char *t = to;

	for (; n >= 8 && !(((uintptr_t)f | (uintptr_t)t) & 7); n -= 8, f += 8, t += 8)
		*(volatile uint64_t *)(volatile void *)t = *(const volatile uint64_t *)(const volatile void *)f;
	while (n--)
		*t++ = *f++;
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ------------------------------------------------------------------------------------------------------- watchdog */

static void run_steps(void);

/* Sets the kernel's timer; libc's alarm() is the same on amd64, and arm64 has no such system call. */
static void set_alarm(unsigned seconds)
{
	struct itimerval in = { .it_value.tv_sec = (time_t)seconds };

	syscall(SYS_setitimer, ITIMER_REAL, &in, NULL);
}

static unsigned watchdog(void)
{
	return setup.options.watchdog_s ? setup.options.watchdog_s : 3;
}

/* The step that was being done did not end well: note it and go on with the next. */
static void leave_step(int signal)
{
	crash.nested = true;
	if (crash.snapshot && crash.next) {
		atomic_fetch_or(&crash.snapshot->skipped, 1u << (crash.next - 1));
		crash.snapshot->skipped_signal = signal;
	}
	/* This handler's action has blocked the alarm, and perhaps more: the steps that are left need both. */
	sigprocmask(SIG_SETMASK, &setup.blocked, NULL);
	set_alarm(watchdog());
	run_steps();
}

static void on_alarm(int signal)
{
	leave_step(signal);
}

static void set_action(int signal, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK | SA_NODEFER };

	sigfillset(&sa.sa_mask);
	sigaction(signal, &sa, NULL);
}

static void unblock(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void step_begin(void)
{
	set_action(SIGALRM, SIG_IGN);   /* an alarm that is pending already is not ours */
	set_action(SIGALRM, on_alarm);
	sigprocmask(SIG_SETMASK, &setup.blocked, NULL);
	set_alarm(watchdog());
	crash.began_us = clock_us(CLOCK_MONOTONIC);
	if (setup.options.pool)
		crash.snapshot = snapshot_claim(setup.options.pool, (pid_t)syscall(SYS_getpid));
}

/* ------------------------------------------------------------------------------------------------------- snapshot */

static void step_facts(void)
{
	struct crash_snapshot *s = crash.snapshot;
	const siginfo_t *si = &crash.info;

	registers_take(crash.registers, &crash.fault, crash.context);
	if (!s)
		return;
	s->pid = s->owner;
	s->tid = (int32_t)syscall(SYS_gettid);
	s->uid = (uint32_t)syscall(SYS_getuid);
	s->slot = setup.options.slot;
	s->generation = setup.options.generation;
	copy(s->role, setup.role, sizeof s->role);
	s->time_ms = (int64_t)(clock_us(CLOCK_REALTIME) / 1000);
	s->monotonic_ms = crash.began_us / 1000;
	s->signal = crash.signal;
	s->code = si->si_code;
	s->error = si->si_errno;
	s->system_call = -1;
	if (crash.signal == SIGSYS && si->si_code == 1) {
		s->system_call = si->si_syscall;
		s->machine = si->si_arch;
		s->address = (uint64_t)(uintptr_t)si->si_call_addr;
	} else if (si->si_code > 0) {
		s->address = (uint64_t)(uintptr_t)si->si_addr;
	} else {
		s->sender_pid = si->si_pid;
		s->sender_uid = si->si_uid;
	}
	copy(s->registers, crash.registers, sizeof s->registers);
	s->fault = crash.fault;
	copy(s->executable, setup.executable, sizeof s->executable);
	s->modules = setup.modules;
	copy(s->module, setup.module, sizeof s->module);
	if (setup.options.activity) {
		copy(&s->activity, setup.options.activity, sizeof s->activity);
		s->has_activity = 1;
	}
}

static void step_maps(void)
{
	int fd = setup.options.files.maps;
	ssize_t n = 0;

	if (fd < 0)
		return;
	while (crash.maps_length < sizeof crash.maps) {
		n = syscall(SYS_pread64, fd, crash.maps + crash.maps_length, sizeof crash.maps - crash.maps_length,
			    (off_t)crash.maps_length);
		if (n <= 0)
			break;
		crash.maps_length += (size_t)n;
	}
	crash.maps_whole = n == 0 && crash.maps_length > 0 && crash.maps_length < sizeof crash.maps;
	if (!crash.snapshot)
		return;
	copy(crash.snapshot->maps, crash.maps, crash.maps_length);
	crash.snapshot->maps_length = (uint32_t)crash.maps_length;
	crash.snapshot->maps_whole = crash.maps_whole;
}

static bool find(uint64_t address, struct crash_range *r)
{
	return snapshot_find(crash.maps, crash.maps_length, address, r);
}

/* The stack above the stack pointer; after an overflow the pointer lies below the stack: then from its low end. */
static void take_stack(struct crash_snapshot *s)
{
	uint64_t low = (crash.registers[REGISTER_SP] - REGISTER_RED_ZONE) & ~(uint64_t)7;
	struct crash_range r = { 0 };           /* stays so without a map */
	const char *at = crash.maps;
	uint32_t length;

	while (snapshot_range(&at, crash.maps + crash.maps_length, &r))
		if (r.high > low && r.readable && r.writable)
			break;
	if (!r.readable || !r.writable || r.high <= low || (r.low > low && r.low - low > (1u << 20)))
		return;
	if (r.low > low)
		low = r.low;
	length = (uint32_t)(r.high - low < SNAPSHOT_STACK ? r.high - low : SNAPSHOT_STACK);
	s->stack_address = low;
	s->stack_length = length;
	copy(s->stack, (const void *)(uintptr_t)low, length);
}

/* Bytes of code only where they come from a program file: a call into the heap must not bring heap into the report. */
static void take_code(struct crash_snapshot *s)
{
	uint64_t pc = crash.registers[REGISTER_PC], low, high;
	struct crash_range r;

	if (!find(pc, &r) || !r.readable || !r.executable || !r.file)
		return;
	low = pc - r.low < SNAPSHOT_CODE / 2 ? r.low : pc - SNAPSHOT_CODE / 2;
	high = r.high - pc < SNAPSHOT_CODE / 2 ? r.high : pc + SNAPSHOT_CODE / 2;
	copy(s->text, (const void *)(uintptr_t)low, (size_t)(high - low));
	s->text_address = low;
	s->text_length = (uint32_t)(high - low);
}

/* glibc's { unsigned size; char text[] }: "free(): invalid pointer", a failed assertion, … */
static void take_abort_message(struct crash_snapshot *s)
{
	const char *message = setup.abort_message ? *setup.abort_message : NULL;
	struct crash_range r;
	uint64_t room;

	if (crash.signal != SIGABRT || !message || !find((uintptr_t)message, &r) || !r.readable)
		return;
	room = r.high - (uintptr_t)message;
	for (size_t i = 0; i < sizeof s->abort_message - 1 && i + sizeof(unsigned) < room; i++) {
		char c = message[sizeof(unsigned) + i];

		if (!c || c == '\n')
			break;
		s->abort_message[i] = c;
	}
}

static void step_memory(void)
{
	if (!crash.snapshot)
		return;
	take_code(crash.snapshot);
	take_abort_message(crash.snapshot);
	take_stack(crash.snapshot);
}

static void step_unwind(void)
{
	struct crash_snapshot *s = crash.snapshot;

	if (s)
		unwind_interrupted(crash.context, s->frame, SNAPSHOT_FRAMES, &s->frames);
}

static void step_commit(void)
{
	if (!crash.snapshot)
		return;
	crash.snapshot->handler_us = (uint32_t)(clock_us(CLOCK_MONOTONIC) - crash.began_us);
	crash.snapshot->complete = 1;
}

/* ------------------------------------------------------------------------------------------------- others' needs */

static void step_release(void)
{
	if (setup.options.release)
		setup.options.release();
}

/* Clients see the end at once, not after a core of perhaps gigabytes is written. */
static void step_clients(void)
{
	if (setup.options.shutdown_clients)
		setup.options.shutdown_clients();
	else
		for (unsigned i = 0; setup.options.client_fds && i < setup.options.client_count; i++)
			if (setup.options.client_fds[i] >= 0)
				syscall(SYS_shutdown, setup.options.client_fds[i], SHUT_RDWR);
	if (crash.snapshot)
		crash.snapshot->clients_us = (uint32_t)(clock_us(CLOCK_MONOTONIC) - crash.began_us);
}

/* Where no master will do it. It may take seconds: the watchdog begins anew. */
static void step_report(void)
{
	if (!setup.options.report || !crash.snapshot)
		return;
	set_alarm(watchdog());
	setup.options.report();
}

/* ----------------------------------------------------------------------------------------------------------- core */

static bool named(const struct crash_range *r, const char *prefix)
{
	size_t i = 0;

	while (prefix[i] && i < r->name_length && r->name[i] == prefix[i])
		i++;
	return !prefix[i];
}

/* Where frames lie: the main stack, ours, and that of another thread. A main thread whose stack pointer was led into the
 * heap does not make the heap a stack. */
static bool is_stack(const struct crash_range *r)
{
	uint64_t sp = crash.registers[REGISTER_SP];

	if (named(r, "[stack]") || (setup.altstack >= r->low && setup.altstack < r->high))
		return true;
	return crash.tid != (int)syscall(SYS_getpid) && !r->name_length && sp >= r->low && sp < r->high;
}

/* Takes back the mark from the loader's list of modules, where it lies outside the heap. */
static void show_loader(const struct crash_range *r)
{
	for (unsigned i = 0; !r->name_length && i < setup.pages; i++)
		if (setup.page[i] >= r->low && setup.page[i] < r->high)
			syscall(SYS_madvise, (void *)setup.page[i], PAGE, MADV_DODUMP);
}

/* Marks heap, anonymous and shared memory as not for cores. true: nothing was missed. */
static bool hide_memory(void)
{
	const char *at = crash.maps;
	struct crash_range r;

	if (!crash.maps_whole)
		return false;
	while (snapshot_range(&at, crash.maps + crash.maps_length, &r)) {
		if ((r.file && !r.shared) || is_stack(&r) || named(&r, "[v"))
			continue;
		if (syscall(SYS_madvise, (void *)(uintptr_t)r.low, (size_t)(r.high - r.low), MADV_DONTDUMP) < 0)
			return false;
		show_loader(&r);
	}
	return at == crash.maps + crash.maps_length;
}

/* Fail-closed: the filter was 0 all the life long, so a core holds no memory unless everything was marked here. */
static void step_core(void)
{
	static const char filter[] = "0x31";
	int fd = setup.options.files.coredump_filter;
	bool hidden;

	if (setup.options.no_core && atomic_load_explicit(setup.options.no_core, memory_order_relaxed)) {
		syscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
		return;
	}
	hidden = hide_memory();

	if (hidden && fd >= 0 && syscall(SYS_write, fd, filter, sizeof filter - 1) < 0)
		hidden = false;
	if (hidden || fd >= 0)
		syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (crash.snapshot)
		crash.snapshot->core_rule = hidden ? CRASH_CORE_HIDDEN : fd >= 0 ? CRASH_CORE_CLOSED : CRASH_CORE_DEFAULT;
}

/* ------------------------------------------------------------------------------------------------------- the end */

/* Queues the very same signal with its siginfo and returns: it is delivered on the way out, so that the kernel's core
 * shows the interrupted frames and the fault's address, and the master sees the true signal, whatever it was: a fault
 * that would not fault again, a trap, a SIGSYS. */
static void step_raise(void)
{
	sigset_t all;

	set_alarm(0);
	set_action(crash.signal, SIG_DFL);
	if (crash.nested)
		return;
	sigfillset(&all);
	if (crash.signal != SIGSYS)
		sigdelset(&all, SIGSYS);        /* a system call that the sandbox refuses must come to step_kill */
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigdelset(&crash.context->uc_sigmask, crash.signal);
	if (syscall(SYS_rt_tgsigqueueinfo, syscall(SYS_getpid), crash.tid, crash.signal, &crash.info) == 0)
		crash.next = CRASH_STEPS;
}

/* Above the remains of another handler, or where the signal could not be queued with its siginfo. */
static void step_kill(void)
{
	set_action(crash.signal, SIG_DFL);
	syscall(SYS_tgkill, syscall(SYS_getpid), crash.tid, crash.signal);
	sigdelset(&crash.context->uc_sigmask, crash.signal);
	if (crash.nested) {
		unblock(crash.signal);
		set_action(SIGILL, SIG_DFL);
		__builtin_trap();
	}
}

static void (*const steps[CRASH_STEPS])(void) = {
	[CRASH_STEP_BEGIN] = step_begin, [CRASH_STEP_FACTS] = step_facts, [CRASH_STEP_MAPS] = step_maps,
	[CRASH_STEP_MEMORY] = step_memory, [CRASH_STEP_UNWIND] = step_unwind, [CRASH_STEP_COMMIT] = step_commit,
	[CRASH_STEP_RELEASE] = step_release, [CRASH_STEP_CLIENTS] = step_clients, [CRASH_STEP_REPORT] = step_report,
	[CRASH_STEP_CORE] = step_core,
	[CRASH_STEP_RAISE] = step_raise, [CRASH_STEP_KILL] = step_kill,
};

static void run_steps(void)
{
	while (crash.next < CRASH_STEPS) {
		unsigned step = crash.next;

		crash.next = step + 1;
		steps[step]();
	}
}

static void take(int signal, const siginfo_t *info, void *context)
{
	crash.signal = signal;
	crash.info = *info;
	crash.context = context;
	crash.snapshot = NULL;
	crash.maps_length = 0;
	crash.maps_whole = false;
}

void handler_enter(int signal, siginfo_t *info, void *context)
{
	int none = 0, tid = (int)syscall(SYS_gettid);

	if (live && info->si_code > 0)
		siglongjmp(live_out, 1);
	if (!atomic_compare_exchange_strong(&crash.tid, &none, tid)) {
		while (none != tid)     /* another thread is ending the process already */
			syscall(SYS_sched_yield);
		leave_step(signal);
		return;
	}
	live = 0;
	take(signal, info, context);
	run_steps();
}

/* ------------------------------------------------------------------------------------------------- live snapshots */

static void gather_live(struct crash_snapshot *s)
{
	static void (*const gather[])(void) = { step_facts, step_maps, step_memory, step_unwind };
	static const unsigned char which[] = { CRASH_STEP_FACTS, CRASH_STEP_MAPS, CRASH_STEP_MEMORY, CRASH_STEP_UNWIND };
	static volatile unsigned i;

	for (i = 0; i < sizeof which; i++) {
		live = 1;
		if (sigsetjmp(live_out, 1) == 0)
			gather[i]();
		else
			atomic_fetch_or(&s->skipped, 1u << which[i]);
		live = 0;
	}
}

/* As far as the kernel vouches for the sender: it fills in who calls kill() or pidfd_send_signal(). */
static bool may_ask(const siginfo_t *info)
{
	return info->si_code == SI_USER && (info->si_uid == 0 || info->si_uid == setup.options.live_uid);
}

void handler_live(int signal, siginfo_t *info, void *context)
{
	static const uint64_t one = 1;
	struct crash_snapshot *s;
	int saved = errno;

	if (!crash.tid && may_ask(info) && (s = snapshot_claim_live(setup.options.pool, (pid_t)syscall(SYS_getpid)))) {
		take(signal, info, context);
		crash.snapshot = s;
		crash.began_us = clock_us(CLOCK_MONOTONIC);
		gather_live(s);
		step_commit();
		crash.snapshot = NULL;
		atomic_store(setup.options.live, 1);
		if (setup.options.live_wake >= 0)
			syscall(SYS_write, setup.options.live_wake, &one, sizeof one);
	}
	errno = saved;
}

/*
 * hostile_test.c - symbols.c and corefile.c on snapshots and cores that are cut off or scribbled over: a process that was
 * taken over may write anything there. Each case is read in a process of its own, which must end by itself, in time, with
 * sound frames and in little memory. BULKHEAD_HOSTILE=N in the environment: so many cases of each kind.
 */
#include "tests/unit/crashdump/harness.h"

#include <sys/resource.h>

#include "crashdump/corefile.h"
#include "crashdump/symbols.h"

#define SECONDS_EACH  10
#ifdef BULKHEAD_SANITIZE
#define MEGABYTES_MAX 4000
#else
#define MEGABYTES_MAX 400
#endif

static int *volatile null_pointer;
static volatile int sink;
static struct crash_snapshot *good, *case_of;   /* case_of: the pool's first slot, which the children read */
static char *core_bytes;
static size_t core_size;
static unsigned cases = 60;

__attribute__((noinline, noclone, no_sanitize("address", "undefined"))) static void crash_null(void)
{
	*null_pointer = 1;
	sink++;
}

static void keep_snapshot(struct crash_snapshot *s)
{
	*good = *s;
}

/* A real crash gives the snapshot, and its core where the system allows one. */
static int setup(void **state)
{
	struct run run = { .crash = crash_null, .meddle = keep_snapshot };
	const char *many = getenv("BULKHEAD_HOSTILE");
	struct outcome o;
	FILE *f;

	if (harness_setup(state))
		return -1;
	if (many)
		cases = (unsigned)strtoul(many, NULL, 10);
	good = calloc(1, sizeof *good);
	case_of = pool;
	o = harness_run(&run);
	if (o.has_core && (f = fopen(o.core, "r"))) {
		fseek(f, 0, SEEK_END);
		core_size = (size_t)ftell(f);
		rewind(f);
		core_bytes = malloc(core_size);
		core_size = fread(core_bytes, 1, core_size, f);
		fclose(f);
	}
	harness_done(&o);
	return good->complete ? 0 : -1;
}

static void check_trace(const struct crash_trace *t)
{
	if (t->count > SYMBOLS_FRAMES)
		abort();
	for (unsigned i = 0; i < t->count; i++) {
		const char *texts[] = { t->frame[i].module, t->frame[i].function, t->frame[i].file };

		for (unsigned j = 0; j < 3; j++)
			for (const char *p = texts[j]; *p; p++)
				if (*p < ' ' || *p > '~')
					abort();
	}
}

/* What the job does: a copy of its own that is made sound first. */
static void read_snapshot(void)
{
	struct crash_snapshot *s = snapshot_copy(pool, 0);
	static struct crash_trace trace;

	if (!s)
		return;
	symbols_trace(s, &trace);
	check_trace(&trace);
	symbols_raw(s, &trace);
	check_trace(&trace);
	snapshot_drop(s);
}

static int core_fd;

static void read_core(void)
{
	static struct crash_snapshot s;
	static struct crash_trace trace;
	const char *why;

	if (corefile_snapshot(core_fd, NULL, &s, &why) < 0) {
		if (!why || !*why)
			abort();
		return;
	}
	symbols_trace(&s, &trace);
	check_trace(&trace);
}

static void in_time_and_room(void (*reader)(void), const char *what, unsigned seed)
{
	struct rusage used;
	int status;
	pid_t pid = fork();

	if (!pid) {
		default_signals();
		alarm(SECONDS_EACH);
		reader();
		_exit(0);
	}
	assert_true(wait4(pid, &status, 0, &used) == pid);
	if (status || used.ru_maxrss > MEGABYTES_MAX * 1024L)
		fail_msg("%s, seed %u: status 0x%x, %ld KB", what, seed, (unsigned)status, used.ru_maxrss);
}

static void scribble(unsigned char *p, size_t n, unsigned count)
{
	static const unsigned char worst[] = { 0, 1, 0x7f, 0x80, 0xff };

	while (count--)
		p[(size_t)rand() % n] = rand() % 2 ? (unsigned char)rand() : worst[rand() % 5];
}

/* ---------------------------------------------------------------------------------------------------------- snapshots */

static void scribbled_snapshots(void **state)
{
	const int32_t owner = good->owner;

	(void)state;
	for (unsigned seed = 0; seed < cases; seed++) {
		struct crash_snapshot *s = case_of;

		*s = *good;
		srand(seed);
		switch (seed % 5) {
		case 0: scribble((unsigned char *)s, sizeof *s, 2000); break;
		case 1: scribble((unsigned char *)s->maps, s->maps_length, 1 + seed); break;
		case 2: scribble((unsigned char *)s->stack, s->stack_length, 20 * seed); break;
		case 3: scribble((unsigned char *)s->registers, sizeof s->registers, 1 + seed % 30); break;
		default: scribble((unsigned char *)s->module, sizeof s->module, 1 + seed); break;
		}
		s->owner = owner;
		in_time_and_room(read_snapshot, "scribbled snapshot", seed);
	}
}

static void cut_snapshots(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		*case_of = *good;
		case_of->maps_length = good->maps_length * i / 12;
		case_of->stack_length = good->stack_length * (11 - i) / 12;
		in_time_and_room(read_snapshot, "snapshot cut short", i);
	}
}

/* Every word of the stack points to itself, into the program, or to the top: chains without an end. */
static void endless_stacks(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		*case_of = *good;
		for (uint32_t at = 0; at + 8 <= SNAPSHOT_STACK; at += 8) {
			uint64_t here = good->stack_address + at;
			uint64_t word = i == 0 ? here : i == 1 ? good->frame[1] : i == 2 ? (at & 8 ? good->frame[1] : here) : good->stack_address;

			memcpy(case_of->stack + at, &word, sizeof word);
		}
		case_of->stack_length = SNAPSHOT_STACK;
		in_time_and_room(read_snapshot, "endless stack", i);
	}
}

/* -------------------------------------------------------------------------------------------------------------- cores */

static void with_core(size_t size, const char *what, unsigned seed, unsigned headers, unsigned anywhere)
{
	char *copy = malloc(size + 1);

	memcpy(copy, core_bytes, size);
	srand(seed);
	if (size && headers)
		scribble((unsigned char *)copy, size < 12288 ? size : 12288, headers);
	if (size && anywhere)
		scribble((unsigned char *)copy, size, anywhere);
	core_fd = memfd_create("core", MFD_CLOEXEC);
	assert_true(core_fd >= 0 && write(core_fd, copy, size) == (ssize_t)size);
	free(copy);
	in_time_and_room(read_core, what, seed);
	close(core_fd);
}

static void scribbled_cores(void **state)
{
	(void)state;
	if (!core_bytes) {
		skip();
		return;
	}
	for (unsigned seed = 0; seed < cases; seed++)
		with_core(core_size, "scribbled core", seed, seed % 3 ? 1 + seed % 40 : 0, seed % 3 == 0 ? 100 * seed : 0);
}

static void cut_cores(void **state)
{
	(void)state;
	if (!core_bytes) {
		skip();
		return;
	}
	for (unsigned i = 0; i < 24; i++)
		with_core(i < 12 ? (size_t)1 << (i + 4) : core_size * (i - 11) / 13, "core cut short", i, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scribbled_snapshots),
		cmocka_unit_test(cut_snapshots),
		cmocka_unit_test(endless_stacks),
		cmocka_unit_test(scribbled_cores),
		cmocka_unit_test(cut_cores),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

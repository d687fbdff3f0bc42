/*
 * snapshot_test.c - the pool of crash slots, the checked copy, reading of maps, classes and names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "crashdump/classify.h"
#include "crashdump/crashdump.h"
#include "crashdump/snapshot.h"

static void *pool;

static int setup(void **state)
{
	(void)state;
	pool = mmap(NULL, crash_pool_size(2), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return pool == MAP_FAILED ? -1 : 0;
}

static void slots_are_claimed_and_freed(void **state)
{
	struct crash_snapshot *a, *b;
	struct crash_summary summary;

	(void)state;
	assert_int_equal(crash_pool_init(NULL, 2), -1);
	assert_int_equal(crash_pool_init((char *)pool + 8, 2), -1);
	assert_int_equal(crash_pool_init(pool, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(crash_pool_init(pool, 2), 0);
	assert_int_equal(crash_pool_find(pool, 0), -1);
	assert_int_equal(crash_pool_find(pool, 100), -1);
	assert_int_equal(crash_pool_summary(pool, 0, &summary), -1);
	a = snapshot_claim(pool, 100);
	b = snapshot_claim(pool, 200);
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	assert_null(snapshot_claim(pool, 300));
	assert_int_equal(crash_pool_find(pool, 200), 1);
	b->stack_length = 8;
	memcpy(b->stack, "private!", 8);
	b->maps_length = 8;
	memcpy(b->maps, "private!", 8);
	b->frames = 7;
	crash_pool_free(pool, 1);
	assert_memory_equal(b->stack, "\0\0\0\0\0\0\0\0", 8);
	assert_memory_equal(b->maps, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(b->stack_length | b->maps_length, 0);
	assert_int_equal(b->frames, 0);
	assert_ptr_equal(snapshot_claim(pool, 300), b);
	crash_pool_free(pool, -1);
	crash_pool_free(pool, 2);
	crash_pool_free(pool, 0);
	crash_pool_free(pool, 1);
}

/* Where the kernel takes no pages back, they are wiped. */
static void slots_are_wiped(void **state)
{
	void *shared = pool;

	pool = mmap(NULL, crash_pool_size(2), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pool, MAP_FAILED);
	assert_int_equal(madvise(pool, 4096, MADV_REMOVE), -1);
	slots_are_claimed_and_freed(state);
	munmap(pool, crash_pool_size(2));
	pool = shared;
}

static void copies_are_bounded(void **state)
{
	struct crash_snapshot *s, *copy;

	(void)state;
	assert_int_equal(crash_pool_init(pool, 2), 0);
	s = snapshot_claim(pool, 100);
	memset((char *)s + sizeof s->owner, 0xff, sizeof *s - sizeof s->owner);
	copy = snapshot_copy(pool, 0);
	assert_non_null(copy);
	assert_int_equal(copy->frames, SNAPSHOT_FRAMES);
	assert_int_equal(copy->modules, SNAPSHOT_MODULES);
	assert_int_equal(copy->maps_length, SNAPSHOT_MAPS);
	assert_int_equal(copy->stack_length, 0);                /* an address that would wrap around */
	assert_int_equal(copy->text_length, SNAPSHOT_CODE);
	assert_int_equal(copy->module[5].id_length, SNAPSHOT_ID);
	assert_int_equal(copy->role[sizeof copy->role - 1], 0);
	assert_int_equal(copy->executable[sizeof copy->executable - 1], 0);
	assert_int_equal(copy->abort_message[sizeof copy->abort_message - 1], 0);
	snapshot_drop(copy);
	crash_pool_free(pool, 0);
}

static void maps_are_read(void **state)
{
	static const char good[] =
		"55e0c0000000-55e0c0001000 r-xp 00001000 fe:00 1234                       /usr/sbin/a b (deleted)\n"
		"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
		"7ffc00000000-7ffc00021000 rw-s 00000000 00:00 0                          [stack]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
	const char *at = good;
	struct crash_range r;

	(void)state;
	assert_true(snapshot_range(&at, good + sizeof good - 1, &r));
	assert_true(r.low == 0x55e0c0000000 && r.high == 0x55e0c0001000);
	assert_true(r.readable && !r.writable && r.executable && !r.shared && r.file);
	assert_int_equal(r.name_length, 23);
	assert_memory_equal(r.name, "/usr/sbin/a b (deleted)", 23);
	assert_true(snapshot_range(&at, good + sizeof good - 1, &r));
	assert_true(r.writable && !r.file && r.name_length == 0);
	assert_true(snapshot_range(&at, good + sizeof good - 1, &r));
	assert_true(r.shared);
	assert_memory_equal(r.name, "[stack]", 7);
	assert_true(snapshot_range(&at, good + sizeof good - 1, &r));
	assert_false(r.readable);
	assert_false(snapshot_range(&at, good + sizeof good - 1, &r));
	assert_true(snapshot_find(good, sizeof good - 1, 0x7f0000000fff, &r));
	assert_false(snapshot_find(good, sizeof good - 1, 0x7f0000001000, &r));
}

static void broken_maps_end_the_reading(void **state)
{
	static const char *const broken[] = {
		"", "\n", "55e0c0000000", "55e0c0000000-\n", "55e0c0000000-55e0c0001000\n", "55e0c0000000-55e0c0001000 rw\n",
		"2000-1000 rw-p 00000000 00:00 0 \n", "1000-2000 rw-p x\n", "1000-2000 rw-p 00000000 00:00\n",
		"1000-2000 rw-p 00000000\n", "1000-2000 rw-p 00000000 00\n", "1000-2000 rw-p 0 0:0 0 [no end of line]",
		"-\n", "1000-2000 rw-p 00000000 00:00 \n", "zzz\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		/* A copy without anything behind it: a sanitizer sees each byte too many. */
		size_t length = strlen(broken[i]);
		char *text = malloc(length ? length : 1);
		const char *at = text;
		struct crash_range r;

		memcpy(text, broken[i], length);
		if (snapshot_range(&at, text + length, &r))
			fail_msg("read as a line: %s", broken[i]);
		free(text);
	}
}

static void classes_by_signal(void **state)
{
	static const struct { int signal, code; uint64_t address; const char *said, *class; } rows[] = {
		{ SIGSEGV, SEGV_MAPERR, 0x10, "", "null-deref" },
		{ SIGSEGV, SEGV_MAPERR, 0x7f0000123456, "", "wild-pointer" },
		{ SIGSEGV, SEGV_ACCERR, 0x7f0000123456, "", "access" },
		{ SIGSEGV, 0x80, 0, "", "non-canonical" },
		{ SIGSEGV, SEGV_MAPERR, 0x55e0c0000010, "", "bad-call" },
		{ SIGSEGV, SI_USER, 0, "", "sent-by-pid" },
		{ SIGBUS, BUS_ADRERR, 0x1000, "", "bus" },
		{ SIGABRT, SI_TKILL, 0, "", "abort" },
		{ SIGABRT, SI_TKILL, 0, "double free or corruption (!prev)", "heap-abort" },
		{ SIGABRT, SI_TKILL, 0, "malloc(): unsorted double linked list corrupted", "heap-abort" },
		{ SIGABRT, SI_TKILL, 0, "*** stack smashing detected ***: terminated", "canary" },
		{ SIGABRT, SI_TKILL, 0, "*** buffer overflow detected ***: terminated", "fortify" },
		{ SIGABRT, SI_TKILL, 0, "a.c:12: f: Assertion `x' failed.", "assert" },
		{ SIGSYS, 1, 0, "", "sandbox" }, { SIGTRAP, 0x80, 0, "", "trap" }, { SIGFPE, 1, 0, "", "arithmetic" },
		{ SIGFPE, SI_TKILL, 0, "", "raised" }, { SIGILL, SI_TKILL, 0, "", "raised" }, { SIGBUS, SI_TKILL, 0, "", "raised" },
		{ SIGSYS, SI_TKILL, 0, "", "raised" }, { SIGSEGV, SI_TKILL, 0, "", "raised" }, { SIGFPE, SI_USER, 0, "", "sent-by-pid" },
	};
	struct crash_snapshot *s = calloc(1, sizeof *s);
	struct crash_trace *t = calloc(1, sizeof *t);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		s->pid = 50;
		s->sender_pid = rows[i].code == SI_USER ? 1 : rows[i].code == SI_TKILL ? 50 : 0;
		s->signal = rows[i].signal;
		s->code = rows[i].code;
		s->address = rows[i].address;
		s->registers[REGISTER_PC] = 0x55e0c0000010;
		s->registers[REGISTER_SP] = 0x7ffc00010000;
		strcpy(s->abort_message, rows[i].said);
		assert_string_equal(classify(s, t), rows[i].class);
	}
	free(s);
	free(t);
}

static void signatures_are_plain(void **state)
{
	static const char *const functions[] = {
		"__memmove_avx_unaligned_erms", "copy_all.isra.0", "walk", "walk", "stale", "serve.cold", "", "never", "main"
	};
	struct crash_snapshot *s = calloc(1, sizeof *s);
	struct crash_trace *t = calloc(1, sizeof *t);
	char text[512] = "";
	struct print p = { .text = text, .room = sizeof text };

	(void)state;
	s->signal = SIGSEGV;
	t->count = sizeof functions / sizeof functions[0];
	for (unsigned i = 0; i < t->count; i++) {
		strcpy(t->frame[i].function, functions[i]);
		strcpy(t->frame[i].module, "/usr/lib/libx.so.1");
		strcpy(t->frame[i].build_id, "0123456789abcdef");
		t->frame[i].module_offset = 0x1234;
		t->frame[i].trust = i == 4 ? CRASH_TRUST_SCAN : CRASH_TRUST_CFI;
	}
	classify_signature(s, t, &p);
	assert_string_equal(text, "SIGSEGV memmove<copy_all<walk<serve<libx.so.1+0x1234(01234567)");
	/* Below main there is nothing to tell, and what aborts is not what is at fault. */
	p.length = 0;
	s->signal = SIGABRT;
	t->count = 5;
	for (unsigned i = 0; i < 3; i++)
		strcpy(t->frame[i].module, "/usr/lib/x86_64-linux-gnu/libc.so.6");
	strcpy(t->frame[3].function, "caller");
	strcpy(t->frame[4].function, "main");
	t->frame[4].trust = CRASH_TRUST_CFI;
	classify_signature(s, t, &p);
	assert_string_equal(text, "SIGABRT caller");
	/* The same where the process signalled itself; but a signal from outside tells of where it was met. */
	strcpy(t->frame[0].function, "__pthread_kill_implementation");
	strcpy(t->frame[1].function, "raise");
	strcpy(t->frame[2].function, "poll");
	s->signal = SIGFPE;
	s->code = SI_TKILL;
	s->pid = s->sender_pid = 50;
	p.length = 0;
	classify_signature(s, t, &p);
	assert_string_equal(text, "SIGFPE caller");
	s->sender_pid = 1;
	p.length = 0;
	classify_signature(s, t, &p);
	assert_string_equal(text, "SIGFPE __pthread_kill_implementation<raise<poll<caller");
	/* Nothing but the C library: better its names than none. */
	s->sender_pid = 50;
	t->count = 3;
	p.length = 0;
	classify_signature(s, t, &p);
	assert_string_equal(text, "SIGFPE __pthread_kill_implementation<raise<poll");
	/* The kernel's code is never at the top, whatever the signal is. */
	*t = (struct crash_trace){ .count = 3, .frame = { { .module = "[vdso]", .module_offset = 0xa3f },
							  { .module = "/lib/libc.so.6", .function = "clock_gettime" }, { .function = "turn" } } };
	s->signal = SIGSEGV;
	s->code = SEGV_MAPERR;
	p.length = 0;
	classify_signature(s, t, &p);
	assert_string_equal(text, "SIGSEGV clock_gettime<turn");
	s->kind = CRASH_KIND_LIVE;
	p.length = 0;
	classify_signature(s, t, &p);
	assert_string_equal(text, "live turn");
	free(s);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_are_claimed_and_freed), cmocka_unit_test(slots_are_wiped),
		cmocka_unit_test(copies_are_bounded),
		cmocka_unit_test(maps_are_read),
		cmocka_unit_test(broken_maps_end_the_reading),
		cmocka_unit_test(classes_by_signal),
		cmocka_unit_test(signatures_are_plain),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

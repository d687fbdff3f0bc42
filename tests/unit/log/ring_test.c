/*
 * ring_test.c - server/log/ring.c: whole lines in order, wraps, a full ring, a writer that is killed, a ring that lies.
 */
#include "log/ring.c"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct ring *new_ring(void)
{
	void *mem = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(mem, MAP_FAILED);
	return ring_init(mem);
}

static int put(struct ring *r, unsigned target, const char *text, size_t n)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)text, n / 2 }, { (void *)(uintptr_t)(text + n / 2), n - n / 2 } };

	return ring_put(r, target, iov, 2);
}

static size_t line_of(const struct ring_record *rec, char *out)
{
	memcpy(out, rec->at[0].iov_base, rec->at[0].iov_len);
	memcpy(out + rec->at[0].iov_len, rec->at[1].iov_base, rec->at[1].iov_len);
	return rec->len;
}

static void lines_come_whole_and_in_order_over_many_wraps(void **state)
{
	static char line[RING_LINE], got[RING_LINE];
	struct ring *r = new_ring();
	struct ring_record rec;
	uint64_t pos = ring_tail(r);

	(void)state;
	ring_generation(r, 7);
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = 1 + (i * 7919u) % 900;

		memset(line, 'a' + (int)(i % 26), n);
		assert_int_equal(put(r, i % 5, line, n), 0);
		assert_int_equal(ring_take(r, &pos, &rec), 1);
		assert_int_equal(rec.target, i % 5);
		assert_int_equal(rec.generation, 7);
		assert_int_equal(line_of(&rec, got), n);
		assert_memory_equal(got, line, n);
		ring_taken(r, pos);
	}
	assert_int_equal(ring_take(r, &pos, &rec), 0);
}

static void a_full_ring_takes_nothing_and_loses_nothing(void **state)
{
	struct ring *r = new_ring();
	struct ring_record rec;
	unsigned kept = 0, seen = 0;
	uint64_t pos;

	(void)state;
	while (put(r, kept, "0123456789", 10) == 0)
		kept++;
	assert_int_equal(errno, EAGAIN);
	assert_true(kept > 1000);
	assert_false(ring_room(r, 10));
	ring_drop(r);
	ring_drop(r);
	assert_int_equal(ring_dropped(r), 2);
	assert_int_equal(ring_dropped(r), 0);
	for (pos = ring_tail(r); ring_take(r, &pos, &rec) == 1; seen++)
		assert_int_equal(rec.target, seen);
	assert_int_equal(seen, kept);
	ring_taken(r, pos);
	assert_true(ring_room(r, RING_LINE));
}

static void a_line_that_is_too_long_is_cut_and_says_so(void **state)
{
	static char line[RING_LINE * 2], got[RING_LINE];
	struct ring *r = new_ring();
	struct ring_record rec;
	uint64_t pos = ring_tail(r);

	(void)state;
	memset(line, 'x', sizeof line);
	assert_int_equal(put(r, 0, line, sizeof line), 0);
	assert_int_equal(ring_take(r, &pos, &rec), 1);
	assert_int_equal(line_of(&rec, got), RING_LINE);
	assert_memory_equal(got + RING_LINE - 4, "…\n", 4);
}

static void the_reader_is_woken_once_and_again_at_half(void **state)
{
	struct ring *r = new_ring();
	static char line[1000];

	(void)state;
	assert_false(ring_wants_wake(r));
	put(r, 0, "a\n", 2);
	assert_true(ring_wants_wake(r));
	put(r, 0, "b\n", 2);
	assert_false(ring_wants_wake(r));
	ring_reading(r, RING_ASLEEP);
	assert_true(ring_wants_wake(r));
	ring_reading(r, RING_PACED);
	put(r, 0, "c\n", 2);
	assert_false(ring_wants_wake(r));
	for (int i = 0; i < 40; i++)
		put(r, 0, line, sizeof line);
	assert_true(ring_wants_wake(r));
	assert_false(ring_wants_wake(r));
	ring_reading(r, RING_PACED);
	assert_true(ring_wants_wake(r));
}

/* A hostile or damaged ring costs its own lines, never the reader. */
static void a_ring_that_lies_is_skipped(void **state)
{
	static const struct { const char *what; uint64_t head; uint32_t len, mark; } rows[] = {
		{ "head far ahead", 1ull << 40, 10, RECORD_MARK },
		{ "head not aligned", 33, 10, RECORD_MARK },
		{ "length beyond the head", 32, 5000, RECORD_MARK },
		{ "length beyond all", 32, UINT32_MAX, RECORD_MARK },
		{ "no record", 32, 10, 1 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ring *r = new_ring();
		struct ring_record rec;
		uint64_t pos = ring_tail(r);

		put(r, 0, "0123456789", 10);
		struct record_head h = { .len = rows[i].len, .mark = rows[i].mark };
		copy_in(r, 0, &h, sizeof h);
		atomic_store(&r->head, rows[i].head);
		if (ring_take(r, &pos, &rec) != -1)
			fail_msg("%s: taken", rows[i].what);
		assert_int_equal(pos, rows[i].head);
		munmap(r, RING_SIZE);
	}
}

static void a_new_writer_is_not_spoiled_by_the_last(void **state)
{
	static const uint64_t left[] = { 33, 1ull << 40, 65 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct ring *r = new_ring();
		struct ring_record rec;
		uint64_t pos = ring_tail(r);

		atomic_store(&r->head, left[i]);
		if (i == 2)                     /* the reader has been there already */
			assert_int_equal(ring_take(r, &pos, &rec), -1), ring_taken(r, pos);
		ring_generation(r, 2);
		assert_int_equal(put(r, 5, "line\n", 5), 0);
		if (ring_take(r, &pos, &rec) == -1) {   /* what stood before it was damaged: both are skipped, once */
			assert_int_not_equal(i, 2);
			ring_taken(r, pos);
			assert_int_equal(put(r, 5, "line\n", 5), 0);
			assert_int_equal(ring_take(r, &pos, &rec), 1);
		}
		assert_int_equal(rec.target, 5);
		assert_int_equal(rec.len, 5);
		munmap(r, RING_SIZE);
	}
}

static void a_writer_killed_anywhere_leaves_whole_lines(void **state)
{
	static char got[RING_LINE];

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct ring *r = new_ring();
		struct ring_record rec;
		uint64_t pos = ring_tail(r), lines = 0;
		pid_t pid = fork();

		if (pid == 0) {
			char line[400];

			for (unsigned i = 0;; i++) {
				memset(line, 'a' + (int)(i % 26), sizeof line);
				put(r, i, line, 100 + i % 300);
			}
		}
		while (lines < 100 + round) {
			int took = ring_take(r, &pos, &rec);

			assert_int_not_equal(took, -1);
			lines += took == 1;
			ring_taken(r, pos);
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (ring_take(r, &pos, &rec) == 1) {
			size_t n = line_of(&rec, got);

			assert_int_equal(n, 100 + rec.target % 300);
			for (size_t k = 0; k < n; k++)
				assert_int_equal(got[k], 'a' + (int)(rec.target % 26));
		}
		munmap(r, RING_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_whole_and_in_order_over_many_wraps),
		cmocka_unit_test(a_full_ring_takes_nothing_and_loses_nothing),
		cmocka_unit_test(a_line_that_is_too_long_is_cut_and_says_so),
		cmocka_unit_test(the_reader_is_woken_once_and_again_at_half),
		cmocka_unit_test(a_ring_that_lies_is_skipped),
		cmocka_unit_test(a_new_writer_is_not_spoiled_by_the_last),
		cmocka_unit_test(a_writer_killed_anywhere_leaves_whole_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

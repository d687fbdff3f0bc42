/*
 * ringcrash_test.c - a writer that crashes in the middle of a record: what was committed is read, nothing of the half one,
 * and the slot's next process writes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log/ring.h"

static struct ring *ring;

static void put(const char *text)
{
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };

	if (ring_put(ring, 1, &iov, 1) < 0)
		_exit(90);
}

/* Two parts, the second of which ends in memory that is not there: the copy faults when most of the record is written. */
static void crash_inside(size_t good)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[2] = { { (void *)(uintptr_t)"torn ", 5 }, { pages + 4096 - good, good + 100 } };

	signal(SIGSEGV, SIG_DFL);
	munmap(pages + 4096, 4096);
	memset(pages, 't', 4096);
	ring_put(ring, 1, iov, 2);
	_exit(91);
}

static void in_a_process(const char *text, size_t crash)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		ring_generation(ring, 7);
		put(text);
		if (crash)
			crash_inside(crash);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (crash)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	else
		assert_int_equal(status, 0);
}

/* All that the reader finds, one behind the other. */
static size_t read_all(char *out, size_t room)
{
	uint64_t pos = ring_tail(ring);
	struct ring_record rec;
	size_t n = 0;
	int rc;

	while ((rc = ring_take(ring, &pos, &rec)) > 0) {
		assert_int_equal(rec.generation, 7);
		assert_int_equal(rec.target, 1);
		for (int i = 0; i < 2; i++) {
			assert_true(n + rec.at[i].iov_len < room);
			if (rec.at[i].iov_len)
				memcpy(out + n, rec.at[i].iov_base, rec.at[i].iov_len);
			n += rec.at[i].iov_len;
		}
		ring_taken(ring, rec.next);
		pos = rec.next;
	}
	assert_int_equal(rc, 0);
	out[n] = '\0';
	return n;
}

static void half_a_record_is_none(void **state)
{
	char text[4096], expected[4096] = "";

	(void)state;
	/* All round the ring, so that records are also torn where they wrap round its end. */
	for (unsigned round = 0; round < 60; round++) {
		char line[64];
		size_t n = (size_t)snprintf(line, sizeof line, "before the crash %u\n", round);

		in_a_process(line, 1 + round * 61 % 4000);
		assert_true(n > 0);
		if (round % 3 == 2) {
			snprintf(expected, sizeof expected, "before the crash %u\nbefore the crash %u\nbefore the crash %u\nafter it\n", round - 2, round - 1, round);
			in_a_process("after it\n", 0);
			read_all(text, sizeof text);
			assert_string_equal(text, expected);
		}
		/* What fills the ring moves its head on. */
		for (unsigned i = 0; round % 3 == 2 && i < 6; i++) {
			char long_line[3000];

			memset(long_line, 'l', sizeof long_line);
			long_line[sizeof long_line - 1] = '\0';
			in_a_process(long_line, 0);
			char *all = text;
			assert_int_equal(read_all(all, sizeof text), sizeof long_line - 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_a_record_is_none),
	};

	ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED)
		return 1;
	ring_init(ring);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

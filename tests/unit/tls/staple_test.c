/*
 * staple_test.c - the table of OCSP answers: what comes out of it while another process writes, dies in the middle, or
 * where its contents are nonsense.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tls/staple.h"

static const unsigned char id[STAPLE_ID] = "one", another[STAPLE_ID] = "two";

static struct staple_cell *table(void)
{
	void *mem = mmap(NULL, STAPLE_CELLS * sizeof(struct staple_cell), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(mem != MAP_FAILED);
	return mem;
}

static void test_put_and_get(void **state)
{
	struct staple_cell *t = table();
	unsigned char buf[STAPLE_MAX], full[STAPLE_MAX];

	(void)state;
	memset(full, 'f', sizeof full);
	assert_int_equal(staple_get(NULL, 0, id, 1, buf), 0);
	assert_int_equal(staple_get(t, 0, id, 1, buf), 0);
	staple_put(t, 3, id, "abc", 3, 100);
	assert_int_equal(staple_get(t, 3, id, 99, buf), 3);
	assert_memory_equal(buf, "abc", 3);
	assert_int_equal(staple_get(t, 3, id, 100, buf), 0);            /* over */
	assert_int_equal(staple_get(t, 3, another, 99, buf), 0);
	assert_int_equal(staple_get(t, 2, id, 99, buf), 0);
	assert_int_equal(staple_get(t, -1, id, 99, buf), 0);
	assert_int_equal(staple_get(t, STAPLE_CELLS, id, 99, buf), 0);
	staple_put(t, STAPLE_CELLS - 1, id, full, STAPLE_MAX, 100);
	assert_int_equal(staple_get(t, STAPLE_CELLS - 1, id, 99, buf), STAPLE_MAX);
	staple_put(t, 3, id, full, STAPLE_MAX + 1, 100);                /* too long: nothing changes */
	assert_int_equal(staple_get(t, 3, id, 99, buf), 3);
	staple_put(t, 3, another, "de", 2, 100);
	assert_int_equal(staple_get(t, 3, id, 99, buf), 0);
	staple_put(t, 3, another, NULL, 0, 0);
	assert_int_equal(staple_get(t, 3, another, 99, buf), 0);
}

/* A length of nonsense is not followed; a writer that died inside leaves nothing, and the next put mends it. */
static void test_nonsense(void **state)
{
	struct staple_cell *t = table();
	unsigned char buf[STAPLE_MAX];

	(void)state;
	staple_put(t, 0, id, "abc", 3, 100);
	atomic_store(&t[0].n, UINT32_MAX);
	assert_int_equal(staple_get(t, 0, id, 1, buf), 0);
	atomic_store(&t[0].n, 3);
	atomic_store(&t[0].sequence, 7);
	assert_int_equal(staple_get(t, 0, id, 1, buf), 0);
	staple_put(t, 0, id, "abcd", 4, 100);
	assert_int_equal(staple_get(t, 0, id, 1, buf), 4);
}

/* Answers of one letter each, of a length that goes with it, against a writer without pause. */
static void test_never_torn(void **state)
{
	struct staple_cell *t = table();
	unsigned char buf[STAPLE_MAX], out[STAPLE_MAX];
	unsigned got = 0;
	pid_t parent = getpid(), pid = fork();

	(void)state;
	assert_true(pid >= 0);
	for (unsigned k = 0; pid == 0; k = (k + 1) % 26) {
		if (getppid() != parent)
			_exit(0);               /* an assertion failed there */
		memset(out, 'a' + (int)k, sizeof out);
		staple_put(t, 0, id, out, 300 * (k + 1), 100);
		usleep(20);
	}
	for (time_t end = time(NULL) + 10; got < 100000 && time(NULL) < end;) {
		size_t n = staple_get(t, 0, id, 1, buf);

		if (!n)
			continue;
		got++;
		assert_int_equal(n, 300u * (unsigned)(buf[0] - 'a' + 1));
		for (size_t k = 1; k < n; k++)
			assert_true(buf[k] == buf[0]);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(got >= 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_and_get),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_never_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

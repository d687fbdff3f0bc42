/*
 * How much work a turn may do: nothing is spent where no turn began, and after the time of the processor that it has each turn
 * begins anew. Patterns are not tried any more then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <time.h>

#include "base/effort.h"
#include "base/regex.h"

static double used(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void burn(double seconds)
{
	for (double from = used(); used() - from < seconds;)
		;
}

static void ask(void)
{
	for (int i = 0; i < 16; i++)
		effort_spent();
}

static void a_turn_has_its_time(void **state)
{
	struct arena *a = arena_new(0);
	struct err e = { .text = "" };
	struct regex *re = regex_new(a, "a", 0, &e);

	(void)state;
	ask();
	burn(0.2);
	ask();
	assert_false(effort_tired());
	effort_begin();
	assert_false(effort_tired());
	ask();
	burn(0.2);
	assert_true(effort_tired());
	ask();
	assert_false(effort_spent());
	assert_int_equal(regex_run(re, TEXT("a"), NULL), 1);
	burn(EFFORT_MOST_MS / 1000.0);
	ask();
	assert_true(effort_spent());
	errno = 0;
	assert_int_equal(regex_run(re, TEXT("a"), NULL), -1);
	assert_int_equal(errno, ELOOP);
	assert_false(effort_told());
	assert_true(effort_told());
	effort_begin();
	assert_false(effort_spent());
	assert_false(effort_told());
	assert_int_equal(regex_run(re, TEXT("a"), NULL), 1);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_turn_has_its_time) };

	return cmocka_run_group_tests_name("base/effort", tests, NULL, NULL);
}

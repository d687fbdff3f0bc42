/*
 * crashlimit_test.c - of which crashes a report is due: so many of a kind, so many of all, and what is remembered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "process/crashlimit.h"

#define HOUR 3600000

static struct crashlimit l;
static struct crashlimit_kind *kind;

static int empty(void **state)
{
	(void)state;
	l = (struct crashlimit){ .since = 0 };
	return 0;
}

static void test_each_kind_has_its_reports(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(crashlimit_take(&l, 7, 3, HOUR, 1000 + i, &kind), CRASHLIMIT_REPORT);
	assert_int_equal(crashlimit_take(&l, 7, 3, HOUR, 2000, &kind), CRASHLIMIT_COUNT);
	assert_int_equal(kind->count, 4);
	/* Another kind is another matter. */
	assert_int_equal(crashlimit_take(&l, 8, 3, HOUR, 2000, &kind), CRASHLIMIT_REPORT);
	assert_int_equal(kind->count, 1);
	/* Its time is over: from the beginning. */
	assert_int_equal(crashlimit_take(&l, 7, 3, HOUR, 999 + HOUR, &kind), CRASHLIMIT_COUNT);
	assert_int_equal(crashlimit_take(&l, 7, 3, HOUR, 1000 + HOUR, &kind), CRASHLIMIT_REPORT);
	assert_int_equal(kind->count, 1);
}

static void test_all_kinds_have_theirs(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < CRASHLIMIT_ALL; i++)
		assert_int_equal(crashlimit_take(&l, 100 + i, 3, HOUR, 5, &kind), CRASHLIMIT_REPORT);
	assert_int_equal(crashlimit_take(&l, 99, 3, HOUR, 6, &kind), CRASHLIMIT_FULL);
	assert_int_equal(crashlimit_take(&l, 99, 3, HOUR, 5 + HOUR, &kind), CRASHLIMIT_REPORT);
	/* Who asks for more of each has as many in all. */
	empty(NULL);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(crashlimit_take(&l, 1, 50, HOUR, 5, &kind), CRASHLIMIT_REPORT);
	assert_int_equal(crashlimit_take(&l, 1, 50, HOUR, 5, &kind), CRASHLIMIT_COUNT);
	assert_int_equal(crashlimit_take(&l, 2, 50, HOUR, 5, &kind), CRASHLIMIT_FULL);
}

static void test_none_are_wanted(void **state)
{
	(void)state;
	assert_int_equal(crashlimit_take(&l, 1, 0, HOUR, 5, &kind), CRASHLIMIT_COUNT);
}

static void test_the_table_is_bounded(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= CRASHLIMIT_KINDS; i++)
		crashlimit_take(&l, i, 1, HOUR, (int64_t)i, &kind);
	crashlimit_take(&l, 1, 1, HOUR, 1000, &kind);
	crashlimit_take(&l, 1000, 1, HOUR, 1001, &kind);
	/* The second is the one that was not seen for the longest time. */
	assert_null(crashlimit_find(&l, 2));
	assert_non_null(crashlimit_find(&l, 1));
	assert_non_null(crashlimit_find(&l, 3));
	assert_non_null(crashlimit_find(&l, 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_each_kind_has_its_reports, empty),
		cmocka_unit_test_setup(test_all_kinds_have_theirs, empty),
		cmocka_unit_test_setup(test_none_are_wanted, empty),
		cmocka_unit_test_setup(test_the_table_is_bounded, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

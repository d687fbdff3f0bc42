/*
 * histogram_test.c - buckets without a gap or an overlap, as narrow as promised, and quantiles held against sorted values.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/histogram.h"

static void test_buckets_meet(void **state)
{
	uint64_t before = 0;

	(void)state;
	for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
		uint64_t bound = histogram_bound(i);

		assert_true(bound > before);
		assert_int_equal(histogram_index(before), i);
		assert_int_equal(histogram_index(bound - 1), i);
		assert_int_equal(histogram_index(bound), i + 1);
		if (bound > 4)
			assert_true((bound - before) * 4 <= before);
		before = bound;
	}
	assert_true(histogram_bound(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
	assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_index((uint64_t)1 << 40), HISTOGRAM_BUCKETS - 1);
}

static void test_powers_of_two_are_bounds(void **state)
{
	(void)state;
	for (unsigned i = 3, k = 2; i + 1 < HISTOGRAM_BUCKETS; i += 4, k++)
		assert_true(histogram_bound(i) == (uint64_t)1 << k);
}

static int by_value(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

static void test_quantiles(void **state)
{
	static const double parts[] = { 0.001, 0.1, 0.5, 0.9, 0.99, 0.999 };
	enum { N = 20000 };
	uint64_t count[HISTOGRAM_BUCKETS] = { 0 }, *value = malloc(N * sizeof *value);
	uint32_t random = 1;

	(void)state;
	assert_non_null(value);
	for (int i = 0; i < N; i++) {
		random = random * 1664525 + 1013904223;
		value[i] = (uint64_t)exp2((double)(random >> 8) / (1 << 24) * 24);      /* from 1 us to 16 s */
		count[histogram_index(value[i])]++;
	}
	qsort(value, N, sizeof *value, by_value);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		double told = histogram_quantile(count, parts[i]), is = (double)value[(int)(parts[i] * N)];

		if (fabs(told - is) > is * 0.25 + 1)
			fail_msg("%g of all: %g, not %g", parts[i], told, is);
	}
	free(value);
}

static void test_odd_counts(void **state)
{
	uint64_t count[HISTOGRAM_BUCKETS] = { 0 };

	(void)state;
	assert_true(histogram_quantile(count, 0.5) == 0);
	count[HISTOGRAM_BUCKETS - 1] = 3;
	assert_true(histogram_quantile(count, 0.5) == (double)histogram_bound(HISTOGRAM_BUCKETS - 2));
	/* Numbers of a writer that lies: nothing overflows, something is told. */
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		count[i] = UINT64_MAX;
	assert_true(histogram_quantile(count, 2) > 0 && isfinite(histogram_quantile(count, 1)));
	assert_true(histogram_quantile(count, -1) >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets_meet),
		cmocka_unit_test(test_powers_of_two_are_bounds),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_odd_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

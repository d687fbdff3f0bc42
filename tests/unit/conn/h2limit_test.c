/*
 * h2limit_test.c - server/conn/h2limit.c: what a meter lets through.
 */
#include "conn/h2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static unsigned takes(struct h2_meter *m, int64_t now, unsigned tries)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++)
		n += h2_meter_take(m, now, 10, 5);
	return n;
}

static void a_burst_and_a_rate(void **state)
{
	struct h2_meter m = { 0 };

	(void)state;
	assert_int_equal(takes(&m, 1000, 20), 10);              /* the burst */
	assert_int_equal(takes(&m, 1000, 5), 0);
	assert_int_equal(takes(&m, 1199, 5), 0);                /* 0.995 */
	assert_int_equal(takes(&m, 1400, 5), 2);
	assert_int_equal(takes(&m, 2400, 50), 5);               /* a second */
	assert_int_equal(takes(&m, 1000000, 50), 10);           /* never more than the burst */
	assert_int_equal(takes(&m, 999000, 5), 0);              /* a clock that goes back gives nothing */
	assert_int_equal(takes(&m, INT64_MAX, 50), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_burst_and_a_rate) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * failures_test.c - the budget of lines about failed handshakes: ten of a kind a minute, the rest counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls/failures.h"

static unsigned tell(enum tls_reason why, enum log_level level, int64_t now, unsigned times)
{
	unsigned told = 0;

	while (times--)
		told += tls_failure_told(why, level, now);
	return told;
}

static void test_budget(void **state)
{
	enum log_level level = LOG_L_INFO;
	char text[256], small[8];

	(void)state;
	assert_string_equal(tls_failures_summary(text, sizeof text, &level), "");
	assert_int_equal(tell(TLS_R_SUITE, LOG_L_INFO, 5000, 10), 10);
	assert_true(tls_failures_due() == INT64_MAX);
	assert_int_equal(tell(TLS_R_SUITE, LOG_L_INFO, 64000, 3), 0);
	assert_true(tls_failures_due() == 65000);
	assert_int_equal(tell(TLS_R_SERVER, LOG_L_WARN, 64500, 12), 10);         /* each kind has its own */
	assert_int_equal(tell(TLS_R_SUITE, LOG_L_INFO, 64999, 1), 0);
	assert_string_equal(tls_failures_summary(text, sizeof text, &level), "no common cipher suite 4, fault of the server 2");
	assert_int_equal(level, LOG_L_WARN);
	assert_true(tls_failures_due() == INT64_MAX);
	assert_string_equal(tls_failures_summary(text, sizeof text, &level), "");
	assert_int_equal(tell(TLS_R_SUITE, LOG_L_INFO, 65000, 12), 10);         /* a new minute */
	assert_true(tls_failures_due() == 125000);
	assert_string_equal(tls_failures_summary(text, sizeof text, &level), "no common cipher suite 2");
	assert_int_equal(level, LOG_L_INFO);
	tell(TLS_R_SUITE, LOG_L_INFO, 65000, 12);
	assert_int_equal(tls_failures_summary(small, sizeof small, &level)[7], '\0');
}

static void test_all_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < TLS_REASONS; i++)
		assert_non_null(tls_reason_name((enum tls_reason)i));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_budget), cmocka_unit_test(test_all_have_names) };

	return cmocka_run_group_tests_name("tls/failures", tests, NULL, NULL);
}

/* logins.c: what is remembered of good passwords, and of addresses that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/logins.h"
#include "auth/password.h"

static const struct logins_settings some = { .keep_ms = 60000, .entries = 64, .failures = 3 };

static void macs_tell_all_parts_apart(void **state)
{
	static const char *const parts[][3] = {
		{ "ann", "secret", "hash" }, { "ann", "secret", "hasi" }, { "ann", "secreu", "hash" }, { "anm", "secret", "hash" },
		{ "annsecret", "", "hash" }, { "ann", "secrethash", "" }, { "", "annsecret", "hash" },
	};
	enum { N = sizeof parts / sizeof parts[0] };
	unsigned char mac[N][LOGINS_MAC], again[LOGINS_MAC];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		assert_true(logins_mac(parts[i][0], parts[i][1], parts[i][2], mac[i]));
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(mac[i], mac[k], LOGINS_MAC);
	}
	assert_true(logins_mac("ann", "secret", "hash", again));
	assert_memory_equal(again, mac[0], LOGINS_MAC);
}

static void good_ones_are_known_for_a_while(void **state)
{
	const struct logins_settings none = { .keep_ms = 0, .entries = 64 }, brief = { .keep_ms = 30, .entries = 64 };
	unsigned char a[LOGINS_MAC], b[LOGINS_MAC];

	(void)state;
	assert_true(logins_mac("ann", "secret", "h", a) && logins_mac("bob", "secret", "h", b));
	assert_false(logins_known(a));
	logins_remember(&none, a);
	assert_false(logins_known(a));
	logins_remember(&some, a);
	assert_true(logins_known(a));
	assert_false(logins_known(b));
	logins_remember(&brief, b);
	assert_true(logins_known(b));
	usleep(50000);
	assert_false(logins_known(b));
	assert_true(logins_known(a));
}

static void the_table_is_bounded(void **state)
{
	unsigned char mac[1000][LOGINS_MAC];
	unsigned known = 0;
	char user[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(user, sizeof user, "u%d", i);
		assert_true(logins_mac(user, "p", "h", mac[i]));
		logins_remember(&some, mac[i]);
		assert_true(logins_known(mac[i]));
	}
	for (int i = 0; i < 1000; i++)
		known += logins_known(mac[i]);
	assert_in_range(known, 32, 64);
}

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text, 1234), 0);
	return a;
}

static void addresses_are_refused_after_so_many(void **state)
{
	const struct logins_settings never = { .failures = 0 };
	struct addr a = address("192.0.2.1"), mapped = address("::ffff:192.0.2.1"), b = address("192.0.2.2");
	struct addr six = address("2001:db8::1"), neighbour = address("2001:db8::2:3"), other = address("2001:db8:0:1::1");

	(void)state;
	assert_int_equal(logins_refused(&some, &a), 0);
	assert_false(logins_failed(&some, &a));
	assert_false(logins_failed(&some, &a));
	assert_int_equal(logins_refused(&some, &a), 0);
	assert_true(logins_failed(&some, &mapped));             /* it is the same one */
	assert_in_range(logins_refused(&some, &a), 1, 61);
	assert_in_range(logins_refused(&some, &mapped), 1, 61);
	assert_false(logins_failed(&some, &a));                 /* told once */
	assert_int_equal(logins_refused(&some, &b), 0);
	assert_int_equal(logins_refused(&never, &a), 0);
	for (int i = 0; i < 3; i++)
		logins_failed(&some, i & 1 ? &six : &neighbour);
	assert_true(logins_refused(&some, &six) > 0);
	assert_int_equal(logins_refused(&some, &other), 0);
	for (int i = 0; i < 100; i++)
		assert_false(logins_failed(&never, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(macs_tell_all_parts_apart), cmocka_unit_test(good_ones_are_known_for_a_while), cmocka_unit_test(the_table_is_bounded),
		cmocka_unit_test(addresses_are_refused_after_so_many),
	};

	password_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

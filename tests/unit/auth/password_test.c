/* password.c: each kind of hash against its password, and what is no hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/password.h"

/* Made with htpasswd, openssl passwd and mkpasswd. */
static const struct { const char *hash, *password; enum password_kind kind; } good[] = {
	{ "$2y$05$ZUw/oLZV6G.LNmFOtSkIauQlWi/H37vNpOS6m0SL7X1gcZS07PQ2O", "bcrypt-pass", PASSWORD_SLOW },
	{ "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password", PASSWORD_QUICK },
	{ "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "", PASSWORD_QUICK },
	{ "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!", PASSWORD_SLOW },
	{ "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!", PASSWORD_SLOW },
	{ "$apr1$saltsalt$IP7yWiChhoRI2om0qaAGf/", "one", PASSWORD_SLOW },
	{ "$apr1$s$s./9nemSuGff4zMp9aMT81", "a longer password than sixteen bytes, so that more is mixed", PASSWORD_SLOW },
	{ "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie.", "", PASSWORD_SLOW },
	{ "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "password", PASSWORD_SLOW },
	{ "rl.3StKT.4T8M", "rasmuslerdorf", PASSWORD_SLOW },
};

static void each_kind_matches_its_password(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		char other[128];

		if (password_kind(good[i].hash) != good[i].kind || !password_matches(good[i].password, good[i].hash))
			fail_msg("%s does not match \"%s\"", good[i].hash, good[i].password);
		snprintf(other, sizeof other, "x%s", good[i].password);
		if (password_matches(other, good[i].hash))
			fail_msg("%s matches \"%s\"", good[i].hash, other);
		if (*good[i].password && password_matches("", good[i].hash))
			fail_msg("%s matches an empty password", good[i].hash);
		/* a hash cut short, and one with more behind it */
		snprintf(other, sizeof other, "%.*s", (int)strlen(good[i].hash) - 1, good[i].hash);
		assert_false(password_matches(good[i].password, other));
		snprintf(other, sizeof other, "%sx", good[i].hash);
		assert_false(password_matches(good[i].password, other));
	}
}

static void what_is_no_hash_matches_nothing(void **state)
{
	static const char *const rows[] = { "", "plain", "*", "!", "x", "$", "$$", "$9$x$y", "{SHA", "{MD5}x", "$apr1", "*0", "*1", "secretsecret", "password12345!" };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (password_kind(rows[i]) != PASSWORD_UNKNOWN)
			fail_msg("\"%s\" is taken for a hash", rows[i]);
		assert_false(password_matches(rows[i], rows[i]));
		assert_false(password_matches("", rows[i]));
	}
	assert_false(password_matches("x", "$apr1$saltsaltsalt$x"));    /* its salt is too long */
	assert_false(password_matches("x", "$apr1$salt"));
}

/* Whoever may name a file of users could write a hash that takes hours, or all memory. */
static void what_costs_too_much_is_not_begun(void **state)
{
	static const char *const dear[] = {
		"$2y$18$ZUw/oLZV6G.LNmFOtSkIauQlWi/H37vNpOS6m0SL7X1gcZS07PQ2O", "$2b$31$ZUw/oLZV6G.LNmFOtSkIauQlWi/H37vNpOS6m0SL7X1gcZS07PQ2O",
		"$6$rounds=10000001$saltstring$x", "$5$rounds=999999999$saltstring$x", "$y$jDT$saltsaltsalt$x", "$y$j9U$saltsaltsalt$x", "$y$jzz$saltsaltsalt$x",
		"$y$j9T3$saltsaltsalt$x", "$gy$jFT$saltsaltsalt$x", "$7$EU..../....saltsalt$x", "$7$CV..../....saltsalt$x", "$7$CU..../0...saltsalt$x",
		"$7$CU1.../....saltsalt$x", "_J9.zsaltxxxxxxxxxxx", "$sha1$10000001$saltsalt$x", "$md5,rounds=10000001$saltsalt$$x",
	};
	static const char *const bearable[] = {
		"$2y$17$ZUw/oLZV6G.LNmFOtSkIauQlWi/H37vNpOS6m0SL7X1gcZS07PQ2O", "$6$rounds=10000000$saltstring$x", "$y$j9T$saltsaltsalt$x", "$y$jCT$saltsaltsalt$x",
		"$gy$j9T$saltsaltsalt$x", "$7$CU..../....saltsalt$x", "_J9..saltxxxxxxxxxxx", "$sha1$24680$saltsalt$x", "$md5,rounds=904$saltsalt$$x",
		"$6$rounds=x$saltstring$x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof dear / sizeof dear[0]; i++) {
		if (password_kind(dear[i]) != PASSWORD_DEAR)
			fail_msg("%s would be tried", dear[i]);
		assert_false(password_matches("x", dear[i]));   /* at once: else this test takes hours */
	}
	for (size_t i = 0; i < sizeof bearable / sizeof bearable[0]; i++)
		if (password_kind(bearable[i]) == PASSWORD_DEAR)
			fail_msg("%s is refused", bearable[i]);
}

static void bytes_compare(void **state)
{
	(void)state;
	assert_true(password_same("abc", "abc", 3));
	assert_true(password_same("abc", "abd", 2));
	assert_false(password_same("abc", "abd", 3));
	assert_true(password_same("", "", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_matches_its_password), cmocka_unit_test(what_is_no_hash_matches_nothing), cmocka_unit_test(what_costs_too_much_is_not_begun),
		cmocka_unit_test(bytes_compare),
	};

	password_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

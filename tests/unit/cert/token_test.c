/* token_test.c - URIs of tokens: what is shown of them, what tells the token, and where the PIN is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "cert/token.h"

static void test_parts(void **state)
{
	static const struct { const char *uri, *shown, *label, *value, *source; } rows[] = {
		{ "pkcs11:token=a;object=b", "pkcs11:token=a;object=b", "pkcs11:token=a", NULL, NULL },
		{ "pkcs11:token=a;object=b?pin-value=1%32%333", "pkcs11:token=a;object=b", "pkcs11:token=a", "1233", NULL },
		{ "PKCS11:token=a;object=b;pin-value=12", "pkcs11:token=a;object=b", "pkcs11:token=a", "12", NULL },
		{ "pkcs11:object=b;token=a?module-name=m&pin-source=file:/etc/pin", "pkcs11:object=b;token=a?module-name=m", "pkcs11:token=a", NULL, "/etc/pin" },
		{ "pkcs11:token=a?pin-source=file:///etc/p%20n&module-path=x", "pkcs11:token=a?module-path=x", "pkcs11:token=a", NULL, "/etc/p n" },
		{ "pkcs11:serial=1;model=2;type=private?pin-source=/p", "pkcs11:serial=1;model=2;type=private", "pkcs11:serial=1;model=2", NULL, "/p" },
		{ "pkcs11:?pin-value=%", "pkcs11:", "pkcs11:", "%", NULL }, { "pkcs11:", "pkcs11:", "pkcs11:", NULL, NULL },
		{ "pkcs11:;;?&pin-value=", "pkcs11:;?", "pkcs11:", "", NULL },
	};
	char buf[TOKEN_MAX_URI];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		print_message("%s\n", rows[i].uri);
		assert_true(token_is_uri(rows[i].uri));
		assert_null(strstr(token_shown(rows[i].uri, buf), "pin-"));
		if (i < 8)
			assert_string_equal(buf, rows[i].shown);
		assert_string_equal(token_label(rows[i].uri, buf), rows[i].label);
		assert_int_equal(token_pin_value(rows[i].uri, buf), rows[i].value != NULL);
		if (rows[i].value)
			assert_string_equal(buf, rows[i].value);
		assert_int_equal(token_pin_source(rows[i].uri, buf), rows[i].source != NULL);
		if (rows[i].source)
			assert_string_equal(buf, rows[i].source);
	}
	assert_false(token_is_uri("/etc/pkcs11:x"));
	assert_false(token_is_uri("pkcs1"));
}

/* Longer than there is room for: cut, never beyond. */
static void test_long(void **state)
{
	static char uri[5000];
	char buf[TOKEN_MAX_URI + 8];

	(void)state;
	memset(uri, 'x', sizeof uri - 1);
	memcpy(uri, "pkcs11:token=", 13);
	memcpy(uri + 2500, "?pin-value=", 11);
	memset(buf + TOKEN_MAX_URI, 7, 8);
	assert_in_range(strlen(token_shown(uri, buf)), 1, TOKEN_MAX_URI - 1);
	assert_in_range(strlen(token_label(uri, buf)), 1, TOKEN_MAX_URI - 1);
	assert_false(token_pin_value(uri, buf));
	for (int i = 0; i < 8; i++)
		assert_int_equal(buf[TOKEN_MAX_URI + i], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parts), cmocka_unit_test(test_long) };

	return cmocka_run_group_tests_name("cert/token", tests, NULL, NULL);
}

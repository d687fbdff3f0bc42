/*
 * check_test.c - questions about certificates of clients as the process that asks responders reads them: whatever a child sends,
 * nothing outside of the message is touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tls/ocsp.h"

static void test_lengths(void **state)
{
	static const struct { uint32_t certificate, issuer; size_t bytes; int result; } rows[] = {
		{ 3, 5, 8, 0 }, { 1, 1, 2, 0 }, { 3, 5, 7, -1 }, { 3, 5, 9, -1 }, { 0, 8, 8, -1 }, { 8, 0, 8, -1 }, { 9, 1, 8, -1 }, { 0, 0, 0, -1 },
		{ UINT32_MAX, 9, 8, -1 }, { 9, UINT32_MAX, 8, -1 }, { UINT32_MAX, UINT32_MAX, 8, -1 }, { UINT32_MAX - 3, 12, 8, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint32_t head[3] = { 77, rows[i].certificate, rows[i].issuer }, id = 0;
		size_t n = sizeof head + rows[i].bytes;
		unsigned char *p = malloc(n);
		gnutls_datum_t crt, issuer;

		assert_non_null(p);
		memset(p, 'x', n);
		memcpy(p, head, sizeof head);
		if (tls_question_read(p, n, &id, &crt, &issuer) != rows[i].result)
			fail_msg("row %zu", i);
		if (rows[i].result == 0) {
			assert_int_equal(id, 77);
			assert_ptr_equal(crt.data, p + sizeof head);
			assert_int_equal(crt.size, rows[i].certificate);
			assert_ptr_equal(issuer.data + issuer.size, p + n);
		}
		free(p);
	}
}

static void test_cut_short(void **state)
{
	unsigned char *p = calloc(1, 11);
	gnutls_datum_t crt, issuer;
	uint32_t id;

	(void)state;
	assert_non_null(p);
	for (size_t n = 0; n <= 11; n++)
		assert_int_equal(tls_question_read(p, n, &id, &crt, &issuer), -1);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lengths), cmocka_unit_test(test_cut_short) };

	return cmocka_run_group_tests_name("tls/check", tests, NULL, NULL);
}

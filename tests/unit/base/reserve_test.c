/* reserve_test.c - covers server/base/reserve.c: the reserve is taken when malloc fails, whole again when all is given back, and bounded. */
#include "base/reserve.h"

#include <gmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define TOO_MUCH ((size_t)1 << 62)

/* What malloc can never give, the reserve cannot either; what realloc refuses leaves p as it was. */
static void too_much_is_refused(void **state)
{
	void *p = reserve_malloc(100);

	(void)state;
	assert_non_null(p);
	assert_true(reserve_usable(p) >= 100);
	assert_int_equal(reserve_taken(), 0);
	memset(p, 'x', 100);
#ifndef BULKHEAD_SANITIZE                       /* AddressSanitizer ends the program instead */
	assert_null(reserve_malloc(TOO_MUCH));
	assert_null(reserve_realloc(p, TOO_MUCH));
#endif
	for (int i = 0; i < 100; i++)
		assert_int_equal(((char *)p)[i], 'x');
	reserve_free(p);
	reserve_free(NULL);
	assert_int_equal(reserve_usable(NULL), 0);
}

#ifndef BULKHEAD_SANITIZE
static void *volatile kept;             /* else the compiler would leave out what nobody uses */

/* From here on malloc has nothing but crumbs. */
static struct rlimit run_dry(void)
{
	struct rlimit was, none;

	getrlimit(RLIMIT_AS, &was);
	none = (struct rlimit){ 0, was.rlim_max };
	setrlimit(RLIMIT_AS, &none);
	for (size_t n = 1 << 20; n >= 512; n = n > 512 ? n / 2 : n)
		if (!(kept = malloc(n)) && n == 512)
			break;
	return was;
}

static void rows_of_chunks(void)
{
	void *p[4096];
	size_t n = 0, all;

	while (n < 4096 && (p[n] = reserve_malloc(600)))
		memset(p[n++], 'a', 600);
	all = n;
	assert_int_equal(all, RESERVE_SIZE / 1024);
	assert_int_equal(reserve_taken(), RESERVE_SIZE);
	/* Two neighbours that were given back are one place of four chunks, and no more. */
	reserve_free(p[10]);
	reserve_free(p[11]);
	assert_null(reserve_malloc(2049));
	p[10] = reserve_malloc(2048);
	assert_ptr_equal(p[10], p[11] - 1024);
	assert_int_equal(reserve_usable(p[10]), 2048);
	for (int i = 0; i < 2048; i++)
		assert_int_equal(((char *)p[10])[i], 0);
	p[11] = NULL;
	for (n = 0; n < all; n++)
		reserve_free(p[n]);
	assert_int_equal(reserve_taken(), 0);
	p[0] = reserve_malloc(RESERVE_SIZE);
	assert_non_null(p[0]);
	reserve_free(p[0]);
	assert_null(reserve_malloc(RESERVE_SIZE + 1));
	assert_int_equal(reserve_taken(), 0);
}

static void growing(void)
{
	char *p = reserve_malloc(600), *q;

	*p = 'g';
	assert_ptr_equal(reserve_realloc(p, 1024), p);
	q = reserve_realloc(p, 5000);
	assert_non_null(q);
	assert_int_equal(*q, 'g');
	assert_null(reserve_realloc(q, RESERVE_SIZE));
	assert_int_equal(*q, 'g');
	reserve_free(q);
	assert_int_equal(reserve_taken(), 0);
}

/* GMP goes on where malloc has failed. */
static void numbers(void)
{
	mpz_t a;

	reserve_for_arithmetic();
	mpz_init(a);
	mpz_ui_pow_ui(a, 3, 60000);
	assert_true(reserve_taken() > 0);
	assert_int_equal(mpz_fdiv_ui(a, 1000), 1);
	mpz_clear(a);
	assert_int_equal(reserve_taken(), 0);
}

static void when_malloc_has_nothing(void **state)
{
	char *before = malloc(3000), *grown;
	struct rlimit was = run_dry();

	(void)state;
	memset(before, 'b', 3000);
	grown = reserve_realloc(before, 200000);
	assert_non_null(grown);
	assert_true(reserve_taken() >= 200000);
	assert_int_equal(grown[2999], 'b');
	reserve_free(grown);
	while ((kept = malloc(512)))
		;
	rows_of_chunks();
	growing();
	numbers();
	setrlimit(RLIMIT_AS, &was);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_much_is_refused),
#ifndef BULKHEAD_SANITIZE
		cmocka_unit_test(when_malloc_has_nothing),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

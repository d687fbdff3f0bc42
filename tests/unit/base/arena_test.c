/*
 * arena_test.c - covers server/base/arena.c: alignment, disjoint objects, large ones, cleanups, reset. malloc is counted
 * by including the source, so that "no malloc after a reset" is measured and not believed.
 */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned mallocs;
static bool malloc_fails;

static void *counted_malloc(size_t n)
{
	mallocs++;
	return malloc_fails ? NULL : malloc(n);
}

#define malloc counted_malloc
#include "server/base/arena.c"
#undef malloc

static void aligned_and_disjoint(void **state)
{
	struct arena *a = arena_new(0);
	unsigned char *p[500];

	(void)state;
	for (size_t i = 0; i < 500; i++) {
		size_t n = i * 7 % 300;
		p[i] = arena_alloc(a, n);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		memset(p[i], (int)(i & 255), n);
	}
	for (size_t i = 0; i < 500; i++)
		for (size_t k = 0; k < i * 7 % 300; k++)
			if (p[i][k] != (i & 255))
				fail_msg("object %zu was overwritten at %zu", i, k);
	arena_free(a);
}

static void large_objects_leave_the_block_alone(void **state)
{
	struct arena *a = arena_new(4096);
	char *before = arena_alloc(a, 16), *large = arena_alloc(a, 100000), *after = arena_alloc(a, 16);

	(void)state;
	memset(large, 'x', 100000);
	assert_true(after > before && after - before < 4096);
	assert_true(arena_used(a) >= 100032);
	arena_free(a);
}

static void steady_state_mallocs_nothing(void **state)
{
	struct arena *a = arena_new(8192);
	unsigned begun = mallocs;

	(void)state;
	for (unsigned turn = 0; turn < 1000; turn++) {
		for (unsigned i = 0; i < 40; i++)
			assert_non_null(arena_zalloc(a, 150));
		arena_reset(a);
		assert_int_equal(arena_used(a), 0);
	}
	assert_int_equal(mallocs, begun);
	arena_free(a);
}

static void reset_frees_all_but_the_first(void **state)
{
	struct arena *a = arena_new(1024);
	void *first = arena_alloc(a, 10);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		arena_alloc(a, i % 2 ? 200 : 5000);
	arena_reset(a);
	assert_ptr_equal(arena_alloc(a, 10), first);
	arena_free(a);
	arena_free(NULL);
}

static char order[8];
static size_t order_n;

static void note(void *arg)
{
	order[order_n++] = *(char *)arg;
}

static void cleanups_run_backwards_and_once(void **state)
{
	struct arena *a = arena_new(0);

	(void)state;
	order_n = 0;
	for (const char *c = "abc"; *c; c++)
		assert_int_equal(arena_cleanup(a, note, arena_memdup(a, c, 1)), 0);
	arena_reset(a);
	assert_int_equal(order_n, 3);
	assert_memory_equal(order, "cba", 3);
	arena_reset(a);
	assert_int_equal(order_n, 3);
	arena_cleanup(a, note, arena_strdup(a, "d"));
	arena_free(a);
	assert_int_equal(order_n, 4);
}

static void copies_and_formats(void **state)
{
	struct arena *a = arena_new(0);
	char long_text[3000];

	(void)state;
	assert_string_equal(arena_strdup(a, ""), "");
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(arena_strndup(a, NULL, 0), "");
	assert_string_equal(arena_join(a, "/srv", "/x"), "/srv/x");
	assert_string_equal(arena_join(a, "", ""), "");
	assert_non_null(arena_memdup(a, NULL, 0));
	assert_string_equal(arena_printf(a, "%d-%s", 42, "x"), "42-x");
	memset(long_text, 'y', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	assert_string_equal(arena_printf(a, "%s", long_text), long_text);
	for (size_t n = 509; n < 515; n++) {            /* around the formatter's own buffer */
		const char *s = arena_printf(a, "%.*s", (int)n, long_text);
		assert_int_equal(strlen(s), n);
	}
	arena_free(a);
}

static void sizes_are_checked(void **state)
{
	struct arena *a = arena_new(0);
	volatile size_t most = SIZE_MAX;                /* the compiler would warn of a constant */

	(void)state;
	assert_null(arena_alloc(a, most - 4));
	assert_null(arena_array(a, most / 2, 3));
	assert_null(arena_strndup(a, "x", most));
	assert_int_equal(errno, ENOMEM);
	assert_null(arena_new(most - 8));
	arena_free(a);
}

static void zeroed(void **state)
{
	struct arena *a = arena_new(0);
	unsigned char *p = arena_alloc(a, 64);

	(void)state;
	memset(p, 0xff, 64);
	arena_reset(a);
	p = arena_array(a, 8, 8);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(p[i], 0);
	arena_free(a);
}

static void want_of_memory_is_told(void **state)
{
	struct arena *a = arena_new(256);
	char *kept = arena_strdup(a, "kept");

	(void)state;
	malloc_fails = true;
	assert_null(arena_new(0));
	assert_null(arena_alloc(a, 5000));
	while (arena_alloc(a, 16))
		;
	assert_int_equal(arena_cleanup(a, note, kept), -1);
	malloc_fails = false;
	assert_string_equal(kept, "kept");
	order_n = 0;
	arena_free(a);
	assert_int_equal(order_n, 0);
}

static void limit_is_kept(void **state)
{
	struct arena *a = arena_new(256);

	(void)state;
	arena_limit(a, 10000);
	assert_non_null(arena_alloc(a, 5000));
	errno = 0;
	assert_null(arena_alloc(a, 6000));
	assert_int_equal(errno, ENOMEM);
	assert_null(arena_alloc(a, SIZE_MAX / 2));
	assert_non_null(arena_alloc(a, 4000));
	arena_reset(a);
	assert_non_null(arena_alloc(a, 9000));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligned_and_disjoint), cmocka_unit_test(large_objects_leave_the_block_alone),
		cmocka_unit_test(steady_state_mallocs_nothing), cmocka_unit_test(reset_frees_all_but_the_first),
		cmocka_unit_test(cleanups_run_backwards_and_once), cmocka_unit_test(copies_and_formats),
		cmocka_unit_test(sizes_are_checked), cmocka_unit_test(zeroed), cmocka_unit_test(want_of_memory_is_told),
		cmocka_unit_test(limit_is_kept),
	};
	return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}

/* fields_test.c - covers server/http/fields.c: adding, finding, removing, combining, lists. */
#include "http/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct arena *arena;
static struct fields f;

static int begin(void **state)
{
	(void)state;
	arena = arena_new(0);
	fields_init(&f, arena);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static void finds_whatever_the_case(void **state)
{
	(void)state;
	fields_add(&f, TEXT("Host"), TEXT("a"));
	fields_add(&f, TEXT("Accept"), TEXT("x"));
	fields_add(&f, TEXT("ACCEPT"), TEXT("y"));
	fields_add(&f, TEXT("Empty"), TEXT(""));
	assert_true(text_is(fields_get(&f, "hOST"), "a"));
	assert_true(text_is(fields_get(&f, "accept"), "x"));
	assert_null(fields_get(&f, "Accep").p);
	assert_null(fields_get(&f, "Accepts").p);
	assert_null(fields_get(&f, "").p);
	assert_non_null(fields_get(&f, "empty").p);
	assert_int_equal(fields_count(&f, "accept"), 2);
	assert_int_equal(fields_count(&f, "none"), 0);
}

static void grows_and_keeps_the_order(void **state)
{
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "N%u", i);
		assert_int_equal(fields_add_copy(&f, name, name), 0);
	}
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "N%u", i);
		assert_true(text_is(f.at[i].name, name));
	}
	assert_int_equal(fields_remove(&f, "n500"), 1);
	assert_true(text_is(f.at[500].name, "N501"));
	assert_int_equal(f.n, 999);
}

static void sets_and_removes(void **state)
{
	char value[] = "first";

	(void)state;
	fields_add_copy(&f, "A", "1");
	fields_add_copy(&f, "B", value);
	fields_add_copy(&f, "a", "2");
	value[0] = 'X';                                 /* copied, so it does not show */
	assert_int_equal(fields_set(&f, "A", "3"), 0);
	assert_int_equal(f.n, 2);
	assert_true(text_is(fields_get(&f, "A"), "3"));
	assert_true(text_is(fields_get(&f, "B"), "first"));
	assert_int_equal(fields_set(&f, "C", fields_get(&f, "B").p), 0);
	assert_int_equal(fields_set(&f, "B", fields_get(&f, "B").p), 0);       /* its own value */
	assert_true(text_is(fields_get(&f, "B"), "first"));
	assert_int_equal(fields_remove(&f, "none"), 0);
	assert_int_equal(fields_remove(&f, "a"), 1);
}

static void combines(void **state)
{
	(void)state;
	assert_null(fields_combined(&f, "A").p);
	fields_add(&f, TEXT("A"), TEXT("1"));
	fields_add(&f, TEXT("B"), TEXT("x"));
	assert_true(text_is(fields_combined(&f, "A"), "1"));
	fields_add(&f, TEXT("a"), TEXT(""));
	fields_add(&f, TEXT("A"), TEXT("2, 3"));
	assert_true(text_is(fields_combined(&f, "A"), "1, , 2, 3"));
}

static void lists(void **state)
{
	static const struct { const char *list; const char *members[6]; } rows[] = {
		{ "a, b ,c", { "a", "b", "c" } }, { "", { NULL } }, { " , ,, ", { NULL } }, { ",a,,b,", { "a", "b" } },
		{ "\"a,b\", c", { "\"a,b\"", "c" } }, { "\"a\\\",b\",c", { "\"a\\\",b\"", "c" } }, { "a;q=\"x,y\";z, b", { "a;q=\"x,y\";z", "b" } },
		{ "\"open, c", { "\"open, c" } }, { "\"a\\", { "\"a\\" } }, { "a\\,b", { "a\\", "b" } }, { "\ta\t", { "a" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct text rest = text_of(rows[i].list), member;
		size_t n = 0;
		while (fields_list_next(&rest, &member)) {
			if (!rows[i].members[n] || !text_is(member, rows[i].members[n]))
				fail_msg("<%s>, member %zu: <%.*s>", rows[i].list, n, (int)member.n, member.p);
			n++;
		}
		if (rows[i].members[n])
			fail_msg("<%s>: only %zu members", rows[i].list, n);
	}
}

static void tokens(void **state)
{
	(void)state;
	fields_add(&f, TEXT("Connection"), TEXT("keep-alive, X"));
	fields_add(&f, TEXT("Connection"), TEXT("Upgrade,CLOSE"));
	assert_true(fields_has_token(&f, "connection", "close"));
	assert_true(fields_has_token(&f, "connection", "Keep-Alive"));
	assert_false(fields_has_token(&f, "connection", "clos"));
	assert_false(fields_has_token(&f, "connection", "keep"));
	assert_false(fields_has_token(&f, "none", "close"));
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, begin, finish)
	const struct CMUnitTest tests[] = {
		T(finds_whatever_the_case), T(grows_and_keeps_the_order), T(sets_and_removes), T(combines), T(lists), T(tokens),
	};
	return cmocka_run_group_tests_name("http/fields", tests, NULL, NULL);
}

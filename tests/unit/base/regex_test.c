/* regex_test.c - covers server/base/regex.c: matching, captures, limits, errors, templates; with and without JIT. */
#include "base/regex.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void matches(void **state)
{
	static const struct { const char *pattern; unsigned flags; struct text subject; int result, count; const char *captures[3]; } rows[] = {
		{ "^/a/(.*)$", 0, TEXT("/a/b"), 1, 2, { "/a/b", "b" } },
		{ "^/A", 0, TEXT("/a"), 0, 0, { NULL } },
		{ "^/A", REGEX_NOCASE, TEXT("/a"), 1, 1, { "/a" } },
		{ "a.b", 0, TEXT("a\nb"), 0, 0, { NULL } },
		{ "a.b", REGEX_DOTALL, TEXT("a\nb"), 1, 1, { "a\nb" } },
		{ "^b$", REGEX_MULTILINE, TEXT("a\nb\nc"), 1, 1, { "b" } },
		{ "^b$", 0, TEXT("a\nb\nc"), 0, 0, { NULL } },
		{ "\\.php$", 0, TEXT("x.php\n"), 0, 0, { NULL } },      /* the end is the end */
		{ "(x)|(y)", 0, TEXT("y"), 1, 3, { "y", NULL, "y" } },
		{ "(x)?y", 0, TEXT("y"), 1, 1, { "y", NULL, NULL } },
		{ "", 0, { NULL, 0 }, 1, 1, { "" } },
		{ "a", 0, { "\0a", 2 }, 1, 1, { "a" } },
		{ "(1)(2)(3)(4)(5)(6)(7)(8)(9)(0)(a)(b)", 0, TEXT("1234567890ab"), 1, 10, { "1234567890ab", "1", "2" } },
		{ "\xc3.", 0, TEXT("\xc3\xa4"), 1, 1, { "\xc3\xa4" } },         /* bytes, not UTF-8 */
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = { .line = 0 };
		struct regex *re = regex_new(a, rows[i].pattern, rows[i].flags, &e);
		struct regex_match m;
		if (!re)
			fail_msg("%s: %s", rows[i].pattern, e.text);
		if (regex_run(re, rows[i].subject, &m) != rows[i].result)
			fail_msg("%s: wrong result", rows[i].pattern);
		if (regex_run(re, rows[i].subject, NULL) != rows[i].result)
			fail_msg("%s: wrong result without captures", rows[i].pattern);
		if (!rows[i].result)
			continue;
		if (m.count != rows[i].count)
			fail_msg("%s: %d captures", rows[i].pattern, m.count);
		for (size_t k = 0; k < 3; k++)
			if ((m.at[k].p != NULL) != (rows[i].captures[k] != NULL) || !text_eq(m.at[k], text_of(rows[i].captures[k])))
				fail_msg("%s: capture %zu", rows[i].pattern, k);
	}
	arena_free(a);
}

static void errors_name_the_place(void **state)
{
	static const struct { const char *pattern, *words, *at; } rows[] = {
		{ "a(b", "missing closing parenthesis", "offset 3" }, { "[z-a]", "range out of order", "offset 3" },
		{ "*", "quantifier does not follow", "offset 0" }, { "a\\", "\\ at end of pattern", "offset 2" },
		{ "\\C", "using \\C is disabled", "offset 2" },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = { .line = 0 };
		if (regex_new(a, rows[i].pattern, 0, &e) || errno != EINVAL || !strstr(e.text, rows[i].words) || !strstr(e.text, rows[i].at))
			fail_msg("%s: %s", rows[i].pattern, e.text);
	}
	assert_null(regex_new(a, "(", 0, NULL));
	arena_free(a);
}

/* Back-tracking without end is an error at once, and the pattern still works afterwards. */
static void limits(void)
{
	static const char *const patterns[] = { "^(a+)+$", "^(a|aa)+$", "^(a*)*[bc]$" };
	struct arena *a = arena_new(0);
	char evil[64];

	memset(evil, 'a', sizeof evil);
	evil[sizeof evil - 1] = 'X';
	for (size_t i = 0; i < COUNT(patterns); i++) {
		struct regex *re = regex_new(a, patterns[i], 0, NULL);
		struct regex_match m;
		errno = 0;
		if (regex_run(re, (struct text){ evil, sizeof evil }, &m) != -1 || errno != ELOOP)
			fail_msg("%s: no limit was reached", patterns[i]);
		if (regex_run(re, TEXT("aab"), NULL) + regex_run(re, TEXT("aa"), NULL) != 1)
			fail_msg("%s: does not work after the limit", patterns[i]);
	}
	arena_free(a);
}

/* Deep nesting on a long subject may fail, but neither crash nor hang. */
static void long_subjects(void)
{
	struct arena *a = arena_new(0);
	struct regex *re = regex_new(a, "^((a|b)(c|d)?)*$", REGEX_DOTALL, NULL);
	size_t n = 1000000;
	char *s = malloc(n);

	memset(s, 'a', n);
	assert_true(regex_run(re, (struct text){ s, n }, NULL) != 0);
	assert_int_equal(regex_run(re, (struct text){ s, 100 }, NULL), 1);
	free(s);
	arena_free(a);
}

static void limits_hold(void **state)
{
	(void)state;
	limits();
	long_subjects();
}

static void expands(void **state)
{
	static const struct { const char *template, *want; } rows[] = {
		{ "", "" }, { "plain", "plain" }, { "$1", "b" }, { "<$0>$2", "<abc>c" }, { "$3$9", "" }, { "\\$1", "$1" }, { "\\\\$1", "\\b" },
		{ "a&b", "a&b" }, { "$", "$" }, { "$x", "$x" }, { "$11", "b1" }, { "\\", "\\" }, { "100%$", "100%$" }, { "\\x", "x" },
	};
	struct arena *a = arena_new(0);
	struct regex *re = regex_new(a, "a(b)(c)(d)?", 0, NULL);
	struct regex_match m;

	(void)state;
	assert_int_equal(regex_run(re, TEXT("xabcx"), &m), 1);
	assert_int_equal(regex_groups(re), 3);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *got = regex_expand(a, rows[i].template, &m);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("\"%s\" became \"%s\"", rows[i].template, got);
	}
	assert_string_equal(regex_expand(a, "\\$1$2", NULL), "\\$1$2");
	arena_free(a);
}

/* The last test: it cannot be undone. */
static void works_without_jit(void **state)
{
	regex_no_jit();
	matches(state);
	limits();
	long_subjects();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches), cmocka_unit_test(errors_name_the_place), cmocka_unit_test(limits_hold), cmocka_unit_test(expands),
		cmocka_unit_test(works_without_jit),
	};
	return cmocka_run_group_tests_name("base/regex", tests, NULL, NULL);
}

/*
 * rotate_test.c - server/log/rotate.c: which file a moment has, when the next begins, and numbers of full files.
 */
#include "log/rotate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"

static void *take(void *ctx, size_t n)
{
	return arena_zalloc(*(struct arena **)ctx, n);
}

static struct arena *arena;
static struct conf_env env = { .ctx = &arena, .alloc = take, .root = "/srv" };

static int begin(void **state)
{
	(void)state;
	arena = arena_new(0);
	return arena ? setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1) : -1;
}

static int end(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static struct log_rotation *rotation(const char *text)
{
	struct err e = { .text = "" };
	struct log_rotation *r = log_rotation_new(&env, text, &e);

	if (!r)
		fail_msg("%s: %s", text, e.text);
	return r;
}

static void names_of_moments(void **state)
{
	static const struct { const char *text; time_t at; const char *name; int64_t wait; } rows[] = {
		{ "logs/a.%Y-%m-%d", 1000000000, "/srv/logs/a.2001-09-09", 60000 },             /* 03:46:40 +0200 */
		{ "/x/a.%H%M", 1000000000, "/x/a.0346", 20000 },
		{ "/x/a.%Y-%m-%d.%T", 1000000000, "/x/a.2001-09-09.03:46:40", 1000 },
		{ "/x/a.%H.%M,every=1800", 1000000000, "/x/a.03.30", 60000 },
		{ "/x/a.%H.%M.%S,every=50", 1000000000, "/x/a.03.46.40", 50000 },
		{ "/x/a.%d,size=5M", 1000000000, "/x/a.09", 1000 },
		{ "/x/100%%.%d,1", 1000000000, "/x/100%.09,1", 60000 },
		{ "/x/a.%d.%H", 1711846800, "/x/a.31.03", 60000 },                              /* 03:00 +0200: an hour that the clock jumped to */
		{ "/x/a.%d", 1711846800, "/x/a.31", 60000 },
		{ "/x/a.%d", 1711922399, "/x/a.31", 1000 }, { "/x/a.%d", 1711922400, "/x/a.01", 60000 },        /* the midnight after */
		{ "/x/a.%d", 1729994400, "/x/a.27", 60000 }, { "/x/a.%d", 1730069999, "/x/a.27", 1000 },        /* a day of 25 hours */
		{ "/x/a.%d", 1730070000, "/x/a.28", 60000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct log_rotation *r = rotation(rows[i].text);
		struct timespec now = { .tv_sec = rows[i].at };

		assert_true(log_rotation_name(r, rows[i].at));
		assert_string_equal(r->name, rows[i].name);
		assert_false(log_rotation_name(r, rows[i].at));
		if (log_rotation_wait(r, &now) != rows[i].wait)
			fail_msg("%s at %lld: %lld ms", rows[i].text, (long long)rows[i].at, (long long)log_rotation_wait(r, &now));
	}
}

static void fill(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void full_files_have_successors(void **state)
{
	char dir[] = "/tmp/rotate-test-XXXXXX", path[64];
	struct log_rotation *r;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/a,size=4", dir);
	r = rotation(path);
	snprintf(path, sizeof path, "%s/a", dir);
	assert_true(log_rotation_name(r, 1));
	assert_string_equal(r->name, path);
	fill(path, "abc");
	assert_false(log_rotation_name(r, 2));
	fill(path, "abcd");
	assert_true(log_rotation_name(r, 3));
	snprintf(path, sizeof path, "%s/a.1", dir);
	assert_string_equal(r->name, path);
	fill(path, "abcdefg");
	snprintf(path, sizeof path, "%s/a", dir);
	unlink(path);                           /* tidied away: its name does not come again */
	assert_true(log_rotation_name(r, 4));
	snprintf(path, sizeof path, "%s/a.2", dir);
	assert_string_equal(r->name, path);
	snprintf(path, sizeof path, "%s/a.1", dir);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_of_moments, begin, end), cmocka_unit_test_setup_teardown(full_files_have_successors, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

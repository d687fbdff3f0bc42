/* openfiles.c: a kept descriptor is given out for what its name leads to now, or not at all; the last who uses it closes it. */
#include "request/openfiles.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <cmocka.h>

static char dir[64], a[96], b[96];
static time_t later;                    /* when the files have settled */

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void make(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Opens it and offers it; the caller's use is over. */
static int offered(const char *path, time_t now, unsigned most)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	openfile_offer(path, fd, &st, now, most);
	openfile_close(fd);
	return fd;
}

static int begin(void **state)
{
	static const char *const places[] = { "/tmp/openfiles.XXXXXX", "/var/tmp/openfiles.XXXXXX", "openfiles.XXXXXX", NULL };
	struct stat st = { .st_dev = 0 };

	(void)state;
	for (const char *const *p = places; *p; p++) {
		snprintf(dir, sizeof dir, "%s", *p);
		if (!mkdtemp(dir))
			continue;
		if (stat(dir, &st) == 0 && major(st.st_dev))
			break;
		rmdir(dir);
		dir[0] = '\0';
	}
	if (!dir[0])
		return 0;
	snprintf(a, sizeof a, "%s/a", dir);
	snprintf(b, sizeof b, "%s/b", dir);
	make(a, "one");
	assert_int_equal(stat(a, &st), 0);
	later = st.st_ctim.tv_sec + 60;
	return 0;
}

static int end(void **state)
{
	(void)state;
	openfile_forget();
	unlink(a);
	unlink(b);
	rmdir(dir);
	return 0;
}

#define NEEDS_DEVICE() do { (void)state; if (!dir[0]) skip(); } while (0)

static void is_given_out_until_it_changes(void **state)
{
	struct stat st;
	int fd, again;

	NEEDS_DEVICE();
	fd = offered(a, later, 8);
	assert_true(is_open(fd));
	again = openfile_take(a, later, &st);
	assert_int_equal(again, fd);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(openfile_take(b, later, &st), -1);
	make(b, "another");                     /* takes its place */
	assert_int_equal(rename(b, a), 0);
	assert_int_equal(openfile_take(a, later, &st), -1);
	assert_true(is_open(fd));               /* the first request still reads it */
	openfile_close(fd);
	assert_false(is_open(fd));
}

static void shortened(const char *path) { assert_int_equal(truncate(path, 1), 0); }
static void closed_off(const char *path) { assert_int_equal(chmod(path, 0600), 0); }
static void removed(const char *path) { assert_int_equal(unlink(path), 0); }
static void folder(const char *path) { assert_int_equal(unlink(path), 0); assert_int_equal(mkdir(path, 0700), 0); }
static void linked(const char *path) { assert_int_equal(link(path, b), 0); }

static void any_change_counts(void **state)
{
	static void (*const changes[])(const char *) = { shortened, closed_off, removed, folder, linked };
	struct stat st;

	NEEDS_DEVICE();
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		int fd = offered(a, later, 8);

		assert_true(is_open(fd));
		changes[i](a);
		assert_int_equal(openfile_take(a, later, &st), -1);
		assert_false(is_open(fd));
		unlink(a);
		rmdir(a);
		unlink(b);
		make(a, "one");
	}
}

static void what_is_not_kept(void **state)
{
	struct stat st;
	int fd;

	NEEDS_DEVICE();
	assert_int_equal(stat(a, &st), 0);
	assert_false(is_open(offered(a, st.st_ctim.tv_sec + OPENFILES_SETTLED - 1, 8)));        /* changed just now */
	assert_false(is_open(offered(a, later, 0)));            /* KeepFilesOpen 0 */
	fd = offered(a, later, 1);
	make(b, "b");
	if (place_of(a) != place_of(b))
		assert_false(is_open(offered(b, later, 1)));    /* as many as may be */
	assert_true(is_open(fd));
	openfile_forget();
	assert_int_equal(truncate(a, OPENFILES_SIZE + 1), 0);
	assert_false(is_open(offered(a, later, 8)));
	assert_false(is_open(offered(dir, later, 8)));
}

static void unused_ones_are_closed(void **state)
{
	struct stat st;
	int fd;

	NEEDS_DEVICE();
	fd = offered(a, later, 8);
	assert_int_equal(openfile_take(b, later + OPENFILES_IDLE, &st), -1);
	assert_true(is_open(fd));
	assert_int_equal(openfile_take(b, later + OPENFILES_IDLE + 1, &st), -1);
	assert_false(is_open(fd));
	fd = offered(a, later, 8);
	assert_int_equal(openfile_take(a, later, &st), fd);
	assert_false(openfile_forget());        /* in use: no descriptor is free by this */
	assert_true(is_open(fd));
	openfile_close(fd);
	assert_false(is_open(fd));
	fd = offered(a, later, 8);
	assert_true(openfile_forget());
	assert_false(is_open(fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_given_out_until_it_changes, begin, end),
		cmocka_unit_test_setup_teardown(any_change_counts, begin, end),
		cmocka_unit_test_setup_teardown(what_is_not_kept, begin, end),
		cmocka_unit_test_setup_teardown(unused_ones_are_closed, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

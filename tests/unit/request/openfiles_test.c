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
	again = openfile_take(a, later, 0, &st);
	assert_int_equal(again, fd);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(openfile_take(b, later, 0, &st), -1);
	make(b, "another");                     /* takes its place */
	assert_int_equal(rename(b, a), 0);
	assert_int_equal(openfile_take(a, later, 0, &st), -1);
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
		assert_int_equal(openfile_take(a, later, 0, &st), -1);
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
	assert_int_equal(openfile_take(b, later + OPENFILES_IDLE, 0, &st), -1);
	assert_true(is_open(fd));
	assert_int_equal(openfile_take(b, later + OPENFILES_IDLE + 1, 0, &st), -1);
	assert_false(is_open(fd));
	fd = offered(a, later, 8);
	assert_int_equal(openfile_take(a, later, 0, &st), fd);
	assert_false(openfile_forget());        /* in use: no descriptor is free by this */
	assert_true(is_open(fd));
	openfile_close(fd);
	assert_false(is_open(fd));
	fd = offered(a, later, 8);
	assert_true(openfile_forget());
	assert_false(is_open(fd));
}

/* Gives the use back at once. */
static bool is_there(uint64_t came, off_t size)
{
	struct stat st;
	int fd = openfile_take(a, later, came, &st);

	if (fd >= 0)
		openfile_close(fd);
	return fd >= 0 && st.st_size == size;
}

static void a_look_holds_for_what_came_before_it(void **state)
{
	uint64_t before, behind;

	NEEDS_DEVICE();
	openfile_turn();
	before = openfile_came();
	assert_true(is_open(offered(a, later, 8)));             /* a look, too */
	assert_int_equal(truncate(a, 1), 0);
	assert_true(is_there(before, 3));
	behind = openfile_came();
	assert_false(is_there(behind, 3));
	assert_true(is_open(offered(a, later, 8)));
	assert_int_equal(truncate(a, 0), 0);
	assert_true(is_there(behind, 1));
	assert_true(is_there(before, 1));
	assert_false(is_there(0, 1));
	offered(a, later, 8);
	assert_int_equal(unlink(a), 0);
	assert_true(is_there(behind, 0));
	openfile_turn();
	assert_false(is_there(behind, 0));
}

static void overwrite(int fd, const char *text)
{
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
}

#define ASSERT_READ(fd, n, at, came, text) do { \
	char got[8] = ""; \
	assert_int_equal(openfile_read(fd, got, n, at, came), strlen(text)); \
	assert_string_equal(got, text); \
} while (0)

static void so_does_content(void **state)
{
	int fd, writer;
	uint64_t first, second;
	struct stat st;

	NEEDS_DEVICE();
	openfile_turn();
	first = openfile_came();
	fd = offered(a, later, 8);
	writer = open(a, O_WRONLY | O_CLOEXEC);
	ASSERT_READ(fd, 3, 0, first, "one");
	overwrite(writer, "two");
	ASSERT_READ(fd, 3, 0, first, "two");                    /* nobody else is there: read anew */
	assert_int_equal(openfile_take(a, later, first, &st), fd);
	ASSERT_READ(fd, 3, 0, first, "two");                    /* this one is kept */
	overwrite(writer, "six");
	ASSERT_READ(fd, 3, 0, first, "two");
	ASSERT_READ(fd, 7, 1, first, "wo");
	ASSERT_READ(fd, 2, 3, first, "");
	ASSERT_READ(fd, 3, 0, 0, "six");
	second = openfile_came();
	ASSERT_READ(fd, 3, 0, second, "six");
	overwrite(writer, "ten");
	ASSERT_READ(fd, 3, 0, second, "six");
	openfile_turn();
	ASSERT_READ(fd, 3, 0, second, "ten");
	openfile_close(fd);
	close(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_given_out_until_it_changes, begin, end),
		cmocka_unit_test_setup_teardown(any_change_counts, begin, end),
		cmocka_unit_test_setup_teardown(what_is_not_kept, begin, end),
		cmocka_unit_test_setup_teardown(unused_ones_are_closed, begin, end),
		cmocka_unit_test_setup_teardown(a_look_holds_for_what_came_before_it, begin, end),
		cmocka_unit_test_setup_teardown(so_does_content, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * keep_test.c - which reports of a folder go when there are too many, and what is left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crashdump/keep.h"

static char home[] = "/tmp/crashdump-keep-XXXXXX";
static int dir_fd;

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(home))
		return -1;
	dir_fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	close(dir_fd);
	snprintf(command, sizeof command, "rm -rf '%s'", home);
	return system(command);
}

/* A report that was written so many seconds ago. */
static void put(const char *name, const char *signature, int age)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	assert_true(fd >= 0);
	dprintf(fd, "crash-report: 1\nsignature: %s\nend: complete\n", signature);
	assert_int_equal(fstat(fd, &st), 0);
	times[0] = times[1] = (struct timespec){ .tv_sec = st.st_mtime - age };
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static bool is_there(const char *name)
{
	return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void bound_is_kept(void **state)
{
	(void)state;
	put("bulkhead-crash-20260101-000000-1.txt", "SIGSEGV a", 900);
	put("bulkhead-crash-20260101-000000-2.txt", "SIGSEGV b", 800);
	put("bulkhead-crash-20260101-000000-3.txt", "SIGSEGV a", 700);
	put("bulkhead-crash-20260101-000000-4-2.txt", "SIGSEGV b", 600);
	put("bulkhead-crash-20260101-000000-5.txt", "SIGSEGV c", 500);
	put("bulkhead-crash-20260101-000000-6.txt", "SIGSEGV b", 400);
	assert_int_equal(keep_reports(dir_fd, 6), 6);
	/* The oldest of the newest one's fault first, … */
	assert_int_equal(keep_reports(dir_fd, 5), 5);
	assert_false(is_there("bulkhead-crash-20260101-000000-2.txt"));
	/* … then whatever has a later one, … */
	assert_int_equal(keep_reports(dir_fd, 3), 3);
	assert_false(is_there("bulkhead-crash-20260101-000000-4-2.txt"));
	assert_false(is_there("bulkhead-crash-20260101-000000-1.txt"));
	/* … and never the latest of a fault. */
	assert_int_equal(keep_reports(dir_fd, 1), 3);
}

static void others_are_left_alone(void **state)
{
	(void)state;
	put("bulkhead-crash-notes.txt", "SIGSEGV b", 9000);
	put("other.txt", "SIGSEGV b", 9000);
	put(".bulkhead-crash-20260101-000000-7.txt.new", "SIGSEGV b", 10);
	put(".bulkhead-crash-20260101-000000-8.txt.new", "SIGSEGV b", 100);
	assert_int_equal(symlinkat("other.txt", dir_fd, "bulkhead-crash-20260101-000000-9.txt"), 0);
	assert_int_equal(mkfifoat(dir_fd, "bulkhead-crash-20260101-000000-10.txt", 0600), 0);
	assert_int_equal(keep_reports(dir_fd, 0), 3);
	assert_true(is_there("bulkhead-crash-notes.txt"));
	assert_true(is_there("other.txt"));
	assert_true(is_there("bulkhead-crash-20260101-000000-9.txt"));
	assert_true(is_there("bulkhead-crash-20260101-000000-10.txt"));
	/* What a job left that was stopped goes, what one is writing stays. */
	assert_true(is_there(".bulkhead-crash-20260101-000000-7.txt.new"));
	assert_false(is_there(".bulkhead-crash-20260101-000000-8.txt.new"));
}

/* Live snapshots have a bound of their own, whatever their signatures are, and neither counts for the other. */
static void newest_live_snapshots_stay(void **state)
{
	unsigned crashes = keep_reports(dir_fd, 1000);

	(void)state;
	put("bulkhead-live-20260101-000000-1.txt", "live a", 900);
	put("bulkhead-live-20260101-000000-2.txt", "live b", 700);
	put("bulkhead-live-20260101-000000-3.txt", "live a", 800);
	put(".bulkhead-live-20260101-000000-4.txt.new", "live a", 100);
	assert_int_equal(keep_reports(dir_fd, 0), crashes);
	assert_false(is_there(".bulkhead-live-20260101-000000-4.txt.new"));
	keep_live(dir_fd, 3);
	assert_true(is_there("bulkhead-live-20260101-000000-1.txt"));
	keep_live(dir_fd, 1);
	assert_false(is_there("bulkhead-live-20260101-000000-1.txt"));
	assert_true(is_there("bulkhead-live-20260101-000000-2.txt"));
	assert_false(is_there("bulkhead-live-20260101-000000-3.txt"));
	assert_int_equal(keep_reports(dir_fd, 1000), crashes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bound_is_kept),
		cmocka_unit_test(others_are_left_alone),
		cmocka_unit_test(newest_live_snapshots_stay),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

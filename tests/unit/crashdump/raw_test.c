/*
 * raw_test.c - the report's file: the raw record stays when the symboliser crashes; a name that is taken, be it by a
 * symbolic link, is never written through; what cannot be written is said.
 */
#define symbols_trace trace_that_crashes
#include "crashdump/report.c"
#undef symbols_trace

#include "tests/unit/crashdump/harness.h"

#include <dirent.h>

int symbols_trace(const struct crash_snapshot *s, struct crash_trace *out);

static bool crashes = true;

int trace_that_crashes(const struct crash_snapshot *s, struct crash_trace *out)
{
	if (crashes)
		_exit(77);
	return symbols_trace(s, out);
}

static int *volatile null_pointer;

__attribute__((noinline, noclone, no_sanitize("address", "undefined"))) static void crash_null(void)
{
	*null_pointer = 1;
}

static char *only_report(const char *dir)
{
	DIR *d = opendir(dir);
	char path[400] = "";
	struct dirent *e;
	size_t size;

	while ((e = readdir(d)))
		if (strstr(e->d_name, "bulkhead-crash-")) {
			assert_string_equal(path, "");
			snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		}
	closedir(d);
	return read_file(path, &size);
}

static void raw_record_outlives_the_symboliser(void **state)
{
	struct run run = { .crash = crash_null };
	struct outcome o;

	(void)state;
	crashes = true;
	o = harness_run(&run);
	if (!WIFEXITED(o.job_status) || WEXITSTATUS(o.job_status) != 77)
		fail_msg("job 0x%x, child 0x%x: %s", (unsigned)o.job_status, (unsigned)o.status, o.answer);
	o.report = only_report(o.dir);
	assert_non_null(o.report);
	assert_memory_equal(o.report, "crash-report: 1\n", 16);
	assert_string_equal(o.report + strlen(o.report) - 10, "\nend: raw\n");
	assert_string_equal(harness_value(&o, "class"), "null-deref");
	assert_non_null(strstr(harness_value(&o, "frame"), "raw_test+0x"));
	assert_non_null(strstr(harness_value(&o, "frame"), "trust=raw"));
	assert_string_equal(harness_value(&o, "path"), "/shop");
	harness_done(&o);
}

/* ------------------------------------------------------------------------------------------------- names that are taken */

static void fill(struct crash_snapshot *s)
{
	s->signal = SIGSEGV;
	s->code = SEGV_MAPERR;
	s->time_ms = 1700000000000;
	s->pid = s->owner;
}

static void taken_names_are_left_alone(void **state)
{
	struct crash_report_options options = { .dir = "/tmp/crashdump-raw-XXXXXX" };
	static const char name[] = "bulkhead-crash-20231114-221320-4242.txt";
	char dir[] = "/tmp/crashdump-raw-XXXXXX", answer[640], target[100];
	struct stat st;

	(void)state;
	crashes = false;
	assert_non_null(mkdtemp(dir));
	options.dir = dir;
	options.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fill(snapshot_claim(pool, 4242));
	snprintf(target, sizeof target, "%s/victim", dir);
	assert_return_code(symlinkat(target, options.dir_fd, name), errno);
	assert_int_equal(crash_report(pool, crash_pool_find(pool, 4242), &options, answer, sizeof answer), 0);
	assert_non_null(strstr(answer, "/bulkhead-crash-20231114-221320-4242-2.txt"));
	assert_int_equal(fstatat(options.dir_fd, "victim", &st, 0), -1);
	assert_int_equal(fstatat(options.dir_fd, "bulkhead-crash-20231114-221320-4242-2.txt", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	close(options.dir_fd);

	/* The directory is gone: the answer tells the crash all the same, and why there is no report. */
	options.dir_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(crash_report(pool, crash_pool_find(pool, 4242), &options, answer, sizeof answer), -1);
	assert_memory_equal(answer, "SIGSEGV (", 9);
	assert_non_null(strstr(answer, "; no report in "));
	close(options.dir_fd);
	crash_pool_free(pool, crash_pool_find(pool, 4242));
	assert_int_equal(crash_report(pool, 0, &options, answer, sizeof answer), -1);
	assert_string_equal(answer, "no report: the crash slot holds nothing");
	snprintf(target, sizeof target, "rm -rf '%s'", dir);
	assert_int_equal(system(target), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_record_outlives_the_symboliser),
		cmocka_unit_test(taken_names_are_left_alone),
	};

	return cmocka_run_group_tests(tests, harness_setup, NULL);
}

/*
 * target_test.c - server/log/target.c: names and their indices, files, standard streams, programs.
 */
#include "log/target.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

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
	return arena ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static const struct conf_pos pos = { .file = "x.conf", .line = 7 };

static int add(struct log_targets *t, const char *name, struct err *e)
{
	*e = (struct err){ 0 };
	return log_target_add(t, &env, name, &pos, e);
}

static void names_have_indices(void **state)
{
	struct log_targets t = { 0 };
	struct err e;

	(void)state;
	assert_int_equal(add(&t, "logs/a", &e), 0);
	assert_int_equal(add(&t, "/srv/logs/a", &e), 0);
	assert_int_equal(add(&t, "|/bin/cat", &e), 1);
	assert_int_equal(add(&t, "||/bin/cat", &e), 1);
	for (int i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof name, "b%d", i);
		assert_int_equal(add(&t, name, &e), 2 + i);
	}
	assert_string_equal(t.at[0].name, "/srv/logs/a");
	assert_int_equal(add(&t, "syslog:demon", &e), -1);
	assert_non_null(strstr(e.remedy, "local0"));
	assert_int_equal(add(&t, "|", &e), -1);
	assert_int_equal(add(&t, "", &e), -1);
}

static void a_file_that_cannot_be_opened_is_named_with_its_line(void **state)
{
	struct log_targets t = { 0 };
	struct err e;

	(void)state;
	add(&t, "/no/such/folder/log", &e);
	assert_int_equal(log_targets_open(&t, &e), -1);
	assert_string_equal(e.file, "x.conf");
	assert_int_equal(e.line, 7);
	assert_non_null(strstr(e.text, "/no/such/folder/log"));
	assert_string_equal(e.remedy, "mkdir -p /no/such/folder");
}

/* Standard error may be a file that this user could not open: what was inherited is used as it is. */
static void standard_streams_are_inherited(void **state)
{
	char path[] = "/tmp/bulkhead-target-XXXXXX", line[8] = "";
	int file = mkstemp(path), saved = dup(2);
	struct log_targets t = { 0 };
	struct err e;

	(void)state;
	assert_true(file >= 0);
	dup2(file, 2);
	assert_int_equal(unlink(path), 0);      /* cannot be opened by any name now */
	add(&t, "/dev/stderr", &e);
	int opened = log_targets_open(&t, &e);
	dup2(saved, 2);
	close(saved);
	assert_int_equal(opened, 0);
	assert_int_equal(write(t.at[0].fd, "line\n", 5), 5);
	assert_int_equal(pread(file, line, 5, 0), 5);
	assert_string_equal(line, "line\n");
	log_targets_close(&t);
	close(file);
}

static void a_program_gets_the_lines(void **state)
{
	char dir[] = "/tmp/bulkhead-target-XXXXXX", command[200], path[100], got[8] = "";
	struct log_targets t = { 0 };
	struct err e;
	int fd, status;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/out", dir);
	snprintf(command, sizeof command, "|$cat > %s", path);
	assert_int_equal(add(&t, command, &e), 0);
	assert_int_equal(log_targets_open(&t, &e), 0);
	pid_t pid = t.at[0].pid;
	assert_int_equal(write(t.at[0].fd, "line\n", 5), 5);
	log_targets_close(&t);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, got, 5), 5);
	assert_string_equal(got, "line\n");
	close(fd);
	unlink(path);
	rmdir(dir);
}

static void check(const char *command, const char *text, const char *remedy)
{
	struct err e = { .text = "", .remedy = "" };

	assert_int_equal(log_program_check(command, &e), text ? -1 : 0);
	if (text)
		assert_non_null(strstr(e.text, text));
	if (text)
		assert_string_equal(e.remedy, remedy);
}

static void words_of_a_command_may_be_quoted(void **state)
{
	char dir[] = "/tmp/bulkhead-target-XXXXXX", path[100], command[300], got[40] = "";
	struct log_targets t = { 0 };
	struct err e;
	int fd, status;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/a b", dir);
	snprintf(command, sizeof command, "|/bin/sh -c 'echo \"$0|$1|$2|$3\" >\"$4\"' one\\ two \"th\\\"ree\" 'fo\"ur' '' '%s'", path);
	assert_int_equal(add(&t, command, &e), 0);
	assert_int_equal(log_targets_open(&t, &e), 0);
	log_targets_close(&t);
	assert_int_equal(waitpid(t.at[0].pid, &status, 0), t.at[0].pid);
	assert_int_equal(status, 0);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, got, sizeof got - 1) > 0);
	assert_string_equal(got, "one two|th\"ree|fo\"ur|\n");
	close(fd);
	unlink(path);
	rmdir(dir);
}

static void a_program_that_is_not_there_is_not_started(void **state)
{
	struct log_targets t = { 0 };
	struct err e;

	(void)state;
	check("/bin/sh -c true", NULL, NULL);
	check("'/bin/sh' -c true", NULL, NULL);
	check("$no such thing", NULL, NULL);
	check("/no/such/program x", "/no/such/program cannot be run", "install it, or take the line out");
	check("rotatelogs x", "rotatelogs cannot be run", "write its absolute path");
	check("/etc/passwd", "/etc/passwd cannot be run", "chmod +x /etc/passwd");
	check("/tmp", "/tmp is a folder", "name a program in it");
	add(&t, "|/no/such/program x", &e);
	assert_int_equal(log_targets_open(&t, &e), -1);
	assert_string_equal(e.file, "x.conf");
	assert_int_equal(e.line, 7);
}

/* What a program says stands in the main error log, and moves nothing by which the logger knows what it has written itself. */
static void a_program_complains_aside(void **state)
{
	char dir[] = "/tmp/bulkhead-target-XXXXXX", path[100], got[20] = "";
	struct log_targets t = { 0 };
	struct err e;
	int fd, status;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/error", dir);
	assert_int_equal(add(&t, path, &e), 0);
	assert_int_equal(add(&t, "|$echo complaint >&2", &e), 1);
	assert_int_equal(log_targets_open(&t, &e), 0);
	assert_int_equal(waitpid(t.at[1].pid, &status, 0), t.at[1].pid);
	assert_int_equal(status, 0);
	assert_int_equal(lseek(t.at[0].fd, 0, SEEK_CUR), 0);
	log_targets_close(&t);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, got, sizeof got - 1), 10);
	assert_string_equal(got, "complaint\n");
	close(fd);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_indices),
		cmocka_unit_test(a_file_that_cannot_be_opened_is_named_with_its_line),
		cmocka_unit_test(standard_streams_are_inherited),
		cmocka_unit_test(a_program_gets_the_lines),
		cmocka_unit_test(words_of_a_command_may_be_quoted),
		cmocka_unit_test(a_program_that_is_not_there_is_not_started),
		cmocka_unit_test(a_program_complains_aside),
	};
	return cmocka_run_group_tests(tests, begin, end);
}

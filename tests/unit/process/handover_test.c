/* handover_test.c - the table that one program leaves to the next: what is taken from it, and what is no table at all. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/handover.h"

static char *words[] = { "handover_test", NULL };

static int table(const char *text)
{
	int fd = memfd_create("table", MFD_CLOEXEC);
	char number[16];

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(number, sizeof number, "%d", fd);
	setenv("BULKHEAD_HANDOVER", number, 1);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_lines(void **state)
{
	int kept = dup(0), left = dup(0), fd;
	char text[512];
	const struct handover_line *l;
	const char *why;

	(void)state;
	snprintf(text, sizeof text, "handover -1 %d\npidfile %d /run/a b.pid\nlistener %d [::]:80\nlistener -1 *:81\nnonsense\nunknown -1 x y z\nfailed -1 one\nfailed -1 it broke\n",
		 HANDOVER_VERSION, kept, left);
	fd = table(text);
	assert_true(handover_arrive(words));
	assert_true(handover_pending());
	assert_null(getenv("BULKHEAD_HANDOVER"));
	assert_int_equal(fcntl(kept, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	l = handover_next(NULL, "pidfile");
	assert_non_null(l);
	assert_string_equal(l->text, "/run/a b.pid");
	assert_int_equal(handover_claim(l), kept);
	assert_null(handover_next(l, "pidfile"));
	l = handover_next(NULL, "listener");
	assert_string_equal(l->text, "[::]:80");
	assert_int_equal(l->fd, left);
	l = handover_next(l, "listener");
	assert_int_equal(l->fd, -1);
	assert_null(handover_next(l, "listener"));
	assert_null(handover_next(NULL, "nonsense"));
	assert_int_equal(handover_claim(handover_next(NULL, "phrases")), -1);
	assert_int_equal(handover_failures(&why), 2);
	assert_string_equal(why, "it broke");
	handover_settle();
	assert_false(handover_pending());
	assert_null(handover_next(NULL, "pidfile"));
	assert_true(is_open(kept));
	assert_false(is_open(left));
	assert_false(is_open(fd));
	close(kept);
}

static void test_no_table(void **state)
{
	static const char *const rows[] = { "x", "nonsense -1 1\n", "handover -1 999\nlistener 5 x\n", "handover", "\n\n" };
	char path[] = "/tmp/handover-XXXXXX", number[16];
	int file = mkstemp(path);

	(void)state;
	unlink(path);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int fd = table(rows[i]);

		if (handover_arrive(words))
			fail_msg("\"%s\" was taken", rows[i]);
		assert_false(handover_pending());
		close(fd);
	}
	/* Only memory that a program can have made for this: no file, and no number beside it. */
	assert_int_equal(write(file, "handover -1 1\n", 14), 14);
	snprintf(number, sizeof number, "%d", file);
	setenv("BULKHEAD_HANDOVER", number, 1);
	assert_false(handover_arrive(words));
	for (const char *const *word = (const char *const[]){ "0", "-1", "999", "", "x", NULL }; *word; word++) {
		setenv("BULKHEAD_HANDOVER", *word, 1);
		assert_false(handover_arrive(words));
	}
	unsetenv("BULKHEAD_HANDOVER");
	assert_false(handover_arrive(words));
	close(file);
}

/* A program that cannot be executed leaves all as it was. */
static void test_not_executed(void **state)
{
	struct err e = { .text = "" };
	int program = memfd_create("program", MFD_CLOEXEC), fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
	FILE *to = handover_begin(&e);

	(void)state;
	assert_int_equal(write(program, "no program\n", 11), 11);
	handover_put(to, "listener", fd, "%s", "[::]:80");
	assert_int_equal(handover_exec(to, program, words, &e), -1);
	assert_non_null(strstr(e.text, "cannot be executed: Exec format error"));
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	close(program);
}

/* What does not go into a line is not handed over at all, rather than in part. */
static void test_too_much(void **state)
{
	struct err e = { .text = "" };
	FILE *to = handover_begin(&e);
	char *longest = malloc(20000);

	(void)state;
	memset(longest, 'x', 19999);
	longest[19999] = '\0';
	handover_put(to, "pidfile", -1, "%s", longest);
	assert_int_equal(handover_exec(to, 0, words, &e), -1);
	assert_non_null(strstr(e.text, "no memory"));
	free(longest);
	e = (struct err){ .text = "" };
	to = handover_begin(&e);
	handover_put(to, "pidfile", -1, "%s", "a\nlistener 5 x");
	assert_int_equal(handover_exec(to, 0, words, &e), -1);
	assert_true(*e.text);
}

/* Through a real execution of this very test, once more: see main. */
static void test_executed(void **state)
{
	struct err e = { .text = "" };
	int status, program;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		static char *again[] = { "handover_test", "next", NULL };
		FILE *to = handover_begin(&e);
		int fd = memfd_create("given", MFD_CLOEXEC);

		program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		if (write(fd, "hello", 5) != 5)
			_exit(1);
		handover_put(to, "given", fd, "%d", (int)getpid());
		handover_exec(to, program, again, &e);
		_exit(2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

static int next_program(void)
{
	const struct handover_line *l;
	char text[8] = "";

	if (!handover_arrive(words))
		return 3;
	l = handover_next(NULL, "given");
	if (!l || atoi(l->text) != (int)getpid() || pread(l->fd, text, 5, 0) != 5 || strcmp(text, "hello"))
		return 4;
	handover_settle();
	return 42;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines), cmocka_unit_test(test_no_table), cmocka_unit_test(test_not_executed),
		cmocka_unit_test(test_too_much), cmocka_unit_test(test_executed),
	};

	if (argc > 1 && !strcmp(argv[1], "next"))
		return next_program();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

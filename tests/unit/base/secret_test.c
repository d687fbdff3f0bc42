/*
 * secret_test.c - covers server/base/secret.c: the pages' flags as the kernel tells them, guards that kill, children that
 * do not see what is marked so.
 */
#include "base/secret.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Whether the mapping that holds p has the two-letter flag in /proc/self/smaps ("dd", "dc", "lo"). */
static bool has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	bool here = false, found = false;

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		char *rest;
		uintptr_t from = strtoul(line, &rest, 16);
		if (*rest == '-' && rest > line)
			here = (uintptr_t)p >= from && (uintptr_t)p < strtoul(rest + 1, NULL, 16);
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			for (char *word = strtok(line + 8, " \n"); word; word = strtok(NULL, " \n"))
				found |= strcmp(word, flag) == 0;
	}
	fclose(f);
	return found;
}

static void pages_are_kept_out_of_dumps(void **state)
{
	unsigned char *p = secret_alloc(5000, 0);

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(p[i], 0);
	memset(p, 'k', 5000);
	assert_true(has_flag(p, "dd"));
	assert_true(has_flag(p + 4999, "dd"));
	assert_false(has_flag(p, "dc"));
#ifndef BULKHEAD_SANITIZE                       /* AddressSanitizer makes mlock do nothing */
	assert_true(has_flag(p, "lo"));
#endif
	secret_free(p, 5000);
	secret_free(NULL, 5000);
}

static void marked_pages_are_not_inherited(void **state)
{
	unsigned char *p = secret_alloc(16, SECRET_NOFORK);
	int status;
	pid_t pid;

	(void)state;
	assert_true(has_flag(p, "dc"));
	p[0] = 1;
	pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(((volatile unsigned char *)p)[0]);
	}
	waitpid(pid, &status, 0);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
	secret_free(p, 16);
}

static void guards_kill(void **state)
{
	static const struct { const char *name; long offset; } rows[] = { { "before", -1 }, { "behind", 4096 } };
	unsigned char *p = secret_alloc(4096, 0);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			signal(SIGSEGV, SIG_DFL);
			((volatile unsigned char *)p)[rows[i].offset] = 1;
			_exit(0);
		}
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			fail_msg("a write %s the pages went through", rows[i].name);
	}
	secret_free(p, 4096);
}

/* Where nothing may be locked there is a secret all the same. */
static void works_without_locking(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct rlimit none = { 0, 0 };
		if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
			_exit(2);
		_exit(secret_alloc(100, 0) ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void wipes_and_fills(void **state)
{
	unsigned char a[300], b[300];
	unsigned zeros = 0;

	(void)state;
	memset(a, 0, sizeof a);
	assert_int_equal(secret_random(a, sizeof a), 0);
	assert_int_equal(secret_random(b, sizeof b), 0);
	assert_memory_not_equal(a, b, sizeof a);
	for (size_t i = 0; i < sizeof a; i++)
		zeros += a[i] == 0;
	assert_in_range(zeros, 0, 20);
	assert_int_equal(secret_random(a, 0), 0);
	secret_wipe(a, sizeof a);
	for (size_t i = 0; i < sizeof a; i++)
		assert_int_equal(a[i], 0);
	secret_wipe(NULL, 0);
	assert_null(secret_alloc(SIZE_MAX - 100, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_kept_out_of_dumps), cmocka_unit_test(marked_pages_are_not_inherited), cmocka_unit_test(guards_kill),
		cmocka_unit_test(works_without_locking), cmocka_unit_test(wipes_and_fills),
	};
	return cmocka_run_group_tests_name("base/secret", tests, NULL, NULL);
}

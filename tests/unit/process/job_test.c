/* job_test.c - one-shot helpers: their answer, exit code, limit of time, sandbox, and that there are never too many. */
#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
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

#include "process/job.h"
#include "process/sandbox.h"
#include "process/shared.h"

static struct process_settings settings = { .uid = (uid_t)-1 };
static struct answer {
	bool done, ok, timeout;
	int status;
	size_t n;
	char text[JOB_MAX_RESULT + 1];
} answer;

static void done(void *ctx, const struct job_result *r)
{
	struct answer *a = ctx;

	a->done = true;
	a->ok = r->ok;
	a->timeout = r->timeout;
	a->status = r->status;
	a->n = r->n;
	memcpy(a->text, r->text, r->n + 1);
}

/* The master's loop in small: until the job is done. */
static void wait_done(void)
{
	while (!answer.done) {
		struct pollfd p[JOB_MAX];
		unsigned n = job_poll(p, JOB_MAX);
		int status;
		pid_t pid;

		poll(p, n, 20);
		for (unsigned i = 0; i < n; i++)
			if (p[i].revents)
				job_input(p[i].fd);
		job_tick(shared_now());
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			assert_true(job_reaped(pid, status));
	}
}

static void run(const struct job_kind *kind, void *arg)
{
	struct job_place place = { .settings = &settings };
	struct err e = { .text = "" };

	memset(&answer, 0, sizeof answer);
	if (job_run(kind, arg, &place, done, &answer, &e) < 0)
		fail_msg("%s", e.text);
	wait_done();
}

static int run_answer(void *arg, int fd)
{
	return dprintf(fd, "hello %s as %d", (const char *)arg, geteuid() != 0) > 0 ? 0 : 1;
}
static int run_fail(void *arg, int fd)
{
	(void)arg;
	dprintf(fd, "half an answer");
	return 3;
}
static int run_hang(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	while (usleep(100000) == 0 || errno == EINTR)
		;
	return 1;
}
static int run_flood(void *arg, int fd)
{
	static char block[4096];

	(void)arg;
	memset(block, 'x', sizeof block);
	for (int i = 0; i < 64; i++)
		if (write(fd, block, sizeof block) < 0)
			return 1;
	return 0;
}
static int run_forbidden(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	signal(SIGSYS, SIG_DFL);
	execl("/bin/true", "true", (char *)NULL);
	return 0;
}
static int run_greedy(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return mmap(NULL, (size_t)2 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? 0
													: 1;
}

static void test_answer(void **state)
{
	struct job_kind kind = { .name = "test", .rights = JOB_AS_USER, .time_ms = 10000, .run = run_answer };

	(void)state;
	run(&kind, "there");
	assert_true(answer.ok);
	assert_string_equal(answer.text, "hello there as 1");
	kind.rights = JOB_READS_ALL;
	run(&kind, "here");
	assert_true(answer.ok);
	assert_string_equal(answer.text, geteuid() ? "hello here as 1" : "hello here as 0");
}

static void test_failure(void **state)
{
	struct job_kind kind = { .name = "test", .rights = JOB_AS_USER, .time_ms = 10000, .run = run_fail };

	(void)state;
	run(&kind, NULL);
	assert_false(answer.ok);
	assert_false(answer.timeout);
	assert_int_equal(WEXITSTATUS(answer.status), 3);
	assert_string_equal(answer.text, "half an answer");
}

static void test_time(void **state)
{
	struct job_kind kind = { .name = "test", .rights = JOB_AS_USER, .time_ms = 200, .run = run_hang };
	int64_t began = shared_now();

	(void)state;
	run(&kind, NULL);
	assert_false(answer.ok);
	assert_true(answer.timeout);
	assert_in_range(shared_now() - began, 190, 5000);
}

static void test_flood(void **state)
{
	struct job_kind kind = { .name = "test", .rights = JOB_AS_USER, .time_ms = 10000, .run = run_flood };

	(void)state;
	run(&kind, NULL);
	assert_true(answer.ok);
	assert_int_equal(answer.n, JOB_MAX_RESULT);
}

static void test_sandbox(void **state)
{
	struct job_kind kind = {
		.name = "test", .rights = JOB_AS_USER, .time_ms = 10000, .run = run_forbidden
	};

	(void)state;
	if (sandbox_missing())
		skip();
	run(&kind, NULL);
	assert_false(answer.ok);
	assert_true(WIFSIGNALED(answer.status));
	assert_int_equal(WTERMSIG(answer.status), SIGSYS);
}

static void test_memory(void **state)
{
	struct job_kind kind = { .name = "test",
				 .rights = JOB_AS_USER,
				 .time_ms = 10000,
				 .memory = (uint64_t)1 << 30,
				 .run = run_greedy };

	(void)state;
#ifdef BULKHEAD_SANITIZE
	skip();
#endif
	run(&kind, NULL);
	assert_true(answer.ok);
}

static void test_number(void **state)
{
	struct job_kind kind = { .name = "test", .rights = JOB_AS_USER, .time_ms = 60000, .run = run_hang };
	struct job_place place = { .settings = &settings };
	struct err e = { .text = "" };

	(void)state;
	for (int i = 0; i < JOB_MAX; i++)
		assert_true(job_run(&kind, NULL, &place, done, &answer, &e) > 0);
	assert_int_equal(job_run(&kind, NULL, &place, done, &answer, &e), -1);
	assert_non_null(strstr(e.text, "running already"));
	job_cancel_all();
	assert_int_equal(job_deadline(), INT64_MAX);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),	cmocka_unit_test(test_failure),
		cmocka_unit_test(test_time),	cmocka_unit_test(test_flood),
		cmocka_unit_test(test_sandbox), cmocka_unit_test(test_memory),
		cmocka_unit_test(test_number),
	};
	const struct passwd *pw = getpwnam("nobody");
	struct err e = { .text = "" };

	if (shared_create(1, &e) < 0)
		return 1;
	if (shared.root && pw) {
		settings.user = "nobody";
		settings.uid = pw->pw_uid;
		settings.gid = pw->pw_gid;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* daemon_test.c - the pid file (stale, held, a link, another's), the readiness pipe. Real files, locks and processes. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/daemon.h"

static char dir[] = "/tmp/bulkhead-daemon-XXXXXX", path[128];

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void read_file(char *text, size_t n)
{
	FILE *f = fopen(path, "r");
	size_t got = f ? fread(text, 1, n - 1, f) : 0;

	text[got] = '\0';
	if (f)
		fclose(f);
}

static int setup(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void test_take_and_release(void **state)
{
	struct err e = { .text = "" };
	char text[64], own[64];
	pid_t running, pid;
	int fd;

	(void)state;
	assert_int_equal(pidfile_running(path, &pid, &e), 0);
	fd = pidfile_take(path, &running, &e);
	assert_true(fd >= 0);
	snprintf(own, sizeof own, "%d\n", (int)getpid());
	read_file(text, sizeof text);
	assert_string_equal(text, own);
	assert_int_equal(pidfile_running(path, &pid, &e), 1);
	assert_int_equal(pid, getpid());
	pidfile_release(path, fd);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(pidfile_running(path, &pid, &e), 0);
}

/* A number in an unlocked file is nobody's, even if a process has it. */
static void test_stale(void **state)
{
	struct err e = { .text = "" };
	char text[64];
	pid_t running, pid;
	int fd;

	(void)state;
	snprintf(text, sizeof text, "%d\n", (int)getppid());
	write_file(text);
	assert_int_equal(pidfile_running(path, &pid, &e), 0);
	fd = pidfile_take(path, &running, &e);
	assert_true(fd >= 0);
	read_file(text, sizeof text);
	assert_int_equal(atoi(text), getpid());
	pidfile_release(path, fd);
	write_file("no number, and much longer than a pid would ever be\n");
	fd = pidfile_take(path, &running, &e);
	assert_true(fd >= 0);
	read_file(text, sizeof text);
	assert_int_equal(atoi(text), getpid());
	assert_null(strstr(text, "longer"));
	pidfile_release(path, fd);
}

/* Another process holds it; when it is killed the file is free. */
static void test_held(void **state)
{
	struct err e = { .text = "" };
	pid_t running, other, pid;
	int ready[2], fd;
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	other = fork();
	if (other == 0) {
		fd = pidfile_take(path, &running, &e);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(pidfile_running(path, &pid, &e), 1);
	assert_int_equal(pid, other);
	assert_int_equal(pidfile_take(path, &running, &e), -1);
	assert_int_equal(running, other);
	assert_non_null(strstr(e.text, "already running (pid "));
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	err_clear(&e);
	assert_int_equal(pidfile_running(path, &pid, &e), 0);
	fd = pidfile_take(path, &running, &e);
	assert_true(fd >= 0);
	pidfile_release(path, fd);
	close(ready[0]);
	close(ready[1]);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A server of that size takes a while to die: it holds its lock still, but runs no more. */
static pid_t heavy_server(size_t size)
{
	struct err e = { .text = "" };
	pid_t running, pid;
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		char *mem = malloc(size);

		if (mem)
			memset(mem, 1, size);
		if (!mem || pidfile_take(path, &running, &e) < 0 || write(ready[1], mem, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void test_dying(void **state)
{
	struct err e = { .text = "" };
	pid_t running, other, pid;
	int fd;

	(void)state;
	for (int i = 0; i < 10; i++) {
		other = heavy_server((size_t)64 << 20);
		kill(other, SIGKILL);
		if (i % 2) {
			assert_int_equal(pidfile_running(path, &pid, &e), 0);
		} else {
			fd = pidfile_take(path, &running, &e);
			if (fd < 0)
				fail_msg("%s", e.text);
			pidfile_release(path, fd);
		}
		waitpid(other, NULL, 0);
		unlink(path);
	}
}

/* The server is dead, a process that it forked just before holds the lock for so many ms. Returns the server, a zombie. */
static pid_t dead_server(int holder_ms)
{
	struct err e = { .text = "" };
	pid_t running, pid;
	siginfo_t si;

	pid = fork();
	if (pid == 0) {
		if (pidfile_take(path, &running, &e) < 0)
			_exit(1);
		if (fork() == 0) {
			close_range(0, 2, 0);   /* whoever reads what the tests say does not wait for it */
			usleep((useconds_t)holder_ms * 1000);
			_exit(0);
		}
		raise(SIGKILL);
	}
	assert_int_equal(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	assert_int_equal(si.si_code, CLD_KILLED);
	return pid;
}

static void test_dead_with_a_lock(void **state)
{
	struct err e = { .text = "" };
	pid_t running, pid, other = dead_server(300);
	int64_t began;
	int fd;

	(void)state;
	assert_int_equal(pidfile_running(path, &pid, &e), 0);
	waitpid(other, NULL, 0);
	other = dead_server(300);
	fd = pidfile_take(path, &running, &e);
	assert_true(fd >= 0);
	pidfile_release(path, fd);
	waitpid(other, NULL, 0);
	/* One that stays is no server either: both say so instead of "already running". */
	other = dead_server(20000);
	began = now_ms();
	assert_int_equal(pidfile_running(path, &pid, &e), -1);
	assert_true(now_ms() - began >= 900);
	assert_non_null(strstr(e.text, "dead"));
	err_clear(&e);
	assert_int_equal(pidfile_take(path, &running, &e), -1);
	assert_int_equal(running, 0);
	assert_non_null(strstr(e.text, "dead"));
	waitpid(other, NULL, 0);
}

/* A server that was replaced does not take the file of its successor away. */
static void test_release_of_anothers(void **state)
{
	struct err e = { .text = "" };
	pid_t running;
	int fd;

	(void)state;
	fd = pidfile_take(path, &running, &e);
	assert_true(fd >= 0);
	unlink(path);
	write_file("12345\n");
	pidfile_release(path, fd);
	assert_int_equal(access(path, F_OK), 0);
}

static void test_refused(void **state)
{
	struct err e = { .text = "" };
	char target[160];
	pid_t running;

	(void)state;
	snprintf(target, sizeof target, "%s.target", path);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(pidfile_take(path, &running, &e), -1);
	assert_non_null(strstr(e.text, "symbolic link"));
	assert_int_equal(access(target, F_OK), -1);
	unlink(path);
	err_clear(&e);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pidfile_take(path, &running, &e), -1);
	assert_non_null(strstr(e.text, "not a plain file"));
}

/* Runs daemon_detach in a process of its own, whose standard error is returned. kind: what the server does. */
static int detach(char kind, char *said, size_t n)
{
	int out[2], status;
	size_t got = 0;
	ssize_t more;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		struct err e = { .text = "" };
		int ready, code, side;

		dup2(out[1], 2);
		close(out[0]);
		close(out[1]);
		side = daemon_detach(&ready, &code, &e);
		if (side)
			_exit(side < 0 ? 99 : code);
		daemon_null_stdio();
		switch (kind) {
		case 'g':       /* good, and its children go on holding the pipe */
			if (fork() == 0) {
				sleep(3);
				_exit(0);
			}
			daemon_ready(ready, 0, "");
			_exit(0);
		case 'b':
			daemon_ready(ready, 3, "first line\nsecond line\n");
			_exit(3);
		case 'k':
			raise(SIGKILL);
			break;
		default:
			_exit(0);
		}
	}
	close(out[1]);
	while (got < n - 1 && (more = read(out[0], said + got, n - 1 - got)) > 0)
		got += (size_t)more;
	said[got] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_readiness(void **state)
{
	char said[4096];

	(void)state;
	assert_int_equal(detach('g', said, sizeof said), 0);
	assert_string_equal(said, "");
	assert_int_equal(detach('b', said, sizeof said), 3);
	assert_string_equal(said, "first line\nsecond line\n");
	assert_int_equal(detach('k', said, sizeof said), 1);
	assert_non_null(strstr(said, "died at its start: signal 9"));
	assert_int_equal(detach('e', said, sizeof said), 1);
	assert_non_null(strstr(said, "said nothing"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_take_and_release, setup),
		cmocka_unit_test_setup(test_stale, setup),
		cmocka_unit_test_setup(test_held, setup),
		cmocka_unit_test_setup(test_dying, setup),
		cmocka_unit_test_setup(test_dead_with_a_lock, setup),
		cmocka_unit_test_setup(test_release_of_anothers, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_readiness, setup),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof path, "%s/pid", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return failed;
}

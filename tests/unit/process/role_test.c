/*
 * role_test.c - what a process is after it entered a role: ids, groups, capabilities, descriptors, sandbox, as /proc
 * tells. Real forks; the parts that change the user run as root only.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/role.h"
#include "process/sandbox.h"

static int out[2];

/* Forks a process that enters the role and then does `act`; returns what it wrote, *status is how it ended. */
static const char *in_role(enum role role, const struct role_wants *w, void (*act)(void), int *status)
{
	static char text[16384];
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = role_fork(role);
	if (pid == 0) {
		struct role_wants all = *w;
		struct err e = { .text = "" };

		all.keep = &out[1];
		all.nkeep = 1;
		all.master = getppid();
		if (role_enter(role, &all, &e) < 0) {
			dprintf(out[1], "refused: %s", e.text);
			_exit(ROLE_EXIT_FATAL);
		}
		signal(SIGSYS, SIG_DFL);        /* cmocka takes it */
		act();
		_exit(0);
	}
	assert_true(pid > 0);
	close(out[1]);
	while (n < sizeof text - 1 && (got = read(out[0], text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(out[0]);
	waitpid(pid, status, 0);
	return text;
}

static void wants_user(struct role_wants *w)
{
	const struct passwd *pw = getpwnam("nobody");

	*w = (struct role_wants){ .uid = (uid_t)-1 };
	if (geteuid() || !pw)
		return;
	w->user = "nobody";
	w->uid = pw->pw_uid;
	w->gid = pw->pw_gid;
}

static int status_fd = -1;
static int open_status(void *ctx, struct err *e)
{
	(void)ctx;
	(void)e;
	status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	return 0;
}

static void tell_status(void)
{
	char text[8192];
	ssize_t n = read(status_fd, text, sizeof text);

	if (n > 0 && write(out[1], text, (size_t)n) != n)
		_exit(9);
}

static const char *field(const char *status, const char *name)
{
	static char value[128];
	const char *at = strstr(status, name);

	value[0] = '\0';
	if (at)
		sscanf(at + strlen(name), " %127[^\n]", value);
	return value;
}

static void test_confined_roles(void **state)
{
	static const enum role roles[] = { ROLE_CHILD, ROLE_KEYHOLDER, ROLE_RESOLVER, ROLE_LOGGER, ROLE_JOB, ROLE_MOVER };
	struct role_wants w;
	char expected[64];

	(void)state;
	wants_user(&w);
	w.open_hidden = open_status;
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		int status;
		const char *text = in_role(roles[i], &w, tell_status, &status);

		if (status)
			fail_msg("%s ended with status %#x: %s", role_name(roles[i]), (unsigned)status, text);
		assert_int_equal(strspn(field(text, "\nCapEff:"), "0"), 16);
		assert_int_equal(strspn(field(text, "\nCapPrm:"), "0"), 16);
		assert_string_equal(field(text, "\nNoNewPrivs:"), "1");
		if (!sandbox_missing())
			assert_string_equal(field(text, "\nSeccomp:"), "2");
		if (w.uid == (uid_t)-1)
			continue;
		assert_int_equal(strspn(field(text, "\nCapBnd:"), "0"), 16);
		snprintf(expected, sizeof expected, "%u\t%u\t%u\t%u", w.uid, w.uid, w.uid, w.uid);
		assert_string_equal(field(text, "\nUid:"), expected);
		snprintf(expected, sizeof expected, "%u\t%u\t%u\t%u", w.gid, w.gid, w.gid, w.gid);
		assert_string_equal(field(text, "\nGid:"), expected);
		assert_null(strstr(field(text, "\nGroups:"), "0 "));
	}
}

static void test_check_role_reads_only(void **state)
{
	struct role_wants w = { .uid = (uid_t)-1, .open_hidden = open_status };
	int status;
	const char *text = in_role(ROLE_CHECK, &w, tell_status, &status);

	(void)state;
	assert_int_equal(status, 0);
	if (geteuid() == 0)
		assert_string_equal(field(text, "\nCapEff:"), "00000000000000c4");
	assert_string_equal(field(text, "\nNoNewPrivs:"), "1");
}

static void tell_descriptors(void)
{
	for (int fd = 0; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			dprintf(out[1], "%d ", fd == out[1] ? -1 : fd);
}

static void test_descriptors_are_closed(void **state)
{
	struct role_wants w;
	int extra[4], status;

	(void)state;
	wants_user(&w);
	for (int i = 0; i < 4; i++)
		extra[i] = open("/dev/null", O_RDONLY);
	assert_string_equal(in_role(ROLE_LOGGER, &w, tell_descriptors, &status), "0 1 2 -1 ");
	for (int i = 0; i < 4; i++)
		close(extra[i]);
}

/* What a role must not do raises SIGSYS. */
static void call_socket(void) { (void)!socket(AF_INET, SOCK_STREAM, 0); }
static void call_packets(void) { (void)!socket(AF_PACKET, SOCK_STREAM, 0); }
static void call_listen(void) { listen(0, 1); }
static void call_exec(void) { execl("/bin/true", "true", (char *)NULL); }
static void call_open(void) { (void)!open("/etc/passwd", O_RDONLY); }
static void call_write_open(void) { (void)!open("/tmp/bulkhead-role-test", O_WRONLY | O_CREAT, 0600); }
static void call_fork(void) { (void)!fork(); }
static void call_kill(void) { kill(getppid(), 0); }
static void call_exec_memory(void)
{
	(void)!mprotect((void *)((uintptr_t)out & ~(uintptr_t)4095), 4096,
			PROT_READ | PROT_WRITE | PROT_EXEC);
}
static void call_map_code(void) { (void)!mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static void call_nothing(void) {}

static void test_forbidden_calls(void **state)
{
	static const struct row {
		enum role role;
		const char *name;
		void (*act)(void);
		int signal;
	} rows[] = {
		{ ROLE_CHILD, "child: nothing", call_nothing, 0 },
		{ ROLE_CHILD, "child: socket", call_socket, SIGSYS },
		{ ROLE_CHILD, "child: exec", call_exec, SIGSYS },
		{ ROLE_CHILD, "child: fork", call_fork, SIGSYS },
		{ ROLE_CHILD, "child: kill", call_kill, SIGSYS },
		{ ROLE_CHILD, "child: executable memory", call_exec_memory, SIGSYS },
		{ ROLE_CHILD, "child: mapping executable memory", call_map_code, SIGSYS },
		{ ROLE_CHILD, "child: open", call_open, 0 },
		{ ROLE_KEYHOLDER, "keyholder: open", call_open, SIGSYS },
		{ ROLE_KEYHOLDER, "keyholder: socket", call_socket, SIGSYS },
		{ ROLE_KEYHOLDER, "keyholder: fork", call_fork, SIGSYS },
		{ ROLE_RESOLVER, "resolver: open", call_open, 0 },
		{ ROLE_RESOLVER, "resolver: open to write", call_write_open, SIGSYS },
		{ ROLE_RESOLVER, "resolver: a socket for look-ups of names", call_socket, 0 },
		{ ROLE_RESOLVER, "resolver: a socket for raw packets", call_packets, SIGSYS },
		{ ROLE_RESOLVER, "resolver: listen", call_listen, SIGSYS },
		{ ROLE_RESOLVER, "resolver: exec", call_exec, SIGSYS },
		{ ROLE_RESOLVER, "resolver: fork", call_fork, SIGSYS },
		{ ROLE_RESOLVER, "resolver: kill", call_kill, SIGSYS },
		{ ROLE_RESOLVER, "resolver: mapping executable memory", call_map_code, SIGSYS },
		{ ROLE_LOGGER, "logger: open", call_open, SIGSYS },
		{ ROLE_LOGGER, "logger: exec", call_exec, SIGSYS },
		{ ROLE_JOB, "job: open", call_open, 0 },
		{ ROLE_JOB, "job: socket", call_socket, SIGSYS },
		{ ROLE_JOB, "job: exec", call_exec, SIGSYS },
		{ ROLE_MOVER, "mover: nothing", call_nothing, 0 },
		{ ROLE_MOVER, "mover: open", call_open, SIGSYS },
		{ ROLE_MOVER, "mover: socket", call_socket, SIGSYS },
		{ ROLE_MOVER, "mover: fork", call_fork, SIGSYS },
		{ ROLE_MOVER, "mover: kill", call_kill, SIGSYS },
		{ ROLE_CHECK, "check: open", call_open, 0 },
		{ ROLE_CHECK, "check: open to write", call_write_open, SIGSYS },
		{ ROLE_CHECK, "check: exec", call_exec, SIGSYS },
		{ ROLE_CHECK, "check: a socket for look-ups of names", call_socket, 0 },
		{ ROLE_CHECK, "check: a socket for raw packets", call_packets, SIGSYS },
	};

	(void)state;
	if (sandbox_missing())
		skip();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct role_wants w;
		int status;

		wants_user(&w);
		if (rows[i].role == ROLE_CHECK)
			w = (struct role_wants){ .uid = (uid_t)-1 };
		in_role(rows[i].role, &w, rows[i].act, &status);
		if (rows[i].signal ? !WIFSIGNALED(status) || WTERMSIG(status) != rows[i].signal : status != 0)
			fail_msg("%s: status %#x", rows[i].name, (unsigned)status);
	}
}

/* A master that died between fork and the question is noticed. */
static void test_parent_gone(void **state)
{
	struct role_wants w;
	int status, pipe_fd[2];
	char c = '?';
	pid_t pid;

	(void)state;
	wants_user(&w);
	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		pid_t master = getpid();

		if (role_fork(ROLE_JOB) == 0) {
			struct err e = { .text = "" };

			while (getppid() == master)
				usleep(1000);
			w.keep = &pipe_fd[1];
			w.nkeep = 1;
			w.master = master;
			c = role_enter(ROLE_JOB, &w, &e) < 0 && strstr(e.text, "master is gone") ? 'y' : 'n';
			(void)!write(pipe_fd[1], &c, 1);
			_exit(0);
		}
		_exit(0);
	}
	waitpid(pid, &status, 0);
	close(pipe_fd[1]);
	assert_int_equal(read(pipe_fd[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	close(pipe_fd[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_confined_roles),
		cmocka_unit_test(test_check_role_reads_only),
		cmocka_unit_test(test_descriptors_are_closed),
		cmocka_unit_test(test_forbidden_calls),
		cmocka_unit_test(test_parent_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

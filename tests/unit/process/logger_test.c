/*
 * logger_test.c - the logger as a process: every line once, in order and whole, whatever happens to it: SIGKILL at any
 * moment, a full disk, a slow program, a table that changes. The test plays master and children: it writes the rings.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "log/log.h"
#include "log/ring.h"
#include "log/target.h"
#include "process/logger.h"
#include "process/shared.h"

#define SLOTS 3

static char dir[] = "/tmp/bulkhead-logger-XXXXXX";
static struct process_settings settings = { .uid = (uid_t)-1 };
static struct config cfg = { .process = &settings };
static unsigned seed = 12345;

static const char *path(const char *name)
{
	static char text[2][160];
	static int turn;

	turn = !turn;
	snprintf(text[turn], sizeof text[turn], "%s/%s", dir, name);
	return text[turn];
}

static int open_log(const char *name)
{
	int fd = open(path(name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

static char *contents(const char *name, size_t *n)
{
	static char text[1 << 25];          /* test_kills writes as much as four seconds allow */
	FILE *f = fopen(path(name), "r");

	*n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	text[*n] = '\0';
	if (f)
		fclose(f);
	return text;
}

static bool empty(unsigned slot)
{
	struct ring_record r;
	struct shared_slot s;
	uint64_t pos;

	shared_slot(slot, &s);
	pos = ring_tail(s.ring);
	return ring_take(s.ring, &pos, &r) == 0;
}

/* The pid of the one logger below us. */
static pid_t logger_pid(void)
{
	char name[64], text[512];
	pid_t pid = 0;
	FILE *f;

	snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
	f = fopen(name, "r");
	if (!f || !fgets(text, sizeof text, f) || sscanf(text, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static void reap_and_replace(void)
{
	int64_t now = shared_now();
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		logger_reaped(pid, status, now);
	logger_tick(&cfg, now);
}

static void put(unsigned slot, uint32_t generation, unsigned target, const char *line)
{
	struct iovec v = { (void *)(uintptr_t)line, strlen(line) };
	struct shared_slot s;

	shared_slot(slot, &s);
	ring_generation(s.ring, generation);
	while (ring_put(s.ring, target, &v, 1) < 0) {
		assert_int_equal(errno, EAGAIN);
		reap_and_replace();     /* as the master goes on while a child waits for room */
		usleep(1000);
	}
	if (ring_wants_wake(s.ring))
		eventfd_write(shared.log_wake, 1);
}

static void wait_empty(int ms)
{
	int64_t end = shared_now() + ms;

	for (;;) {
		bool all = true;

		reap_and_replace();
		for (unsigned i = 0; i < SLOTS; i++)
			all &= empty(i);
		if (all)
			return;
		if (shared_now() > end)
			fail_msg("the rings are not drained after %d ms", ms);
		usleep(2000);
	}
}

static void test_lines_arrive(void **state)
{
	struct log_target at[2] = { { .kind = LOG_TARGET_FILE, .name = "error", .previous = -1 },
				    { .kind = LOG_TARGET_FILE, .name = "access", .previous = -1 } };
	struct log_targets t = { at, 2, 2 };
	size_t n;

	(void)state;
	at[0].fd = open_log("error");
	at[1].fd = open_log("access");
	assert_int_equal(logger_table(1, &t), 0);
	put(0, 1, 1, "one\n");
	put(1, 1, 0, "two\n");
	put(0, 1, 1, "three\n");
	wait_empty(5000);
	assert_string_equal(contents("access", &n), "one\nthree\n");
	assert_string_equal(contents("error", &n), "two\n");
	/* A table that nobody knows, and a target beyond the table: dropped, told, and the lines behind them arrive. */
	put(2, 77, 0, "nowhere\n");
	put(2, 1, 9, "nowhere\n");
	put(2, 1, 1, "four\n");
	wait_empty(5000);
	assert_string_equal(contents("access", &n), "one\nthree\nfour\n");
	assert_non_null(strstr(contents("error", &n), "BH0144"));
	logger_drop(1);
	close(at[0].fd);
	close(at[1].fd);
}

/* Kills at random moments while three writers go on: each line exactly once, in its writer's order, none torn. */
static void test_kills(void **state)
{
	struct log_target at[2] = { { .kind = LOG_TARGET_FILE, .name = "error", .previous = -1 },
				    { .kind = LOG_TARGET_FILE, .name = "kills", .previous = -1 } };
	struct log_targets t = { at, 2, 2 };
	unsigned next[SLOTS] = { 0 }, written = 0, kills = 0;
	int64_t end = shared_now() + 4000;
	char line[2048], *text, *save = NULL;
	size_t n;

	(void)state;
	at[0].fd = open_log("error");
	at[1].fd = open_log("kills");
	at[1].previous = open("/dev/null", O_WRONLY | O_CLOEXEC);       /* told first to each logger: what the last one was writing is not there */
	assert_int_equal(logger_table(2, &t), 0);
	while (shared_now() < end) {
		for (int burst = 0; burst < 40; burst++, written++) {
			unsigned slot = written % SLOTS;
			int len = snprintf(line, sizeof line, "%u %u ", slot, next[slot]++);
			int fill = (int)(rand_r(&seed) % 1500);

			memset(line + len, 'x', (size_t)fill);
			memcpy(line + len + fill, "!\n", 3);
			put(slot, 2, 1, line);
			if (rand_r(&seed) % 60 == 0) {
				pid_t pid = logger_pid();
				if (pid > 0 && kill(pid, SIGKILL) == 0)
					kills++;
			}
			reap_and_replace();
		}
	}
	wait_empty(10000);
	text = contents("kills", &n);
	memset(next, 0, sizeof next);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save), written--) {
		unsigned slot, number;

		if (sscanf(l, "%u %u", &slot, &number) != 2 || slot >= SLOTS || l[strlen(l) - 1] != '!')
			fail_msg("torn: %.60s", l);
		if (number != next[slot])
			fail_msg("slot %u: line %u where %u should be", slot, number, next[slot]);
		next[slot]++;
	}
	assert_int_equal(written, 0);
	assert_true(kills >= 3);
	logger_drop(2);
	close(at[0].fd);
	close(at[1].fd);
	close(at[1].previous);
}

/* No room: the lines wait in the ring, other logs go on, and all is there once there is room again. */
static void test_full_disk(void **state)
{
	struct log_target at[2] = { { .kind = LOG_TARGET_FILE, .name = "full_error", .previous = -1 },
				    { .kind = LOG_TARGET_FILE, .name = "full", .previous = -1 } };
	struct log_targets t = { at, 2, 2 };
	size_t n;

	(void)state;
	at[0].fd = open_log("full_error");
	at[1].fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(logger_table(3, &t), 0);
	put(0, 3, 1, "waits\n");
	put(1, 3, 0, "goes on\n");
	usleep(300000);
	assert_false(empty(0));
	assert_non_null(strstr(contents("full_error", &n), "goes on\n"));
	assert_non_null(strstr(contents("full_error", &n), "BH0141"));
	close(at[1].fd);
	at[1].fd = open_log("full");
	logger_retarget(3, 1);
	wait_empty(5000);
	assert_string_equal(contents("full", &n), "waits\n");
	logger_drop(3);
	close(at[0].fd);
	close(at[1].fd);
}

/* A program that does not read: its lines wait, whole lines leave, none is lost. */
static void test_slow_program(void **state)
{
	struct log_target at[2] = { { .kind = LOG_TARGET_FILE, .name = "slow_error", .previous = -1 },
				    { .kind = LOG_TARGET_PIPE, .name = "program", .previous = -1 } };
	struct log_targets t = { at, 2, 2 };
	unsigned expected = 0, got = 0;
	char line[256], text[65536];
	size_t kept = 0;
	int fd[2];

	(void)state;
	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	at[0].fd = open_log("slow_error");
	at[1].fd = fd[1];
	assert_int_equal(logger_table(4, &t), 0);
	for (; expected < 1000; expected++) {
		snprintf(line, sizeof line, "%u %0100d\n", expected, 0);
		put(0, 4, 1, line);
	}
	for (int64_t end = shared_now() + 10000; got < expected && shared_now() < end;) {
		ssize_t more = read(fd[0], text + kept, 3000);
		char *nl;

		if (more <= 0) {
			usleep(2000);
			continue;
		}
		kept += (size_t)more;
		while ((nl = memchr(text, '\n', kept))) {
			assert_int_equal(strtoul(text, NULL, 10), got);
			assert_int_equal(nl - text, snprintf(line, sizeof line, "%u %0100d", got, 0));
			got++;
			kept -= (size_t)(nl + 1 - text);
			memmove(text, nl + 1, kept);
		}
	}
	assert_int_equal(got, expected);
	wait_empty(5000);
	logger_drop(4);
	close(at[0].fd);
	close(fd[0]);
	close(fd[1]);
}

/* Descriptors of a generation that is gone are closed in the logger: a program behind one sees the end of its input. */
static void test_drop_closes(void **state)
{
	struct log_target at[1] = { { .kind = LOG_TARGET_PIPE, .name = "program", .previous = -1 } };
	struct log_targets t = { at, 1, 1 };
	char c;
	int fd[2];

	(void)state;
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	at[0].fd = fd[1];
	assert_int_equal(logger_table(5, &t), 0);
	put(0, 5, 0, "x");
	assert_int_equal(read(fd[0], &c, 1), 1);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	close(fd[1]);
	logger_drop(5);
	for (int64_t end = shared_now() + 5000; read(fd[0], &c, 1) != 0; usleep(1000)) {
		reap_and_replace();
		assert_true(shared_now() < end);
	}
	close(fd[0]);
}

/* One that was killed before is replaced a moment later. */
static pid_t living_logger(void)
{
	pid_t pid;

	for (int64_t end = shared_now() + 5000; (pid = logger_pid()) <= 0; usleep(1000)) {
		assert_true(shared_now() < end);
		reap_and_replace();
	}
	return pid;
}

static void kill_logger(void)
{
	pid_t pid = living_logger();
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(logger_reaped(pid, status, shared_now()));
}

/*
 * A generation ends, and the logger dies before it has written the generation's last lines: killed while it was told, or
 * gone already when that happened, or killed twice. Its successor knows where the lines belong.
 */
static void test_drop_outlives_loggers(void **state)
{
	struct log_target at[2] = { { .kind = LOG_TARGET_FILE, .name = "last_error", .previous = -1 }, { .kind = LOG_TARGET_PIPE, .name = "program", .previous = -1 } };
	struct log_targets t = { at, 2, 2 };
	char text[64] = "";
	int fd[2];

	(void)state;
	for (uint32_t how = 0; how < 3; how++) {
		size_t n, got = 0;
		ssize_t more;

		assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
		at[0].fd = open_log("last_error");
		at[1].fd = fd[1];
		assert_int_equal(logger_table(20 + how, &t), 0);
		put(0, 20 + how, 1, "before\n");
		wait_empty(5000);
		if (how == 0)
			kill(living_logger(), SIGSTOP);
		else
			kill_logger();
		put(0, 20 + how, 1, "last\n");
		logger_drop(20 + how);
		close(at[0].fd);
		close(at[1].fd);
		at[0].name = at[1].name = NULL; /* all of it belongs to the generation that is gone */
		at[0].fd = at[1].fd = -1;
		if (how == 0)
			kill_logger();
		if (how == 2)
			kill_logger();
		/* The end of the program's input comes as well: neither logger nor master hold the pipe for ever. */
		for (int64_t end = shared_now() + 5000; shared_now() < end; usleep(1000)) {
			reap_and_replace();
			more = read(fd[0], text + got, sizeof text - 1 - got);
			if (more == 0)
				break;
			got += more > 0 ? (size_t)more : 0;
		}
		text[got] = '\0';
		assert_int_equal(more, 0);
		assert_string_equal(text, "before\nlast\n");
		assert_null(strstr(contents("last_error", &n), "BH0144"));
		at[0].name = "last_error";
		at[1].name = "program";
		close(fd[0]);
	}
}

/* Generations come and go while none of their lines can be written: the newest work, the oldest are given up in the end. */
static void test_many_drops(void **state)
{
	struct log_target at[1] = { { .kind = LOG_TARGET_FILE, .name = "many", .previous = -1 } };
	struct log_targets t = { at, 1, 1 };
	char *text;
	size_t n;

	(void)state;
	at[0].fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(logger_table(40, &t), 0);
	put(0, 40, 0, "waits\n");
	for (uint32_t g = 41; g < 60; g++) {
		logger_drop(g - 1);
		close(at[0].fd);
		at[0].fd = open_log("many");
		assert_int_equal(logger_table(g, &t), 0);
		put(1, g, 0, "x\n");
		for (int64_t end = shared_now() + 5000; !empty(1) && shared_now() < end; usleep(1000))
			reap_and_replace();
	}
	wait_empty(5000);
	text = contents("many", &n);
	for (unsigned lines = 0; lines < 19; lines++, text += 2) {
		text = strstr(text, "x\n");
		assert_non_null(text);
	}
	logger_drop(59);
	close(at[0].fd);
}

/* Leaves the logger no room for descriptors; as its own user where root may not do so. */
static void limit_descriptors(pid_t logger)
{
	struct rlimit low = { 4, 8192 };
	int status;
	pid_t pid;

	if (prlimit(logger, RLIMIT_NOFILE, &low, NULL) == 0)
		return;
	pid = fork();
	if (pid == 0) {
		if (setgid(settings.gid) < 0 || setuid(settings.uid) < 0)
			_exit(1);
		_exit(prlimit(logger, RLIMIT_NOFILE, &low, NULL) < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Descriptors that do not arrive: it ends, and its successor is told all tables. */
static void test_lost_message(void **state)
{
	struct log_target at[2] = { { .kind = LOG_TARGET_FILE, .name = "before", .previous = -1 }, { .kind = LOG_TARGET_FILE, .name = "after", .previous = -1 } };
	struct log_targets t = { at, 1, 1 }, more = { at, 2, 2 };
	pid_t first = logger_pid();
	size_t n;

	(void)state;
	at[0].fd = open_log("before");
	at[1].fd = open_log("after");
	assert_int_equal(logger_table(7, &t), 0);
	put(0, 7, 0, "one\n");
	wait_empty(5000);
	limit_descriptors(first);
	assert_int_equal(logger_table(8, &more), 0);
	put(0, 8, 1, "two\n");
	put(1, 7, 0, "three\n");
	wait_empty(5000);
	assert_int_not_equal(logger_pid(), first);
	assert_string_equal(contents("after", &n), "two\n");
	assert_non_null(strstr(contents("before", &n), "one\n"));
	assert_non_null(strstr(contents("before", &n), "three\n"));
	assert_non_null(strstr(contents("before", &n), "BH0149"));
	logger_drop(7);
	logger_drop(8);
	close(at[0].fd);
	close(at[1].fd);
}

/* The end of the server: what is in the rings is written before the logger goes. */
static void test_stop(void **state)
{
	struct log_target at[1] = { { .kind = LOG_TARGET_FILE, .name = "last", .previous = -1 } };
	struct log_targets t = { at, 1, 1 };
	size_t n;

	(void)state;
	at[0].fd = open_log("last");
	assert_int_equal(logger_table(6, &t), 0);
	put(0, 6, 0, "the last words\n");
	logger_stop(&cfg, 5000);
	assert_string_equal(contents("last", &n), "the last words\n");
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	close(at[0].fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_arrive), cmocka_unit_test(test_kills),
		cmocka_unit_test(test_full_disk),    cmocka_unit_test(test_slow_program),
		cmocka_unit_test(test_drop_closes),  cmocka_unit_test(test_lost_message),
		cmocka_unit_test(test_drop_outlives_loggers), cmocka_unit_test(test_many_drops),
		cmocka_unit_test(test_stop),
	};
	const struct passwd *pw = getpwnam("nobody");
	struct log_settings quiet;
	struct err e = { .text = "" };
	char command[200];
	int failed;

	if (!mkdtemp(dir) || chmod(dir, 0755) < 0 || shared_create(SLOTS, &e) < 0)
		return 1;
	if (shared.root && pw) {
		settings.uid = pw->pw_uid;
		settings.gid = pw->pw_gid;
	}
	atomic_store(&shared_head()->used, SLOTS);
	log_settings_init(&quiet, LOG_L_EMERG);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = 2, .plain = true }, &quiet);
	if (logger_start(&cfg, &e) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command) ? 1 : failed;
}

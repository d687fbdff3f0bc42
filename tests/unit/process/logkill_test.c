/*
 * logkill_test.c - a logger that is killed at each single step by which it changes anything: before, within and after each
 * write, each cut of a file, each move of an offset, each line given back to its ring; and its successor while it mends that.
 * No line may be lost, doubled or torn. The linker leads those calls here first (GNUmakefile): no chance is needed.
 *
 * What the master says reaches the logger as slowly as can be: each message is handled before the next is sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/ipc.h"
#include "log/log.h"
#include "log/ring.h"
#include "log/target.h"
#include "process/logger.h"
#include "process/shared.h"

#define SLOTS 3
#define LINES 10
#define PATIENCE 30000                  /* ms: only for a machine that stands still */
#define LONG_AFTER 3600000              /* ms between two deaths, as the master is told: none waits for its successor */

/* Between the logger and the test. */
struct stage {
	_Atomic int idle, done;         /* it has handled all that it knows of; and no line is left */
	_Atomic unsigned steps;         /* that it went */
	_Atomic int shorts, refusals;   /* writes that are to write a half, and then to find the disk full */
};
static struct stage *stage;
static pid_t master;
static unsigned die_at, step;           /* the step of the logger that is its last; 0 = none */

static char dir[] = "/tmp/bulkhead-logkill-XXXXXX";
static struct process_settings settings = { .uid = (uid_t)-1 };
static struct config cfg = { .process = &settings };
static int64_t now;
static uint32_t generation;

/* ------------------------------------------------------------------------------------------------ steps */

static bool last_step(void)
{
	if (getpid() == master)
		return false;
	stage->steps = ++step;
	return step == die_at;
}

static void may_die(void)
{
	if (last_step())
		raise(SIGKILL);
}

static bool rings_empty(void)
{
	struct ring_record r;
	struct shared_slot s;
	uint64_t pos;

	for (unsigned i = 0; i < SLOTS; i++) {
		shared_slot(i, &s);
		pos = ring_tail(s.ring);
		if (ring_take(s.ring, &pos, &r) != 0)
			return false;
	}
	return true;
}

static ssize_t write_half(int fd, const struct iovec *iov, int n)
{
	size_t all = 0, half;

	for (int i = 0; i < n; i++)
		all += iov[i].iov_len;
	half = all / 2;
	for (int i = 0; i < n && half; i++) {
		size_t part = iov[i].iov_len < half ? iov[i].iov_len : half;

		assert_int_equal(write(fd, iov[i].iov_base, part), part);
		half -= part;
	}
	return (ssize_t)(all / 2);
}

ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	ssize_t rc;

	/* Its own words are no lines of a ring. */
	if (getpid() == master || n < 1 || ((const char *)iov[0].iov_base)[0] != 'L')
		if (getpid() == master || !stage->shorts)
			return __real_writev(fd, iov, n);
	may_die();
	if (last_step()) {
		write_half(fd, iov, n);
		raise(SIGKILL);
	}
	if (stage->shorts) {
		stage->shorts--;
		rc = write_half(fd, iov, n);
	} else if (stage->refusals) {
		stage->refusals--;
		errno = ENOSPC;
		rc = -1;
	} else {
		rc = __real_writev(fd, iov, n);
	}
	may_die();
	return rc;
}

int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
	int rc;

	may_die();
	rc = __real_ftruncate(fd, size);
	may_die();
	return rc;
}

off_t __real_lseek(int fd, off_t to, int whence);
off_t __wrap_lseek(int fd, off_t to, int whence);
off_t __wrap_lseek(int fd, off_t to, int whence)
{
	off_t rc;

	may_die();
	rc = __real_lseek(fd, to, whence);
	may_die();
	return rc;
}

void __real_ring_taken(struct ring *r, uint64_t pos);
void __wrap_ring_taken(struct ring *r, uint64_t pos);
void __wrap_ring_taken(struct ring *r, uint64_t pos)
{
	may_die();
	__real_ring_taken(r, pos);
	may_die();
}

int __real_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
	int rc;

	if (getpid() == master)
		return __real_poll(p, n, timeout);
	stage->done = rings_empty();
	stage->idle = 1;
	rc = __real_poll(p, n, timeout < 0 || timeout > 2 ? 2 : timeout);
	stage->idle = 0;
	return rc;
}

/* ------------------------------------------------------------------------------------------------ the master's part */

static bool dead(void)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
}

int __real_ipc_send(int fd, uint32_t type, uint32_t id, const void *data, size_t len, const int *fds, unsigned n);
int __wrap_ipc_send(int fd, uint32_t type, uint32_t id, const void *data, size_t len, const int *fds, unsigned n);
int __wrap_ipc_send(int fd, uint32_t type, uint32_t id, const void *data, size_t len, const int *fds, unsigned n)
{
	int rc = __real_ipc_send(fd, type, id, data, len, fds, n), left = 0;

	if (getpid() != master || rc < 0)
		return rc;
	for (int64_t end = shared_now() + PATIENCE; !dead(); usleep(50)) {
		/* It was not idle when it took the message. */
		if (ioctl(fd, SIOCOUTQ, &left) == 0 && !left && stage->idle)
			break;
		assert_true(shared_now() < end);
	}
	return rc;
}

static void start(unsigned last)
{
	die_at = last;
	stage->idle = stage->done = 0;
	stage->steps = 0;
	logger_tick(&cfg, now);
}

/* Whether one died. */
static bool bury(bool wait)
{
	int status;
	pid_t pid = waitpid(-1, &status, wait ? 0 : WNOHANG);

	if (pid <= 0)
		return false;
	now += LONG_AFTER;
	assert_true(logger_reaped(pid, status, now));
	return true;
}

static void kill_logger(void)
{
	char name[64], text[64] = "";
	FILE *f;

	snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
	f = fopen(name, "r");
	if (f && fgets(text, sizeof text, f)) {
		kill((pid_t)atol(text), SIGKILL);
		assert_true(bury(true));
	}
	if (f)
		fclose(f);
}

static int open_log(const char *name, int flags)
{
	char path[160];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	assert_true(fd >= 0);
	return fd;
}

static char *read_log(const char *name, char *to, size_t room)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	to[fread(to, 1, room - 1, f)] = '\0';
	fclose(f);
	return to;
}

static void put(unsigned slot, uint32_t of, unsigned target, const char *line)
{
	struct iovec v = { (void *)(uintptr_t)line, strlen(line) };
	struct shared_slot s;

	shared_slot(slot, &s);
	ring_generation(s.ring, of);
	assert_int_equal(ring_put(s.ring, target, &v, 1), 0);
}

/* ------------------------------------------------------------------------------------------------ stories */

struct story {
	const char *name;
	bool rotates, drops;            /* what happens while no logger lives */
	int shorts, refusals;
	int flags;                      /* of the files */
};
static const struct story stories[] = {
	{ .name = "two generations", .flags = O_APPEND },
	{ .name = "a full disk", .shorts = 1, .refusals = 1, .flags = O_APPEND },
	{ .name = "a write in parts", .shorts = 2, .flags = O_APPEND },
	{ .name = "a file that is followed by the next, a generation that ends", .rotates = true, .drops = true, .flags = O_APPEND },
	{ .name = "a file that is not appended to, and a full disk", .shorts = 1, .refusals = 1 },
};

static struct log_target at[2][3];
static struct log_targets targets[2] = { { at[0], 3, 3 }, { at[1], 3, 3 } };

static void open_logs(const struct story *s)
{
	static const char *const names[2][3] = { { "words", "first", "second" }, { "words", "other", "second" } };

	generation += 2;
	for (unsigned g = 0; g < 2; g++) {
		for (unsigned i = 0; i < 3; i++)
			at[g][i] = (struct log_target){ .kind = LOG_TARGET_FILE, .name = names[g][i], .previous = -1, .pid = -1,
							.fd = open_log(names[g][i], (i ? s->flags : O_APPEND) | (g ? 0 : O_TRUNC)) };
		assert_int_equal(logger_table(generation + g, &targets[g]), 0);
	}
	close(open_log("other", O_TRUNC));
	close(open_log("next", O_TRUNC));
}

static void close_logs(bool dropped)
{
	for (unsigned g = 0; g < 2; g++) {
		if (g || !dropped)
			logger_drop(generation + g);
		log_targets_close(&targets[g]);
	}
}

/* Lines of two generations in three rings, and what the logs must hold of them. A ring that waits is passed by the others. */
static void fill(const struct story *s, char expected[3][1 << 14])
{
	static const struct { unsigned slot, g, target; } where[LINES] = {
		{ 0, 0, 1 }, { 0, 0, 1 }, { 0, 0, 2 }, { 0, 0, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 0, 1 }, { 2, 0, 2 }, { 2, 0, 2 }, { 2, 1, 1 },
	};

	memset(expected, 0, 3 * (1 << 14));
	for (int i = 0; i < LINES; i++) {
		char line[600];

		snprintf(line, sizeof line, "L%d of %u %0*d\n", i, generation, 37 * (i + 1), i);
		put(s->refusals ? 0 : where[i].slot, generation + where[i].g, where[i].target, line);
		strcat(expected[where[i].g ? 2 : where[i].target - 1], line);
	}
}

static void between(const struct story *s, bool *once)
{
	if (*once)
		return;
	*once = true;
	if (s->rotates) {
		at[0][1].previous = at[0][1].fd;
		at[0][1].fd = open_log("next", s->flags);
		logger_retarget(generation, 1);
	}
	if (s->drops)
		logger_drop(generation);
}

/* The first logger dies at one step, its successor at another. The steps that the last one went. */
static unsigned play(const struct story *s, unsigned first, unsigned second, bool *died)
{
	static char expected[3][1 << 14], text[1 << 16];
	bool once = false;

	died[0] = died[1] = false;
	open_logs(s);
	stage->shorts = s->shorts;
	stage->refusals = s->refusals;
	fill(s, expected);
	start(first);
	for (int64_t end = shared_now() + PATIENCE; !stage->done || dead(); usleep(50)) {
		if (bury(false)) {
			died[died[0]] = true;
			between(s, &once);
			start(second);
			second = 0;
		}
		assert_true(shared_now() < end);
	}
	read_log("first", text, sizeof text / 2);
	read_log("next", text + strlen(text), sizeof text / 2);
	if (strcmp(text, expected[0]))
		fail_msg("%s, killed at %u, %u: it is\n%sand should be\n%s", s->name, first, second, text, expected[0]);
	if (strcmp(read_log("second", text, sizeof text), expected[1]))
		fail_msg("%s, killed at %u, %u: it is\n%sand should be\n%s", s->name, first, second, text, expected[1]);
	if (strcmp(read_log("other", text, sizeof text), expected[2]))
		fail_msg("%s, killed at %u, %u: it is\n%sand should be\n%s", s->name, first, second, text, expected[2]);
	kill_logger();
	close_logs(once && s->drops);
	return stage->steps;
}

static void test_each_step(void **state)
{
	bool died[2];

	(void)state;
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
		unsigned first = 0, steps = play(&stories[i], 0, 0, died);

		assert_true(steps > 30);
		for (first = 1; first <= steps; first++) {
			play(&stories[i], first, 0, died);
			assert_true(died[0]);
		}
	}
}

/* Its successor dies while it mends, and in the lines behind. */
static void test_two_deaths(void **state)
{
	bool died[2];

	(void)state;
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
		for (unsigned first = 3; first <= 10; first++)
			for (unsigned second = 1; second <= 6; second++) {
				play(&stories[i], first, second, died);
				assert_true(died[0] && died[1]);
			}
}

/* Somebody empties a log, and it grows to the very size that it had: the kill comes after that write. */
static void test_emptied_log(void **state)
{
	char text[256];

	(void)state;
	for (unsigned last = 1; last <= 8; last++) {
		open_logs(&stories[0]);
		put(0, generation, 1, "L one\n");
		start(0);
		for (int64_t end = shared_now() + PATIENCE; !stage->done; usleep(50))
			assert_true(shared_now() < end);
		kill_logger();
		close(open_log("first", O_TRUNC));
		put(0, generation, 1, "L two\n");
		start(last);
		for (int64_t end = shared_now() + PATIENCE; !stage->done || dead(); usleep(50)) {
			if (bury(false))
				start(0);
			assert_true(shared_now() < end);
		}
		assert_string_equal(read_log("first", text, sizeof text), "L two\n");
		kill_logger();
		close_logs(false);
	}
}

/* One is settled once it has said so: before that no file may be followed by a second one. */
static void test_settled(void **state)
{
	(void)state;
	open_logs(&stories[0]);
	assert_false(logger_settled());
	start(0);
	for (int64_t end = shared_now() + PATIENCE; !logger_settled(); usleep(50)) {
		logger_tick(&cfg, now);
		assert_true(shared_now() < end);
	}
	logger_retarget(generation, 1);
	assert_false(logger_settled());
	for (int64_t end = shared_now() + PATIENCE; !logger_settled(); usleep(50)) {
		logger_tick(&cfg, now);
		assert_true(shared_now() < end);
	}
	kill_logger();
	assert_false(logger_settled());
	close_logs(false);
}

/* Its word that a generation is drained comes when the master has given that up: it has done nothing wrong. */
static void test_late_word(void **state)
{
	struct log_target one = { .kind = LOG_TARGET_FILE, .name = "late", .previous = -1, .pid = -1 };
	struct log_targets t = { &one, 1, 1 };

	(void)state;
	open_logs(&stories[0]);
	uint32_t last = generation + 12, next = generation + 2;
	start(0);
	one.fd = open_log("late", O_APPEND);
	for (; next < last; next++) {
		assert_int_equal(logger_table(next, &t), 0);
		logger_drop(next);      /* drained at once, and told into a socket that nobody reads yet */
	}
	logger_tick(&cfg, now);
	assert_int_equal(logger_table(last, &t), 0);
	put(0, last, 0, "L late\n");
	for (int64_t end = shared_now() + PATIENCE; !rings_empty(); usleep(50)) {
		assert_false(dead());
		assert_true(shared_now() < end);
	}
	assert_false(dead());
	logger_drop(last);
	close(one.fd);
	kill_logger();
	close_logs(false);
	generation = last;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_step), cmocka_unit_test(test_two_deaths), cmocka_unit_test(test_emptied_log),
		cmocka_unit_test(test_settled), cmocka_unit_test(test_late_word),
	};
	const struct passwd *pw = getpwnam("nobody");
	struct log_settings quiet;
	struct err e = { .text = "" };
	char command[200];
	int failed;

	master = getpid();
	stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stage == MAP_FAILED || !mkdtemp(dir) || chmod(dir, 0755) < 0 || shared_create(SLOTS, &e) < 0)
		return 1;
	if (shared.root && pw) {
		settings.uid = pw->pw_uid;
		settings.gid = pw->pw_gid;
	}
	atomic_store(&shared_head()->used, SLOTS);
	log_settings_init(&quiet, LOG_L_EMERG);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = 2, .plain = true }, &quiet);
	now = shared_now();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kill_logger();
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command) ? 1 : failed;
}

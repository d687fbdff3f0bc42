/*
 * ipc_test.c - covers server/base/ipc.c over real sockets: what was sent arrives, descriptors too; what a hostile other
 * end sends is refused and leaves no descriptor behind.
 */
#include "base/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int end[2];
static struct ipc_message m;

static int open_pair(void **state)
{
	(void)state;
	return ipc_pair(end);
}

static int close_pair(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		if (end[i] >= 0)
			close(end[i]);
	return 0;
}

static unsigned open_fds(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void carries_data(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, IPC_MAX_DATA };
	static unsigned char data[IPC_MAX_DATA + 1];

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 31);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(ipc_send(end[0], 7, i, data, sizes[i], NULL, 0), 0);
		assert_int_equal(ipc_recv(end[1], &m), 1);
		assert_int_equal(m.head.id, i);
		assert_true(ipc_is(&m, 7, sizes[i], sizes[i]));
		assert_false(ipc_is(&m, 8, 0, IPC_MAX_DATA));
		assert_false(ipc_is(&m, 7, sizes[i] + 1, SIZE_MAX));
		if (sizes[i])
			assert_memory_equal(m.data, data, sizes[i]);
	}
	assert_int_equal(ipc_send(end[0], 7, 0, data, sizeof data, NULL, 0), -1);
	assert_int_equal(errno, EMSGSIZE);
}

static void carries_descriptors(void **state)
{
	int files[IPC_MAX_FDS + 1];
	struct stat was, is;

	(void)state;
	for (unsigned i = 0; i <= IPC_MAX_FDS; i++)
		files[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned n = 1; n <= IPC_MAX_FDS; n++) {
		unsigned before = open_fds();
		assert_int_equal(ipc_send(end[0], 1, 2, "x", 1, files, n), 0);
		assert_int_equal(ipc_recv(end[1], &m), 1);
		assert_int_equal(m.nfds, n);
		assert_false(ipc_is(&m, 1, 1, 1));      /* a message that should have none */
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(fcntl(m.fds[i], F_GETFD), FD_CLOEXEC);
			fstat(m.fds[i], &is);
			fstat(files[0], &was);
			assert_int_equal(is.st_rdev, was.st_rdev);
		}
		ipc_drop_fds(&m);
		assert_int_equal(m.nfds, 0);
		assert_int_equal(open_fds(), before);
	}
	assert_int_equal(ipc_send(end[0], 1, 2, "x", 1, files, IPC_MAX_FDS + 1), -1);
	assert_int_equal(errno, EMSGSIZE);
	for (unsigned i = 0; i <= IPC_MAX_FDS; i++)
		close(files[i]);
}

static void tells_the_end(void **state)
{
	(void)state;
	ipc_send(end[0], 1, 1, "last", 4, NULL, 0);
	close(end[0]);
	end[0] = -1;
	assert_int_equal(ipc_recv(end[1], &m), 1);
	assert_int_equal(ipc_recv(end[1], &m), 0);
	assert_int_equal(ipc_recv_wait(end[1], &m, 1000), 0);
	signal(SIGPIPE, SIG_DFL);                       /* must not come */
	assert_int_equal(ipc_send(end[1], 1, 1, "x", 1, NULL, 0), -1);
	assert_int_equal(errno, EPIPE);
}

static void end_with_unread_messages(void **state)
{
	(void)state;
	ipc_send(end[1], 1, 1, "unread", 6, NULL, 0);
	close(end[0]);                                  /* the kernel says ECONNRESET */
	end[0] = -1;
	assert_int_equal(ipc_recv(end[1], &m), 0);
}

static void full_and_empty(void **state)
{
	static unsigned char data[IPC_MAX_DATA];
	int n = 0;

	(void)state;
	fcntl(end[0], F_SETFL, O_NONBLOCK);
	fcntl(end[1], F_SETFL, O_NONBLOCK);
	assert_int_equal(ipc_recv(end[1], &m), -1);
	assert_int_equal(errno, EAGAIN);
	while (ipc_send(end[0], 1, 1, data, sizeof data, NULL, 0) == 0)
		assert_true(++n < 10000);
	assert_int_equal(errno, EAGAIN);
	assert_true(n > 0);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void ignore(int sig)
{
	(void)sig;
}

static void waits_no_longer_than_told(void **state)
{
	struct sigaction act = { .sa_handler = ignore };
	int64_t began = now_ms();
	timer_t timer;
	struct itimerspec often = { { 0, 20000000 }, { 0, 20000000 } };

	(void)state;
	assert_int_equal(ipc_recv_wait(end[1], &m, 0), -1);
	assert_int_equal(errno, ETIMEDOUT);
	sigaction(SIGALRM, &act, NULL);
	timer_create(CLOCK_MONOTONIC, NULL, &timer);
	timer_settime(timer, 0, &often, NULL);          /* signals must neither end nor prolong it */
	assert_int_equal(ipc_recv_wait(end[1], &m, 200), -1);
	timer_delete(timer);
	assert_int_equal(errno, ETIMEDOUT);
	assert_in_range(now_ms() - began, 199, 2000);
}

static void waits_for_an_answer(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct timespec t = { 0, 100000000 };
		nanosleep(&t, NULL);
		_exit(ipc_send(end[0], 5, 6, "late", 4, NULL, 0) == 0 ? 0 : 1);
	}
	assert_int_equal(ipc_recv_wait(end[1], &m, 5000), 1);
	assert_true(ipc_is(&m, 5, 4, 4));
	waitpid(pid, NULL, 0);
}

/* A packet as a hostile process makes it: no head, too long, too many descriptors, strange control messages. */
static void send_raw(const void *data, size_t n, const int *fds, unsigned nfds)
{
	union { struct cmsghdr align; char bytes[CMSG_SPACE(64 * sizeof(int))]; } control = { .bytes = { 0 } };
	struct iovec iov = { (void *)data, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(end[0], &msg, 0), (ssize_t)n);
}

static void refuses_malformed_packets(void **state)
{
	static unsigned char big[sizeof(struct ipc_head) + IPC_MAX_DATA + 1];
	static const struct { const char *name; size_t n; unsigned nfds; } rows[] = {
		{ "half a head", 4, 0 }, { "half a head with a descriptor", 7, 1 }, { "one byte too long", sizeof big, 0 },
		{ "too long with descriptors", sizeof big, 8 }, { "nine descriptors", 8, 9 }, { "sixty descriptors", 100, 60 },
	};
	int fds[60];

	(void)state;
	for (size_t i = 0; i < 60; i++)
		fds[i] = 0;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned before = open_fds();
		send_raw(big, rows[i].n, fds, rows[i].nfds);
		if (ipc_recv(end[1], &m) != -1 || errno != EBADMSG)
			fail_msg("%s: not refused", rows[i].name);
		if (open_fds() != before)
			fail_msg("%s: a descriptor stayed open", rows[i].name);
		assert_int_equal(m.nfds, 0);
	}
	ipc_send(end[0], 3, 4, "ok", 2, NULL, 0);       /* and the next message is not affected */
	assert_int_equal(ipc_recv(end[1], &m), 1);
	assert_true(ipc_is(&m, 3, 2, 2));
}

static void refuses_other_control_messages(void **state)
{
	int on = 1;

	(void)state;
	assert_int_equal(setsockopt(end[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
	ipc_send(end[0], 3, 4, "ok", 2, NULL, 0);
	assert_int_equal(ipc_recv(end[1], &m), -1);
	assert_int_equal(errno, EBADMSG);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
	const struct CMUnitTest tests[] = {
		T(carries_data), T(carries_descriptors), T(tells_the_end), T(end_with_unread_messages), T(full_and_empty),
		T(waits_no_longer_than_told), T(waits_for_an_answer), T(refuses_malformed_packets), T(refuses_other_control_messages),
	};
	return cmocka_run_group_tests_name("base/ipc", tests, NULL, NULL);
}

/*
 * ipc.c - one message a packet over SOCK_SEQPACKET. Runs in every role, below its sandbox: after ipc_pair it
 * makes no other calls than sendmsg, recvmsg, ppoll and close. What comes in is judged here by its form only;
 * whether type and length fit the protocol is the receiver's part (ipc_is).
 */
#include "base/ipc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
};

int ipc_pair(int fd[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd);
}

int ipc_send(int fd, uint32_t type, uint32_t id, const void *data, size_t len, const int *fds, unsigned nfds)
{
	struct ipc_head head = { type, id };
	struct iovec iov[2] = { { &head, sizeof head }, { (void *)data, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	union control control;
	ssize_t n;

	if (len > IPC_MAX_DATA || nfds > IPC_MAX_FDS) {
		errno = EMSGSIZE;
		return -1;
	}
	if (nfds) {
		struct cmsghdr *c = &control.align;
		memset(&control, 0, sizeof control);
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

/* Takes every descriptor that came, whatever is wrong with the rest: what is not taken cannot be closed. */
static bool take_fds(struct msghdr *msg, struct ipc_message *m)
{
	bool good = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0)) {
			good = false;
			continue;
		}
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (m->nfds < IPC_MAX_FDS) {
				m->fds[m->nfds++] = fd;
			} else {
				close(fd);
				good = false;
			}
		}
	}
	return good;
}

static int receive(int fd, struct ipc_message *m, int flags)
{
	struct iovec iov[2] = { { &m->head, sizeof m->head }, { m->data, sizeof m->data } };
	union control control;
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes,
	};
	bool good;
	ssize_t n;

	m->len = 0;
	m->nfds = 0;
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -1;
	good = take_fds(&msg, m);
	if (n == 0 && m->nfds == 0)
		return 0;
	if (!good || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (size_t)n < sizeof m->head) {
		ipc_drop_fds(m);
		errno = EBADMSG;
		return -1;
	}
	m->len = (size_t)n - sizeof m->head;
	return 1;
}

int ipc_recv(int fd, struct ipc_message *m)
{
	return receive(fd, m, 0);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int ipc_recv_wait(int fd, struct ipc_message *m, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end - now_ms();
		struct timespec t = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
		int n = receive(fd, m, MSG_DONTWAIT);
		if (n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
			return n;
		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (ppoll(&p, 1, &t, NULL) < 0 && errno != EINTR)
			return -1;
	}
}

void ipc_drop_fds(struct ipc_message *m)
{
	int saved = errno;

	for (unsigned i = 0; i < m->nfds; i++)
		close(m->fds[i]);
	m->nfds = 0;
	errno = saved;
}

bool ipc_is(const struct ipc_message *m, uint32_t type, size_t min, size_t max)
{
	return m->head.type == type && m->len >= min && m->len <= max && m->nfds == 0;
}

/*
 * resolver.c - the process that asks the name service: blocking, one question after the other, with bounds on each. Who
 * starts and replaces it: helper.c.
 */
#include "process/resolver.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/ipc.h"
#include "process/names.h"
#include "process/role.h"
#include "process/shared.h"
#include "process/slots.h"

#define ORPHAN_MS 5500                  /* how long it serves children whose master is gone */
#define LOOK_LONGEST 30                 /* s: a look-up that hangs in some module of libc ends the process */

static struct ipc_message message;      /* too large for the stack, and only one at a time is read */

static struct {
	int control, epoll;             /* control -1: the master is gone */
	unsigned sockets;               /* of children */
	struct names *names;
} self;

static int watch(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &ev);
}

/* Closing alone is not enough: the master holds the same description, so that epoll would go on telling of it. */
static void unwatch(int fd)
{
	epoll_ctl(self.epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

static int warm(void *ctx, struct err *e)
{
	(void)ctx;
	names_prepare();
	self.epoll = epoll_create1(EPOLL_CLOEXEC);
	self.names = names_new(names_look, shared_now);
	if (self.epoll < 0 || !self.names || watch(self.control) < 0)
		return err_sys(e, "no memory or no descriptors");
	return 0;
}

static void from_master(void)
{
	int rc = ipc_recv(self.control, &message);

	if (rc == 0) {
		unwatch(self.control);
		self.control = -1;
	}
	if (rc == 1 && message.head.type == HELPER_MSG_ATTACH) {
		for (unsigned i = 0; i < message.nfds; i++) {
			if (watch(message.fds[i]) < 0)
				close(message.fds[i]);
			else
				self.sockets++;
		}
		message.nfds = 0;
	}
	if (rc == 1)
		ipc_drop_fds(&message);
}

/* What nobody waits for any more is not looked up: a queue behind a slow name server must not stay behind for ever. */
static int answer(int fd)
{
	const size_t least = offsetof(struct lookup_question, text) + 1;
	struct lookup_question q = { 0 };
	char out[LOOKUP_ANSWER];
	ssize_t n = -1;

	if (ipc_is(&message, LOOKUP_MSG_ASK, least, sizeof q)) {
		memcpy(&q, message.data, message.len);
		q.text[sizeof q.text - 1] = '\0';
		if (q.until <= shared_now())
			return 0;
		alarm(LOOK_LONGEST);
		n = names_ask(self.names, q.text, out);
		alarm(0);
	}
	ipc_drop_fds(&message);
	return ipc_send(fd, n < 0 ? LOOKUP_MSG_FAILED : LOOKUP_MSG_ANSWER, message.head.id, out, n < 0 ? 0 : (size_t)n, NULL, 0);
}

static void from_child(int fd)
{
	int rc = ipc_recv(fd, &message);

	if (rc == 1 && answer(fd) == 0)
		return;
	if (rc != 0 && (errno == EAGAIN || errno == EINTR))
		return;                 /* a child that reads no answers loses them */
	unwatch(fd);
	self.sockets--;
}

static _Noreturn void run(int control, const struct config *cfg, void *memory, unsigned which)
{
	const struct process_settings *p = cfg->process;
	struct err e = { .text = "" };
	int64_t end = INT64_MAX;

	(void)memory, (void)which;
	self.control = control;
	shared_forget(SHARED_KEEP_NOTHING);
	if (role_enter(ROLE_RESOLVER,
		       &(struct role_wants){ .keep = &control,
					     .nkeep = 1,
					     .uid = shared.root ? p->uid : (uid_t)-1,
					     .gid = p->gid,
					     .files = shared.nslots + 64,
					     .master = shared.master,
					     .warm = warm },
		       &e) < 0) {
		ipc_send(control, HELPER_MSG_FATAL, 0, &e, sizeof e, NULL, 0);
		_exit(ROLE_EXIT_FATAL);
	}
	while (self.control >= 0 || (self.sockets && shared_now() < end)) {
		struct epoll_event ev[16];
		int n = epoll_wait(self.epoll, ev, 16, self.control >= 0 ? -1 : 500);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == self.control)
				from_master();
			else
				from_child(ev[i].data.fd);
		}
		if (self.control < 0 && end == INT64_MAX)
			end = shared_now() + ORPHAN_MS;
	}
	_exit(0);
}

static bool wanted(const struct config *cfg, unsigned which)
{
	(void)which;
	return cfg->site->asks_names;
}

const struct helper_kind resolver_kind = {
	.role = ROLE_RESOLVER, .wanted = wanted, .run = run, .section = LOG_CORE, .died = "BH0133", .none = "BH0134", .lost = "",
	.cost = "rules that need names deny",
};

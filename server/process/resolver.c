/*
 * resolver.c - the process that asks the name service. First half: the master starts it and hands it the children's sockets; it
 * keeps copies, so that a resolver that dies is replaced behind the same sockets. Second half: the process itself, blocking,
 * one question after the other, with bounds on each.
 */
#include "process/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/ipc.h"
#include "log/log.h"
#include "process/generation.h"
#include "process/names.h"
#include "process/policy.h"
#include "process/role.h"
#include "process/shared.h"
#include "process/slots.h"

#define ORPHAN_MS 5500                  /* how long it serves children whose master is gone */
#define LOOK_LONGEST 30                 /* s: a look-up that hangs in some module of libc ends the process */

struct resolver {
	const struct config *cfg;
	pid_t pid;                      /* 0 = none now */
	int control;
	int64_t born;
	struct policy_backoff backoff;
};

static struct ipc_message message;      /* too large for the stack, and only one at a time is read */

static _Noreturn void resolver_run(int control, const struct config *cfg);

/* ------------------------------------------------------------------------------------------------ the master's half */

static void discard(struct resolver *v)
{
	if (v->control >= 0)
		close(v->control);
	v->control = -1;
}

static int start_one(struct resolver *v, struct err *e)
{
	int fd[2];

	discard(v);
	if (ipc_pair(fd) < 0)
		return err_sys(e, "no socket for the resolver");
	v->born = shared_now();
	v->pid = role_fork(ROLE_RESOLVER);
	if (v->pid == 0) {
		close(fd[0]);
		resolver_run(fd[1], v->cfg);
	}
	close(fd[1]);
	v->control = fd[0];
	if (v->pid < 0) {
		v->pid = 0;
		return err_sys(e, "no resolver can be forked");
	}
	/* The master never waits for it. */
	return fcntl(v->control, F_SETFL, O_NONBLOCK) < 0 ? err_sys(e, "the resolver's socket") : 0;
}

struct resolver *resolver_start(const struct config *cfg, struct err *e)
{
	struct resolver *v = calloc(1, sizeof *v);

	if (!v) {
		err_set(e, "no memory");
		return NULL;
	}
	v->cfg = cfg;
	v->control = -1;
	if (start_one(v, e) == 0)
		return v;
	resolver_end(v);
	return NULL;
}

/* One that takes no message hangs. Its successor gets these ends with the others. */
static void give(struct resolver *v, const int *fds, unsigned n)
{
	if (v->pid && v->control >= 0 && ipc_send(v->control, LOOKUP_MSG_ATTACH, 0, NULL, 0, fds, n) < 0)
		kill(v->pid, SIGKILL);
}

int resolver_attach(struct resolver *v, int *child, int *kept)
{
	int fd[2];

	if (ipc_pair(fd) < 0)
		return -1;
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	*child = fd[0];
	*kept = fd[1];
	give(v, &fd[1], 1);
	return 0;
}

static void replace(struct resolver *v, const struct generation *g)
{
	struct err e = { .text = "" };
	char text[1024];
	int *fds = calloc(shared.nslots, sizeof *fds);
	unsigned n = fds ? slots_ends(g, SLOT_NAMES, 0, 1, fds, NULL, shared.nslots) : 0;

	if (fds && start_one(v, &e) == 0) {
		for (unsigned at = 0; at < n; at += IPC_MAX_FDS)
			give(v, fds + at, n - at < IPC_MAX_FDS ? n - at : IPC_MAX_FDS);
	} else {
		log_errorx(NULL, LOG_CORE, "BH0134", "no resolver for generation %u: %s: rules that need names deny until there is one", g->number,
			   err_print(&e, text, sizeof text));
		policy_ended(&v->backoff, POLICY_FATAL, shared_now(), shared_now());
	}
	free(fds);
}

/* What one that could not begin has left behind. */
static const char *last_words(const struct resolver *v, char *buf, size_t n)
{
	struct err e;

	if (v->control < 0 || ipc_recv(v->control, &message) != 1)
		return "";
	if (ipc_is(&message, LOOKUP_MSG_FAILED, sizeof e, sizeof e)) {
		memcpy(&e, message.data, sizeof e);
		e.text[sizeof e.text - 1] = e.remedy[sizeof e.remedy - 1] = '\0';
		return err_print(&e, buf, n);
	}
	ipc_drop_fds(&message);
	return "";
}

bool resolver_reaped(struct resolver *v, const struct generation *g, pid_t pid, int status, int64_t now)
{
	enum policy_end how = slots_class(status, false);
	char words[128], text[1024];

	if (v->pid != pid)
		return false;
	log_errorx(NULL, LOG_CORE, "BH0133", "resolver pid %d of generation %u %s: it is replaced. %s", (int)pid, g->number,
		   slots_status_words(status, words), last_words(v, text, sizeof text));
	v->pid = 0;
	discard(v);
	policy_ended(&v->backoff, how == POLICY_NORMAL ? POLICY_CRASH : how, v->born, now);
	resolver_tick(v, g, now);
	return true;
}

void resolver_tick(struct resolver *v, const struct generation *g, int64_t now)
{
	if (resolver_due(v) <= now)
		replace(v, g);
}

int64_t resolver_due(const struct resolver *v)
{
	return v->pid ? INT64_MAX : policy_due(&v->backoff, true);
}

void resolver_end(struct resolver *v)
{
	if (v)
		discard(v);
	free(v);
}

/* ------------------------------------------------------------------------------------------------ the process itself */

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
	if (rc == 1 && message.head.type == LOOKUP_MSG_ATTACH) {
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

void resolver_run(int control, const struct config *cfg)
{
	const struct process_settings *p = cfg->process;
	struct err e = { .text = "" };
	int64_t end = INT64_MAX;

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
		ipc_send(control, LOOKUP_MSG_FAILED, 0, &e, sizeof e, NULL, 0);
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

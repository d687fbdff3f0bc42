/*
 * spawner.c - the process that starts programs. First half: the master starts it and hands it the children's sockets; it
 * keeps copies, so that a spawner that dies is replaced behind the same sockets. Second half: the process itself: takes the
 * children's orders one after the other and tells them how their programs do (spawnrun.c runs them).
 *
 * The process groups it runs stand in memory that its successor shares: what a dead spawner leaves is killed, so that no
 * program goes on that nobody could end.
 */
#include "process/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/ipc.h"
#include "base/list.h"
#include "log/log.h"
#include "process/generation.h"
#include "process/policy.h"
#include "process/role.h"
#include "process/shared.h"
#include "process/slots.h"
#include "process/spawnrun.h"
#include "request/scripts.h"

#define ORPHAN_MS 5500                  /* how long it serves children whose master is gone */
#define ADOPTED_MS 1000                 /* how often descendants that were left to it are looked for, at most */
#define GROUPS_SIZE (SPAWN_MOST * sizeof(pid_t))

struct spawner {
	const struct config *cfg;
	pid_t pid;                      /* 0 = none now */
	int control;
	pid_t *groups;                  /* shared by all its spawners, one after the other */
	int64_t born;
	struct policy_backoff backoff;
};

static struct ipc_message message;      /* too large for the stack, and only one at a time is read */

static _Noreturn void spawner_run(int control, const struct spawner *v);

/* ------------------------------------------------------------------------------------------------ the master's half */

bool spawner_wanted(const struct config *cfg)
{
	return scripts_wanted(cfg->site);
}

static void discard(struct spawner *v)
{
	if (v->control >= 0)
		close(v->control);
	v->control = -1;
}

static int start_one(struct spawner *v, struct err *e)
{
	int fd[2];

	discard(v);
	if (ipc_pair(fd) < 0)
		return err_sys(e, "no socket for the spawner");
	v->born = shared_now();
	v->pid = role_fork(ROLE_SPAWNER);
	if (v->pid == 0) {
		close(fd[0]);
		spawner_run(fd[1], v);
	}
	close(fd[1]);
	v->control = fd[0];
	if (v->pid < 0) {
		v->pid = 0;
		return err_sys(e, "no spawner can be forked");
	}
	/* The master never waits for it. */
	return fcntl(v->control, F_SETFL, O_NONBLOCK) < 0 ? err_sys(e, "the spawner's socket") : 0;
}

struct spawner *spawner_start(const struct config *cfg, struct err *e)
{
	struct spawner *v = calloc(1, sizeof *v);

	if (!v) {
		err_set(e, "no memory");
		return NULL;
	}
	v->cfg = cfg;
	v->control = -1;
	v->groups = mmap(NULL, GROUPS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->groups == MAP_FAILED) {
		v->groups = NULL;
		err_set(e, "no memory for the spawner's list of programs");
	} else if (start_one(v, e) == 0) {
		return v;
	}
	spawner_end(v);
	return NULL;
}

/* One that takes no message hangs. Its successor gets these ends with the others. */
static void give(struct spawner *v, const int *fds, unsigned n)
{
	if (v->pid && v->control >= 0 && ipc_send(v->control, SPAWN_MSG_ATTACH, 0, NULL, 0, fds, n) < 0)
		kill(v->pid, SIGKILL);
}

int spawner_attach(struct spawner *v, int *child, int *kept)
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

static void replace(struct spawner *v, const struct generation *g)
{
	struct err e = { .text = "" };
	char text[1024];
	int *fds = calloc(shared.nslots, sizeof *fds);
	unsigned n = fds ? slots_ends(g, SLOT_PROGRAMS, 0, 1, fds, NULL, shared.nslots) : 0;

	if (fds && start_one(v, &e) == 0) {
		for (unsigned at = 0; at < n; at += IPC_MAX_FDS)
			give(v, fds + at, n - at < IPC_MAX_FDS ? n - at : IPC_MAX_FDS);
	} else {
		log_errorx(NULL, LOG_CGI, "BH0661", "no spawner for generation %u: %s: programs answer 503 or 504 until there is one", g->number,
			   err_print(&e, text, sizeof text));
		policy_ended(&v->backoff, POLICY_FATAL, shared_now(), shared_now());
	}
	free(fds);
}

/* What one that could not begin has left behind. */
static const char *last_words(const struct spawner *v, char *buf, size_t n)
{
	struct err e;

	if (v->control < 0 || ipc_recv(v->control, &message) != 1)
		return "";
	if (ipc_is(&message, SPAWN_MSG_DEAD, sizeof e, sizeof e)) {
		memcpy(&e, message.data, sizeof e);
		e.text[sizeof e.text - 1] = e.remedy[sizeof e.remedy - 1] = '\0';
		return err_print(&e, buf, n);
	}
	ipc_drop_fds(&message);
	return "";
}

bool spawner_reaped(struct spawner *v, const struct generation *g, pid_t pid, int status, int64_t now)
{
	enum policy_end how = slots_class(status, false);
	char words[128], text[1024];

	if (v->pid != pid)
		return false;
	log_errorx(NULL, LOG_CGI, "BH0660", "spawner pid %d of generation %u %s: it is replaced; programs that ran are ended. %s", (int)pid, g->number,
		   slots_status_words(status, words), last_words(v, text, sizeof text));
	v->pid = 0;
	discard(v);
	policy_ended(&v->backoff, how == POLICY_NORMAL ? POLICY_CRASH : how, v->born, now);
	/* Requests wait for it: the first successor comes without delay, however young the dead one was. */
	if (v->backoff.failures == 1)
		replace(v, g);
	else
		spawner_tick(v, g, now);
	return true;
}

void spawner_tick(struct spawner *v, const struct generation *g, int64_t now)
{
	if (spawner_due(v) <= now)
		replace(v, g);
}

int64_t spawner_due(const struct spawner *v)
{
	return v->pid ? INT64_MAX : policy_due(&v->backoff, true);
}

void spawner_end(struct spawner *v)
{
	if (!v)
		return;
	discard(v);
	if (v->groups)
		munmap(v->groups, GROUPS_SIZE);
	free(v);
}

/* ------------------------------------------------------------------------------------------------ the process itself */

struct customer {                       /* a child */
	struct list item;
	int fd;
	uint32_t id;                    /* of the order that is coming in parts; 0 = none */
	uint32_t total, got;
	char *order;
};

static struct {
	int control, epoll, signals;    /* control -1: the master is gone */
	struct list customers;
	int64_t look_at;                /* when left descendants are to be reaped; INT64_MAX = none died */
} self;

static int watch(int fd, void *what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = what };

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
	sigset_t set;

	(void)ctx;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	self.epoll = epoll_create1(EPOLL_CLOEXEC);
	self.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (self.epoll < 0 || self.signals < 0 || watch(self.control, &self.control) < 0 || watch(self.signals, &self.signals) < 0)
		return err_sys(e, "no memory or no descriptors");
	return 0;
}

static void lose(struct customer *c)
{
	spawnrun_owner_gone(c->fd);
	unwatch(c->fd);
	list_remove(&c->item);
	free(c->order);
	free(c);
}

static void meet(int fd)
{
	struct customer *c = calloc(1, sizeof *c);

	if (!c || watch(fd, c) < 0 || ipc_send(fd, SPAWN_MSG_HELLO, 0, NULL, 0, NULL, 0) < 0) {
		if (c)
			unwatch(fd);
		else
			close(fd);
		free(c);
		return;
	}
	c->fd = fd;
	list_append(&self.customers, &c->item);
}

static void from_master(void)
{
	int rc = ipc_recv(self.control, &message);

	if (rc == 0) {
		unwatch(self.control);
		self.control = -1;
	}
	if (rc == 1 && message.head.type == SPAWN_MSG_ATTACH) {
		int fds[IPC_MAX_FDS];
		unsigned n = message.nfds;

		memcpy(fds, message.fds, sizeof fds);
		message.nfds = 0;
		for (unsigned i = 0; i < n; i++)
			meet(fds[i]);
	}
	if (rc == 1)
		ipc_drop_fds(&message);
}

/* The next part of an order. True when it is whole. */
static bool gather(struct customer *c)
{
	struct spawn_part part;
	size_t n;

	if (message.len < sizeof part)
		return false;
	memcpy(&part, message.data, sizeof part);
	n = message.len - sizeof part;
	if (part.at == 0) {
		free(c->order);
		c->order = part.total && part.total <= SPAWN_ORDER ? malloc(part.total) : NULL;
		c->id = message.head.id;
		c->total = part.total;
		c->got = 0;
	}
	if (!c->order || message.head.id != c->id || part.total != c->total || part.at != c->got || n > c->total - c->got) {
		free(c->order);
		c->order = NULL;
		return false;
	}
	memcpy(c->order + c->got, message.data + sizeof part, n);
	c->got += (uint32_t)n;
	return c->got == c->total;
}

static int take_order(struct customer *c, bool last)
{
	struct spawn_failed failed = { .stage = SPAWN_GONE };
	uint32_t id = message.head.id;
	bool whole = gather(c);
	int errnum = 0;

	if (!last) {
		ipc_drop_fds(&message);
		return 0;
	}
	if (whole && message.nfds == 3)
		failed.stage = (int32_t)spawnrun_start(c->fd, id, c->order, c->total, message.fds, &errnum);
	failed.errnum = errnum;
	ipc_drop_fds(&message);
	free(c->order);
	c->order = NULL;
	if (failed.stage == SPAWN_OK)
		return ipc_send(c->fd, SPAWN_MSG_STARTED, id, NULL, 0, NULL, 0);
	return ipc_send(c->fd, SPAWN_MSG_FAILED, id, &failed, sizeof failed, NULL, 0);
}

static int serve(struct customer *c)
{
	uint32_t kill_all;

	switch (message.head.type) {
	case SPAWN_MSG_PART:
	case SPAWN_MSG_RUN:
		return take_order(c, message.head.type == SPAWN_MSG_RUN);
	case SPAWN_MSG_PING:
		ipc_drop_fds(&message);
		return ipc_send(c->fd, SPAWN_MSG_PONG, message.head.id, NULL, 0, NULL, 0);
	case SPAWN_MSG_OVER:
		if (message.len == sizeof kill_all) {
			memcpy(&kill_all, message.data, sizeof kill_all);
			spawnrun_over(c->fd, message.head.id, kill_all != 0);
		}
		break;
	default:
		break;
	}
	ipc_drop_fds(&message);
	return 0;
}

static void from_child(struct customer *c)
{
	int rc = ipc_recv(c->fd, &message);

	/* A child that reads no news loses them; it gives up by its own time limits. */
	if ((rc == 1 && serve(c) == 0) || (rc != 0 && (errno == EAGAIN || errno == EINTR || errno == EBADMSG)))
		return;
	lose(c);
}

static void from_kernel(void)
{
	struct signalfd_siginfo info;
	int owner, status;
	uint32_t id;

	while (read(self.signals, &info, sizeof info) > 0)
		;
	while (spawnrun_ended(&owner, &id, &status)) {
		int32_t word = status;
		if (owner >= 0)
			ipc_send(owner, SPAWN_MSG_ENDED, id, &word, sizeof word, NULL, 0);
	}
	if (self.look_at == INT64_MAX)
		self.look_at = shared_now() + ADOPTED_MS;
}

/* Until the next time that something is due. */
static int patience(int64_t now)
{
	int64_t due = spawnrun_tick(now);

	if (self.look_at <= now) {
		spawnrun_reap_adopted();
		self.look_at = INT64_MAX;
	}
	if (self.look_at < due)
		due = self.look_at;
	if (self.control < 0 && due > now + 500)
		due = now + 500;
	return due == INT64_MAX ? -1 : due <= now ? 0 : due - now > 60000 ? 60000 : (int)(due - now);
}

static void enter(int control, const struct spawner *v)
{
	const struct process_settings *p = v->cfg->process;
	struct err e = { .text = "" };

	self.control = control;
	self.look_at = INT64_MAX;
	list_init(&self.customers);
	shared_forget(SHARED_KEEP_NOTHING);
	spawnrun_init(v->cfg->site, v->groups);
	if (role_enter(ROLE_SPAWNER,
		       &(struct role_wants){ .keep = &control,
					     .nkeep = 1,
					     .user = p->user && *p->user != '#' ? p->user : NULL,
					     .uid = shared.root ? p->uid : (uid_t)-1,
					     .gid = p->gid,
					     .chroot_dir = p->chroot_dir,
					     .files = shared.nslots + 4 * SPAWN_MOST,
					     .master = shared.master,
					     .warm = warm },
		       &e) == 0) {
		spawnrun_kill_left();
		return;
	}
	ipc_send(control, SPAWN_MSG_DEAD, 0, &e, sizeof e, NULL, 0);
	_exit(ROLE_EXIT_FATAL);
}

void spawner_run(int control, const struct spawner *v)
{
	int64_t end = INT64_MAX;

	enter(control, v);
	while (self.control >= 0 || (!list_empty(&self.customers) && shared_now() < end)) {
		/* One at a time: an event may free what another in the same row points to. */
		struct epoll_event ev;
		int n = epoll_wait(self.epoll, &ev, 1, patience(shared_now()));

		if (n == 1 && ev.data.ptr == &self.control)
			from_master();
		else if (n == 1 && ev.data.ptr == &self.signals)
			from_kernel();
		else if (n == 1)
			from_child(ev.data.ptr);
		if (self.control < 0 && end == INT64_MAX)
			end = shared_now() + ORPHAN_MS;
	}
	spawnrun_kill_all();
	_exit(0);
}

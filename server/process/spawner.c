/*
 * spawner.c - the process that starts programs: takes the children's orders one after the other and tells them how their
 * programs do (spawnrun.c runs them). Who starts and replaces it: helper.c.
 *
 * The process groups it runs stand in memory that its successor shares: what a dead spawner leaves is killed, so that no
 * program goes on that nobody could end.
 */
#include "process/spawner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/ipc.h"
#include "base/list.h"
#include "log/log.h"
#include "process/role.h"
#include "process/shared.h"
#include "process/spawnmap.h"
#include "process/spawnrun.h"
#include "request/account.h"
#include "request/rewrite.h"
#include "request/scripts.h"

#define ORPHAN_MS 5500                  /* how long it serves children whose master is gone */
#define ADOPTED_MS 1000                 /* how often descendants that were left to it are looked for, at most */

static struct ipc_message message;      /* too large for the stack, and only one at a time is read */

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
	spawnmap_customer_gone(c->fd);
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
	if (rc == 1 && message.head.type == HELPER_MSG_ATTACH) {
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

static int tell_failed(int customer, uint32_t id, enum spawn_stage stage, int errnum)
{
	struct spawn_failed failed = { (int32_t)stage, errnum };

	return ipc_send(customer, SPAWN_MSG_FAILED, id, &failed, sizeof failed, NULL, 0);
}

static int take_order(struct customer *c, bool last)
{
	enum spawn_stage stage = SPAWN_GONE;
	uint32_t id = message.head.id;
	bool whole = gather(c);
	int errnum = 0;

	if (!last) {
		ipc_drop_fds(&message);
		return 0;
	}
	if (whole && message.nfds == 3)
		stage = spawnrun_start(c->fd, id, c->order, c->total, message.fds, &errnum);
	ipc_drop_fds(&message);
	free(c->order);
	c->order = NULL;
	return stage == SPAWN_OK ? ipc_send(c->fd, SPAWN_MSG_STARTED, id, NULL, 0, NULL, 0) : tell_failed(c->fd, id, stage, errnum);
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
	case SPAWN_MSG_ASK:
		ipc_drop_fds(&message);
		return spawnmap_ask(c->fd, message.head.id, message.data, message.len);
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
	struct spawn_end end;

	while (read(self.signals, &info, sizeof info) > 0)
		;
	while (spawnrun_ended(SPAWN_ANY, &end)) {
		int32_t status = end.status;
		if (end.owner == SPAWN_OWN)
			spawnmap_ended(end.id, end.status);
		else if (end.owner >= 0 && end.stage != SPAWN_OK)
			tell_failed(end.owner, end.id, end.stage, end.errnum);
		else if (end.owner >= 0)
			ipc_send(end.owner, SPAWN_MSG_ENDED, end.id, &status, sizeof status, NULL, 0);
	}
	if (self.look_at == INT64_MAX)
		self.look_at = shared_now() + ADOPTED_MS;
}

/* Until the next time that something is due. */
static int patience(int64_t now)
{
	int64_t due = spawnrun_tick(now), maps = spawnmap_tick(now);

	if (self.look_at <= now) {
		spawnrun_reap_adopted();
		self.look_at = INT64_MAX;
	}
	if (maps < due)
		due = maps;
	if (self.look_at < due)
		due = self.look_at;
	if (self.control < 0 && due > now + 500)
		due = now + 500;
	return due == INT64_MAX ? -1 : due <= now ? 0 : due - now > 60000 ? 60000 : (int)(due - now);
}

/* To the child that asks, or to any. */
static void say(int customer, const struct spawn_said *what, const char *text, size_t n)
{
	unsigned char packet[sizeof *what + SPAWNMAP_TEXT];

	if (customer < 0 && !list_empty(&self.customers))
		customer = list_entry(self.customers.next, struct customer, item)->fd;
	if (customer < 0 || n > SPAWNMAP_TEXT)
		return;
	memcpy(packet, what, sizeof *what);
	if (n)
		memcpy(packet + sizeof *what, text, n);
	ipc_send(customer, SPAWN_MSG_SAID, 0, packet, sizeof *what + n, NULL, 0);
}

static void enter(int control, const struct config *cfg, pid_t *groups, const struct account *a)
{
	const struct process_settings *p = cfg->process;
	const struct role_wants wants = {
		.keep = &control,
		.nkeep = 1,
		.user = a ? a->user : p->user && *p->user != '#' ? p->user : NULL,
		.uid = a ? a->uid : shared.root ? p->uid : (uid_t)-1,
		.gid = a ? a->gid : p->gid,
		.chroot_dir = p->chroot_dir,
		.files = shared.nslots + 4 * SPAWN_MOST,
		.master = shared.master,
		.warm = warm,
	};
	struct err e = { .text = "" };

	self.control = control;
	self.look_at = INT64_MAX;
	list_init(&self.customers);
	shared_forget(SHARED_KEEP_NOTHING);
	spawnrun_as(a);
	if (spawnrun_init(cfg->site, groups, &e) == 0 && role_enter(ROLE_SPAWNER, &wants, &e) == 0) {
		spawnrun_kill_left();
		if (spawnmap_init(cfg->site, a ? a->number : 0, self.epoll, say, &e) == 0)
			return;
	}
	ipc_send(control, HELPER_MSG_FATAL, 0, &e, sizeof e, NULL, 0);
	_exit(ROLE_EXIT_FATAL);
}

static _Noreturn void run(int control, const struct config *cfg, void *groups, unsigned which)
{
	int64_t end = INT64_MAX;

	enter(control, cfg, groups, account_at(cfg->site, which));
	while (self.control >= 0 || (!list_empty(&self.customers) && shared_now() < end)) {
		/* One at a time: an event may free what another in the same row points to. */
		struct epoll_event ev;
		int n = epoll_wait(self.epoll, &ev, 1, patience(shared_now()));

		if (n == 1 && ev.data.ptr == &self.control)
			from_master();
		else if (n == 1 && ev.data.ptr == &self.signals)
			from_kernel();
		else if (n == 1 && !spawnmap_event(ev.data.ptr, ev.events))
			from_child(ev.data.ptr);
		if (self.control < 0 && end == INT64_MAX)
			end = shared_now() + ORPHAN_MS;
	}
	spawnrun_kill_all();
	_exit(0);
}

_Static_assert(SLOT_ACCOUNTS == ACCOUNTS_MOST, "a socket for each account");

static bool wanted(const struct config *cfg, unsigned which)
{
	bool maps = false;

	if (which)
		return which <= cfg->site->naccounts;
	for (const struct rewrite_program *p = cfg->site->programs; p; p = p->next)
		maps |= !p->account;
	return maps || scripts_wanted(cfg->site);
}

const struct helper_kind spawner_kind = {
	.role = ROLE_SPAWNER, .wanted = wanted, .run = run, .memory = SPAWN_MOST * sizeof(pid_t), .section = LOG_CGI, .died = "BH0660",
	.none = "BH0661", .lost = "; programs that ran are ended", .cost = "programs answer 503 or 504",
};

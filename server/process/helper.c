/*
 * helper.c - the master's half of the processes that children ask (resolver.c, checker.c, spawner.c): it starts one and hands it the
 * children's sockets; it keeps copies, so that one that dies is replaced behind the same sockets. Runs in the master.
 */
#include "process/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ipc.h"
#include "log/log.h"
#include "process/checker.h"
#include "process/generation.h"
#include "process/handover.h"
#include "process/policy.h"
#include "process/resolver.h"
#include "process/shared.h"
#include "process/spawner.h"

static const struct helper_kind *const kinds[SLOT_PROGRAMS + 1] = {
	[SLOT_NAMES] = &resolver_kind, [SLOT_CHECKS] = &checker_kind, [SLOT_PROGRAMS] = &spawner_kind,
};

struct helper {
	const struct helper_kind *kind;
	enum slot_end end;
	void *memory;                   /* kind->memory bytes, shared by all that come one after the other; NULL = none */
	const struct config *cfg;
	pid_t pid;                      /* 0 = none now */
	int control;
	int64_t born;
	struct policy_backoff backoff;
};

static struct ipc_message message;      /* too large for the stack, and only one at a time is read */

static unsigned which(enum slot_end end)
{
	return end > SLOT_PROGRAMS ? (unsigned)end - SLOT_PROGRAMS : 0;
}

static void discard(struct helper *v)
{
	if (v->control >= 0)
		close(v->control);
	v->control = -1;
}

static int start_one(struct helper *v, struct err *e)
{
	int fd[2];

	discard(v);
	if (ipc_pair(fd) < 0)
		return err_sys(e, "no socket for the %s", role_name(v->kind->role));
	v->born = shared_now();
	v->pid = role_fork(v->kind->role);
	if (v->pid == 0) {
		close(fd[0]);
		v->kind->run(fd[1], v->cfg, v->memory, which(v->end));
	}
	close(fd[1]);
	v->control = fd[0];
	if (v->pid < 0) {
		v->pid = 0;
		return err_sys(e, "no %s can be forked", role_name(v->kind->role));
	}
	/* The master never waits for it. */
	return fcntl(v->control, F_SETFL, O_NONBLOCK) < 0 ? err_sys(e, "the socket of the %s", role_name(v->kind->role)) : 0;
}

int helper_start(enum slot_end end, const struct config *cfg, struct helper **h, struct err *e)
{
	const struct helper_kind *kind = kinds[end < SLOT_PROGRAMS ? end : SLOT_PROGRAMS];
	struct helper *v;

	if (!kind || !kind->wanted(cfg, which(end)))
		return 0;
	v = calloc(1, sizeof *v);
	if (!v)
		return err_set(e, "no memory");
	v->kind = kind;
	v->end = end;
	v->cfg = cfg;
	v->control = -1;
	if (kind->memory)
		v->memory = mmap(NULL, kind->memory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->memory == MAP_FAILED) {
		v->memory = NULL;
		err_sys(e, "no memory for the %s", role_name(kind->role));
	} else if (start_one(v, e) == 0) {
		*h = v;
		return 0;
	}
	helper_end(v);
	return -1;
}

/* One that takes no message hangs. Its successor gets these ends with the others. */
static void give(struct helper *v, const int *fds, unsigned n)
{
	if (v->pid && v->control >= 0 && ipc_send(v->control, HELPER_MSG_ATTACH, 0, NULL, 0, fds, n) < 0)
		kill(v->pid, SIGKILL);
}

int helper_attach(struct helper *v, int *child, int *kept)
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

static void replace(struct helper *v, const struct generation *g)
{
	struct err e = { .text = "" };
	char text[1024];
	int *fds = calloc(shared.nslots, sizeof *fds);
	unsigned n = fds ? slots_ends(g, v->end, 0, 1, fds, NULL, shared.nslots) : 0;

	if (fds && start_one(v, &e) == 0) {
		for (unsigned at = 0; at < n; at += IPC_MAX_FDS)
			give(v, fds + at, n - at < IPC_MAX_FDS ? n - at : IPC_MAX_FDS);
	} else {
		log_errorx(NULL, v->kind->section, v->kind->none, "no %s for generation %u: %s: %s until there is one", role_name(v->kind->role), g->number,
			   err_print(&e, text, sizeof text), v->kind->cost);
		policy_ended(&v->backoff, POLICY_FATAL, shared_now(), shared_now());
	}
	free(fds);
}

/* What one that could not begin has left behind. */
static const char *last_words(const struct helper *v, char *buf, size_t n)
{
	struct err e;

	if (v->control < 0 || ipc_recv(v->control, &message) != 1)
		return "";
	if (ipc_is(&message, HELPER_MSG_FATAL, sizeof e, sizeof e)) {
		memcpy(&e, message.data, sizeof e);
		e.text[sizeof e.text - 1] = e.remedy[sizeof e.remedy - 1] = '\0';
		return err_print(&e, buf, n);
	}
	ipc_drop_fds(&message);
	return "";
}

bool helper_reaped(struct helper *v, const struct generation *g, pid_t pid, int status, int64_t now)
{
	enum policy_end how = slots_class(status, false);
	char words[128], text[1024];

	if (v->pid != pid)
		return false;
	log_errorx(NULL, v->kind->section, v->kind->died, "%s pid %d of generation %u %s: it is replaced%s. %s", role_name(v->kind->role), (int)pid,
		   g->number, slots_status_words(status, words), v->kind->lost, last_words(v, text, sizeof text));
	v->pid = 0;
	discard(v);
	policy_ended(&v->backoff, how == POLICY_NORMAL ? POLICY_CRASH : how, v->born, now);
	/* Requests and handshakes wait for it: the first successor comes without delay, however young the dead one was. */
	if (v->backoff.failures == 1)
		replace(v, g);
	else
		helper_tick(v, g, now);
	return true;
}

void helper_tick(struct helper *v, const struct generation *g, int64_t now)
{
	if (helper_due(v) <= now)
		replace(v, g);
}

int64_t helper_due(const struct helper *v)
{
	return v->pid ? INT64_MAX : policy_due(&v->backoff, true);
}

void helper_hand_over(const struct helper *v, FILE *to)
{
	if (v && v->pid)
		handover_put(to, "keeper", v->control, "%d %s", (int)v->pid, role_name(v->kind->role));
}

void helper_end(struct helper *v)
{
	if (!v)
		return;
	discard(v);
	if (v->memory)
		munmap(v->memory, v->kind->memory);
	free(v);
}

/*
 * predecessor.c - the processes of the program before: told to finish, watched until they are gone, buried. Where its slots were taken over
 * (shared.h) its children are in them as those of any other generation that drains, with all that follows; else they are pids that hear
 * signals. What keeps its helpers alive is their control sockets, and its logger, where it lives on, the pipe whose other ends its children hold:
 * the master holds both until the last child is gone. No helper is replaced: that would take the program that is no longer there.
 */
#include "process/predecessor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log/log.h"
#include "process/cache.h"
#include "process/crash.h"
#include "process/generation.h"
#include "process/handover.h"
#include "process/logger.h"
#include "process/shared.h"
#include "process/slots.h"
#include "process/tally.h"
#include "process/tallyover.h"

#define PATIENCE_END 5000               /* ms from TERM to KILL */

static struct {
	struct member {
		pid_t pid;              /* 0: it is gone */
		int fd;                 /* a keeper's control socket; -1 = none */
		bool child;
		struct tallyover_child *counted;
		char role[24];
	} *at;
	unsigned n;
	int life;
	struct generation in_slots;     /* whose children are in the slots; number 0 = none */
	bool here, draining, ending, killing;
	int64_t deadline;
} before = { .life = -1, .deadline = INT64_MAX };

/* ------------------------------------------------------------------------------------------------ giving, taking */

void predecessor_give(FILE *to)
{
	const struct slot *s;

	for (unsigned i = 0; (s = slots_at(i)); i++) {
		struct shared_slot pages;

		if (!s->pid)
			continue;
		shared_slot(i, &pages);
		handover_put(to, "child", -1, "%d %td %td %u %d %d %lld", (int)s->pid, (unsigned char *)pages.counters - shared.map,
			     (unsigned char *)pages.rows - shared.map, i, (int)s->state, s->crash, (long long)s->born);
	}
}

static void adopt_child(const struct handover_line *l)
{
	int pid, state, crash;
	long long born;
	siginfo_t info;
	struct slot *s;
	unsigned i;

	if (sscanf(l->text, "%d %*d %*d %u %d %d %lld", &pid, &i, &state, &crash, &born) != 5 || state <= SLOT_FREE || state >= SLOT_STATES)
		return;
	/* One that has ended is reaped as any child is; one that was reaped already is no child any more. */
	if (pid <= 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !(s = slots_claim(i)))
		return;
	s->pid = pid;
	s->state = (enum slot_state)state;
	s->generation = &before.in_slots;
	s->born = born;
	s->age = cache_age();
	s->crash = crash_adopt(crash);
}

/* What its slots need to be those of a generation. */
static int adopt(struct config *cfg, struct err *e)
{
	const struct handover_line *l = handover_next(NULL, "generation");

	before.in_slots = (struct generation){ .number = l ? (uint32_t)strtoul(l->text, NULL, 10) : 0, .state = GENERATION_DRAINING, .cfg = cfg, .ready = true };
	for (l = handover_next(NULL, "child"); l; l = handover_next(l, "child"))
		adopt_child(l);
	slots_claimed();
	return logger_take_over(before.in_slots.number, e);
}

static bool is_ours(const struct handover_line *keeper)
{
	return !shared.adopted || !strstr(keeper->text, " logger");
}

int predecessor_take(struct config *cfg, struct err *e)
{
	const struct handover_line *l;
	unsigned n = 0;

	if (!handover_pending())
		return 0;
	before.here = true;
	for (l = handover_next(NULL, "child"); l; l = handover_next(l, "child"))
		n++;
	for (l = handover_next(NULL, "keeper"); l; l = handover_next(l, "keeper"))
		n++;
	before.at = calloc(n + 1, sizeof *before.at);
	if (!before.at)
		return err_set(e, "no memory for the processes of the program before");
	if (shared.adopted && adopt(cfg, e) < 0)
		return -1;
	for (l = handover_next(NULL, "child"); l && !shared.adopted; l = handover_next(l, "child")) {
		struct member *m = &before.at[before.n++];

		*m = (struct member){ .pid = (pid_t)atol(l->text), .fd = -1, .child = true, .role = "child" };
		tallyover_count(&m->counted, l);
		/* It may have ended between two programs. */
		if (waitpid(m->pid, NULL, WNOHANG) != 0)
			m->pid = 0;
	}
	for (l = handover_next(NULL, "keeper"); l; l = handover_next(l, "keeper")) {
		const char *role = strchr(l->text, ' ');
		struct member *m;

		if (!is_ours(l))
			continue;
		m = &before.at[before.n++];
		*m = (struct member){ .pid = (pid_t)atol(l->text), .fd = handover_claim(l) };
		snprintf(m->role, sizeof m->role, "%s", role ? role + 1 : "helper");
	}
	if (!shared.adopted)
		before.life = handover_claim(handover_next(NULL, "life"));
	return 0;
}

/* ------------------------------------------------------------------------------------------------ life */

bool predecessor_lives(void)
{
	for (unsigned i = 0; i < before.n; i++)
		if (before.at[i].child && before.at[i].pid)
			return true;
	return before.in_slots.number && slots_living(&before.in_slots);
}

bool predecessor_has(const struct generation *g)
{
	return g == &before.in_slots;
}

static void tell(int signal, enum slot_event event)
{
	if (before.in_slots.number)
		slots_tell(&before.in_slots, event);
	for (unsigned i = 0; i < before.n; i++)
		if (before.at[i].child && before.at[i].pid)
			kill(before.at[i].pid, signal);
}

void predecessor_drain(bool hard, int64_t patience_ms, int64_t now)
{
	if (before.killing)
		return;
	if (hard && !before.ending) {
		tell(SIGTERM, SLOT_END);
		before.ending = true;
		before.deadline = now + PATIENCE_END;
	} else if (!hard && !before.ending) {
		tell(SIGQUIT, SLOT_DRAIN);
		before.deadline = patience_ms > 0 ? now + patience_ms : INT64_MAX;
	}
	before.draining = true;
}

void predecessor_hurry(int64_t patience_ms, int64_t now)
{
	if (!before.ending && before.deadline > now + patience_ms)
		before.deadline = now + patience_ms;
}

/* Those that served its children end by this. */
static void let_go(void)
{
	if (!before.here)
		return;
	before.here = false;
	tallyover_end();
	if (before.in_slots.number) {
		slots_forget(&before.in_slots);
		logger_drop(before.in_slots.number);
		tally_adopt_over();
		crash_adopt_over();
	}
	if (before.life >= 0)
		close(before.life);
	before.life = -1;
	for (unsigned i = 0; i < before.n; i++) {
		if (before.at[i].fd >= 0)
			close(before.at[i].fd);
		before.at[i].fd = -1;
	}
	before.deadline = INT64_MAX;
}

void predecessor_tick(int64_t now)
{
	/* While there is a way back all stays as it was. */
	if (handover_pending() || !before.here)
		return;
	if (!predecessor_lives()) {
		let_go();
		return;
	}
	if (!before.draining || now < before.deadline)
		return;
	tell(before.ending ? SIGKILL : SIGTERM, before.ending ? SLOT_KILL : SLOT_END);
	before.killing = before.ending;
	before.ending = true;
	before.deadline = before.killing ? INT64_MAX : now + PATIENCE_END;
}

int64_t predecessor_due(void)
{
	return predecessor_lives() ? before.deadline : INT64_MAX;
}

bool predecessor_reaped(pid_t pid, int status)
{
	for (unsigned i = 0; i < before.n; i++) {
		struct member *m = &before.at[i];
		bool expected = m->child ? before.draining : m->fd < 0;
		char words[128];

		if (m->pid != pid)
			continue;
		m->pid = 0;
		if (m->child && status)
			eventfd_write(shared.look, 1);
		tallyover_count_again(m->counted);
		tallyover_forget(m->counted);
		m->counted = NULL;
		slots_status_words(status, words);
		if (m->child && !(WIFEXITED(status) && WEXITSTATUS(status) == 0) && !before.ending)
			log_put(NULL, LOG_MPM, LOG_L_NOTICE, "BH0876", 0, "child pid %d of the program before %s: no report", (int)pid, words);
		else if (!m->child && !expected)
			log_put(NULL, LOG_MPM, LOG_L_ERROR, "BH0876", 0,
				"%s pid %d of the program before %s: it is not replaced; the last connections of its children do without", m->role, (int)pid, words);
		return true;
	}
	return false;
}

void predecessor_end(int wait_ms)
{
	int64_t end = shared_now() + wait_ms;

	let_go();
	for (unsigned i = 0; i < before.n; i++)
		while (before.at[i].pid && strcmp(before.at[i].role, "logger") == 0) {
			if (waitpid(before.at[i].pid, NULL, WNOHANG) != 0)
				before.at[i].pid = 0;
			else if (shared_now() > end)
				break;
			else
				nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		}
	free(before.at);
	before.at = NULL;
	before.n = 0;
}

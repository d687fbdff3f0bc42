/*
 * hang.c - looks whether the children's loops turn. Master only.
 *
 * A child shows when its turn under way began, 0 while it waits for events. The master looks four times in HangTimeout, at
 * most every 15 s, and adds up how long it saw the same turn. Only the master's own looks count, and a late one counts as
 * one: when the machine, its virtual machine or all processes slept, no child seems to have hung. A child that somebody
 * stopped (SIGSTOP, a debugger) does not hang: it is named once and left alone.
 */
#include "process/hang.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "log/log.h"
#include "process/crash.h"
#include "process/generation.h"
#include "process/shared.h"
#include "process/slots.h"

#define LOOK_LEAST 1000
#define LOOK_MOST 15000
#define START_LEAST 30000               /* ms that a child may need to be ready */
#define PATIENCE 5000                   /* ms from ABRT to KILL … */
#define PATIENCE_DYING 60000            /* … and where its snapshot is taken: the kernel writes a core */

static int64_t looked;

static int64_t timeout_of(const struct slot *s)
{
	int64_t t = s->pid && s->state != SLOT_KILLED ? s->generation->cfg->process->hang_timeout_ms : 0;

	return t > 0 && s->state == SLOT_STARTING && t < START_LEAST ? START_LEAST : t;
}

static int64_t period(int64_t timeout)
{
	return timeout / 4 < LOOK_LEAST ? LOOK_LEAST : timeout / 4 > LOOK_MOST ? LOOK_MOST : timeout / 4;
}

/* By a signal, or by a debugger. */
static bool stopped(pid_t pid)
{
	char path[32], text[512] = "", *at;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	at = strrchr(text, ')');
	return at && (at[1] == ' ') && (at[2] == 'T' || at[2] == 't');
}

static int64_t patience(const struct slot *s)
{
	return s->hang.told + (crash_dies(s->crash, s->pid) ? PATIENCE_DYING : PATIENCE);
}

/* It was told to abort. Returns when it will be killed. */
static int64_t see_it_die(struct slot *s, int64_t now)
{
	if (now < patience(s))
		return patience(s);
	log_errorx(NULL, LOG_MPM, "BH0161", "child pid %d did not end within %d s after SIGABRT: it is killed", (int)s->pid,
		   (int)((now - s->hang.told) / 1000));
	slots_kill(s);
	return INT64_MAX;
}

static void end_it(struct slot *s, unsigned i, int64_t now)
{
	log_errorx(NULL, LOG_MPM, "BH0160", "child pid %d in slot %u has not gone on for %d s (HangTimeout): it is ended, a report follows",
		   (int)s->pid, i, (int)(s->hang.stuck / 1000));
	s->hang.told = now;
	kill(s->pid, SIGABRT);
}

static void leave_alone(struct slot *s, unsigned i)
{
	s->hang.stuck = 0;
	if (s->hang.said)
		return;
	s->hang.said = true;
	eventfd_write(shared.look, 1);          /* it may have been told that a client waits */
	log_warnx(NULL, LOG_MPM, "BH0162", "child pid %d in slot %u is stopped, by a signal or a debugger: it is left alone, and its clients wait",
		  (int)s->pid, i);
}

static void look(struct slot *s, unsigned i, int64_t passed, int64_t now)
{
	struct shared_slot pages;
	uint64_t busy;

	shared_slot(i, &pages);
	busy = atomic_load_explicit(&pages.counters->busy, memory_order_relaxed);
	if (busy != s->hang.busy || (!busy && s->state != SLOT_STARTING)) {
		s->hang = (struct hang){ .busy = busy };
		return;
	}
	s->hang.stuck += passed;
	if (s->hang.stuck < timeout_of(s))
		return;
	if (stopped(s->pid))
		leave_alone(s, i);
	else
		end_it(s, i, now);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t hang_tick(int64_t now)
{
	int64_t every = INT64_MAX, due = INT64_MAX, passed;
	struct slot *s;

	for (unsigned i = 0; (s = slots_at(i)); i++)
		if (timeout_of(s) > 0) {
			every = earlier(every, period(timeout_of(s)));
			if (s->hang.told)
				due = earlier(due, see_it_die(s, now));
		}
	if (every == INT64_MAX) {
		looked = 0;
		return INT64_MAX;
	}
	if (looked && now - looked < every)
		return earlier(due, looked + every);
	passed = looked ? earlier(now - looked, every + LOOK_LEAST) : 0;
	looked = now;
	for (unsigned i = 0; (s = slots_at(i)); i++) {
		if (timeout_of(s) > 0 && !s->hang.told)
			look(s, i, passed, now);
		if (timeout_of(s) > 0 && s->hang.told)
			due = earlier(due, patience(s));
	}
	return earlier(due, now + every);
}

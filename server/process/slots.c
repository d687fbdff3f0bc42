/*
 * slots.c - the table of child slots: forking, states, reaping, classing an end. Master only; what children write into
 * their slot's pages is read here as numbers that may be anything.
 */
#include "process/slots.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crashdump/activity.h"
#include "log/log.h"
#include "process/cache.h"
#include "process/child.h"
#include "process/crash.h"
#include "process/crowd.h"
#include "process/generation.h"
#include "process/hang.h"
#include "process/helper.h"
#include "process/keyholder.h"
#include "process/role.h"
#include "process/shared.h"
#include "process/tally.h"
#include "process/upgrade.h"

#define SPAWN_AT_ONCE 32
#define FORK_RETRY_FIRST 1000
#define FORK_RETRY_LAST 30000
#define GATE_LOOK 2                     /* ms */
#define GATE_PATIENCE 1000
#define LIVE_PAUSE 1000                 /* ms between two live snapshots of a child */

static const unsigned char next_state[SLOT_STATES][SLOT_EVENTS] = {
	/*                  FORKED         READY          DRAIN          END          KILL         REAPED */
	[SLOT_FREE]     = { SLOT_STARTING, SLOT_FREE,     SLOT_FREE,     SLOT_FREE,   SLOT_FREE,   SLOT_FREE },
	[SLOT_STARTING] = { SLOT_STARTING, SLOT_SERVING,  SLOT_DRAINING, SLOT_ENDING, SLOT_KILLED, SLOT_FREE },
	[SLOT_SERVING]  = { SLOT_SERVING,  SLOT_SERVING,  SLOT_DRAINING, SLOT_ENDING, SLOT_KILLED, SLOT_FREE },
	[SLOT_DRAINING] = { SLOT_DRAINING, SLOT_DRAINING, SLOT_DRAINING, SLOT_ENDING, SLOT_KILLED, SLOT_FREE },
	[SLOT_ENDING]   = { SLOT_ENDING,   SLOT_ENDING,   SLOT_ENDING,   SLOT_ENDING, SLOT_KILLED, SLOT_FREE },
	[SLOT_KILLED]   = { SLOT_KILLED,   SLOT_KILLED,   SLOT_KILLED,   SLOT_KILLED, SLOT_KILLED, SLOT_FREE },
};
/* The signal that an event sends to a living child. */
static const int event_signal[SLOT_EVENTS] = {
	[SLOT_DRAIN] = SIGQUIT, [SLOT_END] = SIGTERM, [SLOT_KILL] = SIGKILL
};

static struct slot *table;
static unsigned nslots, used;
static struct policy_bucket failed = { .rate = POLICY_RATE, .burst = POLICY_BURST }, killed = { .rate = POLICY_HAND_RATE, .burst = POLICY_HAND_BURST };
static int64_t fork_retry, fork_delay;
static bool gated;                      /* children wait with their first connection */
static int64_t gate_told;               /* since when all older ones are told to stop; 0 = not all are */

int slots_init(unsigned n, struct err *e)
{
	table = calloc(n, sizeof *table);
	if (!table)
		return err_set(e, "no memory for %u slots", n);
	nslots = n;
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < SLOT_ENDS; k++)
			table[i].ends[k] = -1;
	return 0;
}

static void step(struct slot *s, enum slot_event event)
{
	enum slot_state before = s->state;

	s->state = (enum slot_state)next_state[before][event];
	if (s->pid && s->state != before && event_signal[event])
		kill(s->pid, event_signal[event]);
}

static bool serves(const struct slot *s, const struct generation *g)
{
	return s->generation == g && s->pid && (s->state == SLOT_STARTING || s->state == SLOT_SERVING);
}

static bool any_serves(const struct generation *g)
{
	for (unsigned i = 0; i < used; i++)
		if (serves(&table[i], g))
			return true;
	return false;
}

static struct policy_bucket *bucket_of(const struct slot *s)
{
	return s->backoff.by_hand ? &killed : &failed;
}

/* Whether a free slot has to wait before it is tried again for g. With nobody alive, one is always tried. */
static bool must_wait(const struct slot *s, const struct generation *g, bool alone, int64_t now)
{
	if (s->generation != g || !s->backoff.failures)
		return false;
	if (policy_due(&s->backoff, alone) > now)
		return true;
	return !alone && policy_token_due(bucket_of(s), now) > now;
}

int64_t slots_due(const struct generation *g, int64_t now)
{
	bool alone = !any_serves(g);
	int64_t due = INT64_MAX;

	for (unsigned i = 0; i < used; i++) {
		const struct slot *s = &table[i];
		int64_t at;

		if (s->pid || s->generation != g || !must_wait(s, g, alone, now))
			continue;
		at = policy_due(&s->backoff, alone);
		if (at <= now)
			at = policy_token_due(bucket_of(s), now);
		if (at < due)
			due = at;
	}
	return fork_retry > now && fork_retry < due ? fork_retry : due;
}

/* ------------------------------------------------------------------------------------------------ forking */

/* One whose turn has come again, else the first that is nobody's. */
static int choose(const struct generation *g, bool alone, int64_t now)
{
	int fresh = -1;

	for (unsigned i = 0; i < nslots; i++) {
		const struct slot *s = &table[i];

		if (s->pid)
			continue;
		if (s->generation == g && !must_wait(s, g, alone, now))
			return (int)i;
		if (!s->generation && fresh < 0)
			fresh = (int)i;
		if (i >= used && fresh >= 0)
			break;
	}
	return fresh;
}

static void fork_failed(int64_t now)
{
	fork_delay = fork_delay ? fork_delay * 2 : FORK_RETRY_FIRST;
	if (fork_delay > FORK_RETRY_LAST)
		fork_delay = FORK_RETRY_LAST;
	fork_retry = now + fork_delay;
	log_error(
		NULL, LOG_MPM, "BH0121",
		"no further child can be forked, next try in %d s (the limits are pids.max of the control group and kernel.pid_max)",
		(int)(fork_delay / 1000));
}

static void close_ends(int ends[SLOT_ENDS])
{
	for (unsigned k = 0; k < SLOT_ENDS; k++) {
		if (ends[k] >= 0)
			close(ends[k]);
		ends[k] = -1;
	}
}

/* Sockets between the child to be and its helpers. */
static int attach(const struct generation *g, unsigned i, struct child_start *begin)
{
	int *ends = table[i].ends;

	if (g->keyholders && keyholders_attach(g->keyholders, i, &begin->ends[SLOT_KEYS], &ends[SLOT_KEYS]) < 0)
		return -1;
	for (enum slot_end end = 0; end < SLOT_ENDS; end++)
		if (g->helpers[end] && helper_attach(g->helpers[end], &begin->ends[end], &ends[end]) < 0)
			return -1;
	return 0;
}

static int start(struct generation *g, unsigned i, int64_t now)
{
	struct slot *s = &table[i];
	struct child_start begin = {
		.generation = g, .slot = i, .crash = crash_take(), .waits = gated,
	};
	struct shared_slot pages;

	shared_slot(i, &pages);
	atomic_store_explicit(pages.ready, 0, memory_order_relaxed);
	atomic_store_explicit(pages.open, !gated, memory_order_relaxed);
	tally_retire(&pages);
	crowd_clear(i);
	crash_tick(g->cfg, now);
	atomic_store_explicit(pages.no_core, crash_no_cores(), memory_order_relaxed);
	activity_reset(pages.activity, (uint64_t)now);
	if (i >= used) {
		used = i + 1;
		atomic_store_explicit(&shared_head()->used, used, memory_order_release);
	}
	for (enum slot_end end = 0; end < SLOT_ENDS; end++)
		begin.ends[end] = -1;
	if (attach(g, i, &begin) < 0)
		log_error(NULL, LOG_MPM, "BH0122", "no socket between a child and its keyholder, resolver, checker or spawner");
	else if ((s->pid = role_fork(ROLE_CHILD)) == 0)
		child_run(&begin);
	else if (s->pid < 0)
		fork_failed(now);
	close_ends(begin.ends);
	if (s->pid <= 0) {
		s->pid = 0;
		close_ends(s->ends);
		crash_untaken(begin.crash);
		return -1;
	}
	fork_delay = 0;
	atomic_store_explicit(pages.pid, (uint32_t)s->pid, memory_order_relaxed);
	atomic_store_explicit(pages.generation, g->number, memory_order_relaxed);
	s->generation = g;
	s->born = now;
	s->age = cache_age();
	s->crash = begin.crash;
	s->hang = (struct hang){ 0 };
	s->live = 0;
	step(s, SLOT_FORKED);
	return 0;
}

unsigned slots_spawn(struct generation *g, unsigned count, int64_t now)
{
	unsigned begun = 0;

	if (count > SPAWN_AT_ONCE)
		count = SPAWN_AT_ONCE;
	while (begun < count && now >= fork_retry) {
		bool alone = !any_serves(g);
		int i = choose(g, alone, now);

		if (i < 0)
			break;
		if (table[i].generation == g && table[i].backoff.failures && !policy_take(bucket_of(&table[i]), now) &&
		    !alone)
			break;
		if (start(g, (unsigned)i, now) < 0)
			break;
		begun++;
	}
	return begun;
}

/* ------------------------------------------------------------------------------------------------ looking */

static bool older(const struct slot *s)
{
	return s->pid && s->age < cache_age();
}

void slots_look(struct generation *g, struct policy_view *v)
{
	int64_t now = shared_now();
	bool alone = !any_serves(g);

	*v = (struct policy_view){ 0 };
	for (unsigned i = 0; i < used; i++) {
		struct slot *s = &table[i];
		struct shared_slot pages;

		if (s->generation != g || (g->renews && older(s)))
			continue;
		if (!s->pid) {
			v->starting += must_wait(s, g, alone, now);
			continue;
		}
		shared_slot(i, &pages);
		if (s->state == SLOT_STARTING && atomic_load_explicit(pages.ready, memory_order_acquire)) {
			step(s, SLOT_READY);
			g->ready = true;
		}
		if (s->state == SLOT_STARTING)
			v->starting++;
		else if (s->state != SLOT_SERVING ||
			 atomic_load_explicit(&pages.counters->draining, memory_order_relaxed))
			v->draining++;
		else if (policy_busy(atomic_load_explicit(&pages.counters->open, memory_order_relaxed),
				     g->plan.limit))
			v->busy++;
		else
			v->spare++;
	}
}

struct slot *slots_at(unsigned i)
{
	return i < used ? &table[i] : NULL;
}

void slots_kill(struct slot *s)
{
	step(s, SLOT_KILL);
}

int64_t slots_live(int64_t now)
{
	int64_t due = INT64_MAX;

	for (unsigned i = 0; i < used; i++) {
		struct slot *s = &table[i];
		struct shared_slot pages;

		if (!s->pid)
			continue;
		shared_slot(i, &pages);
		if (!atomic_load_explicit(&pages.counters->live, memory_order_acquire))
			continue;
		/* One that says so all the time was taken over: it costs no more than a job a second. */
		if (s->live && now - s->live < LIVE_PAUSE) {
			due = s->live + LIVE_PAUSE;
			continue;
		}
		s->live = now;
		atomic_store_explicit(&pages.counters->live, 0, memory_order_relaxed);
		crash_live(s->generation->cfg, s->crash, s->pid);
	}
	return due;
}

void slots_retire_one(struct generation *g)
{
	struct slot *best = NULL;
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < used; i++) {
		struct slot *s = &table[i];
		struct shared_slot pages;
		uint32_t open;

		if (s->generation != g || s->state != SLOT_SERVING)
			continue;
		shared_slot(i, &pages);
		open = atomic_load_explicit(&pages.counters->open, memory_order_relaxed);
		if (open < least && !atomic_load_explicit(&pages.counters->draining, memory_order_relaxed)) {
			least = open;
			best = s;
		}
	}
	if (best)
		step(best, SLOT_DRAIN);
}

void slots_tell(struct generation *g, enum slot_event how)
{
	for (unsigned i = 0; i < used; i++)
		if (table[i].generation == g && table[i].pid)
			step(&table[i], how);
}

unsigned slots_tell_older(struct generation *g, enum slot_event how)
{
	unsigned n = 0;

	for (unsigned i = 0; i < used; i++)
		if (table[i].generation == g && older(&table[i])) {
			step(&table[i], how);
			n++;
		}
	return n;
}

bool slots_older(void)
{
	for (unsigned i = 0; i < used; i++)
		if (older(&table[i]))
			return true;
	return false;
}

void slots_gate(void)
{
	gated = true;
	gate_told = 0;
}

/* How many older children may take connections yet. *told: all of them know that they are to stop. */
static unsigned listening(bool *told)
{
	unsigned n = 0;

	*told = true;
	for (unsigned i = 0; i < used; i++) {
		struct shared_slot pages;

		if (!older(&table[i]))
			continue;
		shared_slot(i, &pages);
		if (atomic_load_explicit(&pages.counters->draining, memory_order_acquire))
			continue;
		n++;
		*told &= table[i].state != SLOT_STARTING && table[i].state != SLOT_SERVING;
	}
	return n;
}

int64_t slots_gate_tick(int64_t now)
{
	bool told;

	if (!gated)
		return INT64_MAX;
	if (listening(&told)) {
		if (!told)
			return INT64_MAX;
		if (!gate_told)
			gate_told = now;
		if (now - gate_told < GATE_PATIENCE)
			return now + GATE_LOOK;
	}
	gated = false;
	for (unsigned i = 0; i < used; i++) {
		struct shared_slot pages;

		shared_slot(i, &pages);
		atomic_store_explicit(pages.open, 1, memory_order_release);
	}
	return INT64_MAX;
}

void slots_cores(bool may)
{
	for (unsigned i = 0; i < used; i++) {
		struct shared_slot pages;

		shared_slot(i, &pages);
		atomic_store_explicit(pages.no_core, !may, memory_order_relaxed);
	}
}

unsigned slots_living(const struct generation *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < used; i++)
		n += table[i].generation == g && table[i].pid;
	return n;
}

void slots_forget(struct generation *g)
{
	for (unsigned i = 0; i < used; i++)
		if (table[i].generation == g && !table[i].pid) {
			table[i].generation = NULL;
			table[i].backoff = (struct policy_backoff){ 0 };
		}
}

unsigned slots_ends(const struct generation *g, enum slot_end end, unsigned which, unsigned modulo, int *fds,
		    uint32_t *slots, unsigned room)
{
	unsigned n = 0;

	for (unsigned i = which; i < used && n < room; i += modulo) {
		if (table[i].generation != g || !table[i].pid || table[i].ends[end] < 0)
			continue;
		if (slots)
			slots[n] = i;
		fds[n++] = table[i].ends[end];
	}
	return n;
}

/* ------------------------------------------------------------------------------------------------ ends */

char *slots_status_words(int status, char *buf)
{
	if (WIFSIGNALED(status))
		snprintf(buf, 128, "exit signal %s (%d)%s", strsignal(WTERMSIG(status)), WTERMSIG(status),
			 WCOREDUMP(status) ? ", core dumped" : ", no core");
	else
		snprintf(buf, 128, "exit code %d", WEXITSTATUS(status));
	return buf;
}

enum policy_end slots_class(int status, bool killed_by_us)
{
	if (WIFEXITED(status)) {
		switch (WEXITSTATUS(status)) {
		case 0: return POLICY_NORMAL;
		case ROLE_EXIT_SICK: return POLICY_SICK;
		case ROLE_EXIT_FATAL: return POLICY_FATAL;
		default: return POLICY_CRASH;
		}
	}
	if (killed_by_us && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM))
		return POLICY_NORMAL;
	switch (WTERMSIG(status)) {
	case SIGKILL: return POLICY_KILLED;
	case SIGSYS: return POLICY_SANDBOX;
	default: return POLICY_CRASH;
	}
}

static void tell_end(const struct slot *s, unsigned i, int status, enum policy_end how, bool hung)
{
	char words[128];

	slots_status_words(status, words);
	if (how == POLICY_NORMAL) {
		log_debugx(NULL, LOG_MPM, "BH0123", "child pid %d in slot %u ended (%s)", (int)s->pid, i,
			   words);
		return;
	}
	log_put(NULL, LOG_MPM, WIFSIGNALED(status) ? LOG_L_NOTICE : LOG_L_ERROR, "BH0120", 0,
		"child pid %d %s: it %s (slot %u, generation %u)", (int)s->pid, words,
		hung ? "hung" : policy_end_words(how), i, s->generation->number);
}

/* What its child did counts for good; nobody has the slot. */
static void forget_child(unsigned i)
{
	struct shared_slot pages;

	shared_slot(i, &pages);
	atomic_store_explicit(pages.pid, 0, memory_order_relaxed);
	tally_retire(&pages);
	crowd_clear(i);
}

bool slots_reaped(pid_t pid, int status, int64_t now)
{
	for (unsigned i = 0; i < used; i++) {
		struct slot *s = &table[i];
		struct generation *g = s->generation;
		bool ours = s->state == SLOT_KILLED || s->state == SLOT_ENDING;
		bool hung = s->hang.told && WIFSIGNALED(status) && (WTERMSIG(status) == SIGABRT || WTERMSIG(status) == SIGKILL);
		enum policy_end how;
		uint64_t fingerprint;

		if (s->pid != pid)
			continue;
		how = hung ? POLICY_CRASH : slots_class(status, ours);
		tell_end(s, i, status, how, hung);
		tally_end(how, hung);
		fingerprint = crash_reaped(g->cfg, s->crash, pid, status,
					   hung ? CRASH_HUNG : how == POLICY_CRASH || how == POLICY_SANDBOX ? CRASH_CRASHED : CRASH_NONE);
		s->crash = -1;
		if (s->state == SLOT_STARTING && how != POLICY_NORMAL && !g->ready)
			g->failed_starts++;
		if (s->state != SLOT_STARTING && !hung && (how == POLICY_CRASH || how == POLICY_SANDBOX))
			upgrade_crashed();
		if (how == POLICY_KILLED && s->state != SLOT_STARTING)
			policy_killed(&s->backoff, now);
		else
			policy_crashed(&s->backoff, how, fingerprint, s->born, now);
		step(s, SLOT_REAPED);
		s->pid = 0;
		forget_child(i);
		close_ends(s->ends);
		if (!s->backoff.failures || g->state == GENERATION_DRAINING)
			s->generation = NULL;
		/* Its last lines are in its ring. Its end may have taken along that a client waits. */
		eventfd_write(shared.log_wake, 1);
		if (status)
			eventfd_write(shared.look, 1);
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------------------ taken over */

struct slot *slots_claim(unsigned i)
{
	if (i >= nslots || table[i].pid)
		return NULL;
	if (i >= used)
		used = i + 1;
	return &table[i];
}

void slots_claimed(void)
{
	uint32_t known = atomic_load_explicit(&shared_head()->used, memory_order_relaxed);

	if (known > used)
		used = known < nslots ? known : nslots;
	for (unsigned i = 0; i < used; i++) {
		struct shared_slot pages;

		shared_slot(i, &pages);
		if (table[i].pid)
			atomic_store_explicit(pages.open, 1, memory_order_release);     /* its gate was that of the program before */
		else
			forget_child(i);
	}
}

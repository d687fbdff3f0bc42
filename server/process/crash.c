/*
 * crash.c - crash slots, and what follows a crash, a hang or the wish for a live snapshot: at once one line from its crash
 * slot, then a job's report. Master only. Never more reports than a job at a time, and ten of crashes a minute: a storm of
 * crashes must not become one of reports.
 */
#include "process/crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "crashdump/crashdump.h"
#include "log/log.h"
#include "process/job.h"
#include "process/shared.h"
#include "process/slots.h"

#define MINUTE 60000
#define A_MINUTE 10

static struct waiting {
	bool used, running;
	int pair;
	struct job_crash job;
} queue[SHARED_CRASH_QUEUE];
/* A pair is free when neither a child nor a report needs it. */
static struct pair {
	bool child;
	bool live;                      /* a report of its live snapshot waits or is written */
	unsigned reports;               /* of both slots */
} *pairs;
static unsigned npairs;
static struct process_settings account; /* whom the job becomes: outlives the configuration it came from */
static char account_user[128];
static int64_t minute;
static unsigned reports, unreported;

static void next(void);

/* ------------------------------------------------------------------------------------------------ pairs of crash slots */

int crash_take(void)
{
	if (!shared.crash_pool)
		return -1;
	if (!pairs) {
		npairs = shared.nslots + SHARED_CRASH_QUEUE;
		pairs = calloc(npairs, sizeof *pairs);
	}
	for (unsigned i = 0; pairs && i < npairs; i++)
		if (!pairs[i].child && !pairs[i].reports) {
			pairs[i] = (struct pair){ .child = true };
			return (int)i;
		}
	return -1;
}

void crash_untaken(int pair)
{
	if (pair >= 0)
		pairs[pair].child = false;
}

static void give_back(int slot, int pair)
{
	crash_pool_free(shared.crash_pool, slot);
	if (slot == SHARED_LIVE_SLOT(pair))
		pairs[pair].live = false;
	pairs[pair].reports--;
}

bool crash_dies(int pair, pid_t pid)
{
	struct crash_summary s;

	return pair >= 0 && crash_pool_owner(shared.crash_pool, SHARED_CRASH_SLOT(pair)) == pid &&
	       crash_pool_summary(shared.crash_pool, SHARED_CRASH_SLOT(pair), &s) == 0 && s.complete;
}

/* ------------------------------------------------------------------------------------------------ reports */

static const char *subject(const struct waiting *w)
{
	return w->job.kind == CRASH_KIND_LIVE ? "live snapshot" : w->job.kind == CRASH_KIND_HANG ? "hang" : "crash";
}

static void no_report(const struct waiting *w, const char *why)
{
	log_warnx(NULL, LOG_CRASH, "BH0127", "no report of the %s of pid %d: %s", subject(w), (int)w->job.pid, why);
}

static void printable(const char *in, size_t n, char *out, size_t room)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at + 1 < room; i++)
		out[at++] = in[i] >= ' ' && in[i] != 0x7f ? in[i] : ' ';
	out[at] = '\0';
}

static void reported(void *ctx, const struct job_result *r)
{
	struct waiting *w = ctx;
	bool live = w->job.kind == CRASH_KIND_LIVE;
	char line[1024], words[128], why[160];

	printable(r->text, r->n, line, sizeof line);
	if (*line && live && r->ok)
		log_noticex(NULL, LOG_CRASH, "BH0163", "child pid %d was looked at: %s", (int)w->job.pid, line);
	else if (*line)
		log_put(NULL, LOG_CRASH, r->ok ? LOG_L_ERROR : LOG_L_WARN, "BH0126", 0, "%s", line);
	else {
		snprintf(why, sizeof why, "the job %s", r->timeout ? "was stopped after 30 s" : slots_status_words(r->status, words));
		no_report(w, why);
	}
	give_back(w->job.slot, w->pair);
	w->used = false;
	next();
}

static void begin(struct waiting *w)
{
	struct job_place place = { .settings = &account, .keep = &shared.core_dir_fd, .nkeep = 1, .crash_slot = w->job.slot };
	struct err e = { .text = "" };

	/* The folder of now: it may have been opened anew since the crash. */
	w->job.dir_fd = shared.core_dir_fd;
	w->job.dir = shared.core_dir;
	w->running = true;
	if (job_run(&job_kind_crash, &w->job, &place, reported, w, &e) > 0)
		return;
	no_report(w, e.text);
	give_back(w->job.slot, w->pair);
	w->used = false;
}

static void next(void)
{
	for (int i = 0; i < SHARED_CRASH_QUEUE; i++)
		if (queue[i].used && queue[i].running)
			return;
	for (int i = 0; i < SHARED_CRASH_QUEUE; i++)
		if (queue[i].used) {
			begin(&queue[i]);
			return;
		}
}

static bool allowed(void)
{
	int64_t now = shared_now();

	if (!minute || now - minute >= MINUTE) {
		if (unreported)
			log_warnx(NULL, LOG_CRASH, "BH0128",
				  "%u crashes of the last minute have no report: there were more than %d",
				  unreported, A_MINUTE);
		minute = now;
		reports = unreported = 0;
	}
	if (reports < A_MINUTE) {
		reports++;
		return true;
	}
	unreported++;
	return false;
}

/* Its pair stays taken until the report is there. false: too many wait. */
static bool enqueue(const struct config *cfg, int pair, const struct job_crash *job)
{
	const struct process_settings *p = cfg->process;

	for (int i = 0; i < SHARED_CRASH_QUEUE; i++) {
		struct waiting *w = &queue[i];

		if (w->used)
			continue;
		snprintf(account_user, sizeof account_user, "%s", p->user ? p->user : "");
		account = (struct process_settings){ .user = *account_user ? account_user : NULL,
						     .uid = p->uid,
						     .gid = p->gid };
		*w = (struct waiting){ .used = true, .pair = pair, .job = *job };
		pairs[pair].reports++;
		next();
		return true;
	}
	return false;
}

static void tell(const struct crash_summary *s, pid_t pid, enum crash_how how)
{
	if (how == CRASH_HUNG)
		log_errorx(NULL, LOG_CRASH, "BH0125", "child pid %d hung%s%s", (int)pid, *s->request ? " while it served " : "", s->request);
	else
		log_errorx(NULL, LOG_CRASH, "BH0125", "child pid %d crashed by signal %d at address %#llx%s%s", (int)pid, s->signal,
			   (unsigned long long)s->address, *s->request ? " while it served " : "", s->request);
}

void crash_reaped(const struct config *cfg, int pair, pid_t pid, int status, enum crash_how how)
{
	int slot = SHARED_CRASH_SLOT(pair);
	struct crash_summary s;
	bool there, queued = false;

	if (pair < 0)
		return;
	there = crash_pool_owner(shared.crash_pool, slot) == pid;
	if (how && there && crash_pool_summary(shared.crash_pool, slot, &s) == 0)
		tell(&s, pid, how);
	if (how && there && shared.core_dir_fd >= 0 && allowed())
		queued = enqueue(cfg, pair, &(struct job_crash){ .slot = slot, .kind = how == CRASH_HUNG ? CRASH_KIND_HANG : CRASH_KIND_CRASH,
								 .pid = pid, .status = status });
	else if (how == CRASH_HUNG && !there)
		log_warnx(NULL, LOG_CRASH, "BH0127", "no report of the hang of pid %d: it did not come to its crash handler", (int)pid);
	if (!queued)
		crash_pool_free(shared.crash_pool, slot);
	if (!pairs[pair].live)
		crash_pool_free(shared.crash_pool, SHARED_LIVE_SLOT(pair));
	pairs[pair].child = false;
}

void crash_live(const struct config *cfg, int pair, pid_t pid)
{
	int slot = SHARED_LIVE_SLOT(pair);

	if (pair < 0 || pairs[pair].live)
		return;
	pairs[pair].live = crash_pool_owner(shared.crash_pool, slot) == pid && shared.core_dir_fd >= 0 &&
			   enqueue(cfg, pair, &(struct job_crash){ .slot = slot, .kind = CRASH_KIND_LIVE, .pid = pid });
	if (!pairs[pair].live)
		crash_pool_free(shared.crash_pool, slot);
}

static void obstacle(void *ctx, const char *sentence, const char *remedy)
{
	(void)ctx;
	log_noticex(NULL, LOG_CRASH, "BH0129", "no core of a crashed child: %s%s%s", sentence,
		    remedy ? "; " : "", remedy ? remedy : "");
}

void crash_check_cores(const struct config *cfg)
{
	(void)cfg;
	if (shared.core_dir)
		crash_core_check(shared.core_dir, obstacle, NULL);
}

/*
 * crash.c - what follows a child's crash: at once one line from its crash slot, then a job's report. Master only. Never
 * more reports than a job at a time and ten a minute: a storm of crashes must not become one of reports.
 */
#include "process/crash.h"

#include <stdio.h>
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
	struct job_crash job;
} queue[SHARED_CRASH_SLOTS];
static struct process_settings account; /* whom the job becomes: outlives the configuration it came from */
static char account_user[128];
static int64_t minute;
static unsigned reports, unreported;

static void next(void);

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
	char line[1024], words[128];

	printable(r->text, r->n, line, sizeof line);
	if (*line)
		log_put(NULL, LOG_CRASH, r->ok ? LOG_L_ERROR : LOG_L_WARN, "BH0126", 0, "%s", line);
	else
		log_warnx(NULL, LOG_CRASH, "BH0127", "no report of the crash of pid %d: the job %s",
			  (int)w->job.pid,
			  r->timeout ? "was stopped after 30 s" : slots_status_words(r->status, words));
	crash_pool_free(shared.crash_pool, w->job.slot);
	w->used = false;
	next();
}

static void begin(struct waiting *w)
{
	struct job_place place = { .settings = &account, .keep = &shared.core_dir_fd, .nkeep = 1 };
	struct err e = { .text = "" };

	/* The folder of now: it may have been opened anew since the crash. */
	w->job.dir_fd = shared.core_dir_fd;
	w->job.dir = shared.core_dir;
	w->running = true;
	if (job_run(&job_kind_crash, &w->job, &place, reported, w, &e) > 0)
		return;
	log_warnx(NULL, LOG_CRASH, "BH0127", "no report of the crash of pid %d: %s", (int)w->job.pid, e.text);
	crash_pool_free(shared.crash_pool, w->job.slot);
	w->used = false;
}

static void next(void)
{
	for (int i = 0; i < SHARED_CRASH_SLOTS; i++)
		if (queue[i].used && queue[i].running)
			return;
	for (int i = 0; i < SHARED_CRASH_SLOTS; i++)
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

static void enqueue(const struct config *cfg, int slot, pid_t pid, int status)
{
	const struct process_settings *p = cfg->process;

	for (int i = 0; i < SHARED_CRASH_SLOTS; i++) {
		struct waiting *w = &queue[i];

		if (w->used)
			continue;
		snprintf(account_user, sizeof account_user, "%s", p->user ? p->user : "");
		account = (struct process_settings){ .user = *account_user ? account_user : NULL,
						     .uid = p->uid,
						     .gid = p->gid };
		*w = (struct waiting){ .used = true, .job = { .pool = shared.crash_pool, .slot = slot, .pid = pid, .status = status } };
		next();
		return;
	}
	crash_pool_free(shared.crash_pool, slot);
}

void crash_reaped(const struct config *cfg, pid_t pid, int status, bool crashed)
{
	struct crash_summary s;
	int slot;

	if (!shared.crash_pool)
		return;
	slot = crash_pool_find(shared.crash_pool, pid);
	if (slot < 0)
		return;
	if (!crashed) {
		crash_pool_free(shared.crash_pool, slot);
		return;
	}
	if (crash_pool_summary(shared.crash_pool, slot, &s) == 0)
		log_errorx(NULL, LOG_CRASH, "BH0125",
			   "child pid %d crashed by signal %d at address %#llx%s%s", (int)pid, s.signal,
			   (unsigned long long)s.address, *s.request ? " while it served " : "", s.request);
	if (shared.core_dir_fd < 0 || !allowed())
		crash_pool_free(shared.crash_pool, slot);
	else
		enqueue(cfg, slot, pid, status);
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

/*
 * crash.c - crash slots, and what follows a crash, a hang or the wish for a live snapshot: one line from its crash slot, and
 * a job's report, or a count where the same fault has had its reports (crashlimit.c): a storm of crashes must not become one
 * of reports, nor fill the disk with cores. Master only.
 */
#include "process/crash.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crashdump/crashdump.h"
#include "log/log.h"
#include "process/crashlimit.h"
#include "process/handover.h"
#include "process/job.h"
#include "process/shared.h"
#include "process/slots.h"
#include "process/tally.h"

#define LOOK_MS 5000                    /* a folder without room for cores is looked at again */

static struct waiting {
	bool used, running;
	uint64_t turn;                  /* they are written in the order in which they came */
	int pair;
	uint64_t fingerprint;
	struct job_crash job;
} queue[SHARED_CRASH_QUEUE];
/* A pair is free when neither a child nor a report needs it. */
static struct pair {
	bool child;
	bool live;                      /* a report of its live snapshot waits or is written */
	bool before;                    /* its child is of the program before */
	unsigned reports;               /* of both slots */
} *pairs;
static unsigned npairs;
static struct process_settings account; /* whom the job becomes: outlives the configuration it came from */
static char account_user[128];
static struct crashlimit limit;         /* outlives configurations */
static struct {
	bool full;                      /* there are CoreDumpLimit cores */
	int fd;                         /* the folder that was looked at */
	int64_t allowed, looked;
} cores = { .fd = -2 };
static struct {
	bool here, over;
	int program;                    /* its file; 0 = none */
	char version[64];
} elder;               /* the program before */

static void next(void);

/* ------------------------------------------------------------------------------------------------ pairs of crash slots */

static void make_pairs(void)
{
	if (pairs)
		return;
	npairs = shared.nslots + SHARED_CRASH_QUEUE;
	pairs = calloc(npairs, sizeof *pairs);
}

int crash_take(void)
{
	if (!shared.crash_pool)
		return -1;
	make_pairs();
	for (unsigned i = 0; pairs && i < npairs; i++)
		if (!pairs[i].child && !pairs[i].reports) {
			pairs[i] = (struct pair){ .child = true };
			if (elder.here) {      /* it may hold what nobody came to look at */
				crash_pool_free(shared.crash_pool, SHARED_CRASH_SLOT(i));
				crash_pool_free(shared.crash_pool, SHARED_LIVE_SLOT(i));
			}
			return (int)i;
		}
	return -1;
}

/* The program before is the one that there is a way back to. */
static void know_before(void)
{
	const struct handover_line *back = handover_next(NULL, "back");
	char path[64];

	elder.here = true;
	if (!back)
		return;
	snprintf(elder.version, sizeof elder.version, "%s", back->text);
	snprintf(path, sizeof path, "/proc/self/fd/%d", back->fd);
	elder.program = open(path, O_RDONLY | O_CLOEXEC);
	if (elder.program < 0)
		elder.program = 0;
}

int crash_adopt(int pair)
{
	make_pairs();
	if (!elder.here)
		know_before();
	if (!pairs || pair < 0 || (unsigned)pair >= npairs || pairs[pair].child)
		return -1;
	pairs[pair] = (struct pair){ .child = true, .before = true };
	return pair;
}

/* Once no report is waited for that may need it. */
static void forget_program(void)
{
	for (int i = 0; i < SHARED_CRASH_QUEUE; i++)
		if (queue[i].used)
			return;
	if (!elder.over || !elder.program)
		return;
	close(elder.program);
	elder.program = 0;
}

void crash_adopt_over(void)
{
	elder.over = true;
	forget_program();
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

/* The name of the report in the job's answer: the last that has the form of one, since a request may have any path. */
static void note_report(uint64_t fingerprint, const char *line)
{
	static const char stem[] = "bulkhead-crash-";
	struct crashlimit_kind *k = fingerprint ? crashlimit_find(&limit, fingerprint) : NULL;

	for (const char *at = strstr(line, stem); k && at; at = strstr(at + 1, stem)) {
		size_t n = sizeof stem - 1;

		while (isdigit((unsigned char)at[n]) || at[n] == '-')
			n++;
		if (!strncmp(at + n, ".txt", 4) && n + 4 < sizeof k->report)
			snprintf(k->report, sizeof k->report, "%.*s", (int)n + 4, at);
	}
}

static void reported(void *ctx, const struct job_result *r)
{
	struct waiting *w = ctx;
	bool live = w->job.kind == CRASH_KIND_LIVE;
	char line[1024], words[128], why[160];

	printable(r->text, r->n, line, sizeof line);
	if (*line)
		note_report(w->fingerprint, line);
	if (w->job.counted)
		;                       /* its line was written when it was counted */
	else if (*line && live && r->ok)
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
	int keep[] = { shared.core_dir_fd, w->job.program ? w->job.program : -1 };
	struct job_place place = { .settings = &account, .keep = keep, .nkeep = 2, .crash_slot = w->job.slot };
	struct err e = { .text = "" };

	/* The folder of now: it may have been opened anew since the crash. */
	w->job.dir_fd = shared.core_dir_fd;
	w->job.dir = shared.core_dir;
	w->running = true;
	if (job_run(&job_kind_crash, &w->job, &place, reported, w, &e) > 0)
		return;
	if (!w->job.counted)
		no_report(w, e.text);
	give_back(w->job.slot, w->pair);
	w->used = false;
}

/* One at a time. A job that cannot even begin holds nobody up. */
static void next(void)
{
	for (;;) {
		struct waiting *first = NULL;

		for (int i = 0; i < SHARED_CRASH_QUEUE; i++) {
			if (queue[i].used && queue[i].running)
				return;
			if (queue[i].used && (!first || queue[i].turn < first->turn))
				first = &queue[i];
		}
		if (!first) {
			forget_program();
			return;
		}
		begin(first);
	}
}

/* Its pair stays taken until the report is there. false: too many wait. */
static bool enqueue(const struct config *cfg, int pair, const struct job_crash *job, uint64_t fingerprint)
{
	const struct process_settings *p = cfg->process;
	static uint64_t turn;

	for (int i = 0; i < SHARED_CRASH_QUEUE; i++) {
		struct waiting *w = &queue[i];

		if (w->used)
			continue;
		snprintf(account_user, sizeof account_user, "%s", p->user ? p->user : "");
		account = (struct process_settings){ .user = *account_user ? account_user : NULL,
						     .uid = p->uid,
						     .gid = p->gid };
		*w = (struct waiting){ .used = true, .turn = ++turn, .pair = pair, .fingerprint = fingerprint, .job = *job };
		w->job.program = pairs[pair].before ? elder.program : 0;
		w->job.version = pairs[pair].before && *elder.version ? elder.version : NULL;
		pairs[pair].reports++;
		next();
		return true;
	}
	if (!job->counted)
		no_report(&(struct waiting){ .job = *job }, "too many wait to be written already");
	return false;
}

/* ------------------------------------------------------------------------------------------------ reports or counts */

static const char *within(int64_t ms, char *buf, size_t n)
{
	if (ms == 3600000 || ms == 60000)
		snprintf(buf, n, "in this %s", ms == 60000 ? "minute" : "hour");
	else
		snprintf(buf, n, "in these %lld s", (long long)(ms / 1000));
	return buf;
}

/* What the line of a crash says behind the crash itself. */
static void outcome(const struct process_settings *p, enum crashlimit_answer answer, const struct crashlimit_kind *k, char *out,
		    size_t n)
{
	char time[64];

	if (answer == CRASHLIMIT_REPORT)
		snprintf(out, n, "; a report follows");
	else if (answer == CRASHLIMIT_FULL)
		snprintf(out, n, "; no report: there were as many as an hour may have");
	else if (!p->crash_reports)
		snprintf(out, n, "; no report (CrashReportLimit 0)");
	else
		snprintf(out, n, "; the same as %s%s%s, number %u %s: counted, not reported (CrashReportLimit)", k->report[0] ? shared.core_dir : "",
			 k->report[0] ? "/" : "", k->report[0] ? k->report : "the crash before", k->count, within(p->crash_per_ms, time, sizeof time));
}

static bool decide(const struct config *cfg, const struct crash_summary *s, pid_t pid, enum crash_how how)
{
	const struct process_settings *p = cfg->process;
	struct crashlimit_kind *k;
	enum crashlimit_answer answer;
	char what[1024] = "; no report: CoreDumpDirectory cannot be used", fault[80] = "hung";

	answer = crashlimit_take(&limit, s->fingerprint, (unsigned)p->crash_reports, p->crash_per_ms, shared_now(), &k);
	if (shared.core_dir_fd >= 0)
		outcome(p, answer, k, what, sizeof what);
	if (how == CRASH_CRASHED && s->code <= 0 && s->sender == pid)
		snprintf(fault, sizeof fault, "crashed by signal %d of its own", s->signal);
	else if (how == CRASH_CRASHED && s->code <= 0)
		snprintf(fault, sizeof fault, "was sent signal %d by process %d", s->signal, (int)s->sender);
	else if (how == CRASH_CRASHED)
		snprintf(fault, sizeof fault, "crashed by signal %d at address %#llx", s->signal, (unsigned long long)s->address);
	log_errorx(NULL, LOG_CRASH, answer == CRASHLIMIT_REPORT ? "BH0125" : "BH0128", "child pid %d %s%s%s%s", (int)pid, fault,
		   *s->request ? " while it served " : "", s->request, what);
	return answer == CRASHLIMIT_REPORT;
}

/* The crash in a slot: its line, and its report or what else is to be done. true: a job has the slot. */
static bool take_up(const struct config *cfg, int pair, struct job_crash *job, enum crash_how how, uint64_t *fingerprint)
{
	struct crash_summary s;
	struct rlimit most;             /* the children's; the job's own is 0 */
	bool full = cores.full;

	if (crash_pool_summary(shared.crash_pool, job->slot, &s) < 0)
		return false;
	*fingerprint = s.fingerprint;
	tally_crash(s.fingerprint, s.signal);
	job->counted = !decide(cfg, &s, job->pid, how);
	cores.looked = 0;                       /* it may have left a core */
	crash_tick(cfg, shared_now());
	if (full && !WCOREDUMP(job->status))
		snprintf(job->no_core, sizeof job->no_core, "CoreDumpLimit %u%s", job->core_limit,
			 job->core_limit ? ": there are as many already; remove some" : "");
	else if (!WCOREDUMP(job->status) && getrlimit(RLIMIT_CORE, &most) == 0 && most.rlim_max == 0)
		snprintf(job->no_core, sizeof job->no_core, "the hard limit RLIMIT_CORE is 0");
	return shared.core_dir_fd >= 0 && (!job->counted || WCOREDUMP(job->status)) && enqueue(cfg, pair, job, s.fingerprint);
}

uint64_t crash_reaped(const struct config *cfg, int pair, pid_t pid, int status, enum crash_how how)
{
	struct job_crash job = { .slot = SHARED_CRASH_SLOT(pair), .kind = how == CRASH_HUNG ? CRASH_KIND_HANG : CRASH_KIND_CRASH,
				 .pid = pid, .status = status, .core_limit = (unsigned)cfg->process->core_limit };
	uint64_t fingerprint = 0;
	bool there, queued;

	if (pair < 0)
		return 0;
	there = crash_pool_owner(shared.crash_pool, job.slot) == pid;
	queued = how && there && take_up(cfg, pair, &job, how, &fingerprint);
	if (how == CRASH_HUNG && !there)
		log_warnx(NULL, LOG_CRASH, "BH0127", "no report of the hang of pid %d: it did not come to its crash handler", (int)pid);
	if (!queued)
		crash_pool_free(shared.crash_pool, job.slot);
	if (!pairs[pair].live)
		crash_pool_free(shared.crash_pool, SHARED_LIVE_SLOT(pair));
	pairs[pair].child = false;
	return fingerprint;
}

void crash_live(const struct config *cfg, int pair, pid_t pid)
{
	int slot = SHARED_LIVE_SLOT(pair);

	if (pair < 0 || pairs[pair].live)
		return;
	pairs[pair].live = true;                /* before: it is given back at once where no job can begin */
	if (crash_pool_owner(shared.crash_pool, slot) == pid && shared.core_dir_fd >= 0 &&
	    enqueue(cfg, pair, &(struct job_crash){ .slot = slot, .kind = CRASH_KIND_LIVE, .pid = pid }, 0))
		return;
	crash_pool_free(shared.crash_pool, slot);
	pairs[pair].live = false;
}

/* ------------------------------------------------------------------------------------------------ cores */

int64_t crash_tick(const struct config *cfg, int64_t now)
{
	const struct process_settings *p = cfg->process;
	bool changed = cores.fd != shared.core_dir_fd || cores.allowed != p->core_limit, before = cores.full;
	int count;

	if (!changed && cores.looked && (!cores.full || now - cores.looked < LOOK_MS))
		return cores.full && cores.allowed ? cores.looked + LOOK_MS : INT64_MAX;
	cores.fd = shared.core_dir_fd;
	cores.allowed = p->core_limit;
	cores.looked = now ? now : 1;
	count = cores.fd < 0 ? 0 : crash_core_count(cores.fd, shared.root ? p->uid : geteuid());
	cores.full = cores.fd >= 0 && count >= cores.allowed;
	if (cores.full != before || changed)
		slots_cores(!cores.full);
	if (cores.full && !before && cores.allowed)
		log_noticex(NULL, LOG_CRASH, "BH0136", "%s holds %d cores: crashes leave no further ones (CoreDumpLimit %lld) until some are removed",
			    shared.core_dir, count, (long long)cores.allowed);
	else if (before && !cores.full)
		log_noticex(NULL, LOG_CRASH, "BH0136", "%s has room again: crashes leave cores", shared.core_dir);
	return cores.full && cores.allowed ? cores.looked + LOOK_MS : INT64_MAX;
}

bool crash_no_cores(void)
{
	return cores.full;
}

void crash_hand_over(FILE *to)
{
	handover_put(to, "crashes", -1, "%lld %u", (long long)limit.since, limit.reports);
	for (unsigned i = 0; i < CRASHLIMIT_KINDS; i++) {
		const struct crashlimit_kind *k = &limit.kind[i];

		if (k->fingerprint)
			handover_put(to, "crash", -1, "%llx %lld %lld %u %u %s", (unsigned long long)k->fingerprint, (long long)k->since, (long long)k->last,
				     k->count, k->reports, k->report);
	}
}

void crash_take_over(void)
{
	const struct handover_line *l = handover_next(NULL, "crashes");
	long long since, last;
	unsigned n = 0;

	if (l && sscanf(l->text, "%lld %u", &since, &limit.reports) == 2)
		limit.since = since;
	for (l = handover_next(NULL, "crash"); l && n < CRASHLIMIT_KINDS; l = handover_next(l, "crash")) {
		struct crashlimit_kind *k = &limit.kind[n];
		unsigned long long fingerprint;

		if (sscanf(l->text, "%llx %lld %lld %u %u %63s", &fingerprint, &since, &last, &k->count, &k->reports, k->report) < 5)
			continue;
		k->fingerprint = fingerprint;
		k->since = since;
		k->last = last;
		n++;
	}
}

static void obstacle(void *ctx, const char *sentence, const char *remedy)
{
	(void)ctx;
	log_noticex(NULL, LOG_CRASH, "BH0129", "no core of a crashed child: %s%s%s", sentence,
		    remedy ? "; " : "", remedy ? remedy : "");
}

void crash_check_cores(const struct config *cfg)
{
	const struct process_settings *p = cfg->process;
	char where[640];
	int bad;

	crash_tick(cfg, shared_now());
	if (!shared.core_dir)
		return;
	bad = crash_core_check(shared.core_dir, obstacle, NULL);
	bad += crash_core_folder(shared.core_dir, &(struct crash_core_user){ .become = shared.root, .uid = p->uid, .gid = p->gid,
									      .name = p->user ? p->user : "of this server" }, obstacle, NULL);
	if (!bad && p->core_limit && crash_core_where(shared.core_dir, where, sizeof where))
		log_infox(NULL, LOG_CRASH, "BH0137", "%s", where);
}

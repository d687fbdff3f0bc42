/*
 * generation.c - one configuration and all that lives by it: made whole or not at all, kept at its number of children,
 * drained, buried. Master only.
 */
#include "process/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log/log.h"
#include "log/target.h"
#include "process/cache.h"
#include "process/helper.h"
#include "process/keyholder.h"
#include "process/keys.h"
#include "process/logger.h"
#include "process/programs.h"
#include "process/shared.h"
#include "process/tally.h"
#include "process/slots.h"
#include "process/staple.h"

#define PATIENCE_READY 30000            /* ms until a new generation must serve */
#define PATIENCE_END 5000               /* ms from TERM to KILL */
#define ORPHAN_WAIT 6000                /* ms to wait for a port that children of a dead server hold */

static uint32_t last_number;
static int own_log = -1;                /* the master's own description of the main error log */

static unsigned cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static void make_plan(struct generation *g)
{
	const struct process_settings *p = g->cfg->process;

	policy_plan(&(struct policy_numbers){ .start_servers = p->start_servers,
					      .min_spare = p->min_spare,
					      .max_spare = p->max_spare,
					      .server_limit = p->server_limit,
					      .max_workers = p->max_workers,
					      .connections_per_child = p->connections_per_child },
		    cores(), &g->plan);
	if (g->plan.workers < g->plan.asked)
		log_noticex(
			NULL, LOG_MPM, "BH0111",
			"MaxRequestWorkers %llu is lowered to %llu: %u children of %u connections each are all that ServerLimit allows",
			(unsigned long long)g->plan.asked, (unsigned long long)g->plan.workers,
			g->plan.children, g->plan.limit);
	if (shared.nslots && g->plan.children > shared.nslots / 2) {
		log_noticex(
			NULL, LOG_MPM, "BH0112",
			"%u children are more than the %u that this server was started for: the larger ServerLimit takes effect at the next full start",
			g->plan.children, shared.nslots / 2);
		g->plan.children = shared.nslots / 2;
		if (g->plan.start > g->plan.children)
			g->plan.start = g->plan.children;
	}
}

static int start_keyholders(struct generation *g, struct err *e)
{
	unsigned n = cores();

	if (!keys_tls_wanted(g->cfg))
		return 0;
	g->keyholders = keyholders_start(g->cfg, n < g->plan.children ? n : g->plan.children, e);
	return g->keyholders ? 0 : -1;
}

static void end_helpers(struct generation *g)
{
	for (enum slot_end end = 0; end < SLOT_ENDS; end++)
		helper_end(g->helpers[end]);
	keyholders_end(g->keyholders);
}

struct generation *generation_make(struct config *cfg, struct generation *old, struct err *e)
{
	struct generation *g = calloc(1, sizeof *g);

	if (!g) {
		err_set(e, "no memory for a generation");
		return NULL;
	}
	g->cfg = cfg;
	g->number = last_number + 1;
	g->state = GENERATION_MAKING;
	make_plan(g);
	if (log_targets_open(&cfg->targets, e) < 0)
		goto fail;
	g->programs = programs_new(g->number, &cfg->targets, shared_now());
	if (!g->programs) {
		err_set(e, "no memory for a generation");
		goto fail;
	}
	if (listen_open(cfg->process, old ? &old->listens : NULL, old ? 0 : ORPHAN_WAIT, &g->listens, e) < 0)
		goto fail;
	if (shared_prepare(cfg, e) < 0 || start_keyholders(g, e) < 0 || staples_prepare(cfg, e) < 0)
		goto fail;
	for (enum slot_end end = 0; end < SLOT_ENDS; end++)
		if (helper_start(end, cfg, &g->helpers[end], e) < 0)
			goto fail;
	if (logger_table(g->number, &cfg->targets) < 0) {
		err_sys(e, "the logger knows too many generations");
		goto fail;
	}
	cache_fit(cfg);
	tally_hosts(cfg);
	last_number = g->number;
	g->deadline = shared_now() + PATIENCE_READY;
	g->look = 0;
	return g;
fail:
	end_helpers(g);
	listen_close(&g->listens);
	log_targets_close(&cfg->targets);
	programs_free(g->programs);
	free(g);
	return NULL;
}

void generation_follow(uint32_t number)
{
	last_number = number;
}

int generation_log(void)
{
	return own_log;
}

void generation_use_log(const struct config *cfg)
{
	const struct log_host *log = host_config(cfg->site->main, &log_module);
	int shared_fd = cfg->targets.n ? cfg->targets.at[log->settings.target].fd : 2, fd;
	char path[64];

	/* A description of its own: the logger's offset in the shared one must tell of the logger's writes alone. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", shared_fd);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		fd = fcntl(shared_fd, F_DUPFD_CLOEXEC, 3);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = fd }, &log->settings);
	if (own_log >= 0)
		close(own_log);
	own_log = fd;
}

/* ------------------------------------------------------------------------------------------------ life */

/* As soon as one of the new children is ready, the older ones stop taking connections. */
static void renew(struct generation *g, const struct policy_view *v)
{
	if (v->spare + v->busy && !slots_tell_older(g, SLOT_DRAIN))
		g->renews = false;
}

static void look_after(struct generation *g, int64_t now)
{
	struct policy_view v;
	int want;

	slots_look(g, &v);
	if (g->state == GENERATION_MAKING && g->ready) {
		g->state = GENERATION_SERVING;
		tally_serves(g->number);
	}
	if (g->renews)
		renew(g, &v);
	want = policy_wanted(&g->plan, &v);
	/* A busy child, a ready one and a dead one make themselves heard; only what is done bit by bit needs the clock. */
	g->look = INT64_MAX;
	if (want > 0) {
		unsigned begun = slots_spawn(g, (unsigned)want, now);
		if (begun && begun < (unsigned)want)
			g->look = now;
	} else if (want < 0) {
		slots_retire_one(g);
		g->look = now + 1000;
	}
}

static void drain_on(struct generation *g, int64_t now)
{
	if (!slots_living(g)) {
		g->state = GENERATION_GONE;
		return;
	}
	if (now < g->deadline)
		return;
	slots_tell(g, g->ending ? SLOT_KILL : SLOT_END);
	g->killing = g->ending;
	g->ending = true;
	g->deadline = g->killing ? INT64_MAX : now + PATIENCE_END;
}

void generation_tick(struct generation *g, int64_t now)
{
	if (g->keyholders)
		keyholders_tick(g->keyholders, g, now);
	for (enum slot_end end = 0; end < SLOT_ENDS; end++)
		if (g->helpers[end])
			helper_tick(g->helpers[end], g, now);
	if (g->state == GENERATION_MAKING || g->state == GENERATION_SERVING) {
		if (programs_tick(g->programs, now) && g->state == GENERATION_SERVING)
			generation_use_log(g->cfg);
		look_after(g, now);
	} else if (g->state == GENERATION_DRAINING) {
		drain_on(g, now);
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t generation_due(const struct generation *g, int64_t now)
{
	int64_t due = g->state == GENERATION_SERVING ? INT64_MAX : g->deadline;

	if (g->state == GENERATION_GONE)
		return due;
	if (g->keyholders)
		due = earlier(due, keyholders_due(g->keyholders));
	for (enum slot_end end = 0; end < SLOT_ENDS; end++)
		if (g->helpers[end])
			due = earlier(due, helper_due(g->helpers[end]));
	if (g->state == GENERATION_DRAINING)
		return due;
	return earlier(earlier(due, g->look), earlier(slots_due(g, now), programs_due(g->programs)));
}

void generation_drain(struct generation *g, bool hard, int64_t patience_ms, int64_t now)
{
	if (g->killing)
		return;
	listen_close(&g->listens);
	g->state = GENERATION_DRAINING;
	if (hard && !g->ending) {
		slots_tell(g, SLOT_END);
		g->ending = true;
		g->deadline = now + PATIENCE_END;
	} else if (!hard && !g->ending) {
		slots_tell(g, SLOT_DRAIN);
		g->deadline = patience_ms > 0 ? now + patience_ms : INT64_MAX;
	}
	slots_forget(g);
}

void generation_renew(struct generation *g)
{
	g->renews = true;
	g->look = 0;
}

bool generation_stillborn(const struct generation *g)
{
	return g->state == GENERATION_MAKING && !g->ready &&
	       (g->failed_starts >= g->plan.start + (g->plan.start < 3) || shared_now() >= g->deadline) &&
	       (!slots_living(g) || shared_now() >= g->deadline);
}

bool generation_reaped(struct generation *g, pid_t pid, int status, int64_t now)
{
	if (g->keyholders && keyholders_reaped(g->keyholders, g, pid, status, now))
		return true;
	for (enum slot_end end = 0; end < SLOT_ENDS; end++)
		if (g->helpers[end] && helper_reaped(g->helpers[end], g, pid, status, now))
			return true;
	return programs_reaped(g->programs, pid, status, g->state != GENERATION_DRAINING, now);
}

void generation_free(struct generation *g)
{
	slots_forget(g);
	end_helpers(g);
	logger_drop(g->number);
	programs_free(g->programs);
	log_targets_close(&g->cfg->targets);
	listen_close(&g->listens);
	tally_hosts_over(g->cfg);
	config_free(g->cfg);
	free(g);
}

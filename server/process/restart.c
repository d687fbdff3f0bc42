/*
 * restart.c - the restarts of a server that serves: asked for, or by itself; checked, given room, and then either the next generation
 * is made or the next program executed. The part of the master that masterstate.h names so.
 */
#include <stdio.h>

#include "log/log.h"
#include "process/cache.h"
#include "process/masterstate.h"
#include "process/predecessor.h"
#include "process/report.h"
#include "process/seeds.h"
#include "process/service.h"
#include "process/shared.h"
#include "process/staple.h"
#include "process/tally.h"
#include "process/upgrade.h"
#include "process/watch.h"

#define ROOM_PATIENCE 1000              /* ms that the oldest of three generations has for its requests */
#define JOB_PATIENCE 30000              /* ms that reports and answers have to be finished before the program goes */

static bool by_itself(void)
{
	return master.wish == WISH_FILES || master.wish == WISH_FRESH;
}

static bool executes(void)
{
	return master.wish == WISH_UPGRADE || master.wish == WISH_FRESH;
}

/* The administrator is not done yet, or wants it at another time. */
static void differs(const char *where)
{
	if (master.wish == WISH_FRESH) {
		if (upgrade_storm_put_off(shared_now()))
			log_warnx(NULL, LOG_CORE, "BH0878",
				  "so many children crashed that the program should be executed anew, but the configuration was changed (%s): that waits until -k graceful has made it that of the server", where);
		master.quiet = true;
		return;
	}
	if (!master.quiet)
		log_warnx(NULL, LOG_SSL, "BH0197",
			  "%s, but the configuration was changed as well (%s): the server does not restart by itself; have it do so by -k graceful",
			  watch_words(), where);
	master.quiet = true;
}

static void checked(void *ctx, const struct job_result *r)
{
	(void)ctx;
	if (master.wish == WISH_UPGRADE) {
		master_event(upgrade_answer(r) ? EV_CHECKED : EV_REFUSED);
		return;
	}
	master.quiet = master.wish == WISH_FILES && !r->ok && !watch_is_news(r->text);
	if (by_itself() && r->text[0] == 'D')
		differs(r->text + 2);
	report_check(r, master.quiet, by_itself());
	if (master.wish == WISH_FILES && r->ok)
		log_noticex(NULL, LOG_SSL, "BH0195", "%s: restarting gracefully", watch_words());
	master_event(r->ok ? EV_CHECKED : EV_REFUSED);
}

static void check(void)
{
	struct job_place place = { .settings = master.now->cfg->process };
	struct err e = { .text = "" };
	char text[1600];

	master.check = (struct job_check){ .same = by_itself() ? master.now->cfg : NULL, .src = master.src, .check = master.o->check };
	master.state = CHECKING;
	service_reloading();
	if (master.wish == WISH_UPGRADE) {
		if (upgrade_probe(master.now, checked, &e) == 0)
			return;
	} else if (job_run(&job_kind_check, &master.check, &place, checked, NULL, &e) > 0)
		return;
	if (master.wish == WISH_UPGRADE)
		log_errorx(NULL, LOG_CORE, "BH0871", "no other program can take over: %s: this one goes on", err_print(&e, text, sizeof text));
	else
		log_errorx(NULL, LOG_CORE, "BH0153", "the configuration cannot be checked: %s", e.text);
	master_event(EV_REFUSED);
}

void restart_begin(void)
{
	master.quiet = false;
	check();
}

/* What USR1 does, but for nothing else than the sake of certificate files, or of another layout of memory. */
void restart_by_itself(enum master_wish wish)
{
	master.wish = wish;
	master.hard = master.quiet = false;
	check();
}

/* A wish for a restart while one is under way: one more follows. */
void restart_remember(void)
{
	if (!master.again || master.again_wish == WISH_RESTART)
		master.again_wish = master.asked;
	master.again = true;
	master.again_hard |= master.hard;
}

void restart_over(void)
{
	master.state = SERVING;
	service_ready("generation %u serves: %u children of %u connections each at most", master.now->number, master.now->plan.children, master.now->plan.limit);
	if (!master.again)
		return;
	master.again = false;
	master.wish = master.again_wish;
	master.hard = master.again_hard;
	master.again_hard = false;
	restart_begin();
}

void restart_refused(void)
{
	int again = master.wish == WISH_FILES ? watch_failed(shared_now()) : 0;

	if (master.wish == WISH_FRESH)
		upgrade_storm_put_off(shared_now());
	if (master.wish == WISH_RESTART)
		log_errorx(NULL, LOG_CORE, "BH0154", "the configuration is refused: the server goes on with the one it has");
	else if (master.wish == WISH_FILES && !master.quiet)
		log_warnx(NULL, LOG_SSL, "BH0196",
			  "%s, but what is there now cannot be used: the server goes on with what it has, and tries again at the next change and in %d s",
			  watch_words(), again);
	restart_over();
}

/* The program that comes next goes on from here. */
static void exec_next(void)
{
	struct err e = { .text = "" };
	char text[1600];

	job_cancel_all();
	if (master.wish == WISH_FRESH)
		log_noticex(NULL, LOG_CORE, "BH0877", "so many children crashed that whoever makes them crash could learn how memory is laid out: the program is executed anew");
	upgrade_exec(master.now, master.pid_file, master.pid_fd, master.wish == WISH_FRESH, &e);
	log_errorx(NULL, LOG_CORE, "BH0871", "no other program can take over: %s: this one goes on", err_print(&e, text, sizeof text));
	restart_refused();
}

static void renew_generation(void)
{
	struct config *cfg = config_read(master.src);
	struct err e = { .text = "" };
	struct conf_pos where = { 0 };
	char text[2048];
	unsigned said;

	master.state = RENEWING;
	if (!cfg) {
		restart_refused();
		return;
	}
	if (master.wish == WISH_FILES && !config_same_text(master.now->cfg, cfg, &where)) {
		snprintf(text, sizeof text, "%s:%u", where.file ? where.file : "?", where.line);
		differs(text);
		config_free(cfg);
		restart_refused();
		return;
	}
	said = cfg->errors ? 0 : report_count(cfg);
	if (!cfg->errors)
		watch_prepare(cfg);
	if (!cfg->errors)
		master.next = generation_make(cfg, master.now, &e);
	if (master.next)
		return;
	report_config(cfg, said, NULL);
	if (*e.text)
		log_errorx(NULL, LOG_CORE, "BH0155", "%s", err_print(&e, text, sizeof text));
	config_free(cfg);
	restart_refused();
}

void restart_renew(void)
{
	if (executes())
		exec_next();
	else
		renew_generation();
}

/* Whether the next generation may be made, or the next program executed. */
bool restart_room(int64_t now)
{
	return !master.old && !predecessor_lives() && (!executes() || job_idle() || now >= master.jobs_until);
}

void restart_make_room(void)
{
	int64_t now = shared_now();

	master.jobs_until = now + (master.wish == WISH_FRESH ? 2 : 1) * JOB_PATIENCE;
	if (restart_room(now)) {
		restart_renew();
		return;
	}
	master.state = MAKING_ROOM;
	if (predecessor_lives())
		master.hard ? predecessor_drain(true, 0, now) : predecessor_hurry(ROOM_PATIENCE, now);
	if (!master.old)
		return;
	log_noticex(NULL, LOG_MPM, "BH0113", "a third generation would live: the connections of the oldest end %s",
		    master.hard ? "now" : "within a second");
	if (master.hard)
		generation_drain(master.old, true, 0, now);
	else if (master.old->deadline > now + ROOM_PATIENCE)
		generation_drain(master.old, false, ROOM_PATIENCE, now);
}

void restart_done(void)
{
	int64_t patience = master.now->cfg->process->graceful_timeout_ms;

	master.old = master.now;
	master.now = master.next;
	master.next = NULL;
	seeds_settle();
	tally_restart(master.hard);
	staples_settle(master.now->cfg->process);
	generation_use_log(master.now->cfg);
	log_noticex(NULL, LOG_MPM, "BH0102", "generation %u serves, generation %u %s", master.now->number,
		    master.old->number, master.hard ? "ends" : "finishes its requests");
	report_reach(master.now->cfg, master.old->cfg);
	if (master.wish == WISH_FILES)
		watch_tell(master.now->cfg);
	watch_settle(shared_now());
	generation_drain(master.old, master.hard, patience, shared_now());
	restart_over();
}

void restart_stillborn(void)
{
	log_errorx(NULL, LOG_MPM, "BH0156", "no child of the new generation %u can serve", master.next->number);
	/* It drains as the old generation would: one of the two places is free, since room was made. */
	master.old = master.next;
	master.next = NULL;
	generation_drain(master.old, true, 0, shared_now());
	/* The session cache may have been changed for it: there is no way back, so the children of now follow. */
	if (cache_moving())
		generation_renew(master.now);
	restart_refused();
}

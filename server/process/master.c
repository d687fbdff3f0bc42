/*
 * master.c - the life of the server: one loop over signals, children's wake-ups and jobs, and one table state × event.
 * The master reads no byte from the network and parses no private key; it never sleeps but in this loop.
 *
 *   STARTING → SERVING ⇄ CHECKING → (MAKING_ROOM →) RENEWING → SERVING …            any → STOPPING → end
 */
#include "process/master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/version.h"
#include "crashdump/crashdump.h"
#include "log/log.h"
#include "process/cache.h"
#include "process/crash.h"
#include "process/daemon.h"
#include "process/generation.h"
#include "process/handover.h"
#include "process/hang.h"
#include "process/job.h"
#include "process/keys.h"
#include "process/logger.h"
#include "process/predecessor.h"
#include "process/report.h"
#include "process/seeds.h"
#include "process/service.h"
#include "process/shared.h"
#include "process/slots.h"
#include "process/staple.h"
#include "process/tally.h"
#include "process/upgrade.h"
#include "process/watch.h"

#define ROOM_PATIENCE 1000              /* ms that the oldest of three generations has for its requests */
#define JOB_PATIENCE 30000              /* ms that reports and answers have to be finished before the program goes */
#define WAKE_PAUSE 20 /* ms: a child that rings without end costs the master no more than this often */

enum state { STARTING, SERVING, CHECKING, MAKING_ROOM, RENEWING, STOPPING, STATES };
enum event {
	EV_STOP,                        /* TERM, INT */
	EV_DRAIN,                       /* WINCH, QUIT */
	EV_RESTART,                     /* USR1; HUP with m.hard; USR2 with m.wish */
	EV_CHECKED, EV_REFUSED,         /* the checking job's verdict */
	EV_ROOM,                        /* the oldest generation is gone */
	EV_READY, EV_STILLBORN,         /* the newest generation serves, or never will */
	EV_EMPTY,                       /* no generation is left */
	EVENTS
};

/* What a restart is for. */
enum wish {
	WISH_RESTART,
	WISH_FILES,                     /* by itself: certificate files have changed */
	WISH_UPGRADE,                   /* USR2: the program that lies at this one's path is executed */
	WISH_FRESH,                     /* by itself: this program is executed anew, after a storm of crashes */
};

static struct master {
	const struct config_source *src;
	const struct master_options *o;
	enum state state;
	struct generation *now, *next, *old;
	bool hard;                      /* this restart ends old connections at once */
	enum wish wish;
	bool quiet;                     /* what it comes to was said already */
	bool again, again_hard;         /* asked for while one was under way */
	enum wish again_wish, asked;    /* asked: by the signal that is being taken */
	int64_t jobs_until;             /* MAKING_ROOM before an exec: how long jobs are waited for */
	bool ended;
	int code;                       /* exit code */
	int ready_fd, pid_fd, signals;
	char *pid_file;
	int64_t wake_after;
	struct job_check check;
	char failure[2200];             /* why the start failed */
} m;

/* ------------------------------------------------------------------------------------------------ saying */

/* The start failed. Whoever waits for it is told at the very end, when pid file and sockets are gone. */
static void start_failed(const struct err *e)
{
	char text[2048];

	err_print(e, text, sizeof text);
	snprintf(m.failure, sizeof m.failure, "bulkhead: %s\n", text);
	if (!log_is_plain())
		log_errorx(NULL, LOG_CORE, "BH0100", "the server cannot start: %s", text);
	m.code = 1;
}

static void tell_failure(void)
{
	if (m.ready_fd >= 0)
		daemon_ready(m.ready_fd, m.code, m.failure);
	else
		fputs(m.failure, stderr);
}

/* ------------------------------------------------------------------------------------------------ reactions */

static void raise_event(enum event ev);

static void ignore(void) {}

static bool by_itself(void)
{
	return m.wish == WISH_FILES || m.wish == WISH_FRESH;
}

static bool executes(void)
{
	return m.wish == WISH_UPGRADE || m.wish == WISH_FRESH;
}

/* The administrator is not done yet, or wants it at another time. */
static void differs(const char *where)
{
	if (m.wish == WISH_FRESH) {
		if (upgrade_storm_put_off(shared_now()))
			log_warnx(NULL, LOG_CORE, "BH0878",
				  "so many children crashed that the program should be executed anew, but the configuration was changed (%s): that waits until -k graceful has made it that of the server", where);
		m.quiet = true;
		return;
	}
	if (!m.quiet)
		log_warnx(NULL, LOG_SSL, "BH0197",
			  "%s, but the configuration was changed as well (%s): the server does not restart by itself; have it do so by -k graceful",
			  watch_words(), where);
	m.quiet = true;
}

static void checked(void *ctx, const struct job_result *r)
{
	(void)ctx;
	if (m.wish == WISH_UPGRADE) {
		raise_event(upgrade_answer(r) ? EV_CHECKED : EV_REFUSED);
		return;
	}
	m.quiet = m.wish == WISH_FILES && !r->ok && !watch_is_news(r->text);
	if (by_itself() && r->text[0] == 'D')
		differs(r->text + 2);
	report_check(r, m.quiet, by_itself());
	if (m.wish == WISH_FILES && r->ok)
		log_noticex(NULL, LOG_SSL, "BH0195", "%s: restarting gracefully", watch_words());
	raise_event(r->ok ? EV_CHECKED : EV_REFUSED);
}

static void check(void)
{
	struct job_place place = { .settings = m.now->cfg->process };
	struct err e = { .text = "" };
	char text[1600];

	m.check = (struct job_check){ .same = by_itself() ? m.now->cfg : NULL, .src = m.src, .check = m.o->check };
	m.state = CHECKING;
	service_reloading();
	if (m.wish == WISH_UPGRADE) {
		if (upgrade_probe(m.now, checked, &e) == 0)
			return;
	} else if (job_run(&job_kind_check, &m.check, &place, checked, NULL, &e) > 0)
		return;
	if (m.wish == WISH_UPGRADE)
		log_errorx(NULL, LOG_CORE, "BH0871", "no other program can take over: %s: this one goes on", err_print(&e, text, sizeof text));
	else
		log_errorx(NULL, LOG_CORE, "BH0153", "the configuration cannot be checked: %s", e.text);
	raise_event(EV_REFUSED);
}

static void begin_restart(void)
{
	m.quiet = false;
	check();
}

/* What USR1 does, but for nothing else than the sake of certificate files, or of another layout of memory. */
static void restart_by_itself(enum wish wish)
{
	m.wish = wish;
	m.hard = m.quiet = false;
	check();
}

/* A wish for a restart while one is under way: one more follows. */
static void remember(void)
{
	if (!m.again || m.again_wish == WISH_RESTART)
		m.again_wish = m.asked;
	m.again = true;
	m.again_hard |= m.hard;
}

static void back_to_serving(void)
{
	m.state = SERVING;
	service_ready("generation %u serves: %u children of %u connections each at most", m.now->number, m.now->plan.children, m.now->plan.limit);
	if (!m.again)
		return;
	m.again = false;
	m.wish = m.again_wish;
	m.hard = m.again_hard;
	m.again_hard = false;
	begin_restart();
}

static void refused(void)
{
	int again = m.wish == WISH_FILES ? watch_failed(shared_now()) : 0;

	if (m.wish == WISH_FRESH)
		upgrade_storm_put_off(shared_now());
	if (m.wish == WISH_RESTART)
		log_errorx(NULL, LOG_CORE, "BH0154", "the configuration is refused: the server goes on with the one it has");
	else if (m.wish == WISH_FILES && !m.quiet)
		log_warnx(NULL, LOG_SSL, "BH0196",
			  "%s, but what is there now cannot be used: the server goes on with what it has, and tries again at the next change and in %d s",
			  watch_words(), again);
	back_to_serving();
}

/* The program that comes next goes on from here. */
static void exec_next(void)
{
	struct err e = { .text = "" };
	char text[1600];

	job_cancel_all();
	if (m.wish == WISH_FRESH)
		log_noticex(NULL, LOG_CORE, "BH0877", "so many children crashed that whoever makes them crash could learn how memory is laid out: the program is executed anew");
	upgrade_exec(m.now, m.pid_file, m.pid_fd, m.wish == WISH_FRESH, &e);
	log_errorx(NULL, LOG_CORE, "BH0871", "no other program can take over: %s: this one goes on", err_print(&e, text, sizeof text));
	refused();
}

static void renew_generation(void)
{
	struct config *cfg = config_read(m.src);
	struct err e = { .text = "" };
	struct conf_pos where = { 0 };
	char text[2048];
	unsigned said;

	m.state = RENEWING;
	if (!cfg) {
		refused();
		return;
	}
	if (m.wish == WISH_FILES && !config_same_text(m.now->cfg, cfg, &where)) {
		snprintf(text, sizeof text, "%s:%u", where.file ? where.file : "?", where.line);
		differs(text);
		config_free(cfg);
		refused();
		return;
	}
	said = cfg->errors ? 0 : report_count(cfg);
	if (!cfg->errors)
		watch_prepare(cfg);
	if (!cfg->errors)
		m.next = generation_make(cfg, m.now, &e);
	if (m.next)
		return;
	report_config(cfg, said, NULL);
	if (*e.text)
		log_errorx(NULL, LOG_CORE, "BH0155", "%s", err_print(&e, text, sizeof text));
	config_free(cfg);
	refused();
}

static void renew(void)
{
	if (executes())
		exec_next();
	else
		renew_generation();
}

/* Whether the next generation may be made, or the next program executed. */
static bool room(int64_t now)
{
	return !m.old && !predecessor_lives() && (!executes() || job_idle() || now >= m.jobs_until);
}

static void make_room(void)
{
	int64_t now = shared_now();

	m.jobs_until = now + (m.wish == WISH_FRESH ? 2 : 1) * JOB_PATIENCE;
	if (room(now)) {
		renew();
		return;
	}
	m.state = MAKING_ROOM;
	if (predecessor_lives())
		m.hard ? predecessor_drain(true, 0, now) : predecessor_hurry(ROOM_PATIENCE, now);
	if (!m.old)
		return;
	log_noticex(NULL, LOG_MPM, "BH0113", "a third generation would live: the connections of the oldest end %s",
		    m.hard ? "now" : "within a second");
	if (m.hard)
		generation_drain(m.old, true, 0, now);
	else if (m.old->deadline > now + ROOM_PATIENCE)
		generation_drain(m.old, false, ROOM_PATIENCE, now);
}

static void unwanted(const char *address)
{
	log_warnx(NULL, LOG_CORE, "BH0880",
		  "the service manager gave a socket that listens on %s, which no Listen names: it is closed; add the Listen, or take the line out of the unit of sockets", address);
}

static void started(void)
{
	bool took_over = upgrade_settle();

	listen_given_end(took_over ? NULL : unwanted);
	log_noticex(NULL, LOG_MPM, "BH0101",
		    "Bulkhead/%s serves: %u children of %u connections each at most, pid %d",
		    BULKHEAD_VERSION, m.now->plan.children, m.now->plan.limit, (int)getpid());
	daemon_ready(m.ready_fd, 0, "");
	m.ready_fd = -1;
	staples_settle(m.now->cfg->process);
	watch_settle(shared_now());
	back_to_serving();
}

static void renewed(void)
{
	int64_t patience = m.now->cfg->process->graceful_timeout_ms;

	m.old = m.now;
	m.now = m.next;
	m.next = NULL;
	seeds_settle();
	tally_restart(m.hard);
	staples_settle(m.now->cfg->process);
	generation_use_log(m.now->cfg);
	log_noticex(NULL, LOG_MPM, "BH0102", "generation %u serves, generation %u %s", m.now->number,
		    m.old->number, m.hard ? "ends" : "finishes its requests");
	if (m.wish == WISH_FILES)
		watch_tell(m.now->cfg);
	watch_settle(shared_now());
	generation_drain(m.old, m.hard, patience, shared_now());
	back_to_serving();
}

static void stillborn_first(void)
{
	struct err e = { .text = "" };

	err_set(&e, "no child can serve: %u ended before they were ready", m.now->failed_starts);
	err_remedy(&e, "the error log says why, in lines with BH0104 and BH0120");
	upgrade_failed(&e);
	start_failed(&e);
	raise_event(EV_STOP);
}

static void stillborn_next(void)
{
	log_errorx(NULL, LOG_MPM, "BH0156", "no child of the new generation %u can serve", m.next->number);
	/* It drains as the old generation would: one of the two places is free, since room was made. */
	m.old = m.next;
	m.next = NULL;
	generation_drain(m.old, true, 0, shared_now());
	/* The session cache may have been changed for it: there is no way back, so the children of now follow. */
	if (cache_moving())
		generation_renew(m.now);
	refused();
}

static void stop_all(bool hard)
{
	struct generation *all[] = { m.now, m.next, m.old };
	int64_t now = shared_now();

	m.state = STOPPING;
	service_stopping();
	handover_settle();
	predecessor_drain(hard, m.now ? m.now->cfg->process->graceful_timeout_ms : 0, now);
	job_cancel_all();
	for (int i = 0; i < 3; i++)
		if (all[i])
			generation_drain(all[i], hard, all[i]->cfg->process->graceful_timeout_ms, now);
}

static void stop(void)
{
	log_noticex(NULL, LOG_MPM, "BH0103", "told to stop: shutting down");
	stop_all(true);
}

static void drain(void)
{
	log_noticex(NULL, LOG_MPM, "BH0103", "told to stop gracefully: requests under way are finished");
	stop_all(false);
}

static void end(void)
{
	m.ended = true;
}

typedef void reaction(void);
static reaction *const reactions[STATES][EVENTS] = {
	/*                EV_STOP  EV_DRAIN  EV_RESTART      EV_CHECKED   EV_REFUSED  EV_ROOM   EV_READY   EV_STILLBORN      EV_EMPTY */
	[STARTING]    = { stop,    drain,    remember,       ignore,      ignore,     ignore,   started,   stillborn_first,  end    },
	[SERVING]     = { stop,    drain,    begin_restart,  ignore,      ignore,     ignore,   ignore,    ignore,           ignore },
	[CHECKING]    = { stop,    drain,    remember,       make_room,   refused,    ignore,   ignore,    ignore,           ignore },
	[MAKING_ROOM] = { stop,    drain,    remember,       ignore,      ignore,     renew,    ignore,    ignore,           ignore },
	[RENEWING]    = { stop,    drain,    remember,       ignore,      ignore,     ignore,   renewed,   stillborn_next,   ignore },
	[STOPPING]    = { stop,    ignore,   ignore,         ignore,      ignore,     ignore,   ignore,    ignore,           end    },
};

static void raise_event(enum event ev)
{
	reactions[m.state][ev]();
}

/* ------------------------------------------------------------------------------------------------ the loop */

static void reap(int64_t now)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct generation *all[] = { m.now, m.next, m.old };
		bool known = slots_reaped(pid, status, now) || logger_reaped(pid, status, now) ||
			     job_reaped(pid, status) || predecessor_reaped(pid, status);

		/* job_reaped may have changed who is who, but then the pid was known. */
		for (int i = 0; i < 3 && !known; i++)
			known = all[i] && generation_reaped(all[i], pid, status, now);
	}
}

/* While something is under way, what that is for stays; reactions[] remembers the wish. */
static void asked_for(bool hard, enum wish wish)
{
	bool before = m.hard;

	m.hard = hard;
	m.asked = wish;
	if (m.state == SERVING)
		m.wish = wish;
	raise_event(EV_RESTART);
	if (m.again)
		m.hard = before;
}

static void take_signals(int64_t now)
{
	struct signalfd_siginfo s;

	while (read(m.signals, &s, sizeof s) == sizeof s) {
		switch (s.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			raise_event(EV_STOP);
			break;
		case SIGWINCH:
			/* A terminal that changes its size sends this too: the kernel, not a process. */
			if (s.ssi_code != SI_KERNEL)
				raise_event(EV_DRAIN);
			break;
		case SIGQUIT:
			raise_event(EV_DRAIN);
			break;
		case SIGHUP:
		case SIGUSR1:
		case SIGUSR2:
			asked_for(s.ssi_signo == SIGHUP, s.ssi_signo == SIGUSR2 ? WISH_UPGRADE : WISH_RESTART);
			break;
		case SIGCHLD:
			reap(now);
			break;
		default:
			break;
		}
	}
}

static void bury(struct generation **g)
{
	if (!*g || (*g)->state != GENERATION_GONE)
		return;
	generation_free(*g);
	*g = NULL;
}

static void look_at_generations(int64_t now)
{
	struct generation *newest;

	predecessor_tick(now);
	if (m.old)
		generation_tick(m.old, now);
	if (m.now)
		generation_tick(m.now, now);
	if (m.next)
		generation_tick(m.next, now);
	newest = m.state == RENEWING ? m.next : m.now;
	if (newest && (m.state == STARTING || m.state == RENEWING)) {
		if (newest->state == GENERATION_SERVING)
			raise_event(EV_READY);
		else if (generation_stillborn(newest))
			raise_event(EV_STILLBORN);
	}
	bury(&m.old);
	if (m.state == STOPPING) {
		bury(&m.next);
		/* The last one's configuration names the logs until the end. */
		if (!m.old && !m.next && (!m.now || m.now->state == GENERATION_GONE) && !predecessor_lives())
			raise_event(EV_EMPTY);
	}
	if (m.state == MAKING_ROOM && room(now))
		raise_event(EV_ROOM);
}

/* The session cache's change of size goes on; what had to wait begins when no other generation is being made. */
static void look_at_cache(int64_t now)
{
	if (!m.now || m.state == STOPPING)
		return;
	cache_tick(m.now->cfg, slots_older() || predecessor_lives(), now);
	if (m.state == SERVING && cache_follow(m.now->cfg))
		generation_renew(m.now);
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int wait_ms(int64_t now)
{
	struct generation *all[] = { m.now, m.next, m.old };
	int64_t due = earliest(job_deadline(), logger_due());

	for (int i = 0; i < 3; i++)
		if (all[i])
			due = earliest(due, generation_due(all[i], now));
	due = earliest(earliest(due, predecessor_due()), service_tick(now));
	if (m.state == MAKING_ROOM && m.jobs_until > now)
		due = earliest(due, m.jobs_until);
	due = earliest(due, seeds_tick(now));
	if (m.now && m.state != STOPPING)
		due = earliest(due, staples_tick(m.now->cfg->process, now));
	due = earliest(due, slots_gate_tick(now));
	due = earliest(due, hang_tick(now));
	due = earliest(due, slots_live(now));
	if (m.now)
		due = earliest(due, crash_tick(m.now->cfg, now));
	if (m.state != STOPPING)
		due = earliest(due, cache_due());
	if (m.state == SERVING)
		due = earliest(earliest(due, watch_due(now)), upgrade_storm_due(now));
	if (m.wake_after > now)
		due = earliest(due, m.wake_after);
	if (due == INT64_MAX)
		return -1;
	return due <= now ? 0 : due - now > 3600000 ? 3600000 : (int)(due - now);
}

static void loop(void)
{
	while (!m.ended) {
		enum { SIGNALS, WAKE, LOGGER, FILES, JOBS };
		struct pollfd p[JOBS + JOB_MAX];
		unsigned n = JOBS + job_poll(p + JOBS, JOB_MAX);
		int64_t now = shared_now();
		eventfd_t rung;

		p[SIGNALS] = (struct pollfd){ .fd = m.signals, .events = POLLIN };
		p[LOGGER] = (struct pollfd){ .fd = logger_fd(), .events = POLLIN };
		p[FILES] = (struct pollfd){ .fd = m.state == SERVING ? watch_fd(now) : -1, .events = POLLIN };
		p[WAKE] = (struct pollfd){ .fd = m.wake_after > now ? -1 : shared.wake, .events = POLLIN };
		if (poll(p, n, wait_ms(now)) < 0 && errno != EINTR) {
			log_error(NULL, LOG_CORE, "BH0157", "the master's wait failed");
			nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		}
		now = shared_now();
		if (p[WAKE].fd >= 0 && eventfd_read(shared.wake, &rung) == 0)
			m.wake_after = now + WAKE_PAUSE;
		if (p[FILES].fd >= 0 && p[FILES].revents)
			watch_input(now);
		for (unsigned i = JOBS; i < n; i++)
			if (p[i].revents)
				job_input(p[i].fd);
		take_signals(now);
		job_tick(now);
		if (m.now)
			logger_tick(m.now->cfg, now);
		look_at_generations(now);
		look_at_cache(now);
		if (m.state == SERVING && watch_tick(now))
			restart_by_itself(WISH_FILES);
		else if (m.state == SERVING && upgrade_storm(now))
			restart_by_itself(WISH_FRESH);
	}
}

/* ------------------------------------------------------------------------------------------------ beginning and end */

static int block_signals(struct err *e)
{
	static const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGQUIT, SIGCHLD };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		sigaddset(&set, ours[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTSTP, SIG_IGN);
	signal(CRASH_LIVE_SIGNAL, SIG_IGN);     /* in all roles, until a child is ready for it */
	m.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return m.signals < 0 ? err_sys(e, "no descriptor for signals") : 0;
}

/* A socket a slot, and logs, keys and listeners besides. */
static void raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max < 65536 ? l.rlim_max : 65536;
	setrlimit(RLIMIT_NOFILE, &l);
	if (l.rlim_cur < shared.nslots + 128)
		log_warnx(
			NULL, LOG_CORE, "BH0114",
			"only %llu descriptors are allowed (RLIMIT_NOFILE), which may be too few for up to %u children: raise the limit of the service",
			(unsigned long long)l.rlim_cur, shared.nslots / 2);
}

static int start(struct config *cfg, struct err *e)
{
	struct policy_plan plan;
	unsigned said = report_count(cfg);
	pid_t running;

	unsetenv("SSLKEYLOGFILE");
	policy_plan(&(struct policy_numbers){ -1, -1, -1, cfg->process->server_limit, -1, -1 }, 1, &plan);
	if (block_signals(e) < 0)
		return -1;
	if (handover_pending()) {
		if (upgrade_take_over(&m.pid_file, &m.pid_fd, e) < 0)
			return -1;
	} else {
		if (service_sockets(e) < 0)
			return -1;
		m.pid_fd = pidfile_take(cfg->process->pid_file, &running, e);
		if (m.pid_fd < 0)
			return -1;
		m.pid_file = strdup(cfg->process->pid_file);
	}
	if (log_targets_open(&cfg->targets, e) < 0)
		return -1;
	/* From here on what is said goes to the error log. */
	generation_use_log(cfg);
	if (!m.o->foreground)
		daemon_null_stdio();
	if (shared_create(plan.server_limit, e) < 0 || predecessor_take(e) < 0 || slots_init(shared.nslots, e) < 0)
		return -1;
	raise_descriptors();
	report_accounts(cfg->process);
	keys_prepare();
	if (logger_start(cfg, e) < 0)
		return -1;
	watch_prepare(cfg);
	m.now = generation_make(cfg, NULL, e);
	if (!m.now) {
		report_config(cfg, said, e);
		return -1;
	}
	/* What certificates and keys gave rise to, which the command line could not yet tell. */
	report_config(cfg, said, NULL);
	crash_check_cores(cfg);
	return 0;
}

int master_run(const struct config_source *src, struct config *cfg, const struct master_options *o)
{
	struct err e = { .text = "" };

	m = (struct master){
		.src = src, .o = o, .ready_fd = o->ready_fd, .pid_fd = -1, .signals = -1, .state = STARTING
	};
	if (start(cfg, &e) < 0) {
		upgrade_failed(&e);
		start_failed(&e);
	} else {
		loop();
	}
	predecessor_end(2000);
	logger_stop(m.now ? m.now->cfg : cfg, 2000);
	shared_remove();
	if (m.now)
		generation_free(m.now);
	else
		config_free(cfg);
	if (m.pid_file)
		pidfile_release(m.pid_file, m.pid_fd);
	free(m.pid_file);
	tell_failure();
	return m.code;
}

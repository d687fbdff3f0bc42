/*
 * master.c - the life of the server: one loop over signals, children's wake-ups and jobs, and one table state × event.
 * The master reads no byte from the network and parses no private key; it never sleeps but in this loop.
 *
 *   STARTING → SERVING ⇄ CHECKING → (MAKING_ROOM →) RENEWING → SERVING …            any → STOPPING → end
 */
#include "process/masterstate.h"

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
#include "process/upgrade.h"
#include "process/watch.h"

#define WAKE_PAUSE 20 /* ms: a child that rings without end costs the master no more than this often */

struct master master;

/* ------------------------------------------------------------------------------------------------ saying */

/* The start failed. Whoever waits for it is told at the very end, when pid file and sockets are gone. */
static void start_failed(const struct err *e)
{
	char text[2048];

	err_print(e, text, sizeof text);
	snprintf(master.failure, sizeof master.failure, "bulkhead: %s\n", text);
	if (!log_is_plain())
		log_errorx(NULL, LOG_CORE, "BH0100", "the server cannot start: %s", text);
	master.code = 1;
}

static void tell_failure(void)
{
	if (master.ready_fd >= 0)
		daemon_ready(master.ready_fd, master.code, master.failure);
	else
		fputs(master.failure, stderr);
}

/* ------------------------------------------------------------------------------------------------ reactions */

static void ignore(void) {}

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
		    BULKHEAD_VERSION, master.now->plan.children, master.now->plan.limit, (int)getpid());
	daemon_ready(master.ready_fd, 0, "");
	master.ready_fd = -1;
	staples_settle(master.now->cfg->process);
	watch_settle(shared_now());
	restart_over();
}

static void stillborn_first(void)
{
	struct err e = { .text = "" };

	err_set(&e, "no child can serve: %u ended before they were ready", master.now->failed_starts);
	err_remedy(&e, "the error log says why, in lines with BH0104 and BH0120");
	upgrade_failed(&e);
	start_failed(&e);
	master_event(EV_STOP);
}

static void stop_all(bool hard)
{
	struct generation *all[] = { master.now, master.next, master.old };
	int64_t now = shared_now();

	master.state = STOPPING;
	service_stopping();
	handover_settle();
	predecessor_drain(hard, master.now ? master.now->cfg->process->graceful_timeout_ms : 0, now);
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
	master.ended = true;
}

typedef void reaction(void);
static reaction *const reactions[STATES][EVENTS] = {
	/*                EV_STOP EV_DRAIN EV_RESTART        EV_CHECKED         EV_REFUSED       EV_ROOM        EV_READY      EV_STILLBORN       EV_EMPTY */
	[STARTING]    = { stop,   drain,   restart_remember, ignore,            ignore,          ignore,        started,      stillborn_first,   end },
	[SERVING]     = { stop,   drain,   restart_begin,    ignore,            ignore,          ignore,        ignore,       ignore,            ignore },
	[CHECKING]    = { stop,   drain,   restart_remember, restart_make_room, restart_refused, ignore,        ignore,       ignore,            ignore },
	[MAKING_ROOM] = { stop,   drain,   restart_remember, ignore,            ignore,          restart_renew, ignore,       ignore,            ignore },
	[RENEWING]    = { stop,   drain,   restart_remember, ignore,            ignore,          ignore,        restart_done, restart_stillborn, ignore },
	[STOPPING]    = { stop,   ignore,  ignore,           ignore,            ignore,          ignore,        ignore,       ignore,            end },
};

void master_event(enum master_event ev)
{
	reactions[master.state][ev]();
}

/* ------------------------------------------------------------------------------------------------ the loop */

static void reap(int64_t now)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct generation *all[] = { master.now, master.next, master.old };
		bool known = slots_reaped(pid, status, now) || logger_reaped(pid, status, now) ||
			     job_reaped(pid, status) || predecessor_reaped(pid, status);

		/* job_reaped may have changed who is who, but then the pid was known. */
		for (int i = 0; i < 3 && !known; i++)
			known = all[i] && generation_reaped(all[i], pid, status, now);
	}
}

/* While something is under way, what that is for stays; reactions[] remembers the wish. */
static void asked_for(bool hard, enum master_wish wish)
{
	bool before = master.hard;

	master.hard = hard;
	master.asked = wish;
	if (master.state == SERVING)
		master.wish = wish;
	master_event(EV_RESTART);
	if (master.again)
		master.hard = before;
}

static void take_signals(int64_t now)
{
	struct signalfd_siginfo s;

	while (read(master.signals, &s, sizeof s) == sizeof s) {
		switch (s.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			master_event(EV_STOP);
			break;
		case SIGWINCH:
			/* A terminal that changes its size sends this too: the kernel, not a process. */
			if (s.ssi_code != SI_KERNEL)
				master_event(EV_DRAIN);
			break;
		case SIGQUIT:
			master_event(EV_DRAIN);
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
	if (master.old)
		generation_tick(master.old, now);
	if (master.now)
		generation_tick(master.now, now);
	if (master.next)
		generation_tick(master.next, now);
	newest = master.state == RENEWING ? master.next : master.now;
	if (newest && (master.state == STARTING || master.state == RENEWING)) {
		if (newest->state == GENERATION_SERVING)
			master_event(EV_READY);
		else if (generation_stillborn(newest))
			master_event(EV_STILLBORN);
	}
	bury(&master.old);
	if (master.state == STOPPING) {
		bury(&master.next);
		/* The last one's configuration names the logs until the end. */
		if (!master.old && !master.next && (!master.now || master.now->state == GENERATION_GONE) && !predecessor_lives())
			master_event(EV_EMPTY);
	}
	if (master.state == MAKING_ROOM && restart_room(now))
		master_event(EV_ROOM);
}

/* The session cache's change of size goes on; what had to wait begins when no other generation is being made. */
static void look_at_cache(int64_t now)
{
	if (!master.now || master.state == STOPPING)
		return;
	cache_tick(master.now->cfg, slots_older() || predecessor_lives(), now);
	if (master.state == SERVING && cache_follow(master.now->cfg))
		generation_renew(master.now);
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int wait_ms(int64_t now)
{
	struct generation *all[] = { master.now, master.next, master.old };
	int64_t due = earliest(job_deadline(), logger_due());

	for (int i = 0; i < 3; i++)
		if (all[i])
			due = earliest(due, generation_due(all[i], now));
	due = earliest(earliest(due, predecessor_due()), service_tick(now));
	if (master.state == MAKING_ROOM && master.jobs_until > now)
		due = earliest(due, master.jobs_until);
	due = earliest(due, seeds_tick(now));
	if (master.now && master.state != STOPPING)
		due = earliest(due, staples_tick(master.now->cfg->process, now));
	due = earliest(due, slots_gate_tick(now));
	due = earliest(due, hang_tick(now));
	due = earliest(due, slots_live(now));
	if (master.now)
		due = earliest(due, crash_tick(master.now->cfg, now));
	if (master.state != STOPPING)
		due = earliest(due, cache_due());
	if (master.state == SERVING)
		due = earliest(earliest(due, watch_due(now)), upgrade_storm_due(now));
	if (master.wake_after > now)
		due = earliest(due, master.wake_after);
	if (due == INT64_MAX)
		return -1;
	return due <= now ? 0 : due - now > 3600000 ? 3600000 : (int)(due - now);
}

static void loop(void)
{
	reap(shared_now());     /* who ended between two programs: the word of it may have been the one before's */
	while (!master.ended) {
		enum { SIGNALS, WAKE, LOGGER, FILES, JOBS };
		struct pollfd p[JOBS + JOB_MAX];
		unsigned n = JOBS + job_poll(p + JOBS, JOB_MAX);
		int64_t now = shared_now();
		eventfd_t rung;

		p[SIGNALS] = (struct pollfd){ .fd = master.signals, .events = POLLIN };
		p[LOGGER] = (struct pollfd){ .fd = logger_fd(), .events = POLLIN };
		p[FILES] = (struct pollfd){ .fd = master.state == SERVING ? watch_fd(now) : -1, .events = POLLIN };
		p[WAKE] = (struct pollfd){ .fd = master.wake_after > now ? -1 : shared.wake, .events = POLLIN };
		if (poll(p, n, wait_ms(now)) < 0 && errno != EINTR) {
			log_error(NULL, LOG_CORE, "BH0157", "the master's wait failed");
			nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		}
		now = shared_now();
		if (p[WAKE].fd >= 0 && eventfd_read(shared.wake, &rung) == 0)
			master.wake_after = now + WAKE_PAUSE;
		if (p[FILES].fd >= 0 && p[FILES].revents)
			watch_input(now);
		for (unsigned i = JOBS; i < n; i++)
			if (p[i].revents)
				job_input(p[i].fd);
		take_signals(now);
		job_tick(now);
		if (master.now)
			logger_tick(master.now->cfg, now);
		look_at_generations(now);
		look_at_cache(now);
		if (master.state == SERVING && watch_tick(now))
			restart_by_itself(WISH_FILES);
		else if (master.state == SERVING && upgrade_storm(now))
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
	master.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return master.signals < 0 ? err_sys(e, "no descriptor for signals") : 0;
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
		if (upgrade_take_over(&master.pid_file, &master.pid_fd, e) < 0)
			return -1;
	} else {
		if (service_sockets(e) < 0)
			return -1;
		master.pid_fd = pidfile_take(cfg->process->pid_file, &running, e);
		if (master.pid_fd < 0)
			return -1;
		master.pid_file = strdup(cfg->process->pid_file);
	}
	if (log_targets_open(&cfg->targets, e) < 0)
		return -1;
	/* From here on what is said goes to the error log. */
	generation_use_log(cfg);
	if (!master.o->foreground)
		daemon_null_stdio();
	if (shared_create(plan.server_limit, e) < 0 || slots_init(shared.nslots, e) < 0 || predecessor_take(cfg, e) < 0)
		return -1;
	raise_descriptors();
	report_accounts(cfg);
	keys_prepare();
	if (logger_start(cfg, e) < 0)
		return -1;
	watch_prepare(cfg);
	master.now = generation_make(cfg, NULL, e);
	if (!master.now) {
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

	master = (struct master){
		.src = src, .o = o, .ready_fd = o->ready_fd, .pid_fd = -1, .signals = -1, .state = STARTING
	};
	if (start(cfg, &e) < 0) {
		upgrade_failed(&e);
		start_failed(&e);
	} else {
		loop();
	}
	predecessor_end(2000);
	logger_stop(master.now ? master.now->cfg : cfg, 2000);
	shared_remove();
	if (master.now)
		generation_free(master.now);
	else
		config_free(cfg);
	if (master.pid_file)
		pidfile_release(master.pid_file, master.pid_fd);
	free(master.pid_file);
	tell_failure();
	return master.code;
}

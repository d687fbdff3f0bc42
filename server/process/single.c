/*
 * single.c - -X: every role in one process, for debuggers, valgrind and sanitizers. The one file where the direct back
 * ends are chosen: keys in this process, names looked up and log lines written at once, no fork, no sandbox. As root it becomes User. A crash: singlecrash.c.
 */
#include "process/checker.h"
#include "process/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "conn/conn.h"
#include "crashdump/activity.h"
#include "crashdump/crashdump.h"
#include "log/log.h"
#include "log/target.h"
#include "process/crowd.h"
#include "process/daemon.h"
#include "process/keys.h"
#include "process/listen.h"
#include "process/names.h"
#include "process/policy.h"
#include "process/role.h"
#include "process/scoreboard.h"
#include "process/shared.h"
#include "process/staple.h"
#include "process/singlecrash.h"
#include "process/spawnmap.h"
#include "process/spawnrun.h"
#include "request/scripts.h"
#include "tls/handshake.h"
#include "tls/key.h"
#include "tls/staple.h"

static struct single {
	struct config *cfg;
	struct key_store *store;
	struct listen_set listens;
	struct conn_listener *listeners;
	struct conn_counters counters;
	struct conn_row rows[CONN_ROWS];
	struct conn_shown shown[CONN_SHOWN];
	struct crowd crowd;
	struct activity activity;
	volatile int *client_fds;
	struct conn_server *server;
	int control, pid_fd;
} single = { .control = -1, .pid_fd = -1 };
static volatile sig_atomic_t drain, stop;

static void on_signal(int number)
{
	int saved = errno;

	if (number == SIGWINCH || number == SIGQUIT)
		drain = 1;
	else
		stop = 1;
	if (eventfd_write(single.control, 1) < 0)
		errno = 0;
	errno = saved;
}

static int take_signals(struct err *e)
{
	static const int taken[] = { SIGINT, SIGTERM, SIGWINCH, SIGQUIT };
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	single.control = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (single.control < 0)
		return err_sys(e, "no descriptor for signals");
	/* There is nothing to restart with: one process, one configuration. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(CRASH_LIVE_SIGNAL, SIG_IGN);
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		sigaction(taken[i], &a, NULL);
	return 0;
}

static int fd_of(unsigned target)
{
	const struct log_targets *t = &single.cfg->targets;

	return target < t->n ? t->at[target].fd : -1;
}

static void put_line(unsigned target, const char *line, size_t n)
{
	while (n) {
		ssize_t put = write(fd_of(target), line, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return;
		line += put;
		n -= (size_t)put;
	}
}

static void say(int customer, const struct spawn_said *said, const char *text, size_t n)
{
	(void)customer;
	conn_program_said(single.cfg->site, said, text, n);
}

static int warm(void *ctx, struct err *e)
{
	const struct process_settings *p = single.cfg->process;

	(void)ctx;
	if (single.cfg->site->asks_names || checker_wanted(single.cfg))
		names_prepare();
	if (single.store)
		staples_direct();
	if (spawnrun_init(single.cfg->site, NULL, e) < 0 || spawnmap_init(single.cfg->site, 0, -1, say, e) < 0)
		return -1;
	activity_reset(&single.activity, (uint64_t)shared_now());
	scoreboard_single(single.cfg, &(struct shared_slot){ .counters = &single.counters, .rows = single.rows, .activity = &single.activity,
							  .shown = single.shown });
	if (crowd_single(&single.crowd, e) < 0)
		return -1;
	singlecrash_install(&single.activity, single.client_fds, single.client_fds ? single.counters.limit : 0);
	single.server = conn_new(
		&(struct conn_options){
			.site = single.cfg->site,
			.listeners = single.listeners,
			.nlisteners = single.listens.n,
			.limit = single.counters.limit,
			.counters = &single.counters,
			.rows = single.rows,
			.shown = single.shown,
			.crowd = single.crowd,
			.activity = &single.activity,
			.client_fds = single.client_fds,
			.nclient_fds = single.client_fds ? single.counters.limit : 0,
			.ring_wake = -1,
			.put_line = put_line,
			.master = -1,
			.control = single.control,
			.busy_wake = -1,
			.look = -1,
			.resolver = -1,
			.spawn_direct = scripts_wanted(single.cfg->site) || single.cfg->site->programs ? &spawnrun_direct : NULL,
			.lookup = single.cfg->site->asks_names ? names_look : NULL,
			.checker = -1,
			.check = checker_direct(single.cfg),
			.drain = &drain,
			.stop = &stop,
			.drain_ms = p->graceful_timeout_ms > 0 ? p->graceful_timeout_ms : 0,
		},
		e);
	return single.server ? 0 : -1;
}

static int open_listeners(struct err *e)
{
	const struct process_settings *p = single.cfg->process;

	if (listen_open(p, NULL, 6000, &single.listens, e) < 0)
		return -1;
	single.listeners = calloc(single.listens.n + 1, sizeof *single.listeners);
	if (!single.listeners)
		return err_set(e, "no memory");
	for (unsigned i = 0; i < single.listens.n; i++)
		single.listeners[i] = (struct conn_listener){ .fd = single.listens.at[i]->fd,
							      .addr = single.listens.at[i]->addr };
	return 0;
}

/* So that clients see the end at once when it crashes. */
static void list_clients(void)
{
	unsigned n = single.counters.limit;
	int *fds = malloc(n * sizeof *fds);

	for (unsigned i = 0; fds && i < n; i++)
		fds[i] = -1;
	single.client_fds = fds;
}

static int open_tls(struct err *e)
{
	struct err why = { .text = "" };
	char text[1024];

	if (!keys_tls_wanted(single.cfg))
		return 0;
	keys_prepare();
	if (keys_load_direct(single.cfg, &single.store, NULL) < 0) {
		for (const struct config_report *r = single.cfg->reports; r; r = r->next)
			if (r->severity == CONF_ERROR) {
				if (r->pos.file)
					err_at(e, r->pos.file, r->pos.line);
				err_set(e, "%s", r->sentence);
				if (r->remedy)
					err_remedy(e, "%s", r->remedy);
			}
		return err_set(e, "keys and certificates cannot be loaded");
	}
	key_use(&key_ops_direct, single.store);
	if (shared_direct(single.cfg, e) < 0 || staples_prepare(single.cfg, e) < 0)
		return -1;
	staples_settle(single.cfg->process);
	staple_use(shared.staples);
	/* Now: later the descriptors are gone that tell ours from another's, and so is the right to remove. */
	shared_unlink();
	if (shared_child_cache(&why) < 0)
		log_warnx(NULL, LOG_SSL, "BH0106", "%s: no session is resumed",
			  err_print(&why, text, sizeof text));
	tls_child_init(shared.cache, keys_cache_settings(single.cfg));
	return 0;
}

static int start(struct err *e)
{
	struct config *cfg = single.cfg;
	const struct process_settings *p = cfg->process;
	const struct log_host *log = host_config(cfg->site->main, &log_module);
	struct policy_plan plan;
	pid_t running;

	if (cfg->site->accounts) {
		err_set(e, "under -X programs cannot run as other accounts (SuexecUserGroup, RewriteMap prg: with an account)");
		return err_remedy(e, "take these lines out");
	}
	single.pid_fd = pidfile_take(p->pid_file, &running, e);
	if (single.pid_fd < 0 || take_signals(e) < 0 || log_targets_open(&cfg->targets, e) < 0)
		return -1;
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = -1, .fd_of = fd_of }, &log->settings);
	policy_plan(&(struct policy_numbers){ p->start_servers, p->min_spare, p->max_spare, p->server_limit,
					      p->max_workers, p->connections_per_child },
		    1, &plan);
	/* One process: the connections of all, but the one-connection-a-process promise cannot be kept here. */
	atomic_store(&single.counters.limit, (uint32_t)(plan.workers < 1024 ? plan.workers : 1024));
	list_clients();
	if (open_listeners(e) < 0 || open_tls(e) < 0)
		return -1;
	singlecrash_open(cfg);
	return role_enter(ROLE_DIRECT,
			  &(struct role_wants){ .user = p->user && *p->user != '#' ? p->user : NULL,
						.uid = geteuid() == 0 ? p->uid : (uid_t)-1,
						.gid = p->gid,
						.chroot_dir = p->chroot_dir,
						.work_dir = p->core_dir,
						.cores = p->core_dir != NULL,
						.warm = warm },
			  e);
}

int single_run(struct config *cfg)
{
	struct err e = { .text = "" };
	char text[2048], *pid_file = strdup(cfg->process->pid_file);
	int code = 1;

	single.cfg = cfg;
	if (start(&e) == 0) {
		log_noticex(NULL, LOG_MPM, "BH0101", "one process serves (-X), pid %d", (int)getpid());
		code = conn_run(single.server);
	} else {
		err_print(&e, text, sizeof text);
		if (!log_is_plain())
			log_errorx(NULL, LOG_CORE, "BH0100", "the server cannot start: %s", text);
		fprintf(stderr, "bulkhead: %s\n", text);
	}
	if (single.server)
		conn_free(single.server);
	spawnrun_kill_running();
	shared_remove();
	listen_close(&single.listens);
	free(single.listeners);
	free((void *)(uintptr_t)single.client_fds);
	if (single.store)
		key_store_free(single.store);
	if (pid_file)
		pidfile_release(pid_file, single.pid_fd);
	free(pid_file);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = 2, .plain = true }, NULL);
	log_targets_close(&cfg->targets);
	config_free(cfg);
	return code;
}

/*
 * child.c - entry of a serving process. In this order: its own slot, its own descriptors, no rights, the sandbox, then
 * conn/'s loop until it is drained, stopped or has served MaxConnectionsPerChild connections.
 */
#include "process/child.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/regex.h"
#include "conn/conn.h"
#include "crashdump/crashdump.h"
#include "log/log.h"
#include "log/target.h"
#include "process/crowd.h"
#include "process/keyholder.h"
#include "process/keys.h"
#include "process/paths.h"
#include "process/role.h"
#include "process/scoreboard.h"
#include "process/shared.h"
#include "request/proxy.h"
#include "tls/handshake.h"
#include "tls/key.h"
#include "tls/staple.h"

#define GATE_MS 5000

/* All that the steps and the loop share. One process, one child. */
static struct child {
	const struct child_start *start;
	struct shared_slot slot;
	struct crowd crowd;
	struct crash_files files;
	struct conn_server *server;
	struct conn_listener *listeners;
	volatile int *client_fds;
	int key_fd;
	struct key_link link;
	struct key_store *keys;         /* SSLPrivateKeyIsolation off; else NULL */
	int control;
} child;

static volatile sig_atomic_t drain, stop;

static void on_signal(int number)
{
	int saved = errno;

	if (number == SIGQUIT)
		drain = 1;
	else
		stop = 1;
	if (eventfd_write(child.control, 1) < 0)
		errno = 0;              /* the flag is set: the loop sees it at its next turn */
	errno = saved;
}

static int take_signals(struct err *e)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	sigset_t both;

	child.control = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (child.control < 0)
		return err_sys(e, "no descriptor for signals");
	sigaction(SIGQUIT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
	sigemptyset(&both);
	sigaddset(&both, SIGQUIT);
	sigaddset(&both, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &both, NULL);
	return 0;
}

/*
 * Until no child takes connections that could not find what this one stores (slots_gate). Those that come meanwhile wait in
 * the kernel's queue; this lasts milliseconds, and ends by itself where nobody ends it.
 */
static void wait_for_gate(void)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < GATE_MS && !drain && !stop; i++) {
		if (atomic_load_explicit(child.slot.open, memory_order_acquire))
			return;
		nanosleep(&pause, NULL);
	}
}

static void ready(void *ctx)
{
	(void)ctx;
	log_debugx(NULL, LOG_MPM, NULL, "the child in slot %u of generation %u takes connections, at most %u at a time", child.start->slot,
		   child.start->generation->number, child.start->generation->plan.limit);
	atomic_store_explicit(child.slot.ready, 1, memory_order_release);
	eventfd_write(shared.wake, 1);
	if (child.start->waits)
		wait_for_gate();
}

/* Step 2: what the drop of rights would hide. */
static int open_hidden(void *ctx, struct err *e)
{
	struct err why = { .text = "" };
	char text[512];

	(void)ctx;
	(void)e;
	/* Without /proc a crash has no map of memory and its core is the kernel's choice: a loss, no reason not to serve. */
	if (crash_files_open(&child.files) < 0)
		log_debugx(NULL, LOG_CRASH, NULL, "/proc/self/coredump_filter or maps cannot be opened");
	if (shared_child_cache(&why) < 0)
		log_warnx(NULL, LOG_SSL, "BH0106", "%s: this child only misses",
			  err_print(&why, text, sizeof text));
	return 0;
}

static int install_crash_handler(void)
{
	return crash_install(&(struct crash_options){
		.pool = shared.crash_pool,
		.activity = child.slot.activity,
		.release = shared_crash_release,
		.client_fds = child.client_fds,
		.client_count = child.start->generation->plan.limit,
		.files = child.files,
		.no_core = child.slot.no_core,
		.role = "child",
		.slot = child.start->slot,
		.generation = child.start->generation->number,
		.live = &child.slot.counters->live,
		.live_wake = shared.wake,
		.live_uid = shared.root ? 0 : geteuid(),
	});
}

static int make_server(struct err *e)
{
	const struct generation *g = child.start->generation;
	const struct process_settings *p = g->cfg->process;

	child.server = conn_new(
		&(struct conn_options){
			.site = g->cfg->site,
			.listeners = child.listeners,
			.nlisteners = g->listens.n,
			.limit = g->plan.limit,
			.max_connections = p->max_connections > 0 ? (uint64_t)p->max_connections : 0,
			.counters = child.slot.counters,
			.rows = child.slot.rows,
			.crowd = child.crowd,
			.ring = child.slot.ring,
			.ring_wake = shared.log_wake,
			.activity = child.slot.activity,
			.shown = child.slot.shown,
			.client_fds = child.client_fds,
			.nclient_fds = g->plan.limit,
			.master = shared.master_pidfd,
			.control = child.control,
			.resolver = child.start->ends[SLOT_NAMES],
			.checker = child.start->ends[SLOT_CHECKS],
			.spawners = &child.start->ends[SLOT_PROGRAMS],
			.busy_wake = shared.wake,
			.look = shared.look,
			.drain = &drain,
			.stop = &stop,
			.ready = ready,
			.drain_ms = p->graceful_timeout_ms > 0 ? p->graceful_timeout_ms : 0,
		},
		e);
	return child.server ? 0 : -1;
}

/* Step 10: all that opens files or makes memory executable has been done when the sandbox closes. */
static int warm(void *ctx, struct err *e)
{
	const struct generation *g = child.start->generation;
	unsigned char word[4];

	(void)ctx;
	regex_no_jit();
	gnutls_rnd(GNUTLS_RND_NONCE, word, sizeof word);
	gnutls_rnd(GNUTLS_RND_RANDOM, word, sizeof word);
	if (child.keys)
		key_use(&key_ops_direct, child.keys);
	else if (child.key_fd >= 0)
		key_use(&key_ops_keyholder, &child.link);
	staple_use(shared.staples);
	if (keys_tls_wanted(g->cfg))
		tls_child_init(shared.cache, keys_cache_settings(g->cfg));
	if (install_crash_handler() < 0)
		log_warn(NULL, LOG_CRASH, "BH0105",
			 "no crash handler: a crash of this child will leave no report");
	return make_server(e);
}

static int copy_lists(struct err *e)
{
	const struct generation *g = child.start->generation;
	int *fds = malloc((g->plan.limit + 1) * sizeof *fds);

	child.listeners = calloc(g->listens.n + 1, sizeof *child.listeners);
	child.client_fds = fds;
	if (!fds || !child.listeners)
		return err_set(e, "no memory");
	for (unsigned i = 0; i <= g->plan.limit; i++)
		fds[i] = -1;
	for (unsigned i = 0; i < g->listens.n; i++)
		child.listeners[i] = (struct conn_listener){ .fd = g->listens.at[i]->fd,
							     .addr = g->listens.at[i]->addr };
	return 0;
}

static int give_up_rights(struct err *e)
{
	const struct generation *g = child.start->generation;
	const struct process_settings *p = g->cfg->process;
	unsigned n = 0, room = g->listens.n + 14 + SLOT_ACCOUNTS;
	int *keep = calloc(room, sizeof *keep), rc;

	if (!keep)
		return err_set(e, "no memory");
	for (unsigned i = 0; i < g->listens.n; i++)
		keep[n++] = child.listeners[i].fd;
	keep[n++] = child.key_fd;
	for (enum slot_end end = SLOT_KEYS + 1; end < SLOT_ENDS; end++)
		keep[n++] = child.start->ends[end];
	keep[n++] = child.control;
	keep[n++] = shared.wake;
	keep[n++] = shared.log_wake;
	keep[n++] = shared.look;
	keep[n++] = shared.life[1];
	keep[n++] = shared.master_pidfd;
	shared_cache_fds(keep + n);
	n += SHARED_CACHE_FDS;
	rc = role_enter(ROLE_CHILD,
			&(struct role_wants){
				.keep = keep,
				.nkeep = n,
				.user = p->user && *p->user != '#' ? p->user : NULL,
				.uid = shared.root ? p->uid : (uid_t)-1,
				.gid = p->gid,
				.chroot_dir = p->chroot_dir,
				.work_dir = p->core_dir,
				.cores = p->core_dir != NULL,
				.files = (uint64_t)g->plan.limit * (proxy_wanted(g->cfg->site) ? 3 : 2) + 256,
				.connects = proxy_wanted(g->cfg->site),
				.paths = g->cfg->paths ? &g->cfg->paths->wants : NULL,
				.master = shared.master,
				.watch_parent = shared.master_pidfd < 0,
				.open_hidden = open_hidden,
				.warm = warm,
				.calls = crash_system_calls,
			},
			e);
	free(keep);
	return rc;
}

/* SSLPrivateKeyIsolation off: while the descriptors of the key files are there. */
static int load_keys(struct err *e)
{
	const struct keyholders *k = child.start->generation->keyholders;

	if (child.key_fd < 0 || !keyholders_direct(k))
		return 0;
	child.keys = keyholders_load(k, child.key_fd, e);
	close(child.key_fd);
	child.key_fd = -1;
	return child.keys ? 0 : -1;
}

static _Noreturn void give_up(const struct err *e, bool sick)
{
	char text[1024];

	log_errorx(NULL, LOG_MPM, "BH0104", "this child cannot serve: %s", err_print(e, text, sizeof text));
	eventfd_write(shared.log_wake, 1);
	_exit(sick ? ROLE_EXIT_SICK : ROLE_EXIT_FATAL);
}

void child_run(const struct child_start *s)
{
	const struct config *cfg = s->generation->cfg;
	const struct log_host *log = host_config(cfg->site->main, &log_module);
	struct err e = { .text = "" };
	int code;

	child.start = s;
	child.key_fd = s->ends[SLOT_KEYS];
	if (child.key_fd >= 0 && !keyholders_direct(s->generation->keyholders))
		keyholders_link(s->generation->keyholders, s->slot, child.key_fd, &child.link);
	child.files = (struct crash_files){ -1, -1 };
	if ((cfg->site->shows_status && scoreboard_open(cfg, &e) < 0) || shared_child_slot(s->slot, &child.slot, &e) < 0 || shared_child_pool(s->crash, &e) < 0
	    || shared_child_staples(&e) < 0 || crowd_child(s->slot, &child.crowd, &e) < 0)
		_exit(ROLE_EXIT_SICK);
	ring_generation(child.slot.ring, s->generation->number);
	log_open(&(struct log_sink){ .kind = LOG_SINK_RING, .ring = child.slot.ring }, &log->settings);
	if (take_signals(&e) < 0 || copy_lists(&e) < 0)
		give_up(&e, true);
	if (load_keys(&e) < 0)
		give_up(&e, false);
	errno = 0;
	if (give_up_rights(&e) < 0)
		give_up(&e, errno == ENOMEM || errno == EMFILE || errno == ENFILE);
	code = conn_run(child.server);
	conn_free(child.server);
	eventfd_write(shared.log_wake, 1);
	_exit(code);
}

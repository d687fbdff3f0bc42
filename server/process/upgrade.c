/*
 * upgrade.c - another program in place of this one (upgrade.h): the probe, what is handed over, and the first steps of a
 * program that takes over. Runs in the master; the probe's own part in a job, and in the program that the job executes.
 *
 * The very file that was probed is executed, by its descriptor: what lies at the path may be exchanged meanwhile.
 */
#include "process/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/version.h"
#include "log/log.h"
#include "process/cache.h"
#include "process/crash.h"
#include "process/handover.h"
#include "process/helper.h"
#include "process/keyholder.h"
#include "process/keys.h"
#include "process/listen.h"
#include "process/logger.h"
#include "process/phrases.h"
#include "process/predecessor.h"
#include "process/report.h"
#include "process/shared.h"
#include "process/slots.h"
#include "process/staple.h"
#include "process/tallyover.h"

#define PROBE_MS 60000
#define STORM 64                        /* crashes of children that served, in one layout of memory */
#define STORM_PAUSE 10000               /* ms that a layout lasts at least */
#define STORM_LATER 60000               /* ms until a new layout is wanted again where it could not be had */
#define STRANGERS_MS 5000               /* until the killed processes of a program that failed are gone */
#define REST_LONGEST 32                 /* s between two tries of a program that cannot take over */

static struct {
	char **argv;
	char path[PATH_MAX];            /* where this program came from */
	int next;                       /* the one that is probed, or was; -1 = none */
	unsigned crashes;
	int64_t born, later;
	bool put_off;
} self = { .next = -1 };

/* ------------------------------------------------------------------------------------------------ where this came from */

static bool is_this(const char *path)
{
	struct stat a, b;

	return stat(path, &a) == 0 && stat("/proc/self/exe", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* As the shell found it. */
static bool in_path(const char *name, char *out, size_t room)
{
	const char *at = getenv("PATH");

	while (at && *at) {
		size_t n = strcspn(at, ":");

		if (snprintf(out, room, "%.*s/%s", (int)n, at, name) < (int)room && is_this(out))
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

/* The name that it was called by, so that a link may be led to another program; else what the kernel calls it. */
static void find_self(const char *name)
{
	char cwd[PATH_MAX];
	ssize_t n;

	if (*name == '/')
		snprintf(self.path, sizeof self.path, "%s", name);
	else if (!strchr(name, '/'))
		in_path(name, self.path, sizeof self.path);
	else if (!getcwd(cwd, sizeof cwd) || snprintf(self.path, sizeof self.path, "%s/%s", cwd, name) >= (int)sizeof self.path)
		self.path[0] = '\0';
	if (is_this(self.path))
		return;
	n = readlink("/proc/self/exe", self.path, sizeof self.path - 1);
	self.path[n > 0 ? n : 0] = '\0';
}

/* ------------------------------------------------------------------------------------------------ no program can take over */

static bool was_left(pid_t pid)
{
	static const char *const names[] = { "child", "keeper" };

	for (int k = 0; k < 2; k++)
		for (const struct handover_line *l = handover_next(NULL, names[k]); l; l = handover_next(l, names[k]))
			if (atol(l->text) == pid)
				return true;
	return false;
}

/*
 * What the program that failed has forked knows a master that is no more. It is gone before this one goes on: it writes into the same
 * slots, and its logger reads the same rings.
 */
static void end_strangers(void)
{
	int64_t end = shared_now() + STRANGERS_MS;
	char path[64], name[32];
	FILE *all, *one;
	int pid;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	all = fopen(path, "re");
	while (all && fscanf(all, "%d", &pid) == 1) {
		snprintf(path, sizeof path, "/proc/%d/comm", pid);
		one = was_left(pid) ? NULL : fopen(path, "re");
		if (one && fgets(name, sizeof name, one) && !strncmp(name, "bulkhead", 8)) {
			kill(pid, SIGKILL);
			while (waitpid(pid, NULL, WNOHANG) == 0 && shared_now() < end)
				nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
		if (one)
			fclose(one);
	}
	if (all)
		fclose(all);
}

/* The names of the session cache, which the next start would find to be a dead one's. */
static void remove_cache(void)
{
	for (const struct handover_line *l = handover_next(NULL, "cache"); l; l = handover_next(l, "cache")) {
		char name[64], path[PATH_MAX];
		ssize_t n;

		snprintf(name, sizeof name, "/proc/self/fd/%d", l->fd);
		n = l->fd < 0 ? -1 : readlink(name, path, sizeof path - 1);
		if (n <= 0 || path[0] != '/')
			continue;
		path[n] = '\0';
		if (!strncmp(path, "/dev/shm/bulkhead-", 18) || strstr(path, ".lock"))
			unlink(path);
	}
}

static _Noreturn void end_all(void)
{
	const struct handover_line *l = handover_next(NULL, "pidfile");
	int64_t end = shared_now() + 5000;

	for (const struct handover_line *c = handover_next(NULL, "child"); c; c = handover_next(c, "child"))
		if (waitpid((pid_t)atol(c->text), NULL, WNOHANG) == 0)
			kill((pid_t)atol(c->text), SIGTERM);
	while (shared_now() < end && waitpid(-1, NULL, WNOHANG) >= 0)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	if (l)
		unlink(l->text);
	remove_cache();
	/* Whoever is left sees that the master is gone, and ends. */
	_exit(0);
}

/* The children go on alone for a while; signals that stop are heard, all others mean "try again now". */
static void rest(unsigned failures, const char *why)
{
	struct timespec wait = { .tv_sec = failures > 5 ? REST_LONGEST : 1 << failures };
	static const int heard[] = { SIGTERM, SIGINT, SIGQUIT, SIGWINCH, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t set;
	int got;

	log_errorx(NULL, LOG_CORE, "BH0874", "nor can the program before go on as it was (%s): its children serve, and it is tried again in %d s",
		   why, (int)wait.tv_sec);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof heard / sizeof *heard; i++)
		sigaddset(&set, heard[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	got = sigtimedwait(&set, NULL, &wait);
	if (got == SIGTERM || got == SIGINT || got == SIGQUIT || got == SIGWINCH)
		end_all();
}

bool upgrade_begin(char **argv)
{
	static struct log_settings settings;
	const struct handover_line *l;
	const char *why;
	unsigned failures;

	self.argv = argv;
	self.born = shared_now();
	/* Executed by its descriptor, it is called by a number. */
	if (argv[0] && argv[1] && !strncmp(argv[1], "--" UPGRADE_PROBE "=", sizeof "--" UPGRADE_PROBE "=" - 1))
		prctl(PR_SET_NAME, "bulkhead-probe");
	if (!handover_arrive(argv)) {
		find_self(argv[0] ? argv[0] : "");
		return false;
	}
	l = handover_next(NULL, "path");
	snprintf(self.path, sizeof self.path, "%s", l ? l->text : "");
	l = handover_next(NULL, "errorlog");
	log_settings_init(&settings, LOG_L_NOTICE);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = l ? l->fd : 2 }, &settings);
	failures = handover_failures(&why);
	if (failures)
		end_strangers();
	if (failures > 1)
		rest(failures - 1, why);
	return true;
}

void upgrade_failed(const struct err *e)
{
	char text[1600];

	if (!handover_pending())
		return;
	err_print(e, text, sizeof text);
	log_errorx(NULL, LOG_CORE, "BH0872", "Bulkhead/%s cannot take over: %s: back to the program before", BULKHEAD_VERSION, text);
	/* The program before ends what is left of this one, where it can see it; these it could take for its own. */
	for (unsigned i = 0; slots_at(i); i++)
		if (slots_at(i)->pid && !predecessor_has(slots_at(i)->generation))
			kill(slots_at(i)->pid, SIGKILL);
	handover_back(text);
	log_error(NULL, LOG_CORE, "BH0872", "there is no way back to the program before");
}

/* ------------------------------------------------------------------------------------------------ the probe */

/* "--probe=5,6": the sockets stay open for it. */
static char *probe_word(const struct listen_set *set)
{
	size_t room = sizeof "--" UPGRADE_PROBE "=" + (size_t)12 * set->n, at;
	char *word = malloc(room);

	if (!word)
		return NULL;
	at = (size_t)snprintf(word, room, "--" UPGRADE_PROBE "=");
	for (unsigned i = 0; i < set->n; i++) {
		at += (size_t)snprintf(word + at, room - at, "%s%d", i ? "," : "", set->at[i]->fd);
		fcntl(set->at[i]->fd, F_SETFD, 0);
	}
	return word;
}

static int probe_run(void *arg, int fd)
{
	char **argv, *word = probe_word(arg);
	unsigned n = 0;

	while (self.argv[n])
		n++;
	argv = word ? calloc(n + 2, sizeof *argv) : NULL;
	if (!argv) {
		free(word);
		return ROLE_EXIT_SICK;
	}
	argv[0] = self.argv[0];
	argv[1] = word;
	for (unsigned i = 1; i < n; i++)
		argv[i + 1] = self.argv[i];
	dup2(fd, 1);
	dup2(fd, 2);
	syscall(SYS_execveat, self.next, "", argv, environ, AT_EMPTY_PATH);
	if (errno == ENOENT)            /* the kernel's word for a script that comes by its descriptor alone */
		dprintf(fd, "it is a script, or the loader that it names is not there\n");
	else
		dprintf(fd, "it cannot be executed: %s\n", strerror(errno));
	free(argv);
	free(word);
	return 1;
}

static const struct job_kind probe = { .name = "probe", .rights = JOB_EXECUTES, .time_ms = PROBE_MS, .run = probe_run };

static void forget_next(void)
{
	if (self.next >= 0)
		close(self.next);
	self.next = -1;
}

int upgrade_probe(const struct generation *g, job_done *done, struct err *e)
{
	const struct listen_set *set = &g->listens;
	int *keep = calloc(set->n + 1, sizeof *keep), number;
	struct job_place place = { .settings = g->cfg->process, .keep = keep, .nkeep = set->n + 1 };

	forget_next();
	self.next = keep ? open(self.path, O_PATH | O_CLOEXEC) : -1;
	if (self.next < 0) {
		err_sys(e, "%s cannot be opened", self.path);
		free(keep);
		return err_remedy(e, "install the new program there, under the path by which this one was started");
	}
	keep[0] = self.next;
	for (unsigned i = 0; i < set->n; i++)
		keep[i + 1] = set->at[i]->fd;
	number = job_run(&probe, (void *)(uintptr_t)set, &place, done, NULL, e);
	free(keep);
	return number > 0 ? 0 : -1;
}

/* Those that are new are bound for a moment, as the start will do it. */
static void try_sockets(struct config *cfg, const char *sockets)
{
	struct listen_set set;
	struct err e = { .text = "" };
	char *end;

	for (const char *at = sockets; *at; at = *end ? end + 1 : end)
		if (listen_given((int)strtol(at, &end, 10), &e) < 0)
			break;
	if (*e.text || listen_open(cfg->process, NULL, 0, &set, &e) < 0)
		config_report_add(cfg, CONF_ERROR, &(struct conf_pos){ .file = *e.file ? conf_strdup(&cfg->env, e.file) : NULL, .line = e.line }, e.remedy, "%s", e.text);
	else
		listen_close(&set);
}

int upgrade_probed(struct config *cfg, const char *sockets, void (*check)(struct config *cfg))
{
	struct key_store *store = NULL;
	unsigned locked;

	if (!cfg->errors && keys_load_direct(cfg, &store, &locked) < 0 && !cfg->errors)
		config_report_add(cfg, CONF_ERROR, NULL, NULL, "keys and certificates could not be loaded");
	if (!cfg->errors)
		check(cfg);
	if (!cfg->errors)
		try_sockets(cfg, sockets);
	printf("U %d Bulkhead/%s\n", HANDOVER_VERSION, BULKHEAD_VERSION);
	fflush(stdout);
	job_write_reports(STDOUT_FILENO, cfg);
	if (store)
		key_store_free(store);
	return cfg->errors ? 1 : 0;
}

/* The first line of a stranger's answer, as far as it can be shown. */
static const char *shown(const char *text, char *out, size_t room)
{
	size_t n = strcspn(text, "\n");

	if (n >= room)
		n = room - 1;
	for (size_t i = 0; i < n; i++)
		out[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	out[n] = '\0';
	return out;
}

bool upgrade_answer(const struct job_result *r)
{
	const char *word = !strncmp(r->text, "U ", 2) ? r->text : strstr(r->text, "\nU ");
	int version = word ? atoi(word + 2 + (*word == '\n')) : 0;
	char words[128], text[300];

	if (word)
		report_check(r, false, false);
	if (r->ok && version == HANDOVER_VERSION)
		return true;
	if (r->timeout)
		snprintf(text, sizeof text, "its check took longer than %d s", PROBE_MS / 1000);
	else if (!word && *r->text)
		shown(r->text, text, sizeof text);
	else if (!word)
		snprintf(text, sizeof text, "it does not answer as Bulkhead would (%s)", slots_status_words(r->status, words));
	else if (version != HANDOVER_VERSION)
		snprintf(text, sizeof text, "it takes over by version %d of the table, this one hands over by %d; stop and start the server", version, HANDOVER_VERSION);
	else
		snprintf(text, sizeof text, "it refuses the configuration");
	log_errorx(NULL, LOG_CORE, "BH0871", "%s cannot take over: %s: this program goes on", self.path, text);
	forget_next();
	return false;
}

/* ------------------------------------------------------------------------------------------------ handing over */

static void hand_over(const struct generation *g, const char *pid_file, int pid_fd, FILE *to)
{
	handover_put(to, "path", -1, "%s", self.path);
	handover_put(to, "version", -1, "Bulkhead/%s", BULKHEAD_VERSION);
	handover_put(to, "pidfile", pid_fd, "%s", pid_file);
	handover_put(to, "errorlog", generation_log(), "of generation %u", g->number);
	handover_put(to, "generation", -1, "%u %lld", g->number, (long long)g->cfg->process->graceful_timeout_ms);
	listen_hand_over(&g->listens, to);
	tallyover_give(to);
	predecessor_give(to);
	keyholders_hand_over(g->keyholders, to);
	for (enum slot_end end = 0; end < SLOT_ENDS; end++)
		helper_hand_over(g->helpers[end], to);
	logger_hand_over(to);
	cache_hand_over(to);
	staples_hand_over(to);
	crash_hand_over(to);
	shared_hand_over(to);
}

int upgrade_exec(const struct generation *g, const char *pid_file, int pid_fd, bool fresh, struct err *e)
{
	int this = open("/proc/self/exe", O_PATH | O_CLOEXEC), phrases;
	FILE *to = this >= 0 ? handover_begin(e) : NULL;

	if (this < 0)
		err_sys(e, "/proc/self/exe cannot be opened, which the way back would need");
	if (to) {
		hand_over(g, pid_file, pid_fd, to);
		handover_put(to, "back", this, "Bulkhead/%s", BULKHEAD_VERSION);
		handover_put(to, "why", -1, "%s", fresh ? "fresh" : "upgrade");
		phrases = phrases_hand_over(to, e);
		if (*e->text)
			handover_drop(to);
		else
			handover_exec(to, fresh ? this : self.next, self.argv, e);
		if (phrases >= 0)
			close(phrases);
	}
	if (this >= 0)
		close(this);
	forget_next();
	return -1;
}

/* ------------------------------------------------------------------------------------------------ a storm of crashes */

void upgrade_crashed(void)
{
	self.crashes++;
}

bool upgrade_storm(int64_t now)
{
	return self.crashes >= STORM && now - self.born >= STORM_PAUSE && now >= self.later;
}

int64_t upgrade_storm_due(int64_t now)
{
	int64_t due = self.born + STORM_PAUSE > self.later ? self.born + STORM_PAUSE : self.later;

	return self.crashes < STORM ? INT64_MAX : due > now ? due : now;
}

bool upgrade_storm_put_off(int64_t now)
{
	bool first = !self.put_off;

	self.later = now + STORM_LATER;
	self.put_off = true;
	return first;
}

/* ------------------------------------------------------------------------------------------------ taking over */

int upgrade_take_over(char **pid_file, int *pid_fd, struct err *e)
{
	const struct handover_line *l = handover_next(NULL, "pidfile");

	*pid_file = strdup(l ? l->text : "");
	*pid_fd = handover_claim(l);
	l = handover_next(NULL, "generation");
	generation_follow(l ? (uint32_t)strtoul(l->text, NULL, 10) : 0);
	for (l = handover_next(NULL, "listener"); l; l = handover_next(l, "listener"))
		if (listen_given(handover_claim(l), e) < 0)
			return -1;
	staples_take_over();
	crash_take_over();
	return 0;
}

bool upgrade_settle(void)
{
	const struct handover_line *l = handover_next(NULL, "version"), *why = handover_next(NULL, "why"), *g = handover_next(NULL, "generation");
	long long patience = 0;
	const char *reason;

	if (!handover_pending())
		return false;
	if (g)
		sscanf(g->text, "%*u %lld", &patience);
	if (handover_failures(&reason))
		log_errorx(NULL, LOG_CORE, "BH0873", "%s could not take over: %s: Bulkhead/%s goes on", self.path, reason, BULKHEAD_VERSION);
	else if (why && !strcmp(why->text, "fresh"))
		log_noticex(NULL, LOG_CORE, "BH0877", "the program was executed anew: its memory lies elsewhere now, and has another canary");
	else
		log_noticex(NULL, LOG_CORE, "BH0870", "Bulkhead/%s has taken over from %s: sockets, sessions and ticket seeds are kept, the children of before finish their requests",
			    BULKHEAD_VERSION, l ? l->text : "the program before");
	predecessor_drain(false, patience, shared_now());
	handover_settle();
	return true;
}

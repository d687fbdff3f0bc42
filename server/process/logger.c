/*
 * logger.c - the master's half of the logger: starts it, hands it the descriptors of each generation's targets, replaces
 * it when it dies, lets it write the last lines when the server ends. The process itself: logwriter.c.
 */
#include "process/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/ipc.h"
#include "log/log.h"
#include "log/target.h"
#include "process/handover.h"
#include "process/logwriter.h"
#include "process/policy.h"
#include "process/role.h"
#include "process/shared.h"
#include "process/slots.h"

#define LEAVE_PATIENCE 2000             /* ms that a logger has to end between two writes */

/* A generation's targets: while it lives they are its own, then a copy, until the logger has written its last lines. Of the program before: a copy. */
struct known {
	uint32_t generation;
	const struct log_targets *targets;      /* NULL = free */
	bool dropped;
	struct log_targets copy;
};

static struct {
	pid_t pid;
	int control;
	unsigned unheard;               /* TOLDs that it has not answered */
	int64_t born;
	bool stopping;
	struct policy_backoff backoff;
	struct known tables[LOGGER_TABLES];
} logger = { .control = -1 };

static int say(uint32_t type, const void *data, size_t len, const int *fds, unsigned n)
{
	if (logger.control < 0)
		return 0;               /* its successor is told everything */
	if (ipc_send(logger.control, type, 0, data, len, fds, n) == 0)
		return 0;
	/* One that takes no message for seconds hangs. */
	if (logger.pid)
		kill(logger.pid, SIGKILL);
	return -1;
}

/* previous: where a target has a file before the one it goes to now, that one. */
static int say_targets(uint32_t generation, const struct log_targets *t, unsigned first, unsigned n, bool previous)
{
	struct logger_targets m = { .generation = generation, .first = first, .n = n };
	int fds[IPC_MAX_FDS];

	for (unsigned i = 0; i < n; i++) {
		const struct log_target *at = &t->at[first + i];
		m.kinds[i] = at->kind;
		m.most[i] = at->most;
		fds[i] = previous && at->previous >= 0 ? at->previous : at->fd;
		snprintf(m.names[i], LOGGER_NAME, "%s", at->name);
	}
	return say(LOGGER_TARGETS, &m, sizeof m, fds, n);
}

static void say_told(void)
{
	if (logger.control >= 0 && say(LOGGER_TOLD, NULL, 0, NULL, 0) == 0)
		logger.unheard++;
}

static int say_table(uint32_t generation, const struct log_targets *t)
{
	struct logger_table head = { generation, t->n };

	if (say(LOGGER_TABLE, &head, sizeof head, NULL, 0) < 0)
		return -1;
	for (unsigned i = 0; i < t->n; i += IPC_MAX_FDS)
		if (say_targets(generation, t, i, t->n - i < IPC_MAX_FDS ? t->n - i : IPC_MAX_FDS, true) < 0)
			return -1;
	for (unsigned i = 0; i < t->n; i++)
		if (t->at[i].previous >= 0 && say_targets(generation, t, i, 1, false) < 0)
			return -1;
	return 0;
}

static void say_known(const struct known *k)
{
	if (!k->targets)
		return;
	if (say_table(k->generation, k->targets) == 0 && k->dropped)
		say(LOGGER_DROP, &k->generation, sizeof k->generation, NULL, 0);
}

int logger_start(const struct config *cfg, struct err *e)
{
	struct timeval patience = { .tv_sec = 2 };
	int fd[2];

	if (ipc_pair(fd) < 0)
		return err_sys(e, "no socket for the logger");
	setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	logger.born = shared_now();
	logger.pid = role_fork(ROLE_LOGGER);
	if (logger.pid == 0) {
		close(fd[0]);
		logwriter_run(fd[1], cfg);
	}
	close(fd[1]);
	if (logger.pid < 0) {
		logger.pid = 0;
		close(fd[0]);
		return err_sys(e, "the logger cannot be forked");
	}
	logger.control = fd[0];
	logger.unheard = 0;
	for (int i = 0; i < LOGGER_TABLES; i++)
		say_known(&logger.tables[i]);
	say_told();
	eventfd_write(shared.log_wake, 1);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ tables */

static void let_go(struct known *k)
{
	for (unsigned i = 0; i < k->copy.n; i++) {
		close(k->copy.at[i].fd);
		if (k->copy.at[i].previous >= 0)
			close(k->copy.at[i].previous);
		free((char *)(uintptr_t)k->copy.at[i].name);
	}
	free(k->copy.at);
	*k = (struct known){ 0 };
}

/* Takes a copy in place of the generation's own targets. -1: no descriptor or no memory for it. */
static int keep(struct known *k)
{
	const struct log_targets *t = k->targets;

	k->copy.at = calloc(t->n, sizeof *k->copy.at);
	if (!k->copy.at)
		return -1;
	k->targets = &k->copy;
	for (unsigned i = 0; i < t->n; i++) {
		struct log_target *at = &k->copy.at[i];

		*at = (struct log_target){ .kind = t->at[i].kind, .most = t->at[i].most, .name = strdup(t->at[i].name), .pid = -1, .previous = -1 };
		at->fd = fcntl(t->at[i].fd, F_DUPFD_CLOEXEC, 3);
		if (at->fd < 0 || !at->name) {
			int saved = errno;
			if (at->fd >= 0)
				close(at->fd);
			free((char *)(uintptr_t)at->name);
			errno = saved;
			return -1;
		}
		if (t->at[i].previous >= 0)     /* without it a kill at this moment may cost or double a line: no more */
			at->previous = fcntl(t->at[i].previous, F_DUPFD_CLOEXEC, 3);
		k->copy.n++;
	}
	return 0;
}

static struct known *find(uint32_t generation)
{
	for (int i = 0; i < LOGGER_TABLES; i++)
		if (logger.tables[i].targets && logger.tables[i].generation == generation)
			return &logger.tables[i];
	return NULL;
}

/* A free place, or that of the oldest generation that is gone: the logger, too, gives that one up for a new table. */
static struct known *place(void)
{
	struct known *oldest = NULL;

	for (int i = 0; i < LOGGER_TABLES; i++) {
		struct known *k = &logger.tables[i];

		if (!k->targets)
			return k;
		if (k->dropped && (!oldest || k->generation < oldest->generation))
			oldest = k;
	}
	if (!oldest)
		return NULL;
	log_warnx(NULL, LOG_CORE, "BH0158", "the last log lines of generation %u are given up: the logger could not write them for too long",
		  oldest->generation);
	let_go(oldest);
	return oldest;
}

int logger_table(uint32_t generation, const struct log_targets *t)
{
	struct known *k = place();

	if (!k) {
		errno = ENOSPC;
		return -1;
	}
	k->generation = generation;
	k->targets = t;
	say_known(k);
	return 0;
}

bool logger_settled(void)
{
	return logger.pid && !logger.unheard;
}

void logger_retarget(uint32_t generation, unsigned target)
{
	const struct known *k = find(generation);

	if (k && target < k->targets->n)
		say_targets(generation, k->targets, target, 1, false);
	say_told();
	eventfd_write(shared.log_wake, 1);
}

void logger_drop(uint32_t generation)
{
	struct known *k = find(generation);

	if (!k)
		return;
	if (logger.stopping) {          /* no successor will ask */
		let_go(k);
		return;
	}
	k->dropped = true;
	say(LOGGER_DROP, &generation, sizeof generation, NULL, 0);
	if (k->targets == &k->copy || keep(k) == 0)
		return;
	log_warn(NULL, LOG_CORE, "BH0158", "the last log lines of generation %u are lost if the logger dies now", generation);
	let_go(k);
}

int logger_fd(void)
{
	if (logger.unheard)
		return logger.control;
	for (int i = 0; i < LOGGER_TABLES; i++)
		if (logger.tables[i].dropped)
			return logger.control;
	return -1;
}

/* The last lines of a generation are written: one that has been given up, where it is no longer known. */
static bool drained(const struct ipc_message *m)
{
	uint32_t generation;
	struct known *k;

	memcpy(&generation, m->data, sizeof generation);
	k = find(generation);
	if (k && !k->dropped)
		return false;
	if (k)
		let_go(k);
	return true;
}

/* What the logger says. */
static void hear(void)
{
	static struct ipc_message m;
	int rc;

	while (logger_fd() >= 0) {
		rc = ipc_recv_wait(logger.control, &m, 0);
		if (rc < 0 && errno != EBADMSG)
			return;
		if (rc > 0 && ipc_is(&m, LOGGER_DRAINED, sizeof(uint32_t), sizeof(uint32_t)) && drained(&m))
			continue;
		if (rc > 0 && ipc_is(&m, LOGGER_HEARD, 0, 0) && logger.unheard) {
			logger.unheard--;
			continue;
		}
		/* The end of a dying one is noticed by its parent; one that says anything else is broken. */
		ipc_drop_fds(&m);
		if (logger.pid)
			kill(logger.pid, SIGKILL);
		return;
	}
}

/* ------------------------------------------------------------------------------------------------ life */

bool logger_reaped(pid_t pid, int status, int64_t now)
{
	char words[128];
	enum policy_end how;

	if (!logger.pid || pid != logger.pid)
		return false;
	logger.pid = 0;
	if (logger.control >= 0)
		close(logger.control);
	logger.control = -1;
	logger.unheard = 0;
	if (logger.stopping)
		return true;
	how = slots_class(status, false);
	policy_ended(&logger.backoff, how == POLICY_NORMAL ? POLICY_CRASH : how, logger.born, now);
	if (logger.backoff.failures == 1)
		logger.backoff.until = now;
	log_errorx(NULL, LOG_CORE, "BH0140",
		   "logger pid %d %s: it is replaced, the lines wait in their rings (it %s)", (int)pid,
		   slots_status_words(status, words), policy_end_words(how));
	return true;
}

int64_t logger_due(void)
{
	return logger.pid || logger.stopping ? INT64_MAX : policy_due(&logger.backoff, true);
}

void logger_tick(const struct config *cfg, int64_t now)
{
	struct err e = { .text = "" };
	char text[1024];

	hear();
	if (logger_due() > now || logger_start(cfg, &e) == 0)
		return;
	policy_ended(&logger.backoff, POLICY_FATAL, now, now);
	log_errorx(NULL, LOG_CORE, "BH0145",
		   "no logger: %s: access lines wait in their rings, then are lost",
		   err_print(&e, text, sizeof text));
}

/* ------------------------------------------------------------------------------------------------ over an exec */

void logger_hand_over(FILE *to)
{
	if (logger.pid)
		handover_put(to, "keeper", logger.control, "%d logger", (int)logger.pid);
	for (int i = 0; i < LOGGER_TABLES; i++) {
		const struct known *k = &logger.tables[i];

		for (unsigned j = 0; k->targets && j < k->targets->n; j++) {
			const struct log_target *at = &k->targets->at[j];

			handover_put(to, "target", at->fd, "%u %u %u %d %lld %.*s", k->generation, k->targets->n, j, (int)at->kind, (long long)at->most,
				     LOGGER_NAME - 1, at->name);
			if (at->previous >= 0)
				handover_put(to, "targetbefore", at->previous, "%u %u", k->generation, j);
		}
	}
}

/* The descriptors of the table stay for the way back: copies of them are used. */
static bool adopt_target(const struct handover_line *l, uint32_t lives)
{
	unsigned generation, n, i;
	long long most;
	struct known *k;
	int kind, at = 0;

	if (sscanf(l->text, "%u %u %u %d %lld %n", &generation, &n, &i, &kind, &most, &at) < 5 || !at || !n || n > 65536 || i >= n || l->fd < 0)
		return false;
	k = find(generation);
	if (!k && (k = place())) {
		k->copy.at = calloc(n, sizeof *k->copy.at);
		*k = (struct known){ .generation = generation, .targets = &k->copy, .dropped = generation != lives, .copy.at = k->copy.at };
	}
	if (!k || !k->copy.at || i != k->copy.n)
		return false;
	k->copy.at[i] = (struct log_target){ .kind = (enum log_target_kind)kind, .most = most, .name = strdup(l->text + at), .pid = -1, .previous = -1,
					     .fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 3) };
	k->copy.n++;
	return k->copy.at[i].name && k->copy.at[i].fd >= 0;
}

static void adopt_previous(const struct handover_line *l)
{
	unsigned generation, i;
	struct known *k = sscanf(l->text, "%u %u", &generation, &i) == 2 ? find(generation) : NULL;

	if (k && i < k->copy.n)
		k->copy.at[i].previous = fcntl(l->fd, F_DUPFD_CLOEXEC, 3);
}

/* Between two writes if it can; killed where it hangs, which costs nothing but in programs behind pipes (logwriter.c). */
static bool end_it(const struct handover_line *keeper, pid_t pid)
{
	int64_t begun = shared_now(), now;
	bool killed = false;

	if (waitpid(pid, NULL, WNOHANG) != 0)
		return true;
	if (ipc_send(keeper->fd, LOGGER_LEAVE, 0, NULL, 0, NULL, 0) < 0)
		begun -= LEAVE_PATIENCE;
	while ((now = shared_now()) < begun + 3 * LEAVE_PATIENCE) {
		if (!killed && now >= begun + LEAVE_PATIENCE)
			killed = kill(pid, SIGKILL) == 0;
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

int logger_take_over(uint32_t lives, struct err *e)
{
	for (const struct handover_line *l = handover_next(NULL, "keeper"); l; l = handover_next(l, "keeper"))
		if (strstr(l->text, " logger") && !end_it(l, (pid_t)atol(l->text)))
			return err_set(e, "the logger of the program before, pid %ld, does not end: some log's disk or file server hangs", atol(l->text));
	for (const struct handover_line *l = handover_next(NULL, "target"); l; l = handover_next(l, "target"))
		if (!adopt_target(l, lives))
			return err_set(e, "no descriptor or no memory for the logs of the program before");
	for (const struct handover_line *l = handover_next(NULL, "targetbefore"); l; l = handover_next(l, "targetbefore"))
		adopt_previous(l);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the end */

/* Waits for its end, kills it after `end`. True if it ended by itself. */
static bool wait_for_end(int64_t end)
{
	int status = 0;

	while (logger.pid) {
		if (waitpid(logger.pid, &status, WNOHANG) == logger.pid ||
		    (errno == ECHILD && kill(logger.pid, 0) < 0)) {
			logger.pid = 0;
		} else if (shared_now() > end) {
			kill(logger.pid, SIGKILL);
			end += 1000;
		} else {
			nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		}
	}
	return WIFEXITED(status);
}

void logger_stop(const struct config *cfg, int wait_ms)
{
	int64_t end = shared_now() + wait_ms;
	struct err e = { .text = "" };

	logger.stopping = true;
	if (shared.life[1] >= 0)
		close(shared.life[1]);
	shared.life[1] = -1;
	/* One that was killed in the last moments left lines in the rings: a successor writes them. */
	for (int tries = 2; logger.born && tries; tries--) {
		if (!logger.pid && logger_start(cfg, &e) < 0)
			break;
		if (logger.control >= 0)
			close(logger.control);
		logger.control = -1;
		if (wait_for_end(end))
			break;
	}
	for (int i = 0; i < LOGGER_TABLES; i++)
		if (logger.tables[i].dropped)
			let_go(&logger.tables[i]);
}

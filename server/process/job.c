/*
 * job.c - one-shot helpers. The master forks them, reads their answer from a pipe in its loop, and kills them at their
 * limit of time. The kinds below run in the job itself, after its rights are dropped.
 */
#include "process/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/version.h"
#include "crashdump/crashdump.h"
#include "process/keys.h"
#include "process/role.h"
#include "process/shared.h"
#include "shmcache/shmcache.h"

static struct job {
	const struct job_kind *kind;    /* NULL = free */
	int number;
	pid_t pid;
	int fd;                         /* the answer's pipe, -1 once its end was read */
	int64_t deadline;
	bool timeout;
	job_done *done;
	void *ctx;
	char *text;
	size_t n;
} jobs[JOB_MAX];
static int last_number;

static const struct rights {
	enum role role;
	enum shared_keep keep;
} rights[] = {
	[JOB_READS_ALL] = { ROLE_CHECK, SHARED_KEEP_NOTHING },
	[JOB_AS_USER]   = { ROLE_JOB,   SHARED_KEEP_POOL },
	[JOB_FETCHES]   = { ROLE_FETCH, SHARED_KEEP_NOTHING },
	[JOB_EXECUTES]  = { ROLE_PROBE, SHARED_KEEP_NOTHING },
	[JOB_MOVES]     = { ROLE_MOVER, SHARED_KEEP_CACHE },
};

/* ------------------------------------------------------------------------------------------------ in the job */

static _Noreturn void run(const struct job_kind *kind, void *arg, const struct job_place *place, int fd)
{
	const struct process_settings *p = place->settings;
	bool as_user = kind->rights != JOB_READS_ALL && kind->rights != JOB_EXECUTES && shared.root;
	int *keep = calloc(place->nkeep + 1, sizeof *keep);
	struct err e = { .text = "" };
	char text[1024];

	if (!keep)
		_exit(ROLE_EXIT_SICK);
	if (place->nkeep)
		memcpy(keep, place->keep, place->nkeep * sizeof *keep);
	keep[place->nkeep] = fd;
	shared_forget(rights[kind->rights].keep);
	if (rights[kind->rights].keep == SHARED_KEEP_POOL && shared_job_pool(place->crash_slot, &e) < 0) {
		dprintf(fd, "E the job %s cannot begin: %s\n", kind->name, err_print(&e, text, sizeof text));
		_exit(ROLE_EXIT_SICK);
	}
	if (role_enter(rights[kind->rights].role,
		       &(struct role_wants){ .keep = keep,
					     .nkeep = place->nkeep + 1,
					     .user = p->user && *p->user != '#' ? p->user : NULL,
					     .uid = as_user ? p->uid : (uid_t)-1,
					     .gid = p->gid,
					     .memory = kind->memory,
					     .master = shared.master,
					     .watch_parent = true,
					     .writes = shared.core_dir_fd,
					     .open_hidden = kind->open,
					     .warm = kind->warm,
					     .ctx = arg },
		       &e) < 0) {
		dprintf(fd, "E the job %s cannot begin: %s\n", kind->name, err_print(&e, text, sizeof text));
		_exit(ROLE_EXIT_FATAL);
	}
	_exit(kind->run(arg, fd));
}

/* ------------------------------------------------------------------------------------------------ in the master */

int job_run(const struct job_kind *kind, void *arg, const struct job_place *place, job_done *done,
	    void *ctx, struct err *e)
{
	struct job *j = NULL;
	int fd[2];

	for (int i = 0; i < JOB_MAX && !j; i++)
		if (!jobs[i].kind)
			j = &jobs[i];
	if (!j)
		return err_set(e, "%d jobs are running already", JOB_MAX);
	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_sys(e, "no pipe for the job %s", kind->name);
	*j = (struct job){ .fd = fd[0], .done = done, .ctx = ctx, .text = malloc(JOB_MAX_RESULT + 1) };
	j->pid = j->text ? role_fork(rights[kind->rights].role) : -1;
	if (j->pid == 0) {
		close(fd[0]);
		run(kind, arg, place, fd[1]);
	}
	close(fd[1]);
	if (j->pid < 0) {
		err_sys(e, "the job %s cannot be forked", kind->name);
		close(fd[0]);
		free(j->text);
		return -1;
	}
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	j->kind = kind;
	j->deadline = shared_now() + kind->time_ms;
	j->number = last_number = last_number < INT32_MAX ? last_number + 1 : 1;
	return j->number;
}

static void take(struct job *j)
{
	char rest[4096];

	while (j->fd >= 0) {
		bool room = j->n < JOB_MAX_RESULT;
		ssize_t n = room ? read(j->fd, j->text + j->n, JOB_MAX_RESULT - j->n)
				 : read(j->fd, rest, sizeof rest);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (n == 0) {
			close(j->fd);
			j->fd = -1;
		} else if (room) {
			j->n += (size_t)n;
		}
	}
}

unsigned job_poll(struct pollfd *p, unsigned room)
{
	unsigned n = 0;

	for (int i = 0; i < JOB_MAX && n < room; i++)
		if (jobs[i].kind && jobs[i].fd >= 0)
			p[n++] = (struct pollfd){ .fd = jobs[i].fd, .events = POLLIN };
	return n;
}

void job_input(int fd)
{
	for (int i = 0; i < JOB_MAX; i++)
		if (jobs[i].kind && jobs[i].fd == fd)
			take(&jobs[i]);
}

int64_t job_deadline(void)
{
	int64_t due = INT64_MAX;

	for (int i = 0; i < JOB_MAX; i++)
		if (jobs[i].kind && !jobs[i].timeout && jobs[i].deadline < due)
			due = jobs[i].deadline;
	return due;
}

void job_tick(int64_t now)
{
	for (int i = 0; i < JOB_MAX; i++)
		if (jobs[i].kind && !jobs[i].timeout && jobs[i].deadline <= now) {
			jobs[i].timeout = true;
			kill(jobs[i].pid, SIGKILL);
		}
}

bool job_reaped(pid_t pid, int status)
{
	for (int i = 0; i < JOB_MAX; i++) {
		struct job j = jobs[i];

		if (!j.kind || j.pid != pid)
			continue;
		take(&j);
		if (j.fd >= 0)
			close(j.fd);
		j.text[j.n] = '\0';
		/* The place is free before done is called: it may run the next job. */
		jobs[i] = (struct job){ .kind = NULL };
		j.done(j.ctx, &(struct job_result){ .ok = WIFEXITED(status) && WEXITSTATUS(status) == 0,
						    .timeout = j.timeout,
						    .status = status,
						    .text = j.text,
						    .n = j.n });
		free(j.text);
		return true;
	}
	return false;
}

bool job_idle(void)
{
	for (int i = 0; i < JOB_MAX; i++)
		if (jobs[i].kind)
			return false;
	return true;
}

void job_cancel_all(void)
{
	for (int i = 0; i < JOB_MAX; i++) {
		int status = 0;

		if (!jobs[i].kind)
			continue;
		kill(jobs[i].pid, SIGKILL);
		while (waitpid(jobs[i].pid, &status, 0) < 0 && errno == EINTR)
			;
		job_reaped(jobs[i].pid, status);
	}
}

/* ------------------------------------------------------------------------------------------------ checking a configuration */

static void write_report(int fd, const struct config_report *r)
{
	static const char letters[] = { [CONF_ERROR] = 'E', [CONF_WARNING] = 'W', [CONF_NOTICE] = 'N' };
	char line[2048];
	int n;

	if (r->pos.file)
		n = snprintf(line, sizeof line - 1, "%c %s:%u: %s%s%s", letters[r->severity], r->pos.file,
			     r->pos.line, r->sentence, r->remedy ? "; " : "", r->remedy ? r->remedy : "");
	else
		n = snprintf(line, sizeof line - 1, "%c %s%s%s", letters[r->severity], r->sentence,
			     r->remedy ? "; " : "", r->remedy ? r->remedy : "");
	if (n < 0)
		return;
	if ((size_t)n > sizeof line - 2)
		n = (int)sizeof line - 2;
	for (int i = 0; i < n; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[n] = '\n';
	for (int at = 0; at < n + 1;) {
		ssize_t put = write(fd, line + at, (size_t)(n + 1 - at));
		if (put <= 0 && errno != EINTR)
			return;
		at += put > 0 ? (int)put : 0;
	}
}

void job_write_reports(int fd, const struct config *cfg)
{
	for (const struct config_report *r = cfg->reports; r; r = r->next)
		write_report(fd, r);
}

static int check_run(void *arg, int fd)
{
	const struct job_check *c = arg;
	struct config *cfg = config_read(c->src);
	struct key_store *store = NULL;
	struct conf_pos where = { 0 };
	unsigned locked;

	if (!cfg) {
		dprintf(fd, "E no memory to read the configuration\n");
		return ROLE_EXIT_SICK;
	}
	if (c->same && !config_same_text(c->same, cfg, &where)) {
		dprintf(fd, "D %s:%u", where.file ? where.file : "?", where.line);
		return 1;
	}
	if (!cfg->errors && keys_load_direct(cfg, &store, &locked) < 0 && !cfg->errors)
		config_report_add(cfg, CONF_ERROR, NULL, NULL, "keys and certificates could not be loaded");
	if (!cfg->errors && c->check)
		c->check(cfg);
	job_write_reports(fd, cfg);
	if (store)
		key_store_free(store);
	return cfg->errors ? 1 : 0;
}

const struct job_kind job_kind_check = {
	.name = "check",
	.rights = JOB_READS_ALL,
	.time_ms = 60000,
	.memory = (uint64_t)4 << 30,
	.run = check_run,
};

/* ------------------------------------------------------------------------------------------------ a crash report */

static int crash_run(void *arg, int fd)
{
	const struct job_crash *c = arg;
	char core[4096] = "", answer[1024] = "";
	bool found = c->kind != CRASH_KIND_LIVE && crash_core_find(c->dir_fd, c->dir, c->pid, c->status, core, sizeof core) == 0 &&
		     !crash_core_surplus(c->dir_fd, c->core_limit, core, sizeof core);
	int rc;

	if (c->counted)
		return 0;
	if (!found && c->no_core[0])
		snprintf(core, sizeof core, "%s", c->no_core);
	rc = crash_report(shared.crash_pool, 0,
			      &(struct crash_report_options){ .kind = c->kind,
							      .dir_fd = c->dir_fd,
							      .dir = c->dir,
							      .status = c->status,
							      .core = found ? core : NULL,
							      .core_reason = found ? NULL : core,
							      .program_fd = c->program,
							      .version = c->version ? c->version : "Bulkhead/" BULKHEAD_VERSION },
			      answer, sizeof answer);

	dprintf(fd, "%s", answer);
	return rc < 0 ? 1 : 0;
}

const struct job_kind job_kind_crash = {
	.name = "crash",
	.rights = JOB_AS_USER,
	.time_ms = 30000,
	.memory = (uint64_t)2 << 30,
	.run = crash_run,
};

/* ------------------------------------------------------------------------------------------------ moving sessions */

static int move_open(void *ctx, struct err *e)
{
	(void)ctx;
	return shared_child_cache(e);
}

static int move_run(void *arg, int fd)
{
	struct shmcache_err why = { "", "" };
	long n = shmcache_migrate(shared.cache, &why);
	char answer[sizeof why.text + 32];
	int len = n < 0 ? snprintf(answer, sizeof answer, "%s", why.text) : snprintf(answer, sizeof answer, "%ld", n);

	(void)arg;
	/* Not by dprintf, which would look where in the pipe it is. */
	return write(fd, answer, (size_t)len) == len && n >= 0 ? 0 : 1;
}

/* Two segments of a gigabyte are mapped at most; two million sessions take half a minute on a busy machine. */
const struct job_kind job_kind_move = {
	.name = "cache migration",
	.rights = JOB_MOVES,
	.time_ms = 120000,
	.memory = (uint64_t)4 << 30,
	.open = move_open,
	.run = move_run,
};

/*
 * job.h - one-shot helpers: forked by the master with few rights, a limit of time and memory, a sandbox and a pipe for
 * the result; never waited for. The kinds: the check of a configuration before a restart, crash reports, sessions moved to a cache
 * of another size; OCSP answers (staple.c).
 */
#ifndef BULKHEAD_PROCESS_JOB_H
#define BULKHEAD_PROCESS_JOB_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "crashdump/crashdump.h"
#include "process/config.h"

#define JOB_MAX_RESULT 65536            /* bytes kept of a job's answer */
#define JOB_MAX 8                       /* at once */

enum job_rights {
	JOB_READS_ALL, /* root with the one capability to read files: checks what only root may read */
	JOB_AS_USER, /* the children's user, no capability */
	JOB_FETCHES, /* as JOB_AS_USER, with connections to other machines; nothing shared */
	JOB_EXECUTES, /* all of them: it executes a program that is to be what the master is now */
	JOB_MOVES, /* as JOB_AS_USER, with the session cache alone: no file, no call but for locks and memory */
};
struct job_kind {
	const char *name;
	enum job_rights rights;
	int64_t time_ms;                /* killed after so long */
	uint64_t memory;                /* RLIMIT_AS in bytes; 0 = none */
	/* In the job, before its rights are dropped: opens what it could not open later. May be NULL. */
	int (*open)(void *ctx, struct err *e);
	/* … with its rights dropped, but before the sandbox. May be NULL. */
	int (*warm)(void *ctx, struct err *e);
	/* In the job, with all rights dropped: writes its answer to result_fd, returns the exit code. */
	int (*run)(void *arg, int result_fd);
};
struct job_result {
	bool ok;                        /* ended by itself with exit code 0 */
	bool timeout;                   /* killed at its limit */
	int status;                     /* of waitpid */
	const char *text;               /* the answer, terminated; n bytes; cut at JOB_MAX_RESULT */
	size_t n;
};
typedef void job_done(void *ctx, const struct job_result *r);

/* Whom the others than JOB_READS_ALL become, and what they keep. */
struct job_place {
	const struct process_settings *settings;
	const int *keep;                /* descriptors that the job needs */
	unsigned nkeep;
	int crash_slot;                 /* the one crash slot that a crash job keeps */
};
/* Forks the job; done is called once, from job_reaped or job_tick. The number of the job (> 0), or -1 with *e. */
int job_run(const struct job_kind *kind, void *arg, const struct job_place *place, job_done *done,
	    void *ctx, struct err *e);
/* For the master's loop: which descriptors to watch (at most JOB_MAX are appended), what to do with those that are ready,
 * the next deadline (INT64_MAX = none), time-outs. */
unsigned job_poll(struct pollfd *p, unsigned room);
void job_input(int fd);
int64_t job_deadline(void);
void job_tick(int64_t now);
bool job_idle(void);                    /* none runs */
/* True if the pid was a job. */
bool job_reaped(pid_t pid, int status);
/* Kills them all: at the end. Their done is called with ok = false. */
void job_cancel_all(void);

/* -------------------------------------------------------------------------------------------- the kinds */

/*
 * The check of a configuration. `answer` gets all reports as one line each, "E text", "W text", "N text"; ok = no E. Where
 * it is asked for and the text is not `same`'s, there is but one line, "D FILE:LINE".
 */
struct job_check {
	const struct config *same;              /* the one that serves; NULL: any will do */
	const struct config_source *src;
	void (*check)(struct config *cfg);      /* see master.h */
};
extern const struct job_kind job_kind_check;
/* Those lines. */
void job_write_reports(int fd, const struct config *cfg);

/* A report of what is in a crash slot. */
struct job_crash {
	int slot;                       /* of the master's pool; the job has it as number 0 of its own */
	enum crash_kind kind;
	pid_t pid;
	int status;
	int dir_fd;                     /* CoreDumpDirectory; -1 = none */
	const char *dir;
	bool counted;                   /* no report, only its core is looked after */
	unsigned core_limit;            /* CoreDumpLimit */
	char no_core[160];              /* why the child was not to leave a core; "" = it was */
	int program;                    /* descriptor of the child's program; 0 = this one */
	const char *version;            /* … and its name; NULL: this one's */
};
extern const struct job_kind job_kind_crash;

/* What lives in the session cache's older segment goes over to the newer one. `answer`: how many entries, or why not. */
extern const struct job_kind job_kind_move;

#endif

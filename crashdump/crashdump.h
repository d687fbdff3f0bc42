/*
 * crashdump.h - every crash explains itself: a handler in the child, a pool of crash slots in shared memory, and a
 * report written by an unprivileged job. A library of its own: libc, libunwind, elfutils (libdw, libelf).
 *
 * The master                 the child                                     the job (forked by the master)
 * ------------------------   -------------------------------------------   -----------------------------------------
 * mmap MAP_SHARED|ANONYMOUS
 * crash_pool_init
 * crash_core_check (report)
 * fork ───────────────────►  crash_files_open       (before setresuid)
 *                            setresuid …
 *                            crash_install          (before seccomp)
 *                            … crashes: snapshot into a slot, release(),
 *                            clients shut down, core rules, true signal
 * waitpid ◄────────────────
 * crash_pool_find
 * crash_pool_summary (log)
 * job ──────────────────────────────────────────────────────────────────►  (uid dropped) crash_core_find, crash_report
 * log the answer ◄────────────────────────────────────────────────────────  one line
 * crash_pool_free
 *
 * A process that lives takes a snapshot too: on CRASH_LIVE_SIGNAL, by the same steps, into the last slot of its pool. It
 * shuts down and releases nothing, and goes on. A process that hangs is sent SIGABRT by the master, which tells the job so.
 *
 * The master may give each child a pool of its own: it makes one pool, and a child maps the part that is its own and calls
 * crash_pool_init for that part alone. So no process sees another's memory, nor takes the place of another's snapshot.
 *
 * What a snapshot holds comes from a process that may have been taken over: the master and the job check each length
 * and number of it, and only copies are looked at.
 */
#ifndef BULKHEAD_CRASHDUMP_CRASHDUMP_H
#define BULKHEAD_CRASHDUMP_CRASHDUMP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "crashdump/activity.h"

/* ------------------------------------------------------------------------------------------ the pool (snapshot.c) */

/* Bytes of a pool of that many slots (about 200 KiB each; a slot costs memory only while it is used). A multiple of the page
 * size for each slot. */
size_t crash_pool_size(unsigned slots);
/* The pool of this process from now on: `mem` is page-aligned shared memory of crash_pool_size(slots) zero bytes. The
 * master, before any fork; a child that maps a part of its own. Returns 0, or -1 with EINVAL. */
int crash_pool_init(void *mem, unsigned slots);
/* Master, after it reaped `pid`: the slot with that process's snapshot (perhaps an unfinished one), or -1. Call it for
 * EVERY child that ended, so that no slot stays taken. */
int crash_pool_find(void *pool, pid_t pid);
/* Master: whose snapshot a slot holds; 0 = nobody's. A process that was taken over may have written anything. */
pid_t crash_pool_owner(const void *pool, int slot);
/* Master: wipes the slot's stack bytes and gives it back. An invalid number is ignored. */
void crash_pool_free(void *pool, int slot);

struct crash_summary {
	pid_t pid;
	int signal, code;               /* si_signo, si_code */
	uint64_t address;               /* si_addr, or the number of the system call for SIGSYS */
	pid_t sender;                   /* of a signal that was sent; 0 = a fault */
	bool complete;                  /* the snapshot reached its end */
	unsigned handler_us;            /* time spent on the snapshot */
	char role[16];
	unsigned slot, generation;
	uint64_t fingerprint;           /* of the raw frames: the same for the same fault of the same program; never 0 */
	char request[640];              /* "GET /path for 192.0.2.1 on www.example.org, phase send", or "" */
};
/* Master: the snapshot in few words, printable, without symbols: for the line in the log at once. Returns 0, or -1
 * with EINVAL when the slot holds nothing sensible. */
int crash_pool_summary(const void *pool, int slot, struct crash_summary *out);

/* ------------------------------------------------------------------------- in the child (install.c, handler.c) */

/* Descriptors that a child must open before it drops its uid (and before chroot and Landlock). Both are -1 when /proc
 * is not there: then a report has no map of memory, and cores are as the kernel's default has them. */
struct crash_files {
	int coredump_filter;    /* 0 is written to it at once: nothing but the handler can bring memory into a core */
	int maps;               /* /proc/self/maps, of the process that opened it */
};
/* Child, right after fork and close_range. Returns 0, or -1 with errno when one could not be opened. */
int crash_files_open(struct crash_files *files);

struct crash_options {
	void *pool;                             /* NULL: no snapshot, the rest is done nevertheless */
	struct activity *activity;              /* copied into the snapshot; may be NULL */
	void (*report)(void);                   /* async-signal-safe: has a report written before the process dies, where no master
						 * will; may be NULL */
	void (*release)(void);                  /* async-signal-safe: frees the session cache's locks; may be NULL */
	void (*shutdown_clients)(void);         /* async-signal-safe, instead of client_fds; may be NULL */
	const volatile int *client_fds;         /* client_count descriptors, -1 = none: each gets shutdown(SHUT_RDWR) */
	unsigned client_count;
	struct crash_files files;               /* of crash_files_open; { -1, -1 } is allowed */
	const _Atomic uint32_t *no_core;        /* not 0 at a crash: it leaves no core; may be NULL */
	unsigned watchdog_s;                    /* a step of the handler that hangs is left after so long; 0 = 3 s */
	const char *role;                       /* "child", "keyholder", … */
	unsigned slot, generation;
	_Atomic uint32_t *live;                 /* set to 1 when the last slot of the pool holds a live snapshot; NULL: none is taken */
	int live_wake;                          /* an eventfd that is rung then; -1 = none */
	uid_t live_uid;                         /* whom besides root to obey: the account of the master */
};
/* Child, after its uid is dropped and before seccomp. Makes a guarded alternate stack, warms libunwind up, notes the
 * modules and their build-ids, and takes SEGV BUS ILL FPE ABRT SYS TRAP where the action is still SIG_DFL: handlers of
 * sanitizers stay. Does nothing at all under a debugger (TracerPid) or valgrind, which want the signals first.
 * With `live` CRASH_LIVE_SIGNAL is taken as well; another sender than root and live_uid is not heard, and while the slot is
 * in use nothing is done.
 * The options are copied; what they point to must stay. Main thread only. Returns how many signals were taken (0 under a
 * debugger), or -1 with errno. */
int crash_install(const struct crash_options *options);
/* The signal that asks for a live snapshot; where it is not taken it must be ignored, or it kills. */
#define CRASH_LIVE_SIGNAL (SIGRTMIN + 1)
/* The system calls that the handler and libunwind make, ended by -1: what seccomp must allow besides a process's own.
 * Arguments worth narrowing: prctl(PR_SET_DUMPABLE), tgkill and rt_tgsigqueueinfo of the own pid. */
extern const int crash_system_calls[];

/* ----------------------------------------------------------------------------------------- in the job (report.c) */

/* What the report is about, as the master knows it. */
enum crash_kind {
	CRASH_KIND_CRASH,
	CRASH_KIND_HANG,                /* the master ended it by SIGABRT since it did not go on */
	CRASH_KIND_LIVE,                /* somebody asked; the process goes on */
	CRASH_KIND_SINGLE               /* -X: the process waits for this report, then dies; `status` is not known */
};
struct crash_report_options {
	enum crash_kind kind;
	int dir_fd;                     /* CoreDumpDirectory, opened by the master before the uid was dropped */
	const char *dir;                /* its name, for texts */
	int status;                     /* as waitpid gave it */
	const char *core;               /* path of the core, or NULL */
	const char *core_reason;        /* why there is none (of crash_core_find), or NULL */
	int program_fd;                 /* of the file of the program that crashed; 0 = this process's own */
	const char *version;            /* "Bulkhead/0.1" */
};
/* Job, as the children's user: writes the raw record, then symbolises, then replaces it by the full report
 * bulkhead-crash-YYYYMMDD-HHMMSS-PID.txt (bulkhead-live-… for CRASH_KIND_LIVE; UTC, mode 0600) in the directory. The form: docs/crash-report-format.md.
 * `answer` gets one printable line for the log: what, where, for which request, and the report's path; 640 bytes are
 * enough. Returns 0, or -1 with errno: then `answer` says what failed (the crash is named nevertheless), and the raw
 * record may be there. Uses up to about 100 MB and 0.3 s; must not have libunwind or threads about. */
int crash_report(const void *pool, int slot, const struct crash_report_options *options, char *answer, size_t n);
/* The system calls that crash_core_find and crash_report make, with those of malloc and exit, ended by -1. */
extern const int crash_report_system_calls[];

/* -------------------------------------------------------------------------------------------------- cores (cores.c) */

/* Job, as the children's user, before crash_report: finds the core that the kernel left in dir_fd (the child's working
 * directory) for `pid`, and renames a plain "core", which the next crash would overwrite, to core.PID.
 * Returns 0 with the path in `out`, or -1 with the reason in `out` (a clause such as "RLIMIT_CORE is 0"). */
int crash_core_find(int dir_fd, const char *dir, pid_t pid, int status, char *out, size_t n);
/* How many cores of `owner` the folder holds, under the names that the kernel and the job give. Reads 18 bytes of each.
 * Any process that may read the folder. */
int crash_core_count(int dir_fd, uid_t owner);
/* Job, after crash_core_find gave the path `core` (n bytes of room): where the folder holds more than `limit` cores, removes
 * this one. true: it is gone, and `core` has the reason. */
bool crash_core_surplus(int dir_fd, unsigned limit, char *core, size_t n);
/* Master at start, and -t: whether the kernel will write cores of children into `dir`. say() is called once for each
 * obstacle with a sentence and its mend (NULL: none). Rights of the user on the directory are the caller's test: as that
 * user, create and unlink a file. Returns the number of obstacles: 0 = cores will be written there. */
int crash_core_check(const char *dir, void (*say)(void *ctx, const char *sentence, const char *remedy), void *ctx);
/* The same, about the folder itself: tries as the children's user whether a file can be made there, and looks how much room
 * there is. fs.suid_dumpable is no obstacle, whatever it is: the crash handler sets what it stands for. Forks once. A folder
 * that is not there is none. */
struct crash_core_user {
	bool become;                    /* else: who calls is that user */
	uid_t uid;
	gid_t gid;
	const char *name;
	bool only_look;                 /* makes no file: for a process that is not allowed to */
};
int crash_core_folder(const char *dir, const struct crash_core_user *user, void (*say)(void *ctx, const char *sentence, const char *remedy),
		      void *ctx);
/* true: the kernel writes cores there, `out` says under which names; false: it does not, `out` says why. */
bool crash_core_where(const char *dir, char *out, size_t n);

#endif

/*
 * target.h - where log lines end: files, programs, syslog. The table of a generation is made while the configuration
 * is read (only names), opened by the master as root, and handed to the logger by descriptor: nobody else holds them.
 */
#ifndef BULKHEAD_LOG_TARGET_H
#define BULKHEAD_LOG_TARGET_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "log/log.h"

enum log_target_kind { LOG_TARGET_FILE, LOG_TARGET_PIPE, LOG_TARGET_SYSLOG, LOG_TARGET_JOURNAL, LOG_TARGET_ROTATED };
struct log_rotation;
struct log_target {
	enum log_target_kind kind;
	const char *name;               /* absolute path, command line without '|', or facility:tag */
	struct conf_pos pos;            /* the directive that named it first */
	int fd;                         /* -1 until opened */
	struct log_rotation *rotation;  /* of LOG_TARGET_ROTATED */
	int previous;                   /* … the file before: the logger may have died over it. -1 = none */
	pid_t pid;                      /* of a program */
	int64_t most;                   /* bytes of a file that is written no further; 0 = no bound */
};
/* The same name gives the same index. Index 0 is the main server's error log. */
struct log_targets {
	struct log_target *at;
	unsigned n, cap;
};
/* Adds a target named as in ErrorLog/CustomLog: PATH, "|program args", "||program", "|$command", "rotate:PATH…" (log/rotate.h),
 * "syslog…" and "journald…" (log/packet.h: the caller keeps that part). Index or -1. */
int log_target_add(struct log_targets *t, struct conf_env *env, const char *name, const struct conf_pos *pos, struct err *e);
/* Whether the program of a command ("…" behind the '|') is there and may be run, as far as that can be seen. 0, or -1 with *e. */
int log_program_check(const char *command, struct err *e);
/* Master: opens files (O_APPEND|O_CREAT 0644, O_CLOEXEC), starts programs. 0 or -1 with *e naming the directive. */
int log_targets_open(struct log_targets *t, struct err *e);
/*
 * Master: a rotating target goes over to the next file, if it is time. 1 = t->fd is another (tell the logger), t->previous what it
 * was; 0 = not yet; -1 with *e: the next cannot be opened, the old one goes on.
 */
int log_target_rotate(struct log_target *t, struct err *e);
/* Milliseconds until that should be tried again. */
int64_t log_target_wait(const struct log_target *t);
/* Master, now and then: a socket of the system's log whose daemon was started anew is connected again. The logger has the same. */
void log_target_reconnect(const struct log_target *t);
static inline bool log_target_is_socket(enum log_target_kind k) { return k == LOG_TARGET_SYSLOG || k == LOG_TARGET_JOURNAL; }
/* Closes descriptors; programs see the end of their input and finish. */
void log_targets_close(struct log_targets *t);

/* mod_log_config's and core's directives: ErrorLog LogLevel CustomLog LogFormat TransferLog BufferedLogs HostnameLookups … */
extern struct conf_module log_module;

struct log_format;
struct expr;
struct expr_names;
struct log_access {                     /* one CustomLog */
	unsigned target;
	const struct log_format *format;
	const char *env;                /* env=NAME or NULL */
	bool env_not;                   /* env=!NAME */
	const struct log_packet *packet;        /* the line is to be one of the system's log; NULL: a line */
	const struct expr *condition;   /* expr=…, or NULL; its fields are not for Vary (EXPR_NO_VARY) */
	struct log_access *next;
};
/* log_module's host structure, after merging: what a host logs. */
struct log_host {
	struct log_settings settings;           /* complete after merging */
	const char *error_name;                 /* as written, for -S */
	const struct log_access *access;        /* in order; a host without its own CustomLog has the main server's */
};
/*
 * What is logged about a request whose merged section structure of log_module is `section`: the host's settings, or `s`,
 * which becomes a copy of them with the levels of the section.
 */
const struct log_settings *log_settings_within(const struct log_settings *host, const void *section, struct log_settings *s);
/* The table that the configuration being read collects into, and the arena of its formats; set by the reader before conf_apply. */
void log_targets_use(struct log_targets *t, struct arena *a);
/* For a module's own log, in finish_host: as log_target_add, with a bound for a file. Index, or -1 after a report. */
int log_target_for(struct conf_env *env, const char *name, const struct conf_pos *pos, int64_t most);
/* The names that expressions may ask for; NULL: all. */
void log_names_use(const struct expr_names *names);
/* Tells whether a module of this name ("ssl") exists, here or elsewhere; NULL: all do. */
void log_modules_use(bool (*known)(struct text name));

#endif

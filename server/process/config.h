/*
 * config.h - the server's configuration as one object: hosts, listeners, log targets, process settings. config.c is the
 * one hub that knows every room's directive table, and holds nothing else. Read in the master and in checking jobs.
 */
#ifndef BULKHEAD_PROCESS_CONFIG_H
#define BULKHEAD_PROCESS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "log/target.h"
#include "request/host.h"

/* What the command line gives: the same for every reading in the life of a master. */
struct config_source {
	const char *root;               /* -d; NULL = built-in */
	const char *file;               /* -f, made absolute; NULL = built-in path */
	const char *text;               /* the configuration itself, read in place of a file (--demo); NULL = there is a file */
	const char *const *defines;     /* -D NAME; ended by NULL */
	const char *const *before;      /* -C directives, processed before the file; ended by NULL */
	const char *const *after;       /* -c directives, processed after it */
	bool dump_includes;
};

struct config_listen {
	struct addr addr;
	const char *text;               /* as written, for messages; the addresses of one line's name share it */
	bool https;                     /* "Listen 443 https" */
	struct conf_pos pos;
};

/* The process room's own settings (host structure of process_module; the main server's counts). Defaults: DESIGN 1. */
struct process_settings {
	const char *user, *group;       /* as written; NULL = default */
	uid_t uid;                      /* resolved by config_read; (uid_t)-1: none (not root) */
	gid_t gid;
	const char *key_user, *log_user;
	const char *pid_file, *runtime_dir, *state_dir, *core_dir, *chroot_dir;     /* absolute */
	int64_t start_servers, min_spare, max_spare, server_limit, max_workers, connections_per_child, max_connections; /* -1 = unset */
	int64_t listen_backlog, graceful_timeout_ms, hang_timeout_ms, send_buffer, receive_buffer;
	int64_t crash_reports, crash_per_ms, core_limit;        /* CrashReportLimit N PER, CoreDumpLimit; -1 = unset until settings_finish */
	int certificate_watch;          /* SSLCertificateWatch */
	int key_isolation;              /* SSLPrivateKeyIsolation */
	int64_t key_timeout_ms, key_request_limit;      /* SSLKeyTimeout, SSLKeyRequestLimit (0 = none) */
	struct config_listen *listens;
	unsigned nlistens;
};

struct config_report {
	enum conf_severity severity;
	struct conf_pos pos;            /* file NULL = none */
	const char *sentence, *remedy;  /* remedy may be NULL */
	struct config_report *next;
};

struct config {
	struct arena *arena;            /* everything below lives here */
	struct conf_env env;
	struct site *site;
	struct log_targets targets;
	struct process_settings *process;
	const char *root, *file;
	struct config_report *reports;  /* in order; all of them */
	unsigned errors, warnings, notices;
	const struct paths *paths;      /* how far children reach (paths.h); NULL after errors */
	struct conf_tree *tree;         /* also which files were read, for -t -D DUMP_INCLUDES */
};

/*
 * Reads, applies and merges everything up to (not including) keys and certificates. Always returns an object unless
 * memory ran out; cfg->errors tells whether it may be used. Touches no socket and starts nothing. Free: config_free.
 */
struct config *config_read(const struct config_source *src);
/*
 * Whether two readings are of the same directives; what is left out or only spaced otherwise does not count. If not, *where
 * is the first line of `b`, or else of `a`, that the other lacks.
 */
bool config_same_text(const struct config *a, const struct config *b, struct conf_pos *where);
/* Frees the arena and what the rooms allocated outside of it (TLS credentials). */
void config_free(struct config *cfg);
/* Adds a fault found after reading (start-up checks). */
void config_report_add(struct config *cfg, enum conf_severity, const struct conf_pos *pos, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Every module in order, ended by NULL: for -L, -M, -l. */
extern struct conf_module *const config_modules[];
/* Whether <IfModule NAME> holds, under either name. */
bool config_has_module(const char *name);

extern struct conf_module process_module;

#endif

/*
 * log.h - messages for the administrator, in Apache's line format:
 *
 *   [Wed Nov 25 12:00:00.123456 2026] [core:error] [pid 12] [client 192.0.2.1:5555] BH0123: sentence: errno's words
 *
 * Verbs: fatal error warn info debug; the x form appends no errno. Every message an operator may meet has a stable id
 * (BH0123) with an entry in docs/messages.md. Where lines go is the sink's: directly to a descriptor (master before its
 * logger lives, -X, command line) or into the process's ring, which the logger drains. Not for signal handlers.
 */
#ifndef BULKHEAD_LOG_LOG_H
#define BULKHEAD_LOG_LOG_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/text.h"
#include "log/ring.h"

/* Apache's levels; smaller is graver. */
enum log_level { LOG_L_EMERG, LOG_L_ALERT, LOG_L_CRIT, LOG_L_ERROR, LOG_L_WARN, LOG_L_NOTICE, LOG_L_INFO, LOG_L_DEBUG, LOG_L_TRACE1, LOG_L_TRACE8 = LOG_L_TRACE1 + 7 };

/* The subjects that LogLevel can name ("LogLevel warn ssl:info"): Apache's module names. */
enum log_subject { LOG_CORE, LOG_SSL, LOG_HTTP, LOG_MPM, LOG_AUTHZ, LOG_REWRITE, LOG_ALIAS, LOG_HEADERS, LOG_MIME, LOG_DIR, LOG_CGI, LOG_PROXY, LOG_HTTP2, LOG_CRASH, LOG_SUBJECTS };

struct log_errorformats;
struct log_packet;
/* What a server or virtual host lets through, and where to. Lives in the configuration's arena. */
struct log_settings {
	signed char level[LOG_SUBJECTS];        /* enum log_level */
	unsigned target;                        /* index in the generation's table of targets (log/target.h) */
	const struct log_errorformats *formats; /* ErrorLogFormat (log/errorformat.h); NULL: the form above */
	const struct log_packet *packet;        /* lines are packets of the system's log (log/packet.h); NULL: they are lines */
	const char *host;                       /* ServerName, for %v; may be NULL */
};

/*
 * Who a message is about; every pointer may be NULL. What log/ cannot know of a connection or request it asks of `ops`.
 * Neither function may log.
 */
struct log_about;
enum { LOG_FIRST_OF_CONNECTION = 1, LOG_FIRST_OF_REQUEST = 2 };
struct log_about_ops {
	/* A message is about to be logged: gives connection and request their ids where they have none. For whom it is the first. */
	unsigned (*logged)(const struct log_about *about);
	/* Writes the value, RAW, of one of ErrorLogFormat's items; false: it has none. */
	bool (*value)(const struct log_about *about, char code, const char *arg, struct buf *b);
};
struct log_about {
	const struct log_settings *settings;    /* NULL: the process's default */
	const struct addr *peer;
	const struct log_about_ops *ops;
	void *of;                               /* for ops */
};

enum log_sink_kind { LOG_SINK_FD, LOG_SINK_RING };
struct log_sink {
	enum log_sink_kind kind;
	int fd;                                 /* LOG_SINK_FD: one descriptor for all targets, or … */
	int (*fd_of)(unsigned target);          /* … if not NULL, the descriptor of a target */
	struct ring *ring;                      /* LOG_SINK_RING */
	bool plain;                             /* no time, no pid: command line ("bulkhead: sentence") */
};

/* The process's sink and default settings; may be called again (after fork, when the logger comes and goes). */
void log_open(const struct log_sink *sink, const struct log_settings *defaults);
/*
 * From now on every message of this process, of any level and about whom ever, goes to `take` as its bare text, and nowhere else; NULL ends
 * it. For who explains requests (handler/tell.c).
 */
void log_divert(void (*take)(void *ctx, const char *text), void *ctx);
/* Whether messages go to the terminal of the command line (a plain sink): what is said there need not be said again. */
bool log_is_plain(void);
void log_settings_init(struct log_settings *s, enum log_level level);
/* 0 or -1: unknown word. Apache's words: emerg … debug, trace1 … trace8. */
int log_level_parse(const char *word, enum log_level *out);
const char *log_level_name(enum log_level l);
/* "core", "ssl", "ssl_module", "mod_ssl.c" → subject; -1 for names that are not ours. */
int log_subject_find(const char *name);
/* "ssl", "ssl_module", "mod_ssl.c" → "ssl" */
struct text log_module_name(const char *name);
bool log_enabled(const struct log_about *about, enum log_subject s, enum log_level l);

/* Where a call stands, for %F. */
#define LOG_NUMBER_(n) #n
#define LOG_NUMBER(n) LOG_NUMBER_(n)
#define LOG_HERE __FILE__ "(" LOG_NUMBER(__LINE__) ")"
/* The one function behind the verbs. errnum 0 appends no words. */
void log_put_at(const char *where, const struct log_about *about, enum log_subject s, enum log_level l, const char *id, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));
#define log_put(...) log_put_at(LOG_HERE, __VA_ARGS__)

/* Bytes of the caller's own form, with their newline, for a target (log/target.h); at most RING_LINE, whole or not at all. */
void log_raw(unsigned target, const char *p, size_t n);

/* about may be NULL; id is "BH0123" or NULL. The f form appends errno's words. */
#define log_error(about, s, id, ...)  log_put(about, s, LOG_L_ERROR, id, errno, __VA_ARGS__)
#define log_errorx(about, s, id, ...) log_put(about, s, LOG_L_ERROR, id, 0, __VA_ARGS__)
#define log_warn(about, s, id, ...)   log_put(about, s, LOG_L_WARN, id, errno, __VA_ARGS__)
#define log_warnx(about, s, id, ...)  log_put(about, s, LOG_L_WARN, id, 0, __VA_ARGS__)
#define log_noticex(about, s, id, ...) log_put(about, s, LOG_L_NOTICE, id, 0, __VA_ARGS__)
#define log_infox(about, s, id, ...)  log_put(about, s, LOG_L_INFO, id, 0, __VA_ARGS__)
#define log_debugx(about, s, id, ...) do { if (log_enabled(about, s, LOG_L_DEBUG)) log_put(about, s, LOG_L_DEBUG, id, 0, __VA_ARGS__); } while (0)

#endif

/*
 * log.c - composes error log lines and hands them to the process's sink. Runs in every process; one sink each.
 */
#include "log/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "log/errorformat.h"
#include "log/packet.h"

#define LINE_MAX_BYTES 8192             /* as Apache's MAX_STRING_LEN: a longer message is cut */

static struct log_sink sink = { .kind = LOG_SINK_FD, .fd = 2, .plain = true };
static struct log_settings process_settings = { .level = { [0 ... LOG_SUBJECTS - 1] = LOG_L_WARN } };

static const char *const level_names[] = {
	"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
	"trace1", "trace2", "trace3", "trace4", "trace5", "trace6", "trace7", "trace8",
};

/* The words of LogLevel and of the lines: Apache's modules, as far as a part of ours speaks under that name. */
static const struct {
	const char *name;
	const char *modules;            /* the modules whose level it follows, blank-separated, without "mod_" and "_module" */
} subjects[LOG_SUBJECTS] = {
	[LOG_CORE] = { "core", "core so unixd log_config" },
	[LOG_SSL] = { "ssl", "ssl socache_shmcb" },
	[LOG_HTTP] = { "http", "http reqtimeout" },
	[LOG_MPM] = { "mpm_prefork", "mpm_prefork mpm_event mpm_worker" },
	[LOG_AUTHZ] = { "authz_core", "authz_core authz_host access_compat auth_basic authn_core authn_file authz_user" },
	[LOG_REWRITE] = { "rewrite", "rewrite" },
	[LOG_ALIAS] = { "alias", "alias userdir vhost_alias" },
	[LOG_HEADERS] = { "headers", "headers env setenvif expires" },
	[LOG_MIME] = { "mime", "mime negotiation deflate filter" },
	[LOG_DIR] = { "dir", "dir autoindex" },
	[LOG_CGI] = { "cgi", "cgi cgid actions" },
	[LOG_PROXY] = { "proxy", "proxy proxy_http proxy_balancer proxy_wstunnel proxy_hcheck proxy_fcgi proxy_scgi proxy_uwsgi" },
	[LOG_HTTP2] = { "http2", "http2" },
	[LOG_CRASH] = { "crash", "crash" },
};

void log_open(const struct log_sink *s, const struct log_settings *defaults)
{
	sink = *s;
	if (defaults)
		process_settings = *defaults;
}

bool log_is_plain(void)
{
	return sink.kind == LOG_SINK_FD && sink.plain;
}

static struct {
	void (*take)(void *ctx, const char *text);
	void *ctx;
} diverted;

void log_divert(void (*take)(void *ctx, const char *text), void *ctx)
{
	diverted.take = take;
	diverted.ctx = ctx;
}

void log_settings_init(struct log_settings *s, enum log_level level)
{
	for (int i = 0; i < LOG_SUBJECTS; i++)
		s->level[i] = (signed char)level;
	s->target = 0;
	s->formats = NULL;
	s->packet = NULL;
	s->host = NULL;
}

int log_level_parse(const char *word, enum log_level *out)
{
	for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++)
		if (!strcasecmp(word, level_names[i])) {
			*out = (enum log_level)i;
			return 0;
		}
	return -1;
}

const char *log_level_name(enum log_level l)
{
	return (unsigned)l < sizeof level_names / sizeof *level_names ? level_names[l] : "error";
}

struct text log_module_name(const char *name)
{
	struct text t = text_of(name);

	if (t.n > 6 && !strncasecmp(t.p, "mod_", 4) && !strcasecmp(t.p + t.n - 2, ".c"))
		return (struct text){ t.p + 4, t.n - 6 };
	if (t.n > 2 && !strcasecmp(t.p + t.n - 2, ".c"))
		t.n -= 2;
	if (t.n > 7 && !strncasecmp(t.p + t.n - 7, "_module", 7))
		t.n -= 7;
	return t;
}

int log_subject_find(const char *name)
{
	struct text bare = log_module_name(name);

	for (int i = 0; i < LOG_SUBJECTS; i++) {
		struct text rest = text_of(subjects[i].modules), word;

		while (text_split(&rest, ' ', &word))
			if (text_eq_nocase(word, bare))
				return i;
	}
	return -1;
}

static const struct log_settings *settings_of(const struct log_about *about)
{
	return about && about->settings ? about->settings : &process_settings;
}

bool log_enabled(const struct log_about *about, enum log_subject s, enum log_level l)
{
	return diverted.take || (int)l <= settings_of(about)->level[s];
}

static void put_time(struct buf *b)
{
	struct timespec now;
	struct tm tm;
	char day[32];

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof day, "%a %b %d %H:%M:%S", &tm);
	buf_printf(b, "[%s.%06ld %d] ", day, now.tv_nsec / 1000, tm.tm_year + 1900);
}

static void send_line(unsigned target, const char *line, size_t n)
{
	if (sink.kind == LOG_SINK_RING) {
		struct iovec iov = { (void *)(uintptr_t)line, n };

		if (ring_put(sink.ring, target, &iov, 1) < 0)
			ring_drop(sink.ring);
		return;
	}
	int fd = sink.fd_of ? sink.fd_of(target) : sink.fd;
	while (n && fd >= 0) {
		ssize_t done = write(fd, line, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return;                 /* nobody is left to be told */
		line += done;
		n -= (size_t)done;
	}
}

void log_raw(unsigned target, const char *p, size_t n)
{
	send_line(target, p, n);
}

/* Apache's line; on a command line without what is plain there. */
static void put_default(const struct log_event *ev, const struct log_settings *s, struct buf *b)
{
	char peer[ADDR_TEXT];

	if (sink.plain) {
		buf_puts(b, "bulkhead: ");
	} else {
		if (!s->packet)                 /* the system's log has its own */
			put_time(b);
		buf_printf(b, "[%s:%s] [pid %d] ", ev->subject, log_level_name(ev->level), (int)getpid());
	}
	if (ev->errnum)
		buf_printf(b, "(%d)%s: ", ev->errnum, log_errno_words(ev->errnum));
	if (ev->about && ev->about->peer && ev->about->peer->len)
		buf_printf(b, "[client %s] ", addr_text(ev->about->peer, peer));
	log_put_message(b, ev);
}

/* Ends the line in b, which has room for that, and sends it. */
static void send_whole(struct buf *b, const struct log_event *ev, const struct log_settings *s)
{
	char packet[LINE_MAX_BYTES + 256];
	struct buf p;

	if (s->packet && !sink.plain) {
		buf_init(&p, packet, sizeof packet);
		log_packet_put(&p, s->packet, (int)ev->level, (struct text){ b->p, b->n });
		send_line(s->target, packet, p.n);
		return;
	}
	b->p[b->n] = '\n';
	send_line(s->target, b->p, b->n + 1);
}

/* One line of an ErrorLogFormat, unless that comes to nothing. */
static void send_formatted(const struct log_errorformat *f, const struct log_event *ev, const struct log_settings *s)
{
	char line[LINE_MAX_BYTES];
	struct buf b;

	buf_init(&b, line, sizeof line - 1);    /* room for the newline */
	if (!log_errorformat_render(f, ev, &b))
		return;
	send_whole(&b, ev, s);
}

/* What is said once about a connection and a request stands before their first message. */
static void send_first(unsigned first, const struct log_event *ev, const struct log_settings *s)
{
	struct log_event once = *ev;

	once.message = NULL;
	for (const struct log_errorformat *f = first & LOG_FIRST_OF_CONNECTION ? s->formats->connection : NULL; f; f = log_errorformat_next(f))
		send_formatted(f, &once, s);
	for (const struct log_errorformat *f = first & LOG_FIRST_OF_REQUEST ? s->formats->request : NULL; f; f = log_errorformat_next(f))
		send_formatted(f, &once, s);
}

static void hand_over(const struct log_event *ev)
{
	char line[LINE_MAX_BYTES];
	struct buf b;

	buf_init(&b, line, sizeof line);
	if (ev->errnum)
		buf_printf(&b, "(%d)%s: ", ev->errnum, log_errno_words(ev->errnum));
	log_put_message(&b, ev);
	diverted.take(diverted.ctx, line);
}

static void send_event(const struct log_event *ev, const struct log_settings *s)
{
	char line[LINE_MAX_BYTES];
	unsigned first = ev->about && ev->about->ops ? ev->about->ops->logged(ev->about) : 0;
	struct buf b;

	if (s->formats && !sink.plain) {
		send_first(first, ev, s);
		if (s->formats->message) {
			send_formatted(s->formats->message, ev, s);
			return;
		}
	}
	buf_init(&b, line, sizeof line - 1);
	put_default(ev, s, &b);
	send_whole(&b, ev, s);
}

void log_put_at(const char *where, const struct log_about *about, enum log_subject s, enum log_level l, const char *id, int errnum, const char *fmt, ...)
{
	char message[LINE_MAX_BYTES];
	int saved = errno;
	va_list ap;

	if (!log_enabled(about, s, l))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	const struct log_event ev = { .about = about, .subject = subjects[s].name, .level = l, .id = id, .errnum = errnum, .where = where,
				      .message = message, .host = settings_of(about)->host };
	if (diverted.take)
		hand_over(&ev);
	else
		send_event(&ev, settings_of(about));
	errno = saved;
}

/*
 * packet.c - log lines as packets for syslog and journald. Names are read in the master; packets are made in whichever process
 * logs. No library speaks here: syslog(3) opens its socket by itself, which a sandbox forbids.
 */
#include "log/packet.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define TAG "bulkhead"

static const struct { const char *name; int value; } facilities[] = {
	{ "auth", LOG_AUTH }, { "authpriv", LOG_AUTHPRIV }, { "cron", LOG_CRON }, { "daemon", LOG_DAEMON }, { "ftp", LOG_FTP },
	{ "kern", LOG_KERN }, { "lpr", LOG_LPR }, { "mail", LOG_MAIL }, { "news", LOG_NEWS }, { "syslog", LOG_SYSLOG }, { "user", LOG_USER },
	{ "uucp", LOG_UUCP }, { "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 }, { "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 },
	{ "local4", LOG_LOCAL4 }, { "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 }, { "local7", LOG_LOCAL7 },
};

static bool begins(const char *name, const char *word)
{
	size_t n = strlen(word);

	return !strncasecmp(name, word, n) && (!name[n] || name[n] == ':');
}

bool log_packet_is(const char *name)
{
	return begins(name, "syslog") || begins(name, "journald");
}

static struct log_packet *journal(struct log_packet *p, const char *arg, struct err *e)
{
	enum log_level level = LOG_L_INFO;

	p->kind = LOG_PACKET_JOURNAL;
	if (arg && *arg && (log_level_parse(arg, &level) < 0 || level > LOG_L_DEBUG)) {
		err_set(e, "\"%s\" is no priority of journald", arg);
		err_remedy(e, "write journald, or journald:info with one of emerg alert crit error warn notice info debug");
		return NULL;
	}
	p->severity = (int)level;
	return p;
}

struct log_packet *log_packet_new(struct conf_env *env, const char *name, struct err *e)
{
	struct log_packet *p = conf_alloc(env, sizeof *p);
	const char *arg = strchr(name, ':'), *tag = arg ? strchr(arg + 1, ':') : NULL;
	size_t n = tag ? (size_t)(tag - arg - 1) : arg ? strlen(arg + 1) : 0;

	*p = (struct log_packet){ .kind = LOG_PACKET_SYSLOG, .facility = LOG_LOCAL7, .severity = LOG_INFO, .tag = TAG };
	if (begins(name, "journald"))
		return journal(p, arg ? arg + 1 : NULL, e);
	if (tag && tag[1])
		p->tag = conf_strdup(env, tag + 1);
	for (const char *c = p->tag; *c; c++)
		if (*c <= ' ' || *c == '[' || *c == ':' || *c == 0x7f || strlen(p->tag) > 48) {
			err_set(e, "\"%s\" is no tag for syslog", p->tag);
			err_remedy(e, "use up to 48 letters, digits, dots and hyphens");
			return NULL;
		}
	for (size_t i = 0; n && i < sizeof facilities / sizeof *facilities; i++)
		if (strlen(facilities[i].name) == n && !strncasecmp(arg + 1, facilities[i].name, n)) {
			p->facility = facilities[i].value;
			return p;
		}
	if (!n)
		return p;
	err_set(e, "\"%.*s\" is no facility of syslog", (int)n, arg + 1);
	err_remedy(e, "write one of auth authpriv cron daemon ftp kern lpr mail news syslog user uucp local0 … local7");
	return NULL;
}

const char *log_packet_socket(enum log_packet_kind kind)
{
	const char *other = getenv(kind == LOG_PACKET_SYSLOG ? "BULKHEAD_SYSLOG" : "BULKHEAD_JOURNAL");

	if (other && *other == '/')
		return other;
	return kind == LOG_PACKET_SYSLOG ? "/dev/log" : "/run/systemd/journal/socket";
}

/* Literal line ends of a LogFormat would be the end of a field of journald. */
static void put_line(struct buf *b, struct text line)
{
	for (size_t i = 0; i < line.n; i++)
		buf_putc(b, line.p[i] == '\n' ? ' ' : line.p[i]);
}

void log_packet_put(struct buf *b, const struct log_packet *p, int severity, struct text line)
{
	time_t now = time(NULL);
	char when[32] = "";
	struct tm tm;

	if (severity > LOG_DEBUG)
		severity = LOG_DEBUG;
	if (p->kind == LOG_PACKET_JOURNAL) {
		buf_printf(b, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%d\nMESSAGE=", severity, p->tag, (int)getpid());
		put_line(b, line);
		buf_putc(b, '\n');
		return;
	}
	if (localtime_r(&now, &tm))
		strftime(when, sizeof when, "%b %e %H:%M:%S", &tm);
	buf_printf(b, "<%d>%s %s[%d]: ", p->facility | severity, when, p->tag, (int)getpid());
	put_line(b, line);
}

/*
 * packet_test.c - server/log/packet.c: names of a system's log, and the packets for syslog and journald byte by byte.
 */
#include "log/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"

static struct arena *arena;

static void *take(void *ctx, size_t n)
{
	(void)ctx;
	return arena_zalloc(arena, n);
}

static struct conf_env env = { .alloc = take, .root = "/srv" };

static int begin(void **state)
{
	(void)state;
	arena = arena_new(0);
	setenv("TZ", "UTC", 1);
	tzset();
	return arena ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static void which_names_they_are(void **state)
{
	static const struct { const char *name; bool is; } rows[] = {
		{ "syslog", true }, { "SysLog:local3", true }, { "syslog:", true }, { "journald", true }, { "JOURNALD:warn", true },
		{ "syslogx", false }, { "syslog/x", false }, { "logs/syslog", false }, { "|syslog", false }, { "", false }, { "journal", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (log_packet_is(rows[i].name) != rows[i].is)
			fail_msg("%s", rows[i].name);
}

static void facilities_tags_priorities(void **state)
{
	static const struct { const char *name; enum log_packet_kind kind; int facility, severity; const char *tag; } rows[] = {
		{ "syslog", LOG_PACKET_SYSLOG, LOG_LOCAL7, LOG_INFO, "bulkhead" },
		{ "syslog:daemon", LOG_PACKET_SYSLOG, LOG_DAEMON, LOG_INFO, "bulkhead" },
		{ "Syslog:LOCAL0:shop-1.example", LOG_PACKET_SYSLOG, LOG_LOCAL0, LOG_INFO, "shop-1.example" },
		{ "syslog::shop", LOG_PACKET_SYSLOG, LOG_LOCAL7, LOG_INFO, "shop" },
		{ "syslog:user:", LOG_PACKET_SYSLOG, LOG_USER, LOG_INFO, "bulkhead" },
		{ "journald", LOG_PACKET_JOURNAL, LOG_LOCAL7, LOG_INFO, "bulkhead" },
		{ "journald:", LOG_PACKET_JOURNAL, LOG_LOCAL7, LOG_INFO, "bulkhead" },
		{ "journald:warn", LOG_PACKET_JOURNAL, LOG_LOCAL7, LOG_WARNING, "bulkhead" },
		{ "journald:debug", LOG_PACKET_JOURNAL, LOG_LOCAL7, LOG_DEBUG, "bulkhead" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { .text = "" };
		struct log_packet *p = log_packet_new(&env, rows[i].name, &e);

		if (!p)
			fail_msg("%s: %s", rows[i].name, e.text);
		if (p->kind != rows[i].kind || p->facility != rows[i].facility || p->severity != rows[i].severity || strcmp(p->tag, rows[i].tag) != 0)
			fail_msg("%s: kind %d, facility %d, severity %d, tag %s", rows[i].name, (int)p->kind, p->facility, p->severity, p->tag);
	}
}

static void faults_have_a_remedy(void **state)
{
	static const char *const names[] = {
		"syslog:local8", "syslog:nothing", "syslog:local", "syslog:user:two words", "syslog:user:a[1]", "syslog:user:a:b", "syslog:user:a\x7f",
		"syslog:user:0123456789012345678901234567890123456789012345678", "journald:nothing", "journald:trace1", "journald:trace8",
	};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct err e = { .text = "" };

		if (log_packet_new(&env, names[i], &e) || !e.text[0] || !e.remedy[0])
			fail_msg("%s: \"%s\", \"%s\"", names[i], e.text, e.remedy);
	}
}

/* The packet of a line, as text. */
static const char *packet(const char *name, int severity, struct text line, char *out, size_t room)
{
	struct err e = { .text = "" };
	struct log_packet *p = log_packet_new(&env, name, &e);
	struct buf b;

	assert_non_null(p);
	buf_init(&b, out, room);
	log_packet_put(&b, p, severity, line);
	assert_true(b.n < room);
	out[b.n] = '\0';
	return out;
}

static void for_syslog(void **state)
{
	char got[512], wanted[512], when[2][32];
	struct tm tm;
	time_t now;
	int tries = 0;

	(void)state;
	do {                                    /* the second may change on the way */
		now = time(NULL);
		assert_non_null(gmtime_r(&now, &tm));
		strftime(when[0], sizeof when[0], "%b %e %H:%M:%S", &tm);
		packet("syslog:local1:shop", LOG_ERR, TEXT("it\nbroke\0x"), got, sizeof got);
	} while (time(NULL) != now && ++tries < 100);
	snprintf(wanted, sizeof wanted, "<%d>%s shop[%d]: it broke", 17 * 8 + 3, when[0], (int)getpid());
	assert_memory_equal(got, wanted, strlen(wanted));
	assert_memory_equal(got + strlen(wanted), "\0x", 3);
	packet("syslog:kern", 12, TEXT(""), got, sizeof got);                   /* as fine as it gets: debug */
	assert_memory_equal(got, "<7>", 3);
	packet("syslog:local7", LOG_EMERG, TEXT(""), got, sizeof got);
	assert_memory_equal(got, "<184>", 5);
}

static void for_journald(void **state)
{
	char got[512], wanted[512];

	(void)state;
	snprintf(wanted, sizeof wanted, "PRIORITY=4\nSYSLOG_IDENTIFIER=bulkhead\nSYSLOG_PID=%d\nMESSAGE=one PRIORITY=0 two\n", (int)getpid());
	assert_string_equal(packet("journald", LOG_WARNING, TEXT("one\nPRIORITY=0\ntwo"), got, sizeof got), wanted);
	packet("journald", 15, TEXT("x"), got, sizeof got);
	assert_memory_equal(got, "PRIORITY=7\n", 11);
}

static void a_long_line_is_marked_as_cut(void **state)
{
	static char line[1000];
	struct err e = { .text = "" };
	struct log_packet *p = log_packet_new(&env, "journald", &e);
	char out[300];
	struct buf b;

	(void)state;
	memset(line, 'x', sizeof line);
	buf_init(&b, out, sizeof out);
	log_packet_put(&b, p, LOG_INFO, (struct text){ line, sizeof line });
	assert_true(b.full);
	assert_true(b.n <= sizeof out);
}

static void sockets(void **state)
{
	(void)state;
	unsetenv("BULKHEAD_SYSLOG");
	unsetenv("BULKHEAD_JOURNAL");
	assert_string_equal(log_packet_socket(LOG_PACKET_SYSLOG), "/dev/log");
	assert_string_equal(log_packet_socket(LOG_PACKET_JOURNAL), "/run/systemd/journal/socket");
	setenv("BULKHEAD_SYSLOG", "/tmp/elsewhere", 1);
	setenv("BULKHEAD_JOURNAL", "relative", 1);
	assert_string_equal(log_packet_socket(LOG_PACKET_SYSLOG), "/tmp/elsewhere");
	assert_string_equal(log_packet_socket(LOG_PACKET_JOURNAL), "/run/systemd/journal/socket");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_names_they_are), cmocka_unit_test(facilities_tags_priorities), cmocka_unit_test(faults_have_a_remedy),
		cmocka_unit_test(for_syslog), cmocka_unit_test(for_journald), cmocka_unit_test(a_long_line_is_marked_as_cut), cmocka_unit_test(sockets),
	};

	return cmocka_run_group_tests(tests, begin, end);
}

/*
 * log_test.c - server/log/log.c: the line's format, levels by subject, and that a message stays one line.
 */
#include "log/log.h"

#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int out;

static int setup(void **state)
{
	(void)state;
	FILE *f = tmpfile();
	out = dup(fileno(f));
	fclose(f);
	return 0;
}

static const char *written(void)
{
	static char text[20000];
	ssize_t n = pread(out, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	assert_int_equal(ftruncate(out, 0), 0);
	lseek(out, 0, SEEK_SET);
	return text;
}

static void matches(const char *pattern)
{
	const char *text = written();
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0))
		fail_msg("\"%s\" does not match %s", text, pattern);
	regfree(&re);
}

static void a_line_has_apaches_format(void **state)
{
	struct log_settings s;
	struct addr peer;
	struct log_about about = { .peer = &peer };

	(void)state;
	log_settings_init(&s, LOG_L_INFO);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = out }, &s);
	addr_parse(&peer, "192.0.2.1", 5555);
	errno = EACCES;
	log_error(&about, LOG_CORE, "BH0123", "cannot open %s", "/x");
	matches("^\\[[A-Z][a-z]{2} [A-Z][a-z]{2} [0-9]{2} [0-9:]{8}\\.[0-9]{6} [0-9]{4}\\] \\[core:error\\] \\[pid [0-9]+\\] "
		"\\(13\\)Permission denied: \\[client 192\\.0\\.2\\.1:5555\\] BH0123: cannot open /x\n$");
	assert_int_equal(errno, EACCES);
	log_warnx(NULL, LOG_SSL, NULL, "plain");
	matches("\\[ssl:warn\\] \\[pid [0-9]+\\] plain\n$");
}

static void levels_are_by_subject(void **state)
{
	struct log_settings s;

	(void)state;
	log_settings_init(&s, LOG_L_WARN);
	s.level[LOG_SSL] = LOG_L_DEBUG;
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = out }, &s);
	log_infox(NULL, LOG_CORE, NULL, "hidden");
	log_debugx(NULL, LOG_SSL, NULL, "shown");
	matches("^[^\n]*\\[ssl:debug\\][^\n]*shown\n$");
}

static void a_message_stays_one_line(void **state)
{
	(void)state;
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = out, .plain = true }, NULL);
	log_errorx(NULL, LOG_CORE, NULL, "a\nb\x1b[31mc\x7f\td");
	assert_string_equal(written(), "bulkhead: a\\nb\\x1b[31mc\\x7f\\td\n");
}

static void names_of_levels_and_subjects(void **state)
{
	enum log_level l;

	(void)state;
	assert_int_equal(log_level_parse("TRACE3", &l), 0);
	assert_int_equal(l, LOG_L_TRACE1 + 2);
	assert_int_equal(log_level_parse("chatty", &l), -1);
	assert_int_equal(log_subject_find("ssl"), LOG_SSL);
	assert_int_equal(log_subject_find("ssl_module"), LOG_SSL);
	assert_int_equal(log_subject_find("mod_ssl.c"), LOG_SSL);
	assert_int_equal(log_subject_find("mod_proxy_http.c"), LOG_PROXY);
	assert_int_equal(log_subject_find("dbd"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_apaches_format),
		cmocka_unit_test(levels_are_by_subject),
		cmocka_unit_test(a_message_stays_one_line),
		cmocka_unit_test(names_of_levels_and_subjects),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}

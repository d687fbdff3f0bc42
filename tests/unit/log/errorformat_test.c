/*
 * errorformat_test.c - server/log/errorformat.c: what the items of ErrorLogFormat come to, which fields are left out, and that
 * whatever a client sent stays inside its line.
 */
#include "log/errorformat.h"

#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned first_of;

static unsigned logged(const struct log_about *about)
{
	unsigned now = first_of;

	(void)about;
	first_of = 0;
	return now;
}

/* Every field but "none" has a value. */
static bool value(const struct log_about *about, char code, const char *arg, struct buf *b)
{
	if (arg && strcmp(arg, "none") == 0)
		return false;
	if (code == 'k')
		return false;
	buf_puts(b, code == 'i' ? about->of : "of the request");
	return true;
}

static const struct log_about_ops ops = { .logged = logged, .value = value };
static struct addr peer;
static struct log_about about = { .peer = &peer, .ops = &ops, .of = "a\"b\nc\x1b" };

static const char *line_of(const char *format, enum log_level level)
{
	static char line[4096];
	struct arena *a = arena_new(0);
	struct err e = { 0 };
	struct log_errorformat *f = log_errorformat_new(a, format, &e);
	struct log_event ev = { .about = &about, .subject = "core", .level = level, .id = "BH0123", .errnum = EACCES, .where = "server/x/y.c(12)",
				.message = "what\nhappened", .host = "main.test" };
	struct buf b;

	if (!f)
		fail_msg("%s: %s", format, e.text);
	buf_init(&b, line, sizeof line);
	if (!log_errorformat_render(f, &ev, &b))
		strcpy(line, "(no line)");
	arena_free(a);
	return line;
}

static void items_and_fields(void **state)
{
	static const struct { const char *format, *line; enum log_level level; } rows[] = {
		{ "%l %m %M", "error core BH0123: what\\nhappened", LOG_L_ERROR },
		{ "[%m:%l] %E: %a %v %V", "[core:info] (13)Permission denied: 192.0.2.1:5555 main.test of the request", LOG_L_INFO },
		{ "%F 100%%", "y.c(12) 100%", LOG_L_ERROR },
		{ "a %{X}i z", "a a\\\"b\\nc\\x1b z", LOG_L_ERROR },
		{ "a x%{none}iy z", "a z", LOG_L_ERROR },
		{ "a x%-{none}iy z", "a x-y z", LOG_L_ERROR },
		{ "a %+{none}i z", "(no line)", LOG_L_ERROR },
		{ "a x\\ %{none}iy z", "a z", LOG_L_ERROR },
		{ "a x\\ %{X}e z", "a x of the request z", LOG_L_ERROR },
		{ "%M% ,\\ referer\\ %{none}i", "BH0123: what\\nhappened", LOG_L_ERROR },
		{ "%M% ,\\ referer\\ %{X}e", "BH0123: what\\nhappened, referer of the request", LOG_L_ERROR },
		{ "%{none}i-%M", "BH0123: what\\nhappened", LOG_L_ERROR },                      /* the message is never left out */
		{ "a %7F z", "a z", LOG_L_ERROR }, { "a %7F z", "a y.c(12) z", LOG_L_DEBUG },
		{ "%k|%L", "", LOG_L_ERROR },
		{ "%-k|%L", "-|of the request", LOG_L_ERROR },
		{ "a\\tb\\nc\\\\d\\e", "a\tb c\\d\\e", LOG_L_ERROR },
	};

	(void)state;
	addr_parse(&peer, "192.0.2.1", 5555);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *line = line_of(rows[i].format, rows[i].level);

		if (strcmp(line, *rows[i].line ? rows[i].line : "(no line)"))
			fail_msg("%s: \"%s\" is not \"%s\"", rows[i].format, line, rows[i].line);
	}
}

static void times(void **state)
{
	static const struct { const char *format, *pattern; } rows[] = {
		{ "%t", "^[A-Z][a-z]{2} [A-Z][a-z]{2} [0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} 20[0-9]{2}$" },
		{ "%{u}t", "^[A-Z][a-z]{2} [A-Z][a-z]{2} [0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6} 20[0-9]{2}$" },
		{ "%{c}t", "^20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$" },
		{ "%{cu}t", "^20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}$" },
		{ "%P %T %{g}T", "^([0-9]+) [0-9]+ [0-9]+$" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *line = line_of(rows[i].format, LOG_L_ERROR);
		regex_t re;

		assert_int_equal(regcomp(&re, rows[i].pattern, REG_EXTENDED | REG_NOSUB), 0);
		if (regexec(&re, line, 0, NULL, 0))
			fail_msg("%s: \"%s\"", rows[i].format, line);
		regfree(&re);
	}
}

static void faults_are_told(void **state)
{
	static const struct { const char *format, *said; } rows[] = {
		{ "%Z", "\"%Z\" is no item of a message" }, { "a %", "the format ends behind a '%'" }, { "%{Referer", "\"%{Referer\" has a '{' without its '}'" },
		{ "%i", "\"%i\" needs a name in braces, as in %{Referer}i" }, { "%{}n", "\"%n\" needs a name in braces, as in %{name}n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct arena *a = arena_new(0);
		struct err e = { 0 };

		assert_null(log_errorformat_new(a, rows[i].format, &e));
		assert_string_equal(e.text, rows[i].said);
		arena_free(a);
	}
}

/* Through log.c: what is said once of a connection and a request stands before their first message. */
static void first_lines(void **state)
{
	struct arena *a = arena_new(0);
	struct log_errorformats formats = { .message = log_errorformat_new(a, "%l %M", NULL) };
	struct log_settings s;
	FILE *f = tmpfile();
	char text[400] = "";

	(void)state;
	log_errorformat_append(&formats.connection, log_errorformat_new(a, "connection %L", NULL));
	log_errorformat_append(&formats.request, log_errorformat_new(a, "request %{X}e", NULL));
	log_errorformat_append(&formats.request, log_errorformat_new(a, "%+{none}i", NULL));
	log_errorformat_append(&formats.request, log_errorformat_new(a, "%l again", NULL));
	log_settings_init(&s, LOG_L_WARN);
	s.formats = &formats;
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = fileno(f) }, &s);
	first_of = LOG_FIRST_OF_CONNECTION | LOG_FIRST_OF_REQUEST;
	log_infox(&about, LOG_CORE, NULL, "not logged");
	log_warnx(&about, LOG_CORE, NULL, "one");
	log_warnx(&about, LOG_CORE, NULL, "two");
	assert_true(pread(fileno(f), text, sizeof text - 1, 0) > 0);
	assert_string_equal(text, "connection of the request\nrequest of the request\n again\nwarn one\nwarn two\n");
	log_settings_init(&s, LOG_L_WARN);
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = 2, .plain = true }, &s);
	fclose(f);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_and_fields), cmocka_unit_test(times), cmocka_unit_test(faults_are_told), cmocka_unit_test(first_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

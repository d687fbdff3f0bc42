/* condition_test.c - covers server/http/condition.c: dates (against the C library), entity tags, preconditions. */
#include "http/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The C library's calendar is the measure: some moment of each of 3,000,000 steps through 8,000 years. */
static void dates_agree_with_the_c_library(void **state)
{
	char ours[HTTP_DATE], theirs[64];
	time_t back;

	(void)state;
	for (time_t t = 0; t < 253402300800LL; t += 86400 * 3 + 12345) {
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		if (strcmp(http_date(t, ours), theirs) != 0)
			fail_msg("%lld: %s, not %s", (long long)t, ours, theirs);
		if (http_date_parse(text_of(ours), &back) != 0 || back != t)
			fail_msg("%s is not read back", ours);
	}
	assert_string_equal(http_date(-1, ours), "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_string_equal(http_date(INT64_MAX, ours), "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void date_forms(void **state)
{
	static const struct { const char *text; int r; time_t t; } rows[] = {
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 0, 784111777 }, { "Sunday, 06-Nov-94 08:49:37 GMT", 0, 784111777 },
		{ "Sun Nov  6 08:49:37 1994", 0, 784111777 }, { "Wed Nov 16 08:49:37 1994", 0, 784975777 },
		{ "Thursday, 01-Jan-70 00:00:00 GMT", 0, 0 }, { "Tuesday, 01-Jan-69 00:00:00 GMT", 0, 3124224000 },
		{ "Tue, 29 Feb 2000 00:00:00 GMT", 0, 951782400 }, { "Sat, 31 Dec 2016 23:59:60 GMT", 0, 1483228800 },
		{ "Thu, 01 Jan 1970 00:00:01 GMT", 0, 1 }, { "Wed, 31 Dec 1969 23:59:59 GMT", 0, -1 },
		{ "Sat, 01 Jan 0000 00:00:00 GMT", 0, -62167219200 },
		{ "yesterday", -1, 0 }, { "", -1, 0 }, { "Sun", -1, 0 }, { "Sun,", -1, 0 }, { "Sun, 06 Nov 1994", -1, 0 },
		{ "Sun, 06 Nov 1994 08:49:37", -1, 0 }, { "Sun, 06 Nov 1994 08:49:37 UTC", -1, 0 }, { "Sun, 06 Nov 1994 08:49:37 GMT ", -1, 0 },
		{ "Sun, 6 Nov 1994 08:49:37 GMT", -1, 0 }, { "Sun, 06 Nov 94 08:49:37 GMT", -1, 0 }, { "sun, 06 Nov 1994 08:49:37 GMT", -1, 0 },
		{ "Sun, 06 Now 1994 08:49:37 GMT", -1, 0 }, { "Sun, 00 Nov 1994 08:49:37 GMT", -1, 0 }, { "Sun, 31 Nov 1994 08:49:37 GMT", -1, 0 },
		{ "Mon, 29 Feb 1900 08:49:37 GMT", -1, 0 }, { "Sun, 06 Nov 1994 24:00:00 GMT", -1, 0 }, { "Sun, 06 Nov 1994 08:60:37 GMT", -1, 0 },
		{ "Sun, 06 Nov 1994 08:49:61 GMT", -1, 0 }, { "Sun, 06-Nov-94 08:49:37 GMT", -1, 0 }, { "Sunday Nov  6 08:49:37 1994", -1, 0 },
		{ "Sun Nov  6 08:49:37 1994 GMT", -1, 0 }, { "Sun Nov 6 08:49:37 1994", -1, 0 }, { "784111777", -1, 0 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT; length=5", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		time_t t = 0;
		if (http_date_parse(text_of(rows[i].text), &t) != rows[i].r || t != rows[i].t)
			fail_msg("<%s>: %lld", rows[i].text, (long long)t);
	}
	for (size_t n = 0; n < strlen(rows[0].text); n++) {     /* nothing is read behind the end */
		time_t t;
		assert_int_equal(http_date_parse((struct text){ rows[0].text, n }, &t), -1);
	}
	assert_int_equal(http_date_parse((struct text){ NULL, 0 }, &(time_t){ 0 }), -1);
}

static void tags(void **state)
{
	static const struct { const char *list, *etag; bool strong, weak; } rows[] = {
		{ "\"a\"", "\"a\"", true, true }, { "\"a\"", "\"b\"", false, false }, { "\"x\", \"a\" , \"b\"", "\"a\"", true, true },
		{ "W/\"a\"", "\"a\"", false, true }, { "\"a\"", "W/\"a\"", false, true }, { "W/\"a\"", "W/\"a\"", false, true },
		{ "*", "\"a\"", true, true }, { " * ", "W/\"a\"", true, true }, { "a", "\"a\"", false, false }, { "\"a", "\"a\"", false, false },
		{ "\"a,b\",\"c\"", "\"c\"", true, true }, { "\"a,b\"", "\"a,b\"", true, true }, { "\"a\\\", \"b\"", "\"b\"", true, true },
		{ "\"\"", "\"\"", true, true }, { "w/\"a\"", "\"a\"", false, false }, { ",,\"a\",", "\"a\"", true, true }, { "", "\"a\"", false, false },
		{ "junk, \"a\"", "\"a\"", false, false }, { "\"A\"", "\"a\"", false, false }, { "\"a\"\"b\"", "\"b\"", true, true }, { "W/", "\"a\"", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (etag_listed(text_of(rows[i].list), text_of(rows[i].etag), false) != rows[i].strong
		    || etag_listed(text_of(rows[i].list), text_of(rows[i].etag), true) != rows[i].weak)
			fail_msg("<%s> in <%s>", rows[i].etag, rows[i].list);
	assert_false(etag_listed(TEXT("\"a\""), (struct text){ NULL, 0 }, true));
	assert_false(etag_listed((struct text){ NULL, 0 }, TEXT("\"a\""), true));
}

#define MODIFIED 784111777
#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define OLDER "Sun, 06 Nov 1994 08:49:36 GMT"
#define NEWER "Sun, 06 Nov 1994 08:49:38 GMT"

static void preconditions(void **state)
{
	static const struct { const char *name; enum http_method m; const char *fields[6]; const char *etag; time_t modified; bool exists; unsigned status; } rows[] = {
		{ "none", HTTP_GET, { NULL }, "\"e\"", MODIFIED, true, 0 },
		{ "If-None-Match hits", HTTP_GET, { "If-None-Match", "\"e\"" }, "\"e\"", MODIFIED, true, 304 },
		{ "If-None-Match hits, HEAD", HTTP_HEAD, { "If-None-Match", "\"e\"" }, "\"e\"", MODIFIED, true, 304 },
		{ "If-None-Match hits, PUT", HTTP_PUT, { "If-None-Match", "\"e\"" }, "\"e\"", MODIFIED, true, 412 },
		{ "If-None-Match compares weakly", HTTP_GET, { "If-None-Match", "W/\"e\"" }, "\"e\"", MODIFIED, true, 304 },
		{ "If-None-Match misses", HTTP_GET, { "If-None-Match", "\"other\"" }, "\"e\"", MODIFIED, true, 0 },
		{ "If-None-Match of any", HTTP_GET, { "If-None-Match", "*" }, "\"e\"", MODIFIED, true, 304 },
		{ "If-None-Match of any, PUT to something new", HTTP_PUT, { "If-None-Match", "*" }, NULL, -1, false, 0 },
		{ "If-None-Match in two lines", HTTP_GET, { "If-None-Match", "\"a\"", "If-None-Match", "\"e\"" }, "\"e\"", MODIFIED, true, 304 },
		{ "If-None-Match and no tag", HTTP_GET, { "If-None-Match", "\"e\"" }, NULL, MODIFIED, true, 0 },
		{ "If-None-Match goes before the date", HTTP_GET, { "If-None-Match", "\"other\"", "If-Modified-Since", SAME }, "\"e\"", MODIFIED, true, 0 },
		{ "If-Modified-Since, the same", HTTP_GET, { "If-Modified-Since", SAME }, "\"e\"", MODIFIED, true, 304 },
		{ "If-Modified-Since, newer", HTTP_GET, { "If-Modified-Since", NEWER }, "\"e\"", MODIFIED, true, 304 },
		{ "If-Modified-Since, older", HTTP_GET, { "If-Modified-Since", OLDER }, "\"e\"", MODIFIED, true, 0 },
		{ "If-Modified-Since, no date", HTTP_GET, { "If-Modified-Since", "yesterday" }, "\"e\"", MODIFIED, true, 0 },
		{ "If-Modified-Since, POST", HTTP_POST, { "If-Modified-Since", SAME }, "\"e\"", MODIFIED, true, 0 },
		{ "If-Modified-Since twice", HTTP_GET, { "If-Modified-Since", SAME, "If-Modified-Since", SAME }, "\"e\"", MODIFIED, true, 0 },
		{ "If-Modified-Since and no date to compare", HTTP_GET, { "If-Modified-Since", SAME }, "\"e\"", -1, true, 0 },
		{ "If-Match hits", HTTP_GET, { "If-Match", "\"a\", \"e\"" }, "\"e\"", MODIFIED, true, 0 },
		{ "If-Match misses", HTTP_GET, { "If-Match", "\"other\"" }, "\"e\"", MODIFIED, true, 412 },
		{ "If-Match compares strongly", HTTP_GET, { "If-Match", "W/\"e\"" }, "W/\"e\"", MODIFIED, true, 412 },
		{ "If-Match of any", HTTP_PUT, { "If-Match", "*" }, NULL, -1, true, 0 },
		{ "If-Match of any and nothing is there", HTTP_PUT, { "If-Match", "*" }, NULL, -1, false, 412 },
		{ "If-Unmodified-Since, the same", HTTP_GET, { "If-Unmodified-Since", SAME }, "\"e\"", MODIFIED, true, 0 },
		{ "If-Unmodified-Since, older", HTTP_GET, { "If-Unmodified-Since", OLDER }, "\"e\"", MODIFIED, true, 412 },
		{ "If-Unmodified-Since, no date", HTTP_GET, { "If-Unmodified-Since", "x" }, "\"e\"", MODIFIED, true, 0 },
		{ "If-Match goes before the date", HTTP_GET, { "If-Match", "\"e\"", "If-Unmodified-Since", OLDER }, "\"e\"", MODIFIED, true, 0 },
		{ "both kinds", HTTP_GET, { "If-Match", "\"e\"", "If-None-Match", "\"e\"" }, "\"e\"", MODIFIED, true, 304 },
		{ "412 goes before 304", HTTP_GET, { "If-Match", "\"x\"", "If-None-Match", "\"e\"" }, "\"e\"", MODIFIED, true, 412 },
		{ "a file from the future", HTTP_GET, { "If-Modified-Since", SAME }, "\"e\"", MODIFIED + 2000000, true, 0 },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct validators v = { text_of(rows[i].etag), rows[i].modified, rows[i].exists };
		struct fields f;
		unsigned status;
		fields_init(&f, a);
		for (size_t k = 0; k < 6 && rows[i].fields[k]; k += 2)
			fields_add_copy(&f, rows[i].fields[k], rows[i].fields[k + 1]);
		status = condition_check(&f, rows[i].m, &v, MODIFIED + 1000000);
		if (status != rows[i].status)
			fail_msg("%s: %u", rows[i].name, status);
	}
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_agree_with_the_c_library), cmocka_unit_test(date_forms), cmocka_unit_test(tags),
		cmocka_unit_test(preconditions),
	};
	return cmocka_run_group_tests_name("http/condition", tests, NULL, NULL);
}

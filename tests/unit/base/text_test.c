/* text_test.c - covers server/base/text.c: comparing, splitting, numbers, wildcards (against fnmatch), bounded buffers. */
#include "base/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void compares(void **state)
{
	static const struct { const char *name; struct text a; const char *b; bool same, nocase, starts; } rows[] = {
		{ "same", TEXT("abc"), "abc", true, true, true },
		{ "case", TEXT("aBc"), "AbC", false, true, false },
		{ "longer", TEXT("abcd"), "abc", false, false, true },
		{ "shorter", TEXT("ab"), "abc", false, false, false },
		{ "empty", TEXT(""), "", true, true, true },
		{ "absent and empty", { NULL, 0 }, "", true, true, true },
		{ "at and backquote differ by the case bit", TEXT("@["), "`{", false, false, false },
		{ "high bytes have no case", TEXT("\xc4"), "\xe4", false, false, false },
		{ "a NUL inside", { "a\0b", 3 }, "a", false, false, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (text_is(rows[i].a, rows[i].b) != rows[i].same || text_is_nocase(rows[i].a, rows[i].b) != rows[i].nocase
		    || text_starts(rows[i].a, rows[i].b) != rows[i].starts)
			fail_msg("%s", rows[i].name);
	assert_null(text_of(NULL).p);
	assert_true(text_eq(text_trim(TEXT(" \t a b\t ")), TEXT("a b")));
	assert_int_equal(text_trim(TEXT(" \t ")).n, 0);
}

static void splits(void **state)
{
	static const struct { const char *text; const char *parts[5]; } rows[] = {
		{ "a,b,c", { "a", "b", "c" } }, { "a", { "a" } }, { "", { "" } }, { ",", { "", "" } }, { "a,", { "a", "" } },
	};
	struct text absent = { NULL, 0 }, part;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct text rest = text_of(rows[i].text);
		size_t n = 0;
		while (text_split(&rest, ',', &part)) {
			if (n == 5 || !rows[i].parts[n] || !text_is(part, rows[i].parts[n]))
				fail_msg("\"%s\", part %zu", rows[i].text, n);
			n++;
		}
		if (rows[i].parts[n])
			fail_msg("\"%s\": only %zu parts", rows[i].text, n);
	}
	assert_false(text_split(&absent, ',', &part));
}

static void numbers(void **state)
{
	static const struct { const char *text; bool hex; uint64_t max; int result, error; uint64_t value; } rows[] = {
		{ "0", false, 9, 0, 0, 0 }, { "007", false, 9, 0, 0, 7 }, { "9", false, 9, 0, 0, 9 }, { "10", false, 9, -1, ERANGE, 0 },
		{ "18446744073709551615", false, UINT64_MAX, 0, 0, UINT64_MAX },
		{ "18446744073709551616", false, UINT64_MAX, -1, ERANGE, 0 },
		{ "99999999999999999999999999x", false, UINT64_MAX, -1, EINVAL, 0 },
		{ "", false, 9, -1, EINVAL, 0 }, { "-1", false, 9, -1, EINVAL, 0 }, { "+1", false, 9, -1, EINVAL, 0 },
		{ " 1", false, 9, -1, EINVAL, 0 }, { "1 ", false, 9, -1, EINVAL, 0 }, { "a", false, 99, -1, EINVAL, 0 },
		{ "0x1", true, 99, -1, EINVAL, 0 }, { "fF", true, 255, 0, 0, 255 }, { "100", true, 255, -1, ERANGE, 0 },
		{ "g", true, 255, -1, EINVAL, 0 }, { "ffffffffffffffff", true, UINT64_MAX, 0, 0, UINT64_MAX },
		{ "10000000000000000", true, UINT64_MAX, -1, ERANGE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 12345;
		struct text t = text_of(rows[i].text);
		int r = rows[i].hex ? text_hex64(t, rows[i].max, &v) : text_u64(t, rows[i].max, &v);
		if (r != rows[i].result || (r ? errno != rows[i].error || v != 12345 : v != rows[i].value))
			fail_msg("\"%s\": %d, %llu", rows[i].text, r, (unsigned long long)v);
	}
}

static void durations(void **state)
{
	static const struct { const char *text; uint64_t unit; int result; uint64_t ms; } rows[] = {
		{ "5", 1000, 0, 5000 }, { "5ms", 1000, 0, 5 }, { "5s", 1, 0, 5000 }, { "5mi", 1000, 0, 300000 }, { "2h", 1, 0, 7200000 },
		{ "1MS", 1000, 0, 1 }, { "1min", 1000, 0, 60000 }, { "0", 1000, 0, 0 }, { "5m", 1000, -1, 0 }, { "s", 1000, -1, 0 },
		{ "", 1000, -1, 0 }, { "-5", 1000, -1, 0 }, { "5 s", 1000, -1, 0 }, { "99999999", 1000, -1, 0 },
		{ "18446744073709551615h", 1000, -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 0;
		int r = text_duration_ms(text_of(rows[i].text), rows[i].unit, 10000000, &v);
		if (r != rows[i].result || v != rows[i].ms)
			fail_msg("\"%s\": %d, %llu", rows[i].text, r, (unsigned long long)v);
	}
}

static void wildcards(void **state)
{
	static const struct { const char *pattern, *s; bool nocase, match; } rows[] = {
		{ "*", "", false, true }, { "*", "any/thing", false, true }, { "?", "", false, false }, { "a*c", "abbc", false, true },
		{ "a*c", "abbd", false, false }, { "*.example.org", "www.example.org", false, true },
		{ "*.example.org", "example.org", false, false }, { "*.EXAMPLE.org", "a.b.example.ORG", true, true },
		{ "*.EXAMPLE.org", "a.example.org", false, false }, { "a**b", "ab", false, true }, { "*a*b*c*", "xxaxbxcx", false, true },
		{ "*ab", "aab", false, true }, { "", "", false, true }, { "", "a", false, false }, { "[a]", "a", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (wild_match(rows[i].pattern, rows[i].s, rows[i].nocase) != rows[i].match)
			fail_msg("\"%s\" on \"%s\"", rows[i].pattern, rows[i].s);
}

/* The C library's fnmatch is the measure (in the C locale). */
static void path_wildcards(void **state)
{
	static const char *const patterns[] = {
		"/var/www/*", "/var/*/html", "/var/www/**", "*", "?", "/a?c", "/a[bc]d", "/a[!bc]d", "/a[^b-d]*", "/a[]x]", "/a[!]x]",
		"/a[b", "/a\\*b", "/a\\", "*.txt", "/*/x*y", "/[[:alpha:]][[:digit:]]", "/[a-c-]", "/[\\]]", "/[a\\-c]", "a*b*c",
		"/home/*/public_html", "[", "[]", "[]]", "[!]", "/*a", "", "*/", "/", "[a-", "/[z-a]", "[[:upper:]x]", "[*]", "[?]",
	};
	static const char *const subjects[] = {
		"/var/www/html", "/var/www/a/b", "/var/www/", "/var//html", "/var/x/html", "", "a", "/", "/abc", "/abd", "/acd", "/a/d", "/ad",
		"/aed", "/aefg", "/a]", "/ax", "/ay", "/a[b", "/a[b/c]", "/a*b", "/axb", "/a\\", "x.txt", "d/x.txt", "/p/xy", "/p/x/y", "/k7",
		"/77", "/-", "/b", "/]", "/c", "abc", "aXbYc", "ab/c", "/home/u/public_html", "/home/u/v/public_html", "[", "]", "!", "/bba",
		"a/b", "X", "x", "a/", "*", "?", "[]", "[!]",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(patterns); i++)
		for (size_t k = 0; k < COUNT(subjects); k++) {
			bool want = fnmatch(patterns[i], subjects[k], FNM_PATHNAME) == 0;
			if (wild_match_path(patterns[i], subjects[k]) != want)
				fail_msg("\"%s\" on \"%s\": fnmatch says %d", patterns[i], subjects[k], want);
		}
	/* a bracket with a slash in it is none (POSIX; not so the C library) */
	assert_true(wild_match_path("/a[b/c]", "/a[b/c]"));
	assert_false(wild_match_path("a[/]b", "a/b"));
	assert_true(wild_match_path("a[/]b", "a[/]b"));
}

/* What takes a naive matcher longer than the universe lasts. */
static void wildcards_take_bounded_time(void **state)
{
	char pattern[201], subject[5001];

	(void)state;
	for (size_t i = 0; i < 200; i += 2) {
		pattern[i] = 'a';
		pattern[i + 1] = '*';
	}
	pattern[199] = 'b';
	pattern[200] = '\0';
	memset(subject, 'a', 5000);
	subject[5000] = '\0';
	assert_false(wild_match(pattern, subject, true));
	assert_false(wild_match_path(pattern, subject));
}

static void buffers(void **state)
{
	char room[8], none[1], wide[24];
	struct buf b;

	(void)state;
	buf_init(&b, room, sizeof room);
	assert_string_equal(room, "");
	buf_puts(&b, "abc");
	buf_printf(&b, "%d", 1234);
	assert_string_equal(room, "abc1234");
	assert_false(b.full);
	buf_putc(&b, 'x');
	assert_true(b.full);
	assert_int_equal(b.n, 7);
	buf_init(&b, room, sizeof room);
	buf_put_u64(&b, 0);
	buf_putc(&b, ' ');
	buf_put_hex(&b, 0x1f2e);
	assert_string_equal(room, "0 1f2e");
	buf_init(&b, wide, sizeof wide);
	buf_put_u64(&b, UINT64_MAX);
	assert_string_equal(wide, "18446744073709551615");
	for (uint64_t v = 1; v < UINT64_MAX / 20; v *= 10)
		for (uint64_t add = 0; add < 3; add++) {        /* 99, 100, 101 … */
			char want[24];

			snprintf(want, sizeof want, "%llu", (unsigned long long)(v + add - 1));
			buf_init(&b, wide, sizeof wide);
			buf_put_u64(&b, v + add - 1);
			assert_string_equal(wide, want);
		}
	buf_init(&b, room, sizeof room);
	buf_printf(&b, "%s", "12345678901");
	assert_true(b.full);
	assert_string_equal(room, "1234567");
	buf_init(&b, none, 0);
	buf_puts(&b, "x");
	buf_printf(&b, "%d", 1);
	buf_put_html(&b, TEXT("<x"));
	assert_true(b.full);
	assert_int_equal(b.n, 0);
}

static void escapes(void **state)
{
	static const struct { struct text text; const char *log, *html; } rows[] = {
		{ TEXT("plain text"), "plain text", "plain text" },
		{ TEXT("a\"b\\c"), "a\\\"b\\\\c", "a&quot;b\\c" },
		{ TEXT("\n\r\t\b\v\x01\x7f\xff"), "\\n\\r\\t\\b\\v\\x01\\x7f\\xff", "\n\r\t\b\v\x01\x7f\xff" },
		{ { "a\0b", 3 }, "a\\x00b", NULL },
		{ TEXT("<a href='x'>&amp;"), "<a href='x'>&amp;", "&lt;a href=&#39;x&#39;&gt;&amp;amp;" },
		{ { NULL, 0 }, "", "" },
	};
	char out[128], tight[6];
	struct buf b;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		buf_init(&b, out, sizeof out);
		buf_put_log(&b, rows[i].text);
		if (strcmp(out, rows[i].log) != 0)
			fail_msg("log, row %zu: %s", i, out);
		buf_init(&b, out, sizeof out);
		buf_put_html(&b, rows[i].text);
		if (rows[i].html && strcmp(out, rows[i].html) != 0)
			fail_msg("html, row %zu: %s", i, out);
	}
	/* no half escapes, and nothing after what was left out */
	buf_init(&b, tight, sizeof tight);
	buf_put_log(&b, TEXT("abc\x01" "d"));
	assert_string_equal(tight, "abc");
	assert_true(b.full);
	buf_init(&b, tight, sizeof tight);
	buf_put_html(&b, TEXT("ab&c"));
	assert_string_equal(tight, "ab");
	assert_true(b.full);
}

/* Each byte at each place, its neighbours the edges of what is plain: no escape is missed, none is made of its neighbours. */
static void log_escapes_any_byte_anywhere(void **state)
{
	static const char plain[] = { ' ', '~', '!', '#', '[', ']', 'a', ' ', '~', '!', '#', '[', ']', 'z', '~', ' ', '!', 'x', ' ' };
	static const char two[] = "\"\\\b\n\r\t\v";

	(void)state;
	for (size_t at = 0; at < sizeof plain; at++)
		for (unsigned c = 0; c < 256; c++) {
			char in[sizeof plain], out[64];
			size_t grown = c >= ' ' && c < 0x7f && c != '"' && c != '\\' ? 0 : c && strchr(two, (int)c) ? 1 : 3;
			struct buf b;

			memcpy(in, plain, sizeof in);
			in[at] = (char)c;
			buf_init(&b, out, sizeof out);
			buf_put_log(&b, (struct text){ in, sizeof in });
			if (b.n != sizeof in + grown || memcmp(out, in, at) || (grown && out[at] != '\\')
			    || memcmp(out + at + 1 + grown, in + at + 1, sizeof in - at - 1))
				fail_msg("byte %02x at %zu: %s", c, at, out);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares), cmocka_unit_test(splits), cmocka_unit_test(numbers), cmocka_unit_test(durations),
		cmocka_unit_test(wildcards), cmocka_unit_test(path_wildcards), cmocka_unit_test(wildcards_take_bounded_time),
		cmocka_unit_test(buffers), cmocka_unit_test(escapes),
		cmocka_unit_test(log_escapes_any_byte_anywhere),
	};
	return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}

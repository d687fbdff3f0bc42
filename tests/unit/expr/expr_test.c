/*
 * expr_test.c - covers server/expr: rows of (expression, answer) after Apache's documentation of its expressions, rows of faults
 * with their columns, and the limits.
 */
#include "expr/expr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ------------------------------------------------------------------------------------------------ surroundings */

static const struct { const char *name, *value; } variables[] = {
	{ "HTTP_HOST", "www.example.test" }, { "REQUEST_URI", "/a/b.html" }, { "QUERY_STRING", "id=77&x=1" }, { "EMPTY", "" }, { "NUMBER", "42" },
	{ "REMOTE_ADDR", "192.0.2.7" }, { "SIX", "2001:db8::7" }, { "ABSENT", NULL }, { "REMOTE_USER", "alice" }, { "OFF", "oFF" },
	{ "EVIL", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!" }, { "PATTERN", "*a*" }, { "REQUEST_METHOD", "GET" },
};

static bool known_variable(const char *name)
{
	for (size_t i = 0; i < COUNT(variables); i++)
		if (strcmp(variables[i].name, name) == 0)
			return true;
	return false;
}

static struct text variable(struct expr_ctx *x, const char *name)
{
	(void)x;
	for (size_t i = 0; i < COUNT(variables); i++)
		if (strcmp(variables[i].name, name) == 0)
			return text_of(variables[i].value);
	return (struct text){ NULL, 0 };
}

static bool known_function(const char *name)
{
	return strcmp(name, "req") == 0 || strcmp(name, "http") == 0 || strcmp(name, "env") == 0 || strcmp(name, "file") == 0;
}

static struct text function(struct expr_ctx *x, const char *name, struct text argument)
{
	(void)x;
	return text_is(argument, "none") ? (struct text){ NULL, 0 } : text_of(arena_printf(x->arena, "%s of %.*s", name, (int)argument.n, argument.p));
}

static bool file(struct expr_ctx *x, char op, struct text path)
{
	(void)x;
	return (op == 'f' && text_is(path, "/etc/passwd")) || (op == 'd' && text_is(path, "/etc")) || (op == 'U' && text_is(path, "/ok"));
}

static bool known_list(const char *name)
{
	return strcmp(name, "peerextlist") == 0;
}

static struct text list(struct expr_ctx *x, const char *name, struct text argument, unsigned at)
{
	static const char *const values[] = { "staff", "DNS:a.test, IP Address:192.0.2.7" };

	(void)x;
	assert_string_equal(name, "peerextlist");
	return text_is(argument, "1.2.3") && at < COUNT(values) ? text_of(values[at]) : (struct text){ NULL, 0 };
}

static const struct expr_names names = { .variable = known_variable, .function = known_function, .list = known_list };

static struct expr_ctx surroundings(struct arena *a)
{
	return (struct expr_ctx){ .arena = a, .variable = variable, .function = function, .file = file, .list = list };
}

static struct expr *compile(struct arena *a, const char *text, enum expr_grammar grammar)
{
	struct err e = { .text = "" };
	struct expr *x = expr_compile(a, text, grammar, &names, &e);

	if (!x)
		fail_msg("%s: %s", text, e.text);
	return x;
}

struct row {
	const char *text;
	int answer;                     /* -1: it has none */
};

static void check(const struct row *rows, size_t n, enum expr_grammar grammar)
{
	for (size_t i = 0; i < n; i++) {
		struct arena *a = arena_new(0);
		struct expr *x = compile(a, rows[i].text, grammar);
		struct expr_ctx ctx = surroundings(a);
		int got = expr_true(x, &ctx);

		if (got != rows[i].answer)
			fail_msg("%s gives %d (%s)", rows[i].text, got, ctx.failed ? ctx.failed : "no failure");
		assert_true((got < 0) == (ctx.failed != NULL));
		assert_string_equal(expr_text(x), rows[i].text);
		arena_free(a);
	}
}

/* ------------------------------------------------------------------------------------------------ conditions */

static void conditions(void **state)
{
	static const struct row rows[] = {
		{ "true", 1 }, { "false", 0 }, { "!true", 0 }, { "! false", 1 }, { "not false", 1 }, { "!!true", 1 }, { " true ", 1 }, { "(true)", 1 },
		{ "true && false", 0 }, { "true and true", 1 }, { "false || true", 1 }, { "false or false", 0 }, { "true||false&&false", 1 },
		{ "(true || false) && false", 0 }, { "!true || true", 1 }, { "!(true || true)", 0 }, { "true && true && false || true", 1 },
		/* texts */
		{ "'a' == 'a'", 1 }, { "'a' = 'a'", 1 }, { "'a'=='b'", 0 }, { "'a' != 'b'", 1 }, { "'a' < 'b'", 1 }, { "'b' < 'a'", 0 },
		{ "'10' < '9'", 1 }, { "'a' <= 'a'", 1 }, { "'b' > 'a'", 1 }, { "'b' >= 'c'", 0 }, { "'a' < 'aa'", 1 }, { "'' == ''", 1 },
		{ "'A' == 'a'", 0 }, { "%{HTTP_HOST} == 'www.example.test'", 1 }, { "\"www.example.test\" == %{HTTP_HOST}", 1 },
		{ "%{ABSENT} == ''", 1 }, { "%{EMPTY} == %{ABSENT}", 1 }, { "'x' . 'y' == 'xy'", 1 }, { "'a'.'b' . %{NUMBER} == 'ab42'", 1 },
		{ "1 == '1'", 1 }, { "-1 == '-1'", 1 }, { "1.5 == '15'", 1 },
		/* numbers */
		{ "1 -eq 1", 1 }, { "1 eq 1", 1 }, { "01 -eq 1", 1 }, { "10 -lt 9", 0 }, { "9 -lt 10", 1 }, { "9 lt 10", 1 }, { "9 -ne 10", 1 },
		{ "9 ne 9", 0 }, { "5 -le 5", 1 }, { "5 le 4", 0 }, { "6 -gt 5", 1 }, { "6 gt 6", 0 }, { "6 -ge 6", 1 }, { "6 ge 7", 0 },
		{ "-5 -lt 3", 1 }, { "' 12x' -eq 12", 1 }, { "'x' -eq 0", 1 }, { "%{NUMBER} -eq 42", 1 }, { "%{ABSENT} -eq 0", 1 }, { "'+7' -eq 7", 1 },
		{ "'9223372036854775808' -eq '9223372036854775807'", 1 }, { "'-9223372036854775809' -lt '-9223372036854775807'", 1 },
		{ "'99999999999999999999' -gt 1", 1 }, { "1 -EQ 1", 1 },
		/* lists */
		{ "'a' in {'a', 'b'}", 1 }, { "'b' -in {'a','b'}", 1 }, { "'c' in { 'a', 'b' }", 0 }, { "%{REQUEST_METHOD} in {'PUT', 'GET'}", 1 },
		{ "! (%{REQUEST_METHOD} in {'PUT', 'POST'})", 1 }, { "'42' in {%{NUMBER}}", 1 }, { "'staff' in PeerExtList('1.2.3')", 1 },
		{ "'staff' -in peerextlist('9.9')", 0 }, { "'guests' in PeerExtList('1.2.3')", 0 }, { "'ab' in {'a' . 'b'}", 1 },
		{ "'b' in split(/,/, 'a,b')", 1 }, { "%{REMOTE_ADDR} -in split s/.*?IP Address:([^,]+)/$1/, PeerExtList('1.2.3')", 1 },
		{ "'IP Address:192.0.2.7' -in split /, /, PeerExtList('1.2.3')", 1 }, { "'x' in split(/,/, {'a,b', 'c,x'})", 1 },
		{ "join({'a', 'b'}, '-') == 'a-b'", 1 }, { "join {'a', 'b'} == 'ab'", 1 }, { "sub(s/b/x/, 'abcb') == 'axcb'", 1 },
		{ "sub s/b/x/g, 'abcb' == 'axcx'", 1 }, { "sub(s/(a)(b)/$2$1/, 'xaby') == 'xbay'", 1 }, { "sub(s#z#x#, 'ab') == 'ab'", 1 },
		/* patterns */
		{ "%{REQUEST_URI} =~ /^.a/", 1 }, { "%{REQUEST_URI} =~ m#^/a/#", 1 }, { "%{REQUEST_URI} =~ m|^/x/|", 0 },
		{ "%{REQUEST_URI} !~ m#^/x/#", 1 }, { "'ABC' =~ /abc/", 0 }, { "'ABC' =~ /abc/i", 1 }, { "'a/b' =~ /a\\/b/", 1 },
		{ "'a#b' =~ m#a\\#b#", 1 }, { "'x\\ny' =~ /^y/m", 1 }, { "'x\\ny' =~ /^y/", 0 }, { "'x\\ny' =~ /x.y/", 1 }, { "'' =~ /^$/", 1 },
		{ "%{ABSENT} =~ /^$/", 1 }, { "! %{REQUEST_URI} =~ /html/", 0 }, { "'x' =~ m!x!", 1 }, { "'x' =~ m'x'", 1 },
		/* captures */
		{ "%{QUERY_STRING} =~ /id=([0-9]+)/ && $1 -eq 77", 1 }, { "'ab' =~ /(a)(b)/ && $2 . $1 == 'ba'", 1 },
		{ "'ab' =~ /(a)(x)?/ && $2 == ''", 1 }, { "'ab' =~ /(b)/ && '$0/$1' == 'b/b'", 1 }, { "$1 == ''", 1 }, { "'$1' == ''", 1 },
		{ "'a' =~ /(a)/ && 'b' =~ /b/ && $1 == 'a'", 1 }, { "'a' =~ /(a)/ && ! 'b' =~ /(c)/ && $1 == ''", 1 },
		{ "'a' !~ /(a)/ || $1 == 'a'", 1 }, { "'a\\$1' == 'a$' . '1'", 1 },
		/* tests */
		{ "-n 'x'", 1 }, { "-n ''", 0 }, { "-z ''", 1 }, { "-z %{ABSENT}", 1 }, { "-n %{NUMBER}", 1 }, { "-T 'x'", 1 }, { "-T 'no'", 0 },
		{ "-T %{OFF}", 0 }, { "-T 'False'", 0 }, { "-T '0'", 0 }, { "-T '00'", 1 }, { "-T ''", 0 }, { "-T 'none'", 1 },
		{ "-f '/etc/passwd'", 1 }, { "-f '/none'", 0 }, { "-d '/etc'", 1 }, { "-e '/etc'", 0 }, { "-U '/ok'", 1 }, { "-A '/ok'", 1 },
		{ "-F '/ok'", 0 }, { "-R '192.0.2.0/24'", 1 }, { "-R '198.51.100.0/24'", 0 }, { "-R '192.0.2.7'", 1 }, { "-R '2001:db8::/32'", 0 },
		{ "-R '192.0.2.0/255.255.255.0'", 1 }, { "! -R '10'", 1 }, { "-z '' && -n 'a'.'b'", 1 }, { "-f''", 0 }, { "-n'x'", 1 },
		/* addresses and wildcards */
		{ "%{REMOTE_ADDR} -ipmatch '192.0.2.0/28'", 1 }, { "%{SIX} -ipmatch '2001:db8::/32'", 1 }, { "'x' -ipmatch '10.0.0.0/8'", 0 },
		{ "'*' -ipmatch '0.0.0.0/0'", 0 }, { "'::ffff:10.1.2.3' -ipmatch '10.0.0.0/8'", 1 }, { "%{ABSENT} -ipmatch '0.0.0.0/0'", 0 },
		{ "'abc' -strmatch 'a*'", 1 }, { "'abc' -strmatch 'A*'", 0 }, { "'abc' -strcmatch 'A*'", 1 }, { "'a/b' -strmatch 'a*b'", 1 },
		{ "'a/b' -fnmatch 'a*b'", 0 }, { "'a/b' -fnmatch 'a/?'", 1 }, { "'a/b' -fnmatch 'a?b'", 0 }, { "'abc' -strmatch 'a[a-c]c'", 1 },
		{ "'abc' -strmatch 'a[!b]c'", 0 }, { "'a-c' -strmatch 'a[x-]c'", 1 }, { "'a]c' -strmatch 'a[]]c'", 1 }, { "'a[c' -strmatch 'a[c'", 1 },
		{ "'a*c' -strmatch 'a\\\\*c'", 1 }, { "'abc' -strmatch 'a\\\\*c'", 0 }, { "'' -strmatch '*'", 1 }, { "'x' -strmatch ''", 0 },
		{ "'xabab' -strmatch '*ab'", 1 }, { "'text/html' -STRMATCH '*/html'", 1 }, { "'ac/ab' -fnmatch 'a?/a[b]'", 1 },
		{ "'a/b' -fnmatch 'a[/]b'", 0 }, { "'ABC' -strcmatch 'a[b-c]C'", 1 },
		/* functions */
		{ "req('X') == 'req of X'", 1 }, { "REQ('X') == 'req of X'", 1 }, { "%{HTTP:Accept} == 'http of Accept'", 1 }, { "-z req('none')", 1 },
		{ "tolower('AbC') == 'abc'", 1 }, { "toupper('AbC') == 'ABC'", 1 }, { "tolower(toupper('a') . 'B') == 'ab'", 1 },
		{ "md5('foo') == 'acbd18db4cc2f85cedef654fccc4a4d8'", 1 }, { "sha1('foo') == '0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'", 1 },
		{ "base64('foo') == 'Zm9v'", 1 }, { "base64('fo') == 'Zm8='", 1 }, { "base64('f') == 'Zg=='", 1 }, { "base64('') == ''", 1 },
		{ "unbase64('Zm9v') == 'foo'", 1 }, { "unbase64('Zm8=') == 'fo'", 1 }, { "unbase64('Zg==') == 'f'", 1 }, { "unbase64('YQBi') == 'a'", 1 },
		{ "escape('a b/c?%') == 'a%20b/c%3f%25'", 1 }, { "unescape('a%20b') == 'a b'", 1 }, { "unescape('a%2fb%2Fc') == 'a%2fb%2Fc'", 1 },
		{ "unescape('%00a') == ''", 1 }, { "unescape('%zz') == ''", 1 }, { "unescape('a%4') == ''", 1 }, { "unescape('a%41') == 'aA'", 1 },
		{ "replace(%{REQUEST_METHOD}, 'E', 'OO') == 'GOOT'", 1 }, { "replace('aaa', 'aa', '') == 'a'", 1 }, { "replace('a', '', 'x') == 'a'", 1 },
		{ "ldap('a*(b)') == 'a\\\\2a\\\\28b\\\\29'", 1 }, { "ldap(' a ') == '\\\\20a\\\\20'", 1 },
		/* inside texts */
		{ "'%{HTTP_HOST}/%{NUMBER}' == 'www.example.test/42'", 1 }, { "'%{tolower:%{OFF}X}' == 'offx'", 1 }, { "'a\\'b' == \"a'b\"", 1 },
		{ "'\\101\\x' == 'Ax'", 1 }, { "'%' . '{' == '%\\{'", 1 }, { "'50%' == '50%'", 1 }, { "'a}b$' == 'a}b\\$'", 1 },
		{ "'%{:toupper('a') . 'b':}' == 'Ab'", 1 }, { "'%{: 1 -eq 1 :}' == 'true'", 1 }, { "'a\\tb' == 'a\\011b'", 1 },
		/* no answer */
		{ "%{EVIL} =~ /^(a+)+$/ && true", -1 }, { "! %{EVIL} =~ /^(a+)+$/", -1 }, { "true || %{EVIL} =~ /^(a+)+$/", 1 },
		{ "false || %{EVIL} !~ /^(a+)+$/ || true", -1 }, { "false && %{EVIL} =~ /^(a+)+$/", 0 },
	};

	(void)state;
	check(rows, COUNT(rows), EXPR_CONDITION);
}

/* Of SSLRequire: all comparisons look at the length first, and digits may hold dots. */
static void of_sslrequire(void **state)
{
	static const struct row rows[] = {
		{ "%{REQUEST_METHOD} eq \"GET\" and %{HTTP_HOST} in {\"www.example.test\", \"x\"}", 1 }, { "\"10\" lt \"9\"", 0 }, { "\"9\" < \"10\"", 1 },
		{ "9 lt 10", 1 }, { "\"b\" gt \"a\"", 1 }, { "\"b\" gt \"aa\"", 0 }, { "1.5 eq \"1.5\"", 1 }, { "\"01\" eq \"1\"", 0 }, { "\"a\" ne \"b\"", 1 },
		{ "%{REMOTE_ADDR} =~ m/^192\\.0\\.2\\.[0-9]+$/", 1 }, { "\"staff\" in PeerExtList(\"1.2.3\") and %{HTTP_HOST} =~ m/^www/", 1 },
		{ "not (1 eq 2) or false", 1 }, { "\"b\" ge \"b\" && 2 le 2", 1 }, { "file(\"x\") == 'file of x'", 1 },
	};

	(void)state;
	check(rows, COUNT(rows), EXPR_SSLREQUIRE);
}

/* ------------------------------------------------------------------------------------------------ texts */

static void texts(void **state)
{
	static const struct { const char *text, *result; } rows[] = {
		{ "", "" }, { "plain", "plain" }, { "Hello %{HTTP_HOST}!", "Hello www.example.test!" }, { "%{ABSENT}", "" }, { "a'b\"c", "a'b\"c" },
		{ "%{req:X-A}", "req of X-A" }, { "$1", "" }, { "\\$1", "$1" }, { "100%", "100%" }, { "%{unescape:%{tolower:A%20B}}", "a b" },
		{ "a\\nb", "a\nb" }, { "%{:join PeerExtList('1.2.3'), '|':}", "staff|DNS:a.test, IP Address:192.0.2.7" }, { "%{md5:foo}", "acbd18db4cc2f85cedef654fccc4a4d8" },
		{ "%{base64:it's}", "aXQncw==" }, { "%{tolower:A\\}B}", "a}b" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *a = arena_new(0);
		struct expr_ctx ctx = surroundings(a);
		struct text t = expr_string(compile(a, rows[i].text, EXPR_STRING), &ctx);

		if (!t.p || !text_is(t, rows[i].result))
			fail_msg("%s gives \"%.*s\"", rows[i].text, (int)t.n, t.p ? t.p : "");
		arena_free(a);
	}
}

/* ------------------------------------------------------------------------------------------------ faults */

static void faults(void **state)
{
	static const struct { const char *text; enum expr_grammar grammar; unsigned column; const char *words; } rows[] = {
		{ "", EXPR_CONDITION, 1, "a word is missing" }, { "%{HTTP_HOST}", EXPR_CONDITION, 13, "an operator is missing" },
		{ "%{NOBODY} == 'x'", EXPR_CONDITION, 3, "no variable \"NOBODY\"" }, { "%{HTTP_HOST} == www", EXPR_CONDITION, 17, "neither quoted" },
		{ "%{HTTP_HOST == 'x'", EXPR_CONDITION, 12, "cannot stand in the name" }, { "%{HTTP_HOST", EXPR_CONDITION, 1, "no end '}'" },
		{ "'a' == 'b", EXPR_CONDITION, 8, "no end '''" }, { "'a' =~ 'b'", EXPR_CONDITION, 8, "regular expression is missing" },
		{ "'a' =~ /b", EXPR_CONDITION, 8, "the end '/'" }, { "'a' =~ /(/", EXPR_CONDITION, 8, "not valid" }, { "'a' =~ /b/x", EXPR_CONDITION, 11, "no flag 'x'" },
		{ "'a' =~ ma.b", EXPR_CONDITION, 8, "'a' cannot enclose" }, { "'a' == 'b' 'c'", EXPR_CONDITION, 12, "nothing more" },
		{ "('a' == 'b'", EXPR_CONDITION, 12, "\")\" is missing" }, { "'a' -foo 'b'", EXPR_CONDITION, 5, "no operator \"-foo\"" },
		{ "-q 'a'", EXPR_CONDITION, 1, "no test \"-q\"" }, { "-nn 'a'", EXPR_CONDITION, 1, "no test \"-nn\"" }, { "'a' in 'b'", EXPR_CONDITION, 8, "a list is missing" },
		{ "'a' in {'b' 'c'}", EXPR_CONDITION, 13, "\"}\" is missing" }, { "'a' in {}", EXPR_CONDITION, 9, "a word is missing" },
		{ "nobody('a') == 'x'", EXPR_CONDITION, 1, "no function \"nobody\"" }, { "-R %{HTTP_HOST}", EXPR_CONDITION, 4, "network is missing" },
		{ "-R 'x'", EXPR_CONDITION, 4, "network is missing" }, { "'1' -ipmatch '300.1.1.1'", EXPR_CONDITION, 14, "network is missing" },
		{ "'a' ==", EXPR_CONDITION, 7, "a word is missing" }, { "true &&", EXPR_CONDITION, 8, "a word is missing" }, { "true & false", EXPR_CONDITION, 6, "nothing more" },
		{ "%{req:} == ''", EXPR_CONDITION, 7, "argument of req is missing" }, { "%{} == ''", EXPR_CONDITION, 3, "name of a variable is missing" },
		{ "'\\400' == ''", EXPR_CONDITION, 2, "no character" }, { "'\\1234' == ''", EXPR_CONDITION, 2, "no character" }, { "'\\0' == ''", EXPR_CONDITION, 2, "no character" },
		{ "'\\8' == ''", EXPR_CONDITION, 2, "no character" }, { "a\\", EXPR_STRING, 2, "nothing behind it" }, { "%{FOO}", EXPR_STRING, 3, "no variable" },
		{ "a%{HTTP_HOST", EXPR_STRING, 2, "no end '}'" }, { "replace('a', 'b') == ''", EXPR_CONDITION, 1, "takes 3 arguments" }, { "md5('a', 'b') == ''", EXPR_CONDITION, 1, "takes 1 argument" },
		{ "PeerExtList('1') == ''", EXPR_CONDITION, 1, "no function" }, { "%{:'a':} %{HTTP_HOST}", EXPR_CONDITION, 10, "operator is missing" },
		{ "'a' eq", EXPR_SSLREQUIRE, 7, "a word is missing" }, { "%{HTTP_HOST} is 'x'", EXPR_CONDITION, 14, "no operator \"is\"" }, { "!", EXPR_CONDITION, 2, "a word is missing" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *a = arena_new(0);
		struct err e = { .text = "" };
		char column[32];

		if (expr_compile(a, rows[i].text, rows[i].grammar, &names, &e))
			fail_msg("%s is taken", rows[i].text);
		snprintf(column, sizeof column, "column %u, ", rows[i].column);
		if (strncmp(e.text, column, strlen(column)) != 0 || !strstr(e.text, rows[i].words))
			fail_msg("%s: %s", rows[i].text, e.text);
		arena_free(a);
	}
}

/* ------------------------------------------------------------------------------------------------ limits */

/* `open` n times, the middle, `close` n times. */
static char *nested(struct arena *a, const char *open, const char *middle, const char *close, size_t n)
{
	size_t cap = n * (strlen(open) + strlen(close)) + strlen(middle) + 1;
	struct buf b;

	buf_init(&b, arena_alloc(a, cap), cap);
	for (size_t i = 0; i < n; i++)
		buf_puts(&b, open);
	buf_puts(&b, middle);
	for (size_t i = 0; i < n; i++)
		buf_puts(&b, close);
	return b.p;
}

static void limits(void **state)
{
	static const struct { const char *open, *middle, *close; size_t n; const char *fault; } rows[] = {
		{ "(", "true", ")", 60, NULL }, { "(", "true", ")", 30000, "brackets within brackets" }, { "!", "true", "", 60, NULL },
		{ "!", "true", "", 60000, "brackets within brackets" }, { "-n ", "'x'", "", 2, "a word is missing" }, { "'%{tolower:", "a", "}'", 1, "an operator" },
		{ "md5(", "'x'", ")", 9000, "brackets within brackets" }, { "true && ", "true", "", 4000, NULL }, { "true && ", "true", "", 9000, "bytes" },
		{ "", "'x' == 'x'", " . 'x'", 7000, NULL }, { "", "1 -eq 1", ".1", 20000, "more than 8192 parts" }, { "{", "", "", 10, "a word is missing" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *a = arena_new(0);
		struct err e = { .text = "" };
		struct expr *x = expr_compile(a, nested(a, rows[i].open, rows[i].middle, rows[i].close, rows[i].n), EXPR_CONDITION, &names, &e);
		struct expr_ctx ctx = surroundings(a);

		if (rows[i].fault ? x || !strstr(e.text, rows[i].fault) : !x)
			fail_msg("row %zu: %s", i, x ? "taken" : e.text);
		if (x)
			expr_true(x, &ctx);
		arena_free(a);
	}
}

/* What grows without end, or takes without end, has no answer: neither true nor false, nor a text. */
static void bounded(void **state)
{
	static const char grown[] = "replace(replace(replace(replace(%{EVIL}, 'a', %{EVIL}), 'a', %{EVIL}), 'a', %{EVIL}), 'a', %{EVIL})";
	struct arena *a = arena_new(0);
	struct expr_ctx ctx = surroundings(a);
	struct expr *x = compile(a, arena_printf(a, "%s != 'x'", grown), EXPR_CONDITION);
	char *text = arena_strdup(a, nested(a, "a", "", "", 60000));

	(void)state;
	assert_int_equal(expr_true(x, &ctx), -1);
	assert_non_null(strstr(ctx.failed, "mebibyte"));
	x = compile(a, arena_printf(a, "%%{:%s:}", grown), EXPR_STRING);
	assert_null(expr_string(x, &ctx).p);
	assert_non_null(strstr(ctx.failed, "mebibyte"));
	x = compile(a, arena_printf(a, "'%s' -strmatch '*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'", text), EXPR_CONDITION);
	assert_int_equal(expr_true(x, &ctx), -1);
	assert_non_null(strstr(ctx.failed, "wildcards"));
	x = compile(a, arena_printf(a, "'x' in split(/a/, '%s')", text), EXPR_CONDITION);
	assert_int_equal(expr_true(x, &ctx), -1);
	assert_non_null(strstr(ctx.failed, "too many parts"));
	x = compile(a, "true", EXPR_CONDITION);
	assert_int_equal(expr_true(x, &ctx), 1);        /* the next has an answer again */
	arena_free(a);
}

static void uses(void **state)
{
	static const struct { const char *text; unsigned uses; } rows[] = {
		{ "true", 0 }, { "-f 'x'", EXPR_USES_FILES }, { "-U '/x'", EXPR_USES_SUBREQUESTS }, { "%{REMOTE_USER} == 'a'", EXPR_USES_USER },
		{ "file('x') == 'a' || -F 'x'", EXPR_USES_FILES | EXPR_USES_SUBREQUESTS },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(expr_uses(compile(a, rows[i].text, EXPR_CONDITION)), rows[i].uses);
	arena_free(a);
}

/* Where looks at files are not allowed, and captures that the caller reads. */
static void restricted(void **state)
{
	static const char *const rows[] = { "-f 'x'", "-L 'x'", "file('x') == ''", "'%{file:x}' == ''" };
	struct expr_names none = names;
	struct arena *a = arena_new(0);
	struct expr_ctx ctx = surroundings(a);
	struct err e;

	(void)state;
	none.no_files = true;
	for (size_t i = 0; i < COUNT(rows); i++) {
		e = (struct err){ .text = "" };
		assert_null(expr_compile(a, rows[i], EXPR_CONDITION, &none, &e));
		assert_non_null(strstr(e.text, "not available here"));
	}
	assert_non_null(expr_compile(a, "-U 'x' || -n 'y'", EXPR_CONDITION, &none, &e));
	assert_int_equal(expr_true(compile(a, "%{QUERY_STRING} =~ /id=(.)(.)/", EXPR_CONDITION), &ctx), 1);
	assert_int_equal(ctx.match.count, 3);
	assert_true(text_is(ctx.match.at[2], "7") && text_is(ctx.match.at[0], "id=77"));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions), cmocka_unit_test(of_sslrequire), cmocka_unit_test(texts), cmocka_unit_test(faults),
		cmocka_unit_test(limits), cmocka_unit_test(bounded), cmocka_unit_test(uses), cmocka_unit_test(restricted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

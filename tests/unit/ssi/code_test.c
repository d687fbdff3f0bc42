/*
 * code_test.c - server/ssi/code.c: each encoding and decoding, in rows; lists of them, both ways; what is no encoding.
 */
#include "ssi/code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(65536);
	return arena ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

struct row { const char *code, *from, *to; };

static void check(const struct row *row, const char *got)
{
	if (!got || strcmp(got, row->to) != 0)
		fail_msg("%s of \"%s\": \"%s\", not \"%s\"", row->code, row->from, got ? got : "NULL", row->to);
}

static void encodings(void **state)
{
	static const struct row rows[] = {
		{ "none", "<a b>&\"", "<a b>&\"" },
		{ "url", "/a b?c%", "/a%20b%3fc%25" },
		{ "urlencoded", "a b&c=d/\xc3\xa4-_.*", "a+b%26c%3dd%2f%c3%a4-_.*" },
		{ "entity", "<a href=\"x\">&'", "&lt;a href=&quot;x&quot;&gt;&amp;'" },
		{ "base64", "", "" }, { "base64", "a", "YQ==" }, { "base64", "ab", "YWI=" }, { "base64", "abc", "YWJj" }, { "base64", "\xff\xfe\xfd", "//79" },
		{ "entity,urlencoded", "<", "%26lt%3b" }, { "urlencoded, entity", "<", "%3c" }, { "BASE64", "a", "YQ==" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check(&rows[i], ssi_encode(arena, rows[i].code, rows[i].from));
}

static void decodings(void **state)
{
	static const struct row rows[] = {
		{ "url", "a%20b+c%2f", "a b+c/" }, { "url", "%", "%" }, { "url", "%4", "%4" }, { "url", "%zz%41", "%zzA" }, { "url", "a%00b", "a%00b" },
		{ "urlencoded", "a+b%26c", "a b&c" }, { "urlencoded", "%2B", "+" },
		{ "entity", "&lt;b&gt;&amp;&quot;&apos;", "<b>&\"'" }, { "entity", "&#65;&#228;&#8364;&#128512;", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "entity", "&#0;&#55296;&#1114112;&#12345678;", "&#0;&#55296;&#1114112;&#12345678;" }, { "entity", "& &; &nothing; &#; &#x; &lt", "& &; &nothing; &#; &#x; &lt" },
		{ "base64", "YWJj", "abc" }, { "base64", "YWI=", "ab" }, { "base64", "YQ", "a" }, { "base64", "YWJj!YWJj", "abc" }, { "base64", "YQBh", "a" },
		{ "base64,url", "JTQx", "A" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check(&rows[i], ssi_decode(arena, rows[i].code, rows[i].from));
}

static void names(void **state)
{
	(void)state;
	assert_true(ssi_codes_known("none"));
	assert_true(ssi_codes_known("url, urlencoded,Base64 ,ENTITY"));
	assert_false(ssi_codes_known("rot13"));
	assert_false(ssi_codes_known("url,,entity"));
	assert_false(ssi_codes_known("url rot13"));
	assert_null(ssi_encode(arena, "rot13", "x"));
	assert_null(ssi_decode(arena, "url,rot13", "x"));
}

static void queries_for_shells(void **state)
{
	static const struct row rows[] = {
		{ "query", "a=b%20c", "a=b c" }, { "query", "$(id)", "\\$\\(id\\)" }, { "query", "%60id%60%3b", "\\`id\\`\\;" }, { "query", "a%0ab", "a\\\nb" },
		{ "query", "a\\b'\"", "a\\\\b\\'\\\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check(&rows[i], ssi_query_unescaped(arena, rows[i].from));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings), cmocka_unit_test(decodings), cmocka_unit_test(names), cmocka_unit_test(queries_for_shells),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* uri_test.c - covers server/http/uri.c: forms of targets, hosts, the normal form of paths, escaping. */
#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is(struct text t, const char *s)
{
	return s ? t.p && text_is(t, s) : !t.p;
}

static void targets(void **state)
{
	static const struct { const char *target; enum http_method m; int r; enum uri_form form; const char *scheme, *host, *port, *path, *query; } rows[] = {
		{ "/", HTTP_GET, 0, URI_ORIGIN, NULL, NULL, NULL, "/", NULL },
		{ "/a?b?c", HTTP_GET, 0, URI_ORIGIN, NULL, NULL, NULL, "/a", "b?c" },
		{ "/?", HTTP_GET, 0, URI_ORIGIN, NULL, NULL, NULL, "/", "" },
		{ "//x/y", HTTP_GET, 0, URI_ORIGIN, NULL, NULL, NULL, "//x/y", NULL },
		{ "/a:b@c", HTTP_GET, 0, URI_ORIGIN, NULL, NULL, NULL, "/a:b@c", NULL },
		{ "/\xc3\xa4", HTTP_GET, 0, URI_ORIGIN, NULL, NULL, NULL, "/\xc3\xa4", NULL },
		{ "http://x/a?b", HTTP_GET, 0, URI_ABSOLUTE, "http", "x", NULL, "/a", "b" },
		{ "HTTPS://X.test:8443", HTTP_GET, 0, URI_ABSOLUTE, "HTTPS", "X.test", "8443", "/", NULL },
		{ "http://x?b", HTTP_GET, 0, URI_ABSOLUTE, "http", "x", NULL, "/", "b" },
		{ "http://[::1]:80/a", HTTP_GET, 0, URI_ABSOLUTE, "http", "::1", "80", "/a", NULL },
		{ "http://x:/a", HTTP_GET, 0, URI_ABSOLUTE, "http", "x", NULL, "/a", NULL },
		{ "http://x//a", HTTP_GET, 0, URI_ABSOLUTE, "http", "x", NULL, "//a", NULL },
		{ "*", HTTP_OPTIONS, 0, URI_ASTERISK, NULL, NULL, NULL, "*", NULL },
		{ "/", HTTP_OPTIONS, 0, URI_ORIGIN, NULL, NULL, NULL, "/", NULL },
		{ "x:443", HTTP_CONNECT, 0, URI_AUTHORITY, NULL, "x", "443", NULL, NULL },
		{ "[::1]:443", HTTP_CONNECT, 0, URI_AUTHORITY, NULL, "::1", "443", NULL, NULL },
		{ "", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "a.txt", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "?a", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "*", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "*/", HTTP_OPTIONS, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "x:443", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "x", HTTP_CONNECT, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "x:", HTTP_CONNECT, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ ":443", HTTP_CONNECT, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "/", HTTP_CONNECT, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "http://x/", HTTP_CONNECT, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "ftp://x/", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "http:/x", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "http:", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "http:///a", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "http://u@x/", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "http://u:p@x/", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "http://x:99999/", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "/a b", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "/a#b", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
		{ "/a\x7f", HTTP_GET, -1, 0, NULL, NULL, NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct uri u;
		if (uri_parse(text_of(rows[i].target), rows[i].m, &u) != rows[i].r)
			fail_msg("<%s>: result", rows[i].target);
		if (rows[i].r == 0 && (u.form != rows[i].form || !is(u.scheme, rows[i].scheme) || !is(u.host, rows[i].host)
		    || !is(u.port, rows[i].port) || !is(u.path, rows[i].path) || !is(u.query, rows[i].query)))
			fail_msg("<%s>: parts", rows[i].target);
	}
}

static void hosts(void **state)
{
	static const struct { const char *field; int r; const char *host, *port; } rows[] = {
		{ "", 0, "", NULL }, { "example.org", 0, "example.org", NULL }, { "example.org:80", 0, "example.org", "80" },
		{ "example.org:", 0, "example.org", NULL }, { "example.org.", 0, "example.org.", NULL }, { "a_b-c.d", 0, "a_b-c.d", NULL },
		{ "127.0.0.1:8080", 0, "127.0.0.1", "8080" }, { "[::1]", 0, "::1", NULL }, { "[::1]:65535", 0, "::1", "65535" },
		{ "[::ffff:1.2.3.4]", 0, "::ffff:1.2.3.4", NULL }, { "localhost:00080", 0, "localhost", "00080" },
		{ "a b", -1, NULL, NULL }, { "a/b", -1, NULL, NULL }, { "a:b", -1, NULL, NULL }, { "a:80:80", -1, NULL, NULL }, { "a:0", -1, NULL, NULL },
		{ "a:65536", -1, NULL, NULL }, { "a:-1", -1, NULL, NULL }, { "a:+1", -1, NULL, NULL }, { "a:000080", -1, NULL, NULL }, { ":80", -1, NULL, NULL },
		{ ".a", -1, NULL, NULL }, { ".", -1, NULL, NULL }, { "a..b", -1, NULL, NULL }, { "a%41", -1, NULL, NULL }, { "u@a", -1, NULL, NULL },
		{ "\xc3\xa4", -1, NULL, NULL }, { "[::1", -1, NULL, NULL }, { "[]", -1, NULL, NULL }, { "[::1]x", -1, NULL, NULL }, { "[::1]80", -1, NULL, NULL },
		{ "[1.2.3.4]", -1, NULL, NULL }, { "[fe80::1%25eth0]", -1, NULL, NULL }, { "[v1.x]", -1, NULL, NULL }, { "::1", -1, NULL, NULL },
		{ "a\\b", -1, NULL, NULL }, { "a,b", -1, NULL, NULL }, { "a\tb", -1, NULL, NULL }, { "*", -1, NULL, NULL },
	};
	char longest[257];
	struct text host, port;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (uri_parse_host(text_of(rows[i].field), &host, &port) != rows[i].r)
			fail_msg("<%s>: result", rows[i].field);
		if (rows[i].r == 0 && (!is(host, rows[i].host) || !is(port, rows[i].port)))
			fail_msg("<%s>: parts", rows[i].field);
	}
	assert_int_equal(uri_parse_host((struct text){ NULL, 0 }, &host, &port), 0);
	assert_int_equal(uri_parse_host((struct text){ "a\0b", 3 }, &host, &port), -1);
	assert_int_equal(uri_parse_host((struct text){ "[::1\0]", 6 }, &host, &port), -1);
	memset(longest, 'a', sizeof longest);
	assert_int_equal(uri_parse_host((struct text){ longest, 255 }, &host, &port), 0);
	assert_int_equal(uri_parse_host((struct text){ longest, 256 }, &host, &port), -1);
}

static void normal_form(void **state)
{
	enum { D = URI_SLASH_DECODE, K = URI_SLASH_KEEP, N = URI_SLASH_NOMERGE };
	static const struct { const char *path; unsigned flags; enum uri_result r; const char *out; } rows[] = {
		{ "/", 0, URI_OK, "/" }, { "/a/b", 0, URI_OK, "/a/b" }, { "/a/b/", 0, URI_OK, "/a/b/" },
		{ "//", 0, URI_OK, "/" }, { "//a///b//", 0, URI_OK, "/a/b/" }, { "//a///b//", N, URI_OK, "//a///b//" },
		{ "/./a/./b/.", 0, URI_OK, "/a/b/" }, { "/.", 0, URI_OK, "/" }, { "/./", 0, URI_OK, "/" }, { "/a/.", 0, URI_OK, "/a/" },
		{ "/a/../b", 0, URI_OK, "/b" }, { "/a/b/..", 0, URI_OK, "/a/" }, { "/a/..", 0, URI_OK, "/" }, { "/a/../", 0, URI_OK, "/" },
		{ "/a/b/../../c", 0, URI_OK, "/c" }, { "/a//../b", 0, URI_OK, "/b" }, { "/a//../b", N, URI_OK, "/a/b" },
		{ "/a//..", N, URI_OK, "/a/" }, { "/...", 0, URI_OK, "/..." }, { "/..a", 0, URI_OK, "/..a" }, { "/.a/a./a..", 0, URI_OK, "/.a/a./a.." },
		{ "/..", 0, URI_BAD, NULL }, { "/../a", 0, URI_BAD, NULL }, { "/a/../../b", 0, URI_BAD, NULL }, { "/./..", 0, URI_BAD, NULL },
		{ "//..", 0, URI_BAD, NULL },
		{ "/%2e%2e/a", 0, URI_BAD, NULL }, { "/a/%2E./b", 0, URI_OK, "/b" }, { "/a/%2e/b", 0, URI_OK, "/a/b" },
		{ "/%41%7e%20%c3%a4", 0, URI_OK, "/A~ \xc3\xa4" }, { "/a%3Fb%23c", 0, URI_OK, "/a?b#c" }, { "/100%25", 0, URI_OK, "/100%" },
		{ "/%2541", 0, URI_OK, "/%41" }, { "/%252e%252e/a", 0, URI_OK, "/%2e%2e/a" }, { "/a+b", 0, URI_OK, "/a+b" },
		{ "/a\\..\\b", 0, URI_OK, "/a\\..\\b" }, { "/a%5c..%5cb", 0, URI_OK, "/a\\..\\b" }, { "/%0a%7f", 0, URI_OK, "/\n\x7f" },
		{ "/%", 0, URI_BAD, NULL }, { "/%4", 0, URI_BAD, NULL }, { "/%4g", 0, URI_BAD, NULL }, { "/%g4", 0, URI_BAD, NULL }, { "/a%", 0, URI_BAD, NULL },
		{ "/%00", 0, URI_BAD, NULL }, { "/a%00.txt", D, URI_BAD, NULL }, { "/%u0041", 0, URI_BAD, NULL },
		{ "/a%2fb", 0, URI_NOT_FOUND, "/a%2Fb" }, { "/a%2Fb", D, URI_OK, "/a/b" }, { "/a%2fb", K, URI_OK, "/a%2Fb" },
		{ "/a%2f..%2fb", D, URI_OK, "/b" }, { "/a%2f..%2f..%2fb", D, URI_BAD, NULL }, { "/a%2f..%2fb", K, URI_OK, "/a%2F..%2Fb" },
		{ "/%2f%2fa", D, URI_OK, "/a" }, { "/a%2f/../b", K, URI_OK, "/b" }, { "/a%2f%00", 0, URI_BAD, NULL }, { "/%2f/../..", 0, URI_BAD, NULL },
		{ "/%2fa", D | N, URI_OK, "//a" },
		{ "", 0, URI_BAD, NULL }, { "a", 0, URI_BAD, NULL }, { "%2fa", D, URI_BAD, NULL }, { "*", 0, URI_BAD, NULL },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct text path = text_of(rows[i].path);
		char *out, *exact = malloc(path.n ? path.n : 1);
		enum uri_result r;
		memcpy(exact, path.p, path.n);
		r = uri_normalize(a, (struct text){ exact, path.n }, rows[i].flags, &out);
		free(exact);
		if (r != rows[i].r || (out != NULL) != (rows[i].out != NULL) || (out && strcmp(out, rows[i].out) != 0))
			fail_msg("<%s> with %u: %d, <%s>", rows[i].path, rows[i].flags, r, out ? out : "-");
	}
	arena_free(a);
}

static void escaping(void **state)
{
	static const struct { const char *path, *want; } rows[] = {
		{ "", "" }, { "/a/b.txt", "/a/b.txt" }, { "/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@" }, { "/a b", "/a%20b" },
		{ "/<\">", "/%3c%22%3e" }, { "/100%", "/100%25" }, { "/a?b#c", "/a%3fb%23c" }, { "/\xc3\xa4\n", "/%c3%a4%0a" }, { "/[\\]^`{|}", "/%5b%5c%5d%5e%60%7b%7c%7d" },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *got = uri_escape_path(a, rows[i].path);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("<%s>: <%s>", rows[i].path, got);
	}
	for (int c = 1; c < 256; c++) {                 /* and back again */
		char path[3] = { '/', (char)c, '\0' }, *out;
		if (c == '.' || c == '/')
			continue;
		assert_int_equal(uri_normalize(a, text_of(uri_escape_path(a, path)), 0, &out), URI_OK);
		assert_string_equal(out, path);
	}
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets), cmocka_unit_test(hosts), cmocka_unit_test(normal_form), cmocka_unit_test(escaping),
	};
	return cmocka_run_group_tests_name("http/uri", tests, NULL, NULL);
}

/* streamhead.c: fields of HTTP/2 become the head that HTTP/1 would have had, within the same limits. */
#include "http/streamhead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct head_limits usual = { 60, 40, 4 };

/* "name=value|name=value…" into a head. */
static enum head_result read_fields(struct arena *a, const char *text, struct stream_head *h, struct request_head *out)
{
	struct text rest = text_of(text), line, name;

	stream_head_init(h, a, &usual);
	while (text_split(&rest, '|', &line)) {
		text_split(&line, '=', &name);
		stream_head_add(h, name, line);
	}
	return stream_head_finish(h, out);
}

#define HEAD ":method=GET|:scheme=https|:path=/x?y|"

static void heads_are_as_those_of_http1(void **state)
{
	static const struct { const char *what, *fields; unsigned status, n; const char *line, *host; } rows[] = {
		{ "a request", HEAD ":authority=a.test:8443|accept=*/*", 0, 2, "GET /x?y HTTP/2.0", "a.test:8443" },
		{ "a Host field alone", HEAD "host=b.test", 0, 1, "GET /x?y HTTP/2.0", "b.test" },
		{ "both alike", HEAD ":authority=A.test|host=a.test", 0, 1, "GET /x?y HTTP/2.0", "a.test" },
		{ "both, and they differ", HEAD ":authority=a.test|host=b.test", 400, 0, NULL, NULL },
		{ "two Host fields", HEAD "host=b.test|host=b.test", 400, 0, NULL, NULL },
		{ "cookies in pieces", HEAD ":authority=a|cookie=a=1|cookie=b=2|cookie=c", 0, 2, NULL, NULL },
		{ "another scheme", ":method=GET|:scheme=ftp|:path=/|:authority=a", 400, 0, NULL, NULL },
		{ "CONNECT", ":method=CONNECT|:authority=a:443", 0, 1, "CONNECT a:443 HTTP/2.0", "a:443" },
		{ "a WebSocket", ":method=CONNECT|:protocol=websocket|:scheme=https|:path=/w|:authority=a", 0, 3, "GET /w HTTP/2.0", "a" },
		{ "a long path", ":method=GET|:scheme=https|:path=/0123456789012345678901234567890123456789012345678|:authority=a", 414, 0, NULL, NULL },
		{ "a long field", HEAD "a=0123456789012345678901234567890123456789", 431, 0, NULL, NULL },
		{ "many fields", HEAD "a=1|b=2|c=3|d=4|e=5", 431, 0, NULL, NULL },
		{ "long cookies", HEAD "cookie=01234567890123456789|cookie=01234567890123456789", 431, 0, NULL, NULL },
		{ "a control character", HEAD "a=b\x01", 400, 0, NULL, NULL },
		{ "no name", HEAD "=b", 400, 0, NULL, NULL },
		{ "a name that is none", HEAD "a b=c", 400, 0, NULL, NULL },
		{ "a blank in the path", ":method=GET|:scheme=https|:path=/a b|:authority=a", 400, 0, NULL, NULL },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct stream_head h;
		struct request_head out;
		enum head_result got = read_fields(a, rows[i].fields, &h, &out);

		if ((got == HEAD_BAD ? out.status : 0) != rows[i].status || (!rows[i].status && out.fields.n != rows[i].n))
			fail_msg("%s: result %d, status %u, %u fields", rows[i].what, (int)got, out.status, out.fields.n);
		if (rows[i].line && !text_is(out.line, rows[i].line))
			fail_msg("%s: the line is \"%.*s\"", rows[i].what, (int)out.line.n, out.line.p);
		if (rows[i].host && !text_is(fields_get(&out.fields, "Host"), rows[i].host))
			fail_msg("%s: another Host", rows[i].what);
		if (got == HEAD_BAD)
			assert_non_null(out.reason);
	}
	arena_free(a);
}

static void cookies_are_joined(void **state)
{
	struct arena *a = arena_new(0);
	struct stream_head h;
	struct request_head out;

	(void)state;
	assert_int_equal(read_fields(a, HEAD ":authority=a|cookie=a=1|cookie=|cookie=b=2", &h, &out), HEAD_DONE);
	assert_true(text_is(fields_get(&out.fields, "Cookie"), "a=1; ; b=2"));
	assert_int_equal(fields_count(&out.fields, "Cookie"), 1);
	arena_free(a);
}

static void a_websocket_is_the_get_that_it_stands_for(void **state)
{
	struct arena *a = arena_new(0);
	struct stream_head h;
	struct request_head out;

	(void)state;
	assert_int_equal(read_fields(a, ":method=CONNECT|:protocol=websocket|:scheme=https|:path=/w|:authority=a", &h, &out), HEAD_DONE);
	assert_int_equal(out.method_id, HTTP_GET);
	assert_true(text_is(fields_get(&out.fields, "Upgrade"), "websocket"));
	assert_true(fields_has_token(&out.fields, "Connection", "upgrade"));
	arena_free(a);
}

/* However many pieces come, memory stays in proportion, and the size of all has a bound. */
static void memory_is_bounded(void **state)
{
	const struct head_limits wide = { 8190, 8190, 0 };
	struct arena *a = arena_new(0);
	struct stream_head h;
	struct request_head out;

	(void)state;
	stream_head_init(&h, a, &wide);
	for (int i = 0; i < 100000; i++)
		stream_head_add(&h, TEXT("cookie"), TEXT("x"));
	assert_in_range(arena_used(a), 1, 65536);
	assert_int_equal(stream_head_finish(&h, &out), HEAD_BAD);
	assert_int_equal(out.status, 431);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_as_those_of_http1), cmocka_unit_test(cookies_are_joined),
		cmocka_unit_test(a_websocket_is_the_get_that_it_stands_for), cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* responsehead.c: what counts as one answer, and what is refused. */
#include "http/responsehead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "HTTP/1.1 200 OK\r\n"

static void heads_are_read_strictly(void **state)
{
	static const struct { const char *text; enum response_bad bad; enum head_result result; unsigned status, fields; } rows[] = {
		{ HEAD "A: b\r\nC:d \r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_DONE, 200, 2 }, { "HTTP/1.0 404\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_DONE, 404, 0 },
		{ HEAD "A: b\r\n", RESPONSE_BAD_REFUSED, HEAD_MORE, 0, 0 }, { "HTT", RESPONSE_BAD_REFUSED, HEAD_MORE, 0, 0 },
		{ "just text", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 }, { "HTTP/2.0 200 OK\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 },
		{ "HTTP/1.1 99 OK\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 }, { "HTTP/1.1 2000 OK\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 },
		{ "HTTP/1.1 200\tOK\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 }, { HEAD "no field\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 },
		{ HEAD "A : b\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 }, { HEAD "A: b\r\n c\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 },
		{ HEAD "A: b\rC: d\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 }, { HEAD "A: b\nC: d\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 },
		{ HEAD ": b\r\n\r\n", RESPONSE_BAD_REFUSED, HEAD_BAD, 0, 0 }, { HEAD "no field\r\nA: b\r\n\r\n", RESPONSE_BAD_SKIPPED, HEAD_DONE, 200, 1 },
		{ HEAD "A: b\r\nno field\r\n\r\n", RESPONSE_BAD_IS_BODY, HEAD_DONE, 200, 1 },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct response_head h = { 0 };
		size_t used = 0;
		enum head_result got;

		fields_init(&h.fields, a);
		got = response_head_parse(rows[i].text, strlen(rows[i].text), rows[i].bad, &h, &used);
		if (got != rows[i].result || (got == HEAD_DONE && (h.status != rows[i].status || h.fields.n != rows[i].fields)))
			fail_msg("row %zu: result %d, status %u, %u fields: %s", i, (int)got, h.status, h.fields.n, rows[i].text);
		if (got == HEAD_BAD)
			assert_non_null(h.why);
	}
	arena_free(a);
}

static void fields_are_bounded(void **state)
{
	static char text[32 + 4 * (RESPONSE_FIELDS_MOST + 1)];
	struct arena *a = arena_new(0);

	(void)state;
	for (int more = 0; more <= 1; more++) {
		struct response_head h = { 0 };
		char *p = stpcpy(text, HEAD);
		size_t used = 0;

		for (int i = 0; i < RESPONSE_FIELDS_MOST + more; i++)
			p = stpcpy(p, "A:\r\n");
		p = stpcpy(p, "\r\n");
		fields_init(&h.fields, a);
		assert_int_equal(response_head_parse(text, (size_t)(p - text), RESPONSE_BAD_SKIPPED, &h, &used), more ? HEAD_BAD : HEAD_DONE);
	}
	arena_free(a);
}

static void bodies_end_in_one_way(void **state)
{
	static const struct { const char *text; bool head; int rc; enum response_end end; uint64_t length; bool doubtful; } rows[] = {
		{ HEAD "Content-Length: 5\r\n\r\n", false, 0, RESPONSE_LENGTH, 5, false }, { HEAD "\r\n", false, 0, RESPONSE_UNTIL_CLOSE, 0, false },
		{ HEAD "Transfer-Encoding: Chunked\r\n\r\n", false, 0, RESPONSE_CHUNKED, 0, false },
		{ HEAD "Content-Length: 5\r\n\r\n", true, 0, RESPONSE_NO_BODY, 5, false },
		{ "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", false, 0, RESPONSE_NO_BODY, 5, true },
		{ "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", false, 0, RESPONSE_NO_BODY, 5, false },
		{ HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", false, -1, 0, 0, false }, { HEAD "Content-Length: 5, 5\r\n\r\n", false, -1, 0, 0, false },
		{ HEAD "Content-Length: -5\r\n\r\n", false, -1, 0, 0, false }, { HEAD "Content-Length: 9999999999999999999\r\n\r\n", false, -1, 0, 0, false },
		{ HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, -1, 0, 0, false },
		{ HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", false, -1, 0, 0, false },
		{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, -1, 0, 0, false },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct response_head h = { 0 };
		struct response_framing f;
		size_t used = 0;
		int rc;

		fields_init(&h.fields, a);
		assert_int_equal(response_head_parse(rows[i].text, strlen(rows[i].text), RESPONSE_BAD_REFUSED, &h, &used), HEAD_DONE);
		rc = response_framing(&h, rows[i].head, &f);
		if (rc != rows[i].rc || (rc == 0 && (f.end != rows[i].end || f.doubtful != rows[i].doubtful || f.length != rows[i].length)))
			fail_msg("row %zu: %d, end %d, length %llu", i, rc, (int)f.end, (unsigned long long)f.length);
	}
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(heads_are_read_strictly), cmocka_unit_test(fields_are_bounded), cmocka_unit_test(bodies_end_in_one_way) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * records_test.c - requests in the forms of FastCGI, SCGI and uwsgi, byte for byte; answers of FastCGI in pieces of every size, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handler/records.h"

static struct fields two(struct arena *a)
{
	struct fields f;

	fields_init(&f, a);
	assert_int_equal(fields_add(&f, TEXT("A"), TEXT("xyz")), 0);
	assert_int_equal(fields_add(&f, TEXT("CONTENT_LENGTH"), TEXT("9")), 0);
	assert_int_equal(fields_add(&f, TEXT("E"), (struct text){ "", 0 }), 0);
	return f;
}

static void requests(void **state)
{
	static const char fcgi[] = "\1\1\0\1\0\x08\0\0\0\1\1\0\0\0\0\0" "\1\4\0\1\0\x1a\0\0" "\1\3Axyz" "\16\1CONTENT_LENGTH9" "\1\0E" "\1\4\0\1\0\0\0\0";
	static const char scgi[] = "34:CONTENT_LENGTH\0" "27\0SCGI\0" "1\0A\0xyz\0E\0\0,";
	static const char uwsgi[] = "\0\x20\0\0" "\1\0A\3\0xyz" "\16\0CONTENT_LENGTH\1\0" "9" "\1\0E\0\0";
	struct arena *a = arena_new(0);
	struct fields f = two(a);
	bool too_long = true;
	struct text t = fcgi_request(a, &f, true);
	unsigned char head[FCGI_HEAD];

	(void)state;
	assert_int_equal(t.n, sizeof fcgi - 1);
	assert_memory_equal(t.p, fcgi, t.n);
	t = scgi_request(a, &f, 27);
	assert_int_equal(t.n, sizeof scgi - 1);
	assert_memory_equal(t.p, scgi, t.n);
	t = uwsgi_request(a, &f, &too_long);
	assert_false(too_long);
	assert_int_equal(t.n, sizeof uwsgi - 1);
	assert_memory_equal(t.p, uwsgi, t.n);
	fcgi_stdin(head, 65528);
	assert_memory_equal(head, "\1\5\0\1\xff\xf8\0\0", 8);
	arena_free(a);
}

static void long_variables(void **state)
{
	struct arena *a = arena_new(0);
	struct fields f;
	char *value = malloc(200000);
	struct text t;
	bool too_long;
	size_t records = 0, at = 16, content = 0;

	(void)state;
	memset(value, 'v', 200000);
	fields_init(&f, a);
	fields_add(&f, TEXT("N"), (struct text){ value, 200000 });
	t = fcgi_request(a, &f, false);
	assert_int_equal(t.p[10], 0);
	while (at < t.n) {
		size_t n = (size_t)(unsigned char)t.p[at + 4] << 8 | (unsigned char)t.p[at + 5];
		assert_int_equal(t.p[at + 1], 4);
		content += n;
		records++;
		at += 8 + n;
	}
	assert_int_equal(records, 5);
	assert_int_equal(content, 1 + 4 + 1 + 200000);
	assert_memory_equal(t.p + 16 + 8, "\1\x80\3\x0d\x40Nv", 7);
	assert_null(uwsgi_request(a, &f, &too_long).p);
	assert_true(too_long);
	free(value);
	arena_free(a);
}

static const char answer[] = "\1\6\0\1\0\5\3\0hello\0\0\0" "\1\7\0\1\0\4\0\0oops" "\1\x0b\0\0\0\2\0\0xx" "\1\6\0\1\0\1\0\0!" "\1\6\0\1\0\0\7\0\0\0\0\0\0\0\0"
	"\1\3\0\1\0\x08\0\0\0\0\0\2\0\0\0\0" "next";

static void answers_in_pieces(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < sizeof answer; piece++) {
		struct fcgi_reader r = { .have = 0 };
		char out[64] = "", err[64] = "";
		enum fcgi_event e = FCGI_MORE;
		size_t at = 0;

		while (e != FCGI_END && e != FCGI_BAD && at < sizeof answer - 1) {
			size_t n = sizeof answer - 1 - at < piece ? sizeof answer - 1 - at : piece, used;
			struct text data;

			e = fcgi_read(&r, answer + at, n, &used, &data);
			at += used;
			if (e == FCGI_STDOUT)
				strncat(out, data.p, data.n);
			if (e == FCGI_STDERR)
				strncat(err, data.p, data.n);
		}
		assert_int_equal(e, FCGI_END);
		assert_string_equal(out, "hello!");
		assert_string_equal(err, "oops");
		assert_int_equal(r.status, 2);
		assert_int_equal(at, sizeof answer - 1 - 4);
	}
}

static void what_is_no_answer(void **state)
{
	static const struct text rows[] = {
		TEXT("HTTP/1.1"), TEXT("\1\6\0\2\0\0\0\0"), TEXT("\1\1\0\1\0\x08\0\0"), TEXT("\1\3\0\1\0\7\0\0"), TEXT("\2\6\0\1\0\0\0\0"), TEXT("\1\5\0\1\0\0\0\0"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fcgi_reader r = { .have = 0 };
		struct text data;
		size_t used;

		if (fcgi_read(&r, rows[i].p, rows[i].n, &used, &data) != FCGI_BAD)
			fail_msg("row %zu is taken", i);
		assert_non_null(r.why);
		assert_int_equal(fcgi_read(&r, "\1", 1, &used, &data), FCGI_BAD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests), cmocka_unit_test(long_variables), cmocka_unit_test(answers_in_pieces), cmocka_unit_test(what_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * fetch_test.c - addresses and answers of HTTP as fetch.c reads them; each answer whole, byte by byte, and cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "process/fetch.h"

static void test_addresses(void **state)
{
	static const struct {
		const char *url, *host, *port, *target, *field;
	} rows[] = {
		{ "http://a.example", "a.example", "80", "/", "a.example" },
		{ "HTTP://a:8080/x/y?z#f", "a", "8080", "/x/y?z", "a:8080" },
		{ "http://a?q", "a", "80", "/?q", "a" },
		{ "http://[::1]:81/", "::1", "81", "/", "[::1]:81" },
		{ "http://[::1]", "::1", "80", "/", "[::1]" },
		{ .url = "https://a/" }, { .url = "ldap://a" }, { .url = "http://" }, { .url = "http:///x" }, { .url = "http://a:b/" }, { .url = "http://a:99999/" },
		{ .url = "http://u@a/" }, { .url = "http://a b/" }, { .url = "http://a/\r\nX: y" }, { .url = "http://[::1" }, { .url = "http://[]/" }, { .url = "http://:80/" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fetch_url u;
		struct err e = { .text = "" };
		int rc = fetch_parse(rows[i].url, &u, &e);

		if (!rows[i].host) {
			assert_int_equal(rc, -1);
			assert_true(*e.text);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_string_equal(u.host, rows[i].host);
		assert_string_equal(u.port, rows[i].port);
		assert_string_equal(u.target, rows[i].target);
		assert_string_equal(u.field, rows[i].field);
	}
}

static const struct {
	const char *text, *body;        /* body NULL: refused */
	bool to_the_end;                /* whole only when the connection ends */
} answers[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", false },
	{ "HTTP/1.1 200 OK\r\nX: y\r\ncontent-length:3 \r\n\r\nabc", "abc", false },
	{ "HTTP/1.0 200 OK\r\n\r\nabc", "abc", true },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc", false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n0\r\n\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "0\r\n\r\nabc", false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", NULL, false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", NULL, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc", NULL, false },
	{ "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc", NULL, false },
	{ "HTTP/1.1 2000 OK\r\n\r\n", NULL, false },
	{ "SSH-2.0-x\r\n", NULL, false },
	{ "HTTP/\r\n\r\n", NULL, false },
};

/* A copy of exactly its bytes, so that a look beyond them is seen by a sanitizer. */
static int feed(const char *text, size_t n, bool end, size_t *len, char *into)
{
	char *copy = malloc(n + 1), *body = NULL;
	struct err e = { .text = "" };
	int rc;

	copy[n] = '\0';
	memcpy(copy, text, n);
	rc = fetch_answer(copy, n, end, &body, len, &e);
	if (rc > 0)
		memcpy(into, body, *len);
	free(copy);
	return rc;
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		size_t n = strlen(answers[i].text), len = 0;
		char into[64];
		int rc = feed(answers[i].text, n, false, &len, into);

		if (!answers[i].body) {
			assert_int_equal(rc, -1);
			continue;
		}
		assert_int_equal(rc, answers[i].to_the_end ? 0 : 1);
		assert_int_equal(feed(answers[i].text, n, true, &len, into), 1);
		assert_int_equal(len, strlen(answers[i].body));
		assert_memory_equal(into, answers[i].body, len);
		for (size_t k = 0; k < n; k++) {
			rc = feed(answers[i].text, k, false, &len, into);
			/* The empty line behind the last chunk is not waited for. */
			assert_true(rc == 0 || (rc == 1 && k >= n - 2));
			if (!answers[i].to_the_end && k < n - 2)
				assert_int_equal(feed(answers[i].text, k, true, &len, into), -1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

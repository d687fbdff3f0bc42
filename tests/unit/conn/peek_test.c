/*
 * peek_test.c - server/conn/peek.c: what a client speaks, at every length of what has come.
 */
#include "conn/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HELLO "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03"

static void first_bytes_decide(void **state)
{
	static const struct { const char *what, *bytes; size_t n; bool tls; enum peek is; } rows[] = {
		{ "nothing", "", 0, true, PEEK_MORE },
		{ "a hello where TLS is", HELLO, 11, true, PEEK_TLS },
		{ "a hello where plain is", HELLO, 11, false, PEEK_TLS_ON_PLAIN },
		{ "a hello's first byte", HELLO, 1, true, PEEK_MORE },
		{ "GET where TLS is", "GET / HTTP/1.1\r\n", 16, true, PEEK_HTTP_ON_TLS },
		{ "part of a method where TLS is", "GE", 2, true, PEEK_MORE },
		{ "an empty line and GET where TLS is", "\r\nGET / ", 8, true, PEEK_HTTP_ON_TLS },
		{ "GET where plain is", "GET / HTTP/1.1\r\n", 16, false, PEEK_HTTP },
		{ "lower case where TLS is", "hello there", 11, true, PEEK_RUBBISH },
		{ "a record that is no hello", "\x16\x03\x01\x00\x05hello", 10, true, PEEK_RUBBISH },
		{ "SSL 2", "\x80\x2e\x01\x00\x02", 5, true, PEEK_RUBBISH },
		{ "a method that never ends", "AAAAAAAAAAAAAAAAAAAA", 20, true, PEEK_RUBBISH },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		enum peek got = peek_first(rows[i].bytes, rows[i].n, rows[i].tls);

		if (got != rows[i].is)
			fail_msg("%s: %d, not %d", rows[i].what, (int)got, (int)rows[i].is);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(first_bytes_decide) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * proxyheader_test.c - PROXY headers of both versions: every length of a good one, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "http/proxyheader.h"

#define MARK "\r\n\r\n\0\r\nQUIT\n"
#define B(text) { text, sizeof(text) - 1 }

static const struct { struct text header; const char *from, *to; } good[] = {
	{ B("PROXY TCP4 192.0.2.7 127.0.0.1 5000 80\r\n"), "192.0.2.7:5000", "127.0.0.1:80" },
	{ B("PROXY TCP6 2001:db8::7 ::1 65535 0\r\n"), "[2001:db8::7]:65535", "[::1]:0" },
	{ B("PROXY UNKNOWN\r\n"), NULL, NULL },
	{ B("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), NULL, NULL },
	{ B(MARK "\x21\x11\0\x0c\xc0\0\2\7\x7f\0\0\1\x13\x88\0\x50"), "192.0.2.7:5000", "127.0.0.1:80" },
	{ B(MARK "\x21\x11\0\x10\xc0\0\2\7\x7f\0\0\1\x13\x88\0\x50\4\0\1\0"), "192.0.2.7:5000", "127.0.0.1:80" },
	{ B(MARK "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1\0\2"), "[2001:db8::7]:1", "[::1]:2" },
	{ B(MARK "\x20\x11\0\x0c\xc0\0\2\7\x7f\0\0\1\x13\x88\0\x50"), NULL, NULL },
	{ B(MARK "\x20\0\0\0"), NULL, NULL },
	{ B(MARK "\x21\x31\0\3abc"), NULL, NULL },
};

static void good_ones_at_every_length(void **state)
{
	char buf[256], text[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		size_t n = good[i].header.n;
		struct proxyheader h;

		memcpy(buf, good[i].header.p, n);
		memcpy(buf + n, "GET / HTTP/1.1", 14);
		for (size_t k = 0; k < n; k++)
			if (proxyheader_read(buf, k, &h) != PROXYHEADER_MORE)
				fail_msg("row %zu: %zu of %zu bytes are not taken as a beginning", i, k, n);
		for (size_t k = n; k < n + 14; k++) {
			assert_int_equal(proxyheader_read(buf, k, &h), PROXYHEADER_DONE);
			assert_int_equal(h.length, n);
		}
		assert_int_equal(h.known, good[i].from != NULL);
		if (h.known) {
			assert_string_equal(addr_text(&h.from, text), good[i].from);
			assert_string_equal(addr_text(&h.to, text), good[i].to);
		}
	}
}

static void what_is_none(void **state)
{
	static const struct text rows[] = {
		B("GET / HTTP/1.1\r\n"), B("\x16\3\1"), B("PROXX"), B("proxy TCP4 192.0.2.7 127.0.0.1 5000 80\r\n"), B("PROXY NONSENSE\r\n"),
		B("PROXY TCP4 192.0.2.7 127.0.0.1 5000\r\n"), B("PROXY TCP4 192.0.2.7 127.0.0.1 5000 65536\r\n"), B("PROXY TCP4 ::1 127.0.0.1 1 2\r\n"),
		B("PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n"), B("PROXY TCP4 192.0.2.7 127.0.0.1 1 2 3\r\n"), B("PROXY TCP4 * * 1 2\r\n"),
		B("PROXY TCP4 host 127.0.0.1 1 2\r\n"), B("PROXY \r\n"), B("PROXY TCP4  192.0.2.7 127.0.0.1 1 2\r\n"), B("PROXY TCP6 [::1] ::1 1 2\r\n"),
		B("PROXY TCP4 192.0.2.7 127.0.0.1 5000 80                                                                        \r\n"),
		B(MARK "\x11\x11\0\x0c\xc0\0\2\7\x7f\0\0\1\x13\x88\0\x50"), B(MARK "\x22\x11\0\0"), B(MARK "\x21\x11\0\x0b\xc0\0\2\7\x7f\0\0\1\x13\x88\0"),
		B(MARK "\x21\x21\0\x0c\xc0\0\2\7\x7f\0\0\1\x13\x88\0\x50"), B(MARK "\x21\x11\xff\xff"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct proxyheader h;
		if (proxyheader_read(rows[i].p, rows[i].n, &h) != PROXYHEADER_BAD)
			fail_msg("row %zu is taken", i);
		assert_non_null(h.wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(good_ones_at_every_length), cmocka_unit_test(what_is_none) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

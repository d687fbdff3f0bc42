/* addr_test.c - covers server/base/addr.c: text to address and back, equality, prefixes. */
#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void to_text_and_back(void **state)
{
	static const struct { const char *in, *ip, *text; } rows[] = {
		{ "1.2.3.4", "1.2.3.4", "1.2.3.4:80" }, { "*", "0.0.0.0", "0.0.0.0:80" }, { "::1", "::1", "[::1]:80" },
		{ "[::1]", "::1", "[::1]:80" }, { "::", "::", "[::]:80" }, { "fe80::1%3", "fe80::1%3", "[fe80::1%3]:80" },
		{ "[fe80::1%lo]", "fe80::1%1", "[fe80::1%1]:80" }, { "::ffff:1.2.3.4", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80" },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1", "[2001:db8::1]:80" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295",
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:80" },
		{ "", NULL, NULL }, { "1.2.3", NULL, NULL }, { "1.2.3.4.5", NULL, NULL }, { "1.2.3.256", NULL, NULL }, { "host", NULL, NULL },
		{ "[1.2.3.4]", NULL, NULL }, { "[::1", NULL, NULL }, { "::1]", NULL, NULL }, { "[]", NULL, NULL }, { ":::", NULL, NULL },
		{ "fe80::1%", NULL, NULL }, { "fe80::1%nosuchinterface", NULL, NULL }, { "fe80::1%0", NULL, NULL }, { " 1.2.3.4", NULL, NULL },
		{ "01.2.3.4", NULL, NULL }, { "::1:80:90:100:110:120:130:140:150", NULL, NULL },
	};
	char buf[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a;
		if ((addr_parse(&a, rows[i].in, 80) == 0) != (rows[i].ip != NULL))
			fail_msg("\"%s\"", rows[i].in);
		if (!rows[i].ip)
			continue;
		if (strcmp(addr_ip(&a, buf), rows[i].ip) != 0 || strcmp(addr_text(&a, buf), rows[i].text) != 0)
			fail_msg("\"%s\" became \"%s\"", rows[i].in, buf);
		assert_int_equal(addr_port(&a), 80);
		addr_set_port(&a, 65535);
		assert_int_equal(addr_port(&a), 65535);
	}
}

static struct addr parsed(const char *host, uint16_t port)
{
	struct addr a;
	if (addr_parse(&a, host, port) != 0)
		fail_msg("\"%s\" is an address", host);
	return a;
}

static void equality(void **state)
{
	static const struct { const char *a; uint16_t port_a; const char *b; uint16_t port_b; bool same, same_ip; } rows[] = {
		{ "1.2.3.4", 80, "1.2.3.4", 80, true, true }, { "1.2.3.4", 80, "1.2.3.4", 81, false, true },
		{ "1.2.3.4", 80, "1.2.3.5", 80, false, false }, { "1.2.3.4", 80, "::ffff:1.2.3.4", 80, false, true },
		{ "::1", 80, "::1", 80, true, true }, { "::", 80, "0.0.0.0", 80, false, false },
		{ "fe80::1%1", 80, "fe80::1%2", 80, false, false },
	};
	struct addr none = { .len = 0 }, one = parsed("1.2.3.4", 1);
	char buf[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a = parsed(rows[i].a, rows[i].port_a), b = parsed(rows[i].b, rows[i].port_b);
		if (addr_same(&a, &b) != rows[i].same || addr_same_ip(&a, &b) != rows[i].same_ip)
			fail_msg("%s:%u and %s:%u", rows[i].a, rows[i].port_a, rows[i].b, rows[i].port_b);
	}
	assert_false(addr_same(&none, &none));
	assert_false(addr_same_ip(&none, &one));
	assert_string_equal(addr_text(&none, buf), "-");
	assert_int_equal(addr_port(&none), 0);
}

static void kinds(void **state)
{
	static const struct { const char *host; bool any, loopback; const char *unmapped; } rows[] = {
		{ "0.0.0.0", true, false, "0.0.0.0" }, { "::", true, false, "::" }, { "127.0.0.1", false, true, "127.0.0.1" },
		{ "127.9.9.9", false, true, "127.9.9.9" }, { "::1", false, true, "::1" }, { "::ffff:127.0.0.1", false, true, "127.0.0.1" },
		{ "10.0.0.1", false, false, "10.0.0.1" }, { "::ffff:10.0.0.1", false, false, "10.0.0.1" },
	};
	char buf[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a = parsed(rows[i].host, 99);
		if (addr_is_any(&a) != rows[i].any || addr_is_loopback(&a) != rows[i].loopback)
			fail_msg("%s", rows[i].host);
		addr_unmap(&a);
		if (strcmp(addr_ip(&a, buf), rows[i].unmapped) != 0 || addr_port(&a) != 99)
			fail_msg("%s unmapped is %s", rows[i].host, buf);
	}
}

static void prefixes(void **state)
{
	static const struct { const char *prefix, *in, *out; } rows[] = {
		{ "10.0.0.0/8", "10.255.1.2", "11.0.0.0" }, { "10.0.0.0/255.0.0.0", "10.255.1.2", "11.0.0.0" },
		{ "10.1", "10.1.255.255", "10.2.0.0" }, { "10.1.", "10.1.0.0", "10.0.255.255" }, { "10", "10.9.9.9", "1.0.0.0" },
		{ "192.168.5.77/28", "192.168.5.64", "192.168.5.80" }, { "1.2.3.4", "1.2.3.4", "1.2.3.5" },
		{ "1.2.3.4/255.255.255.255", "1.2.3.4", "1.2.3.5" }, { "0.0.0.0/0", "255.255.255.255", "::1" },
		{ "1.2.3.4/31", "1.2.3.5", "1.2.3.6" }, { "0.0.0.0/0.0.0.0", "8.8.8.8", "2001:db8::1" },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3" }, { "::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0" },
		{ "::1/128", "::1", "::2" }, { "::1", "::1", "127.0.0.1" }, { "fe80::/10", "febf::1", "fec0::1" },
		{ "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::" }, { "::/0", "2001:db8::1", "1.2.3.4" },
	};
	static const char *const refused[] = {
		"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/255.0.255.0", "10.1/16", "10..1", "300", "1.2.3.4.5", "host",
		"10.0.0.0/8/8", "*", ".10", "10.1.2.3.", "::1/255.0.0.0", "10.0.0.0/-1", "10.0.0.0/8 ",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr in = parsed(rows[i].in, 1), out = parsed(rows[i].out, 1);
		struct prefix p;
		if (prefix_parse(&p, rows[i].prefix) != 0)
			fail_msg("%s is a prefix", rows[i].prefix);
		if (!prefix_match(&p, &in) || prefix_match(&p, &out))
			fail_msg("%s with %s in and %s out", rows[i].prefix, rows[i].in, rows[i].out);
	}
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct prefix p;
		if (prefix_parse(&p, refused[i]) == 0)
			fail_msg("\"%s\" is no prefix", refused[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_text_and_back), cmocka_unit_test(equality), cmocka_unit_test(kinds), cmocka_unit_test(prefixes),
	};
	return cmocka_run_group_tests_name("base/addr", tests, NULL, NULL);
}

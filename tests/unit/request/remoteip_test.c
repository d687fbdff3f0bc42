/*
 * remoteip_test.c - how far a field is believed, what is left of it, and the files of proxies.
 */
#include "served.h"

/* The client's address with that configuration and field, and what is left of the field. */
static const char *asked_by(const char *lines, const char *from, const char *field, char left[256])
{
	static char who[ADDR_TEXT];
	char fields[512];
	struct served *v = served_site(lines);
	struct request *r;
	struct text rest;

	snprintf(fields, sizeof fields, "%s%s%s", field ? "X-Forwarded-For: " : "", field ? field : "", field ? "\r\n" : "");
	r = served_request(v, "GET", "/", fields);
	assert_int_equal(addr_parse(&r->client->arrived, from, 4000), 0);
	client_is(r->client, &r->client->arrived);
	r->host = v->site->main;
	assert_int_equal(remoteip_run(r), 0);
	snprintf(who, sizeof who, "%s", r->client->peer_text);
	rest = fields_combined(&r->in, "X-Forwarded-For");
	snprintf(left, 256, "%.*s", (int)rest.n, rest.p ? rest.p : "");
	rest = fields_get(&r->in, "X-Through");
	if (rest.p)
		snprintf(left + strlen(left), 256 - strlen(left), "|%.*s", (int)rest.n, rest.p);
	served_free(v);
	return who;
}

static void how_far_it_is_believed(void **state)
{
	static const char some[] = "RemoteIPHeader X-Forwarded-For\nRemoteIPProxiesHeader X-Through\nRemoteIPInternalProxy 10.0.0.0/8\nRemoteIPTrustedProxy 198.51.100.0/24 2001:db8:1::/48\n";
	static const char all[] = "RemoteIPHeader X-Forwarded-For\n";
	static const struct { const char *lines, *from, *field, *who, *left; } rows[] = {
		{ some, "10.0.0.1", NULL, "10.0.0.1", "" },
		{ some, "203.0.113.9", "192.0.2.1", "203.0.113.9", "192.0.2.1" },
		{ some, "10.0.0.1", "192.0.2.1", "192.0.2.1", "" },
		{ some, "10.0.0.1", "203.0.113.5, 192.0.2.1", "192.0.2.1", "203.0.113.5" },
		{ some, "10.0.0.1", "192.0.2.1, 10.2.3.4", "192.0.2.1", "" },
		{ some, "10.0.0.1", "192.0.2.1,198.51.100.3 , 10.2.3.4", "192.0.2.1", "|198.51.100.3" },
		{ some, "198.51.100.3", "10.9.9.9", "198.51.100.3", "10.9.9.9" },               /* a private address, of who may not tell of one */
		{ some, "198.51.100.3", "192.0.2.1, 10.9.9.9", "198.51.100.3", "192.0.2.1, 10.9.9.9" },
		{ some, "10.0.0.1", "10.9.9.9", "10.9.9.9", "" },
		{ some, "2001:db8:1::1", "2001:db8:2::2", "2001:db8:2::2", "|2001:db8:1::1" }, { some, "2001:db8:1::1", "fe80::1", "2001:db8:1::1", "fe80::1" },
		{ some, "10.0.0.1", "rubbish", "10.0.0.1", "rubbish" }, { some, "10.0.0.1", "192.0.2.1, rubbish", "10.0.0.1", "192.0.2.1, rubbish" },
		{ some, "10.0.0.1", "rubbish, 192.0.2.1", "192.0.2.1", "rubbish" }, { some, "10.0.0.1", "", "10.0.0.1", "" },
		{ some, "10.0.0.1", "*", "10.0.0.1", "*" }, { some, "10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1", "" },
		{ all, "203.0.113.9", "203.0.113.5, 192.0.2.1", "203.0.113.5", "" }, { all, "203.0.113.9", "10.0.0.1", "203.0.113.9", "10.0.0.1" },
		{ all, "203.0.113.9", "10.0.0.1, 192.0.2.1", "192.0.2.1", "10.0.0.1" },        /* believed, but not as one of ours */
		{ some, "198.51.100.3", "192.0.2.1", "192.0.2.1", "|198.51.100.3" },
		{ some, "198.51.100.3", "192.0.2.1, 198.51.100.4", "192.0.2.1", "|198.51.100.3, 198.51.100.4" },
		{ "", "10.0.0.1", "192.0.2.1", "10.0.0.1", "192.0.2.1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char left[256];
		const char *who = asked_by(rows[i].lines, rows[i].from, rows[i].field, left);
		if (strcmp(who, rows[i].who) != 0 || strcmp(left, rows[i].left) != 0)
			fail_msg("row %zu: %s, left \"%s\"; not %s and \"%s\"", i, who, left, rows[i].who, rows[i].left);
	}
}

static void files_of_proxies(void **state)
{
	struct served *v = served_new();
	struct addr a;

	(void)state;
	served_file_make(v, "good", "# ours\n10.0.0.0/8 192.0.2.1 # two\n\n2001:db8::/32\n");
	assert_int_equal(served_configure(v, "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxyList good\nRemoteIPProxyProtocol On\n"
					     "RemoteIPProxyProtocolExceptions 127.0.0.1\n"), 0);
	addr_parse(&a, "127.0.0.1", 1);
	assert_false(remoteip_expected(v->site->main, &a));
	addr_parse(&a, "127.0.0.2", 1);
	assert_true(remoteip_expected(v->site->main, &a));
	served_free(v);
	v = served_new();
	served_file_make(v, "bad", "10.0.0.0/8\nproxy.example.com\n");
	assert_int_equal(served_configure(v, "RemoteIPTrustedProxyList bad\nRemoteIPTrustedProxyList none\nRemoteIPTrustedProxy host.test\nRemoteIPHeader a:b\n"), 4);
	assert_non_null(strstr(v->said, "\"proxy.example.com\" in line 2 of "));
	assert_non_null(strstr(v->said, "none cannot be read: No such file or directory"));
	assert_non_null(strstr(v->said, "names are not looked up"));
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(how_far_it_is_believed), cmocka_unit_test(files_of_proxies) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * holes_test.c - what GnuTLS by itself resumes, or stumbles over, where it must not: each case by session ID, by a ticket of
 * 1.2 and by one of 1.3. Whatever changed between the two connections, the second is a good one, unless the client lacks the
 * certificate that is wanted now; resumed only where all is the same.
 */
#include "authority.h"
#include "sessions.h"

static int setup(void **state)
{
	static const struct making clients[] = {
		{ .name = "root", .ca = true }, { .name = "other", .ca = true }, { .name = "inter", .issuer = "root", .ca = true },
		{ .name = "joe", .issuer = "root" }, { .name = "jim", .issuer = "root" }, { .name = "mallory", .issuer = "other" },
		{ .name = "deep", .issuer = "inter", .chain = "inter" },
	};
	struct err e = { 0 };

	if (rig_setup(state) != 0 || tls_init(&e) != 0)
		return -1;
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	rig_certificate("two.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	rig_certificate("rsa.test", GNUTLS_PK_RSA, 2048);
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++)
		make_certificate(&clients[i]);
	append("both.pem", "root.pem");
	append("both.pem", "other.pem");
	make_list("clean.crl", "root", NULL, -60, 3600);
	make_list("jim.crl", "root", "jim", -60, 3600);
	return 0;
}

#define ANY_BY_ID "NORMAL:%NO_TICKETS"
#define ANY "NORMAL"

struct side {
	const char *name, *certificate, *more;  /* the host that answers, whatever the client asks for */
	const char *client, *sni;
	const char *who;                        /* the client's certificate; NULL: none */
	const char *seen;                       /* SSL_CLIENT_VERIFY and name there; NULL: any */
};
struct hole {
	const char *what;
	struct side before, after;
	int resumed;                            /* -1: the second connection must fail */
};

static void run(const struct hole *rows, size_t n)
{
	begin(true);
	for (size_t i = 0; i < n; i++) {
		const struct side *sides[2] = { &rows[i].before, &rows[i].after };
		gnutls_datum_t session = { 0 };

		for (int k = 0; k < 2; k++) {
			const struct side *s = sides[k];
			struct tls_policy *p = rig_host(env, s->name, s->certificate, s->more);
			struct rig_hosts hosts = { .at = { { s->name, p } }, .n = 1 };
			int resumed;

			rig_client = s->who;
			resumed = connect_to(&hosts, s->client, s->sni, &session);
			if (s->seen && resumed >= 0 && strcmp(seen_client, s->seen) != 0)
				fail_msg("%s: the client was seen as %s", rows[i].what, seen_client);
			if (resumed != (k == 1 ? rows[i].resumed : 0))
				fail_msg("%s: connection %d (%s) %s", rows[i].what, k + 1, s->client,
					 resumed < 0 ? "failed" : resumed ? "was resumed" : "was not resumed");
			tls_policy_free(p);
		}
		forget(&session);
	}
	rig_client = NULL;
}

#define SIDE(host, cert, lines, c, asked) .name = host, .certificate = cert, .more = lines, .client = c, .sni = asked
#define HOST(client, sni, more) { SIDE("one.test", "one.test", more, client, sni) }
#define OTHER(client, sni) { SIDE("two.test", "two.test", "", client, sni) }
#define EACH(what, more_before, client13, after, resumed)                                                                   \
	{ what ", by ID", HOST(BY_ID, "one.test", more_before), after(BY_ID), resumed },                                    \
	{ what ", 1.2 ticket", HOST(CLIENT12, "one.test", more_before), after(CLIENT12), resumed },                         \
	{ what ", 1.3 ticket", HOST(client13, "one.test", more_before), after(client13), resumed }

static void test_names(void **state)
{
#define SAME(c) HOST(c, "one.test", "")
#define TWO(c) OTHER(c, "two.test")
#define TWO_FOR_ONE(c) OTHER(c, "one.test")
#define TWO_FOR_NONE(c) OTHER(c, NULL)
	static const struct hole rows[] = {
		EACH("nothing changed", "", CLIENT13, SAME, true),
		EACH("other SNI, other host", "", CLIENT13, TWO, false),
		EACH("another host answers for the same SNI", "", CLIENT13, TWO_FOR_ONE, false),
		EACH("no SNI, other host", "", CLIENT13, TWO_FOR_NONE, false),
		/* Another name of the same host: GnuTLS refuses it in 1.2; in 1.3 the host is the same, and so is its certificate. */
		{ "alias, by ID", HOST(BY_ID, "one.test", ""), HOST(BY_ID, "alias.test", ""), false },
		{ "alias, 1.2 ticket", HOST(CLIENT12, "one.test", ""), HOST(CLIENT12, "alias.test", ""), false },
		{ "alias, 1.3 ticket", HOST(CLIENT13, "one.test", ""), HOST(CLIENT13, "alias.test", ""), true },
		{ "no SNI, same host, 1.3 ticket", HOST(CLIENT13, "one.test", ""), HOST(CLIENT13, NULL, ""), true },
	};

	(void)state;
	run(rows, sizeof rows / sizeof *rows);
}

static void test_suites(void **state)
{
#define ONLY256(c) HOST(c, "one.test", "SSLCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384\nSSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384")
#define ONLY128(c) HOST(c, "one.test", "SSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256\nSSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256")
	static const struct hole rows[] = {
		/* The ticket's suite went: GnuTLS resumed it in 1.2, and found none of its hash in 1.3. */
		EACH("suite gone", "", CLIENT13, ONLY256, false),
		EACH("other suites gone", "", CLIENT13, ONLY128, false),
	};

	(void)state;
	run(rows, sizeof rows / sizeof *rows);
}

static void test_versions(void **state)
{
#define BOTH_ANY HOST(ANY, "one.test", "")
#define OLD "SSLProtocol TLSv1.2"
#define NEW "SSLProtocol TLSv1.3"
	static const struct hole rows[] = {
		/* GnuTLS takes the session for resumed although it does 1.3: the client breaks off. */
		{ "1.2 ticket, host now does 1.3 too", HOST(ANY, "one.test", OLD), BOTH_ANY, false },
		{ "1.2 ticket, host now does 1.3 alone", HOST(ANY, "one.test", OLD), HOST(ANY, "one.test", NEW), false },
		{ "1.2 by ID, host now does 1.3 too", HOST(ANY_BY_ID, "one.test", OLD), HOST(ANY_BY_ID, "one.test", ""), false },
		{ "1.3 ticket, host now 1.2 only", BOTH_ANY, HOST(ANY, "one.test", OLD), false },
		{ "1.3 ticket, host now 1.3 only", BOTH_ANY, HOST(ANY, "one.test", NEW), false },
		/* The host allows both all the time; it is the client that changes. */
		{ "1.2 ticket, client now does 1.3 too", HOST(CLIENT12, "one.test", ""), BOTH_ANY, false },
		{ "1.2 by ID, client now does 1.3 too", HOST(BY_ID, "one.test", ""), HOST(ANY_BY_ID, "one.test", ""), false },
		{ "1.3 ticket, client offers both", BOTH_ANY, BOTH_ANY, true },
	};

	(void)state;
	run(rows, sizeof rows / sizeof *rows);
}

static void test_certificates(void **state)
{
#define RENEWED(c) { SIDE("one.test", "two.test", "", c, "one.test") }
#define OTHER_KIND(c) { SIDE("one.test", "rsa.test", "", c, "one.test") }
	static const struct hole rows[] = {
		/* A certificate proves nothing that a session has not proven before, whatever its kind. */
		EACH("renewed certificate", "", CLIENT13, RENEWED, true),
		EACH("certificate of another kind", "", CLIENT13, OTHER_KIND, true),
	};

	(void)state;
	run(rows, sizeof rows / sizeof *rows);
}

/* What GnuTLS resumed without a look at the client's certificate, or at whether there is one. */
static void test_clients(void **state)
{
	char root[256], optional[256], strangers[256], both[256], deep[256], other[256], lists[2][512];
#define WITH(c, more, w, s) { SIDE("one.test", "one.test", more, c, "one.test"), .who = w, .seen = s }
#define WAYS(what, before, who_before, after, who, resumed, seen)                                                                   \
	{ what ", by ID", WITH(BY_ID, before, who_before, NULL), WITH(BY_ID, after, who, seen), resumed },                                \
	{ what ", 1.2 ticket", WITH(CLIENT12, before, who_before, NULL), WITH(CLIENT12, after, who, seen), resumed },                     \
	{ what ", 1.3 ticket", WITH(CLIENT13, before, who_before, NULL), WITH(CLIENT13, after, who, seen), resumed }
#define ASKS(mode) "SSLVerifyClient " mode "\n"
	const struct hole rows[] = {
		WAYS("a client with a certificate comes back", root, "joe", root, "joe", 1, "SUCCESS joe"),
		/* Its session brings the certificate along, shown again or not. */
		WAYS("it shows none the second time", root, "joe", root, NULL, 1, "SUCCESS joe"),
		WAYS("a client without one comes back where it may", ASKS("optional"), NULL, ASKS("optional"), NULL, 1, "NONE (absent)"),
		WAYS("a stranger comes back where all may", ASKS("optional_no_ca"), "mallory", ASKS("optional_no_ca"), "mallory", 1, "GENEROUS mallory"),
		WAYS("host now requires a certificate, there is none", "", NULL, root, NULL, -1, NULL),
		WAYS("host now requires a certificate, there is one", "", NULL, root, "joe", 0, "SUCCESS joe"),
		WAYS("host required none of those that have none", ASKS("optional"), NULL, ASKS("require"), NULL, -1, NULL),
		WAYS("host no longer lets strangers in", strangers, "mallory", root, "mallory", -1, NULL),
		WAYS("host lets strangers in no longer, nor asks for more", strangers, "mallory", optional, "mallory", -1, NULL),
		WAYS("host asks for more than before", optional, "joe", root, "joe", 0, "SUCCESS joe"),
		WAYS("authority exchanged", root, "joe", other, "joe", -1, NULL),
		WAYS("authority added", root, "joe", both, "joe", 0, "SUCCESS joe"),
		WAYS("authority taken away", both, "mallory", root, "mallory", -1, NULL),
		WAYS("depth lowered", deep, "deep", root, "deep", -1, NULL),
		WAYS("revocation is looked at now", root, "jim", lists[1], "jim", -1, NULL),
		WAYS("revoked by a new list", lists[0], "jim", lists[1], "jim", -1, NULL),
		WAYS("a new list, with another on it", lists[0], "joe", lists[1], "joe", 0, "SUCCESS joe"),
		WAYS("host asks no longer", root, "joe", "", "joe", 0, "NONE (absent)"),
	};

	(void)state;
	snprintf(root, sizeof root, ASKS("require") "SSLCACertificateFile %s/root.pem\n", rig_dir);
	snprintf(optional, sizeof optional, ASKS("optional") "SSLCACertificateFile %s/root.pem\n", rig_dir);
	snprintf(strangers, sizeof strangers, ASKS("optional_no_ca") "SSLCACertificateFile %s/root.pem\n", rig_dir);
	snprintf(other, sizeof other, ASKS("require") "SSLCACertificateFile %s/other.pem\n", rig_dir);
	snprintf(both, sizeof both, ASKS("require") "SSLCACertificateFile %s/both.pem\n", rig_dir);
	snprintf(deep, sizeof deep, ASKS("require") "SSLCACertificateFile %s/root.pem\nSSLVerifyDepth 2\n", rig_dir);
	for (int i = 0; i < 2; i++)
		snprintf(lists[i], sizeof lists[i], "%sSSLCARevocationCheck leaf\nSSLCARevocationFile %s/%s.crl\n", root, rig_dir, i ? "jim" : "clean");
	run(rows, sizeof rows / sizeof *rows);
}

/* What the label is made of may grow: whatever makes it differ in one bit makes a full handshake of it. */
static void test_any_difference_of_labels(void **state)
{
	static const char *const by[] = { BY_ID, CLIENT12, CLIENT13 };
	struct tls_policy *p;
	struct rig_hosts hosts;

	(void)state;
	begin(true);
	p = rig_host(env, "one.test", "one.test", "");
	hosts = (struct rig_hosts){ .at = { { "one.test", p } }, .n = 1 };
	for (size_t i = 0; i < 3; i++)
		for (unsigned bit = 0; bit < 256; bit += 51) {
			gnutls_datum_t session = { 0 };
			int resumed;

			assert_int_equal(connect_to(&hosts, by[i], "one.test", &session), 0);
			p->label[bit / 8] ^= (unsigned char)(1u << bit % 8);
			resumed = connect_to(&hosts, by[i], "one.test", &session);
			if (resumed != 0)
				fail_msg("%s, bit %u: %d", by[i], bit, resumed);
			forget(&session);
		}
	tls_policy_free(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_names), T(test_suites), T(test_versions), T(test_certificates), T(test_clients), T(test_any_difference_of_labels),
	};
	int failed = cmocka_run_group_tests_name("tls/holes", tests, setup, rig_teardown);

	key_store_free(rig_keys);
	return failed;
}

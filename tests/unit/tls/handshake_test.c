/*
 * handshake_test.c - whole handshakes between a client of GnuTLS's and our server side over memory: versions, suites,
 * names, certificates, alerts, records. Resumption is in resume_test.c.
 */
#include "rig.h"
#include "tls/session.h"

static struct rig_env *env;
static struct arena *arena;
static const struct tls_cache_settings settings = { .enabled = true, .bytes = 65536, .timeout_s = 300 };

static int setup(void **state)
{
	struct err e = { 0 };

	if (rig_setup(state) != 0)
		return -1;
	if (tls_init(&e) != 0) {
		print_error("%s\n", e.text);
		return -1;
	}
	tls_child_init(NULL, &settings);
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	rig_certificate("two.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1));
	rig_certificate("rsa.test", GNUTLS_PK_RSA, 2048);
	rig_certificate("ed.test", GNUTLS_PK_EDDSA_ED25519, 0);
	return 0;
}

static int each_setup(void **state)
{
	(void)state;
	env = rig_env_new();
	arena = arena_new(0);
	return 0;
}

static int each_teardown(void **state)
{
	(void)state;
	rig_env_free(env);
	arena_free(arena);
	return 0;
}

static const gnutls_datum_t *shown(struct rig *r)
{
	unsigned n;

	return gnutls_certificate_get_peers(r->client, &n);
}

static bool shows(struct rig *r, const struct tls_policy *p, unsigned index)
{
	const gnutls_datum_t *leaf = shown(r);

	return leaf && leaf->size == p->at[index].leaf.size && memcmp(leaf->data, p->at[index].leaf.data, leaf->size) == 0;
}

struct row {
	const char *certs, *more, *client, *protocol, *cipher;
};

static void check(const struct row *row)
{
	struct tls_policy *p = rig_host(env, "one.test", row->certs, row->more);
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	struct rig *r = rig_new(&hosts, row->client, "one.test");
	enum tls_result result = rig_run(r);

	if (!row->cipher) {
		if (result != TLS_FAILED)
			fail_msg("[%s] and %s: it worked", row->more, row->client);
	} else if (result != TLS_DONE) {
		fail_msg("[%s] and %s: %s", row->more, row->client, tls_failure(r->server));
	} else {
		const char *protocol = rig_variable(r, arena, "SSL_PROTOCOL"), *cipher = rig_variable(r, arena, "SSL_CIPHER");
		if (strcmp(protocol, row->protocol) || strcmp(cipher, row->cipher))
			fail_msg("[%s] and %s: %s %s", row->more, row->client, protocol, cipher);
		rig_exchange(r);
	}
	rig_free(r);
	tls_policy_free(p);
}

#define ONLY(kx, cipher, mac) "NONE:+VERS-TLS1.2:+COMP-NULL:+CTYPE-X509:+SIGN-ALL:+GROUP-ALL:+" kx ":+" cipher ":+" mac

static void test_what_is_chosen(void **state)
{
	static const struct row rows[] = {
		{ "one.test", "", "NORMAL", "TLSv1.3", "TLS_AES_128_GCM_SHA256" },
		{ "one.test", "", CLIENT12, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ "rsa.test", "", CLIENT12, "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256" },
		{ "rsa.test one.test", "", CLIENT12, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ "rsa.test one.test", "", ONLY("ECDHE-RSA", "AES-256-GCM", "AEAD"), "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384" },
		{ "one.test", "SSLProtocol TLSv1.2", "NORMAL", "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ "one.test", "SSLProtocol TLSv1.3", "NORMAL", "TLSv1.3", "TLS_AES_128_GCM_SHA256" },
		{ "one.test", "SSLProtocol all -TLSv1.3", "NORMAL", "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ "one.test", "SSLProtocol TLSv1.3", CLIENT12, NULL, NULL },
		{ "one.test", "SSLProtocol TLSv1.2", CLIENT13, NULL, NULL },
		{ "one.test", "SSLProtocol TLSv1.1", "NORMAL:-VERS-ALL:+VERS-TLS1.1", "TLSv1.1", "ECDHE-ECDSA-AES128-SHA" },
		{ "rsa.test", "SSLProtocol TLSv1", "NORMAL:-VERS-ALL:+VERS-TLS1.0", "TLSv1", "ECDHE-RSA-AES128-SHA" },
		{ "one.test", "", "NORMAL:-VERS-ALL:+VERS-TLS1.1", NULL, NULL },
		{ "rsa.test", "SSLCipherSuite AES256-SHA:AES128-SHA", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:+AES-256-CBC", "TLSv1.2", "AES128-SHA" },
		{ "rsa.test", "SSLCipherSuite AES256-SHA:AES128-SHA\nSSLHonorCipherOrder on", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:+AES-256-CBC",
		  "TLSv1.2", "AES256-SHA" },
		{ "rsa.test", "SSLCipherSuite DHE-RSA-AES128-GCM-SHA256", "NORMAL:-VERS-ALL:+VERS-TLS1.2:+DHE-RSA", "TLSv1.2", "DHE-RSA-AES128-GCM-SHA256" },
		{ "rsa.test", "SSLCipherSuite DHE-RSA-AES128-GCM-SHA256", "NORMAL:-VERS-ALL:+VERS-TLS1.2:+DHE-RSA:-GROUP-DH-ALL", "TLSv1.2", "DHE-RSA-AES128-GCM-SHA256" },
		{ "rsa.test", "SSLCipherSuite DHE-RSA-AES128-SHA256:ECDHE+SHA384", ONLY("ECDHE-RSA", "AES-256-CBC", "SHA384"), "TLSv1.2", "ECDHE-RSA-AES256-SHA384" },
		{ "one.test", "SSLCipherSuite TLSv1.3 TLS_CHACHA20_POLY1305_SHA256", "NORMAL", "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256" },
		{ "one.test", "SSLCipherSuite TLSv1.3 TLS_CHACHA20_POLY1305_SHA256", "NORMAL:-CHACHA20-POLY1305", NULL, NULL },
		{ "one.test", "SSLHonorCipherOrder off", "NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305:+AES-128-GCM", "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256" },
		{ "one.test", "", "NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305:+AES-128-GCM", "TLSv1.3", "TLS_AES_128_GCM_SHA256" },
		{ "one.test", "SSLOpenSSLConfCmd Curves secp384r1", "NORMAL", "TLSv1.3", "TLS_AES_128_GCM_SHA256" },
		{ "one.test", "SSLOpenSSLConfCmd Curves secp384r1", "NORMAL:-GROUP-ALL:+GROUP-X25519", NULL, NULL },
		{ "ed.test", "", "NORMAL", "TLSv1.3", "TLS_AES_128_GCM_SHA256" },
		{ "ed.test", "", CLIENT12, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ "two.test", "", CLIENT12, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ "two.test rsa.test", "", CLIENT12 ":-GROUP-SECP384R1:-GROUP-SECP521R1", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256" },
		{ "two.test rsa.test", "", CLIENT12 ":-SIGN-ALL:+SIGN-RSA-SHA256", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256" },
		{ "one.test", "", ONLY("ECDHE-RSA", "AES-128-GCM", "AEAD"), NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check(&rows[i]);
}

/* Every suite of the table, alone on both sides, is the one that is spoken. */
static void test_each_suite(void **state)
{
	(void)state;
	for (unsigned i = 0; i < suites_n; i++) {
		const struct suite *s = &suites[i];
		char line[256], client[512];
		struct row row = { s->auth == AUTH_ECDSA ? "one.test" : "rsa.test", line, client, "TLSv1.2", s->openssl };
		snprintf(line, sizeof line, "SSLCipherSuite %s", s->iana);
		snprintf(client, sizeof client, ONLY("%s", "%s", "%s"), suite_gnutls_kx(s), suite_gnutls_cipher(s), suite_gnutls_mac(s));
		check(&row);
	}
	for (unsigned i = 0; i < suites13_n; i++) {
		const struct suite *s = &suites13[i];
		char line[256], client[512];
		struct row row = { "one.test", line, client, "TLSv1.3", s->openssl };
		snprintf(line, sizeof line, "SSLCipherSuite TLSv1.3 %s", s->iana);
		snprintf(client, sizeof client, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+%s", suite_gnutls_cipher(s));
		check(&row);
	}
}

static void test_by_name(void **state)
{
	struct tls_policy *one = rig_host(env, "one.test", "one.test", ""), *two = rig_host(env, "two.test", "two.test", "SSLProtocol TLSv1.2");
	struct rig_hosts hosts = { .at = { { "one.test", one }, { "two.test", two } }, .n = 2 };
	static const struct { const char *name; int host; const char *protocol; } rows[] = {
		{ "one.test", 0, "TLSv1.3" }, { "two.test", 1, "TLSv1.2" }, { "TWO.test", 1, "TLSv1.2" }, { "other.test", 0, "TLSv1.3" }, { NULL, 0, "TLSv1.3" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig *r = rig_new(&hosts, "NORMAL", rows[i].name);
		assert_null(r->server->hello);
		assert_int_equal(rig_run(r), TLS_DONE);
		assert_true(shows(r, rows[i].host ? two : one, 0));
		assert_ptr_equal(tls_policy_in_use(r->server), rows[i].host ? two : one);
		assert_string_equal(rig_variable(r, arena, "SSL_PROTOCOL"), rows[i].protocol);
		assert_string_equal(rig_variable(r, arena, "SSL_TLS_SNI"), rows[i].name ? rows[i].name : "(absent)");
		assert_null(r->server->hello);          /* a connection that waits for requests does not keep it */
		assert_false(tls_resumed(r->server));
		rig_free(r);
	}
	hosts.strict = true;
	{
		struct rig *r = rig_new(&hosts, "NORMAL", "other.test");
		assert_int_equal(rig_run(r), TLS_FAILED);
		assert_int_equal(r->alert, GNUTLS_A_UNRECOGNIZED_NAME);
		assert_non_null(strstr(tls_failure(r->server), "other.test"));
		rig_free(r);
	}
	tls_policy_free(one);
	tls_policy_free(two);
}

static void test_alerts_and_reasons(void **state)
{
	static const struct { const char *certs, *more, *client; int alert; const char *words[3]; } rows[] = {
		{ "one.test", "SSLProtocol TLSv1.3", CLIENT12, 70, { "the client offers TLSv1 TLSv1.1 TLSv1.2", "allows TLSv1.3", "one.test" } },
		{ "one.test", "SSLProtocol TLSv1.2", CLIENT13, 70, { "the client offers TLSv1.3", "allows TLSv1.2", "SSLProtocol" } },
		{ "one.test", "SSLCipherSuite AES128-SHA:ECDHE-ECDSA-AES256-SHA", ONLY("ECDHE-ECDSA", "AES-128-GCM", "AEAD"), 40,
		  { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA", "SSLCipherSuite" } },
		{ "one.test", "", ONLY("ECDHE-RSA", "AES-128-GCM", "AEAD"), 40, { "ECDHE-RSA-AES128-GCM-SHA256", "allows ECDHE-ECDSA", "certificate: EC" } },
		{ "one.test", "SSLOpenSSLConfCmd Groups P-384", CLIENT13 ":-GROUP-ALL:+GROUP-SECP256R1", 40, { "no group", "one.test", "" } },
		{ "one.test", "SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384", CLIENT13 ":-AES-256-GCM", 40, { "TLS_AES_128_GCM_SHA256", "allows TLS_AES_256", "TLSv1.3" } },
		{ "one.test", "", CLIENT13 ":-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256", 40, { "no certificate", "signatures", "" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_policy *p = rig_host(env, "one.test", rows[i].certs, rows[i].more);
		struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
		struct rig *r = rig_new(&hosts, rows[i].client, "one.test");
		assert_int_equal(rig_run(r), TLS_FAILED);
		if (r->alert != rows[i].alert)
			fail_msg("row %zu: alert %d: %s", i, r->alert, tls_failure(r->server));
		for (int k = 0; k < 3; k++)
			if (!strstr(tls_failure(r->server), rows[i].words[k]))
				fail_msg("row %zu: \"%s\" lacks %s", i, tls_failure(r->server), rows[i].words[k]);
		assert_int_equal(tls_failure_level(r->server), LOG_L_INFO);
		rig_free(r);
		tls_policy_free(p);
	}
}

static void test_client_ends_it(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	struct rig *r = rig_new(&hosts, CLIENT12, "one.test");

	(void)state;
	/* A client that refuses the certificate. */
	assert_int_equal(gnutls_handshake(r->client), GNUTLS_E_AGAIN);
	assert_int_equal(tls_step(r->server), TLS_READ);
	gnutls_alert_send(r->client, GNUTLS_AL_FATAL, GNUTLS_A_UNKNOWN_CA);
	assert_int_equal(tls_step(r->server), TLS_FAILED);
	assert_non_null(strstr(tls_failure(r->server), "refused our certificate"));
	assert_non_null(strstr(tls_failure(r->server), "unknown CA"));
	assert_int_equal(tls_failure_level(r->server), LOG_L_INFO);
	rig_free(r);
	/* One that just goes. */
	r = rig_new(&hosts, CLIENT13, "one.test");
	gnutls_handshake(r->client);
	assert_int_equal(tls_step(r->server), TLS_READ);
	r->wire.to_server.closed = true;
	assert_int_equal(tls_step(r->server), TLS_FAILED);
	assert_int_equal(tls_failure_level(r->server), LOG_L_DEBUG);
	assert_non_null(strstr(tls_failure(r->server), "went away"));
	rig_free(r);
	tls_policy_free(p);
}

/* Bytes that are no handshake: the alert of the record, and nothing else, comes back. */
static void test_rubbish(void **state)
{
	static const struct { const char *bytes; size_t n; unsigned char alert; } rows[] = {
		{ "\x17\3\3\0\5hello", 10, 10 }, { "\x16\3\3\0\5\1\0\0\1\0", 10, 50 },
		/* a whole hello but for its extensions, whose length says 1 and which are not there */
		{ "\x16\3\1\0\x2f\1\0\0\x2b\3\3rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\0\0\2\xc0\x2b\1\0\0\1", 52, 50 },
	};
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig *r = rig_new(&hosts, "NORMAL", NULL);
		memcpy(r->wire.to_server.data, rows[i].bytes, rows[i].n);
		r->wire.to_server.n = rows[i].n;
		assert_int_equal(tls_step(r->server), TLS_FAILED);
		assert_int_equal(r->wire.to_client.n, 7);
		if (r->wire.to_client.data[6] != rows[i].alert)
			fail_msg("row %zu: alert %d", i, r->wire.to_client.data[6]);
		assert_true(tls_failure(r->server)[0]);
		assert_int_equal(tls_step(r->server), TLS_FAILED);
		assert_int_equal(r->wire.to_client.n, 7);
		rig_free(r);
	}
	tls_policy_free(p);
}

/* A hello without extensions (RFC 5246, 7.4.1.2) is answered like any other. */
static void test_without_extensions(void **state)
{
	struct tls_policy *p = rig_host(env, "rsa.test", "rsa.test", "SSLProtocol TLSv1.1 +TLSv1.2\nSSLCipherSuite AES128-SHA");
	struct rig_hosts hosts = { .at = { { "rsa.test", p } }, .n = 1 };
	struct rig *r = rig_new(&hosts, CLIENT12, NULL);

	(void)state;
	gnutls_deinit(r->client);
	gnutls_init(&r->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_EXTENSIONS);
	gnutls_priority_set_direct(r->client, "NONE:+VERS-TLS1.1:+RSA:+AES-128-CBC:+SHA1:+COMP-NULL:+CTYPE-X509:+SIGN-ALL:%NO_EXTENSIONS", NULL);
	gnutls_credentials_set(r->client, GNUTLS_CRD_CERTIFICATE, r->trust);
	gnutls_transport_set_ptr(r->client, &r->wire);
	gnutls_transport_set_pull_function(r->client, rig_client_pull);
	gnutls_transport_set_push_function(r->client, rig_client_push);
	assert_int_equal(rig_run(r), TLS_DONE);
	assert_string_equal(rig_variable(r, arena, "SSL_PROTOCOL"), "TLSv1.1");
	rig_exchange(r);
	rig_free(r);
	tls_policy_free(p);
}

static void test_alpn(void **state)
{
	static const struct { const char *offer[3]; const char *chosen; } rows[] = {
		{ { "http/1.1" }, "http/1.1" }, { { "nonsense", "http/1.1" }, "http/1.1" }, { { "h2", "http/1.1" }, "http/1.1" }, { { "http/1.0" }, "http/1.0" },
		{ { "h2" }, NULL }, { { "spdy/3", "h2" }, NULL }, { { "spdy/3" }, NULL }, { { "h2c" }, NULL }, { { NULL }, NULL },
	};
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int v = 0; v < 2; v++) {
			struct rig *r = rig_new(&hosts, v ? CLIENT12 : CLIENT13, "one.test");
			gnutls_datum_t offer[3];
			unsigned n;
			for (n = 0; n < 3 && rows[i].offer[n]; n++)
				offer[n] = (gnutls_datum_t){ (unsigned char *)(uintptr_t)rows[i].offer[n], (unsigned)strlen(rows[i].offer[n]) };
			if (n)
				gnutls_alpn_set_protocols(r->client, offer, n, 0);
			bool refused = n && !rows[i].chosen && strcmp(rows[i].offer[n - 1], "h2") != 0;
			assert_int_equal(rig_run(r), refused ? TLS_FAILED : TLS_DONE);
			if (refused)
				assert_int_equal(r->alert, GNUTLS_A_NO_APPLICATION_PROTOCOL);
			assert_true(rows[i].chosen ? text_is(tls_alpn(r->server), rows[i].chosen) : !tls_alpn(r->server).p);
			rig_free(r);
		}
	tls_policy_free(p);
}

static unsigned hellos;
static int count_hello(gnutls_session_t s, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *msg)
{
	(void)s, (void)type, (void)when, (void)msg;
	hellos += !incoming;
	return 0;
}

/* X25519 is preferred, but not at the price of another round for a client that sent only a share for P-256. */
static void test_one_round(void **state)
{
	static const struct { const char *client, *group; unsigned rounds; } rows[] = {
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP256R1:+GROUP-X25519:%SERVER_PRECEDENCE", "SECP256R1", 1 },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1", "X25519", 1 },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP384R1", "SECP384R1", 1 },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X448:+GROUP-X25519", "X25519", 2 },
	};
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig *r;
		int flags = GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_KEY_SHARE_TOP;
		r = rig_new(&hosts, rows[i].client, NULL);
		gnutls_deinit(r->client);
		gnutls_init(&r->client, (unsigned)flags);
		gnutls_priority_set_direct(r->client, rows[i].client, NULL);
		gnutls_credentials_set(r->client, GNUTLS_CRD_CERTIFICATE, r->trust);
		gnutls_transport_set_ptr(r->client, &r->wire);
		gnutls_transport_set_pull_function(r->client, rig_client_pull);
		gnutls_transport_set_push_function(r->client, rig_client_push);
		gnutls_handshake_set_hook_function(r->client, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_POST, count_hello);
		hellos = 0;
		assert_int_equal(rig_run(r), TLS_DONE);
		assert_string_equal(gnutls_group_get_name(gnutls_group_get(r->client)), rows[i].group);
		assert_int_equal(hellos, rows[i].rounds);
		rig_exchange(r);
		rig_free(r);
	}
	tls_policy_free(p);
}

/* RFC 8446, 4.1.3: a host that can do 1.3 marks its random when 1.2 is spoken; one that cannot does not. */
static void test_downgrade_mark(void **state)
{
	static const unsigned char mark[8] = "DOWNGRD\1";

	(void)state;
	for (int both = 0; both < 2; both++) {
		struct tls_policy *p = rig_host(env, "one.test", "one.test", both ? "" : "SSLProtocol TLSv1.2");
		struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
		struct rig *r = rig_new(&hosts, CLIENT12, "one.test");
		gnutls_datum_t ours, theirs;
		assert_int_equal(rig_run(r), TLS_DONE);
		gnutls_session_get_random(r->client, &ours, &theirs);
		assert_int_equal(memcmp(theirs.data + 24, mark, 8) == 0, both);
		rig_free(r);
		tls_policy_free(p);
	}
}

static void test_records(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };

	(void)state;
	for (int v = 0; v < 2; v++) {
		struct rig *r = rig_new(&hosts, v ? CLIENT12 : CLIENT13, "one.test");
		static unsigned char out[40000], in[40000];
		size_t done = 0, got = 0;
		assert_int_equal(rig_run(r), TLS_DONE);
		for (size_t i = 0; i < sizeof out; i++)
			out[i] = (unsigned char)(i * 7 + i / 256);
		assert_int_equal(tls_read(r->server, in, sizeof in), -1);
		assert_int_equal(errno, EAGAIN);
		/* A wire that takes 5000 bytes at a time: EAGAIN in the middle of records, nothing lost or doubled. */
		r->wire.to_client.max = 5000;
		while (got < sizeof out) {
			ssize_t n = done < sizeof out ? tls_write(r->server, out + done, sizeof out - done) : 0;
			assert_true(n >= 0 || (n == -1 && errno == EAGAIN));
			done += n > 0 ? (size_t)n : 0;
			assert_true(n <= 16384);
			while ((n = gnutls_record_recv(r->client, in + got, sizeof in - got)) > 0)
				got += (size_t)n;
			assert_true(got == sizeof out || n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
		}
		assert_memory_equal(in, out, sizeof out);
		r->wire.to_client.max = 0;
		/* What was decrypted and not read waits inside. */
		gnutls_record_send(r->client, "0123456789", 10);
		assert_int_equal(tls_pending(r->server), 0);
		assert_int_equal(tls_read(r->server, in, 4), 4);
		assert_int_equal(tls_pending(r->server), 6);
		assert_int_equal(tls_read(r->server, in, sizeof in), 6);
		/* Both ends say goodbye. */
		gnutls_bye(r->client, GNUTLS_SHUT_WR);
		assert_int_equal(tls_read(r->server, in, sizeof in), 0);
		assert_int_equal(tls_bye(r->server), 0);
		assert_int_equal(gnutls_record_recv(r->client, in, sizeof in), 0);
		rig_free(r);
	}
	tls_policy_free(p);
}

static void test_broken_record_and_silent_end(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	struct rig *r = rig_new(&hosts, CLIENT13, "one.test");
	char buf[64];

	(void)state;
	assert_int_equal(rig_run(r), TLS_DONE);
	rig_exchange(r);
	gnutls_record_send(r->client, "0123456789", 10);
	r->wire.to_server.data[r->wire.to_server.n - 1] ^= 1;
	assert_int_equal(tls_read(r->server, buf, sizeof buf), -2);
	assert_int_equal(tls_write(r->server, "x", 1), -2);
	assert_int_equal(tls_bye(r->server), 0);
	assert_int_equal(gnutls_record_recv(r->client, buf, sizeof buf), GNUTLS_E_FATAL_ALERT_RECEIVED);
	assert_int_equal(gnutls_alert_get(r->client), GNUTLS_A_BAD_RECORD_MAC);
	rig_free(r);
	r = rig_new(&hosts, CLIENT12, "one.test");
	assert_int_equal(rig_run(r), TLS_DONE);
	r->wire.to_server.closed = true;
	assert_int_equal(tls_read(r->server, buf, sizeof buf), 0);
	rig_free(r);
	tls_policy_free(p);
}

static void test_renegotiation(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	struct rig *r = rig_new(&hosts, CLIENT12, "one.test");
	char buf[64];

	(void)state;
	assert_int_equal(rig_run(r), TLS_DONE);
	assert_string_equal(rig_variable(r, arena, "SSL_SECURE_RENEG"), "true");
	assert_int_equal(gnutls_handshake(r->client), GNUTLS_E_AGAIN);
	assert_int_equal(tls_read(r->server, buf, sizeof buf), -2);
	assert_non_null(strstr(tls_failure(r->server), "not granted"));
	assert_int_equal(gnutls_handshake(r->client), GNUTLS_E_WARNING_ALERT_RECEIVED);
	assert_int_equal(gnutls_alert_get(r->client), GNUTLS_A_NO_RENEGOTIATION);
	assert_int_equal(gnutls_handshake(r->client), GNUTLS_E_FATAL_ALERT_RECEIVED);
	rig_free(r);
	tls_policy_free(p);
}

static void test_warnings_are_bounded(void **state)
{
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	struct rig *r = rig_new(&hosts, CLIENT12, "one.test");
	ssize_t n = -1;
	char buf[64];
	int sent;

	(void)state;
	assert_int_equal(rig_run(r), TLS_DONE);
	for (sent = 0; sent < 20 && n == -1; sent++) {
		gnutls_alert_send(r->client, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
		n = tls_read(r->server, buf, sizeof buf);
	}
	assert_int_equal(n, -2);
	assert_in_range(sent, 3, 10);
	rig_free(r);
	/* within the handshake, too, and the answer is the same */
	r = rig_new(&hosts, CLIENT12, "one.test");
	gnutls_handshake(r->client);
	assert_int_equal(tls_step(r->server), TLS_READ);
	for (sent = 0; sent < 20; sent++)
		rig_push(&r->wire.to_server, "\x15\3\3\0\2\1\x5a", 7);
	r->wire.to_client.n = 0;
	assert_int_equal(tls_step(r->server), TLS_FAILED);
	assert_int_equal(r->wire.to_client.n, 7);
	assert_memory_equal(r->wire.to_client.data, "\x15\3\3\0\2\2\x0a", 7);
	rig_free(r);
	tls_policy_free(p);
}

static void test_variables(void **state)
{
	static const struct { const char *name, *value; } rows[] = {
		{ "HTTPS", "on" }, { "SSL_PROTOCOL", "TLSv1.2" }, { "SSL_CIPHER", "ECDHE-ECDSA-AES256-GCM-SHA384" }, { "SSL_CIPHER_USEKEYSIZE", "256" },
		{ "SSL_CIPHER_ALGKEYSIZE", "256" }, { "SSL_CIPHER_EXPORT", "false" }, { "SSL_SESSION_RESUMED", "Initial" }, { "SSL_SECURE_RENEG", "true" },
		{ "SSL_COMPRESS_METHOD", "NULL" }, { "SSL_TLS_SNI", "one.test" }, { "SSL_CLIENT_VERIFY", "NONE" }, { "SSL_VERSION_INTERFACE", "Bulkhead/0.1" },
		{ "SSL_SERVER_S_DN", "CN=one.test,OU=Unit,O=Test,C=DE" }, { "SSL_SERVER_I_DN", "CN=one.test,OU=Unit,O=Test,C=DE" },
		{ "SSL_SERVER_S_DN_CN", "one.test" }, { "SSL_SERVER_S_DN_O", "Test" }, { "SSL_SERVER_I_DN_C", "DE" }, { "SSL_SERVER_S_DN_CN_0", "one.test" },
		{ "SSL_SERVER_S_DN_CN_1", "(absent)" }, { "SSL_SERVER_M_VERSION", "3" }, { "SSL_SERVER_M_SERIAL", "810203" },
		{ "SSL_SERVER_A_KEY", "id-ecPublicKey" }, { "SSL_SERVER_A_SIG", "ecdsa-with-SHA256" }, { "SSL_SERVER_SAN_DNS_0", "one.test" },
		{ "SSL_SERVER_SAN_DNS_1", "(absent)" }, { "SSL_SERVER_NONSENSE", "(absent)" }, { "SSL_NONSENSE", "(absent)" }, { "protocol", "(absent)" },
	};
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "SSLCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	struct rig *r = rig_new(&hosts, CLIENT12, "one.test");

	(void)state;
	assert_int_equal(rig_run(r), TLS_DONE);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rig_variable(r, arena, rows[i].name), rows[i].value))
			fail_msg("%s is %s", rows[i].name, rig_variable(r, arena, rows[i].name));
	assert_int_equal(strlen(rig_variable(r, arena, "SSL_SESSION_ID")), 64);
	assert_non_null(strstr(rig_variable(r, arena, "SSL_SERVER_V_END"), " GMT"));
	assert_int_equal(strncmp(rig_variable(r, arena, "SSL_VERSION_LIBRARY"), "GnuTLS/3.", 9), 0);
	assert_int_equal(strncmp(rig_variable(r, arena, "SSL_SERVER_CERT"), "-----BEGIN CERTIFICATE-----\n", 28), 0);
	rig_free(r);
	tls_policy_free(p);
}

/* A signature that never comes ends the handshake with internal_error, not the process. */
static int no_signature(void *ctx, uint32_t key, enum key_operation op, unsigned algorithm, const unsigned char *in, size_t len, unsigned char *out,
			size_t cap, size_t *out_len)
{
	(void)ctx, (void)key, (void)op, (void)algorithm, (void)in, (void)len, (void)out, (void)cap, (void)out_len;
	return GNUTLS_E_PK_SIGN_FAILED;
}

static void test_no_signature(void **state)
{
	static const struct key_ops ops = { no_signature };
	struct tls_policy *p = rig_host(env, "one.test", "one.test", "");
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };

	(void)state;
	key_use(&ops, NULL);
	for (int v = 0; v < 2; v++) {
		struct rig *r = rig_new(&hosts, v ? CLIENT12 : CLIENT13, "one.test");
		assert_int_equal(rig_run(r), TLS_FAILED);
		assert_int_equal(r->alert, GNUTLS_A_INTERNAL_ERROR);
		assert_non_null(strstr(tls_failure(r->server), "keyholder"));
		rig_free(r);
	}
	key_use(&key_ops_direct, rig_keys);
	tls_policy_free(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_is_chosen), T(test_each_suite), T(test_by_name), T(test_alerts_and_reasons), T(test_client_ends_it), T(test_rubbish),
		T(test_without_extensions), T(test_alpn), T(test_one_round), T(test_downgrade_mark), T(test_records), T(test_broken_record_and_silent_end),
		T(test_renegotiation), T(test_warnings_are_bounded), T(test_variables), T(test_no_signature),
	};
	int failed = cmocka_run_group_tests_name("tls/handshake", tests, setup, rig_teardown);

	key_store_free(rig_keys);
	return failed;
}

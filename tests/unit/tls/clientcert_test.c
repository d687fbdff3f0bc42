/*
 * clientcert_test.c - certificates of clients against server/tls/clientcert.c and authorities.c: who is let in, with which alert
 * and line in the log the others are refused, in TLS 1.2 and 1.3; what is said of files when they are read; variables; which
 * host covers another.
 */
#include "authority.h"
#include "tls/place.h"
#include "tls/session.h"

static struct rig_env *env;
static struct arena *arena;

static int setup(void **state)
{
	static const struct making all[] = {
		{ .name = "root", .ca = true }, { .name = "inter", .issuer = "root", .ca = true }, { .name = "other", .ca = true },
		{ .name = "short", .ca = true, .path = -1 }, { .name = "below", .issuer = "short", .ca = true },
		{ .name = "oldroot", .ca = true, .from = -200, .to = -100 },
		/* The same name with another key: an authority that has renewed it. */
		{ .name = "root2", .ca = true, .dn = "CN=root,O=Test,C=DE" },
		{ .name = "joe", .issuer = "root", .from = -60, .to = 3 * 86400 + 3600, .purpose = GNUTLS_KP_TLS_WWW_CLIENT, .names = true, .dn = "CN=joe,OU=One\\, Two,OU=Three,O=Test,C=DE" },
		{ .name = "jim", .issuer = "root" }, { .name = "jack", .issuer = "root2" },
		{ .name = "deep", .issuer = "inter", .chain = "inter" }, { .name = "lone", .issuer = "inter" },
		{ .name = "late", .issuer = "root", .from = -200, .to = -100 }, { .name = "early", .issuer = "root", .from = 100, .to = 200 },
		{ .name = "server", .issuer = "root", .purpose = GNUTLS_KP_TLS_WWW_SERVER },
		{ .name = "stranger", .issuer = "other", .chain = "other" }, { .name = "self", .dn = "CN=self" },
		{ .name = "child", .issuer = "jim", .chain = "jim" }, { .name = "far", .issuer = "below", .chain = "below" },
		{ .name = "heir", .issuer = "oldroot" },
	};
	struct err e = { 0 };

	if (rig_setup(state) != 0 || tls_init(&e) != 0)
		return -1;
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		make_certificate(&all[i]);
	make_list("root.crl", "root", "jim", -60, 3600);
	make_list("inter.crl", "inter", "lone", -60, 3600);
	make_list("noninter.crl", "root", "inter", -60, 3600);
	make_list("clean.crl", "root", NULL, -60, 3600);
	make_list("old.crl", "root", NULL, -200, -100);
	make_list("young.crl", "root", NULL, 100, 200);
	make_list("other.crl", "other", NULL, -60, 3600);
	make_list("false.crl", "root2", NULL, -60, 3600);      /* root's name, another's key */
	append("both.pem", "root.pem");
	append("both.pem", "root2.pem");
	append("lists.crl", "root.crl");
	append("lists.crl", "inter.crl");
	append("all.pem", "root.pem");
	append("all.pem", "inter.pem");
	return 0;
}

static int each_setup(void **state)
{
	static const struct tls_cache_settings none = { .timeout_s = 300 };

	(void)state;
	env = rig_env_new();
	arena = arena_new(0);
	tls_child_init(NULL, &none);
	rig_client = NULL;
	return 0;
}

static int each_teardown(void **state)
{
	(void)state;
	rig_env_free(env);
	arena_free(arena);
	return 0;
}

/* The lines of a host; @ is rig_dir. */
static const char *lines_of(const char *text)
{
	static char out[2048];
	struct buf b;

	buf_init(&b, out, sizeof out);
	for (; *text; text++)
		if (*text == '@')
			buf_printf(&b, "%s/", rig_dir);
		else
			buf_putc(&b, *text);
	return out;
}

/* A fatal alert that comes behind a handshake that the client took for done (1.3). */
static int late_alert(struct rig *r)
{
	char c;

	for (int i = 0; i < 5 && r->alert < 0; i++)
		if (gnutls_record_recv(r->client, &c, 1) == GNUTLS_E_FATAL_ALERT_RECEIVED)
			r->alert = (int)gnutls_alert_get(r->client);
	return r->alert;
}

#define REQUIRE "SSLVerifyClient require\nSSLCACertificateFile @root.pem\n"
#define DEPTH2 REQUIRE "SSLVerifyDepth 2\n"
#define LISTS(how, file) REQUIRE "SSLCARevocationCheck " how "\nSSLCARevocationFile @" file "\n"
#define DEEP_LISTS(how, file) DEPTH2 "SSLCARevocationCheck " how "\nSSLCARevocationFile @" file "\n"
#define OPTIONAL "SSLVerifyClient optional\nSSLCACertificateFile @root.pem\n"
#define NO_CA "SSLVerifyClient optional_no_ca\nSSLCACertificateFile @root.pem\n"

static void test_who_is_let_in(void **state)
{
	/* alert 0: let in, and then `words` is SSL_CLIENT_VERIFY; else they are in the line for the log. */
	static const struct { const char *host, *client; int alert12, alert13; const char *words; } rows[] = {
		{ "SSLVerifyClient none\nSSLCACertificateFile @root.pem\n", "joe", 0, 0, "NONE" },
		{ REQUIRE, "joe", 0, 0, "SUCCESS" }, { REQUIRE, NULL, 40, 116, "host one.test requires a certificate of the client, and it gave none" },
		{ REQUIRE, "self", 48, 48, "CN=self: self-signed certificate (18), issued by CN=self; see SSLCACertificateFile" },
		{ REQUIRE, "stranger", 48, 48, "CN=stranger,O=Test,C=DE: self-signed certificate in certificate chain (19) at CN=other" },
		{ REQUIRE, "late", 45, 45, "certificate has expired (10), issued by CN=root,O=Test,C=DE (on 20" },
		{ REQUIRE, "early", 42, 42, "not yet valid (9)" }, { REQUIRE, "server", 43, 43, "unsuitable certificate purpose (26)" },
		{ REQUIRE, "lone", 48, 48, "unable to get local issuer certificate (20), issued by CN=inter" },
		{ REQUIRE, "deep", 48, 48, "certificate chain too long (22), 2 authorities are above it and 1 allowed" },
		{ DEPTH2, "deep", 0, 0, "SUCCESS" }, { DEPTH2, "child", 48, 48, "invalid CA certificate (79)" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @all.pem\nSSLVerifyDepth 2\n", "lone", 0, 0, "SUCCESS" },
		/* Above a trusted intermediate authority the way is counted, too. */
		{ "SSLVerifyClient require\nSSLCACertificateFile @all.pem\n", "lone", 48, 48, "too long (22)" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @inter.pem\n", "lone", 48, 48, "unable to get issuer certificate (2) at CN=inter" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @short.pem\nSSLVerifyDepth 5\n", "far", 48, 48, "(25)" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @oldroot.pem\n", "heir", 45, 45, "has expired (10) at CN=oldroot" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @both.pem\n", "joe", 0, 0, "SUCCESS" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @both.pem\n", "jack", 0, 0, "SUCCESS" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @self.pem\nSSLVerifyDepth 0\n", "self", 0, 0, "SUCCESS" },
		{ REQUIRE "SSLVerifyDepth 0\n", "joe", 48, 48, "1 authorities are above it and 0 allowed" },
		{ "SSLVerifyClient require\n", "joe", 48, 48, "(20)" },
		{ OPTIONAL, NULL, 0, 0, "NONE" }, { OPTIONAL, "joe", 0, 0, "SUCCESS" }, { OPTIONAL, "self", 48, 48, "(18)" },
		{ NO_CA, NULL, 0, 0, "NONE" }, { NO_CA, "joe", 0, 0, "SUCCESS" }, { NO_CA, "self", 0, 0, "GENEROUS" }, { NO_CA, "stranger", 0, 0, "GENEROUS" },
		{ NO_CA, "lone", 0, 0, "GENEROUS" }, { NO_CA, "late", 45, 45, "(10)" }, { NO_CA, "server", 43, 43, "(26)" },
		{ "SSLVerifyClient optional_no_ca\n", "joe", 0, 0, "GENEROUS" },

		{ LISTS("none", "root.crl"), "jim", 0, 0, "SUCCESS" },
		{ LISTS("leaf", "root.crl"), "joe", 0, 0, "SUCCESS" }, { LISTS("leaf", "root.crl"), "jim", 44, 44, "certificate revoked (23)" },
		{ LISTS("leaf", "lists.crl"), "jim", 44, 44, "(23), issued by CN=root,O=Test,C=DE; see SSLCARevocationFile (/tmp/" },
		{ DEEP_LISTS("leaf", "lists.crl"), "deep", 0, 0, "SUCCESS" }, { DEEP_LISTS("chain", "lists.crl"), "deep", 0, 0, "SUCCESS" },
		{ DEEP_LISTS("leaf", "root.crl"), "deep", 48, 48, "unable to get certificate CRL (3)" },
		{ DEEP_LISTS("leaf no_crl_for_cert_ok", "root.crl"), "deep", 0, 0, "SUCCESS" },
		{ DEEP_LISTS("chain no_crl_for_cert_ok", "noninter.crl"), "deep", 44, 44, "certificate revoked (23) at CN=inter" },
		{ DEEP_LISTS("leaf no_crl_for_cert_ok", "noninter.crl"), "deep", 0, 0, "SUCCESS" },
		{ LISTS("leaf", "old.crl"), "joe", 46, 46, "CRL has expired (12)" }, { LISTS("leaf no_crl_for_cert_ok", "old.crl"), "joe", 46, 46, "(12)" },
		{ LISTS("leaf", "young.crl"), "joe", 42, 42, "CRL is not yet valid (11)" },
		{ LISTS("leaf", "other.crl"), "joe", 48, 48, "(3)" }, { LISTS("leaf", "false.crl"), "joe", 51, 51, "CRL signature failure (8)" },
		/* An old list and a new one of the same authority. */
		{ LISTS("leaf", "old.crl\nSSLCARevocationPath @lists"), "joe", 0, 0, "SUCCESS" },
		{ LISTS("leaf", "clean.crl\nSSLCARevocationPath @lists"), "jim", 44, 44, "(23)" },
	};

	(void)state;
	mkdir(rig_path("lists"), 0700);
	append("lists/any.name", "root.crl");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int tls13 = 0; tls13 < 2; tls13++) {
			struct tls_policy *p = rig_host(env, "one.test", "one.test", lines_of(rows[i].host));
			struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
			int wanted = tls13 ? rows[i].alert13 : rows[i].alert12;
			enum tls_result result;
			struct rig *r;

			rig_client = rows[i].client;
			r = rig_new(&hosts, tls13 ? CLIENT13 : CLIENT12, "one.test");
			result = rig_run(r);
			const char *words = result == TLS_DONE ? rig_variable(r, arena, "SSL_CLIENT_VERIFY") : tls_failure(r->server);
			if ((result == TLS_DONE) != !wanted || (wanted && late_alert(r) != wanted) || !strstr(words, rows[i].words))
				fail_msg("row %zu, 1.%d: %s%s: %s, alert %d, \"%s\"", i, tls13 + 2, rows[i].host, rows[i].client ? rows[i].client : "-",
					 result == TLS_DONE ? "let in" : "refused", r->alert, words);
			rig_free(r);
			tls_policy_free(p);
		}
}

static void test_files(void **state)
{
	static const struct { const char *lines; enum conf_severity worst; const char *words; } rows[] = {
#define SILENT (enum conf_severity)99
		{ REQUIRE, SILENT, NULL }, { OPTIONAL, SILENT, NULL }, { "SSLVerifyClient optional_no_ca\n", SILENT, NULL },
		{ "SSLVerifyClient require\n", CONF_WARNING, "line 4: host one.test asks clients for certificates and knows no authority" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @missing.pem\n", CONF_ERROR, "line 5: SSLCACertificateFile: " },
		{ "SSLVerifyClient require\nSSLCACertificateFile @empty.pem\n", CONF_ERROR, "empty.pem is empty; it must hold lines from -----BEGIN CERTIFICATE-----" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @root.key\n", CONF_ERROR, "root.key holds a private key, but no certificate" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @root.crl\n", CONF_ERROR, "root.crl holds no certificate" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @text.pem\n", CONF_ERROR, "text.pem holds no certificate" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @broken.pem\n", CONF_ERROR, "the certificate at line 3 of " },
		{ "SSLVerifyClient require\nSSLCACertificateFile @folder\n", CONF_ERROR, "is not a plain file; a folder is named by the directive that ends in Path" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @oldroot.pem\n", CONF_WARNING, "CN=oldroot,O=Test,C=DE expired on 20" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @inter.pem\n", CONF_WARNING, "CN=inter,O=Test,C=DE is not self-signed, and who issued its certificate is not there" },
		{ "SSLVerifyClient require\nSSLCACertificateFile @withleaf.pem\n", CONF_WARNING, "CN=jim,O=Test,C=DE is no authority" },
		{ "SSLVerifyClient require\nSSLCACertificatePath @folder\n", SILENT, NULL },
		{ "SSLVerifyClient require\nSSLCACertificatePath @nothing\n", CONF_WARNING, "holds no certificate" },
		{ "SSLVerifyClient require\nSSLCACertificatePath @missing\n", CONF_ERROR, "there is no " },
		{ "SSLVerifyClient require\nSSLCACertificatePath @root.pem\n", CONF_ERROR, "a file is named by the directive that ends in File" },
		{ REQUIRE "SSLCADNRequestFile @missing.pem\n", CONF_ERROR, "line 6: SSLCADNRequestFile: " },
		{ REQUIRE "SSLCARevocationCheck leaf\n", CONF_ERROR, "no list of revoked certificates is named" },
		{ REQUIRE "SSLCARevocationFile @missing.crl\n", CONF_ERROR, "line 6: SSLCARevocationFile: " },
		{ REQUIRE "SSLCARevocationFile @root.crl\n", CONF_WARNING, "SSLCARevocationCheck is none: revoked certificates are let in" },
		{ LISTS("chain", "root.crl"), SILENT, NULL }, { LISTS("chain", "root.pem"), CONF_ERROR, "root.pem holds no list of revoked certificates" },
		{ LISTS("chain", "empty.pem"), CONF_ERROR, "is empty; it must hold lines from -----BEGIN X509 CRL-----" },
		{ LISTS("chain", "old.crl"), CONF_WARNING, "is out of date since 20" },
		{ LISTS("chain", "other.crl"), CONF_WARNING, "no authority of the host issued the list of revoked certificates of CN=other" },
		{ LISTS("chain", "false.crl"), CONF_WARNING, "was not signed by that authority's key: it does not count" },
		{ REQUIRE "SSLOCSPEnable on\n", SILENT, NULL }, { REQUIRE "SSLOCSPEnable on\nSSLOCSPOverrideResponder on\n", CONF_ERROR, "no SSLOCSPDefaultResponder is named" },
		{ REQUIRE "SSLOCSPEnable leaf\nSSLOCSPNoverify on\n", CONF_WARNING, "are believed unsigned" },
		{ REQUIRE "SSLOCSPEnable on\nSSLOCSPResponderCertificateFile @missing.pem\n", CONF_ERROR, "missing.pem" }, { REQUIRE "SSLOCSPEnable off\n", SILENT, NULL },
		{ "SSLOCSPEnable on\n", SILENT, NULL }, { "SSLVerifyClient none\nSSLCACertificateFile @missing.pem\n", CONF_ERROR, "line 5: SSLCACertificateFile: " },
	};

	(void)state;
	rig_write(rig_path("empty.pem"), "", 0);
	rig_write(rig_path("text.pem"), "hello\n", 6);
	rig_write(rig_path("broken.pem"), "a\nb\n-----BEGIN CERTIFICATE-----\nMIIBIjAN\n-----END CERTIFICATE-----\n", 66);
	append("withleaf.pem", "root.pem");
	append("withleaf.pem", "jim.pem");
	mkdir(rig_path("folder"), 0700);
	mkdir(rig_path("nothing"), 0700);
	append("folder/some.pem", "root.pem");
	append("folder/readme", "text.pem");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig_env *r = rig_env_new();
		char text[4096];
		struct tls_policy *p;
		enum conf_severity worst;

		snprintf(text, sizeof text, "SSLEngine on\nSSLCertificateFile %s/one.test.pem\nSSLCertificateKeyFile %s/one.test.key\n%s", rig_dir, rig_dir,
			 lines_of(rows[i].lines));
		p = rig_read(r, text, NULL);
		int result = r->errors ? -1 : rig_finish(r, p, "one.test");
		worst = r->errors ? CONF_ERROR : r->warnings ? CONF_WARNING : r->notices ? CONF_NOTICE : SILENT;
		if (worst != rows[i].worst || (result != 0) != (worst == CONF_ERROR) || (rows[i].words && !strstr(r->said, rows[i].words)))
			fail_msg("row %zu: %s: said \"%s\"", i, rows[i].lines, r->said);
		tls_policy_free(p);
		rig_env_free(r);
	}
}

/* Names as OpenSSL makes them: where there are some, files without them are not trusted. */
static void test_hashed_folder(void **state)
{
	static const struct { const char *client; bool in; } rows[] = { { "joe", true }, { "stranger", false } };

	(void)state;
	mkdir(rig_path("hashed"), 0700);
	append("hashed/12345678.0", "root.pem");
	append("hashed/other.pem", "other.pem");
	for (size_t i = 0; i < 2; i++) {
		struct tls_policy *p = rig_host(env, "one.test", "one.test", lines_of("SSLVerifyClient require\nSSLCACertificatePath @hashed\n"));
		struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
		struct rig *r;

		rig_client = rows[i].client;
		r = rig_new(&hosts, CLIENT12, "one.test");
		assert_int_equal(rig_run(r) == TLS_DONE, rows[i].in);
		rig_free(r);
		tls_policy_free(p);
	}
}

static void test_variables(void **state)
{
	static const struct { const char *name, *value; } rows[] = {
		{ "SSL_CLIENT_S_DN", "CN=joe,OU=One\\, Two,OU=Three,O=Test,C=DE" }, { "SSL_CLIENT_I_DN", "CN=root,O=Test,C=DE" },
		{ "SSL_CLIENT_S_DN_CN", "joe" }, { "SSL_CLIENT_S_DN_OU", "Three" }, { "SSL_CLIENT_S_DN_OU_1", "One, Two" }, { "SSL_CLIENT_S_DN_OU_2", "(absent)" },
		{ "SSL_CLIENT_S_DN_CN_RAW", "joe" }, { "SSL_CLIENT_S_DN_L", "(absent)" }, { "SSL_CLIENT_I_DN_CN", "root" }, { "SSL_CLIENT_M_VERSION", "3" },
		{ "SSL_CLIENT_SAN_Email_0", "joe@one.test" }, { "SSL_CLIENT_SAN_Email_1", "joe@two.test" }, { "SSL_CLIENT_SAN_DNS_0", "joe.test" },
		{ "SSL_CLIENT_SAN_OTHER_msUPN_0", "joe@upn.test" }, { "SSL_CLIENT_SAN_OTHER_msUPN_1", "(absent)" }, { "SSL_CLIENT_V_REMAIN", "3" },
		{ "SSL_CLIENT_A_KEY", "id-ecPublicKey" }, { "SSL_CLIENT_A_SIG", "ecdsa-with-SHA256" }, { "SSL_CLIENT_CERT_CHAIN_0", "(absent)" },
		{ "SSL_CLIENT_VERIFY", "SUCCESS" }, { "SSL_CLIENT_NONSENSE", "(absent)" },
	};
	struct tls_policy *p = rig_host(env, "one.test", "one.test", lines_of(DEPTH2));
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };
	gnutls_datum_t file;
	gnutls_x509_crt_t crt;
	unsigned char number[16];
	size_t n = sizeof number;
	char wanted[128];
	struct rig *r;

	(void)state;
	rig_client = "joe";
	r = rig_new(&hosts, CLIENT13, "one.test");
	assert_int_equal(rig_run(r), TLS_DONE);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rig_variable(r, arena, rows[i].name), rows[i].value) != 0)
			fail_msg("%s: %s", rows[i].name, rig_variable(r, arena, rows[i].name));
	tls_use_options(r->server, TLS_OPT_LEGACYDN);
	assert_string_equal(rig_variable(r, arena, "SSL_CLIENT_S_DN"), "/C=DE/O=Test/OU=Three/OU=One, Two/CN=joe");
	tls_use_options(r->server, 0);
	load_pair("joe", &crt, NULL);
	gnutls_x509_crt_get_serial(crt, number, &n);
	gnutls_x509_crt_deinit(crt);
	snprintf(wanted, sizeof wanted, "%02X%02X%02X%02X", number[0], number[1], number[2], number[3]);
	assert_string_equal(rig_variable(r, arena, "SSL_CLIENT_M_SERIAL"), wanted);
	snprintf(wanted, sizeof wanted, "{ serialNumber %u, issuer rdnSequence:\"CN=root,O=Test,C=DE\" }",
		 (unsigned)number[0] << 24 | (unsigned)number[1] << 16 | (unsigned)number[2] << 8 | number[3]);
	assert_string_equal(rig_variable(r, arena, "SSL_CLIENT_CERT_RFC4523_CEA"), wanted);
	assert_int_equal(gnutls_load_file(rig_path("joe.pem"), &file), 0);
	assert_string_equal(rig_variable(r, arena, "SSL_CLIENT_CERT"), (char *)file.data);
	gnutls_free(file.data);
	rig_free(r);
	rig_client = "deep";
	r = rig_new(&hosts, CLIENT12, "one.test");
	assert_int_equal(rig_run(r), TLS_DONE);
	assert_int_equal(gnutls_load_file(rig_path("inter.pem"), &file), 0);
	assert_string_equal(rig_variable(r, arena, "SSL_CLIENT_CERT_CHAIN_0"), (char *)file.data);
	assert_string_equal(rig_variable(r, arena, "SSL_CLIENT_CERT_CHAIN_1"), "(absent)");
	gnutls_free(file.data);
	rig_free(r);
	tls_policy_free(p);
}

static void test_covers(void **state)
{
	/* Whether a connection to the first may ask for the second, and the other way round. */
	static const struct { const char *a, *b; bool ab, ba; } rows[] = {
		{ "", "", true, true }, { REQUIRE, REQUIRE, true, true }, { "", REQUIRE, false, false }, { "", OPTIONAL, false, false },
		{ REQUIRE, OPTIONAL, true, false }, { OPTIONAL, NO_CA, false, false }, { REQUIRE, "SSLVerifyClient require\nSSLCACertificateFile @other.pem\n", false, false },
		{ REQUIRE, DEPTH2, false, false }, { LISTS("leaf", "root.crl"), LISTS("leaf", "clean.crl"), false, false },
		{ LISTS("leaf", "root.crl"), LISTS("chain", "root.crl"), false, false }, { REQUIRE, LISTS("leaf", "root.crl"), false, false },
		{ LISTS("leaf", "root.crl"), LISTS("leaf no_crl_for_cert_ok", "root.crl"), false, false },
		/* In another order, or twice: the same. */
		{ "SSLVerifyClient require\nSSLCACertificateFile @both.pem\n", "SSLVerifyClient require\nSSLCACertificateFile @root2.pem\nSSLCACertificatePath @folder\n", true, true },
		{ REQUIRE, REQUIRE "SSLCADNRequestFile @other.pem\n", true, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_policy *a = rig_host(env, "one.test", "one.test", lines_of(rows[i].a));
		struct tls_policy *b = rig_host(env, "one.test", "one.test", lines_of(rows[i].b));
		bool same = rows[i].ab && rows[i].ba;

		if (tls_policy_covers(a, b) != rows[i].ab || tls_policy_covers(b, a) != rows[i].ba)
			fail_msg("row %zu: %d %d", i, tls_policy_covers(a, b), tls_policy_covers(b, a));
		assert_int_equal(memcmp(a->label, b->label, 32) == 0, same);
		tls_policy_free(a);
		tls_policy_free(b);
	}
}

/* A section's own SSLVerifyClient, in a host that asks, and in one that does not. */
static void test_places(void **state)
{
	static const struct { int verify, depth; const char *client; bool refused; } rows[] = {
		{ TLS_VERIFY_REQUIRE, CONF_UNSET, NULL, true }, { TLS_VERIFY_REQUIRE, CONF_UNSET, "joe", false }, { TLS_VERIFY_REQUIRE, CONF_UNSET, "self", true },
		{ TLS_VERIFY_OPTIONAL, CONF_UNSET, NULL, false }, { TLS_VERIFY_OPTIONAL, CONF_UNSET, "self", true }, { TLS_VERIFY_NONE, CONF_UNSET, "self", false },
		{ CONF_UNSET, CONF_UNSET, NULL, false }, { TLS_VERIFY_OPTIONAL_NO_CA, CONF_UNSET, "self", false },
		{ TLS_VERIFY_REQUIRE, 1, "deep", true }, { TLS_VERIFY_REQUIRE, 2, "deep", false }, { TLS_VERIFY_OPTIONAL, 1, "deep", true }, { TLS_VERIFY_REQUIRE, 1, "joe", false },
		{ CONF_UNSET, 1, "deep", true }, { CONF_UNSET, 1, NULL, false }, { TLS_VERIFY_NONE, 1, "deep", false },
	};
	struct tls_policy *p = rig_host(env, "one.test", "one.test", lines_of(NO_CA "SSLVerifyDepth 3\n"));
	struct rig_hosts hosts = { .at = { { "one.test", p } }, .n = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_section s = { .verify = rows[i].verify, .depth = rows[i].depth };
		struct arena *a = arena_new(4096);
		const char *why = NULL;
		struct rig *r;

		rig_client = rows[i].client;
		r = rig_new(&hosts, CLIENT13, "one.test");
		assert_int_equal(rig_run(r), TLS_DONE);
		if ((tls_place_look(r->server, &s, a, &why) == TLS_PLACE_REFUSED) != rows[i].refused || (why != NULL) != rows[i].refused)
			fail_msg("row %zu", i);
		arena_free(a);
		/* A name is taken from what was found to be good alone. */
		s.user = "SSL_CLIENT_S_DN_CN";
		bool good = rows[i].client && strcmp(rows[i].client, "self") != 0;
		assert_int_equal(tls_place_user(r->server, &s) != NULL, good);
		rig_free(r);
	}
	tls_policy_free(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_who_is_let_in), T(test_files), T(test_hashed_folder), T(test_variables), T(test_covers), T(test_places),
	};
	int failed = cmocka_run_group_tests_name("tls/clientcert", tests, setup, rig_teardown);

	key_store_free(rig_keys);
	return failed;
}

/*
 * extension_test.c - what server/tls/extension.c and names.c make of a client's certificate that holds every kind of name, usage and string:
 * texts as OpenSSL prints them, and nothing where a text would lie.
 */
#include "authority.h"

static struct arena *arena;

#define RAW(crt, oid, der) assert_int_equal(gnutls_x509_crt_set_dn_by_oid(crt, oid, 1, der, sizeof der - 1), 0)
#define EXTENSION(crt, oid, der) assert_int_equal(gnutls_x509_crt_set_extension_by_oid(crt, oid, der, sizeof der - 1, 0), 0)
#define NAME(crt, kind, text) assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, kind, text, sizeof text - 1, GNUTLS_FSAN_APPEND), 0)

/* BMPString, UniversalString, T61String, UTF8String: the kinds that are no bytes of UTF-8 as they stand, and controls. */
static void strange_names(gnutls_x509_crt_t crt)
{
	RAW(crt, GNUTLS_OID_X520_LOCALITY_NAME, "\x1e\x08\x00K\x00\xf6\x20\xac\x00n");
	RAW(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, "\x1c\x08\x00\x00\x00\x41\x00\x01\xf6\x00");
	RAW(crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, "\x14\x03\x61\xe9\x62");
	RAW(crt, GNUTLS_OID_X520_COMMON_NAME, "\x0c\x07 a\tb,c ");
	RAW(crt, GNUTLS_OID_X520_TITLE, "\x0c\x05joe\0x");
}

static void all_kinds(gnutls_x509_crt_t crt)
{
	NAME(crt, GNUTLS_SAN_DNSNAME, "a.test,DNS:b.test");
	NAME(crt, GNUTLS_SAN_RFC822NAME, "joe@a.test");
	NAME(crt, GNUTLS_SAN_URI, "http://a.test/x");
	NAME(crt, GNUTLS_SAN_IPADDRESS, "\xc0\x00\x02\x07");
	NAME(crt, GNUTLS_SAN_IPADDRESS, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");
	NAME(crt, GNUTLS_SAN_REGISTERED_ID, "1.2.3.4");
	assert_int_equal(gnutls_x509_crt_set_subject_alt_othername(crt, "1.2.3", "\x0c\x01x", 3, GNUTLS_FSAN_APPEND), 0);
	gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_NON_REPUDIATION | GNUTLS_KEY_KEY_AGREEMENT | GNUTLS_KEY_DECIPHER_ONLY);
	gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_CLIENT, 0);
	gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_OCSP_SIGNING, 0);
	gnutls_x509_crt_set_key_purpose_oid(crt, "1.2.3.99", 0);
	EXTENSION(crt, "1.2.3.1", "\x0c\x05staff");
	EXTENSION(crt, "1.2.3.2", "\x1e\x06\x00\x41\x00\xe9\x20\xac");
	EXTENSION(crt, "1.2.3.3", "\x0c\x05a\0bcd");            /* a NUL inside */
	EXTENSION(crt, "1.2.3.4", "\x0c\x81\x04long");
	EXTENSION(crt, "1.2.3.5", "\x0c\x09short");             /* says more than there is */
	EXTENSION(crt, "1.2.3.6", "\x02\x01\x07");              /* a number */
	EXTENSION(crt, "1.2.3.7", "\x1e\x03\x00\x41\x00");      /* half a letter */
	EXTENSION(crt, "1.2.3.8", "\x1e\x02\x00\x00");
	EXTENSION(crt, "1.2.3.9", "\x0c\x85\x01\x01\x01\x01\x01");
	EXTENSION(crt, "1.2.3.10", "\x0c");
	EXTENSION(crt, "2.16.840.1.113730.1.13", "\x16\x02hi");
}

static void may_sign(gnutls_x509_crt_t crt)
{
	gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
}

static int setup(void **state)
{
	static const struct making all[] = {
		{ .name = "root", .ca = true }, { .name = "below", .issuer = "root", .ca = true, .path = 3, .more = may_sign },
		{ .name = "kinds", .issuer = "root", .more = all_kinds },
		{ .name = "strange", .issuer = "root", .dn = "C=DE", .more = strange_names },
	};
	struct err e = { 0 };

	if (rig_setup(state) != 0 || tls_init(&e) != 0)
		return -1;
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		make_certificate(&all[i]);
	arena = arena_new(0);
	return 0;
}

static int teardown(void **state)
{
	arena_free(arena);
	return rig_teardown(state);
}

static struct tls_policy *policy;

/* A connection of the client with that certificate. */
static struct rig *connected(struct rig_env *env, const char *client)
{
	static const struct tls_cache_settings none = { .timeout_s = 300 };
	struct rig_hosts hosts = { .n = 1 };
	struct rig *r;

	policy = rig_host(env, "one.test", "one.test", "SSLVerifyClient optional_no_ca\n");
	hosts.at[0] = (typeof(hosts.at[0])){ "one.test", policy };
	tls_child_init(NULL, &none);
	rig_client = client;
	r = rig_new(&hosts, CLIENT13, "one.test");
	if (rig_run(r) != TLS_DONE)
		fail_msg("%s: %s", client, tls_failure(r->server));
	return r;
}

static void ended(struct rig *r)
{
	rig_free(r);
	tls_policy_free(policy);
}

static void test_extensions(void **state)
{
	static const struct { const char *name, *text; } rows[] = {
		{ "subjectAltName", "DNS:a.test?DNS:b.test, email:joe@a.test, URI:http://a.test/x, IP Address:192.0.2.7, IP Address:2001:db8::1, Registered ID:1.2.3.4, "
		  "othername:<unsupported>" },
		{ "2.5.29.15", "Digital Signature, Non Repudiation, Key Agreement, Decipher Only" },
		{ "extendedKeyUsage", "TLS Web Client Authentication, OCSP Signing, 1.2.3.99" }, { "basicConstraints", "CA:FALSE" },
		{ "1.2.3.1", "staff" }, { "1.2.3.2", "A\xc3\xa9\xe2\x82\xac" }, { "1.2.3.3", NULL }, { "1.2.3.4", "long" }, { "1.2.3.5", NULL }, { "1.2.3.6", NULL },
		{ "1.2.3.7", NULL }, { "1.2.3.8", NULL }, { "1.2.3.9", NULL }, { "1.2.3.10", NULL }, { "nsComment", "hi" }, { "issuerAltName", NULL }, { "9.9.9", NULL },
	};
	struct rig_env *env = rig_env_new();
	struct rig *r = connected(env, "kinds");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct text t = tls_extension(r->server, rows[i].name, 0, arena);

		if (rows[i].text ? !text_is(t, rows[i].text) : t.p != NULL)
			fail_msg("%s: %.*s", rows[i].name, (int)t.n, t.p ? t.p : "(absent)");
		assert_null(tls_extension(r->server, rows[i].name, 1, arena).p);
	}
	ended(r);
	r = connected(env, "below");
	assert_true(text_is(tls_extension(r->server, "basicConstraints", 0, arena), "CA:TRUE, pathlen:3"));
	assert_true(text_is(tls_extension(r->server, "keyUsage", 0, arena), "Digital Signature, Certificate Sign, CRL Sign"));
	assert_null(tls_extension(r->server, "extendedKeyUsage", 0, arena).p);
	ended(r);
	rig_env_free(env);
}

static void test_names_in_other_strings(void **state)
{
	static const struct { const char *name, *value; } rows[] = {
		{ "SSL_CLIENT_S_DN_L", "K\xc3\xb6\xe2\x82\xacn" }, { "SSL_CLIENT_S_DN_O", "A\xf0\x9f\x98\x80" }, { "SSL_CLIENT_S_DN_OU", "a\xc3\xa9" "b" },
		{ "SSL_CLIENT_S_DN_CN", " a\\09b,c " }, { "SSL_CLIENT_S_DN_CN_RAW", " a\tb,c " }, { "SSL_CLIENT_S_DN_T", "joe\\00x" }, { "SSL_CLIENT_S_DN_T_RAW", "(absent)" },
		{ "SSL_CLIENT_S_DN", "title=joe\\00x,CN=\\ a\\09b\\,c\\ ,OU=a\\C3\\A9b,O=A\\F0\\9F\\98\\80,L=K\\C3\\B6\\E2\\82\\ACn,C=DE" },
		{ "SSL_CLIENT_S_DN_CN_x", "(absent)" }, { "SSL_CLIENT_S_DN_SP", "(absent)" },
	};
	struct rig_env *env = rig_env_new();
	struct rig *r = connected(env, "strange");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rig_variable(r, arena, rows[i].name), rows[i].value) != 0)
			fail_msg("%s: %s", rows[i].name, rig_variable(r, arena, rows[i].name));
	tls_use_options(r->server, TLS_OPT_LEGACYDN);
	assert_string_equal(rig_variable(r, arena, "SSL_CLIENT_S_DN"), "/C=DE/L=K\\xC3\\xB6\\xE2\\x82\\xACn/O=A\\xF0\\x9F\\x98\\x80/OU=a\\xC3\\xA9b/CN= a\\x09b,c /title=joe\\x00x");
	ended(r);
	rig_env_free(env);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_extensions), cmocka_unit_test(test_names_in_other_strings) };
	int failed = cmocka_run_group_tests_name("tls/extension", tests, setup, teardown);

	key_store_free(rig_keys);
	return failed;
}

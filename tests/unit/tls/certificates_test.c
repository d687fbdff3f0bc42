/*
 * certificates_test.c - a host's files of certificates and keys: which are taken, told and refused; how they are paired; where a
 * chain goes.
 */
#include "rig.h"

static struct rig_env *env;

static int setup(void **state)
{
	if (rig_setup(state) != 0)
		return -1;
	rig_certificate("one.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	rig_certificate("two.test", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1));
	rig_certificate("rsa.test", GNUTLS_PK_RSA, 2048);
	return 0;
}

static int each_setup(void **state)
{
	(void)state;
	env = rig_env_new();
	return 0;
}

static int each_teardown(void **state)
{
	(void)state;
	rig_env_free(env);
	return 0;
}

/* Lines with $ for the folder; what is reported. */
static int finish(struct rig_env *r, const char *lines, struct tls_policy **out)
{
	char text[4096];
	struct buf b;
	struct tls_policy *p;
	int done;

	buf_init(&b, text, sizeof text);
	for (const char *s = lines; *s; s++)
		if (*s == '$')
			buf_puts(&b, rig_dir);
		else
			buf_putc(&b, *s);
	p = rig_read(r, text, NULL);
	done = r->errors ? -1 : rig_finish(r, p, "one.test");
	if (out)
		*out = p;
	else
		tls_policy_free(p);
	return done;
}

#define PAIR(c, k) "SSLEngine on\nSSLCertificateFile $/" c "\nSSLCertificateKeyFile $/" k "\n"

static void test_finish(void **state)
{
	static const struct { const char *lines; int result; const char *words[3]; } rows[] = {
		{ "SSLEngine off", 0, { "" } }, { PAIR("one.test.pem", "one.test.key"), 0, { "" } },
		{ "SSLEngine on", -1, { "one.test", "no certificate", "SSLCertificateFile" } },
		{ PAIR("absent.pem", "one.test.key"), -1, { "absent.pem", "No such file", "line 2" } },
		{ PAIR("one.test.key", "one.test.key"), -1, { "one.test.key", "private key, but no certificate", "" } },
		{ PAIR("empty", "one.test.key"), -1, { "empty", "holds no certificate", "" } },
		{ PAIR("one.test.pem", "two.test.key"), -1, { "one.test.pem", "two.test.key", "do not match" } },
		{ PAIR("one.test.pem", "one.test.pem"), -1, { "one.test.pem holds no private key", "", "" } },
		/* The order of the lines does not matter, the public part does. */
		{ "SSLEngine on\nSSLCertificateFile $/one.test.pem\nSSLCertificateFile $/rsa.test.pem\nSSLCertificateKeyFile $/rsa.test.key\n"
		  "SSLCertificateKeyFile $/one.test.key", 0, { "" } },
		{ "SSLEngine on\nSSLCertificateFile $/both.pem", 0, { "" } },
		{ PAIR("rsa.test.pem", "rsa.test.key") "SSLCipherSuite ECDHE+ECDSA\nSSLProtocol TLSv1.2", -1, { "no suite", "RSA", "" } },
		{ PAIR("rsa.test.pem", "rsa.test.key") "SSLCipherSuite ECDHE+ECDSA", 0, { "no suite", "warning", "" } },
		{ PAIR("one.test.pem", "one.test.key") "SSLCertificateChainFile $/two.test.pem", 0, { "two.test.pem", "did not issue", "warning" } },
		{ PAIR("one.test.pem", "one.test.key") "SSLCertificateChainFile $/absent.pem", -1, { "absent.pem", "line 4", "" } },
		{ PAIR("one.test.pem", "open.key"), 0, { "open.key", "chmod 600", "warning" } },
		{ PAIR("one.test.pem", "pkcs8.enc"), -1, { "pkcs8.enc", "encrypted", "" } },
		{ PAIR("rsa.test.pem", "old.enc"), -1, { "old.enc", "encrypted", "" } },
	};
	char command[1024];

	(void)state;
	snprintf(command, sizeof command, "cd %s && : >empty && cat one.test.key one.test.pem two.test.pem >both.pem && chmod 600 both.pem && cp one.test.key open.key && chmod 644 open.key && "
		 "openssl pkcs8 -topk8 -v2 aes-256-cbc -in one.test.key -passout pass:x -out pkcs8.enc && "
		 "openssl rsa -traditional -in rsa.test.key -aes256 -passout pass:x -out old.enc 2>/dev/null", rig_dir);
	assert_int_equal(system(command), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig_env *r = rig_env_new();
		int result = finish(r, rows[i].lines, NULL);
		if (result != rows[i].result || (result != 0) != (r->errors > 0) || (!rows[i].words[0][0] && r->said[0]))
			fail_msg("row %zu: %d \"%s\"", i, result, r->said);
		for (int k = 0; k < 3; k++)
			if (rows[i].words[k] && !strstr(r->said, rows[i].words[k]))
				fail_msg("row %zu: \"%s\" lacks %s", i, r->said, rows[i].words[k]);
		rig_env_free(r);
	}
}

/* A chain file goes behind the certificate that its first one issued, once, and only there. */
static void test_chain_file(void **state)
{
	char command[1024];
	struct tls_policy *p;

	(void)state;
	snprintf(command, sizeof command, "cd %s && exec >/dev/null 2>&1; "
		 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -subj /CN=Authority -days 2 && "
		 "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf && "
		 "openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out leaf.pem && chmod 600 *.key && cat leaf.pem ca.pem >leaf2.pem", rig_dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(finish(env, PAIR("leaf.pem", "leaf.key") "SSLCertificateChainFile $/ca.pem\nSSLCertificateFile $/rsa.test.pem\n"
				"SSLCertificateKeyFile $/rsa.test.key", &p), 0);
	assert_string_equal(env->said, "");
	assert_int_equal(p->at[0].chain.n, 2);
	assert_int_equal(p->at[1].chain.n, 1);
	tls_policy_free(p);
	assert_int_equal(finish(env, PAIR("leaf2.pem", "leaf.key"), &p), 0);
	assert_int_equal(p->at[0].chain.n, 2);
	tls_policy_free(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, each_setup, each_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = { T(test_finish), T(test_chain_file) };
	int failed = cmocka_run_group_tests_name("tls/certificates", tests, setup, rig_teardown);

	key_store_free(rig_keys);
	return failed;
}

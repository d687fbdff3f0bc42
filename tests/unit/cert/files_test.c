/*
 * files_test.c - certificates and keys as files: what was made is read again and is what it should be; what cannot be read
 * is explained.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert/load.h"
#include "cert/make.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/certtest.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command) ? -1 : 0;
}

static const char *at(const char *name)
{
	static char paths[8][256];
	static unsigned n;
	char *p = paths[n++ % 8];

	snprintf(p, 256, "%s/%s", dir, name);
	return p;
}

static void shell(const char *words)
{
	char command[2048];

	snprintf(command, sizeof command, "cd %s && { %s; } >/dev/null 2>&1", dir, words);
	if (system(command) != 0)
		fail_msg("%s", words);
}

static int load_key(const char *name, gnutls_privkey_t *key, struct err *e)
{
	int fd = open(at(name), O_RDONLY), r;

	memset(e, 0, sizeof *e);
	assert_true(fd >= 0);
	r = cert_key_load(key, fd, name, e);
	assert_int_equal(lseek(fd, 0, SEEK_CUR) >= 0, 1);       /* borrowed */
	close(fd);
	return r;
}

static void make(const char *cert, const char *key)
{
	static const char *const names[] = { "localhost", "www.example.test", "127.0.0.1", "::1", NULL };
	struct err e = { 0 };

	if (cert_make_self_signed(at(cert), at(key), names, 30, &e) != 0)
		fail_msg("%s", e.text);
}

static void test_made(void **state)
{
	struct cert_chain c;
	struct err e = { 0 };
	gnutls_privkey_t key;
	unsigned char of_cert[32], of_key[32], serial[2][64];
	size_t n[2] = { 64, 64 };
	unsigned bits, usage, critical, ca;
	char oid[64], id[24];
	size_t oid_n = sizeof oid;
	struct stat st;
	time_t now = time(NULL);

	(void)state;
	umask(0);
	make("a.pem", "a.key");
	assert_int_equal(stat(at("a.key"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(at("a.pem"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(cert_chain_load(&c, at("a.pem"), &e), 0);
	assert_int_equal(c.n, 1);
	assert_int_equal(cert_algorithm(c.at[0], &bits), GNUTLS_PK_ECDSA);
	assert_int_equal(bits, 256);
	assert_int_equal(gnutls_x509_crt_get_version(c.at[0]), 3);
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = { "localhost", "www.example.test", "127.0.0.1", "::1" };
		assert_int_not_equal(gnutls_x509_crt_check_hostname(c.at[0], names[i]), 0);
	}
	assert_int_equal(gnutls_x509_crt_check_hostname(c.at[0], "example.test"), 0);
	assert_int_equal(gnutls_x509_crt_get_basic_constraints(c.at[0], NULL, &ca, NULL) >= 0 && ca == 0, 1);
	assert_int_equal(gnutls_x509_crt_get_key_usage(c.at[0], &usage, &critical), 0);
	assert_int_equal(usage, GNUTLS_KEY_DIGITAL_SIGNATURE);
	assert_int_equal(gnutls_x509_crt_get_key_purpose_oid(c.at[0], 0, oid, &oid_n, &critical), 0);
	assert_string_equal(oid, GNUTLS_KP_TLS_WWW_SERVER);
	assert_in_range(gnutls_x509_crt_get_activation_time(c.at[0]), now - 3700, now - 3500);
	assert_in_range(gnutls_x509_crt_get_expiration_time(c.at[0]), now + 30 * 86400 - 100, now + 30 * 86400 + 100);
	assert_int_not_equal(gnutls_x509_crt_check_issuer(c.at[0], c.at[0]), 0);
	gnutls_x509_crt_get_serial(c.at[0], serial[0], &n[0]);
	assert_int_equal(load_key("a.key", &key, &e), 0);
	assert_int_equal(cert_spki(c.at[0], of_cert), 0);
	assert_int_equal(cert_key_spki(key, of_key), 0);
	assert_memory_equal(of_cert, of_key, 32);
	assert_int_equal(strlen(cert_key_id_text(of_key, id)), 23);
	gnutls_privkey_deinit(key);
	cert_chain_free(&c);
	/* Made again over itself: another key, another serial, both whole. */
	make("a.pem", "a.key");
	assert_int_equal(cert_chain_load(&c, at("a.pem"), &e), 0);
	gnutls_x509_crt_get_serial(c.at[0], serial[1], &n[1]);
	assert_true(n[0] != n[1] || memcmp(serial[0], serial[1], n[0]));
	assert_int_equal(load_key("a.key", &key, &e), 0);
	cert_spki(c.at[0], of_cert);
	cert_key_spki(key, of_key);
	assert_memory_equal(of_cert, of_key, 32);
	gnutls_privkey_deinit(key);
	cert_chain_free(&c);
	shell("openssl x509 -in a.pem -noout -checkhost localhost && openssl verify -CAfile a.pem -purpose sslserver a.pem");
	shell("test $(ls | wc -l) -eq 2");              /* nothing temporary is left */
}

static void test_not_made(void **state)
{
	static const char *const names[] = { "localhost", NULL }, *const none[] = { NULL };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(cert_make_self_signed(at("no/a.pem"), at("no/a.key"), names, 30, &e), -1);
	assert_non_null(strstr(e.text, "no/a.key"));
	assert_true(e.remedy[0]);
	/* Half a success leaves nothing behind. */
	memset(&e, 0, sizeof e);
	assert_int_equal(cert_make_self_signed(at("no/a.pem"), at("half.key"), names, 30, &e), -1);
	assert_int_equal(access(at("half.key"), F_OK), -1);
	assert_int_equal(cert_make_self_signed(at("b.pem"), at("b.key"), none, 30, NULL), -1);
	assert_int_equal(cert_make_self_signed(at("b.pem"), at("b.key"), names, 0, NULL), -1);
}

static void test_chains(void **state)
{
	struct cert_chain c;
	struct err e = { 0 };

	(void)state;
	make("a.pem", "a.key");
	make("b.pem", "b.key");
	shell("cat a.key a.pem b.pem >all.pem; openssl x509 -in a.pem -outform der -out a.der; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do cat a.pem; done >many.pem");
	assert_int_equal(cert_chain_load(&c, at("all.pem"), &e), 0);
	assert_int_equal(c.n, 2);
	assert_int_equal(cert_chain_append(&c, at("b.pem"), &e), 0);
	assert_int_equal(c.n, 3);
	cert_chain_free(&c);
	assert_int_equal(c.n, 0);
	assert_int_equal(cert_chain_load(&c, at("a.der"), &e), 0);
	assert_int_equal(c.n, 1);
	cert_chain_free(&c);
	assert_int_equal(cert_chain_load(&c, at("many.pem"), &e), -1);
	assert_non_null(strstr(e.text, "more than 16"));
	cert_chain_free(&c);
}

static void test_bad_certificates(void **state)
{
	static const struct { const char *make, *words; } rows[] = {
		{ "rm -f x", "No such file" }, { ": >x", "holds no certificate: it is empty" },
		{ "openssl req -new -key a.key -subj /CN=x -out x", "but a request for one (CSR)" },
		{ "openssl pkcs12 -export -inkey a.key -in a.pem -passout pass:x -out x", "is PKCS#12" }, { "cp a.key x", "private key, but no certificate" },
		{ "echo nonsense >x", "cannot be read" }, { "(echo -----BEGIN CERTIFICATE-----; echo QUJD; echo -----END CERTIFICATE-----) >x", "cannot be read" },
		{ "head -c 2000000 /dev/zero >x", "longer than" }, { "rm -f x; mkdir x", "cannot be" },
		{ "rmdir x; mkfifo x", "holds no certificate" },
	};

	(void)state;
	make("a.pem", "a.key");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct cert_chain c;
		struct err e = { 0 };
		shell(rows[i].make);
		alarm(10);                      /* a pipe that nobody writes to must not be waited for */
		assert_int_equal(cert_chain_load(&c, at("x"), &e), -1);
		alarm(0);
		if (!strstr(e.text, rows[i].words) || !strstr(e.text, "/x"))
			fail_msg("%s: %s", rows[i].make, e.text);
		assert_int_equal(c.n, 0);
	}
	shell("rm x");
}

static void test_keys(void **state)
{
	static const struct { const char *make, *words; gnutls_pk_algorithm_t kind; } rows[] = {
		{ "openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out k", NULL, GNUTLS_PK_RSA },
		{ "openssl rsa -in k -traditional -out k2; mv k2 k", NULL, GNUTLS_PK_RSA },
		{ "openssl ecparam -name prime256v1 -genkey -out k", NULL, GNUTLS_PK_ECDSA },           /* with EC PARAMETERS in front */
		{ "openssl ecparam -name secp384r1 -genkey -noout -out k", NULL, GNUTLS_PK_ECDSA },
		{ "openssl genpkey -algorithm ed25519 -out k", NULL, GNUTLS_PK_EDDSA_ED25519 },
		{ "openssl pkcs8 -topk8 -nocrypt -in a.key -outform der -out k", NULL, GNUTLS_PK_ECDSA },
		{ "cat a.pem a.key a.pem >k", NULL, GNUTLS_PK_ECDSA }, { "cat a.key a.pem >k", NULL, GNUTLS_PK_ECDSA },
		{ "openssl pkcs8 -topk8 -v2 aes-256-cbc -in a.key -passout pass:x -out k", "encrypted", 0 },
		{ "openssl ec -in a.key -aes256 -passout pass:x -out k", "encrypted", 0 },
		{ "openssl pkcs8 -topk8 -v2 aes-256-cbc -in a.key -passout pass:x -outform der -out k", "", 0 },
		{ "cp a.pem k", "holds no private key", 0 }, { ": >k", "holds no private key", 0 }, { "echo nonsense >k", "cannot be read", 0 },
		{ "(echo -----BEGIN PRIVATE KEY-----; echo QUJD; echo -----END PRIVATE KEY-----) >k", "cannot be read", 0 },
		{ "head -c 2000000 /dev/zero >k", "longer than", 0 },
	};

	(void)state;
	make("a.pem", "a.key");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gnutls_privkey_t key;
		struct err e;
		shell(rows[i].make);
		if (load_key("k", &key, &e) == 0) {
			if (rows[i].words || gnutls_privkey_get_pk_algorithm(key, NULL) != (int)rows[i].kind)
				fail_msg("%s", rows[i].make);
			gnutls_privkey_deinit(key);
		} else if (!rows[i].words || !strstr(e.text, rows[i].words) || !strstr(e.text, "k") || (!e.remedy[0] && !strstr(e.text, "longer"))) {
			fail_msg("%s: %s; %s", rows[i].make, e.text, e.remedy);
		}
	}
}

static void test_phrases(void **state)
{
	static const struct { const char *make, *phrases; size_t n; int result; } rows[] = {
		{ "openssl pkcs8 -topk8 -v2 aes-256-cbc -in a.key -passout pass:x -out k", "x", 2, 0 },
		{ NULL, "wrong\0x", 8, 0 }, { NULL, "wrong\0", 7, CERT_KEY_LOCKED }, { NULL, "X", 2, CERT_KEY_LOCKED }, { NULL, "", 1, CERT_KEY_LOCKED },
		{ NULL, NULL, 0, CERT_KEY_LOCKED },
		{ "openssl pkcs8 -topk8 -v2 aes-256-cbc -in a.key -passout pass:x -outform der -out k", "wrong\0x", 8, 0 }, { NULL, "y", 2, CERT_KEY_LOCKED },
		{ "openssl ec -in a.key -aes256 -passout 'pass:two words' -out k", "two words", 10, 0 }, { NULL, "wrong\0also\0two words", 21, 0 },
		{ NULL, "two", 4, CERT_KEY_LOCKED }, { NULL, NULL, 0, CERT_KEY_LOCKED },
		{ "openssl ec -in a.key -des3 -passout pass:x -out k", "x", 2, 0 },
		{ "cp a.key k", "x", 2, 0 }, { "cp a.pem k", "x", 2, -1 },
	};

	(void)state;
	make("a.pem", "a.key");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		gnutls_privkey_t key;
		struct err e = { .text = "" };
		int fd, r;

		if (rows[i].make)
			shell(rows[i].make);
		fd = open(at("k"), O_RDONLY);
		r = cert_key_load_with(&key, fd, "k", rows[i].phrases, rows[i].n, &e);
		if (r != rows[i].result || (r != 0 && (!e.text[0] || !e.remedy[0])) || (r == CERT_KEY_LOCKED && !strstr(e.text, "encrypted")))
			fail_msg("row %zu: %d, %s", i, r, e.text);
		if (r == 0)
			gnutls_privkey_deinit(key);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made), cmocka_unit_test(test_not_made), cmocka_unit_test(test_chains), cmocka_unit_test(test_bad_certificates),
		cmocka_unit_test(test_keys), cmocka_unit_test(test_phrases),
	};
	return cmocka_run_group_tests_name("cert/files", tests, setup, teardown);
}

/*
 * ocsp_test.c - requests and answers against each other's source: answers come from openssl ocsp, run in a folder of the test's
 * own; then each byte of a good one is turned over.
 */
#include <gnutls/gnutls.h>
#include <gnutls/ocsp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "cert/ocsp.h"

static char dir[64];
static gnutls_x509_crt_t ca, leaf, other;
static gnutls_datum_t good, revoked;

static const char script[] =
	"cd %s && exec >log 2>&1 && set -e\n"
	"new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
	"openssl req -x509 $new -subj /CN=CA -days 9 -keyout ca.key -out ca.pem\n"
	"printf 'authorityInfoAccess=caIssuers;URI:http://x/ca,OCSP;URI:http://ocsp.example/q\\ntlsfeature=status_request\\n' >ext\n"
	"for n in leaf other; do\n"
	"openssl req $new -subj /CN=$n -keyout $n.key -out $n.csr\n"
	"[ $n = leaf ] && e='-extfile ext' || e=\n"
	"openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -set_serial 0x1234$([ $n = leaf ] && echo 56 || echo 57) -days 9 $e -out $n.pem\n"
	"done\n"
	"openssl ocsp -issuer ca.pem -cert leaf.pem -no_nonce -reqout req\n"
	"printf 'V\\t391231235959Z\\t\\t123456\\tunknown\\t/CN=leaf\\n' >index\n"
	"openssl ocsp -index index -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin req -respout good -ndays 2\n"
	"printf 'R\\t391231235959Z\\t200101000000Z\\t123456\\tunknown\\t/CN=leaf\\n' >index\n"
	"openssl ocsp -index index -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin req -respout revoked -ndays 2\n";

static gnutls_datum_t file(const char *name)
{
	gnutls_datum_t d = { 0 };
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(gnutls_load_file(path, &d), 0);
	return d;
}

static gnutls_x509_crt_t certificate(const char *name)
{
	gnutls_datum_t d = file(name);
	gnutls_x509_crt_t crt;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM), 0);
	gnutls_free(d.data);
	return crt;
}

static int setup(void **state)
{
	char command[4096];

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/ocsp-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof command, script, dir);
	assert_int_equal(system(command), 0);
	ca = certificate("ca.pem");
	leaf = certificate("leaf.pem");
	other = certificate("other.pem");
	good = file("good");
	revoked = file("revoked");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	gnutls_x509_crt_deinit(ca);
	gnutls_x509_crt_deinit(leaf);
	gnutls_x509_crt_deinit(other);
	gnutls_free(good.data);
	gnutls_free(revoked.data);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static void test_request_is_openssls(void **state)
{
	gnutls_datum_t mine, theirs = file("req");

	(void)state;
	assert_int_equal(ocsp_request(leaf, ca, false, &mine), 0);
	assert_int_equal(mine.size, theirs.size);
	assert_memory_equal(mine.data, theirs.data, mine.size);
	gnutls_free(mine.data);
	gnutls_free(theirs.data);
}

static enum ocsp_verdict check(const gnutls_datum_t *answer, gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer, long long later, long long max_age,
			       const char *words)
{
	struct ocsp_limits l = { .now = time(NULL) + later, .max_age = max_age, .skew = 300 };
	struct ocsp_times t = { 0 };
	struct err e = { .text = "" };
	enum ocsp_verdict v = ocsp_check(answer, crt, issuer, &l, &t, &e);

	if (words)
		assert_non_null(strstr(e.text, words));
	else
		assert_true(t.this_update > l.now - 3600 && t.next_update > t.this_update);
	return v;
}

static void test_verdicts(void **state)
{
	static unsigned char later[] = { 0x30, 3, 0x0a, 1, 3 }, none[] = "x";
	gnutls_datum_t try_later = { later, sizeof later }, rubbish = { none, 1 }, empty = { none, 0 };

	(void)state;
	assert_int_equal(check(&good, leaf, ca, 0, -1, NULL), OCSP_GOOD);
	assert_int_equal(check(&revoked, leaf, ca, 0, -1, NULL), OCSP_REVOKED);
	assert_int_equal(check(&good, other, ca, 0, -1, "another certificate"), OCSP_BAD);
	assert_int_equal(check(&good, leaf, other, 0, -1, "not signed"), OCSP_BAD);
	assert_int_equal(check(&good, leaf, ca, 3 * 86400, -1, "expired"), OCSP_BAD);
	assert_int_equal(check(&good, leaf, ca, -86400, -1, "not yet valid"), OCSP_BAD);
	assert_int_equal(check(&good, leaf, ca, 7200, 3600, "older"), OCSP_BAD);
	assert_int_equal(check(&try_later, leaf, ca, 0, -1, "tryLater"), OCSP_ERROR);
	assert_int_equal(check(&rubbish, leaf, ca, 0, -1, "no OCSP answer"), OCSP_BAD);
	assert_int_equal(check(&empty, leaf, ca, 0, -1, "no OCSP answer"), OCSP_BAD);
}

/* Whatever byte is turned over or cut off: never another word about the certificate. */
static void test_forgeries(void **state)
{
	struct ocsp_limits l = { .now = time(NULL), .max_age = -1, .skew = 300 };
	gnutls_datum_t d = { malloc(revoked.size), revoked.size };
	struct ocsp_times t;

	(void)state;
	for (unsigned i = 0; i < revoked.size; i++) {
		struct err e = { .text = "" };
		enum ocsp_verdict v;

		memcpy(d.data, revoked.data, revoked.size);
		d.data[i] ^= 1;
		v = ocsp_check(&d, leaf, ca, &l, &t, &e);
		assert_true(v == OCSP_BAD || v == OCSP_ERROR || v == OCSP_REVOKED);
		d.size = i;
		memcpy(d.data, revoked.data, revoked.size);
		assert_true(ocsp_check(&d, leaf, ca, &l, &t, &e) < 0);
		d.size = revoked.size;
	}
	free(d.data);
}

static void test_what_certificates_say(void **state)
{
	char url[64];

	(void)state;
	assert_int_equal(ocsp_url(leaf, url, sizeof url), 0);
	assert_string_equal(url, "http://ocsp.example/q");
	assert_int_equal(ocsp_url(leaf, url, 8), -1);
	assert_int_equal(ocsp_url(other, url, sizeof url), -1);
	assert_true(ocsp_must_staple(leaf));
	assert_false(ocsp_must_staple(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_is_openssls),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_forgeries),
		cmocka_unit_test(test_what_certificates_say),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

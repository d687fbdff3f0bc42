/*
 * authority.h - what the tests of clients' certificates share: authorities, certificates of any kind signed by them, lists of
 * revoked ones, all made on the spot with GnuTLS.
 */
#ifndef BULKHEAD_TESTS_TLS_AUTHORITY_H
#define BULKHEAD_TESTS_TLS_AUTHORITY_H

#include "rig.h"

struct making {
	const char *name, *issuer;      /* issuer NULL: self-signed */
	const char *dn;                 /* NULL: CN=name,O=Test,C=DE */
	bool ca;
	int path;                       /* basicConstraints' length; 0 = none is written, -1 = 0 */
	long from, to;                  /* seconds from now; both 0: a minute ago to a day from now */
	const char *purpose;            /* an extended key usage; NULL: none */
	bool names;                     /* alternative names of all kinds */
	void (*more)(gnutls_x509_crt_t crt);    /* adds what else it holds; NULL: nothing */
	const char *chain;              /* NAME.pem of that one behind it in the file */
};

static UNUSED void load_pair(const char *name, gnutls_x509_crt_t *crt, gnutls_x509_privkey_t *key)
{
	char file[64];
	gnutls_datum_t data;

	snprintf(file, sizeof file, "%s.pem", name);
	assert_int_equal(gnutls_load_file(rig_path(file), &data), 0);
	gnutls_x509_crt_init(crt);
	assert_int_equal(gnutls_x509_crt_import(*crt, &data, GNUTLS_X509_FMT_PEM), 0);
	gnutls_free(data.data);
	if (!key)
		return;
	snprintf(file, sizeof file, "%s.key", name);
	assert_int_equal(gnutls_load_file(rig_path(file), &data), 0);
	gnutls_x509_privkey_init(key);
	assert_int_equal(gnutls_x509_privkey_import(*key, &data, GNUTLS_X509_FMT_PEM), 0);
	gnutls_free(data.data);
}

static UNUSED void append(const char *to, const char *from)
{
	gnutls_datum_t data;
	FILE *f = fopen(rig_path(to), "a");

	assert_non_null(f);
	assert_int_equal(gnutls_load_file(rig_path(from), &data), 0);
	assert_int_equal(fwrite(data.data, 1, data.size, f), data.size);
	gnutls_free(data.data);
	fclose(f);
}

static void add_names(gnutls_x509_crt_t crt)
{
	/* UTF8String "joe@upn.test" */
	static const char upn[] = "\x0c\x0cjoe@upn.test";

	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_RFC822NAME, "joe@one.test", 12, GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "joe.test", 8, GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_RFC822NAME, "joe@two.test", 12, GNUTLS_FSAN_APPEND);
	assert_int_equal(gnutls_x509_crt_set_subject_alt_othername(crt, "1.3.6.1.4.1.311.20.2.3", upn, sizeof upn - 1, GNUTLS_FSAN_APPEND), 0);
}

/* NAME.pem and NAME.key in rig_dir. */
static UNUSED void make_certificate(const struct making *m)
{
	static unsigned serial;
	gnutls_x509_privkey_t key, issuer_key;
	gnutls_x509_crt_t crt, issuer;
	gnutls_datum_t out;
	char file[64], dn[128];
	unsigned char number[4] = { 1, 2, 0, 0 };
	int path = m->path < 0 ? 0 : m->path ? m->path : -1;

	number[2] = (unsigned char)(++serial >> 8);
	number[3] = (unsigned char)serial;
	snprintf(dn, sizeof dn, "CN=%s,O=Test,C=DE", m->name);
	gnutls_x509_privkey_init(&key);
	gnutls_x509_crt_init(&crt);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, number, sizeof number);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) + (m->from || m->to ? m->from : -60));
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + (m->from || m->to ? m->to : 86400));
	assert_int_equal(gnutls_x509_crt_set_dn(crt, m->dn ? m->dn : dn, NULL), 0);
	gnutls_x509_crt_set_basic_constraints(crt, m->ca, m->ca ? path : -1);
	if (m->ca)
		gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
	if (m->purpose)
		gnutls_x509_crt_set_key_purpose_oid(crt, m->purpose, 0);
	if (m->names)
		add_names(crt);
	if (m->more)
		m->more(crt);
	gnutls_x509_crt_set_key(crt, key);
	if (m->issuer) {
		load_pair(m->issuer, &issuer, &issuer_key);
		assert_int_equal(gnutls_x509_crt_sign2(crt, issuer, issuer_key, GNUTLS_DIG_SHA256, 0), 0);
		gnutls_x509_crt_deinit(issuer);
		gnutls_x509_privkey_deinit(issuer_key);
	} else {
		assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	}
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out), 0);
	snprintf(file, sizeof file, "%s.pem", m->name);
	rig_write(rig_path(file), out.data, out.size);
	gnutls_free(out.data);
	if (m->chain) {
		char from[64];
		snprintf(from, sizeof from, "%s.pem", m->chain);
		append(file, from);
	}
	assert_int_equal(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &out), 0);
	snprintf(file, sizeof file, "%s.key", m->name);
	rig_write(rig_path(file), out.data, out.size);
	gnutls_free(out.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

/* FILE in rig_dir: a list of the issuer, which names the certificate `revoked` (NULL: none). */
static UNUSED void make_list(const char *file, const char *issuer, const char *revoked, long from, long to)
{
	static unsigned char number[1];
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t ca, crt;
	gnutls_x509_crl_t crl;
	gnutls_datum_t out;

	load_pair(issuer, &ca, &key);
	gnutls_x509_crl_init(&crl);
	gnutls_x509_crl_set_version(crl, 2);
	gnutls_x509_crl_set_this_update(crl, time(NULL) + from);
	gnutls_x509_crl_set_next_update(crl, time(NULL) + to);
	number[0]++;
	gnutls_x509_crl_set_number(crl, number, 1);
	if (revoked) {
		load_pair(revoked, &crt, NULL);
		assert_int_equal(gnutls_x509_crl_set_crt(crl, crt, time(NULL)), 0);
		gnutls_x509_crt_deinit(crt);
	}
	assert_int_equal(gnutls_x509_crl_sign2(crl, ca, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &out), 0);
	rig_write(rig_path(file), out.data, out.size);
	gnutls_free(out.data);
	gnutls_x509_crl_deinit(crl);
	gnutls_x509_crt_deinit(ca);
	gnutls_x509_privkey_deinit(key);
}

#endif

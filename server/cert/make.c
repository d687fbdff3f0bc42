/*
 * make.c - makes keys and certificates. Runs in the master before it forks (the first start's certificate) and in tools.
 */
#include "cert/make.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cert/write.h"

#define HOUR 3600
#define DAY ((time_t)24 * HOUR)

/* The key first: a certificate whose key is not there yet would be refused, a key without certificate is made anew. */
static int write_both(const char *cert_path, const gnutls_datum_t *cert, const char *key_path,
		      const gnutls_datum_t *key, struct err *e)
{
	char new_cert[CERT_PATH] = "", new_key[CERT_PATH] = "";
	int r = -1;

	if (cert_write_beside(key_path, new_key, 0600, NULL, key, e) != 0
	    || cert_write_beside(cert_path, new_cert, 0644, NULL, cert, e) != 0)
		goto out;
	/* A certificate of an earlier key would stand beside the new key for a moment: away with it. */
	if (unlink(cert_path) != 0 && errno != ENOENT) {
		err_sys(e, "the old %s cannot be removed", cert_path);
		goto out;
	}
	if (cert_write_publish(key_path, new_key, e) == 0 && cert_write_publish(cert_path, new_cert, e) == 0)
		r = 0;
out:
	cert_write_drop(new_key);
	cert_write_drop(new_cert);
	return r;
}

/* ------------------------------------------------------------------------------------------------ the certificate */

static int set_name(gnutls_x509_crt_t crt, const char *name)
{
	unsigned char ip[16];

	if (inet_pton(AF_INET, name, ip) == 1)
		return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, 4,
							    GNUTLS_FSAN_APPEND);
	if (inet_pton(AF_INET6, name, ip) == 1)
		return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, 16,
							    GNUTLS_FSAN_APPEND);
	return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name),
						    GNUTLS_FSAN_APPEND);
}

/* Positive, and random, so that two certificates of one name never share a serial. */
int cert_set_serial(gnutls_x509_crt_t crt)
{
	unsigned char serial[20];
	int r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);

	if (r < 0)
		return r;
	serial[0] = (unsigned char)((serial[0] & 0x3f) | 0x40);
	return gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
}

int cert_set_key_id(gnutls_x509_crt_t crt)
{
	unsigned char id[32];
	size_t n = sizeof id;
	int r = gnutls_x509_crt_get_key_id(crt, 0, id, &n);

	return r < 0 ? r : gnutls_x509_crt_set_subject_key_id(crt, id, n);
}

static int fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *const *names, unsigned days)
{
	time_t now = time(NULL);
	int r;

	if ((r = gnutls_x509_crt_set_version(crt, 3)) < 0 || (r = cert_set_serial(crt)) < 0
	    || (r = gnutls_x509_crt_set_activation_time(crt, now - HOUR)) < 0 /* clocks differ */
	    || (r = gnutls_x509_crt_set_expiration_time(crt, now + (time_t)days * DAY)) < 0
	    || (r = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, names[0],
						  (unsigned)strlen(names[0])))
		       < 0
	    || (r = gnutls_x509_crt_set_key(crt, key)) < 0)
		return r;
	for (const char *const *name = names; *name; name++)
		if ((r = set_name(crt, *name)) < 0)
			return r;
	if ((r = gnutls_x509_crt_set_basic_constraints(crt, 0, -1)) < 0
	    || (r = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0
	    || (r = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0)) < 0
	    || (r = cert_set_key_id(crt)) < 0)
		return r;
	return gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
}

int cert_make_self_signed(const char *cert_path, const char *key_path, const char *const *names,
			  unsigned days, struct err *e)
{
	gnutls_datum_t cert_pem = { 0 }, key_pem = { 0 };
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t crt = NULL;
	int r, result = -1;

	if (!names[0] || days == 0)
		return err_set(e, "a certificate needs a name and a time to live");
	if ((r = gnutls_x509_privkey_init(&key)) < 0 || (r = gnutls_x509_crt_init(&crt)) < 0
	    || (r = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
						 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0))
		       < 0
	    || (r = fill(crt, key, names, days)) < 0
	    || (r = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &cert_pem)) < 0
	    || (r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
						      &key_pem))
		       < 0)
		err_set(e, "the certificate for %s cannot be made: %s", names[0], gnutls_strerror(r));
	else
		result = write_both(cert_path, &cert_pem, key_path, &key_pem, e);
	if (key_pem.data)
		gnutls_memset(key_pem.data, 0, key_pem.size);
	gnutls_free(key_pem.data);
	gnutls_free(cert_pem.data);
	if (crt)
		gnutls_x509_crt_deinit(crt);
	if (key)
		gnutls_x509_privkey_deinit(key);
	return result;
}

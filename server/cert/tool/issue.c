/*
 * issue.c - how bulkhead-cert issues certificates: what it puts into them, by its own choice and never copied from a
 * request, and when an authority may sign.
 */
#include <gnutls/x509-ext.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "cert/make.h"
#include "cert/tool/tool.h"

#define HOUR 3600
#define DAY ((time_t)24 * HOUR)

/* ------------------------------------------------------------------------------------------------------- authority */

static int may_sign(const struct authority *a, const struct issue *i, struct err *e)
{
	unsigned ca = 0, usage = 0;
	int length = -1;

	if (gnutls_x509_crt_get_basic_constraints(a->crt, NULL, &ca, &length) < 0 || !ca) {
		err_set(e, "%s is no authority's certificate: it may sign nothing", i->ca);
		return err_remedy(e, "make an authority: bulkhead-cert ca 'NAME'");
	}
	if (gnutls_x509_crt_get_key_usage(a->crt, &usage, NULL) >= 0 && !(usage & GNUTLS_KEY_KEY_CERT_SIGN))
		return err_set(e, "the key of %s may not sign certificates (key usage)", i->ca);
	if (gnutls_x509_crt_get_expiration_time(a->crt) <= time(NULL)) {
		err_set(e, "the authority in %s has expired", i->ca);
		return err_remedy(
			e, "give it a new certificate for its key: bulkhead-cert ca --use-key %s 'NAME'",
			i->ca_key);
	}
	if (i->authority && length >= 0 && i->path_length >= length) {
		err_set(e, "%s has path length %d: no authority of path length %d may stand below it", i->ca,
			length, i->path_length);
		if (length)
			return err_remedy(e, "say --path-length %d", length - 1);
		return err_remedy(e, "make it with room below: bulkhead-cert ca --path-length 1 'NAME'");
	}
	return 0;
}

static int same_key(const struct authority *a, const struct issue *i, struct err *e)
{
	unsigned char certificate[32], key[32];
	char x[24], y[24];

	if (cert_spki(a->crt, certificate) < 0 || cert_key_spki(a->key, key) < 0)
		return err_set(e, "the public key of %s cannot be read", i->ca);
	if (memcmp(certificate, key, 32) == 0)
		return 0;
	err_set(e, "%s (key id %s) and %s (key id %s) do not belong together", i->ca,
		cert_key_id_text(certificate, x), i->ca_key, cert_key_id_text(key, y));
	return err_remedy(e, "name the authority's own key by --ca-key");
}

int authority_open(struct authority *a, const struct issue *i, struct phrase *p, struct err *e)
{
	struct item *crt, *key;

	*a = (struct authority){ 0 };
	if (items_read(&a->certificates, i->ca, NULL, e) != 0
	    || !(crt = items_want(&a->certificates, ITEM_CERT, e))
	    || items_read(&a->keys, i->ca_key, p, e) != 0 || !(key = items_want(&a->keys, ITEM_KEY, e)))
		return -1;
	a->crt = crt->crt;
	if (gnutls_privkey_init(&a->key) < 0
	    || gnutls_privkey_import_x509(a->key, key->key, GNUTLS_PRIVKEY_IMPORT_COPY) < 0)
		return err_set(e, "the authority's key in %s cannot be used", i->ca_key);
	return same_key(a, i, e) != 0 || may_sign(a, i, e) != 0 ? -1 : 0;
}

void authority_close(struct authority *a)
{
	if (a->key)
		gnutls_privkey_deinit(a->key);
	items_free(&a->certificates);
	items_free(&a->keys);
}

int authority_chain(const struct authority *a, struct output *o)
{
	int r = 0;

	for (unsigned i = 0; i < a->certificates.n && r >= 0; i++) {
		const struct item *it = &a->certificates.at[i];
		if (it->kind == ITEM_CERT && !gnutls_x509_crt_check_issuer(it->crt, it->crt))
			r = output_add_item(o, it, NULL);
	}
	return r;
}

/* ----------------------------------------------------------------------------------------------------- extensions */

static int set_staple(gnutls_x509_crt_t crt)
{
	gnutls_x509_tlsfeatures_t features;
	int r = gnutls_x509_tlsfeatures_init(&features);

	if (r < 0)
		return r;
	if ((r = gnutls_x509_tlsfeatures_add(features, 5)) >= 0)        /* status_request */
		r = gnutls_x509_crt_set_tlsfeatures(crt, features);
	gnutls_x509_tlsfeatures_deinit(features);
	return r;
}

static int set_url(gnutls_x509_crt_t crt, int what, const char *url)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)url, url ? (unsigned)strlen(url) : 0 };

	return url ? gnutls_x509_crt_set_authority_info_access(crt, what, &d) : 0;
}

/* RFC 5280, 4.2.1.3: only what the key is for. RSA keys also decrypt where a client of TLS 1.2 wants it so. */
static unsigned usage_of(gnutls_x509_crt_t crt, const struct issue *i)
{
	if (i->authority)
		return GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN;
	return GNUTLS_KEY_DIGITAL_SIGNATURE
	       | (gnutls_x509_crt_get_pk_algorithm(crt, NULL) == GNUTLS_PK_RSA && !i->client
			  ? GNUTLS_KEY_KEY_ENCIPHERMENT
			  : 0);
}

static int set_issuer_key(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer)
{
	unsigned char id[64];
	size_t n = sizeof id;

	if (gnutls_x509_crt_get_subject_key_id(issuer, id, &n, NULL) < 0)
		return 0;
	return gnutls_x509_crt_set_authority_key_id(crt, id, n);
}

static int set_time(gnutls_x509_crt_t crt, const struct issue *i, const struct authority *a)
{
	time_t now = time(NULL), end = now + (time_t)i->days * DAY;
	time_t last = a ? gnutls_x509_crt_get_expiration_time(a->crt) : end;
	int r = gnutls_x509_crt_set_activation_time(crt, now - HOUR);   /* clocks differ */

	if (end > last) {
		tool_note("it ends with its authority, in %ld days", (long)((last - now) / DAY));
		end = last;
	}
	return r < 0 ? r : gnutls_x509_crt_set_expiration_time(crt, end);
}

static int fill(gnutls_x509_crt_t crt, const struct issue *i, const struct authority *a)
{
	int r;

	if ((r = gnutls_x509_crt_set_version(crt, 3)) < 0 || (r = cert_set_serial(crt)) < 0
	    || (r = set_time(crt, i, a)) < 0
	    || (r = gnutls_x509_crt_set_basic_constraints(crt, i->authority,
							  i->authority ? i->path_length : -1))
		       < 0
	    || (r = gnutls_x509_crt_set_key_usage(crt, usage_of(crt, i))) < 0
	    || (r = cert_set_key_id(crt)) < 0)
		return r;
	if (!i->authority
	    && (r = gnutls_x509_crt_set_key_purpose_oid(
			crt, i->client ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER, 0))
		       < 0)
		return r;
	if (a && (r = set_issuer_key(crt, a->crt)) < 0)
		return r;
	if ((r = set_url(crt, GNUTLS_IA_CAISSUERS_URI, i->ca_issuers)) < 0
	    || (r = set_url(crt, GNUTLS_IA_OCSP_URI, i->ocsp)) < 0)
		return r;
	return i->must_staple ? set_staple(crt) : 0;
}

/* The hash that goes with the signing key: SHA-384 for P-384, what EdDSA has in itself, else SHA-256. */
static int preferred_hash(gnutls_privkey_t key, gnutls_digest_algorithm_t *hash)
{
	gnutls_pubkey_t pub;
	int r = gnutls_pubkey_init(&pub);

	if (r < 0)
		return r;
	if ((r = gnutls_pubkey_import_privkey(pub, key, 0, 0)) >= 0)
		r = gnutls_pubkey_get_preferred_hash_algorithm(pub, hash, NULL);
	gnutls_pubkey_deinit(pub);
	return r;
}

int issue_certificate(gnutls_x509_crt_t crt, const struct issue *i, const struct authority *a,
		      gnutls_privkey_t own, struct err *e)
{
	gnutls_digest_algorithm_t hash = GNUTLS_DIG_SHA256;
	gnutls_privkey_t key = a ? a->key : own;
	int r = fill(crt, i, a);

	if (r >= 0)
		r = preferred_hash(key, &hash);
	if (r >= 0)
		r = gnutls_x509_crt_privkey_sign(crt, a ? a->crt : crt, key, hash, 0);
	return r < 0 ? err_set(e, "the certificate cannot be made: %s", gnutls_strerror(r)) : 0;
}

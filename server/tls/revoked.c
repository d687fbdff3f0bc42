/*
 * revoked.c - lists of revoked certificates (CRL): made ready to be looked up in a handshake, and looked through for what
 * would puzzle an administrator later. Runs in the master and in checking jobs, when a configuration is read.
 */
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/clientcert.h"

#define NAME_TEXT 512                   /* so much of a name goes into a message */

void crl_serial_of(const unsigned char *number, size_t n, struct crl_serial *out)
{
	for (; n > 1 && *number == 0; n--)
		number++;
	memset(out, 0, sizeof *out);
	out->n = (unsigned char)(n > 255 ? 255 : n);
	memcpy(out->bytes, number, n < sizeof out->bytes ? n : sizeof out->bytes);
}

int crl_serial_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct crl_serial));
}

/* Sorted once, so that a handshake looks through a list of a million in twenty steps. */
static int take_serials(struct tls_crl *l)
{
	int count = gnutls_x509_crl_get_crt_count(l->crl);
	gnutls_x509_crl_iter_t it = NULL;
	unsigned char number[256];
	size_t n = sizeof number;

	l->serials = calloc(count > 0 ? (size_t)count : 1, sizeof *l->serials);
	if (!l->serials || count < 0)
		return count < 0 ? count : GNUTLS_E_MEMORY_ERROR;
	while (l->n < (size_t)count && gnutls_x509_crl_iter_crt_serial(l->crl, &it, number, &n, NULL) >= 0) {
		crl_serial_of(number, n, &l->serials[l->n++]);
		n = sizeof number;
	}
	gnutls_x509_crl_iter_deinit(it);
	if (l->n != (size_t)count)
		return GNUTLS_E_ASN1_DER_ERROR;
	qsort(l->serials, l->n, sizeof *l->serials, crl_serial_compare);
	return 0;
}

static bool has_critical_extension(gnutls_x509_crl_t crl)
{
	char oid[128];

	for (unsigned i = 0;; i++) {
		size_t n = sizeof oid;
		unsigned critical = 0;
		if (gnutls_x509_crl_get_extension_info(crl, i, oid, &n, &critical) < 0)
			return false;
		if (critical)
			return true;
	}
}

void crl_free(struct tls_crl *l)
{
	gnutls_x509_crl_deinit(l->crl);
	gnutls_free(l->issuer.data);
	free(l->serials);
}

static bool same_crl(gnutls_x509_crl_t a, gnutls_x509_crl_t b)
{
	gnutls_datum_t one = { 0 }, two = { 0 };
	bool same = gnutls_x509_crl_export2(a, GNUTLS_X509_FMT_DER, &one) >= 0 && gnutls_x509_crl_export2(b, GNUTLS_X509_FMT_DER, &two) >= 0
		    && one.size == two.size && memcmp(one.data, two.data, one.size) == 0;

	gnutls_free(one.data);
	gnutls_free(two.data);
	return same;
}

int crl_keep(struct cert_reading *r, gnutls_x509_crl_t crl, const char *path)
{
	struct tls_authorities *a = r->lists;
	struct tls_crl l = { .crl = crl, .from = gnutls_x509_crl_get_this_update(crl), .until = gnutls_x509_crl_get_next_update(crl) }, *more;

	r->found++;
	for (unsigned i = 0; i < a->ncrl; i++)
		if (same_crl(a->crl[i].crl, crl)) {
			gnutls_x509_crl_deinit(crl);
			return 0;
		}
	l.partial = has_critical_extension(crl);
	if (gnutls_x509_crl_get_raw_issuer_dn(crl, &l.issuer) < 0 || take_serials(&l) != 0
	    || !(more = realloc(a->crl, (a->ncrl + 1) * sizeof *more))) {
		crl_free(&l);
		return reading_bad(r, "have the authority make it anew", conf_printf(r->env, "the list of revoked certificates in %s cannot be read", path));
	}
	a->crl = more;
	a->crl[a->ncrl++] = l;
	if (l.until != (time_t)-1 && l.until < time(NULL))
		reading_warn(r, "fetch the authority's new list, and have it fetched regularly",
		     conf_printf(r->env, "the list of revoked certificates in %s is out of date since %s: certificates of its authority are refused", path,
				 reading_day(r->env, l.until)));
	if (l.partial)
		reading_warn(r, "give the authority's whole list, too",
		     conf_printf(r->env, "the list of revoked certificates in %s speaks of some certificates only (it has critical extensions): what it "
				 "names is refused, but what it does not name still needs another list", path));
	return 0;
}

void crl_look(const struct tls_policy *p, struct conf_env *env)
{
	const struct tls_authorities *a = p->clients;
	const struct tls_file *f = p->crl_file.path ? &p->crl_file : &p->crl_path;
	struct cert_reading r = { .env = env, .named = f, .directive = p->crl_file.path ? "SSLCARevocationFile" : "SSLCARevocationPath" };

	for (unsigned i = 0; i < a->ncrl; i++) {
		gnutls_datum_t dn = { 0 };
		bool named = false, signed_by = false;
		for (unsigned k = 0; k < a->n; k++)
			if (gnutls_x509_crl_check_issuer(a->crl[i].crl, a->ca[k])) {
				unsigned status = 0;
				named = true;
				signed_by |= gnutls_x509_crl_verify(a->crl[i].crl, &a->ca[k], 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) >= 0
					     && !(status & (GNUTLS_CERT_SIGNATURE_FAILURE | GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_INSECURE_ALGORITHM));
			}
		if (signed_by || gnutls_x509_crl_get_issuer_dn3(a->crl[i].crl, &dn, 0) < 0)
			continue;
		reading_warn(&r, named ? "fetch the list anew from the authority" : "name the certificate of its authority in SSLCACertificateFile",
		     conf_printf(env, named ? "the list of revoked certificates of %.*s was not signed by that authority's key: it does not count" :
					      "no authority of the host issued the list of revoked certificates of %.*s: it counts only for clients that "
					      "bring that authority's certificate along", NAME_TEXT, (const char *)dn.data));
		gnutls_free(dn.data);
	}
}

int crl_check_lines(const struct tls_policy *p, struct conf_env *env)
{
	bool lists = p->crl_file.path || p->crl_path.path;

	if (p->crl_check > CRL_CHECK_NONE && !lists) {
		conf_report(env, CONF_ERROR, &p->crl_check_pos, "add SSLCARevocationFile or SSLCARevocationPath, or write SSLCARevocationCheck none",
			    "host %s: revocation is checked, but no list of revoked certificates is named", p->name);
		return -1;
	}
	if (lists && p->crl_check <= CRL_CHECK_NONE)
		conf_report(env, CONF_WARNING, p->crl_file.path ? &p->crl_file.pos : &p->crl_path.pos, "add: SSLCARevocationCheck chain",
			    "host %s: lists of revoked certificates are named, but SSLCARevocationCheck is none: revoked certificates are let in", p->name);
	return 0;
}

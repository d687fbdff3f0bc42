/*
 * ocsp.c - OCSP requests and answers through GnuTLS. The request may be made anywhere; answers are parsed in the job that
 * fetched them.
 */
#include "cert/ocsp.h"

#include <gnutls/ocsp.h>
#include <string.h>

int ocsp_request(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer, bool nonce, gnutls_datum_t *out)
{
	gnutls_ocsp_req_t req;
	int r = gnutls_ocsp_req_init(&req);

	if (r < 0)
		return r;
	/* SHA-1 only names the issuer here; RFC 5019 has responders know no other. */
	r = gnutls_ocsp_req_add_cert(req, GNUTLS_DIG_SHA1, issuer, crt);
	if (r >= 0 && nonce)
		r = gnutls_ocsp_req_randomize_nonce(req);
	if (r >= 0)
		r = gnutls_ocsp_req_export(req, out);
	gnutls_ocsp_req_deinit(req);
	return r < 0 ? r : 0;
}

/* ------------------------------------------------------------------------------------------------ answers */

static const char *error_word(int status)
{
	switch (status) {
	case GNUTLS_OCSP_RESP_MALFORMEDREQUEST:
		return "malformedRequest: it did not understand the request";
	case GNUTLS_OCSP_RESP_INTERNALERROR:
		return "internalError: it has a fault";
	case GNUTLS_OCSP_RESP_TRYLATER:
		return "tryLater: it has no answer now";
	case GNUTLS_OCSP_RESP_SIGREQUIRED:
		return "sigRequired: it wants signed requests";
	case GNUTLS_OCSP_RESP_UNAUTHORIZED:
		return "unauthorized: it does not know the certificate";
	default:
		return "an unknown status";
	}
}

static int fault(const char *text, const char *remedy, struct err *e)
{
	err_set(e, "%s", text);
	return err_remedy(e, "%s", remedy);
}

static int check_signature(gnutls_ocsp_resp_t resp, gnutls_x509_crt_t issuer, const struct ocsp_limits *l, struct err *e)
{
	unsigned why = 0;
	int r;

	if (l->unsigned_too)
		return 0;
	for (unsigned i = 0; i < l->nsigners; i++)
		if (gnutls_ocsp_resp_verify_direct(resp, l->signers[i], &why, 0) >= 0 && why == 0)
			return 0;
	r = gnutls_ocsp_resp_verify_direct(resp, issuer, &why, 0);
	if (r >= 0 && why == 0)
		return 0;
	if (r < 0)
		err_set(e, "its signature cannot be checked: %s", gnutls_strerror(r));
	else
		err_set(e, "it is not signed by the certificate's issuer, nor by a signer whom the issuer appointed%s",
			why & GNUTLS_OCSP_VERIFY_INSECURE_ALGORITHM ? " (weak algorithm)"
			: why & GNUTLS_OCSP_VERIFY_CERT_EXPIRED     ? " (the signer's certificate has expired)"
			: why & GNUTLS_OCSP_VERIFY_SIGNER_KEYUSAGE_ERROR ? " (the signer's certificate is not for OCSP)"
									 : "");
	return err_remedy(e, l->family ? "see that the responder is the issuer's, or name its certificate: SSLOCSPResponderCertificateFile" :
					 "see that the issuer's certificate stands behind the host's in SSLCertificateFile, and that the responder is the issuer's");
}

/* An answer without the nonce may be an old one. */
static int check_nonce(gnutls_ocsp_resp_t resp, const struct ocsp_limits *l, struct err *e)
{
	gnutls_datum_t asked = { 0 }, got = { 0 };
	gnutls_ocsp_req_t req;
	unsigned critical;
	bool same = true;

	if (!l->request || gnutls_ocsp_req_init(&req) < 0)
		return l->request ? err_set(e, "no memory") : 0;
	if (gnutls_ocsp_req_import(req, l->request) < 0)
		same = false;
	else if (gnutls_ocsp_req_get_nonce(req, &critical, &asked) >= 0)
		same = gnutls_ocsp_resp_get_nonce(resp, &critical, &got) >= 0 && got.size == asked.size && memcmp(got.data, asked.data, got.size) == 0;
	gnutls_free(asked.data);
	gnutls_free(got.data);
	gnutls_ocsp_req_deinit(req);
	return same ? 0 : fault("it does not repeat the request's nonce", "write SSLOCSPUseRequestNonce off if the responder prepares its answers", e);
}

/* The part of the answer that is about this certificate. */
static int find_single(gnutls_ocsp_resp_t resp, gnutls_x509_crt_t crt, unsigned *status, struct ocsp_times *t, struct err *e)
{
	for (unsigned i = 0; i < 100; i++) {
		time_t from = -1, to = -1;

		if (gnutls_ocsp_resp_get_single(resp, i, NULL, NULL, NULL, NULL, status, &from, &to, NULL, NULL) < 0)
			break;
		if (gnutls_ocsp_resp_check_crt(resp, i, crt) < 0)
			continue;
		*t = (struct ocsp_times){ from, to == (time_t)-1 ? 0 : to };
		return 0;
	}
	return fault("it is about another certificate", "see that the responder is the issuer's", e);
}

static int check_times(const struct ocsp_times *t, const struct ocsp_limits *l, struct err *e)
{
	const char *family = l->family ? l->family : "SSLStapling", *fault_words;

	if (l->max_age >= 0 && t->this_update < l->now - l->skew - l->max_age) {
		err_set(e, "it is older than %sResponseMaxAge allows", family);
		return err_remedy(e, "raise %sResponseMaxAge, or take it out", family);
	}
	if (t->this_update == (time_t)-1 || t->this_update > l->now + l->skew)
		fault_words = "it is not yet valid";
	else if (t->next_update && t->next_update < l->now - l->skew)
		fault_words = "it has expired";
	else
		return 0;
	err_set(e, "%s", fault_words);
	return err_remedy(e, "compare the clocks of server and responder; %sResponseTimeSkew says how far they may be apart", family);
}

static enum ocsp_verdict check(gnutls_ocsp_resp_t resp, gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer,
			       const struct ocsp_limits *l, struct ocsp_times *t, struct err *e)
{
	unsigned status = GNUTLS_OCSP_CERT_UNKNOWN;
	int whole = gnutls_ocsp_resp_get_status(resp);

	if (whole > 0) {
		err_set(e, "the responder answers %s", error_word(whole));
		err_remedy(e, "ask whoever runs the responder");
		return OCSP_ERROR;
	}
	if (whole < 0)
		return fault("it is no OCSP answer", "see that the address is a responder's", e), OCSP_BAD;
	if (check_signature(resp, issuer, l, e) < 0 || check_nonce(resp, l, e) < 0 || find_single(resp, crt, &status, t, e) < 0 || check_times(t, l, e) < 0)
		return OCSP_BAD;
	return status == GNUTLS_OCSP_CERT_GOOD ? OCSP_GOOD : status == GNUTLS_OCSP_CERT_REVOKED ? OCSP_REVOKED : OCSP_UNKNOWN;
}

enum ocsp_verdict ocsp_check(const gnutls_datum_t *answer, gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer,
			     const struct ocsp_limits *l, struct ocsp_times *t, struct err *e)
{
	gnutls_ocsp_resp_t resp;
	enum ocsp_verdict v = OCSP_BAD;

	if (gnutls_ocsp_resp_init(&resp) < 0) {
		err_set(e, "no memory");
		return v;
	}
	if (gnutls_ocsp_resp_import(resp, answer) < 0)
		fault("it is no OCSP answer", "see that the address is a responder's", e);
	else
		v = check(resp, crt, issuer, l, t, e);
	gnutls_ocsp_resp_deinit(resp);
	return v;
}

/* ------------------------------------------------------------------------------------------------ certificates */

int ocsp_url(gnutls_x509_crt_t crt, char *buf, size_t n)
{
	for (unsigned i = 0; i < 16; i++) {
		gnutls_datum_t url = { 0 };
		int r = gnutls_x509_crt_get_authority_info_access(crt, i, GNUTLS_IA_OCSP_URI, &url, NULL);
		bool fits = r >= 0 && url.size && url.size < n && !memchr(url.data, 0, url.size);

		if (fits) {
			memcpy(buf, url.data, url.size);
			buf[url.size] = '\0';
		}
		if (r >= 0)
			gnutls_free(url.data);
		if (fits)
			return 0;
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
	}
	return -1;
}

bool ocsp_must_staple(gnutls_x509_crt_t crt)
{
	gnutls_x509_tlsfeatures_t features;
	unsigned id, critical;
	bool must = false;

	if (gnutls_x509_tlsfeatures_init(&features) < 0)
		return false;
	if (gnutls_x509_crt_get_tlsfeatures(crt, features, 0, &critical) >= 0)
		for (unsigned i = 0; i < 32 && gnutls_x509_tlsfeatures_get(features, i, &id) >= 0; i++)
			must |= id == 5;
	gnutls_x509_tlsfeatures_deinit(features);
	return must;
}

/*
 * ocsp.h - OCSP (RFC 6960): a request about one certificate, and whether an answer may be believed and passed on. Certificates
 * are public; answers come from strangers and are parsed where nothing can be lost: in a job, in tests.
 */
#ifndef BULKHEAD_CERT_OCSP_H
#define BULKHEAD_CERT_OCSP_H

#include <gnutls/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/err.h"

enum ocsp_verdict {
	OCSP_BAD = -1,                  /* forged, expired, about something else, no answer at all: nobody may get it */
	OCSP_GOOD, OCSP_REVOKED, OCSP_UNKNOWN,  /* the issuer's word about the certificate */
	OCSP_ERROR                      /* the responder says that it has no answer (unsigned) */
};
struct ocsp_limits {
	time_t now;
	long long max_age;              /* seconds since thisUpdate; -1 = any */
	long long skew;                 /* seconds that the clocks may differ */
	/* All of these may be left out. */
	const char *family;             /* "SSLOCSP": how the directives begin that remedies name; NULL = "SSLStapling" */
	const gnutls_datum_t *request;  /* what was asked: its nonce must be in the answer */
	const gnutls_x509_crt_t *signers;       /* answers signed by these are good, too */
	unsigned nsigners;
	bool unsigned_too;              /* the signature is not looked at */
};
struct ocsp_times {
	time_t this_update, next_update;        /* next_update 0: none given */
};

/* A request in DER; gnutls_free it. A nonce only where the answer is for the asker alone. 0 or GNUTLS_E_*. */
int ocsp_request(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer, bool nonce, gnutls_datum_t *out);
/*
 * Whether an answer is about this certificate, in force, and signed by its issuer or by one whom the issuer appointed for
 * that (extended key usage OCSPSigning). OCSP_BAD and OCSP_ERROR with *e; *t is set in the other cases.
 */
enum ocsp_verdict ocsp_check(const gnutls_datum_t *answer, gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer,
			     const struct ocsp_limits *l, struct ocsp_times *t, struct err *e);
/* The first responder that the certificate names (authority information access). 0, or -1: none, or longer than n. */
int ocsp_url(gnutls_x509_crt_t crt, char *buf, size_t n);
/* The certificate demands stapling (RFC 7633). */
bool ocsp_must_staple(gnutls_x509_crt_t crt);

#endif

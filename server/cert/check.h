/*
 * check.h - what is wrong with a certificate and its chain before clients find out: a library function, used by the server
 * at start and -t and by bulkhead-cert. Looks at certificates alone: no key, no network, no file but the trust store.
 */
#ifndef BULKHEAD_CERT_CHECK_H
#define BULKHEAD_CERT_CHECK_H

#include <stdbool.h>
#include <time.h>

#include "cert/load.h"

enum cert_fault {
	CERT_EXPIRED, CERT_NOT_YET, CERT_EXPIRES,       /* … within the days asked for */
	CERT_NO_NAMES,                                  /* no subjectAltName at all */
	CERT_NAME_MISSING,                              /* a wanted name is not covered */
	CERT_ORDER, CERT_UNRELATED,                     /* of the certificates in the file */
	CERT_ISSUER_MISSING,                            /* neither in the file nor in the trust store */
	CERT_SELF_SIGNED, CERT_ROOT_UNKNOWN,            /* works for clients that were told to trust it */
	CERT_ROOT_SENT,                                 /* a hint: of no use to clients */
	CERT_INVALID,                                   /* a signature is wrong, a signer may not sign */
	CERT_PURPOSE,                                   /* not for servers */
	CERT_WEAK_KEY, CERT_WEAK_SIGNATURE,
	CERT_MUST_STAPLE,                               /* a hint: it demands OCSP stapling */
	CERT_STAPLE, CERT_PROTOCOL,                     /* of servers, found by the tool */
	CERT_FAULTS
};
struct cert_finding {
	enum cert_fault fault;
	bool hint;              /* worth knowing; clients accept it */
	unsigned at;            /* which of the chain's certificates */
	char text[512];         /* a sentence without full stop that names the file */
	char remedy[512];       /* "" = none */
	char url[256];          /* CERT_ISSUER_MISSING: where it can be had (AIA); "" = the certificate does not say */
};
#define CERT_MAX_FINDINGS 32
struct cert_findings {
	struct cert_finding at[CERT_MAX_FINDINGS];
	unsigned n;
	unsigned order[CERT_MAX_CHAIN], norder; /* the chain from the host's certificate upwards, as far as it leads */
};
struct cert_check {
	const struct cert_chain *chain; /* at least one */
	const char *file;               /* for the sentences */
	time_t now;
	unsigned days;                  /* CERT_EXPIRES within so many */
	const char *const *names;       /* wanted; ended by NULL, or NULL */
	gnutls_x509_trust_list_t trust; /* NULL: who signed last is not looked for */
};
/* Days before the end at which the server begins to warn. */
#define CERT_WARN_DAYS 21

/* Fills *out; each finding once, the gravest are not sorted first. Any process. */
void cert_check(const struct cert_check *c, struct cert_findings *out);
/* Adds a finding; what there is no room for is left out. Returns it, or a spare one. */
struct cert_finding *cert_finding_add(struct cert_findings *f, enum cert_fault fault, unsigned at);
/* "issuer-missing": for programs. */
const char *cert_fault_name(enum cert_fault fault);

/*
 * The system's authorities, or those of a file. NULL with *e. Takes some 20 ms for the system's: once for many checks. Free
 * with cert_trust_free.
 */
gnutls_x509_trust_list_t cert_trust_load(const char *file, struct err *e);
void cert_trust_free(gnutls_x509_trust_list_t trust);       /* NULL is fine */
/* A certificate's "CN=…" without control characters. buf has 256 bytes; returns buf. */
char *cert_subject(gnutls_x509_crt_t crt, char *buf);

#endif

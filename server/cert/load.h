/*
 * load.h - certificates and keys as files: PEM and DER from descriptors and paths, key ids. Certificates are public and
 * may be read anywhere; the functions named cert_key_* are for the keyholder, -X, the checking job and tools alone.
 */
#ifndef BULKHEAD_CERT_LOAD_H
#define BULKHEAD_CERT_LOAD_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <time.h>

#include "base/err.h"

#define CERT_MAX_CHAIN 16
#define CERT_MAX_FILE (1 << 20)         /* bytes of a certificate or key file */

/* Reads a whole file from a descriptor (borrowed), whose position neither counts nor moves. 0, or -1 with *e. In both cases: cert_forget. */
int cert_read(int fd, const char *name, gnutls_datum_t *out, struct err *e);
/* Wipes and frees what cert_read gave. */
void cert_forget(gnutls_datum_t *d);

struct cert_chain {
	gnutls_x509_crt_t at[CERT_MAX_CHAIN];   /* the host's own certificate first, as in the file */
	unsigned n;
};
/* Reads all certificates of a PEM (or one DER) file. 0 or -1 with *e naming the file and the mend. Free with cert_chain_free. */
int cert_chain_load(struct cert_chain *c, const char *path, struct err *e);
/* Appends those of a further file (SSLCertificateChainFile). */
int cert_chain_append(struct cert_chain *c, const char *path, struct err *e);
void cert_chain_free(struct cert_chain *c);
/*
 * A path may be the URI of a certificate on a token (token.h): it is found where it was remembered (DER, copied; 0 or -1), or
 * on the token by a process that said that it opens tokens itself.
 */
int cert_remember(const char *uri, const void *der, size_t n);
void cert_open_tokens(bool yes);

/* SHA-256 of the SubjectPublicKeyInfo: equal means that key and certificate match. 0 or GNUTLS_E_*. */
int cert_spki(gnutls_x509_crt_t crt, unsigned char out[32]);
int cert_pubkey_id(gnutls_pubkey_t pub, unsigned char out[32]);
/* "3f:a2:…" of the first 8 bytes, for messages. buf has 24 bytes; returns buf. */
char *cert_key_id_text(const unsigned char spki[32], char *buf);
gnutls_pk_algorithm_t cert_algorithm(gnutls_x509_crt_t crt, unsigned *bits);

#define CERT_KEY_LOCKED (-2)
/* Parses a private key from a descriptor (borrowed). 0, or with *e -1: no key in it, unknown kind; CERT_KEY_LOCKED: encrypted. */
int cert_key_load(gnutls_privkey_t *out, int fd, const char *name, struct err *e);
/* The same, and an encrypted one is opened by the first pass phrase that fits: n bytes of texts, each with its zero. */
int cert_key_load_with(gnutls_privkey_t *out, int fd, const char *name, const char *phrases, size_t n, struct err *e);
int cert_key_spki(gnutls_privkey_t key, unsigned char out[32]);

#endif

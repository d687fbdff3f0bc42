/*
 * make.h - making keys and certificates.
 */
#ifndef BULKHEAD_CERT_MAKE_H
#define BULKHEAD_CERT_MAKE_H

#include <gnutls/x509.h>

#include "base/err.h"

/*
 * Makes a key (ECDSA P-256) and a self-signed certificate for `names` (DNS names and IP addresses; ended by NULL; the
 * first is the CN), valid `days` days. Both files are written beside their final names and renamed, the key 0600 first,
 * so that a kill leaves no certificate or both whole. 0 or -1 with *e.
 */
int cert_make_self_signed(const char *cert_path, const char *key_path, const char *const *names, unsigned days, struct err *e);

/* A random serial of 20 bytes (RFC 5280, 4.1.2.2). 0 or GNUTLS_E_*. */
int cert_set_serial(gnutls_x509_crt_t crt);
/* The subject key identifier, from the public key that is set. 0 or GNUTLS_E_*. */
int cert_set_key_id(gnutls_x509_crt_t crt);

#endif

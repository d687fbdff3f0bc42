/*
 * variables.h - the SSL_* variables of a connection (mod_ssl's table) as far as GnuTLS can fill them.
 */
#ifndef BULKHEAD_TLS_VARIABLES_H
#define BULKHEAD_TLS_VARIABLES_H

#include "tls/handshake.h"

/* SSL_PROTOCOL SSL_CIPHER SSL_SESSION_RESUMED SSL_TLS_SNI SSL_SERVER_S_DN_CN SSL_CLIENT_CERT … HTTPS; absent text where it has no value. */
struct text tls_variable(struct tls *t, const char *name, struct arena *a);
/*
 * extension.c. The at-th value, from 0, of the extensions of the client's certificate with that OID or name (subjectAltName, keyUsage …), as a
 * text: strings as they are, names and usages as OpenSSL prints them. Absent behind the last, and for what is no text.
 */
struct text tls_extension(struct tls *t, const char *oid, unsigned at, struct arena *a);
/* Whether there is such a variable: any process, to say so where a configuration names another (SSL_SRP_USER, a misspelling). */
bool tls_variable_known(const char *name);
/* SSLOptions (enum tls_option) of the place that is asked for: how the variables after this look. */
void tls_use_options(struct tls *t, unsigned options);

#endif

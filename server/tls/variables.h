/*
 * variables.h - the SSL_* variables of a connection (mod_ssl's table) as far as GnuTLS can fill them.
 */
#ifndef BULKHEAD_TLS_VARIABLES_H
#define BULKHEAD_TLS_VARIABLES_H

#include "tls/handshake.h"

/* SSL_PROTOCOL SSL_CIPHER SSL_SESSION_RESUMED SSL_TLS_SNI SSL_SERVER_S_DN_CN … HTTPS; absent text where it has no value. */
struct text tls_variable(struct tls *t, const char *name, struct arena *a);

#endif

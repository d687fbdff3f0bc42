/*
 * certificates.h - a host's own certificates and their credentials, for the files of tls/ alone. Made in the master and in
 * checking jobs, while a configuration is read.
 */
#ifndef BULKHEAD_TLS_CERTIFICATES_H
#define BULKHEAD_TLS_CERTIFICATES_H

#include "tls/host.h"

/*
 * Reads what SSLCertificateFile and SSLCertificateChainFile name into p->at, in the order in which clients are to see them,
 * with their keys by the references; then makes p->credentials. 0, or -1 and reported: what was read so far is freed by
 * certificates_free too.
 */
int certificates_load(struct tls_policy *p, const struct key_ref *refs, unsigned nrefs, struct conf_env *env);
void certificates_free(struct tls_policy *p);           /* twice is fine */

#endif

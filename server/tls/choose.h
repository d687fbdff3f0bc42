/*
 * choose.h - which protocol, suite and priority a host's policy gives a ClientHello. Pure.
 */
#ifndef BULKHEAD_TLS_CHOOSE_H
#define BULKHEAD_TLS_CHOOSE_H

#include "tls/hello.h"
#include "tls/host.h"

enum tls_chosen { TLS_CHOSEN, TLS_NO_VERSION, TLS_NO_SUITE };
struct tls_choice {
	enum tls_protocol protocol;
	bool fits_h2;                   /* RFC 9113, 9.2: TLS 1.3, or 1.2 with an ephemeral key and an AEAD cipher */
	gnutls_priority_t priority;     /* of one suite below 1.3; of all in 1.3, where GnuTLS takes one that a ticket's hash fits */
};

/* The bits of tls_protocol that a client offers. */
unsigned tls_offered(const struct hello *h);
enum tls_chosen tls_choose(const struct tls_policy *p, const struct hello *h, struct tls_choice *out);

#endif

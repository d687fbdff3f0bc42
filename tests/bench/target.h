/*
 * target.h - the server that is measured: its addresses, what is trusted, what is offered, the text of the
 * requests. Made in the parent; the processes inherit it.
 */
#ifndef BULKHEAD_BENCH_TARGET_H
#define BULKHEAD_BENCH_TARGET_H

#include <gnutls/gnutls.h>

#include "base/addr.h"
#include "options.h"

#define TARGET_ADDRS 8          /* as many of a name's addresses are tried, in the resolver's order */

struct target {
	struct addr addrs[TARGET_ADDRS];
	unsigned naddrs;
	struct addr addr;               /* the one that answered */
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	bool numeric;                   /* the name is an address: no SNI is sent (RFC 6066) */
	char more[3072], last[3072];    /* a request, and the one behind which the connection is closed */
	size_t nmore, nlast;
};

/* 0, or -1 with a sentence in *e. The name is looked up here, once. */
int target_open(struct target *t, const struct options *o, struct err *e);
void target_close(struct target *t);

#endif

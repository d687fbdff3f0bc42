/*
 * proxyheader.h - the PROXY protocol (versions 1 and 2): what a balancer says before the first byte of TLS or HTTP about the
 * client behind it. Pure: bytes in, addresses out.
 * Source: "The PROXY protocol, versions 1 & 2", W. Tarreau, sections 2.1 and 2.2.
 */
#ifndef BULKHEAD_HTTP_PROXYHEADER_H
#define BULKHEAD_HTTP_PROXYHEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

#define PROXYHEADER_MOST 4096           /* bytes of one, its extensions (TLVs) included */

enum proxyheader_result {
	PROXYHEADER_MORE,               /* a beginning of one: come again with more bytes */
	PROXYHEADER_DONE,
	PROXYHEADER_BAD,                /* none, or a broken one: the connection must end */
};

struct proxyheader {
	bool known;                     /* the addresses are told; false: the connection's own count (LOCAL, UNKNOWN, other families) */
	struct addr from, to;           /* where known */
	size_t length;                  /* bytes it takes */
	const char *wrong;              /* PROXYHEADER_BAD: what */
};

enum proxyheader_result proxyheader_read(const char *p, size_t n, struct proxyheader *h);

#endif

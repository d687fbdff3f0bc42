/*
 * h2conf.h - the settings of HTTP/2: mod_http2's directives.
 */
#ifndef BULKHEAD_CONN_H2CONF_H
#define BULKHEAD_CONN_H2CONF_H

#include <stdint.h>

#include "conf/conf.h"

/* h2_module's host structure. CONF_UNSET is left only where it says so. */
struct h2_settings {
	int64_t streams;                /* H2MaxSessionStreams */
	int64_t window;                 /* H2WindowSize */
	int64_t memory;                 /* H2StreamMaxMemSize */
	int64_t padding;                /* H2Padding: bits */
	int64_t frame;                  /* H2MaxDataFrameLen; 0 = as large as may be */
	int64_t head;                   /* H2MaxHeaderBlockLen; 0 = nghttp2's own limit */
	int64_t errors;                 /* H2MaxStreamErrors; 0 = any number */
	int64_t timeout;                /* H2StreamTimeout, ms; unset: Timeout */
	int modern;                     /* H2ModernTLSOnly */
	int direct, upgrade;            /* H2Direct, H2Upgrade; unset: on without TLS */
	int websockets;                 /* H2WebSockets */
};

/* Its section structure: fields that go before an answer (103, RFC 8297). */
struct h2_hint { const char *name, *value; const struct h2_hint *next; };
struct h2_section {
	int early;                      /* H2EarlyHints; CONF_UNSET: Off */
	const struct h2_hint *hints;    /* in their order */
};

#endif

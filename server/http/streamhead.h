/*
 * streamhead.h - request heads of HTTP/2 (RFC 9113, 8.3), which come as pairs of names and values: gathers them into what
 * head.h makes of a head of HTTP/1, with the same strictness and the same limits. Pure.
 *
 * The frames' library refuses what RFC 9113 calls malformed (pseudo-header fields that are missing, repeated or out of place, names
 * in capitals, fields of the connection); what reaches this file is checked again where another reader could be misled.
 */
#ifndef BULKHEAD_HTTP_STREAMHEAD_H
#define BULKHEAD_HTTP_STREAMHEAD_H

#include "http/head.h"

#define STREAM_HEAD_MOST 65536          /* bytes of names and values, with 32 more a field (RFC 9113, 6.5.2) */

struct stream_head {
	struct arena *arena;
	struct text method, scheme, authority, path, protocol;
	struct text cookie;             /* all of them, joined (RFC 9113, 8.2.3) */
	size_t cookie_cap;
	struct fields fields;
	struct head_limits limits;
	size_t size;                    /* as STREAM_HEAD_MOST counts */
	unsigned status;                /* refused: 400, 414, 431, 503 (out of memory); 0 = not */
	const char *reason;
};

void stream_head_init(struct stream_head *h, struct arena *a, const struct head_limits *limits);
/* One field as it came, copied. After a refusal nothing more is kept. */
void stream_head_add(struct stream_head *h, struct text name, struct text value);
/*
 * The request: HTTP/2.0, its line as one of HTTP/1 would be, :authority as its Host field. HEAD_DONE or HEAD_BAD, as head_parse_request;
 * as much of it as was understood is set. An extended CONNECT (RFC 8441) is the GET with an Upgrade that it stands for.
 */
enum head_result stream_head_finish(struct stream_head *h, struct request_head *out);

#endif

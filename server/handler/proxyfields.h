/*
 * proxyfields.h - heads between client and server behind: written anew from what was parsed, without what belongs to one connection.
 */
#ifndef BULKHEAD_HANDLER_PROXYFIELDS_H
#define BULKHEAD_HANDLER_PROXYFIELDS_H

#include "handler/proxy.h"
#include "http/responsehead.h"

struct proxy_ask {
	bool chunked, old;              /* of the body; force-proxy-request-1.0 */
	bool expects;                   /* Expect: 100-continue goes along */
	bool close;                     /* Connection: close */
	const char *upgrade;            /* the protocol that is asked for; NULL = none */
};

/* Whether a field belongs to the connection it came on: by its name, or since Connection names it. */
bool proxy_hop_by_hop(const struct fields *f, struct text name);
/* The head of the request for the worker of t; of the request's arena. Absent on ENOMEM. */
struct text proxy_request_head(struct proxy_try *t, const struct proxy_ask *ask);
/* The token of Upgrade that the worker's upgrade= lets through; NULL: none was asked for. */
const char *proxy_upgrade(const struct request *r, const struct proxy_worker *w);
/* Puts status and fields of an answer into r, addresses said anew. 0 or -1 (ENOMEM). */
int proxy_take_head(struct request *r, const struct response_head *h);
/* A head as it is sent on before the answer itself (1xx, or 101 with Upgrade). Absent on ENOMEM. */
struct text proxy_interim_head(struct request *r, const struct response_head *h, const char *upgrade);

#endif

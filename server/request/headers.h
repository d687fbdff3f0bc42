/*
 * headers.h - Header and RequestHeader (mod_headers).
 */
#ifndef BULKHEAD_REQUEST_HEADERS_H
#define BULKHEAD_REQUEST_HEADERS_H

#include "conf/conf.h"
#include "request/request.h"

extern struct conf_module headers_module;

/*
 * RequestHeader on r->in. headers_early: the directives with "early", of the host's top level (r->section or the host's), when
 * the host is known; headers_request: the others, when the sections are merged, before the handler starts.
 */
void headers_early(struct request *r);
void headers_request(struct request *r);
/*
 * Header on r->always and, unless the response is a page or redirect made by the server itself (`own`), on r->out. Called
 * by response_start just before the head goes out; a Content-Type changed there counts.
 */
void headers_response(struct request *r, bool own);

#endif

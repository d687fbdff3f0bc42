/*
 * head.h - request and response heads of HTTP/1 (RFC 9112): strict by default. Pure: bytes in, structures
 * out.
 *
 * head_parse_request is called with all the bytes that have come so far; it returns HEAD_MORE until the empty
 * line that ends the head is there, so that a head is parsed once. Limits and the request line are checked
 * while bytes are still coming. However the bytes are cut into calls, the verdict is the same. The caller's
 * buffer must hold limits->line and as much of the fields as it is willing to wait for.
 */
#ifndef BULKHEAD_HTTP_HEAD_H
#define BULKHEAD_HTTP_HEAD_H

#include "http/fields.h"

enum http_method {
	HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_CONNECT, HTTP_OPTIONS, HTTP_TRACE, HTTP_PATCH,
	HTTP_PROPFIND, HTTP_PROPPATCH, HTTP_MKCOL, HTTP_COPY, HTTP_MOVE, HTTP_LOCK, HTTP_UNLOCK,
	HTTP_OTHER,                                     /* a token that is not registered here; absent */
	HTTP_METHODS
};
#define HTTP_METHOD_BIT(m) (1u << (m))
enum http_method http_method_find(struct text name);    /* case-sensitive (RFC 9110, 9.1) */

struct head_limits {
	size_t line;                    /* LimitRequestLine: bytes of the request line */
	size_t field;                   /* LimitRequestFieldSize: bytes of one field line */
	unsigned fields;                /* LimitRequestFields; 0 = no limit */
};

enum head_result {
	HEAD_DONE,                      /* *used bytes are the head, its empty line included */
	HEAD_MORE,                      /* not whole yet */
	HEAD_BAD,                       /* refused: h->status and h->reason say why */
};

struct request_head {
	struct text line;               /* the request line without CRLF, for %r */
	struct text method, target;
	enum http_method method_id;
	unsigned major, minor;
	struct fields fields;
	unsigned status;                /* after HEAD_BAD: 400 414 431 501 505, 503 (out of memory) */
	const char *reason;             /* after HEAD_BAD: a sentence for the log */
};

/*
 * Parses a request head. Empty lines (CRLF) before the request line are skipped (RFC 9112, 2.2) and counted
 * in *used. h->fields must be initialised. Texts borrow `p`. Refused: bare CR or LF, obsolete folding, a
 * blank before the colon, empty or non-token names, control bytes, more than one blank between the words,
 * versions that are not HTTP/d.d. With HEAD_BAD as much of h (line, method, target) as was understood is set;
 * with HEAD_MORE nothing in h is to be used. Status: 414 and 431 for the limits, 501 for a method of more
 * than 32 bytes, 505 for versions but HTTP/1.x.
 */
enum head_result head_parse_request(const char *p, size_t n, const struct head_limits *limits,
	struct request_head *h, size_t *used);

/*
 * headlenient.c. HEAD_UNSAFE: lines may end in LF alone, words stand further apart, fields be folded or hold control bytes but NUL.
 * HEAD_OLD: a line without a version is a whole request of HTTP/0.9 (major 0, minor 9). Without either as head_parse_request.
 * What is rewritten lies in `a`.
 */
enum { HEAD_UNSAFE = 1, HEAD_OLD = 2 };
enum head_result head_parse_lenient(struct arena *a, const char *p, size_t n, const struct head_limits *limits, unsigned flags,
	struct request_head *h, size_t *used);

/* The status's standard phrase ("Not Found"); "Unknown" for what is not registered. */
const char *http_phrase(unsigned status);
bool http_is_token(struct text t);
/* A field value without CR, LF, NUL or other control bytes but HTAB. */
bool http_is_value(struct text t);

#endif

/*
 * condition.h - preconditions (RFC 9110, 13), entity tags and HTTP dates. Pure.
 */
#ifndef BULKHEAD_HTTP_CONDITION_H
#define BULKHEAD_HTTP_CONDITION_H

#include <time.h>

#include "http/fields.h"
#include "http/head.h"

#define HTTP_DATE 30            /* "Sun, 06 Nov 1994 08:49:37 GMT" and its terminator */
char *http_date(time_t t, char *buf);
/* IMF-fixdate, RFC 850 and asctime forms (RFC 9110, 5.6.7). 0 or -1. */
int http_date_parse(struct text t, time_t *out);

struct validators {
	struct text etag;       /* with its quotes, "W/" in front if weak; absent = none */
	time_t modified;        /* -1 = none */
	bool exists;            /* a current representation exists (for "*") */
};
/* RFC 9110, 13.2.2 in its order: 0 = go on, 304 or 412. Range's If-Range is not looked at here. */
unsigned condition_check(const struct fields *in, enum http_method m, const struct validators *v, time_t now);
/* Whether a list of entity tags (or "*") has one; weak comparison if `weak`. */
bool etag_listed(struct text list, struct text etag, bool weak);

#endif

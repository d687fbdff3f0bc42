/*
 * logline.h - the access log lines of a request: what the items of log/format.h stand for. Called by conn/ at the one
 * moment that its commit order allows: before the last send.
 */
#ifndef BULKHEAD_REQUEST_LOGLINE_H
#define BULKHEAD_REQUEST_LOGLINE_H

#include "log/target.h"
#include "request/request.h"

struct logline {
	uint64_t now_us;                /* CLOCK_MONOTONIC */
	bool aborted;                   /* %X */
	unsigned kept;                  /* %k: requests before this one on the connection */
};
/* Whether this CustomLog wants this request (env=, expr=). */
bool logline_wanted(const struct log_access *access, struct request *r);
/* One line with its newline into buf. r = the last request of a chain of internal redirects. */
void logline_render(const struct log_access *access, struct request *r, const struct logline *l, struct buf *buf);

#endif

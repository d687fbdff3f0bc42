/*
 * logline.h - the access log lines of a request: what the items of log/format.h stand for. Called by conn/ at the one
 * moment that its commit order allows: before the last send. And what messages tell of a request (ErrorLogFormat).
 */
#ifndef BULKHEAD_REQUEST_LOGLINE_H
#define BULKHEAD_REQUEST_LOGLINE_H

#include "log/target.h"
#include "request/request.h"

/* For client->about, whose `of` is the client: ids, and what ErrorLogFormat asks of the client's request. */
extern const struct log_about_ops logline_about;
/* The id of a request in the logs, the same for all that are made of it; NULL until something was logged about it. */
const char *logline_id(const struct request *r);

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

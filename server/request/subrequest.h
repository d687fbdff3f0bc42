/*
 * subrequest.h - a look-up (phases_lookup) that is run: its handler writes into a buffer from which who made it takes the content.
 *
 *   sub = phases_lookup(r, path, query, 0, &status)        what it would come to; 0 and a file, or another handler
 *   run = subrequest_start(sub, false)                     from now on
 *   subrequest_peek(run, &content)                         SUBREQUEST_RUNS and nothing there: stream_again of r->stream tells when
 *   subrequest_took(run, n)
 *   subrequest_close(run)                                  at the latest when r is over, while its stream still is
 *
 * There is one buffer of SUBREQUEST_BUFFER bytes: while it is full the handler waits for writable(), as it would for a client. The head
 * is swallowed, errors make no page, and filters that code what goes over the wire stay out. It is always a GET without a body, without the
 * preconditions and ranges that were meant for the request above it. Programs and backends of it hang at the connection's stream.
 */
#ifndef BULKHEAD_REQUEST_SUBREQUEST_H
#define BULKHEAD_REQUEST_SUBREQUEST_H

#include "request/request.h"

#define SUBREQUEST_BUFFER 16384

enum subrequest_state {
	SUBREQUEST_RUNS,
	SUBREQUEST_DONE,                /* whole, once the buffer is empty */
	SUBREQUEST_FAILED,              /* no more comes: the status of subrequest_answer tells why */
};

struct subrequest;

/* chosen: sub->handler (and handler_data) were set by the caller, and no Action takes its place. NULL: no memory. */
struct subrequest *subrequest_start(struct request *sub, bool chosen);
/* What there is, and whether more may come. Lets the handler go on where there is room. */
enum subrequest_state subrequest_peek(struct subrequest *run, struct text *content);
void subrequest_took(struct subrequest *run, size_t n);
/* The request that answers: another one after redirects inside the server. Its status, fields and type are those of the answer. */
const struct request *subrequest_answer(const struct subrequest *run);
/* Its handler is told, what it holds is given back. NULL is fine. */
void subrequest_close(struct subrequest *run);

#endif

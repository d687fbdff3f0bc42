/*
 * phases.h - the phases a request passes, in one table (phases.c). A phase that does not exist yet fails closed: what
 * would need it refuses the start, so that it is never reached with work to do.
 */
#ifndef BULKHEAD_REQUEST_PHASES_H
#define BULKHEAD_REQUEST_PHASES_H

#include "request/request.h"

/*
 * Runs r through all phases and starts its handler, or answers with an error page. r may be finished when this returns.
 * conn/ has set everything up to `keepalive` in struct request.
 */
void phases_run(struct request *r);
/* An internal redirect to a path of the same host (ErrorDocument, DirectoryIndex): as GET; at most LimitInternalRecursion. */
void phases_redirect(struct request *r, const char *path, unsigned keep_status);
const char *phase_name(enum phase p);

#endif

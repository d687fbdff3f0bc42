/*
 * phases.h - the phases a request passes, in one table (phases.c). A phase that does not exist yet fails closed: what
 * would need it refuses the start, so that it is never reached with work to do.
 */
#ifndef BULKHEAD_REQUEST_PHASES_H
#define BULKHEAD_REQUEST_PHASES_H

#include "request/request.h"

/*
 * What the function of a phase returns: 0 = go on with the next; PHASE_ANSWERED = a response was made (or a handler is at
 * it); else an HTTP status, which phases.c answers with response_error.
 *
 *   map_run(r)     PHASE_MAP        Alias, Redirect, DocumentRoot: r->filename, or an answer
 *   walk_run(r)    PHASE_DIRECTORY  resolves r->filename, r->path_info, r->fd, r->st, r->found, and calls sections_apply. What is
 *                                   not there is no answer yet: it returns 0 with r->found false, so that access rules come
 *                                   before 404 (which the handler gives); nor is a directory: its index and slash come …
 *   walk_index(r)  PHASE_TYPE       … here, behind access: for a directory the trailing slash, DirectoryIndex (phases_redirect
 *                                   and PHASE_ANSWERED) or 403; for anything else 0
 *   mime_run(r)    PHASE_TYPE       type, charset, encoding, language
 */
#define PHASE_ANSWERED 1000u

/*
 * Runs r through all phases and starts its handler, or answers with an error page. r may be finished when this returns.
 * conn/ has set everything up to `keepalive` in struct request.
 */
void phases_run(struct request *r);
/*
 * An internal redirect within the host: at most LimitInternalRecursion, then 500. The new request hangs below r
 * (`original`) and in r's arena; r->stream->request becomes the new one.
 * keep_status 0 (DirectoryIndex): `path` is decoded and in normal form; method, body and query stay.
 * else (ErrorDocument): `path` is a URL path as written, perhaps with a query; as GET (HEAD stays), answered with that status.
 */
void phases_redirect(struct request *r, const char *path, unsigned keep_status);
const char *phase_name(enum phase p);

#endif

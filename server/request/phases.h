/*
 * phases.h - the phases a request passes, in one table (phases.c).
 */
#ifndef BULKHEAD_REQUEST_PHASES_H
#define BULKHEAD_REQUEST_PHASES_H

#include "request/handler.h"
#include "request/request.h"

/*
 * What the function of a phase returns: 0 = go on with the next; PHASE_ANSWERED = a response was made (or a handler is at
 * it); PHASE_WAIT = stop here, phases_resume runs this phase again; else an HTTP status, which phases.c answers with
 * response_error.
 *
 * What is not there is no answer of PHASE_DIRECTORY: access rules come before a 404 (which the default handler gives), and
 * before a directory's index or slash (walk_index, in PHASE_HANDLER).
 */
#define PHASE_ANSWERED 1000u
#define PHASE_WAIT 1002u

/*
 * Runs r through all phases and starts its handler, or answers with an error page. r may be finished when this returns.
 * conn/ has set everything up to `keepalive` in struct request.
 */
void phases_run(struct request *r);
/* Goes on with a request that waits (r->waits): what it waits for has come, or never will. */
void phases_resume(struct request *r);
/*
 * An internal redirect within the host: at most LimitInternalRecursion, then 500. The new request hangs below r
 * (`original`) and in r's arena; r->stream->request becomes the new one.
 * keep_status 0: `path` is decoded and in normal form; method, body and query stay.
 * else (ErrorDocument): `path` is a URL path as written, perhaps with a query; as GET (HEAD stays), answered with that status.
 */
void phases_redirect(struct request *r, const char *path, unsigned keep_status);
/*
 * What a request for another place of the same host and client would come to: all phases up to the handler, which is not
 * started, as GET. For DirectoryIndex, listings, MultiViews, %{LA-U:…}, -U and -F. `path` is decoded, in normal form and
 * borrowed (of r's arena), `query` may be NULL. Nothing is sent; what it finds lives in r's arena, its open file too: close
 * it with request_close where many are looked up.
 * *status: 0 = its handler would run (sub->handler, or NULL for the default one; sub->found tells whether there is a file),
 * PHASE_WAIT = names have to be asked for first: return PHASE_WAIT from your own phase and come again; else the HTTP status
 * it would be answered with. NULL: too deep (LimitInternalRecursion) or no memory; *status is 500.
 * LOOKUP_QUIET: refusals are not logged. LOOKUP_INDEX: for walk_index.
 */
enum { LOOKUP_QUIET = 1, LOOKUP_INDEX = 2 };
struct request *phases_lookup(struct request *r, const char *path, const char *query, unsigned flags, unsigned *status);
/* A request for the same place, without going through the phases: for content that is made of r. NULL = no memory. */
struct request *phases_beside(struct request *r);
/* Starts the handler of what was looked up, or the program that Action names in its place (not where it is `chosen`): for subrequest.c. */
void phases_start(struct request *r, bool chosen);
/* Its end: tells each handler that was started, whatever took its place since, an error page or a redirect inside the server. */
void phases_over(struct request *r, enum handler_end how);
/* r becomes what was looked up, its open file too; as Apache's fast redirects. Its method, body and fields stay. */
void phases_adopt(struct request *r, struct request *sub);
/* For phases.c and redirect.c: the phases from one on; the answer to a status, but for look-ups. What the last phase said. */
unsigned phases_from(struct request *r, enum phase from);
void phases_use_host(struct request *r, struct host *h);
/*
 * For who explains requests (cli/explain.c): from now on each phase's verdict on each request is told, look-ups too, and r->applied names
 * the sections that count; a request with `explained` set is not answered: its handler does not start, no error page is made. One watcher a
 * process; NULL ends it.
 */
typedef void phases_watcher(const struct request *r, enum phase p, unsigned status);
void phases_watch(phases_watcher *w);
bool phases_watched(void);
const char *phase_name(enum phase p);

#endif

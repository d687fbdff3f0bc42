/*
 * mime.h - what a file is, by its name: type, charset, coding, language, handler (mod_mime).
 */
#ifndef BULKHEAD_REQUEST_MIME_H
#define BULKHEAD_REQUEST_MIME_H

#include "conf/conf.h"
#include "request/request.h"

/* TypesConfig AddType ForceType AddCharset AddEncoding AddLanguage AddHandler SetHandler filters, and their Remove… */
extern struct conf_module mime_module;

/*
 * PHASE_TYPE: sets r->type, r->charset, r->encoding, r->language and, where SetHandler or AddHandler name one, r->handler. 0, or 503
 * (no memory).
 */
unsigned mime_run(struct request *r);
/*
 * PHASE_HANDLER, first step, when rules of rewriting have led what they lead elsewhere: 0, or 403 where a handler that
 * does not exist in this release is set for the file.
 */
unsigned mime_check(struct request *r);
/* What SetHandler or AddHandler name for r, whether or not it exists; NULL = nothing. */
const char *mime_handler_name(const struct request *r);
/* Whether a line of the server's own configuration, and none of a per-directory file, names the handler that r has: for what tenants may not show. */
bool mime_handler_trusted(const struct request *r);
/* The type of a name by its last extension, as the table of TypesConfig has it; NULL = none. `name` may be a path. */
const char *mime_type_of(const struct request *r, const char *name);
/* The charset that AddDefaultCharset puts to a type without one (text/plain and text/html only); NULL = none. */
const char *mime_default_charset(const struct request *r, const char *type);

#endif

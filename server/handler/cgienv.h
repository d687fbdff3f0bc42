/*
 * cgienv.h - the meta-variables of a request (RFC 3875, 4.1, and Apache's own) in one place: for CGI, and for whatever speaks
 * of a request in the same words (FastCGI, SCGI, server-side includes).
 */
#ifndef BULKHEAD_HANDLER_CGIENV_H
#define BULKHEAD_HANDLER_CGIENV_H

#include "http/fields.h"
#include "request/request.h"

/*
 * Adds them to *out (initialised, in r's arena), names and values: r->env first, then what the request itself says, which
 * goes before. Of the request's fields those with letters, figures and "-" alone, as HTTP_…; never Proxy; Authorization only
 * where CGIPassAuth is on. 0, or -1: no memory.
 */
int cgienv_fill(struct request *r, struct fields *out);
/* The same as "NAME=value" strings, ended by NULL; names hold letters, figures and "_". NULL: no memory. */
const char *const *cgienv_strings(struct request *r);
/*
 * The words of a query without "=" (RFC 3875, 4.4), decoded and with the shell's characters escaped; ended by NULL, perhaps
 * empty. NULL: no memory.
 */
const char *const *cgienv_words(struct request *r);
/* The part of r->path that names the program: without PATH_INFO. Of the arena. */
const char *cgienv_script_name(struct request *r);

#endif

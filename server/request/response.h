/*
 * response.h - the meaning of a response: status, fields, error pages, ErrorDocument. Its wire form is conn/h1.c's.
 */
#ifndef BULKHEAD_REQUEST_RESPONSE_H
#define BULKHEAD_REQUEST_RESPONSE_H

#include "request/request.h"

/*
 * Completes the fields (Date, Server, Last-Modified, ETag, Content-Type, Header directives) and sends the head.
 * Preconditions are checked here for a 200 with validators: a 304 or 412 is then answered whole and 1 returned, and the
 * handler must not go on. 0: go on with the body. -1: the stream is gone.
 */
int response_start(struct request *r);
/* Answers with an error page or the ErrorDocument of that status. Before the head is sent; afterwards it aborts the stream. */
void response_error(struct request *r, unsigned status);
/* The same with a sentence of its own in the page (F10's link, F15's reasons). Text, not HTML. */
void response_error_text(struct request *r, unsigned status, const char *sentence);
/* A redirect: Location (absolute if `where` begins with '/') and a short page. */
void response_redirect(struct request *r, unsigned status, const char *where);
/* The same, but a path stays as it is: the client knows where it asked. */
void response_redirect_here(struct request *r, unsigned status, const char *where);
/* A whole response from memory: sets the length, starts, writes, ends. */
void response_text(struct request *r, unsigned status, const char *type, const char *body, size_t n);
/* "https://name:port" of the request as the client sees it, by UseCanonicalName; of the arena. */
const char *response_origin(struct request *r);
/* Its parts: ServerName may say https where something in front ends TLS. */
const char *response_scheme(const struct request *r);
/* The name in it: the host's, or the client's (UseCanonicalName). NULL on ENOMEM. */
const char *response_host(struct request *r);
/* The port in it, said or not. */
unsigned response_port(const struct request *r);
/* The line below pages that the server makes itself, as ServerSignature wants it; nothing for Off. */
void response_signature(struct request *r, struct buf *b);
/* The Server field by ServerTokens. */
const char *response_server(const struct host *h);

#endif

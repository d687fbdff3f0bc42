/*
 * cgi.h - programs that answer requests (RFC 3875): the handler "cgi-script" and its directives.
 */
#ifndef BULKHEAD_HANDLER_CGI_H
#define BULKHEAD_HANDLER_CGI_H

#include <stdbool.h>

#include "conf/conf.h"
#include "request/handler.h"

/* RLimitCPU RLimitMEM RLimitNPROC CGIPassAuth CGIVar CGIScriptTimeout CGIDScriptTimeout ScriptLog … */
extern struct conf_module cgi_module;
extern const struct handler cgi_handler;

struct request;
struct spawn_limits;
struct cgihead;
/* What a program's head says goes into the response, Location too. 0 or -1 (no memory). */
int cgi_take_head(struct request *r, const struct cgihead *h);
/* Of a request's sections: whether Authorization is passed on; whether REQUEST_URI is the path of now; the limits of its programs. */
bool cgi_passes_auth(const struct request *r);
bool cgi_uri_is_current(const struct request *r);
struct spawn_limits cgi_limits(const struct request *r);
/* ms that a program may be silent: CHAN_TIMEOUT (request/chan.h) where nothing is said. */
int64_t cgi_timeout(const struct request *r);
/* How long it is waited for why a program ended that said nothing, or too little. */
#define CGI_WHY_MS 5000

#endif

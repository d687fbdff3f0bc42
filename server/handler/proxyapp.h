/*
 * proxyapp.h - application servers behind: FastCGI (PHP), SCGI, uwsgi (mod_proxy_fcgi, mod_proxy_scgi, mod_proxy_uwsgi).
 */
#ifndef BULKHEAD_HANDLER_PROXYAPP_H
#define BULKHEAD_HANDLER_PROXYAPP_H

#include "conf/conf.h"
#include "request/handler.h"
#include "request/request.h"

extern const struct handler fcgi_handler, scgi_handler, uwsgi_handler;

/* ProxyFCGIBackendType ProxyFCGISetEnvIf ProxySCGIInternalRedirect */
extern struct conf_module proxy_fcgi_module;

/*
 * The variables of r for a program at `path` (as it is meant) behind a FastCGI worker named `name`: those of cgienv.h, SCRIPT_FILENAME as
 * ProxyFCGIBackendType wants it, then ProxyFCGISetEnvIf. *out is initialised. 0 or -1 (no memory, or a condition has no answer).
 */
int proxyapp_variables(struct request *r, const char *scheme, const char *authority, const char *path, struct fields *out);
/* Whether a Location with a path, in the answer of a program behind a worker of the scheme, is another request inside this server. */
bool proxyapp_leads_on(const struct request *r, const char *scheme);

#endif

/*
 * access.h - who may have it: Require and its containers, SSLRequireSSL and SSLRequire (mod_authz_core and its kin), beside
 * Order, Allow, Deny, Satisfy (compat.h) and the user (authn.h). The rules are read by the master, and by children for .htaccess;
 * asked in the children, which never resolve a name or compute a slow hash in the loop: the request waits.
 */
#ifndef BULKHEAD_REQUEST_ACCESS_H
#define BULKHEAD_REQUEST_ACCESS_H

#include "conf/conf.h"
#include "request/request.h"

extern struct conf_module authz_core_module;

/*
 * PHASE_ACCESS: 0 = granted, or a user may change it (r->asks_user), PHASE_WAIT = only names decide and they were asked for,
 * or 403 with r->refused set and one line in the log. Needs r->section as sections_apply left it. No rule at all grants.
 */
unsigned access_run(struct request *r);
/*
 * PHASE_AUTHENTICATION: 0 = granted; PHASE_WAIT; 401 with a challenge, or another status, told in the log. r->user and
 * r->auth_type are set where there is a user.
 */
unsigned access_user_run(struct request *r);
/* AuthBasicFake: what programs and other servers behind this one see as the user. Last before the handler. */
void access_fake(struct request *r);

#endif

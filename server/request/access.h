/*
 * access.h - who may have it: Require and its containers, SSLRequireSSL (mod_authz_core, mod_authz_host). The trees are
 * built by the master; asked in the children, which never resolve a name themselves: they ask the resolver, and wait.
 *
 * What would restrict access and does not exist here (users, groups, passwords, expressions, and the Order/Allow/Deny of
 * 2.2) is refused when the configuration is read: it is never dropped.
 */
#ifndef BULKHEAD_REQUEST_ACCESS_H
#define BULKHEAD_REQUEST_ACCESS_H

#include "conf/conf.h"
#include "request/request.h"

extern struct conf_module authz_core_module;

/*
 * PHASE_ACCESS: 0 = granted, PHASE_WAIT = only names decide and they were asked for, or 403 with r->refused set and one line in the log. Needs r->section as sections_apply left
 * it. No rule at all grants.
 */
unsigned access_run(struct request *r);

#endif

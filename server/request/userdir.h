/*
 * userdir.h - /~name/: the folders of users (mod_userdir).
 */
#ifndef BULKHEAD_REQUEST_USERDIR_H
#define BULKHEAD_REQUEST_USERDIR_H

#include "conf/conf.h"
#include "request/request.h"

/* UserDir */
extern struct conf_module userdir_module;

/*
 * Where r->path begins with /~name and a UserDir of the host counts for that name: sets r->filename, or answers with a
 * redirect (PHASE_ANSWERED). Else leaves r as it is. 0, PHASE_ANSWERED, or a status. After the Aliases, before DocumentRoot.
 */
unsigned userdir_run(struct request *r);

#endif

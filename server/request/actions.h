/*
 * actions.h - programs that stand for a type, a handler's name or a method (mod_actions): Action, Script.
 */
#ifndef BULKHEAD_REQUEST_ACTIONS_H
#define BULKHEAD_REQUEST_ACTIONS_H

#include "conf/conf.h"
#include "request/request.h"

extern struct conf_module actions_module;

struct action;
/* The one that answers this request, as no handler of the server does; NULL = none. When type and handler are known. */
const struct action *actions_find(const struct request *r);
/* Leads the request to its program: PHASE_ANSWERED, or the status that the caller answers with. */
unsigned actions_run(struct request *r, const struct action *a);

#endif

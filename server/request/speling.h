/*
 * speling.h - a file that is not there, but one of nearly that name is (mod_speling).
 */
#ifndef BULKHEAD_REQUEST_SPELING_H
#define BULKHEAD_REQUEST_SPELING_H

#include "conf/conf.h"
#include "request/request.h"

/* CheckSpelling CheckCaseOnly CheckBasenameMatch */
extern struct conf_module speling_module;

/*
 * Where nothing was found and CheckSpelling is on: redirects to the one file of nearly that name, or lists several (300). 0: there
 * is none, or it was not asked; PHASE_ANSWERED; or a status. Before FallbackResource.
 */
unsigned speling_run(struct request *r);

#endif

/*
 * env.h - variables of a request (r->env): SetEnv, PassEnv, UnsetEnv (mod_env) and SetEnvIf, BrowserMatch and their kin
 * (mod_setenvif). Compiled by the master, set in the children.
 *
 * As in Apache they come at different times: SetEnvIf outside of sections first of all, so that everything sees its
 * variables; SetEnvIf inside sections before access is decided; SetEnv last, just before the handler.
 */
#ifndef BULKHEAD_REQUEST_ENV_H
#define BULKHEAD_REQUEST_ENV_H

#include "conf/conf.h"
#include "request/request.h"

extern struct conf_module env_module, setenvif_module;

/* SetEnvIf of the server and host. After the host is known. */
void env_early(struct request *r);
/* SetEnvIf inside sections. After sections_apply, before access_run. */
void env_sections(struct request *r);
/* SetEnv, PassEnv, UnsetEnv. After type, before the handler. */
void env_late(struct request *r);
/* For programs, and pages that ask for variables: what SetEnv says goes before what SetEnvIf and rules have said, as in Apache. */
void env_for_programs(struct request *r);
/* Whether a line anywhere in the configuration sets that variable. */
bool env_names(const struct site *s, const char *name);

#endif

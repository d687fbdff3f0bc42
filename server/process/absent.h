/*
 * absent.h - modules of Apache and of others that are not part of this server: what LoadModule says of them, and what to use in the
 * place of their directives. Runs wherever a configuration is read.
 */
#ifndef BULKHEAD_PROCESS_ABSENT_H
#define BULKHEAD_PROCESS_ABSENT_H

#include "base/text.h"
#include "conf/conf.h"

conf_setter absent_load_module;                         /* of LoadModule: opens nothing, names what is not there */
bool absent_known(struct text name);                    /* whether there is a module of this name ("ssl"), here or elsewhere */
const char *absent_remedy(const char *directive);       /* of a directive that is unknown; NULL: it is none of theirs */

#endif

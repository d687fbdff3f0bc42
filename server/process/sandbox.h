/*
 * sandbox.h - which system calls a role may make: one table a role (sandbox.c), everything else is SIGSYS. Called by
 * role.c as the last step.
 */
#ifndef BULKHEAD_PROCESS_SANDBOX_H
#define BULKHEAD_PROCESS_SANDBOX_H

#include <stdbool.h>

#include "base/err.h"

enum sandbox { SANDBOX_NONE, SANDBOX_CHILD, SANDBOX_KEYHOLDER, SANDBOX_TOKENS, SANDBOX_RESOLVER, SANDBOX_LOGGER, SANDBOX_JOB, SANDBOX_MOVER,
	       SANDBOX_CHECK, SANDBOX_FETCH, SANDBOX_ASKING, SANDBOXES };

/* Loads the filter; no_new_privs is set already. `extra` ended by -1, or NULL. 0, or -1 with *e. */
int sandbox_enter(enum sandbox which, const int *extra, struct err *e);
/* NULL, or why this program or kernel has no sandbox: a sentence, for the log at start. */
const char *sandbox_missing(void);

#endif

/*
 * helper.h - a process that the children of a generation ask, each over a socket of its own: one a generation, replaced when it
 * dies. The master's side of it; each kind brings its own process.
 */
#ifndef BULKHEAD_PROCESS_HELPER_H
#define BULKHEAD_PROCESS_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/config.h"
#include "process/role.h"
#include "process/slots.h"

struct generation;
struct helper;

/* Besides those of the kind's own protocol with the children. */
enum helper_message {
	HELPER_MSG_ATTACH = 1000,       /* from the master: sockets of children */
	HELPER_MSG_FATAL,               /* to the master: struct err, why it could not begin */
};
struct helper_kind {
	enum role role;
	enum slot_end end;              /* whose sockets it has */
	void (*run)(int control, const struct config *cfg);     /* the process: it never returns */
	const char *died, *none;        /* message ids: it ended; there is none now */
	const char *cost;               /* what that means */
};

/* NULL with *e. */
struct helper *helper_start(const struct helper_kind *kind, const struct config *cfg, struct err *e);
/* A socket for a child: its own end in *child, not blocking, the helper's in *kept. 0 or -1. */
int helper_attach(struct helper *v, int *child, int *kept);
/* True if the pid was the helper: it is replaced, at once unless it was young. */
bool helper_reaped(struct helper *v, const struct generation *g, pid_t pid, int status, int64_t now);
/* Tries again what is due. When it is due next: helper_due (INT64_MAX = nothing). */
void helper_tick(struct helper *v, const struct generation *g, int64_t now);
int64_t helper_due(const struct helper *v);
/* Lets it end (it does when its control socket closes), and frees. */
void helper_end(struct helper *v);

#endif

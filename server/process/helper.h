/*
 * helper.h - a process that the children of a generation ask, each over a socket of its own: one of its kind a generation, replaced
 * when it dies. The master's side of it; each kind (resolver, checker, spawner) brings its own process.
 */
#ifndef BULKHEAD_PROCESS_HELPER_H
#define BULKHEAD_PROCESS_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
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
	/* `which` of several of the kind: the spawners, by account (request/account.h); else 0. */
	bool (*wanted)(const struct config *cfg, unsigned which);       /* whether a generation needs one */
	void (*run)(int control, const struct config *cfg, void *memory, unsigned which);       /* the process: it never returns */
	size_t memory;                  /* bytes that it finds as its predecessor left them, zeros at first; 0 = none */
	int section;                    /* of its messages (log/log.h) */
	const char *died, *none;        /* their ids: it ended; there is none now */
	const char *lost;               /* what ends with it: "; programs …", or "" */
	const char *cost;               /* what having none means */
};

/*
 * One of the kind that serves the children's sockets of that end: *h, which stays NULL where the configuration wants none.
 * 0, or -1 with *e.
 */
int helper_start(enum slot_end end, const struct config *cfg, struct helper **h, struct err *e);
/* A socket for a child: its own end in *child, not blocking, the helper's in *kept. 0 or -1. */
int helper_attach(struct helper *v, int *child, int *kept);
/* True if the pid was the helper: it is replaced, at once the first time. */
bool helper_reaped(struct helper *v, const struct generation *g, pid_t pid, int status, int64_t now);
/* Tries again what is due. When it is due next: helper_due (INT64_MAX = nothing). */
void helper_tick(struct helper *v, const struct generation *g, int64_t now);
int64_t helper_due(const struct helper *v);
/* It, if it lives, for the program that is executed next (handover.h). NULL is fine. */
void helper_hand_over(const struct helper *v, FILE *to);
/* Lets it end (it does when its control socket closes), and frees. */
void helper_end(struct helper *v);

#endif

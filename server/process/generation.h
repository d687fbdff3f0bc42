/*
 * generation.h - one configuration and all that lives by it: children, keyholders, helpers, log targets, listeners. At most two
 * live: the one that serves and the one that drains. Master only.
 *
 *   MAKING → SERVING → DRAINING → GONE
 */
#ifndef BULKHEAD_PROCESS_GENERATION_H
#define BULKHEAD_PROCESS_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "process/config.h"
#include "process/listen.h"
#include "process/policy.h"
#include "process/slots.h"

enum generation_state { GENERATION_MAKING, GENERATION_SERVING, GENERATION_DRAINING, GENERATION_GONE };

struct keyholders;
struct programs;
struct helper;

struct generation {
	uint32_t number;
	enum generation_state state;
	struct config *cfg;
	struct policy_plan plan;
	struct listen_set listens;
	struct keyholders *keyholders;  /* NULL: no TLS host */
	struct programs *programs;      /* of its logs */
	struct helper *helpers[SLOT_ENDS];      /* resolver, checker, spawner, by the children's sockets they serve; NULL: not wanted */
	bool ready;                     /* some child has served */
	unsigned failed_starts;         /* children that ended before they were ready, while none ever was */
	int64_t deadline;               /* MAKING, DRAINING: when patience ends; INT64_MAX = never */
	bool ending, killing;           /* DRAINING: its children were told TERM, KILL */
	bool renews;                    /* SERVING: its children give way to others that know the session cache of now */
	int64_t look; /* when its children are to be looked at next; INT64_MAX = when something happens */
};

/*
 * Takes cfg: opens logs, listeners and keys, starts keyholders, finishes TLS hosts; no child yet. NULL with *e, or with
 * faults reported in cfg (cfg is then freed by the caller). `old` gives its sockets, or NULL.
 */
struct generation *generation_make(struct config *cfg, struct generation *old, struct err *e);
/* Numbers go on behind that of a generation of the program before. */
void generation_follow(uint32_t number);
/* The master's own messages go where this configuration's error log is; its targets are open. */
void generation_use_log(const struct config *cfg);
/* The descriptor that they go to; -1: standard error. */
int generation_log(void);
/* Forks children as policy wants them, lets spare ones go, ends those whose patience is over; moves MAKING → SERVING and
 * DRAINING → GONE. */
void generation_tick(struct generation *g, int64_t now);
/* When generation_tick is due without an event. */
int64_t generation_due(const struct generation *g, int64_t now);
/* The old generation: take nothing more and finish (patience_ms 0 = as long as it takes); hard: end at once. */
void generation_drain(struct generation *g, bool hard, int64_t patience_ms, int64_t now);
/* The one that serves: its children give way to others, since the session cache has another age now. */
void generation_renew(struct generation *g);
/* True if the pid was a keyholder, a helper or a log program of g. */
bool generation_reaped(struct generation *g, pid_t pid, int status, int64_t now);
/* Whether all its first children failed before any was ready. */
bool generation_stillborn(const struct generation *g);
/* Ends its keyholders and helpers, closes its logs and listeners, frees the configuration and g. Its children are gone. */
void generation_free(struct generation *g);

#endif

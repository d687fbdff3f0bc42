/*
 * scoreboard.h - what a child may see of the others, for the status page: their counters and what they work on, for reading alone, and
 * only where the configuration shows a status page at all.
 */
#ifndef BULKHEAD_PROCESS_SCOREBOARD_H
#define BULKHEAD_PROCESS_SCOREBOARD_H

#include "base/err.h"
#include "process/shared.h"

struct activity;

/* Child, before shared_child_slot: maps the slots' first pages; from then on status_handler shows them. 0 or -1 with *e. */
int scoreboard_open(struct err *e);
/* -X: the one process alone. */
void scoreboard_single(const struct conn_counters *counters, const struct activity *activity);
/* Master: counts what a child did that is gone, and clears its counters. */
void scoreboard_retire(const struct shared_slot *s);

#endif

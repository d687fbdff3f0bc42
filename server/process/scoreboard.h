/*
 * scoreboard.h - what a child may see of the others, for the status page (handler/status.h): what they count and, unless ExtendedStatus
 * is Off, what they work on; for reading alone, and only where the configuration shows a status page at all.
 */
#ifndef BULKHEAD_PROCESS_SCOREBOARD_H
#define BULKHEAD_PROCESS_SCOREBOARD_H

#include "base/err.h"
#include "process/config.h"
#include "process/shared.h"

/* Child, before shared_child_slot: maps what is shown; from then on status_handler shows it. 0 or -1 with *e. */
int scoreboard_open(const struct config *cfg, struct err *e);
/* -X: the one process alone; counters, rows and activity of `own` are set. */
void scoreboard_single(const struct config *cfg, const struct shared_slot *own);

#endif

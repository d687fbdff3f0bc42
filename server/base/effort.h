/*
 * effort.h - how much work the turn at hand may still do. A child serves many connections from one loop: what one request
 * asks of it - patterns of a per-directory file, folders to read, look-ups - holds up all others, and a child whose loop does
 * not turn for long is taken for hung. So loops whose length a client or a tenant chooses ask here, and give up.
 *
 * For the one thread of the loop. Counted is time of the processor, so that a machine with much to do refuses nothing.
 */
#ifndef BULKHEAD_BASE_EFFORT_H
#define BULKHEAD_BASE_EFFORT_H

#include <stdbool.h>

#define EFFORT_MOST_MS 2000

/* A turn begins. Where this is never called (the master, tools) nothing is ever spent. */
void effort_begin(void);
/* Whether the turn has had its time. Cheap: the clock is read at every 16th question of a turn. */
bool effort_spent(void);
/* Whether this was asked in the turn before: so that a log tells of it once. */
bool effort_told(void);
/* Whether the turn has worked so long that what is not begun yet should have one of its own. */
bool effort_tired(void);

#endif

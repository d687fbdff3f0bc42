/*
 * child.h - a serving process: maps its own slot, gives up its rights, runs the loop of conn/conn.h.
 */
#ifndef BULKHEAD_PROCESS_CHILD_H
#define BULKHEAD_PROCESS_CHILD_H

#include <sys/types.h>

#include "process/generation.h"

struct child_start {
	const struct generation *generation;
	unsigned slot;
	int ends[SLOT_ENDS];            /* its sockets to the keyholder and the helpers, -1 = none */
	int crash;                      /* its pair of crash slots, -1 = none */
	bool waits;                     /* takes no connection before its slot says so (slots.h) */
};
/* In the forked process; never returns. */
_Noreturn void child_run(const struct child_start *s);

#endif

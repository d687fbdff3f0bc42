/*
 * keyserve.h - what a keyholder does once it is forked: takes keys from the master, then answers children. Entered by
 * keyholder.c alone.
 */
#ifndef BULKHEAD_PROCESS_KEYSERVE_H
#define BULKHEAD_PROCESS_KEYSERVE_H

#include <stdatomic.h>
#include <stdint.h>

#include "process/config.h"

/* What the master may see of a keyholder: written by it alone, in shared memory. Counts from whatever they were. */
struct keyserve_board {
	_Atomic uint32_t done;          /* questions answered */
	_Atomic uint32_t pong;          /* KEY_MSG_PING answered */
	_Atomic uint32_t throttled;     /* times that a child was made to wait (SSLKeyRequestLimit) … */
	_Atomic uint32_t slot;          /* … and which was the last */
};

/* Around the loading of keys: what the allocator keeps of pass phrases is overwritten. */
void keyserve_phrases_begin(void);
void keyserve_phrases_end(void);

_Noreturn void keyserve_run(int control, const struct config *cfg, struct keyserve_board *board);

#endif

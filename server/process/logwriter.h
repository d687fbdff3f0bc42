/*
 * logwriter.h - the logger process and what the master tells it, between logger.c and logwriter.c. One message a packet
 * over the control socket (base/ipc.h), whose end tells the logger that the server ends.
 */
#ifndef BULKHEAD_PROCESS_LOGWRITER_H
#define BULKHEAD_PROCESS_LOGWRITER_H

#include <stdint.h>

#include "base/ipc.h"
#include "process/config.h"

#define LOGGER_NAME 256                 /* bytes of a target's name, for messages */
#define LOGGER_TABLES 8                 /* known at once; for one more, the oldest that was dropped is given up by both sides */

/*
 * A generation's targets: how many, then their descriptors in several messages. One target alone: it has another. DROP:
 * that generation has ended; answered by DRAINED once its last lines are written. Both hold the generation's number.
 * TOLD: that is all. A new logger touches no line before it: it would not know where those of a table still to come belong.
 * Answered by HEARD, once what a predecessor left half done is mended. Both hold nothing.
 * LEAVE: it ends between two writes; a successor, of another program (logger_take_over), goes on where it was. What this says is a part of
 * what two programs agree on (shared.c, layout).
 */
enum { LOGGER_TABLE = 1, LOGGER_TARGETS, LOGGER_DROP, LOGGER_DRAINED, LOGGER_TOLD, LOGGER_HEARD, LOGGER_LEAVE };
struct logger_table {
	uint32_t generation, n;
};
struct logger_targets {
	uint32_t generation, first, n;
	uint32_t kinds[IPC_MAX_FDS];
	int64_t most[IPC_MAX_FDS];      /* bytes of a file that is written no further; 0 = no bound */
	char names[IPC_MAX_FDS][LOGGER_NAME];
};

/* What the new process does, in its role, until the server ends. */
_Noreturn void logwriter_run(int control, const struct config *cfg);

#endif

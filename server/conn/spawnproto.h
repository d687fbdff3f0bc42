/*
 * spawnproto.h - orders to the spawner, as conn/spawn.c gives and process/spawner.c takes them: over base/ipc.h, each with an
 * id that every message about it repeats. An order travels in parts, in order; the last brings the three descriptors:
 *
 *   struct spawn_order, then strings with their NULs: the path, the arguments, the environment
 *
 * A spawner begins with HELLO on each child's socket: what ran by a former one is dead. The child sends PING and knows at
 * PONG which of its orders the former one has taken with it: those behind it are answered before PONG.
 */
#ifndef BULKHEAD_CONN_SPAWNPROTO_H
#define BULKHEAD_CONN_SPAWNPROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handler/spawn.h"

#define SPAWN_ORDER 131072              /* the longest order */
#define SPAWN_WORDS 4096                /* arguments and variables together */

enum spawn_message {
	SPAWN_MSG_PART = 1,             /* child: struct spawn_part and bytes */
	SPAWN_MSG_RUN,                  /* child: the last part, with the program's 0, 1 and 2 */
	SPAWN_MSG_OVER,                 /* child: uint32_t, 1 = kill all of it */
	SPAWN_MSG_PING,                 /* child */
	SPAWN_MSG_HELLO,
	SPAWN_MSG_PONG,
	SPAWN_MSG_STARTED,
	SPAWN_MSG_FAILED,               /* struct spawn_failed */
	SPAWN_MSG_ENDED,                /* int32_t: a status as of waitpid */
};
struct spawn_part { uint32_t at, total; };
struct spawn_order {
	struct spawn_limits limits;
	uint32_t nargs, nenv, shell;
};
struct spawn_failed { int32_t stage, errnum; };

/*
 * -X: the same without a process between (process/spawnrun.c). `order` as above. run: SPAWN_OK or where it failed. poll: one
 * that has ended and was not told yet; also moves time on, and is due again every SPAWN_POLL_MS while there are programs.
 */
#define SPAWN_POLL_MS 250
struct spawn_direct {
	enum spawn_stage (*run)(uint32_t id, const void *order, size_t n, const int fds[3], int *errnum);
	void (*over)(uint32_t id, bool kill);
	bool (*poll)(uint32_t *id, int *status);
};

#endif

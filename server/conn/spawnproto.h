/*
 * spawnproto.h - orders to the spawner, as conn/spawn.c gives and process/spawner.c takes them: over base/ipc.h, each with an
 * id that every message about it repeats. An order travels in parts, in order; the last brings the three descriptors:
 *
 *   struct spawn_order, then strings with their NULs: the path, the arguments, the environment
 *
 * Programs of RewriteMap (request/rewrite.h) are started by the spawner itself; a child asks with struct spawn_ask and the key.
 *
 * A spawner begins with HELLO on each child's socket: what ran by a former one is dead. The child sends PING and knows at
 * PONG which of its orders the former one has taken with it: those behind it are answered before PONG. Questions are asked again.
 */
#ifndef BULKHEAD_CONN_SPAWNPROTO_H
#define BULKHEAD_CONN_SPAWNPROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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
	SPAWN_MSG_STARTED,              /* the order is taken, the program a process; it may still fail to begin */
	SPAWN_MSG_FAILED,               /* struct spawn_failed */
	SPAWN_MSG_ENDED,                /* int32_t: a status as of waitpid */
	SPAWN_MSG_ASK,                  /* child: struct spawn_ask, the key */
	SPAWN_MSG_VALUE,                /* int32_t: enum spawn_value, the value */
	SPAWN_MSG_SAID,                 /* struct spawn_said, text: for the log, to any child */
};
struct spawn_part { uint32_t at, total; };
struct spawn_order {
	struct spawn_limits limits;
	uint32_t nargs, nenv, shell;
};
struct spawn_failed { int32_t stage, errnum; };

/* A program of a map answers. */
enum spawn_value {
	SPAWN_VALUE,
	SPAWN_VALUE_NONE,               /* it says that it has none */
	SPAWN_VALUE_DIED,               /* it died over the line, twice, or cannot be started: none */
	SPAWN_VALUE_LONG,               /* it is longer than may be: none can be told */
	SPAWN_VALUE_BUSY,               /* too many questions wait */
};
struct spawn_ask {
	int64_t until;                  /* ms of CLOCK_MONOTONIC: nobody waits for the answer any more */
	uint32_t map, unused;
};
/* What is to be logged about it. */
enum spawn_news {
	SPAWN_NEWS_LINE,                /* its standard error: the text */
	SPAWN_NEWS_ENDED,               /* number: a status as of waitpid; it is started again */
	SPAWN_NEWS_LATE,                /* a line was not answered in time: it is ended and started again */
	SPAWN_NEWS_NOT_STARTED,         /* number: errno */
};
struct spawn_said { uint32_t map; int32_t what, number; };

/*
 * -X: the same without a process between (process/spawnrun.c). `order` as above. run: SPAWN_OK or where it failed. poll: one
 * that has ended and was not told yet; also moves time on, and is due again every SPAWN_POLL_MS while there are programs.
 */
#define SPAWN_POLL_MS 250
struct spawn_direct {
	/* The value with a NUL behind it, 0: none, -1: it cannot be told now. Waits, at most until then. */
	ssize_t (*ask)(uint32_t map, const char *key, int64_t until, char *value, size_t room);
	enum spawn_stage (*run)(uint32_t id, const void *order, size_t n, const int fds[3], int *errnum);
	void (*over)(uint32_t id, bool kill);
	bool (*poll)(uint32_t *id, int *status);
};

#endif

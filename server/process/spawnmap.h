/*
 * spawnmap.h - programs of RewriteMap (request/rewrite.h): one each, as long as the generation lives; asked a line at a time, whoever
 * asks. In the spawner, and under -X in the one process.
 */
#ifndef BULKHEAD_PROCESS_SPAWNMAP_H
#define BULKHEAD_PROCESS_SPAWNMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "conn/spawnproto.h"
#include "request/host.h"

#define SPAWNMAP_TEXT 512               /* the longest line of standard error that is handed on; longer ones in pieces */

/* What is to be logged; customer -1: nobody asks now. */
typedef void spawnmap_say(int customer, const struct spawn_said *what, const char *text, size_t n);

/* Starts the site's programs that run as this account (request/account.h); epoll -1: none, spawnmap_now is called instead (-X). 0, or -1 with *e: no memory. */
int spawnmap_init(const struct site *s, unsigned account, int epoll, spawnmap_say *say, struct err *e);
/* A question (SPAWN_MSG_ASK) of a child. 0, or -1: it cannot be answered at all, or is malformed. */
int spawnmap_ask(int customer, uint32_t id, const void *data, size_t n);
/* A child is gone, and with it its questions. */
void spawnmap_customer_gone(int customer);
/* An event of epoll: true if `what` is a map's. */
bool spawnmap_event(void *what, uint32_t events);
/* One of spawnrun_own has ended. */
void spawnmap_ended(uint32_t id, int status);
/* Ends what does not answer, starts what died. When it is due again, ms of CLOCK_MONOTONIC; INT64_MAX = at an event. */
int64_t spawnmap_tick(int64_t now);
/* -X: conn/spawnproto.h. */
ssize_t spawnmap_now(uint32_t map, const char *key, int64_t until, char *value, size_t room);

#endif

/*
 * seeds.h - the seeds that session tickets are sealed with: made, renewed and retired by the master in the ring that lies
 * beside the session cache. All children have the same; they outlive generations.
 *
 * Group 0 is the server's own: one that seals, renewed every SSLTicketKeyLifetime, and those before it, which open
 * tickets until these have expired. Every list of SSLSessionTicketKeyFile that a host has is a group: a seed a file.
 */
#ifndef BULKHEAD_PROCESS_SEEDS_H
#define BULKHEAD_PROCESS_SEEDS_H

#include <stdint.h>

#include "base/err.h"
#include "process/config.h"

/* Whether the files of all hosts can be used: faults and warnings are reported to cfg. 0 or -1. */
int seeds_check(struct config *cfg);
/*
 * Master, for each generation, when its cache is there: the ring has what the configuration asks for. 0, or -1 with *e: then
 * the generation that serves has all that it had.
 */
int seeds_prepare(const struct config *cfg, struct err *e);
/* Master: that generation serves. What it does not name is retired: it opens tickets until they have expired. */
void seeds_settle(void);
/*
 * Master: renews the server's own seed when that is due, by either clock; wipes those whose tickets have expired. Returns
 * when to look again (ms of CLOCK_MONOTONIC).
 */
int64_t seeds_tick(int64_t now);

#endif

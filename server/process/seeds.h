/*
 * seeds.h - the seeds that session tickets are sealed with: made, renewed and retired by the master in the ring that lies
 * beside the session cache. All children have the same; they outlive generations.
 */
#ifndef BULKHEAD_PROCESS_SEEDS_H
#define BULKHEAD_PROCESS_SEEDS_H

#include <stdint.h>

#include "base/err.h"
#include "process/config.h"

/* Master, for each generation, when its cache is there: what the configuration asks for is in the ring. 0 or -1 with *e. */
int seeds_prepare(const struct config *cfg, struct err *e);
/* Master: renews the seeds when that is due; returns when it is due next (ms of CLOCK_MONOTONIC). */
int64_t seeds_tick(int64_t now);

#endif

/*
 * programs.h - the log programs of a generation: noticed when they end, started again with the children's back-off; its rotating files.
 * Master only.
 */
#ifndef BULKHEAD_PROCESS_PROGRAMS_H
#define BULKHEAD_PROCESS_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "log/target.h"

struct programs;

/* For targets that were opened just now, borrowed until programs_free. Their pipes no longer block. NULL: no memory. */
struct programs *programs_new(uint32_t generation, struct log_targets *t, int64_t now);
void programs_free(struct programs *p);
/* True if the pid was one of them. again: it is wanted still. */
bool programs_reaped(struct programs *p, pid_t pid, int status, bool again, int64_t now);
/* Starts those again whose time has come, and moves rotating files on. True if some line goes to another file now. */
bool programs_tick(struct programs *p, int64_t now);
int64_t programs_due(const struct programs *p);

#endif

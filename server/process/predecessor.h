/*
 * predecessor.h - the processes that the program before left, when this one was executed in its place: children that serve on
 * until the first generation of this program does, their keyholders and helpers. Where both programs lay out shared memory alike the children
 * are in their slots as before, and this program's logger writes their lines; else they keep memory and logger of their own, and nothing but signals
 * and ends of sockets pass between them and this master. Master only.
 */
#ifndef BULKHEAD_PROCESS_PREDECESSOR_H
#define BULKHEAD_PROCESS_PREDECESSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/config.h"

struct generation;

/* A program that gives: its children, as lines "child" of the table (handover.h). */
void predecessor_give(FILE *to);
/*
 * Takes over the lines "child", "keeper" and "target" and the descriptor "life" of the table (handover.h): after shared_create and slots_init,
 * before logger_start. cfg: what those in the slots are measured by, as long as one lives. 0 or -1 with *e.
 */
int predecessor_take(struct config *cfg, struct err *e);
/* It is that of its children in the slots. */
bool predecessor_has(const struct generation *g);
/* Some of its children live. */
bool predecessor_lives(void);
/* Its children take nothing more and finish (patience_ms 0 = as long as it takes); hard: they end at once. */
void predecessor_drain(bool hard, int64_t patience_ms, int64_t now);
/* As generation_drain of one that drains already: what is left has so long. */
void predecessor_hurry(int64_t patience_ms, int64_t now);
/* Ends what has no patience left; lets the others end when the last child is gone. */
void predecessor_tick(int64_t now);
int64_t predecessor_due(void);
/* True if the pid was one of them. */
bool predecessor_reaped(pid_t pid, int status);
/* The end of the server: its logger writes its last lines, at most wait_ms. */
void predecessor_end(int wait_ms);

#endif

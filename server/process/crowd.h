/*
 * crowd.h - the memory in which children count connections by address (conn/crowd.h): made once by the master, it outlives
 * generations. A child writes its own column and reads the others.
 */
#ifndef BULKHEAD_PROCESS_CROWD_H
#define BULKHEAD_PROCESS_CROWD_H

#include <stdio.h>

#include "base/err.h"
#include "conn/crowd.h"

/* Master: with a column for each of n slots, in memory of the program before (`given`), or -1: in its own. 0 or -1 with *e. */
int crowd_create(unsigned n, int given, struct err *e);
/* Bytes of it. */
size_t crowd_size(unsigned n);
/* Master: for the program that is executed next (handover.h). */
void crowd_hand_over(FILE *to);
/* Master, before a child is forked for the slot: its column is empty. */
void crowd_clear(unsigned slot);
/* Child: maps what it may have in place of all. 0 or -1 with *e. */
int crowd_child(unsigned slot, struct crowd *out, struct err *e);
/* Any other role: lets go of it. */
void crowd_forget(void);
/* -X: one column, in this process. 0 or -1 with *e. */
int crowd_single(struct crowd *out, struct err *e);

#endif

/*
 * tallyover.h - what was counted, over the execution of another program: the tally goes over as it is, and what children of the
 * program before count from then on is added when they are gone. Where the slots are not taken over (shared.h), and only between
 * programs whose counters have the same measures; else counts begin anew. Master only.
 */
#ifndef BULKHEAD_PROCESS_TALLYOVER_H
#define BULKHEAD_PROCESS_TALLYOVER_H

#include <stdbool.h>
#include <stdio.h>

struct handover_line;

/* A program that gives: the tally and the slots. Where a child's counters lie stands in its line "child" (predecessor.c). */
void tallyover_give(FILE *to);

/* The next program, when it has a tally of its own. */
void tallyover_take(void);
/* A child of the program before: its place in `*counted` (NULL at first), which the caller keeps; counts what is new since the last
 * time. Free with tallyover_forget. */
struct tallyover_child;
void tallyover_count(struct tallyover_child **counted, const struct handover_line *child);
void tallyover_count_again(struct tallyover_child *c);
void tallyover_forget(struct tallyover_child *c);
/* No child of it is left. */
void tallyover_end(void);

#endif

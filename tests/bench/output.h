/*
 * output.h - what the user sees: heading and progress on standard error, the result on standard output, and
 * the explanation of failures.
 */
#ifndef BULKHEAD_BENCH_OUTPUT_H
#define BULKHEAD_BENCH_OUTPUT_H

#include "run.h"

void output_heading(const struct run *r, const struct stats *probe);
/* The progress line, on a terminal only; for run_all. */
void output_tick(const struct run *r, const struct stats *fill, const struct stats *sum);
void output_tick_end(void);
void output_text(const struct run *r, const struct stats *fill, const struct stats *sum);
/* 0, or -1: it could not be written. */
int output_json(const struct run *r, const struct stats *fill, const struct stats *sum);
/* The sentence and the remedy for the most frequent kind of failure in *s, if there is one. */
void output_explain(const struct run *r, const struct stats *s, struct err *e);

/*
 * The next range of seconds with counts, from *slot on: false at the end, else *from and *to (seconds, both
 * included) and *count.
 */
bool output_range(const struct run *r, const uint64_t *slots, unsigned *slot, uint64_t *from, uint64_t *to,
                  uint64_t *count);
double output_seconds(const struct stats *s);

#endif

/*
 * hist.h - a histogram of times in bounded memory. Exact up to 63 us, above it 64 steps for each doubling: a
 * percentile is at most 1.6 % above the time that was measured. One writer; other processes may read while it
 * is written.
 */
#ifndef BULKHEAD_BENCH_HIST_H
#define BULKHEAD_BENCH_HIST_H

#include <stdint.h>

#define HIST_STEPS 64u
#define HIST_DOUBLINGS 30u              /* 2^36 us: 19 hours; longer times count as that */

struct hist {
	uint64_t count, sum, max;       /* sum and max: us, exact */
	uint64_t cell[HIST_STEPS * (HIST_DOUBLINGS + 1)];
};

void hist_add(struct hist *h, uint64_t us);
void hist_merge(struct hist *into, const struct hist *from);
/* The time in us that `share` (0 to 1) of all do not exceed; 0 when there is none. */
uint64_t hist_at(const struct hist *h, double share);

#endif

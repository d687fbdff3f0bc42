/*
 * run.h - the processes of a measurement and the memory they share with the parent.
 */
#ifndef BULKHEAD_BENCH_RUN_H
#define BULKHEAD_BENCH_RUN_H

#include <stdatomic.h>

#include "options.h"
#include "stats.h"
#include "target.h"

/* One process: what it counts while it makes the sessions, and while it measures. */
struct part {
	struct stats fill, measured;
	atomic_int ready;               /* the sessions are made; -1: the server is gone, nothing was measured */
};

struct run {
	const struct options *options;
	struct target *target;
	unsigned nparts;
	struct part *parts;             /* shared */
	atomic_int *stop;               /* shared: end at once */
	_Atomic uint64_t *begin_ns;     /* shared: 0 until all are ready, then when the measuring began */
	uint64_t slot_ns;               /* what each of lost_at and failed_at stands for */
	bool interrupted;
	unsigned died;                  /* processes that ended by themselves */
};

/* 0, or -1 with a sentence in *e. */
int run_open(struct run *r, const struct options *o, struct target *t, struct err *e);
/*
 * One operation of the parent's own, which resumes nothing: tries the addresses one after the other and learns
 * what the server speaks. The failure, if it is one, is in *s.
 */
bool run_probe(struct run *r, struct stats *s, struct err *e);
/* Measures; tick is called about every second with the sums so far. 0, or -1 with a sentence in *e. */
int run_all(struct run *r, void (*tick)(const struct run *, const struct stats *fill, const struct stats *sum),
            struct err *e);
void run_sum(const struct run *r, struct stats *fill, struct stats *measured);
void run_close(struct run *r);

#endif

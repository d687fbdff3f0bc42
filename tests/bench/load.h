/*
 * load.h - the event loop of one process: keeps its share of the connections going and decides when the next
 * one begins.
 */
#ifndef BULKHEAD_BENCH_LOAD_H
#define BULKHEAD_BENCH_LOAD_H

#include <stdatomic.h>

#include "conn.h"

struct load {
	struct env env;
	struct conn *conns;
	unsigned nconns, active, resting;
	uint64_t succeeded, failed;     /* while filling: as they were at the last success */
	const atomic_int *stop;         /* the user does not want to wait: everything is left as it is */
};

/* What bounds one run. */
struct bounds {
	uint64_t operations;            /* 0 = time alone */
	uint64_t end_ns;                /* nothing begins after it; what runs then is ended */
	double per_ns;                  /* operations begun for each ns, 0 = as many as possible */
};

/* 0, or -1 with errno. */
int load_open(struct load *l, unsigned connections);
/*
 * Makes each session of the store once. False when the server is found to be gone: nothing more is to be
 * tried.
 */
bool load_fill(struct load *l);
bool load_run(struct load *l, const struct bounds *b);
void load_close(struct load *l);

#endif

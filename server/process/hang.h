/*
 * hang.h - children that do not go on: found by what their loop shows (conn/counters.h, busy), ended by SIGABRT so that
 * their crash handler says where they hang, and replaced. Master only.
 */
#ifndef BULKHEAD_PROCESS_HANG_H
#define BULKHEAD_PROCESS_HANG_H

#include <stdbool.h>
#include <stdint.h>

/* Of a slot's child; zeros at its fork. */
struct hang {
	uint64_t busy;                  /* the turn that it was seen in */
	int64_t stuck;                  /* ms that it was seen in this turn */
	int64_t told;                   /* since when it is told to abort; 0 = it is not */
	bool said;                      /* that it is stopped */
};
/* Looks, where that is due. When it is due again; INT64_MAX = no child to look at. */
int64_t hang_tick(int64_t now);

#endif

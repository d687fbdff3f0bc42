/*
 * histogram.h - counts of durations in buckets whose width grows with the value: four to each doubling, so that what is read out is
 * off by 12 % at most, and adding is a few instructions. Values are microseconds. The counts are the caller's: plain numbers, or
 * ones in shared memory with one writer.
 */
#ifndef BULKHEAD_BASE_HISTOGRAM_H
#define BULKHEAD_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 120           /* the last one holds all from 1879 s on */

/* The bucket of a value. */
static inline unsigned histogram_index(uint64_t us)
{
	unsigned octave, i;

	if (us < 4)
		return (unsigned)us;
	octave = 63 - (unsigned)__builtin_clzll(us);
	i = (octave - 1) * 4 + (unsigned)(us >> (octave - 2) & 3);
	return i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS - 1;
}

/* The least value that is above bucket i; UINT64_MAX for the last. Every fourth from i = 3 on is a power of two. */
uint64_t histogram_bound(unsigned i);
/* The value that `part` (0 to 1) of all do not exceed, as near as the buckets tell; 0 where there are none. */
double histogram_quantile(const uint64_t count[HISTOGRAM_BUCKETS], double part);

#endif

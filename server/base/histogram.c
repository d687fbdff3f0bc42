/*
 * histogram.c - reading histograms (histogram.h). Pure; any process.
 */
#include "base/histogram.h"

static uint64_t lower(unsigned i)
{
	return i < 4 ? i : (uint64_t)(4 + i % 4) << (i / 4 - 1);
}

uint64_t histogram_bound(unsigned i)
{
	return i + 1 < HISTOGRAM_BUCKETS ? lower(i + 1) : UINT64_MAX;
}

double histogram_quantile(const uint64_t count[HISTOGRAM_BUCKETS], double part)
{
	double all = 0, below = 0, wanted;
	unsigned last = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		all += (double)count[i];
	wanted = all * (part < 0 ? 0 : part > 1 ? 1 : part);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		double here = (double)count[i];

		if (here <= 0)
			continue;
		last = i;
		if (below + here >= wanted && i + 1 < HISTOGRAM_BUCKETS)
			return (double)lower(i) + (wanted - below) / here * (double)(lower(i + 1) - lower(i));
		below += here;
	}
	return all > 0 ? (double)lower(last) : 0;       /* the open bucket: as much as is known */
}

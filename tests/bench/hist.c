/*
 * hist.c - the log-linear histogram of hist.h: a power of two names the row, the six bits below its highest
 * the column.
 */
#include "hist.h"

#include <math.h>

static unsigned cell_of(uint64_t us)
{
	unsigned row;

	if (us < HIST_STEPS)
		return (unsigned)us;
	row = 63u - (unsigned)__builtin_clzll(us) - 5u; /* 64..127: 1 */
	if (row > HIST_DOUBLINGS)
		return HIST_STEPS * (HIST_DOUBLINGS + 1) - 1;
	return row * HIST_STEPS + (unsigned)((us >> (row - 1)) & (HIST_STEPS - 1));
}

/* The greatest time that falls into a cell. */
static uint64_t cell_end(unsigned cell)
{
	unsigned row = cell / HIST_STEPS;

	if (row == 0)
		return cell;
	return (((uint64_t)HIST_STEPS + cell % HIST_STEPS + 1) << (row - 1)) - 1;
}

void hist_add(struct hist *h, uint64_t us)
{
	h->count++;
	h->sum += us;
	if (us > h->max)
		h->max = us;
	h->cell[cell_of(us)]++;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	into->count += from->count;
	into->sum += from->sum;
	if (from->max > into->max)
		into->max = from->max;
	for (unsigned i = 0; i < sizeof into->cell / sizeof into->cell[0]; i++)
		into->cell[i] += from->cell[i];
}

uint64_t hist_at(const struct hist *h, double share)
{
	uint64_t wanted = (uint64_t)ceil(share * (double)h->count), seen = 0;

	for (unsigned i = 0; i < sizeof h->cell / sizeof h->cell[0]; i++) {
		seen += h->cell[i];
		if (seen >= wanted && seen > 0)
			return cell_end(i) < h->max ? cell_end(i) : h->max;
	}
	return h->max;
}

/*
 * store.c - the population of sessions that one process resumes. With zipf the session of rank k comes 1/k
 * times as often as the first, which is how names and visitors are commonly spread.
 */
#include "store.h"

#include <stdlib.h>

int store_init(struct store *s, unsigned n, enum order order, uint64_t seed)
{
	double sum = 0;

	*s = (struct store){ .n = n, .order = order, .random = seed };
	s->sessions = calloc(n, sizeof *s->sessions);
	if (!s->sessions)
		return -1;
	if (order == ORDER_ZIPF) {
		s->up_to = calloc(n, sizeof *s->up_to);
		if (!s->up_to) {
			free(s->sessions);
			s->sessions = NULL;
			return -1;
		}
		for (unsigned i = 0; i < n; i++)
			s->up_to[i] = sum += 1.0 / (i + 1.0);
	}
	return 0;
}

/* splitmix64 (Steele, Lea, Flood 2014): 0 <= result < 1. */
static double chance(struct store *s)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

unsigned store_next(struct store *s)
{
	unsigned low = 0, high = s->n - 1, middle;
	double x;

	if (s->order == ORDER_TURN) {
		s->turn = s->turn % s->n;
		return s->turn++;
	}
	if (s->order == ORDER_RANDOM)
		return (unsigned)(chance(s) * s->n);
	x = chance(s) * s->up_to[s->n - 1];
	while (low < high) {
		middle = low + (high - low) / 2;
		if (s->up_to[middle] > x)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void store_put(struct store *s, unsigned i, gnutls_datum_t data, bool ticket)
{
	gnutls_free(s->sessions[i].data.data);
	s->sessions[i].data = data;
	s->sessions[i].ticket = ticket;
}

void store_fini(struct store *s)
{
	for (unsigned i = 0; s->sessions && i < s->n; i++)
		gnutls_free(s->sessions[i].data.data);
	free(s->sessions);
	free(s->up_to);
	*s = (struct store){ .n = 0 };
}

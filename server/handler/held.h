/*
 * held.h - bytes that the other side has not taken yet: at most what one read brought, so that nothing piles up.
 */
#ifndef BULKHEAD_HANDLER_HELD_H
#define BULKHEAD_HANDLER_HELD_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct held { char *p; size_t n, at; bool ours; };      /* p NULL: none; [at, n) is left; ours: by malloc */

static inline void held_free(struct held *h)
{
	if (h->ours)
		free(h->p);
	*h = (struct held){ 0 };
}

/* Copies bytes behind what is there. 0 or -1 (no memory). */
static inline int held_add(struct held *h, const char *p, size_t n)
{
	size_t left = h->p ? h->n - h->at : 0;
	char *grown;

	if (!n || !p)
		return 0;
	if (!(grown = malloc(left + n)))
		return -1;
	if (left)
		memcpy(grown, h->p + h->at, left);
	memcpy(grown + left, p, n);
	held_free(h);
	*h = (struct held){ .p = grown, .n = left + n, .ours = true };
	return 0;
}

#endif

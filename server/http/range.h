/*
 * range.h - the Range field (RFC 9110, 14): which parts of a representation are asked for. Pure.
 */
#ifndef BULKHEAD_HTTP_RANGE_H
#define BULKHEAD_HTTP_RANGE_H

#include "base/arena.h"
#include "base/text.h"

struct http_range { uint64_t first, last; };            /* both included, within the size */

/* More than these and the whole is sent, which is always allowed: many small or overlapping parts cost more than they ask for. */
struct range_limits { unsigned ranges, overlaps, reversals; };

enum range_answer {
	RANGE_WHOLE,            /* no range, or one to be ignored */
	RANGE_PARTS,            /* *n of them */
	RANGE_OUTSIDE,          /* well-formed, and none lies within the size: 416 */
	RANGE_NO_MEMORY
};

/*
 * The parts that a Range field asks for of `size` bytes, in its order; those that touch or overlap the one before become
 * one with it. *out is of the arena. An empty representation is always sent whole: there is no part of it to leave out.
 */
enum range_answer range_parse(struct arena *a, struct text field, uint64_t size, const struct range_limits *limits,
			      struct http_range **out, unsigned *n);

#endif

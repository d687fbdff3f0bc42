/*
 * range.c - the Range field (RFC 9110, 14.1.2 and 14.2), with the merging of neighbours that 15.3.7.2 suggests. Pure; runs
 * in the children.
 */
#include "http/range.h"

enum spec { SPEC_BAD, SPEC_INSIDE, SPEC_OUTSIDE };

/* "first-last", "first-", "-suffix"; no blanks inside. */
static enum spec spec_parse(struct text spec, uint64_t size, struct http_range *r)
{
	struct text first, last = spec;
	uint64_t suffix;

	if (!memchr(spec.p, '-', spec.n) || !text_split(&last, '-', &first))
		return SPEC_BAD;
	if (first.n == 0) {
		if (text_u64(last, UINT64_MAX, &suffix) < 0)
			return SPEC_BAD;
		r->first = suffix < size ? size - suffix : 0;
		r->last = size - 1;
		return suffix ? SPEC_INSIDE : SPEC_OUTSIDE;
	}
	r->last = UINT64_MAX;
	if (text_u64(first, UINT64_MAX, &r->first) < 0 || (last.n && (text_u64(last, UINT64_MAX, &r->last) < 0 || r->last < r->first)))
		return SPEC_BAD;
	if (r->first >= size)
		return SPEC_OUTSIDE;
	if (r->last >= size)
		r->last = size - 1;
	return SPEC_INSIDE;
}

/* Whether two parts overlap or touch. `last` is below UINT64_MAX: it lies within a size. */
static bool meet(const struct http_range *a, const struct http_range *b)
{
	return a->first <= b->last + 1 && b->first <= a->last + 1;
}

struct row {
	struct http_range *at;
	unsigned n, overlaps, reversals;
};

/* The last part becomes one with the one before, as long as they meet: grown backwards it may reach further ones. */
static void row_join(struct row *row)
{
	while (row->n > 1 && meet(&row->at[row->n - 2], &row->at[row->n - 1])) {
		struct http_range *before = &row->at[row->n - 2], *last = &row->at[row->n - 1];

		row->overlaps++;
		before->first = last->first < before->first ? last->first : before->first;
		before->last = last->last > before->last ? last->last : before->last;
		row->n--;
	}
}

static void row_add(struct row *row, const struct http_range *r)
{
	if (row->n && r->first < row->at[row->n - 1].first)
		row->reversals++;
	row->at[row->n++] = *r;
	row_join(row);
}

/* The parts together: more than the whole is not worth the parts. */
static bool worth_it(const struct row *row, uint64_t size)
{
	uint64_t left = size;

	for (unsigned i = 0; i < row->n; i++) {
		uint64_t length = row->at[i].last - row->at[i].first + 1;

		if (length > left)
			return false;
		left -= length;
	}
	return true;
}

enum range_answer range_parse(struct arena *a, struct text field, uint64_t size, const struct range_limits *limits,
			      struct http_range **out, unsigned *n)
{
	struct row row = { 0 };
	unsigned members = 1, outside = 0;
	struct text rest, part;

	if (size == 0 || field.n < 7 || !text_is_nocase((struct text){ field.p, 6 }, "bytes="))
		return RANGE_WHOLE;
	rest = (struct text){ field.p + 6, field.n - 6 };
	for (size_t i = 0; i < rest.n; i++)
		members += rest.p[i] == ',';
	if (members > limits->ranges)
		return RANGE_WHOLE;
	if (!(row.at = arena_alloc(a, members * sizeof(*row.at))))
		return RANGE_NO_MEMORY;
	while (text_split(&rest, ',', &part)) {
		struct http_range r;
		enum spec s;

		part = text_trim(part);
		if (part.n == 0)                /* RFC 9110, 5.6.1: empty members count for nothing */
			continue;
		if ((s = spec_parse(part, size, &r)) == SPEC_BAD)
			return RANGE_WHOLE;
		outside += s == SPEC_OUTSIDE;
		if (s == SPEC_INSIDE)
			row_add(&row, &r);
	}
	if (row.n == 0)
		return outside ? RANGE_OUTSIDE : RANGE_WHOLE;
	if (row.overlaps > limits->overlaps || row.reversals > limits->reversals || !worth_it(&row, size))
		return RANGE_WHOLE;
	*out = row.at;
	*n = row.n;
	return RANGE_PARTS;
}

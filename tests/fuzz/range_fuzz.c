/*
 * range_fuzz.c - fuzzes server/http/range.c: the first 8 bytes are the size, the rest is the field. Holds:
 * - parts lie within the size, none is empty or touches the one before, and together they are no more than the whole;
 * - there are no more of them than members of the list, and none where the list has more than its limit.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "http/range.h"

static struct arena *arena;

static unsigned members(struct text t)
{
	unsigned n = 1;

	for (size_t i = 0; i < t.n; i++)
		n += t.p[i] == ',';
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct range_limits limits[] = { { 200, 20, 20 }, { 2, 0, 0 }, { 0, 0, 0 } };
	uint64_t size;
	struct text field;

	if (n < sizeof size)
		return 0;
	if (!arena)
		arena = arena_new(65536);
	memcpy(&size, data, sizeof size);
	field = (struct text){ (const char *)data + sizeof size, n - sizeof size };
	for (unsigned l = 0; l < 3; l++) {
		struct http_range *parts = NULL;
		unsigned count = 0;
		uint64_t all = 0;

		if (range_parse(arena, field, size, &limits[l], &parts, &count) != RANGE_PARTS)
			continue;
		CHECK(size > 0 && count > 0 && count <= members(field) && members(field) <= limits[l].ranges);
		for (unsigned i = 0; i < count; i++) {
			CHECK(parts[i].first <= parts[i].last && parts[i].last < size);
			CHECK(parts[i].last - parts[i].first + 1 <= size - all);
			all += parts[i].last - parts[i].first + 1;
			CHECK(i == 0 || parts[i].first > parts[i - 1].last + 1 || parts[i].last + 1 < parts[i - 1].first);
		}
	}
	arena_reset(arena);
	return 0;
}

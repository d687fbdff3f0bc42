/* range_test.c - covers server/http/range.c: which parts a Range field asks for. */
#include "http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char *told(enum range_answer answer, const struct http_range *at, unsigned n)
{
	static char text[256];
	size_t used = 0;

	if (answer != RANGE_PARTS)
		return answer == RANGE_WHOLE ? "whole" : answer == RANGE_OUTSIDE ? "outside" : "no memory";
	for (unsigned i = 0; i < n; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%llu-%llu", i ? "," : "", (unsigned long long)at[i].first,
					 (unsigned long long)at[i].last);
	return text;
}

static void sets(void **state)
{
	static const struct { const char *field; uint64_t size; const char *want; } rows[] = {
		{ "bytes=0-9", 1000, "0-9" }, { "BYTES=0-9", 1000, "0-9" }, { "bytes=990-", 1000, "990-999" }, { "bytes=-5", 1000, "995-999" },
		{ "bytes=-5000", 1000, "0-999" }, { "bytes=0-5000", 1000, "0-999" }, { "bytes=1000-", 1000, "outside" },
		{ "bytes=-0", 1000, "outside" }, { "bytes=0-0,-1", 1000, "0-0,999-999" }, { "bytes= 0-1 , 4-5 ", 1000, "0-1,4-5" },
		{ "bytes=,0-1,,", 1000, "0-1" }, { "bytes=,", 1000, "whole" }, { "bytes=", 1000, "whole" }, { "bytes", 1000, "whole" },
		{ "lines=0-1", 1000, "whole" }, { "bytes=5-4", 1000, "whole" }, { "bytes=0-1,5-4", 1000, "whole" },
		{ "bytes=-", 1000, "whole" }, { "bytes=--5", 1000, "whole" }, { "bytes=+1-2", 1000, "whole" }, { "bytes=1 -2", 1000, "whole" },
		{ "bytes=18446744073709551615-", 1000, "outside" }, { "bytes=0-18446744073709551615", 1000, "0-999" },
		{ "bytes=0-", 0, "whole" }, { "bytes=-1", 0, "whole" },
		/* neighbours and overlaps become one, in any order */
		{ "bytes=0-1,2-3", 1000, "0-3" }, { "bytes=2-3,0-1", 1000, "0-3" }, { "bytes=0-9,2-3", 1000, "0-9" },
		{ "bytes=5-9,0-20", 1000, "0-20" }, { "bytes=0-1,3-4", 1000, "0-1,3-4" }, { "bytes=3-4,0-1", 1000, "3-4,0-1" },
		{ "bytes=0-1,2000-,5-6", 1000, "0-1,5-6" },
		/* more than the whole together */
		{ "bytes=0-5,8-9,0-5", 10, "whole" }, { "bytes=0-5,7-9", 10, "0-5,7-9" },
		/* the limits: 4 ranges, 2 overlaps, 1 reversal */
		{ "bytes=0-0,2-2,4-4,6-6", 1000, "0-0,2-2,4-4,6-6" }, { "bytes=0-0,2-2,4-4,6-6,8-8", 1000, "whole" },
		{ "bytes=1-1,1-1,1-1", 1000, "1-1" }, { "bytes=1-1,1-1,1-1,1-1", 1000, "whole" }, { "bytes=8-8,4-4,6-6", 1000, "8-8,4-4,6-6" },
		{ "bytes=8-8,4-4,0-0", 1000, "whole" },
	};
	static const struct range_limits limits = { 4, 2, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct arena *a = arena_new(0);
		struct http_range *at = NULL;
		unsigned n = 0;
		enum range_answer answer = range_parse(a, text_of(rows[i].field), rows[i].size, &limits, &at, &n);

		if (strcmp(told(answer, at, n), rows[i].want) != 0)
			fail_msg("%s of %llu: %s, not %s", rows[i].field, (unsigned long long)rows[i].size, told(answer, at, n), rows[i].want);
		arena_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sets) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

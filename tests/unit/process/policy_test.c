/* policy_test.c - the arithmetic of children: every worked example of the design, spare rules, back-off, the bucket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "process/policy.h"

#define UNSET { -1, -1, -1, -1, -1, -1 }

static const struct plan_row {
	const char *name;
	struct policy_numbers
		in; /* start, min spare, max spare, server limit, max workers, connections per child */
	unsigned cores;
	unsigned children, limit, start, min_spare, max_spare;
	uint64_t workers, asked;
} plans[] = {
	{ "nothing set, 2 cores", UNSET, 2, 2, 512, 2, 1, 10, 1024, 1024 },
	{ "nothing set, 1 core", UNSET, 1, 1, 1024, 1, 1, 10, 1024, 1024 },
	{ "nothing set, 16 cores", UNSET, 16, 16, 256, 16, 1, 16, 4096, 4096 },
	{ "classic, M = 256", { -1, -1, -1, -1, 256, 1 }, 2, 256, 1, 5, 5, 10, 256, 256 },
	{ "classic, nothing else", { -1, -1, -1, -1, -1, 1 }, 64, 256, 1, 5, 5, 10, 256, 256 },
	{ "C = 1024, M = 150", { -1, -1, -1, -1, 150, 1024 }, 2, 2, 75, 2, 1, 10, 150, 150 },
	{ "classic, ServerLimit 5, M = 150", { -1, -1, -1, 5, 150, 1 }, 2, 5, 1, 5, 5, 10, 5, 150 },
	{ "one of everything", { 1, 1, 1, 1, 1, -1 }, 2, 1, 1, 1, 1, 2, 1, 1 },
	{ "classic, four", { 1, 1, 2, 4, 4, 1 }, 2, 4, 1, 1, 1, 2, 4, 4 },
	{ "StartServers beyond ServerLimit", { 500, -1, -1, -1, -1, -1 }, 2, 256, 4, 256, 1, 500, 1024, 1024 },
	{ "StartServers 8", { 8, 8, 10, -1, -1, -1 }, 2, 8, 128, 8, 8, 10, 1024, 1024 },
	{ "M = 100000 with the defaults", { -1, -1, -1, -1, 100000, -1 }, 2, 98, 1021, 2, 1, 10, 100000, 100000 },
	{ "M beyond all", { -1, -1, -1, 2, 100000, -1 }, 2, 2, 1024, 2, 1, 10, 2048, 100000 },
	{ "zeros are ones", { 0, 0, 0, 0, 0, 0 }, 2, 1, 1, 1, 1, 2, 1, 1 },
	{ "maximum below minimum is raised", { -1, 6, 3, -1, 256, 1 }, 2, 256, 1, 5, 6, 7, 256, 256 },
};

static void test_plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
		const struct plan_row *r = &plans[i];
		struct policy_plan p;

		policy_plan(&r->in, r->cores, &p);
		if (p.children != r->children || p.limit != r->limit || p.start != r->start ||
		    p.min_spare != r->min_spare || p.max_spare != r->max_spare || p.workers != r->workers ||
		    p.asked != r->asked)
			fail_msg("%s: children %u limit %u start %u spare %u-%u workers %llu of %llu",
				 r->name, p.children, p.limit, p.start, p.min_spare, p.max_spare,
				 (unsigned long long)p.workers, (unsigned long long)p.asked);
	}
}

static void test_busy(void **state)
{
	(void)state;
	assert_false(policy_busy(0, 1));
	assert_true(policy_busy(1, 1));
	assert_false(policy_busy(6, 8));
	assert_true(policy_busy(7, 8));
	assert_false(policy_busy(447, 512));
	assert_true(policy_busy(448, 512));
	assert_true(policy_busy(UINT32_MAX, 512));
}

static const struct wanted_row {
	const char *name;
	struct policy_numbers in;
	struct policy_view view;        /* spare, busy, starting, draining */
	int wanted;
} wanted[] = {
	{ "at the start: all of StartServers", { 3, 1, 5, 10, 10, 1 }, { 0, 0, 0, 0 }, 3 },
	{ "those that start count", { 3, 1, 5, 10, 10, 1 }, { 0, 0, 3, 0 }, 0 },
	{ "enough", { 3, 1, 5, 10, 10, 1 }, { 3, 0, 0, 0 }, 0 },
	{ "a dead one is replaced, though enough are spare", { 3, 1, 5, 10, 10, 1 }, { 2, 0, 0, 0 }, 1 },
	{ "all busy", { 3, 1, 5, 10, 10, 1 }, { 0, 3, 0, 0 }, 1 },
	{ "all busy, two spare wanted", { 3, 2, 5, 10, 10, 1 }, { 0, 3, 0, 0 }, 2 },
	{ "all busy, one starts", { 3, 1, 5, 10, 10, 1 }, { 0, 3, 1, 0 }, 0 },
	{ "at the most", { 3, 3, 5, 10, 10, 1 }, { 0, 10, 0, 0 }, 0 },
	{ "one below the most", { 3, 3, 5, 10, 10, 1 }, { 0, 9, 0, 0 }, 1 },
	{ "too many spare: one goes", { 3, 1, 5, 10, 10, 1 }, { 6, 1, 0, 0 }, -1 },
	{ "as many spare as may be", { 3, 1, 5, 10, 10, 1 }, { 5, 1, 0, 0 }, 0 },
	{ "StartServers above MaxSpareServers: kept at the latter", { 8, 1, 4, 10, 10, 1 }, { 8, 0, 0, 0 }, -1 },
	{ "and no lower", { 8, 1, 4, 10, 10, 1 }, { 4, 0, 0, 0 }, 0 },
	{ "a draining one does not count", { 3, 1, 5, 10, 10, 1 }, { 2, 0, 0, 1 }, 1 },
	{ "many draining ones take the places of others", { 3, 3, 5, 10, 10, 1 }, { 0, 5, 0, 7 }, 0 },
	{ "the only child drains", { 1, 1, 1, 1, 1, 1 }, { 0, 0, 0, 1 }, 1 },
	{ "two drain where one may be", { 1, 1, 1, 1, 1, 1 }, { 0, 0, 0, 2 }, 1 },
};

static void test_wanted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		struct policy_plan p;
		int got;

		policy_plan(&wanted[i].in, 2, &p);
		got = policy_wanted(&p, &wanted[i].view);
		if (got != wanted[i].wanted)
			fail_msg("%s: %d, not %d", wanted[i].name, got, wanted[i].wanted);
	}
}

/* Whatever the children do, there are never more than K that serve, and the number comes to rest. */
static void test_wanted_settles(void **state)
{
	(void)state;
	for (unsigned busy = 0; busy <= 12; busy++) {
		struct policy_plan p;
		struct policy_view v = { .spare = 0, .busy = busy };
		int want = 0;

		policy_plan(&(struct policy_numbers){ 4, 2, 5, 12, 12, 1 }, 2, &p);
		for (int turn = 0; turn < 50; turn++) {
			want = policy_wanted(&p, &v);
			v.spare = (unsigned)((int)v.spare + want);
			assert_true(v.spare + v.busy <= p.children);
		}
		assert_int_equal(want, 0);
		assert_true(v.spare >= 2 || v.spare + v.busy == p.children);
		assert_true(v.spare <= 5);
	}
}

static void test_backoff(void **state)
{
	struct policy_backoff b = { 0 };
	int64_t now = 1000000,
		expected[] = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000 };

	(void)state;
	/* A first crash after some life: at once. */
	policy_ended(&b, POLICY_CRASH, now - 5000, now);
	assert_int_equal(policy_due(&b, false), now);
	/* From then on later and later, 30 s at most. */
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		policy_ended(&b, POLICY_CRASH, now - 10, now);
		assert_int_equal(policy_due(&b, false) - now, expected[i]);
		now += 50000;
	}
	/* With nobody else alive no longer than a second, counted from the end: it does come. */
	policy_ended(&b, POLICY_KILLED, now - 10, now);
	assert_int_equal(policy_due(&b, true), now + POLICY_ALONE);
	/* A minute of health forgives. */
	policy_ended(&b, POLICY_CRASH, now - POLICY_HEALTHY, now);
	assert_int_equal(policy_due(&b, false), now);
	assert_int_equal(b.failures, 1);
}

/* Another fault is no repetition; the same one is, and so is one that cannot be told. */
static void test_backoff_by_fault(void **state)
{
	struct policy_backoff b = { 0 };

	(void)state;
	policy_crashed(&b, POLICY_CRASH, 77, 0, 10000);
	assert_int_equal(policy_due(&b, false), 10000);
	policy_crashed(&b, POLICY_CRASH, 78, 10000, 20000);
	assert_int_equal(policy_due(&b, false), 20000);
	policy_crashed(&b, POLICY_CRASH, 78, 20000, 30000);
	assert_int_equal(policy_due(&b, false), 30100);
	policy_crashed(&b, POLICY_CRASH, 0, 30100, 40000);
	assert_int_equal(policy_due(&b, false), 40200);
	/* However different, a process that dies young was not healthy. */
	policy_crashed(&b, POLICY_CRASH, 77, 40000, 40500);
	policy_crashed(&b, POLICY_CRASH, 78, 40500, 41000);
	assert_int_equal(policy_due(&b, false), 41800);
}

static void test_backoff_young(void **state)
{
	struct policy_backoff b = { 0 };

	(void)state;
	policy_ended(&b, POLICY_FATAL, 1000, 1010);
	assert_int_equal(policy_due(&b, false), 1110);
	/* Ends that are no failure cost nothing, however young. */
	policy_ended(&b, POLICY_NORMAL, 1110, 1111);
	assert_int_equal(b.failures, 0);
	assert_int_equal(policy_due(&b, false), 1111);
}

/* Killed from outside once it served: no delay, however often and however young; its own failures count as before. */
static void test_no_backoff_for_kills(void **state)
{
	struct policy_backoff b = { 0 };

	(void)state;
	for (int64_t t = 1000; t < 1100; t += 10) {
		policy_killed(&b, t);
		assert_int_equal(policy_due(&b, false), t);
		assert_true(b.by_hand);
	}
	policy_crashed(&b, POLICY_CRASH, 0, 1100, 1110);
	assert_false(b.by_hand);
	assert_int_equal(policy_due(&b, false), 1210);
	/* The same of a helper; one that was killed before it had begun its work may be what does not fit into memory. */
	policy_ended(&b, POLICY_KILLED, 1210, 1210 + POLICY_SERVED);
	assert_int_equal(policy_due(&b, false), 1210 + POLICY_SERVED);
	policy_ended(&b, POLICY_KILLED, 1310, 1309 + POLICY_SERVED);
	assert_true(policy_due(&b, false) > 1309 + POLICY_SERVED);
}

static void test_bucket(void **state)
{
	struct policy_bucket b = { .rate = POLICY_RATE, .burst = POLICY_BURST };
	int64_t now = 5000;
	int taken = 0;

	(void)state;
	while (policy_take(&b, now))
		taken++;
	assert_int_equal(taken, POLICY_BURST);
	assert_int_equal(policy_token_due(&b, now), now + 125);
	assert_false(policy_take(&b, now + 124));
	assert_true(policy_take(&b, now + 125));
	/* Over ten seconds of constant asking: the rate, no more. */
	taken = 0;
	for (int64_t t = now + 125; t < now + 10125; t++)
		taken += policy_take(&b, t);
	assert_in_range(taken, 79, 80);
	/* It never holds more than the burst. */
	taken = 0;
	while (policy_take(&b, now + 100000000))
		taken++;
	assert_int_equal(taken, POLICY_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plans),	      cmocka_unit_test(test_busy),
		cmocka_unit_test(test_wanted),	      cmocka_unit_test(test_wanted_settles),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_backoff_young), cmocka_unit_test(test_backoff_by_fault), cmocka_unit_test(test_no_backoff_for_kills), cmocka_unit_test(test_bucket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

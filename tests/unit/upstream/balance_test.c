/* balance.c: whose turn it is. */
#include "handler/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct proxy_cell cells[3];
static struct proxy_worker workers[3];
static struct proxy_member members[3];
static struct proxy_balancer balancer;

static int begin(void **state)
{
	(void)state;
	memset(cells, 0, sizeof cells);
	memset(workers, 0, sizeof workers);
	balancer = (struct proxy_balancer){ .name = "pool", .members = members, .nmembers = 3, .method = -1, .nofailover = -1, .forcerecovery = -1, .attempts = -1 };
	for (unsigned i = 0; i < 3; i++) {
		workers[i] = (struct proxy_worker){ .name = "w", .cell = &cells[i], .factor = 100, .retry = 60000, .set = -1, .id = i };
		members[i] = (struct proxy_member){ &workers[i], i < 2 ? &members[i + 1] : NULL };
	}
	return 0;
}

static const struct proxy_worker *pick(const char *route)
{
	bool moved;

	return upstream_pick(&balancer, route, NULL, 0, &moved);
}

static void count(unsigned requests, unsigned got[3])
{
	memset(got, 0, 3 * sizeof *got);
	while (requests--)
		got[pick(NULL)->id]++;
}

static void shares_follow_the_factors(void **state)
{
	unsigned got[3];

	(void)state;
	workers[0].factor = 300;
	workers[2].factor = 200;
	count(60, got);
	assert_int_equal(got[0], 30);
	assert_int_equal(got[1], 10);
	assert_int_equal(got[2], 20);
}

static void a_route_out_of_use_leads_to_the_one_that_redirect_names(void **state)
{
	bool moved;

	(void)state;
	workers[0].route = "a";
	workers[0].redirect = "c";
	workers[1].route = "b";
	workers[2].route = "c";
	assert_ptr_equal(upstream_pick(&balancer, "a", NULL, 0, &moved), &workers[0]);
	workers[0].status = PROXY_DISABLED;
	assert_ptr_equal(upstream_pick(&balancer, "a", NULL, 0, &moved), &workers[2]);
	assert_false(moved);
	workers[2].status = PROXY_STOPPED;
	assert_ptr_equal(upstream_pick(&balancer, "a", NULL, 0, &moved), &workers[1]);
	assert_true(moved);
}

static void the_ill_are_left_alone_and_asked_where_nobody_is_left(void **state)
{
	unsigned got[3];

	(void)state;
	upstream_failed(&workers[0]);
	cells[1].ill = PROXY_ILL;
	count(5, got);
	assert_int_equal(got[2], 5);
	upstream_failed(&workers[2]);
	assert_non_null(pick(NULL));            /* forcerecovery: those in error, not who failed health checks */
	assert_true(upstream_takes(&workers[0]));
	cells[0].ill_until = INT64_MAX;         /* nobody of ours writes such a time */
	assert_true(upstream_takes(&workers[0]));
	for (unsigned i = 0; i < 3; i++)
		workers[i].status = PROXY_DISABLED;
	assert_null(pick(NULL));
}

static void standbys_wait_and_sets_go_in_order(void **state)
{
	unsigned got[3];

	(void)state;
	workers[0].status = PROXY_STANDBY;
	workers[1].set = 1;
	count(4, got);
	assert_int_equal(got[2], 4);
	workers[2].status = PROXY_STOPPED;
	assert_ptr_equal(pick(NULL), &workers[1]);
	workers[1].status = PROXY_STOPPED;
	assert_ptr_equal(pick(NULL), &workers[0]);
}

static void routes_go_before_turns(void **state)
{
	bool moved;

	(void)state;
	workers[1].route = "one";
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(pick("one"), &workers[1]);
	upstream_failed(&workers[1]);
	assert_ptr_not_equal(upstream_pick(&balancer, "one", NULL, 0, &moved), &workers[1]);
	assert_true(moved);
	balancer.nofailover = 1;
	assert_null(pick("one"));
}

static void the_least_busy_goes(void **state)
{
	(void)state;
	balancer.method = PROXY_BY_BUSYNESS;
	upstream_busy(&workers[0], 2);
	upstream_busy(&workers[1], 1);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(pick(NULL), &workers[2]);
	balancer.method = PROXY_BY_TRAFFIC;
	upstream_traffic(&workers[1], 1000000);
	upstream_traffic(&workers[2], 1000000);
	assert_ptr_equal(pick(NULL), &workers[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(shares_follow_the_factors, begin), cmocka_unit_test_setup(the_ill_are_left_alone_and_asked_where_nobody_is_left, begin),
		cmocka_unit_test_setup(standbys_wait_and_sets_go_in_order, begin), cmocka_unit_test_setup(routes_go_before_turns, begin),
		cmocka_unit_test_setup(the_least_busy_goes, begin), cmocka_unit_test_setup(a_route_out_of_use_leads_to_the_one_that_redirect_names, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

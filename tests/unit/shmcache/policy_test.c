/*
 * policy_test.c - holds the cache to what it chooses to keep and to how much it keeps. The clients are those of
 * `bulkhead-cache bench` (shmcache/tool/sim.c); they follow from a seed, so that the figures are the same each time. The
 * bounds leave room for small changes of the layout, none for another policy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fixture.h"
#include "shmcache/tool/sim.c"

static struct shmcache *planned(struct fixture *f, size_t bytes, size_t average)
{
	struct shmcache_lock_options lock = { .lockfile = f->lockfile };
	struct shmcache_plan plan;
	struct shmcache *c;

	assert_int_equal(shmcache_plan(bytes, average, &plan, &f->err), 0);
	c = shmcache_create(&plan, f->name, &lock, &f->err);
	if (c == NULL || shmcache_child_init(c, &f->err) < 0)
		fail_msg("%s (%s)", f->err.text, f->err.remedy);
	return c;
}

struct row {
	size_t bytes;
	struct sim_population of;
	double least;                   /* per cent of returning clients that must find their session */
	double above_fifo, above_lru;   /* by so many points at least */
};

static void hold(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct fixture f;
		struct shmcache *c;
		struct sim_ratio r;

		fixture_init(&f);
		c = planned(&f, rows[i].bytes, SIM_MIX_AVERAGE);
		assert_int_equal(sim_policy(c, &rows[i].of, &r), 0);
		if (r.ours < rows[i].least || r.ours < r.fifo + rows[i].above_fifo || r.ours < r.lru + rows[i].above_lru)
			fail_msg("row %zu: %.1f %%, FIFO %.1f, LRU %.1f", i, r.ours, r.fifo, r.lru);
		assert_whole(c);
		fixture_end(&f, c);
	}
}

/* Who comes often is kept, however many come once. */
static void test_regulars(void **state)
{
	static const struct row rows[] = {
		{ 1875000, { SIM_ZIPF, 10000, 100000, 0, 0, 0, 1 }, 76, 4, 0 },
		{ 1875000, { SIM_ZIPF, 10000, 100000, 0, 0, 1, 1 }, 70, 17, 11 },
		{ 1875000, { SIM_ZIPF, 10000, 50000, 0, 0, 10, 1 }, 55, 25, 20 },
	};

	(void)state;
	hold(rows, sizeof(rows) / sizeof(rows[0]));
}

/* What has expired makes room in both rings: with sessions that live shortly all that are valid have nearly room. */
static void test_short_lives(void **state)
{
	static const struct row rows[] = {
		{ 1875000, { SIM_ZIPF, 10000, 100000, 0, 10000, 0, 1 }, 96, -4, 0 },
		{ 1875000, { SIM_ZIPF, 10000, 100000, 0, 20000, 1, 1 }, 72, 13, 7 },
	};

	(void)state;
	hold(rows, sizeof(rows) / sizeof(rows[0]));
}

/* Clients that connect a few times and are gone: here old hits tell little, and must not cost much. */
static void test_visits(void **state)
{
	static const struct row rows[] = {
		{ 250000, { SIM_VISITS, 0, 20000, 4000, 0, 0, 1 }, 76, -4, -4 },
		{ 250000, { SIM_VISITS, 0, 20000, 4000, 0, 1, 1 }, 68, 0, -1 },
		{ 250000, { SIM_VISITS, 0, 20000, 4000, 0, 10, 1 }, 49, 3, 0 },
	};

	(void)state;
	hold(rows, sizeof(rows) / sizeof(rows[0]));
}

/* As many as the plan says, within five per cent, and no fewer than these. */
static void test_density(void **state)
{
	static const struct {
		size_t bytes, len;
		long least;
	} rows[] = {
		{ 512000, 200, 1846 }, { 512000, 356, 1178 }, { 512000, 600, 746 }, { 512000, 1500, 314 },
		{ 512000, SIM_MIX, 790 }, { 1048576, 356, 2408 }, { 65536, 356, 145 }, { 16384, 356, 34 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t average = rows[i].len == SIM_MIX ? SIM_MIX_AVERAGE : rows[i].len;
		struct fixture f;
		struct shmcache *c;
		long kept, plan;

		fixture_init(&f);
		c = planned(&f, rows[i].bytes, average);
		plan = (long)shmcache_geometry(c)->sessions;
		kept = sim_kept(c, rows[i].len);
		if (kept < rows[i].least || kept * 100 < plan * 95 || kept * 100 > plan * 105)
			fail_msg("row %zu: %ld kept, %ld planned, %ld wanted", i, kept, plan, rows[i].least);
		fixture_end(&f, c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regulars),
		cmocka_unit_test(test_short_lives),
		cmocka_unit_test(test_visits),
		cmocka_unit_test(test_density),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

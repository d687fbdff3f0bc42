/*
 * Entries: store, fetch, remove, replace, expire, evict, wrap, seal. One process that is master and child at
 * once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fixture.h"

static struct shmcache_counters counters(struct shmcache *c)
{
	struct shmcache_counters n;

	shmcache_counters(c, &n);
	return n;
}

static void keeps_what_it_was_given(void **state)
{
	static const size_t lengths[] = { 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 356, 1367, 1733, 4096, 7000 };
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 1 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(get(c, i, 0, lengths[i]), 0);
		assert_int_equal(put(c, i, 0, lengths[i], 100), 0);
		assert_int_equal(get(c, i, 0, lengths[i]), 1);
	}
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		assert_int_equal(get(c, i, 0, lengths[i]), 1);
	assert_whole(c);
	assert_int_equal(counters(c).stores, sizeof(lengths) / sizeof(lengths[0]));
	assert_int_equal(counters(c).live, sizeof(lengths) / sizeof(lengths[0]));
	fixture_end(&f, c);
}

static void replaces_and_removes(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536);

	(void)state;
	for (uint32_t turn = 0; turn < 50; turn++) {
		assert_int_equal(put(c, 1, turn, 100 + turn, 100), 0);
		assert_int_equal(get(c, 1, turn, 100 + turn), 1);
		assert_int_equal(counters(c).live, 1);
	}
	assert_int_equal(counters(c).replaced, 49);
	assert_whole(c);
	drop(c, 2);
	assert_int_equal(get(c, 1, 49, 149), 1);
	drop(c, 1);
	assert_int_equal(get(c, 1, 49, 149), 0);
	assert_int_equal(counters(c).live, 0);
	assert_int_equal(counters(c).removed, 1);
	drop(c, 1);
	assert_int_equal(counters(c).removed, 1);
	assert_int_equal(put(c, 1, 7, 10, 100), 0);
	assert_int_equal(get(c, 1, 7, 10), 1);
	assert_whole(c);
	fixture_end(&f, c);
}

static void refuses_what_it_must(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, SHMCACHE_MIN_BYTES);
	size_t most = shmcache_geometry(c)->max_data;
	unsigned char key[SHMCACHE_KEY], small[10];
	size_t len;

	(void)state;
	assert_true(most >= 512);
	assert_int_equal(put(c, 1, 0, most, 100), 0);
	assert_int_equal(get(c, 1, 0, most), 1);
	assert_int_equal(put(c, 2, 0, most + 1, 100), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(counters(c).oversize, 1);
	assert_int_equal(put(c, 2, 0, 0, 100), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(put(c, 2, 0, 1, 0), -1);
	assert_int_equal(errno, EINVAL);
	key_of(1, key);
	assert_int_equal(shmcache_fetch(c, key, small, sizeof(small), &len), 0);
	assert_int_equal(len, most);
	assert_int_equal(shmcache_check(c, 1, false), -1);
	assert_int_equal(errno, EINVAL);
	fixture_end(&f, c);
}

static void forgets_in_time(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536);
	struct shmcache_counters n;

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(put(c, i, 0, 100, 1), 0);
	assert_int_equal(put(c, 100, 0, 100, UINT32_MAX), 0);
	usleep(2100000);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(get(c, i, 0, 100), 0);
	assert_int_equal(get(c, 100, 0, 100), 1);
	/* those whose time is over go first, the other one is kept on since it was hit */
	for (uint64_t i = 200; i < 300; i++)
		assert_int_equal(put(c, i, 0, 356, 100), 0);
	n = counters(c);
	assert_int_equal(n.expired, 4);
	assert_true(n.moved > 0);
	assert_int_equal(get(c, 100, 0, 100), 1);
	assert_whole(c);
	fixture_end(&f, c);
}

/*
 * Many laps round both rings, with sizes that never fit evenly: the newest are there, nothing is ever wrong.
 */
static void wraps_and_evicts(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536);
	struct shmcache_counters n;
	unsigned hits = 0;

	(void)state;
	for (uint64_t i = 0; i < 20000; i++) {
		size_t len = 50 + (i * 7919) % 900;

		assert_int_equal(put(c, i, 0, len, 1000), 0);
		assert_int_equal(get(c, i, 0, len), 1);
		for (uint64_t back = 1; back < 8 && back <= i; back++) {
			int r = get(c, i - back * back, 0, 50 + ((i - back * back) * 7919) % 900);

			if (back * back > i)
				break;
			assert_true(r >= 0);
			hits += r == 1;
		}
		if (i % 500 == 0)
			assert_whole(c);
	}
	n = counters(c);
	assert_true(n.evicted > 15000);
	assert_true(hits > 20000 * 3);
	assert_int_equal(n.resets, 0);
	assert_int_equal(n.badtag, 0);
	assert_int_equal(n.repairs, 0);
	assert_whole(c);
	fixture_end(&f, c);
}

/* A flood of sessions that are never asked for again does not sweep away those that are. */
static void keeps_the_wanted(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 262144);
	unsigned kept = 0;
	uint64_t flood = 1000;

	(void)state;
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(put(c, i, 0, 356, 1000), 0);
	for (unsigned round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < 50; i++)
			(void)get(c, i, 0, 356);
		for (unsigned i = 0; i < 200; i++)
			assert_int_equal(put(c, flood++, 0, 356, 1000), 0);
	}
	for (uint64_t i = 0; i < 50; i++)
		kept += get(c, i, 0, 356) == 1;
	assert_true(kept >= 48);
	assert_whole(c);
	fixture_end(&f, c);
}

/* The plan's word is kept: so many usual sessions are there after a first fill. */
static void holds_what_the_plan_says(void **state)
{
	static const size_t sizes[] = { 8192, 65536, 512000, 4 << 20 };
	struct fixture f;

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct shmcache *c = fixture_open(&f, sizes[s]);
		size_t all = shmcache_geometry(c)->sessions, there = 0;

		for (size_t i = 0; i < all; i++)
			assert_int_equal(put(c, i, 0, 356, 1000), 0);
		for (size_t i = 0; i < all; i++) {
			int r = get(c, i, 0, 356);

			assert_true(r >= 0);
			there += r == 1;
		}
		/* shards fill unevenly: some of them are over their share already */
		if (there < all * 90 / 100)
			fail_msg("%zu bytes: %zu of %zu", sizes[s], there, all);
		assert_whole(c);
		fixture_end(&f, c);
	}
}

/*
 * Shorter entries than planned for: both buckets of a hash get full; then the oldest go, and nothing else
 * breaks.
 */
static void survives_full_buckets(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536);
	struct shmcache_counters n;

	(void)state;
	for (uint64_t i = 0; i < 5000; i++) {
		assert_int_equal(put(c, i, 0, 20, 1000), 0);
		assert_int_equal(get(c, i, 0, 20), 1);
	}
	n = counters(c);
	assert_true(n.idx_evicted > 0);
	assert_true(n.dead > 0);
	assert_int_equal(n.resets, 0);
	assert_whole(c);
	fixture_end(&f, c);
}

/* Neither data nor key can be found in the segment's bytes. */
static void shows_no_secret(void **state)
{
	static const char secret[] = "planted-secret: the master secret of a session";
	unsigned char key[SHMCACHE_KEY];
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536);
	struct shmcache_seed seed = { .id = 1, .not_before = 1, .not_after = 2 };
	size_t all = shmcache_geometry(c)->segment;

	(void)state;
	memcpy(key, "planted-key: a session's own ID.", SHMCACHE_KEY);
	memcpy(seed.seed, secret, sizeof(secret));
	assert_int_equal(shmcache_store(c, key, secret, sizeof(secret), 100), 0);
	assert_int_equal(shmcache_ticket_put(c, &seed, seed.not_before), 0);
	assert_null(memmem(c->base, all, secret, 8));
	assert_null(memmem(c->base, all, secret + 8, 8));
	assert_null(memmem(c->base, all, key, 8));
	assert_null(memmem(c->base, all, key + 8, 8));
	/* what would be found is found: the search itself works */
	assert_non_null(memmem(c->base, all, f.name, strlen(f.name)));
	fixture_end(&f, c);
}

/* Each byte of an entry counts: damage is a miss, never wrong data. Also a longer life than it was given. */
static void does_not_believe_damage(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, SHMCACHE_MIN_BYTES);
	struct shmc_shard_head *h = shmc_shard_at(c, 0);
	unsigned char *ring = (unsigned char *)shmc_ring_at(c, h, PROBATION);

	(void)state;
	assert_int_equal(put(c, 1, 0, 40, 100), 0);
	for (size_t i = 0; i < 48 + 40; i++) {
		unsigned char was = ring[i];

		ring[i] ^= 0x11;
		assert_int_equal(get(c, 1, 0, 40), 0);
		ring[i] = was;
	}
	assert_int_equal(get(c, 1, 0, 40), 1);
	{
		uint64_t *w = (uint64_t *)ring, was[4] = { w[0], w[1], w[2], w[3] };
		uint64_t pos = c->plan.ring_units[PROBATION];

		/* a well-made head with other words is still not what was sealed */
		w[1] += (uint64_t)1000 << 32;
		w[3] = (w[3] & 0xffffffff) | (uint64_t)shmc_entry_check(w, pos) << 32;
		assert_int_equal(get(c, 1, 0, 40), 0);
		assert_true(counters(c).badtag > 0);
		memcpy(w, was, sizeof(was));
	}
	assert_int_equal(get(c, 1, 0, 40), 1);
	fixture_end(&f, c);
}

/*
 * A process gone wild writes anything anywhere: no crash, no endless loop, no wrong content; and it works
 * again after.
 */
static void survives_scribbles(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 16384);
	unsigned char *from = c->base + SHMC_SHARDS;
	size_t len = c->plan.shard_bytes;
	uint64_t seed = 88172645463325252u;

	(void)state;
	for (unsigned i = 0; i < 30000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (i % 3 == 0) {       /* the head more often than its size deserves */
			size_t at = (i % 2 == 0 ? seed % sizeof(struct shmc_shard_head) : seed % len) & ~(size_t)7;
			uint64_t what = (seed >> 20) % 4 == 0 ? seed : (seed >> 20) % 4096;

			memcpy(from + at, &what, sizeof(what));
		}
		(void)put(c, seed % 100, 0, 10 + seed % 100 * 9, 1000);
		assert_true(get(c, (seed >> 8) % 100, 0, 10 + (seed >> 8) % 100 * 9) >= 0);
		if (i % 7 == 0)
			drop(c, seed % 100);
	}
	assert_true(shmcache_check(c, 0, true) >= 0);
	assert_int_equal(shmcache_check(c, 0, true), 0);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(put(c, i, 1, 100, 1000), 0);
		assert_int_equal(get(c, i, 1, 100), 1);
	}
	assert_whole(c);
	fixture_end(&f, c);
}

/* Each kind of damage is found by the check, and gone after a repair. */
static void check_finds_and_mends(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, SHMCACHE_MIN_BYTES);
	struct shmc_shard_head *h = shmc_shard_at(c, 0);
	size_t slots = (size_t)c->plan.buckets * SHMC_BUCKET;

	(void)state;
	for (unsigned kind = 0; kind < 6; kind++) {
		uint64_t *used = NULL, *empty = NULL;

		assert_int_equal(put(c, 1, 0, 100, 1000), 0);
		assert_int_equal(put(c, 2, 0, 100, 1000), 0);
		assert_int_equal(shmcache_check(c, 0, false), 0);
		for (size_t i = 0; i < slots; i++)
			if (h->slots[i] != 0)
				used = &h->slots[i];
			else
				empty = &h->slots[i];
		switch (kind) {
		case 0: *empty = 1; break;                              /* names nothing */
		case 1: *used += 3; break;                              /* names the middle of an entry */
		case 2: *used ^= (uint64_t)1 << 50; break;              /* another tag */
		case 3: h->ring[0].head += 5; break;                    /* the chain runs on into nothing */
		case 4: h->ring[0].tail = h->ring[0].head + 1; break;   /* tail before head */
		case 5: h->maxrec = h->ring[1].head; break;             /* larger than any entry */
		}
		if (kind < 4)
			assert_true(shmcache_check(c, 0, false) > 0);
		assert_true(shmcache_check(c, 0, true) >= 0);
		assert_int_equal(shmcache_check(c, 0, false), 0);
		assert_true(get(c, 1, 0, 100) >= 0);
	}
	/* a holder that died inside is noticed by the next store, and mended without being asked */
	assert_int_equal(put(c, 3, 0, 100, 1000), 0);
	h->owner = 1;
	h->ring[0].head += 5;
	assert_int_equal(put(c, 4, 0, 100, 1000), 0);
	assert_int_equal(get(c, 4, 0, 100), 1);
	assert_int_equal(counters(c).repairs, 1);
	assert_int_equal(h->owner, 0);
	assert_whole(c);
	fixture_end(&f, c);
}

/* A chain broken in main, where entries come only from probation, does not stay so for ever. */
static void broken_main_is_emptied(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536);
	struct shmc_shard_head *h = shmc_shard_at(c, 0);

	(void)state;
	for (uint64_t i = 0; i < 3000; i++) {
		if (i == 1000) {
			assert_true(h->ring[MAIN].head > h->ring[MAIN].tail);
			shmc_ring_at(c, h, MAIN)[h->ring[MAIN].tail % c->plan.ring_units[MAIN] * 2] ^= 1;
			assert_true(shmcache_check(c, 0, false) > 0);
		}
		assert_int_equal(put(c, i, 0, 300, 1000), 0);
		assert_int_equal(get(c, i, 0, 300), 1);
	}
	assert_int_equal(counters(c).resets, 1);
	assert_whole(c);
	fixture_end(&f, c);
}

/* Positions end after 140 terabytes: the shard is emptied and goes on from the start. */
static void positions_end_well(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, SHMCACHE_MIN_BYTES);
	struct shmc_shard_head *h = shmc_shard_at(c, 0);

	(void)state;
	h->ring[0].tail = h->ring[0].head = SHMC_POS_MAX - 3000;
	h->ring[1].tail = h->ring[1].head = SHMC_POS_MAX - 3000;
	for (uint64_t i = 0; i < 500; i++) {
		assert_int_equal(put(c, i, 0, 300, 1000), 0);
		assert_int_equal(get(c, i, 0, 300), 1);
	}
	assert_in_range(counters(c).resets, 1, 2);      /* a ring at a time */
	assert_true(h->ring[0].head < 1 << 20 && h->ring[1].head < 1 << 20);
	assert_whole(c);
	fixture_end(&f, c);
}

static void plans(void **state)
{
	static const struct {
		size_t bytes, avg;
		int result;
		unsigned shards;
	} rows[] = {
		{ 0, 0, 0, 0 }, { 1, 0, -1, 0 }, { 8191, 0, -1, 0 }, { 8192, 0, 0, 1 }, { 65536, 0, 0, 1 }, { 131072, 0, 0, 2 },
		{ 512000, 0, 0, 4 }, { 1 << 20, 0, 0, 16 }, { 64 << 20, 0, 0, 16 }, { 65 << 20, 0, 0, 32 },
		{ 1 << 30, 0, 0, 256 }, { ((size_t)1 << 30) + 1, 0, -1, 0 }, { 512000, 200, 0, 4 }, { 512000, 16384, 0, 4 },
		{ 512000, 16385, -1, 0 }, { 8192, 16384, 0, 1 }, { SIZE_MAX, 0, -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct shmcache_plan p;
		struct shmcache_err e;

		if (shmcache_plan(rows[i].bytes, rows[i].avg, &p, &e) != rows[i].result)
			fail_msg("row %zu: %s", i, e.text);
		if (rows[i].result < 0) {
			assert_true(e.text[0] != '\0' && e.remedy[0] != '\0');
			continue;
		}
		assert_int_equal(p.shards, rows[i].shards);
		if (p.shards == 0)
			continue;
		assert_true(p.shard_bytes <= 4 << 20);
		assert_true(p.shard_bytes * (size_t)p.shards <= rows[i].bytes);
		assert_true(p.shard_bytes >= sizeof(struct shmc_shard_head) + p.buckets * 64 + (p.ring_units[0] + p.ring_units[1]) * 16);
		assert_true(p.max_data > 0 && p.max_data <= SHMCACHE_MAX_DATA);
		assert_true(p.avg_data <= p.max_data ? p.sessions * p.avg_data < p.bytes : p.sessions == 0);
	}
	{       /* as many usual sessions as the size is known to hold */
		struct shmcache_plan p;

		assert_int_equal(shmcache_plan(512000, 0, &p, NULL), 0);
		assert_in_range(p.sessions, 1150, 1250);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_main_is_emptied), cmocka_unit_test(plans), cmocka_unit_test(keeps_what_it_was_given), cmocka_unit_test(replaces_and_removes),
		cmocka_unit_test(refuses_what_it_must), cmocka_unit_test(forgets_in_time), cmocka_unit_test(wraps_and_evicts),
		cmocka_unit_test(keeps_the_wanted), cmocka_unit_test(holds_what_the_plan_says),
		cmocka_unit_test(survives_full_buckets), cmocka_unit_test(shows_no_secret),
		cmocka_unit_test(does_not_believe_damage), cmocka_unit_test(survives_scribbles),
		cmocka_unit_test(check_finds_and_mends), cmocka_unit_test(positions_end_well),
	};

	return cmocka_run_group_tests_name("shmcache entries", tests, NULL, NULL);
}

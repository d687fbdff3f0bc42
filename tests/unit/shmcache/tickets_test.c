/* The ring of ticket seeds: order, groups, replacement, dropping, damage, and a reader beside a writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>

#include "fixture.h"

static struct shmcache_seed seed_of(uint64_t id, int64_t from)
{
	struct shmcache_seed s = { .id = id, .not_before = from, .not_after = from + 100 };

	data_of(id, (uint32_t)from, s.seed, sizeof(s.seed));
	return s;
}

static bool right(const struct shmcache_seed *s)
{
	struct shmcache_seed want = seed_of(s->id, s->not_before);

	return s->not_after == want.not_after && memcmp(s->seed, want.seed, sizeof(want.seed)) == 0;
}

static void keeps_newest_first(void **state)
{
	struct shmcache_seed out[SHMCACHE_SEEDS], s;
	struct fixture f;
	struct shmcache *c;
	uint64_t serial;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 0, SHMCACHE_LOCK_OFD);
	assert_int_equal(shmcache_ticket_list(c, out), 0);
	s = seed_of(0, 1);
	assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), -1);
	assert_int_equal(errno, EINVAL);
	serial = shmcache_ticket_serial(c);
	/* put in no order of time: 7 and the number of places have no common divisor */
	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++) {
		s = seed_of(i + 1, 100 + (i * 7) % SHMCACHE_SEEDS);
		assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), 0);
		assert_int_equal(shmcache_ticket_list(c, out), i + 1);
		assert_true(shmcache_ticket_serial(c) != serial);
		serial = shmcache_ticket_serial(c);
	}
	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++) {
		assert_int_equal(out[i].not_before, 100 + SHMCACHE_SEEDS - 1 - (int)i);
		assert_true(right(&out[i]));
	}
	/* one more takes the oldest's place */
	s = seed_of(99, 190);
	assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), 0);
	assert_int_equal(shmcache_ticket_list(c, out), SHMCACHE_SEEDS);
	assert_int_equal(out[0].id, 99);
	assert_int_equal(out[SHMCACHE_SEEDS - 1].not_before, 101);
	/* the same id takes its own */
	s = seed_of(2, 195);
	assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), 0);
	assert_int_equal(shmcache_ticket_list(c, out), SHMCACHE_SEEDS);
	assert_int_equal(out[0].id, 2);
	assert_true(right(&out[0]));
	assert_int_equal(out[1].id, 99);
	fixture_end(&f, c);
}

static int put_of(struct shmcache *c, uint64_t id, uint64_t group, int64_t from, int64_t to, int64_t now)
{
	struct shmcache_seed s = seed_of(id, from);

	s.group = group;
	s.not_after = to;
	return shmcache_ticket_put(c, &s, now);
}

/* Whether the ring has a seed of this id; *s is that one. */
static bool has(struct shmcache *c, uint64_t id, struct shmcache_seed *s)
{
	struct shmcache_seed out[SHMCACHE_SEEDS];
	unsigned n = shmcache_ticket_list(c, out);

	for (unsigned i = 0; i < n; i++)
		if (out[i].id == id) {
			*s = out[i];
			return true;
		}
	return false;
}

/* Which place a seed takes when none is free: an expired one's, then the oldest's of its own group, never another group's. */
static void groups_keep_to_themselves(void **state)
{
	struct shmcache_seed s;
	struct fixture f;
	struct shmcache *c;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 0, SHMCACHE_LOCK_OFD);
	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++)
		assert_int_equal(put_of(c, i + 1, i < 5 ? 7 : 8, 100 + i, i == 12 ? 999 : 5000, 500), 0);
	assert_true(has(c, 3, &s));
	assert_int_equal(s.group, 7);
	/* 13 is over at 1000, though of another group and not the oldest; it was not at 999 */
	assert_int_equal(put_of(c, 50, 7, 300, 5000, 999), 0);
	assert_false(has(c, 1, &s));
	assert_true(has(c, 13, &s));
	assert_int_equal(put_of(c, 51, 7, 301, 5000, 1000), 0);
	assert_false(has(c, 13, &s));
	assert_true(has(c, 2, &s) && has(c, 50, &s) && has(c, 51, &s));
	/* nothing is over: the oldest of its own group */
	assert_int_equal(put_of(c, 52, 7, 302, 5000, 1000), 0);
	assert_false(has(c, 2, &s));
	assert_int_equal(put_of(c, 53, 8, 302, 5000, 1000), 0);
	assert_false(has(c, 6, &s));
	assert_true(has(c, 3, &s) && has(c, 7, &s));
	/* a group that has none there finds no place, and changes nothing */
	errno = 0;
	assert_int_equal(put_of(c, 54, 9, 303, 5000, 1000), -1);
	assert_int_equal(errno, ENOSPC);
	assert_false(has(c, 54, &s));
	/* the same id may move to another group */
	assert_int_equal(put_of(c, 53, 9, 304, 5000, 1000), 0);
	assert_true(has(c, 53, &s));
	assert_int_equal(s.group, 9);
	fixture_end(&f, c);
}

/* A seed that was dropped is gone from the memory as well, and its place is free. */
static void drops(void **state)
{
	static const unsigned char zeros[sizeof(struct shmc_seed)];
	struct shmcache_seed s;
	struct fixture f;
	struct shmcache *c;
	struct shmc_seeds *all;
	uint64_t serial;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 0, SHMCACHE_LOCK_OFD);
	all = (struct shmc_seeds *)(c->base + SHMC_TICKETS);
	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++)
		assert_int_equal(put_of(c, i + 1, 0, 100 + i, 5000, 500), 0);
	serial = shmcache_ticket_serial(c);
	assert_int_equal(shmcache_ticket_drop(c, 99), -1);
	assert_int_equal(errno, ENOENT);
	assert_true(shmcache_ticket_serial(c) == serial);
	assert_int_equal(shmcache_ticket_drop(c, 4), 0);
	assert_true(shmcache_ticket_serial(c) != serial);
	assert_false(has(c, 4, &s));
	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++)
		if (all->seed[i].id == 0)
			assert_memory_equal((unsigned char *)&all->seed[i] + 8, zeros, sizeof(zeros) - 8);
	assert_int_equal(shmcache_ticket_drop(c, 4), -1);
	assert_int_equal(put_of(c, 60, 1, 50, 5000, 500), 0);
	assert_true(has(c, 60, &s) && has(c, 1, &s));
	fixture_end(&f, c);
}

/* While a resize is under way both segments have what is put, and lose what is dropped. */
static void both_segments_of_a_resize(void **state)
{
	struct fixture f, g;
	struct shmcache *new, *old;
	struct shmcache_seed s;
	int own;

	(void)state;
	fixture_init(&f);
	new = fixture_create(&f, 0, SHMCACHE_LOCK_OFD);
	fixture_init(&g);
	old = fixture_create(&g, 0, SHMCACHE_LOCK_OFD);
	own = old->keyfd;
	old->keyfd = new->keyfd;
	new->older = old;
	assert_int_equal(put_of(new, 1, 3, 100, 200, 100), 0);
	assert_true(has(new, 1, &s) && has(old, 1, &s));
	assert_int_equal(s.group, 3);
	assert_int_equal(shmcache_ticket_drop(new, 1), 0);
	assert_false(has(new, 1, &s) || has(old, 1, &s));
	/* no place in either: none is changed */
	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++)
		assert_int_equal(put_of(old, i + 10, 4, 100, 200, 100), 0);
	assert_int_equal(put_of(new, 2, 3, 100, 200, 100), -1);
	assert_int_equal(errno, ENOSPC);
	assert_false(has(new, 2, &s));
	new->older = NULL;
	old->keyfd = own;
	fixture_end(&f, new);
	fixture_end(&g, old);
}

/* Each byte of a place counts. */
static void does_not_believe_damage(void **state)
{
	struct shmcache_seed out[SHMCACHE_SEEDS], s = seed_of(5, 50);
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 0);
	unsigned char *at = c->base + SHMC_TICKETS + offsetof(struct shmc_seeds, seed);

	(void)state;
	assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), 0);
	assert_int_equal(shmcache_ticket_list(c, out), 1);
	for (size_t i = 8; i < offsetof(struct shmc_seed, pad); i++) {
		if (i >= offsetof(struct shmc_seed, nonce) + 12 && i < offsetof(struct shmc_seed, tag))
			continue;       /* four bytes that are not used */
		at[i] ^= 0x40;
		assert_int_equal(shmcache_ticket_list(c, out), 0);
		at[i] ^= 0x40;
	}
	assert_int_equal(shmcache_ticket_list(c, out), 1);
	/* a writer that died inside: the place is free again */
	at[0] |= 1;
	assert_int_equal(shmcache_ticket_list(c, out), 0);
	s = seed_of(6, 60);
	assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), 0);
	assert_int_equal(shmcache_ticket_list(c, out), 1);
	assert_int_equal(out[0].id, 6);
	fixture_end(&f, c);
}

/* Children see each seed whole while the master changes them, are told of changes, and cannot put. */
static void children_read_beside_the_writer(void **state)
{
	struct fixture f;
	struct shmcache *c;
	struct shmcache_seed s;
	pid_t pid[2];
	/* How often each child saw a change: the writer goes on until both have, however slow the machine is. */
	_Atomic uint64_t *seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(seen, MAP_FAILED);
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	for (unsigned i = 1; i <= SHMCACHE_SEEDS; i++) {
		s = seed_of(i, i);
		assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct shmcache_seed out[SHMCACHE_SEEDS];
			uint64_t serial = 0;

			if (shmcache_child_init(c, NULL) < 0)
				_exit(1);
			if (shmcache_ticket_put(c, &s, s.not_before) == 0 || shmcache_ticket_drop(c, s.id) == 0)
				_exit(2);
			for (;;) {
				unsigned n = shmcache_ticket_list(c, out);

				if (n < SHMCACHE_SEEDS - 2 || n > SHMCACHE_SEEDS)
					_exit(3);
				for (unsigned k = 0; k < n; k++)
					if (!right(&out[k]))
						_exit(4);
				seen[i] += shmcache_ticket_serial(c) != serial;
				serial = shmcache_ticket_serial(c);
				if (out[0].id == UINT32_MAX)
					_exit(0);
			}
		}
	}
	for (uint64_t i = SHMCACHE_SEEDS + 1; i < 4000 || ((seen[0] < 3 || seen[1] < 3) && i < 20000000); i++) {
		s = seed_of(i, (int64_t)i);
		assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), 0);
	}
	assert_true(seen[0] >= 3 && seen[1] >= 3);
	s = seed_of(UINT32_MAX, UINT32_MAX);
	assert_int_equal(shmcache_ticket_put(c, &s, s.not_before), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(ended(pid[i]), 0);
	fixture_end(&f, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_newest_first), cmocka_unit_test(groups_keep_to_themselves), cmocka_unit_test(drops),
		cmocka_unit_test(both_segments_of_a_resize), cmocka_unit_test(does_not_believe_damage),
		cmocka_unit_test(children_read_beside_the_writer),
	};

	return cmocka_run_group_tests_name("shmcache seeds", tests, NULL, NULL);
}

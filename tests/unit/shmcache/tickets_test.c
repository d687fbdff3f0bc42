/* The ring of ticket seeds: order, replacement, damage, and a reader beside a writer. */
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
			if (shmcache_ticket_put(c, &s, s.not_before) == 0)
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
		cmocka_unit_test(keeps_newest_first), cmocka_unit_test(does_not_believe_damage),
		cmocka_unit_test(children_read_beside_the_writer),
	};

	return cmocka_run_group_tests_name("shmcache seeds", tests, NULL, NULL);
}

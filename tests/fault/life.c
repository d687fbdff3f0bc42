/*
 * life - kills at every point that the master and its helper come by: in the ring of seeds, and while entries are
 * moved to a segment of another size (points of shmcache/points.h from ARRIVING on, and all others on that way).
 */
#include "tests/fault/fault.h"

enum { KEYS = 24, LEN = 200, REMOVED = 3, RENEWED = 4 };

static struct shmcache *cache;
static struct place place;
static unsigned *reached;               /* by all processes */
static unsigned stop_at, stop_next = SHMC_P_ALL, die_at, nth;

static void at_point(enum shmc_point p)
{
	__atomic_fetch_add(&reached[p], 1, __ATOMIC_RELAXED);
	if (p == stop_at) {
		stop_at = stop_next;
		stop_next = SHMC_P_ALL;
		raise(SIGSTOP);
	}
	if (p == die_at && --nth == 0)
		kill(getpid(), SIGKILL);
}

/* Runs fn in a child that has the cache, or without it in a copy of the master. */
static pid_t start(int (*fn)(void), bool user, unsigned stop, unsigned die, unsigned times)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(60);
		stop_at = stop;
		die_at = die;
		nth = times;
		if (user && shmcache_child_init(cache, NULL) < 0)
			_exit(99);
		shmc_point_hook = at_point;
		_exit(fn());
	}
	return pid;
}

/* Exit status, or 256 + the signal that ended or stopped it. */
static int ended(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WUNTRACED) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + (WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status));
}

static int run(int (*fn)(void))
{
	return ended(start(fn, true, SHMC_P_ALL, SHMC_P_ALL, 1));
}

static bool check(bool ok, const char *what, unsigned point, unsigned times)
{
	static const char *const names[] = {
#define NAME(name) #name,
		SHMC_POINTS(NAME)
#undef NAME
		"no point",
	};

	if (!ok) {
		failed++;
		printf("FAIL at %s, time %u: %s\n", names[point], times, what);
	}
	return ok;
}

/* ------------------------------------------------------------------------------------------------ another size */

static int fill(void)
{
	for (uint64_t k = 0; k < KEYS; k++)
		if (put(cache, k, 0, LEN, 1000) < 0 || get(cache, k, 0, LEN) != 1)
			return 1;
	return 0;
}

static int migrate(void)
{
	return shmcache_migrate(cache, NULL) < 0;
}

static int all_there(void)
{
	for (uint64_t k = 0; k < KEYS; k++)
		if (get(cache, k, 0, LEN) != 1)
			return 1;
	return 0;
}

static int change(void)
{
	drop(cache, REMOVED);
	return get(cache, REMOVED, 0, LEN) == 0 && put(cache, RENEWED, 1, LEN, 1000) == 0 &&
	       get(cache, RENEWED, 1, LEN) == 1 ? 0 : 1;
}

static int changed(void)
{
	for (uint64_t k = 0; k < KEYS; k++)
		if (get(cache, k, k == RENEWED, LEN) != (k != REMOVED))
			return 1;
	return 0;
}

static int whole(void)
{
	for (uint32_t i = 0; i < shmcache_geometry(cache)->shards; i++)
		if (shmcache_check(cache, i, false) != 0)
			return 1;
	return 0;
}

static int drop_all(void)
{
	for (uint64_t k = 0; k < KEYS; k++)
		drop(cache, k);
	return 0;
}

static int none_there(void)
{
	for (uint64_t k = 0; k < KEYS; k++)
		if (get(cache, k, 0, LEN) != 0)
			return 1;
	return 0;
}

/* In each shard, so that what a dead one left is found. */
static int store_some(void)
{
	for (uint64_t k = 1000; k < 1016; k++)
		if (put(cache, k, 0, LEN, 1000) < 0)
			return 1;
	return 0;
}

static void resize_begin(void)
{
	struct shmcache_plan small = small_plan(2), large = small_plan(4);

	cache = place_open(&place, &small, SHMCACHE_LOCK_OFD, 50);
	if (run(fill) != 0 || shmcache_resize(cache, &large, NULL) < 0) {
		printf("FAIL a cache to resize\n");
		exit(1);
	}
}

static void resize_end(void)
{
	place_close(&place, cache);
}

static void killed_migration(unsigned point, unsigned times)
{
	resize_begin();
	check(ended(start(migrate, true, SHMC_P_ALL, point, times)) == 256 + SIGKILL, "it did not come by", point, times);
	check(run(all_there) == 0, "an entry is missing", point, times);
	check(run(change) == 0, "removing or storing does not work", point, times);
	check(run(changed) == 0, "an entry is missing, or is there again", point, times);
	check(run(migrate) == 0, "the next migration does not work", point, times);
	check(run(changed) == 0, "an entry is missing after the next one, or is there again", point, times);
	shmcache_resized(cache);
	check(run(changed) == 0, "an entry is missing in the end, or is there again", point, times);
	check(run(whole) == 0, "a shard is not whole", point, times);
	resize_end();
}

/*
 * What is removed while a mover is stopped with its copy does not come back: whether he goes on, dies there, or dies when
 * he has taken it back; nor if the next one dies when he takes it back in his place.
 */
static void removed_under_way(unsigned stop, unsigned die, bool next_dies)
{
	pid_t pid;

	resize_begin();
	stop_next = stop == SHMC_P_ARRIVING ? SHMC_P_ARRIVED : SHMC_P_ALL;
	pid = start(migrate, true, stop, die, 1);
	stop_next = SHMC_P_ALL;
	check(ended(pid) == 256 + SIGSTOP, "it did not come by", stop, 1);
	check(run(all_there) == 0, "an entry is missing beside a stopped mover", stop, 1);
	check(run(drop_all) == 0 && run(none_there) == 0, "a removed entry is there", stop, 1);
	if (die == stop)
		kill(pid, SIGKILL);
	kill(pid, SIGCONT);
	if (stop == SHMC_P_ARRIVING) {
		check(ended(pid) == 256 + SIGSTOP && run(none_there) == 0, "a copy that is to be taken back is believed", stop, 1);
		kill(pid, SIGCONT);
	}
	check(ended(pid) == (die == SHMC_P_ALL ? 0 : 256 + SIGKILL), "it did not end as it should", stop, 1);
	check(run(none_there) == 0, "a removed entry has come back", stop, 1);
	if (next_dies)
		check(ended(start(store_some, true, SHMC_P_ALL, SHMC_P_UNDO, 1)) == 256 + SIGKILL, "nobody takes the copy back",
		      stop, 1);
	check(run(store_some) == 0 && run(none_there) == 0, "a removed entry has come back after a store", stop, 1);
	shmcache_resized(cache);
	check(run(none_there) == 0 && run(whole) == 0, "a removed entry has come back in the end", stop, 1);
	resize_end();
}

static void migrations(void)
{
	unsigned times[SHMC_P_ALL], before = failed, cases = 0;

	resize_begin();
	memset(reached, 0, SHMC_P_ALL * sizeof(*reached));
	check(run(migrate) == 0, "a migration that nobody disturbs", SHMC_P_ALL, 1);
	memcpy(times, reached, sizeof(times));
	check(run(all_there) == 0, "what nobody disturbs", SHMC_P_ALL, 1);
	resize_end();
	for (unsigned p = 0; p < SHMC_P_ALL; p++)
		for (unsigned i = 1; i <= times[p]; i += 1 + times[p] / 3, cases++)
			killed_migration(p, i);
	removed_under_way(SHMC_P_ARRIVING, SHMC_P_ALL, false);
	removed_under_way(SHMC_P_ARRIVED, SHMC_P_ALL, false);
	removed_under_way(SHMC_P_ARRIVED, SHMC_P_TAKEN_BACK, false);
	removed_under_way(SHMC_P_ARRIVED, SHMC_P_ARRIVED, false);
	removed_under_way(SHMC_P_ARRIVED, SHMC_P_ARRIVED, true);
	if (failed == before)
		expect(true, "no death of a mover loses an entry, or brings one back");
	printf("%u deaths while moving\n", cases);
}

/* ------------------------------------------------------------------------------------------------ seeds */

static struct shmcache_seed seed_of(uint64_t id, unsigned char fill)
{
	struct shmcache_seed s = { .id = id, .not_before = (int64_t)id, .not_after = 1000 };

	memset(s.seed, fill, sizeof(s.seed));
	return s;
}

static uint64_t new_id;

static int put_seed(void)
{
	struct shmcache_seed s = seed_of(new_id, 2);

	return shmcache_ticket_put(cache, &s, 0);
}

static int drop_seed(void)
{
	return shmcache_ticket_drop(cache, new_id);
}

/* How many of the first n are as they were, but for the one under way; -1: that one is neither old nor new. */
static int seeds_right(void)
{
	struct shmcache_seed all[SHMCACHE_SEEDS];
	unsigned n = shmcache_ticket_list(cache, all);
	int right = 0;

	for (unsigned i = 0; i < n; i++) {
		struct shmcache_seed old = seed_of(all[i].id, 1), new = seed_of(all[i].id, 2);
		bool same = memcmp(all[i].seed, old.seed, sizeof(old.seed)) == 0;

		if (all[i].id == new_id) {
			if (!same && memcmp(all[i].seed, new.seed, sizeof(new.seed)) != 0)
				return -1;
		} else {
			right += same;
		}
	}
	return right;
}

/* n seeds there, one of a new or an old id put or dropped; so many others must be left. */
static void killed_seed(unsigned n, uint64_t id, int (*work)(void), int left, unsigned point)
{
	struct shmcache_plan plan = small_plan(1);

	cache = place_open(&place, &plan, SHMCACHE_LOCK_OFD, 50);
	for (unsigned i = 1; i <= n; i++) {
		struct shmcache_seed s = seed_of(i, 1);

		check(shmcache_ticket_put(cache, &s, 0) == 0, "a seed is not put", point, 1);
	}
	new_id = id;
	check(ended(start(work, false, SHMC_P_ALL, point, 1)) == 256 + SIGKILL, "it did not come by", point, 1);
	check(seeds_right() == left, "a seed is missing, or wrong", point, 1);
	check(put_seed() == 0 && seeds_right() == left, "the next put does not work", point, 1);
	place_close(&place, cache);
}

static void seeds(void)
{
	unsigned before = failed;

	for (unsigned p = SHMC_P_SEED_ODD; p <= SHMC_P_SEED_EVEN; p++) {
		killed_seed(5, 6, put_seed, 5, p);
		killed_seed(5, 3, put_seed, 4, p);
		killed_seed(5, 3, drop_seed, 4, p);
		killed_seed(SHMCACHE_SEEDS, SHMCACHE_SEEDS + 1, put_seed, SHMCACHE_SEEDS - 1, p);
	}
	if (failed == before)
		expect(true, "no death in the ring of seeds costs another seed");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	reached = mmap(NULL, SHMC_P_ALL * sizeof(*reached), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reached == MAP_FAILED)
		return 1;
	migrations();
	seeds();
	for (unsigned p = SHMC_P_ARRIVING; p < SHMC_P_ALL; p++)
		check(reached[p] > 0, "was never reached", p, 1);
	return verdict();
}

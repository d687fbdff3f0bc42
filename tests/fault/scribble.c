/*
 * scribble - a process gone wild writes anything anywhere into a segment that others work with.
 *
 *   scribble [SCRIBBLES]           20000
 *
 * Nobody may crash, hang or read a wrong content; afterwards the shards have mended themselves. Only the shards are
 * written over: children have the pages before them read-only.
 */
#include "tests/fault/fault.h"

enum { WRITERS = 2, READERS = 2, WORKERS = WRITERS + READERS, KEYS = 120, SHARDS = 2, PATIENCE = 20 };

struct tally {
	uint64_t beats[WORKERS];        /* operations of each worker */
	uint64_t hits, wrong;
	volatile uint64_t stop;
};

static struct tally *tally;
static struct shmcache *cache;

static size_t length_of(uint64_t key) { return 10 + key * 37 % 600; }

static void work(unsigned who)
{
	uint64_t rnd = (who + 1) * 0x9e3779b97f4a7c15u;

	if (shmcache_child_init(cache, NULL) < 0)
		_exit(2);
	while (!tally->stop) {
		uint64_t key = next(&rnd) % KEYS;

		if (who < WRITERS && rnd >> 40 & 7) {
			(void)put(cache, key, 0, length_of(key), 600);
		} else if (who < WRITERS) {
			drop(cache, key);
		} else {
			int r = get(cache, key, 0, length_of(key));

			if (r == 1)
				__atomic_fetch_add(&tally->hits, 1, __ATOMIC_RELAXED);
			if (r < 0)
				__atomic_fetch_add(&tally->wrong, 1, __ATOMIC_RELAXED);
		}
		__atomic_fetch_add(&tally->beats[who], 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

/* A word, a small number, one bit, or a stretch; into the shard's head and index more often than their size deserves. */
static void scribble(uint64_t *rnd)
{
	unsigned char *shard = (unsigned char *)shmc_shard_at(cache, (uint32_t)(next(rnd) % SHARDS));
	size_t head = sizeof(struct shmc_shard_head) + (size_t)cache->plan.buckets * SHMC_BUCKET * 8;
	size_t len = next(rnd) % 2 == 0 ? head : cache->plan.shard_bytes;
	uint64_t *at = (uint64_t *)(shard + (next(rnd) % len & ~(size_t)7));

	switch (next(rnd) % 8) {
	case 0: shmc_put(at, next(rnd)); break;
	case 1: case 2: shmc_put(at, shmc_load(at) ^ (uint64_t)1 << next(rnd) % 64); break;
	case 3: shmc_put(at, shmc_load(at) + next(rnd) % 64); break;
	case 4: shmc_put(at, *rnd % 2 == 0 ? 0 : UINT64_MAX); break;
	case 5:
		for (size_t i = 0; i < 16 && (unsigned char *)(at + i) < shard + len; i++)
			shmc_put(at + i, next(rnd));
		break;
	default: shmc_put(at, next(rnd) % 4096); break;
	}
}

/* Until every worker has got on: false if one does not. */
static bool all_get_on(void)
{
	double end = seconds() + PATIENCE;
	uint64_t was[WORKERS];

	for (unsigned i = 0; i < WORKERS; i++)
		was[i] = __atomic_load_n(&tally->beats[i], __ATOMIC_RELAXED);
	for (unsigned i = 0; i < WORKERS;) {
		if (__atomic_load_n(&tally->beats[i], __ATOMIC_RELAXED) > was[i] + 1)
			i++;
		else if (seconds() > end)
			return false;
		else
			usleep(100);
	}
	return true;
}

static unsigned scribble_all(unsigned scribbles)
{
	uint64_t rnd = (uint64_t)getpid() * 0x9e3779b97f4a7c15u;
	unsigned n = 0;

	for (; n < scribbles; n++) {
		scribble(&rnd);
		/* bursts, and pauses in which the others meet what was written */
		if (next(&rnd) % 8 == 0)
			usleep((useconds_t)(next(&rnd) % 100));
		if (n % 200 == 0 && !all_get_on())
			break;
	}
	return n;
}

/* In a process that comes anew: stores go round both rings of each shard, then nothing is amiss that a check cannot mend. */
static int aftermath(void)
{
	int broken = 0;

	if (shmcache_child_init(cache, NULL) < 0)
		return 2;
	for (uint64_t n = 1000; n < 1400; n++)
		if (put(cache, n, 0, 300, 600) < 0 || get(cache, n, 0, 300) != 1)
			broken = 1;
	/* slots that name nothing may be left in buckets that no store came by */
	for (uint32_t i = 0; i < SHARDS; i++)
		if (shmcache_check(cache, i, true) < 0 || shmcache_check(cache, i, false) != 0)
			broken = 1;
	for (uint64_t n = 2000; n < 2020; n++)
		if (put(cache, n, 0, 60, 600) < 0 || get(cache, n, 0, 60) != 1)
			broken = 1;
	return broken;
}

int main(int argc, char **argv)
{
	unsigned scribbles = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000, done, alive = 0;
	struct shmcache_plan plan = small_plan(SHARDS);
	struct place place;
	pid_t worker[WORKERS], pid;
	int status;

	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		return 1;
	cache = place_open(&place, &plan, SHMCACHE_LOCK_OFD, 50);
	shmc_asserts_off = true;
	setvbuf(stdout, NULL, _IONBF, 0);
	for (unsigned i = 0; i < WORKERS; i++)
		if ((worker[i] = fork()) == 0)
			work(i);
	done = scribble_all(scribbles);
	tally->stop = 1;
	for (unsigned i = 0; i < WORKERS; i++) {
		if (done < scribbles && waitpid(worker[i], &status, WNOHANG) == 0)
			kill(worker[i], SIGKILL);
		alive += waitpid(worker[i], &status, 0) == worker[i] && status == 0;
	}
	expect(done == scribbles, "no endless loop: everybody got on");
	expect(alive == WORKERS, "nobody crashed");
	expect(tally->wrong == 0, "nothing wrong was read");
	expect(tally->hits > scribbles / 10, "there was something to read");
	if ((pid = fork()) == 0)
		_exit(aftermath());
	expect(waitpid(pid, &status, 0) == pid && status == 0, "the shards work again");
	printf("%u scribbles, %llu hits\n", done, (unsigned long long)tally->hits);
	place_close(&place, cache);
	return verdict();
}

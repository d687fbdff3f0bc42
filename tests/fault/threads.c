/*
 * threads - the cache under ThreadSanitizer: threads of one process, each with a handle of its own on one mapping, store,
 * fetch, remove and move in the same shards.
 *
 *   threads [SECONDS]              3
 *
 * tests/fault/run builds it and the cache once more with -fsanitize=thread, where a report ends it with an exit status.
 * Built without, it still sees that nothing wrong is read.
 */
#include <pthread.h>

#include "tests/fault/fault.h"

enum { THREADS = 4, KEYS = 60, SHARDS = 2 };

struct worker {
	struct shmcache view;
	pthread_t thread;
	unsigned who;
	uint64_t hits, wrong, stores, failed;
};

static unsigned stop;

static size_t length_of(uint64_t key) { return 20 + key * 41 % 500; }

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t rnd = (w->who + 1) * 0x9e3779b97f4a7c15u;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t key = next(&rnd) % KEYS;
		int r;

		switch (rnd >> 32 & 15) {
		case 0: drop(&w->view, key); break;
		case 1: case 2: case 3: case 4: case 5:
			if (put(&w->view, key, 0, length_of(key), 600) == 0)
				w->stores++;
			else if (errno != ETIMEDOUT)
				w->failed++;
			break;
		default:
			r = get(&w->view, key, 0, length_of(key));
			w->hits += r == 1;
			w->wrong += r < 0;
			break;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS];
	double limit = argc > 1 ? strtod(argv[1], NULL) : 3;
	struct shmcache_plan plan = small_plan(SHARDS);
	uint64_t hits = 0, wrong = 0, stores = 0, errors = 0;
	struct shmcache_counters n;
	struct shmcache *cache;
	struct place place;
	bool whole = true;

	cache = place_open(&place, &plan, SHMCACHE_LOCK_OFD, 1000);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].who = i;
		if (view_live(&workers[i].view, cache) < 0 ||
		    pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 1;
	}
	usleep((useconds_t)(limit * 1e6));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		hits += workers[i].hits;
		wrong += workers[i].wrong;
		stores += workers[i].stores;
		errors += workers[i].failed;
	}
	for (uint32_t i = 0; i < SHARDS; i++)
		whole = whole && shmcache_check(&workers[0].view, i, false) == 0;
	shmcache_counters(cache, &n);
	expect(wrong == 0 && n.badtag == 0, "nothing wrong was read");
	expect(errors == 0 && n.resets == 0 && n.repairs == 0, "nothing failed");
	expect(whole, "the shards are whole");
	expect(hits > 100 && stores > 100 && n.moved > 0 && n.removed > 0 && n.evicted > 0,
	       "entries were stored, read, moved, removed and evicted");
	printf("%llu hits, %llu stores, %llu moved, %llu redone\n", (unsigned long long)hits, (unsigned long long)stores,
	       (unsigned long long)n.moved, (unsigned long long)n.redone);
	for (unsigned i = 0; i < THREADS; i++)
		view_end(&workers[i].view);
	place_close(&place, cache);
	return verdict();
}

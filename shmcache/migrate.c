/*
 * migrate.c - another size while everything goes on: a second segment, the way of entries into it, the end of the first.
 * The master runs shmcache_resize and shmcache_resized, a helper that is a child runs shmcache_migrate, children
 * let go of the older segment by themselves.
 *
 * Nothing is taken out of the older segment: what is copied is there twice until the older one goes, so that an entry is
 * missing at no moment. What is removed goes from the older one first. The mover therefore looks at the old slot again
 * after he has named the copy; and until he has, the copy's hash stands in the shard's `arriving` and nobody
 * believes it. If he dies in between, the shard's next lock holder takes the copy back.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shmcache/internal.h"

enum { PATIENCE = 500, PAUSE_MS = 10 };         /* how often a shard's lock is tried, and how long in between */

/* ------------------------------------------------------------------------------------------------ master */

/* What makes a handle one of this segment and not of the other of its instance. */
static void swap_segments(struct shmcache *a, struct shmcache *b)
{
	struct shmcache_plan plan = a->plan;
	unsigned char *base = a->base;
	uint32_t lock_base = a->lock_base;
	int segfd = a->segfd;
	char name[SHMC_NAME];

	memcpy(name, a->name, sizeof(name));
	a->plan = b->plan;
	a->base = b->base;
	a->lock_base = b->lock_base;
	a->segfd = b->segfd;
	memcpy(a->name, b->name, sizeof(name));
	b->plan = plan;
	b->base = base;
	b->lock_base = lock_base;
	b->segfd = segfd;
	memcpy(b->name, name, sizeof(name));
}

/* NAME-2 after NAME, and NAME after NAME-2; nothing after nothing. */
static void next_name(const struct shmcache *c, char name[SHMC_NAME])
{
	size_t len = strlen(c->name);

	memset(name, 0, SHMC_NAME);
	if (len == 0)
		return;
	if (c->lock_base == 0)
		snprintf(name, SHMC_NAME, "%.*s" SHMC_TWIN, (int)(SHMC_NAME - sizeof(SHMC_TWIN)), c->name);
	else
		snprintf(name, SHMC_NAME, "%.*s", (int)(len - strlen(SHMC_TWIN)), c->name);
}

int shmcache_resize(struct shmcache *c, const struct shmcache_plan *plan, struct shmcache_err *e)
{
	struct shmcache *n;
	char name[SHMC_NAME];
	int made;

	shmc_clear(e);
	errno = EBUSY;
	if (c->older != NULL)
		return shmc_fail(e, "wait until it has ended", "the cache is being resized already");
	if (c->cipher != NULL || c->keyfd < 0)
		return shmc_fail(e, "start anew with the other size", "the process that uses the cache cannot resize it");
	n = shmc_handle_new(e);
	if (n == NULL)
		return -1;
	n->plan = *plan;
	n->kind = c->kind;
	n->timeout_ms = c->timeout_ms;
	n->lock_dev = c->lock_dev;
	n->lock_ino = c->lock_ino;
	n->lock_base = SHMC_MAX_SHARDS - c->lock_base;
	memcpy(n->lockfile, c->lockfile, sizeof(n->lockfile));
	next_name(c, name);
	n->keyfd = c->keyfd;                    /* lent, for the header's mac */
	made = shmc_segment_make(n, name, e);
	n->keyfd = -1;
	if (made < 0) {
		made = errno;
		shmc_segment_unlink(n);
		shmcache_close(n);
		errno = made;
		return -1;
	}
	*shmc_seeds_of(n) = *shmc_seeds_of(c);
	shmc_release(&shmc_seeds_of(n)->alone, 0);
	swap_segments(c, n);
	c->older = n;
	return 0;
}

bool shmcache_resizing(const struct shmcache *c)
{
	return c->older != NULL;
}

void shmcache_resized(struct shmcache *c)
{
	if (c->older == NULL)
		return;
	shmc_release(&shmc_seeds_of(c)->alone, 1);
	shmc_segment_unlink(c->older);
	shmcache_close(c->older);
	c->older = NULL;
}

/* ------------------------------------------------------------------------------------------------ child */

bool shmc_older_in_use(struct shmcache *c)
{
	if (c->older != NULL && shmc_acquire(&shmc_seeds_of(c)->alone) != 0) {
		shmcache_close(c->older);
		c->older = NULL;
	}
	return c->older != NULL;
}

/* The lock is held: the slot that names this hash, and its value, or NULL. */
static uint64_t *named(const struct shmc_shard *s, uint64_t hash, uint64_t *value)
{
	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(s->c, s->h, hash, i);

		*value = shmc_acquire(p);
		if (*value != 0 && shmc_same_hash(s, *value, hash))
			return p;
	}
	return NULL;
}

/* The lock is held. Not as shmcache_remove does it: the record that is about to be stored lies where that reads to. */
void shmc_arrival_undo_locked(struct shmc_shard *s)
{
	uint64_t value, *p;

	for (unsigned i = 0; i < SHMC_TRIES; i++) {
		p = named(s, shmc_load(&s->h->arriving), &value);
		if (p == NULL || shmc_cas(p, value, 0))
			break;
	}
	SHMC_POINT(UNDO);
	shmc_release(&s->h->arriving, 0);
}

/* ------------------------------------------------------------------------------------------------ helper */

/* A living entry of the older segment. */
struct item {
	uint64_t *slot, value, hash;
	uint32_t units, expires;
	bool chosen;
};

/*
 * Rising worth: not hit before hit; of those that were hit, probation before main; what ends sooner before what ends later.
 * Of what ends in the same second and was not hit, main has the older.
 */
static int by_worth(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	bool hit = shmc_slot_freq(x->value) > 0, hit_too = shmc_slot_freq(y->value) > 0;
	unsigned ring = shmc_slot_ring(x->value), ring_too = shmc_slot_ring(y->value);
	uint64_t pos = shmc_slot_pos(x->value), pos_too = shmc_slot_pos(y->value);

	if (hit != hit_too)
		return hit ? 1 : -1;
	if (hit && ring != ring_too)
		return ring == MAIN ? 1 : -1;
	if (x->expires != y->expires)
		return x->expires < y->expires ? -1 : 1;
	if (ring != ring_too)
		return ring == MAIN ? -1 : 1;
	return pos == pos_too ? 0 : pos < pos_too ? -1 : 1;
}

static size_t collect(struct shmcache *from, struct shmc_shard_head *h, struct item *list)
{
	size_t slots = (size_t)from->plan.buckets * SHMC_BUCKET, n = 0;
	uint32_t now = shmc_now();
	struct shmc_entry e;

	for (size_t i = 0; i < slots; i++) {
		uint64_t v = shmc_acquire(&h->slots[i]);

		if (v != 0 && shmc_entry_read(from, h, v, false, from->record, &e) == SHMC_GOT && e.expires > now)
			list[n++] = (struct item){ .slot = &h->slots[i], .value = v, .hash = e.hash, .units = e.units,
				                   .expires = e.expires };
	}
	qsort(list, n, sizeof(*list), by_worth);
	return n;
}

/* Units that a shard takes before something has to go, as far as can be told without its lock. */
static uint64_t room(const struct shmcache *c, uint32_t shard)
{
	struct shmc_shard_head *h = shmc_shard_at(c, shard);
	uint64_t all = 0, reserve = shmc_load(&h->maxrec);

	for (unsigned r = 0; r < 2; r++) {
		uint64_t used = shmc_load(&h->ring[r].head) - shmc_load(&h->ring[r].tail);

		all += used < c->plan.ring_units[r] ? c->plan.ring_units[r] - used : 0;
	}
	return reserve < all ? all - reserve : 0;
}

/*
 * Those that were hit go over in any case. Nothing that is there has to go for the others: of them the most wanted go over,
 * as many as there is room for, shared fairly with the older shards whose turn comes later.
 */
static void choose(const struct shmcache *c, uint32_t shard, struct item *list, size_t n)
{
	uint64_t left[SHMC_MAX_SHARDS];
	uint32_t others = c->older->plan.shards > c->plan.shards ? (c->older->plan.shards - 1 - shard) / c->plan.shards : 0;

	for (uint32_t i = 0; i < c->plan.shards; i++)
		left[i] = room(c, i) / (others + 1);
	for (size_t i = n; i-- > 0;) {
		uint64_t *have = &left[shmc_shard_of(c, list[i].hash)];

		list[i].chosen = shmc_slot_freq(list[i].value) > 0 || *have >= list[i].units;
		if (list[i].chosen)
			*have -= list[i].units < *have ? list[i].units : *have;
	}
}

static void keep_hits(const struct shmc_shard *s, uint64_t hash, uint64_t old)
{
	uint64_t value, *p = named(s, hash, &value);

	if (p != NULL && shmc_slot_freq(value) == 0)
		(void)shmc_cas(p, value, value + shmc_slot_freq(old) * SHMC_FREQ_ONE);
}

static int enter(struct shmcache *c, uint32_t shard, struct shmc_shard *s)
{
	for (unsigned i = 0; shmc_shard_enter(c, shard, s) < 0; i++) {
		if (errno != ETIMEDOUT || i == PATIENCE)
			return -1;
		poll(NULL, 0, PAUSE_MS);
	}
	return 0;
}

/* 1 moved, 0 not: gone meanwhile, stored anew, or too long; -1: no lock. */
static int move(struct shmcache *c, struct shmc_shard_head *h, const struct item *it)
{
	struct shmcache *from = c->older;
	uint32_t shard = shmc_shard_of(c, it->hash);
	uint64_t value, now = shmc_acquire(it->slot);
	struct shmc_entry e;
	struct shmc_shard s;
	bool there;

	if (!shmc_slot_same(now, it->value) ||
	    shmc_entry_read(from, h, now, true, from->record, &e) != SHMC_GOT || e.hash != it->hash ||
	    e.len > c->plan.max_data)
		return 0;
	if (enter(c, shard, &s) < 0)
		return -1;
	/* What is there already was stored since, or moved before. */
	if (named(&s, it->hash, &value) != NULL || e.expires <= s.now) {
		shmc_shard_leave(c, shard, &s);
		return 0;
	}
	shmc_release(&s.h->arriving, it->hash);
	SHMC_POINT(ARRIVING);
	shmc_store_locked(&s, from->record, it->hash, e.units);
	keep_hits(&s, it->hash, now);
	SHMC_POINT(ARRIVED);
	SHMC_FENCE(__ATOMIC_SEQ_CST);
	there = shmc_slot_same(shmc_acquire(it->slot), it->value);
	if (!there) {
		shmc_remove_hash(c, it->hash);
		SHMC_POINT(TAKEN_BACK);
	}
	shmc_release(&s.h->arriving, 0);
	SHMC_POINT(ARRIVED_WELL);
	shmc_shard_leave(c, shard, &s);
	return there;
}

static long move_shard(struct shmcache *c, uint32_t shard, struct item *list)
{
	struct shmc_shard_head *h = shmc_shard_at(c->older, shard);
	size_t n = collect(c->older, h, list);
	long moved = 0;

	choose(c, shard, list, n);
	for (size_t i = 0; i < n; i++) {
		int r = list[i].chosen ? move(c, h, &list[i]) : 0;

		if (r < 0)
			return -1;
		moved += r;
	}
	return moved;
}

long shmcache_migrate(struct shmcache *c, struct shmcache_err *e)
{
	struct item *list;
	long moved = 0;

	shmc_clear(e);
	if (c->cipher == NULL || shmc_forked(c)) {
		errno = c->cipher == NULL ? ENOTCONN : ECHILD;
		return shmc_fail(e, "", "the cache is not in use in this process");
	}
	if (!shmc_older_in_use(c) || c->plan.shards == 0 || c->older->plan.shards == 0)
		return 0;
	list = calloc((size_t)c->older->plan.buckets * SHMC_BUCKET, sizeof(*list));
	if (list == NULL)
		return shmc_fail(e, "", "no memory to move the cache's entries");
	for (uint32_t i = 0; i < c->older->plan.shards; i++) {
		long n = move_shard(c, i, list);

		if (n < 0) {
			shmc_fail(e, "run it again when the process that holds it has ended",
			          "entries of the cache were not moved: the lock of shard %u was not had (pid %ld)", c->wait.shard,
			          (long)c->wait.owner);
			moved = -1;
			break;
		}
		moved += n;
	}
	free(list);
	return moved;
}

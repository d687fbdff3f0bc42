/*
 * check.c - the invariants of a shard, and their repair. Runs in a child under the shard's lock: by itself when
 * the lock's last holder died inside, and for tests. Tools run it on a copy of a shard, where it tells what is
 * wrong and mends nothing.
 *
 * A killed holder leaves every invariant whole but the reserve of main (I6), so that a repair has little to
 * do as a rule; a process gone wild may have written anything. The numbers are those of
 * docs/shmcache-format.md.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "shmcache/check.h"

static const char *const ring_name[] = { [PROBATION] = "probation", [MAIN] = "main" };

/* One look at one shard. */
struct audit {
	const struct shmc_shard *s;
	uint32_t index;                         /* which shard */
	const struct shmc_listener *to;         /* NULL: nobody listens */
	unsigned found;
};

static void __attribute__((format(printf, 3, 4))) tell(struct audit *a, unsigned invariant, const char *fmt, ...)
{
	char what[200];
	va_list ap;

	a->found++;
	if (a->to == NULL || a->to->say == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	a->to->say(a->to->ctx, a->index, invariant, what);
}

/* I2: entries join from tail to head. */
static bool chain_whole(struct audit *a, unsigned ring)
{
	const struct shmc_ring *r = &a->s->ring[ring];
	uint64_t pos = r->tail, w[4];
	struct shmc_entry e;

	while (pos < r->head) {
		shmc_ring_read(r->words, r->units, pos, 0, w, 4);
		if (!shmc_entry_parse(a->s->c, w, pos, &e) || e.units > r->head - pos) {
			tell(a, 2, "no whole entry begins at position %llu of %s (tail %llu, head %llu)",
			     (unsigned long long)pos, ring_name[ring], (unsigned long long)r->tail,
			     (unsigned long long)r->head);
			return false;
		}
		if (ring == MAIN && e.units > a->s->maxrec) {
			tell(a, 2,
			     "the entry at position %llu of main has %u units, the longest is said to have %u",
			     (unsigned long long)pos, e.units, a->s->maxrec);
			return false;
		}
		pos += e.units;
	}
	return true;
}

/*
 * I3: the slot names an entry inside its ring, with its tag, in one of its hash's buckets of its shard. NULL, or
 * what is wrong. Fills *hash where there is an entry.
 */
static const char *slot_untrue(const struct audit *a, size_t index, uint64_t value, uint64_t *hash)
{
	const struct shmc_shard *s = a->s;
	const struct shmc_ring *r = &s->ring[shmc_slot_ring(value)];
	uint64_t pos = shmc_slot_pos(value), w[4];
	struct shmc_entry e;
	uint32_t bucket = (uint32_t)(index / SHMC_BUCKET);

	if (pos < r->tail || pos >= r->head)
		return "names a position outside of its ring's entries";
	shmc_ring_read(r->words, r->units, pos, 0, w, 4);
	if (!shmc_entry_parse(s->c, w, pos, &e) || e.units > r->head - pos)
		return "names a position where no entry begins";
	*hash = e.hash;
	if (!shmc_slot_tagged(value, e.hash))
		return "has another tag than the entry it names";
	if (shmc_shard_of(s->c, e.hash) != a->index)
		return "names an entry whose hash belongs to another shard";
	if (bucket != shmc_bucket(s->c, e.hash, 0) && bucket != shmc_bucket(s->c, e.hash, 1))
		return "stands in a bucket that is not its entry's";
	return NULL;
}

/* I4: no other slot of the hash's buckets names this hash. One with a lower address is meant to stay. */
static bool slot_single(const struct audit *a, const uint64_t *slot, uint64_t hash)
{
	const struct shmc_shard *s = a->s;

	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(s->c, s->h, hash, i), v = shmc_acquire(p), other = 0;

		if (p < slot && shmc_slot_tagged(v, hash) &&
		    slot_untrue(a, (size_t)(p - s->h->slots), v, &other) == NULL && other == hash)
			return false;
	}
	return true;
}

/* I3 and I4 of all slots. */
static void slots_check(struct audit *a, bool repair)
{
	size_t slots = (size_t)a->s->c->plan.buckets * SHMC_BUCKET;

	for (size_t i = 0; i < slots; i++) {
		uint64_t *p = &a->s->h->slots[i], v = shmc_acquire(p), hash;
		const char *why;

		if (v == 0)
			continue;
		why = slot_untrue(a, i, v, &hash);
		if (why == NULL && slot_single(a, p, hash))
			continue;
		/* Removed or counted as a hit since it was read: not a fault. */
		if (!shmc_slot_same(shmc_acquire(p), v))
			continue;
		if (why != NULL)
			tell(a, 3, "slot %zu of bucket %zu %s", i % SHMC_BUCKET, i / SHMC_BUCKET, why);
		else
			tell(a, 4, "slot %zu of bucket %zu names an entry whose hash another slot names too",
			     i % SHMC_BUCKET, i / SHMC_BUCKET);
		SHMC_POINT(REPAIR_SLOT);
		if (repair)
			shmc_release(p, 0);
	}
	SHMC_POINT(REPAIR_SLOTS);
}

/* I6 */
static bool reserve_free(struct audit *a)
{
	const struct shmc_ring *r = &a->s->ring[MAIN];
	uint64_t gap = r->units - (r->head - r->tail);

	if (gap >= a->s->maxrec)
		return true;
	tell(a, 6, "main has %llu units free, its longest entry has %u", (unsigned long long)gap, a->s->maxrec);
	return false;
}

unsigned shmc_check_locked(struct shmc_shard *s, bool repair)
{
	size_t index = (size_t)((unsigned char *)s->h - s->c->base - SHMC_SHARDS) / s->c->plan.shard_bytes;
	struct audit a = { .s = s, .index = (uint32_t)index };

	if (!chain_whole(&a, PROBATION) || !chain_whole(&a, MAIN)) {
		if (repair)
			shmc_reset_locked(s);
		return 1;
	}
	slots_check(&a, repair);
	if (!reserve_free(&a) && repair)
		shmc_reserve_locked(s);
	return a.found;
}

/* I1, I8 and the bounds of the words beside the positions. False: there is no sense in looking further. */
static bool positions_sane(struct audit *a)
{
	const struct shmc_shard *s = a->s;
	uint64_t most = SHMC_HEAD_UNITS + (s->c->plan.max_data + SHMC_UNIT - 1) / SHMC_UNIT;
	uint64_t maxrec = shmc_load(&s->h->maxrec);
	unsigned before = a->found;

	for (unsigned i = 0; i < 2; i++) {
		const struct shmc_ring *r = &s->ring[i];

		if (r->tail > r->head || r->head - r->tail > r->units)
			tell(a, 1, "%s has its tail at %llu and its head at %llu, and is %u units long",
			     ring_name[i], (unsigned long long)r->tail, (unsigned long long)r->head, r->units);
		else if (r->tail < r->units || r->head >= SHMC_POS_MAX - 2 * (uint64_t)SHMC_MAX_UNITS)
			tell(a, 8, "%s has its tail at %llu and its head at %llu, where they never come",
			     ring_name[i], (unsigned long long)r->tail, (unsigned long long)r->head);
	}
	if (maxrec > most)
		tell(a, 6, "main's longest entry is said to have %llu units, no entry has more than %llu",
		     (unsigned long long)maxrec, (unsigned long long)most);
	return a->found == before;
}

unsigned shmc_audit(const struct shmcache *c, uint32_t index, struct shmc_shard_head *h, bool inside,
                    const struct shmc_listener *to)
{
	struct shmc_shard s = {
		.c = (struct shmcache *)(uintptr_t)c, .h = h, .maxrec = (uint32_t)shmc_load(&h->maxrec),
	};
	struct audit a = { .s = &s, .index = index, .to = to };
	uint64_t owner = shmc_load(&h->owner);
	bool whole;

	for (unsigned r = 0; r < 2; r++)
		s.ring[r] = (struct shmc_ring){
			.shared = &h->ring[r], .words = shmc_ring_at(c, h, r), .units = c->plan.ring_units[r],
			.tail = shmc_load(&h->ring[r].tail), .head = shmc_load(&h->ring[r].head),
		};
	if (owner > INT32_MAX)
		tell(&a, 7, "who is inside is said to be %llu, which is no pid", (unsigned long long)owner);
	if (!positions_sane(&a))
		return a.found;
	whole = chain_whole(&a, PROBATION);
	whole = chain_whole(&a, MAIN) && whole;
	slots_check(&a, false);
	if (whole && !inside)
		(void)reserve_free(&a);
	return a.found;
}

int shmcache_check(struct shmcache *c, unsigned shard, bool repair)
{
	struct shmc_shard s;
	int bad;

	if (shard >= c->plan.shards)
		errno = EINVAL;
	else if (c->cipher == NULL)
		errno = ENOTCONN;
	else if (shmc_forked(c))
		errno = ECHILD;
	else
		errno = 0;
	if (errno != 0 || shmc_shard_enter(c, shard, &s) < 0)
		return -1;
	bad = (int)shmc_check_locked(&s, repair);
	shmc_shard_leave(c, shard, &s);
	return bad;
}

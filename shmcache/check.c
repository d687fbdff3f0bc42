/*
 * check.c - the invariants of a shard, their repair, and the counters. Runs in a child under the shard's
 * lock: by itself when the lock's last holder died inside, and for tests.
 *
 * A killed holder leaves every invariant whole but the reserve of main (I6), so that a repair has little to
 * do as a rule; a process gone wild may have written anything. The numbers are those of
 * docs/shmcache-format.md.
 */
#include <errno.h>
#include <string.h>

#include "shmcache/internal.h"

/* I2: entries join from tail to head. */
static bool chain_whole(const struct shmc_shard *s, unsigned ring)
{
	const struct shmc_ring *r = &s->ring[ring];
	uint64_t pos = r->tail, w[4];
	struct shmc_entry e;

	while (pos < r->head) {
		shmc_ring_read(r->words, r->units, pos, 0, w, 4);
		if (!shmc_entry_parse(s->c, w, pos, &e) || e.units > r->head - pos)
			return false;
		if (ring == MAIN && e.units > s->maxrec)
			return false;
		pos += e.units;
	}
	return true;
}

/* I3: the slot names an entry inside its ring, with its tag, in one of its hash's buckets of its shard. */
static bool slot_true(const struct shmc_shard *s, size_t index, uint64_t value, uint64_t *hash)
{
	const struct shmc_ring *r = &s->ring[shmc_slot_ring(value)];
	uint64_t pos = shmc_slot_pos(value), w[4];
	struct shmc_entry e;
	uint32_t bucket = (uint32_t)(index / SHMC_BUCKET);

	if (pos < r->tail || pos >= r->head)
		return false;
	shmc_ring_read(r->words, r->units, pos, 0, w, 4);
	if (!shmc_entry_parse(s->c, w, pos, &e) || e.units > r->head - pos)
		return false;
	*hash = e.hash;
	return shmc_slot_tagged(value, e.hash) && shmc_shard_at(s->c, shmc_shard_of(s->c, e.hash)) == s->h &&
	       (bucket == shmc_bucket(s->c, e.hash, 0) || bucket == shmc_bucket(s->c, e.hash, 1));
}

/* I4: no other slot of the hash's buckets names this hash. One with a lower address is meant to stay. */
static bool slot_single(const struct shmc_shard *s, const uint64_t *slot, uint64_t hash)
{
	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(s->c, s->h, hash, i), v = shmc_acquire(p), other = 0;

		if (p < slot && shmc_slot_tagged(v, hash) && slot_true(s, (size_t)(p - s->h->slots), v, &other) &&
		    other == hash)
			return false;
	}
	return true;
}

unsigned shmc_check_locked(struct shmc_shard *s, bool repair)
{
	size_t slots = (size_t)s->c->plan.buckets * SHMC_BUCKET;
	unsigned bad = 0;
	bool whole = chain_whole(s, PROBATION) && chain_whole(s, MAIN);

	if (!whole) {
		if (repair)
			shmc_reset_locked(s);
		return 1;
	}
	for (size_t i = 0; i < slots; i++) {
		uint64_t *p = &s->h->slots[i], v = shmc_acquire(p), hash;

		if (v == 0 || (slot_true(s, i, v, &hash) && slot_single(s, p, hash)))
			continue;
		/* Removed or counted as a hit since it was read: not a fault. */
		if (!shmc_slot_same(shmc_acquire(p), v))
			continue;
		bad++;
		SHMC_POINT(REPAIR_SLOT);
		if (repair)
			shmc_release(p, 0);
	}
	SHMC_POINT(REPAIR_SLOTS);
	/* I6 */
	if (s->ring[MAIN].units - (s->ring[MAIN].head - s->ring[MAIN].tail) < s->maxrec) {
		bad++;
		if (repair)
			shmc_reserve_locked(s);
	}
	return bad;
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

void shmcache_counters(const struct shmcache *c, struct shmcache_counters *out)
{
	uint64_t *const to[] = {
		[N_HITS] = &out->hits, [N_MISSES] = &out->misses, [N_STORES] = &out->stores,
		[N_REPLACED] = &out->replaced, [N_EVICTED] = &out->evicted, [N_EXPIRED] = &out->expired,
		[N_MOVED] = &out->moved, [N_REMOVED] = &out->removed, [N_DEAD] = &out->dead,
		[N_REPAIRS] = &out->repairs, [N_RESETS] = &out->resets, [N_REDONE] = &out->redone,
		[N_BADTAG] = &out->badtag, [N_LOCK_BUSY] = &out->lock_busy, [N_LOCK_TIMEOUT] = &out->lock_timeout,
		[N_IDX_EVICTED] = &out->idx_evicted, [N_OVERSIZE] = &out->oversize,
	};
	size_t slots = (size_t)c->plan.buckets * SHMC_BUCKET;

	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < c->plan.shards; i++) {
		struct shmc_shard_head *h = shmc_shard_at(c, i);

		for (size_t n = 0; n < sizeof(to) / sizeof(to[0]); n++)
			*to[n] += shmc_load(&h->count[n]);
		for (size_t n = 0; n < 8; n++)
			out->waits[n] += shmc_load(&h->count[N_WAITS + n]);
		for (size_t n = 0; n < slots; n++)
			out->live += shmc_load(&h->slots[n]) != 0;
	}
}

/*
 * fetch.c - looking up and removing: without any lock, in any child, while others store, move, evict or die.
 *
 * A reader copies an entry and then looks at its ring's tail again. Whoever overwrites bytes has passed the
 * tail over them first, so a tail that is still at or before the entry says that the copy is whole. If the
 * tail went past it, the slot tells where the entry is now: a move changes the slot before it passes the
 * tail.
 */
#include <string.h>
#include <time.h>

#include "shmcache/internal.h"

/* words words of the entry at pos, from its first-th on; an entry may wrap round the ring's end. */
void shmc_ring_read(const uint64_t *ring, uint32_t units, uint64_t pos, size_t first, uint64_t *out, size_t words)
{
	size_t all = (size_t)units * 2;
	size_t at = ((size_t)(pos % units) * 2 + first) % all;

	SHMC_NOTE(shmc_fenced_copy, false);
	for (size_t i = 0; i < words; i++) {
		out[i] = shmc_load(&ring[at]);
		if (++at == all)
			at = 0;
	}
}

uint32_t shmc_entry_check(const uint64_t w[4], uint64_t pos)
{
	uint64_t x = pos ^ 0x5bd1e9955bd1e995u;

	for (size_t i = 0; i < 4; i++) {
		x ^= i < 3 ? w[i] : w[i] & 0xffffffff;
		x *= 0xff51afd7ed558ccdu;
		x ^= x >> 32;
	}
	x *= 0xc4ceb9fe1a85ec53u;
	return (uint32_t)(x >> 32);
}

bool shmc_entry_parse(const struct shmcache *c, const uint64_t w[4], uint64_t pos, struct shmc_entry *e)
{
	e->hash = w[0];
	e->len = w[1] & 0xffff;
	e->expires = (uint32_t)(w[1] >> 32);
	e->units = SHMC_HEAD_UNITS + (e->len + SHMC_UNIT - 1) / SHMC_UNIT;
	return e->len > 0 && e->len <= c->plan.max_data && (uint32_t)(w[3] >> 32) == shmc_entry_check(w, pos);
}

enum shmc_found shmc_entry_read(const struct shmcache *c, struct shmc_shard_head *h, uint64_t slot, bool whole,
                                uint64_t *w, struct shmc_entry *e)
{
	unsigned r = shmc_slot_ring(slot);
	uint32_t units = c->plan.ring_units[r];
	const uint64_t *ring = shmc_ring_at(c, h, r);
	uint64_t pos = shmc_slot_pos(slot), tail = shmc_acquire(&h->ring[r].tail), again;
	bool right;

	if (pos - tail >= units)                /* also when the tail is past it */
		return SHMC_GONE;
	shmc_ring_read(ring, units, pos, 0, w, 4);
	right = shmc_entry_parse(c, w, pos, e) && shmc_slot_tagged(slot, e->hash) && e->units <= units;
	if (right && whole) {
		SHMC_POINT(FETCH_HALF);
		shmc_ring_read(ring, units, pos, 4, w + 4, (size_t)e->units * 2 - 4);
	}
	SHMC_POINT(FETCH_COPIED);
	shmc_fence_acquire();
	SHMC_ASSERT(shmc_fenced_copy);
	again = shmc_acquire(&h->ring[r].tail);
	if (again < tail || again > pos)        /* backwards: the shard was reset */
		return SHMC_GONE;
	return right ? SHMC_GOT : SHMC_OTHER;
}

/* One look through both buckets of a segment. Sets *where, *slot and w on GOT; GONE: look again. */
static enum shmc_found look(const struct shmcache *c, struct shmc_shard_head *h, uint64_t hash, bool whole, uint64_t *w,
                            uint64_t **where, uint64_t *slot, struct shmc_entry *e)
{
	bool moved = false;

	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(c, h, hash, i), s = shmc_acquire(p);
		enum shmc_found f;

		if (!shmc_slot_tagged(s, hash))
			continue;
		f = shmc_entry_read(c, h, s, whole, w, e);
		if (f == SHMC_GOT && e->hash == hash) {
			*where = p;
			*slot = s;
			return SHMC_GOT;
		}
		/* Passed, yet named as before: such a slot is damaged or about to be cleared. */
		if (f == SHMC_GONE && !shmc_slot_same(shmc_acquire(p), s))
			moved = true;
	}
	return moved ? SHMC_GONE : SHMC_OTHER;
}

/*
 * As look, again and again while the entry moves on. An entry that is being migrated is not there yet: its copy may be
 * taken back. Then its slot is cleared before `arriving` is, so that a copy seen in between is known by its slot.
 */
static enum shmc_found find(struct shmcache *c, bool resizing, uint64_t hash, uint64_t **where, uint64_t *slot,
                            struct shmc_entry *e)
{
	struct shmc_shard_head *h = shmc_shard_at(c, shmc_shard_of(c, hash));
	enum shmc_found f = SHMC_GONE;

	for (unsigned i = 0; i <= SHMC_TRIES && f == SHMC_GONE; i++) {
		if (i > 0)
			shmc_count(h, N_REDONE);
		f = look(c, h, hash, true, c->record, where, slot, e);
		if (f != SHMC_GOT)
			continue;
		if (shmc_acquire(&h->arriving) == hash)
			return SHMC_OTHER;
		if (resizing && !shmc_slot_same(shmc_acquire(*where), *slot))
			f = SHMC_GONE;
	}
	return f;
}

uint32_t shmc_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint32_t)t.tv_sec;
}

static int open_entry(const struct shmcache *c, const uint64_t *record, const unsigned char *key,
                      const struct shmc_entry *e, void *buf)
{
	unsigned char aad[SHMCACHE_KEY + sizeof(uint64_t)], nonce[12];
	uint32_t last = (uint32_t)record[3];

	memcpy(aad, key, SHMCACHE_KEY);
	memcpy(aad + SHMCACHE_KEY, &record[1], sizeof(uint64_t));
	memcpy(nonce, &record[2], sizeof(uint64_t));
	memcpy(nonce + sizeof(uint64_t), &last, sizeof(last));
	return shmc_unseal(c->cipher, nonce, aad, sizeof(aad), &record[SHMC_HEAD_WORDS], e->len, buf,
	                   (const unsigned char *)&record[4]);
}

/* Out of one segment, c's own or the older one: 1 a hit; 0 a miss, *len as shmcache_fetch says. */
static int fetch_from(struct shmcache *c, struct shmcache *segment, const unsigned char *key, uint64_t hash, void *buf,
                      size_t cap, size_t *len)
{
	struct shmc_shard_head *h;
	struct shmc_entry e;
	uint64_t slot, *where;

	if (segment->plan.shards == 0 || find(segment, c->older != NULL, hash, &where, &slot, &e) != SHMC_GOT ||
	    e.expires <= shmc_now())
		return 0;
	h = shmc_shard_at(segment, shmc_shard_of(segment, hash));
	if (e.len > cap) {
		*len = e.len;
		return 0;
	}
	if (open_entry(c, segment->record, key, &e, buf) < 0) {
		shmc_count(h, N_BADTAG);
		return 0;
	}
	SHMC_POINT(FETCH_HIT);
	/* Lost to another reader or a mover: then someone else saw that it is wanted. */
	if (shmc_slot_freq(slot) < 3)
		(void)shmc_cas(where, slot, slot + SHMC_FREQ_ONE);
	shmc_count(h, N_HITS);
	*len = e.len;
	return 1;
}

int shmcache_fetch(struct shmcache *c, const unsigned char key[SHMCACHE_KEY], void *buf, size_t cap, size_t *len)
{
	uint64_t hash;

	*len = 0;
	if (c->cipher == NULL)
		return 0;
	hash = shmc_hash(c, key);
	if (fetch_from(c, c, key, hash, buf, cap, len) == 1)
		return 1;
	if (c->older != NULL && *len == 0) {
		if (shmc_older_in_use(c) && fetch_from(c, c->older, key, hash, buf, cap, len) == 1)
			return 1;
		/* Stored anew or migrated between the two looks, it is here now and no longer there. */
		if (*len == 0 && fetch_from(c, c, key, hash, buf, cap, len) == 1)
			return 1;
	}
	if (c->plan.shards > 0)
		shmc_count(shmc_shard_at(c, shmc_shard_of(c, hash)), N_MISSES);
	return 0;
}

void shmc_remove_hash(const struct shmcache *c, uint64_t hash)
{
	struct shmc_shard_head *h;
	struct shmc_entry e;
	uint64_t slot, *where, w[4];            /* c->record may hold what is being stored */

	if (c->plan.shards == 0)
		return;
	h = shmc_shard_at(c, shmc_shard_of(c, hash));
	/*
	 * A hit or a move changes the slot between look and CAS; hits do so three times at most, moves are
	 * rare.
	 */
	for (unsigned i = 0; i < 4 * SHMC_TRIES; i++) {
		enum shmc_found f = look(c, h, hash, false, w, &where, &slot, &e);

		if (f == SHMC_OTHER)
			return;
		SHMC_POINT(REMOVE);
		if (f == SHMC_GOT && shmc_cas(where, slot, 0)) {
			SHMC_POINT(REMOVED);
			shmc_count(h, N_REMOVED);
			return;
		}
	}
}

/*
 * From the older segment first: whoever migrates the entry looks there again after he has named the copy, so that either
 * he sees it gone or we see the copy.
 */
void shmcache_remove(struct shmcache *c, const unsigned char key[SHMCACHE_KEY])
{
	uint64_t hash;

	if (c->cipher == NULL)
		return;
	hash = shmc_hash(c, key);
	if (c->older != NULL) {
		shmc_remove_hash(c->older, hash);
		SHMC_FENCE(__ATOMIC_SEQ_CST);
	}
	shmc_remove_hash(c, hash);
}

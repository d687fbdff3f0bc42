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

enum found { GOT, OTHER, GONE };

/*
 * Copies the entry that the slot's value names into w, whole if `whole`, else only its head. GOT: it was
 * there all the while and its hash is the one; GONE: it was passed meanwhile; OTHER: another entry, or
 * damaged.
 */
static enum found read_entry(const struct shmcache *c, struct shmc_shard_head *h, uint64_t slot,
                             uint64_t hash, bool whole, uint64_t *w, struct shmc_entry *e)
{
	unsigned r = shmc_slot_ring(slot);
	uint32_t units = c->plan.ring_units[r];
	const uint64_t *ring = shmc_ring_at(c, h, r);
	uint64_t pos = shmc_slot_pos(slot), tail = shmc_acquire(&h->ring[r].tail), again;
	bool ours;

	if (pos - tail >= units)                /* also when the tail is past it */
		return GONE;
	shmc_ring_read(ring, units, pos, 0, w, 4);
	ours = shmc_entry_parse(c, w, pos, e) && e->hash == hash && e->units <= units;
	if (ours && whole) {
		SHMC_POINT(FETCH_HALF);
		shmc_ring_read(ring, units, pos, 4, w + 4, (size_t)e->units * 2 - 4);
	}
	SHMC_POINT(FETCH_COPIED);
	shmc_fence_acquire();
	SHMC_ASSERT(shmc_fenced_copy);
	again = shmc_acquire(&h->ring[r].tail);
	if (again < tail || again > pos)        /* backwards: the shard was reset */
		return GONE;
	return ours ? GOT : OTHER;
}

/* One look through both buckets. Sets *where and *slot on GOT; GONE: look again. */
static enum found look(struct shmcache *c, struct shmc_shard_head *h, uint64_t hash, bool whole, uint64_t **where,
                       uint64_t *slot, struct shmc_entry *e)
{
	bool moved = false;

	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(c, h, hash, i), s = shmc_acquire(p);
		enum found f;

		if (!shmc_slot_tagged(s, hash))
			continue;
		f = read_entry(c, h, s, hash, whole, c->record, e);
		if (f == GOT) {
			*where = p;
			*slot = s;
			return GOT;
		}
		/* Passed, yet named as before: such a slot is damaged or about to be cleared. */
		if (f == GONE && !shmc_slot_same(shmc_acquire(p), s))
			moved = true;
	}
	return moved ? GONE : OTHER;
}

uint32_t shmc_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint32_t)t.tv_sec;
}

static int open_entry(struct shmcache *c, const unsigned char *key, const struct shmc_entry *e, void *buf)
{
	unsigned char aad[SHMCACHE_KEY + sizeof(uint64_t)], nonce[12];
	uint32_t last = (uint32_t)c->record[3];

	memcpy(aad, key, SHMCACHE_KEY);
	memcpy(aad + SHMCACHE_KEY, &c->record[1], sizeof(uint64_t));
	memcpy(nonce, &c->record[2], sizeof(uint64_t));
	memcpy(nonce + sizeof(uint64_t), &last, sizeof(last));
	return shmc_unseal(c->cipher, nonce, aad, sizeof(aad), &c->record[SHMC_HEAD_WORDS], e->len, buf,
	                   (const unsigned char *)&c->record[4]);
}

int shmcache_fetch(struct shmcache *c, const unsigned char key[SHMCACHE_KEY], void *buf, size_t cap, size_t *len)
{
	struct shmc_shard_head *h;
	struct shmc_entry e;
	uint64_t hash, slot, *where;
	enum found f;

	*len = 0;
	if (c->plan.shards == 0 || c->cipher == NULL)
		return 0;
	hash = shmc_hash(c, key);
	h = shmc_shard_at(c, shmc_shard_of(c, hash));
	for (unsigned i = 0; (f = look(c, h, hash, true, &where, &slot, &e)) == GONE && i < SHMC_TRIES; i++)
		shmc_count(h, N_REDONE);
	if (f == GOT && e.expires > shmc_now()) {
		if (e.len > cap) {
			*len = e.len;
		} else if (open_entry(c, key, &e, buf) == 0) {
			SHMC_POINT(FETCH_HIT);
			/* Lost to another reader or a mover: then someone else saw that it is wanted. */
			if (shmc_slot_freq(slot) < 3)
				(void)shmc_cas(where, slot, slot + SHMC_FREQ_ONE);
			shmc_count(h, N_HITS);
			*len = e.len;
			return 1;
		} else {
			shmc_count(h, N_BADTAG);
		}
	}
	shmc_count(h, N_MISSES);
	return 0;
}

void shmcache_remove(struct shmcache *c, const unsigned char key[SHMCACHE_KEY])
{
	struct shmc_shard_head *h;
	struct shmc_entry e;
	uint64_t hash, slot, *where;

	if (c->plan.shards == 0 || c->cipher == NULL)
		return;
	hash = shmc_hash(c, key);
	h = shmc_shard_at(c, shmc_shard_of(c, hash));
	/*
	 * A hit or a move changes the slot between look and CAS; hits do so three times at most, moves are
	 * rare.
	 */
	for (unsigned i = 0; i < 4 * SHMC_TRIES; i++) {
		enum found f = look(c, h, hash, false, &where, &slot, &e);

		if (f == OTHER)
			return;
		SHMC_POINT(REMOVE);
		if (f == GOT && shmc_cas(where, slot, 0)) {
			SHMC_POINT(REMOVED);
			shmc_count(h, N_REMOVED);
			return;
		}
	}
}

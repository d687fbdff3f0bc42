/*
 * store.c - storing: append to a ring, make room, move, name the entry in the index. Runs in children, under
 * the shard's lock; it may be killed after any instruction.
 *
 * The order is all there is to kill-safety: an entry's words, then the ring's head, then the slot. What a
 * slot does not name is dead and is passed over later; what lies outside [tail, head) is nothing. A move
 * appends the copy, changes the slot from old to new, and only then passes the tail over the old one: nothing
 * is missing in between. Bytes are written outside [tail, head) only (I5), and a reader trusts a copy only
 * while the tail has not passed it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/internal.h"

enum { MOST_MOVES = 8 };                /* in main, for one store: more, and its tail goes without asking */

/* ------------------------------------------------------------------------------------------------ rings */

static uint32_t gap(const struct shmc_ring *r)
{
	return r->units - (uint32_t)(r->head - r->tail);
}

/*
 * What lies before the new tail may be written over from here on: whoever reads a word of that sees this tail too, and
 * drops what he copied.
 */
static void set_tail(struct shmc_ring *r, uint64_t tail)
{
	r->tail = tail;
	shmc_release(&r->shared->tail, tail);
	SHMC_NOTE(shmc_fenced_tail, false);
	shmc_fence_release();
}

static void pass(struct shmc_ring *r, uint32_t units)
{
	SHMC_POINT(PASS);
	SHMC_ASSERT(shmc_load(&r->shared->tail) == r->tail && units > 0 && units <= r->head - r->tail);
	set_tail(r, r->tail + units);
	SHMC_POINT(PASSED);
}

/* Puts a record of so many units at the head; its check word depends on where it lies. */
static uint64_t append(struct shmc_ring *r, uint64_t *record, uint32_t units)
{
	uint64_t pos = r->head;
	size_t all = (size_t)r->units * 2, at = (size_t)(pos % r->units) * 2;

	record[3] = (record[3] & 0xffffffff) | (uint64_t)shmc_entry_check(record, pos) << 32;
	SHMC_POINT(APPEND);
	SHMC_ASSERT(shmc_fenced_tail && shmc_load(&r->shared->head) == pos);
	for (size_t i = 0; i < (size_t)units * 2; i++) {
		/* I5: neither in [tail, head) nor, a lap on, in the same bytes */
		SHMC_ASSERT(at == (pos + i / 2) % r->units * 2 + i % 2 &&
		            pos + i / 2 < shmc_load(&r->shared->tail) + r->units);
		shmc_put(&r->words[at], record[i]);
		if (++at == all)
			at = 0;
		if (i == 0)
			SHMC_POINT(APPEND_FIRST);
		else if (i == units)
			SHMC_POINT(APPEND_HALF);
	}
	SHMC_POINT(APPEND_WORDS);
	r->head += units;
	shmc_release(&r->shared->head, r->head);
	SHMC_POINT(APPEND_HEAD);
	return pos;
}

static void grow_maxrec(struct shmc_shard *s, uint32_t units)
{
	if (units > s->maxrec) {
		s->maxrec = units;
		shmc_release(&s->h->maxrec, units);
		SHMC_POINT(MAXREC);
	}
}

/* ------------------------------------------------------------------------------------------------ making room */

/* The slot that names the entry at pos, and its value, or NULL: the entry is dead. */
static uint64_t *named_by(struct shmc_shard *s, unsigned ring, uint64_t pos, uint64_t hash, uint64_t *value)
{
	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(s->c, s->h, hash, i), v = shmc_acquire(p);

		if (v != 0 && shmc_slot_same(v, shmc_slot(0, hash, ring, pos))) {
			*value = v;
			return p;
		}
	}
	return NULL;
}

/*
 * Copies the entry at pos of a ring to main's head, where there must be room, and lets its slot name the copy
 * with one hit less. A remover may have emptied the slot meanwhile: then the copy is dead, as it should be.
 */
static void move(struct shmc_shard *s, const struct shmc_ring *from, uint64_t pos, const struct shmc_entry *e,
                 uint64_t *slot, uint64_t value)
{
	struct shmc_ring *to = &s->ring[MAIN];
	uint64_t copy;

	SHMC_POINT(MOVE);
	shmc_ring_read(from->words, from->units, pos, 0, s->c->moving, (size_t)e->units * 2);
	copy = append(to, s->c->moving, e->units);
	SHMC_POINT(MOVE_COPIED);
	for (unsigned i = 0; i < SHMC_TRIES; i++) {
		unsigned freq = shmc_slot_freq(value);
		uint64_t now;

		if (shmc_cas(slot, value, shmc_slot(freq > 0 ? freq - 1 : 0, e->hash, MAIN, copy))) {
			shmc_count(s->h, N_MOVED);
			SHMC_POINT(MOVE_NAMED);
			return;
		}
		now = shmc_acquire(slot);
		if (!shmc_slot_same(now, value))
			return;
		value = now;
	}
	shmc_release(slot, 0);
}

static int make_room_main(struct shmc_shard *s, uint32_t units);
static int pass_one(struct shmc_shard *s, unsigned ring, unsigned *moves);

/* Passes main's oldest entries while their time is over, and room for units is wanted. 0 or -1: the chain is broken. */
static int pass_expired(struct shmc_shard *s, uint32_t units)
{
	struct shmc_ring *r = &s->ring[MAIN];
	unsigned moves = MOST_MOVES;
	uint64_t w[4];

	for (unsigned i = 0; i < MOST_MOVES && gap(r) < units && r->head != r->tail; i++) {
		shmc_ring_read(r->words, r->units, r->tail, 0, w, 4);
		if ((uint32_t)(w[1] >> 32) > s->now)
			return 0;
		if (pass_one(s, MAIN, &moves) < 0)
			return -1;
	}
	return 0;
}

/*
 * Whether an entry of probation is worth keeping: it was hit, or main has room for all. Makes the room. 1, 0,
 * or -1: main's chain is broken.
 */
static int goes_to_main(struct shmc_shard *s, const struct shmc_entry *e, uint64_t value)
{
	uint32_t reserve = e->units > s->maxrec ? e->units : s->maxrec;

	if (shmc_slot_freq(value) == 0) {
		if (pass_expired(s, e->units + reserve) < 0)
			return -1;
		if (gap(&s->ring[MAIN]) < e->units + reserve)
			return 0;
	}
	return make_room_main(s, e->units) == 0 ? 1 : -1;
}

/* Passes the entry at a ring's tail: it is dropped, or moved to main's head. -1: the chain is broken. */
static int pass_one(struct shmc_shard *s, unsigned ring, unsigned *moves)
{
	struct shmc_ring *r = &s->ring[ring];
	uint64_t w[4], value = 0, *slot;
	struct shmc_entry e;
	int keep;

	shmc_ring_read(r->words, r->units, r->tail, 0, w, 4);
	if (!shmc_entry_parse(s->c, w, r->tail, &e) || e.units > r->head - r->tail)
		return -1;
	SHMC_ASSERT(shmc_load(&s->h->owner) == (uint64_t)s->c->self);
	slot = named_by(s, ring, r->tail, e.hash, &value);
	if (slot == NULL) {
		SHMC_POINT(PASS_DEAD);
		shmc_count(s->h, N_DEAD);
	} else if (e.expires <= s->now) {
		SHMC_POINT(EXPIRE);
		shmc_release(slot, 0);
		shmc_count(s->h, N_EXPIRED);
	} else {
		if (ring == PROBATION)
			keep = goes_to_main(s, &e, value);
		else    /* a holder that died inside a move has used the reserve: then nothing is moved */
			keep = shmc_slot_freq(value) > 0 && *moves < MOST_MOVES && gap(r) >= e.units;
		if (keep < 0)
			return -1;
		if (keep) {
			++*moves;
			move(s, r, r->tail, &e, slot, value);
		} else {
			SHMC_POINT(EVICT);
			shmc_release(slot, 0);
			SHMC_POINT(EVICTED);
			shmc_count(s->h, N_EVICTED);
		}
	}
	/* I3: no slot is left behind the tail */
	SHMC_ASSERT(named_by(s, ring, r->tail, e.hash, &value) == NULL);
	pass(r, e.units);
	return 0;
}

/* Room for an entry in main, and beyond it for the copy of main's longest. 0 or -1: the chain is broken. */
static int make_room_main(struct shmc_shard *s, uint32_t units)
{
	struct shmc_ring *r = &s->ring[MAIN];
	unsigned moves = 0;

	grow_maxrec(s, units);
	while (gap(r) < units + s->maxrec)
		if (r->head == r->tail || pass_one(s, MAIN, &moves) < 0)
			return -1;
	return 0;
}

/* Room for a new entry. 0 or -1: a chain is broken. */
static int make_room(struct shmc_shard *s, uint32_t units)
{
	struct shmc_ring *r = &s->ring[PROBATION];
	unsigned moves = 0;

	while (gap(r) < units)
		if (r->head == r->tail || pass_one(s, PROBATION, &moves) < 0)
			return -1;
	return 0;
}

void shmc_reserve_locked(struct shmc_shard *s)
{
	SHMC_POINT(RESERVE);
	if (s->maxrec > 0 && make_room_main(s, 0) < 0)
		shmc_reset_locked(s);
}

/* ------------------------------------------------------------------------------------------------ index */

/* What a slot's entry is worth when both buckets are full: 0 = nothing, else the younger the more. */
static uint64_t worth(const struct shmc_shard *s, uint64_t value)
{
	const struct shmc_ring *r = &s->ring[shmc_slot_ring(value)];
	uint64_t pos = shmc_slot_pos(value), w[4];
	struct shmc_entry e;

	if (pos < r->tail || pos >= r->head)
		return 0;
	shmc_ring_read(r->words, r->units, pos, 0, w, 4);
	if (!shmc_entry_parse(s->c, w, pos, &e) || e.expires <= s->now)
		return 0;
	return 1 + ((pos - r->tail) << 16) / r->units;
}

bool shmc_same_hash(const struct shmc_shard *s, uint64_t value, uint64_t hash)
{
	const struct shmc_ring *r = &s->ring[shmc_slot_ring(value)];
	uint64_t pos = shmc_slot_pos(value), w[4];
	struct shmc_entry e;

	if (!shmc_slot_tagged(value, hash) || pos < r->tail || pos >= r->head)
		return false;
	shmc_ring_read(r->words, r->units, pos, 0, w, 4);
	return shmc_entry_parse(s->c, w, pos, &e) && e.hash == hash;
}

/*
 * Chooses where a hash's new slot goes: over the old entry of that hash, else a free place in the emptier
 * bucket, else over what is worth least. *value is what is there now, *why what to count.
 */
static uint64_t *choose(struct shmc_shard *s, uint64_t hash, uint64_t *value, enum shmc_counter *why)
{
	uint64_t *empty[2] = { NULL, NULL }, *least = NULL, least_value = 0, least_worth = UINT64_MAX;
	unsigned used[2] = { 0, 0 };

	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(s->c, s->h, hash, i), v = shmc_acquire(p);
		unsigned b = i / SHMC_BUCKET;

		if (v == 0) {
			empty[b] = p;
			continue;
		}
		used[b]++;
		if (shmc_same_hash(s, v, hash)) {
			*value = v;
			*why = N_REPLACED;
			return p;
		}
	}
	*value = 0;
	*why = N_STORES;
	if (empty[0] != NULL || empty[1] != NULL)
		return empty[0] == NULL || (empty[1] != NULL && used[1] < used[0]) ? empty[1] : empty[0];
	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t *p = shmc_slot_at(s->c, s->h, hash, i), v = shmc_acquire(p);
		uint64_t value_of = worth(s, v);

		if (value_of < least_worth) {
			least_worth = value_of;
			least_value = v;
			least = p;
		}
	}
	*value = least_value;
	*why = N_IDX_EVICTED;
	return least;
}

/*
 * Names the new entry. Readers may count hits and remove meanwhile, so that the slot chosen has to be won by
 * CAS.
 */
static void name(struct shmc_shard *s, uint64_t hash, uint64_t pos)
{
	SHMC_ASSERT(shmc_load(&s->h->owner) == (uint64_t)s->c->self);
	/* I3: what a slot names is whole and inside its ring */
	SHMC_ASSERT(pos >= shmc_load(&s->h->ring[PROBATION].tail) && pos < shmc_load(&s->h->ring[PROBATION].head));
	for (unsigned i = 0; i < 4 * SHMC_TRIES; i++) {
		uint64_t value;
		enum shmc_counter why;
		uint64_t *p = choose(s, hash, &value, &why);

		SHMC_POINT(NAME);
		if (p != NULL && shmc_cas(p, value, shmc_slot(0, hash, PROBATION, pos))) {
			switch (why) {
			case N_REPLACED: SHMC_POINT(REPLACED); break;
			case N_IDX_EVICTED: SHMC_POINT(INDEX_EVICTED); break;
			default: SHMC_POINT(NAMED); return;
			}
			shmc_count(s->h, why);
			return;
		}
	}
}

/* ------------------------------------------------------------------------------------------------ shards */

/* Every slot empty, both rings empty where their heads are. Done twice by halves it comes to the same. */
void shmc_reset_locked(struct shmc_shard *s)
{
	size_t slots = (size_t)s->c->plan.buckets * SHMC_BUCKET;

	SHMC_POINT(RESET);
	for (size_t i = 0; i < slots; i++) {
		if (i == slots / 2)
			SHMC_POINT(RESET_HALF);
		shmc_release(&s->h->slots[i], 0);
	}
	SHMC_POINT(RESET_SLOTS);
	for (unsigned r = 0; r < 2; r++) {
		struct shmc_ring *ring = &s->ring[r];
		bool sane = ring->tail <= ring->head && ring->head - ring->tail <= ring->units &&
		            ring->head >= ring->units && ring->head < SHMC_POS_MAX - 2 * (uint64_t)SHMC_MAX_UNITS;

		/*
		 * Positions grow on, so that a reader's old one is seen to be passed; back to the start only
		 * if they must.
		 */
		set_tail(ring, sane ? ring->head : ring->units);
		SHMC_POINT(RESET_TAIL);
		ring->head = ring->tail;
		shmc_release(&ring->shared->head, ring->head);
		SHMC_POINT(RESET_RING);
	}
	s->maxrec = 0;
	shmc_release(&s->h->maxrec, 0);
	SHMC_POINT(RESET_MAXREC);
	shmc_count(s->h, N_RESETS);
}

void shmc_shard_load(struct shmcache *c, struct shmc_shard_head *h, struct shmc_shard *s)
{
	uint64_t most = SHMC_HEAD_UNITS + (c->plan.max_data + SHMC_UNIT - 1) / SHMC_UNIT;
	uint64_t maxrec = shmc_load(&h->maxrec);
	bool broken = maxrec > most;

	s->c = c;
	s->h = h;
	s->now = shmc_now();
	for (unsigned r = 0; r < 2; r++) {
		struct shmc_ring *ring = &s->ring[r];

		ring->shared = &h->ring[r];
		ring->words = shmc_ring_at(c, h, r);
		ring->units = c->plan.ring_units[r];
		ring->tail = shmc_load(&h->ring[r].tail);
		ring->head = shmc_load(&h->ring[r].head);
		/* I1, and the end of a position's 43 bits, 140 terabytes on */
		broken = broken || ring->tail > ring->head || ring->head - ring->tail > ring->units ||
		         ring->tail < ring->units || ring->head >= SHMC_POS_MAX - 2 * (uint64_t)SHMC_MAX_UNITS;
	}
	s->maxrec = broken ? 0 : (uint32_t)maxrec;
	if (broken)
		shmc_reset_locked(s);
}

int shmc_shard_enter(struct shmcache *c, uint32_t i, struct shmc_shard *s)
{
	struct shmc_shard_head *h = shmc_shard_at(c, i);
	bool died;

	if (shmc_lock(c, i, h) < 0)
		return -1;
	SHMC_POINT(LOCKED);
	died = shmc_load(&h->owner) != 0;
	shmc_release(&h->owner, (uint64_t)c->self);
	SHMC_POINT(SIGNED);
	shmc_shard_load(c, h, s);
	if (died) {
		shmc_count(h, N_REPAIRS);
		SHMC_POINT(REPAIR);
		(void)shmc_check_locked(s, true);
	}
	if (shmc_load(&h->arriving) != 0)
		shmc_arrival_undo_locked(s);
	return 0;
}

void shmc_shard_leave(struct shmcache *c, uint32_t i, struct shmc_shard *s)
{
	SHMC_POINT(DONE);
	shmc_release(&s->h->owner, 0);
	SHMC_POINT(SIGNED_OUT);
	shmc_unlock(c, i);
	SHMC_POINT(UNLOCKED);
}

/* ------------------------------------------------------------------------------------------------ store */

/* Seals the data into c->record; the check word is append's. */
static int make_record(struct shmcache *c, const unsigned char *key, uint64_t hash, const void *data, size_t len,
                       uint32_t ttl)
{
	unsigned char aad[SHMCACHE_KEY + sizeof(uint64_t)], nonce[12], tag[16];
	uint32_t now = shmc_now(), last;
	uint64_t expires = (uint64_t)now + ttl;

	if (shmc_nonce(c, nonce) < 0)
		return -1;
	if (expires > UINT32_MAX)
		expires = UINT32_MAX;
	c->record[0] = hash;
	c->record[1] = len | expires << 32;
	memcpy(&c->record[2], nonce, sizeof(uint64_t));
	memcpy(&last, nonce + sizeof(uint64_t), sizeof(last));
	c->record[3] = last;
	c->record[SHMC_HEAD_WORDS + (len - 1) / sizeof(uint64_t)] = 0;
	c->record[SHMC_HEAD_WORDS + (len - 1) / SHMC_UNIT * 2 + 1] = 0;
	memcpy(aad, key, SHMCACHE_KEY);
	memcpy(aad + SHMCACHE_KEY, &c->record[1], sizeof(uint64_t));
	if (shmc_seal(c->cipher, nonce, aad, sizeof(aad), data, len, &c->record[SHMC_HEAD_WORDS], tag) < 0)
		return -1;
	memcpy(&c->record[4], tag, sizeof(tag));
	return 0;
}

void shmc_store_locked(struct shmc_shard *s, uint64_t *record, uint64_t hash, uint32_t units)
{
	uint64_t pos;

	if (make_room(s, units) < 0) {
		shmc_reset_locked(s);
		if (make_room(s, units) < 0)
			return;
	}
	pos = append(&s->ring[PROBATION], record, units);
	name(s, hash, pos);
	shmc_count(s->h, N_STORES);
}

int shmcache_store(struct shmcache *c, const unsigned char key[SHMCACHE_KEY], const void *data, size_t len,
                   uint32_t ttl)
{
	struct shmc_shard s;
	uint64_t hash;
	uint32_t shard;

	if (len == 0 || ttl == 0)
		errno = EINVAL;
	else if (c->plan.shards == 0)
		errno = ENOTSUP;
	else if (c->cipher == NULL)
		errno = ENOTCONN;
	else if (shmc_forked(c))
		errno = ECHILD;
	else
		errno = 0;
	if (errno != 0)
		return -1;
	hash = shmc_hash(c, key);
	shard = shmc_shard_of(c, hash);
	if (len > c->plan.max_data) {
		shmc_count(shmc_shard_at(c, shard), N_OVERSIZE);
		errno = EMSGSIZE;
		return -1;
	}
	/* The lock is held for the copying only, not for the sealing. */
	if (make_record(c, key, hash, data, len, ttl) < 0) {
		errno = EIO;
		return -1;
	}
	if (shmc_shard_enter(c, shard, &s) < 0)
		return -1;
	shmc_store_locked(&s, c->record, hash, SHMC_HEAD_UNITS + (uint32_t)((len + SHMC_UNIT - 1) / SHMC_UNIT));
	shmc_shard_leave(c, shard, &s);
	if (c->older != NULL)           /* its copy there, if any, is dead from now on */
		shmc_remove_hash(c->older, hash);
	return 0;
}

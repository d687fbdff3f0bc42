/*
 * tickets.c - the ring of ticket seeds: SHMCACHE_SEEDS places, each sealed. The master writes, children read.
 *
 * There is one writer and no lock: a place's sequence number is odd while it is written, and a reader
 * believes what it copied between two equal even numbers. A writer that dies inside leaves an odd number, and
 * the place counts as free.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "shmcache/internal.h"

static struct shmc_seeds *seeds(const struct shmcache *c)
{
	return (struct shmc_seeds *)(c->base + SHMC_TICKETS);
}

/* What a seed's seal binds it to: its own name and times. */
struct bound {
	char use[16];
	uint64_t id, group;
	int64_t not_before, not_after;
};

static struct bound bind_to(uint64_t id, uint64_t group, int64_t not_before, int64_t not_after)
{
	return (struct bound){ .use = "shmcache seed", .id = id, .group = group, .not_before = not_before, .not_after = not_after };
}

/* The child's handle, or one for the moment: the master keeps none that others would inherit. */
static gcry_cipher_hd_t handle_get(struct shmcache *c)
{
	gcry_cipher_hd_t h;

	if (c->cipher != NULL)
		return c->cipher;
	return c->keyfd >= 0 && shmc_cipher_open(c->keyfd, &h, NULL, NULL) == 0 ? h : NULL;
}

static void handle_put(struct shmcache *c, gcry_cipher_hd_t h)
{
	if (h != c->cipher)
		gcry_cipher_close(h);
}

/* Words in and out as atomics: a reader may copy while the master writes. */
static void words_out(uint64_t *to, const void *from, size_t words)
{
	uint64_t w;

	for (size_t i = 0; i < words; i++) {
		memcpy(&w, (const unsigned char *)from + i * sizeof(w), sizeof(w));
		shmc_put(&to[i], w);
	}
}

static bool copy(const struct shmc_seed *from, struct shmc_seed *to)
{
	const uint64_t *w = (const uint64_t *)from;
	uint64_t *out = (uint64_t *)to;

	for (unsigned i = 0; i < SHMC_TRIES; i++) {
		uint64_t seq = shmc_acquire(&from->seq);

		if (seq == 0)
			return false;
		for (size_t n = 1; n < sizeof(*to) / sizeof(*w); n++)
			out[n] = shmc_load(&w[n]);
		shmc_fence_acquire();
		if ((seq & 1) == 0 && shmc_load(&from->seq) == seq) {
			to->seq = seq;
			return true;
		}
		sched_yield();
	}
	return false;
}

/* The place of this id, else a free one, else the one whose seed is oldest. */
static struct shmc_seed *place(struct shmc_seeds *all, uint64_t id)
{
	struct shmc_seed *chosen = NULL;

	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++)
		if (all->seed[i].seq != 0 && all->seed[i].id == id)
			return &all->seed[i];
	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++) {
		struct shmc_seed *s = &all->seed[i];

		if (s->seq == 0 || (s->seq & 1) != 0)
			return s;
		if (chosen == NULL || s->not_before < chosen->not_before)
			chosen = s;
	}
	return chosen;
}

int shmcache_ticket_put(struct shmcache *c, const struct shmcache_seed *seed, int64_t now)
{
	struct shmc_seed new = { .id = seed->id, .group = seed->group, .not_before = seed->not_before, .not_after = seed->not_after };
	struct bound aad = bind_to(seed->id, seed->group, seed->not_before, seed->not_after);
	struct shmc_seeds *all = seeds(c);
	struct shmc_seed *to;
	gcry_cipher_hd_t h;
	int sealed;

	(void)now;

	if (seed->id == 0 || c->readonly_head) {
		errno = EINVAL;
		return -1;
	}
	h = handle_get(c);
	sealed = h != NULL && shmc_random(new.nonce, 12) == 0 &&
	         shmc_seal(h, new.nonce, &aad, sizeof(aad), seed->seed, sizeof(seed->seed), new.sealed, new.tag) == 0;
	if (h != NULL)
		handle_put(c, h);
	if (!sealed) {
		errno = EIO;
		return -1;
	}
	to = place(all, seed->id);
	new.seq = (shmc_load(&to->seq) | 1) + 1;
	shmc_put(&to->seq, new.seq - 1);
	shmc_fence_release();
	words_out((uint64_t *)to + 1, (const uint64_t *)&new + 1, sizeof(new) / sizeof(uint64_t) - 1);
	shmc_release(&to->seq, new.seq);
	shmc_release(&all->serial, shmc_load(&all->serial) + 1);
	return 0;
}

/* Later not_before first; of two alike the higher id. */
static bool newer(const struct shmcache_seed *a, const struct shmcache_seed *b)
{
	return a->not_before != b->not_before ? a->not_before > b->not_before : a->id > b->id;
}

unsigned shmcache_ticket_list(struct shmcache *c, struct shmcache_seed out[SHMCACHE_SEEDS])
{
	const struct shmc_seeds *all = seeds(c);
	gcry_cipher_hd_t h = handle_get(c);
	struct shmcache_seed one;
	unsigned n = 0;

	if (h == NULL)
		return 0;
	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++) {
		struct shmc_seed s;
		struct bound aad;
		unsigned at = n;

		if (!copy(&all->seed[i], &s) || s.id == 0)
			continue;
		aad = bind_to(s.id, s.group, s.not_before, s.not_after);
		if (shmc_unseal(h, s.nonce, &aad, sizeof(aad), s.sealed, sizeof(s.sealed), one.seed, s.tag) < 0)
			continue;
		one.id = s.id;
		one.group = s.group;
		one.not_before = s.not_before;
		one.not_after = s.not_after;
		for (; at > 0 && newer(&one, &out[at - 1]); at--)
			out[at] = out[at - 1];
		out[at] = one;
		n++;
	}
	explicit_bzero(&one, sizeof(one));
	handle_put(c, h);
	return n;
}

uint64_t shmcache_ticket_serial(const struct shmcache *c)
{
	return shmc_acquire(&seeds(c)->serial);
}

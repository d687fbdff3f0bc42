/*
 * tickets.c - the ring of ticket seeds: SHMCACHE_SEEDS places, each sealed. The master writes, children read.
 *
 * There is one writer and no lock: a place's sequence number is odd while it is written, and a reader
 * believes what it copied between two equal even numbers. A writer that dies inside leaves an odd number, and
 * the place counts as free; so does one whose seed was dropped: all zeros but the number. While a resize is
 * under way the older segment has the same seeds, for the children that know no other.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "shmcache/internal.h"

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
		if (i == words / 2)
			SHMC_POINT(SEED_HALF);
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

static bool in_use(const struct shmc_seed *s)
{
	return s->seq != 0 && (s->seq & 1) == 0 && s->id != 0;
}

/* The place of this id, else a free one, else one whose time is over, else that of the oldest of its group, else NULL. */
static struct shmc_seed *place(struct shmc_seeds *all, const struct shmcache_seed *seed, int64_t now)
{
	struct shmc_seed *unused = NULL, *over = NULL, *oldest = NULL;

	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++) {
		struct shmc_seed *s = &all->seed[i];

		if (!in_use(s)) {
			if (unused == NULL)
				unused = s;
			continue;
		}
		if (s->id == seed->id)
			return s;
		if (s->not_after < now)
			over = s;
		if (s->group == seed->group && (oldest == NULL || s->not_before < oldest->not_before))
			oldest = s;
	}
	return unused != NULL ? unused : over != NULL ? over : oldest;
}

static void write_seed(struct shmc_seeds *all, struct shmc_seed *to, const struct shmc_seed *new)
{
	uint64_t seq = (shmc_load(&to->seq) | 1) + 1;

	shmc_put(&to->seq, seq - 1);
	shmc_fence_release();
	SHMC_POINT(SEED_ODD);
	words_out((uint64_t *)to + 1, (const uint64_t *)new + 1, sizeof(*new) / sizeof(uint64_t) - 1);
	SHMC_POINT(SEED_WORDS);
	shmc_release(&to->seq, seq);
	SHMC_POINT(SEED_EVEN);
	shmc_release(&all->serial, shmc_load(&all->serial) + 1);
}

static int seal_seed(struct shmcache *c, const struct shmcache_seed *seed, struct shmc_seed *out)
{
	struct bound aad = bind_to(seed->id, seed->group, seed->not_before, seed->not_after);
	gcry_cipher_hd_t h = handle_get(c);
	int rc;

	if (h == NULL)
		return -1;
	*out = (struct shmc_seed){ .id = seed->id, .group = seed->group, .not_before = seed->not_before, .not_after = seed->not_after };
	rc = shmc_random(out->nonce, 12);
	if (rc == 0)
		rc = shmc_seal(h, out->nonce, &aad, sizeof(aad), seed->seed, sizeof(seed->seed), out->sealed, out->tag);
	handle_put(c, h);
	return rc;
}

int shmcache_ticket_put(struct shmcache *c, const struct shmcache_seed *seed, int64_t now)
{
	struct shmc_seed *to[2] = { NULL, NULL }, new;

	if (seed->id == 0 || c->readonly_head || c->attached) {
		errno = EINVAL;
		return -1;
	}
	to[0] = place(shmc_seeds_of(c), seed, now);
	if (c->older != NULL)
		to[1] = place(shmc_seeds_of(c->older), seed, now);
	if (to[0] == NULL || (c->older != NULL && to[1] == NULL)) {
		errno = ENOSPC;
		return -1;
	}
	if (seal_seed(c, seed, &new) < 0) {
		errno = EIO;
		return -1;
	}
	write_seed(shmc_seeds_of(c), to[0], &new);
	if (to[1] != NULL)
		write_seed(shmc_seeds_of(c->older), to[1], &new);
	return 0;
}

static bool wipe_seed(struct shmc_seeds *all, uint64_t id)
{
	static const struct shmc_seed none;

	for (unsigned i = 0; i < SHMCACHE_SEEDS; i++)
		if (in_use(&all->seed[i]) && all->seed[i].id == id) {
			write_seed(all, &all->seed[i], &none);
			return true;
		}
	return false;
}

int shmcache_ticket_drop(struct shmcache *c, uint64_t id)
{
	bool found;

	if (id == 0 || c->readonly_head || c->attached) {
		errno = EINVAL;
		return -1;
	}
	found = wipe_seed(shmc_seeds_of(c), id);
	if (c->older != NULL && wipe_seed(shmc_seeds_of(c->older), id))
		found = true;
	if (found)
		return 0;
	errno = ENOENT;
	return -1;
}

/* Later not_before first; of two alike the higher id. */
static bool newer(const struct shmcache_seed *a, const struct shmcache_seed *b)
{
	return a->not_before != b->not_before ? a->not_before > b->not_before : a->id > b->id;
}

unsigned shmcache_ticket_list(struct shmcache *c, struct shmcache_seed out[SHMCACHE_SEEDS])
{
	const struct shmc_seeds *all = shmc_seeds_of(c);
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
	return shmc_acquire(&shmc_seeds_of(c)->serial);
}

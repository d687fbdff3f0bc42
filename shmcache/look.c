/*
 * look.c - looking at a segment from outside: a living one, one that a dead server left, or a saved copy. Runs in
 * tools; the counters also wherever a cache is open. Nothing is locked and nothing is written.
 *
 * The segment may have been scribbled over, and a copy may be any file: the geometry is believed only as far as
 * it fits the file's size, and each loop is bounded by it. A shard is seen whole when its positions and its owner
 * were the same before and after it was copied: a store changes both.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/check.h"

/* In a saved copy only, in the header's page, where a segment has zeros. */
struct copy_mark {
	uint64_t magic;
	int64_t copied;                         /* CLOCK_REALTIME */
	uint64_t now;                           /* CLOCK_BOOTTIME: what `expires` of its entries is compared with */
};
#define COPY_MAGIC 0x31304350434d4853u          /* "SHMCPC01" where the machine is little-endian */
enum { COPY_AT = SHMC_TICKETS - 64 };
_Static_assert(sizeof(struct shmc_header) <= COPY_AT, "the mark lies behind the header");
_Static_assert(sizeof(struct copy_mark) <= 64, "the mark fits");

/* ------------------------------------------------------------------------------------------------ attaching */

static const char saved_remedy[] = "give a segment that bulkhead made, or a copy that 'bulkhead-cache copy' wrote";

/* Whether nothing that follows from this header lies outside of the file, and nothing is divided by 0. */
static bool geometry_sound(const struct shmc_header *h, uint64_t size)
{
	uint64_t shard = sizeof(struct shmc_shard_head) + (uint64_t)h->buckets * SHMC_BUCKET * sizeof(uint64_t) +
	                 ((uint64_t)h->ring_units[PROBATION] + h->ring_units[MAIN]) * SHMC_UNIT;

	if (size > SHMCACHE_MAX_BYTES + (1 << 20) || h->shards > SHMC_MAX_SHARDS ||
	    (h->shards & (h->shards - 1)) != 0 || h->lock_kind > SHMCACHE_LOCK_ROBUST)
		return false;
	if (h->shards == 0)
		return h->shard_bytes == 0;
	return h->buckets > 0 && h->ring_units[PROBATION] > SHMC_HEAD_UNITS &&
	       h->ring_units[MAIN] > SHMC_HEAD_UNITS && h->shard_bytes % 64 == 0 && shard <= h->shard_bytes &&
	       (uint64_t)h->shards * h->shard_bytes <= size - SHMC_SHARDS && h->max_data > 0 &&
	       h->max_data <= SHMCACHE_MAX_DATA && h->max_data <= (uint64_t)h->ring_units[MAIN] * SHMC_UNIT;
}

static int header_look(int fd, struct shmc_header *h, struct shmcache_err *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return shmc_fail(e, "", "looking at the cache: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return shmc_fail(e, saved_remedy, "this is no file and no shared memory");
	n = pread(fd, h, sizeof(*h), 0);
	if (n < 0)
		return shmc_fail(e, "", "reading the cache: %s", strerror(errno));
	if ((size_t)n < sizeof(h->magic) || h->magic != SHMC_MAGIC)
		return shmc_fail(e, saved_remedy, "this is no session cache: its first bytes are not those of one");
	if ((size_t)n < sizeof(*h) || st.st_size < SHMC_SHARDS)
		return shmc_fail(e, "copy it again", "the cache is cut off after %lld bytes",
		                 (long long)st.st_size);
	if (h->version < SHMC_OLDEST || h->oldest > SHMC_VERSION)
		return shmc_fail(e, "use the program that came with the server that made it",
		                 "the cache has layout %u, this program reads %u", h->version, SHMC_VERSION);
	if (h->segment != (uint64_t)st.st_size)
		return shmc_fail(e, "copy it again, or restart the server whose memory this is",
		                 "the cache is %lld bytes long and says that it has %llu", (long long)st.st_size,
		                 (unsigned long long)h->segment);
	if (!geometry_sound(h, (uint64_t)st.st_size))
		return shmc_fail(e, "restart the server whose memory this is",
		                 "the cache's header is damaged: its parts do not fit into its %lld bytes",
		                 (long long)st.st_size);
	return 0;
}

struct shmcache *shmcache_attach(int fd, struct shmcache_err *e)
{
	struct shmc_header h;
	struct shmcache *c;
	void *p;

	shmc_clear(e);
	memset(&h, 0, sizeof(h));
	if (header_look(fd, &h, e) < 0)
		return NULL;
	c = shmc_handle_new(e);
	if (c == NULL)
		return NULL;
	p = mmap(NULL, h.segment, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		shmc_fail(e, "", "mapping the cache: %s", strerror(errno));
		shmcache_close(c);
		return NULL;
	}
	c->base = p;
	c->readonly_head = c->attached = true;
	c->lock_base = h.lock_base;
	c->plan = (struct shmcache_plan){
		.bytes = h.bytes, .segment = h.segment, .max_data = h.max_data, .sessions = h.sessions,
		.avg_data = h.avg_data, .shards = h.shards, .shard_bytes = h.shard_bytes, .buckets = h.buckets,
		.ring_units = { h.ring_units[PROBATION], h.ring_units[MAIN] },
	};
	c->lock_dev = h.lock_dev;
	c->lock_ino = h.lock_ino;
	c->kind = h.lock_kind;
	c->timeout_ms = h.timeout_ms;
	snprintf(c->name, sizeof(c->name), "%.*s", SHMC_NAME - 1, h.name);
	snprintf(c->lockfile, sizeof(c->lockfile), "%.*s", SHMC_PATH - 1, h.lockfile);
	return c;
}

/* ------------------------------------------------------------------------------------------------ header */

static struct copy_mark mark_of(const struct shmcache *c)
{
	struct copy_mark m;

	memcpy(&m, c->base + COPY_AT, sizeof(m));
	if (m.magic != COPY_MAGIC)
		m.copied = 0;
	return m;
}

/* Seconds, CLOCK_BOOTTIME; in a copy those when it was made. */
static int64_t now_of(const struct shmcache *c)
{
	struct copy_mark m = mark_of(c);

	return m.copied != 0 ? (int64_t)(m.now & UINT32_MAX) : (int64_t)shmc_now();
}

/*
 * Unlike shmc_instance_lives this is asked by root about anybody's instance, and opens for reading only. The path
 * may have been written by a process gone wild: nothing but a plain file is opened.
 */
static bool instance_held(const struct shmcache *c)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHMC_INSTANCE, .l_len = 1 };
	struct stat st;
	bool held;
	int fd;

	if (c->lockfile[0] != '/' || lstat(c->lockfile, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	fd = open(c->lockfile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	held = fstat(fd, &st) == 0 && st.st_dev == c->lock_dev && st.st_ino == c->lock_ino &&
	       fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
	close(fd);
	return held;
}

static bool alone(const struct shmcache *c)
{
	return shmc_acquire(&shmc_seeds_of(c)->alone) == 1;
}

void shmcache_info(const struct shmcache *c, struct shmcache_info *out)
{
	struct shmc_header h;

	memcpy(&h, c->base, sizeof(h));
	*out = (struct shmcache_info){
		.version = h.version, .created = (int64_t)h.created, .name = c->name, .lockfile = c->lockfile,
		.kind = c->kind, .timeout_ms = c->timeout_ms, .lives = instance_held(c), .alone = alone(c),
		.copied = mark_of(c).copied,
	};
}

/* ------------------------------------------------------------------------------------------------ entries */

/* The hits that the slot of an entry has counted, or -1: no slot names it. */
static int named(const struct shmcache *c, struct shmc_shard_head *h, unsigned ring, uint64_t pos, uint64_t hash)
{
	for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++) {
		uint64_t v = shmc_acquire(shmc_slot_at(c, h, hash, i));

		if (v != 0 && shmc_slot_same(v, shmc_slot(0, hash, ring, pos)))
			return (int)shmc_slot_freq(v);
	}
	return -1;
}

struct walker {
	int (*visit)(void *ctx, const struct shmcache_entry *e);
	void *ctx;
	int64_t now;
};

/* From the tail to where the head was at the beginning: an entry that is moved on meanwhile is not met twice. */
static int walk_ring(const struct shmcache *c, const struct walker *to, uint32_t shard, unsigned ring,
                     uint64_t head)
{
	struct shmc_shard_head *h = shmc_shard_at(c, shard);
	const uint64_t *words = shmc_ring_at(c, h, ring);
	uint32_t units = c->plan.ring_units[ring];
	uint64_t pos = shmc_acquire(&h->ring[ring].tail), w[4];

	if (pos > head && head >= units)        /* passed since the head was read */
		return 0;
	if (pos < units || head - pos > units || head >= SHMC_POS_MAX) {
		errno = EIO;
		return -1;
	}
	while (pos < head) {
		struct shmcache_entry out;
		struct shmc_entry e;
		uint64_t tail;
		bool whole;
		int freq, r;

		shmc_ring_read(words, units, pos, 0, w, 4);
		whole = shmc_entry_parse(c, w, pos, &e) && e.units <= head - pos;
		freq = whole ? named(c, h, ring, pos, e.hash) : -1;
		shmc_fence_acquire();
		tail = shmc_acquire(&h->ring[ring].tail);
		if (tail < units)               /* the shard is being emptied, or damaged */
			return 0;
		if (tail > pos) {
			pos = tail;
			continue;
		}
		if (!whole) {
			errno = EIO;
			return -1;
		}
		out = (struct shmcache_entry){
			.shard = shard, .ring = ring, .pos = pos, .hash = e.hash, .len = e.len,
			.bytes = e.units * SHMC_UNIT, .ttl = (int64_t)e.expires - to->now,
			.freq = freq < 0 ? 0 : (unsigned)freq, .live = freq >= 0 && e.expires > to->now,
		};
		r = to->visit(to->ctx, &out);
		if (r != 0)
			return r;
		pos += e.units;
	}
	return 0;
}

int shmcache_walk(const struct shmcache *c, int (*visit)(void *ctx, const struct shmcache_entry *e), void *ctx)
{
	struct walker to = { .visit = visit, .ctx = ctx, .now = now_of(c) };
	bool broken = false;

	for (uint32_t i = 0; i < c->plan.shards; i++) {
		struct shmc_shard_head *h = shmc_shard_at(c, i);
		uint64_t head[2] = { shmc_acquire(&h->ring[PROBATION].head), shmc_acquire(&h->ring[MAIN].head) };

		for (unsigned r = 0; r < 2; r++) {
			int end = walk_ring(c, &to, i, r, head[r]);

			if (end != 0 && !(end == -1 && errno == EIO))
				return end;
			broken = broken || end != 0;
		}
	}
	if (broken)
		errno = EIO;
	return broken ? -1 : 0;
}

static int add_up(void *ctx, const struct shmcache_entry *e)
{
	struct shmcache_occupancy *o = ctx;
	struct shmcache_ring_use *r = &o->ring[e->ring];

	if (e->live) {
		if (r->entries == 0 && o->ring[!e->ring].entries == 0)
			o->shortest = o->longest = e->ttl;
		if (e->ttl < o->shortest)
			o->shortest = e->ttl;
		if (e->ttl > o->longest)
			o->longest = e->ttl;
		r->live += e->bytes;
		r->entries++;
	} else if (e->ttl <= 0) {
		r->expired += e->bytes;
	} else {
		r->dead += e->bytes;
	}
	return 0;
}

int shmcache_occupancy(const struct shmcache *c, struct shmcache_occupancy *out)
{
	size_t slots = (size_t)c->plan.buckets * SHMC_BUCKET;
	int r;

	memset(out, 0, sizeof(*out));
	errno = 0;
	r = shmcache_walk(c, add_up, out);
	for (unsigned i = 0; i < 2; i++) {
		struct shmcache_ring_use *u = &out->ring[i];

		u->bytes = (uint64_t)c->plan.shards * c->plan.ring_units[i] * SHMC_UNIT;
		u->free = u->bytes - u->live - u->expired - u->dead;
	}
	out->slots = c->plan.shards * slots;
	for (uint32_t i = 0; i < c->plan.shards; i++)
		for (size_t n = 0; n < slots; n++)
			out->slots_used += shmc_load(&shmc_shard_at(c, i)->slots[n]) != 0;
	return r;
}

unsigned shmcache_holders(const struct shmcache *c, struct shmcache_holder *out, unsigned max)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < c->plan.shards; i++) {
		uint64_t owner = shmc_load(&shmc_shard_at(c, i)->owner);

		if (owner == 0)
			continue;
		if (n < max)
			out[n] = (struct shmcache_holder){ .shard = i, .pid = owner > INT32_MAX ? 0 : (pid_t)owner };
		n++;
	}
	return n;
}

/* ------------------------------------------------------------------------------------------------ whole shards */

enum {
	QUIET_MS = 1000, /* so long a quiet moment is looked for */
	OWNER_MS = 2,    /* so long for one when nobody is inside: a holder may be stopped, or dead */
};

static int64_t milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

enum { WATCHED = 6 };                           /* the first words of a shard: positions, owner, longest entry */
_Static_assert(offsetof(struct shmc_shard_head, arriving) == WATCHED * sizeof(uint64_t), "what a store changes");

static void watched(const uint64_t *shard, uint64_t out[WATCHED])
{
	for (unsigned i = 0; i < WATCHED; i++)
		out[i] = shmc_acquire(&shard[i]);
}

/*
 * Copies a shard at a moment when no store went on or ended: positions and owner were the same before and after.
 * Somebody inside who does not move meanwhile (stopped, dead, or slow) is as good, if main's reserve is not
 * counted. Hits and removals change single slots and are no harm. 0, or -1 with EAGAIN.
 */
static int copy_quiet(const struct shmcache *c, uint32_t index, struct shmc_shard_head *to, bool *inside)
{
	const uint64_t *from = (const uint64_t *)shmc_shard_at(c, index);
	uint64_t *words = (uint64_t *)to, before[WATCHED], after[WATCHED];
	size_t n = c->plan.shard_bytes / sizeof(uint64_t);
	int64_t start = milliseconds(), now = start;

	for (; now - start < QUIET_MS; now = milliseconds()) {
		watched(from, before);
		*inside = before[offsetof(struct shmc_shard_head, owner) / sizeof(uint64_t)] != 0;
		if (!*inside || now - start >= OWNER_MS) {
			for (size_t i = 0; i < n; i++)
				words[i] = shmc_load(&from[i]);
			shmc_fence_acquire();
			watched(from, after);
			if (memcmp(before, after, sizeof(before)) == 0) {
				memcpy(words, before, sizeof(before));
				return 0;
			}
		}
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
	errno = EAGAIN;
	return -1;
}

/* For one shard, whose words begin cache lines as in the segment. */
static struct shmc_shard_head *shard_buffer(const struct shmcache *c)
{
	return aligned_alloc(64, c->plan.shard_bytes == 0 ? 64 : c->plan.shard_bytes);
}

int shmcache_verify(const struct shmcache *c,
                    void (*report)(void *ctx, unsigned shard, unsigned invariant, const char *what), void *ctx)
{
	struct shmc_listener to = { .say = report, .ctx = ctx };
	struct shmc_shard_head *copy = shard_buffer(c);
	int found = 0, why = copy == NULL ? ENOMEM : 0;

	for (uint32_t i = 0; why == 0 && i < c->plan.shards; i++) {
		bool inside;

		if (copy_quiet(c, i, copy, &inside) < 0)
			why = errno;
		else
			found += (int)shmc_audit(c, i, copy, inside, &to);
	}
	free(copy);
	if (why == 0)
		return found;
	errno = why;
	return -1;
}

static int write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (done == 0)
				errno = ENOSPC;
			return -1;
		}
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Header and mark; of the seeds' page only whether a resize is under way. */
static int write_head(const struct shmcache *c, int fd)
{
	struct shmc_seeds seeds = { .alone = alone(c) };
	static unsigned char page[SHMC_SHARDS];
	struct copy_mark m = mark_of(c);

	if (m.copied == 0)                      /* a copy of a copy keeps the first one's time */
		m = (struct copy_mark){ .magic = COPY_MAGIC, .copied = (int64_t)time(NULL), .now = shmc_now() };
	memset(page, 0, sizeof(page));
	memcpy(page, c->base, sizeof(struct shmc_header));
	memcpy(page + COPY_AT, &m, sizeof(m));
	memcpy(page + SHMC_TICKETS, &seeds, sizeof(seeds));
	return write_all(fd, page, sizeof(page));
}

static int write_shards(const struct shmcache *c, int fd, struct shmc_shard_head *copy)
{
	size_t left = c->plan.segment - SHMC_SHARDS - (size_t)c->plan.shards * c->plan.shard_bytes;
	static const unsigned char zeros[4096];
	bool inside;

	for (uint32_t i = 0; i < c->plan.shards; i++)
		if (copy_quiet(c, i, copy, &inside) < 0 || write_all(fd, copy, c->plan.shard_bytes) < 0)
			return -1;
	while (left > 0) {
		size_t n = left < sizeof(zeros) ? left : sizeof(zeros);

		if (write_all(fd, zeros, n) < 0)
			return -1;
		left -= n;
	}
	return 0;
}

int shmcache_copy(const struct shmcache *c, int fd, struct shmcache_err *e)
{
	struct shmc_shard_head *copy = shard_buffer(c);
	int r = -1, why;

	shmc_clear(e);
	errno = ENOMEM;
	if (copy != NULL && write_head(c, fd) == 0)
		r = write_shards(c, fd, copy);
	why = errno;
	free(copy);
	if (r < 0 && why == EAGAIN)
		shmc_fail(e, "try again when the server is less busy",
		          "no moment was found when nobody stores in a shard");
	else if (r < 0)
		shmc_fail(e, why == ENOSPC || why == EDQUOT ? "make room, or give another folder" : "",
		          "writing the copy: %s", strerror(why));
	errno = why;
	return r;
}

/* ------------------------------------------------------------------------------------------------ counters */

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

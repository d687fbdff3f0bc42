/*
 * internal.h - the segment's layout and what the files of shmcache/ share. Not for users of the library.
 *
 *   0       header            magic, version, geometry, names, mac                                   [master, once]
 *   4096    ring of seeds     serial, alone, 20 places of 192 bytes                                  [master]
 *   8192    shard 0           each shard_bytes long:
 *             +0     positions    ring[0].tail .head ring[1].tail .head owner maxrec arriving -      [lock holder]
 *             +64    mutex        only with SHMCACHE_LOCK_ROBUST                                     [those who lock]
 *             +128   counters     32 words                                                           [any child, add]
 *             +384   index        buckets of 8 slots = a cache line                  [holder; others only clear, or
 *                                                                                      count a hit, by CAS]
 *             +..    ring 0       probation: new entries                                             [lock holder]
 *             +..    ring 1       main: entries that were hit, or for which there was room           [lock holder]
 *           shard 1 …
 *
 *   slot    freq 2 | tag 18 | ring 1 | pos 43        0 = empty. pos: units of 16 bytes, only grows; place = pos mod size
 *   entry   hash 64 | len 16, flags 16, expires 32 | nonce 96, check 32 | tag 128 | sealed data padded to a unit
 *
 * Words are 64 bits in the machine's order and are read and written as atomics. Offsets only, no pointer.
 * Whatever is read from here may have been scribbled over by a process gone wild: each use bounds it first.
 */
#ifndef SHMCACHE_INTERNAL_H
#define SHMCACHE_INTERNAL_H

#include <gcrypt.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/statfs.h>
#include <sys/types.h>

#include "shmcache/points.h"
#include "shmcache/shmcache.h"

#define SHMC_MAGIC 0x3130434d48534842u          /* "BHSHMC01" where the machine is little-endian */
#define SHMC_VERSION 2u                         /* of the layout; see docs/shmcache-format.md for when it changes */
#define SHMC_OLDEST 2u                          /* the oldest version that may read this one */

enum {
	SHMC_TICKETS = 4096,                    /* offset of the ring of seeds */
	SHMC_SHARDS = 8192,                     /* offset of shard 0 */
	SHMC_MAX_SHARDS = 256,
	SHMC_LOCK_BYTES = 2 * SHMC_MAX_SHARDS,  /* of the lockfile: two segments of one instance never share one */
	SHMC_UNIT = 16,                         /* bytes of a unit */
	SHMC_HEAD_WORDS = 6,                    /* words of an entry before its data */
	SHMC_HEAD_UNITS = 3,
	SHMC_BUCKET = 8,                        /* slots of a bucket */
	SHMC_NAME = 64,
	SHMC_PATH = 1024,
	SHMC_MAC = 32,
	SHMC_MAX_UNITS = SHMC_HEAD_UNITS + SHMCACHE_MAX_DATA / SHMC_UNIT,
	SHMC_MAX_WORDS = SHMC_MAX_UNITS * 2,
	SHMC_TRIES = 8,                         /* how often anything that lost a race is tried again */
};
#define SHMC_TWIN "-2"                           /* NAME and NAME-2: an instance's segments have one of them by turns */
#define SHMC_INSTANCE ((off_t)1 << 40)          /* the lockfile's byte that a living instance holds */

enum { PROBATION, MAIN };

/*
 * Constant once the segment is made. mac is over all that stands before it, with a key that only the key's
 * reader has.
 */
struct shmc_header {
	uint64_t magic;
	uint32_t version, oldest;
	uint64_t created;                       /* seconds, CLOCK_REALTIME */
	uint64_t bytes, segment, max_data, sessions, avg_data;          /* the plan */
	uint32_t shards, shard_bytes, buckets, ring_units[2];
	uint32_t lock_kind, timeout_ms;
	uint32_t lock_base;                     /* the lockfile's byte of shard 0: 0, or SHMC_MAX_SHARDS */
	uint64_t lock_dev, lock_ino;
	char name[SHMC_NAME];                   /* "" = memfd */
	char lockfile[SHMC_PATH];
	unsigned char mac[SHMC_MAC];
};
_Static_assert(sizeof(struct shmc_header) <= SHMC_TICKETS, "header fits its page");

/*
 * One seed; 192 bytes apart. seq is odd while the master writes; readers believe a copy between equal even
 * numbers.
 */
struct shmc_seed {
	uint64_t seq;                           /* 0 = never used */
	uint64_t id, group;
	int64_t not_before, not_after;
	unsigned char nonce[16];                /* 12 used */
	unsigned char tag[16];
	unsigned char sealed[64];
	unsigned char pad[56];
};
_Static_assert(sizeof(struct shmc_seed) == 192, "a seed's place");

struct shmc_seeds {
	uint64_t serial;                        /* puts and drops so far */
	uint64_t alone;                         /* 1: no older segment need be looked into (any more) */
	uint64_t pad[6];
	struct shmc_seed seed[SHMCACHE_SEEDS];
};
_Static_assert(sizeof(struct shmc_seeds) <= SHMC_SHARDS - SHMC_TICKETS, "seeds fit their page");

struct shmc_pos {
	uint64_t tail, head;                    /* units; tail <= head <= tail + size of the ring */
};

enum shmc_counter {
	N_HITS, N_MISSES, N_STORES, N_REPLACED, N_EVICTED, N_EXPIRED, N_MOVED, N_REMOVED, N_DEAD, N_REPAIRS, N_RESETS,
	N_REDONE, N_BADTAG, N_LOCK_BUSY, N_LOCK_TIMEOUT, N_IDX_EVICTED, N_OVERSIZE,
	N_WAITS = 24,                           /* 8 of them, by powers of 4 from 1 us */
	N_ALL = 32,
};

/* The start of a shard. */
struct shmc_shard_head {
	struct shmc_pos ring[2];                /* [lock holder] */
	uint64_t owner;                         /* pid of who is inside, else 0 [lock holder] */
	uint64_t maxrec;                        /* units of main's longest entry; main keeps that much free [lock holder] */
	uint64_t arriving;                      /* hash of an entry that is being migrated: not to be believed yet [lock holder] */
	uint64_t pad;
	union {
		pthread_mutex_t mutex;          /* with SHMCACHE_LOCK_ROBUST; else zeros */
		unsigned char line[64];
	};
	uint64_t count[N_ALL];                  /* [any child, relaxed add]; decide nothing by them */
	uint64_t slots[];
};
_Static_assert(sizeof(pthread_mutex_t) <= 64, "a mutex fits its cache line");
_Static_assert(sizeof(struct shmc_shard_head) == 384, "a shard's head");

/* A shard whose lock was not had: until when (us) it is only tried, unless who was inside has gone on since. 0: it was had. */
struct shmc_stuck {
	uint64_t until, owner, head;
};

/* A process's own handle. Nothing here is shared; the geometry is a private copy that no scribble reaches. */
struct shmcache {
	unsigned char *base;                    /* the mapping */
	struct shmcache_plan plan;
	char name[SHMC_NAME], lockfile[SHMC_PATH];
	uint64_t lock_dev, lock_ino;
	uint32_t lock_base;
	enum shmcache_lock_kind kind;
	unsigned timeout_ms;
	bool attached;                          /* for looking only; mapped read-only */
	struct shmcache *older;                 /* while a resize is under way: the segment before; it has no cipher and
	                                           no descriptor but segfd */
	int segfd, lockfd, keyfd;               /* the master's; -1 in a child */
	int lock;                               /* the child's own description of the lockfile, or -1 */
	enum shmcache_lock_kind how;            /* what `lock` is locked with */
	pid_t master, self;                     /* who created or adopted; who called child_init */
	struct shmc_shard_head *volatile inside;        /* whose robust mutex this process has, or is about to take or free */
	int mutex_kind;                         /* how a robust mutex looks that nobody wrote over */
	struct shmc_stuck stuck[SHMC_MAX_SHARDS];       /* of each shard, while its lock was not had */
	struct shmcache_wait wait;              /* the last one */
	bool readonly_head;                     /* the first two pages are mapped read-only here */
	gcry_cipher_hd_t cipher;                /* NULL before child_init */
	uint64_t hash_key[2];
	struct shmc_fork *fork;                 /* a page that the kernel wipes in a fork */
	uint64_t record[SHMC_MAX_WORDS];        /* the entry being stored or fetched */
	uint64_t moving[SHMC_MAX_WORDS];        /* the entry being moved */
};

/* Zero after fork: a copy must neither repeat nonces nor use its parent's description of the lockfile. */
struct shmc_fork {
	uint64_t alive;
	unsigned char prefix[8];
	uint32_t count;
};

/* A shard as its lock holder sees it. Positions are private copies: only the holder changes them. */
struct shmc_ring {
	struct shmc_pos *shared;
	uint64_t *words;
	uint64_t tail, head;
	uint32_t units;
};
struct shmc_shard {
	struct shmcache *c;
	struct shmc_shard_head *h;
	struct shmc_ring ring[2];
	uint32_t maxrec;
	uint32_t now;
};

/* The first four words of an entry, read and believed. */
struct shmc_entry {
	uint64_t hash;
	uint32_t len, expires, units;
};

/* ------------------------------------------------------------------------------------------------ words */

/*
 * Relaxed words, and fences where their order counts. ThreadSanitizer knows no fences: for it the words themselves are
 * loaded and stored in order.
 */
#ifdef __SANITIZE_THREAD__
#define SHMC_LOAD_ORDER __ATOMIC_ACQUIRE
#define SHMC_PUT_ORDER __ATOMIC_RELEASE
#define SHMC_FENCE(order) ((void)0)
#else
#define SHMC_LOAD_ORDER __ATOMIC_RELAXED
#define SHMC_PUT_ORDER __ATOMIC_RELAXED
#define SHMC_FENCE(order) __atomic_thread_fence(order)
#endif

static inline uint64_t shmc_load(const uint64_t *p) { return __atomic_load_n(p, SHMC_LOAD_ORDER); }
static inline uint64_t shmc_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void shmc_put(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, SHMC_PUT_ORDER); }
/* Between a copy of an entry and the second look at its ring's tail. */
static inline void shmc_fence_acquire(void)
{
	SHMC_FENCE(__ATOMIC_ACQUIRE);
	SHMC_NOTE(shmc_fenced_copy, true);
}
/* Between a ring's new tail and the words that are written after it. */
static inline void shmc_fence_release(void)
{
	SHMC_FENCE(__ATOMIC_RELEASE);
	SHMC_NOTE(shmc_fenced_tail, true);
}
static inline void shmc_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline bool shmc_cas(uint64_t *p, uint64_t old, uint64_t new)
{
	return __atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
static inline void shmc_count(struct shmc_shard_head *h, unsigned which)
{
	__atomic_fetch_add(&h->count[which], 1, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------------------------------------ slots */

#define SHMC_POS_BITS 43
#define SHMC_POS_MAX ((uint64_t)1 << SHMC_POS_BITS)
#define SHMC_RING_BIT ((uint64_t)1 << SHMC_POS_BITS)
#define SHMC_FREQ_ONE ((uint64_t)1 << 62)

static inline uint64_t shmc_slot(unsigned freq, uint64_t hash, unsigned ring, uint64_t pos)
{
	return (uint64_t)freq << 62 | (hash >> 46) << 44 | (uint64_t)ring << SHMC_POS_BITS | pos;
}
static inline unsigned shmc_slot_freq(uint64_t s) { return (unsigned)(s >> 62); }
static inline unsigned shmc_slot_ring(uint64_t s) { return s >> SHMC_POS_BITS & 1; }
static inline uint64_t shmc_slot_pos(uint64_t s) { return s & (SHMC_POS_MAX - 1); }
static inline bool shmc_slot_tagged(uint64_t s, uint64_t hash) { return s != 0 && (s >> 44 & 0x3ffff) == hash >> 46; }
/* Whether two values of a slot name the same entry: all but the hit count. */
static inline bool shmc_slot_same(uint64_t a, uint64_t b)
{
	return (a & (SHMC_FREQ_ONE - 1)) == (b & (SHMC_FREQ_ONE - 1));
}

/*
 * Low bits of the hash choose the shard, the middle the first bucket, the top is the tag; the second bucket
 * is mixed.
 */
static inline uint32_t shmc_shard_of(const struct shmcache *c, uint64_t hash)
{
	return (uint32_t)hash & (c->plan.shards - 1);
}
static inline uint32_t shmc_bucket(const struct shmcache *c, uint64_t hash, unsigned which)
{
	uint64_t part = which == 0 ? hash >> 8 : hash * 0x9e3779b97f4a7c15u >> 32;

	return (uint32_t)((part & 0xffffffff) * c->plan.buckets >> 32);
}
static inline uint64_t *shmc_slot_at(const struct shmcache *c, struct shmc_shard_head *h, uint64_t hash, unsigned i)
{
	return &h->slots[shmc_bucket(c, hash, i / SHMC_BUCKET) * SHMC_BUCKET + i % SHMC_BUCKET];
}

/* ------------------------------------------------------------------------------------------------ segment.c */

/* Fills *e unless it is NULL or filled. Returns -1. */
int shmc_fail(struct shmcache_err *e, const char *remedy, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct shmc_shard_head *shmc_shard_at(const struct shmcache *c, uint32_t i);
uint64_t *shmc_ring_at(const struct shmcache *c, struct shmc_shard_head *h, unsigned ring);
void shmc_clear(struct shmcache_err *e);
struct shmcache *shmc_handle_new(struct shmcache_err *e);
/*
 * Makes, allocates and maps the segment of c->plan under this name ("" = none), every shard born, with its header. c has
 * the lockfile and the key. 0, or -1 with *e: the caller ends c.
 */
int shmc_segment_make(struct shmcache *c, const char *name, struct shmcache_err *e);
/* Takes the segment's name away if it is still this segment's. */
void shmc_segment_unlink(const struct shmcache *c);
static inline struct shmc_seeds *shmc_seeds_of(const struct shmcache *c)
{
	return (struct shmc_seeds *)(c->base + SHMC_TICKETS);
}
uint32_t shmc_now(void);                                /* seconds, CLOCK_BOOTTIME */

/* ------------------------------------------------------------------------------------------------ mutex.c */

/* What tells a network file system; a test puts its own here. */
extern int (*shmc_statfs)(const char *path, struct statfs *s);
/*
 * Opens or makes the lockfile and takes the instance's byte: descriptor, or -1 with *e filled. Fills dev and
 * ino.
 */
int shmc_lockfile_open(const char *path, uint64_t *dev, uint64_t *ino, struct shmcache_err *e);
/* Takes the instance's byte and writes down whose it is: 0, or -1 with errno. */
int shmc_instance_take(int fd);
/* Whether someone else's description holds the instance's byte of the lockfile at path. */
bool shmc_instance_lives(const char *path, uint64_t dev, uint64_t ino);
/* The pid that a living instance's lockfile names, 0 where it is not known. */
long shmc_instance_pid(const char *path);
/* The child's own description: fills c->lock and c->how. 0 or -1. */
int shmc_lock_init(struct shmcache *c, struct shmcache_err *e);
/* Makes a shard's robust mutex. 0, or -1 with errno. */
int shmc_mutex_born(struct shmc_shard_head *h);
/* 0, or -1: ETIMEDOUT, EIO. */
int shmc_lock(struct shmcache *c, uint32_t shard, struct shmc_shard_head *h);
void shmc_unlock(struct shmcache *c, uint32_t shard);

/* ------------------------------------------------------------------------------------------------ seal.c */

int shmc_gcrypt_init(struct shmcache_err *e);           /* does nothing where the program has done it */
int shmc_key_new(struct shmcache_err *e);               /* a sealed memfd with a fresh key, or -1 */
/* Authenticates the header with the key behind keyfd. 0 or -1. */
int shmc_header_mac(int keyfd, const struct shmc_header *h, unsigned char mac[SHMC_MAC]);
/* A cipher handle with the sub-key, and the key of the hash (may be NULL). 0 or -1. */
int shmc_cipher_open(int keyfd, gcry_cipher_hd_t *out, uint64_t hash_key[2], struct shmcache_err *e);
int shmc_seal(gcry_cipher_hd_t h, const unsigned char nonce[12], const void *aad, size_t aadlen, const void *in,
              size_t len, void *out, unsigned char tag[16]);
int shmc_unseal(gcry_cipher_hd_t h, const unsigned char nonce[12], const void *aad, size_t aadlen, const void *in,
                size_t len, void *out, const unsigned char tag[16]);
int shmc_random(void *p, size_t n);
int shmc_fork_page(struct shmcache *c, struct shmcache_err *e);
bool shmc_forked(const struct shmcache *c);
int shmc_nonce(struct shmcache *c, unsigned char nonce[12]);
uint64_t shmc_hash(const struct shmcache *c, const unsigned char key[SHMCACHE_KEY]);

/* ------------------------------------------------------------------------------------------------ fetch.c */

void shmc_ring_read(const uint64_t *ring, uint32_t units, uint64_t pos, size_t first, uint64_t *out, size_t words);
/* The check word's half of an entry at pos: tells an entry's start from anything else, without the key. */
uint32_t shmc_entry_check(const uint64_t w[4], uint64_t pos);
/* Believes four words as an entry at pos, or not: bounds its length too. */
bool shmc_entry_parse(const struct shmcache *c, const uint64_t w[4], uint64_t pos, struct shmc_entry *e);
enum shmc_found { SHMC_GOT, SHMC_OTHER, SHMC_GONE };
/*
 * Without a lock: copies the entry that the slot's value names into w, whole if `whole`, else only its head. GOT: it was
 * there all the while; GONE: it was passed meanwhile; OTHER: no entry starts there, or its tag is another.
 */
enum shmc_found shmc_entry_read(const struct shmcache *c, struct shmc_shard_head *h, uint64_t slot, bool whole,
                                uint64_t *w, struct shmc_entry *e);
/* Without a lock: the entry of this hash goes from this one segment. */
void shmc_remove_hash(const struct shmcache *segment, uint64_t hash);

/* ------------------------------------------------------------------------------------------------ migrate.c */

/* Child: lets go of the older segment once the master has said that it may. Whether there still is one to look into. */
bool shmc_older_in_use(struct shmcache *c);
/* The lock is held: takes back what a migration that died had not finished. */
void shmc_arrival_undo_locked(struct shmc_shard *s);

/* ------------------------------------------------------------------------------------------------ store.c, check.c */

/*
 * Lock, see who was inside, mend if he died there, sign in. 0 or -1 as shmc_lock. Leave with
 * shmc_shard_leave.
 */
int shmc_shard_enter(struct shmcache *c, uint32_t i, struct shmc_shard *s);
void shmc_shard_leave(struct shmcache *c, uint32_t i, struct shmc_shard *s);
/* The lock is held: reads the positions; resets the shard where they cannot be. */
void shmc_shard_load(struct shmcache *c, struct shmc_shard_head *h, struct shmc_shard *s);
/* The lock is held: frees main's reserve, which a holder that died inside a move may have used up. */
void shmc_reserve_locked(struct shmc_shard *s);
/* The lock is held: no entry left. */
void shmc_reset_locked(struct shmc_shard *s);
/*
 * The lock is held: appends a sealed record of so many units and names it, over an entry of the same hash if there is
 * one. Its check word is filled in.
 */
void shmc_store_locked(struct shmc_shard *s, uint64_t *record, uint64_t hash, uint32_t units);
/* The lock is held: whether a slot's value names a living entry of this hash. */
bool shmc_same_hash(const struct shmc_shard *s, uint64_t value, uint64_t hash);
/* The lock is held: violations of the invariants; mended if `repair`. */
unsigned shmc_check_locked(struct shmc_shard *s, bool repair);

#endif

/*
 * shmcache.h - a cache in shared memory for many processes that may die at any instruction, and a small ring
 * of ticket seeds beside it. A library of its own: libc and libgcrypt, nothing else.
 *
 * The parts: a segment of shared memory (a POSIX object with a name, else a memfd), a lockfile whose bytes
 * are the shards' locks and whose far byte says that the instance lives, and a sealed memfd with the key.
 * Entries are sealed with AES-256-GCM: neither a dump nor the segment shows what is kept. Storing takes a
 * shard's lock for a microsecond; fetching and removing take none. A process that is killed inside leaves a
 * valid cache and a free lock.
 *
 *   master, at start       shmcache_plan(bytes, 0, &plan, &err)          may be called by a check of the configuration
 *                          c = shmcache_create(&plan, "/bulkhead-1f3c", &lock, &err)
 *   after exec             c = shmcache_adopt(segfd, lockfd, keyfd, &err)          descriptors of shmcache_fds
 *   child, after fork      shmcache_child_init(c, &err)                  before chroot, setuid and sandbox; no fork later
 *                          shmcache_store, shmcache_fetch, shmcache_remove
 *   crash handler          shmcache_crash_release(c)
 *   master, another size   shmcache_resize(c, &plan, &err), fork new children, wait until the old ones are gone;
 *                          in a helper: shmcache_child_init(c, &err), shmcache_migrate(c, &err); then shmcache_resized(c)
 *   tools                  shmcache_attach(fd, &err), then all that stands under "looking"
 *   other roles            shmcache_close(c)                             each process that does not use it
 *   master, at the end     shmcache_unlink(c); shmcache_close(c)
 *
 * A process that is master and child at once calls both create and child_init. System calls after child_init:
 * fcntl (F_OFD_SETLK, F_SETLK) or flock or futex, sched_yield, ppoll, clock_gettime, getrandom, munmap. Not for several
 * threads of a process.
 */
#ifndef SHMCACHE_SHMCACHE_H
#define SHMCACHE_SHMCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHMCACHE_KEY 32                 /* bytes of a key: a hash of what names the entry, made by the caller */
#define SHMCACHE_MAX_DATA 16384         /* no entry is longer, however large the segment: a buffer of this always does */
#define SHMCACHE_MIN_BYTES 8192         /* the smallest cache */
#define SHMCACHE_MAX_BYTES ((size_t)1 << 30)

struct shmcache;

/* What went wrong and how to mend it: sentences without a full stop. May be NULL wherever it is asked for. */
struct shmcache_err {
	char text[256];
	char remedy[256];               /* "" = none known */
};

/* ------------------------------------------------------------------------------------------------ life */

/* The geometry that a size comes to. Filled by shmcache_plan; read-only for the caller. */
struct shmcache_plan {
	size_t bytes;                   /* as asked for; 0 = no sessions, only the ring of seeds */
	size_t segment;                 /* of the whole segment */
	size_t max_data;                /* the longest entry it takes */
	size_t sessions;                /* how many entries of avg_data bytes it holds */
	size_t avg_data;
	uint32_t shards, shard_bytes;   /* a shard has a lock of its own */
	uint32_t buckets;               /* of a shard; 8 slots each */
	uint32_t ring_units[2];         /* probation, main; in 16 bytes */
};

/*
 * Pure: the geometry for `bytes` of sessions whose data is avg_data bytes on average (0 = 356, a TLS 1.2
 * session). bytes = 0 is legal. -1: smaller than SHMCACHE_MIN_BYTES or larger than SHMCACHE_MAX_BYTES.
 */
int shmcache_plan(size_t bytes, size_t avg_data, struct shmcache_plan *plan, struct shmcache_err *err);

enum shmcache_lock_kind {
	SHMCACHE_LOCK_OFD,              /* open file description locks: the default, and the best */
	SHMCACHE_LOCK_FCNTL,            /* classic record locks; lost when the process closes any descriptor of the file */
	SHMCACHE_LOCK_FLOCK,            /* flock: one lock for all shards */
	SHMCACHE_LOCK_ROBUST,           /* robust mutexes in the segment: faster, but a holder that wrote wildly before
	                                   its death may leave one that is never free again */
};

struct shmcache_lock_options {
	const char *lockfile;           /* absolute path; made if it is not there, 0600; local file systems only */
	enum shmcache_lock_kind kind;
	unsigned timeout_ms;            /* how long a store waits for its lock; 0 = 50 */
};

/*
 * Master, at start. Makes lockfile, segment and key. `name` is the shm object's ("/bulkhead-1f3c", below 62
 * bytes); what a dead instance left under it is removed, a living one is an error that names its pid where
 * that is known. NULL with *err filled. Everything is allocated up front: a full /dev/shm is an error here,
 * never a SIGBUS later.
 */
struct shmcache *shmcache_create(const struct shmcache_plan *plan, const char *name,
                                 const struct shmcache_lock_options *lock, struct shmcache_err *err);

#define SHMCACHE_FDS 4                  /* segment, lockfile, key, the older segment of a resize (-1 = none) */

/*
 * Master, after exec: the cache of the program before, with all its entries and seeds, and a resize under way.
 * Takes the descriptors if it succeeds. NULL: another version, another key, damaged, not the same instance; the
 * caller then closes them and creates. An older segment that does not fit is closed and left.
 */
struct shmcache *shmcache_adopt(const int fds[SHMCACHE_FDS], struct shmcache_err *err);

/* Master: in the order that adopt takes; borrowed, close-on-exec. */
void shmcache_fds(const struct shmcache *c, int fds[SHMCACHE_FDS]);

/*
 * Child, once, after fork and before any right is dropped: opens a description of the lockfile of its own,
 * reads the key, opens the cipher, wipes the key, closes the master's descriptors. The process never forks
 * afterwards (a fork's stores fail with ECHILD). 0, or -1 with *err filled: the cache then only misses.
 */
int shmcache_child_init(struct shmcache *c, struct shmcache_err *err);

/*
 * Another size, while everything goes on. The master makes a second segment with resize: same lockfile, key and
 * seeds, another name. Children forked from then on store into it and look into both; older children go on with the
 * old one. When they are gone, a helper moves what lives over (migrate), and resized ends it: children let go of
 * the old segment at their next miss, its name goes. At no moment is an entry missing that fits; a removed one does
 * not come back.
 *
 * resize: 0, or -1 with *err, and c is as before: no memory; a resize is under way already (shmcache_resizing);
 * this process is a child too (EBUSY).
 * migrate: after child_init, in a process of its own; how many entries were moved, or -1 with *err. May be killed
 * and run again.
 * resized: the master, whether or not migrate succeeded; what was not moved is then gone.
 */
int shmcache_resize(struct shmcache *c, const struct shmcache_plan *plan, struct shmcache_err *err);
bool shmcache_resizing(const struct shmcache *c);
long shmcache_migrate(struct shmcache *c, struct shmcache_err *err);
void shmcache_resized(struct shmcache *c);

/* Master, at its end: takes the names of segments and lockfile away. Processes that have it mapped go on. */
void shmcache_unlink(struct shmcache *c);

/* Any process: unmaps, closes, frees. The names stay. NULL is fine. */
void shmcache_close(struct shmcache *c);

/* Any process: the plan in use, and the name of the segment ("" = a memfd, which has none). */
const struct shmcache_plan *shmcache_geometry(const struct shmcache *c);
const char *shmcache_name(const struct shmcache *c);

/* ------------------------------------------------------------------------------------------------ entries; child */

/*
 * Keeps len bytes (1..max_data) under the key for ttl seconds (at least 1); an entry of the same key is
 * replaced. Waits at most the lock's timeout. 0, or -1:
 *   ETIMEDOUT  the lock was not had; nothing was stored, and that is counted
 *   EMSGSIZE   longer than this segment takes
 *   EINVAL     len or ttl is 0
 *   ENOTSUP    a segment without sessions
 *   ENOTCONN   child_init was not called or failed
 *   ECHILD     the process forked after child_init
 *   EIO        the cipher or the lock failed
 */
int shmcache_store(struct shmcache *c, const unsigned char key[SHMCACHE_KEY], const void *data, size_t len,
                   uint32_t ttl);

/*
 * 1 and *len bytes in buf, or 0: not there, expired, damaged, or longer than cap (then *len is its length,
 * else 0).
 */
int shmcache_fetch(struct shmcache *c, const unsigned char key[SHMCACHE_KEY], void *buf, size_t cap, size_t *len);

/* The key's entry is gone when this returns, unless it is being stored at the same time. Never waits. */
void shmcache_remove(struct shmcache *c, const unsigned char key[SHMCACHE_KEY]);

/*
 * In a signal handler of a child that is going to die: gives up every lock it may hold, by one system call,
 * so that nobody waits while the kernel writes a core. The process must not touch the cache afterwards. NULL
 * is fine.
 */
void shmcache_crash_release(const struct shmcache *c);

/* The last store of this process that had to wait for its lock, or did not get it. */
struct shmcache_wait {
	uint64_t n;                     /* how many there were since child_init */
	unsigned shard;
	uint32_t us;                    /* how long it waited */
	bool given_up;                  /* ETIMEDOUT */
	pid_t owner;                    /* who was inside when the wait ended or before; 0 = unknown. Only a hint */
};
void shmcache_last_wait(const struct shmcache *c, struct shmcache_wait *out);

/* ------------------------------------------------------------------------------------------------ looking; any process */

/*
 * For tools: a handle on a segment that another program made, or on a saved copy of one, for looking only. fd is
 * borrowed; it is mapped read-only. What is not known without the key stays unknown: no IDs, no secrets, and a header
 * that was written over is recognised by its own sums only. NULL with *err.
 */
struct shmcache *shmcache_attach(int fd, struct shmcache_err *err);

/* What the header says. */
struct shmcache_info {
	uint32_t version;
	int64_t created;                /* seconds, CLOCK_REALTIME */
	const char *name, *lockfile;    /* of the handle's memory; name "" = memfd */
	enum shmcache_lock_kind kind;
	unsigned timeout_ms;
	bool lives;                     /* some process holds the instance's byte of that very lockfile */
	bool alone;                     /* no older segment is looked into any more */
	int64_t copied;                 /* seconds, CLOCK_REALTIME, when this copy was made; 0 = it is none */
};
void shmcache_info(const struct shmcache *c, struct shmcache_info *out);

/* One entry, live or dead. */
struct shmcache_entry {
	unsigned shard, ring;           /* ring: 0 probation, 1 main */
	uint64_t pos, hash;             /* hash: SipHash of the key; tells nothing without the segment's key */
	uint32_t len, bytes;            /* of the data; of the ring */
	int64_t ttl;                    /* seconds it has left, in a copy: had left; 0 and below: expired */
	unsigned freq;                  /* hits seen, up to 3 */
	bool live;                      /* a slot names it, and it has not expired */
};
/*
 * Without a lock: each entry from the oldest to the newest of each ring; what is passed or added meanwhile may be
 * left out. visit returns 0 to go on; any other value ends it and is returned. -1 with errno EIO: a chain is broken.
 */
int shmcache_walk(const struct shmcache *c, int (*visit)(void *ctx, const struct shmcache_entry *e), void *ctx);

/* What lies where, summed over all shards. Bytes of rings count whole entries with their heads. */
struct shmcache_occupancy {
	struct shmcache_ring_use {
		uint64_t bytes, live, expired, dead, free;      /* live + expired + dead + free = bytes */
		uint64_t entries;                               /* live ones */
	} ring[2];
	uint64_t slots, slots_used;
	int64_t shortest, longest;      /* seconds that live entries have left; 0 where there is none */
};
int shmcache_occupancy(const struct shmcache *c, struct shmcache_occupancy *out);    /* 0, or -1 as walk */

/* Who is inside which shard at this moment, or died there; at most max are filled; how many there are. */
struct shmcache_holder {
	unsigned shard;
	pid_t pid;
};
unsigned shmcache_holders(const struct shmcache *c, struct shmcache_holder *out, unsigned max);

/*
 * All invariants on a copy of each shard, of a living segment or a saved one, without a lock; report is called for
 * each violation (its invariant's number, a sentence). Returns how many; -1: no quiet moment was found in a shard
 * (EAGAIN, after a second), or no memory (ENOMEM). A shard whose holder died inside is allowed what I6 says.
 */
int shmcache_verify(const struct shmcache *c, void (*report)(void *ctx, unsigned shard, unsigned invariant, const char *what),
                    void *ctx);

/*
 * Writes a copy to fd from its present offset on, for attach to read later. Each shard is copied at a moment when nobody
 * stores in it; the seeds are left out. 0, or -1 with *err and errno: EAGAIN no quiet moment was found in a shard within
 * a second; what writing fails with.
 */
int shmcache_copy(const struct shmcache *c, int fd, struct shmcache_err *err);

/* Sums over all shards since the segment was made; read without a lock. */
struct shmcache_counters {
	uint64_t hits, misses, stores;
	uint64_t replaced;              /* stores that replaced an entry of the same key */
	uint64_t evicted, expired;      /* entries that had to go, and those whose time was over, when room was made */
	uint64_t moved;                 /* entries kept on because they had been hit, or main had room */
	uint64_t removed;
	uint64_t dead;                  /* entries passed over that no slot named any more */
	uint64_t repairs, resets;       /* holders that died inside; shards emptied because they were damaged */
	uint64_t redone;                /* reads started again because the entry moved meanwhile */
	uint64_t badtag;                /* entries whose seal did not hold */
	uint64_t lock_busy, lock_timeout;
	uint64_t idx_evicted;           /* entries that went because both their buckets were full */
	uint64_t oversize;              /* stores refused by length */
	uint64_t waits[8];              /* had only after waiting: below 1, 4, 16, 64, 256 us, 1, 4 ms, and longer */
	uint64_t live;                  /* slots in use now */
};
void shmcache_counters(const struct shmcache *c, struct shmcache_counters *out);

/*
 * Child: checks the invariants of one shard under its lock, and mends what is broken if `repair`. Returns how
 * many violations were found, or -1 (EINVAL, ETIMEDOUT, ENOTCONN, ECHILD). For tests and tools: a store does
 * it by itself when the lock's last holder died inside.
 */
int shmcache_check(struct shmcache *c, unsigned shard, bool repair);

/* ------------------------------------------------------------------------------------------------ ticket seeds */

#define SHMCACHE_SEEDS 20               /* the ring's places */

/*
 * Of a group, that with the latest not_before that has come is used for new tickets; the others open old ones until
 * not_after. Group 0 is the master's own, made of randomness; other groups are sets that the configuration names.
 */
struct shmcache_seed {
	uint64_t id;                    /* not 0; one seed an id */
	uint64_t group;
	int64_t not_before, not_after;  /* seconds, CLOCK_REALTIME */
	unsigned char seed[64];
};

/*
 * Master only. Keeps a seed, replacing the one of its id, else in a free place, else in that of a seed whose
 * not_after is before `now`, else that of the oldest of its group. 0, or -1: EINVAL, EIO, ENOSPC (the places are
 * full of other groups). While a resize is under way both segments get it.
 */
int shmcache_ticket_put(struct shmcache *c, const struct shmcache_seed *seed, int64_t now);
/* Master only: wipes the seed of this id. 0, or -1: ENOENT. */
int shmcache_ticket_drop(struct shmcache *c, uint64_t id);

/*
 * Any process that has the key (master, child). How many there are, newest (latest not_before) first; no look
 * at the clock: validity is the caller's to judge. Never waits. The caller wipes `out`.
 */
unsigned shmcache_ticket_list(struct shmcache *c, struct shmcache_seed out[SHMCACHE_SEEDS]);

/* Changes with every put and drop: a child looks here before it lists. */
uint64_t shmcache_ticket_serial(const struct shmcache *c);

#endif

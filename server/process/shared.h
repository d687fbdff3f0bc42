/*
 * shared.h - what outlives generations: slots with counters and log rings, the session cache with its ticket seeds,
 * the crash slots, and a few descriptors through which the roles wake each other. Made once by the master.
 *
 * Slots are one memfd of pages a slot; a child maps its own only:
 *
 *     page 0           struct shared_head: written by the master
 *     page 1           the logger's journal: written by the logger
 *     then             struct tally: written by the master (tally.h)
 *     slot 0           page 0 counters and readiness | page 1 activity | page 2 requests that take long | pages 3 … 18 log ring:
 *                      written by the child
 *     slot 1 …
 *     behind the last  for each slot CONN_ROWS rows of what it counts of each host: written by the child
 *
 * Crash slots are another memfd: two crash slots (of a crash, of a live snapshot) a pair, and a pair for each child, which
 * maps its own only. A dead child's pair stays its own until its report is written: so there are some more than slots.
 *
 * Whoever reads a page that another process writes checks each value.
 */
#ifndef BULKHEAD_PROCESS_SHARED_H
#define BULKHEAD_PROCESS_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"
#include "conn/counters.h"
#include "log/ring.h"
#include "process/config.h"

struct activity;
struct shmcache;
struct staple_cell;
struct tally;

struct shared_head {
	uint32_t nslots;
	int64_t started;                /* time() of the server's start */
	_Atomic uint32_t used;          /* slots that were ever used: the logger looks no further */
};
/* What the logger is writing at this moment: read by its successor (logwriter.c). */
struct shared_journal {
	_Atomic uint32_t busy;
	uint32_t slot, generation, target;
	uint64_t upto;                  /* the ring's position behind the lines being written */
	uint64_t bytes;                 /* their length */
	int64_t start;                  /* where in the file the write begins; -1: not a file */
	int64_t offset;                 /* of the open file description before the write, which any write changes */
	uint64_t inode, device;         /* of the file: a target goes from one to the next */
};
struct shared_slot {
	struct conn_counters *counters;
	struct conn_row *rows;          /* CONN_ROWS */
	_Atomic uint32_t *ready;        /* the child's loop has begun */
	_Atomic uint32_t *pid, *generation;     /* written by the master: who has the slot; pid 0 = nobody */
	_Atomic uint32_t *open;         /* written by the master: the child may take connections (slots.c, the gate) */
	_Atomic uint32_t *no_core;      /* written by the master: a crash leaves no core, there are enough (crash.c) */
	struct activity *activity;
	struct conn_shown *shown;       /* CONN_SHOWN */
	struct ring *ring;
};

struct shared {
	bool root;                      /* the server was started as root */
	bool adopted;                   /* slots, crash slots and the descriptors below are those of the program before (handover.h) */
	pid_t master;
	int master_pidfd; /* becomes readable when the master is gone; -1 = no such system call */
	int wake;                       /* eventfd: a child became ready, busy or spare */
	int log_wake;                   /* eventfd: some ring has lines */
	int look;                       /* eventfd that nobody reads: each child is to look at its listeners anew (conn/accept.c) */
	int life[2]; /* pipe: children hold [1]; the logger reads the end of all of them from [0] */
	int slots_fd;
	unsigned nslots;
	unsigned char *map;             /* of all slots; NULL in a child */
	size_t map_size;
	void *crash_pool;               /* of all pairs in the master; in a child its own pair, in a job the one slot */
	int crash_fd;
	int core_dir_fd;                /* CoreDumpDirectory, -1 = none */
	const char *core_dir;
	struct shmcache *cache;         /* NULL = none */
	struct staple_cell *staples;    /* OCSP answers (staple.c): written by the master, read by children */
	int staples_fd;
};
extern struct shared shared;

#define SHARED_CRASH_QUEUE 16           /* reports that may wait or be written at a time */
#define SHARED_CRASH_SLOT(pair) (2 * (int)(pair))
#define SHARED_LIVE_SLOT(pair)  (2 * (int)(pair) + 1)

/* Master, once: everything but the cache. 0 or -1 with *e. */
int shared_create(unsigned server_limit, struct err *e);
/*
 * Master: what it has made, for the program that is executed next; shared_create takes over what the one before left (handover.h).
 * Slots and what goes with them only where both lay them out alike: else the processes of before keep theirs.
 */
void shared_hand_over(FILE *to);
/* Master, for each generation: the session cache with its seeds, made when the first configuration with TLS comes and kept
 * from then on; CoreDumpDirectory. 0 or -1 with *e. */
int shared_prepare(const struct config *cfg, struct err *e);
/* Master, at its end. */
void shared_remove(void);

struct shared_head *shared_head(void);                          /* master, logger */
struct tally *shared_tally(void);                               /* master; NULL in -X */
struct shared_journal *shared_journal(void);                    /* logger */
void shared_slot(unsigned i, struct shared_slot *out);          /* master, logger */
/*
 * Child, before it maps its own slot: what is counted in all slots, the head and the tally, for reading alone, as long as the process
 * lives. 0 or -1 with *e. Never the rings: there are queries in them.
 */
struct shared_view {
	const struct shared_head *head;
	const struct tally *tally;
	const struct shared_slot *slots;        /* n; only pid, generation, ready, counters, rows and, if asked for, activity and shown are set */
	unsigned n;
};
int shared_view(struct shared_view *v, bool activity, struct err *e);
/* Child: maps its own slot in place of all. 0 or -1 with *e. */
int shared_child_slot(unsigned i, struct shared_slot *out, struct err *e);
/* Child: maps its own pair of crash slots in place of all (-1: none). A job: the one crash slot that it is about, which is
 * number 0 then. 0 or -1 with *e. */
int shared_child_pool(int pair, struct err *e);
int shared_job_pool(int slot, struct err *e);
/* Child: maps the table of OCSP answers for reading alone. 0 or -1 with *e. */
int shared_child_staples(struct err *e);
/* -X: a pool of one slot, in shared.crash_fd too, so that another program can have it. */
int shared_single_pool(struct err *e);
/* Child, and the job that moves sessions: descriptors of the cache that must survive until shared_child_cache; -1 = none. */
#define SHARED_CACHE_FDS 4
void shared_cache_fds(int fds[SHARED_CACHE_FDS]);
int shared_child_cache(struct err *e);
/* Every other role but the logger: lets go of slots, cache and crash slots, but for what its one job is about. */
enum shared_keep { SHARED_KEEP_NOTHING, SHARED_KEEP_POOL, SHARED_KEEP_CACHE };
void shared_forget(enum shared_keep keep);
/* The logger: lets go of all but the slots. */
void shared_forget_cache(void);
/* For the crash handler: async-signal-safe. */
void shared_crash_release(void);

int64_t shared_now(void);               /* ms of CLOCK_MONOTONIC */
/* Makes the folder that `path` lies in, where only that one is missing. */
void shared_make_parent(const char *path);
/* Opens CoreDumpDirectory, makes it where it is missing; a warning where it cannot be used. Part of shared_prepare. */
void shared_core_dir(const struct config *cfg);
/* -X: cache and seeds without slots. */
int shared_direct(const struct config *cfg, struct err *e);
/* -X: takes the cache's names away while that may still be done; it goes on without them. */
void shared_unlink(void);

#endif

/*
 * points.h - the numbered points of the cache's critical sections, and assertions. Nothing of it is there unless the
 * cache is compiled with SHMCACHE_FAULTS, for tests/fault: then a hook is called at each point, which may kill, stop or
 * crash the process just there, and what must hold at a place is checked and ends the process if it does not.
 *
 * tests/fault/points.c and life.c kill at every point of this list, and fail if one is never reached: a new step of an
 * algorithm gets a point here, and a case there that comes by.
 */
#ifndef SHMCACHE_POINTS_H
#define SHMCACHE_POINTS_H

/* X(name): where. */
#define SHMC_POINTS(X) \
	/* lock, owner */ \
	X(LOCKED)               /* the lock is had, nobody signed in */ \
	X(SIGNED)               /* owner is set */ \
	X(DONE)                 /* all is done, owner is still set */ \
	X(SIGNED_OUT)           /* owner is 0, the lock is still held */ \
	X(UNLOCKED) \
	/* append */ \
	X(APPEND)               /* no word is written */ \
	X(APPEND_FIRST)         /* one word is */ \
	X(APPEND_HALF)          /* half of the words are */ \
	X(APPEND_WORDS)         /* all words, not the head */ \
	X(APPEND_HEAD)          /* the head too: an entry that no slot names */ \
	/* making room */ \
	X(MAXREC)               /* main's longest entry has grown, its reserve is not there yet */ \
	X(PASS_DEAD)            /* an entry that no slot names is about to be passed */ \
	X(EXPIRE)               /* before its slot is cleared */ \
	X(EVICT)                /* before its slot is cleared */ \
	X(EVICTED)              /* after, not passed yet */ \
	X(MOVE)                 /* before the copy */ \
	X(MOVE_COPIED)          /* there are two, the slot names the old one */ \
	X(MOVE_NAMED)           /* there are two, the slot names the new one */ \
	X(PASS)                 /* before the tail */ \
	X(PASSED)               /* after the tail */ \
	X(RESERVE)              /* the reserve of main has to be freed again */ \
	/* the index */ \
	X(NAME)                 /* before the slot */ \
	X(NAMED)                /* a free slot was taken */ \
	X(REPLACED)             /* the slot named an older entry of the key */ \
	X(INDEX_EVICTED)        /* the slot named another key's entry */ \
	/* reset */ \
	X(RESET)                /* nothing is done */ \
	X(RESET_HALF)           /* half of the slots are 0 */ \
	X(RESET_SLOTS)          /* all slots are */ \
	X(RESET_TAIL)           /* a ring's tail is at its head, or at the start */ \
	X(RESET_RING)           /* its head too */ \
	X(RESET_MAXREC) \
	/* check and repair */ \
	X(REPAIR)               /* a dead holder was seen */ \
	X(REPAIR_SLOT)          /* a bad slot is about to be cleared */ \
	X(REPAIR_SLOTS)         /* every slot is true */ \
	/* fetch, remove: no lock */ \
	X(FETCH_HALF)           /* the entry's head is copied, not its data */ \
	X(FETCH_COPIED)         /* before the tail is looked at again */ \
	X(FETCH_HIT)            /* before a hit is counted */ \
	X(REMOVE)               /* before the slot is cleared */ \
	X(REMOVED) \
	/* migration; from here on tests/fault/life.c kills */ \
	X(ARRIVING)             /* the hash stands in `arriving`, no copy yet */ \
	X(ARRIVED)              /* the copy is named, the old entry was not looked at again */ \
	X(TAKEN_BACK)           /* it was removed meanwhile, and so is the copy */ \
	X(ARRIVED_WELL)         /* `arriving` is 0 */ \
	X(UNDO)                 /* a copy that a dead mover left is taken back, `arriving` is not 0 yet */ \
	/* seeds */ \
	X(SEED_ODD)             /* the sequence number is odd, nothing else is written */ \
	X(SEED_HALF) \
	X(SEED_WORDS)           /* all but the even number */ \
	X(SEED_EVEN)            /* whole, the serial number is the old one */

enum shmc_point {
#define SHMC_POINT_ENUM(name) SHMC_P_##name,
	SHMC_POINTS(SHMC_POINT_ENUM)
#undef SHMC_POINT_ENUM
	SHMC_P_ALL
};

#ifdef SHMCACHE_FAULTS

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Called at each point unless NULL. One variable for all files that include this. */
__attribute__((weak)) void (*shmc_point_hook)(enum shmc_point point);
/* For tests that damage the segment: what is asserted need not hold then. */
__attribute__((weak)) bool shmc_asserts_off;
/*
 * What a machine with a strong order of memory never shows if it is left out: whether a fence came between the copying
 * of an entry's words and the second look at the tail, and between a tail and the words that are written after it.
 * Each thread's own.
 */
__attribute__((weak)) _Thread_local bool shmc_fenced_copy, shmc_fenced_tail = true;

#define SHMC_POINT(name) (shmc_point_hook != NULL ? shmc_point_hook(SHMC_P_##name) : (void)0)
#define SHMC_ASSERT(what) \
	((what) || shmc_asserts_off \
	         ? (void)0 \
	         : (fprintf(stderr, "%s:%d: this must hold: %s\n", __FILE__, __LINE__, #what), abort()))
#define SHMC_NOTE(variable, value) ((void)((variable) = (value)))

#else

#define SHMC_POINT(name) ((void)0)
#define SHMC_ASSERT(what) ((void)0)
#define SHMC_NOTE(variable, value) ((void)0)

#endif

#endif

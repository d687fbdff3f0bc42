/*
 * slots.h - the master's table of child slots: which process has which, in what state, and how it ended.
 *
 *   FREE → STARTING → SERVING → DRAINING → ENDING → KILLED → FREE        (slots.c has the table state × event)
 */
#ifndef BULKHEAD_PROCESS_SLOTS_H
#define BULKHEAD_PROCESS_SLOTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/hang.h"
#include "process/policy.h"

struct generation;

enum slot_state {
	SLOT_FREE,
	SLOT_STARTING,
	SLOT_SERVING,
	SLOT_DRAINING,
	SLOT_ENDING,
	SLOT_KILLED,
	SLOT_STATES
};
enum slot_event { SLOT_FORKED, SLOT_READY, SLOT_DRAIN, SLOT_END, SLOT_KILL, SLOT_REAPED, SLOT_EVENTS };

#define SLOT_ACCOUNTS 16
enum slot_end { SLOT_KEYS, SLOT_NAMES, SLOT_CHECKS, SLOT_PROGRAMS, SLOT_ENDS = SLOT_PROGRAMS + 1 + SLOT_ACCOUNTS };
/* keyholder, resolver, checker, spawner, and behind it one for each account (request/account.h) */

struct slot {
	enum slot_state state;
	pid_t pid;                      /* 0 when free */
	struct generation
		*generation; /* also while a free slot waits to be tried again for it; NULL = anybody's */
	int64_t born;
	unsigned age;                   /* of the session cache, at its fork (cache.h) */
	int ends[SLOT_ENDS]; /* the helpers' ends of this child's sockets, kept for their successors; -1 = none */
	struct policy_backoff backoff;
	int crash;                      /* its pair of crash slots (crash.h), -1 = none */
	struct hang hang;
	int64_t live;                   /* when its last live snapshot was taken up */
};

/* Once, after shared_create. */
int slots_init(unsigned n, struct err *e);
/* Forks children of g until `count` were begun, back-off or table allows no more. Returns how many were begun. */
unsigned slots_spawn(struct generation *g, unsigned count, int64_t now);
/* Takes notice of children that became ready, and counts those of g. Where g renews its children, older ones do not count. */
void slots_look(struct generation *g, struct policy_view *v);
/* The slot with that number; NULL behind the last one that was ever used. */
struct slot *slots_at(unsigned i);
/* Kills its child. */
void slots_kill(struct slot *s);
/* Takes up the live snapshots that children say they have taken. When it is due again; INT64_MAX = at an event. */
int64_t slots_live(int64_t now);
/* Lets one spare child of g go. */
void slots_retire_one(struct generation *g);
/* To every living child of g: drain, end or kill. */
void slots_tell(struct generation *g, enum slot_event how);
/* True if the pid was a child: its end is logged and its slot freed. */
bool slots_reaped(pid_t pid, int status, int64_t now);
/* The same to those of g that know the session cache of before. Returns how many of them live. */
unsigned slots_tell_older(struct generation *g, enum slot_event how);
/* Some child that knows the session cache of before lives, of whatever generation. */
bool slots_older(void);
/*
 * The session cache has just got another age. Children that are forked from now on wait with their first connection until
 * no older one takes any; a second after all of those were told to stop they begin in any case.
 */
void slots_gate(void);
/* Lets them begin when that has come. When it is due again; INT64_MAX = at an event. */
int64_t slots_gate_tick(int64_t now);
/* Every child may leave a core, or may not: also those that live already. */
void slots_cores(bool may);
/* Living children of g. */
unsigned slots_living(const struct generation *g);
/* When a slot of g that waits may be tried again; INT64_MAX = none waits. */
int64_t slots_due(const struct generation *g, int64_t now);
/* Free slots forget that they belonged to g. */
void slots_forget(struct generation *g);
/* A helper's ends of the sockets of g's living children whose slot is `which` modulo `modulo`, and those slots (NULL: not asked). */
unsigned slots_ends(const struct generation *g, enum slot_end end, unsigned which, unsigned modulo, int *fds,
		    uint32_t *slots, unsigned room);
/*
 * For a child that the program before left in the slots of now: its place, which the caller fills; NULL: there is none. When all have
 * theirs, slots_claimed: what else was done in these slots counts for good.
 */
struct slot *slots_claim(unsigned i);
void slots_claimed(void);
/* How an exit status reads: "exit signal Segmentation fault (11), core dumped". buf has 128 bytes; returns buf. */
char *slots_status_words(int status, char *buf);
enum policy_end slots_class(int status, bool killed_by_us);

#endif

/*
 * policy.h - how many children there should be, and when a dead one may be replaced. Pure: numbers in, numbers out, no
 * clock, no system call; all times are milliseconds of CLOCK_MONOTONIC given by the caller. Used by the master alone.
 */
#ifndef BULKHEAD_PROCESS_POLICY_H
#define BULKHEAD_PROCESS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* The directives as written; -1 = not set. */
struct policy_numbers {
	int64_t start_servers, min_spare, max_spare, server_limit, max_workers, connections_per_child;
};
/* What they come to. */
struct policy_plan {
	unsigned children;              /* K: the most children of a generation */
	unsigned limit;                 /* connections a child takes at once */
	unsigned start;                 /* children at the start, and the least that are kept alive */
	unsigned min_spare, max_spare;
	unsigned server_limit;
	uint64_t workers;               /* M: connections in all, after lowering */
	uint64_t asked; /* M as asked for; above `workers`: it was lowered, and that deserves a notice */
};
void policy_plan(const struct policy_numbers *in, unsigned cores, struct policy_plan *out);

/* A child is busy from 7/8 of its limit, else it is spare. */
bool policy_busy(uint32_t open, uint32_t limit);

/* What the children of a generation are doing now. */
struct policy_view {
	unsigned spare, busy;           /* that serve */
	unsigned starting;              /* forked and not ready, and those that wait for their back-off */
	unsigned draining;              /* take nothing more, and will end by themselves */
};
/* How many children to add (> 0), or to let go (< 0; never more than one a call), or 0. */
int policy_wanted(const struct policy_plan *p, const struct policy_view *v);

/* ------------------------------------------------------------------------------------------------ respawning */

enum policy_end {
	POLICY_NORMAL,          /* exit code 0 */
	POLICY_SICK,            /* said that it lacked memory or descriptors */
	POLICY_FATAL,           /* could not start at all */
	POLICY_CRASH,           /* ended by a signal of its own making */
	POLICY_SANDBOX,         /* SIGSYS: a call that its sandbox forbids */
	POLICY_KILLED,          /* SIGKILL that is not ours: the kernel's memory killer, or somebody's hand */
};
const char *policy_end_words(enum policy_end how);

struct policy_backoff {
	unsigned failures;              /* in a row */
	unsigned step;                  /* of the delay: 0 = none yet */
	int64_t until;                  /* not before this time */
	int64_t since;                  /* the last end */
	uint64_t fingerprint;           /* of the last crash, 0 = not known */
	bool by_hand;                   /* the last end was policy_killed's */
};
#define POLICY_DELAY_FIRST 100          /* ms */
#define POLICY_DELAY_LAST 30000
#define POLICY_YOUNG 2000               /* a process that dies younger was not healthy … */
#define POLICY_HEALTHY 60000            /* … and one that lived so long has its past forgiven */
#define POLICY_ALONE 1000               /* with nobody else alive, no delay is longer */

#define POLICY_SERVED 20                /* a helper that lived so long had begun its work */

/*
 * Notes an end: a first failure is replaced at once, a young or repeated one after 0.1, 0.2 … 30 s; one that was killed from outside when
 * it had begun its work: as policy_killed says.
 */
void policy_ended(struct policy_backoff *b, enum policy_end how, int64_t born, int64_t now);
/* The same, where crashes can be told apart: another fault than the last one's, of a process that was not young, is no
 * repetition, and its successor begins at once. fingerprint 0 = not known. */
void policy_crashed(struct policy_backoff *b, enum policy_end how, uint64_t fingerprint, int64_t born, int64_t now);
/* It had begun to serve, and was killed from outside, which is no fault of its own: its successor begins at once. */
void policy_killed(struct policy_backoff *b, int64_t now);
/* When the next try is due; alone = no other process of its kind is alive. */
int64_t policy_due(const struct policy_backoff *b, bool alone);

/*
 * For all slots together: so many replacements a second, and so many at once. Of processes that failed; and of those that were killed
 * from outside, where only a storm without end has to be bounded: starting one costs the master less than 2 ms.
 */
#define POLICY_RATE 8
#define POLICY_BURST 16
#define POLICY_HAND_RATE 50
#define POLICY_HAND_BURST 100
struct policy_bucket {
	int64_t rate, burst;
	int64_t filled;                 /* time of the last filling; 0 = never: full */
	int64_t milli;                  /* thousandths of a token */
};
bool policy_take(struct policy_bucket *b, int64_t now);
/* When policy_take will succeed; now or earlier: at once. */
int64_t policy_token_due(const struct policy_bucket *b, int64_t now);

#endif

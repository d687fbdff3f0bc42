/*
 * loop.h - the child's event loop: epoll, deadlines in one heap, work put off to the end of a turn. One a process; made
 * before the sandbox. Our own, since libev cannot pass EPOLLEXCLUSIVE.
 */
#ifndef BULKHEAD_CONN_LOOP_H
#define BULKHEAD_CONN_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

/* A descriptor that is watched. Lives in its owner; loop_remove before it goes. */
struct watch {
	void (*ready)(struct watch *w, uint32_t events);
	int fd;
	uint32_t events;                /* what epoll was last told; 0 = not in the set */
	bool first;                     /* handled before others in a turn: listeners */
	void (*gather)(struct watch *w);        /* where several are ready for reading alone: called for all, before the others are handled. May be NULL */
};
/* Sets what is waited for: EPOLLIN | EPOLLOUT …; 0 takes it out of the set. Costs no call when nothing changes. 0 or -1. */
int loop_watch(struct loop *l, struct watch *w, uint32_t events);
/* Whether an event that came in this turn was not handled. */
bool loop_remove(struct loop *l, struct watch *w);
/* The same for a descriptor that this process alone has: it is closed, and so leaves the set without a call of its own. */
void loop_close(struct loop *l, struct watch *w);

/* A time at which something is due. Moving it later is free: it is sorted again only when its old time has come. */
struct deadline {
	void (*due)(struct deadline *d);
	int64_t at;                     /* ms of CLOCK_MONOTONIC; INT64_MAX = none */
	int64_t sorted_at;              /* its place in the heap */
	unsigned place;                 /* 1-based index in the heap; 0 = not in it */
};
/* Comes at `at`, or later by an eighth of the time that is left now, a second at most. 0, or -1 (ENOMEM: the deadline is not kept). */
int deadline_set(struct loop *l, struct deadline *d, int64_t at);
void deadline_clear(struct loop *l, struct deadline *d);

/* NULL with errno. */
struct loop *loop_new(void);
void loop_free(struct loop *l);
/* ms of CLOCK_MONOTONIC at the beginning of this turn. */
int64_t loop_now(const struct loop *l);
/* One turn: waits until something happens or is due, and handles it. 0, or -1 with errno when epoll itself failed. */
int loop_turn(struct loop *l);
/* From now on *busy tells when the turn under way began (ms), and 0 while the loop waits for events: whoever sees the same
 * time for long sees a loop that hangs. NULL: nobody is told. */
void loop_show(struct loop *l, _Atomic uint64_t *busy);
/* us of CLOCK_MONOTONIC, read now. */
int64_t loop_clock_us(void);

#endif

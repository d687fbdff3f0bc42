/*
 * chan.h - bytes to and from a program or a backend, in the child's loop: implemented by conn/chan.c. A chan belongs to the
 * stream of a request and goes with it at the latest. Nothing here blocks, and nothing is buffered: what a short chan_write
 * leaves is kept by the caller, and who has no room for more does not read. So both directions have back-pressure.
 *
 * `event` is called in the turns of the stream's connection only, never from inside a call below, and not while the client
 * takes no bytes, but in a tunnel, whose two directions do not wait for each other. It tells what has come that was asked for by chan_want.
 */
#ifndef BULKHEAD_REQUEST_CHAN_H
#define BULKHEAD_REQUEST_CHAN_H

#include <stdint.h>
#include <sys/types.h>

enum {
	CHAN_READ = 1,                  /* bytes, or the end */
	CHAN_WRITE = 2,                 /* room, or nobody reads any more */
	CHAN_LATE = 4,                  /* its deadline has passed */
};
enum { CHAN_AGAIN = -1, CHAN_BROKEN = -2 };
#define CHAN_TIMEOUT 0                  /* chan_deadline: Timeout of the host */
#define CHAN_NEVER (-1)

struct chan;
struct chan_ops {
	void (*want)(struct chan *c, unsigned events);
	ssize_t (*read)(struct chan *c, void *p, size_t n);
	ssize_t (*write)(struct chan *c, const void *p, size_t n);
	void (*hang_up)(struct chan *c);
	void (*deadline)(struct chan *c, int64_t ms);
	void (*close)(struct chan *c);
};
struct chan {
	const struct chan_ops *ops;
	void (*event)(struct chan *c, unsigned events);
	void *ctx;                      /* the caller's */
};

/* Which events are waited for from now on: CHAN_READ, CHAN_WRITE. Those it has are told again until they are used up. */
static inline void chan_want(struct chan *c, unsigned events) { c->ops->want(c, events); }
/* How many bytes came; 0: the end; CHAN_AGAIN; CHAN_BROKEN. */
static inline ssize_t chan_read(struct chan *c, void *p, size_t n) { return c->ops->read(c, p, n); }
/* How many were taken; CHAN_AGAIN: none now; CHAN_BROKEN: the other side reads no more. */
static inline ssize_t chan_write(struct chan *c, const void *p, size_t n) { return c->ops->write(c, p, n); }
/* Nothing more is written: the other side sees the end of it, and may still write itself. */
static inline void chan_hang_up(struct chan *c) { c->ops->hang_up(c); }
/* CHAN_LATE is due so many ms from now, CHAN_TIMEOUT, or CHAN_NEVER. Each call counts anew. */
static inline void chan_deadline(struct chan *c, int64_t ms) { c->ops->deadline(c, ms); }
/* Closes and frees it; NULL is fine. */
static inline void chan_close(struct chan *c) { if (c) c->ops->close(c); }

#endif

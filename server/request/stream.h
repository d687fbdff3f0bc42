/*
 * stream.h - from a handler to the client: implemented by conn/h1.c (one at a time) and conn/h2.c (many).
 *
 * A handler calls response_start(r) (request/response.h), which completes the fields and calls stream_head; then
 * stream_write / stream_file, then stream_end. What is written early is held back so that a head and a small body
 * leave in one TLS record. Nothing here blocks.
 */
#ifndef BULKHEAD_REQUEST_STREAM_H
#define BULKHEAD_REQUEST_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct request;
struct stream;
struct filter_chain;
struct filter_input;

struct stream_ops {
	int (*head)(struct stream *s);
	ssize_t (*write)(struct stream *s, const struct iovec *iov, int n);
	int (*file)(struct stream *s, int fd, uint64_t offset, uint64_t length);
	void (*end)(struct stream *s);
	void (*read)(struct stream *s, bool on);
	void (*abort)(struct stream *s, const char *reason);
	void (*again)(struct stream *s, bool later);            /* for filters: see below */
	int (*interim)(struct stream *s, const struct iovec *iov, int n);       /* may be NULL, and so may */
	int (*tunnel)(struct stream *s);
};

struct subrequest;

struct stream {
	const struct stream_ops *ops;           /* the connection's, or in a filtered response those of filter/filter.c */
	struct stream *parent;                  /* a sub-request's: that of the request it is made for; NULL = the connection's */
	struct subrequest *sub;                 /* whose stream it is (subrequest.h); NULL = the connection's, or a look-up's */
	struct request *request;                /* the one being worked on: the last of a chain of internal redirects */
	uint64_t head_bytes, body_bytes;        /* sent or queued: for %O and %b */
	uint64_t in_bytes;                      /* received for this request, head included: %I */
	int64_t head_us;                        /* CLOCK_MONOTONIC when the response's head was made, for %^FB; 0 = not yet */
	bool said_close, said_chunked;          /* the response's head, as HTTP/1 has it: for %{Connection}o and %{Transfer-Encoding}o */
	bool reads;                             /* the handler wants the request's body: as last told by stream_read */
	struct filter_chain *filter;            /* of the response; NULL = none */
	struct filter_input *input;             /* of the request's body; NULL = none */
};

/* The connection's stream, at which programs and backends of sub-requests hang too. */
static inline struct stream *stream_root(struct stream *s)
{
	while (s->parent)
		s = s->parent;
	return s;
}
/* Queues the response head of r: r->status, r->out, r->length. Once a request. 0 or -1 (the stream is gone). */
static inline int stream_head(struct stream *s) { return s->ops->head(s); }
/* Queues body bytes (copied or sent). Returns how many were accepted; fewer = wait for handler->writable. -1: gone. */
static inline ssize_t stream_write(struct stream *s, const struct iovec *iov, int n) { return s->ops->write(s, iov, n); }
/*
 * Queues a part of a file; takes fd (closes it when sent or given up). One file at a time: the next after
 * handler->writable. A file that shrinks while it is sent ends the connection, so that the client notices. 0 or -1.
 */
static inline int stream_file(struct stream *s, int fd, uint64_t offset, uint64_t length) { return s->ops->file(s, fd, offset, length); }
/* A whole head of a status below 200, which goes before the response's. 0 or -1. */
static inline int stream_interim(struct stream *s, const struct iovec *iov, int n) { return s->ops->interim ? s->ops->interim(s, iov, n) : -1; }
/*
 * In place of stream_head: from now on the connection is the handler's alone. What it writes goes out as it is, its own 101 first, and all that
 * the client sends comes to body(). No limits of time but the handler's own. 0, or -1: not here.
 */
static inline int stream_tunnel(struct stream *s) { return s->ops->tunnel ? s->ops->tunnel(s) : -1; }
/* The response is whole. The handler is not called again but for ended(). */
static inline void stream_end(struct stream *s) { s->ops->end(s); }
/* Whether the handler wants the request's body now; the first `true` lets 100 (Continue) go out if the client waits for it. */
static inline void stream_read(struct stream *s, bool on)
{
	s->reads = on;
	s->ops->read(s, on);
}
/* The response cannot be completed: the connection ends without its proper end, so that the client notices. */
static inline void stream_abort(struct stream *s, const char *reason) { s->ops->abort(s, reason); }
/* What was accepted is not all worked off: filter_writable is to be called though nothing new happens, `later`: in the next turn. */
static inline void stream_again(struct stream *s, bool later) { s->ops->again(s, later); }

#endif

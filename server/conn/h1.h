/*
 * h1.h - what the parts of HTTP/1 share: h1.c reads requests and their bodies, h1time.c keeps their time limits, h1out.c gives
 * responses their wire form. Only these include it.
 */
#ifndef BULKHEAD_CONN_H1_H
#define BULKHEAD_CONN_H1_H

#include "conn/internal.h"
#include "http/body.h"
#include "request/handler.h"
#include "request/request.h"

#define DISCARD_MAX (1024 * 1024)       /* body bytes that nobody wanted, read so that the connection can stay open */

enum wire_form { WIRE_NONE, WIRE_LENGTH, WIRE_CHUNKED, WIRE_CLOSE };

struct h1 {
	struct stream stream;           /* what the handler holds; its request is NULL between requests */
	struct conn *c;
	struct arena *arena;            /* of the request, and of the head that is being read; NULL between them */
	struct request_head head;
	size_t head_seen;               /* bytes of the head that have been looked at, and are no whole head */
	struct body_reader body;
	bool client_stays;              /* the client did not ask for the end of the connection */
	bool body_done;                 /* nothing of its body is left to read */
	bool expects;                   /* Expect: 100-continue, and neither 100 nor body bytes have gone by */
	bool reading;                   /* the handler wants the body */
	uint64_t discarded;
	int64_t body_began;             /* ms: when its first byte was waited for, less the time nobody wanted any; 0 = not yet */
	int64_t paused_at;              /* ms: when the handler last wanted no more */
	bool started;                   /* the response's head is queued */
	bool ended;                     /* the handler has said all */
	bool logged;
	bool wants_room;                /* a write was cut short, or a file is sent: the handler goes on when there is room */
	bool aborted;
	bool tunnel;                    /* its bytes are no HTTP any more (stream_tunnel) */
	bool closes;                    /* the connection ends after this response */
	enum wire_form form;
	uint64_t promised;              /* WIRE_LENGTH: bytes still to come */
	int file;                       /* -1 = none */
	uint64_t file_at, file_left;
};

/* h1.c */
/* The time for a head is over: 408, or without a byte of it the end of the connection. */
void h1_late_head(struct h1 *h);
/* h1time.c: a deadline passed while a head or body was awaited or a response was being sent; and when that is. */
void h1_timeout(struct conn *c);
int64_t h1_due(const struct conn *c);
int64_t h1_held_up(const struct conn *c);
/* The body of the present request cannot be had: answered with that status, and the connection's last; `why` for the log. */
void h1_refuse_body(struct h1 *h, unsigned status, const char *why);

/* h1out.c */
extern const struct stream_ops h1_stream_ops;
/* Commits the access line of the present request, once. */
void h1_log(struct h1 *h);
/* Moves a file on. True when it is done, or there is none; false: wait, or it is aborted. */
bool h1_pump(struct h1 *h);
/* After the handler's end: what is left of the response. True when it is whole; false: wait, or it is aborted. */
bool h1_finish(struct h1 *h);
void h1_close_file(struct h1 *h);

#endif

/*
 * h2.h - what the parts of HTTP/2 share: h2.c has the session and its turns, h2start.c begins it, h2in.c reads requests and their
 * bodies, h2head.c and h2out.c send answers, h2time.c keeps time limits, h2limit.c bounds what a client may make us do, h2conf.c has the directives.
 * Only these include it.
 *
 * Frames, HPACK, flow control and priorities are nghttp2's. Nobody calls nghttp2_session_mem_recv or _send but h2.c, so that no
 * callback comes while a handler is at work.
 */
#ifndef BULKHEAD_CONN_H2_H
#define BULKHEAD_CONN_H2_H

#include <nghttp2/nghttp2.h>

#include "conn/internal.h"
#include "conn/h2conf.h"
#include "http/streamhead.h"
#include "request/handler.h"
#include "request/request.h"

/* How much of a kind a client may do: `burst` at once, `rate` a second in the long run. */
struct h2_meter {
	int64_t at;                     /* ms: when it was last looked at; 0 = never */
	int64_t left;                   /* thousandths */
};
enum h2_kind { H2_RESETS, H2_CONTROL, H2_WINDOWS, H2_EMPTY, H2_KINDS };

enum h2_drain { H2_OPEN, H2_NOTICED, H2_FINAL };

struct h2 {
	struct conn *c;
	nghttp2_session *session;
	const struct h2_settings *set;
	struct list streams;            /* the oldest first */
	struct list ready;              /* of these, those that something has come for */
	unsigned open;                  /* how many there are */
	unsigned begun;                 /* since nghttp2 was last given bytes */
	bool paused;                    /* it has not looked at all that it was given: the next head is to wait */
	size_t buffered;                /* bytes of answers that wait to be sent, of all streams */
	size_t memory;                  /* what nghttp2 holds */
	bool starved;                   /* it had more than it may have, or memory ran out: the connection is to end */
	void *frames;                   /* besides: its buffer for frames, in pages of its own; NULL = not yet */
	size_t frames_n;
	int64_t idle_since;             /* ms: when the last stream ended, or the session began */
	bool eof;                       /* the client sends no more */
	bool over;                      /* GOAWAY is on its way, and whatever comes is not looked at */
	enum h2_drain drain;
	int64_t drain_at;               /* ms: when the final GOAWAY is due */
	struct h2_meter meters[H2_KINDS];
	uint64_t errors;                /* streams that the client broke */
	bool told;                      /* the log knows why it ends */
	bool told_slow;                 /* the log knows that it takes nothing of a stream */
};

/* Where the answer's body comes from, and how it is framed. */
enum h2_form { H2_BODY, H2_LENGTH, H2_NOTHING };

struct h2_stream {
	struct stream stream;           /* what the handler holds; its request is NULL until the head is whole */
	struct asker asker;
	struct h2 *h;
	struct list item, ready;        /* h2->streams, h2->ready */
	int32_t id;
	struct arena *arena;            /* of the request, and of this itself */
	struct stream_head head;
	size_t listed;                  /* bytes of names and values, of trailers too */
	int64_t began, heard_at, moved_at;      /* ms: the first byte of its head; the client last gave something for it, took something of it */
	/* The request. */
	bool whole;                     /* its head is */
	bool remote_done;               /* END_STREAM came */
	bool body_done;                 /* and the handler knows */
	bool reading, expects;          /* as in h1.h */
	bool connect;                   /* an extended CONNECT (RFC 8441) */
	struct left in;                 /* body bytes that nobody has read: as many as the window lets come */
	uint64_t body_total, discarded;
	int64_t body_began, paused_at;  /* as in h1.h */
	/* The answer. */
	bool started, ended, logged, wants_room;
	bool submitted;                 /* its head is nghttp2's */
	bool resting;                   /* nghttp2 has been told to wait for bytes */
	bool sent;                      /* all of it, and END_STREAM */
	bool tunnel;
	bool raw;                       /* the head is among what the handler writes, and has not come whole */
	bool aborted;
	uint32_t reason;                /* why, as RST_STREAM says it */
	bool closed;                    /* nghttp2 knows it no more */
	enum h2_form form;
	uint64_t promised;              /* H2_LENGTH: bytes still to come */
	struct left held;               /* of a raw head */
	char *out;                      /* bytes that wait: from out_at to out_n of out_cap */
	size_t out_at, out_n, out_cap;
	int file;                       /* behind them; -1 = none */
	uint64_t file_at, file_left;
};

/* h2.c */
/* NULL = no memory. */
struct h2_stream *h2_stream_new(struct h2 *h, int32_t id);
void h2_stream_free(struct h2_stream *st);      /* its memory alone */
/* Something has come for it: it is run in this turn, or the next. */
void h2_wake(struct h2_stream *st);
/* Ends the connection with GOAWAY, at once; code: NGHTTP2_*. The caller has said why. */
void h2_goaway(struct h2 *h, uint32_t code);
/* Gives all streams up. */
void h2_abort_all(struct h2 *h);
extern const struct speech h2_speech;

/* h2in.c */
void h2_reader_set(nghttp2_session_callbacks *callbacks);
/* Begins the request whose head is whole. */
void h2_begin_request(struct h2_stream *st);
/* Goes on with its body. False: nothing to do. */
bool h2_body(struct h2_stream *st);
void h2_refuse_body(struct h2_stream *st, unsigned status, const char *why);

static inline struct h2_stream *h2_of(struct stream *s)
{
	return (struct h2_stream *)(void *)((char *)s - offsetof(struct h2_stream, stream));
}

/* h2head.c. 0, or -1 (nghttp2 has no memory, or the head is none). */
int h2_head_submit(struct h2_stream *st);               /* of the stream's request; without a body its access line goes first */
void h2_head_continue(struct h2_stream *st);
int h2_head_interim(struct h2_stream *st, const char *p, size_t n);     /* p..p+n is one of HTTP/1 */
int h2_head_raw(struct h2_stream *st, const char *p, size_t n);         /* the first bytes of a tunnel, its head among them */

/* h2out.c */
/* nghttp2's reader of an answer's body. */
ssize_t h2_fetch(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags, nghttp2_data_source *source, void *user);
/* Body bytes that are to be sent, however little room there is. 0 or -1 (no memory). */
int h2_keep(struct h2_stream *st, const char *p, size_t n);
extern const struct stream_ops h2_stream_ops;
void h2_sender_set(nghttp2_session_callbacks *callbacks);
/* Sends what there is and what there is room for. 0 or -1: the session is broken. */
int h2_send(struct h2 *h);
/* How many bytes of body the stream takes now. */
size_t h2_room(const struct h2_stream *st);
void h2_log(struct h2_stream *st);
void h2_close_file(struct h2_stream *st);
/* Gives the stream up: what has begun ends with RST_STREAM. */
void h2_abort(struct h2_stream *st, uint32_t reason);

/* h2time.c */
int64_t h2_due(const struct conn *c);
void h2_timeout(struct conn *c);
int64_t h2_held_up(const struct conn *c);

/* h2limit.c */
/* Counts one of a kind; false: too many, the connection is being ended. */
bool h2_count(struct h2 *h, enum h2_kind kind);
/* So many bytes of answers went out: the client may say as often that it has read them. */
void h2_count_sent(struct h2 *h, size_t n);
/* The client broke a stream. */
void h2_count_error(struct h2 *h);
/* The connection ends for an error of the client: says so, unless it was said. */
void h2_tell_end(struct h2 *h, const nghttp2_goaway *goaway);
/* A limit of nghttp2's was met: says so. */
void h2_flooded(struct h2 *h, int error);
nghttp2_mem *h2_memory(struct h2 *h, nghttp2_mem *m);
/* The pure part: takes one from the meter, which fills up with `rate` a second to at most `burst`. False: it is empty. */
bool h2_meter_take(struct h2_meter *m, int64_t now, int64_t burst, int64_t rate);

#endif

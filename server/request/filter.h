/*
 * filter.h - body filters: what stands between a handler's stream_write, stream_file and stream_end and the connection, and
 * what stands between the connection and the handler for a request's body.
 *
 *   phases.c     filter_check(r)     before the handler is chosen: 403 where a filter that does not exist would change what is sent
 *                filter_input(r)     before the handler starts: whether its body comes in a coding
 *   response.c   filter_choose(r)    which filters join this response; they change its fields
 *                filter_install(r)   before the head of a response that has a body
 *   conn/        filter_writable, filter_idle, filter_body, filter_over
 *
 * A filter is a row of struct filter_type and has no threads, no sockets and nothing that blocks: it takes bytes and gives
 * bytes, as many as there is room for. The chain keeps the stream's promises: what it cannot pass on it does not accept, so that
 * a response holds at most one buffer a filter, and a turn works off at most FILTER_SHARE bytes.
 */
#ifndef BULKHEAD_REQUEST_FILTER_H
#define BULKHEAD_REQUEST_FILTER_H

#include "conf/conf.h"
#include "request/request.h"

#define FILTER_SHARE (64 * 1024)        /* bytes that go into the first filter, or come out of it, in one turn */
#define FILTER_PIECE 16384              /* the buffer between two filters */
#define FILTER_MOST 8                   /* filters of a response */

enum filter_mode {
	FILTER_GO,                      /* more may follow at once: a filter may keep what it likes to */
	FILTER_FLUSH,                   /* the handler pauses: what has come must go out */
	FILTER_END,                     /* nothing follows */
};
enum filter_rank { FILTER_CONTENT, FILTER_CODING };     /* in this order, whatever the order of the names, as Apache's types of filters */

struct filter_step {
	struct text in;                 /* what there is to take: the filter moves it on */
	char *out;
	size_t room, n;                 /* of out; how much of it was filled */
	enum filter_mode mode;
	bool done;                      /* of FLUSH and END: all of `in` is taken, and nothing is kept any more */
	bool waits;                     /* it cannot go on now: stream_again of its request's stream tells when. Calls meanwhile find it waiting */
};

struct filter_type {
	const char *name;
	enum filter_rank rank;
	/*
	 * The head is being made: whether it joins. Changes the fields accordingly: r->length (-1: not known any more), r->etag,
	 * r->encoding, r->out. 1 joins, 0 does not, -1 no memory. Called for HEAD as for GET.
	 */
	int (*joins)(struct request *r);
	bool (*implied)(struct request *r);                             /* it is asked to join though no directive names it; may be NULL */
	void *(*open)(struct request *r);                               /* its state, before the first byte. NULL = no memory */
	int (*step)(void *state, struct filter_step *s);                /* 0, or -1: the content is not what it should be */
	void (*close)(void *state, struct request *r, bool whole);      /* once; whole: all has gone through, and the access line is not written yet */
};

/* A filter as a directive names it; type NULL: it does not exist, so that what it is set for is denied. */
struct filter_name {
	const struct filter_type *type;
	const char *name;
	struct conf_pos pos;
};

/* "A;B;C" */
struct filter_names {
	unsigned n;
	struct filter_name at[];
};

/* SetOutputFilter SetInputFilter AddOutputFilterByType FilterDeclare FilterProvider FilterChain FilterProtocol FilterTrace */
extern struct conf_module filter_module;

/* For setters: never NULL. What is left out since the content is the same without it is told in a notice. */
const struct filter_names *filter_names_read(struct conf_call *call, const char *list, bool input);
/* Both, one behind the other; of the arena. Either may be NULL. NULL: neither, or no memory (*failed). */
const struct filter_names *filter_names_join(struct arena *a, const struct filter_names *first, const struct filter_names *second, bool *failed);
const struct filter_type *filter_find(const char *name);
/* A filter of another room, before any configuration is read. */
void filter_register(const struct filter_type *type);
const struct filter_type *filter_registered(unsigned at);       /* from 0 on; NULL behind the last */

/* 0, or 403, logged: a filter that is set for this file, and might be what keeps its source from being sent, does not exist. */
unsigned filter_check(struct request *r);
/*
 * Which filters join; once a response: later calls do nothing. Before that the handler has set r->status, type, etag, length and
 * its fields. r->filters is not NULL afterwards if some do, and then r's content has no ranges. 0, or the status to answer with.
 */
unsigned filter_choose(struct request *r);
/* Puts the chain into the stream. */
void filter_install(struct request *r);
/* After SetInputFilter and AddInputFilter: a body in a coding will come to the handler without it, and the fields say so. 0 or -1 (no memory). */
int filter_input(struct request *r);

/* For conn/, where the stream has a filter. There is room, or the next turn has come; true: and so there is for the handler. */
bool filter_writable(struct stream *s);
/* The turn ends: what the handler has written must not wait for what it writes later. */
void filter_idle(struct stream *s);
/* The request is over, whole or not: filters let go of what hangs at its stream, before that does. */
void filter_over(struct stream *s);
/*
 * Hands the handler of s->request body bytes, decoded; an absent text is the body's end. What the handler has no room for, or is
 * too much for one turn, is kept: filter_body_waits tells, and filter_body_more goes on with it. False: call that in the next turn.
 */
bool filter_body(struct stream *s, struct text data);
bool filter_body_waits(const struct stream *s);
bool filter_body_more(struct stream *s);

#endif

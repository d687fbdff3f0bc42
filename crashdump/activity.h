/*
 * activity.h - what a process is doing, in a few stores: the connection and request being worked on, and the last
 * 64 events. Kept by the process itself in shared memory that the master made; read by crash reports and by the
 * status page.
 *
 * One struct activity a process slot, on a page of its own; the one writer is the process that holds the slot.
 * Writers make no system call and take no lock: the caller passes the time. All times are milliseconds of
 * CLOCK_MONOTONIC, so that a report can say "12 ms before the crash". No header value, no query and no cookie is
 * ever kept: activity_request cuts the target at '?'.
 *
 * The record is guarded by a sequence number that is odd while a change is under way. A writer that is killed inside
 * leaves it odd: readers give up after ACTIVITY_TRIES, and the master calls activity_reset when it reaps the process.
 *
 *     activity_begin → activity_phase … → activity_request → activity_phase/handler … → activity_end
 */
#ifndef BULKHEAD_CRASHDUMP_ACTIVITY_H
#define BULKHEAD_CRASHDUMP_ACTIVITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ACTIVITY_EVENTS 64                      /* a power of two */
#define ACTIVITY_TRIES  1000

/* What an event says; `number` of the event is given in brackets. New codes go at the end. */
enum activity_code {
	ACTIVITY_NONE,
	ACTIVITY_ACCEPT,        /* a connection was accepted (descriptor) */
	ACTIVITY_CLOSE,         /* a connection was closed (descriptor) */
	ACTIVITY_HANDSHAKE,     /* a TLS handshake was finished (protocol version as on the wire) */
	ACTIVITY_TLS_FAILED,    /* a TLS handshake failed (GnuTLS's number, negated) */
	ACTIVITY_REQUEST,       /* a request head was read (requests served so far) */
	ACTIVITY_RESPONSE,      /* a response head was sent (status) */
	ACTIVITY_ABORTED,       /* the client went away (errno) */
	ACTIVITY_TIMEOUT,       /* a deadline passed (its class) */
	ACTIVITY_SUBREQUEST,    /* a sub-request or an internal redirect began (depth) */
	ACTIVITY_HELPER,        /* a helper process was asked (message id) */
	ACTIVITY_SIGNAL,        /* the loop took up a signal (signal) */
	ACTIVITY_DRAIN,         /* the process was told to finish (connections left) */
	ACTIVITY_CODES          /* how many */
};

/* The current record. Texts are cut to fit and end with NUL; an empty one is not known (yet). */
struct activity_record {
	uint64_t connection;    /* number of the connection, 0 = idle */
	uint64_t began;         /* activity_begin: ms */
	uint64_t request_began; /* activity_request: ms, 0 = no request yet */
	char what[16];          /* kind of connection: "http", "https", … */
	char peer[64];          /* client's address as text */
	char host[128];         /* virtual host */
	char phase[24];         /* "peek", "handshake", "head", a phase of requests ("access", "handler"), "body", "send", "close" */
	char handler[24];       /* name of the content handler */
	char method[24];
	char path[384];         /* target up to '?' */
};

struct activity_event {
	uint64_t time;          /* ms */
	uint32_t code;          /* enum activity_code */
	uint32_t number;
};

struct activity {
	_Atomic uint32_t sequence;                      /* of `now`; odd: a change is under way */
	_Atomic uint32_t head;                          /* events written so far */
	_Atomic uint64_t requests;                      /* begun by this process */
	uint64_t born;                                  /* activity_reset: ms */
	struct activity_record now;
	struct activity_event events[ACTIVITY_EVENTS];
};
_Static_assert(sizeof(struct activity) <= 4096, "an activity record fills at most one page");

/* Begins a new life of the slot: empties all. The master, before the fork; or the process itself. */
void activity_reset(struct activity *a, uint64_t now_ms);
/* Copies the record. false when the writer did not finish within ACTIVITY_TRIES (it was killed inside): `out` then
 * holds what is there, with every text terminated. Any process that maps it, readable is enough. */
bool activity_read(const struct activity *a, struct activity_record *out);
/* Copies the events, oldest first; returns how many (≤ ACTIVITY_EVENTS). The writer may overtake: then the oldest ones
 * are left out. */
unsigned activity_read_events(const struct activity *a, struct activity_event out[ACTIVITY_EVENTS]);
/* A word for a code, "?" for an unknown one. */
const char *activity_code_name(uint32_t code);

static inline void activity_change(struct activity *a)
{
	atomic_store_explicit(&a->sequence,
			      atomic_load_explicit(&a->sequence, memory_order_relaxed) | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static inline void activity_changed(struct activity *a)
{
	atomic_store_explicit(&a->sequence,
			      (atomic_load_explicit(&a->sequence, memory_order_relaxed) | 1) + 1, memory_order_release);
}

static inline void activity_text(char *to, size_t room, const char *from, size_t length)
{
	if (length > room - 1)
		length = room - 1;
	if (length)
		memcpy(to, from, length);
	to[length] = '\0';
}

static inline void activity_string(char *to, size_t room, const char *from)
{
	activity_text(to, room, from, from ? strlen(from) : 0);
}

/* A connection is being worked on from now. `what`: "http", "https"; peer, host: may be NULL. */
static inline void activity_begin(struct activity *a, uint64_t now_ms, uint64_t connection, const char *what,
				  const char *peer, const char *host)
{
	activity_change(a);
	a->now.connection = connection;
	a->now.began = now_ms;
	a->now.request_began = 0;
	activity_string(a->now.what, sizeof a->now.what, what);
	activity_string(a->now.peer, sizeof a->now.peer, peer);
	activity_string(a->now.host, sizeof a->now.host, host);
	a->now.phase[0] = a->now.handler[0] = a->now.method[0] = a->now.path[0] = '\0';
	activity_changed(a);
}

/* A short word for the step being done, of the writer's own making (never from the client). */
static inline void activity_phase(struct activity *a, const char *phase)
{
	activity_change(a);
	activity_string(a->now.phase, sizeof a->now.phase, phase);
	activity_changed(a);
}

/* The same with the room filled up with NUL already: no length to find, for the phases that every request passes. */
typedef char activity_word[24];
_Static_assert(sizeof(activity_word) == sizeof ((struct activity_record *)0)->phase, "a word fills its room");
static inline void activity_phase_word(struct activity *a, const activity_word *phase)
{
	activity_change(a);
	memcpy(a->now.phase, phase, sizeof *phase);
	activity_changed(a);
}

/* The virtual host, once it is known. */
static inline void activity_host(struct activity *a, const char *host)
{
	activity_change(a);
	activity_string(a->now.host, sizeof a->now.host, host);
	activity_changed(a);
}

/* The content handler, once it is chosen. */
static inline void activity_handler(struct activity *a, const char *handler)
{
	activity_change(a);
	activity_string(a->now.handler, sizeof a->now.handler, handler);
	activity_changed(a);
}

/* Appends to the ring; the oldest of 64 is lost. */
static inline void activity_event(struct activity *a, uint64_t now_ms, enum activity_code code, uint32_t number)
{
	uint32_t head = atomic_load_explicit(&a->head, memory_order_relaxed);

	a->events[head % ACTIVITY_EVENTS] = (struct activity_event){ now_ms, (uint32_t)code, number };
	atomic_store_explicit(&a->head, head + 1, memory_order_release);
}

/* A request head was read. `path` is the target as received; all from '?' on is left out. */
static inline void activity_request(struct activity *a, uint64_t now_ms, const char *method, size_t method_length,
				    const char *path, size_t path_length)
{
	const char *query = path_length ? memchr(path, '?', path_length) : NULL;
	uint64_t served = atomic_load_explicit(&a->requests, memory_order_relaxed) + 1;

	activity_change(a);
	a->now.request_began = now_ms;
	activity_text(a->now.method, sizeof a->now.method, method, method_length);
	activity_text(a->now.path, sizeof a->now.path, path, query ? (size_t)(query - path) : path_length);
	a->now.handler[0] = '\0';
	activity_changed(a);
	atomic_store_explicit(&a->requests, served, memory_order_relaxed);
	activity_event(a, now_ms, ACTIVITY_REQUEST, (uint32_t)served);
}

/* Another head is being read: what is known of the request before does not belong to it. */
static inline void activity_head(struct activity *a)
{
	activity_change(a);
	a->now.request_began = 0;
	a->now.handler[0] = a->now.method[0] = a->now.path[0] = '\0';
	activity_string(a->now.phase, sizeof a->now.phase, "head");
	activity_changed(a);
}

/* Work on a request goes on: what activity_request noted once, without counting it again. */
static inline void activity_resume(struct activity *a, uint64_t began_ms, const char *method, size_t method_length, const char *path,
				   size_t path_length, const char *handler)
{
	const char *query = path_length ? memchr(path, '?', path_length) : NULL;

	activity_change(a);
	a->now.request_began = began_ms;
	activity_text(a->now.method, sizeof a->now.method, method, method_length);
	activity_text(a->now.path, sizeof a->now.path, path, query ? (size_t)(query - path) : path_length);
	activity_string(a->now.handler, sizeof a->now.handler, handler);
	activity_changed(a);
}

/* Nothing is being worked on any more: the process waits. */
static inline void activity_end(struct activity *a)
{
	activity_change(a);
	a->now.connection = 0;
	a->now.request_began = 0;
	a->now.what[0] = a->now.peer[0] = a->now.host[0] = '\0';
	a->now.phase[0] = a->now.handler[0] = a->now.method[0] = a->now.path[0] = '\0';
	activity_changed(a);
}

#endif

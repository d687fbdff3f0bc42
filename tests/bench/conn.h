/*
 * conn.h - one connection of the client, from connect to close: an operation. All that happens is counted in
 * env->stats.
 */
#ifndef BULKHEAD_BENCH_CONN_H
#define BULKHEAD_BENCH_CONN_H

#include <gnutls/gnutls.h>
#include <time.h>

#include "options.h"
#include "response.h"
#include "stats.h"
#include "store.h"
#include "target.h"

/* What the connections of a process share. */
struct env {
	const struct options *options;
	const struct target *target;
	struct stats *stats;
	struct store *store;            /* NULL: nothing is resumed and nothing kept */
	int epoll;
	bool filling;                   /* sessions are made anew, to be resumed later */
	uint64_t begin_ns;              /* what lost_at and failed_at count from */
	uint64_t slot_ns;               /* the length of their periods */
};

enum conn_state { CONN_IDLE, CONN_RESTING, CONN_CONNECTING, CONN_HANDSHAKE, CONN_SENDING, CONN_READING,
                  CONN_TICKET };

struct conn {
	enum conn_state state;
	int fd;
	uint32_t events;                /* what epoll watches for */
	gnutls_session_t tls;
	unsigned session;               /* its number in the store */
	bool offered, resumed;
	bool awaiting;                  /* the first byte of a response */
	bool answered;                  /* a response was complete on this connection */
	uint64_t requests_left;
	uint64_t step_ns;               /* when the present step began: connect, handshake, request */
	struct response response;
	struct env *env;
};

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/*
 * Begins an operation that resumes (while filling: makes) a session. After each of these three the state is
 * CONN_IDLE when the operation has ended well, CONN_RESTING when it failed, and another when it goes on.
 */
void conn_start(struct conn *c, struct env *env, unsigned session);
void conn_event(struct conn *c);                        /* epoll saw something */
void conn_check_time(struct conn *c, uint64_t now);
void conn_abandon(struct conn *c);                      /* counts nothing */

#endif

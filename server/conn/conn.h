/*
 * conn.h - the serving loop of a child: accept → TLS → HTTP → handler → log. The only meeting place of sockets, TLS and
 * HTTP. Called by process/child.c once its rights are dropped, and by -X directly.
 */
#ifndef BULKHEAD_CONN_CONN_H
#define BULKHEAD_CONN_CONN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "conf/conf.h"
#include "conn/check.h"
#include "conn/counters.h"
#include "conn/crowd.h"
#include "conn/lookup.h"
#include "log/ring.h"
#include "request/host.h"

/* Timeout KeepAlive MaxKeepAliveRequests KeepAliveTimeout LimitRequestLine LimitRequestFields LimitRequestFieldSize
 * RequestReadTimeout HttpProtocolOptions Protocols … */
extern struct conf_module conn_module;
/* H2… (h2conf.c) */
extern struct conf_module h2_module;

struct conn_listener {
	int fd;                                 /* non-blocking, shared by all children */
	struct addr addr;
};

struct activity;
struct spawn_direct;
struct spawn_said;

#define CONN_SPAWNERS 17                /* User's, and one for each account */

struct conn_options {
	const struct site *site;
	const struct conn_listener *listeners;
	unsigned nlisteners;
	uint32_t limit;                         /* connections at once */
	uint64_t max_connections;               /* MaxConnectionsPerChild; 0 = no end */
	struct conn_counters *counters;
	struct conn_row *rows;                  /* CONN_ROWS, by host->row; NULL = hosts are not told apart */
	struct crowd crowd;                     /* how many connections addresses have; all NULL = not counted */
	struct ring *ring;                      /* NULL: lines go to log/log.h's sink directly through put_line */
	int ring_wake;                          /* eventfd of the logger, or -1 */
	/* -X without a ring: writes an access line to a target. May be NULL when ring is set. */
	void (*put_line)(unsigned target, const char *line, size_t n);
	struct conn_shown *shown;               /* CONN_SHOWN; NULL = requests that take long are not shown */
	struct activity *activity;              /* may be NULL */
	/* Descriptors of the client connections for the crash handler's shutdown; `nfds` entries, -1 = free. May be NULL. */
	volatile int *client_fds;
	unsigned nclient_fds;
	int master;                             /* pidfd (or other descriptor that becomes readable when the master is gone), or -1 */
	int control;                            /* readable when a signal handler wrote: self-pipe or eventfd; -1 = none */
	int busy_wake;                          /* eventfd (or -1): add 1 when counters->open reaches 7/8 of limit, falls below it again, or
						 * draining is set: the master then looks whether more or fewer children are needed */
	int look;                               /* eventfd (or -1) of all children: whoever adds 1 has them look at their listeners anew */
	int resolver;                           /* socket to the resolver, not blocking (conn/lookup.h); -1 = none */
	lookup_now *lookup;                     /* -X: in its place; NULL = none */
	int checker;                            /* socket to the checker, not blocking (conn/check.h); -1 = none */
	check_now *check;                       /* -X: in its place; NULL = none */
	const int *spawners;                    /* CONN_SPAWNERS sockets to spawners, by account (request/account.h), not blocking (conn/spawnproto.h);
						 * -1 = none. NULL = no socket at all */
	const struct spawn_direct *spawn_direct;        /* -X: in its place; NULL = none */
	const volatile sig_atomic_t *drain;     /* set: finish what is under way, accept nothing more */
	const volatile sig_atomic_t *stop;      /* set: end now */
	void (*ready)(void *ctx);               /* called once when the loop is about to start */
	void *ready_ctx;
	int64_t drain_ms;                       /* the longest a drain may take; 0 = no limit */
};

/* Prepares everything that opens files or allocates for the process (epoll, reserve descriptor): before the sandbox. 0 or -1. */
struct conn_server;
struct conn_server *conn_new(const struct conn_options *o, struct err *e);
/* Runs until drained or stopped. Returns the exit code: 0 drained, stopped or MaxConnectionsPerChild reached; 1 failure. */
int conn_run(struct conn_server *s);
void conn_free(struct conn_server *s);

/* What is to be told of the program of a RewriteMap (conn/spawnproto.h) goes to the log. */
void conn_program_said(const struct site *site, const struct spawn_said *said, const char *text, size_t n);

#endif

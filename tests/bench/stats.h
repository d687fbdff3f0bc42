/*
 * stats.h - what one process counts. It lies in memory shared with the parent, which reads it for the progress
 * line while the process writes, and merges it when the process has ended. Its size does not depend on the
 * number of operations.
 */
#ifndef BULKHEAD_BENCH_STATS_H
#define BULKHEAD_BENCH_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "hist.h"

/* Why an operation failed. */
enum fail {
	FAIL_REFUSED,           /* connection refused */
	FAIL_CONNECT,           /* any other error of connect */
	FAIL_CONNECT_TIMEOUT,
	FAIL_ALERT,             /* the server ended the handshake with an alert */
	FAIL_CERTIFICATE,       /* it does not verify */
	FAIL_HANDSHAKE,         /* the handshake went wrong in another way */
	FAIL_HANDSHAKE_RESET,   /* the connection ended during the handshake */
	FAIL_HANDSHAKE_TIMEOUT,
	FAIL_RESET,             /* the connection ended before the response was complete */
	FAIL_TLS,               /* an error of TLS, or an alert, after the handshake */
	FAIL_TIMEOUT,           /* no complete response in time */
	FAIL_STATUS,            /* a status of 400 or above */
	FAIL_RESPONSE,          /* no response in the form of HTTP/1.x */
	FAIL_COUNT
};

#define STATS_SLOTS 3600        /* periods for which losses and failures are counted */

struct stats {
	uint64_t started, succeeded, failed;            /* operations; the difference is under way */
	uint64_t requests, bytes;                       /* responses that were complete; bytes of all */
	uint64_t tickets;                               /* NewSessionTicket messages */
	uint64_t asked;                                 /* handshakes that were to be resumed and were completed */
	uint64_t resumed_ticket, resumed_id;            /* those that were */
	uint64_t declined, absent;                      /* not: the server did not; nothing to offer */
	uint64_t short_connections;                     /* the server announced a close before the last request */
	uint64_t fail[FAIL_COUNT];
	int64_t code[FAIL_COUNT];                       /* errno or GnuTLS' error of the first one */
	uint64_t alert[256], status[600];
	struct hist connect, handshake, first;          /* first: request sent to first byte of its response */
	uint64_t lost_at[STATS_SLOTS], failed_at[STATS_SLOTS];
	uint64_t begin_ns, end_ns;                      /* CLOCK_MONOTONIC */
	char about[128];                                /* version and cipher suite of the first handshake */
	char certificate[512];                          /* what is wrong with it */
};

void stats_fail(struct stats *s, enum fail why, int64_t code);
void stats_merge(struct stats *into, const struct stats *from);
/* As used for the keys of --json, and as a reader wants it. */
const char *fail_key(enum fail f);
const char *fail_words(enum fail f);
/* "handshake_failure"; "unknown" for a number without a name. */
void alert_key(unsigned alert, char *buf, unsigned n);

static inline uint64_t stats_resumed(const struct stats *s) { return s->resumed_ticket + s->resumed_id; }
static inline uint64_t stats_lost(const struct stats *s) { return s->declined + s->absent; }
/* 100 where nothing was to be resumed. */
double stats_resumed_percent(const struct stats *s);

#endif

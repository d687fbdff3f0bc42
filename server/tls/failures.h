/*
 * failures.h - how often handshakes fail and for what reason, and which of them are told in the log: so many of a reason
 * a minute, the others counted, so that a scan fills no disk. State of the process; runs in children and -X.
 */
#ifndef BULKHEAD_TLS_FAILURES_H
#define BULKHEAD_TLS_FAILURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/log.h"

enum tls_reason {
	TLS_R_VERSION,                  /* no protocol in common */
	TLS_R_SUITE, TLS_R_GROUP,
	TLS_R_CERTIFICATE,              /* none that the client's signature schemes and curves fit */
	TLS_R_NAME,                     /* no host of that name (SSLStrictSNIVHostCheck) */
	TLS_R_CLIENT_CERTIFICATE,       /* the client's was refused */
	TLS_R_REFUSED,                  /* the client refused ours */
	TLS_R_ALERT,                    /* it sent another fatal alert */
	TLS_R_MALFORMED,                /* messages that break the protocol */
	TLS_R_NOT_TLS,                  /* SSL 2, or bytes of no protocol */
	TLS_R_PLAIN_HTTP,               /* on a TLS port */
	TLS_R_TLS_ON_PLAIN,             /* on a port without TLS */
	TLS_R_GONE, TLS_R_LATE,         /* went away; did not finish in time */
	TLS_R_RENEGOTIATION,
	TLS_R_SERVER,                   /* our own fault: keyholder, memory */
	TLS_R_OTHER,
	TLS_REASONS
};

#define TLS_FAILURES_TOLD 10            /* lines of one reason, unless SSLFailureLines says otherwise, … */
#define TLS_FAILURES_MS 60000           /* … in this time, by each process */

/* Before the first. */
void tls_failures_limit(unsigned lines);
/* Takes a line of a level that the log lets through. Whether it may be written; if not, tls_failures_due tells when the summary is. */
bool tls_failure_told(enum tls_reason why, enum log_level level, int64_t now_ms);
/* When lines that were not written should be summed up; INT64_MAX: none were. */
int64_t tls_failures_due(void);
/*
 * The summary of what was not written, and a new count: "no common cipher suite 40, not TLS 3", with the gravest of their
 * levels. Empty if all were written.
 */
const char *tls_failures_summary(char *buf, size_t n, enum log_level *level);
const char *tls_reason_name(enum tls_reason why);

#endif

/*
 * scorehosts.h - the parts of the status page that are about hosts, handshakes and servers behind; for scoreboard.c alone.
 */
#ifndef BULKHEAD_PROCESS_SCOREHOSTS_H
#define BULKHEAD_PROCESS_SCOREHOSTS_H

#include "handler/status.h"
#include "process/shared.h"
#include "tls/counters.h"

/* Sums of struct tls_counters. */
struct scoretls {
	uint64_t versions[TLS_VERSIONS], kinds[TLS_KINDS], suites[TLS_SUITES], failures[TLS_REASONS];
};
/* 0, or -1: no memory. */
int scoretls_give(struct arena *a, const struct scoretls *sums, struct status_tls *t);

/* Rows of all children, by host, into s->hosts, which has room for CONN_ROWS. May be done again. */
void scorehosts_take(const struct shared_view *v, struct status *s);
/* What the configuration in use says of them. */
void scorehosts_certificates(const struct site *site, struct status *s);

/* 0, or -1: no memory. */
int scorebackends_take(struct arena *a, const struct site *site, struct status *s);

#endif

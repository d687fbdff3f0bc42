/*
 * store.h - the sessions of one process, by number, and which of them comes next. The store owns the bytes
 * GnuTLS gave.
 */
#ifndef BULKHEAD_BENCH_STORE_H
#define BULKHEAD_BENCH_STORE_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "options.h"

struct session {
	gnutls_datum_t data;    /* of gnutls_session_get_data2; empty = there is none */
	bool ticket;            /* resumed by a ticket, not by an ID */
};

struct store {
	struct session *sessions;
	unsigned n;
	enum order order;
	unsigned turn;
	uint64_t random;        /* state of the generator: the same seed gives the same order */
	double *up_to;          /* zipf: the summed weights of the sessions up to each */
};

/* 0, or -1 (no memory). */
int store_init(struct store *s, unsigned n, enum order order, uint64_t seed);
unsigned store_next(struct store *s);
/* Takes data. */
void store_put(struct store *s, unsigned i, gnutls_datum_t data, bool ticket);
void store_fini(struct store *s);

#endif

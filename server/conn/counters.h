/*
 * counters.h - what a child tells about itself in its slot of the shared scoreboard: one writer (the child), plain
 * relaxed stores; read by the master (how many children are needed) and later by the status page.
 */
#ifndef BULKHEAD_CONN_COUNTERS_H
#define BULKHEAD_CONN_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "tls/failures.h"

struct conn_counters {
	_Atomic uint32_t open;          /* connections now */
	_Atomic uint32_t active;        /* of these, in a handshake or a request */
	_Atomic uint32_t limit;         /* the most it takes */
	_Atomic uint32_t draining;      /* 1: takes no more */
	_Atomic uint64_t accepted, requests, bytes_out;
	_Atomic uint64_t handshakes, resumed, handshake_failures;
	_Atomic uint64_t failures[TLS_REASONS]; /* of handshakes, by reason; also first bytes of other protocols, and those too late */
	_Atomic uint64_t turn;          /* CLOCK_MONOTONIC ms of the last turn of its loop */
	_Atomic uint64_t busy;          /* CLOCK_MONOTONIC ms at which the turn under way began; 0 = it waits for events */
	_Atomic uint32_t live;          /* 1: its crash slot holds a snapshot that was asked for; the master sets it to 0 */
};

static inline void counter_add(_Atomic uint64_t *c, uint64_t n)         /* single writer */
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void counter_set32(_Atomic uint32_t *c, uint32_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

#endif

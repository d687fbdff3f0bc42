/*
 * counters.h - what a child tells about itself in its slot of the shared scoreboard: one writer (the child), plain
 * relaxed stores; read by the master (how many children are needed) and by the status page. Who adds to it stands in
 * counters.c, and here for HTTP/2.
 */
#ifndef BULKHEAD_CONN_COUNTERS_H
#define BULKHEAD_CONN_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/histogram.h"
#include "tls/counters.h"

/* Where a connection is. */
enum conn_place {
	PLACE_NONE,                     /* it is not there (yet, any more) */
	PLACE_FRESH, PLACE_HANDSHAKE, PLACE_READING, PLACE_WORKING, PLACE_ASKING, PLACE_WRITING, PLACE_KEEPALIVE, PLACE_CLOSING,
	CONN_PLACES
};

struct conn_counters {
	_Atomic uint32_t open;          /* connections now */
	_Atomic uint32_t places[CONN_PLACES];   /* where they are; [PLACE_NONE] means nothing */
	_Atomic uint32_t limit;         /* the most it takes */
	_Atomic uint32_t draining;      /* 1: takes no more */
	_Atomic uint32_t h2_open, h2_streams_open;      /* connections that speak HTTP/2, and their streams, now */
	_Atomic uint64_t accepted, requests, bytes_out;
	_Atomic uint64_t duration_us;   /* of the requests that are over */
	_Atomic uint64_t handshakes, resumed, handshake_failures;
	_Atomic uint64_t h2_connections, h2_streams, h2_resets; /* ever; resets: streams that either side broke off */
	_Atomic uint64_t log_dropped;   /* lines that found no room in the ring */
	_Atomic uint64_t cpu_user_us, cpu_system_us;    /* of the process, not older than a second while it works */
	_Atomic uint64_t rows;          /* bits: hosts whose row (below) is in use */
	_Atomic uint64_t turn;          /* CLOCK_MONOTONIC ms of the last turn of its loop */
	_Atomic uint64_t busy;          /* CLOCK_MONOTONIC ms at which the turn under way began; 0 = it waits for events */
	_Atomic uint32_t live;          /* 1: its crash slot holds a snapshot that was asked for; the master sets it to 0 */
	struct tls_counters tls;
};

/*
 * What a child counts of each host, in a row of its own by host->row (request/host.h). Rows that are not in conn_counters.rows are
 * not looked at: memory that nobody touched costs nothing.
 */
#define CONN_ROWS 64                    /* the last one is for all hosts that have none of their own */
struct conn_row {
	_Atomic uint64_t classes[5];    /* responses: 1xx to 5xx */
	_Atomic uint64_t bytes, duration_us;
	_Atomic uint64_t latency[HISTOGRAM_BUCKETS];    /* of each request that is over */
} __attribute__((aligned(1024)));
_Static_assert(sizeof(struct conn_row) == 1024, "four rows are a page");

/*
 * Requests that outlive a turn of their connection: programs, servers behind, long answers, slow clients. Whoever reads one takes it
 * only where `sequence` is even and the same before and after. Texts are cut to fit and end with NUL; never a query among them.
 */
#define CONN_SHOWN 16                   /* of a child; further ones are not shown */
struct conn_shown {
	_Atomic uint32_t sequence;      /* odd while it is written */
	_Atomic uint32_t place;         /* enum conn_place; PLACE_NONE: nobody has it */
	uint64_t since;                 /* ms of CLOCK_MONOTONIC */
	char peer[48], host[48], method[12], handler[20], path[112];
};
_Static_assert(CONN_SHOWN * sizeof(struct conn_shown) <= 4096, "all of a child are a page");

static inline void counter_add(_Atomic uint64_t *c, uint64_t n)         /* single writer */
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void counter_set32(_Atomic uint32_t *c, uint32_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}
static inline void counter_move32(_Atomic uint32_t *c, int more)        /* a gauge */
{
	counter_set32(c, atomic_load_explicit(c, memory_order_relaxed) + (uint32_t)more);
}

/* A request is over: host->row of the host that answered, its status, bytes that were sent, us that it took. rows may be NULL. */
static inline void count_request(struct conn_counters *c, struct conn_row *rows, unsigned row, unsigned status, uint64_t bytes, uint64_t us)
{
	uint64_t used = atomic_load_explicit(&c->rows, memory_order_relaxed);
	struct conn_row *r;

	counter_add(&c->duration_us, us);
	if (!rows)
		return;
	row = row < CONN_ROWS ? row : CONN_ROWS - 1;
	r = &rows[row];
	if (!(used >> row & 1))
		atomic_store_explicit(&c->rows, used | (uint64_t)1 << row, memory_order_relaxed);
	if (status >= 100 && status < 600)
		counter_add(&r->classes[status / 100 - 1], 1);
	counter_add(&r->bytes, bytes);
	counter_add(&r->duration_us, us);
	counter_add(&r->latency[histogram_index(us)], 1);
}

/* counters.c: the process's times, at most once a second; `now` is ms of the loop. */
void count_times(struct conn_counters *c, int64_t now);

#endif

/*
 * counters.h - what a process has counted of its handshakes and of the private keys' work: one writer (the process), plain relaxed
 * stores, in memory that others may read. Runs in the children, and under -X.
 */
#ifndef BULKHEAD_TLS_COUNTERS_H
#define BULKHEAD_TLS_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/histogram.h"
#include "tls/failures.h"
#include "tls/suites.h"

enum tls_kind { TLS_KIND_FULL, TLS_KIND_ID, TLS_KIND_TICKET, TLS_KINDS };
enum { TLS_VERSIONS = 4 };              /* 1.0 to 1.3 */
#define TLS_SUITES (SUITES13_MAX + SUITES_MAX)

struct tls_counters {
	/* Finished handshakes: by version, by how the session came about, by suite. */
	_Atomic uint64_t versions[TLS_VERSIONS], kinds[TLS_KINDS], suites[TLS_SUITES];
	_Atomic uint64_t failures[TLS_REASONS]; /* also first bytes of other protocols, and those too late */
	/* Private keys: how often one was wanted, in vain, and of these not in time; us that it took, in all and by length. */
	_Atomic uint64_t key_asked, key_failed, key_late, key_us, key_wait[HISTOGRAM_BUCKETS];
	_Atomic uint32_t key_waits;             /* 1: an answer is waited for now */
};

/* Once in each process that counts; before, nothing is. Borrowed. */
void tls_count_in(struct tls_counters *c);

/* "TLSv1.3", "ticket"; the suite at that place, NULL = there is none. For readers. */
const char *tls_version_name(unsigned i);
const char *tls_kind_name(unsigned i);
const char *tls_suite_name(unsigned i);

/* For the files of tls/: a finished handshake; a key was asked, for so long. */
struct tls;
void tls_count_done(const struct tls *t);
void tls_count_failure(enum tls_reason why);
void tls_count_key_begin(void);
void tls_count_key_end(uint64_t us, int code);
void tls_count_key_late(void);

#endif

/*
 * staple.h - OCSP answers that go along with a certificate: which ones a configuration wants, and the table through which
 * the master hands them to its children.
 *
 * The table is one piece of shared memory of STAPLE_CELLS cells. The master alone writes; children map it for reading. A
 * cell is found by the number that the master gave the certificate before the fork, and told by the certificate's hash, so that
 * one which meanwhile belongs to another certificate gives nothing.
 */
#ifndef BULKHEAD_TLS_STAPLE_H
#define BULKHEAD_TLS_STAPLE_H

#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

#define STAPLE_CELLS 256
#define STAPLE_MAX 8128                 /* bytes of an answer: usual are 500 to 2500 */
#define STAPLE_ID 32

struct staple_cell {
	_Atomic uint32_t sequence;      /* odd while it is written */
	_Atomic uint32_t n;             /* 0 = empty */
	_Atomic int64_t until;          /* seconds since 1970: from then on it is not sent */
	_Atomic int64_t since;          /* when it was put */
	unsigned char id[STAPLE_ID];    /* SHA-256 of the certificate */
	unsigned char answer[STAPLE_MAX];
};
_Static_assert(sizeof(struct staple_cell) <= 8192, "a cell is two pages at most");

/* Master: puts an answer (n 0: none). */
void staple_put(struct staple_cell *table, int cell, const unsigned char id[STAPLE_ID], const void *answer, size_t n, int64_t until);
/* The answer of a cell into buf (STAPLE_MAX bytes); its length, or 0: none, over, another's, or being written for too long. */
size_t staple_get(const struct staple_cell *table, int cell, const unsigned char id[STAPLE_ID], int64_t now, unsigned char *buf);
/* When the answer in use (staple_use) was put there, and until when it is sent. False as staple_get's 0, but that it may be over. */
bool staple_times(int cell, const unsigned char id[STAPLE_ID], int64_t *since, int64_t *until);
/* Child, once: the table that handshakes look into; NULL (as at the beginning) = no answers. */
void staple_use(const struct staple_cell *table);

struct tls_staple_settings {
	int use;                        /* SSLUseStapling */
	int errors, try_later;          /* SSLStaplingReturnResponderErrors, …FakeTryLater */
	int64_t standard_ms, error_ms, timeout_ms, skew_ms;
	int64_t max_age;                /* seconds; -1 = any age; STAPLE_UNSET */
	const char *url;                /* SSLStaplingForceURL */
	struct conf_pos pos;            /* of SSLUseStapling */
};
#define STAPLE_UNSET (-2)

/* A certificate of some host for which answers are wanted. All but *cell is borrowed from the configuration. */
struct tls_staple {
	const unsigned char *id;
	gnutls_x509_crt_t certificate, issuer;
	const char *host, *url;
	const struct tls_staple_settings *settings;
	bool must;                      /* the certificate demands it (RFC 7633) */
	int *cell;                      /* the master's to set: -1 = none */
};
/* Of a finished host; how many of them are filled, at most TLS_MAX_KEYS. */
unsigned tls_policy_staples(void *host_config, struct tls_staple *out);

/* For the files of tls/. */
struct tls_policy;
void staple_create(struct tls_staple_settings *s);
void staple_merge(struct tls_staple_settings *s, const struct tls_staple_settings *base);
/* When certificates and credentials are there. 0, or -1 and reported. */
int staple_finish(struct tls_policy *p, struct conf_env *env);
conf_setter tls_set_use_stapling, tls_set_staple_url, tls_set_staple_cache;

#endif

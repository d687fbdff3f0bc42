/*
 * handshake.h - one TLS connection in a child: the ClientHello decides all (PRE hook), then driving, records, alerts.
 * Knows no socket: bytes come and go through struct tls_io, whose buffers belong to the process, not the connection.
 */
#ifndef BULKHEAD_TLS_HANDSHAKE_H
#define BULKHEAD_TLS_HANDSHAKE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "base/text.h"
#include "log/log.h"
#include "tls/failures.h"
#include "tls/hello.h"
#include "tls/ocsp.h"
#include "tls/policy.h"

/* Provided by conn/: where encrypted bytes come from and go to. Both return -1 with EAGAIN when they cannot now. */
struct tls_io {
	void *ctx;
	ssize_t (*pull)(void *ctx, void *buf, size_t n);                /* 0 = end of stream */
	ssize_t (*push)(void *ctx, const struct iovec *iov, int n);     /* gathers; conn/ sends at the end of its turn */
};
#define TLS_APPLICATIONS 4
/* Application protocols for ALPN, the preferred one first; by_client: the client's order counts. */
struct tls_applications { const char *name[TLS_APPLICATIONS]; unsigned n; bool by_client; };
/* Provided by conn/: which host's policy answers. sni absent: the address's default host. */
struct tls_chooser {
	void *ctx;
	/* Returns the policy, or NULL: refuse with unrecognized_name (SSLStrictSNIVHostCheck). */
	const struct tls_policy *(*choose)(void *ctx, struct text sni);
	/* What that host speaks; fits_h2: what was chosen is good enough for HTTP/2 (RFC 9113, 9.2). NULL: HTTP/1 alone. */
	void (*applications)(void *ctx, bool fits_h2, struct tls_applications *to);
};

struct tls;             /* one connection */

/* Process-wide, master: checks GnuTLS's derivation of ticket names against ours. 0, or -1: restored seeds are off (said so). */
int tls_init(struct err *e);
/*
 * Process-wide, child (and -X): the shared cache and ticket seeds, and the clock. `cache` may be NULL.
 * Called after shmcache_child_init.
 */
struct shmcache;
void tls_child_init(struct shmcache *cache, const struct tls_cache_settings *settings);

/* TLS_CHECK: a question about the client's certificate has to be answered: tls_check_question, tls_check_answer, and on. */
enum tls_result { TLS_DONE, TLS_READ, TLS_WRITE, TLS_FAILED, TLS_CHECK };

/* Starts a server session. Both structures are borrowed until tls_free. NULL on ENOMEM. */
struct tls *tls_start(const struct tls_io *io, const struct tls_chooser *chooser);
/*
 * Drives the handshake as far as it goes. TLS_FAILED: the alert has been pushed where one is due; tls_failure() says why
 * in a sentence; the caller flushes and lingers.
 */
enum tls_result tls_step(struct tls *t);
/*
 * The question that is open, for a process that may ask responders (ocsp.h): how many bytes; 0: there is none, or it is too long.
 * The answer's words say who said so, or why nobody could: for the log. patience: ms that it may take.
 */
size_t tls_check_question(struct tls *t, unsigned char buf[TLS_QUESTION_MAX]);
void tls_check_answer(struct tls *t, enum tls_check answer, const char *words);
int64_t tls_check_patience(const struct tls *t);
const char *tls_failure(const struct tls *t);
enum tls_reason tls_failure_reason(const struct tls *t);
/* Debug for a client that went away, warn for what the administrator must mend, info for all others. */
enum log_level tls_failure_level(const struct tls *t);

/* Decrypted bytes: > 0, 0 = the client ended its side (close_notify), -1 EAGAIN, -2 failed (alert pushed). */
ssize_t tls_read(struct tls *t, void *buf, size_t n);
/* Encrypts at most one record a call: accepted bytes, -1 EAGAIN, -2 failed. */
ssize_t tls_write(struct tls *t, const void *buf, size_t n);
/* Whether decrypted bytes wait inside: epoll does not see them. */
size_t tls_pending(const struct tls *t);
/* Pushes close_notify (orderly end). 0, or -1 EAGAIN. */
int tls_bye(struct tls *t);
void tls_free(struct tls *t);                           /* NULL is fine; wipes */

/* After TLS_DONE. */
const struct tls_policy *tls_policy_in_use(const struct tls *t);
struct text tls_sni(const struct tls *t);               /* absent if none */
bool tls_resumed(const struct tls *t);
struct text tls_alpn(const struct tls *t);              /* absent if none */

#endif

/*
 * session.h - one TLS connection, for the files of tls/ alone: handshake.c makes and drives it, record.c moves bytes,
 * resume.c and tickets.c keep sessions, variables.c and diagnose.c look at it.
 */
#ifndef BULKHEAD_TLS_SESSION_H
#define BULKHEAD_TLS_SESSION_H

#include <gnutls/gnutls.h>

#include "tls/handshake.h"
#include "tls/host.h"

enum tls_state { TLS_S_HANDSHAKE, TLS_S_CHECK, TLS_S_TICKET, TLS_S_OPEN, TLS_S_FAILED };

/* Why it failed, as far as the hook knew more than GnuTLS's code says. */
enum tls_fault { TLS_F_NONE, TLS_F_HELLO, TLS_F_NAME, TLS_F_VERSION, TLS_F_SUITE, TLS_F_SUITE13, TLS_F_SETUP, TLS_F_RENEGOTIATION, TLS_F_CLIENT };

/* A client's certificate. UNJUDGED: a resumed session of a host that lets unknown authorities in; it is looked at when asked for. */
enum tls_client { TLS_CLIENT_NONE, TLS_CLIENT_GOOD, TLS_CLIENT_GENEROUS, TLS_CLIENT_UNJUDGED };

/* By what a certificate is judged: the host's own, or a place's. */
struct cert_rules {
	int verify, depth;
};

struct tls_peer;                        /* clientcert.h */
struct cert_reason;

struct tls {
	gnutls_session_t session;
	const struct tls_io *io;
	const struct tls_chooser *chooser;
	const struct tls_policy *policy;        /* NULL until the ClientHello chose it */
	enum tls_state state;
	enum tls_fault fault;
	int code;                               /* GnuTLS's, of the failure */
	int alert;                              /* the hook's choice of one; -1 = what fits the code */
	int alert_received;                     /* a fatal one of the client's; -1 = none */
	unsigned char tail[7];                  /* the last bytes that came, while the handshake lasts: an alert in clear */
	bool tls13, resumed, write_pending;
	bool by_id;                             /* the cache had the session whose ID came */
	bool retried;                           /* a second ClientHello came */
	enum tls_client client;
	const struct cert_reason *client_why;   /* of TLS_F_CLIENT */
	struct tls_peer *peer;                  /* the client's certificates, while they are looked at; else NULL */
	bool peer_judged;
	/*
	 * A certificate that came after the handshake, asked for by a place, is judged by the rules of each place anew: `client`
	 * is its verdict by `rules`, `client_why` why it is none. Places without rules of their own see only good ones.
	 */
	bool late, rules_known;
	struct cert_rules rules;
	int asked;                              /* enum tls_verify: the strictest question that this client was asked */
	bool asks;                              /* a question is out: the answer has not come */
	struct {                                /* check.c: what responders say of the certificates at `at` to `n` of the path */
		unsigned at, n;
		const struct cert_reason *why;  /* NULL: nothing against them so far */
		char *words;                    /* the responder's, or why it gave none; malloc'ed */
	} check;
	bool legacy_dn;                         /* SSLOptions +LegacyDNStringFormat where the request is */
	unsigned warnings;                      /* warning alerts that came: bounded */
	struct hello *hello;                    /* until the handshake is over: more than a KiB; its texts but sni are absent after the hook */
	struct text sni;                        /* malloc'ed; absent: none */
	size_t record_max;                      /* what one record of ours may carry */
};

/* The session of GnuTLS's callbacks. */
struct tls *tls_of(gnutls_session_t session);

/* record.c */
void tls_record_setup(struct tls *t);
/* A failure that ends the connection: keeps the code, sends the alert that is due. */
void tls_fail(struct tls *t, int code);
/* Counts a warning that the client sent; false when it sends too many: then the alert is chosen. */
bool tls_warned(struct tls *t);

/* check.c: certificates of clients that a responder has to speak for */
/* The client's has just been judged: whether responders are to be asked. */
bool check_begin(struct tls *t);
/* A question is open: tls_check_question. */
bool check_open(const struct tls *t);
void check_free(struct tls *t);

/* resume.c: session IDs of TLS 1.2 and before */
void resume_init(struct shmcache *cache, const struct tls_cache_settings *settings);
int64_t resume_timeout(void);
void resume_setup(struct tls *t);
void resume_forget(struct tls *t);              /* the session must not be resumed: a fatal alert */

/* tickets.c */
#define TICKET_SEED 64
int tickets_self_test(struct err *e);
void tickets_init(struct shmcache *cache, int64_t timeout_s);
/*
 * The seed for this connection's tickets: the one that sealed what the client brought, if we have it still, else the
 * newest. Borrowed until the next call. NULL: no tickets.
 */
const gnutls_datum_t *tickets_seed(const struct tls_policy *p, bool tls13, struct text ticket_name);

#endif

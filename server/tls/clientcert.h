/*
 * clientcert.h - certificates of clients, for the files of tls/ alone. What a host trusts is read by authorities.c in the
 * master and in checking jobs; clientcert.c judges by it in the children.
 */
#ifndef BULKHEAD_TLS_CLIENTCERT_H
#define BULKHEAD_TLS_CLIENTCERT_H

#include <gnutls/x509.h>
#include <time.h>

#include "base/arena.h"
#include "base/text.h"
#include "cert/load.h"
#include "tls/host.h"
#include "tls/session.h"

/* A serial number without its leading zeros; of more bytes than there is room for, the first. */
struct crl_serial {
	unsigned char n;
	unsigned char bytes[23];
};
struct tls_crl {
	gnutls_x509_crl_t crl;
	gnutls_datum_t issuer;          /* raw name */
	time_t from, until;             /* until -1: it says no end */
	struct crl_serial *serials;     /* in order */
	size_t n;
	/* It has critical extensions: it speaks of some certificates only, and does not say that the others are good. */
	bool partial;
};
/* What a host trusts and what was revoked. */
struct tls_authorities {
	gnutls_x509_crt_t *ca;
	gnutls_datum_t *names;          /* of the same, raw: compared first, as bundles hold hundreds */
	unsigned n;
	struct tls_crl *crl;
	unsigned ncrl;
	unsigned char ca_hash[32], crl_hash[32];        /* of their contents, whatever the order */
};

/* What a virtual host takes over from the main server. */
void authorities_merge(struct tls_policy *p, const struct tls_policy *base);
/* Reads what SSLCA… and SSLCARevocation… name; p->clients is set where certificates are asked for. 0, or -1 and reported. */
int authorities_load(struct tls_policy *p, struct conf_env *env);
/* Gives the names that clients are told to the credentials. 0, or -1 and reported. */
int authorities_tell(struct tls_policy *p, struct conf_env *env);
void authorities_free(struct tls_policy *p);

/* ------------------------------------------------------------------------------------------------ while files are read */

struct certificates {
	gnutls_x509_crt_t *at;
	unsigned n, room;
};
/* A file that is being read: what it is for decides what it may hold. */
struct cert_reading {
	struct conf_env *env;
	const struct tls_file *named;   /* by which directive */
	const char *directive;
	struct certificates *certificates;      /* NULL: lists of revoked certificates are read */
	struct tls_authorities *lists;
	bool in_folder;                 /* other files may be there */
	unsigned found, other;          /* of what was looked for; of other things */
	bool key;                       /* a private key was among them */
};
/* Reports an error at the directive; returns -1. A warning. A time in words. */
int reading_bad(const struct cert_reading *r, const char *remedy, const char *sentence);
void reading_warn(const struct cert_reading *r, const char *remedy, const char *sentence);
const char *reading_day(struct conf_env *env, time_t when);

/* revoked.c. Keeps a list, unless it is there already: it is the callee's now. 0, or -1 and reported. */
int crl_keep(struct cert_reading *r, gnutls_x509_crl_t crl, const char *path);
/* Whether the lines fit together: 0, or -1 and reported. What will refuse clients, or not count, is said. */
int crl_check_lines(const struct tls_policy *p, struct conf_env *env);
void crl_look(const struct tls_policy *p, struct conf_env *env);
void crl_free(struct tls_crl *l);
void crl_serial_of(const unsigned char *number, size_t n, struct crl_serial *out);
int crl_serial_compare(const void *a, const void *b);

/* ------------------------------------------------------------------------------------------------ in children */

/* What came of looking at a client's certificate. */
struct cert_verdict {
	const struct cert_reason *why;  /* NULL: it is good */
	unsigned at;                    /* whose certificate: 0 = the client's own, 1 = its issuer … */
	unsigned depth;                 /* certificates above the client's own, up to the root */
};
/* OpenSSL's number and words of a fault (X509_V_ERR_…), and what follows from it. */
struct cert_reason {
	int number;
	const char *words;
	gnutls_alert_description_t alert;
	bool optional;                  /* optional_no_ca lets it pass: the issuer is not known */
	const char *look;               /* where to look */
};
/* The certificates that the client gave, its own first, parsed; NULL: none, or out of memory. */
struct tls_peer {
	struct cert_chain chain;
	gnutls_x509_crt_t path[CERT_MAX_CHAIN]; /* up to the root; borrowed from the chain and the authorities */
	unsigned n;
	struct cert_verdict verdict;
};

/* Before the handshake goes on: asks for a certificate where the policy wants one. */
void clientcert_setup(struct tls *t);
/* After it: whether what must be there is. 0, or a code of GnuTLS's with the fault set. */
int clientcert_done(struct tls *t);
/* What is kept of a session, parsed; for variables. NULL: the client gave none, or none that counts. _judged: with the verdict, too. */
const struct tls_peer *clientcert_peer(struct tls *t);
const struct tls_peer *clientcert_judged(struct tls *t);
/* When responders have said what they say: 0, or as clientcert_done. */
int clientcert_checked(struct tls *t);
/* Behind the handshake: before the question is sent; when it is answered; what the answer comes to by the rules of a place. */
void clientcert_ask(struct tls *t);
void clientcert_asked(struct tls *t);
/* … whether responders are to be asked now, and their verdict when they were: it holds for every place. */
bool clientcert_late_check(struct tls *t);
void clientcert_judge_late(struct tls *t, const struct cert_rules *rules);
void clientcert_free(struct tls *t);
/* What is known of it now, UNJUDGED only where memory ran out. */
enum tls_client clientcert_state(struct tls *t);
/* "NONE", "SUCCESS", "GENEROUS" or "FAILED:…" */
struct text clientcert_verified(struct tls *t, struct arena *a);
/* Why the handshake failed, for the log. */
void clientcert_explain(struct buf *b, const struct tls *t);

#endif

/*
 * key.h - using private keys without having them: sign, decrypt, public part. No function takes PEM: the keys are
 * parsed by the keyholder (or, under -X, by the one process) with cert/load.h, never by the master or a child.
 *
 * Two back ends behind one table: the keyholder by ipc (tls/key.c, the client half of tls/keyproto.h), and direct.
 * A child waits for its answer, at most SSLKeyTimeout; a keyholder that died is replaced behind the same socket, and one
 * that hangs is, too, soon after the child has complained.
 */
#ifndef BULKHEAD_TLS_KEY_H
#define BULKHEAD_TLS_KEY_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define KEY_TIMEOUT_MS 4000             /* where a link says nothing */
#define KEY_MAX_SIGNATURE 1024

/* A key of this generation, as the keyholder reported it. */
struct key_ref {
	uint32_t id;                            /* index in the generation's list of keys */
	gnutls_pk_algorithm_t algorithm;
	unsigned bits;
	unsigned char spki[32];                 /* SHA-256 of the SubjectPublicKeyInfo: pairs it with certificates */
};

enum key_operation { KEY_SIGN_HASH, KEY_SIGN_DATA, KEY_DECRYPT };
struct key_ops {
	/* 0 and *out_len, or a GNUTLS_E_* code. `algorithm` is a gnutls_sign_algorithm_t (0 for decrypt). */
	int (*run)(void *ctx, uint32_t key, enum key_operation op, unsigned algorithm, const unsigned char *in, size_t len,
		   unsigned char *out, size_t cap, size_t *out_len);
};
/* The process's back end; set once at its start. Borrowed. */
void key_use(const struct key_ops *ops, void *ctx);

/* Between the master and the children of one keyholder, in shared memory: hints, of which none is trusted. */
struct key_calls {
	_Atomic uint32_t deaths;        /* of keyholders: what they had in their hands must be asked again. Written by the master */
	_Atomic uint32_t complaints;    /* of children that wait long. Written by them */
};
/* The keyholder by ipc. */
struct key_link {
	int fd;                         /* this process's end of its socket */
	int wake;                       /* the master's eventfd, for complaints; -1 = none */
	int64_t timeout_ms;             /* until a handshake is given up; 0 = KEY_TIMEOUT_MS */
	struct key_calls *calls;        /* NULL = none */
	bool steps;                     /* key.c's own: false at first */
};
extern const struct key_ops key_ops_keyholder;          /* ctx = struct key_link * */
/* Direct: ctx = struct key_store * (below). */
extern const struct key_ops key_ops_direct;

/* A private key for GnuTLS that calls the back end (gnutls_privkey_import_ext4). 0 or GNUTLS_E_*. */
int key_import(gnutls_privkey_t *out, const struct key_ref *ref);

/*
 * Keys themselves: only the keyholder, -X and the checking job make one. Key memory is locked as far as GnuTLS lets us
 * and the process that holds it is never dumpable.
 */
struct key_store;
struct key_store *key_store_new(void);
/* Pass phrases for keys that are added from now on: n bytes of texts, each with its zero. Borrowed; NULL and 0: none. */
void key_store_phrases(struct key_store *s, const char *phrases, size_t n);
/* A phrase that is a token's PIN: this, what tells the token (token_label), a line feed, the PIN. */
#define KEY_PIN_MARK '\001'
/*
 * Loads a PEM or DER private key from a descriptor (borrowed) as the next id. `name` for messages; where it is the URI of a
 * key on a token, the key is used there, and the descriptor is that of a file with the PIN, or -1. 0 and *ref, or -1 with
 * *e: what is wrong with it, and the mend; CERT_KEY_LOCKED (cert/load.h) with *e: no phrase opens it.
 */
int key_store_add(struct key_store *s, int fd, const char *name, struct key_ref *ref, struct err *e);
/* The back end's operation on a store, with its checks: known algorithms, known DigestInfo prefixes, lengths. 0 or GNUTLS_E_*. */
int key_store_run(struct key_store *s, uint32_t key, enum key_operation op, unsigned algorithm, const unsigned char *in, size_t len,
		  unsigned char *out, size_t cap, size_t *out_len);
void key_store_free(struct key_store *s);               /* wipes */

#endif

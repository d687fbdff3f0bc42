/*
 * key.c - private keys as GnuTLS asks for them: handed to the process's back end. The client half of the keyholder's
 * protocol runs in children; the store of keys in the keyholder, under -X and in the checking job.
 */
#include "tls/key.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/secret.h"
#include "cert/load.h"
#include "cert/token.h"
#include "tls/counters.h"
#include "tls/keyproto.h"

#define PREMASTER 48                    /* RFC 5246, 7.4.7.1 */
#define KEY_RESEND_MS 1500              /* a keyholder that died with our question in its hands will not answer it */
#define KEY_STEP_MS 25                  /* how often we look whether it died */
#define KEY_COMPLAIN_MS 200

static const struct key_ops *backend;
static void *backend_ctx;

void key_use(const struct key_ops *ops, void *ctx)
{
	backend = ops;
	backend_ctx = ctx;
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
	return now_us() / 1000;
}

/* ------------------------------------------------------------------------------------------------ for GnuTLS */

static int run(const struct key_ref *ref, enum key_operation op, unsigned algorithm, const gnutls_datum_t *in,
	       gnutls_datum_t *out)
{
	unsigned char answer[KEY_MAX_SIGNATURE];
	int64_t begun;
	size_t n = 0;
	int r;

	out->data = NULL;               /* freed unasked when we fail */
	out->size = 0;
	if (!backend)
		return GNUTLS_E_PK_SIGN_FAILED;
	tls_count_key_begin();
	begun = now_us();
	r = backend->run(backend_ctx, ref->id, op, algorithm, in->data, in->size, answer, sizeof answer, &n);
	tls_count_key_end((uint64_t)(now_us() - begun), r);
	if (r < 0)
		return r;
	out->data = gnutls_malloc(n ? n : 1);
	if (out->data) {
		memcpy(out->data, answer, n);
		out->size = (unsigned)n;
	}
	secret_wipe(answer, n);         /* it may be a premaster secret */
	return out->data ? 0 : GNUTLS_E_MEMORY_ERROR;
}

static int on_sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *ref, unsigned flags,
			const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
	(void)key, (void)flags;
	return run(ref, KEY_SIGN_HASH, algorithm, hash, signature);
}

static int on_sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *ref, unsigned flags,
			const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	(void)key, (void)flags;
	return run(ref, KEY_SIGN_DATA, algorithm, data, signature);
}

static int on_decrypt(gnutls_privkey_t key, void *ref, const gnutls_datum_t *cipher, gnutls_datum_t *plain)
{
	(void)key;
	return run(ref, KEY_DECRYPT, 0, cipher, plain);
}

static void on_deinit(gnutls_privkey_t key, void *ref)
{
	(void)key;
	free(ref);
}

static int on_info(gnutls_privkey_t key, unsigned flags, void *arg)
{
	const struct key_ref *ref = arg;

	(void)key;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return (int)ref->algorithm;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)ref->bits;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return gnutls_sign_supports_pk_algorithm(GNUTLS_FLAGS_TO_SIGN_ALGO(flags), ref->algorithm) != 0;
	return -1;
}

int key_import(gnutls_privkey_t *out, const struct key_ref *ref)
{
	struct key_ref *mine = malloc(sizeof *mine);
	gnutls_privkey_t key;
	int r;

	if (!mine)
		return GNUTLS_E_MEMORY_ERROR;
	*mine = *ref;
	r = gnutls_privkey_init(&key);
	if (r < 0) {
		free(mine);
		return r;
	}
	/* Both ways of signing must be there: GnuTLS calls through a null pointer otherwise. */
	r = gnutls_privkey_import_ext4(key, mine, on_sign_data, on_sign_hash, on_decrypt, on_deinit, on_info,
				       0);
	if (r < 0) {
		gnutls_privkey_deinit(key);
		free(mine);
		return r;
	}
	*out = key;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ by the keyholder */

/* A question under way. */
struct wait {
	const struct key_link *link;
	uint32_t id, deaths;            /* of keyholders when it was put */
	const unsigned char *request;
	size_t n;
	int64_t end, again, complain;   /* ms: given up; put again without a sign; the master told that we wait */
};

static uint32_t deaths(const struct key_link *l)
{
	return l->calls ? atomic_load_explicit(&l->calls->deaths, memory_order_acquire) : 0;
}

/*
 * Puts the question; never waits for long: a keyholder that is stopped must not stop us for good. Not by ipc_send, which would
 * wait where there is no room; asking for room before costs a call that is needed only then.
 */
static int put(struct wait *w, int64_t until)
{
	struct ipc_head head = { KEY_MSG_RUN, w->id };
	struct iovec iov[2] = { { &head, sizeof head }, { (void *)(uintptr_t)w->request, w->n } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct pollfd p = { .fd = w->link->fd, .events = POLLOUT };
	int64_t left = until - now_ms();
	struct timespec t = { .tv_sec = left > 0 ? left / 1000 : 0, .tv_nsec = left > 0 ? left % 1000 * 1000000 : 0 };
	uint32_t died = deaths(w->link);

	if (sendmsg(w->link->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -1;
		return ppoll(&p, 1, &t, NULL) < 0 && errno != EINTR ? -1 : 0;
	}
	w->deaths = died;
	w->again = now_ms() + KEY_RESEND_MS;
	return 1;
}

static void complain(struct wait *w)
{
	static const uint64_t one = 1;

	w->complain = now_ms() + KEY_COMPLAIN_MS;
	if (!w->link->calls)
		return;
	atomic_fetch_add_explicit(&w->link->calls->complaints, 1, memory_order_relaxed);
	if (w->link->wake >= 0 && write(w->link->wake, &one, sizeof one) < 0)
		errno = 0;              /* its count is full: it has been woken */
}

/*
 * 1 the answer is in *m, 0 not yet, -1 there will be none. Answers to questions that were given up may come first. The socket
 * itself gives up a receive after KEY_STEP_MS: one call where looking first and then waiting would be three.
 */
static int take(struct wait *w, struct ipc_message *m, int64_t until)
{
	do {
		int got = ipc_recv(w->link->fd, m);

		if (got == 1 && m->head.id == w->id)
			return 1;
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EBADMSG))
			return -1;
		if (got == 1)
			ipc_drop_fds(m);
	} while (now_ms() < until);
	return 0;
}

static int set_step(struct key_link *l)
{
	static const struct timeval step = { .tv_usec = KEY_STEP_MS * 1000 };

	if (!l->steps && setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof step) < 0)
		return -1;
	l->steps = true;
	return 0;
}

static int ask(struct wait *w, struct ipc_message *m)
{
	bool put_yet = false;
	int r = 0;

	for (int64_t now; r == 0 && (now = now_ms()) < w->end; ) {
		int64_t until = now + KEY_STEP_MS < w->end ? now + KEY_STEP_MS : w->end;

		if (!put_yet || now >= w->again || deaths(w->link) != w->deaths) {
			r = put(w, until);
			put_yet |= r > 0;
		}
		if (r >= 0 && put_yet)
			r = take(w, m, until);
		if (r == 0 && now_ms() >= w->complain)
			complain(w);
	}
	return r;
}

/* What an answer comes to; anything odd is a failure, never more. */
static int take_answer(const struct ipc_message *m, unsigned char *out, size_t cap, size_t *out_len)
{
	int32_t code;

	if (ipc_is(m, KEY_MSG_RESULT, 1, cap)) {
		memcpy(out, m->data, m->len);
		*out_len = m->len;
		return 0;
	}
	if (ipc_is(m, KEY_MSG_ERROR, sizeof code, sizeof code)) {
		memcpy(&code, m->data, sizeof code);
		/* AGAIN and INTERRUPTED would make GnuTLS skip its message (they do not mean waiting here). */
		if (code < 0 && gnutls_error_is_fatal(code))
			return code;
	}
	return GNUTLS_E_PK_SIGN_FAILED;
}

static int keyholder_run(void *ctx, uint32_t key, enum key_operation op, unsigned algorithm,
			 const unsigned char *in, size_t len, unsigned char *out, size_t cap, size_t *out_len)
{
	static struct ipc_message m;            /* a child does one thing at a time */
	static unsigned char request[IPC_MAX_DATA];
	static uint32_t last_id;
	const struct key_request head = { key, (uint32_t)op, algorithm, (uint32_t)len };
	struct wait w = { .link = ctx, .id = ++last_id, .request = request, .n = sizeof head + len, .complain = now_ms() + KEY_COMPLAIN_MS };
	int code = GNUTLS_E_PK_SIGN_FAILED, answered;

	if (len > sizeof request - sizeof head)
		return GNUTLS_E_INVALID_REQUEST;
	if (set_step(ctx) < 0)
		return code;
	memcpy(request, &head, sizeof head);
	if (len)
		memcpy(request + sizeof head, in, len);
	w.end = now_ms() + (w.link->timeout_ms ? w.link->timeout_ms : KEY_TIMEOUT_MS);
	answered = ask(&w, &m);
	if (answered == 0)
		tls_count_key_late();
	if (answered == 1) {
		code = take_answer(&m, out, cap, out_len);
		ipc_drop_fds(&m);
		secret_wipe(m.data, m.len);
	}
	return code;
}

const struct key_ops key_ops_keyholder = { keyholder_run };

/* ------------------------------------------------------------------------------------------------ the keys themselves */

struct stored_key {
	gnutls_privkey_t key;
	struct key_ref ref;
};
struct key_store {
	struct stored_key *at;
	unsigned n, cap;
	const char *phrases;
	size_t phrases_n;
};

struct key_store *key_store_new(void)
{
	return calloc(1, sizeof(struct key_store));
}

void key_store_free(struct key_store *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n; i++)
		gnutls_privkey_deinit(s->at[i].key);            /* GnuTLS wipes the numbers */
	free(s->at);
	free(s);
}

void key_store_phrases(struct key_store *s, const char *phrases, size_t n)
{
	s->phrases = phrases;
	s->phrases_n = n;
}

static int judge_key(gnutls_privkey_t key, const char *name, struct key_ref *ref, struct err *e)
{
	int algorithm = gnutls_privkey_get_pk_algorithm(key, &ref->bits);

	ref->algorithm = algorithm < 0 ? GNUTLS_PK_UNKNOWN : (gnutls_pk_algorithm_t)algorithm;
	switch (ref->algorithm) {
	case GNUTLS_PK_RSA:
	case GNUTLS_PK_RSA_PSS:
		if (ref->bits >= 1024 && ref->bits <= KEY_MAX_SIGNATURE * 8)
			break;
		err_set(e, "the RSA key in %s has %u bits", name, ref->bits);
		return err_remedy(e, "make one of 2048 to 4096 bits, or better an ECDSA key");
	case GNUTLS_PK_ECDSA:
	case GNUTLS_PK_EDDSA_ED25519:
	case GNUTLS_PK_EDDSA_ED448:
		break;
	default:
		err_set(e, "the key in %s is of a kind that TLS servers do not use any more: %s", name,
			algorithm < 0 ? "unknown" : gnutls_pk_get_name(ref->algorithm));
		return err_remedy(e, "make an ECDSA or RSA key and a certificate for it");
	}
	if (cert_key_spki(key, ref->spki) != 0)
		return err_set(e, "the public part of the key in %s cannot be made", name);
	return 0;
}

static int make_room(struct key_store *s, struct err *e)
{
	if (s->n == s->cap) {
		unsigned cap = s->cap ? s->cap * 2 : 8;
		struct stored_key *at = reallocarray(s->at, cap, sizeof *at);
		if (!at)
			return err_set(e, "out of memory");
		s->at = at;
		s->cap = cap;
	}
	return 0;
}

/* The PIN of a token: in its URI, in the file that this names (fd), or asked for. NULL: none of these. */
static const char *pin_of(const struct key_store *s, const char *uri, int fd, char buf[TOKEN_MAX_URI])
{
	char label[TOKEN_MAX_URI];
	ssize_t n;

	if (token_pin_value(uri, buf))
		return buf;
	if (fd >= 0) {
		n = pread(fd, buf, TOKEN_MAX_PIN, 0);
		buf[n > 0 ? n : 0] = '\0';
		buf[strcspn(buf, "\r\n")] = '\0';
		return buf;
	}
	token_label(uri, label);
	for (size_t at = 0; at < s->phrases_n; at += strlen(s->phrases + at) + 1) {
		const char *p = s->phrases + at;
		size_t l = strlen(label);

		if (*p == KEY_PIN_MARK && strncmp(p + 1, label, l) == 0 && p[1 + l] == '\n') {
			snprintf(buf, TOKEN_MAX_URI, "%s", p + 2 + l);
			return buf;
		}
	}
	return NULL;
}

static int from_token(gnutls_privkey_t *key, const struct key_store *s, const char *uri, int fd, struct err *e)
{
	char buf[TOKEN_MAX_URI];
	int r = token_key(key, uri, pin_of(s, uri, fd, buf), e);

	secret_wipe(buf, sizeof buf);
	return r;
}

int key_store_add(struct key_store *s, int fd, const char *name, struct key_ref *ref, struct err *e)
{
	char shown[TOKEN_MAX_URI];
	gnutls_privkey_t key;
	int r;

	if (make_room(s, e) < 0)
		return -1;
	if (token_is_uri(name)) {
		r = from_token(&key, s, name, fd, e);
		name = token_shown(name, shown);
	} else {
		r = cert_key_load_with(&key, fd, name, s->phrases, s->phrases_n, e);
	}
	if (r != 0)
		return r;
	memset(ref, 0, sizeof *ref);
	ref->id = s->n;
	if (judge_key(key, name, ref, e) != 0) {
		gnutls_privkey_deinit(key);
		return -1;
	}
	s->at[s->n].key = key;
	s->at[s->n++].ref = *ref;
	return 0;
}

/* RFC 8017, 9.2, note 1: what stands before the hash in a PKCS #1 signature. TLS 1.0 and 1.1 sign MD5 and SHA-1, bare. */
static bool known_digest_info(const unsigned char *in, size_t len)
{
	static const struct { unsigned char n, hash; unsigned char prefix[19]; } known[] = {
		{ 15, 20, { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14 } },
		{ 19, 32, { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 } },
		{ 19, 48, { 0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30 } },
		{ 19, 64, { 0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40 } },
	};

	if (len == 36)
		return true;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (len == (size_t)known[i].n + known[i].hash && memcmp(in, known[i].prefix, known[i].n) == 0)
			return true;
	return false;
}

/* A hash may be signed with an algorithm that TLS uses with this key, at the hash's own length. */
static bool hash_allowed(const struct key_ref *ref, unsigned algorithm, const unsigned char *in, size_t len)
{
	gnutls_digest_algorithm_t digest;

	if (algorithm == GNUTLS_SIGN_RSA_RAW)
		return ref->algorithm == GNUTLS_PK_RSA && known_digest_info(in, len);
	switch (algorithm) {
	case GNUTLS_SIGN_RSA_SHA1:
	case GNUTLS_SIGN_RSA_SHA256:
	case GNUTLS_SIGN_RSA_SHA384:
	case GNUTLS_SIGN_RSA_SHA512:
	case GNUTLS_SIGN_RSA_PSS_SHA256: case GNUTLS_SIGN_RSA_PSS_SHA384: case GNUTLS_SIGN_RSA_PSS_SHA512:
	case GNUTLS_SIGN_RSA_PSS_RSAE_SHA256:
	case GNUTLS_SIGN_RSA_PSS_RSAE_SHA384:
	case GNUTLS_SIGN_RSA_PSS_RSAE_SHA512:
	case GNUTLS_SIGN_ECDSA_SHA1:
	case GNUTLS_SIGN_ECDSA_SHA256:
	case GNUTLS_SIGN_ECDSA_SHA384:
	case GNUTLS_SIGN_ECDSA_SHA512:
	case GNUTLS_SIGN_ECDSA_SECP256R1_SHA256:
	case GNUTLS_SIGN_ECDSA_SECP384R1_SHA384:
	case GNUTLS_SIGN_ECDSA_SECP521R1_SHA512:
		break;
	default:
		return false;
	}
	digest = gnutls_sign_get_hash_algorithm((gnutls_sign_algorithm_t)algorithm);
	return gnutls_sign_supports_pk_algorithm((gnutls_sign_algorithm_t)algorithm, ref->algorithm)
	       && digest != GNUTLS_DIG_UNKNOWN && len == gnutls_hash_get_len(digest);
}

/*
 * EdDSA signs a whole text: only one that a TLS server signs. 1.3: 64 blanks, the context's words, a zero, a hash
 * (RFC 8446, 4.4.3). 1.2: both randoms and ECDHE parameters of a named curve (RFC 8422, 5.4).
 */
static bool data_allowed(const struct key_ref *ref, unsigned algorithm, const unsigned char *in, size_t len)
{
	static const char words[] = "TLS 1.3, server CertificateVerify";
	size_t front = 64 + sizeof words;       /* its terminator is the zero */

	if (!(ref->algorithm == GNUTLS_PK_EDDSA_ED25519 && algorithm == GNUTLS_SIGN_EDDSA_ED25519)
	    && !(ref->algorithm == GNUTLS_PK_EDDSA_ED448 && algorithm == GNUTLS_SIGN_EDDSA_ED448))
		return false;
	if (len == front + 32 || len == front + 48) {
		bool good = memcmp(in + 64, words, sizeof words) == 0;
		for (unsigned i = 0; i < 64; i++)
			good &= in[i] == ' ';
		if (good)
			return true;
	}
	return len > 68 && in[64] == 3 && len == 68u + in[67];
}

static int give(const gnutls_datum_t *signature, unsigned char *out, size_t cap, size_t *out_len)
{
	if (signature->size > cap)
		return GNUTLS_E_SHORT_MEMORY_BUFFER;
	memcpy(out, signature->data, signature->size);
	*out_len = signature->size;
	return 0;
}

/* A bad padding gives random bytes, as RFC 5246 (7.4.7.1) wants it of the whole server: the answer is no oracle. */
static int decrypt(const struct stored_key *k, const unsigned char *in, size_t len, unsigned char *out,
		   size_t cap, size_t *out_len)
{
	gnutls_datum_t cipher = { (unsigned char *)(uintptr_t)in, (unsigned)len };
	unsigned char plain[PREMASTER];
	unsigned char mask;
	int r;

	if (k->ref.algorithm != GNUTLS_PK_RSA || len != (k->ref.bits + 7) / 8)
		return GNUTLS_E_INVALID_REQUEST;
	if (cap < PREMASTER)
		return GNUTLS_E_SHORT_MEMORY_BUFFER;
	if (gnutls_rnd(GNUTLS_RND_NONCE, out, PREMASTER) < 0)
		return GNUTLS_E_RANDOM_FAILED;
	memset(plain, 0, sizeof plain);
	r = gnutls_privkey_decrypt_data2(k->key, 0, &cipher, plain, sizeof plain);
	mask = (unsigned char)-(r >= 0);
	for (unsigned i = 0; i < PREMASTER; i++)
		out[i] = (unsigned char)((plain[i] & mask) | (out[i] & ~mask));
	secret_wipe(plain, sizeof plain);
	*out_len = PREMASTER;
	return 0;
}

int key_store_run(struct key_store *s, uint32_t key, enum key_operation op, unsigned algorithm,
		  const unsigned char *in, size_t len, unsigned char *out, size_t cap, size_t *out_len)
{
	gnutls_datum_t data = { (unsigned char *)(uintptr_t)in, (unsigned)len }, signature = { 0 };
	const struct stored_key *k;
	int r;

	*out_len = 0;
	if (key >= s->n || len == 0 || len > IPC_MAX_DATA)
		return GNUTLS_E_INVALID_REQUEST;
	k = &s->at[key];
	switch (op) {
	case KEY_SIGN_HASH:
		if (!hash_allowed(&k->ref, algorithm, in, len))
			return GNUTLS_E_INVALID_REQUEST;
		r = algorithm == GNUTLS_SIGN_RSA_RAW
			    ? gnutls_privkey_sign_hash(k->key, GNUTLS_DIG_UNKNOWN,
						       GNUTLS_PRIVKEY_SIGN_FLAG_TLS1_RSA, &data, &signature)
			    : gnutls_privkey_sign_hash2(k->key, (gnutls_sign_algorithm_t)algorithm, 0, &data,
							&signature);
		break;
	case KEY_SIGN_DATA:
		if (!data_allowed(&k->ref, algorithm, in, len))
			return GNUTLS_E_INVALID_REQUEST;
		r = gnutls_privkey_sign_data2(k->key, (gnutls_sign_algorithm_t)algorithm, 0, &data, &signature);
		break;
	case KEY_DECRYPT:
		return decrypt(k, in, len, out, cap, out_len);
	default:
		return GNUTLS_E_INVALID_REQUEST;
	}
	if (r >= 0)
		r = give(&signature, out, cap, out_len);
	gnutls_free(signature.data);
	return r;
}

static int direct_run(void *ctx, uint32_t key, enum key_operation op, unsigned algorithm,
		      const unsigned char *in, size_t len, unsigned char *out, size_t cap, size_t *out_len)
{
	return key_store_run(ctx, key, op, algorithm, in, len, out, cap, out_len);
}

const struct key_ops key_ops_direct = { direct_run };

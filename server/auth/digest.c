/*
 * digest.c - AuthType Digest (RFC 7616, with MD5 as files of htdigest have it): the client proves that it knows the password, and
 * does not send it. Made ready in the master, runs in the children.
 *
 * A nonce is the time it was made at and a MAC over that time and the realm, under a secret that the master chose before any
 * child was forked: so every child, of every generation, knows the nonces of the others, and nothing is kept for them. How
 * often a nonce was used is kept where AuthDigestNcCheck asks for it: in a table of counts that all children share.
 *
 *   nonce   TTTTTTTTTTTTTTTT MMMM…     16 digits: us since the epoch; 32 digits: half of an HMAC-SHA-256
 *   count   [ tag of the nonce: 32 bits | the highest nc that was seen: 32 bits ], one word, exchanged whole
 */
#include "auth/authn.h"

#include <gcrypt.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <time.h>

#include "auth/password.h"
#include "auth/userfile.h"
#include "base/secret.h"
#include "request/phases.h"

#define KEY 32
#define HEX 32                          /* digits of an MD5, and of a nonce's MAC */
#define TIME 16                         /* digits of a nonce's time */
#define NONCE (TIME + HEX)
#define COUNTS 8192
#define LIFETIME_MS 300000

static unsigned char *key;              /* KEY bytes */
static _Atomic uint64_t *counts;        /* COUNTS */

int digest_prepare(void)
{
	if (!key) {
		key = secret_alloc(KEY, 0);
		if (!key || secret_random(key, KEY) != 0)
			return -1;
	}
	if (!counts) {
		void *p = mmap(NULL, COUNTS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return -1;
		counts = p;
	}
	return 0;
}

/* ---------------------------------------------------------------------------------------------- digests */

static void put_digits(char *out, const unsigned char *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

/* MD5 of parts joined by colons, as digits; the row ends with NULL. */
static void md5(char out[HEX + 1], const char *const *parts)
{
	unsigned char digest[16];
	gcry_md_hd_t md;

	out[0] = '\0';
	if (gcry_md_open(&md, GCRY_MD_MD5, 0))
		return;
	for (const char *const *p = parts; *p; p++) {
		if (p != parts)
			gcry_md_write(md, ":", 1);
		gcry_md_write(md, *p, strlen(*p));
	}
	memcpy(digest, gcry_md_read(md, GCRY_MD_MD5), sizeof digest);
	gcry_md_close(md);
	put_digits(out, digest, sizeof digest);
}

/* Half of a MAC is plenty, and keeps the field short. 0 or -1. */
static int mac(char out[HEX + 1], const char *what, const char *time, const char *realm)
{
	unsigned char digest[32];
	size_t n = sizeof digest;
	gcry_mac_hd_t h;
	int bad;

	if (!key || gcry_mac_open(&h, GCRY_MAC_HMAC_SHA256, 0, NULL))
		return -1;
	bad = gcry_mac_setkey(h, key, KEY) || gcry_mac_write(h, what, strlen(what) + 1) || gcry_mac_write(h, time, strlen(time) + 1)
	      || gcry_mac_write(h, realm, strlen(realm)) || gcry_mac_read(h, digest, &n);
	gcry_mac_close(h);
	if (bad)
		return -1;
	put_digits(out, digest, HEX / 2);
	return 0;
}

/* ---------------------------------------------------------------------------------------------- nonces */

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int nonce_make(char out[NONCE + 1], const char *realm)
{
	static int64_t last;
	int64_t now = now_us();
	char time[TIME + 1];
	struct buf b;

	last = now > last ? now : last + 1;     /* no two of this child are the same */
	buf_init(&b, time, sizeof time);
	buf_printf(&b, "%016llx", (unsigned long long)last);
	memcpy(out, time, TIME);
	return mac(out + TIME, "nonce", time, realm);
}

const char *digest_challenge(struct request *r, const struct authn_section *s, const char *realm, bool stale)
{
	char nonce[NONCE + 1], opaque[HEX + 1];
	const char *quoted = authn_quoted(r, realm);

	password_init();
	if (!quoted || nonce_make(nonce, realm) != 0 || mac(opaque, "opaque", "", realm) != 0)
		return NULL;
	return arena_printf(r->arena, "Digest realm=%s, nonce=\"%s\", algorithm=MD5, opaque=\"%s\"%s%s%s%s%s", quoted, nonce, opaque,
			    s->domain ? ", domain=\"" : "", s->domain ? s->domain : "", s->domain ? "\"" : "", stale ? ", stale=true" : "",
			    s->no_qop == 1 ? "" : ", qop=\"auth\"");
}

/* Whether a use of a nonce is a new one: its count must be higher than any before. A nonce that was pushed out of the table is new. */
static bool nc_is_new(const char *nonce, uint32_t nc)
{
	uint64_t tag, old, was;
	_Atomic uint64_t *at;

	/* Its MAC is as good as random. */
	if (text_hex64((struct text){ nonce + TIME, 16 }, UINT64_MAX, &tag) != 0)
		return false;
	at = &counts[tag % COUNTS];
	tag = tag >> 32 << 32;
	old = atomic_load(at);
	do {
		was = old;
		if (was >> 32 << 32 == tag && (uint32_t)was >= nc)
			return false;
	} while (!atomic_compare_exchange_weak(at, &old, tag | nc));
	return true;
}

/* ---------------------------------------------------------------------------------------------- what came */

struct given {
	const char *user, *realm, *nonce, *uri, *response, *algorithm, *cnonce, *opaque, *qop, *nc;
};

static const struct { const char *name; size_t offset; } names[] = {
	{ "username", offsetof(struct given, user) }, { "realm", offsetof(struct given, realm) }, { "nonce", offsetof(struct given, nonce) },
	{ "uri", offsetof(struct given, uri) }, { "response", offsetof(struct given, response) }, { "algorithm", offsetof(struct given, algorithm) },
	{ "cnonce", offsetof(struct given, cnonce) }, { "opaque", offsetof(struct given, opaque) }, { "qop", offsetof(struct given, qop) },
	{ "nc", offsetof(struct given, nc) },
};

/* The value of a parameter, quotes and backslashes taken off; NULL: no memory, or a NUL in it. */
static const char *unquoted(struct request *r, struct text t)
{
	char *out = arena_alloc(r->arena, t.n + 1), *p = out;

	if (!out || memchr(t.p, '\0', t.n))
		return NULL;
	if (t.n < 2 || t.p[0] != '"' || t.p[t.n - 1] != '"') {
		memcpy(out, t.p, t.n);
		out[t.n] = '\0';
		return out;
	}
	for (size_t i = 1; i + 1 < t.n; i++) {
		if (t.p[i] == '\\' && i + 2 < t.n)
			i++;
		*p++ = t.p[i];
	}
	*p = '\0';
	return out;
}

/* 0, or -1: a part that must be there is missing, or is there twice. */
static int given_read(struct request *r, struct text rest, struct given *g)
{
	struct text member, name;

	*g = (struct given){ NULL };
	while (fields_list_next(&rest, &member)) {
		struct text value = member;

		if (!text_split(&value, '=', &name) || !value.p)
			return -1;
		name = text_trim(name);
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
			const char **field = (const char **)(void *)((char *)g + names[i].offset);

			if (!text_is_nocase(name, names[i].name))
				continue;
			if (*field)
				return -1;
			*field = unquoted(r, text_trim(value));
			if (!*field)
				return -1;
		}
	}
	if (!g->user || !g->realm || !g->nonce || !g->uri || !g->response || (g->qop && (!g->cnonce || !g->nc)))
		return -1;
	return 0;
}

/* The request that the client signed: look-ups and redirects inside the server have other methods. */
static const struct request *as_it_came(const struct request *r)
{
	while (r->parent || r->original)
		r = r->parent ? r->parent : r->original;
	return r;
}

/* The target of the request, or what stands behind host and port in it, must be what was signed. */
static bool uri_is_ours(const struct request *r, const char *uri)
{
	struct text t;

	r = as_it_came(r);
	t = r->target;
	if (text_is(t, uri))
		return true;
	if (r->uri.form != URI_ABSOLUTE || !r->uri.path.p)
		return false;
	return strlen(uri) == (size_t)(t.p + t.n - r->uri.path.p) && memcmp(uri, r->uri.path.p, strlen(uri)) == 0;
}

/* ---------------------------------------------------------------------------------------------- the look */

static unsigned refused(struct request *r, const struct given *g, bool stale)
{
	return stale ? authn_challenge(r, true) : authn_failed(r, g->user, false);
}

/* The hash of USER:REALM:PASSWORD. 0, 401 (nobody has the name), or 500. A hash of somebody is there in any case but 500. */
static unsigned find_hash(struct request *r, const struct authn_section *s, const struct given *g, char hash[USERFILE_HASH])
{
	const struct authn_provider *p = s->digest ? s->digest : authn_default_provider();
	struct userfile_entry e;

	hash[0] = '\0';
	for (; p; p = p->next) {
		const char *file = p->own ? p->own->user_file : s->user_file;
		enum userfile_found found;

		if (!file) {
			log_errorx(&r->client->about, LOG_AUTHZ, "BH0640", "AuthUserFile not specified in the configuration: %s (it names the file that htdigest makes)", r->path);
			return 500;
		}
		found = userfile_find(file, g->user, g->realm, &e);
		if (found == USERFILE_ERROR) {
			log_error(&r->client->about, LOG_AUTHZ, "BH0641", "could not open password file: %s (the children's user must be able to read it)", file);
			return 500;
		}
		memcpy(hash, e.hash, strlen(e.hash) + 1);
		if (found == USERFILE_FOUND)
			return 0;
	}
	return 401;
}

/* RFC 7616, 3.4.1; without qop as in RFC 2069. `method` empty: of our own answer (rspauth). */
static void response_of(char out[HEX + 1], const char *hash, const struct given *g, const char *method)
{
	char a2[HEX + 1];

	md5(a2, (const char *[]){ method, g->uri, NULL });
	if (g->qop)
		md5(out, (const char *[]){ hash, g->nonce, g->nc, g->cnonce, g->qop, a2, NULL });
	else
		md5(out, (const char *[]){ hash, g->nonce, a2, NULL });
}

static bool response_matches(struct request *r, const struct given *g, const char *hash)
{
	struct text came = as_it_came(r)->method;
	const char *method = arena_strndup(r->arena, came.p, came.n);
	char wanted[HEX + 1];

	if (!method)
		return false;
	response_of(wanted, hash, g, method);
	return strlen(g->response) == HEX && strlen(wanted) == HEX && password_same(wanted, g->response, HEX);
}

/* What does not depend on the password. 0 or 401. */
static unsigned check_form(struct request *r, const struct authn_section *s, const struct given *g, const char *realm)
{
	const struct log_about *about = &r->client->about;

	if (strcmp(g->realm, realm) != 0) {
		if (!r->quiet)
			log_errorx(about, LOG_AUTHZ, NULL, "realm mismatch - got `%s' but expected `%s' (BH0647)", authn_shown(r, g->realm), realm);
		return refused(r, g, false);
	}
	if (g->algorithm && strcasecmp(g->algorithm, "MD5") != 0) {
		if (!r->quiet)
			log_errorx(about, LOG_AUTHZ, NULL, "unknown algorithm `%s' received: %s (BH0647)", authn_shown(r, g->algorithm), r->path);
		return refused(r, g, false);
	}
	if (g->qop ? strcasecmp(g->qop, "auth") != 0 : s->no_qop != 1) {
		if (!r->quiet)
			log_errorx(about, LOG_AUTHZ, NULL, "invalid qop `%s' received: %s (BH0647)", g->qop ? authn_shown(r, g->qop) : "", r->path);
		return refused(r, g, false);
	}
	return 0;
}

/* Behind a right password: a nonce that is not ours, or too old, is answered with a new one, and nobody is asked again. 0 or 401. */
static unsigned check_nonce(struct request *r, const struct authn_section *s, const struct given *g, const char *realm)
{
	int64_t lifetime = s->lifetime_ms == -2 ? LIFETIME_MS : s->lifetime_ms, age;
	char time[TIME + 1], wanted[HEX + 1], opaque[HEX + 1];
	uint64_t made, nc = 0;

	if (strlen(g->nonce) != NONCE) {
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, NULL, "invalid nonce `%s' received - length is not %d (BH0648)", authn_shown(r, g->nonce), NONCE);
		return refused(r, g, true);
	}
	memcpy(time, g->nonce, TIME);
	time[TIME] = '\0';
	if (mac(wanted, "nonce", time, realm) != 0 || mac(opaque, "opaque", "", realm) != 0 || text_hex64(text_of(time), INT64_MAX, &made) != 0
	    || !password_same(wanted, g->nonce + TIME, HEX) || (g->opaque && strcmp(g->opaque, opaque) != 0)) {
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, NULL, "invalid nonce `%s' received - it was not made here (BH0648)", authn_shown(r, g->nonce));
		return refused(r, g, true);
	}
	age = (now_us() - (int64_t)made) / 1000;
	if (age < -1000) {
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, NULL, "invalid nonce `%s' received - user attempted time travel (BH0648)", authn_shown(r, g->nonce));
		return refused(r, g, true);
	}
	if (lifetime > 0 && age > lifetime)
		return refused(r, g, true);
	if (s->check_nc != 1 && lifetime != 0)
		return 0;
	if (!g->nc || text_hex64(text_of(g->nc), UINT32_MAX, &nc) != 0 || (lifetime == 0 && nc != 1) || !nc_is_new(g->nonce, (uint32_t)nc)) {
		log_infox(&r->client->about, LOG_AUTHZ, "BH0649", "user %s: the answer to a challenge came a second time: a new challenge is sent", authn_shown(r, g->user));
		return refused(r, g, true);
	}
	return 0;
}

/* Proves to the client that we know the password, too (RFC 7616, 3.5). */
static void answer_info(struct request *r, const struct given *g, const char *hash)
{
	char proof[HEX + 1];
	const char *cnonce, *value;

	if (!g->qop)
		return;
	response_of(proof, hash, g, "");
	cnonce = authn_quoted(r, g->cnonce);
	value = cnonce ? arena_printf(r->arena, "rspauth=\"%s\", cnonce=%s, nc=%.8s, qop=auth", proof, cnonce, g->nc) : NULL;
	if (value && strspn(g->nc, "0123456789abcdefABCDEF") == strlen(g->nc))
		fields_add(&r->always, TEXT("Authentication-Info"), text_of(value));
}

static unsigned look(struct request *r, const struct authn_section *s, const struct given *g, const char *realm)
{
	char hash[USERFILE_HASH];
	unsigned status, found;
	bool matches;

	if (!uri_is_ours(r, g->uri)) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0647", "uri mismatch - <%s> does not match request-uri <%s>", authn_shown(r, g->uri), r->path);
		return 400;
	}
	status = check_form(r, s, g, realm);
	if (status)
		return status;
	found = find_hash(r, s, g, hash);
	if (found == 500)
		return 500;
	matches = response_matches(r, g, hash);
	if (found == 401) {
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, NULL, "user `%s' in realm `%s' not found: %s (BH0631)", authn_shown(r, g->user), realm, r->path);
		return refused(r, g, false);
	}
	if (!matches) {
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, NULL, "user %s: password mismatch: %s (BH0630)", authn_shown(r, g->user), r->path);
		return refused(r, g, false);
	}
	status = check_nonce(r, s, g, realm);
	if (status == 0)
		answer_info(r, g, hash);
	secret_wipe(hash, sizeof hash);
	return status;
}

unsigned digest_run(struct request *r, const struct authn_section *s)
{
	struct text value = fields_get(&r->in, "Authorization");
	const char *realm = authn_realm(r);
	struct given g;
	unsigned status;

	password_init();
	if (!realm)
		return 500;
	if (!value.p)
		return authn_challenge(r, false);
	if (value.n < 7 || !text_is_nocase((struct text){ value.p, 7 }, "Digest ")) {
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, NULL, "client used wrong authentication scheme: %s (BH0645)", r->path);
		return authn_challenge(r, false);
	}
	status = authn_limited(r);
	if (status)
		return status;
	if (given_read(r, (struct text){ value.p + 7, value.n - 7 }, &g) != 0) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0647", "missing user, realm, nonce, uri, digest, cnonce, or nonce_count in authorization header: %s", r->path);
		return authn_challenge(r, false);
	}
	status = look(r, s, &g, realm);
	if (status == 0)
		r->user = g.user;
	return status;
}

/*
 * keys.c - which private keys a configuration needs, and how hosts get their certificates paired with them. Runs in the
 * master, which only opens key files and reads certificates, and in processes that may hold keys themselves (-X, -t and
 * the checking job: keys_load_direct).
 */
#include "process/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert/load.h"
#include "cert/token.h"
#include "log/log.h"
#include "process/phrases.h"
#include "process/seeds.h"
#include "tls/handshake.h"

static void *tls_of(const struct host *h)
{
	return host_config(h, &tls_module);
}

/* The main server first, then the virtual hosts in order of the text. */
static struct host *first_host(const struct config *cfg)
{
	return cfg->site->main;
}

static struct host *next_host(const struct config *cfg, const struct host *h)
{
	return h == cfg->site->main ? cfg->site->hosts : h->next;
}

void keys_prepare(void)
{
	struct err e = { .text = "" };

	if (tls_init(&e) < 0)
		log_noticex(NULL, LOG_SSL, "BH0132", "%s", e.text);
}

bool keys_tls_wanted(const struct config *cfg)
{
	for (const struct host *h = first_host(cfg); h; h = next_host(cfg, h))
		if (tls_policy_enabled(tls_of(h)))
			return true;
	return false;
}

const struct tls_cache_settings *keys_cache_settings(const struct config *cfg)
{
	return tls_cache_settings(tls_of(cfg->site->main));
}

static int find(const struct keys *k, const char *path)
{
	for (unsigned i = 0; i < k->n; i++)
		if (!strcmp(k->files[i].path, path))
			return (int)i;
	return -1;
}

static int grow(struct keys *k, unsigned n)
{
	struct tls_key_file *files = reallocarray(k->files, n, sizeof *files);
	const struct host **hosts = reallocarray(k->hosts, n, sizeof *hosts);

	if (files)
		k->files = files;
	if (hosts)
		k->hosts = hosts;
	return files && hosts ? 0 : -1;
}

int keys_collect(struct keys *k, struct config *cfg)
{
	unsigned room = 0;

	*k = (struct keys){ 0 };
	for (const struct host *h = first_host(cfg); h; h = next_host(cfg, h)) {
		struct tls_key_file files[TLS_MAX_KEYS];
		unsigned n = tls_policy_enabled(tls_of(h)) ? tls_policy_keys(tls_of(h), files) : 0;

		for (unsigned i = 0; i < n; i++) {
			if (find(k, files[i].path) >= 0)
				continue;
			if (k->n == room && grow(k, room += 16) < 0)
				return -1;
			k->hosts[k->n] = h;
			k->files[k->n++] = files[i];
		}
	}
	k->refs = calloc(k->n + 1, sizeof *k->refs);
	k->fds = calloc(k->n + 1, sizeof *k->fds);
	if (!k->refs || !k->fds)
		return -1;
	for (unsigned i = 0; i < k->n; i++)
		k->fds[i] = -1;
	return 0;
}

bool keys_on_tokens(const struct config *cfg)
{
	for (const struct host *h = first_host(cfg); h; h = next_host(cfg, h)) {
		struct tls_key_file files[TLS_MAX_KEYS];
		unsigned n = tls_policy_enabled(tls_of(h)) ? tls_policy_keys(tls_of(h), files) : 0;

		for (unsigned i = 0; i < n; i++)
			if (token_is_uri(files[i].path) || token_is_uri(files[i].certificate))
				return true;
	}
	return false;
}

/* Of a key on a token: the file that its PIN is in, where it names one. */
static int open_pin(struct keys *k, struct config *cfg, unsigned i)
{
	const struct tls_key_file *f = &k->files[i];
	char path[TOKEN_MAX_URI], shown[TOKEN_MAX_URI];

	k->fds[i] = -1;
	if (!token_pin_source(f->path, path))
		return 0;
	k->fds[i] = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (k->fds[i] >= 0)
		return 0;
	config_report_add(cfg, CONF_ERROR, &f->pos, "name a file with the PIN alone, that only root can read, or take pin-source out and be asked",
			  "the file %s with the PIN for %s cannot be opened: %s", path, token_shown(f->path, shown), strerror(errno));
	return -1;
}

int keys_open(struct keys *k, struct config *cfg)
{
	int result = 0;

	for (unsigned i = 0; i < k->n; i++) {
		const struct tls_key_file *f = &k->files[i];
		struct stat st;

		if (token_is_uri(f->path)) {
			if (open_pin(k, cfg, i) < 0)
				result = -1;
			continue;
		}
		k->fds[i] = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (k->fds[i] < 0) {
			int saved = errno;
			config_report_add(
				cfg, CONF_ERROR, &f->pos,
				saved == ENOENT
					? "name the file that holds the private key, or make one"
					: "start as root, or give the server's user the right to read it",
				"the private key %s cannot be opened: %s", f->path, strerror(saved));
			result = -1;
		} else if (fstat(k->fds[i], &st) < 0 || !S_ISREG(st.st_mode)) {
			config_report_add(cfg, CONF_ERROR, &f->pos,
					  "name the file that holds the private key",
					  "%s is not a plain file", f->path);
			result = -1;
		}
	}
	return result;
}

void keys_close(struct keys *k)
{
	for (unsigned i = 0; k->fds && i < k->n; i++)
		if (k->fds[i] >= 0)
			close(k->fds[i]);
	free(k->files);
	free(k->hosts);
	free(k->refs);
	free(k->fds);
	*k = (struct keys){ 0 };
}

/* Something of the host lies on a token: a check, which opens none, cannot finish it. */
static bool on_token(const struct tls_key_file *files, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (token_is_uri(files[i].path) || token_is_uri(files[i].certificate))
			return true;
	return false;
}

static int finish_hosts(struct keys *k, struct config *cfg, bool closed_tokens)
{
	int result = 0;

	for (struct host *h = first_host(cfg); h; h = next_host(cfg, h)) {
		struct tls_key_file files[TLS_MAX_KEYS];
		struct key_ref refs[TLS_MAX_KEYS];
		unsigned n;

		if (!tls_policy_enabled(tls_of(h)))
			continue;
		n = tls_policy_keys(tls_of(h), files);
		if (closed_tokens && on_token(files, n))
			continue;
		for (unsigned i = 0; i < n; i++)
			refs[i] = k->refs[find(k, files[i].path)];
		if (tls_policy_finish(tls_of(h), h->name, refs, n, &cfg->env) < 0)
			result = -1;
	}
	return result;
}

int keys_finish_hosts(struct keys *k, struct config *cfg)
{
	return finish_hosts(k, cfg, false);
}

/* A key that nobody opens here is taken to be its certificate's: no request will name it. */
static int note_locked(struct config *cfg, struct keys *k, unsigned i)
{
	const struct tls_key_file *f = &k->files[i];
	struct key_ref *ref = &k->refs[i];
	struct cert_chain c = { .n = 0 };
	struct err e = { .text = "" };

	*ref = (struct key_ref){ .id = UINT32_MAX };
	config_report_add(cfg, CONF_NOTICE, &f->pos, "the start asks for its pass phrase, as SSLPassPhraseDialog says",
			  "the private key %s is encrypted and was not opened: whether it belongs to %s is seen at the start", f->path,
			  f->certificate);
	if (cert_chain_load(&c, f->certificate, &e) == 0) {
		ref->algorithm = cert_algorithm(c.at[0], &ref->bits);
		cert_spki(c.at[0], ref->spki);
	}
	/* One that cannot be read is reported where hosts are finished. */
	cert_chain_free(&c);
	return 0;
}

static int load_one(struct config *cfg, struct keys *k, unsigned i, struct key_store *store, unsigned *locked)
{
	struct err e = { .text = "" };
	int r = key_store_add(store, k->fds[i], k->files[i].path, &k->refs[i], &e);

	if (r == 0)
		return 0;
	if (r == CERT_KEY_LOCKED && locked) {
		++*locked;
		return note_locked(cfg, k, i);
	}
	config_report_add(cfg, CONF_ERROR, &k->files[i].pos, *e.remedy ? e.remedy : NULL, "%s", e.text);
	return -1;
}

static int load_token(struct config *cfg, struct keys *k, unsigned i, struct key_store *store, unsigned *locked)
{
	char shown[TOKEN_MAX_URI];

	if (!locked)
		return load_one(cfg, k, i, store, locked);
	k->refs[i] = (struct key_ref){ .id = UINT32_MAX };
	config_report_add(cfg, CONF_NOTICE, &k->files[i].pos, "p11tool --login --list-all shows what is on a token",
			  "the private key %s is on a token, which a check does not open: whether it is there and belongs to its certificate is seen at the start or restart",
			  token_shown(k->files[i].path, shown));
	return 0;
}

/* Each in turn, into a store that was just made. */
static int load_all(struct config *cfg, struct keys *k, struct key_store *store, unsigned *locked)
{
	const char *phrases;
	size_t n;
	int result = 0;

	if (locked) {
		*locked = 0;
	} else {
		phrases = phrases_list(&n);
		key_store_phrases(store, phrases, n);
	}
	for (unsigned i = 0; i < k->n; i++)
		if (token_is_uri(k->files[i].path) ? load_token(cfg, k, i, store, locked) < 0 : k->fds[i] >= 0 && load_one(cfg, k, i, store, locked) < 0)
			result = -1;
	key_store_phrases(store, NULL, 0);
	return result;
}

/* An RSA signature of 2048 bits takes 1.7 ms of a processor of today, one of 3072 twice, of 4096 four times that; ECDSA on P-256 0.05 ms. */
static unsigned rsa_tenths(unsigned bits)
{
	return bits > 3584 ? 68 : bits > 2560 ? 34 : 17;
}

/* What a certificate of the other kind would save: hosts that have RSA alone. */
static void advise_ecdsa(struct config *cfg, const struct keys *k)
{
	const struct host *first = NULL;
	struct conf_pos pos = { 0 };
	unsigned hosts = 0, most = 0;
	char others[64] = "";

	for (const struct host *h = first_host(cfg); h; h = next_host(cfg, h)) {
		struct tls_key_file files[TLS_MAX_KEYS];
		unsigned n = tls_policy_enabled(tls_of(h)) ? tls_policy_keys(tls_of(h), files) : 0, rsa = 0;

		for (unsigned i = 0; i < n; i++) {
			const struct key_ref *ref = &k->refs[find(k, files[i].path)];
			if (ref->algorithm != GNUTLS_PK_RSA && ref->algorithm != GNUTLS_PK_RSA_PSS)
				break;
			rsa++;
			most = ref->bits > most ? ref->bits : most;
		}
		if (!n || rsa < n || hosts++)
			continue;
		first = h;
		pos = files[0].pos;
	}
	if (!first)
		return;
	if (hosts > 1)
		snprintf(others, sizeof others, " and %u other%s", hosts - 1, hosts > 2 ? "s" : "");
	config_report_add(cfg, CONF_NOTICE, &pos,
			  "add a certificate for an ECDSA key beside it (bulkhead-cert csr); clients that know RSA alone go on with the one that is there",
			  "host %s%s: RSA keys alone: each full handshake costs about %u.%u ms of a processor for the signature (%u bits); with ECDSA it would be 0.05 ms",
			  first->name, others, rsa_tenths(most) / 10, rsa_tenths(most) % 10, most);
}

int keys_load_direct(struct config *cfg, struct key_store **store, unsigned *locked)
{
	struct keys k;
	int result = 0;

	*store = NULL;
	if (!keys_tls_wanted(cfg))
		return 0;
	if (keys_collect(&k, cfg) < 0 || !(*store = key_store_new())) {
		config_report_add(cfg, CONF_ERROR, NULL, NULL, "no memory for the private keys");
		keys_close(&k);
		return -1;
	}
	result = keys_open(&k, cfg);
	if (!locked && keys_on_tokens(cfg)) {
		struct err e = { .text = "" };
		cert_open_tokens(true);
		if (token_open(&e) < 0) {
			config_report_add(cfg, CONF_ERROR, NULL, *e.remedy ? e.remedy : NULL, "%s", e.text);
			result = -1;
		}
	}
	if (load_all(cfg, &k, *store, locked) < 0)
		result = -1;
	if (result == 0)
		result = finish_hosts(&k, cfg, locked != NULL);
	if (result == 0 && locked)
		advise_ecdsa(cfg, &k);
	keys_close(&k);
	if (seeds_check(cfg) < 0)
		result = -1;
	if (result < 0) {
		key_store_free(*store);
		*store = NULL;
	}
	return result;
}

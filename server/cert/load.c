/*
 * load.c - certificates and keys from files. The certificate half runs wherever certificates are looked at (master,
 * jobs, tools); the key half only in the keyholder, under -X, in the checking job and in tools.
 */
#include "cert/load.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/pkcs12.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert/token.h"

int cert_read(int fd, const char *name, gnutls_datum_t *out, struct err *e)
{
	size_t n = 0, cap = 16384;
	unsigned char *p = malloc(cap + 1);

	while (p) {
		/* From the start, wherever others that share the descriptor have read to; a pipe has no places. */
		ssize_t got = pread(fd, p + n, cap - n, (off_t)n);
		if (got < 0 && errno == ESPIPE)
			got = read(fd, p + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got < 0)
				err_sys(e, "%s cannot be read", name);
			p[n] = '\0';
			*out = (gnutls_datum_t){ p, (unsigned)n };
			return got < 0 ? -1 : 0;
		}
		n += (size_t)got;
		if (n == cap) {
			/* Not realloc: what is left behind by it may be a piece of a key. */
			unsigned char *more = cap < CERT_MAX_FILE ? malloc(cap * 4 + 1) : NULL;
			if (more)
				memcpy(more, p, n);
			explicit_bzero(p, n);
			free(p);
			p = more;
			cap *= 4;
			if (!p && cap > CERT_MAX_FILE)
				return err_set(e, "%s is longer than %d bytes: it is no certificate or key",
					       name, CERT_MAX_FILE);
		}
	}
	return err_set(e, "out of memory");
}

void cert_forget(gnutls_datum_t *d)
{
	if (d->data) {
		explicit_bzero(d->data, d->size);
		free(d->data);
	}
	d->data = NULL;
}

static bool contains(const gnutls_datum_t *d, const char *words)
{
	return d->data && memmem(d->data, d->size, words, strlen(words)) != NULL;
}

/* ------------------------------------------------------------------------------------------------ certificates */

static bool is_pkcs12(const gnutls_datum_t *data)
{
	gnutls_pkcs12_t p12;
	bool yes;

	if (gnutls_pkcs12_init(&p12) < 0)
		return false;
	yes = gnutls_pkcs12_import(p12, data, GNUTLS_X509_FMT_DER, 0) >= 0;
	gnutls_pkcs12_deinit(p12);
	return yes;
}

static int explain_none(const gnutls_datum_t *data, const char *path, bool pem, struct err *e)
{
	if (pem && contains(data, "PRIVATE KEY-----")) {
		err_set(e, "%s holds a private key, but no certificate", path);
		return err_remedy(e, "name the certificate's file; which belongs to this key tells: bulkhead-cert match %s CERTIFICATE", path);
	}
	if (pem && contains(data, "CERTIFICATE REQUEST-----")) {
		err_set(e, "%s holds no certificate, but a request for one (CSR)", path);
		return err_remedy(e, "have it signed by an authority, and name what it answers with");
	}
	err_set(e, "%s holds no certificate%s", path, data->size == 0 ? ": it is empty" : "");
	return err_remedy(e, "it must hold lines from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, or be DER");
}

static int add_certificates(struct cert_chain *c, const gnutls_datum_t *data, const char *path, struct err *e)
{
	unsigned room = CERT_MAX_CHAIN - c->n, n = room;
	bool pem = contains(data, "-----BEGIN ");
	int r;

	if (room == 0) {
		err_set(e, "%s: more than %d certificates for one host", path, CERT_MAX_CHAIN);
		return err_remedy(
			e,
			"put the host's certificate and its intermediate ones into the file, not a whole store");
	}
	r = gnutls_x509_crt_list_import(c->at + c->n, &n, data, pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER,
					GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
	if (r > 0) {
		c->n += (unsigned)r;
		return 0;
	}
	if (r == GNUTLS_E_SHORT_MEMORY_BUFFER) {
		err_set(e, "%s holds more than %u certificates", path, room);
		return err_remedy(
			e,
			"put the host's certificate and its intermediate ones into the file, not a whole store");
	}
	if (r == 0 || r == GNUTLS_E_NO_CERTIFICATE_FOUND || data->size == 0
	    || (pem && !contains(data, "CERTIFICATE-----"))) {
		return explain_none(data, path, pem, e);
	}
	if (is_pkcs12(data)) {
		err_set(e, "%s is PKCS#12, where certificates as PEM or DER are needed", path);
		return err_remedy(e, "take it apart: bulkhead-cert convert --only cert -o NEW.pem %s", path);
	}
	err_set(e, "the certificate in %s cannot be read: %s", path, gnutls_strerror(r));
	return err_remedy(e, "see what is in it with: bulkhead-cert show %s", path);
}

/* Certificates of tokens, by their URI, as the process that may open tokens told them. */
static struct remembered {
	char *uri;
	gnutls_datum_t der;
	struct remembered *next;
} *remembered;
static bool tokens_here;

int cert_remember(const char *uri, const void *der, size_t n)
{
	struct remembered *r = remembered;
	unsigned char *copy = malloc(n ? n : 1);

	while (r && strcmp(r->uri, uri) != 0)
		r = r->next;
	if (!r && copy && (r = calloc(1, sizeof *r))) {
		r->uri = strdup(uri);
		r->next = remembered;
		if (r->uri)
			remembered = r;
	}
	if (!copy || !r || !r->uri) {
		if (r && !r->uri)
			free(r);
		free(copy);
		return -1;
	}
	memcpy(copy, der, n);
	free(r->der.data);
	r->der = (gnutls_datum_t){ copy, (unsigned)n };
	return 0;
}

void cert_open_tokens(bool yes)
{
	tokens_here = yes;
}

static int add_from_token(struct cert_chain *c, const char *uri, struct err *e)
{
	char shown[TOKEN_MAX_URI];
	const struct remembered *r = remembered;

	if (c->n == CERT_MAX_CHAIN)
		return err_set(e, "%s: more than %d certificates for one host", token_shown(uri, shown), CERT_MAX_CHAIN);
	while (r && strcmp(r->uri, uri) != 0)
		r = r->next;
	if (r) {
		if (gnutls_x509_crt_init(&c->at[c->n]) < 0)
			return err_set(e, "out of memory");
		if (gnutls_x509_crt_import(c->at[c->n], &r->der, GNUTLS_X509_FMT_DER) >= 0) {
			c->n++;
			return 0;
		}
		gnutls_x509_crt_deinit(c->at[c->n]);
		return err_set(e, "the certificate %s cannot be read", token_shown(uri, shown));
	}
	if (!tokens_here)
		return err_set(e, "the certificate %s is on a token, which this process does not open", token_shown(uri, shown));
	if (token_certificate(&c->at[c->n], uri, e) < 0)
		return -1;
	c->n++;
	return 0;
}

int cert_chain_append(struct cert_chain *c, const char *path, struct err *e)
{
	gnutls_datum_t data = { 0 };
	int fd, r;

	if (token_is_uri(path))
		return add_from_token(c, path, e);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		err_sys(e, "the certificate file %s cannot be opened", path);
		return err_remedy(e, errno == ENOENT
					     ? "name the file that holds the certificate, or make one"
					     : "mend the rights of the file and of the folders above it");
	}
	r = cert_read(fd, path, &data, e);
	if (r == 0)
		r = add_certificates(c, &data, path, e);
	cert_forget(&data);                          /* the key may be in the same file */
	close(fd);
	return r;
}

int cert_chain_load(struct cert_chain *c, const char *path, struct err *e)
{
	c->n = 0;
	return cert_chain_append(c, path, e);
}

void cert_chain_free(struct cert_chain *c)
{
	for (unsigned i = 0; i < c->n; i++)
		gnutls_x509_crt_deinit(c->at[i]);
	c->n = 0;
}

/* ------------------------------------------------------------------------------------------------ public parts */

int cert_pubkey_id(gnutls_pubkey_t pub, unsigned char out[32])
{
	gnutls_datum_t der = { 0 };
	int r = gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_DER, &der);

	if (r >= 0)
		r = gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, out);
	gnutls_free(der.data);
	return r < 0 ? r : 0;
}

int cert_spki(gnutls_x509_crt_t crt, unsigned char out[32])
{
	gnutls_pubkey_t pub;
	int r = gnutls_pubkey_init(&pub);

	if (r < 0)
		return r;
	r = gnutls_pubkey_import_x509(pub, crt, 0);
	if (r >= 0)
		r = cert_pubkey_id(pub, out);
	gnutls_pubkey_deinit(pub);
	return r;
}

int cert_key_spki(gnutls_privkey_t key, unsigned char out[32])
{
	gnutls_pubkey_t pub;
	int r = gnutls_pubkey_init(&pub);

	if (r < 0)
		return r;
	r = gnutls_pubkey_import_privkey(pub, key, 0, 0);
	if (r >= 0)
		r = cert_pubkey_id(pub, out);
	gnutls_pubkey_deinit(pub);
	return r;
}

char *cert_key_id_text(const unsigned char spki[32], char *buf)
{
	static const char hex[] = "0123456789abcdef";

	for (unsigned i = 0; i < 8; i++) {
		buf[3 * i] = hex[spki[i] >> 4];
		buf[3 * i + 1] = hex[spki[i] & 15];
		buf[3 * i + 2] = i < 7 ? ':' : '\0';
	}
	return buf;
}

gnutls_pk_algorithm_t cert_algorithm(gnutls_x509_crt_t crt, unsigned *bits)
{
	int r = gnutls_x509_crt_get_pk_algorithm(crt, bits);

	return r < 0 ? GNUTLS_PK_UNKNOWN : (gnutls_pk_algorithm_t)r;
}

/* ------------------------------------------------------------------------------------------------ private keys */

/* GnuTLS says DECRYPTION_FAILED for an encrypted key without a phrase, whatever its form: look at the text instead. */
static bool encrypted(const gnutls_datum_t *d)
{
	return contains(d, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains(d, "Proc-Type: 4,ENCRYPTED");
}

static int explain_key(const gnutls_datum_t *d, const char *name, bool pem, int code, struct err *e)
{
	if (d->size == 0 || (pem && !contains(d, "PRIVATE KEY-----"))) {
		err_set(e, "%s holds no private key", name);
		return err_remedy(e, "name the key's file in SSLCertificateKeyFile");
	}
	err_set(e, "the private key in %s cannot be read: %s", name, gnutls_strerror(code));
	return err_remedy(e, "see what is in it with: bulkhead-cert show %s", name);
}

static int explain_locked(const char *name, bool tried, int code, struct err *e)
{
	if (!tried)
		err_set(e, "the private key in %s is encrypted, and no pass phrase is known", name);
	else if (code == GNUTLS_E_UNKNOWN_CIPHER_TYPE)
		err_set(e, "the private key in %s is encrypted in a way that GnuTLS does not know", name);
	else
		err_set(e, "the private key in %s is encrypted, and no pass phrase that is known opens it", name);
	err_remedy(e, "stop and start the server, so that SSLPassPhraseDialog can ask for it; bulkhead-cert passphrase change or remove gives the key another one or none");
	return CERT_KEY_LOCKED;
}

/* 0 and *key, or GNUTLS_E_*. */
static int import_key(gnutls_privkey_t *key, const gnutls_datum_t *data, bool pem, const char *phrase)
{
	int r = gnutls_privkey_init(key);

	if (r < 0)
		return r;
	r = gnutls_privkey_import_x509_raw(*key, data, pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER, phrase, 0);
	if (r < 0)
		gnutls_privkey_deinit(*key);
	return r < 0 ? r : 0;
}

int cert_key_load_with(gnutls_privkey_t *out, int fd, const char *name, const char *phrases, size_t n, struct err *e)
{
	gnutls_datum_t data = { 0 };
	bool pem, locked;
	int r;

	if (cert_read(fd, name, &data, e) != 0) {
		cert_forget(&data);
		return -1;
	}
	pem = contains(&data, "-----BEGIN ");
	r = encrypted(&data) ? GNUTLS_E_DECRYPTION_FAILED : import_key(out, &data, pem, NULL);
	locked = r == GNUTLS_E_DECRYPTION_FAILED;
	for (size_t at = 0; locked && r != 0 && at < n; at += strlen(phrases + at) + 1)
		if (phrases[at] != '\001')      /* a token's PIN (tls/key.h) */
			r = import_key(out, &data, pem, phrases + at);
	if (r != 0)
		r = locked ? explain_locked(name, n > 0, r, e) : explain_key(&data, name, pem, r, e);
	cert_forget(&data);
	return r;
}

int cert_key_load(gnutls_privkey_t *out, int fd, const char *name, struct err *e)
{
	return cert_key_load_with(out, fd, name, NULL, 0, e);
}

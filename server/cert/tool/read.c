/*
 * read.c - files as bulkhead-cert sees them: lists of certificates, keys, requests and revocation lists, whatever
 * their form is; and what to say of a file that holds something else than was asked for.
 */
#include <fcntl.h>
#include <gnutls/pkcs12.h>
#include <gnutls/pkcs7.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert/tool/tool.h"

#define ITEMS_MAX 512

static struct item *add(struct items *s, enum item_kind kind)
{
	struct item *more = s->n < ITEMS_MAX ? reallocarray(s->at, s->n + 1, sizeof *more) : NULL;

	if (!more)
		return NULL;
	s->at = more;
	s->at[s->n] = (struct item){ .kind = kind };
	return &s->at[s->n++];
}

static void release(struct item *it)
{
	if (it->crt)
		gnutls_x509_crt_deinit(it->crt);
	if (it->key)
		gnutls_x509_privkey_deinit(it->key);
	if (it->pub)
		gnutls_pubkey_deinit(it->pub);
	if (it->csr)
		gnutls_x509_crq_deinit(it->csr);
	if (it->crl)
		gnutls_x509_crl_deinit(it->crl);
}

void items_free(struct items *s)
{
	for (unsigned i = 0; i < s->n; i++)
		release(&s->at[i]);
	free(s->at);
	s->at = NULL;
	s->n = 0;
}

static void take_back(struct items *s)
{
	release(&s->at[--s->n]);
}

/* ---------------------------------------------------------------------------------------------------- private keys */

/* How a PKCS#8 key is protected; false: it is not, or is no PKCS#8. */
static bool protected_by(const gnutls_datum_t *d, gnutls_x509_crt_fmt_t form, struct item *it)
{
	unsigned schema = 0, cipher = 0, rounds = 0;
	char *oid = NULL;
	int r = gnutls_pkcs8_info(d, form, &schema, &cipher, NULL, NULL, &rounds, &oid);
	const char *name = r >= 0 ? gnutls_pkcs_schema_get_name(schema) : NULL;

	if (r == GNUTLS_E_UNKNOWN_CIPHER_TYPE)
		snprintf(it->protection, sizeof it->protection, "a way that GnuTLS does not know (%s)",
			 oid ? oid : "?");
	else if (r >= 0)
		snprintf(it->protection, sizeof it->protection, "%s, %u rounds", name ? name : "encrypted",
			 rounds);
	gnutls_free(oid);
	return r >= 0 || r == GNUTLS_E_UNKNOWN_CIPHER_TYPE;
}

static int wrong_phrase(const struct items *s, struct err *e)
{
	err_set(e, "the pass phrase does not open %s", s->path);
	return err_remedy(e, "give the phrase that it was made with; there is no way around it");
}

static int open_key(struct items *s, struct item *it, const gnutls_datum_t *d, gnutls_x509_crt_fmt_t form,
		    struct phrase *p, struct err *e)
{
	char prompt[300];
	const char *text = NULL;
	int r;

	if (it->encrypted && !p) {
		it->locked = true;
		return 0;
	}
	snprintf(prompt, sizeof prompt, "the private key in %s", s->path);
	if (it->encrypted && !(text = phrase_text(p, prompt, e)))
		return -1;
	r = gnutls_x509_privkey_init(&it->key);
	if (r >= 0)
		r = gnutls_x509_privkey_import2(it->key, d, form, text, 0);
	if (r >= 0)
		return 0;
	if (it->encrypted && r != GNUTLS_E_UNKNOWN_CIPHER_TYPE && r != GNUTLS_E_UNKNOWN_HASH_ALGORITHM)
		return wrong_phrase(s, e);
	err_set(e, "the private key in %s cannot be read: %s", s->path, gnutls_strerror(r));
	return it->encrypted ? err_remedy(
		       e, "write it in another form: openssl pkcs8 -topk8 -v2 aes-256-cbc -in %s -out NEW",
		       s->path)
			     : -1;
}

static int add_key(struct items *s, const gnutls_datum_t *d, gnutls_x509_crt_fmt_t form, struct phrase *p,
		   struct err *e)
{
	struct item *it = add(s, ITEM_KEY);

	if (!it)
		return err_set(e, "%s holds more than %d objects", s->path, ITEMS_MAX);
	it->encrypted = protected_by(d, form, it);
	if (form == GNUTLS_X509_FMT_PEM && memmem(d->data, d->size, "Proc-Type: 4,ENCRYPTED", 22)) {
		it->encrypted = true;
		snprintf(it->protection, sizeof it->protection, "the old form of OpenSSL, weak");
	}
	return open_key(s, it, d, form, p, e);
}

/* --------------------------------------------------------------------------------------------------------- objects */

/* Imports what is neither a private key nor a container. A GNUTLS_E_*; what failed leaves nothing behind. */
static int add_object(struct items *s, enum item_kind kind, const gnutls_datum_t *d, gnutls_x509_crt_fmt_t form)
{
	struct item *it = add(s, kind);
	int r = GNUTLS_E_MEMORY_ERROR;

	if (!it)
		return r;
	switch (kind) {
	case ITEM_CERT:
		if ((r = gnutls_x509_crt_init(&it->crt)) >= 0)
			r = gnutls_x509_crt_import(it->crt, d, form);
		break;
	case ITEM_CSR:
		if ((r = gnutls_x509_crq_init(&it->csr)) >= 0)
			r = gnutls_x509_crq_import(it->csr, d, form);
		break;
	case ITEM_CRL:
		if ((r = gnutls_x509_crl_init(&it->crl)) >= 0)
			r = gnutls_x509_crl_import(it->crl, d, form);
		break;
	case ITEM_PUBLIC:
		if ((r = gnutls_pubkey_init(&it->pub)) >= 0)
			r = gnutls_pubkey_import(it->pub, d, form);
		break;
	default:
		r = GNUTLS_E_INVALID_REQUEST;
	}
	if (r < 0)
		take_back(s);
	return r;
}

static int add_pkcs7(struct items *s, const gnutls_datum_t *d, gnutls_x509_crt_fmt_t form)
{
	gnutls_pkcs7_t p7;
	gnutls_datum_t raw;
	int r = gnutls_pkcs7_init(&p7);

	if (r < 0)
		return r;
	r = gnutls_pkcs7_import(p7, d, form);
	for (unsigned i = 0; r >= 0 && gnutls_pkcs7_get_crt_raw2(p7, i, &raw) >= 0; i++) {
		r = add_object(s, ITEM_CERT, &raw, GNUTLS_X509_FMT_DER);
		gnutls_free(raw.data);
	}
	for (unsigned i = 0; r >= 0 && gnutls_pkcs7_get_crl_raw2(p7, i, &raw) >= 0; i++) {
		r = add_object(s, ITEM_CRL, &raw, GNUTLS_X509_FMT_DER);
		gnutls_free(raw.data);
	}
	gnutls_pkcs7_deinit(p7);
	return r;
}

/* Takes what a PKCS#12 file gave: the key, its chain, other certificates. */
static int take_parts(struct items *s, gnutls_x509_privkey_t key, gnutls_x509_crt_t *chain, unsigned n)
{
	struct item *it;

	if (key) {
		if (!(it = add(s, ITEM_KEY))) {
			gnutls_x509_privkey_deinit(key);
			return -1;
		}
		it->key = key;
		it->encrypted = true;
		snprintf(it->protection, sizeof it->protection, "PKCS#12");
	}
	for (unsigned i = 0; i < n; i++) {
		if (!(it = add(s, ITEM_CERT)))
			return -1;
		it->crt = chain[i];
		chain[i] = NULL;
	}
	return 0;
}

static void drop_list(gnutls_x509_crt_t *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i])
			gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
}

/* With a phrase that its MAC has proved. */
static int open_pkcs12(struct items *s, gnutls_pkcs12_t p12, const char *text)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t *chain = NULL, *extra = NULL;
	unsigned n = 0, extras = 0;
	int r = gnutls_pkcs12_simple_parse(p12, text, &key, &chain, &n, &extra, &extras, NULL,
					   GNUTLS_PKCS12_SP_INCLUDE_SELF_SIGNED);

	if (r >= 0 && (take_parts(s, key, chain, n) < 0 || take_parts(s, NULL, extra, extras) < 0))
		r = GNUTLS_E_MEMORY_ERROR;
	drop_list(chain, n);
	drop_list(extra, extras);
	return r;
}

/* 1: it is none. */
static int add_pkcs12(struct items *s, const gnutls_datum_t *d, struct phrase *p, struct err *e)
{
	gnutls_pkcs12_t p12;
	char prompt[300];
	const char *text;
	int r;

	if (gnutls_pkcs12_init(&p12) < 0)
		return 1;
	if (gnutls_pkcs12_import(p12, d, GNUTLS_X509_FMT_DER, 0) < 0) {
		gnutls_pkcs12_deinit(p12);
		return 1;
	}
	s->form = FORM_PKCS12;
	snprintf(prompt, sizeof prompt, "the PKCS#12 file %s", s->path);
	if (!p) {
		err_set(e, "%s is PKCS#12, and all in it is encrypted", s->path);
		r = err_remedy(
			e,
			"give its pass phrase by --phrase-file FILE, or take it apart: bulkhead-cert convert %s -o NEW.pem",
			s->path);
	} else if (!(text = phrase_text(p, prompt, e))) {
		r = -1;
	} else if (gnutls_pkcs12_verify_mac(p12, text) < 0) {
		r = wrong_phrase(s, e);
	} else if ((r = open_pkcs12(s, p12, text)) < 0) {
		r = err_set(e, "the PKCS#12 file %s cannot be read: %s", s->path, gnutls_strerror(r));
	}
	gnutls_pkcs12_deinit(p12);
	return r < 0 ? -1 : 0;
}

/* ------------------------------------------------------------------------------------------------------------- DER */

static bool is_plain_key(const gnutls_datum_t *d)
{
	gnutls_x509_privkey_t key;
	bool yes;

	if (gnutls_x509_privkey_init(&key) < 0)
		return false;
	yes = gnutls_x509_privkey_import2(key, d, GNUTLS_X509_FMT_DER, NULL, 0) >= 0;
	gnutls_x509_privkey_deinit(key);
	return yes;
}

static int no_object(const struct items *s, const gnutls_datum_t *d, struct err *e)
{
	if (d->size == 0) {
		err_set(e, "%s is empty", s->path);
		return err_remedy(e, "see where the file came from: its copying may have failed");
	}
	if (d->size > 1
	    && ((d->data[0] == 0xff && d->data[1] == 0xfe) || (d->data[0] == 0xfe && d->data[1] == 0xff))) {
		err_set(e, "%s is text in UTF-16", s->path);
		return err_remedy(e, "iconv -f UTF-16 -t UTF-8 %s > NEW", s->path);
	}
	if (d->data[0] == 0x30) {
		err_set(e, "%s looks like DER, but is no certificate, key, request or list, or is cut off",
			s->path);
		return err_remedy(e, "see what it is: openssl asn1parse -inform DER -in %s", s->path);
	}
	err_set(e, "%s holds no certificate, key, request or list", s->path);
	return err_remedy(e, "PEM has lines like -----BEGIN CERTIFICATE-----; see what it is: file %s", s->path);
}

static int add_der(struct items *s, const gnutls_datum_t *d, struct phrase *p, struct err *e)
{
	static const enum item_kind kinds[] = { ITEM_CERT, ITEM_CSR, ITEM_CRL };
	struct item ignored;
	int r;

	s->form = FORM_DER;
	for (unsigned i = 0; i < 3; i++)
		if (add_object(s, kinds[i], d, GNUTLS_X509_FMT_DER) >= 0)
			return 0;
	if (protected_by(d, GNUTLS_X509_FMT_DER, &ignored) || is_plain_key(d))
		return add_key(s, d, GNUTLS_X509_FMT_DER, p, e);
	if (add_object(s, ITEM_PUBLIC, d, GNUTLS_X509_FMT_DER) >= 0)
		return 0;
	if ((r = add_pkcs12(s, d, p, e)) <= 0)
		return r;
	if (add_pkcs7(s, d, GNUTLS_X509_FMT_DER) >= 0 && s->n) {
		s->form = FORM_PKCS7;
		return 0;
	}
	return no_object(s, d, e);
}

/* ------------------------------------------------------------------------------------------------------------- PEM */

static const struct pem_label {
	const char *label;
	int kind;                       /* of item_kind; 0: left out in silence, -1: PKCS#7, -2: cannot be read */
} labels[] = {
	{ "CERTIFICATE", ITEM_CERT }, { "X509 CERTIFICATE", ITEM_CERT }, { "CERTIFICATE REQUEST", ITEM_CSR },
	{ "NEW CERTIFICATE REQUEST", ITEM_CSR }, { "X509 CRL", ITEM_CRL }, { "PUBLIC KEY", ITEM_PUBLIC },
	{ "RSA PUBLIC KEY", ITEM_PUBLIC }, { "PRIVATE KEY", ITEM_KEY }, { "ENCRYPTED PRIVATE KEY", ITEM_KEY },
	{ "RSA PRIVATE KEY", ITEM_KEY }, { "EC PRIVATE KEY", ITEM_KEY }, { "DSA PRIVATE KEY", ITEM_KEY },
	{ "EC PARAMETERS", 0 }, { "DH PARAMETERS", 0 }, { "PKCS7", -1 }, { "CMS", -1 },
	{ "TRUSTED CERTIFICATE", -2 }, { "OPENSSH PRIVATE KEY", -2 },
};

static const struct pem_label *label_of(const char *p, size_t n)
{
	for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
		if (strlen(labels[i].label) == n && !memcmp(labels[i].label, p, n))
			return &labels[i];
	return NULL;
}

static int add_block(struct items *s, const struct pem_label *l, const gnutls_datum_t *block, struct phrase *p,
		     struct err *e)
{
	int r;

	if (l->kind == 0)
		return 0;
	if (l->kind == -2) {
		err_set(e, "%s holds a block '%s', which is a form of its own", s->path, l->label);
		return err_remedy(e,
				  l->label[0] == 'T'
					  ? "write it as a plain certificate: openssl x509 -in %s -out NEW"
					  : "write it as PKCS#8: ssh-keygen -p -m PKCS8 -f %s",
				  s->path);
	}
	if (l->kind == ITEM_KEY)
		return add_key(s, block, GNUTLS_X509_FMT_PEM, p, e);
	r = l->kind == -1 ? add_pkcs7(s, block, GNUTLS_X509_FMT_PEM)
			  : add_object(s, (enum item_kind)l->kind, block, GNUTLS_X509_FMT_PEM);
	if (r >= 0)
		return 0;
	err_set(e, "the block '%s' in %s cannot be read: %s", l->label, s->path, gnutls_strerror(r));
	return err_remedy(e, "it may be damaged: copy the file again from where it came");
}

static int add_pem(struct items *s, const gnutls_datum_t *d, struct phrase *p, struct err *e)
{
	const char *at = (const char *)d->data, *end = at + d->size;
	const char *begin;

	s->form = FORM_PEM;
	while ((begin = memmem(at, (size_t)(end - at), "-----BEGIN ", 11))) {
		const char *name = begin + 11, *dashes = memmem(name, (size_t)(end - name), "-----", 5), *stop;
		const struct pem_label *l;
		char last[128];
		size_t n;

		if (!dashes || dashes - name > 60)
			return err_set(e, "%s has a damaged -----BEGIN line", s->path);
		n = (size_t)(dashes - name);
		snprintf(last, sizeof last, "-----END %.*s-----", (int)n, name);
		stop = memmem(dashes, (size_t)(end - dashes), last, strlen(last));
		if (!stop) {
			err_set(e, "%s has -----BEGIN %.*s-----, but no line that ends it", s->path, (int)n,
				name);
			return err_remedy(e, "the file is cut off: copy it again from where it came");
		}
		at = stop + strlen(last);
		l = label_of(name, n);
		gnutls_datum_t block = { (unsigned char *)d->data + (begin - (const char *)d->data),
					 (unsigned)(at - begin) };
		if (l && add_block(s, l, &block, p, e) != 0)
			return -1;
		if (!l)
			tool_note("%s: a block '%.*s' is left out", s->path, (int)n, name);
	}
	return s->n ? 0 : no_object(s, d, e);
}

int items_parse(struct items *out, const char *name, const gnutls_datum_t *data, struct err *e)
{
	*out = (struct items){ .path = name };
	return memmem(data->data, data->size, "-----BEGIN ", 11) ? add_pem(out, data, NULL, e)
								 : add_der(out, data, NULL, e);
}

int items_read(struct items *out, const char *path, struct phrase *p, struct err *e)
{
	bool input = !strcmp(path, "-");
	int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r;
	gnutls_datum_t data = { 0 };

	*out = (struct items){ .path = input ? "standard input" : path };
	if (fd < 0) {
		err_sys(e, "%s cannot be opened", path);
		return -1;
	}
	r = cert_read(fd, out->path, &data, e);
	if (r == 0)
		r = memmem(data.data, data.size, "-----BEGIN ", 11) ? add_pem(out, &data, p, e)
								    : add_der(out, &data, p, e);
	cert_forget(&data);
	if (!input)
		close(fd);
	return r;
}

/* ----------------------------------------------------------------------------------------------- what is in a file */

const char *item_words(const struct item *it)
{
	switch (it->kind) {
	case ITEM_CERT:
		return "a certificate";
	case ITEM_KEY:
		return it->encrypted ? "an encrypted private key" : "a private key";
	case ITEM_PUBLIC:
		return "a public key";
	case ITEM_CSR:
		return "a certificate request (CSR)";
	case ITEM_CRL:
		return "a revocation list";
	default:
		return "something else";
	}
}

struct item *items_first(const struct items *s, enum item_kind kind)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->at[i].kind & kind)
			return &s->at[i];
	return NULL;
}

static const char *remedy_for(enum item_kind wanted, enum item_kind found)
{
	if (wanted == ITEM_CERT && found == ITEM_KEY)
		return "make one for this key: bulkhead-cert new --use-key %s NAME; or name the certificate's file";
	if (wanted == ITEM_CERT && found == ITEM_CSR)
		return "have it signed: bulkhead-cert sign %s --ca CA.pem --ca-key CA.key; or by a public authority";
	if (wanted == ITEM_KEY && found == ITEM_CERT)
		return "name the key's file; whether a key belongs to it tells: bulkhead-cert match %s KEY";
	if (wanted == ITEM_CSR && found == ITEM_KEY)
		return "make one for this key: bulkhead-cert csr --use-key %s NAME";
	if (wanted == ITEM_CSR && found == ITEM_CERT)
		return "this is signed already; a new request is made by: bulkhead-cert csr --use-key KEY NAME";
	return "see all that is in it: bulkhead-cert show %s";
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
struct item *items_want(const struct items *s, enum item_kind kind, struct err *e)
{
	struct item *found = items_first(s, kind);

	if (found)
		return found;
	err_set(e, "%s holds %s, where %s is needed", s->path, item_words(&s->at[0]),
		item_words(&(struct item){ .kind = kind }));
	err_remedy(e, remedy_for(kind, s->at[0].kind), s->path);
	return NULL;
}
#pragma GCC diagnostic pop

int item_public(const struct item *it, gnutls_pubkey_t *out)
{
	gnutls_privkey_t key = NULL;
	int r = gnutls_pubkey_init(out);

	if (r < 0)
		return r;
	if (it->crt)
		r = gnutls_pubkey_import_x509(*out, it->crt, 0);
	else if (it->csr)
		r = gnutls_pubkey_import_x509_crq(*out, it->csr, 0);
	else if (it->key && (r = gnutls_privkey_init(&key)) >= 0
		 && (r = gnutls_privkey_import_x509(key, it->key, 0)) >= 0)
		r = gnutls_pubkey_import_privkey(*out, key, 0, 0);
	else if (it->pub) {
		gnutls_datum_t der = { 0 };
		r = gnutls_pubkey_export2(it->pub, GNUTLS_X509_FMT_DER, &der);
		if (r >= 0)
			r = gnutls_pubkey_import(*out, &der, GNUTLS_X509_FMT_DER);
		gnutls_free(der.data);
	} else if (r >= 0) {
		r = GNUTLS_E_INVALID_REQUEST;
	}
	if (key)
		gnutls_privkey_deinit(key);
	if (r < 0)
		gnutls_pubkey_deinit(*out);
	return r;
}

int item_key_id(const struct item *it, unsigned char out[32])
{
	gnutls_pubkey_t pub;
	int r = item_public(it, &pub);

	if (r < 0)
		return r;
	r = cert_pubkey_id(pub, out);
	gnutls_pubkey_deinit(pub);
	return r;
}

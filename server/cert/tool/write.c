/*
 * write.c - what bulkhead-cert writes: whole files, with the rights that keys and certificates need whatever the umask
 * is; no key is replaced, or shown on a terminal, by mistake.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert/tool/tool.h"

static bool to_stdout(const struct output *o)
{
	return !strcmp(o->path, "-");
}

/* Where a file is there already: what it holds is looked at, not its name. */
static bool holds_key(const char *path)
{
	struct items s;
	bool quiet = tool_quiet, yes;
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	tool_quiet = true;
	yes = items_read(&s, path, NULL, NULL) != 0 ? s.form == FORM_PKCS12 || items_first(&s, ITEM_KEY)
						    : items_first(&s, ITEM_KEY) != NULL;
	tool_quiet = quiet;
	items_free(&s);
	return yes;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int outputs_allowed(const struct output *o, unsigned n, bool force, const char *same, struct err *e)
{
	for (unsigned i = 0; i < n; i++) {
		struct stat st;

		if (to_stdout(&o[i])) {
			if (o[i].key && !force && isatty(STDOUT_FILENO)) {
				err_set(e, "the private key would be shown on this terminal");
				return err_remedy(e, "name a file by -o, or say --force");
			}
			continue;
		}
		if (stat(o[i].path, &st) != 0)
			continue;
		if (!S_ISREG(st.st_mode)) {
			err_set(e, "%s is there and no regular file", o[i].path);
			return err_remedy(e, "name a file; - is standard output");
		}
		if (!force && !same_file(o[i].path, same) && holds_key(o[i].path)) {
			err_set(e, "%s holds a private key, which would be lost", o[i].path);
			return err_remedy(e, "name another file, or say --force");
		}
	}
	return 0;
}

/* A link is followed: what it points to is replaced, so that links stay (certbot's are such). */
static int resolve(struct output *o, struct err *e)
{
	char real[PATH_MAX];

	if (!realpath(o->path, real)) {
		if (errno != ENOENT)
			return err_sys(e, "%s cannot be written", o->path);
		snprintf(real, sizeof real, "%s", o->path);
	}
	if (snprintf(o->target, sizeof o->target, "%s", real) >= (int)sizeof o->target)
		return err_set(e, "the path is too long: %s", o->path);
	return 0;
}

static int prepare(struct output *o, struct err *e)
{
	struct stat st;
	bool there;
	mode_t mode = o->key ? 0400 : 0444;

	if (to_stdout(o))
		return 0;
	if (resolve(o, e) != 0)
		return -1;
	there = stat(o->target, &st) == 0;
	if (there && !o->owner_only && (!o->key || holds_key(o->target)))
		mode = st.st_mode & 07777;
	if (o->plain)
		mode &= ~(mode_t)(S_IRWXO | S_IWGRP);   /* what was encrypted might have been readable by all */
	return cert_write_beside(o->target, o->temporary, mode, there ? &st : NULL, &o->data, e);
}

static int publish(struct output *o, struct err *e)
{
	if (!to_stdout(o))
		return cert_write_publish(o->target, o->temporary, e);
	if (fwrite(o->data.data, 1, o->data.size, stdout) != o->data.size)
		return err_sys(e, "standard output cannot be written");
	return 0;
}

int outputs_write(struct output *o, unsigned n, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++)
		r = prepare(&o[i], e);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = publish(&o[i], e);
	for (unsigned i = 0; i < n; i++)
		cert_write_drop(o[i].temporary);
	return r;
}

static void wipe(gnutls_datum_t *d)
{
	if (d->data)
		gnutls_memset(d->data, 0, d->size);
	gnutls_free(d->data);
	d->size = 0;
}

void outputs_free(struct output *o, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		wipe(&o[i].data);
}

int output_add(struct output *o, const void *data, size_t n)
{
	/* Not realloc: what is left behind by it may be a piece of a key. */
	gnutls_datum_t more = { gnutls_malloc(o->data.size + n), (unsigned)(o->data.size + n) };

	if (!more.data)
		return GNUTLS_E_MEMORY_ERROR;
	if (o->data.size)
		memcpy(more.data, o->data.data, o->data.size);
	memcpy(more.data + o->data.size, data, n);
	wipe(&o->data);
	o->data = more;
	return 0;
}

int output_add_item(struct output *o, const struct item *it, const char *phrase)
{
	gnutls_datum_t pem = { 0 };
	int r = GNUTLS_E_INVALID_REQUEST;

	if (it->crt)
		r = gnutls_x509_crt_export2(it->crt, GNUTLS_X509_FMT_PEM, &pem);
	else if (it->key)
		r = gnutls_x509_privkey_export2_pkcs8(it->key, GNUTLS_X509_FMT_PEM, phrase,
						      phrase ? GNUTLS_PKCS_PBES2_AES_256 : GNUTLS_PKCS_PLAIN,
						      &pem);
	else if (it->csr)
		r = gnutls_x509_crq_export2(it->csr, GNUTLS_X509_FMT_PEM, &pem);
	else if (it->crl)
		r = gnutls_x509_crl_export2(it->crl, GNUTLS_X509_FMT_PEM, &pem);
	else if (it->pub)
		r = gnutls_pubkey_export2(it->pub, GNUTLS_X509_FMT_PEM, &pem);
	if (r >= 0)
		r = output_add(o, pem.data, pem.size);
	wipe(&pem);
	if (r >= 0 && it->key) {
		o->key = true;
		o->plain |= !phrase;
	}
	return r < 0 ? r : 0;
}

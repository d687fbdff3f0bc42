/*
 * token.c - PKCS#11 tokens by GnuTLS and p11-kit. GnuTLS is never shown a PIN in a URI: it would try a wrong one again and
 * again, and tokens lock after a few of those.
 */
#include "cert/token.h"

#include <gnutls/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

bool token_is_uri(const char *path)
{
	return strncasecmp(path, "pkcs11:", 7) == 0;
}

/* One attribute of the URI, with what stands before it. Behind the last: n = 0. */
struct attribute {
	char before;                    /* ':', ';', '?' or '&' */
	const char *p;
	size_t n;
};

static struct attribute next_attribute(const char **at)
{
	struct attribute a = { .before = **at ? *(*at)++ : '\0', .p = *at };

	a.n = strcspn(a.p, ";?&");
	*at += a.n;
	return a;
}

static bool is_named(const struct attribute *a, const char *name)
{
	size_t n = strlen(name);

	return a->n > n && strncasecmp(a->p, name, n) == 0 && a->p[n] == '=';
}

static bool is_pin(const struct attribute *a)
{
	return is_named(a, "pin-value") || is_named(a, "pin-source") || is_named(a, "pinfile");
}

static bool tells_token(const struct attribute *a)
{
	static const char *const names[] = { "token", "serial", "manufacturer", "model", "slot-id", "slot-description", "library-manufacturer" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (is_named(a, names[i]))
			return true;
	return false;
}

/* Those attributes that are wanted, as a URI again. */
static char *some_of(const char *uri, char *buf, bool token_alone)
{
	const char *at = uri + 6;
	struct buf b;
	bool path = true;

	buf_init(&b, buf, TOKEN_MAX_URI);
	buf_puts(&b, "pkcs11");
	while (*at) {
		struct attribute a = next_attribute(&at);

		if (a.before == '?')
			path = false;
		if (is_pin(&a) || (token_alone && !tells_token(&a)))
			continue;
		buf_printf(&b, "%c%.*s", b.n == 6 ? ':' : path ? ';' : strchr(buf, '?') ? '&' : '?', (int)a.n, a.p);
	}
	if (b.n == 6)
		buf_putc(&b, ':');
	return buf;
}

char *token_shown(const char *uri, char *buf)
{
	return some_of(uri, buf, false);
}

char *token_label(const char *uri, char *buf)
{
	return some_of(uri, buf, true);
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static bool decoded(const char *uri, const char *name, char *buf)
{
	const char *at = uri + 6;

	while (*at) {
		struct attribute a = next_attribute(&at);
		size_t n = 0;

		if (!is_named(&a, name) || a.n >= TOKEN_MAX_URI)
			continue;
		for (size_t i = strlen(name) + 1; i < a.n; i++) {
			if (a.p[i] == '%' && i + 2 < a.n && hex(a.p[i + 1]) >= 0 && hex(a.p[i + 2]) >= 0) {
				buf[n++] = (char)(hex(a.p[i + 1]) << 4 | hex(a.p[i + 2]));
				i += 2;
			} else {
				buf[n++] = a.p[i];
			}
		}
		buf[n] = '\0';
		return true;
	}
	return false;
}

bool token_pin_value(const char *uri, char *buf)
{
	return decoded(uri, "pin-value", buf);
}

bool token_pin_source(const char *uri, char *buf)
{
	if (!decoded(uri, "pin-source", buf) && !decoded(uri, "pinfile", buf))
		return false;
	if (strncasecmp(buf, "file:", 5) == 0)
		memmove(buf, buf + 5, strlen(buf + 5) + 1);
	if (strncmp(buf, "//", 2) == 0)
		memmove(buf, buf + 2, strlen(buf + 2) + 1);
	return true;
}

/* ------------------------------------------------------------------------------------------------ the token */

int token_open(struct err *e)
{
	int r = gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_AUTO, NULL);

	if (r >= 0)
		return 0;
	err_set(e, "the PKCS#11 modules cannot be loaded: %s", gnutls_strerror(r));
	return err_remedy(e, "see what p11-kit list-modules says, as the keyholders' account");
}

/* Once: a second try with the same PIN could lock the token. */
static int on_pin(void *ctx, int attempt, const char *token_url, const char *token_label, unsigned flags, char *pin, size_t max)
{
	const char *known = ctx;

	(void)token_url;
	(void)token_label;
	if (!known || attempt > 0 || (flags & GNUTLS_PIN_WRONG) || strlen(known) >= max)
		return -1;
	memcpy(pin, known, strlen(known) + 1);
	return 0;
}

static bool any_token(void)
{
	char *url = NULL;

	for (unsigned i = 0; gnutls_pkcs11_token_get_url(i, GNUTLS_PKCS11_URL_GENERIC, &url) >= 0; i++) {
		/* p11-kit's own tokens of authorities are no place for keys. */
		bool trust = strstr(url, "model=p11-kit-trust") != NULL;

		gnutls_free(url);
		if (!trust)
			return true;
	}
	return false;
}

static int explain(const char *uri, const char *what, const char *pin, int code, struct err *e)
{
	char shown[TOKEN_MAX_URI], label[TOKEN_MAX_URI];
	unsigned flags;

	token_shown(uri, shown);
	if (!any_token()) {
		err_set(e, "the %s %s cannot be had: no PKCS#11 module offers a token", what, shown);
		return err_remedy(e, "install the token's module for p11-kit (p11-kit list-modules names those that are there) and give the keyholders' account (KeyUser) the right to reach the token");
	}
	if (gnutls_pkcs11_token_get_flags(token_label(uri, label), &flags) < 0) {
		err_set(e, "the %s %s cannot be had: there is no token %s", what, shown, label);
		return err_remedy(e, "p11tool --list-tokens names those that are there; where it does, give the keyholders' account (KeyUser) the right to reach it");
	}
	switch (code) {
	case GNUTLS_E_PKCS11_PIN_LOCKED:
		err_set(e, "the token of the %s %s is locked: a wrong PIN was given too often", what, shown);
		return err_remedy(e, "have its security officer unlock it: p11tool --set-pin --so-login");
	case GNUTLS_E_PKCS11_PIN_ERROR:
	case GNUTLS_E_PKCS11_USER_ERROR:
		if (pin) {
			err_set(e, "the PIN for the %s %s is wrong", what, shown);
			return err_remedy(e, "mend pin-value or the file of pin-source in the URI, or what SSLPassPhraseDialog gives; tokens lock after a few wrong ones");
		}
		err_set(e, "the %s %s needs a PIN, and none is known", what, shown);
		return err_remedy(e, "add ?pin-source=file:/etc/bulkhead/pin to the URI, a file that only root can read, or stop and start the server, so that SSLPassPhraseDialog can ask");
	case GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE:
	case GNUTLS_E_PKCS11_REQUESTED_OBJECT_NOT_AVAILBLE:
		err_set(e, "there is no %s %s on its token", what, shown);
		return err_remedy(e, "p11tool --login --list-all %s names what is there", label);
	default:
		err_set(e, "the %s %s cannot be used: %s", what, shown, gnutls_strerror(code));
		return err_remedy(e, "see whether p11tool --login --list-all %s can, as the keyholders' account", label);
	}
}

int token_key(gnutls_privkey_t *out, const char *uri, const char *pin, struct err *e)
{
	char shown[TOKEN_MAX_URI];
	int r = gnutls_privkey_init(out);

	if (r < 0)
		return err_set(e, "no memory");
	gnutls_privkey_set_pin_function(*out, on_pin, (void *)(uintptr_t)pin);
	r = gnutls_privkey_import_url(*out, token_shown(uri, shown), 0);
	gnutls_privkey_set_pin_function(*out, on_pin, NULL);
	if (r >= 0)
		return 0;
	gnutls_privkey_deinit(*out);
	return explain(uri, "private key", pin, r, e);
}

int token_certificate(gnutls_x509_crt_t *out, const char *uri, struct err *e)
{
	char shown[TOKEN_MAX_URI];
	int r = gnutls_x509_crt_init(out);

	if (r < 0)
		return err_set(e, "no memory");
	r = gnutls_x509_crt_import_url(*out, token_shown(uri, shown), 0);
	if (r >= 0)
		return 0;
	gnutls_x509_crt_deinit(*out);
	return explain(uri, "certificate", NULL, r, e);
}

/*
 * functions.c - the functions of expressions that need nothing but their arguments. Runs in the children.
 */
#include <gcrypt.h>

#include "base/secret.h"
#include "expr/node.h"

static const char hex_digits[] = "0123456789abcdef";

static struct text result(char *p, size_t n)
{
	if (!p)
		return (struct text){ NULL, 0 };
	p[n] = '\0';
	return (struct text){ p, n };
}

/* ------------------------------------------------------------------------------------------------ letters */

static struct text to_lower(struct expr_ctx *x, struct text *a, unsigned n)
{
	char *p = expr_room(x, a->n);

	(void)n;
	for (size_t i = 0; p && i < a->n; i++)
		p[i] = (char)ascii_lower((unsigned char)a->p[i]);
	return result(p, a->n);
}

static struct text to_upper(struct expr_ctx *x, struct text *a, unsigned n)
{
	char *p = expr_room(x, a->n);

	(void)n;
	for (size_t i = 0; p && i < a->n; i++)
		p[i] = (char)(a->p[i] >= 'a' && a->p[i] <= 'z' ? a->p[i] - 32 : a->p[i]);
	return result(p, a->n);
}

/* replace(text, from, to); an empty `from` changes nothing. */
static struct text replace(struct expr_ctx *x, struct text *a, unsigned n)
{
	struct text s = a[0], from = a[1], to = a[2];
	size_t count = 0, size, k = 0;
	const char *p = s.p, *end = s.p + s.n, *hit;
	char *out;

	(void)n;
	if (from.n == 0)
		return s;
	for (; (hit = memmem(p, (size_t)(end - p), from.p, from.n)); p = hit + from.n)
		count++;
	if (!size_mul(count, to.n, &size) || !size_add(s.n - count * from.n, size, &size))
		size = SIZE_MAX - 1;
	out = expr_room(x, size);
	for (p = s.p; out && (hit = memmem(p, (size_t)(end - p), from.p, from.n)); p = hit + from.n) {
		memcpy(out + k, p, (size_t)(hit - p));
		k += (size_t)(hit - p);
		memcpy(out + k, to.p, to.n);
		k += to.n;
	}
	if (out)
		memcpy(out + k, p, (size_t)(end - p));
	return result(out, size);
}

/* ------------------------------------------------------------------------------------------------ escapes */

static bool plain_in_uri(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("$-_.+!*'(),:;@&=/~", c));
}

/* Whatever a path may not hold as it is becomes %hh. */
static struct text escape(struct expr_ctx *x, struct text *a, unsigned n)
{
	char *p = expr_room(x, 3 * a->n);
	size_t k = 0;

	(void)n;
	for (size_t i = 0; p && i < a->n; i++) {
		unsigned char c = (unsigned char)a->p[i];
		if (plain_in_uri((char)c)) {
			p[k++] = (char)c;
			continue;
		}
		p[k++] = '%';
		p[k++] = hex_digits[c >> 4];
		p[k++] = hex_digits[c & 15];
	}
	return result(p, k);
}

static int hex_value(char c)
{
	const char *at = c ? strchr(hex_digits, ascii_lower((unsigned char)c)) : NULL;

	return at ? (int)(at - hex_digits) : -1;
}

/* %2F stays as it is; a bad escape, or %00, makes the whole empty: as in Apache. */
static struct text unescape(struct expr_ctx *x, struct text *a, unsigned n)
{
	char *p = expr_room(x, a->n);
	size_t k = 0;

	(void)n;
	for (size_t i = 0; p && i < a->n; i++) {
		int high, low, c;
		if (a->p[i] != '%') {
			p[k++] = a->p[i];
			continue;
		}
		high = i + 2 < a->n ? hex_value(a->p[i + 1]) : -1;
		low = i + 2 < a->n ? hex_value(a->p[i + 2]) : -1;
		c = high < 0 || low < 0 ? 0 : high << 4 | low;
		if (c == 0)
			return TEXT("");
		if (c == '/') {
			memcpy(p + k, a->p + i, 3);
			k += 3;
		} else {
			p[k++] = (char)c;
		}
		i += 2;
	}
	return result(p, k);
}

/* RFC 4514 and RFC 4515: what is special in a distinguished name or a filter becomes \hh. */
static struct text ldap(struct expr_ctx *x, struct text *a, unsigned n)
{
	char *p = expr_room(x, 3 * a->n);
	size_t k = 0;

	(void)n;
	for (size_t i = 0; p && i < a->n; i++) {
		unsigned char c = (unsigned char)a->p[i];
		bool end = (i == 0 && (c == ' ' || c == '#')) || (i + 1 == a->n && c == ' ');
		if (c && !end && !strchr(",+\"\\<>;=*()", c)) {
			p[k++] = (char)c;
			continue;
		}
		p[k++] = '\\';
		p[k++] = hex_digits[c >> 4];
		p[k++] = hex_digits[c & 15];
	}
	return result(p, k);
}

/* ------------------------------------------------------------------------------------------------ base64 and hashes */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct text base64(struct expr_ctx *x, struct text *a, unsigned n)
{
	char *p = expr_room(x, (a->n + 2) / 3 * 4);
	size_t k = 0;

	(void)n;
	for (size_t i = 0; p && i < a->n; i += 3) {
		size_t left = a->n - i;
		unsigned v = (unsigned)(unsigned char)a->p[i] << 16;
		v |= left > 1 ? (unsigned)(unsigned char)a->p[i + 1] << 8 : 0;
		v |= left > 2 ? (unsigned)(unsigned char)a->p[i + 2] : 0;
		p[k++] = base64_digits[v >> 18 & 63];
		p[k++] = base64_digits[v >> 12 & 63];
		p[k++] = left > 1 ? base64_digits[v >> 6 & 63] : '=';
		p[k++] = left > 2 ? base64_digits[v & 63] : '=';
	}
	return result(p, k);
}

/* Up to the first byte that is none of its digits; the result ends before a NUL. */
static struct text unbase64(struct expr_ctx *x, struct text *a, unsigned n)
{
	char *p = expr_room(x, a->n);
	unsigned v = 0, bits = 0;
	size_t k = 0;

	(void)n;
	for (size_t i = 0; p && i < a->n; i++) {
		const char *digit = a->p[i] ? strchr(base64_digits, a->p[i]) : NULL;
		if (!digit)
			break;
		v = (v << 6 | (unsigned)(digit - base64_digits)) & 0xffffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if ((v >> bits & 255) == 0)
			break;
		p[k++] = (char)(v >> bits & 255);
	}
	return result(p, k);
}

/* A library that nobody has set up complains to syslog, which a child's sandbox forbids. */
static void set_up(void)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return;
	gcry_check_version(NULL);
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

static struct text hash(struct expr_ctx *x, struct text t, int algorithm)
{
	secret_hash_init();
	unsigned n = gcry_md_get_algo_dlen(algorithm);
	char *p = expr_room(x, (size_t)2 * n);
	const unsigned char *digest = NULL;
	gcry_md_hd_t h = NULL;

	if (!p)
		return result(NULL, 0);
	if (gcry_md_open(&h, algorithm, 0) == 0) {
		gcry_md_write(h, t.p, t.n);
		digest = gcry_md_read(h, algorithm);
	}
	for (unsigned i = 0; digest && i < n; i++) {
		p[2 * i] = hex_digits[digest[i] >> 4];
		p[2 * i + 1] = hex_digits[digest[i] & 15];
	}
	gcry_md_close(h);
	if (!digest)
		x->failed = "the library refuses this hash";
	return digest ? result(p, (size_t)2 * n) : result(NULL, 0);
}

static struct text md5(struct expr_ctx *x, struct text *a, unsigned n)
{
	(void)n;
	return hash(x, *a, GCRY_MD_MD5);
}

static struct text sha1(struct expr_ctx *x, struct text *a, unsigned n)
{
	(void)n;
	return hash(x, *a, GCRY_MD_SHA1);
}

/* ------------------------------------------------------------------------------------------------ the table */

static const struct { const char *name; expr_function *run; unsigned arguments; } functions[] = {
	{ "tolower", to_lower, 1 }, { "toupper", to_upper, 1 }, { "replace", replace, 3 }, { "escape", escape, 1 }, { "unescape", unescape, 1 },
	{ "ldap", ldap, 1 }, { "base64", base64, 1 }, { "unbase64", unbase64, 1 }, { "md5", md5, 1 }, { "sha1", sha1, 1 },
};

expr_function *expr_function_find(const char *name, unsigned *least, unsigned *most)
{
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (strcmp(functions[i].name, name) == 0) {
			*least = *most = functions[i].arguments;
			if (functions[i].run == md5 || functions[i].run == sha1)
				set_up();       /* in the master, mostly */
			return functions[i].run;
		}
	return NULL;
}

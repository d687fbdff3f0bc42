/*
 * code.c - encodings of values: for URLs, forms, HTML, base64. Runs in the children.
 */
#include "ssi/code.h"

#include <stdint.h>

#include "http/uri.h"

typedef char *coder(struct arena *a, const char *value);

static char *none(struct arena *a, const char *value)
{
	return arena_strdup(a, value);
}

/* ------------------------------------------------------------------------------------------------ URLs and forms */

static char *form_encode(struct arena *a, const char *value)
{
	static const char hex[] = "0123456789abcdef";
	char *out = arena_alloc(a, strlen(value) * 3 + 1), *to = out;

	for (const unsigned char *p = (const unsigned char *)value; out && *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || strchr("-_.*", *p);

		if (*p == ' ') {
			*to++ = '+';
		} else if (plain) {
			*to++ = (char)*p;
		} else {
			*to++ = '%';
			*to++ = hex[*p >> 4];
			*to++ = hex[*p & 15];
		}
	}
	if (out)
		*to = '\0';
	return out;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* An escape that is none, or stands for NUL, stays as it is. */
static char *unescape(struct arena *a, const char *value, bool plus)
{
	char *out = arena_alloc(a, strlen(value) + 1), *to = out;

	for (const char *p = value; out && *p; p++) {
		int high = *p == '%' ? digit(p[1]) : -1, low = high >= 0 ? digit(p[2]) : -1;

		if (low >= 0 && (high || low)) {
			*to++ = (char)(high * 16 + low);
			p += 2;
		} else {
			*to++ = plus && *p == '+' ? ' ' : *p;
		}
	}
	if (out)
		*to = '\0';
	return out;
}

static char *url_decode(struct arena *a, const char *value) { return unescape(a, value, false); }
static char *form_decode(struct arena *a, const char *value) { return unescape(a, value, true); }

char *ssi_query_unescaped(struct arena *a, const char *query)
{
	char *plain = unescape(a, query, false), *out = plain ? arena_alloc(a, strlen(plain) * 2 + 1) : NULL, *to = out;

	for (const char *p = plain; out && *p; p++) {
		if (strchr("&;`'\"|*?~<>^()[]{}$\\\n\r", *p))
			*to++ = '\\';
		*to++ = *p;
	}
	if (out)
		*to = '\0';
	return out;
}

/* ------------------------------------------------------------------------------------------------ HTML */

static const struct { const char *name; unsigned size; char c; } entities[] = {
	{ "lt;", 3, '<' }, { "gt;", 3, '>' }, { "amp;", 4, '&' }, { "quot;", 5, '"' }, { "apos;", 5, '\'' }, { "nbsp;", 5, ' ' },
};

static char *entity_encode(struct arena *a, const char *value)
{
	size_t cap = strlen(value) * 6 + 1;
	char *out = arena_alloc(a, cap);
	struct buf b;

	if (!out)
		return NULL;
	buf_init(&b, out, cap);
	for (const char *p = value; *p; p++)
		switch (*p) {
		case '<': buf_puts(&b, "&lt;"); break;
		case '>': buf_puts(&b, "&gt;"); break;
		case '&': buf_puts(&b, "&amp;"); break;
		case '"': buf_puts(&b, "&quot;"); break;
		default: buf_putc(&b, *p);
		}
	return out;
}

/* p stands behind "&#". Its length with the semicolon; 0: it is none. As UTF-8 into to. */
static size_t numbered(const char *p, char **to)
{
	uint32_t n = 0;
	size_t k = 0;

	for (; p[k] >= '0' && p[k] <= '9' && k < 7; k++)
		n = n * 10 + (uint32_t)(p[k] - '0');
	if (!k || p[k] != ';' || !n || n > 0x10ffff || (n >= 0xd800 && n < 0xe000))
		return 0;
	if (n < 0x80) {
		*(*to)++ = (char)n;
	} else if (n < 0x800) {
		*(*to)++ = (char)(0xc0 | n >> 6);
		*(*to)++ = (char)(0x80 | (n & 63));
	} else if (n < 0x10000) {
		*(*to)++ = (char)(0xe0 | n >> 12);
		*(*to)++ = (char)(0x80 | (n >> 6 & 63));
		*(*to)++ = (char)(0x80 | (n & 63));
	} else {
		*(*to)++ = (char)(0xf0 | n >> 18);
		*(*to)++ = (char)(0x80 | (n >> 12 & 63));
		*(*to)++ = (char)(0x80 | (n >> 6 & 63));
		*(*to)++ = (char)(0x80 | (n & 63));
	}
	return k + 1;
}

static size_t named(const char *p, char **to)
{
	for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++)
		if (strncmp(p, entities[i].name, entities[i].size) == 0) {
			*(*to)++ = entities[i].c;
			return entities[i].size;
		}
	return 0;
}

/* What is no entity that is known stays. None of them is shorter than what it stands for. */
static char *entity_decode(struct arena *a, const char *value)
{
	char *out = arena_alloc(a, strlen(value) + 1), *to = out;

	for (const char *p = value; out && *p; p++) {
		size_t used = 0;

		if (*p == '&')
			used = p[1] == '#' ? numbered(p + 2, &to) + 1 : named(p + 1, &to);
		if (*p == '&' && used > (p[1] == '#'))
			p += used;
		else
			*to++ = *p;
	}
	if (out)
		*to = '\0';
	return out;
}

/* ------------------------------------------------------------------------------------------------ base64 */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64_encode(struct arena *a, const char *value)
{
	size_t n = strlen(value);
	char *out = arena_alloc(a, (n + 2) / 3 * 4 + 1), *to = out;

	for (size_t i = 0; out && i < n; i += 3) {
		uint32_t three = (uint32_t)(unsigned char)value[i] << 16;

		if (i + 1 < n)
			three |= (uint32_t)(unsigned char)value[i + 1] << 8;
		if (i + 2 < n)
			three |= (uint32_t)(unsigned char)value[i + 2];
		*to++ = letters[three >> 18];
		*to++ = letters[three >> 12 & 63];
		*to++ = i + 1 < n ? letters[three >> 6 & 63] : '=';
		*to++ = i + 2 < n ? letters[three & 63] : '=';
	}
	if (out)
		*to = '\0';
	return out;
}

/* Up to the first byte that is none of its letters; a NUL ends it too. */
static char *base64_decode(struct arena *a, const char *value)
{
	char *out = arena_alloc(a, strlen(value) + 1), *to = out;
	uint32_t bits = 0;
	unsigned have = 0;

	for (const char *p = value; out && *p; p++) {
		const char *at = strchr(letters, *p);

		if (!at)
			break;
		bits = bits << 6 | (uint32_t)(at - letters);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		*to = (char)(bits >> have & 255);
		if (!*to++)
			break;
	}
	if (out)
		*to = '\0';
	return out;
}

/* ------------------------------------------------------------------------------------------------ by name */

static const struct { const char *name; coder *encode, *decode; } codes[] = {
	{ "none", none, none }, { "url", uri_escape_path, url_decode }, { "urlencoded", form_encode, form_decode },
	{ "base64", base64_encode, base64_decode }, { "entity", entity_encode, entity_decode },
};

static coder *find(struct text name, bool encode)
{
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (text_is_nocase(name, codes[i].name))
			return encode ? codes[i].encode : codes[i].decode;
	return NULL;
}

static char *apply(struct arena *a, const char *list, const char *value, bool encode)
{
	struct text rest = text_of(list), part;
	char *out = arena_strdup(a, value);

	while (out && text_split(&rest, ',', &part)) {
		coder *code = find(text_trim(part), encode);

		out = code ? code(a, out) : NULL;
	}
	return out;
}

bool ssi_codes_known(const char *list)
{
	struct text rest = text_of(list), part;

	while (text_split(&rest, ',', &part))
		if (!find(text_trim(part), true))
			return false;
	return true;
}

char *ssi_encode(struct arena *a, const char *list, const char *value)
{
	return apply(a, list, value, true);
}

char *ssi_decode(struct arena *a, const char *list, const char *value)
{
	return apply(a, list, value, false);
}

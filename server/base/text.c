/*
 * text.c - strings as pointer and length, numbers, wildcards, bounded building. Pure; runs in any process.
 * Nothing here looks at the locale: what comes from the network means the same everywhere.
 */
#include "base/text.h"

#include <errno.h>
#include <stdio.h>

static bool same_nocase(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i] && ascii_lower((unsigned char)a[i]) != ascii_lower((unsigned char)b[i]))
			return false;
	return true;
}

bool text_eq_nocase(struct text a, struct text b)
{
	return a.n == b.n && same_nocase(a.p, b.p, a.n);
}

bool text_starts(struct text a, const char *prefix)
{
	size_t n = strlen(prefix);
	return a.n >= n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

struct text text_trim(struct text a)
{
	while (a.n && (a.p[0] == ' ' || a.p[0] == '\t')) {
		a.p++;
		a.n--;
	}
	while (a.n && (a.p[a.n - 1] == ' ' || a.p[a.n - 1] == '\t'))
		a.n--;
	return a;
}

bool text_split(struct text *rest, char sep, struct text *part)
{
	const char *at;

	if (!rest->p)
		return false;
	at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
	part->p = rest->p;
	if (at) {
		part->n = (size_t)(at - rest->p);
		rest->p = at + 1;
		rest->n -= part->n + 1;
	} else {
		part->n = rest->n;
		*rest = (struct text){ NULL, 0 };
	}
	return true;
}

/* ------------------------------------------------------------------------------------------------ numbers */

static int digit(char c, unsigned base)
{
	int lower = ascii_lower((unsigned char)c), d;

	if (lower >= '0' && lower <= '9')
		d = lower - '0';
	else if (lower >= 'a' && lower <= 'f')
		d = lower - 'a' + 10;
	else
		return -1;
	return (unsigned)d < base ? d : -1;
}

/* A number above max is still read to its end: "99x" is not a number, whatever max is. */
static int number(struct text a, unsigned base, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	bool over = false;

	if (a.n == 0) {
		errno = EINVAL;
		return -1;
	}
	for (size_t i = 0; i < a.n; i++) {
		int d = digit(a.p[i], base);
		if (d < 0) {
			errno = EINVAL;
			return -1;
		}
		over |= __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (unsigned)d, &v);
	}
	if (over || v > max) {
		errno = ERANGE;
		return -1;
	}
	*out = v;
	return 0;
}

int text_u64(struct text a, uint64_t max, uint64_t *out)
{
	return number(a, 10, max, out);
}

int text_hex64(struct text a, uint64_t max, uint64_t *out)
{
	return number(a, 16, max, out);
}

int text_duration_ms(struct text a, uint64_t unit_ms, uint64_t max_ms, uint64_t *out)
{
	static const struct { const char *name; uint64_t ms; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "mi", 60000 }, { "min", 60000 }, { "h", 3600000 },
	};
	struct text figures = a, unit;
	uint64_t v;

	figures.n = 0;
	while (figures.n < a.n && digit(a.p[figures.n], 10) >= 0)
		figures.n++;
	unit = (struct text){ a.p + figures.n, a.n - figures.n };
	if (unit.n) {
		unit_ms = 0;
		for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
			if (text_is_nocase(unit, units[i].name))
				unit_ms = units[i].ms;
		if (!unit_ms) {
			errno = EINVAL;
			return -1;
		}
	}
	if (text_u64(figures, UINT64_MAX, &v) != 0)
		return -1;
	if (__builtin_mul_overflow(v, unit_ms, &v) || v > max_ms) {
		errno = ERANGE;
		return -1;
	}
	*out = v;
	return 0;
}

/* ---------------------------------------------------------------------------------------------- wildcards */

static bool same_char(char a, char b, bool nocase)
{
	return a == b || (nocase && ascii_lower((unsigned char)a) == ascii_lower((unsigned char)b));
}

/*
 * Both matchers go back to the last '*' only: what an earlier one could swallow more, the last can too. That
 * bounds the work by the product of both lengths.
 */
bool wild_match(const char *pattern, const char *s, bool nocase)
{
	const char *star = NULL, *tried = NULL;

	while (*s) {
		if (*pattern == '*') {
			star = ++pattern;
			tried = s;
		} else if (*pattern && (*pattern == '?' || same_char(*pattern, *s, nocase))) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star;
			s = ++tried;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool in_class(struct text name, unsigned char c)
{
	bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z', figure = c >= '0' && c <= '9';
	bool visible = c > ' ' && c < 0x7f;

	return (text_is(name, "alpha") && (upper || lower)) || (text_is(name, "upper") && upper)
		|| (text_is(name, "lower") && lower) || (text_is(name, "digit") && figure)
		|| (text_is(name, "alnum") && (upper || lower || figure))
		|| (text_is(name, "graph") && visible)
		|| (text_is(name, "punct") && visible && !upper && !lower && !figure)
		|| (text_is(name, "xdigit") && digit((char)c, 16) >= 0)
		|| (text_is(name, "blank") && (c == ' ' || c == '\t'))
		|| (text_is(name, "space") && (c == ' ' || (c >= '\t' && c <= '\r')))
		|| (text_is(name, "print") && (visible || c == ' '))
		|| (text_is(name, "cntrl") && (c < ' ' || c == 0x7f));
}

/*
 * The bracket expression after a '[' against c. Returns what follows its ']', or NULL if it has no end (the
 * '[' then stands for itself); a '/' before the ']' ends the search, as POSIX wants for paths.
 */
static const char *bracket(const char *p, unsigned char c, bool *matched)
{
	bool invert = *p == '!' || *p == '^', found = false;

	if (invert)
		p++;
	for (bool first = true; *p != ']' || first; first = false) {
		unsigned char low, high;
		const char *end;
		if (p[0] == '[' && p[1] == ':' && (end = strstr(p + 2, ":]"))
		    && !memchr(p, '/', (size_t)(end - p))) {
			found |= in_class((struct text){ p + 2, (size_t)(end - p - 2) }, c);
			p = end + 2;
			continue;
		}
		if (*p == '\\' && p[1])
			p++;
		if (*p == '\0' || *p == '/')
			return NULL;
		low = high = (unsigned char)*p++;
		if (p[0] == '-' && p[1] && p[1] != ']') {
			p += p[1] == '\\' && p[2] ? 2 : 1;
			if (*p == '/')
				return NULL;
			high = (unsigned char)*p++;
		}
		found |= c >= low && c <= high;
	}
	*matched = found != invert && c != '/';
	return p + 1;
}

/*
 * One element of a pattern that is not '*' against c; returns the rest of the pattern, NULL if it does not
 * match.
 */
static const char *path_element(const char *p, char c)
{
	bool matched;
	const char *rest;

	switch (*p) {
	case '\0':
		return NULL;
	case '?':
		return c != '/' ? p + 1 : NULL;
	case '[':
		rest = bracket(p + 1, (unsigned char)c, &matched);
		if (rest)
			return matched ? rest : NULL;
		break;
	case '\\':
		return p[1] && p[1] == c ? p + 2 : NULL;
	default:
		break;
	}
	return *p == c ? p + 1 : NULL;
}

bool wild_match_path(const char *pattern, const char *s)
{
	const char *star = NULL, *tried = NULL;

	while (*s) {
		const char *rest;
		if (*pattern == '*') {
			star = ++pattern;
			tried = s;
		} else if ((rest = path_element(pattern, *s))) {
			pattern = rest;
			s++;
		} else if (star && *tried != '/') {
			pattern = star;
			s = ++tried;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/*
 * ------------------------------------------------------------------------------------------ bounded buffer
 */

void buf_put_cut(struct buf *b, const char *p, size_t n)
{
	size_t room = b->cap ? b->cap - 1 - b->n : 0;

	if (n > room) {
		n = room;
		b->full = true;
	}
	if (n) {
		memcpy(b->p + b->n, p, n);
		b->n += n;
		b->p[b->n] = '\0';
	}
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263"
				    "646566676869707172737475767778798081828384858687888990919293949596979899";
	char digits[20], *p = digits + sizeof digits;

	for (; v >= 10; v /= 100)
		p = memcpy(p - 2, pairs + v % 100 * 2, 2);
	if (v || p == digits + sizeof digits)
		*--p = (char)('0' + v);
	buf_put(b, p, (size_t)(digits + sizeof digits - p));
}

void buf_put_hex(struct buf *b, uint64_t v)
{
	char digits[16], *p = digits + sizeof digits;

	do
		*--p = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	buf_put(b, p, (size_t)(digits + sizeof digits - p));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t room = b->cap ? b->cap - b->n : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		b->full = true;
		n = n < 0 || room == 0 ? 0 : (int)(room - 1);
	}
	b->n += (size_t)n;
}

/* Half an escape would mean something else: all of it or nothing, and nothing after that. */
static void put_whole(struct buf *b, const char *p, size_t n)
{
	if (b->full || b->cap - 1 - b->n < n)
		b->full = true;
	else
		buf_put(b, p, n);
}

/* What needs no escape goes in one piece: nearly all of nearly every text. */
static void put_plain(struct buf *b, const char *from, const char *to)
{
	if (!b->full && to > from)
		buf_put(b, from, (size_t)(to - from));
}

static bool log_escapes(unsigned char c)
{
	return c < 0x20 || c > 0x7e || c == '"' || c == '\\';
}

/*
 * Whether one of eight bytes may have to be escaped. A top bit that is set, or that a subtraction sets, marks one; a borrow can
 * only raise a false alarm above a true one.
 */
static bool may_escape(const char *p)
{
	const uint64_t ones = UINT64_MAX / 255, tops = ones * 0x80;
	uint64_t x, low, quote, slash, del;

	memcpy(&x, p, sizeof x);
	low = x - ones * ' ';
	quote = (x ^ ones * '"') - ones;
	slash = (x ^ ones * '\\') - ones;
	del = (x ^ ones * 0x7f) - ones;
	return (x | low | quote | slash | del) & tops;
}

/* The first place in [i, n) whose byte a log escapes: eight bytes at a time, the last eight once more in place of a rest. */
static size_t find_escaped(const char *p, size_t i, size_t n)
{
	while (n - i >= 8 && !may_escape(p + i))
		i += 8;
	if (i < n && n - i < 8 && n >= 8 && !may_escape(p + n - 8))
		return n;
	while (i < n && !log_escapes((unsigned char)p[i]))
		i++;
	return i;
}

bool text_is_plain(struct text t)
{
	return find_escaped(t.p, 0, t.n) == t.n;
}

void buf_put_log(struct buf *b, struct text t)
{
	static const char hex[] = "0123456789abcdef";
	static const char named[][2] = {
		{ '"', '"' }, { '\\', '\\' }, { '\b', 'b' }, { '\n', 'n' }, { '\r', 'r' }, { '\t', 't' }, { '\v', 'v' },
	};
	const char *plain = t.p;

	for (size_t i = 0; (i = find_escaped(t.p, i, t.n)) < t.n; i++) {
		unsigned char c = (unsigned char)t.p[i];
		char escape[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
		size_t n = 4;
		for (size_t k = 0; k < sizeof named / sizeof named[0]; k++)
			if (named[k][0] == (char)c) {
				escape[1] = named[k][1];
				n = 2;
			}
		put_plain(b, plain, t.p + i);
		put_whole(b, escape, n);
		plain = t.p + i + 1;
	}
	if (t.n)
		put_plain(b, plain, t.p + t.n);
}

static const char *html_entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void buf_put_html(struct buf *b, struct text t)
{
	const char *plain = t.p;

	for (size_t i = 0; i < t.n; i++) {
		const char *entity = html_entity(t.p[i]);
		if (!entity)
			continue;
		put_plain(b, plain, t.p + i);
		put_whole(b, entity, strlen(entity));
		plain = t.p + i + 1;
	}
	if (t.n)
		put_plain(b, plain, t.p + t.n);
}

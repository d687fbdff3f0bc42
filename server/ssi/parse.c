/*
 * parse.c - finds elements in a page, and splits them. Runs in the children, on pages that may be anybody's.
 *
 * The start tag is searched for byte by byte as Knuth, Morris and Pratt do it, so that one that is cut in two by pieces of the input is
 * found and nothing is looked at twice.
 */
#include "ssi/parse.h"

int ssi_scan_init(struct ssi_scan *s, struct arena *a, const char *start, const char *end)
{
	*s = (struct ssi_scan){ .start = start, .end = end, .nstart = strlen(start), .nend = strlen(end) };
	if (!s->nstart || s->nstart > SSI_TAG || !s->nend || s->nend > SSI_TAG)
		return -1;
	for (size_t i = 1, k = 0; i < s->nstart; i++) {
		while (k && start[i] != start[k])
			k = s->back[k - 1];
		k += start[i] == start[k];
		s->back[i] = (unsigned char)k;
	}
	s->element = arena_alloc(a, SSI_ELEMENT + SSI_TAG);
	return s->element ? 0 : -1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

/* ------------------------------------------------------------------------------------------------ outside */

static bool put(const char *p, size_t k, char *out, size_t room, size_t *n)
{
	if (room - *n < k)
		return false;
	if (k)
		memcpy(out + *n, p, k);
	*n += k;
	return true;
}

/* Bytes that begin no tag go out at once. False: no room. */
static bool plain(const struct ssi_scan *s, struct text *in, char *out, size_t room, size_t *n)
{
	const char *first = in->n ? memchr(in->p, s->start[0], in->n) : NULL;
	size_t k = first ? (size_t)(first - in->p) : in->n, fits = k < room - *n ? k : room - *n;

	put(in->p, fits, out, room, n);
	in->p += fits;
	in->n -= fits;
	return fits == k;
}

/* True: a start tag has come whole. */
static bool outside(struct ssi_scan *s, struct text *in, char *out, size_t room, size_t *n, bool *full)
{
	while (in->n) {
		if (!s->matched && !plain(s, in, out, room, n)) {
			*full = true;
			return false;
		}
		if (!in->n)
			break;
		while (s->matched && s->start[s->matched] != *in->p) {
			size_t kept = s->back[s->matched - 1];

			if (!put(s->start, s->matched - kept, out, room, n)) {
				*full = true;
				return false;
			}
			s->matched = kept;
		}
		if (s->start[s->matched] != *in->p)
			continue;               /* nothing matches: it is plain */
		s->matched++;
		in->p++;
		in->n--;
		if (s->matched == s->nstart) {
			s->matched = 0;
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------------------------------------ inside */

/* Whether c ends the element. */
static bool gather(struct ssi_scan *s, char c)
{
	if (s->n == SSI_ELEMENT + SSI_TAG) {    /* its end alone is looked for */
		s->too_long = true;
		memmove(s->element, s->element + s->n - s->nend, s->nend);
		s->n = s->nend;
	}
	s->element[s->n++] = c;
	if (s->quote) {
		if (s->escaped)
			s->escaped = false;
		else if (c == '\\')
			s->escaped = true;
		else if (c == s->quote)
			s->quote = '\0';
		return false;
	}
	if (s->n >= s->nend && memcmp(s->element + s->n - s->nend, s->end, s->nend) == 0) {
		s->n -= s->nend;
		return true;
	}
	if ((c == '"' || c == '\'' || c == '`') && s->last == '=') {
		s->quote = c;
		s->last = c;
	} else if (!is_blank(c)) {
		s->last = c;
	}
	return false;
}

static void begin(struct ssi_scan *s)
{
	s->inside = true;
	s->too_long = s->escaped = false;
	s->quote = s->last = '\0';
	s->n = 0;
}

enum ssi_found ssi_scan(struct ssi_scan *s, struct text *in, char *out, size_t room, size_t *n)
{
	bool full = false;

	while (in->n) {
		if (!s->inside) {
			if (!outside(s, in, out, room, n, &full))
				return full ? SSI_FULL : SSI_NOTHING;
			begin(s);
			continue;
		}
		char c = *in->p;

		in->p++;
		in->n--;
		if (!gather(s, c))
			continue;
		s->inside = false;
		return s->too_long || s->n > SSI_ELEMENT ? SSI_TOO_LONG : SSI_FOUND;
	}
	return SSI_NOTHING;
}

enum ssi_found ssi_scan_end(struct ssi_scan *s, char *out, size_t room, size_t *n)
{
	if (s->inside) {
		s->inside = false;
		return SSI_TOO_LONG;
	}
	if (!put(s->start, s->matched, out, room, n))
		return SSI_FULL;
	s->matched = 0;
	return SSI_NOTHING;
}

/* ------------------------------------------------------------------------------------------------ the parts of an element */

static void lower(char *p)
{
	for (; *p; p++)
		*p = (char)ascii_lower((unsigned char)*p);
}

/* p stands on the quote. NULL: it is not closed. Backslashes go where they stand before the quote alone. */
static char *quoted(char *p, char **value)
{
	char quote = *p++, *to = p;

	*value = to;
	for (; *p && *p != quote; p++) {
		if (*p == '\\' && p[1] == quote)
			p++;
		else if (*p == '\\' && p[1])
			*to++ = *p++;
		*to++ = *p;
	}
	if (!*p)
		return NULL;
	*to = '\0';
	return p + 1;
}

/* One attribute; behind it, or NULL with a reason. */
static char *attribute(char *p, struct ssi_attribute *at, const char **why)
{
	char *end;

	at->name = p;
	at->value = NULL;
	while (*p && *p != '=' && !is_blank(*p))
		p++;
	end = p;
	while (is_blank(*p))
		p++;
	if (*p != '=') {
		if (p == end)
			return p;
		*end = '\0';
		return p;
	}
	if (end == at->name) {
		*why = "an attribute has no name";
		return NULL;
	}
	p++;
	*end = '\0';
	while (is_blank(*p))
		p++;
	if (*p == '"' || *p == '\'' || *p == '`') {
		p = quoted(p, &at->value);
		if (!p)
			*why = "the value of an attribute has no closing quote";
		return p;
	}
	at->value = p;
	while (*p && !is_blank(*p))
		p++;
	if (*p)
		*p++ = '\0';
	return p;
}

int ssi_split(struct arena *a, const char *from, size_t n, struct ssi_element *e, const char **why)
{
	char *p = arena_strndup(a, from, n);

	e->n = 0;
	if (!p || strlen(p) != n) {
		*why = p ? "it holds a NUL" : "out of memory";
		return -1;
	}
	while (is_blank(*p))
		p++;
	e->name = p;
	while (*p && !is_blank(*p))
		p++;
	if (*p)
		*p++ = '\0';
	lower(e->name);
	for (;;) {
		while (is_blank(*p))
			p++;
		if (!*p)
			return 0;
		if (e->n == SSI_ATTRIBUTES) {
			*why = "it has too many attributes";
			return -1;
		}
		p = attribute(p, &e->at[e->n], why);
		if (!p)
			return -1;
		lower(e->at[e->n].name);
		e->n++;
	}
}

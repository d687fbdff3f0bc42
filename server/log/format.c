/*
 * format.c - LogFormat strings: compiled in the master, rendered in the children into the caller's buffer.
 */
#include "log/format.h"

#include <ctype.h>
#include <string.h>

#define MAX_STATUSES 16
#define VALUE_MOST 8192                 /* bytes of an item, before anything in it is escaped */

struct part {
	struct text literal;            /* absent: an item */
	struct log_item item;
	unsigned short statuses[MAX_STATUSES];
	unsigned nstatuses;
	bool status_not;                /* "!200,304" */
	struct part *next;
};
struct log_format { struct part *first; };

/* What mod_log_config, mod_logio and mod_ssl know; a request's own values come from request/logline.c. */
static const char known[] = "aAbBcCDefhHiIklLmnoOpPqrRsStTuUvVxX";
#define TRAILER '^'                     /* %{name}^ti, %{name}^to */
/* The items that speak of the original request unless '>' is written. */
static const char of_original[] = "sUTDr";

static char *unescape(struct arena *a, const char *p, size_t n)
{
	char *out = arena_alloc(a, n + 1), *o = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\\' || i + 1 == n) {
			*o++ = p[i];
			continue;
		}
		switch (p[++i]) {
		case 'n': *o++ = '\n'; break;
		case 't': *o++ = '\t'; break;
		case 'r': *o++ = '\r'; break;
		case '\\': *o++ = '\\'; break;
		default: *o++ = '\\'; *o++ = p[i];
		}
	}
	*o = '\0';
	return out;
}

/* "!400,501" before the code. Returns what follows it, NULL after err_set. */
static const char *parse_statuses(struct part *part, const char *s, struct err *e)
{
	while (isdigit((unsigned char)*s) || *s == ',' || *s == '!') {
		if (*s == '!') {
			part->status_not = true;
			s++;
		} else if (*s == ',') {
			s++;
		} else {
			unsigned long v = 0;

			while (isdigit((unsigned char)*s) && v < 1000)
				v = v * 10 + (unsigned long)(*s++ - '0');
			if (v < 100 || v > 999 || part->nstatuses == MAX_STATUSES) {
				err_set(e, "a log item takes up to %d status codes from 100 to 999 before its letter", MAX_STATUSES);
				return NULL;
			}
			part->statuses[part->nstatuses++] = (unsigned short)v;
		}
	}
	return s;
}

/* What follows a '%'. Returns the end, NULL after err_set. */
static const char *parse_item(struct arena *a, struct part *part, const char *s, struct err *e)
{
	const char *begin = s;
	int which = 0;

	for (;;) {
		if (isdigit((unsigned char)*s) || *s == '!') {
			s = parse_statuses(part, s, e);
			if (!s)
				return NULL;
		} else if (*s == '<' || *s == '>') {
			which = *s++;
		} else if (*s == '{') {
			const char *end = strchr(s, '}');

			if (!end) {
				err_set(e, "\"%%%s\" has a '{' without its '}'", begin);
				return NULL;
			}
			part->item.arg = arena_strndup(a, s + 1, (size_t)(end - s - 1));
			s = end + 1;
		} else {
			break;
		}
	}
	if (*s == TRAILER && s[1] == 't' && (s[2] == 'i' || s[2] == 'o') && part->item.arg && *part->item.arg) {
		part->item.code = TRAILER;
		return s + 3;
	}
	if (*s == TRAILER && s[1] == 'F' && s[2] == 'B') {
		part->item.code = LOG_FIRST_BYTE;
		return s + 3;
	}
	if (!*s || !strchr(known, *s)) {
		if (*s)
			err_set(e, "\"%%%c\" is no log item", *s);
		else
			err_set(e, "\"%%%s\" ends before its letter", begin);
		err_remedy(e, "the items are %%%s with arguments in braces; a percent sign is written %%%%", known);
		return NULL;
	}
	if (strchr("Ceinox", *s) && (!part->item.arg || !*part->item.arg)) {
		err_set(e, "\"%%%c\" needs a name in braces, as in %%{%s}%c", *s, *s == 'x' ? "SSL_PROTOCOL" : *s == 'C' ? "cookie" : "User-Agent", *s);
		return NULL;
	}
	part->item.code = *s;
	part->item.final = which ? which == '>' : !strchr(of_original, *s);
	return s + 1;
}

struct log_format *log_format_new(struct arena *a, const char *text, struct err *e)
{
	struct log_format *f = arena_zalloc(a, sizeof *f);
	struct part **link = f ? &f->first : NULL;
	const char *s = text;

	while (f && *s) {
		struct part *part = arena_zalloc(a, sizeof *part);
		size_t n = strcspn(s, "%");

		if (!part)
			break;
		if (n || s[1] == '%') {
			bool percent = !n;
			char *plain = percent ? arena_strdup(a, "%") : unescape(a, s, n);

			if (!plain)
				break;
			part->literal = text_of(plain);
			s += percent ? 2 : n;
		} else {
			s = parse_item(a, part, s + 1, e);
			if (!s)
				return NULL;
		}
		*link = part;
		link = &part->next;
	}
	if (!f || *s)
		err_set(e, "out of memory");
	return f && !*s ? f : NULL;
}

static bool status_fits(const struct part *part, unsigned status)
{
	if (!part->nstatuses)
		return true;
	for (unsigned i = 0; i < part->nstatuses; i++)
		if (part->statuses[i] == status)
			return !part->status_not;
	return part->status_not;
}

/* A value is written to its place in the line at once, and taken out of there again only where something in it has to be escaped. */
static void render_item(const struct part *part, const struct log_values *v, struct buf *out)
{
	char raw[VALUE_MOST];
	bool in_place = out->cap - out->n >= sizeof raw;
	struct buf b;

	buf_init(&b, in_place ? out->p + out->n : raw, sizeof raw);
	if (!status_fits(part, v->status) || !v->value(v->ctx, &part->item, &b)) {
		buf_putc(out, '-');
	} else if (part->item.code == 'u' && !b.n) {    /* a user without a name: not nobody, and the line keeps its columns */
		buf_puts(out, "\"\"");
	} else if (in_place && text_is_plain((struct text){ b.p, b.n })) {
		out->n += b.n;
	} else {
		if (in_place)
			memcpy(raw, b.p, b.n);
		buf_put_log(out, (struct text){ raw, b.n });
	}
}

void log_format_render(const struct log_format *f, const struct log_values *v, struct buf *out)
{
	for (const struct part *part = f->first; part; part = part->next)
		if (part->literal.p)
			buf_put(out, part->literal.p, part->literal.n);
		else
			render_item(part, v, out);
	buf_putc(out, '\n');
}

bool log_format_uses(const struct log_format *f, char code)
{
	for (const struct part *part = f->first; part; part = part->next)
		if (!part->literal.p && part->item.code == code)
			return true;
	return false;
}

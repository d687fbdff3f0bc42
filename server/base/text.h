/*
 * text.h - strings as pointer and length, numbers from text, checked sizes, bounded building.
 * A struct text borrows its bytes. Nothing here reads past p + n.
 */
#ifndef BULKHEAD_BASE_TEXT_H
#define BULKHEAD_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
	const char *p;      /* not terminated in general; NULL = absent */
	size_t n;
};

#define TEXT(literal) ((struct text){ (literal), sizeof(literal) - 1 })

static inline struct text text_of(const char *s)        /* NULL gives an absent text */
{
	return (struct text){ s, s ? strlen(s) : 0 };
}
static inline bool text_eq(struct text a, struct text b)        /* same bytes */
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool text_eq_nocase(struct text a, struct text b);      /* ASCII case folded, whatever the locale */
/* Inline, so that the length of a literal costs nothing. */
static inline bool text_is(struct text a, const char *s) { return text_eq(a, text_of(s)); }
static inline bool text_is_nocase(struct text a, const char *s) { return text_eq_nocase(a, text_of(s)); }
bool text_starts(struct text a, const char *prefix);
struct text text_trim(struct text a);                   /* without SP and HTAB at both ends */
/*
 * Takes the part before the first `sep` off *rest (the whole of it if there is none). False when *rest is
 * absent.
 */
bool text_split(struct text *rest, char sep, struct text *part);

/* Decimal digits only, the whole text, no sign. 0, or -1: EINVAL (not a number) or ERANGE (above max). */
int text_u64(struct text a, uint64_t max, uint64_t *out);
int text_hex64(struct text a, uint64_t max, uint64_t *out);
/*
 * A length of time as Apache writes it: a number with an optional unit ms s mi h; without one `unit_ms` ms
 * each.
 */
int text_duration_ms(struct text a, uint64_t unit_ms, uint64_t max_ms, uint64_t *out);

static inline int ascii_lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}
static inline int ascii_upper(int c)
{
	return c >= 'a' && c <= 'z' ? c - 0x20 : c;
}
bool wild_match(const char *pattern, const char *s, bool nocase);        /* * and ? match any character */
/* As fnmatch with FNM_PATHNAME: neither * nor ? nor […] matches a slash. */
bool wild_match_path(const char *pattern, const char *s);

/* Sizes: false on overflow, *out untouched. */
static inline bool size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

/*
 * A bounded buffer: appends what fits and remembers that something did not. Always terminated if cap > 0.
 */
struct buf {
	char *p;
	size_t n, cap;      /* n < cap */
	bool full;          /* something was cut off */
};
static inline void buf_init(struct buf *b, char *p, size_t cap)
{
	*b = (struct buf){ p, 0, cap, cap == 0 };
	if (cap)
		p[0] = '\0';
}
/* As much as fits, where not all does. */
void buf_put_cut(struct buf *b, const char *p, size_t n);
static inline void buf_put(struct buf *b, const char *p, size_t n)
{
	if (!n)
		return;
	if (n >= b->cap - b->n) {
		buf_put_cut(b, p, n);
		return;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}
static inline void buf_puts(struct buf *b, const char *s) { buf_put(b, s, strlen(s)); }
static inline void buf_putc(struct buf *b, char c) { buf_put(b, &c, 1); }
/* Numbers without the cost of printf: for what each response needs. */
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_hex(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Escaped as Apache's logs: \" \\ \n \t … and \xhh for other bytes outside 0x20..0x7e. */
void buf_put_log(struct buf *b, struct text t);
bool text_is_plain(struct text t);              /* that would escape nothing */
/* Escaped for HTML text and attributes. */
void buf_put_html(struct buf *b, struct text t);

#endif

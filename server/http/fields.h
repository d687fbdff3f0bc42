/*
 * fields.h - a set of field lines (RFC 9110, 5): add, find, combine, list values. Names compare without case.
 * Texts are borrowed: from the head's buffer or from the arena the caller copies into.
 */
#ifndef BULKHEAD_HTTP_FIELDS_H
#define BULKHEAD_HTTP_FIELDS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

struct field { struct text name, value; };
struct fields {
	struct field *at;
	unsigned n, cap;
	uint64_t seen;                  /* fields_bit of all names that were ever added: most look-ups are for what is not there */
	struct arena *arena;            /* grows from here */
};

void fields_init(struct fields *f, struct arena *a);
/* Borrows both texts. 0 or -1 (ENOMEM). */
int fields_add(struct fields *f, struct text name, struct text value);
/* As fields_add, but copies both into the arena. */
int fields_add_copy(struct fields *f, const char *name, const char *value);
/* Removes what has the name, then adds copies. */
int fields_set(struct fields *f, const char *name, const char *value);
unsigned fields_remove(struct fields *f, const char *name);             /* returns how many went */
/* One of 64 bits, by first letter and length. */
static inline uint64_t fields_bit(struct text name)
{
	return name.n ? 1ull << ((((unsigned)name.p[0] + (unsigned)name.n * 5) & 31) + ((unsigned)name.n & 1) * 32) : 0;
}
/* The same four with the name's length known: what the others below call, so that neither the length of a literal nor its bit costs anything. */
struct text fields_find(const struct fields *f, struct text name);
unsigned fields_count_of(const struct fields *f, struct text name);
struct text fields_combine(const struct fields *f, struct text name);
bool fields_find_token(const struct fields *f, struct text name, struct text token);
/* The first with that name, absent text if none. */
static inline struct text fields_get(const struct fields *f, const char *name)
{
	return f->seen & fields_bit(text_of(name)) ? fields_find(f, text_of(name)) : (struct text){ NULL, 0 };
}
static inline unsigned fields_count(const struct fields *f, const char *name)
{
	return f->seen & fields_bit(text_of(name)) ? fields_count_of(f, text_of(name)) : 0;
}
/* All values of that name joined by ", " (RFC 9110, 5.3); absent text if none, or on ENOMEM. */
static inline struct text fields_combined(const struct fields *f, const char *name)
{
	return f->seen & fields_bit(text_of(name)) ? fields_combine(f, text_of(name)) : (struct text){ NULL, 0 };
}
/*
 * The next member of a comma-separated list (RFC 9110, 5.6.1), blanks trimmed, quoted strings kept whole,
 * empty members passed over. *rest moves on. False at the end.
 */
bool fields_list_next(struct text *rest, struct text *member);
/* Whether a list-based field has a token, whatever its case, over all its lines. */
static inline bool fields_has_token(const struct fields *f, const char *name, const char *token)
{
	return f->seen & fields_bit(text_of(name)) && fields_find_token(f, text_of(name), text_of(token));
}

#endif

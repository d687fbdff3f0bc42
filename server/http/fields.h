/*
 * fields.h - a set of field lines (RFC 9110, 5): add, find, combine, list values. Names compare without case.
 * Texts are borrowed: from the head's buffer or from the arena the caller copies into.
 */
#ifndef BULKHEAD_HTTP_FIELDS_H
#define BULKHEAD_HTTP_FIELDS_H

#include "base/arena.h"
#include "base/text.h"

struct field { struct text name, value; };
struct fields {
	struct field *at;
	unsigned n, cap;
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
/* The first with that name, absent text if none. */
struct text fields_get(const struct fields *f, const char *name);
unsigned fields_count(const struct fields *f, const char *name);
/* All values of that name joined by ", " (RFC 9110, 5.3); absent text if none, or on ENOMEM. */
struct text fields_combined(const struct fields *f, const char *name);
/*
 * The next member of a comma-separated list (RFC 9110, 5.6.1), blanks trimmed, quoted strings kept whole,
 * empty members passed over. *rest moves on. False at the end.
 */
bool fields_list_next(struct text *rest, struct text *member);
/* Whether a list-based field has a token, whatever its case, over all its lines. */
bool fields_has_token(const struct fields *f, const char *name, const char *token);

#endif

/*
 * fields.c - a set of field lines in the order they came. Pure; runs wherever heads are read or written. A
 * head has a dozen lines: a walk over them that compares length and first letter first beats any index, and what
 * was never added is told without one.
 */
#include "http/fields.h"

#include <errno.h>
#include <limits.h>

#include "base/effort.h"

#define FIRST_CAP 24
#define MANY 256                        /* more come from rules alone: each walk over them counts (base/effort.h) */

void fields_init(struct fields *f, struct arena *a)
{
	*f = (struct fields){ .arena = a };
}

static int grow(struct fields *f)
{
	unsigned cap = f->cap ? f->cap * 2 : FIRST_CAP;
	size_t size;
	struct field *at;

	if (f->cap > UINT_MAX / 2 || !size_mul(cap, sizeof *at, &size)) {
		errno = ENOMEM;
		return -1;
	}
	at = arena_alloc(f->arena, size);
	if (!at)
		return -1;
	if (f->n)
		memcpy(at, f->at, f->n * sizeof *at);
	f->at = at;
	f->cap = cap;
	return 0;
}

int fields_add(struct fields *f, struct text name, struct text value)
{
	if (f->n == f->cap && grow(f) != 0)
		return -1;
	f->at[f->n++] = (struct field){ name, value };
	f->seen |= fields_bit(name);
	return 0;
}

static int copy(struct arena *a, const char *s, struct text *out)
{
	out->n = strlen(s);
	out->p = arena_strndup(a, s, out->n);
	return out->p ? 0 : -1;
}

int fields_add_copy(struct fields *f, const char *name, const char *value)
{
	struct text n, v;

	if (copy(f->arena, name, &n) != 0 || copy(f->arena, value, &v) != 0)
		return -1;
	return fields_add(f, n, v);
}

/* Copies before it removes: the value may lie in the set, and want of memory leaves the set as it was. */
int fields_set(struct fields *f, const char *name, const char *value)
{
	struct text n, v;

	if (f->n >= MANY && effort_spent()) {
		errno = ENOMEM;
		return -1;
	}
	if (copy(f->arena, name, &n) != 0 || copy(f->arena, value, &v) != 0 || (f->n == f->cap && grow(f) != 0))
		return -1;
	fields_remove(f, n.p);
	return fields_add(f, n, v);
}

static inline bool same_name(struct text have, struct text want)
{
	return have.n == want.n && want.n && (have.p[0] | 0x20) == (want.p[0] | 0x20) && text_eq_nocase(have, want);
}

unsigned fields_remove(struct fields *f, const char *name)
{
	struct text want = text_of(name);
	unsigned kept = 0, gone;

	if (!(f->seen & fields_bit(want)))
		return 0;
	for (unsigned i = 0; i < f->n; i++)
		if (!same_name(f->at[i].name, want))
			f->at[kept++] = f->at[i];
	gone = f->n - kept;
	f->n = kept;
	return gone;
}

struct text fields_find(const struct fields *f, struct text want)
{
	for (unsigned i = 0; i < f->n; i++)
		if (same_name(f->at[i].name, want))
			return f->at[i].value;
	return (struct text){ NULL, 0 };
}

unsigned fields_count_of(const struct fields *f, struct text want)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n; i++)
		n += same_name(f->at[i].name, want);
	return n;
}

struct text fields_combine(const struct fields *f, struct text want)
{
	struct text one = { NULL, 0 };
	size_t size = 0, n = 0;
	unsigned count = 0;
	char *all;

	for (unsigned i = 0; i < f->n; i++)
		if (same_name(f->at[i].name, want)) {
			one = f->at[i].value;
			size += one.n + 2;
			count++;
		}
	if (count < 2)
		return one;
	all = arena_alloc(f->arena, size);
	if (!all)
		return (struct text){ NULL, 0 };
	for (unsigned i = 0; i < f->n; i++) {
		struct text v = f->at[i].value;
		if (!same_name(f->at[i].name, want))
			continue;
		if (n) {
			all[n++] = ',';
			all[n++] = ' ';
		}
		if (v.n)
			memcpy(all + n, v.p, v.n);
		n += v.n;
	}
	return (struct text){ all, n };
}

/* The length of the member at the start of t: up to a comma that stands in no quoted string. */
static size_t member_length(struct text t)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < t.n; i++) {
		if (t.p[i] == '"')
			quoted = !quoted;
		else if (t.p[i] == ',' && !quoted)
			break;
		else if (t.p[i] == '\\' && quoted && i + 1 < t.n)
			i++;
	}
	return i;
}

bool fields_list_next(struct text *rest, struct text *member)
{
	while (rest->p && rest->n) {
		size_t n = member_length(*rest), past = n < rest->n ? n + 1 : n;
		*member = text_trim((struct text){ rest->p, n });
		rest->p += past;
		rest->n -= past;
		if (member->n)
			return true;
	}
	return false;
}

bool fields_find_token(const struct fields *f, struct text want, struct text token)
{
	struct text member;

	for (unsigned i = 0; i < f->n; i++) {
		struct text rest = f->at[i].value;
		if (!same_name(f->at[i].name, want))
			continue;
		while (fields_list_next(&rest, &member))
			if (text_eq_nocase(member, token))
				return true;
	}
	return false;
}

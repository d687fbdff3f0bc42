/*
 * vars.c - the variables of a page: those of CGI, of the environment, its own, and what "set" makes; and texts with variables in them.
 * Runs in the children.
 */
#include "ssi/page.h"

#include <stdlib.h>
#include <string.h>

#include "handler/cgienv.h"
#include "request/env.h"
#include "request/varfile.h"
#include "ssi/code.h"

/* ------------------------------------------------------------------------------------------------ dates and other values made when asked for */

char *ssi_date(struct arena *a, time_t when, const char *form, bool gmt)
{
	char text[512];
	struct tm tm;
	size_t n;

	if (!(gmt ? gmtime_r(&when, &tm) : localtime_r(&when, &tm)))
		return NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"    /* that is what timefmt is for: strftime writes within its bounds */
	n = strftime(text, sizeof text, form, &tm);
#pragma GCC diagnostic pop
	return arena_strndup(a, text, n);
}

static const char *now_local(struct ssi *s) { return ssi_date(s->scratch, time(NULL), s->time, false); }
static const char *now_gmt(struct ssi *s) { return ssi_date(s->scratch, time(NULL), s->time, true); }

static const char *modified(struct ssi *s)
{
	const struct request *r = s->shared->r;

	return r->found ? ssi_date(s->scratch, r->st.st_mtim.tv_sec, s->time, false) : NULL;
}

static const char *owner(struct ssi *s)
{
	const struct request *r = s->shared->r;
	struct text name = { NULL, 0 };

	if (r->found)
		name = varfile_user(s->scratch, r->st.st_uid);
	return name.p ? arena_strndup(s->scratch, name.p, name.n) : "<unknown>";
}

static const struct { const char *name; const char *(*value)(struct ssi *s); } lazy[] = {
	{ "DATE_LOCAL", now_local }, { "DATE_GMT", now_gmt }, { "LAST_MODIFIED", modified }, { "USER_NAME", owner },
};
#define LAZY (sizeof lazy / sizeof lazy[0])

/* ------------------------------------------------------------------------------------------------ get and set */

static const char *capture(struct ssi *s, unsigned i)
{
	struct text t = s->match.count ? s->match.at[i] : (struct text){ NULL, 0 };

	return t.p ? arena_strndup(s->scratch, t.p, t.n) : NULL;
}

const char *ssi_get(struct ssi *s, const char *name)
{
	struct text t;

	if (name[0] >= '0' && name[0] <= '9' && !name[1])
		return capture(s, (unsigned)(name[0] - '0'));
	t = fields_get(&s->shared->vars, name);
	if (t.p)
		return arena_strndup(s->scratch, t.p, t.n);
	for (size_t i = 0; i < LAZY; i++)
		if (strcmp(lazy[i].name, name) == 0)
			return lazy[i].value(s);
	return NULL;
}

int ssi_set(struct ssi *s, const char *name, const char *value)
{
	return fields_set(&s->shared->vars, name, value);
}

/* Names and values of the page that is read first. */
static int add_own(struct ssi *s)
{
	struct request *r = s->r;
	struct fields *v = &s->shared->vars;
	const char *slash = r->filename ? strrchr(r->filename, '/') : NULL;
	int rc = fields_set(v, "DOCUMENT_URI", r->path ? r->path : "");

	rc |= fields_set(v, "DOCUMENT_ARGS", r->query ? r->query : "");
	if (r->path_info && *r->path_info)
		rc |= fields_set(v, "DOCUMENT_PATH_INFO", r->path_info);
	return rc | fields_set(v, "DOCUMENT_NAME", slash ? slash + 1 : r->filename ? r->filename : "");
}

/* Of each page that has a query, also one that is included. */
static int add_query(struct ssi *s)
{
	const char *plain = s->r->query ? ssi_query_unescaped(s->scratch, s->r->query) : NULL;

	if (!s->r->query)
		return 0;
	return !plain || ssi_set(s, "QUERY_STRING", s->r->query) < 0 || ssi_set(s, "QUERY_STRING_UNESCAPED", plain) < 0 ? -1 : 0;
}

int ssi_vars_init(struct ssi *s)
{
	struct request *r = s->r, *up = r->parent;

	while (up && !up->includes)
		up = up->parent;
	if (up) {
		s->shared = up->includes;
	} else {
		s->shared = arena_zalloc(r->arena, sizeof *s->shared);
		if (!s->shared)
			return -1;
		s->shared->r = r;
		fields_init(&s->shared->vars, r->arena);
		env_for_programs(r);
		if (cgienv_fill(r, &s->shared->vars) < 0 || add_own(s) < 0)
			return -1;
	}
	r->includes = s->shared;
	return add_query(s);
}

/* What tells of the page's own request, and would be wrong of another. */
static bool is_its_own(struct text name)
{
	static const char *const names[] = { "CONTENT_LENGTH", "CONTENT_TYPE", "PATH_INFO", "PATH_TRANSLATED" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (text_is(name, names[i]))
			return true;
	return false;
}

int ssi_export(struct ssi *s, struct request *sub)
{
	const struct fields *v = &s->shared->vars;

	sub->env.n = 0;
	for (unsigned i = 0; i < v->n; i++)
		if (!is_its_own(v->at[i].name) && fields_add(&sub->env, v->at[i].name, v->at[i].value) < 0)
			return -1;
	for (size_t i = 0; i < LAZY; i++) {
		const char *value = fields_get(v, lazy[i].name).p ? NULL : lazy[i].value(s);

		if (value && fields_add_copy(&sub->env, lazy[i].name, value) < 0)
			return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ printenv */

static size_t put_line(char *to, const char *name, const char *value)
{
	return to ? (size_t)(stpcpy(stpcpy(stpcpy(stpcpy(to, name), "="), value), "\n") - to) : strlen(name) + strlen(value) + 2;
}

/* to NULL: counts. */
static size_t put_all(struct ssi *s, char *to)
{
	const struct fields *v = &s->shared->vars;
	size_t n = 0;

	for (unsigned i = 0; i < v->n + LAZY; i++) {
		struct arena *a = s->scratch;
		const struct field *f = i < v->n ? &v->at[i] : NULL;
		const char *name = f ? arena_strndup(a, f->name.p, f->name.n) : lazy[i - v->n].name;
		const char *value = f ? arena_strndup(a, f->value.p, f->value.n) : fields_get(v, name).p ? NULL : lazy[i - v->n].value(s);

		name = name && value ? ssi_encode(a, "entity", name) : NULL;
		value = name ? ssi_encode(a, "entity", value) : NULL;
		if (value)
			n += put_line(to ? to + n : NULL, name, value);
	}
	return n;
}

char *ssi_all(struct ssi *s)
{
	size_t n = put_all(s, NULL) + 64;       /* a date may have become longer meanwhile */
	char *all = malloc(n + 1);

	if (all)
		all[put_all(s, all)] = '\0';
	return all;
}

/* ------------------------------------------------------------------------------------------------ texts with variables */

static bool in_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* "name" or "{name}" at p. Behind it; NULL: it is none. */
static const char *name_at(struct arena *a, const char *p, const char **name)
{
	const char *end = p + (*p == '{');

	if (*p == '{') {
		end = strchr(p, '}');
		*name = end && end > p + 1 ? arena_strndup(a, p + 1, (size_t)(end - p - 1)) : NULL;
		return *name ? end + 1 : NULL;
	}
	while (in_name(*end))
		end++;
	*name = end > p ? arena_strndup(a, p, (size_t)(end - p)) : NULL;
	return *name ? end : NULL;
}

char *ssi_text(struct ssi *s, const char *text, bool keep)
{
	char *out;
	struct buf b;

	if (!strchr(text, '$'))
		return arena_strdup(s->scratch, text);
	out = arena_alloc(s->scratch, SSI_VALUE);
	if (!out)
		return NULL;
	buf_init(&b, out, SSI_VALUE);
	for (const char *p = text; *p && !b.full;) {
		const char *name, *behind = *p == '$' ? name_at(s->scratch, p + 1, &name) : NULL, *value;

		if (p[0] == '\\' && p[1] == '$') {
			buf_putc(&b, '$');
			p += 2;
		} else if (behind) {
			value = ssi_get(s, name);
			if (value)
				buf_puts(&b, value);
			else if (keep)
				buf_put(&b, p, (size_t)(behind - p));
			p = behind;
		} else {
			buf_putc(&b, *p++);
		}
	}
	return b.full ? NULL : out;
}

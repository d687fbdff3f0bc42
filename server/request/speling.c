/*
 * speling.c - mod_speling, in the children: looks through the folder for names that differ in case, in one letter, or only
 * behind the dot. What the client may not have is not offered: each candidate is looked up first.
 */
#include "request/speling.h"

#include <dirent.h>
#include <string.h>
#include <strings.h>

#include "http/uri.h"
#include "request/phases.h"
#include "request/response.h"

#define ENTRIES_MOST 20000              /* of a folder that are looked at */
#define OFFERED_MOST 50                 /* candidates looked up */

struct speling_section { int on, case_only, basename; };        /* -1 = unset */

/* How near a name is, the nearest first. */
enum near { NEAR_SAME, NEAR_CASE, NEAR_SWAPPED, NEAR_MISSING, NEAR_EXTRA, NEAR_OTHER, NEAR_BASENAME, NEAR_NOT };

static const char *const reasons[] = {
	[NEAR_SAME] = "the same", [NEAR_CASE] = "upper and lower case", [NEAR_SWAPPED] = "two letters changed places",
	[NEAR_MISSING] = "a letter is missing", [NEAR_EXTRA] = "a letter too many", [NEAR_OTHER] = "another letter",
	[NEAR_BASENAME] = "another ending", [NEAR_NOT] = "",
};

struct candidate { enum near how; const char *name; };
struct candidates { struct candidate at[OFFERED_MOST]; unsigned n; };

static bool same(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

/* What was asked for, against a name that is there. */
static enum near distance(const char *asked, const char *there)
{
	size_t i = 0;

	if (same(asked, there))
		return strcmp(asked, there) == 0 ? NEAR_SAME : NEAR_CASE;
	while (asked[i] && there[i] && ascii_lower((unsigned char)asked[i]) == ascii_lower((unsigned char)there[i]))
		i++;
	asked += i;
	there += i;
	if (asked[0] && asked[1] && there[0] && there[1] && ascii_lower((unsigned char)asked[0]) == ascii_lower((unsigned char)there[1]) &&
	    ascii_lower((unsigned char)asked[1]) == ascii_lower((unsigned char)there[0]) && same(asked + 2, there + 2))
		return NEAR_SWAPPED;
	if (*there && same(asked, there + 1))
		return NEAR_MISSING;
	if (*asked && same(asked + 1, there))
		return NEAR_EXTRA;
	return *asked && *there && same(asked + 1, there + 1) ? NEAR_OTHER : NEAR_NOT;
}

/* Whether they are the same up to their first dot. */
static bool same_basename(const char *asked, const char *there)
{
	size_t a = strcspn(asked, "."), b = strcspn(there, ".");

	return a == b && a && strncasecmp(asked, there, a) == 0;
}

static enum near judge(const struct speling_section *s, const char *asked, const char *there)
{
	enum near how = distance(asked, there);

	if (s->case_only == 1 && how != NEAR_CASE)
		how = NEAR_NOT;
	if (how == NEAR_NOT && s->basename != 0 && same_basename(asked, there))
		how = NEAR_BASENAME;
	return how;
}

/* The nearest first; the farthest fall off the end. 0 or -1 (ENOMEM). */
static int offer(struct request *r, struct candidates *c, enum near how, const char *name)
{
	unsigned i = c->n < OFFERED_MOST ? c->n++ : OFFERED_MOST - 1;

	if (i == OFFERED_MOST - 1 && c->at[i].name && c->at[i].how <= how)
		return 0;
	for (; i > 0 && c->at[i - 1].how > how; i--)
		c->at[i] = c->at[i - 1];
	c->at[i] = (struct candidate){ how, arena_strdup(r->arena, name) };
	return c->at[i].name ? 0 : -1;
}

static int collect(struct request *r, const char *folder, const char *asked, struct candidates *c)
{
	const struct speling_section *s = request_config(r, &speling_module);
	unsigned seen = 0;
	int rc = 0;
	struct dirent *e;
	DIR *d = opendir(folder);

	while (d && rc == 0 && seen++ < ENTRIES_MOST && (e = readdir(d))) {
		enum near how = e->d_name[0] == '.' ? NEAR_NOT : judge(s, asked, e->d_name);
		if (how != NEAR_NOT && how != NEAR_SAME)
			rc = offer(r, c, how, e->d_name);
	}
	if (d)
		closedir(d);
	return rc;
}

/* Takes out what could not be had. PHASE_WAIT, or 0. */
static unsigned reachable(struct request *r, const char *above, struct candidates *c)
{
	unsigned kept = 0, status;

	for (unsigned i = 0; i < c->n; i++) {
		const char *path = arena_printf(r->arena, "%s%s", above, c->at[i].name);
		struct request *sub = path ? phases_lookup(r, path, NULL, LOOKUP_QUIET, &status) : NULL;

		if (!sub)
			continue;
		request_close(sub);
		if (status == PHASE_WAIT)
			return status;
		if ((status == 0 && sub->found) || status == 301)       /* 301: a folder */
			c->at[kept++] = c->at[i];
	}
	c->n = kept;
	return 0;
}

/* The path of a candidate as a client writes it, with what followed the name and the query. NULL on ENOMEM. */
static const char *address_of(struct request *r, const char *above, const char *name)
{
	const char *path = arena_printf(r->arena, "%s%s%s", above, name, r->path_info ? r->path_info : "");

	path = path ? uri_escape_path(r->arena, path) : NULL;
	return path ? arena_printf(r->arena, "%s%s%s", path, r->query ? "?" : "", r->query ? r->query : "") : NULL;
}

static unsigned answer_several(struct request *r, const char *above, const struct candidates *c)
{
	size_t room = 512;
	char *page;
	struct buf b;

	for (unsigned i = 0; i < c->n; i++)
		room += 200 + 8 * strlen(c->at[i].name) + 8 * strlen(above) + (r->query ? 8 * strlen(r->query) : 0) +
			(r->path_info ? 8 * strlen(r->path_info) : 0);
	if (!(page = arena_alloc(r->arena, room)))
		return 503;
	buf_init(&b, page, room);
	buf_puts(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>300 Multiple Choices</title>\n</head>\n<body>\n"
		 "<h1>Multiple Choices</h1>\n<p>There is no document of that name. Perhaps you meant:</p>\n<ul>\n");
	for (unsigned i = 0; i < c->n; i++) {
		const char *where = address_of(r, above, c->at[i].name);
		if (!where)
			return 503;
		buf_puts(&b, "<li><a href=\"");
		buf_put_html(&b, text_of(where));
		buf_puts(&b, "\">");
		buf_put_html(&b, text_of(c->at[i].name));
		buf_printf(&b, "</a> (%s)</li>\n", reasons[c->at[i].how]);
	}
	buf_puts(&b, "</ul>\n</body>\n</html>\n");
	response_text(r, 300, "text/html; charset=utf-8", page, b.n);
	return PHASE_ANSWERED;
}

unsigned speling_run(struct request *r)
{
	const struct speling_section *s = request_config(r, &speling_module);
	const char *name, *folder, *above;
	struct candidates c = { .n = 0 };
	size_t file, path, info = r->path_info ? strlen(r->path_info) : 0;
	unsigned status;

	if (s->on != 1 || r->found || !r->filename || (r->method_id != HTTP_GET && r->method_id != HTTP_HEAD) || r->original)
		return 0;
	name = strrchr(r->filename, '/');
	path = strlen(r->path);
	if (!name || !name[1] || path < info)
		return 0;
	file = strlen(++name);
	/* The last part of the path must be the name that is missing: where a rule led elsewhere there is nothing to correct. */
	if (path - info < file || strncmp(r->path + path - info - file, name, file) != 0)
		return 0;
	above = arena_strndup(r->arena, r->path, path - info - file);
	folder = arena_strndup(r->arena, r->filename, (size_t)(name - r->filename));
	if (!above || !folder || collect(r, folder, name, &c) != 0)
		return 503;
	if ((status = reachable(r, above, &c)) != 0 || c.n == 0)
		return status;
	if (c.at[0].how == NEAR_BASENAME || (c.n > 1 && c.at[0].how == c.at[1].how))
		return answer_several(r, above, &c);
	name = address_of(r, above, c.at[0].name);
	if (!name)
		return 503;
	response_redirect(r, 301, name);
	return PHASE_ANSWERED;
}

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_section(struct conf_env *env)
{
	struct speling_section *s = conf_alloc(env, sizeof(*s));

	*s = (struct speling_section){ CONF_UNSET, CONF_UNSET, CONF_UNSET };
	return s;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct speling_section *b = base;
	struct speling_section *m = conf_alloc(env, sizeof(*m));

	*m = *(const struct speling_section *)over;
	CONF_INHERIT(m, b, on, CONF_UNSET);
	CONF_INHERIT(m, b, case_only, CONF_UNSET);
	CONF_INHERIT(m, b, basename, CONF_UNSET);
	return m;
}

#define FLAG(field) .contexts = CONF_ALL, .override = CONF_OR_OPTIONS, .args = CONF_FLAG, .scope = CONF_OF_SECTION, .set = conf_set_flag, \
	.offset = offsetof(struct speling_section, field)

static const struct conf_directive directives[] = {
	{ "CheckSpelling", "whether a name that is not there leads to one that is nearly the same", "Off", FLAG(on) },
	{ "CheckCaseOnly", "whether only upper and lower case may differ", "Off", FLAG(case_only) },
	{ "CheckBasenameMatch", "whether the same name with another ending counts", "On", FLAG(basename) },
	{ .name = NULL },
};

struct conf_module speling_module = {
	.name = "speling_module",
	.source = "mod_speling.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

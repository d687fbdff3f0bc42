/*
 * multiviews.c - Options MultiViews, in the children: a name that is not there stands for the files of its folder that begin with it and
 * a dot. Each is looked up as a request for it would be; only what could be had is a variant.
 */
#include "request/negotiate.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/mime.h"
#include "request/phases.h"

#define ENTRIES_MOST 20000              /* of a folder that are looked at */

/* What is asked for, taken apart. */
struct wanted {
	const char *above, *folder;     /* of the path, of the file system; with a slash at the end */
	const char *name;
	size_t n;                       /* of the name */
};

/* False: a rule or an Alias leads elsewhere, so that the path does not end in the name that is missing. */
static bool take_apart(struct request *r, struct wanted *w)
{
	size_t info = r->path_info ? strlen(r->path_info) : 0, path = strlen(r->path);

	w->name = strrchr(r->filename, '/');
	if (!w->name || !w->name[1] || path < info)
		return false;
	w->n = strlen(++w->name);
	if (path - info < w->n || strncmp(r->path + path - info - w->n, w->name, w->n) != 0)
		return false;
	w->above = arena_strndup(r->arena, r->path, path - info - w->n);
	w->folder = arena_strndup(r->arena, r->filename, (size_t)(w->name - r->filename));
	return w->above && w->folder;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names that could be variants, sorted. How many, or -1 (ENOMEM). */
static int candidates(struct request *r, const struct wanted *w, const char **names)
{
	DIR *d = opendir(w->folder);
	struct dirent *e;
	unsigned seen = 0;
	int n = 0;

	while (d && n < VARIANTS_MOST && seen++ < ENTRIES_MOST && (e = readdir(d))) {
		if (strncmp(e->d_name, w->name, w->n) != 0 || e->d_name[w->n] != '.')
			continue;
		names[n] = arena_strdup(r->arena, e->d_name);
		if (!names[n++]) {
			n = -1;
			break;
		}
	}
	if (d)
		closedir(d);
	if (n > 0)
		qsort(names, (size_t)n, sizeof(*names), by_name);
	return n;
}

static bool is_variant(const struct request *sub, unsigned status, size_t name)
{
	return status == 0 && sub->found && S_ISREG(sub->st.st_mode) && sub->unmatched <= name;
}

/* Looks a name up. 0, PHASE_WAIT, or 503; *map: it is a type map, which alone counts. */
static unsigned add(struct request *r, const struct wanted *w, const char *name, struct variants *v, struct request **map)
{
	const char *path = arena_printf(r->arena, "%s%s%s", w->above, name, r->path_info ? r->path_info : "");
	struct request *sub;
	unsigned status;

	if (!path)
		return 503;
	sub = phases_lookup(r, path, r->query, LOOKUP_QUIET, &status);
	if (status == PHASE_WAIT)
		return status;
	if (!sub)
		return 0;
	if (!is_variant(sub, status, w->n)) {
		request_close(sub);
		return 0;
	}
	if (sub->handler && strcmp(sub->handler->name, "type-map") == 0) {
		*map = sub;
		return 0;
	}
	v->at[v->n++] = (struct variant){ .name = name, .type = sub->type, .charset = sub->charset, .encoding = sub->encoding,
					  .language = sub->language, .quality = 1, .size = sub->st.st_size, .found = sub };
	return 0;
}

static void close_others(const struct variants *v, const struct request *taken)
{
	for (unsigned i = 0; i < v->n; i++)
		if (v->at[i].found != taken)
			request_close(v->at[i].found);
}

/* Files that begin with the name, and none of them a variant: as in Apache the name is taken, and rules of the folder do not run. */
static unsigned none_fits(const struct request *r, const struct wanted *w, const char *first)
{
	log_errorx(&r->client->about, LOG_MIME, "BH0770", "%s answered with 404: MultiViews finds %s%s there and nothing to choose from: it has no type (AddType) "
		   "or may not be had; where the path is not meant to be chosen for, write Options -MultiViews", r->path, w->folder, first);
	return 404;
}

unsigned multiviews_run(struct request *r, bool *done)
{
	const char *names[VARIANTS_MOST];
	struct variants v = { 0 };
	const struct variant *best;
	struct request *map = NULL;
	struct wanted w;
	unsigned status = 0;
	int n;

	if (r->found || !r->filename || r->filename[0] != '/' || !(core_options(core_section_of(r)) & CORE_OPT_MULTIVIEWS) || !take_apart(r, &w))
		return 0;
	if ((n = candidates(r, &w, names)) == 0)
		return 0;
	if (n < 0 || !(v.at = arena_array(r->arena, (size_t)n, sizeof(*v.at))))
		return 503;
	for (int i = 0; i < n && !map && !status; i++)
		status = add(r, &w, names[i], &v, &map);
	if (status || map) {
		close_others(&v, NULL);
		*done = map != NULL;
		if (map)
			phases_adopt(r, map);
		return status;
	}
	if (v.n == 0)
		return none_fits(r, &w, names[0]);
	best = negotiate_choose(r, &v);
	close_others(&v, best ? best->found : NULL);
	if (!best) {
		if (r->parent)
			return 406;
		negotiate_refuse(r, &v);
		return PHASE_ANSWERED;
	}
	phases_adopt(r, best->found);
	*done = true;
	return 0;
}

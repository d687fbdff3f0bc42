/*
 * sections.c - which sections apply: put in Apache's order for each host by the master, then matched against requests in
 * the children, which keep the merged sets (sectionset.c). Read they are in sectionread.c, those of per-directory files for
 * htaccess.c.
 *
 * Matching compares prefixes of known length; a regular expression runs only where one is written, and each list was
 * sorted when the configuration was read. A child serves one site from one thread: the scratch room needs no lock.
 */
#include "request/sections.h"

#include <string.h>

#include "base/regex.h"
#include "request/core.h"
#include "request/htaccess.h"
#include "request/phases.h"
#include "request/proxy.h"
#include "request/sectionset.h"
#include "request/variables.h"

/* What applies to a host, each row in the order it is merged. */
struct section_index {
	struct section **dirs, **dir_regexes, **proxies, **files, **locations;
	const struct section *ifs[2];   /* of the main server, of the host */
	unsigned ndirs, ndir_regexes, nproxies, nfiles, nlocations;
	bool plain_walk;
};

/* ---------------------------------------------------------------------------------------------- order */

static void index_add(struct section_index *x, struct section *first)
{
	for (struct section *i = first; i; i = i->next) {
		if (i->kind == SECTION_LOCATION)
			x->locations[x->nlocations++] = i;
		else if (i->kind == SECTION_PROXY)
			x->proxies[x->nproxies++] = i;
		else if (i->kind == SECTION_FILES)
			x->files[x->nfiles++] = i;
		else if (i->regex)
			x->dir_regexes[x->ndir_regexes++] = i;
		else
			x->dirs[x->ndirs++] = i;
	}
}

static void index_count(struct section_index *x, const struct section *first)
{
	for (const struct section *i = first; i; i = i->next)
		if (i->kind == SECTION_LOCATION)
			x->nlocations++;
		else if (i->kind == SECTION_PROXY)
			x->nproxies++;
		else if (i->kind == SECTION_FILES)
			x->nfiles++;
		else if (i->regex)
			x->ndir_regexes++;
		else
			x->ndirs++;
}

/*
 * From short to long; those of one depth stay as they are: the main server's first, wherever its lines stand. Of regular
 * expressions the slashes in their text are the depth, as in Apache.
 */
static struct section **sorted_by_depth(struct section **row, unsigned n, struct conf_env *env)
{
	struct section **sorted = conf_alloc(env, (n + 1) * sizeof *sorted);
	unsigned done = 0;

	for (unsigned depth = 0; done < n; depth++)
		for (unsigned i = 0; i < n; i++)
			if (row[i]->depth == depth)
				sorted[done++] = row[i];
	return sorted;
}

/* Whether no folder differs in what the walk asks of it: links are followed, no per-directory file is read. */
static bool walks_plainly(const struct host *h, const struct section_index *x)
{
	const struct core_section *c = h->section[core_module.index];
	bool plain = (core_options(c) & CORE_OPT_FOLLOW) && !core_htaccess_wanted(c);

	for (unsigned i = 0; i < x->ndirs && plain; i++) {
		c = x->dirs[i]->config[core_module.index];
		plain = !c || ((core_options(c) & CORE_OPT_FOLLOW || (!c->options_set && !(c->options_remove & CORE_OPT_FOLLOW))) && !core_htaccess_wanted(c));
	}
	return plain;
}

bool sections_plain_walk(const struct host *h)
{
	return h->index->plain_walk;
}

void sections_finish(struct site *s, struct host *h, struct conf_env *env)
{
	struct section_index count = { .ndirs = 0 }, *x = conf_alloc(env, sizeof *x);

	index_count(&count, s->main->sections);
	if (h != s->main)
		index_count(&count, h->sections);
	x->dirs = conf_alloc(env, (count.ndirs + 1) * sizeof *x->dirs);
	x->dir_regexes = conf_alloc(env, (count.ndir_regexes + 1) * sizeof *x->dirs);
	x->proxies = conf_alloc(env, (count.nproxies + 1) * sizeof *x->dirs);
	x->files = conf_alloc(env, (count.nfiles + 1) * sizeof *x->dirs);
	x->locations = conf_alloc(env, (count.nlocations + 1) * sizeof *x->dirs);
	index_add(x, s->main->sections);
	if (h != s->main)
		index_add(x, h->sections);
	x->ifs[0] = s->main->ifs;
	x->ifs[1] = h != s->main ? h->ifs : NULL;
	x->dirs = sorted_by_depth(x->dirs, x->ndirs, env);
	x->dir_regexes = sorted_by_depth(x->dir_regexes, x->ndir_regexes, env);
	x->plain_walk = walks_plainly(h, x);
	h->index = x;
}

/* ---------------------------------------------------------------------------------------------- matching */

static struct picks *pick_begin(const struct request *r)
{
	struct picks *p = &r->site->cache->picks;

	p->n = 0;
	p->failed = false;
	return p;
}

static void pick(const struct request *r, struct section *sec)
{
	picks_add(&r->site->cache->picks, sec);
}

/* What a named group has matched is a variable: (?<user>…) becomes MATCH_USER. 0 or -1. */
static int keep_named(struct request *r, const struct section *sec, const struct regex_match *m)
{
	const char *name;
	unsigned group;

	for (unsigned i = 0; (name = regex_group_name(sec->regex, i, &group)); i++) {
		char *variable = arena_printf(r->arena, "MATCH_%s", name), *value;

		if (group >= REGEX_CAPTURES || !m->at[group].p)
			continue;
		value = arena_strndup(r->arena, m->at[group].p, m->at[group].n);
		if (!variable || !value)
			return -1;
		for (char *p = variable; *p; p++)
			*p = (char)ascii_upper((unsigned char)*p);
		if (fields_set(&r->env, variable, value) != 0)
			return -1;
	}
	return 0;
}

/* Runs a list's regular expression: 1, 0, or -1 where it met a limit. */
static int regex_matches(struct request *r, const struct section *sec, const char *subject, size_t n)
{
	struct regex_match m = { .count = 0 };
	int matches = regex_run(sec->regex, (struct text){ subject, n }, &m);

	return matches == 1 && keep_named(r, sec, &m) != 0 ? -1 : matches;
}

/* Components of a path without a slash at its end: none of "/". */
static unsigned path_depth(const char *path, size_t n)
{
	unsigned depth = 0;

	for (size_t i = 0; n > 1 && i < n; i++)
		depth += path[i] == '/' && path[i + 1] != '/';
	return depth;
}

static bool prefix_matches(const struct section *sec, const char *path, size_t n)
{
	if (sec->length > n || memcmp(sec->pattern, path, sec->length) != 0)
		return false;
	return sec->length == n || path[sec->length] == '/' || (sec->length && sec->pattern[sec->length - 1] == '/');
}

/* A pattern with wildcards against as many components of the path as it has itself. */
static int wild_matches(const struct request *r, const struct section *sec, const char *dir, size_t n)
{
	size_t end = 0;
	char *prefix;

	for (unsigned depth = 0; depth < sec->depth; depth++) {
		if (end >= n)
			return 0;
		end++;
		while (end < n && dir[end] != '/')
			end++;
	}
	prefix = arena_strndup(r->arena, dir, end);
	return prefix ? wild_match_path(sec->pattern, prefix) : -1;
}

/* The per-directory files of folders above `depth`, from *next on, which is moved behind them. */
static void pick_folder_files(const struct request *r, const struct folder_file **next, unsigned depth)
{
	for (; *next && (*next)->depth < depth; *next = (*next)->next)
		pick(r, (*next)->section);
}

/* Level by level: its <Directory> sections, then its per-directory file. */
static int pick_directories(const struct request *r, const char *dir, size_t n)
{
	const struct section_index *x = r->host->index;
	const struct folder_file *files = r->folders;

	for (unsigned i = 0; i < x->ndirs; i++) {
		struct section *sec = x->dirs[i];
		int matches = sec->wild ? wild_matches(r, sec, dir, n) : prefix_matches(sec, dir, n);
		if (matches < 0)
			return -1;
		if (!matches)
			continue;
		pick_folder_files(r, &files, sec->depth);
		pick(r, sec);
	}
	pick_folder_files(r, &files, path_depth(dir, n) + 1);
	return 0;
}

static int pick_files(struct request *r, struct section *const *files, unsigned nfiles, struct section *list, const char *name)
{
	for (unsigned i = 0; i < nfiles || list; i++) {
		struct section *sec = i < nfiles ? files[i] : list;
		int matches;
		if (sec->regex)
			matches = regex_matches(r, sec, name, strlen(name));
		else
			matches = sec->wild ? wild_match_path(sec->pattern, name) : strcmp(sec->pattern, name) == 0;
		if (matches < 0)
			return -1;
		if (matches)
			pick(r, sec);
		if (i >= nfiles)
			list = list->next;
	}
	return 0;
}

/* Where MergeSlashes is Off the path may hold "//". Sections never see it, so that nothing slips by them. */
static const char *merged_slashes(const struct request *r, const char *path)
{
	const char *again = NULL;
	char *copy, *to;

	do                              /* no strstr: it costs more to begin than a path has bytes */
		again = again ? strchr(again + 1, '/') : strchr(path, '/');
	while (again && again[1] != '/');
	if (!again)
		return path;
	copy = to = arena_strdup(r->arena, path);
	for (const char *p = path; copy && *p; p++)
		if (*p != '/' || p[1] != '/')
			*to++ = *p;
	if (copy)
		*to = '\0';
	return copy;
}

static int pick_locations(struct request *r)
{
	const struct section_index *x = r->host->index;
	const char *path = merged_slashes(r, r->path ? r->path : "");
	size_t n = path ? strlen(path) : 0;

	if (!path)
		return -1;

	for (unsigned i = 0; i < x->nlocations; i++) {
		struct section *sec = x->locations[i];
		int matches;
		if (sec->regex)
			matches = regex_matches(r, sec, path, n);
		else
			matches = sec->wild ? wild_match_path(sec->pattern, path) : prefix_matches(sec, path, n);
		if (matches < 0)
			return -1;
		if (matches)
			pick(r, sec);
	}
	return 0;
}

/*
 * A file that is there counts as one level more for <Directory>, if the folder follows symbolic links: <Directory "/srv/?*">
 * speaks of the files in /srv, too. Apache is so since it does not look at the last level then, and rules hang on it.
 */
static int pick_directories_of_file(struct request *r, const char *name, size_t n)
{
	struct picks *p = &r->site->cache->picks;
	unsigned depth = path_depth(name, n), all, above;
	void **section;

	if (pick_directories(r, name, n) != 0)
		return -1;
	all = above = p->n;
	while (above && p->at[above - 1]->depth >= depth)
		above--;
	if (above == all)
		return 0;
	p->n = above;
	section = section_set(r, p);
	if (!section)
		return -1;
	if (core_options(section[core_module.index]) & CORE_OPT_FOLLOW)
		p->n = all;
	return 0;
}

/* The folder of the name: its length without the slash at the end. */
static size_t folder_length(const char *name, size_t n)
{
	while (n > 1 && name[--n] != '/')
		;
	return n;
}

/*
 * The last part of the name, of a folder as it was asked for: "" with its slash at the end, its own name without. NULL on
 * ENOMEM. *end: the length of r->filename that counts.
 */
static const char *last_part(const struct request *r, bool folder, size_t *end)
{
	size_t n = strlen(r->path ? r->path : ""), from;

	*end = strlen(r->filename);
	if (folder && *end > 1 && r->filename[*end - 1] == '/' && n && r->path[n - 1] != '/')
		--*end;
	for (from = *end; from && r->filename[from - 1] != '/'; from--)
		;
	return arena_strndup(r->arena, r->filename + from, *end - from);
}

static int pick_dir_regexes(struct request *r, size_t n)
{
	const struct section_index *x = r->host->index;

	for (unsigned i = 0; i < x->ndir_regexes; i++) {
		int matches = regex_matches(r, x->dir_regexes[i], r->filename, n);
		if (matches < 0)
			return -1;
		if (matches)
			pick(r, x->dir_regexes[i]);
	}
	return 0;
}

/* What applies to r->filename itself: directories, their regular expressions, files. An index file meets those of its folder. */
static int pick_for_file(struct request *r)
{
	const struct section_index *x = r->host->index;
	const struct picks *p = &r->site->cache->picks;
	bool folder = r->found && S_ISDIR(r->st.st_mode), file = r->found && !folder && !r->path_info && !r->index;
	size_t n = strlen(r->filename), dir, end;
	const char *name = last_part(r, folder, &end);
	unsigned directories;

	if (!name)
		return -1;
	while (n > 1 && r->filename[n - 1] == '/')
		n--;
	dir = folder ? n : folder_length(r->filename, n);
	if ((file ? pick_directories_of_file(r, r->filename, n) : pick_directories(r, r->filename, dir)) != 0)
		return -1;
	if (pick_dir_regexes(r, r->index ? dir + (dir > 1) : end) != 0)
		return -1;
	directories = p->n;
	if (pick_files(r, x->files, x->nfiles, NULL, name) != 0)
		return -1;
	for (unsigned i = 0; i < directories; i++)
		if (p->at[i]->files && pick_files(r, NULL, 0, p->at[i]->files, name) != 0)
			return -1;
	return 0;
}

/* <Proxy>: by the URL that the request goes to, a prefix of it or a pattern; "*" is every one. */
static int pick_proxies(struct request *r)
{
	const struct section_index *x = r->host->index;
	const char *url = r->proxy->url;

	for (unsigned i = 0; i < x->nproxies; i++) {
		struct section *sec = x->proxies[i];
		int matches;

		if (sec->regex)
			matches = regex_matches(r, sec, url, strlen(url));
		else
			matches = sec->wild ? wild_match(sec->pattern, url, false) : strncmp(sec->pattern, url, sec->length) == 0;
		if (matches < 0)
			return -1;
		if (matches)
			pick(r, sec);
	}
	return 0;
}

void **sections_for_path(struct request *r, const char *dir)
{
	struct picks *p = pick_begin(r);
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return pick_directories(r, dir, n) == 0 ? section_set(r, p) : NULL;
}

/* ---------------------------------------------------------------------------------------------- <If> */

/* Adds those whose conditions hold, and what holds inside of them. 0 or -1. */
static int pick_ifs(struct request *r, const struct section *first, struct picks *p)
{
	int held = 0;

	for (const struct section *i = first; i; i = i->next) {
		if (i->otherwise && held)
			continue;
		held = i->condition ? variables_true(r, i->condition) : 1;
		if (held < 0)
			return -1;
		if (!held)
			continue;
		picks_add(p, (struct section *)(uintptr_t)i);
		if (i->ifs && pick_ifs(r, i->ifs, p) != 0)
			return -1;
	}
	return 0;
}

static bool has_ifs(const struct request *r, const struct picks *p)
{
	const struct section_index *x = r->host->index;
	bool has = x->ifs[0] || x->ifs[1];

	for (unsigned i = 0; i < p->n && !has; i++)
		has = p->at[i]->ifs;
	return has;
}

static void note_applied(struct request *r, const struct picks *p)
{
	const struct section **all = phases_watched() ? arena_array(r->arena, p->n + 1, sizeof(*all)) : NULL;

	for (unsigned i = 0; all && i < p->n; i++)
		all[i] = p->at[i];
	r->applied = all;
}

/* A condition may look other paths up, which uses the scratch room: the row is copied first. */
static int apply_ifs(struct request *r, const struct picks *scratch)
{
	const struct section_index *x = r->host->index;
	struct picks p = { .arena = r->arena };
	unsigned n = scratch->n;
	void **section;

	for (unsigned i = 0; i < n; i++)
		picks_add(&p, scratch->at[i]);
	for (unsigned i = 0; i < 2; i++)
		if (pick_ifs(r, x->ifs[i], &p) != 0)
			return -1;
	for (unsigned i = 0; i < n && !p.failed; i++)
		if (pick_ifs(r, p.at[i]->ifs, &p) != 0)
			return -1;
	section = section_set(r, &p);
	if (!section)
		return -1;
	note_applied(r, &p);
	r->section = section;
	return 0;
}

static int apply_picked(struct request *r, const struct picks *p)
{
	void **section = section_set(r, p);

	note_applied(r, p);

	if (!section)
		return -1;
	r->section = section;
	return has_ifs(r, p) ? apply_ifs(r, p) : 0;
}

int sections_location(struct request *r)
{
	struct picks *p = pick_begin(r);

	return pick_locations(r) == 0 ? apply_picked(r, p) : -1;
}

int sections_apply(struct request *r)
{
	struct picks *p = pick_begin(r);

	if ((r->proxy && pick_proxies(r) != 0) || (!r->proxy && r->filename && pick_for_file(r) != 0) || pick_locations(r) != 0)
		return -1;
	return apply_picked(r, p);
}

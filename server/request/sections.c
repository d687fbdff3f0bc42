/*
 * sections.c - which sections apply: put in Apache's order for each host by the master, then matched against requests in
 * the children, which keep the merged sets. (Read they are in sectionread.c.)
 *
 * Matching compares prefixes of known length; a regular expression runs only where one is written, and each list was
 * sorted when the configuration was read. A child serves one site from one thread: the cache and its scratch room
 * need no lock.
 */
#include "request/sections.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/regex.h"
#include "request/core.h"

#define BUCKETS 512
#define SET_BLOCK 2048                  /* bytes of a merged set's arena to begin with */

/* What applies to a host, each row in the order it is merged. */
struct section_index {
	struct section **dirs, **dir_regexes, **files, **locations;
	unsigned ndirs, ndir_regexes, nfiles, nlocations;
};

/* A merged set. It lives while it is in the table or a request uses it. */
struct merged {
	struct list used;               /* in cache->used while it is in the table; the least recently used first */
	struct merged *next;            /* of its bucket */
	struct arena *arena;            /* this object and all it holds */
	void **config;
	const struct host *host;
	uint32_t hash;
	unsigned requests;              /* that use it */
	bool kept;                      /* in the table */
	unsigned n;
	unsigned ids[];
};

struct section_cache {
	struct merged *buckets[BUCKETS];
	struct list used;
	unsigned n;
	struct section **picked;        /* scratch: what applies to the request at hand */
	unsigned npicked, room;
};

/* ---------------------------------------------------------------------------------------------- order */

static void index_add(struct section_index *x, struct section *first)
{
	for (struct section *i = first; i; i = i->next) {
		if (i->kind == SECTION_LOCATION)
			x->locations[x->nlocations++] = i;
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

void sections_finish(struct site *s, struct host *h, struct conf_env *env)
{
	struct section_index count = { .ndirs = 0 }, *x = conf_alloc(env, sizeof *x);

	index_count(&count, s->main->sections);
	if (h != s->main)
		index_count(&count, h->sections);
	x->dirs = conf_alloc(env, (count.ndirs + 1) * sizeof *x->dirs);
	x->dir_regexes = conf_alloc(env, (count.ndir_regexes + 1) * sizeof *x->dirs);
	x->files = conf_alloc(env, (count.nfiles + 1) * sizeof *x->dirs);
	x->locations = conf_alloc(env, (count.nlocations + 1) * sizeof *x->dirs);
	index_add(x, s->main->sections);
	if (h != s->main)
		index_add(x, h->sections);
	x->dirs = sorted_by_depth(x->dirs, x->ndirs, env);
	x->dir_regexes = sorted_by_depth(x->dir_regexes, x->ndir_regexes, env);
	h->index = x;
}

/* ---------------------------------------------------------------------------------------------- the cache */

static void merged_unkeep(struct section_cache *c, struct merged *m)
{
	struct merged **i = &c->buckets[m->hash % BUCKETS];

	while (*i != m)
		i = &(*i)->next;
	*i = m->next;
	list_remove(&m->used);
	m->kept = false;
	c->n--;
	if (m->requests == 0)
		arena_free(m->arena);
}

static void merged_put(void *arg)
{
	struct merged *m = arg;

	if (--m->requests == 0 && !m->kept)
		arena_free(m->arena);
}

static void cache_free(void *arg)
{
	struct section_cache *c = arg;

	while (c->n)
		merged_unkeep(c, list_entry(c->used.next, struct merged, used));
	free(c->picked);
}

struct section_cache *sections_cache_new(struct arena *a)
{
	struct section_cache *c = arena_zalloc(a, sizeof *c);

	if (!c)
		return NULL;
	list_init(&c->used);
	return arena_cleanup(a, cache_free, c) == 0 ? c : NULL;
}

/* Merging allocates through conf_env, whose alloc never returns NULL: here it leaves by longjmp instead. */
struct merging {
	struct arena *arena;
	jmp_buf failed;
};

static void *merge_alloc(void *ctx, size_t n)
{
	struct merging *g = ctx;
	void *p = arena_zalloc(g->arena, n);

	if (!p)
		longjmp(g->failed, 1);
	return p;
}

static void merge_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	(void)ctx, (void)severity, (void)pos, (void)sentence, (void)remedy;     /* was told when the configuration was read */
}

/* Sections are merged with those of their kind, and these onto the rest: the order matters to AuthMerging. */
static unsigned merge_group(const struct section *sec)
{
	return sec->kind == SECTION_DIRECTORY ? 0 : sec->kind == SECTION_FILES ? 1 : 2;
}

static void merge_all(struct conf_env *env, const struct site *s, const struct host *h, struct section *const *picked, struct merged *m)
{
	m->config = conf_alloc(env, (s->nmodules + 1) * sizeof *m->config);
	for (unsigned i = 0; i < m->n; i++)
		m->ids[i] = picked[i]->id;
	for (unsigned k = 0; k < s->nmodules; k++) {
		void *all = h->section[k], *group = NULL;

		for (unsigned i = 0; i < m->n && s->modules[k]->merge_section; i++) {
			void *own = picked[i]->config[k];

			if (own)
				group = group ? s->modules[k]->merge_section(env, group, own) : own;
			if (group && (i + 1 == m->n || merge_group(picked[i + 1]) != merge_group(picked[i]))) {
				all = s->modules[k]->merge_section(env, all, group);
				group = NULL;
			}
		}
		m->config[k] = all;
	}
}

static struct merged *merged_new(const struct site *s, const struct host *h, struct section *const *picked, unsigned n)
{
	struct merging g = { .arena = arena_new(SET_BLOCK) };
	struct conf_env env = { .ctx = &g, .alloc = merge_alloc, .report = merge_report, .root = "" };
	struct merged *m;

	if (!g.arena)
		return NULL;
	m = arena_zalloc(g.arena, sizeof *m + n * sizeof m->ids[0]);
	if (!m || setjmp(g.failed)) {
		arena_free(g.arena);
		errno = ENOMEM;
		return NULL;
	}
	m->arena = g.arena;
	m->host = h;
	m->n = n;
	merge_all(&env, s, h, picked, m);
	return m;
}

static bool merged_is(const struct merged *m, uint32_t hash, const struct host *h, struct section *const *picked, unsigned n)
{
	if (m->hash != hash || m->host != h || m->n != n)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (m->ids[i] != picked[i]->id)
			return false;
	return true;
}

/* The merged set of what was picked. NULL on ENOMEM. */
static void **picked_merged(struct request *r)
{
	struct section_cache *c = r->site->cache;
	uint32_t hash = 2166136261u ^ r->host->number;
	struct merged *m;

	if (c->npicked == 0)
		return r->host->section;
	for (unsigned i = 0; i < c->npicked; i++)
		hash = (hash ^ c->picked[i]->id) * 16777619u;
	hash ^= hash >> 15;
	for (m = c->buckets[hash % BUCKETS]; m; m = m->next)
		if (merged_is(m, hash, r->host, c->picked, c->npicked))
			break;
	if (!m) {
		m = merged_new(r->site, r->host, c->picked, c->npicked);
		if (!m)
			return NULL;
		if (c->n == SECTIONS_KEPT)
			merged_unkeep(c, list_entry(c->used.next, struct merged, used));
		m->hash = hash;
		m->next = c->buckets[hash % BUCKETS];
		c->buckets[hash % BUCKETS] = m;
		m->kept = true;
		c->n++;
		list_append(&c->used, &m->used);
	} else if (c->used.prev != &m->used) {
		list_remove(&m->used);
		list_append(&c->used, &m->used);
	}
	if (r->section == m->config)            /* the request holds it already */
		return m->config;
	if (arena_cleanup(r->arena, merged_put, m) != 0)
		return NULL;
	m->requests++;
	return m->config;
}

/* ---------------------------------------------------------------------------------------------- matching */

/* Room for every section of the site, made once a child. */
static int pick_begin(const struct request *r)
{
	struct section_cache *c = r->site->cache;

	c->npicked = 0;
	if (!c->picked) {
		c->picked = calloc(r->site->nsections + 1, sizeof *c->picked);
		if (!c->picked)
			return -1;
		c->room = r->site->nsections;
	}
	return 0;
}

static void pick(const struct request *r, struct section *sec)
{
	struct section_cache *c = r->site->cache;

	if (c->npicked < c->room)
		c->picked[c->npicked++] = sec;
}

/* Runs a list's regular expression: 1, 0, or -1 where it met a limit. */
static int regex_matches(const struct section *sec, const char *subject, size_t n)
{
	return regex_run(sec->regex, (struct text){ subject, n }, NULL);
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

static int pick_directories(const struct request *r, const char *dir, size_t n)
{
	const struct section_index *x = r->host->index;

	for (unsigned i = 0; i < x->ndirs; i++) {
		struct section *sec = x->dirs[i];
		int matches = sec->wild ? wild_matches(r, sec, dir, n) : prefix_matches(sec, dir, n);
		if (matches < 0)
			return -1;
		if (matches)
			pick(r, sec);
	}
	return 0;
}

static int pick_files(const struct request *r, struct section *const *files, unsigned nfiles, struct section *list, const char *name)
{
	for (unsigned i = 0; i < nfiles || list; i++) {
		struct section *sec = i < nfiles ? files[i] : list;
		int matches;
		if (sec->regex)
			matches = regex_matches(sec, name, strlen(name));
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
	char *copy, *to;

	if (!strstr(path, "//"))
		return path;
	copy = to = arena_strdup(r->arena, path);
	for (const char *p = path; copy && *p; p++)
		if (*p != '/' || p[1] != '/')
			*to++ = *p;
	if (copy)
		*to = '\0';
	return copy;
}

static int pick_locations(const struct request *r)
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
			matches = regex_matches(sec, path, n);
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
	struct section_cache *c = r->site->cache;
	unsigned depth = 1, all, above;
	void **section;

	if (pick_directories(r, name, n) != 0)
		return -1;
	for (size_t i = 1; i < n; i++)
		depth += name[i] == '/';
	all = above = c->npicked;
	while (above && c->picked[above - 1]->depth >= depth)
		above--;
	if (above == all)
		return 0;
	c->npicked = above;
	section = picked_merged(r);
	if (!section)
		return -1;
	if (core_options(section[core_module.index]) & CORE_OPT_FOLLOW)
		c->npicked = all;
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

static int pick_dir_regexes(const struct request *r, size_t n)
{
	const struct section_index *x = r->host->index;

	for (unsigned i = 0; i < x->ndir_regexes; i++) {
		int matches = regex_matches(x->dir_regexes[i], r->filename, n);
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
	const struct section_cache *c = r->site->cache;
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
	directories = c->npicked;
	if (pick_files(r, x->files, x->nfiles, NULL, name) != 0)
		return -1;
	for (unsigned i = 0; i < directories; i++)
		if (c->picked[i]->files && pick_files(r, NULL, 0, c->picked[i]->files, name) != 0)
			return -1;
	return 0;
}

void **sections_for_path(struct request *r, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (pick_begin(r) != 0 || pick_directories(r, dir, n) != 0)
		return NULL;
	return picked_merged(r);
}

static int apply_picked(struct request *r)
{
	void **section = picked_merged(r);

	if (!section)
		return -1;
	r->section = section;
	return 0;
}

int sections_location(struct request *r)
{
	if (pick_begin(r) != 0 || pick_locations(r) != 0)
		return -1;
	return apply_picked(r);
}

int sections_apply(struct request *r)
{
	if (pick_begin(r) != 0 || (r->filename && pick_for_file(r) != 0) || pick_locations(r) != 0)
		return -1;
	return apply_picked(r);
}

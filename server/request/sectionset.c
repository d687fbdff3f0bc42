/*
 * sectionset.c - merged sets of sections: made when first asked for, kept while they are used or among the SECTIONS_KEPT
 * used last. Runs in the children; a child serves one site from one thread, so that the cache needs no lock.
 */
#include "request/sectionset.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/effort.h"
#include "request/htaccess.h"

#define SET_BLOCK 2048                  /* bytes of a merged set's arena to begin with */
#define SET_MOST ((size_t)16 << 20)     /* bytes that one may come to */
#define KEPT_MOST ((size_t)64 << 20)    /* bytes of all that are kept */

/* A merged set. It lives while it is in the table or a request uses it, and holds the per-directory files it was made of. */
struct merged {
	struct list used;               /* in cache->used while it is in the table */
	struct merged *next;            /* of its bucket */
	struct arena *arena;            /* this object and all it holds */
	void **config;
	const struct host *host;
	uint32_t hash;
	unsigned requests;              /* that use it */
	bool kept;                      /* in the table */
	unsigned n;
	struct part {
		uint64_t id;
		struct htaccess *file;  /* NULL: of the site */
	} parts[];
};

void picks_add(struct picks *p, struct section *sec)
{
	if (p->n == p->room) {
		unsigned room = p->room ? p->room * 2 : 32;
		struct section **grown = p->arena ? arena_array(p->arena, room, sizeof *grown) : reallocarray(p->at, room, sizeof *grown);

		if (!grown) {
			p->failed = true;
			return;
		}
		if (p->arena && p->n)
			memcpy(grown, p->at, p->n * sizeof *grown);
		p->at = grown;
		p->room = room;
	}
	p->at[p->n++] = sec;
}

/* ---------------------------------------------------------------------------------------------- the cache */

static void merged_free(struct merged *m)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->parts[i].file)
			htaccess_put(m->parts[i].file);
	arena_free(m->arena);
}

static void merged_unkeep(struct section_cache *c, struct merged *m)
{
	struct merged **i = &c->buckets[m->hash % SECTIONSET_BUCKETS];

	while (*i != m)
		i = &(*i)->next;
	*i = m->next;
	list_remove(&m->used);
	m->kept = false;
	c->n--;
	c->memory -= arena_used(m->arena);
	if (m->requests == 0)
		merged_free(m);
}

static void merged_put(void *arg)
{
	struct merged *m = arg;

	if (--m->requests == 0 && !m->kept)
		merged_free(m);
}

static void cache_free(void *arg)
{
	struct section_cache *c = arg;

	while (c->n)
		merged_unkeep(c, list_entry(c->used.next, struct merged, used));
	free(c->picks.at);
}

struct section_cache *sections_cache_new(struct arena *a)
{
	struct section_cache *c = arena_zalloc(a, sizeof *c);

	if (!c)
		return NULL;
	list_init(&c->used);
	return arena_cleanup(a, cache_free, c) == 0 ? c : NULL;
}

void section_sets_forget(struct section_cache *c, const struct htaccess *file)
{
	for (struct list *i = c->used.next, *next; i != &c->used; i = next) {
		struct merged *m = list_entry(i, struct merged, used);
		bool holds = false;

		next = i->next;
		for (unsigned k = 0; k < m->n; k++)
			holds |= m->parts[k].file == file;
		if (holds)
			merged_unkeep(c, m);
	}
}

/* ---------------------------------------------------------------------------------------------- merging */

/* Merging allocates through conf_env, whose alloc never returns NULL: here it leaves by longjmp instead. */
struct merging {
	struct arena *arena;
	jmp_buf failed;
};

static void *merge_alloc(void *ctx, size_t n)
{
	struct merging *g = ctx;
	void *p = effort_spent() ? NULL : arena_zalloc(g->arena, n);

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
	return (unsigned)sec->kind;
}

static void merge_all(struct conf_env *env, const struct site *s, const struct host *h, struct section *const *picked, struct merged *m)
{
	m->config = conf_alloc(env, (s->nmodules + 1) * sizeof *m->config);
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

static struct merged *merged_new(const struct site *s, const struct host *h, const struct picks *p)
{
	struct merging g = { .arena = arena_new(SET_BLOCK) };
	struct conf_env env = { .ctx = &g, .alloc = merge_alloc, .report = merge_report, .root = "" };
	struct merged *m;

	if (!g.arena)
		return NULL;
	arena_limit(g.arena, SET_MOST);
	m = arena_zalloc(g.arena, sizeof *m + p->n * sizeof m->parts[0]);
	if (!m || setjmp(g.failed)) {
		arena_free(g.arena);
		errno = ENOMEM;
		return NULL;
	}
	m->arena = g.arena;
	m->host = h;
	m->n = p->n;
	merge_all(&env, s, h, p->at, m);
	for (unsigned i = 0; i < p->n; i++) {
		m->parts[i].id = p->at[i]->id;
		m->parts[i].file = p->at[i]->file;
		if (m->parts[i].file)
			htaccess_get(m->parts[i].file);
	}
	return m;
}

static bool merged_is(const struct merged *m, uint32_t hash, const struct host *h, const struct picks *p)
{
	if (m->hash != hash || m->host != h || m->n != p->n)
		return false;
	for (unsigned i = 0; i < p->n; i++)
		if (m->parts[i].id != p->at[i]->id)
			return false;
	return true;
}

static uint32_t hash_of(const struct host *h, const struct picks *p)
{
	uint32_t hash = 2166136261u ^ h->number;

	for (unsigned i = 0; i < p->n; i++)
		hash = (hash ^ (uint32_t)p->at[i]->id) * 16777619u;
	return hash ^ hash >> 15;
}

void **section_set(struct request *r, const struct picks *p)
{
	struct section_cache *c = r->site->cache;
	uint32_t hash;
	struct merged *m;

	if (p->failed)
		return NULL;
	if (p->n == 0)
		return r->host->section;
	hash = hash_of(r->host, p);
	for (m = c->buckets[hash % SECTIONSET_BUCKETS]; m; m = m->next)
		if (merged_is(m, hash, r->host, p))
			break;
	if (!m) {
		m = merged_new(r->site, r->host, p);
		if (!m)
			return NULL;
		c->memory += arena_used(m->arena);
		while (c->n == SECTIONS_KEPT || (c->n && c->memory > KEPT_MOST))
			merged_unkeep(c, list_entry(c->used.next, struct merged, used));
		m->hash = hash;
		m->next = c->buckets[hash % SECTIONSET_BUCKETS];
		c->buckets[hash % SECTIONSET_BUCKETS] = m;
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

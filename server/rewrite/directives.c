/*
 * directives.c - mod_rewrite's directives but for the rules themselves, and how sections and hosts are merged: a deeper folder's
 * rules take the place of those above it, and a virtual host does not have the main server's, unless RewriteOptions says so.
 * Runs where a configuration is read, and in children that merge sections.
 */
#include "rewrite/rule.h"

#include <string.h>
#include <strings.h>

#include "request/sections.h"

/* ---------------------------------------------------------------------------------------------- structures */

static void *create_section(struct conf_env *env)
{
	struct rewrite_section *s = conf_alloc(env, sizeof *s);

	s->engine = CONF_UNSET;
	return s;
}

static void *create_host(struct conf_env *env)
{
	struct rewrite_host *h = conf_alloc(env, sizeof *h);

	h->engine = CONF_UNSET;
	return h;
}

static void list_join(struct conf_env *env, struct rewrite_list *to, const struct rewrite_list *a, const struct rewrite_list *b)
{
	*to = (struct rewrite_list){ .n = a->n + b->n, .cap = a->n + b->n };
	to->at = conf_alloc(env, (to->n + 1) * sizeof *to->at);
	if (a->n)
		memcpy(to->at, a->at, a->n * sizeof *a->at);
	if (b->n)
		memcpy(to->at + a->n, b->at, b->n * sizeof *b->at);
}

/* The rules of the inner, by the options of both. */
static void rules_merge(struct conf_env *env, struct rewrite_list *to, const struct rewrite_list *base, unsigned base_options,
			const struct rewrite_list *over, unsigned options)
{
	bool ignore = options & REWRITE_O_IGNORE_INHERIT;

	if (options & REWRITE_O_INHERIT || (base_options & REWRITE_O_INHERIT_DOWN && !ignore))
		list_join(env, to, over, base);
	else if (options & REWRITE_O_INHERIT_BEFORE || (base_options & REWRITE_O_INHERIT_DOWN_BEFORE && !ignore))
		list_join(env, to, base, over);
	else
		*to = *over;
}

static void *merge_section(struct conf_env *env, const void *pbase, const void *pover)
{
	const struct rewrite_section *base = pbase, *over = pover;
	struct rewrite_section *m = create_section(env);

	m->engine = over->engine == CONF_UNSET ? base->engine : over->engine;
	m->options_set = over->options_set || base->options_set;
	m->options = over->options_set ? over->options : base->options;
	m->base = over->base ? over->base : m->options & REWRITE_O_MERGEBASE ? base->base : NULL;
	m->directory = over->directory ? over->directory : base->directory;
	rules_merge(env, &m->rules, &base->rules, base->options, &over->rules, m->options);
	return m;
}

/*
 * A host without a line of the module is the main server: it sees the maps, for rules of folders; but rules run only where a
 * line of the module stands in the host, so that rewriting is never a surprise.
 */
static void *merge_host(struct conf_env *env, const void *pbase, const void *pover)
{
	const struct rewrite_host *base = pbase, *over = pover;
	struct rewrite_host *m = create_host(env);
	bool before, after;

	m->touched = over->touched;
	m->engine = over->engine == CONF_UNSET ? base->engine : over->engine;
	m->options_set = over->options_set || base->options_set;
	m->options = over->options_set ? over->options : base->options;
	if (!over->touched) {
		m->maps = base->maps;
		return m;
	}
	rules_merge(env, &m->rules, &base->rules, base->options, &over->rules, m->options);
	after = m->options & REWRITE_O_INHERIT || (base->options & REWRITE_O_INHERIT_DOWN && !(m->options & REWRITE_O_IGNORE_INHERIT));
	before = m->options & REWRITE_O_INHERIT_BEFORE || (base->options & REWRITE_O_INHERIT_DOWN_BEFORE && !(m->options & REWRITE_O_IGNORE_INHERIT));
	if (after)
		m->maps = CONF_CHAIN(env, over->maps, base->maps);
	else
		m->maps = before ? CONF_CHAIN(env, base->maps, over->maps) : over->maps;
	return m;
}

static void warn_of_maps(struct conf_env *env, const struct rewrite_host *h, const struct rewrite_text *t, const struct conf_pos *pos, const char *host)
{
	for (unsigned i = 0; t && i < t->n; i++) {
		const struct rewrite_map *m = h->maps;

		if (t->at[i].kind != REWRITE_MAP)
			continue;
		while (m && strcmp(m->name, t->at[i].name) != 0)
			m = m->next;
		if (!m)
			conf_report(env, CONF_WARNING, pos, "write the RewriteMap in that host, or RewriteOptions Inherit there",
				    "the rule reads the map \"%s\", which the host %s does not have: it is always empty", t->at[i].name, host);
		warn_of_maps(env, h, t->at[i].key, pos, host);
		warn_of_maps(env, h, t->at[i].otherwise, pos, host);
	}
}

static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	const struct rewrite_host *h = config;

	for (unsigned i = 0; i < h->rules.n; i++) {
		const struct rewrite_rule *rule = h->rules.at[i];

		warn_of_maps(env, h, rule->to, &rule->pos, host_name);
		for (const struct rewrite_cond *c = rule->conds; c; c = c->next)
			warn_of_maps(env, h, c->input, &c->pos, host_name);
	}
	if (h->rules.pending)
		conf_report(env, CONF_WARNING, &h->rules.pending->pos, "write the rule behind it", "RewriteCond has no RewriteRule behind it");
	return 0;
}

/* ---------------------------------------------------------------------------------------------- setters */

/* The host's structure, which a line in one of its sections touches too; NULL in a per-directory file. */
static struct rewrite_host *host_of(struct conf_call *call)
{
	struct rewrite_host *h;

	if (reading_of(call)->htaccess || !call->target->host)
		return NULL;
	h = call->target->host[call->module->index];
	if (h)
		h->touched = true;
	return h;
}

static bool of_host(const struct conf_call *call)
{
	return call->context & CONF_RSRC;
}

/*
 * The folder whose name is cut off what the rules see: a literal <Directory>, a per-directory file. What else names a section
 * begins no file's name, so that its rules see the whole, as in Apache; but <Files> and <If> belong to the folder around them.
 */
static void note_folder(struct conf_call *call, struct rewrite_section *s)
{
	const struct reading *reading = reading_of(call);
	const struct section *sec = reading->section;

	if (s->directory || of_host(call))
		return;
	if (reading->folder)
		s->directory = reading->folder;
	else if (sec && (sec->kind == SECTION_DIRECTORY || sec->kind == SECTION_LOCATION) && sec->pattern)
		s->directory = conf_printf(call->env, "%s%s", sec->pattern, *sec->pattern && sec->pattern[strlen(sec->pattern) - 1] == '/' ? "" : "/");
}

struct rewrite_list *rewrite_list_of(struct conf_call *call, void *section)
{
	struct rewrite_section *s = section;
	struct rewrite_host *h = host_of(call);

	note_folder(call, s);
	return of_host(call) ? &h->rules : &s->rules;
}

static int set_engine(struct conf_call *call, void *config, int argc, char **argv)
{
	struct rewrite_section *s = config;
	struct rewrite_host *h = host_of(call);

	(void)argc;
	note_folder(call, s);
	s->engine = strcmp(argv[0], "on") == 0;
	if (of_host(call))
		h->engine = s->engine;
	return 0;
}

static const struct { const char *word; unsigned option; } options[] = {
	{ "Inherit", REWRITE_O_INHERIT }, { "InheritBefore", REWRITE_O_INHERIT_BEFORE }, { "InheritDown", REWRITE_O_INHERIT_DOWN },
	{ "InheritDownBefore", REWRITE_O_INHERIT_DOWN_BEFORE }, { "IgnoreInherit", REWRITE_O_IGNORE_INHERIT }, { "AllowNoSlash", REWRITE_O_NOSLASH },
	{ "AllowAnyURI", REWRITE_O_ANYURI }, { "MergeBase", REWRITE_O_MERGEBASE }, { "IgnoreContextInfo", REWRITE_O_IGNORE_CONTEXT },
	{ "LegacyPrefixDocRoot", REWRITE_O_LEGACY_PREFIX }, { "UnsafePrefixStat", REWRITE_O_PREFIX_STAT },
};

static int set_options(struct conf_call *call, void *config, int argc, char **argv)
{
	struct rewrite_section *s = config;
	struct rewrite_host *h = host_of(call);

	note_folder(call, s);
	for (int i = 0; i < argc; i++) {
		size_t k = 0, n = sizeof options / sizeof *options;

		while (k < n && strcasecmp(argv[i], options[k].word) != 0)
			k++;
		if (strncasecmp(argv[i], "MaxRedirects=", 13) == 0)
			conf_note(call, "use LimitInternalRecursion", "MaxRedirects has no effect");
		else if (strcasecmp(argv[i], "LongURLOptimization") == 0 || strcasecmp(argv[i], "LongURLCheck") == 0)
			conf_note(call, "take it out", "%s has no effect: the memory of conditions is bounded here anyway", argv[i]);
		else if (k == n)
			return conf_fail(call, "bulkhead.conf(5) lists them", "the option \"%s\" is unknown", argv[i]);
		else
			s->options |= options[k].option;
	}
	s->options_set = true;
	if (of_host(call)) {
		h->options |= s->options;
		h->options_set = true;
	}
	return 0;
}

static int set_base(struct conf_call *call, void *config, int argc, char **argv)
{
	struct rewrite_section *s = config;

	(void)argc;
	host_of(call);
	note_folder(call, s);
	if (argv[0][0] != '/')
		return conf_fail(call, "write the URL path that leads to this folder, such as /blog/", "\"%s\" does not begin with a slash", argv[0]);
	s->base = argv[0];
	return 0;
}

static int set_map(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	return rewrite_set_map(call, host_of(call), argc, argv);
}

/* ---------------------------------------------------------------------------------------------- directives */

#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .scope = CONF_OF_SECTION
#define GONE(remedy) .contexts = CONF_RSRC, .args = CONF_RAW, .scope = CONF_OF_HOST, .set = conf_set_refused, .extra = (remedy)

static const struct conf_directive directives[] = {
	{ "RewriteEngine", "whether rules of rewriting run", "Off", EVERYWHERE, .args = CONF_FLAG, .set = set_engine },
	{ "RewriteOptions", "how rules are inherited and applied", NULL, EVERYWHERE, .args = CONF_TAKE, .min = 1, .set = set_options },
	{ "RewriteBase", "the URL path of the folder whose rules follow", NULL, .contexts = CONF_SECTIONS | CONF_HTACCESS, .override = CONF_OR_FILEINFO,
	  .scope = CONF_OF_SECTION, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_base },
	{ "RewriteMap", "a table that rules look words up in", NULL, .contexts = CONF_RSRC, .scope = CONF_OF_HOST, .args = CONF_TAKE, .min = 2, .max = 3,
	  .set = set_map },
	{ "RewriteCond", "a condition of the rule that follows", NULL, EVERYWHERE, .args = CONF_RAW, .set = rewrite_set_cond },
	{ "RewriteRule", "leads what matches a pattern elsewhere, or answers it", NULL, EVERYWHERE, .args = CONF_RAW, .set = rewrite_set_rule },
	{ "RewriteLog", "replaced by LogLevel", NULL, GONE("write LogLevel rewrite:trace3") },
	{ "RewriteLogLevel", "replaced by LogLevel", NULL, GONE("write LogLevel rewrite:trace3") },
	{ "RewriteLock", "replaced by Mutex", NULL, GONE("take it out") },
	{ .name = NULL },
};

struct conf_module rewrite_module = {
	.name = "rewrite_module",
	.source = "mod_rewrite.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
	.create_section = create_section,
	.merge_section = merge_section,
	.finish_host = finish_host,
};

/*
 * directives.c - the directives that name body filters, and how sections merge. Runs wherever a configuration is read.
 *
 * A filter that does not exist is kept with its name: what it is set for is denied, since it may be what keeps a source from being
 * sent. Those without which the content is the same are left out with a notice.
 */
#include "request/filter.h"

#include <string.h>
#include <strings.h>

#include "filter/coding.h"
#include "filter/list.h"

static const struct filter_type *const types[] = { &deflate_filter, &inflate_filter, &brotli_filter, &zstd_filter };

#define REGISTERED 4
static const struct filter_type *registered[REGISTERED];

void filter_register(const struct filter_type *type)
{
	for (unsigned i = 0; i < REGISTERED && registered[i] != type; i++)
		if (!registered[i]) {
			registered[i] = type;
			return;
		}
}

const struct filter_type *filter_registered(unsigned at)
{
	return at < REGISTERED ? registered[at] : NULL;
}

const struct filter_type *filter_find(const char *name)
{
	if (strcasecmp(name, "ZSTD") == 0)
		return &zstd_filter;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(types[i]->name, name) == 0)
			return types[i];
	for (unsigned i = 0; i < REGISTERED && registered[i]; i++)
		if (strcasecmp(registered[i]->name, name) == 0)
			return registered[i];
	return NULL;
}

/* Filters that change only the pace of what goes out anyway. */
static bool harmless(const char *name)
{
	static const char *const names[] = { "RATE_LIMIT", "BUFFER", "CONTENT_LENGTH", "REFLECTOR" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static void name_add(struct conf_call *call, struct filter_names *l, const char *name, bool input)
{
	const struct filter_type *type = filter_find(name);

	if (input && type != &deflate_filter) {
		conf_note(call, NULL, "the filter %s does not exist for request bodies: they are passed on as they come", name);
		return;
	}
	if (!type && harmless(name)) {
		conf_note(call, NULL, "the filter %s does not exist in this release: the content is the same without it", name);
		return;
	}
	if (!type)
		conf_note(call, NULL, "the filter %s does not exist in this release: what it is set for is denied with 403", name);
	l->at[l->n++] = (struct filter_name){ .type = type, .name = name, .pos = call->node->pos };
}

const struct filter_names *filter_names_read(struct conf_call *call, const char *list, bool input)
{
	struct text rest = text_of(list), part;
	struct filter_names *l;
	unsigned most = 1;

	for (const char *p = list; *p; p++)
		most += *p == ';';
	l = conf_alloc(call->env, sizeof(*l) + most * sizeof(l->at[0]));
	while (text_split(&rest, ';', &part)) {
		struct text name = text_trim(part);

		if (name.n)
			name_add(call, l, conf_printf(call->env, "%.*s", (int)name.n, name.p), input);
	}
	return l;
}

const struct filter_names *filter_names_join(struct arena *a, const struct filter_names *first, const struct filter_names *second, bool *failed)
{
	struct filter_names *l;

	if (!first || !second)
		return first ? first : second;
	l = arena_alloc(a, sizeof(*l) + (first->n + second->n) * sizeof(l->at[0]));
	if (!l) {
		*failed = true;
		return NULL;
	}
	l->n = first->n + second->n;
	memcpy(l->at, first->at, first->n * sizeof(l->at[0]));
	memcpy(l->at + first->n, second->at, second->n * sizeof(l->at[0]));
	return l;
}

/* ------------------------------------------------------------------------------------------------ setters */

/* SetOutputFilter, SetInputFilter (low: input). */
static int set_filters(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *list = text_is_nocase(text_of(argv[0]), "none") ? "" : argv[0];

	(void)argc;
	*(const struct filter_names **)(void *)((char *)config + call->directive->offset) = filter_names_read(call, list, call->directive->low);
	return 0;
}

static int set_by_type(struct conf_call *call, void *config, int argc, char **argv)
{
	struct filter_section *s = config;
	const struct filter_by_type **last = &s->by_type;
	struct filter_by_type *b;

	(void)argc;
	if (!strchr(argv[1], '/'))
		return conf_fail(call, "write type/subtype, for example text/html", "\"%s\" is no media type", argv[1]);
	b = conf_alloc(call->env, sizeof(*b));
	*b = (struct filter_by_type){ .type = conf_strdup(call->env, argv[1]), .names = filter_names_read(call, argv[0], false) };
	while (*last)
		last = (const struct filter_by_type **)(uintptr_t)&(*last)->next;
	*last = b;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ merging */

static void *create_section(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct filter_section));
}

static const struct filter_by_type *by_type_join(struct conf_env *env, const struct filter_by_type *base, const struct filter_by_type *over)
{
	const struct filter_by_type *first = over, **last = &first;

	if (!over)
		return base;
	for (; base; base = base->next) {
		struct filter_by_type *copy = conf_alloc(env, sizeof(*copy));

		*copy = *base;
		*last = copy;
		last = &copy->next;
	}
	*last = over;
	return first;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct filter_section *b = base, *o = over;
	struct filter_section *m = conf_alloc(env, sizeof(*m));

	m->set = o->set ? o->set : b->set;
	m->input = o->input ? o->input : b->input;
	m->by_type = by_type_join(env, b->by_type, o->by_type);
	filter_merge_chains(env, b, o, m);
	return m;
}

/* ------------------------------------------------------------------------------------------------ directives */

static const char by_itself[] = "filters here say by themselves what they do to a response";
static const char no_trace[] = "LogLevel debug tells what a response is answered with";

#define BY_OPTIONS .contexts = CONF_ALL, .override = CONF_OR_OPTIONS, .scope = CONF_OF_SECTION
#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .scope = CONF_OF_SECTION

static const struct conf_directive directives[] = {
	{ "SetOutputFilter", "the filters of all files", NULL, EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_filters,
	  .offset = offsetof(struct filter_section, set) },
	{ "SetInputFilter", "the filters of all request bodies", NULL, EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_filters,
	  .offset = offsetof(struct filter_section, input), .low = 1 },
	{ "AddOutputFilterByType", "the filters of media types", NULL, EVERYWHERE, .args = CONF_ITERATE2, .set = set_by_type },
	{ "FilterDeclare", "a filter under a name of one's own", NULL, BY_OPTIONS, .args = CONF_TAKE, .min = 1, .max = 2, .set = filter_set_declare },
	{ "FilterProvider", "what it is, and when", NULL, BY_OPTIONS, .args = CONF_TAKE, .min = 3, .max = 3, .set = filter_set_provider },
	{ "FilterChain", "which of them are in use", NULL, BY_OPTIONS, .args = CONF_ITERATE, .set = filter_set_chain },
	{ "FilterProtocol", "accepted without effect", NULL, BY_OPTIONS, .args = CONF_TAKE, .min = 1, .max = 3, .set = conf_set_notice,
	  .extra = by_itself },
	{ "FilterTrace", "accepted without effect", NULL, .contexts = CONF_RSRC | CONF_SECTIONS, .scope = CONF_OF_SECTION, .args = CONF_TAKE, .min = 2,
	  .max = 2, .set = conf_set_notice, .extra = no_trace },
	{ .name = NULL },
};

struct conf_module filter_module = {
	.name = "filter_module",
	.source = "mod_filter.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

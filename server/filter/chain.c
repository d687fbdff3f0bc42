/*
 * chain.c - mod_filter: filters under names of one's own, with providers of which the first joins whose condition holds.
 * The setters run where a configuration is read, filter_links in the children at each response of a place that has a chain.
 *
 * Sections replace, name by name, what outer ones say of a filter; their FilterChain lines go on where those of outer ones ended.
 */
#include <string.h>
#include <strings.h>

#include "filter/list.h"
#include "log/log.h"
#include "request/variables.h"

struct filter_provider {
	const char *filter;                     /* its own name */
	struct filter_name real;                /* of FilterDeclare: no name */
	struct expr *when;                      /* NULL: of FilterDeclare */
	const struct filter_provider *next;
};

struct filter_link {
	char op;                                /* '+' behind the others, '@' before them, '-' away, '=' alone, '!' none */
	const char *name;
	const struct filter_link *next;
};

/* ------------------------------------------------------------------------------------------------ setters */

static struct filter_provider *provider_add(struct conf_call *call, struct filter_section *s, const char *filter)
{
	struct filter_provider *p = conf_alloc(call->env, sizeof(*p));
	const struct filter_provider **last = &s->providers;

	while (*last)
		last = (const struct filter_provider **)(uintptr_t)&(*last)->next;
	p->filter = conf_strdup(call->env, filter);
	*last = p;
	return p;
}

int filter_set_declare(struct conf_call *call, void *config, int argc, char **argv)
{
	static const char *const kinds[] = { "RESOURCE", "CONTENT_SET", "PROTOCOL", "TRANSCODE", "CONNECTION", "NETWORK" };
	bool known = argc < 2;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		known |= argc > 1 && strcasecmp(argv[1], kinds[i]) == 0;
	if (!known)
		return conf_fail(call, "write RESOURCE, CONTENT_SET, PROTOCOL, TRANSCODE, CONNECTION or NETWORK, or leave it out",
				 "\"%s\" is no kind of filter", argv[1]);
	provider_add(call, config, argv[0]);
	return 0;
}

int filter_set_provider(struct conf_call *call, void *config, int argc, char **argv)
{
	struct filter_provider *p;
	const struct filter_type *type = filter_find(argv[1]);
	struct expr *when;

	(void)argc;
	if (!type)
		return conf_fail(call, "name DEFLATE, BROTLI_COMPRESS, ZSTD_COMPRESS or INFLATE", "the filter %s does not exist in this release", argv[1]);
	when = variables_condition(call, argv[2]);
	if (!when)
		return -1;
	p = provider_add(call, config, argv[0]);
	p->real = (struct filter_name){ .type = type, .name = type->name, .pos = call->node->pos };
	p->when = when;
	return 0;
}

/* One word of FilterChain. */
int filter_set_chain(struct conf_call *call, void *config, int argc, char **argv)
{
	struct filter_section *s = config;
	const struct filter_link **last = &s->links;
	struct filter_link *l = conf_alloc(call->env, sizeof(*l));
	bool signed_ = *argv[0] && strchr("+@-=!", *argv[0]);

	(void)argc;
	l->op = signed_ ? *argv[0] : '+';
	l->name = conf_strdup(call->env, argv[0] + signed_);
	if (!*l->name && l->op != '!')
		return conf_fail(call, "write the name of a filter behind the sign", "\"%s\" names no filter", argv[0]);
	while (*last)
		last = (const struct filter_link **)(uintptr_t)&(*last)->next;
	*last = l;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ merging */

static bool speaks_of(const struct filter_provider *list, const char *filter)
{
	for (; list; list = list->next)
		if (strcasecmp(list->filter, filter) == 0)
			return true;
	return false;
}

void filter_merge_chains(struct conf_env *env, const struct filter_section *base, const struct filter_section *over, struct filter_section *m)
{
	const struct filter_provider **last = &m->providers;
	const struct filter_link **end = &m->links;

	for (const struct filter_provider *p = over->providers ? base->providers : NULL; p; p = p->next) {
		struct filter_provider *copy;

		if (speaks_of(over->providers, p->filter))
			continue;
		copy = conf_alloc(env, sizeof(*copy));
		*copy = *p;
		*last = copy;
		last = &copy->next;
	}
	*last = over->providers ? over->providers : base->providers;
	for (const struct filter_link *l = over->links ? base->links : NULL; l; l = l->next) {
		struct filter_link *copy = conf_alloc(env, sizeof(*copy));

		*copy = *l;
		*end = copy;
		end = &copy->next;
	}
	*end = over->links ? over->links : base->links;
}

/* ------------------------------------------------------------------------------------------------ at a response */

#define LONGEST 16

/* What is left of the chain in the end. */
static unsigned resolve(const struct filter_section *s, const char **names)
{
	unsigned n = 0;

	for (const struct filter_link *l = s->links; l; l = l->next) {
		if (l->op == '!' || l->op == '=')
			n = 0;
		for (unsigned i = 0; l->op == '-' && i < n; i++)
			if (strcasecmp(names[i], l->name) == 0) {
				memmove(names + i, names + i + 1, (n - i - 1) * sizeof(*names));
				n--;
				i--;
			}
		if (l->op == '!' || l->op == '-' || n == LONGEST)
			continue;
		if (l->op == '@')
			memmove(names + 1, names, n * sizeof(*names));
		names[l->op == '@' ? 0 : n] = l->name;
		n++;
	}
	return n;
}

/* The first provider whose condition holds. 1 it is in *at, 0 none, -1 a condition has no answer. */
static int provided(struct request *r, const struct filter_section *s, const char *filter, struct filter_name *at)
{
	bool known = false;

	for (const struct filter_provider *p = s->providers; p; p = p->next) {
		int holds;

		if (strcasecmp(p->filter, filter) != 0)
			continue;
		known = true;
		holds = p->when ? variables_true(r, p->when) : 0;
		if (holds < 0)
			return -1;
		if (holds) {
			*at = p->real;
			return 1;
		}
	}
	if (!known)
		log_errorx(&r->client->about, LOG_MIME, "BH0683", "FilterChain names %s, which no FilterProvider is for: %s is sent without it", filter,
			   r->path ? r->path : "a response");
	return 0;
}

int filter_links(struct request *r, const struct filter_section *s, unsigned *n, struct filter_name *at, size_t most)
{
	const char *names[LONGEST], *type = r->type;
	struct text own = fields_get(&r->out, "Content-Type");
	unsigned count = resolve(s, names);
	bool shown = type && !own.p && fields_add(&r->out, TEXT("Content-Type"), text_of(type)) == 0;
	int rc = 0;

	if (own.p && !(r->type = arena_strndup(r->arena, own.p, own.n)))
		return -1;
	for (unsigned i = 0; i < count && rc >= 0 && *n < most; i++) {
		rc = provided(r, s, names[i], &at[*n]);
		*n += rc == 1;
	}
	if (shown)                              /* only for the conditions: the charset is still to come to it */
		r->out.n--;
	r->type = type;
	return rc < 0 ? -1 : 0;
}

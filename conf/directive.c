/*
 * directive.c - the engine: finds a directive in the modules' tables, checks its context, splits its arguments as
 * Apache does and calls its setter. Runs wherever a configuration is read.
 */
#include "conf/internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_COMPARED 48 /* longer names are not compared with others: no directive has such a name */

unsigned conf_modules_number(struct conf_module *const *modules)
{
	unsigned n;

	for (n = 0; modules[n]; n++)
		modules[n]->index = n;
	return n;
}

const struct conf_directive *conf_find(struct conf_module *const *modules, const char *name,
				       const struct conf_module **module)
{
	const struct conf_directive *d;

	for (; *modules; modules++)
		for (d = (*modules)->directives; d && d->name; d++)
			if (!strcasecmp(d->name, name)) {
				if (module)
					*module = *modules;
				return d;
			}
	return NULL;
}

void conf_list(struct conf_module *const *modules,
	       void (*print)(void *ctx, const struct conf_module *, const struct conf_directive *), void *ctx)
{
	const struct conf_directive *d;

	for (; *modules; modules++)
		for (d = (*modules)->directives; d && d->name; d++)
			print(ctx, *modules, d);
}

/* ------------------------------------------------------------------------------------------------ did you mean */

static int lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : (unsigned char)c;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Letters left out, added, changed or swapped with their neighbour; both names at most NAME_MAX_COMPARED long. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned rows[3][NAME_MAX_COMPARED + 1], *before = rows[0], *above = rows[1], *row = rows[2], *spare;
	size_t i, j;

	for (j = 0; j <= nb; j++)
		above[j] = (unsigned)j;
	memset(before, 0, sizeof(rows[0]));
	for (i = 1; i <= na; i++) {
		row[0] = (unsigned)i;
		for (j = 1; j <= nb; j++) {
			bool same = lower(a[i - 1]) == lower(b[j - 1]);

			row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		spare = before;
		before = above;
		above = row;
		row = spare;
	}
	return above[nb];
}

const char *conf_nearest(struct conf_module *const *modules, const char *name)
{
	const struct conf_directive *d;
	const char *best = NULL;
	size_t n = strlen(name), m;
	unsigned bound = n < 6 ? 1 : 2, far;

	if (n < 2 || n > NAME_MAX_COMPARED)
		return NULL;
	for (; *modules; modules++)
		for (d = (*modules)->directives; d && d->name; d++) {
			m = strlen(d->name);
			if (m > NAME_MAX_COMPARED || m > n + bound || n > m + bound)
				continue;
			far = distance(name, n, d->name, m);
			if (far <= bound) {
				best = d->name;
				if (!far)
					return best;
				bound = far - 1; /* only a nearer one replaces it */
			}
		}
	return best;
}

/* ------------------------------------------------------------------------------------------------ contexts */

static const struct {
	unsigned context;
	const char *words, *place;
} contexts[] = {
	{ CONF_SERVER, "server config", "outside all sections" },
	{ CONF_HOST, "virtual host", "in <VirtualHost>" },
	{ CONF_SECTIONS, "directory", NULL }, /* Apache's word for all three */
	{ CONF_DIRECTORY, "<Directory>", "in <Directory>" },
	{ CONF_LOCATION, "<Location>", "in <Location>" },
	{ CONF_FILES, "<Files>", "in <Files>" },
	{ CONF_HTACCESS, ".htaccess", "in .htaccess files" },
};
#define CONTEXTS (sizeof(contexts) / sizeof(*contexts))

const char *conf_context_words(unsigned set, char *buf, size_t n)
{
	size_t i, at = 0;

	if (n)
		*buf = '\0';
	for (i = 0; i < CONTEXTS && at < n; i++) {
		if ((set & contexts[i].context) != contexts[i].context)
			continue;
		set &= ~contexts[i].context;
		at += (size_t)snprintf(buf + at, n - at, "%s%s", at ? ", " : "", contexts[i].words);
	}
	return buf;
}

/* "in <DirectoryMatch>": the section it stands in, as far as the tree tells. */
static const char *place(struct conf_env *env, const struct conf_node *node, enum conf_context context)
{
	size_t i;

	if (node->parent)
		return conf_printf(env, "in %s>", node->parent->name);
	for (i = 0; i < CONTEXTS; i++)
		if (contexts[i].context == context)
			return contexts[i].place;
	return "here";
}

/* Where a directive is to be moved that stands in none of the places of `set`. */
static const char *better_place(unsigned set)
{
	if (set & CONF_SERVER)
		return set & CONF_HOST ? "move it out of the section" : "move it out of all sections";
	if (set & CONF_HOST)
		return "move it into a <VirtualHost> section";
	if (set & CONF_DIRECTORY)
		return "move it into a section, such as <Directory \"/srv/site\"> for the files of a folder and all below it";
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ arguments */

static int set(struct conf_call *call, int argc, char **argv)
{
	const struct conf_module *module = call->module;
	bool of_host = call->directive->scope == CONF_OF_HOST;
	void **structures = of_host ? call->target->host : call->target->section;
	void *(*create)(struct conf_env *) = of_host ? module->create_host : module->create_section;
	void **config = structures ? &structures[module->index] : NULL;

	if (config && !*config && create)
		*config = create(call->env);
	return call->directive->set(call, config ? *config : NULL, argc, argv);
}

/* An error of the engine about the arguments. */
static int bad_args(struct conf_call *call, const char *remedy, const char *sentence)
{
	conf_report(call->env, CONF_ERROR, &call->node->pos,
		    conf_with_hint(call->env, call->node->args, remedy), "%s", sentence);
	return -1;
}

/* The table's line of help as a remedy. */
static const char *usage(const struct conf_call *call)
{
	const struct conf_directive *d = call->directive;

	return d->help ? conf_printf(call->env, "%s: %s", d->name, d->help) : NULL;
}

static const char *number_word(unsigned n)
{
	static const char *const names[] = { "no", "one", "two", "three", "four", "five", "six", "seven", "eight" };

	return n < sizeof(names) / sizeof(*names) ? names[n] : "many";
}

static int bad_count(struct conf_call *call, unsigned n)
{
	const struct conf_directive *d = call->directive;
	struct conf_env *env = call->env;
	const char *how, *is;

	if (d->min == d->max)
		how = number_word(d->min);
	else if (!d->max)
		how = conf_printf(env, "at least %s", number_word(d->min));
	else if (!d->min)
		how = conf_printf(env, "at most %s", number_word(d->max));
	else
		how = conf_printf(env, "%s to %s", number_word(d->min), number_word(d->max));
	is = conf_printf(env, "%s takes %s argument%s, %u %s given", d->name, how,
			 (d->max ? d->max : d->min) == 1 ? "" : "s", n, n == 1 ? "is" : "are");
	if (d->max && n > d->max)
		return bad_args(call, "an argument that holds blanks needs quotes", is);
	return bad_args(call, usage(call), is);
}

/* All words; an empty one at the end is none. */
static char **words(struct conf_env *env, const char *args, unsigned *n)
{
	unsigned cap = 8;
	char **list = conf_alloc(env, cap * sizeof(*list)), **larger, *word;

	for (*n = 0; (word = conf_word(env, &args)); (*n)++) {
		if (*n == cap) {
			larger = conf_alloc(env, 2 * cap * sizeof(*list));
			memcpy(larger, list, cap * sizeof(*list));
			list = larger;
			cap *= 2;
		}
		list[*n] = word;
	}
	while (*n && !*list[*n - 1])
		--*n;
	return list;
}

static int take(struct conf_call *call, const char *args)
{
	const struct conf_directive *d = call->directive;
	unsigned n, i;
	char **argv = words(call->env, args, &n);

	if (n < d->min || (d->max && n > d->max))
		return bad_count(call, n);
	for (i = 0; i < d->min; i++)
		if (!*argv[i])
			return bad_args(call, NULL,
					conf_printf(call->env, "%s: argument %u is empty", d->name, i + 1));
	return set(call, (int)n, argv);
}

/* Words behind On or Off are ignored, as Apache does. */
static int flag(struct conf_call *call, const char *args)
{
	const char *name = call->directive->name;
	char *word = conf_word(call->env, &args);

	if (!word || !*word)
		return bad_args(call, NULL, conf_printf(call->env, "%s takes one argument, On or Off", name));
	if (strcasecmp(word, "on") && strcasecmp(word, "off"))
		return bad_args(call, NULL, conf_printf(call->env, "%s takes one argument, On or Off, not \"%s\"",
							name, word));
	word = conf_strdup(call->env, strcasecmp(word, "on") ? "off" : "on");
	return set(call, 1, &word);
}

/* The list ends at an empty word, as in Apache. All words are tried, so that all faults are told. */
static int iterate(struct conf_call *call, const char *args, bool pairs)
{
	const char *name = call->directive->name;
	char *argv[2] = { NULL, NULL };
	int result = 0;

	if (pairs)
		argv[0] = conf_word(call->env, &args);
	argv[pairs] = conf_word(call->env, &args);
	if ((pairs && (!argv[0] || !*argv[0])) || !argv[pairs] || !*argv[pairs])
		return bad_args(call, usage(call), conf_printf(call->env, "%s takes at least %s", name,
							       pairs ? "two arguments" : "one argument"));
	for (; argv[pairs] && *argv[pairs]; argv[pairs] = conf_word(call->env, &args))
		if (set(call, 1 + pairs, argv))
			result = -1;
	return result;
}

static int whole(struct conf_call *call, const char *args)
{
	char *argv[1] = { conf_strdup(call->env, args) };

	if (call->directive->args == CONF_SECTION && call->directive->min && !*args)
		return bad_args(call, call->directive->help,
				conf_printf(call->env, "%s> needs an argument", call->directive->name));
	return set(call, 1, argv);
}

static int call_setter(struct conf_call *call)
{
	const char *args = call->node->args, *name = call->directive->name;
	char *none[1] = { NULL };

	switch (call->directive->args) {
	case CONF_NO_ARGS:
		if (*args)
			return bad_args(call, NULL, conf_printf(call->env, "%s takes no arguments", name));
		return set(call, 0, none);
	case CONF_FLAG:
		return flag(call, args);
	case CONF_TAKE:
		return take(call, args);
	case CONF_ITERATE:
		return iterate(call, args, false);
	case CONF_ITERATE2:
		return iterate(call, args, true);
	case CONF_RAW:
	case CONF_SECTION:
		return whole(call, args);
	}
	return -1;
}

/* ------------------------------------------------------------------------------------------------ applying */

static void unknown(const struct conf_node *node, struct conf_module *const *modules, struct conf_env *env)
{
	const char *remedy = env->unknown ? env->unknown(env->ctx, node->name) : NULL;
	const char *near = remedy ? NULL : conf_nearest(modules, node->name);

	if (near)
		remedy = conf_printf(env, "did you mean %s%s?", near, *near == '<' ? ">" : "");
	if (!remedy)
		remedy = "it is misspelt, or belongs to a module that is not part of this server";
	if (node->section)
		conf_report(env, CONF_ERROR, &node->pos, conf_with_hint(env, node->name, remedy),
			    "unknown section %s>", node->name);
	else
		conf_report(env, CONF_ERROR, &node->pos, conf_with_hint(env, node->name, remedy),
			    "unknown directive %s", node->name);
}

/* Whether the directive's context and AllowOverride let it stand where it does. */
static bool is_allowed(const struct conf_call *call)
{
	const struct conf_directive *d = call->directive;
	const struct conf_allowed *allowed = call->target->allowed;
	unsigned context = (unsigned)call->context;

	if ((d->contexts & context) != context)
		return false;
	if (!(context & CONF_HTACCESS) || !allowed || (d->override & allowed->override))
		return true;
	for (const char *const *name = allowed->list; name && *name; name++)
		if (!strcasecmp(*name, d->name))
			return true;
	return false;
}

/* "AuthConfig or Limit" */
static const char *override_words(struct conf_env *env, unsigned set)
{
	static const char *const names[] = { "AuthConfig", "FileInfo", "Indexes", "Limit", "Options" };
	const char *all = "";

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (set & 1u << i)
			all = conf_printf(env, "%s%s%s", all, *all ? " or " : "", names[i]);
	return all;
}

static int not_allowed(const struct conf_call *call)
{
	const struct conf_directive *d = call->directive;
	const struct conf_allowed *allowed = call->target->allowed;
	struct conf_env *env = call->env;
	const struct conf_node *node = call->node;
	const char *tag = *d->name == '<' ? ">" : "";
	bool htaccess = (unsigned)call->context & CONF_HTACCESS;
	char words_of[128];

	if (htaccess && allowed && (allowed->nonfatal & CONF_NONFATAL_OVERRIDE)) {
		conf_report(env, CONF_NOTICE, &node->pos, NULL, "%s%s is not allowed here and passed over, as AllowOverride Nonfatal says",
			    d->name, tag);
		return 0;
	}
	if (htaccess && (d->contexts & CONF_HTACCESS) && allowed && !(d->override & allowed->override))
		conf_report(env, CONF_ERROR, &node->pos,
			    conf_printf(env, "AllowOverride %s in the folder's <Directory> section would let it in", override_words(env, d->override)),
			    "%s%s is not allowed here: AllowOverride does not permit it", d->name, tag);
	else
		conf_report(env, CONF_ERROR, &node->pos, htaccess ? "the server's configuration is its place" : better_place(d->contexts),
			    "%s%s is not allowed %s; it belongs to: %s", d->name, tag, place(env, node, call->context),
			    conf_context_words(d->contexts, words_of, sizeof(words_of)));
	return -1;
}

static int apply(const struct conf_node *node, struct conf_call *call)
{
	struct conf_env *env = call->env;
	const struct conf_allowed *allowed = call->target->allowed;

	call->node = node;
	call->directive = conf_find(call->modules, node->name, &call->module);
	if (!call->directive && allowed && (allowed->nonfatal & CONF_NONFATAL_UNKNOWN)) {
		conf_report(env, CONF_NOTICE, &node->pos, NULL, "%s is unknown and passed over, as AllowOverride Nonfatal says", node->name);
		return 0;
	}
	if (!call->directive) {
		unknown(node, call->modules, env);
		return -1;
	}
	return is_allowed(call) ? call_setter(call) : not_allowed(call);
}

int conf_apply(const struct conf_node *first, struct conf_module *const *modules, enum conf_context context,
	       struct conf_target *target, struct conf_env *env)
{
	unsigned errors = env->errors;
	int result = 0;

	for (; first; first = first->next) {
		struct conf_call call = { .env = env, .context = context, .target = target, .modules = modules };

		if (apply(first, &call))
			result = -1;
	}
	return env->errors != errors ? -1 : result;
}

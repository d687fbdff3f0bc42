/*
 * sectionread.c - the sections of a configuration as they are read: <Directory>, <Files>, <Location>, <Limit> and their
 * forms become lists of struct section. Runs in the master.
 */
#include "request/sections.h"

#include <string.h>

#include "base/regex.h"
#include "request/access.h"
#include "request/htaccess.h"
#include "request/variables.h"

void **sections_structures(struct conf_module *const *modules, struct conf_env *env)
{
	unsigned n = 0;
	void **config;

	while (modules[n])
		n++;
	config = conf_alloc(env, (n + 1) * sizeof *config);
	for (unsigned i = 0; i < n; i++)
		config[i] = modules[i]->create_section ? modules[i]->create_section(env) : NULL;
	return config;
}

static void section_regex(struct conf_call *call, struct section *sec, const char *pattern)
{
	struct err e = { .text = "" };

	sec->regex = regex_new(reading_of(call)->arena, pattern, REGEX_DOTALL, &e);
	if (!sec->regex)
		conf_fail(call, NULL, "%s", e.text);
}

/* Splits "[~] pattern"; NULL after a report. */
static const char *section_pattern(struct conf_call *call, int argc, char **argv, const char *what, bool *regex)
{
	const char *rest = argc ? argv[0] : "", *word = conf_word(call->env, &rest);
	size_t n = strlen(call->directive->name);

	*regex = n > 5 && text_is_nocase(text_of(call->directive->name + n - 5), "Match");
	if (word && !*regex && strcmp(word, "~") == 0) {
		*regex = true;
		word = conf_word(call->env, &rest);
	}
	if (!word || !*word) {
		conf_fail(call, NULL, "%s is missing", what);
		return NULL;
	}
	if (conf_word(call->env, &rest)) {
		conf_fail(call, "put a name that holds blanks in quotes", "only one %s fits in a section", what);
		return NULL;
	}
	return word;
}

/* What struct reading's `folder` says. */
static const char *section_folder(struct conf_env *env, const struct section *sec)
{
	if (sec->wild || sec->regex || !sec->length)
		return NULL;
	return conf_printf(env, "%s%s", sec->pattern, sec->pattern[sec->length - 1] == '/' ? "" : "/");
}

/* The row that a section belongs to. */
static struct section **section_row(const struct reading *reading, enum section_kind kind)
{
	struct section *outer = reading->section;

	if (kind == SECTION_IF)
		return outer ? &outer->ifs : &reading->host->ifs;
	return kind == SECTION_FILES && outer && outer->kind == SECTION_DIRECTORY ? &outer->files : &reading->host->sections;
}

/* Puts a section behind those that are there, and applies what stands in it. */
static int section_read(struct conf_call *call, struct section *sec, enum conf_context context)
{
	struct reading inner = *(struct reading *)call->target->owner;
	struct conf_target target = *call->target;
	struct section **tail = section_row(&inner, sec->kind);

	while (*tail)
		tail = &(*tail)->next;
	*tail = sec;
	sec->id = inner.htaccess ? htaccess_section_id(inner.site) : ++inner.site->nsections;
	sec->file = inner.htaccess ? inner.section->file : NULL;
	sec->pos = call->node->pos;
	sec->config = conf_alloc(call->env, (inner.site->nmodules + 1) * sizeof *sec->config);
	inner.section = sec;
	if (inner.htaccess)
		context = (enum conf_context)(CONF_HTACCESS | CONF_FILES);
	if (sec->kind == SECTION_DIRECTORY)
		inner.folder = section_folder(call->env, sec);
	else if (sec->kind == SECTION_LOCATION || sec->kind == SECTION_PROXY)
		inner.folder = NULL;
	target.section = sec->config;
	target.owner = &inner;
	return conf_apply(call->node->child, inner.site->modules, context, &target, call->env);
}

static bool pattern_is_wild(const char *p)
{
	const char *open = strchr(p, '[');

	return strpbrk(p, "*?") || (open && strchr(open, ']'));
}

/* "//", "/./", "/../" and the slash at the end taken out, in place; components counted. */
static unsigned path_normal(char *path)
{
	char *out = path;
	const char *in = path;
	unsigned depth = 0;

	while (*in) {
		size_t n;
		while (*in == '/')
			in++;
		n = strcspn(in, "/");
		if (n == 0)
			break;
		if (n == 2 && in[0] == '.' && in[1] == '.') {
			while (out > path && *--out != '/')
				;
			depth -= depth > 0;
		} else if (n != 1 || in[0] != '.') {
			*out++ = '/';
			memmove(out, in, n);
			out += n;
			depth++;
		}
		in += n;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
	return depth;
}

int sections_set_directory(struct conf_call *call, void *config, int argc, char **argv)
{
	struct section *sec = conf_alloc(call->env, sizeof *sec);
	bool regex = false;
	const char *word = section_pattern(call, argc, argv, "directory", &regex);
	char *path;
	int result = 0;

	(void)config;
	if (!word)
		return -1;
	sec->kind = SECTION_DIRECTORY;
	path = conf_strdup(call->env, word);
	sec->pattern = path;
	if (regex) {
		for (const char *c = word; *c; c++)
			sec->depth += *c == '/';
		section_regex(call, sec, word);
		result = sec->regex ? 0 : -1;
	} else if (path[0] != '/') {
		result = conf_fail(call, "write the whole path, from \"/\" on", "\"%s\" is no absolute path: no directory would ever match it", word);
	} else {
		sec->wild = pattern_is_wild(path);
		sec->depth = path_normal(path);
		sec->length = strlen(path);
	}
	return section_read(call, sec, CONF_DIRECTORY) != 0 ? -1 : result;
}

/* A <Files> or <Location> with its pattern; *ok is false where a regular expression was refused. NULL: no pattern. */
static struct section *section_named(struct conf_call *call, enum section_kind kind, int argc, char **argv, const char *what, bool *regex, bool *ok)
{
	struct section *sec = conf_alloc(call->env, sizeof *sec);
	const char *word = section_pattern(call, argc, argv, what, regex);

	if (!word)
		return NULL;
	sec->kind = kind;
	sec->pattern = word;
	sec->length = strlen(word);
	if (*regex)
		section_regex(call, sec, word);
	else
		sec->wild = pattern_is_wild(word);
	*ok = !*regex || sec->regex;
	return sec;
}

int sections_set_files(struct conf_call *call, void *config, int argc, char **argv)
{
	bool regex = false, ok;
	struct section *sec = section_named(call, SECTION_FILES, argc, argv, "file name", &regex, &ok);

	(void)config;
	if (!sec)
		return -1;
	if (!regex && strchr(sec->pattern, '/'))
		conf_warn(call, "name the file alone, inside a <Directory> section if need be",
			  "\"%s\" holds a slash, and no file's name does: it never matches", sec->pattern);
	return section_read(call, sec, CONF_FILES) != 0 || !ok ? -1 : 0;
}

int sections_set_location(struct conf_call *call, void *config, int argc, char **argv)
{
	bool regex = false, ok;
	struct section *sec = section_named(call, SECTION_LOCATION, argc, argv, "URL path", &regex, &ok);

	(void)config;
	if (!sec)
		return -1;
	if (!regex && !strchr("/*?[", sec->pattern[0]))
		conf_warn(call, "begin it with a slash", "no URL path begins like \"%s\": it never matches", sec->pattern);
	return section_read(call, sec, CONF_LOCATION) != 0 || !ok ? -1 : 0;
}

/* What it holds is said as in a <Directory>. "*" is all. */
int sections_set_proxy(struct conf_call *call, void *config, int argc, char **argv)
{
	bool regex = false, ok;
	struct section *sec = section_named(call, SECTION_PROXY, argc, argv, "URL", &regex, &ok);

	(void)config;
	if (!sec)
		return -1;
	return section_read(call, sec, CONF_DIRECTORY) != 0 || !ok ? -1 : 0;
}

/* ---------------------------------------------------------------------------------------------- <If> */

/* The whole of the argument, in quotes or as a single word. NULL after a report. */
static struct expr *if_condition(struct conf_call *call, const char *args)
{
	const char *rest = args, *text = conf_word(call->env, &rest);

	if (!text || !*text) {
		conf_fail(call, "write <If \"%{HTTP_HOST} == 'www.example.org'\">", "the expression is missing");
		return NULL;
	}
	if (*rest) {
		conf_fail(call, "put the whole expression in double quotes, and texts within it in single ones", "it takes one argument, an expression");
		return NULL;
	}
	return variables_condition(call, text);
}

int sections_set_if(struct conf_call *call, void *config, int argc, char **argv)
{
	struct section *sec = conf_alloc(call->env, sizeof *sec), *last = *section_row(reading_of(call), SECTION_IF);
	const char *name = call->directive->name, *args = argc ? argv[0] : "";
	bool ok = true;

	(void)config;
	sec->kind = SECTION_IF;
	sec->otherwise = strcmp(name, "<If") != 0;
	while (last && last->next)
		last = last->next;
	if (sec->otherwise && (!last || !last->condition))
		return conf_fail(call, "put it behind the <If> or <ElseIf> that it belongs to, in the same section", "no <If> or <ElseIf> stands before it here");
	if (strcmp(name, "<Else") == 0) {
		if (*args)
			ok = conf_fail(call, "write <ElseIf> where it has a condition of its own", "it takes no argument") == 0;
	} else {
		sec->condition = if_condition(call, args);
		ok = sec->condition;
	}
	return section_read(call, sec, CONF_FILES) != 0 || !ok ? -1 : 0;
}

/* ---------------------------------------------------------------------------------------------- <Limit> */

unsigned sections_method_bits(enum http_method m)
{
	if (m == HTTP_GET || m == HTTP_HEAD)
		return HTTP_METHOD_BIT(HTTP_GET) | HTTP_METHOD_BIT(HTTP_HEAD);
	return HTTP_METHOD_BIT(m);
}

static int limit_methods(struct conf_call *call, const char *rest, bool except, unsigned *bits)
{
	const char *word;
	unsigned words = 0;

	while ((word = conf_word(call->env, &rest))) {
		enum http_method m = http_method_find(text_of(word));
		words++;
		if (m == HTTP_TRACE)
			return conf_fail(call, "use TraceEnable", "TRACE cannot be limited here");
		if (m != HTTP_OTHER)
			*bits |= sections_method_bits(m);
		else if (except)        /* left out: the rule then holds for it, which is the safe side */
			conf_warn(call, NULL, "the method %s is not known here: the section applies to it all the same", word);
		else
			return conf_fail(call, "use <LimitExcept> with the methods that the rule shall not touch", "the method %s is not known here", word);
	}
	return words ? 0 : conf_fail(call, NULL, "no method is named");
}

int sections_set_limit(struct conf_call *call, void *config, int argc, char **argv)
{
	struct reading *reading = call->target->owner;
	struct conf_target target = *call->target;
	bool except = text_is_nocase(text_of(call->directive->name), "<LimitExcept");
	unsigned bits = 0;

	(void)config;
	if (call->target->limit)
		return conf_fail(call, NULL, "it cannot stand inside another <Limit> or <LimitExcept>");
	if (limit_methods(call, argc ? argv[0] : "", except, &bits) != 0)
		return -1;
	target.limit = except ? ((1u << HTTP_METHODS) - 1) & ~bits : bits;
	for (const struct conf_node *n = call->node->child; n; n = n->next) {
		const struct conf_module *module = NULL;
		if (conf_find(reading->site->modules, n->name, &module) && module != &authz_core_module)
			conf_report(call->env, CONF_WARNING, &n->pos, "move it out of the section",
				    "%s inside %s> applies to every method: only access rules are limited to some", n->name, call->directive->name);
	}
	return conf_apply(call->node->child, reading->site->modules, call->context, &target, call->env);
}

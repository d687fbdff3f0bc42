/*
 * macro.c - <Macro>, Use and UndefMacro, as Apache's mod_macro has them: the lines between the tags are kept as they stand,
 * and read where Use names them, with the arguments put in. Runs wherever a configuration is read.
 *
 * Faults in such lines are told at the line of the outermost Use, with "line 2 of macro M defined at F:L, used at F:L" in
 * front. No macro uses itself, and all uses of a run together read at most CONF_MACRO_LINES_MAX lines.
 */
#include "conf/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONF_MACRO_LINES_MAX 1000000
#define PREFIXES "$%@"

struct conf_macro {
	const char *name;       /* as written; found in any case */
	struct conf_pos pos;
	char **args;
	unsigned nargs;
	char **lines;
	unsigned nlines, room;
	struct conf_macro *next;
};

static struct conf_macro **find(struct conf_env *env, const char *name)
{
	struct conf_macro **at;

	for (at = &env->macros; *at; at = &(*at)->next)
		if (!strcasecmp((*at)->name, name))
			break;
	return at;
}

/* One more element for a row in the arena, whose room doubles. */
static char **grow(struct conf_env *env, char **row, unsigned n, unsigned *room)
{
	char **grown;

	if (n < *room)
		return row;
	*room = *room ? *room * 2 : 8;
	grown = conf_alloc(env, *room * sizeof(*grown));
	if (n)
		memcpy(grown, row, n * sizeof(*grown));
	return grown;
}

static char **words(struct conf_env *env, const char *line, unsigned *n)
{
	char **row = NULL, *word;
	unsigned room = 0;

	*n = 0;
	while ((word = conf_word(env, &line))) {
		row = grow(env, row, *n, &room);
		row[(*n)++] = word;
	}
	return row;
}

static void warn(struct conf_reader *r, const char *remedy, const char *sentence)
{
	conf_report(r->env, CONF_WARNING, &r->file->pos, remedy, "%s", sentence);
}

/* ------------------------------------------------------------------------------------------------ <Macro> */

static void check_args(struct conf_reader *r, const struct conf_macro *m)
{
	for (unsigned i = 0; i < m->nargs; i++) {
		const char *arg = m->args[i];

		if (!*arg) {
			conf_bad(r, NULL, "<Macro>: argument %u of macro %s has no name", i + 1, m->name);
			continue;
		}
		if (!strchr(PREFIXES, *arg))
			warn(r, "begin it with $, % or @, so that it replaces nothing by accident",
			     conf_printf(r->env, "<Macro>: argument %s of macro %s begins like an ordinary word", arg, m->name));
		for (unsigned k = 0; k < m->nargs; k++) {
			size_t n = strlen(m->args[k]);

			if (k < i && !strcmp(arg, m->args[k]))
				conf_bad(r, "give each a name of its own", "<Macro>: two arguments of macro %s have the name %s", m->name, arg);
			else if (k != i && n && strlen(arg) > n && !strncmp(arg, m->args[k], n))
				warn(r, "give one of them another name",
				     conf_printf(r->env, "<Macro>: the argument %s of macro %s begins like its argument %s", arg, m->name, m->args[k]));
		}
	}
}

void conf_macro_open(struct conf_reader *r, const char *args)
{
	struct conf_macro *m = conf_alloc(r->env, sizeof(*m)), **at;
	const char *name = conf_word(r->env, &args);

	m->pos = r->file->pos;
	m->name = name ? name : "";
	m->args = words(r->env, args, &m->nargs);
	r->macro = m;
	r->macro_file = r->file;
	r->macro_depth = 1;
	r->macro_nesting = 0;
	if (!*m->name) {
		conf_bad(r, "write <Macro NAME $argument …>", "<Macro> needs a name");
		return;
	}
	if (r->env->no_define) {
		conf_bad(r, "put it into the server's configuration", "<Macro> is not allowed in .htaccess files");
		return;
	}
	check_args(r, m);
	at = find(r->env, m->name);
	if (*at) {
		warn(r, "give it another name, or say UndefMacro before",
		     conf_printf(r->env, "<Macro>: the macro %s, defined at %s:%u, is defined anew", m->name, (*at)->pos.file, (*at)->pos.line));
		*at = (*at)->next;
	}
}

static void check_contents(struct conf_reader *r, const struct conf_macro *m)
{
	if (!m->nlines)
		warn(r, NULL, conf_printf(r->env, "<Macro>: the macro %s is empty", m->name));
	if (r->macro_nesting)
		warn(r, "let a section begin and end in the same macro",
		     conf_printf(r->env, "<Macro>: the macro %s opens and closes different numbers of sections", m->name));
	for (unsigned i = 0; i < m->nargs && m->nlines; i++) {
		bool used = false;

		for (unsigned k = 0; k < m->nlines; k++)
			used = used || strstr(m->lines[k], m->args[i]);
		if (!used)
			warn(r, NULL, conf_printf(r->env, "<Macro>: the macro %s does not use its argument %s", m->name, m->args[i]));
	}
}

/* The macro whose lines were gathered is complete. */
static void close_macro(struct conf_reader *r)
{
	struct conf_macro *m = r->macro;

	r->macro = NULL;
	if (!*m->name || r->env->no_define)
		return;
	check_contents(r, m);
	m->next = r->env->macros;
	r->env->macros = m;
}

void conf_macro_line(struct conf_reader *r, const char *line)
{
	struct conf_macro *m = r->macro;
	const char *rest = line, *word = *line == '<' ? conf_word(r->env, &rest) : "";

	if (!strcasecmp(word, "<Macro"))
		r->macro_depth++;
	else if (!strcasecmp(word, "</Macro>"))
		r->macro_depth--;
	if (!r->macro_depth) {
		close_macro(r);
		return;
	}
	if (word[0] == '<')
		r->macro_nesting += word[1] == '/' ? -1 : 1;
	m->lines = grow(r->env, m->lines, m->nlines, &m->room);
	m->lines[m->nlines++] = conf_strdup(r->env, line);
}

void conf_macro_unclosed(struct conf_reader *r)
{
	conf_report(r->env, CONF_ERROR, &r->macro->pos, "add </Macro>", "<Macro> is not closed before the end of the file");
	r->macro = NULL;
}

/* ------------------------------------------------------------------------------------------------ Use */

/* The argument whose name stands first in the line, of several at one place the longest. NULL: none. */
static const char *next_arg(const struct conf_macro *m, const char *line, unsigned *which)
{
	const char *best = NULL;
	size_t length = 0;

	for (unsigned i = 0; i < m->nargs; i++) {
		const char *at = *m->args[i] ? strstr(line, m->args[i]) : NULL;
		size_t n = strlen(m->args[i]);

		if (at && (!best || at < best || (at == best && n > length))) {
			best = at;
			length = n;
			*which = i;
		}
	}
	return best;
}

/* Puts a value to `out` unless that is NULL; of an argument with @ in quotes. Returns its length. */
static size_t put_value(const char *name, const char *value, char *out)
{
	bool quoted = *name == '@';
	size_t n = 0;

	if (quoted && out)
		out[n] = '"';
	n += quoted;
	for (; *value; value++) {
		if (quoted && (*value == '"' || *value == '\\')) {
			if (out)
				out[n] = '\\';
			n++;
		}
		if (out)
			out[n] = *value;
		n++;
	}
	if (quoted && out)
		out[n] = '"';
	return n + quoted;
}

/* The line with the values in it, put to `out` unless that is NULL. What was put in is not looked at again. */
static size_t substitute(const struct conf_macro *m, char *const *values, const char *line, char *out)
{
	const char *at;
	unsigned which = 0;
	size_t n = 0, len;

	while ((at = next_arg(m, line, &which))) {
		len = (size_t)(at - line);
		if (out)
			memcpy(out + n, line, len);
		n += len;
		n += put_value(m->args[which], values[which], out ? out + n : NULL);
		line = at + strlen(m->args[which]);
	}
	len = strlen(line);
	if (out)
		memcpy(out + n, line, len);
	return n + len;
}

static bool in_use(const struct conf_reader *r, const struct conf_macro *m)
{
	for (const struct conf_file *f = r->file; f; f = f->from)
		if (f->macro == m)
			return true;
	return false;
}

/* "macro M defined at F:L, used at F:L", or "… used in line 2 of macro N …" */
static const char *described(struct conf_reader *r, const struct conf_macro *m)
{
	const struct conf_pos *use = &r->file->pos;
	const char *head = conf_printf(r->env, "macro %s defined at %s:%u", m->name, m->pos.file, m->pos.line);

	if (use->within)
		return conf_printf(r->env, "%s, used in %s", head, use->within);
	return conf_printf(r->env, "%s, used at %s:%u", head, use->file, use->line);
}

/* Reads the macro's lines in place of the line that uses it. Sections may begin before it and end within. */
static void expand(struct conf_reader *r, struct conf_macro *m, char *const *values)
{
	struct conf_file file = { .from = r->file, .pos = r->file->pos, .floor = r->file->floor, .depth = r->file->depth, .macro = m };
	const char *place = described(r, m);

	r->file = &file;
	for (unsigned i = 0; i < m->nlines && !r->stopped; i++) {
		size_t n = substitute(m, values, m->lines[i], NULL);
		char *line;

		file.pos.within = conf_printf(r->env, "line %u of %s", i + 1, place);
		if (++r->env->macro_lines > CONF_MACRO_LINES_MAX || n > CONF_EXPANDED_MAX) {
			conf_bad(r, "look for macros that use each other many times", "macros come to more than %d lines, or a line of %zu bytes",
				 CONF_MACRO_LINES_MAX, CONF_EXPANDED_MAX);
			r->stopped = true;
			break;
		}
		line = conf_alloc(r->env, n + 1);
		substitute(m, values, m->lines[i], line);
		conf_read_line(r, line);
	}
	if (r->macro && r->macro_file == &file)
		conf_macro_unclosed(r);
	r->file = file.from;
}

void conf_use(struct conf_reader *r, const char *args)
{
	struct conf_env *env = r->env;
	const char *line = args, *name = conf_word(env, &line);
	struct conf_macro *m;
	unsigned n;
	char **values;

	if (env->no_define) {
		conf_bad(r, "put it into the server's configuration", "Use is not allowed in .htaccess files");
		return;
	}
	if (!name || !*name) {
		conf_bad(r, "write Use NAME value …", "Use needs the name of a macro");
		return;
	}
	m = *find(env, name);
	if (!m) {
		conf_bad(r, "define it further up: <Macro NAME …>", "Use: there is no macro %s", name);
		return;
	}
	if (in_use(r, m)) {
		conf_bad(r, NULL, "Use: the macro %s uses itself", m->name);
		return;
	}
	values = words(env, line, &n);
	if (n != m->nargs) {
		conf_bad(r, conf_with_hint(env, args, "put a value that holds blanks into quotes"),
			 "Use: the macro %s, defined at %s:%u, takes %u argument%s, not %u", m->name, m->pos.file, m->pos.line, m->nargs,
			 m->nargs == 1 ? "" : "s", n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		if (!*values[i])
			warn(r, NULL, conf_printf(env, "Use: the value of %s for the macro %s is empty", m->args[i], m->name));
	expand(r, m, values);
}

void conf_undef_macro(struct conf_reader *r, const char *args)
{
	const char *line = args, *name = conf_word(r->env, &line);
	struct conf_macro **at = name && *name ? find(r->env, name) : NULL;

	if (r->env->no_define)
		conf_bad(r, "put it into the server's configuration", "UndefMacro is not allowed in .htaccess files");
	else if (!at || *line)
		conf_bad(r, conf_with_hint(r->env, args, NULL), "UndefMacro takes one name");
	else if (!*at)
		conf_bad(r, NULL, "UndefMacro: there is no macro %s", name);
	else
		*at = (*at)->next;
}

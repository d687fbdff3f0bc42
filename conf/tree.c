/*
 * tree.c - the lines of a file into a tree of directives and sections, conditions and includes carried out on the way.
 * Runs wherever a configuration is read.
 *
 * Nothing here recurses but an Include: what is open stands on the reader's stack of frames. After a fault reading goes
 * on in the likeliest way, so that one run tells all faults; the tree is then of no use but for finding more of them.
 */
#include "conf/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *where(struct conf_reader *r, const struct conf_frame *f)
{
	return conf_printf(r->env, "%s> opened at %s:%u", f->name, f->pos.file, f->pos.line);
}

/* ------------------------------------------------------------------------------------------------ frames and nodes */

/* Frames that were popped are used again: a long file has many sections, but few at a time. */
static struct conf_frame *push(struct conf_reader *r, const char *name, bool skipped)
{
	struct conf_frame *f = r->spare;

	if (f)
		r->spare = f->up;
	else
		f = conf_alloc(r->env, sizeof(*f));
	f->name = name;
	f->pos = r->file->pos;
	f->node = NULL;
	f->skipped = skipped;
	f->module = NULL;
	f->up = r->top;
	r->top = f;
	r->nesting++;
	return f;
}

static void pop(struct conf_reader *r)
{
	struct conf_frame *f = r->top;

	if (f->node) {
		r->parent = f->node->parent;
		r->last = f->node;
	}
	r->top = f->up;
	r->nesting--;
	f->up = r->spare;
	r->spare = f;
}

static struct conf_node *add_node(struct conf_reader *r, const char *name, const char *args, bool section)
{
	struct conf_node *node = conf_alloc(r->env, sizeof(*node));

	node->name = conf_strdup(r->env, name);
	node->args = conf_strdup(r->env, args);
	node->pos = r->file->pos;
	node->parent = r->parent;
	node->section = section;
	if (r->last)
		r->last->next = node;
	else if (r->parent)
		r->parent->child = node;
	else
		r->tree->first = node;
	r->last = node;
	if (!r->parent)
		r->tree->last = node;
	return node;
}

/* ------------------------------------------------------------------------------------------------ opening tags */

/* "<Location /x></Location>": a tag in a tag, outside quotes. */
static const char *second_tag(const char *args)
{
	char quote = '\0';

	for (; *args; args++) {
		if (quote)
			quote = *args == quote ? '\0' : quote;
		else if (*args == '"' || *args == '\'')
			quote = *args;
		else if (args[0] == '>' && args[1] == '<')
			return args + 1;
	}
	return NULL;
}

/*
 * Cuts the tag's argument before its last ">"; words behind that are ignored, as Apache does. `bare` = the name had a
 * ">" at its end. Faults are reported; what comes out is usable all the same.
 */
static char *tag_args(struct conf_reader *r, const char *name, const char *rest, bool bare)
{
	char *args = conf_strdup(r->env, rest), *end = strrchr(args, '>');
	const char *more = second_tag(args);
	size_t n;

	if (more)
		conf_bad(r, "give every tag a line of its own", "%s>: there are two tags in this line, %s",
			 name, more);
	else if (end)
		*end = '\0';
	else if (!bare || *args)
		conf_bad(r, "close it with \">\"", "the tag %s%s%s has no \">\"", name, *args ? " " : "",
			 args);
	n = strlen(args);
	while (n && conf_blank(args[n - 1]))
		args[--n] = '\0';
	return args;
}

/* The name of a tag: the line's first word without the ">" it may end with. */
static char *tag_name(struct conf_reader *r, const char *word, bool *bare)
{
	char *name = conf_strdup(r->env, word);
	size_t n = strlen(name);

	*bare = n > 1 && name[n - 1] == '>';
	if (*bare)
		name[n - 1] = '\0';
	return name;
}

static void open_section(struct conf_reader *r, const char *word, const char *rest)
{
	enum conf_verdict verdict;
	struct conf_frame *f;
	const char *more;
	char *name, *args;
	bool bare;

	name = tag_name(r, word, &bare);
	if (!name[1]) {
		word = bare ? NULL : conf_word(r->env, &rest);
		conf_bad(r, word ? "write \"<\" and the name without a blank between them" : NULL,
			 "\"<\" stands without the name of a section");
		if (!word || !*word)
			return;
		name = tag_name(r, conf_printf(r->env, "<%s", word), &bare);
	}
	more = second_tag(rest);
	args = tag_args(r, name, rest, bare);
	if (more && more[1] == '/')
		return;
	if (r->nesting == CONF_NESTING_MAX) {
		conf_bad(r, NULL, "%s> is nested deeper than %d sections", name, CONF_NESTING_MAX);
		push(r, name, true);
		return;
	}
	if (!strcasecmp(name, "<Macro")) {
		conf_macro_open(r, args);
		return;
	}
	verdict = conf_condition(r, name, args);
	f = push(r, name, verdict == CONF_HOLDS_NOT);
	if (verdict == CONF_HOLDS_NOT && *args != '!' && !strcasecmp(name, "<IfModule")) {
		const char *left = args;

		f->module = conf_word(r->env, &left);
	}
	if (verdict == CONF_NO_CONDITION) {
		f->node = add_node(r, name, args, true);
		r->parent = f->node;
		r->last = NULL;
	}
}

/* ------------------------------------------------------------------------------------------------ closing tags */

static bool names_frame(const struct conf_frame *f, const char *name)
{
	return !strcasecmp(f->name + 1, name);
}

/*
 * Words behind a closing tag are ignored. Where it fits not the innermost section but one further out of the same file,
 * those in between were left open; where it fits none, it was probably meant for the innermost.
 */
static void close_section(struct conf_reader *r, const char *word)
{
	const char *name;
	struct conf_frame *f;
	size_t n = strlen(word);
	bool ended = word[n - 1] == '>';

	name = conf_printf(r->env, "%.*s", (int)(n - 2 - ended), word + 2);
	if (!ended)
		conf_bad(r, conf_printf(r->env, "write </%s>", name),
			 "the closing tag %s has no \">\" at its end", word);
	if (r->top == r->file->floor) {
		conf_bad(r, conf_printf(r->env, "write <%s …> where the section begins, or take this line out", name),
			 "</%s> closes nothing: no section is open %s", name,
			 r->top ? "in this file, and one begins and ends in the same file" : "here");
		return;
	}
	for (f = r->top; f != r->file->floor && !names_frame(f, name); f = f->up)
		;
	if (f == r->file->floor) {
		conf_bad(r, conf_printf(r->env, "write </%s>", r->top->name + 1), "%s is closed by </%s>",
			 where(r, r->top), name);
		pop(r);
		return;
	}
	for (; r->top != f; pop(r))
		conf_bad(r, conf_printf(r->env, "put </%s> before this line", r->top->name + 1),
			 "%s is closed by </%s>", where(r, r->top), name);
	pop(r);
}

/* ------------------------------------------------------------------------------------------------ lines */

/* Relative paths of the lines that follow lie below it, above all those of Include. */
static void server_root(struct conf_reader *r, const char *args)
{
	char *root = conf_word(r->env, &args);
	size_t n = root ? strlen(root) : 0;

	if (!n || *args)
		return; /* the directive's own setter says so */
	while (n > 1 && root[n - 1] == '/')
		root[--n] = '\0';
	r->env->root = conf_path(r->env, root);
}

static void include(struct conf_reader *r, const char *args)
{
	conf_include(r, "Include", args, false);
}

static void include_optional(struct conf_reader *r, const char *args)
{
	conf_include(r, "IncludeOptional", args, true);
}

/* "Error stop here": for what a condition has found. */
static void error(struct conf_reader *r, const char *args)
{
	const char *line = args;
	char *text = conf_word(r->env, &line);

	if (!text || !*text)
		conf_bad(r, "write Error \"what is wrong\"", "Error needs a text");
	else
		conf_bad(r, NULL, "Error: %s", *line ? args : text);
}

/* Carried out while reading. */
static const struct command {
	const char *name;
	void (*run)(struct conf_reader *r, const char *args);
} commands[] = {
	{ "Include", include }, { "IncludeOptional", include_optional }, { "Define", conf_define }, { "UnDefine", conf_undefine },
	{ "Use", conf_use }, { "UndefMacro", conf_undef_macro }, { "Error", error },
};
#define COMMANDS (sizeof(commands) / sizeof(*commands))

bool conf_is_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcasecmp(name, commands[i].name))
			return true;
	return false;
}

static void directive(struct conf_reader *r, const char *name, const char *args)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcasecmp(name, commands[i].name)) {
			commands[i].run(r, args);
			return;
		}
	if (!r->parent && !strcasecmp(name, "ServerRoot"))
		server_root(r, args);
	add_node(r, name, args, false);
}

/*
 * Between the tags of a condition that does not hold only tags count, and nothing is replaced in them. What a missing
 * module leaves out is told all the same, but for what a condition within turns round.
 */
static void skip_line(struct conf_reader *r, const char *line)
{
	const char *rest = line, *word = conf_word(r->env, &rest), *module = r->top->module;
	bool bare;

	if (word[0] == '<' && word[1] == '/') {
		close_section(r, word);
	} else if (word[0] == '<') {
		push(r, tag_name(r, word, &bare), true);
		r->top->module = *rest == '!' ? NULL : module;
	} else if (module && r->env->left_out && r->env->left_out(r->env->ctx, module, word, rest, &r->file->pos)) {
		r->top->module = NULL;
	}
}

void conf_read_line(struct conf_reader *r, const char *line)
{
	const char *rest, *word;

	if (r->macro) {
		conf_macro_line(r, line);
		return;
	}
	if (*line == '#' || !*line)
		return;
	if (r->top && r->top->skipped) {
		skip_line(r, line);
		return;
	}
	line = conf_expand(r, line);
	if (!line)
		return;
	rest = line;
	word = conf_word(r->env, &rest);
	if (!word || !*word)
		return; /* "": Apache takes such a line for empty */
	if (word[0] != '<')
		directive(r, word, rest);
	else if (word[1] == '/')
		close_section(r, word);
	else
		open_section(r, word, rest);
}

/* ------------------------------------------------------------------------------------------------ files */

static bool starts(const struct conf_lines *l, const char *bytes, size_t n)
{
	return (size_t)(l->end - l->p) >= n && !memcmp(l->p, bytes, n);
}

/* False: the file is in another encoding, each of its lines would be a fault. */
static bool check_encoding(struct conf_reader *r, struct conf_lines *l)
{
	r->file->pos.line = 1;
	if (starts(l, "\xef\xbb\xbf", 3)) {
		conf_bad(r, "save the file without BOM", "the file begins with a byte order mark (BOM)");
		l->p += 3;
	}
	if (starts(l, "\xff\xfe", 2) || starts(l, "\xfe\xff", 2)) {
		conf_bad(r, "save it as UTF-8, without BOM", "the file is in UTF-16");
		return false;
	}
	return true;
}

void conf_read_lines(struct conf_reader *r, const char *text, size_t n, const char *name)
{
	struct conf_lines lines = { .p = text, .end = text + n };
	struct conf_file file = { .from = r->file, .floor = r->top, .pos = { .file = name } };
	enum conf_line kind = CONF_LINE_END;
	char *line;

	file.depth = r->file ? r->file->depth + 1 : 0;
	r->file = &file;
	if (check_encoding(r, &lines))
		while (!r->stopped && (kind = conf_lines_next(&lines, r->env, &line)) != CONF_LINE_END) {
			file.pos.line = lines.line;
			if (kind == CONF_LINE_NUL) {
				conf_bad(r, "is this a text file?",
					 "the line holds a NUL byte; the rest of the file is not read");
				break;
			}
			if (kind == CONF_LINE_LONG)
				conf_bad(r, NULL, "the line is longer than 16 MiB");
			else
				conf_read_line(r, line);
		}
	if (r->macro && r->macro_file == &file)
		conf_macro_unclosed(r);
	while (r->top != file.floor) {
		if (kind == CONF_LINE_END)
			conf_report(r->env, CONF_ERROR, &r->top->pos,
				    conf_printf(r->env, "add </%s>", r->top->name + 1),
				    "%s> is not closed before the end of the file", r->top->name);
		pop(r);
	}
	r->file = file.from;
}

static void begin(struct conf_reader *r, struct conf_env *env)
{
	memset(r, 0, sizeof(*r));
	r->env = env;
	r->tree = conf_alloc(env, sizeof(*r->tree));
	r->included = &r->tree->included;
}

struct conf_tree *conf_read_text(const char *text, const char *name, struct conf_env *env)
{
	struct conf_reader r;

	begin(&r, env);
	conf_read_lines(&r, text, strlen(text), conf_strdup(env, name));
	return r.tree;
}

struct conf_tree *conf_read(const char *path, struct conf_env *env)
{
	char *full = conf_path(env, path), *here;
	struct conf_reader r;
	const char *why;
	int error;

	begin(&r, env);
	if (*full != '/' && (here = getcwd(NULL, 0))) {
		full = conf_printf(env, "%s/%s", here, full);
		free(here);
	}
	why = conf_read_file(&r, full, &error);
	if (why)
		conf_report(env, CONF_ERROR, NULL, "name another file with -f",
			    "the configuration file %s cannot be read: %s", full, why);
	return r.tree;
}

void conf_join(struct conf_tree *a, struct conf_tree *b)
{
	struct conf_included **end;

	if (!b->first)
		;
	else if (a->last)
		a->last->next = b->first;
	else
		a->first = b->first;
	if (b->last)
		a->last = b->last;
	for (end = &a->included; *end; end = &(*end)->next)
		;
	*end = b->included;
}

/*
 * report.c - faults, warnings and notices on their way to env->report, and the memory and strings that conf/ and its
 * callers' setters use. Runs wherever a configuration is read.
 */
#include "conf/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct conf_told {
	struct conf_told *next;
	const char *text;
};

void *conf_alloc(struct conf_env *env, size_t n)
{
	return env->alloc(env->ctx, n ? n : 1);
}

char *conf_strdup(struct conf_env *env, const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(conf_alloc(env, n), s, n);
}

void *conf_chain(struct conf_env *env, const void *first, const void *second, size_t size, size_t next)
{
	void *all = NULL, *last = NULL;

	for (int i = 0; i < 2; i++)
		for (const char *from = i ? second : first; from; memcpy(&from, from + next, sizeof from)) {
			void *copy = memcpy(conf_alloc(env, size), from, size);

			memset((char *)copy + next, 0, sizeof copy);
			if (last)
				memcpy((char *)last + next, &copy, sizeof copy);
			else
				all = copy;
			last = copy;
		}
	return all;
}

static char *format(struct conf_env *env, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static char *format(struct conf_env *env, const char *fmt, va_list ap)
{
	va_list again;
	char *s;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return conf_strdup(env, fmt);
	s = conf_alloc(env, (size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	return s;
}

char *conf_printf(struct conf_env *env, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = format(env, fmt, ap);
	va_end(ap);
	return s;
}

char *conf_path(struct conf_env *env, const char *path)
{
	const char *root = env->root ? env->root : "";
	size_t n = strlen(root);

	if (path[0] == '/' || !n)
		return conf_strdup(env, path);
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	return conf_printf(env, "%s%s%s", root, root[n - 1] == '/' ? "" : "/", path);
}

/* A file that is no configuration at all would fill the screen: the first CONF_ERRORS_TOLD errors are enough. */
static void tell(struct conf_env *env, enum conf_severity severity, const struct conf_pos *pos,
		 const char *sentence, const char *remedy)
{
	if (severity == CONF_ERROR && ++env->errors > CONF_ERRORS_TOLD) {
		if (env->errors > CONF_ERRORS_TOLD + 1)
			return;
		sentence =
			conf_printf(env, "more errors follow; only the first %d are told", CONF_ERRORS_TOLD);
		remedy = "mend these first";
	}
	if (pos && pos->within)
		sentence = conf_printf(env, "%s: %s", pos->within, sentence);
	env->report(env->ctx, severity, pos, sentence, remedy);
}

void conf_report(struct conf_env *env, enum conf_severity severity, const struct conf_pos *pos,
		 const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(env, severity, pos, format(env, fmt, ap), remedy);
	va_end(ap);
}

void conf_bad(struct conf_reader *r, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(r->env, CONF_ERROR, &r->file->pos, format(r->env, fmt, ap), remedy);
	va_end(ap);
}

bool conf_first_time(struct conf_env *env, const char *text)
{
	struct conf_told *told;

	for (told = env->told; told; told = told->next)
		if (!strcmp(told->text, text))
			return false;
	told = conf_alloc(env, sizeof(*told));
	told->text = conf_strdup(env, text);
	told->next = env->told;
	env->told = told;
	return true;
}

/* ------------------------------------------------------------------------------------------------ hints */

/* A word outside quotes that begins with #. The first word may be such a one rightly: "User #33". */
static bool has_comment(const char *args)
{
	const char *start = args, *word;

	for (;;) {
		while (conf_blank(*args))
			args++;
		if (!*args)
			return false;
		if (*args == '#' && (args > start || conf_blank(args[1]) || !args[1]))
			return true;
		word = args;
		if (*word == '"' || *word == '\'') {
			for (args++; *args && *args != *word; args++)
				if (*args == '\\' && args[1])
					args++;
			args += *args != '\0';
		} else {
			while (*args && !conf_blank(*args))
				args++;
		}
	}
}

/* What was pasted from a word processor or a web page looks right and is not. */
static bool has_curly_quote(const char *line)
{
	for (; (line = strstr(line, "\xe2\x80")); line += 2)
		if ((unsigned char)line[2] >= 0x98 && (unsigned char)line[2] <= 0x9f)
			return true;
	return false;
}

const char *conf_with_hint(struct conf_env *env, const char *line, const char *remedy)
{
	const char *hint = NULL;

	if (!line)
		return remedy;
	if (has_curly_quote(line))
		hint = "the line holds curly quotes, which count as letters: type straight ones";
	else if (strstr(line, "\xc2\xa0"))
		hint = "the line holds a non-breaking space, which counts as a letter: type a plain one";
	else if (has_comment(line))
		hint = "a comment must stand on a line of its own";
	if (!hint || !remedy)
		return hint ? hint : remedy;
	return conf_printf(env, "%s; %s", hint, remedy);
}

/* ------------------------------------------------------------------------------------------------ for setters */

static void tell_call(struct conf_call *call, enum conf_severity severity, const char *remedy,
		      const char *sentence)
{
	const char *name = call->directive->name;
	bool section = name[0] == '<';
	char *text = conf_printf(call->env, "%s%s: %s", name, section ? ">" : "", sentence);

	if (severity == CONF_NOTICE && !conf_first_time(call->env, text))
		return;
	if (severity == CONF_ERROR)
		remedy = conf_with_hint(call->env, call->node->args, remedy);
	tell(call->env, severity, &call->node->pos, text, remedy);
}

int conf_fail(struct conf_call *call, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell_call(call, CONF_ERROR, remedy, format(call->env, fmt, ap));
	va_end(ap);
	return -1;
}

void conf_warn(struct conf_call *call, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell_call(call, CONF_WARNING, remedy, format(call->env, fmt, ap));
	va_end(ap);
}

void conf_note(struct conf_call *call, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell_call(call, CONF_NOTICE, remedy, format(call->env, fmt, ap));
	va_end(ap);
}

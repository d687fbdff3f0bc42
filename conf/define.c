/*
 * define.c - Define, UnDefine and what ${NAME} stands for: a defined value, else a variable of the environment.
 * Runs wherever a configuration is read.
 *
 * As in Apache two things hang on one name. That it is defined at all (<IfDefine>) goes by its exact letters; its
 * value (${NAME}) is found in any case, and the newest one wins. The list therefore stands newest first.
 */
#include "conf/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct conf_define *find(const struct conf_env *env, const char *name)
{
	struct conf_define *d;

	for (d = env->defines; d; d = d->next)
		if (!strcmp(d->name, name))
			return d;
	return NULL;
}

static void unlink_define(struct conf_env *env, const struct conf_define *gone)
{
	struct conf_define **at;

	for (at = &env->defines; *at; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			return;
		}
}

bool conf_is_defined(const struct conf_env *env, const char *name)
{
	return find(env, name) != NULL;
}

static const char *value_of(const struct conf_env *env, const char *name)
{
	const struct conf_define *d;

	for (d = env->defines; d; d = d->next)
		if (d->value && !strcasecmp(d->name, name))
			return d->value;
	return getenv(name);
}

/* ------------------------------------------------------------------------------------------------ ${NAME} */

/* Says it once a name. A name with a colon is none of ours: ${map:key} of RewriteRule. */
static void undefined(struct conf_reader *r, const char *name)
{
	const char *text = conf_printf(r->env, "${%s}", name), *remedy;

	if (strchr(name, ':') || !conf_first_time(r->env, text))
		return;
	if (!strncmp(name, "APACHE_", 7))
		remedy =
			"it is set in /etc/apache2/envvars: start the server with bulkheadctl, which reads that file";
	else
		remedy = conf_printf(
			r->env, "write \"Define %s value\" further up, or set it in the server's environment",
			name);
	conf_report(r->env, CONF_WARNING, &r->file->pos, remedy,
		    "the variable %s is not defined; the text stays as it is", text);
}

/*
 * Walks over a line and puts it, replaced, to `out` unless that is NULL; returns the length it has or would have.
 * What a variable holds is not looked at again; a $ that begins none is a letter.
 */
static size_t replace(struct conf_reader *r, const char *line, char *out)
{
	const char *end, *value;
	size_t n = 0, len;

	while (*line) {
		value = line;
		len = 1;
		end = line[0] == '$' && line[1] == '{' ? strchr(line + 2, '}') : NULL;
		if (end) {
			char *name = conf_strdup(r->env, line + 2);

			name[end - (line + 2)] = '\0';
			value = value_of(r->env, name);
			if (!value && out)
				undefined(r, name);
			len = value ? strlen(value) : (size_t)(end + 1 - line);
			if (!value)
				value = line;
			line = end;
		}
		line++;
		if (out)
			memcpy(out + n, value, len);
		n += len;
	}
	return n;
}

const char *conf_expand(struct conf_reader *r, const char *line)
{
	size_t n;
	char *out;

	if (!strstr(line, "${"))
		return line;
	n = replace(r, line, NULL);
	if (n > CONF_EXPANDED_MAX && n > strlen(line)) {
		conf_bad(r, "look for a Define that holds itself several times",
			 "the line grows over %zu bytes by its variables", CONF_EXPANDED_MAX);
		return NULL;
	}
	out = conf_alloc(r->env, n + 1);
	replace(r, line, out);
	out[n] = '\0';
	return out;
}

/* ------------------------------------------------------------------------------------------------ Define, UnDefine */

/* Reads at most two words. False: refused and reported. */
static bool two_words(struct conf_reader *r, const char *directive, const char *usage, const char *args,
		      char **first, char **second)
{
	struct conf_env *env = r->env;
	const char *line = args;

	*first = conf_word(env, &line);
	*second = conf_word(env, &line);
	if (env->no_define) {
		conf_bad(r, "put it into the server's configuration", "%s is not allowed in .htaccess files",
			 directive);
		return false;
	}
	if (!*first || !**first || *line) {
		conf_bad(r, conf_with_hint(env, args, "put a value that holds blanks into quotes"),
			 "%s takes %s", directive, usage);
		return false;
	}
	if (strchr(*first, ':')) {
		conf_bad(r, "choose another name", "%s: the name \"%s\" must not contain a colon", directive,
			 *first);
		return false;
	}
	if (*second && !**second)
		*second = NULL;
	return true;
}

/* A second Define without a value leaves the value that is there, as in Apache. */
void conf_define(struct conf_reader *r, const char *args)
{
	struct conf_define *d, *old;
	char *name, *value;

	if (!two_words(r, "Define", "a name and at most one value", args, &name, &value))
		return;
	old = find(r->env, name);
	if (old && !value)
		return;
	if (old)
		unlink_define(r->env, old);
	d = conf_alloc(r->env, sizeof(*d));
	d->name = name;
	d->value = value;
	d->next = r->env->defines;
	r->env->defines = d;
}

void conf_undefine(struct conf_reader *r, const char *args)
{
	struct conf_define *d;
	char *name, *more;

	if (!two_words(r, "UnDefine", "one name", args, &name, &more))
		return;
	if (more) {
		conf_bad(r, conf_with_hint(r->env, args, NULL), "UnDefine takes one name");
		return;
	}
	d = find(r->env, name);
	if (d)
		unlink_define(r->env, d);
	for (d = r->env->defines; d; d = d->next)
		if (!strcasecmp(d->name, name))
			d->value = NULL;
}

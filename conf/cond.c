/*
 * cond.c - the sections that are judged while reading: IfModule, IfDefine, IfVersion, IfFile, IfDirective, IfSection.
 * Runs wherever a configuration is read.
 *
 * All take "!" in front and then one word, quoted or not; further words are ignored, as Apache does.
 */
#include "conf/internal.h"

#include <regex.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool holds_module(struct conf_reader *r, const char *word)
{
	return r->env->has_module && r->env->has_module(r->env->ctx, word);
}

static bool holds_define(struct conf_reader *r, const char *word)
{
	return conf_is_defined(r->env, word);
}

static bool holds_file(struct conf_reader *r, const char *word)
{
	return access(conf_path(r->env, word), F_OK) == 0;
}

static bool holds_directive(struct conf_reader *r, const char *word)
{
	return conf_is_command(word) || r->env->has_directive(r->env->ctx, word);
}

static bool is_condition(const char *name);

static bool holds_section(struct conf_reader *r, const char *word)
{
	const char *name = conf_printf(r->env, "<%s", word);

	return is_condition(name) || r->env->has_directive(r->env->ctx, name);
}

static const struct conf_test {
	const char *name;
	bool (*holds)(struct conf_reader *r, const char *word);
	const char *example;
	bool needs_directives;
} tests[] = {
	{ "<IfModule", holds_module, "<IfModule ssl_module>", false },
	{ "<IfDefine", holds_define, "<IfDefine NAME>", false },
	{ "<IfFile", holds_file, "<IfFile conf/local.conf>", false },
	{ "<IfDirective", holds_directive, "<IfDirective SSLEngine>", true },
	{ "<IfSection", holds_section, "<IfSection VirtualHost>", true },
};

static bool is_condition(const char *name)
{
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		if (!strcasecmp(name, tests[i].name))
			return true;
	return !strcasecmp(name, "<IfVersion") || !strcasecmp(name, "<Macro");
}

static bool not_here(struct conf_reader *r, const char *name)
{
	conf_bad(r, "take the section out, or keep what it holds without it",
		 "%s> is not available in this release", name);
	return false;
}

static bool judge(struct conf_reader *r, const struct conf_test *test, const char *args)
{
	bool negated = *args == '!';
	char *word;

	if (test->needs_directives && !r->env->has_directive)
		return not_here(r, test->name);
	args += negated;
	word = conf_word(r->env, &args);
	if (!word || !*word) {
		conf_bad(r, conf_printf(r->env, "write for example %s", test->example),
			 "%s> needs an argument", test->name);
		return false;
	}
	return test->holds(r, word) != negated;
}

/* ------------------------------------------------------------------------------------------------ <IfVersion> */

/* "2.4.71" into three numbers; what is missing is 0. */
static bool parse_version(const char *s, unsigned v[3])
{
	unsigned i = 0;

	memset(v, 0, 3 * sizeof(*v));
	if (*s < '0' || *s > '9')
		return false;
	for (; *s; s++) {
		if (*s == '.')
			i++;
		else if (*s < '0' || *s > '9' || v[i] > 99999)
			return false;
		else
			v[i] = v[i] * 10 + (unsigned)(*s - '0');
		if (i == 3)
			return false;
	}
	return true;
}

static int compare_versions(const unsigned a[3], const unsigned b[3])
{
	unsigned i;

	for (i = 0; i < 3; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

static bool matches(struct conf_reader *r, const char *pattern)
{
	regex_t re;
	bool yes;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB)) {
		conf_bad(r, "it is an extended POSIX expression here",
			 "<IfVersion>: \"%s\" is no regular expression", pattern);
		return false;
	}
	yes = regexec(&re, r->env->version, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

/* [[!]operator] version; the operator is one of = == > >= < <= ~, and "= /re/" is "~ re". */
static bool judge_version(struct conf_reader *r, const char *args)
{
	static const char *const operators[] = { "=", "==", ">", ">=", "<", "<=", "~" };
	const char *line = args, *op = "=", *word, *second;
	unsigned ours[3], theirs[3], i;
	bool negated = false, yes;
	int order;

	if (!r->env->version || !parse_version(r->env->version, ours))
		return not_here(r, "<IfVersion");
	word = conf_word(r->env, &line);
	second = conf_word(r->env, &line);
	if (second) {
		negated = *word == '!';
		op = word + negated;
		word = second;
	}
	for (i = 0; i < sizeof(operators) / sizeof(*operators) && strcmp(op, operators[i]); i++)
		;
	if (!word || *line || i == sizeof(operators) / sizeof(*operators)) {
		conf_bad(r, "write for example <IfVersion >= 2.4>; \"!\" in front reverses the operator",
			 "<IfVersion> takes an operator (= > >= < <= ~) and a version, not \"%s\"", args);
		return false;
	}
	if (*op == '=' && *word == '/') {
		size_t n = strlen(word);

		if (n < 2 || word[n - 1] != '/') {
			conf_bad(r, NULL, "<IfVersion>: the regular expression %s does not end with a slash",
				 word);
			return false;
		}
		return matches(r, conf_printf(r->env, "%.*s", (int)(n - 2), word + 1)) != negated;
	}
	if (*op == '~')
		return matches(r, word) != negated;
	if (!parse_version(word, theirs)) {
		conf_bad(r, "write major, or major.minor, or major.minor.patch",
			 "<IfVersion>: \"%s\" is no version", word);
		return false;
	}
	order = compare_versions(ours, theirs);
	yes = (order == 0 && strchr(op, '=')) || (order > 0 && *op == '>') || (order < 0 && *op == '<');
	return yes != negated;
}

/* ------------------------------------------------------------------------------------------------ */

enum conf_verdict conf_condition(struct conf_reader *r, const char *name, const char *args)
{
	size_t i;

	for (i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		if (!strcasecmp(name, tests[i].name))
			return judge(r, &tests[i], args) ? CONF_HOLDS : CONF_HOLDS_NOT;
	if (!strcasecmp(name, "<IfVersion"))
		return judge_version(r, args) ? CONF_HOLDS : CONF_HOLDS_NOT;
	return CONF_NO_CONDITION;
}

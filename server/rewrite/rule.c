/*
 * rule.c - RewriteRule and RewriteCond as they are read: the line taken apart as mod_rewrite does it, patterns and texts
 * compiled. Runs where a configuration is read: in the master, and in children for per-directory files.
 */
#include "rewrite/rule.h"

#include <string.h>
#include <strings.h>

#include "request/sections.h"
#include "request/variables.h"

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* ---------------------------------------------------------------------------------------------- the line */

struct words {
	char *first, *second, *flags;           /* flags: with their brackets; NULL = none */
};

/*
 * The next word, terminated, with *at behind it. A backslash keeps a blank in the word and stays itself; one before a quote
 * has no meaning: patterns are full of them. *closed: something ended the word before the line ended.
 */
static char *next_word(char **at, bool *closed)
{
	char *p = *at, quote, *word;

	while (blank(*p))
		p++;
	quote = *p == '"' || *p == '\'' ? *p++ : '\0';
	word = p;
	for (; *p; p++) {
		if (quote ? *p == quote : blank(*p))
			break;
		if (*p == '\\' && blank(p[1]))
			p++;
	}
	*closed = *p != '\0';
	if (*p)
		*p++ = '\0';
	while (blank(*p))
		p++;
	*at = p;
	return word;
}

static int take_apart(struct conf_call *call, char *line, const char *what, struct words *w)
{
	bool closed;
	size_t n;

	w->first = next_word(&line, &closed);
	if (!closed || !*line) {
		conf_fail(call, conf_printf(call->env, "write: %s", what), "two words are needed");
		return -1;
	}
	w->second = next_word(&line, &closed);
	w->flags = NULL;
	if (!closed || !*line)
		return 0;
	w->flags = next_word(&line, &closed);
	n = strlen(w->flags);
	if (w->flags[0] != '[')
		return conf_fail(call, "put what holds blanks in quotes, and flags in brackets: [L,R=301]",
				 "the third word must begin with \"[\", and is \"%s\"", w->flags);
	if (w->flags[n - 1] != ']')
		return conf_fail(call, "take the blank out, or put the brackets in quotes",
				 "the flags must end with \"]\", and are \"%s\": is there a blank inside?", w->flags);
	return 0;
}

static struct regex *pattern_new(struct conf_call *call, const char *pattern, bool nocase)
{
	struct err e = { .text = "" };
	struct regex *re = regex_new(reading_of(call)->arena, pattern, REGEX_DOTALL | (nocase ? REGEX_NOCASE : 0u), &e);

	if (!re)
		conf_fail(call, NULL, "%s", e.text);
	return re;
}

/* ---------------------------------------------------------------------------------------------- conditions */

static const struct { const char *word; enum rewrite_test test; } file_tests[] = {
	{ "-f", REWRITE_IS_FILE }, { "-s", REWRITE_IS_FILLED }, { "-d", REWRITE_IS_FOLDER }, { "-x", REWRITE_IS_PROGRAM }, { "-h", REWRITE_IS_LINK },
	{ "-l", REWRITE_IS_LINK }, { "-L", REWRITE_IS_LINK }, { "-U", REWRITE_URL_OK }, { "-F", REWRITE_FILE_OK },
};
static const struct { const char *word; enum rewrite_test test; bool turned; } comparisons[] = {
	{ "-lt", REWRITE_NUM_LT, false }, { "-le", REWRITE_NUM_LE, false }, { "-gt", REWRITE_NUM_GT, false }, { "-ge", REWRITE_NUM_GE, false },
	{ "-eq", REWRITE_NUM_EQ, false }, { "-ne", REWRITE_NUM_EQ, true }, { ">=", REWRITE_GREATER_EQUAL, false }, { "<=", REWRITE_LESS_EQUAL, false },
	{ ">", REWRITE_GREATER, false }, { "<", REWRITE_LESS, false }, { "=", REWRITE_EQUAL, false },
};

/* What a CondPattern without its "!" asks, and where its operand begins. A single character is always a pattern. */
static void find_test(struct rewrite_cond *c, const char *p)
{
	c->test = REWRITE_REGEX;
	c->operand = p;
	if (!*p || !p[1])
		return;
	for (size_t i = 0; i < sizeof file_tests / sizeof *file_tests; i++)
		if (strcmp(p, file_tests[i].word) == 0) {
			c->test = file_tests[i].test;
			return;
		}
	for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++) {
		size_t n = strlen(comparisons[i].word);

		if (strncmp(p, comparisons[i].word, n) != 0 || (*p == '-' && !p[n]))
			continue;
		c->test = comparisons[i].test;
		c->flags ^= comparisons[i].turned ? REWRITE_C_NOT : 0u;
		c->operand = p + n;
		if (c->test == REWRITE_EQUAL && strcmp(c->operand, "\"\"") == 0)
			c->operand = "";
		return;
	}
}

static int cond_flag(struct conf_call *call, void *to, const char *key, const char *value)
{
	static const struct { const char *word, *full; unsigned flag; } flags[] = {
		{ "NC", "nocase", REWRITE_C_NOCASE }, { "OR", "ornext", REWRITE_C_OR }, { "NV", "novary", REWRITE_C_NOVARY },
	};
	struct rewrite_cond *c = to;

	(void)value;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcasecmp(key, flags[i].word) == 0 || strcasecmp(key, flags[i].full) == 0) {
			c->flags |= flags[i].flag;
			return 0;
		}
	return conf_fail(call, "conditions know NC, OR and NV", "the flag \"%s\" is unknown", key);
}

static bool takes_nocase(enum rewrite_test t)
{
	return t == REWRITE_REGEX || (t >= REWRITE_LESS && t <= REWRITE_GREATER);
}

int rewrite_set_cond(struct conf_call *call, void *config, int argc, char **argv)
{
	struct rewrite_list *list = rewrite_list_of(call, config);
	struct rewrite_cond *c = conf_alloc(call->env, sizeof *c);
	struct words w = { .first = NULL };

	(void)argc;
	c->pos = call->node->pos;
	if (take_apart(call, conf_strdup(call->env, argv[0]), "RewriteCond \"text\" \"pattern\" [flags]", &w) != 0 ||
	    (w.flags && rewrite_each_flag(call, w.flags, cond_flag, c) != 0))
		return -1;
	c->written = w.second;
	c->flags |= *w.second == '!' ? REWRITE_C_NOT : 0u;
	if (strcasecmp(w.first, "expr") == 0) {
		c->test = REWRITE_EXPR;
		c->expr = variables_condition(call, w.second + (*w.second == '!'));
	} else {
		find_test(c, w.second + (*w.second == '!'));
		c->input = rewrite_text_new(call, w.first);
	}
	if (c->flags & REWRITE_C_NOCASE && !takes_nocase(c->test))
		conf_warn(call, "take it out", "[NC] means nothing to \"%s\"", w.second);
	if (c->test == REWRITE_REGEX)
		c->regex = pattern_new(call, c->operand, c->flags & REWRITE_C_NOCASE);
	if ((c->test == REWRITE_REGEX && !c->regex) || (c->test == REWRITE_EXPR ? !c->expr : !c->input))
		return -1;
	*(list->pending ? list->tail : &list->pending) = c;
	list->tail = &c->next;
	return 0;
}

/* ---------------------------------------------------------------------------------------------- rules */

static void append(struct conf_env *env, struct rewrite_list *l, const struct rewrite_rule *rule)
{
	if (l->n == l->cap) {
		const struct rewrite_rule **grown = conf_alloc(env, 2 * (l->cap + 4) * sizeof *grown);

		if (l->n)
			memcpy(grown, l->at, l->n * sizeof *grown);
		l->at = grown;
		l->cap = 2 * (l->cap + 4);
	}
	l->at[l->n++] = rule;
}

/*
 * A '?' at the end of the substitution drops the query, also where a capture would bring one along; with [QSA] it is the mark
 * that counts. [QSD] without a '?' does the same.
 */
static void end_of_substitution(struct rewrite_rule *rule, char *to)
{
	size_t n = strlen(to);

	if (n && to[n - 1] == '?') {
		if (rule->flags & REWRITE_F_QSA) {
			rule->flags |= REWRITE_F_QSL;
		} else {
			rule->flags |= REWRITE_F_QSNONE;
			to[n - 1] = '\0';
		}
	} else if (rule->flags & REWRITE_F_QSD && !strchr(to, '?')) {
		rule->flags |= REWRITE_F_QSNONE;
	}
}

int rewrite_set_rule(struct conf_call *call, void *config, int argc, char **argv)
{
	struct rewrite_list *list = rewrite_list_of(call, config);
	struct rewrite_rule *rule = conf_alloc(call->env, sizeof *rule);
	struct words w = { .first = NULL };

	(void)argc;
	rule->pos = call->node->pos;
	rule->status = 302;
	rule->rounds = REWRITE_ROUNDS;
	rule->conds = list->pending;
	list->pending = NULL;
	list->tail = NULL;
	if (take_apart(call, conf_strdup(call->env, argv[0]), "RewriteRule \"pattern\" \"substitution\" [flags]", &w) != 0)
		return -1;
	rule->substitution = conf_strdup(call->env, w.second);
	if (w.flags && rewrite_flags(call, rule, w.flags) != 0)
		return -1;
	rule->pattern = w.first;
	if (*w.first == '!')
		rule->flags |= REWRITE_F_NOT;
	rule->regex = pattern_new(call, w.first + (*w.first == '!'), rule->flags & REWRITE_F_NOCASE);
	if (!rule->regex)
		return -1;
	if (strcmp(w.second, "-") == 0)
		rule->flags |= REWRITE_F_NOSUB;
	end_of_substitution(rule, w.second);
	if (!(rule->flags & REWRITE_F_NOSUB) && !(rule->to = rewrite_text_new(call, w.second)))
		return -1;
	append(call->env, list, rule);
	return 0;
}

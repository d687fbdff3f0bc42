/*
 * cond.c - the conditions of if and elif: expressions as everywhere (ap_expr), whose env(), reqenv() and v() ask the page, or the older
 * grammar (legacy.c). Compiled when they are met: a page may be another one at the next request. Runs in the children.
 */
#include "ssi/page.h"

#include "base/err.h"
#include "request/variables.h"

void ssi_keep_match(struct ssi *s, const struct regex_match *m)
{
	struct regex_match kept = { .count = m->count };

	for (int i = 0; i < REGEX_CAPTURES; i++)
		if (m->at[i].p) {
			kept.at[i].p = arena_strndup(s->r->arena, m->at[i].p, m->at[i].n);
			kept.at[i].n = kept.at[i].p ? m->at[i].n : 0;
		}
	s->match = kept;
}

static struct text ask(void *ctx, const char *name)
{
	return text_of(ssi_get(ctx, name));
}

/* The tests that look at files are not for pages, as in Apache; -A is, unless SSIAccessEnable is off. */
static bool asks_access(const char *text)
{
	for (const char *p = strstr(text, "-A"); p; p = strstr(p + 1, "-A"))
		if ((p == text || strchr(" \t\r\n!(&|", p[-1])) && strchr(" \t\r\n'\"%", p[2]) && p[2])
			return true;
	return false;
}

int ssi_condition(struct ssi *s, const char *text, const char **why)
{
	struct expr_names names = variables_names;
	struct err e = { .text = "" };
	struct regex_match m;
	struct expr *x;
	int result;

	if (s->conf->legacy == 1)
		return ssi_legacy(s, text, why);
	names.no_contents = names.no_files = true;
	if (asks_access(text) && s->conf->access == 0) {
		*why = "-A is not allowed here: SSIAccessEnable is off";
		return -1;
	}
	x = expr_compile(s->scratch, text, EXPR_CONDITION, &names, &e);
	if (!x) {
		*why = arena_strdup(s->scratch, e.text);
		return -1;
	}
	result = variables_with(s->r, x, s->scratch, ask, s, &m, why);
	if (result >= 0 && m.count)
		ssi_keep_match(s, &m);
	return result;
}

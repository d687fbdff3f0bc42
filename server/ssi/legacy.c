/*
 * legacy.c - the grammar of conditions before Apache 2.4 (SSILegacyExprParser): words, "=" and its like, patterns between slashes,
 * "!" that binds most, then comparisons, then && and || from left to right. Evaluated while it is read. Runs in the children; the text may
 * be anybody's, so that its depth is bounded.
 */
#include "ssi/page.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "request/phases.h"
#include "request/varfile.h"

#define DEPTH 64

struct reader {
	struct ssi *s;
	const char *p;
	unsigned depth;
	const char *why;                /* NULL = no fault so far */
};

static int fault(struct reader *rd, const char *why)
{
	if (!rd->why)
		rd->why = why;
	return 0;
}

static void blanks(struct reader *rd)
{
	rd->p += strspn(rd->p, " \t\r\n");
}

static bool take(struct reader *rd, const char *token)
{
	blanks(rd);
	if (strncmp(rd->p, token, strlen(token)) != 0)
		return false;
	rd->p += strlen(token);
	return true;
}

/* ------------------------------------------------------------------------------------------------ words */

static bool ends_word(const char *p)
{
	return !*p || strchr(" \t\r\n()=!<>", *p) || (p[0] == '&' && p[1] == '&') || (p[0] == '|' && p[1] == '|');
}

/* From p up to `end`, which a backslash keeps from being one; NULL: it is missing. */
static char *until(struct reader *rd, char end)
{
	const char *from = rd->p;
	char *out, *to;

	while (*rd->p && *rd->p != end)
		rd->p += rd->p[0] == '\\' && rd->p[1] ? 2 : 1;
	if (!*rd->p)
		return NULL;
	out = to = arena_strndup(rd->s->scratch, from, (size_t)(rd->p - from));
	rd->p++;
	for (const char *q = out; q && *q; q++) {
		if (q[0] == '\\' && q[1] == end)
			q++;
		*to++ = *q;
	}
	if (out)
		*to = '\0';
	return out;
}

static char *bare(struct reader *rd)
{
	const char *from = rd->p;

	while (!ends_word(rd->p))
		rd->p += rd->p[0] == '\\' && rd->p[1] ? 2 : 1;
	return arena_strndup(rd->s->scratch, from, (size_t)(rd->p - from));
}

/* Words that follow each other are one, with a blank between. NULL: none stands here, or a fault. */
static const char *words(struct reader *rd)
{
	struct arena *a = rd->s->scratch;
	char *all = NULL;

	for (blanks(rd); !ends_word(rd->p) && !rd->why; blanks(rd)) {
		char quote = *rd->p == '\'' || *rd->p == '"' ? *rd->p : '\0', *one;

		rd->p += quote != '\0';
		one = quote ? until(rd, quote) : bare(rd);
		if (!one) {
			fault(rd, "a quote is not closed");
			return NULL;
		}
		all = all ? arena_printf(a, "%s %s", all, one) : one;
		if (!all || strlen(all) > SSI_VALUE) {
			fault(rd, "it is too long");
			return NULL;
		}
	}
	return all ? ssi_text(rd->s, all, false) : NULL;
}

/* ------------------------------------------------------------------------------------------------ comparisons */

static int match(struct reader *rd, const char *left)
{
	struct ssi *s = rd->s;
	struct err e = { .text = "" };
	struct regex_match m;
	struct regex *re;
	char *pattern;
	int result;

	rd->p++;
	pattern = until(rd, '/');
	pattern = pattern ? ssi_text(s, pattern, true) : NULL;
	if (!pattern)
		return fault(rd, "a pattern is not closed, or is too long");
	re = regex_new(s->scratch, pattern, REGEX_DOTALL, &e);
	if (!re)
		return fault(rd, arena_printf(s->scratch, "%s", e.text));
	result = regex_run(re, text_of(left), &m);
	if (result < 0)
		return fault(rd, "a pattern met its limits");
	if (result)
		ssi_keep_match(s, &m);
	return result;
}

static const struct { const char *sign; bool equal, less, more; } signs[] = {   /* the longer ones first */
	{ "==", true, false, false }, { "!=", false, true, true }, { "<=", true, true, false }, { ">=", true, false, true },
	{ "=", true, false, false }, { "<", false, true, false }, { ">", false, false, true },
};

static int comparison(struct reader *rd, const char *left)
{
	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
		const char *right;
		int order;

		if (!take(rd, signs[i].sign))
			continue;
		blanks(rd);
		if (*rd->p == '/') {
			if (signs[i].less != signs[i].more)
				return fault(rd, "a pattern stands behind = or != only");
			return match(rd, left) == signs[i].equal;
		}
		right = words(rd);
		if (!right)
			return fault(rd, "a word is missing behind a comparison");
		order = strcmp(left, right);
		return order < 0 ? signs[i].less : order > 0 ? signs[i].more : signs[i].equal;
	}
	return *left != '\0';
}

static int access_of(struct reader *rd)
{
	const char *path = words(rd), *why = NULL;
	bool yes;

	if (rd->s->conf->access == 0)
		return fault(rd, "-A is not allowed here: SSIAccessEnable is off");
	if (!path)
		return fault(rd, "a path is missing behind -A");
	yes = varfile_reachable(rd->s->r, 'U', path, &why);
	return why ? fault(rd, why) : yes;
}

/* ------------------------------------------------------------------------------------------------ the whole */

static int row(struct reader *rd);

static int term(struct reader *rd)
{
	const char *left;
	int result;

	blanks(rd);
	if (++rd->depth > DEPTH)
		return fault(rd, "more than 64 brackets or negations within each other");
	if (rd->p[0] == '!' && rd->p[1] != '=') {
		rd->p++;
		result = !term(rd);
	} else if (take(rd, "(")) {
		result = row(rd);
		if (!take(rd, ")"))
			fault(rd, "a bracket is not closed");
	} else if (strncmp(rd->p, "-A", 2) == 0 && ends_word(rd->p + 2)) {
		rd->p += 2;
		result = access_of(rd);
	} else {
		left = *rd->p == '/' ? NULL : words(rd);
		if (!left)
			fault(rd, "a word is missing");
		result = rd->why ? 0 : comparison(rd, left);
	}
	rd->depth--;
	return result;
}

/* All of it is evaluated, also behind what decides: so that faults show, as in Apache. */
static int row(struct reader *rd)
{
	int result = term(rd);

	while (!rd->why) {
		if (take(rd, "&&")) {
			int right = term(rd);
			result = result && right;
		} else if (take(rd, "||")) {
			int right = term(rd);
			result = result || right;
		} else {
			break;
		}
	}
	return result;
}

int ssi_legacy(struct ssi *s, const char *text, const char **why)
{
	struct reader rd = { .s = s, .p = text };
	int result = row(&rd);

	blanks(&rd);
	if (*rd.p)
		fault(&rd, "nothing more was expected at its end");
	*why = rd.why;
	return rd.why ? -1 : result;
}

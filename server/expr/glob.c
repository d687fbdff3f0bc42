/*
 * glob.c - patterns of -strmatch, -strcmatch and -fnmatch: * ? […] and a backslash. Runs in the children. Both sides may
 * come from the network: a star is tried again only where it is the last one met, and the steps are counted.
 */
#include "base/effort.h"
#include "expr/node.h"

#define STEPS 2000000u

struct glob {
	struct text p;
	unsigned flags, steps;
};

static int folded(const struct glob *g, char c)
{
	return g->flags & GLOB_NOCASE ? ascii_lower((unsigned char)c) : (unsigned char)c;
}

/* The character at p[*i], a backslash before it taken off. */
static int literal(const struct glob *g, size_t *i)
{
	if (g->p.p[*i] == '\\' && *i + 1 < g->p.n)
		++*i;
	return folded(g, g->p.p[*i]);
}

/*
 * The set behind a '[' at p[i] against c: what follows its ']', with *found telling; 0 where it has no end (the bracket
 * then stands for itself).
 */
static size_t set_match(struct glob *g, size_t i, char c, bool *found)
{
	size_t first;
	bool not;
	int seen = folded(g, c);

	i++;
	not = i < g->p.n && (g->p.p[i] == '!' || g->p.p[i] == '^');
	i += not;
	*found = false;
	for (first = i; i < g->p.n && (g->p.p[i] != ']' || i == first); i++) {
		int low = literal(g, &i), high = low;

		if (i + 2 < g->p.n && g->p.p[i + 1] == '-' && g->p.p[i + 2] != ']') {
			i += 2;
			high = literal(g, &i);
		}
		*found |= seen >= low && seen <= high;
		g->steps++;
	}
	*found = *found != not;
	return i < g->p.n ? i + 1 : 0;
}

/* One element of the pattern at p[i] against c: what follows it where it matches, else 0. */
static size_t one_match(struct glob *g, size_t i, char c)
{
	bool slash = c == '/' && g->flags & GLOB_PATH, found;
	size_t behind;

	if (g->p.p[i] == '?')
		return slash ? 0 : i + 1;
	if (g->p.p[i] == '[' && (behind = set_match(g, i, c, &found)))
		return found && !slash ? behind : 0;
	return literal(g, &i) == folded(g, c) ? i + 1 : 0;
}

int expr_glob(struct text p, struct text s, unsigned flags)
{
	struct glob g = { p, flags, 0 };
	size_t i = 0, k = 0, star = SIZE_MAX, tried = 0, behind;

	if (effort_spent())
		return -1;
	while (k < s.n) {
		if (g.steps++ >= STEPS)
			return -1;
		if (i < p.n && p.p[i] == '*') {
			star = ++i;
			tried = k;
		} else if (i < p.n && (behind = one_match(&g, i, s.p[k]))) {
			i = behind;
			k++;
		} else if (star != SIZE_MAX && !(s.p[tried] == '/' && flags & GLOB_PATH)) {
			i = star;
			k = ++tried;
		} else {
			return 0;
		}
	}
	while (i < p.n && p.p[i] == '*')
		i++;
	return i == p.n;
}

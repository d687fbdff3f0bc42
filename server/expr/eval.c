/*
 * eval.c - walks a compiled expression for one request. Runs in the children, on texts from the network.
 *
 * Bounded: the depth by that of the tree (parse.c), the bytes made by EXPR_RESULT, a pattern by base/regex.h's limits. Once
 * x->failed is set nothing more is made, and the whole has no answer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "expr/node.h"

#define LIST_MOST 4096                  /* values of a list that is split or asked for */
#define ARGUMENTS 3

static const struct text nothing = { NULL, 0 };
static struct text word(const struct node *n, struct expr_ctx *x);
static int truth(const struct node *n, struct expr_ctx *x);

static struct text fail(struct expr_ctx *x, const char *why)
{
	if (!x->failed)
		x->failed = why;
	return nothing;
}

char *expr_room(struct expr_ctx *x, size_t n)
{
	char *p = NULL;

	if (x->failed)
		return NULL;
	if (n > EXPR_RESULT || (x->made += n + 16) > EXPR_RESULT)
		fail(x, "it makes more than a mebibyte of text");
	else if (!(p = arena_alloc(x->arena, n + 1)))
		fail(x, "out of memory");
	return p;
}

static int matched(const struct regex *re, struct text subject, struct regex_match *m, struct expr_ctx *x)
{
	int r = regex_run(re, subject, m);

	if (r < 0)
		fail(x, "a regular expression met its limits");
	return r;
}

/* ------------------------------------------------------------------------------------------------ texts put together */

struct texts {
	struct text *at;
	unsigned n, cap;
	size_t bytes;
};

static bool texts_add(struct texts *all, struct text t, struct expr_ctx *x)
{
	if (all->n == all->cap) {
		unsigned cap = all->cap ? all->cap * 2 : 16;
		struct text *grown = cap <= LIST_MOST ? arena_array(x->arena, cap, sizeof *grown) : NULL;

		if (!grown) {
			fail(x, "a list or text has too many parts");
			return false;
		}
		if (all->n)
			memcpy(grown, all->at, all->n * sizeof *grown);
		all->at = grown;
		all->cap = cap;
	}
	all->at[all->n++] = t;
	all->bytes += t.n;
	return true;
}

static struct text texts_join(const struct texts *all, struct text between, struct expr_ctx *x)
{
	size_t gaps = all->n > 1 ? all->n - 1 : 0, n = all->bytes;
	char *p, *to;

	if (all->n == 1)
		return all->at[0];
	if (between.n && (!size_mul(gaps, between.n, &gaps) || !size_add(n, gaps, &n)))
		return fail(x, "it makes more than a mebibyte of text");
	p = to = expr_room(x, n);
	if (!p)
		return nothing;
	for (unsigned i = 0; i < all->n; i++) {
		if (i && between.n)
			to = mempcpy(to, between.p, between.n);
		if (all->at[i].n)
			to = mempcpy(to, all->at[i].p, all->at[i].n);
	}
	*to = '\0';
	return (struct text){ p, n };
}

static struct text concat(const struct node *n, struct expr_ctx *x)
{
	struct texts all = { .n = 0 };

	for (const struct node *c = n->child; c; c = c->next)
		if (!texts_add(&all, word(c, x), x))
			return nothing;
	return x->failed ? nothing : texts_join(&all, nothing, x);
}

/* ------------------------------------------------------------------------------------------------ lists */

/*
 * Goes through the matches of n's pattern in t: what lies between them goes to *between, the replacement of each to *instead
 * (either may be NULL). The captures of the condition around stay.
 */
static void replace(const struct node *n, struct text t, bool all, const struct node *with, struct texts *between,
		    struct texts *instead, struct expr_ctx *x)
{
	struct regex_match kept = x->match, m;
	struct text rest = t;

	while (matched(n->regex, rest, &m, x) == 1) {
		size_t before = (size_t)(m.at[0].p - rest.p), behind = before + m.at[0].n;

		if (m.at[0].n == 0)             /* an empty match: go on behind the next character */
			break;
		if (between && !texts_add(between, (struct text){ rest.p, before }, x))
			break;
		x->match = m;
		if (instead && with && !texts_add(instead, word(with, x), x))
			break;
		rest = (struct text){ rest.p + behind, rest.n - behind };
		if (!all || x->failed || !expr_room(x, 0))
			break;
	}
	if (between && !x->failed)
		texts_add(between, rest, x);
	x->match = kept;
}

static struct text substituted(const struct node *n, struct expr_ctx *x)
{
	struct text t = word(n->child->next, x);
	struct texts all = { .n = 0 };

	if (!t.p)
		t = TEXT("");
	replace(n, t, n->op & 1, n->child, &all, &all, x);
	return x->failed ? nothing : texts_join(&all, nothing, x);
}

static void gather(const struct node *n, struct texts *all, struct expr_ctx *x);

static void split(const struct node *n, struct texts *all, struct expr_ctx *x)
{
	const struct node *with = n->op & 2 ? n->child : NULL, *of = with ? with->next : n->child;
	struct texts parts = { .n = 0 };

	gather(of, &parts, x);
	for (unsigned i = 0; i < parts.n && !x->failed; i++)
		replace(n, parts.at[i].p ? parts.at[i] : TEXT(""), true, with, with ? NULL : all, with ? all : NULL, x);
}

static void gather(const struct node *n, struct texts *all, struct expr_ctx *x)
{
	switch (n->kind) {
	case NODE_LIST:
		for (const struct node *c = n->child; c && !x->failed; c = c->next)
			texts_add(all, word(c, x), x);
		return;
	case NODE_SPLIT:
		split(n, all, x);
		return;
	case NODE_LIST_FUNCTION: {
		struct text argument = word(n->child, x), t;

		for (unsigned i = 0; x->list && !x->failed && (t = x->list(x, n->text.p, argument, i)).p; i++)
			texts_add(all, t, x);
		return;
	}
	default:
		texts_add(all, word(n, x), x);
	}
}

static struct text joined(const struct node *n, struct expr_ctx *x)
{
	struct texts all = { .n = 0 };
	struct text between = nothing;

	gather(n->child, &all, x);
	if (n->child->next)
		between = word(n->child->next, x);
	return x->failed || !all.n ? nothing : texts_join(&all, between, x);
}

static int in_list(const struct node *n, struct expr_ctx *x)
{
	struct text wanted = word(n->child, x);
	const struct node *list = n->child->next;
	struct texts all = { .n = 0 };

	if (list->kind == NODE_LIST) {
		for (const struct node *c = list->child; c; c = c->next) {
			struct text t = word(c, x);
			if (x->failed)
				return -1;
			if (text_eq(wanted, t))
				return 1;
		}
		return 0;
	}
	gather(list, &all, x);
	for (unsigned i = 0; i < all.n && !x->failed; i++)
		if (text_eq(wanted, all.at[i]))
			return 1;
	return x->failed ? -1 : 0;
}

/* ------------------------------------------------------------------------------------------------ words */

static struct text call(const struct node *n, struct expr_ctx *x)
{
	struct text arguments[ARGUMENTS] = { { NULL, 0 } };
	unsigned count = 0;

	for (const struct node *c = n->child; c && count < ARGUMENTS; c = c->next) {
		arguments[count] = word(c, x);
		if (!arguments[count].p)
			arguments[count] = TEXT("");
		count++;
	}
	if (x->failed)
		return nothing;
	if (n->function)
		return n->function(x, arguments, count);
	return x->function ? x->function(x, n->text.p, arguments[0]) : nothing;
}

static struct text word(const struct node *n, struct expr_ctx *x)
{
	if (x->failed)
		return nothing;
	switch (n->kind) {
	case NODE_TEXT:
		return n->text;
	case NODE_VARIABLE:
		return x->variable ? x->variable(x, n->text.p) : nothing;
	case NODE_FUNCTION:
		return call(n, x);
	case NODE_CAPTURE:
		return (int)n->op < x->match.count ? x->match.at[n->op] : nothing;
	case NODE_CONCAT:
		return concat(n, x);
	case NODE_SUB:
		return substituted(n, x);
	case NODE_JOIN:
		return joined(n, x);
	case NODE_CHOICE:
		return truth(n->child, x) == 1 ? TEXT("true") : TEXT("false");
	default:
		return fail(x, "it is damaged");
	}
}

/* ------------------------------------------------------------------------------------------------ conditions */

/* As atoi of 64 bits: blanks, a sign, digits; what follows does not count; at its ends it stays there. */
static int64_t integer(struct text t)
{
	size_t i = 0;
	bool minus;
	int64_t v = 0;

	while (i < t.n && (t.p[i] == ' ' || (t.p[i] >= '\t' && t.p[i] <= '\r')))
		i++;
	minus = i < t.n && t.p[i] == '-';
	i += i < t.n && (t.p[i] == '-' || t.p[i] == '+');
	for (; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, t.p[i] - '0', &v))
			return minus ? INT64_MIN : INT64_MAX;
	if (minus)
		return v;
	return v == INT64_MIN ? INT64_MAX : -v;
}

static int order(struct text a, struct text b, unsigned how)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r;

	if (how == COMPARE_INTEGER) {
		int64_t i = integer(a), k = integer(b);
		return i < k ? -1 : i > k;
	}
	if (how == COMPARE_LENGTH && a.n != b.n)
		return a.n < b.n ? -1 : 1;
	r = n ? memcmp(a.p, b.p, n) : 0;
	if (r)
		return r;
	return a.n < b.n ? -1 : a.n > b.n;
}

static int compare(const struct node *n, struct expr_ctx *x)
{
	struct text a = word(n->child, x), b = word(n->child->next, x);
	int r = order(a, b, n->op / COMPARE_INTEGER * COMPARE_INTEGER);

	switch (n->op % COMPARE_INTEGER) {
	case COMPARE_EQ: return r == 0;
	case COMPARE_NE: return r != 0;
	case COMPARE_LT: return r < 0;
	case COMPARE_LE: return r <= 0;
	case COMPARE_GT: return r > 0;
	default: return r >= 0;
	}
}

/* Captures are set by patterns that have groups, and gone where such a one does not match; others leave them, as in Apache. */
static int match(const struct node *n, struct expr_ctx *x)
{
	struct text subject = word(n->child, x);
	struct regex_match m = { .count = 0 };
	int r = matched(n->regex, subject.p ? subject : TEXT(""), &m, x);

	if (r < 0)
		return -1;
	if (regex_groups(n->regex)) {
		if (r)
			x->match = m;
		else
			x->match.count = 0;
	}
	return r != (int)n->op;
}

static bool within(const struct node *n, struct text address)
{
	char buf[ADDR_TEXT];
	struct addr a;

	if (address.n == 0 || address.n >= sizeof buf)
		return false;
	memcpy(buf, address.p, address.n);
	buf[address.n] = '\0';
	return buf[0] != '*' && addr_parse(&a, buf, 0) == 0 && prefix_match(&n->prefix, &a);
}

static bool no(struct text t)
{
	return t.n == 0 || text_is(t, "0") || text_is_nocase(t, "off") || text_is_nocase(t, "false") || text_is_nocase(t, "no");
}

static int test(const struct node *n, struct expr_ctx *x)
{
	struct text t = n->op == 'R' ? nothing : word(n->child, x);

	switch (n->op) {
	case 'n': return t.n > 0;
	case 'z': return t.n == 0;
	case 'T': return !no(t);
	case 'R': return x->variable && within(n, x->variable(x, "REMOTE_ADDR"));
	default: return !x->failed && x->file && t.n && x->file(x, (char)n->op, t);
	}
}

static int glob(const struct node *n, struct expr_ctx *x)
{
	struct text s = word(n->child, x), pattern = word(n->child->next, x);
	int r = x->failed ? -1 : expr_glob(pattern, s, n->op);

	if (r < 0)
		fail(x, "a pattern with wildcards met its limits");
	return r;
}

/* Both kinds of rows: goes on while the children say `while_is`. */
static int row(const struct node *n, int while_is, struct expr_ctx *x)
{
	for (const struct node *c = n->child; c; c = c->next) {
		int r = truth(c, x);
		if (r != while_is)
			return r;
	}
	return while_is;
}

static int truth(const struct node *n, struct expr_ctx *x)
{
	int r;

	switch (n->kind) {
	case NODE_TRUE: r = 1; break;
	case NODE_FALSE: r = 0; break;
	case NODE_NOT: r = !truth(n->child, x); break;          /* -1 has x->failed set */
	case NODE_AND: r = row(n, 1, x); break;
	case NODE_OR: r = row(n, 0, x); break;
	case NODE_COMPARE: r = compare(n, x); break;
	case NODE_MATCH: r = match(n, x); break;
	case NODE_IN: r = in_list(n, x); break;
	case NODE_TEST: r = test(n, x); break;
	case NODE_ADDRESS: r = within(n, word(n->child, x)); break;
	case NODE_GLOB: r = glob(n, x); break;
	default: r = !no(word(n, x)); break;
	}
	return x->failed ? -1 : r;
}

/* ------------------------------------------------------------------------------------------------ the whole */

int expr_true(const struct expr *x, struct expr_ctx *ctx)
{
	ctx->failed = NULL;
	ctx->made = 0;
	return truth(x->root, ctx);
}

struct text expr_string(const struct expr *x, struct expr_ctx *ctx)
{
	struct text t;
	int r;

	ctx->failed = NULL;
	ctx->made = 0;
	if (x->grammar != EXPR_STRING) {
		r = truth(x->root, ctx);
		return r < 0 ? nothing : r ? TEXT("true") : TEXT("false");
	}
	t = word(x->root, ctx);
	return ctx->failed ? nothing : t.p ? t : TEXT("");
}

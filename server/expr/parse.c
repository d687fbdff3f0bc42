/*
 * parse.c - the text of an expression becomes a tree (node.h). Runs in the master while the configuration is read, and in
 * a child for a per-directory file; so its input is hostile: length, depth and nodes are bounded.
 *
 * A descent through the grammar of Apache's ap_expr: or, and, not, comparison, word, list. What a character means hangs on
 * where it stands ("/" begins a pattern only behind =~), so words are read where the grammar wants them, without a scanner
 * in front. words.c reads words and lists, texts.c what stands in quotes and in %{…}.
 */
#include "expr/parse.h"

#include <stdio.h>

/* ------------------------------------------------------------------------------------------------ faults */

struct node *parse_fault(struct parser *ps, const char *at, const char *remedy, const char *fmt, ...)
{
	char sentence[400], near[40];
	struct buf b;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof sentence, fmt, ap);
	va_end(ap);
	buf_init(&b, near, sizeof near);
	buf_put(&b, at, strlen(at) < 24 ? strlen(at) : 24);
	if (ps->failed)
		return NULL;
	ps->failed = true;
	if (*at)
		err_set(ps->e, "column %zu, at \"%s\": %s", (size_t)(at - ps->text) + 1, near, sentence);
	else
		err_set(ps->e, "column %zu, at its end: %s", (size_t)(at - ps->text) + 1, sentence);
	if (remedy)
		err_remedy(ps->e, "%s", remedy);
	return NULL;
}

bool parse_enter(struct parser *ps)
{
	if (++ps->depth <= EXPR_DEPTH)
		return true;
	parse_fault(ps, ps->p, "write several directives", "more than %d brackets within brackets", EXPR_DEPTH);
	return false;
}

void parse_leave(struct parser *ps)
{
	ps->depth--;
}

struct node *parse_node(struct parser *ps, enum node_kind kind)
{
	struct node *n;

	if (++ps->nodes > EXPR_NODES)
		return parse_fault(ps, ps->p, "write several directives", "the expression has more than %d parts", EXPR_NODES);
	n = arena_zalloc(ps->arena, sizeof *n);
	if (!n)
		return parse_fault(ps, ps->p, NULL, "out of memory");
	n->kind = kind;
	return n;
}

/* kind(child, second): both may be NULL after a fault. */
struct node *parse_node_of(struct parser *ps, enum node_kind kind, unsigned op, struct node *child, struct node *second)
{
	struct node *n = child ? parse_node(ps, kind) : NULL;

	if (!n)
		return NULL;
	n->op = op;
	n->child = child;
	child->next = second;
	return n;
}

/* ------------------------------------------------------------------------------------------------ tokens */

void parse_blanks(struct parser *ps)
{
	ps->p += strspn(ps->p, " \t\r\n");
}

bool parse_take(struct parser *ps, const char *token)
{
	size_t n = strlen(token);

	parse_blanks(ps);
	if (strncmp(ps->p, token, n) != 0)
		return false;
	ps->p += n;
	return true;
}

bool parse_take_word(struct parser *ps, const char *word)
{
	size_t n = strlen(word);

	parse_blanks(ps);
	if (strspn(ps->p, IDENTIFIER) != n || strncmp(ps->p, word, n) != 0)
		return false;
	ps->p += n;
	return true;
}

bool parse_expect(struct parser *ps, const char *token, const char *what)
{
	if (parse_take(ps, token))
		return true;
	parse_fault(ps, ps->p, NULL, "\"%s\" is missing %s", token, what);
	return false;
}

/* ------------------------------------------------------------------------------------------------ comparisons */

static struct node *matching(struct parser *ps, struct node *left, bool not)
{
	struct node *n = parse_node(ps, NODE_MATCH);

	if (!n || !parse_regex(ps, n, false))
		return NULL;
	n->op = not;
	n->child = left;
	return n;
}

/* A network has to be known beforehand, as in Apache. */
static bool network(struct parser *ps, struct node *n, const struct node *word, const char *at)
{
	if (word && word->kind == NODE_TEXT && prefix_parse(&n->prefix, word->text.p) == 0)
		return true;
	if (word)
		parse_fault(ps, at, "write, for example, '10.0.0.0/8' or '2001:db8::/32'", "a network is missing, in quotes and without variables");
	return false;
}

static struct node *by_name(struct parser *ps, struct node *left, struct text name, const char *at)
{
	static const struct { const char *name; unsigned op; } compares[] = {
		{ "eq", COMPARE_EQ }, { "ne", COMPARE_NE }, { "lt", COMPARE_LT }, { "le", COMPARE_LE }, { "gt", COMPARE_GT }, { "ge", COMPARE_GE },
	}, globs[] = { { "strmatch", 0 }, { "strcmatch", GLOB_NOCASE }, { "fnmatch", GLOB_PATH } };
	bool dash = *at == '-';
	struct node *n, *right;

	ps->p = name.p + name.n;
	if (text_is_nocase(name, "in"))
		return parse_node_of(ps, NODE_IN, 0, left, parse_list(ps));
	for (size_t i = 0; i < sizeof compares / sizeof *compares; i++)
		if (text_is_nocase(name, compares[i].name)) {
			unsigned how = ps->grammar == EXPR_SSLREQUIRE ? COMPARE_LENGTH : COMPARE_INTEGER;
			return parse_node_of(ps, NODE_COMPARE, how + compares[i].op, left, parse_word(ps));
		}
	for (size_t i = 0; dash && i < sizeof globs / sizeof *globs; i++)
		if (text_is_nocase(name, globs[i].name))
			return parse_node_of(ps, NODE_GLOB, globs[i].op, left, parse_word(ps));
	if (dash && text_is_nocase(name, "ipmatch")) {
		parse_blanks(ps);
		at = ps->p;
		right = parse_word(ps);
		n = right ? parse_node_of(ps, NODE_ADDRESS, 0, left, NULL) : NULL;
		return n && network(ps, n, right, at) ? n : NULL;
	}
	return parse_fault(ps, at, "the operators are == != < <= > >= =~ !~ -eq -ne -lt -le -gt -ge -in -ipmatch -strmatch -strcmatch -fnmatch",
			   "there is no operator \"%s%.*s\"", dash ? "-" : "", (int)name.n, name.p);
}

/* What stands behind a word. */
static struct node *operation(struct parser *ps, struct node *left)
{
	static const struct { const char *sign; unsigned op; } signs[] = {      /* the longer ones first */
		{ "==", COMPARE_EQ }, { "!=", COMPARE_NE }, { "<=", COMPARE_LE }, { ">=", COMPARE_GE },
		{ "=", COMPARE_EQ }, { "<", COMPARE_LT }, { ">", COMPARE_GT },
	};
	const char *at;
	struct text name;

	parse_blanks(ps);
	at = ps->p;
	if (parse_take(ps, "=~"))
		return matching(ps, left, false);
	if (parse_take(ps, "!~"))
		return matching(ps, left, true);
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (parse_take(ps, signs[i].sign))
			return parse_node_of(ps, NODE_COMPARE, signs[i].op + (ps->grammar == EXPR_SSLREQUIRE ? COMPARE_LENGTH : 0u), left, parse_word(ps));
	name = (struct text){ at + (*at == '-'), strspn(at + (*at == '-'), IDENTIFIER) };
	if (name.n && (*at == '-' || (!text_is(name, "and") && !text_is(name, "or"))))
		return by_name(ps, left, name, at);
	if (ps->embedded && strncmp(at, ":}", 2) == 0)
		return left;
	return parse_fault(ps, at, "compare it, for example == 'value', or write -n or -T in front of it", "an operator is missing behind the word");
}

/* -f word and its like; p stands on the minus. */
static struct node *test(struct parser *ps)
{
	const char *at = ps->p, *network_at;
	char letter = at[1];
	struct node *n, *word;

	if (!strchr("deLfshxFUAnzTR", letter) || strspn(at + 1, IDENTIFIER) != 1)
		return parse_fault(ps, at, "the tests are -d -e -f -s -L -h -x -F -U -A -n -z -T -R", "there is no test \"%.*s\"",
				   1 + (int)strspn(at + 1, IDENTIFIER), at);
	if (strchr("deLfshx", letter)) {
		ps->uses |= EXPR_USES_FILES;
		if (ps->names && ps->names->no_files)
			return parse_fault(ps, at, NULL, "-%c is not available here", letter);
	}
	ps->uses |= letter == 'F' || letter == 'U' || letter == 'A' ? EXPR_USES_SUBREQUESTS : 0u;
	ps->p += 2;
	parse_blanks(ps);
	network_at = ps->p;
	word = parse_word(ps);
	n = parse_node_of(ps, NODE_TEST, (unsigned char)(letter == 'A' ? 'U' : letter), word, NULL);
	if (n && letter == 'R' && !network(ps, n, word, network_at))
		return NULL;
	return n;
}

static struct node *condition(struct parser *ps);

static struct node *term(struct parser *ps)
{
	struct node *n;

	parse_blanks(ps);
	if (parse_take(ps, "(")) {
		n = condition(ps);
		return n && parse_expect(ps, ")", "behind the condition") ? n : NULL;
	}
	if (parse_take_word(ps, "true"))
		return parse_node(ps, NODE_TRUE);
	if (parse_take_word(ps, "false"))
		return parse_node(ps, NODE_FALSE);
	if (ps->p[0] == '-' && !(ps->p[1] >= '0' && ps->p[1] <= '9'))
		return test(ps);
	n = parse_word(ps);
	return n ? operation(ps, n) : NULL;
}

static struct node *negation(struct parser *ps)
{
	struct node *n;

	if (!parse_take(ps, "!") && !parse_take_word(ps, "not"))
		return term(ps);
	if (!parse_enter(ps))
		return NULL;
	n = parse_node_of(ps, NODE_NOT, 0, negation(ps), NULL);
	parse_leave(ps);
	return n;
}

/* terms with && or || between them: one node, or the term alone. */
static struct node *row(struct parser *ps, enum node_kind kind)
{
	const char *sign = kind == NODE_OR ? "||" : "&&", *word = kind == NODE_OR ? "or" : "and";
	struct node *first = kind == NODE_OR ? row(ps, NODE_AND) : negation(ps), *all = NULL, **tail = first ? &first->next : NULL;

	while (first && (parse_take(ps, sign) || parse_take_word(ps, word))) {
		if (!all && !(all = parse_node_of(ps, kind, 0, first, NULL)))
			return NULL;
		*tail = kind == NODE_OR ? row(ps, NODE_AND) : negation(ps);
		if (!*tail)
			return NULL;
		tail = &(*tail)->next;
	}
	return all ? all : first;
}

static struct node *condition(struct parser *ps)
{
	struct node *n;

	if (!parse_enter(ps))
		return NULL;
	n = row(ps, NODE_OR);
	parse_leave(ps);
	return n;
}

/* %{:word:} or %{:condition:}, a text either way; p stands behind the first colon. */
struct node *parse_embedded(struct parser *ps)
{
	struct node *n;

	ps->embedded++;
	n = condition(ps);
	ps->embedded--;
	if (!n || !parse_expect(ps, ":}", "behind the word"))
		return NULL;
	return n->kind >= NODE_TEXT && n->kind <= NODE_CHOICE ? n : parse_node_of(ps, NODE_CHOICE, 0, n, NULL);
}

/* ------------------------------------------------------------------------------------------------ the whole */

struct expr *expr_compile(struct arena *a, const char *text, enum expr_grammar grammar, const struct expr_names *names, struct err *e)
{
	struct expr *x = arena_zalloc(a, sizeof *x);
	size_t n = strlen(text);
	struct parser ps = { .arena = a, .grammar = grammar, .names = names, .e = e };

	if (n > EXPR_LENGTH) {
		err_set(e, "the expression has %zu bytes, more than %d", n, EXPR_LENGTH);
		return NULL;
	}
	ps.text = ps.p = arena_strdup(a, text);
	ps.scratch = arena_alloc(a, n + 1);
	if (!x || !ps.text || !ps.scratch) {
		err_set(e, "out of memory");
		return NULL;
	}
	x->text = ps.text;
	x->grammar = grammar;
	x->root = grammar == EXPR_STRING ? parse_text(&ps, '\0', ps.text) : condition(&ps);
	if (ps.failed || !x->root)
		return NULL;
	if (grammar != EXPR_STRING)
		parse_blanks(&ps);
	if (*ps.p) {
		parse_fault(&ps, ps.p, "write && or || between two conditions", "nothing more was expected behind the condition");
		return NULL;
	}
	x->uses = ps.uses;
	return x;
}

unsigned expr_uses(const struct expr *x)
{
	return x->uses;
}

const char *expr_text(const struct expr *x)
{
	return x->text;
}

void expr_set_tag(struct expr *x, unsigned tag)
{
	x->tag = tag;
}

unsigned expr_tag(const struct expr *x)
{
	return x->tag;
}

/*
 * parse.c - the text of an expression becomes a tree (node.h). Runs in the master while the configuration is read, and in
 * a child for a per-directory file; so its input is hostile: length, depth and nodes are bounded.
 *
 * A descent through the grammar of Apache's ap_expr: or, and, not, comparison, word, list. What a character means hangs on
 * where it stands ("/" begins a pattern only behind =~), so words are read where the grammar wants them, without a scanner
 * in front. texts.c reads what stands in quotes and in %{…}.
 */
#include "expr/parse.h"

#include <stdio.h>

#define IDENTIFIER "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

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
static struct node *node_of(struct parser *ps, enum node_kind kind, unsigned op, struct node *child, struct node *second)
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

static bool take(struct parser *ps, const char *token)
{
	size_t n = strlen(token);

	parse_blanks(ps);
	if (strncmp(ps->p, token, n) != 0)
		return false;
	ps->p += n;
	return true;
}

static bool take_word(struct parser *ps, const char *word)
{
	size_t n = strlen(word);

	parse_blanks(ps);
	if (strspn(ps->p, IDENTIFIER) != n || strncmp(ps->p, word, n) != 0)
		return false;
	ps->p += n;
	return true;
}

static bool expect(struct parser *ps, const char *token, const char *what)
{
	if (take(ps, token))
		return true;
	parse_fault(ps, ps->p, NULL, "\"%s\" is missing %s", token, what);
	return false;
}

/* ------------------------------------------------------------------------------------------------ patterns */

/* The flags behind a pattern: i s m g. False: another letter stands there. */
static bool regex_flags(struct parser *ps, unsigned *flags, bool *all)
{
	for (; strspn(ps->p, IDENTIFIER); ps->p++)
		switch (*ps->p) {
		case 'i': *flags |= REGEX_NOCASE; break;
		case 'm': *flags |= REGEX_MULTILINE; break;
		case 's': *flags |= REGEX_DOTALL; break;
		case 'g': *all = true; break;
		default:
			parse_fault(ps, ps->p, "the flags are i (any case), m (^ and $ at each line), s, and g behind s/…/…/",
				    "there is no flag '%c' of a regular expression", *ps->p);
			return false;
		}
	return true;
}

/* Up to the next `end` that no backslash stands before; NULL after a fault. */
static char *until(struct parser *ps, char end, const char *opened)
{
	const char *from = ps->p;

	while (*ps->p && *ps->p != end)
		ps->p += ps->p[0] == '\\' && ps->p[1] ? 2 : 1;
	if (!*ps->p) {
		parse_fault(ps, opened, "close it, and choose a delimiter that does not stand in it, as in m#^/a/#",
			    "the end '%c' of this regular expression is missing", end);
		return NULL;
	}
	return arena_strndup(ps->arena, from, (size_t)(ps->p++ - from));
}

/* /…/ or m#…#, and where `sub` also s/…/…/ (its replacement becomes the child). Into *n. */
static bool regex(struct parser *ps, struct node *n, bool sub)
{
	const char *opened;
	unsigned flags = REGEX_DOTALL;
	bool all = false, replaces;
	struct err e = { .text = "" };
	char *pattern;
	char end;

	parse_blanks(ps);
	opened = ps->p;
	replaces = sub && *ps->p == 's';
	if (*ps->p != '/' && *ps->p != 'm' && !replaces) {
		parse_fault(ps, ps->p, "write /pattern/ or m#pattern#", "a regular expression is missing");
		return false;
	}
	ps->p += *ps->p != '/';
	end = *ps->p;
	if (!end || !strchr("/#$%^,;:_?|-!.'\"", end)) {
		parse_fault(ps, opened, "write /pattern/ or m#pattern#", "'%c' cannot enclose a regular expression", end ? end : ' ');
		return false;
	}
	ps->p++;
	pattern = until(ps, end, opened);
	if (!pattern)
		return false;
	if (replaces) {
		n->child = parse_text(ps, end, opened);
		if (!n->child)
			return false;
		ps->p++;
	}
	if (!regex_flags(ps, &flags, &all))
		return false;
	n->op = all;
	n->regex = regex_new(ps->arena, pattern, flags, &e);
	if (!n->regex)
		parse_fault(ps, opened, NULL, "%s", e.text);
	return n->regex != NULL;
}

/* ------------------------------------------------------------------------------------------------ words and lists */

static struct node *list(struct parser *ps);

/* word, word … up to `end`, chained. */
static struct node *words(struct parser *ps, const char *end, unsigned *n)
{
	struct node *first = NULL, **tail = &first;

	*n = 0;
	do {
		struct node *w = parse_word(ps);
		if (!w)
			return NULL;
		*tail = w;
		tail = &w->next;
		++*n;
	} while (take(ps, ","));
	return expect(ps, end, "behind the list of words") ? first : NULL;
}

struct node *parse_function(struct parser *ps, struct text name, const char *at, struct node *arguments, unsigned n)
{
	struct node *f = parse_node(ps, NODE_FUNCTION);
	unsigned least = 1, most = 1;
	char *lower = f ? arena_strndup(ps->arena, name.p, name.n) : NULL;
	struct text word;

	if (!lower)
		return parse_fault(ps, at, NULL, "out of memory");
	for (char *p = lower; *p; p++)
		*p = (char)ascii_lower((unsigned char)*p);
	word = text_of(lower);
	f->text = word;
	f->child = arguments;
	f->function = expr_function_find(lower, &least, &most);
	if (!f->function && ps->names && ps->names->function && !ps->names->function(lower))
		return parse_fault(ps, at, ps->names->list && ps->names->list(lower) ? "it gives a list: write 'text' in it" : NULL,
				   "there is no function \"%s\"", lower);
	if (n < least || n > most)
		return parse_fault(ps, at, NULL, "%s takes %u argument%s", lower, least, least == 1 ? "" : "s");
	if (text_is(word, "file") || text_is(word, "filesize") || text_is(word, "filemod")) {
		ps->uses |= EXPR_USES_FILES;
		if (ps->names && (ps->names->no_files || (ps->names->no_contents && text_is(word, "file"))))
			return parse_fault(ps, at, NULL, "%s is not available here", lower);
	}
	ps->uses |= text_is(word, "resp") ? EXPR_USES_RESPONSE : 0u;
	return f;
}

/* sub [(] s/…/…/, word [)] */
static struct node *substitution(struct parser *ps)
{
	struct node *n = parse_node(ps, NODE_SUB);
	bool open = take(ps, "(");

	if (!n)
		return NULL;
	parse_blanks(ps);
	if (*ps->p != 's')
		return parse_fault(ps, ps->p, "write sub(s/pattern/replacement/, word)", "a substitution s/…/…/ is missing");
	if (!regex(ps, n, true) || !expect(ps, ",", "behind the substitution") || !(n->child->next = parse_word(ps)))
		return NULL;
	return !open || expect(ps, ")", "behind the word") ? n : NULL;
}

/* join [(] list [, word] [)] */
static struct node *joined(struct parser *ps)
{
	bool open = take(ps, "(");
	struct node *of = list(ps), *between = NULL;

	if (!of || (take(ps, ",") && !(between = parse_word(ps))))
		return NULL;
	if (open && !expect(ps, ")", "behind the list"))
		return NULL;
	return node_of(ps, NODE_JOIN, 0, of, between);
}

static struct node *number(struct parser *ps)
{
	struct node *n = parse_node(ps, NODE_TEXT);
	const char *from = ps->p;

	ps->p += *ps->p == '-';
	ps->p += strspn(ps->p, "0123456789");
	while (ps->grammar == EXPR_SSLREQUIRE && ps->p[0] == '.' && ps->p[1] >= '0' && ps->p[1] <= '9')
		ps->p += 1 + strspn(ps->p + 1, "0123456789");
	if (n)
		n->text = (struct text){ arena_strndup(ps->arena, from, (size_t)(ps->p - from)), (size_t)(ps->p - from) };
	return n && n->text.p ? n : NULL;
}

static struct node *call(struct parser *ps)
{
	const char *at = ps->p;
	struct text name = { ps->p, strspn(ps->p, IDENTIFIER) };
	struct node *arguments;
	unsigned n;

	ps->p += name.n;
	if (text_is_nocase(name, "sub"))
		return substitution(ps);
	if (text_is_nocase(name, "join"))
		return joined(ps);
	parse_blanks(ps);
	if (*ps->p != '(')
		return parse_fault(ps, at, "put a text in quotes, a variable in %{ }", "\"%.*s\" is neither quoted nor a function", (int)name.n, name.p);
	ps->p++;
	arguments = words(ps, ")", &n);
	return arguments ? parse_function(ps, name, at, arguments, n) : NULL;
}

/* What a word begins with, one of its pieces. */
static struct node *piece(struct parser *ps)
{
	const char *at;
	struct node *n;

	parse_blanks(ps);
	at = ps->p;
	if (*at == '\'' || *at == '"') {
		ps->p++;
		n = parse_text(ps, *at, at);
		ps->p += n != NULL;             /* a fault may stand at the end of all */
		return n;
	}
	if (at[0] == '%' && at[1] == '{')
		return parse_variable(ps);
	if (at[0] == '$' && at[1] >= '0' && at[1] <= '9')
		return parse_capture(ps);
	if ((*at >= '0' && *at <= '9') || (*at == '-' && at[1] >= '0' && at[1] <= '9'))
		return number(ps);
	if (*at == '(') {
		ps->p++;
		n = parse_word(ps);
		return n && expect(ps, ")", "behind the word") ? n : NULL;
	}
	if (*at != '_' && strspn(at, IDENTIFIER))
		return call(ps);
	return parse_fault(ps, at, "write 'text', %{VARIABLE}, a number or function('text')", "a word is missing");
}

struct node *parse_word(struct parser *ps)
{
	struct node *first, **tail;

	if (!parse_enter(ps))
		return NULL;
	first = piece(ps);
	parse_blanks(ps);
	if (first && *ps->p == '.') {
		struct node *row = node_of(ps, NODE_CONCAT, 0, first, NULL);
		tail = &first->next;
		while (row && take(ps, ".")) {
			*tail = piece(ps);
			row = *tail ? row : NULL;
			tail = row ? &(*tail)->next : tail;
		}
		first = row;
	}
	parse_leave(ps);
	return first;
}

/* split [(] regex, list or word [)] */
static struct node *split(struct parser *ps)
{
	struct node *n = parse_node(ps, NODE_SPLIT), *of;
	bool open = take(ps, "(");
	const char *at;

	if (!n || !regex(ps, n, true) || !expect(ps, ",", "behind the regular expression"))
		return NULL;
	parse_blanks(ps);
	at = ps->p;
	of = *at == '{' || parse_list_name(ps, at) ? list(ps) : parse_word(ps);
	if (!of || (open && !expect(ps, ")", "behind the list")))
		return NULL;
	if (n->child)
		n->child->next = of;
	else
		n->child = of;
	n->op = (n->op ? 1u : 0u) | (n->child != of ? 2u : 0u);
	return n;
}

/* Whether the word there names a list: split, or a list function of the surroundings. */
bool parse_list_name(const struct parser *ps, const char *at)
{
	struct text name = { at, strspn(at, IDENTIFIER) };
	char lower[64];

	if (text_is_nocase(name, "split"))
		return true;
	if (!name.n || name.n >= sizeof lower)
		return false;
	for (size_t i = 0; i < name.n; i++)
		lower[i] = (char)ascii_lower((unsigned char)name.p[i]);
	lower[name.n] = '\0';
	return ps->names && ps->names->list ? ps->names->list(lower) : strcmp(lower, "peerextlist") == 0;
}

static struct node *list_function(struct parser *ps)
{
	struct text name = { ps->p, strspn(ps->p, IDENTIFIER) };
	struct node *f;
	char *lower;

	ps->p += name.n;
	if (!expect(ps, "(", "behind the function's name"))
		return NULL;
	f = node_of(ps, NODE_LIST_FUNCTION, 0, parse_word(ps), NULL);
	lower = arena_strndup(ps->arena, name.p, name.n);
	if (!f || !lower || !expect(ps, ")", "behind the argument"))
		return NULL;
	for (char *p = lower; *p; p++)
		*p = (char)ascii_lower((unsigned char)*p);
	f->text = text_of(lower);
	return f;
}

static struct node *list_at(struct parser *ps)
{
	struct node *n;
	unsigned count;

	parse_blanks(ps);
	if (take(ps, "{")) {
		n = parse_node(ps, NODE_LIST);
		if (n)
			n->child = words(ps, "}", &count);
		return n && n->child ? n : NULL;
	}
	if (take(ps, "(")) {
		n = list(ps);
		return n && expect(ps, ")", "behind the list") ? n : NULL;
	}
	if (take_word(ps, "split"))
		return split(ps);
	if (parse_list_name(ps, ps->p))
		return list_function(ps);
	return parse_fault(ps, ps->p, "write {'one', 'two'} or PeerExtList('1.2.3')", "a list is missing");
}

static struct node *list(struct parser *ps)
{
	struct node *n;

	if (!parse_enter(ps))
		return NULL;
	n = list_at(ps);
	parse_leave(ps);
	return n;
}

/* ------------------------------------------------------------------------------------------------ comparisons */

static struct node *matching(struct parser *ps, struct node *left, bool not)
{
	struct node *n = parse_node(ps, NODE_MATCH);

	if (!n || !regex(ps, n, false))
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
		return node_of(ps, NODE_IN, 0, left, list(ps));
	for (size_t i = 0; i < sizeof compares / sizeof *compares; i++)
		if (text_is_nocase(name, compares[i].name)) {
			unsigned how = ps->grammar == EXPR_SSLREQUIRE ? COMPARE_LENGTH : COMPARE_INTEGER;
			return node_of(ps, NODE_COMPARE, how + compares[i].op, left, parse_word(ps));
		}
	for (size_t i = 0; dash && i < sizeof globs / sizeof *globs; i++)
		if (text_is_nocase(name, globs[i].name))
			return node_of(ps, NODE_GLOB, globs[i].op, left, parse_word(ps));
	if (dash && text_is_nocase(name, "ipmatch")) {
		parse_blanks(ps);
		at = ps->p;
		right = parse_word(ps);
		n = right ? node_of(ps, NODE_ADDRESS, 0, left, NULL) : NULL;
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
	if (take(ps, "=~"))
		return matching(ps, left, false);
	if (take(ps, "!~"))
		return matching(ps, left, true);
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (take(ps, signs[i].sign))
			return node_of(ps, NODE_COMPARE, signs[i].op + (ps->grammar == EXPR_SSLREQUIRE ? COMPARE_LENGTH : 0u), left, parse_word(ps));
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
	n = node_of(ps, NODE_TEST, (unsigned char)(letter == 'A' ? 'U' : letter), word, NULL);
	if (n && letter == 'R' && !network(ps, n, word, network_at))
		return NULL;
	return n;
}

static struct node *condition(struct parser *ps);

static struct node *term(struct parser *ps)
{
	struct node *n;

	parse_blanks(ps);
	if (take(ps, "(")) {
		n = condition(ps);
		return n && expect(ps, ")", "behind the condition") ? n : NULL;
	}
	if (take_word(ps, "true"))
		return parse_node(ps, NODE_TRUE);
	if (take_word(ps, "false"))
		return parse_node(ps, NODE_FALSE);
	if (ps->p[0] == '-' && !(ps->p[1] >= '0' && ps->p[1] <= '9'))
		return test(ps);
	n = parse_word(ps);
	return n ? operation(ps, n) : NULL;
}

static struct node *negation(struct parser *ps)
{
	struct node *n;

	if (!take(ps, "!") && !take_word(ps, "not"))
		return term(ps);
	if (!parse_enter(ps))
		return NULL;
	n = node_of(ps, NODE_NOT, 0, negation(ps), NULL);
	parse_leave(ps);
	return n;
}

/* terms with && or || between them: one node, or the term alone. */
static struct node *row(struct parser *ps, enum node_kind kind)
{
	const char *sign = kind == NODE_OR ? "||" : "&&", *word = kind == NODE_OR ? "or" : "and";
	struct node *first = kind == NODE_OR ? row(ps, NODE_AND) : negation(ps), *all = NULL, **tail = first ? &first->next : NULL;

	while (first && (take(ps, sign) || take_word(ps, word))) {
		if (!all && !(all = node_of(ps, kind, 0, first, NULL)))
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
	if (!n || !expect(ps, ":}", "behind the word"))
		return NULL;
	return n->kind >= NODE_TEXT && n->kind <= NODE_CHOICE ? n : node_of(ps, NODE_CHOICE, 0, n, NULL);
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

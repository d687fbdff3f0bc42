/*
 * words.c - words, lists and regular expressions of an expression. Runs where parse.c runs.
 */
#include "expr/parse.h"

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
bool parse_regex(struct parser *ps, struct node *n, bool sub)
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

/* Whether the word there names a list: split, or a list function of the surroundings. */
static bool list_name(const struct parser *ps, const char *at)
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
	} while (parse_take(ps, ","));
	return parse_expect(ps, end, "behind the list of words") ? first : NULL;
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
	bool open = parse_take(ps, "(");

	if (!n)
		return NULL;
	parse_blanks(ps);
	if (*ps->p != 's')
		return parse_fault(ps, ps->p, "write sub(s/pattern/replacement/, word)", "a substitution s/…/…/ is missing");
	if (!parse_regex(ps, n, true) || !parse_expect(ps, ",", "behind the substitution") || !(n->child->next = parse_word(ps)))
		return NULL;
	return !open || parse_expect(ps, ")", "behind the word") ? n : NULL;
}

/* join [(] list [, word] [)] */
static struct node *joined(struct parser *ps)
{
	bool open = parse_take(ps, "(");
	struct node *of = parse_list(ps), *between = NULL;

	if (!of || (parse_take(ps, ",") && !(between = parse_word(ps))))
		return NULL;
	if (open && !parse_expect(ps, ")", "behind the list"))
		return NULL;
	return parse_node_of(ps, NODE_JOIN, 0, of, between);
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
		return n && parse_expect(ps, ")", "behind the word") ? n : NULL;
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
		struct node *row = parse_node_of(ps, NODE_CONCAT, 0, first, NULL);
		tail = &first->next;
		while (row && parse_take(ps, ".")) {
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
	bool open = parse_take(ps, "(");
	const char *at;

	if (!n || !parse_regex(ps, n, true) || !parse_expect(ps, ",", "behind the regular expression"))
		return NULL;
	parse_blanks(ps);
	at = ps->p;
	of = *at == '{' || list_name(ps, at) ? parse_list(ps) : parse_word(ps);
	if (!of || (open && !parse_expect(ps, ")", "behind the list")))
		return NULL;
	if (n->child)
		n->child->next = of;
	else
		n->child = of;
	n->op = (n->op ? 1u : 0u) | (n->child != of ? 2u : 0u);
	return n;
}

static struct node *list_function(struct parser *ps)
{
	struct text name = { ps->p, strspn(ps->p, IDENTIFIER) };
	struct node *f;
	char *lower;

	ps->p += name.n;
	if (!parse_expect(ps, "(", "behind the function's name"))
		return NULL;
	f = parse_node_of(ps, NODE_LIST_FUNCTION, 0, parse_word(ps), NULL);
	lower = arena_strndup(ps->arena, name.p, name.n);
	if (!f || !lower || !parse_expect(ps, ")", "behind the argument"))
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
	if (parse_take(ps, "{")) {
		n = parse_node(ps, NODE_LIST);
		if (n)
			n->child = words(ps, "}", &count);
		return n && n->child ? n : NULL;
	}
	if (parse_take(ps, "(")) {
		n = parse_list(ps);
		return n && parse_expect(ps, ")", "behind the list") ? n : NULL;
	}
	if (parse_take_word(ps, "split"))
		return split(ps);
	if (list_name(ps, ps->p))
		return list_function(ps);
	return parse_fault(ps, ps->p, "write {'one', 'two'} or PeerExtList('1.2.3')", "a list is missing");
}

struct node *parse_list(struct parser *ps)
{
	struct node *n;

	if (!parse_enter(ps))
		return NULL;
	n = list_at(ps);
	parse_leave(ps);
	return n;
}

/*
 * texts.c - what stands in quotes, in %{…} and in a whole text with variables. Runs where parse.c runs.
 */
#include "expr/parse.h"

struct node *parse_capture(struct parser *ps)
{
	struct node *n = parse_node(ps, NODE_CAPTURE);

	if (n)
		n->op = (unsigned)(ps->p[1] - '0');
	ps->p += 2;
	return n;
}

static struct node *literal(struct parser *ps, size_t n)
{
	struct node *t = parse_node(ps, NODE_TEXT);

	if (!t)
		return NULL;
	t->text = (struct text){ arena_strndup(ps->arena, ps->scratch, n), n };
	return t->text.p ? t : parse_fault(ps, ps->p, NULL, "out of memory");
}

/* \n and its like, \123 in octal; anything else is itself. -1 after a fault. p moves behind it. */
static int escaped(struct parser *ps)
{
	static const char letters[] = "nrtbf", means[] = "\n\r\t\b\f";
	const char *at = ps->p, *known;
	size_t digits = strspn(at + 1, "0123456789");
	unsigned value = 0;

	if (!at[1])
		return parse_fault(ps, at, "write two backslashes for one", "a backslash has nothing behind it"), -1;
	if (digits) {
		for (size_t i = 1; i <= digits; i++)
			value = digits <= 3 && at[i] < '8' ? value * 8 + (unsigned)(at[i] - '0') : 256;
		if (value == 0 || value > 255)
			return parse_fault(ps, at, "write a number from \\1 to \\377 in octal, at most three digits; a capture is $1",
					   "this is no character"), -1;
		ps->p += 1 + digits;
		return (int)value;
	}
	ps->p += 2;
	known = strchr(letters, at[1]);
	return known ? means[known - letters] : (unsigned char)at[1];
}

struct pieces {
	struct node *first, **tail;
	size_t n;                       /* bytes in the scratch buffer */
};

static bool add(struct pieces *all, struct node *n)
{
	if (!n)
		return false;
	*all->tail = n;
	all->tail = &n->next;
	return true;
}

static bool flush(struct parser *ps, struct pieces *all)
{
	size_t n = all->n;

	all->n = 0;
	return n == 0 || add(all, literal(ps, n));
}

struct node *parse_text(struct parser *ps, char end, const char *opened)
{
	struct pieces all = { .first = NULL };
	struct node *row;

	all.tail = &all.first;
	while (*ps->p != end) {
		int c;

		if (!*ps->p)
			return parse_fault(ps, opened, end == '}' ? "write %{NAME} or %{function:argument}" : "write the text in a pair of the same quotes",
					   "what begins here has no end '%c'", end);
		if ((ps->p[0] == '%' && ps->p[1] == '{') || (ps->p[0] == '$' && ps->p[1] >= '0' && ps->p[1] <= '9')) {
			if (!flush(ps, &all) || !add(&all, *ps->p == '%' ? parse_variable(ps) : parse_capture(ps)))
				return NULL;
			continue;
		}
		c = *ps->p == '\\' ? escaped(ps) : (unsigned char)*ps->p++;
		if (c < 0)
			return NULL;
		ps->scratch[all.n++] = (char)c;
	}
	if (!flush(ps, &all))
		return NULL;
	if (!all.first)
		return literal(ps, 0);
	if (!all.first->next)
		return all.first;
	row = parse_node(ps, NODE_CONCAT);
	if (row)
		row->child = all.first;
	return row;
}

/* What must be known beforehand about the variables of a name. */
static unsigned uses_of(struct text name)
{
	static const struct { const char *name; unsigned uses; } known[] = {
		{ "REMOTE_USER", EXPR_USES_USER }, { "AUTH_TYPE", EXPR_USES_USER }, { "REMOTE_HOST", EXPR_USES_NAMES },
		{ "REQUEST_STATUS", EXPR_USES_RESPONSE }, { "CONTENT_TYPE", EXPR_USES_RESPONSE },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (text_is_nocase(name, known[i].name))
			return known[i].uses;
	return 0;
}

static struct node *variable(struct parser *ps, struct text name, const char *at)
{
	struct node *n = parse_node(ps, NODE_VARIABLE);
	const char *copy = n ? arena_strndup(ps->arena, name.p, name.n) : NULL;

	if (!copy)
		return parse_fault(ps, at, NULL, "out of memory");
	if (ps->names && ps->names->variable && !ps->names->variable(copy))
		return parse_fault(ps, at, "a field of the request is %{req:Name}, a variable of the environment %{env:NAME}",
				   "there is no variable \"%s\"", copy);
	ps->uses |= uses_of(name);
	n->text = text_of(copy);
	return n;
}

static struct node *inside(struct parser *ps, const char *opened)
{
	struct text name;
	const char *at = ps->p;
	struct node *argument;

	if (*at == ':') {
		ps->p++;
		return parse_embedded(ps);
	}
	name = (struct text){ at, strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") };
	if (!name.n || *at == '_' || (*at >= '0' && *at <= '9'))
		return parse_fault(ps, at, "write %{NAME} or %{function:argument}", "the name of a variable is missing");
	ps->p += name.n;
	if (*ps->p == '}') {
		ps->p++;
		return variable(ps, name, at);
	}
	if (*ps->p != ':')
		return parse_fault(ps, *ps->p ? ps->p : opened, "write %{NAME} or %{function:argument}", *ps->p ?
				   "this cannot stand in the name of a variable" : "what begins here has no end '}'");
	ps->p++;
	at = ps->p;
	argument = parse_text(ps, '}', opened);
	if (!argument)
		return NULL;
	if (at == ps->p)
		return parse_fault(ps, at, "write %{function:argument}", "the argument of %.*s is missing", (int)name.n, name.p);
	ps->p++;
	return parse_function(ps, name, name.p, argument, 1);
}

struct node *parse_variable(struct parser *ps)
{
	const char *opened = ps->p;
	struct node *n;

	ps->p += 2;
	if (!parse_enter(ps))
		return NULL;
	n = inside(ps, opened);
	parse_leave(ps);
	return n;
}

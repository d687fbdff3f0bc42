/*
 * expr_fuzz.c - fuzzes server/expr with expressions. The first byte chooses the grammar. Holds:
 * - what is refused says at which column, inside the text or just behind it;
 * - what is taken is evaluated to true, false or no answer, and has no answer exactly if it says why;
 * - a text that was made is within its limit;
 * - evaluating twice gives the same.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "expr/expr.h"

static struct arena *arena;

static struct text variable(struct expr_ctx *x, const char *name)
{
	(void)x;
	return strcmp(name, "REMOTE_ADDR") == 0 ? TEXT("192.0.2.1") : name[0] == 'N' ? (struct text){ NULL, 0 } : text_of(name);
}

static struct text function(struct expr_ctx *x, const char *name, struct text argument)
{
	(void)x;
	return name[0] == 'n' ? (struct text){ NULL, 0 } : argument;
}

static bool file(struct expr_ctx *x, char op, struct text path)
{
	(void)x;
	CHECK(path.n && strchr("deLfshxFU", op));
	return path.p[0] == '/';
}

static struct text list(struct expr_ctx *x, const char *name, struct text argument, unsigned at)
{
	(void)x;
	(void)name;
	return at < 3 ? argument : (struct text){ NULL, 0 };
}

static bool is_list(const char *name)
{
	return name[0] == 'p';
}

static void check_fault(const struct err *e, size_t n)
{
	unsigned long column;

	CHECK(*e->text);
	if (strncmp(e->text, "column ", 7) != 0)
		return;                         /* too long, or no memory */
	column = strtoul(e->text + 7, NULL, 10);
	CHECK(column >= 1 && column <= n + 1);
}

static void check(const char *text, enum expr_grammar grammar)
{
	static const struct expr_names names = { .list = is_list };
	struct err e = { .text = "" };
	struct expr *x = expr_compile(arena, text, grammar, &names, &e);
	struct expr_ctx ctx = { .arena = arena, .variable = variable, .function = function, .file = file, .list = list };
	struct expr_ctx again = ctx;
	struct text t;
	int r;

	if (!x) {
		check_fault(&e, strlen(text));
		return;
	}
	CHECK(strcmp(expr_text(x), text) == 0);
	r = expr_true(x, &ctx);
	CHECK(r >= -1 && r <= 1 && (r < 0) == (ctx.failed != NULL));
	CHECK(expr_true(x, &again) == r);
	t = expr_string(x, &again);
	CHECK((t.p == NULL) == (again.failed != NULL));
	CHECK(t.n <= (size_t)1 << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text;

	if (n == 0 || n > 4096)
		return 0;
	if (!arena)
		arena = arena_new(65536);
	text = arena_strndup(arena, (const char *)data + 1, n - 1);
	check(text, data[0] % 3 == 0 ? EXPR_CONDITION : data[0] % 3 == 1 ? EXPR_STRING : EXPR_SSLREQUIRE);
	arena_reset(arena);
	return 0;
}

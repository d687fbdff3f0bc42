/*
 * format_test.c - server/log/format.c: what LogFormat strings come to, and which are refused.
 */
#include "log/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Each item answers with its letter, '>' or '<', and its argument. */
static bool value(void *ctx, const struct log_item *item, struct buf *b)
{
	(void)ctx;
	if (item->code == 'u')
		return item->arg != NULL;       /* somebody without a name */
	buf_printf(b, "%c%c%s", item->code, item->final ? '>' : '<', item->arg ? item->arg : "");
	return true;
}

static void formats_are_rendered(void **state)
{
	static const struct { const char *format, *line; unsigned status; } rows[] = {
		{ "plain", "plain\n", 200 },
		{ "%h %l", "h> l>\n", 200 },
		{ "%s %>s %<b", "s< s> b<\n", 200 },
		{ "%r%U%T%D%t", "r<U<T<D<t>\n", 200 },
		{ "%u", "-\n", 200 },
		{ "%{}u", "\"\"\n", 200 },
		{ "100%%", "100%\n", 200 },
		{ "\"%r\"\\t\\\\", "\"r<\"\t\\\n", 200 },
		{ "\\\"%r\\q", "\\\"r<\\q\n", 200 },            /* the words of the line have had their quotes taken already */
		{ "%{User-Agent}i %{a\"b}e", "i>User-Agent e>a\\\"b\n", 200 },
		{ "%404,500{X}i", "-\n", 200 },
		{ "%404,500{X}i", "i>X\n", 500 },
		{ "%!200,304s", "-\n", 304 },
		{ "%!200,304s", "s<\n", 404 },
		{ "%{X}>400i", "-\n", 200 },
		{ "", "\n", 200 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *a = arena_new(0);
		struct err e = { 0 };
		struct log_format *f = log_format_new(a, rows[i].format, &e);
		struct log_values v = { .value = value, .status = rows[i].status };
		char out[200];
		struct buf b;

		if (!f)
			fail_msg("%s: %s", rows[i].format, e.text);
		buf_init(&b, out, sizeof out);
		log_format_render(f, &v, &b);
		if (strcmp(out, rows[i].line))
			fail_msg("%s: \"%s\" is not \"%s\"", rows[i].format, out, rows[i].line);
		arena_free(a);
	}
}

static void what_is_no_item_is_refused_by_name(void **state)
{
	static const struct { const char *format, *says; } rows[] = {
		{ "%h %G", "\"%G\"" }, { "%", "ends before" }, { "%{x", "'}'" }, { "%i", "braces" }, { "%1000s", "100 to 999" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *a = arena_new(0);
		struct err e = { 0 };

		if (log_format_new(a, rows[i].format, &e) || !strstr(e.text, rows[i].says))
			fail_msg("%s: %s", rows[i].format, e.text);
		arena_free(a);
	}
}

static void what_a_format_uses_is_known(void **state)
{
	struct arena *a = arena_new(0);
	struct log_format *f = log_format_new(a, "%h I %{x}e", NULL);

	(void)state;
	assert_true(log_format_uses(f, 'h'));
	assert_true(log_format_uses(f, 'e'));
	assert_false(log_format_uses(f, 'I'));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_are_rendered),
		cmocka_unit_test(what_is_no_item_is_refused_by_name),
		cmocka_unit_test(what_a_format_uses_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

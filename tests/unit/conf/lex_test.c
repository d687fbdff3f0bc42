/*
 * lex_test.c - conf/lex.c: lines and words. Each row was compared with Apache 2.4.71.
 */
#include "tests/unit/conf/support.h"
#include "conf/internal.h"

/* Lines as "number:text|"; ! stands for one that is refused. */
static void lines_of(const char *text, size_t n, char *out, size_t size)
{
	struct world *w = world_new();
	struct conf_lines lines = { .p = text, .end = text + n };
	enum conf_line kind;
	char *line;
	size_t at = 0;

	*out = '\0';
	while ((kind = conf_lines_next(&lines, &w->env, &line)) != CONF_LINE_END)
		at += (size_t)snprintf(out + at, size - at, "%u:%s|", lines.line, kind == CONF_LINE ? line : "!");
	world_free(w);
}

static void test_lines(void **state)
{
	static const struct { const char *text; size_t n; const char *want; } rows[] = {
#define ROW(text, want) { text, sizeof(text) - 1, want }
		ROW("", ""),
		ROW("a", "1:a|"),
		ROW("a\n", "1:a|"),
		ROW("a\nb", "1:a|2:b|"),
		ROW("\n\n", "1:|2:|"),
		ROW(" \t a b \t\v\f \n", "1:a b|"),
		ROW("a\r\nb\r\n", "1:a|2:b|"),
		ROW("a\rb\n", "1:a\rb|"),
		ROW("a \\\nb", "2:a b|"),
		ROW("a \\\r\nb\r\n", "2:a b|"),
		ROW("a\\\nb", "2:ab|"),
		ROW("a \\\n  b", "2:a   b|"),
		ROW("a \\ \nb", "1:a \\|2:b|"),
		ROW("a \\ \r\nb", "1:a \\|2:b|"),
		ROW("a \\\\\nb", "2:a \\b|"),
		ROW("a \\\nb \\\nc\nd", "3:a b c|4:d|"),
		ROW("a \\", "1:a \\|"),
		ROW("a \\\r", "1:a \\|"),
		ROW("a \\\n", "1:a|"),
		ROW("\\\n\\\na", "3:a|"),
		ROW("# a \\\nb\nc", "2:# a b|3:c|"),
		ROW("a\0b\nc", "1:!|2:c|"),
		ROW("a \\\nb\0\nc", "2:!|3:c|"),
		ROW("\xc2\xa0 a", "1:\xc2\xa0 a|"),
#undef ROW
	};
	char got[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		lines_of(rows[i].text, rows[i].n, got, sizeof(got));
		assert_string_equal(got, rows[i].want);
	}
}

static void test_a_line_may_have_16_mib(void **state)
{
	size_t n = CONF_LINE_MAX + 4;
	char *text = malloc(n), *line;
	struct world *w = world_new();
	struct conf_lines lines = { .p = text, .end = text + n };

	(void)state;
	assert_non_null(text);
	memset(text, 'x', n);
	text[CONF_LINE_MAX] = '\n';
	assert_int_equal(conf_lines_next(&lines, &w->env, &line), CONF_LINE);
	assert_int_equal(strlen(line), CONF_LINE_MAX);
	text[CONF_LINE_MAX] = 'x';
	text[CONF_LINE_MAX + 1] = '\n';
	lines = (struct conf_lines){ .p = text, .end = text + n };
	assert_int_equal(conf_lines_next(&lines, &w->env, &line), CONF_LINE_LONG);
	assert_int_equal(conf_lines_next(&lines, &w->env, &line), CONF_LINE);
	assert_string_equal(line, "xx");
	world_free(w);
	free(text);
}

static void test_a_line_too_long_by_its_continuations(void **state)
{
	size_t n = CONF_LINE_MAX + 6, half = n / 2;
	char *text = malloc(n), *line;
	struct world *w = world_new();
	struct conf_lines lines = { .p = text, .end = text + n };

	(void)state;
	assert_non_null(text);
	memset(text, 'x', n);
	memcpy(text + half, "\\\n", 2);
	text[n - 1] = '\n';
	assert_int_equal(conf_lines_next(&lines, &w->env, &line), CONF_LINE_LONG);
	assert_int_equal(lines.line, 2);
	world_free(w);
	free(text);
}

static void test_words(void **state)
{
	static const struct { const char *line, *want; } rows[] = {
		{ "", "" },
		{ "  ", "" },
		{ "a b  c", "a|b|c|" },
		{ "a\tb\vc\fd", "a|b|c|d|" },
		{ "\"a b\" c", "a b|c|" },
		{ "'a b' c", "a b|c|" },
		{ "\"a\"b", "a|b|" },
		{ "a\"b c\"", "a\"b|c\"|" },
		{ "\"say \\\"hi\\\" 'there'\"", "say \"hi\" 'there'|" },
		{ "'it\\'s \"x\" \\\\ \\n'", "it's \"x\" \\ \\n|" },
		{ "\"a\\'b\"", "a\\'b|" },
		{ "a\\\\b\\\"c", "a\\b\\\"c|" },
		{ "\"a b", "a b|" },
		{ "\"a b\\", "a b\\|" },
		{ "\"a\\\"", "a\"|" },
		{ "\"", "|" },
		{ "\"\" ''", "||" },
		{ "a # b", "a|#|b|" },
		{ "\"^\\d+\\.x$\"", "^\\d+\\.x$|" },
		{ "\xe2\x80\x9c" "a b\xe2\x80\x9d", "\xe2\x80\x9c" "a|b\xe2\x80\x9d|" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world *w = world_new();
		const char *line = rows[i].line;
		char got[256] = "", *word;

		while ((word = conf_word(&w->env, &line))) {
			strcat(got, word);
			strcat(got, "|");
		}
		assert_string_equal(got, rows[i].want);
		assert_int_equal(*line, '\0');
		world_free(w);
	}
}

static void test_the_rest_of_the_line_stays(void **state)
{
	struct world *w = world_new();
	const char *line = " a   \"b\" c ";

	(void)state;
	assert_string_equal(conf_word(&w->env, &line), "a");
	assert_string_equal(line, "\"b\" c ");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_a_line_may_have_16_mib),
		cmocka_unit_test(test_a_line_too_long_by_its_continuations),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_the_rest_of_the_line_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * cond_test.c - conf/cond.c and how tree.c skips what a condition holds off. Rows were compared with Apache 2.4.71;
 * where we are stricter a comment says so.
 */
#include "tests/unit/conf/support.h"

static void test_modules_and_defines(void **state)
{
	static const struct row rows[] = {
		{ "<IfModule here_module>\nA\n</IfModule>\nB\n", "A[] B[]", NULL },
		{ "<IfModule mod_here.c>\nA\n</IfModule>\n", "A[]", NULL },
		{ "<ifmodule HERE_module>\nA\n</IFMODULE>\n", "", NULL },
		{ "<IfModule no_module>\nA\n</IfModule>\nB\n", "B[]", NULL },
		{ "<IfModule !no_module>\nA\n</IfModule>\n", "A[]", NULL },
		{ "<IfModule ! no_module>\nA\n</IfModule>\n", "A[]", NULL },
		{ "<IfModule !\"no_module\">\nA\n</IfModule>\n", "A[]", NULL },
		{ "<IfModule \"!no_module\">\nA\n</IfModule>\n", "", NULL },
		{ "<IfModule \"here_module\" >\nA\n</IfModule>\n", "A[]", NULL },
		{ "<IfModule here_module more>\nA\n</IfModule> more\n", "A[]", NULL },
		{ "Define A\n<IfDefine A>\nX\n</IfDefine>\n<IfDefine a>\nY\n</IfDefine>\n", "X[]", NULL },
		{ "<IfDefine !A>\nX\n</IfDefine>\n", "X[]", NULL },
		{ "Define N A\nDefine A\n<IfDefine ${N}>\nX\n</IfDefine>\n", "X[]", NULL },
		{ "<S>\n<IfModule here_module>\nA\n<T>\nB\n</T>\n</IfModule>\nC\n</S>\nD\n", "<S[] { A[] <T[] { B[] } C[] } D[]", NULL },
		{ "<IfModule here_module>\n<IfModule no_module>\nA\n</IfModule>\nB\n</IfModule>\n", "B[]", NULL },
	};

	(void)state;
	CHECK(rows);
}

static void test_what_is_skipped(void **state)
{
	static const struct row rows[] = {
		{ "<IfModule no>\n<IfModule here_module>\nA\n</IfModule>\nB\n</IfModule>\nC\n", "C[]", NULL },
		{ "<IfModule no>\n<S /x>\nA ${NOPE} \"\n</S>\n</IfModule>\nC\n", "C[]", NULL },
		{ "<IfModule no>\n<foo\n</foo>\n<IfModule>\n</IfModule>\nDefine\nInclude /none\n</IfModule>\nC\n", "C[]", NULL },
		{ "<IfModule no>\n# </IfModule>\nA\n</IfModule>\n", "", NULL },
		{ "<IfModule no>\nA \\\n</IfModule>\n</IfModule>\n", "", NULL },
		{ "<IfModule no>\nDefine A\n</IfModule>\n<IfDefine A>\nX\n</IfDefine>\n", "", NULL },
		{ "<IfModule no>\n<S>\n</T>\n</IfModule>\nC\n", "C[]", "E f:3: <S> opened at f:2 is closed by </T>" },
		{ "<IfModule no>\n</S>\nC\n", "C[]", "E f:2: <IfModule> opened at f:1 is closed by </S>" },
		{ "<IfModule no>\nA\n", "", "E f:1: <IfModule> is not closed" },
		{ "<IfModule no>\n</IfModule >\nC\n", "C[]", "E f:2: the closing tag </IfModule has no" },
	};

	(void)state;
	CHECK(rows);
}

static void test_faults(void **state)
{
	static const struct row rows[] = {
		/* Apache takes a condition that holds and is left open for closed. */
		{ "<IfModule here_module>\nA\n", "A[]", "E f:1: <IfModule> is not closed" },
		{ "<IfDefine !X>\nA\n", "A[]", "E f:1: <IfDefine> is not closed" },
		{ "<IfModule>\nA\n</IfModule>\nB\n", "B[]", "E f:1: <IfModule> needs an argument|<IfModule ssl_module>" },
		{ "<IfModule !>\nA\n</IfModule>\n", "", "E f:1: <IfModule> needs an argument" },
		{ "<IfDefine \"\">\nA\n</IfDefine>\n", "", "E f:1: <IfDefine> needs an argument" },
		{ "<IfModule here_module\nA\n</IfModule>\n", "A[]", "E f:1: the tag <IfModule here_module has no \">\"" },
		{ "<S>\n<IfModule here_module>\n</S>\n</IfModule>\n", NULL, "E f:3: <IfModule> opened at f:2 is closed by </S>" },
		{ "<IfModule here_module>\n<S>\n</IfModule>\n", NULL, "E f:3: <S> opened at f:2 is closed by </IfModule>" },
	};

	(void)state;
	CHECK(rows);
}

static void test_versions(void **state)
{
	static const struct { const char *args; bool holds; const char *said; } rows[] = {
		{ ">= 2.4", true, NULL },
		{ ">= 2.4.71", true, NULL },
		{ "> 2.4.71", false, NULL },
		{ "< 2.3", false, NULL },
		{ "!< 2.4", true, NULL },
		{ "= 2.4", false, NULL },
		{ "2.4.71", true, NULL },
		{ "== 2.4.71", true, NULL },
		{ "<= 3", true, NULL },
		{ "!= 2.4.71", false, NULL },
		{ ">= 2.", true, NULL },
		{ "\">=\" \"2.4\"", true, NULL },
		{ "~ ^2\\.4", true, NULL },
		{ "!~ ^2\\.4", false, NULL },
		{ "~ /^2.4/", false, NULL },
		{ "= /^2.4.[0-9]+$/", true, NULL },
		{ "= /^2.2/", false, NULL },
		{ ">= 2.4.x", false, "\"2.4.x\" is no version" },
		{ ">= 2.4.1.2", false, "\"2.4.1.2\" is no version" },
		{ "!2.4.1", false, "\"!2.4.1\" is no version" },
		{ ">=2.4", false, "\">=2.4\" is no version" },
		{ "<> 2.4", false, "takes an operator" },
		{ "=> 2.4", false, "takes an operator" },
		{ ">= 2 4", false, "takes an operator" },
		{ "! = 2.4.1", false, "takes an operator" },
		{ "", false, "takes an operator" },
		{ "= /2.4", false, "does not end with a slash" },
		{ "~ (", false, "is no regular expression" },
	};
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct row row = { text, rows[i].holds ? "A[]" : "", rows[i].said };

		snprintf(text, sizeof(text), "<IfVersion %s>\nA\n</IfVersion>\n", rows[i].args);
		check_rows(&row, 1);
	}
}

static void test_files_and_directives(void **state)
{
	static const struct row rows[] = {
		{ "ServerRoot /etc\n<IfFile passwd>\nA\n</IfFile>\n", "ServerRoot[/etc] A[]", NULL },
		{ "<IfFile /etc>\nA\n</IfFile>\n", "A[]", NULL },
		{ "<IfFile !\"/no/such file\">\nA\n</IfFile>\n", "A[]", NULL },
		{ "<IfFile >\nA\n</IfFile>\n", "", "E f:1: <IfFile> needs an argument" },
		{ "<IfDirective known>\nA\n</IfDirective>\n", "A[]", NULL },
		{ "<IfDirective !Unknown>\nA\n</IfDirective>\n", "A[]", NULL },
		{ "<IfSection Known>\nA\n</IfSection>\n<IfSection Unknown>\nB\n</IfSection>\n", "A[]", NULL },
	};
	static const struct row refused = { "<IfVersion >= 2.4>\nA\n</IfVersion>\n<IfDirective A>\n</IfDirective>\n", "",
		"E f:1: <IfVersion> is not available|E f:4: <IfDirective> is not available" };
	struct world *w = world_new();

	(void)state;
	CHECK(rows);
	w->env.version = NULL;
	w->env.has_directive = NULL;
	check_row_in(w, &refused);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modules_and_defines),
		cmocka_unit_test(test_what_is_skipped),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_files_and_directives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

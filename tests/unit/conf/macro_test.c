/*
 * macro_test.c - conf/macro.c. The trees of the rows were compared with Apache 2.4.71 (mod_macro).
 */
#include "tests/unit/conf/support.h"

static void test_use(void **state)
{
	static const struct row rows[] = {
		{ "<Macro M $a $b>\nX $a $b\n<S $b>\nY\n</S>\n</Macro>\nuse m 1 \"2 3\"\nZ\n", "X[1 2 3] <S[2 3] { Y[] } Z[]", NULL },
		{ "<macro M>\nX\n</MACRO>\nUse M\nUse M\n", "X[] X[]", NULL },
		{ "<Macro M @a>\nX @a\n</Macro>\nUse M 'a \"b\" \\c'\n", "X[\"a \\\"b\\\" \\\\c\"]", NULL },
		{ "<Macro M %a>\nX %a%a z%a\n</Macro>\nUse M %a\n", "X[%a%a z%a]", NULL },       /* what was put in is not looked at again */
		{ "<Macro M $a>\nX ${v}$a\n</Macro>\nDefine v 7\nUse M \\${v}\n", "X[7\\7]", NULL },     /* ${…} counts where it is used */
		{ "Define N M\n<Macro ${N}>\nX\n</Macro>\nUse ${N}\n", "X[]", NULL },
		{ "<Macro M $a>\nUse N $a\n</Macro>\n<Macro N $b>\nX $b\n</Macro>\nUse M 1\n", "X[1]", NULL },
		{ "<Macro M $a>\n<Macro $a>\nX\n</Macro>\n</Macro>\nUse M N\nUse N\n", "X[]", NULL },
		{ "<Macro M $a>\n<IfDefine $a>\nX\n</IfDefine>\nDefine W $a\n</Macro>\nDefine D\nUse M D\nUse M E\nY ${W}\n", "X[] Y[E]", NULL },
		{ "<Macro M $a>\n# $a </Macro>\nX \\\n $a\n</Macro>\nUse M 1\n", "X[1]", NULL },
		{ "<IfDefine NO>\n<Macro M>\nX\n</Macro>\nUse M\n</IfDefine>\nY\n", "Y[]", NULL },
		{ "<S>\n<Macro M>\nX\n</Macro>\nUse M\n</S>\nUse M\n", "<S[] { X[] } X[]", NULL },
		{ "<Macro M>\nX\n</Macro>\nUndefMacro m\n<Macro M>\nY\n</Macro>\nUse M\n", "Y[]", NULL },
	};

	(void)state;
	CHECK(rows);
}

static void test_warnings(void **state)
{
	static const struct row rows[] = {
		{ "<Macro M $a $ab>\nX $a $ab\n</Macro>\nUse M 1 2\n", "X[1 2]", "W f:1: <Macro>: the argument $ab of macro M begins like its argument $a" },
		{ "<Macro M a>\nXa\n</Macro>\nUse M 1\n", "X1[]", "W f:1: <Macro>: argument a of macro M begins like an ordinary word" },
		{ "<Macro M $a>\nX\n</Macro>\nUse M 1\n", "X[]", "W f:3: <Macro>: the macro M does not use its argument $a" },
		{ "<Macro M>\n</Macro>\nUse M\n", "", "W f:2: <Macro>: the macro M is empty" },
		{ "<Macro M>\nX\n</Macro>\n<Macro m>\nY\n</Macro>\nUse M\n", "Y[]", "W f:4: <Macro>: the macro m, defined at f:1, is defined anew" },
		{ "<Macro M $a>\nX $a\n</Macro>\nUse M \"\"\n", "X[]", "W f:4: Use: the value of $a for the macro M is empty" },
		{ "<Macro M>\n<S>\nX\n</Macro>\nUse M\nY\n</S>\n", "<S[] { X[] Y[] }", "W f:4: <Macro>: the macro M opens and closes different" },
		{ "<Macro M ${a}>\nX ${a}\n</Macro>\nUse M 1\n", "X[1]", "W f:1: the variable ${a} is not defined" },
	};

	(void)state;
	CHECK(rows);
}

static void test_faults(void **state)
{
	static const struct row rows[] = {
		{ "<Macro>\nX\n</Macro>\nY\n", "Y[]", "E f:1: <Macro> needs a name" },
		{ "<Macro M $a $a>\nX $a\n</Macro>\n", "", "E f:1: <Macro>: two arguments of macro M have the name $a" },
		{ "<Macro M \"\">\nX\n</Macro>\n", "", "E f:1: <Macro>: argument 1 of macro M has no name" },
		{ "<Macro M>\nX\n", "", "E f:1: <Macro> is not closed before the end of the file; add </Macro>" },
		{ "</Macro>\n", "", "E f:1: </Macro> closes nothing" },
		{ "Use\n", "", "E f:1: Use needs the name of a macro" },
		{ "Use M\n", "", "E f:1: Use: there is no macro M" },
		{ "UndefMacro M\n", "", "E f:1: UndefMacro: there is no macro M" },
		{ "UndefMacro\n", "", "E f:1: UndefMacro takes one name" },
		{ "<Macro M $a>\nX $a\n</Macro>\nUse M\nUse M 1 2\n", "", "E f:4: Use: the macro M, defined at f:1, takes 1 argument, not 0|E f:5: Use" },
		{ "<Macro M>\nX\nUse M\n</Macro>\n\nUse M\nY\n", "X[] Y[]", "E f:6: line 2 of macro M defined at f:1, used at f:6: Use: the macro M uses itself" },
		{ "<Macro M>\n</S>\n</Macro>\nUse M\n", "", "W f:3|E f:4: line 1 of macro M defined at f:1, used at f:4: </S> closes nothing" },
		{ "<Macro N>\nX\nDefine\n</Macro>\n<Macro M>\nUse N\n</Macro>\nUse M\n", "X[]",
		  "E f:8: line 2 of macro N defined at f:1, used in line 1 of macro M defined at f:5, used at f:8: Define takes" },
		{ "<Macro M>\n<Macro N>\n</Macro>\nUse M\n", "", "E f:1: <Macro> is not closed" },
	};

	(void)state;
	CHECK(rows);
}

/* Each macro uses the next one a hundred times: 10^12 lines. */
static void test_a_bomb_is_cut_short(void **state)
{
	struct world *w = world_new();
	char text[16384] = "";
	size_t n = 0;

	(void)state;
	for (unsigned m = 0; m < 6; m++) {
		n += (size_t)snprintf(text + n, sizeof text - n, "<Macro M%u>\n", m);
		for (unsigned i = 0; i < 100; i++)
			n += (size_t)snprintf(text + n, sizeof text - n, "Use M%u\n", m + 1);
		n += (size_t)snprintf(text + n, sizeof text - n, "</Macro>\n");
	}
	snprintf(text + n, sizeof text - n, "<Macro M6>\n#\n</Macro>\nUse M0\n");
	conf_read_text(text, "f", &w->env);
	assert_int_equal(w->env.errors, 1);
	assert_non_null(strstr(w->said, "macros come to more than"));
	world_free(w);
}

static void test_not_in_htaccess(void **state)
{
	struct world *w = world_new();
	static const struct row row = { "<Macro M>\nX\n</Macro>\nUse M\nUndefMacro M\nY\n", "Y[]",
					"E f:1: <Macro> is not allowed|E f:4: Use is not allowed|E f:5: UndefMacro is not allowed" };

	(void)state;
	w->env.no_define = true;
	check_row_in(w, &row);
	world_free(w);
}

static void test_error(void **state)
{
	static const struct row rows[] = {
		{ "Error \"a b\"\nX\n", "X[]", "E f:1: Error: a b" },
		{ "Error a b c\n", "", "E f:1: Error: a b c" },
		{ "Error\n", "", "E f:1: Error needs a text" },
		{ "<IfDefine NO>\nError x\n</IfDefine>\n", "", NULL },
		{ "<IfDirective Use>\nA\n</IfDirective>\n<IfDirective include>\nB\n</IfDirective>\n<IfSection IfModule>\nC\n</IfSection>\n"
		  "<IfSection Macro>\nD\n</IfSection>\n<IfSection Nope>\nE\n</IfSection>\n", "A[] B[] C[] D[]", NULL },
	};

	(void)state;
	CHECK(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_use), cmocka_unit_test(test_warnings), cmocka_unit_test(test_faults), cmocka_unit_test(test_a_bomb_is_cut_short),
		cmocka_unit_test(test_not_in_htaccess), cmocka_unit_test(test_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

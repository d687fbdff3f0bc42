/*
 * define_test.c - conf/define.c. Each row was compared with Apache 2.4.71.
 */
#include "tests/unit/conf/support.h"

static void test_define_and_expand(void **state)
{
	static const struct row rows[] = {
		{ "Define A b\nX \"${A}!\" ${A}${A}\n", "X[\"b!\" bb]", NULL },
		{ "define A \"x y\"\nX ${A}\n", "X[x y]", NULL },
		{ "Define A 'a \" b'\nX \"${A}\"\n", "X[\"a \" b\"]", NULL },
		{ "X ${CONF_TEST_ENV}\n", "X[from outside]", NULL },
		{ "Define CONF_TEST_ENV inside\nX ${CONF_TEST_ENV}\n", "X[inside]", NULL },
		{ "Define A 1\nDefine a 2\nX ${A}${a}\n", "X[22]", NULL },
		{ "Define A 1\nDefine A\nX ${A}\n", "X[1]", NULL },
		{ "Define A 1\nDefine B ${A}2\nDefine A 3\nX ${B}\n", "X[12]", NULL },
		{ "Define N X\n${N} a\n<${N} b>\n</${N}>\n", "X[a] <X[b] { }", NULL },
		{ "Define L \"X hello\"\n${L}\n", "X[hello]", NULL },
		{ "Define G >\n<X y${G}\n</X>\n", "<X[y] { }", NULL },
		{ "X $A ${A $ $$ $\n", "X[$A ${A $ $$ $]", NULL },
		{ "X ${m:k} %{A}e\n", "X[${m:k} %{A}e]", NULL },
		{ "# ${NOPE}\n", "", NULL },
		/* asks whether a variable of the environment is set */
		{ "Define VStart \"${\"\nDefine VEnd \"}\"\nX T_${VStart}CONF_TEST_ENV${VEnd}\n", "X[T_${CONF_TEST_ENV}]", NULL },
		{ "<S>\nDefine A b\n</S>\nX ${A}\n", "<S[] { } X[b]", NULL },
		{ "Define A\nX ${A}\n", "X[${A}]", "W f:2: the variable ${A} is not defined; the text stays|Define A value" },
		{ "Define A \"\"\nX ${A}\n", "X[${A}]", "W f:2: the variable ${A}" },
		{ "X ${}\n", "X[${}]", "W f:1: the variable ${} is" },
		{ "Define A b\nX ${X${A}} c\n", "X[${X${A}} c]", "W f:2: the variable ${X${A} is" },
		{ "X ${APACHE_LOG_DIR_X}/a\n", "X[${APACHE_LOG_DIR_X}/a]",
		  "W f:1: the variable ${APACHE_LOG_DIR_X} is not defined|/etc/apache2/envvars|bulkheadctl" },
		{ "Define A b\nUnDefine A\nX ${A}\n", "X[${A}]", "W f:3: the variable ${A}" },
		{ "Define Foo 1\nDefine FOO 2\nUnDefine FOO\n<IfDefine Foo>\nX ${Foo}\n</IfDefine>\n<IfDefine FOO>\nY\n</IfDefine>\n",
		  "X[${Foo}]", "W f:5: the variable ${Foo}" },
		{ "UnDefine nope\n", "", NULL },
	};

	(void)state;
	setenv("CONF_TEST_ENV", "from outside", 1);
	CHECK(rows);
}

static void test_faults(void **state)
{
	static const struct row rows[] = {
		{ "Define\nX\n", "X[]", "E f:1: Define takes a name and at most one value" },
		{ "Define \"\" x\n", "", "E f:1: Define takes" },
		{ "Define a b c\n", "", "E f:1: Define takes|put a value that holds blanks into quotes" },
		{ "Define a b # c\n", "", "E f:1: Define takes|a comment must stand on a line of its own" },
		{ "Define a:b c\n", "", "E f:1: Define: the name \"a:b\" must not contain a colon" },
		{ "UnDefine\n", "", "E f:1: UnDefine takes one name" },
		{ "UnDefine a b\n", "", "E f:1: UnDefine takes one name" },
	};

	(void)state;
	CHECK(rows);
}

static void test_a_name_is_warned_of_once(void **state)
{
	struct world *w = world_new();

	(void)state;
	conf_read_text("X ${NOPE} ${NOPE} ${NADA}\nY ${NOPE}\n", "f", &w->env);
	conf_read_text("X ${NOPE}\n", "g", &w->env);
	assert_int_equal(w->reports, 2);
	assert_int_equal(w->env.errors, 0);
	world_free(w);
}

static void test_growth_is_bounded(void **state)
{
	struct world *w = world_new();
	char text[4096] = "Define A xxxxxxxxxxxxxxxx\n", *at = text + strlen(text);
	int i;

	(void)state;
	for (i = 0; i < 40; i++)
		at += sprintf(at, "Define A ${A}${A}\n");
	conf_read_text(text, "f", &w->env);
	assert_non_null(strstr(w->said, "grows over 1048576 bytes by its variables"));
	world_free(w);
}

static void test_what_the_command_line_defined(void **state)
{
	struct world *w = world_new();
	struct conf_define given = { .name = "GIVEN" };
	static const struct row row = { "<IfDefine GIVEN>\nX\n</IfDefine>\nUnDefine GIVEN\n<IfDefine GIVEN>\nY\n</IfDefine>\n", "X[]", NULL };

	(void)state;
	w->env.defines = &given;
	check_row_in(w, &row);
	world_free(w);
}

static void test_htaccess_defines_nothing(void **state)
{
	struct world *w = world_new();
	static const struct row row = { "Define A b\nUnDefine A\n<IfDefine A>\nX\n</IfDefine>\n", "",
		"E f:1: Define is not allowed in .htaccess|E f:2: UnDefine is not allowed" };

	(void)state;
	w->env.no_define = true;
	check_row_in(w, &row);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_define_and_expand),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_a_name_is_warned_of_once),
		cmocka_unit_test(test_growth_is_bounded),
		cmocka_unit_test(test_what_the_command_line_defined),
		cmocka_unit_test(test_htaccess_defines_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

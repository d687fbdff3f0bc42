/*
 * tree_test.c - conf/tree.c: nesting, tags, what an unfit file says. "f" is the file's name in all messages.
 */
#include "tests/unit/conf/support.h"
#include "conf/internal.h"

static void test_nesting(void **state)
{
	static const struct row rows[] = {
		{ "", "", NULL },
		{ "\n# nothing\n   # here\n", "", NULL },
		{ "A x\nB  \"y  z\" \n", "A[x] B[\"y  z\"]", NULL },
		{ "A", "A[]", NULL },
		{ "<S /x>\nA 1\n</S>\nB 2", "<S[/x] { A[1] } B[2]", NULL },
		{ "<S>\n<T a>\nA\n<U b>\n</U>\n</T>\nB\n</S>\nC", "<S[] { <T[a] { A[] <U[b] { } } B[] } C[]", NULL },
		{ "<s /x>\n</S>\n<T>\n</t>", "<s[/x] { } <T[] { }", NULL },
		{ "<S \"/x y\" >\n</S>", "<S[\"/x y\"] { }", NULL },
		{ "<S>\n</S> words behind\n", "<S[] { }", NULL },
		{ "<S /x> # words behind\n</S>", "<S[/x] { }", NULL },
		{ "<S \"a>b\">\n</S>", "<S[\"a>b\"] { }", NULL },
		{ "<S \"a><b\">\n</S>", "<S[\"a><b\"] { }", NULL },
		{ "\"A\" x\n<S>\n\"</S>\"", "A[x] <S[] { }", NULL },
		{ "\"\" x\nA", "A[]", NULL },
		{ "# comment \\\nA swallowed\nB", "B[]", NULL },
		{ "A x \\\n# not a comment\nB", "A[x # not a comment] B[]", NULL },
	};

	(void)state;
	CHECK(rows);
}

static void test_faulty_tags(void **state)
{
	static const struct row rows[] = {
		{ "<S /x>\nA\n", NULL, "E f:1: <S> is not closed before the end|</S>" },
		{ "A\n</S>\n", NULL, "E f:2: </S> closes nothing: no section is open here; write <S …> where the section begins" },
		{ "<S>\nA\n</T>\nB", "<S[] { A[] } B[]", "E f:3: <S> opened at f:1 is closed by </T>|write </S>" },
		{ "<S>\n<T>\n</S>\nB", "<S[] { <T[] { } } B[]", "E f:3: <T> opened at f:2 is closed by </S>|put </T> before" },
		{ "<S>\n<T>\n<U>\n</S>\nB", NULL, "E f:4: <U> opened at f:3|E f:4: <T> opened at f:2" },
		{ "<S>\n</S >\nB", "<S[] { } B[]", "E f:2: the closing tag </S has no \">\"|write </S>" },
		{ "<S>\n</S\nB", "<S[] { } B[]", "E f:2: the closing tag </S has no \">\"" },
		{ "< S /x>\n</S>\nB", "<S[/x] { } B[]", "E f:1: \"<\" stands without the name|without a blank" },
		{ "<\nB", "B[]", "E f:1: \"<\" stands without" },
		{ "<>\nB", "B[]", "E f:1: \"<\" stands without" },
		{ "</>\nB", "B[]", "E f:1: </> closes nothing" },
		{ "</\nB", "B[]", "E f:1: the closing tag </ has no" },
		{ "<S /x\n</S>\nB", "<S[/x] { } B[]", "E f:1: the tag <S /x has no \">\"" },
		{ "<S\n</S>\nB", "<S[] { } B[]", "E f:1: the tag <S has no \">\"" },
		{ "<S /x></S>\nB", "B[]", "E f:1: <S>: there are two tags in this line, </S>" },
		{ "<S /x><T y>\n</S>\nB", NULL, "E f:1: <S>: there are two tags in this line, <T y>" },
		{ "<S>\n<T>\n", NULL, "E f:2: <T> is not closed|E f:1: <S> is not closed" },
	};

	(void)state;
	CHECK(rows);
}

static void test_all_faults_are_told(void **state)
{
	struct world *w = world_new();
	const char *text = "</A>\n<B\n</B>\n<C>\n</D>\nDefine\n<E>\n";

	(void)state;
	conf_read_text(text, "f", &w->env);
	assert_int_equal(w->env.errors, 5);
	assert_int_equal(w->reports, 5);
	world_free(w);
}

static void test_errors_are_bounded(void **state)
{
	struct world *w = world_new();
	char text[5 * 150 + 1] = "";
	int i;

	(void)state;
	for (i = 0; i < 150; i++)
		strcat(text, "</X>\n");
	conf_read_text(text, "f", &w->env);
	assert_int_equal(w->env.errors, 150);
	assert_int_equal(w->reports, CONF_ERRORS_TOLD + 1);
	assert_non_null(strstr(w->said, "E f:101: more errors follow; only the first 100 are told"));
	world_free(w);
}

static void test_depth_is_bounded(void **state)
{
	struct world *w = world_new();
	char *text = calloc(1, 200 * 9 + 1);
	int i;

	(void)state;
	assert_non_null(text);
	for (i = 0; i < 100; i++)
		strcat(text, "<X>\n");
	for (i = 0; i < 100; i++)
		strcat(text, "</X>\n");
	conf_read_text(text, "f", &w->env);
	assert_int_equal(w->env.errors, 1);
	assert_non_null(strstr(w->said, "E f:65: <X> is nested deeper than 64 sections"));
	free(text);
	world_free(w);
}

static void test_encodings(void **state)
{
	static const struct row rows[] = {
		{ "\xef\xbb\xbf# comment\nA\n", "A[]", "E f:1: the file begins with a byte order mark (BOM); save the file without BOM" },
		{ "\xff\xfe" "A\nB\n", "", "E f:1: the file is in UTF-16" },
		{ "A\n\xef\xbb\xbf" "B\n", "A[] \xef\xbb\xbf" "B[]", NULL },
	};
	static const char nul[] = "A\n<S>\nB x\0y\nC\n";
	struct world *w = world_new();
	struct conf_tree tree = { .first = NULL };
	struct conf_reader r = { .env = &w->env, .tree = &tree };

	(void)state;
	CHECK(rows);
	conf_read_lines(&r, nul, sizeof(nul) - 1, "f");
	assert_int_equal(w->reports, 1);
	assert_non_null(strstr(w->said, "E f:3: the line holds a NUL byte"));
	assert_string_equal(tree.first->name, "A");
	world_free(w);
}

static void test_positions(void **state)
{
	struct world *w = world_new();
	struct conf_tree *t = conf_read_text("A\n\n<S \\\nx>\nB \\\n  y \\\n z\n</S>\n", "f", &w->env);

	(void)state;
	assert_int_equal(t->first->pos.line, 1);
	assert_int_equal(t->first->next->pos.line, 4);
	assert_int_equal(t->first->next->child->pos.line, 7);
	assert_string_equal(t->first->next->child->args, "y  z");
	assert_ptr_equal(t->first->next->child->parent, t->first->next);
	assert_ptr_equal(t->last, t->first->next);
	world_free(w);
}

static void test_join(void **state)
{
	struct world *w = world_new();
	struct conf_tree *a = conf_read_text("A\n", "f", &w->env), *b = conf_read_text("B\nC\n", "g", &w->env);
	struct conf_tree *none = conf_read_text("", "h", &w->env), *all = conf_read_text("", "h", &w->env);
	char got[64] = "";

	(void)state;
	conf_join(all, none);
	conf_join(all, a);
	conf_join(all, none);
	conf_join(all, b);
	dump(all->first, got, sizeof(got));
	assert_string_equal(got, "A[] B[] C[] ");
	assert_string_equal(all->last->name, "C");
	world_free(w);
}

static void test_server_root_counts_at_once(void **state)
{
	static const struct { const char *text, *root; } rows[] = {
		{ "ServerRoot \"/srv/www/\"\n", "/srv/www" },
		{ "serverroot /srv\nServerRoot /\n", "/" },
		{ "<S>\nServerRoot /srv\n</S>\n", "" },
		{ "<IfModule here_module>\nServerRoot /srv\n</IfModule>\n", "/srv" },
		{ "<IfModule no_module>\nServerRoot /srv\n</IfModule>\n", "" },
		{ "ServerRoot /a /b\n", "" },
		{ "ServerRoot\n", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world *w = world_new();

		conf_read_text(rows[i].text, "f", &w->env);
		assert_string_equal(w->env.root, rows[i].root);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_faulty_tags),
		cmocka_unit_test(test_all_faults_are_told),
		cmocka_unit_test(test_errors_are_bounded),
		cmocka_unit_test(test_depth_is_bounded),
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_server_root_counts_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

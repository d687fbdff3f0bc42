/*
 * include_test.c - conf/include.c on real files in a folder of its own. @ in texts and expectations stands for it.
 * Rows were compared with Apache 2.4.71.
 */
#include "tests/unit/conf/support.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/conf-include-XXXXXX";

static void put(const char *name, const char *text)
{
	char path[512], *slash;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (slash = strchr(path + strlen(folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			fail();
		*slash = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void filled(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n + sizeof(folder) < size; text++) {
		if (*text == '@')
			n += (size_t)snprintf(out + n, size - n, "%s", folder);
		else
			out[n++] = *text;
	}
	out[n] = '\0';
}

static int set_up(void **state)
{
	char to[512], at[512];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	put("d1/a.conf", "A d1a\n");
	put("d1/sub/z.conf", "A d1sub\n");
	put("d1/.hid", "A d1hid");
	put("d2/a.conf", "A d2a\n");
	put("d2/B.conf", "A d2B\n");
	put("site-x/conf.d/1.conf", "A x1\n");
	put("site-y/conf.d/1.conf", "A y1\n");
	put("site-y/conf.d/2.conf", "A y2\n");
	put("empty.conf", "");
	put("bad.conf", "# fine\n</Z>\n");
	put("open.conf", "<S>\n");
	put("close.conf", "</S>\n");
	put("self.conf", "A self\nInclude self.conf\n");
	put("ping.conf", "Include pong.conf\n");
	put("pong.conf", "\nInclude ping.conf\n");
	put("name with blank.conf", "A blank\n");
	put("other/root/in.conf", "A other\n");
	put("big.conf", "");
	snprintf(to, sizeof(to), "%s/d1", folder);
	snprintf(at, sizeof(at), "%s/d3", folder);
	assert_int_equal(symlink(to, at), 0);
	snprintf(at, sizeof(at), "%s/round/again", folder);
	put("round/A.conf", "A round\n");
	snprintf(to, sizeof(to), "%s/round", folder);
	assert_int_equal(symlink(to, at), 0);
	put("lost/x", "");
	snprintf(at, sizeof(at), "%s/lost/dang.conf", folder);
	assert_int_equal(symlink("/nowhere/at/all", at), 0);
	snprintf(at, sizeof(at), "%s/pipe", folder);
	assert_int_equal(mkfifo(at, 0600), 0);
	snprintf(at, sizeof(at), "%s/big.conf", folder);
	assert_int_equal(truncate(at, (off_t)65 * 1024 * 1024), 0);
	return 0;
}

static int away(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(folder, away, 8, FTW_DEPTH | FTW_PHYS);
}

static void check(const struct row *rows, size_t n)
{
	char text[2048], tree[2048], said[2048];
	size_t i;

	for (i = 0; i < n; i++) {
		struct world *w = world_new();
		struct row row = { text, rows[i].tree ? tree : NULL, rows[i].said ? said : NULL };

		filled(rows[i].text, text, sizeof(text));
		filled(rows[i].tree ? rows[i].tree : "", tree, sizeof(tree));
		filled(rows[i].said ? rows[i].said : "", said, sizeof(said));
		w->env.root = folder;
		check_row_in(w, &row);
		world_free(w);
	}
}

static void test_what_is_read(void **state)
{
	static const struct row rows[] = {
		{ "Include @/d2/a.conf\nB\n", "A[d2a] B[]", NULL },
		{ "include \"d2/a.conf\"\n", "A[d2a]", NULL },
		{ "Include ./d2/a.conf\n", "A[d2a]", NULL },
		{ "Include 'name with blank.conf'\n", "A[blank]", NULL },
		{ "Include empty.conf\nInclude /dev/null\n", "", NULL },
		{ "Include d1\n", "A[d1hid] A[d1a] A[d1sub]", NULL },
		{ "Include d1/\n", "A[d1hid] A[d1a] A[d1sub]", NULL },
		{ "Include d3\n", "A[d1hid] A[d1a] A[d1sub]", NULL },
		{ "Include d1/*\n", "A[d1a] A[d1sub]", NULL },
		{ "Include d[12]\n", "A[d1hid] A[d1a] A[d1sub] A[d2B] A[d2a]", NULL },
		/* d3 is a symbolic link to a folder: wildcards between slashes pass it over */
		{ "Include d*/a.conf\n", "A[d1a] A[d2a]", NULL },
		{ "Include @/d?//[ab].conf\n", "A[d1a] A[d2a]", NULL },
		{ "Include site-*/conf.d/*.conf\n", "A[x1] A[y1] A[y2]", NULL },
		{ "IncludeOptional d*/B.conf\n", "A[d2B]", NULL },
		{ "<S>\nInclude d2\nB\n</S>\nC\n", "<S[] { A[d2B] A[d2a] B[] } C[]", NULL },
		{ "<IfModule here_module>\nInclude d2/a.conf\n</IfModule>\n", "A[d2a]", NULL },
		{ "ServerRoot @/other/root\nInclude in.conf\n", "ServerRoot[@/other/root] A[other]", NULL },
		{ "Define D d2\nInclude ${D}/a.conf\n", "A[d2a]", NULL },
		{ "IncludeOptional none.conf\nIncludeOptional none/x.conf\nIncludeOptional none/*.conf\nIncludeOptional d1/*.foo\n"
		  "IncludeOptional lost/*.conf\nIncludeOptional empty.conf/x\nB\n", "B[]", NULL },
	};

	(void)state;
	check(rows, sizeof(rows) / sizeof(*rows));
}

static void test_faults(void **state)
{
	static const struct row rows[] = {
		{ "A\nInclude @/none.conf\nB\n", "A[] B[]", "E f:2: Include: there is no @/none.conf; make it, or write IncludeOptional" },
		{ "Include none.conf\n", "", "there is no @/none.conf|relative paths begin at ServerRoot, @" },
		{ "Include @/none/deep/x.conf\n", "", "there is no @/none/deep/x.conf: the folder @/none does not exist" },
		{ "Include @/none/*.conf\n", "", "there is no @/none/: the folder @/none does not exist" },
		{ "Include d1/*.foo\n", "", "E f:1: Include: nothing in @/d1 matches \"*.foo\"; write IncludeOptional" },
		{ "Include none*/x.conf\n", "", "nothing in @ matches \"none*\"" },
		{ "Include d*/B.conf\n", "A[d2B]", "there is no @/d1/B.conf" },
		{ "Include lost/*.conf\n", "", "there is no @/lost/dang.conf" },
		{ "Include empty.conf/x\n", "", "@/empty.conf/x cannot be read: Not a directory" },
		{ "Include empty.conf/*\n", "", "the folder @/empty.conf cannot be read: Not a directory" },
		{ "Include pipe\n", "", "@/pipe cannot be read: it is no regular file" },
		{ "Include big.conf\n", "", "@/big.conf cannot be read: it is larger than 64 MiB" },
		{ "Include bad.conf\nB\n", "B[]", "E @/bad.conf:2: </Z> closes nothing" },
		{ "Include open.conf\nInclude close.conf\n", "<S[] { }",
		  "E @/open.conf:1: <S> is not closed|E @/close.conf:1: </S> closes nothing" },
		{ "<S>\nInclude close.conf\n</S>\n", "<S[] { }", "E @/close.conf:1: </S> closes nothing: no section is open in this file" },
		{ "Include\n", "", "E f:1: Include takes one argument" },
		{ "Include a b\n", "", "E f:1: Include takes one argument|quote a path that holds blanks" },
		{ "Include d2 # both\n", "", "a comment must stand on a line of its own" },
		{ "Include round\n", NULL, "lies more than 20 folders deep|symbolic link" },
		{ "Include self.conf\nB\n", NULL, "E @/self.conf:2: Include goes round in a circle: @/self.conf includes @/self.conf again" },
		{ "Include ping.conf\n", NULL, "goes round in a circle: @/p|includes @/p|, which includes @/p|again" },
	};

	(void)state;
	check(rows, sizeof(rows) / sizeof(*rows));
}

static int refuse(void *ctx, const char *path)
{
	(void)ctx;
	(void)path;
	errno = EACCES;
	return -1;
}

static void test_an_unreadable_file(void **state)
{
	struct world *w = world_new();
	static const struct row row = { "Include d2/a.conf\nIncludeOptional d2/a.conf\n", "",
		"E f:1: Include: |/d2/a.conf cannot be read: Permission denied|E f:2: IncludeOptional: |Permission denied" };

	(void)state;
	w->env.root = folder;
	w->env.open = refuse;
	check_row_in(w, &row);
	world_free(w);
}

static void test_htaccess_includes_nothing(void **state)
{
	struct world *w = world_new();
	static const struct row row = { "Include /etc/passwd\nIncludeOptional /*\n", "",
		"E f:1: Include is not allowed in .htaccess files|E f:2: IncludeOptional is not allowed" };

	(void)state;
	w->env.no_include = true;
	check_row_in(w, &row);
	world_free(w);
}

static void test_the_first_file(void **state)
{
	struct world *w = world_new();
	struct conf_tree *t;
	char path[128];

	(void)state;
	w->env.root = folder;
	t = conf_read("d2/a.conf", &w->env);
	assert_string_equal(t->first->args, "d2a");
	snprintf(path, sizeof(path), "%s/d2/a.conf", folder);
	assert_string_equal(t->first->pos.file, path);
	assert_int_equal(w->reports, 0);
	t = conf_read("absent.conf", &w->env);
	assert_null(t->first);
	assert_true(holds_in_order(w->said, "E -:0: the configuration file |/absent.conf cannot be read: No such file"));
	t = conf_read(folder, &w->env);
	assert_non_null(strstr(w->said, "cannot be read: it is a folder"));
	world_free(w);
}

static void test_a_relative_path_is_made_absolute(void **state)
{
	struct world *w = world_new();
	char *before = getcwd(NULL, 0), path[128];
	struct conf_tree *t;

	(void)state;
	assert_int_equal(chdir(folder), 0);
	t = conf_read("d2/a.conf", &w->env);
	assert_int_equal(chdir(before), 0);
	snprintf(path, sizeof(path), "%s/d2/a.conf", folder);
	assert_string_equal(t->first->pos.file, path);
	free(before);
	world_free(w);
}

static void test_what_was_included_is_listed(void **state)
{
	struct world *w = world_new();
	struct conf_tree *t, *more;
	struct conf_included *in;
	char path[128];

	(void)state;
	put("list.conf", "\nInclude d2\n");
	w->env.root = folder;
	w->env.dump_includes = true;
	t = conf_read("list.conf", &w->env);
	in = t->included;
	assert_null(in->from.file);
	assert_int_equal(in->depth, 0);
	in = in->next;
	snprintf(path, sizeof(path), "%s/d2/B.conf", folder);
	assert_string_equal(in->path, path);
	assert_int_equal(in->from.line, 2);
	assert_int_equal(in->depth, 1);
	assert_non_null(in->next);
	assert_null(in->next->next);
	more = conf_read("d2/a.conf", &w->env);
	conf_join(t, more);
	assert_ptr_equal(in->next->next, more->included);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_read),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_an_unreadable_file),
		cmocka_unit_test(test_htaccess_includes_nothing),
		cmocka_unit_test(test_the_first_file),
		cmocka_unit_test(test_a_relative_path_is_made_absolute),
		cmocka_unit_test(test_what_was_included_is_listed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

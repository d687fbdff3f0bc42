/*
 * walk_test.c - server/request/walk.c: real folders, links of other owners, FIFOs, closed folders; with openat2 and with
 * the walk that stands in for it.
 */
#include "request/walk.c"

#include "served.h"

#define NOBODY 65534

static const char *answered_path(const struct served *v)
{
	return v->last->filename + strlen(v->dir);
}

static void links_by_options(void **state)
{
	struct served *v = served_site(
		"<Directory \"@DIR@/htdocs\">\nOptions None\n</Directory>\n"
		"<Directory \"@DIR@/htdocs/follow\">\nOptions FollowSymLinks\n</Directory>\n"
		"<Directory \"@DIR@/htdocs/follow/none\">\nOptions None\n</Directory>\n"
		"<Directory \"@DIR@/htdocs/owner\">\nOptions SymLinksIfOwnerMatch\n</Directory>\n");
	static const struct { const char *target; unsigned status; } rows[] = {
		{ "/plain.txt", 200 }, { "/link", 403 }, { "/linkdir/x.txt", 403 }, { "/follow/link", 200 }, { "/follow/linkdir/x.txt", 200 },
		{ "/follow/none/link", 403 }, { "/follow/none/x.txt", 200 }, { "/owner/link", 200 }, { "/owner/foreign", 403 },
		{ "/owner/x.txt", 200 }, { "/owner/linkdir/x.txt", 200 }, { "/owner/foreigndir/x.txt", 403 }, { "/owner/loop", 403 },
		{ "/follow/loop", 403 }, { "/follow/dangling", 403 }, { "/owner/dangling", 403 }, { "/follow/dangling/x", 403 }, { "/owner/x.txt/more", 404 },
		{ "/owner/relative", 200 }, { "/follow/up", 200 }, { "/follow/linkdir/none", 404 }, { "/follow/linkdir/none/x", 404 }, { "/owner/linkdir/none", 404 },
		{ "/follow/loop/x", 403 }, { "/linkdir/none", 403 }, { "/owner/foreigndir/none", 403 },
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	for (const char *const *d = (const char *const[]){ "htdocs/follow", "htdocs/follow/none", "htdocs/owner", "real", "theirs", NULL }; *d; d++)
		served_folder(v, *d);
	for (const char *const *f = (const char *const[]){ "htdocs/plain.txt", "target.txt", "foreign.txt", "real/x.txt", "theirs/x.txt",
							  "htdocs/owner/x.txt", "htdocs/follow/none/x.txt", NULL }; *f; f++)
		served_file_make(v, *f, "x");
	assert_int_equal(chown(served_path(v, "foreign.txt"), 12345, 12345), 0);
	assert_int_equal(chown(served_path(v, "theirs"), 12345, 12345), 0);
	for (const char *const *l = (const char *const[]){ "htdocs/", "htdocs/follow/", "htdocs/follow/none/", "htdocs/owner/", NULL }; *l; l++) {
		char at[128];

		snprintf(at, sizeof at, "%slink", *l);
		assert_int_equal(symlink(served_path(v, "target.txt"), served_path(v, at)), 0);
		snprintf(at, sizeof at, "%slinkdir", *l);
		assert_int_equal(symlink(served_path(v, "real"), served_path(v, at)), 0);
		snprintf(at, sizeof at, "%sforeign", *l);
		assert_int_equal(symlink(served_path(v, "foreign.txt"), served_path(v, at)), 0);
		snprintf(at, sizeof at, "%sforeigndir", *l);
		assert_int_equal(symlink(served_path(v, "theirs"), served_path(v, at)), 0);
		snprintf(at, sizeof at, "%sloop", *l);
		assert_int_equal(symlink("loop", served_path(v, at)), 0);
		snprintf(at, sizeof at, "%sdangling", *l);
		assert_int_equal(symlink("nothing", served_path(v, at)), 0);
	}
	assert_int_equal(symlink("x.txt", served_path(v, "htdocs/owner/relative")), 0);
	assert_int_equal(symlink("../../target.txt", served_path(v, "htdocs/follow/up")), 0);
	for (int with = 1; with >= 0; with--) {
		have_openat2 = with;
		for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
			unsigned status = served_get(v, rows[i].target);

			if (status != rows[i].status)
				fail_msg("%s: %u (openat2 %d)", rows[i].target, status, with);
		}
	}
	have_openat2 = -1;
	served_free(v);
}

static void folders_above_the_root_are_the_administrators(void **state)
{
	struct served *v = served_new();

	(void)state;
	served_folder(v, "real");
	served_folder(v, "real/www");
	served_file_make(v, "real/www/x.txt", "x");
	assert_int_equal(symlink("real", served_path(v, "linked")), 0);
	assert_int_equal(symlink("x.txt", served_path(v, "real/www/link")), 0);
	assert_int_equal(served_configure(v, "ServerName main.test\nDocumentRoot \"@DIR@/linked/www\"\n"
					     "<Directory \"@DIR@/linked/www\">\nOptions None\n</Directory>\n"), 0);
	assert_int_equal(served_get(v, "/x.txt"), 200);
	assert_int_equal(served_get(v, "/link"), 403);
	served_free(v);
}

static void what_is_no_file_is_refused(void **state)
{
	struct served *v = served_site("Alias /null /dev/null\nAlias /tty /dev/tty\n");

	(void)state;
	assert_int_equal(mkfifo(served_path(v, "htdocs/fifo"), 0644), 0);
	assert_int_equal(served_get(v, "/fifo"), 403);
	assert_int_equal(served_get(v, "/null"), 403);
	assert_int_equal(served_get(v, "/tty"), 403);
	assert_non_null(strstr(served_log(v), "BH0426"));
	served_free(v);
}

static void rights_are_told_by_name(void **state)
{
	struct served *v = served_site("");
	const char *log;

	(void)state;
	if (geteuid() != 0)
		skip();
	served_file_make(v, "htdocs/secret.txt", "x");
	served_folder(v, "htdocs/closed");
	served_folder(v, "htdocs/closed/in");
	served_folder(v, "htdocs/unlisted");
	served_file_make(v, "htdocs/closed/in/x.txt", "x");
	served_file_make(v, "htdocs/unlisted/index.html", "x");
	assert_int_equal(chmod(served_path(v, "htdocs/secret.txt"), 0600), 0);
	assert_int_equal(chmod(served_path(v, "htdocs/closed"), 0700), 0);
	assert_int_equal(chmod(served_path(v, "htdocs/unlisted"), 0711), 0);
	served_log(v);
	assert_int_equal(seteuid(NOBODY), 0);
	assert_int_equal(served_get(v, "/secret.txt"), 403);
	log = served_log(v);
	assert_non_null(strstr(log, "(13)Permission denied"));
	assert_non_null(strstr(log, "htdocs/secret.txt"));
	assert_int_equal(served_get(v, "/closed/in/x.txt"), 403);
	log = served_log(v);
	assert_non_null(strstr(log, "htdocs/closed may not be entered"));
	assert_non_null(strstr(log, "chmod o+x"));
	assert_int_equal(served_get(v, "/unlisted/"), 200);
	assert_int_equal(served_get(v, "/unlisted"), 301);
	assert_int_equal(seteuid(0), 0);
	served_free(v);
}

static void names_are_bounded(void **state)
{
	struct served *v = served_site("");
	char target[8000];
	unsigned status;

	(void)state;
	memset(target, 'x', sizeof target);
	target[0] = '/';
	target[5000] = '\0';
	assert_int_equal(served_get(v, target), 403);
	target[300] = '\0';
	assert_int_equal(served_get(v, target), 403);
	for (unsigned i = 0; i < 600; i++)
		memcpy(target + 2 * i, "/a", 2);
	target[1200] = '\0';
	status = served_get(v, target);
	assert_true(status == 403 || status == 404);
	served_free(v);
}

static void what_is_left_behind_a_file(void **state)
{
	struct served *v = served_site("");

	(void)state;
	served_file_make(v, "htdocs/a.html", "x");
	assert_int_equal(served_get(v, "/a.html/more/b"), 404);
	assert_string_equal(v->last->path_info, "/more/b");
	assert_string_equal(answered_path(v), "/htdocs/a.html");
	assert_int_equal(served_get(v, "/a.html/"), 404);
	assert_string_equal(v->last->path_info, "/");
	assert_int_equal(served_get(v, "/none/x"), 404);
	assert_false(v->last->found);
	served_free(v);
}

static void folders(void **state)
{
	struct served *v = served_site(
		"DirectoryIndex main.html\nDirectoryIndex index.html sub/third.html\n"
		"<Directory \"@DIR@/htdocs/open\">\nOptions Indexes\n</Directory>\n"
		"<Directory \"@DIR@/htdocs/off\">\nDirectoryIndex disabled\nDirectorySlash Off\n</Directory>\n"
		"<Directory \"@DIR@/htdocs/go\">\nDirectoryIndexRedirect permanent\n</Directory>\n"
		"<Files main.html>\nHeader set X-Files main\n</Files>\n"
		"<Location /shut/index.html>\nRequire all denied\n</Location>\n"
		"<LocationMatch \"^/gate/$\">\nRequire all denied\n</LocationMatch>\n");

	(void)state;
	for (const char *const *d = (const char *const[]){ "one", "two", "three", "three/sub", "none", "open", "off", "go", "shut", "gate", "a b", NULL };
	     *d; d++) {
		char at[64];

		snprintf(at, sizeof at, "htdocs/%s", *d);
		served_folder(v, at);
	}
	for (const char *const *f = (const char *const[]){ "one/main.html", "one/index.html", "two/index.html", "three/sub/third.html",
							  "off/index.html", "go/index.html", "shut/index.html", "gate/index.html", NULL }; *f; f++) {
		char at[64];

		snprintf(at, sizeof at, "htdocs/%s", *f);
		served_file_make(v, at, *f);
	}
	assert_int_equal(served_get(v, "/one/"), 200);
	assert_string_equal(answered_path(v), "/htdocs/one/main.html");
	assert_string_equal(v->last->path, "/one/main.html");
	assert_field(v, "X-Files", "main");
	assert_int_equal(served_get(v, "/two/"), 200);
	assert_string_equal(answered_path(v), "/htdocs/two/index.html");
	assert_int_equal(served_get(v, "/three/"), 200);
	assert_string_equal(answered_path(v), "/htdocs/three/sub/third.html");
	assert_int_equal(served_ask(v, "GET", "/one?q=1", "Host: here.test:8080\r\n"), 301);
	assert_field(v, "Location", "http://here.test:8080/one/?q=1");
	assert_int_equal(served_get(v, "/a%20b"), 301);
	assert_field(v, "Location", "http://main.test/a%20b/");
	assert_int_equal(served_get(v, "/go/?x"), 301);
	assert_field(v, "Location", "http://main.test/go/index.html");
	served_log(v);
	assert_int_equal(served_get(v, "/none/"), 403);
	assert_non_null(strstr(served_log(v), "main.html,index.html,sub/third.html"));
	assert_int_equal(served_get(v, "/off/"), 403);
	assert_int_equal(served_get(v, "/off"), 403);
	/* the index has rules of its own, and so has the folder */
	assert_int_equal(served_get(v, "/shut/"), 403);
	assert_int_equal(served_get(v, "/gate/"), 403);
	assert_int_equal(served_get(v, "/gate/index.html"), 200);
	assert_int_equal(served_get(v, "/absent/"), 404);
	served_free(v);
}

static void handlers_and_folders(void **state)
{
	struct served *v = served_site(
		"<Location /own>\nSetHandler own\n</Location>\n<Location /first>\nSetHandler own\nDirectoryCheckHandler On\n</Location>\n"
		"FallbackResource /front.html\n<Location /nofall>\nFallbackResource disabled\n</Location>\n"
		"<Location /near>\nFallbackResource front.html?q\n</Location>\n<Location /near/up>\nFallbackResource ../front.html\n</Location>\n"
		"<Location /near/deep>\nFallbackResource x/front.html\n</Location>\n");

	(void)state;
	served_file_make(v, "htdocs/front.html", "x");
	served_folder(v, "htdocs/own");
	served_folder(v, "htdocs/first");
	served_file_make(v, "htdocs/first/index.html", "x");
	assert_int_equal(served_get(v, "/own/"), 200);
	assert_string_equal(answered_path(v), "/htdocs/own/");
	assert_int_equal(served_get(v, "/first/"), 200);
	assert_string_equal(answered_path(v), "/htdocs/first/");
	assert_int_equal(served_get(v, "/any/thing"), 200);
	assert_string_equal(answered_path(v), "/htdocs/front.html");
	assert_int_equal(served_get(v, "/nofall/x"), 404);
	served_folder(v, "htdocs/near");
	served_file_make(v, "htdocs/near/front.html", "x");
	for (const char *const *t = (const char *const[]){ "/near/none", "/near/", "/near/up/none", "/near/up/no/../none?q", NULL }; *t; t++) {
		if (served_get(v, *t) != 200)
			fail_msg("%s: not 200", *t);
		assert_string_equal(answered_path(v), "/htdocs/near/front.html");
	}
	for (const char *const *t = (const char *const[]){ "/near/a/none", "/near/deep/none", "/near/up/a/b/none", NULL }; *t; t++)
		if (served_get(v, *t) != 404)
			fail_msg("%s: not 404", *t);
	served_free(v);
}

/* Rules hang on paths in their normal form: what the configuration itself names takes it, too. */
static void names_of_the_configuration_take_normal_form(void **state)
{
	static const char *const refused[] = { "DirectoryIndex ../x.html", "DirectoryIndex a/../../x.html", "DirectoryIndex /../x.html", "DirectoryIndex a%00",
					       "FallbackResource /../x.html", "FallbackResource ?x" };
	struct served *v = served_site(
		"<Location /shut>\nRequire all denied\n</Location>\n<Location /one/shut.html>\nRequire all denied\n</Location>\n"
		"<Location /one>\nDirectoryIndex .//%73hut.html\n</Location>\n<Location /two>\nDirectoryIndex /x/../%73hut/index.html\n</Location>\n"
		"<Location /three>\nFallbackResource /x/..//shut/index.html\n</Location>\n<Location /four>\nFallbackResource /front.html?page=1\n</Location>\n"
		"<Location /five>\nDirectoryIndex ./a//index.html\n</Location>\n");

	(void)state;
	for (const char *const *d = (const char *const[]){ "shut", "one", "two", "three", "five", "five/a", NULL }; *d; d++) {
		char at[64];

		snprintf(at, sizeof at, "htdocs/%s", *d);
		served_folder(v, at);
	}
	served_file_make(v, "htdocs/shut/index.html", "x");
	served_file_make(v, "htdocs/one/shut.html", "x");
	served_file_make(v, "htdocs/front.html", "x");
	served_file_make(v, "htdocs/five/a/index.html", "x");
	for (const char *const *t = (const char *const[]){ "/one/", "/two/", "/three/", NULL }; *t; t++)
		if (served_get(v, *t) != 403)
			fail_msg("%s: not 403", *t);
	assert_int_equal(served_get(v, "/three/none"), 404);     /* a fallback that may not be had is none */
	assert_int_equal(served_get(v, "/four/none"), 200);
	assert_string_equal(answered_path(v), "/htdocs/front.html");
	assert_int_equal(served_get(v, "/five/"), 200);
	assert_string_equal(answered_path(v), "/htdocs/five/a/index.html");
	served_free(v);
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		v = served_new();
		if (served_configure(v, refused[i]) == 0)
			fail_msg("%s: accepted", refused[i]);
		assert_non_null(strstr(v->said, "root"));
		served_free(v);
	}
}

static void descriptors_are_given_back(void **state)
{
	struct served *v = served_site("<Directory \"@DIR@/htdocs\">\nOptions SymLinksIfOwnerMatch\n</Directory>\n");
	int before, after;

	(void)state;
	served_file_make(v, "htdocs/index.html", "x");
	served_folder(v, "htdocs/d");
	assert_int_equal(symlink("index.html", served_path(v, "htdocs/link")), 0);
	served_get(v, "/");
	served_forget(v);
	before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(before);
	for (const char *const *t = (const char *const[]){ "/", "/link", "/link/x", "/index.html/x", "/d", "/d/", "/none", NULL }; *t; t++)
		served_get(v, *t);
	served_forget(v);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	assert_int_equal(before, after);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_by_options), cmocka_unit_test(folders_above_the_root_are_the_administrators),
		cmocka_unit_test(what_is_no_file_is_refused), cmocka_unit_test(rights_are_told_by_name), cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(what_is_left_behind_a_file), cmocka_unit_test(folders), cmocka_unit_test(handlers_and_folders),
		cmocka_unit_test(names_of_the_configuration_take_normal_form),
		cmocka_unit_test(descriptors_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* sections.c: which sections apply, in which order they are merged, and the bounded cache. Includes the .c for the cache's count. */
#include "site.h"

#include "request/access.h"
#include "auth/authn.h"
#include "auth/compat.h"
#include "request/core.h"
#include "request/env.h"

#include "request/sections.c"

static struct conf_module *const modules[] = { &core_module, &env_module, &authz_core_module, &authn_module, &access_compat_module, NULL };

/* The names of the variables that apply, in the order they were merged. */
static void check_order(struct world *w, struct request *r, const char *wanted, const char *what)
{
	char got[512] = "";

	env_late(r);
	for (unsigned i = 0; i < r->env.n; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", i ? " " : "", (int)r->env.at[i].name.n, r->env.at[i].name.p);
	if (strcmp(got, wanted) != 0) {
		print_error("%s: merged \"%s\", not \"%s\"\n", what, got, wanted);
		fail();
	}
	(void)w;
}

static void sections_are_merged_in_apaches_order(void **state)
{
	static const char text[] =
		"<Location \"/a\">\nSetEnv location\n</Location>\n"
		"<FilesMatch \"\\.txt$\">\nSetEnv filesmatch\n</FilesMatch>\n"
		"<Files ~ \"^ONE|^one\">\nSetEnv tilde\n</Files>\n"
		"<Directory /srv/www/a>\nSetEnv deep\n<Files one.txt>\nSetEnv inside\n</Files>\n</Directory>\n"
		"<DirectoryMatch \"/www/[a-c](/|$)\">\nSetEnv dirmatch\n</DirectoryMatch>\n"
		"<Directory \"/srv//www/./x/../\">\nSetEnv top\n</Directory>\n"
		"<Directory />\nSetEnv root\n</Directory>\n"
		"<Directory \"/srv/*/a\">\nSetEnv wild\n</Directory>\n"
		"<Location ~ \"^/(x|a)\">\nSetEnv loctilde\n</Location>\n"
		"<Location \"/*/one.txt\">\nSetEnv locwild\n</Location>\n"
		"<LocationMatch \"two\">\nSetEnv locmatch\n</LocationMatch>\n"
		"<Location /a/>\nSetEnv slash\n</Location>\n"
		"SetEnv server\n";
	static const struct { const char *path, *filename; bool directory; const char *order; } rows[] = {
		{ "/a/one.txt", "/srv/www/a/one.txt", false,
		  "server root top deep wild dirmatch filesmatch tilde inside location loctilde locwild slash" },
		{ "/a/two.html", "/srv/www/a/two.html", false, "server root top deep wild dirmatch location loctilde locmatch slash" },
		{ "/b/one.txt", "/srv/www/b/one.txt", false, "server root top dirmatch filesmatch tilde locwild" },
		{ "/a", "/srv/www/a", true, "server root top deep wild dirmatch location loctilde" },
		{ "/a/", "/srv/www/a/", true, "server root top deep wild dirmatch location loctilde slash" },
		{ "/ab", "/srv/www/ab", false, "server root top loctilde" },
		{ "/b/c/one.txt", "/srv/www/b/c/one.txt", false, "server root top dirmatch filesmatch tilde" },
		{ "/", "/srv/wwwx", true, "server root" },
		{ "/x", NULL, false, "server loctilde" },
		{ "/deep", "/srv/q/b/a/f", false, "server root" },              /* a star crosses no slash */
		{ "//a//one.txt", "/srv/www/a/one.txt", false,                  /* MergeSlashes Off is no way around them */
		  "server root top deep wild dirmatch filesmatch tilde inside location loctilde locwild slash" },
	};
	struct world *w = world_good(modules, text);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct request *r = world_request(w, rows[i].path, rows[i].filename);
		r->found = true;
		r->st.st_mode = rows[i].directory ? S_IFDIR : S_IFREG;
		assert_int_equal(sections_apply(r), 0);
		check_order(w, r, rows[i].order, rows[i].path);
		arena_free(r->arena);
	}
	world_free(w);
}

static void a_hosts_sections_come_after_the_main_servers(void **state)
{
	struct world *w = world_good(modules,
		"<VirtualHost *:80>\n<Directory /srv>\nSetEnv host\n</Directory>\n<Files f>\nSetEnv hostfile\n</Files>\n<Location />\nSetEnv hostloc\n</Location>\n"
		"</VirtualHost>\n<VirtualHost *:80>\n</VirtualHost>\n"
		"<Directory /srv>\nSetEnv main\n</Directory>\n<Directory /srv/a>\nSetEnv deep\n</Directory>\n<Files f>\nSetEnv mainfile\n</Files>\n"
		"<Location />\nSetEnv mainloc\n</Location>\n");
	struct request *r = world_request(w, "/f", "/srv/a/f");

	(void)state;
	r->host = w->site->hosts;
	assert_int_equal(sections_apply(r), 0);
	check_order(w, r, "main host deep mainfile hostfile mainloc hostloc", "first host");
	arena_free(r->arena);
	r = world_request(w, "/f", "/srv/a/f");
	r->host = w->site->hosts->next;
	assert_int_equal(sections_apply(r), 0);
	check_order(w, r, "main deep mainfile mainloc", "second host");
	arena_free(r->arena);
	world_free(w);
}

/* Files count as a level where links are followed; folders count as asked for; regular expressions by their slashes. */
static void the_last_level_as_apache_sees_it(void **state)
{
	static const char text[] =
		"<DirectoryMatch /a>\nSetEnv slashed\n</DirectoryMatch>\n<Directory ~ a>\nSetEnv plain\n</Directory>\n"
		"<DirectoryMatch /a$>\nSetEnv end\n</DirectoryMatch>\n<DirectoryMatch \"/a/$\">\nSetEnv endslash\n</DirectoryMatch>\n"
		"<DirectoryMatch one>\nSetEnv one\n</DirectoryMatch>\n"
		"<Directory /srv/a/?*>\nSetEnv star\n</Directory>\n<Directory /srv/a/one.txt>\nSetEnv file\n</Directory>\n"
		"<Directory /srv/a/nolinks>\nOptions None\n</Directory>\n<Directory /srv/a/nolinks/?*>\nSetEnv unseen\n</Directory>\n"
		"<Files a>\nSetEnv named\n</Files>\n<FilesMatch \"^$\">\nSetEnv nameless\n</FilesMatch>\n";
	static const struct { const char *path, *filename; mode_t mode; const char *info; bool index; const char *order; } rows[] = {
		{ "/a/one.txt", "/srv/a/one.txt", S_IFREG, NULL, false, "star file plain one slashed" },
		{ "/a/one.txt", "/srv/a/one.txt", 0, NULL, false, "plain one slashed" },
		{ "/a/one.txt/x", "/srv/a/one.txt", S_IFREG, "/x", false, "plain one slashed" },
		{ "/a/nolinks/f", "/srv/a/nolinks/f", S_IFREG, NULL, false, "star plain slashed" },
		{ "/a", "/srv/a/", S_IFDIR, NULL, false, "plain slashed end named" },
		{ "/a/", "/srv/a/", S_IFDIR, NULL, false, "plain slashed endslash nameless" },
		{ "/a/one.txt", "/srv/a/one.txt", S_IFREG, NULL, true, "plain slashed endslash" },
	};
	struct world *w = world_good(modules, text);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct request *r = world_request(w, rows[i].path, rows[i].filename);
		char what[64];
		r->found = rows[i].mode != 0;
		r->st.st_mode = rows[i].mode;
		r->path_info = rows[i].info;
		r->index = rows[i].index;
		assert_int_equal(sections_apply(r), 0);
		snprintf(what, sizeof what, "row %zu, %s", i, rows[i].path);
		check_order(w, r, rows[i].order, what);
		arena_free(r->arena);
	}
	world_free(w);
}

static void the_walk_sees_folders_level_by_level(void **state)
{
	struct world *w = world_good(modules, "<Directory />\nOptions None\n</Directory>\n<Directory /srv/a>\nOptions FollowSymLinks\n</Directory>\n"
					      "<Directory /srv/*/b>\nOptions +Indexes\n</Directory>\n<DirectoryMatch .>\nOptions ExecCGI\n</DirectoryMatch>\n");
	static const struct { const char *dir; unsigned options; } rows[] = {
		{ "/", 0 }, { "/srv", 0 }, { "/srv/", 0 }, { "/srv/a", CORE_OPT_FOLLOW }, { "/srv/ab", 0 }, { "/srv/a/c", CORE_OPT_FOLLOW },
		{ "/srv/a/b", CORE_OPT_FOLLOW | CORE_OPT_INDEXES }, { "/srv/x/b/c", CORE_OPT_INDEXES },
	};
	struct request *r = world_request(w, "/", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		void **section = sections_for_path(r, rows[i].dir);
		assert_non_null(section);
		assert_int_equal(core_options(section[core_module.index]), rows[i].options);
	}
	arena_free(r->arena);
	world_free(w);
}

static void sets_are_made_once_and_bounded(void **state)
{
	struct world *w;
	struct request *first, *r;
	void **held;
	char *text = calloc(1, 64 * 2 * SECTIONS_KEPT), path[32];

	(void)state;
	for (unsigned i = 0; i < SECTIONS_KEPT + 200; i++)
		sprintf(text + strlen(text), "<Location /%u/>\nSetEnv n%u\n</Location>\n", i, i);
	w = world_good(modules, text);
	free(text);
	first = world_request(w, "/0/", NULL);
	assert_int_equal(sections_location(first), 0);
	held = first->section;
	r = world_request(w, "/0/x", NULL);
	assert_int_equal(sections_location(r), 0);
	assert_ptr_equal(r->section, held);
	arena_free(r->arena);
	assert_int_equal(w->site->cache->n, 1);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 1; i < SECTIONS_KEPT + 200; i++) {
			snprintf(path, sizeof path, "/%u/", i);
			r = world_request(w, path, NULL);
			assert_int_equal(sections_location(r), 0);
			assert_int_equal(sections_location(r), 0);
			assert_true(w->site->cache->n <= SECTIONS_KEPT);
			arena_free(r->arena);
		}
	assert_int_equal(w->site->cache->n, SECTIONS_KEPT);
	assert_ptr_equal(first->section, held);
	check_order(w, first, "n0", "a set that was evicted while a request uses it");
	arena_free(first->arena);
	world_free(w);
}

static void a_request_without_sections_costs_no_set(void **state)
{
	struct world *w = world_good(modules, "SetEnv x\n<Location /y>\nSetEnv y\n</Location>\n");
	struct request *r = world_request(w, "/z", "/srv/z");

	(void)state;
	assert_int_equal(sections_apply(r), 0);
	assert_ptr_equal(r->section, w->site->main->section);
	assert_int_equal(w->site->cache->n, 0);
	arena_free(r->arena);
	world_free(w);
}

static void a_pattern_at_its_limits_is_an_error_not_a_miss(void **state)
{
	struct world *w = world_good(modules, "<LocationMatch \"^(a+)+b*(a+)+$\">\nRequire all denied\n</LocationMatch>\n");
	char path[4096];
	struct request *r;

	(void)state;
	memset(path, 'a', sizeof path - 2);
	path[sizeof path - 2] = '!';
	path[sizeof path - 1] = '\0';
	r = world_request(w, path, NULL);
	assert_int_equal(sections_location(r), -1);
	arena_free(r->arena);
	world_free(w);
}

static void faults_are_named(void **state)
{
	static const struct refused rows[] = {
		{ "<Directory>\n</Directory>\n", "E t.conf:1|missing" },
		{ "<Directory /a /b>\n</Directory>\n", "E t.conf:1|only one" },
		{ "<Directory htdocs>\n</Directory>\n", "E t.conf:1|absolute" },
		{ "<DirectoryMatch \"(\">\n</DirectoryMatch>\n", "E t.conf:1|regular expression" },
		{ "<Location ~ \"[\">\n</Location>\n", "E t.conf:1|regular expression" },
		{ "<Files a/b>\n</Files>\n", "W t.conf:1|never matches" },
		{ "<Location x>\n</Location>\n", "W t.conf:1|never matches" },
		{ "<Location /x>\n<Files y>\n</Files>\n</Location>\n", "E t.conf:2|not allowed" },
		{ "<Directory /x>\n<Directory /y>\n</Directory>\n</Directory>\n", "E t.conf:2|not allowed" },
		{ "<Location /x>\n<Limit GET>\n<LimitExcept GET>\n</LimitExcept>\n</Limit>\n</Location>\n", "E t.conf:3|inside another" },
		{ "<Location /x>\n<Limit>\n</Limit>\n</Location>\n", "E t.conf:2|no method" },
		{ "<Location /x>\n<Limit FROB>\n</Limit>\n</Location>\n", "E t.conf:2|FROB|LimitExcept" },
		{ "<Location /x>\n<Limit TRACE>\n</Limit>\n</Location>\n", "E t.conf:2|TraceEnable" },
		{ "<Location /x>\n<LimitExcept GET FROB>\nRequire all denied\n</LimitExcept>\n</Location>\n", "W t.conf:2|FROB|all the same" },
		{ "<Location /x>\n<Limit GET>\nSetEnv x\n</Limit>\n</Location>\n", "W t.conf:3|every method" },
	};

	(void)state;
	check_refused(modules, rows, sizeof rows / sizeof rows[0]);
}

static void where_the_walk_need_not_look(void **state)
{
	static const struct { const char *text; bool plain; } rows[] = {
		{ "", true },
		{ "<Directory />\nOptions +Indexes\nAllowOverride None\n</Directory>\n<Directory /srv/www>\nOptions Indexes FollowSymLinks\n</Directory>\n", true },
		{ "<Location /x>\nOptions None\n</Location>\n<DirectoryMatch x>\nOptions None\n</DirectoryMatch>\n", true },   /* the walk does not ask these */
		{ "Options None\n", false }, { "Options SymLinksIfOwnerMatch\n<Directory /srv>\nOptions FollowSymLinks\n</Directory>\n", false },
		{ "<Directory /srv>\nOptions Indexes\n</Directory>\n", false }, { "<Directory /srv>\nOptions -FollowSymLinks\n</Directory>\n", false },
		{ "<Directory /s*>\nOptions None\n</Directory>\n", false }, { "<Directory /srv>\nOptions SymLinksIfOwnerMatch\n</Directory>\n", false },
		{ "<Directory /srv>\nAllowOverride All\n</Directory>\n", false }, { "<Directory /srv>\nAllowOverrideList SetEnv\n</Directory>\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct world *w = world_good(modules, rows[i].text);

		if (sections_plain_walk(w->site->main) != rows[i].plain) {
			print_error("not %s: %s\n", rows[i].plain ? "plain" : "looked at", rows[i].text);
			fail();
		}
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_are_merged_in_apaches_order), cmocka_unit_test(a_hosts_sections_come_after_the_main_servers),
		cmocka_unit_test(the_last_level_as_apache_sees_it),
		cmocka_unit_test(the_walk_sees_folders_level_by_level), cmocka_unit_test(sets_are_made_once_and_bounded),
		cmocka_unit_test(a_request_without_sections_costs_no_set), cmocka_unit_test(a_pattern_at_its_limits_is_an_error_not_a_miss),
		cmocka_unit_test(where_the_walk_need_not_look), cmocka_unit_test(faults_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

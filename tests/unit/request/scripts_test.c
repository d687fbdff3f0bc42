/* scripts_test.c - which programs a configuration lets run. */
#include "served.h"

#include "request/scripts.h"

static void only_what_is_configured_runs(void **state)
{
	struct served *v = served_site(
		"DocumentRoot /srv/docs\n"
		"ScriptAlias /cgi-bin/ /srv/cgi-bin/\nScriptAlias /one /srv/one.sh\nScriptAlias /two/ /srv/two.sh/\nScriptAliasMatch ^/u/([a-z]+)/ /home/scripts/$1/bin/\n"
		"Alias /pics/ /srv/pics/\n"
		"<Directory /srv/run>\nOptions +ExecCGI\n</Directory>\n"
		"<Directory /srv/wild/*/bin>\nOptions ExecCGI\n</Directory>\n"
		"<DirectoryMatch ^/srv/m[0-9]/>\nOptions ExecCGI\n</DirectoryMatch>\n"
		"<Directory /srv/own>\nAllowOverride Options\n</Directory>\n"
		"<Directory /srv/no>\nOptions -ExecCGI +Indexes\n</Directory>\n");
	static const struct { const char *path; bool allowed; } rows[] = {
		{ "/srv/cgi-bin/a", true }, { "/srv/cgi-bin/b/c", true }, { "/srv/cgi-binx/a", false }, { "/srv/one.sh", true }, { "/srv/one.shx", false },
		{ "/srv/two.sh", true }, { "/srv/two.shx", false },
		{ "/home/scripts/x/bin/a", true }, { "/home/other", false }, { "/srv/run/a", true }, { "/srv/run/deep/er/a", true }, { "/srv/runs/a", false },
		{ "/srv/wild/x/bin/a", true }, { "/srv/wild/x/a", false }, { "/srv/m1/a", true }, { "/srv/mx/a", false }, { "/srv/own/a", true }, { "/srv/no/a", false },
		{ "/bin/sh", false }, { "/srv/docs/a", false }, { "/srv/pics/a", false }, { "/srv/cgi-bin/../../bin/sh", false }, { "/srv/cgi-bin//a", false },
		{ "/srv/cgi-bin/./a", false }, { "/srv/cgi-bin/..", false }, { "srv/cgi-bin/a", false }, { "", false }, { "/", false },
	};

	(void)state;
	assert_true(scripts_wanted(v->site));
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (scripts_allowed(v->site, rows[i].path) != rows[i].allowed)
			fail_msg("%s", rows[i].path);
	served_free(v);
}

static void places_stand_for_what_is_served(void **state)
{
	struct served *v = served_site("DocumentRoot /srv/docs\nAlias /pics/ /srv/pics/\n<Location /x>\nOptions ExecCGI\n</Location>\n");

	(void)state;
	assert_true(scripts_allowed(v->site, "/srv/docs/a"));
	assert_true(scripts_allowed(v->site, "/srv/pics/a"));
	assert_false(scripts_allowed(v->site, "/bin/sh"));
	served_free(v);
}

static void none_where_nothing_is_said(void **state)
{
	struct served *v = served_site("DocumentRoot /srv/docs\nOptions Indexes FollowSymLinks\n");

	(void)state;
	assert_false(scripts_wanted(v->site));
	assert_false(scripts_allowed(v->site, "/srv/docs/a"));
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_configured_runs), cmocka_unit_test(places_stand_for_what_is_served), cmocka_unit_test(none_where_nothing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * userdir_test.c - /~name/: whom it counts for, the forms of a place, several places, accounts of this machine.
 */
#include <pwd.h>

#include "served.h"

static void whom_it_counts_for(void **state)
{
	static const struct { const char *lines, *path; bool mapped; } rows[] = {
		{ "", "/~ann/x", false },
		{ "UserDir /homes\n", "/~ann/x", true },
		{ "UserDir /homes\n", "/~ann", true },
		{ "UserDir /homes\n", "/~/x", false },
		{ "UserDir /homes\n", "/~./x", false },
		{ "UserDir /homes\n", "/~.ssh/x", false },
		{ "UserDir /homes\n", "/a/~ann/x", false },
		{ "UserDir /homes\nUserDir disabled\n", "/~ann/x", false },
		{ "UserDir /homes\nUserDir disabled eve root\n", "/~ann/x", true },
		{ "UserDir /homes\nUserDir disabled eve\nUserDir Disabled ann\n", "/~eve/x", false },
		{ "UserDir disabled\nUserDir enabled ann\nUserDir /homes\n", "/~ann/x", true },
		{ "UserDir disabled\nUserDir enabled ann\nUserDir /homes\n", "/~bob/x", false },
		{ "UserDir disabled ann\nUserDir enabled ann\nUserDir /homes\n", "/~ann/x", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_site(rows[i].lines);
		struct request *r = served_request(v, "GET", rows[i].path, "");
		r->host = v->site->main;
		r->path = rows[i].path;
		assert_int_equal(userdir_run(r), 0);
		if ((r->filename != NULL) != rows[i].mapped)
			fail_msg("row %zu: %s is led to %s", i, rows[i].path, r->filename ? r->filename : "nothing");
		served_free(v);
	}
}

static void forms_of_a_place(void **state)
{
	const struct passwd *root = getpwnam("root");
	char home[256];
	const struct { const char *lines, *path, *filename; } rows[] = {
		{ "UserDir /homes\n", "/~ann/a/b", "/homes/ann/a/b" }, { "UserDir /homes/*/www\n", "/~ann/a", "/homes/ann/www/a" },
		{ "UserDir /homes/*/www\n", "/~ann", "/homes/ann/www" }, { "UserDir public_html\n", "/~root/a", home },
		{ "UserDir public_html\n", "/~no-such-account/a", NULL }, { "UserDir /none/* /last/*\n", "/~ann/a", "/last/ann/a" },
		{ "UserDir no-home /proc/self/* /last/*\n", "/~task/a", "/proc/self/task/a" },
	};

	(void)state;
	snprintf(home, sizeof home, "%s/public_html/a", root->pw_dir);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_site(rows[i].lines);
		struct request *r = served_request(v, "GET", rows[i].path, "");
		r->host = v->site->main;
		r->path = rows[i].path;
		assert_int_equal(userdir_run(r), 0);
		if (rows[i].filename)
			assert_string_equal(r->filename, rows[i].filename);
		else
			assert_null(r->filename);
		served_free(v);
	}
}

static void addresses_redirect(void **state)
{
	struct served *v = served_site("UserDir http://people.test/*/pages\n");

	(void)state;
	assert_int_equal(served_get(v, "/~ann/a%20b?q=1"), 302);
	assert_field(v, "Location", "http://people.test/ann/pages/a%20b?q=1");
	served_free(v);
}

static void faults_are_named(void **state)
{
	struct served *v = served_new();

	(void)state;
	assert_int_equal(served_configure(v, "UserDir www/*\nUserDir /a/*/*\n"), 2);
	assert_non_null(strstr(v->said, "E 1: UserDir: \"www/*\" has a star"));
	assert_non_null(strstr(v->said, "E 2: UserDir: \"/a/*/*\" has two stars"));
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whom_it_counts_for), cmocka_unit_test(forms_of_a_place), cmocka_unit_test(addresses_redirect),
		cmocka_unit_test(faults_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

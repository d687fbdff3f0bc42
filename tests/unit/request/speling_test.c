/*
 * speling_test.c - names that are nearly right: one is redirected to, several are listed, what may not be had is not told.
 */
#include "served.h"

static struct served *folder_of_names(const char *lines, const char *const *names)
{
	struct served *v = served_site(lines);

	for (; *names; names++) {
		char at[128];

		snprintf(at, sizeof at, "htdocs/%s", *names);
		served_file_make(v, at, "x");
	}
	return v;
}

static void near_names(void **state)
{
	static const struct { const char *asked; unsigned status; const char *location; } rows[] = {
		{ "/picture.html", 301, "http://main.test/Picture.html" }, { "/Pciture.html", 301, "http://main.test/Picture.html" },
		{ "/Picure.html", 301, "http://main.test/Picture.html" }, { "/Pictturre.html", 404, NULL }, { "/Pictture.html", 301, "http://main.test/Picture.html" },
		{ "/Pisture.html?q=1", 301, "http://main.test/Picture.html?q=1" }, { "/Picture.txt", 300, NULL }, { "/picture", 300, NULL }, { "/pict", 404, NULL }, { "/one.txt", 300, NULL },
		{ "/other", 404, NULL }, { "/Picture.html", 200, NULL }, { "/secret.txt", 404, NULL }, { "/none/picture.html", 404, NULL },
	};
	static const char *const names[] = { "Picture.html", "one1.txt", "one2.txt", "Secret.txt", NULL };
	struct served *v = folder_of_names("CheckSpelling On\n<Location /Secret.txt>\nRequire all denied\n</Location>\n", names);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = served_get(v, rows[i].asked);

		if (status != rows[i].status)
			fail_msg("%s: %u, not %u", rows[i].asked, status, rows[i].status);
		if (rows[i].location)
			assert_field(v, "Location", rows[i].location);
	}
	assert_int_equal(served_get(v, "/one.txt"), 300);
	assert_non_null(strstr(v->body, "<a href=\"/one1.txt\">one1.txt</a>"));
	assert_non_null(strstr(v->body, "<a href=\"/one2.txt\">one2.txt</a>"));
	assert_int_equal(served_ask(v, "POST", "/picture.html", ""), 404);
	served_free(v);
}

static void case_only_and_off(void **state)
{
	static const char *const names[] = { "Picture.html", NULL };
	struct served *v = folder_of_names("CheckSpelling On\nCheckCaseOnly On\n", names);

	(void)state;
	assert_int_equal(served_get(v, "/PICTURE.HTML"), 301);
	assert_int_equal(served_get(v, "/Pcture.html"), 404);
	assert_int_equal(served_get(v, "/Picture.txt"), 300);
	served_free(v);
	v = folder_of_names("CheckSpelling On\nCheckCaseOnly On\nCheckBasenameMatch Off\n", names);
	assert_int_equal(served_get(v, "/PICTURE.HTML"), 301);
	assert_int_equal(served_get(v, "/Picture.txt"), 404);
	served_free(v);
	v = folder_of_names("", names);
	assert_int_equal(served_get(v, "/PICTURE.HTML"), 404);
	served_free(v);
	v = folder_of_names("CheckSpelling On\nCheckBasenameMatch Off\n", names);
	assert_int_equal(served_get(v, "/Picture.txt"), 404);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(near_names), cmocka_unit_test(case_only_and_off) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * if_test.c - <If>, <ElseIf>, <Else> of server/request/sections.c and sectionread.c: chains, nesting, places, the order of
 * merging, and conditions without an answer.
 */
#include "served.h"

/* The value of X-Seen, to which every section that holds adds its letter. */
static void check_seen(struct served *v, const char *target, const char *wanted)
{
	char seen[128] = "";
	const char *at;
	unsigned status = served_get(v, target);

	if ((at = strstr(v->head, "X-Seen: ")))
		snprintf(seen, sizeof seen, "%.*s", (int)strcspn(at + 8, "\n"), at + 8);
	if (status != 200 || strcmp(seen, wanted) != 0)
		fail_msg("%s: %u \"%s\", not \"%s\"\n%s", target, status, seen, wanted, served_log(v));
}

#define SEEN(letter) "Header append X-Seen " letter "\n"
#define Q(text) "%{QUERY_STRING} == '" text "'"

static void chains(void **state)
{
	struct served *v = served_site(
		"<If \"" Q("a") "\">\n" SEEN("a") "</If>\n<ElseIf \"" Q("b") "\">\n" SEEN("b") "</ElseIf>\n<ElseIf '%{QUERY_STRING} =~ /[abc]/'>\n" SEEN("c")
		"</ElseIf>\n<Else>\n" SEEN("else") "</Else>\n"
		"Options None\n<If true>\n" SEEN("t") "</If>\n<If false>\n" SEEN("no") "</If>\n<Else>\n" SEEN("f") "</Else>\n");

	(void)state;
	served_file_make(v, "htdocs/x.txt", "x");
	check_seen(v, "/x.txt?a", "a, t, f");
	check_seen(v, "/x.txt?b", "b, t, f");
	check_seen(v, "/x.txt?xc", "c, t, f");
	check_seen(v, "/x.txt?d", "else, t, f");
	check_seen(v, "/x.txt", "else, t, f");
	check_seen(v, "/x.txt?a", "a, t, f");
	served_free(v);
}

static void places_and_their_order(void **state)
{
	struct served *v = served_site(
		"<Location /a>\n<If true>\n" SEEN("location") "</If>\n</Location>\n"
		"<Files x.txt>\n<If true>\n" SEEN("files") "</If>\n</Files>\n"
		"<Directory \"@DIR@/htdocs/a\">\nAllowOverride All\n<If true>\n" SEEN("a") "<If \"" Q("q") "\">\n" SEEN("in") "</If>\n<Else>\n" SEEN("out") "</Else>\n</If>\n"
		"<Files x.txt>\n<If true>\n" SEEN("a-files") "</If>\n</Files>\n</Directory>\n"
		"<Directory \"@DIR@/htdocs\">\n<If true>\n" SEEN("top") "</If>\n<If false>\n<If true>\n" SEEN("never") "</If>\n</If>\n</Directory>\n"
		"<If true>\n" SEEN("server") "</If>\n" SEEN("plain"));

	(void)state;
	served_folder(v, "htdocs/a");
	served_file_make(v, "htdocs/a/x.txt", "x");
	served_file_make(v, "htdocs/a/.htaccess", "<If true>\n" SEEN("ht") "</If>\n<Files x.txt>\n<If true>\n" SEEN("ht-files") "</If>\n</Files>\n");
	check_seen(v, "/a/x.txt?q", "plain, server, top, a, in, ht, files, a-files, ht-files, location");
	check_seen(v, "/a/x.txt", "plain, server, top, a, out, ht, files, a-files, ht-files, location");
	served_free(v);
}

static void what_conditions_see(void **state)
{
	struct served *v = served_site(
		"Alias /there \"@DIR@/htdocs/a\"\n"
		"<If \"%{REQUEST_FILENAME} =~ m#/htdocs/a/x#\">\n" SEEN("file") "</If>\n"
		"<If \"-f %{REQUEST_FILENAME}\">\n" SEEN("f") "</If>\n"
		"<If \"%{REQUEST_URI} == '/there/x.txt'\">\n" SEEN("uri") "</If>\n"
		"<If \"-U '/secret'\">\n" SEEN("open") "</If>\n<If \"-U '/a/x.txt'\">\n" SEEN("free") "</If>\n"
		"<Location /secret>\nRequire all denied\n</Location>\n");

	(void)state;
	served_folder(v, "htdocs/a");
	served_file_make(v, "htdocs/a/x.txt", "x");
	check_seen(v, "/there/x.txt", "file, f, uri, free");
	check_seen(v, "/a/x.txt", "file, f, free");
	served_free(v);
}

static void access_and_faults_close(void **state)
{
	struct served *v = served_site(
		"<Location /a>\n<If \"%{HTTP_USER_AGENT} != 'good'\">\nRequire all denied\n</If>\n</Location>\n"
		"<Location /b>\n<If \"%{QUERY_STRING} =~ /^(?:a|aa)+[cd]/\">\nRequire all granted\n</If>\n</Location>\n");
	char target[4000];

	(void)state;
	served_folder(v, "htdocs/a");
	served_file_make(v, "htdocs/a/x.txt", "x");
	served_file_make(v, "htdocs/b", "x");
	assert_int_equal(served_get(v, "/a/x.txt"), 403);
	assert_int_equal(served_get(v, "/b?c"), 200);
	snprintf(target, sizeof target, "/b?");
	for (unsigned i = 3; i + 3 < sizeof target; i++)
		memcpy(target + i, "a", 2);
	if (served_get(v, target) != 500)
		fail_msg("a condition without an answer: %u", v->status);
	served_free(v);
}

static void faults_are_named(void **state)
{
	static const struct { const char *text, *words; } rows[] = {
		{ "<Else>\n</Else>\n", "E 3: <Else>: no <If> or <ElseIf> stands before it here" },
		{ "<ElseIf true>\n</ElseIf>\n", "E 3: <ElseIf>: no <If>" },
		{ "<If true>\n</If>\n<Else>\n</Else>\n<Else>\n</Else>\n", "E 7: <Else>: no <If>" },
		{ "<If true>\n</If>\n<Location />\n<Else>\n</Else>\n</Location>\n", "E 6: <Else>: no <If>" },
		{ "<If true>\n</If>\n<Else x>\n</Else>\n", "E 5: <Else>: it takes no argument" },
		{ "<If>\n</If>\n", "E 3: <If>: the expression is missing" },
		{ "<If \"\">\n</If>\n", "E 3: <If>: the expression is missing" },
		{ "<If true && false>\n</If>\n", "E 3: <If>: it takes one argument" },
		{ "<If \"%{\">\n</If>\n", "E 3: <If>: " },
		{ "<If true>\n<Directory />\n</Directory>\n</If>\n", "E 4: <Directory> is not allowed in <If>" },
		{ "<If true>\nServerName a\n</If>\n", "E 4: ServerName is not allowed in <If>" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_new();
		char text[512];

		snprintf(text, sizeof text, "ServerName a\n#\n%s", rows[i].text);
		if (served_configure(v, text) == 0 || !strstr(v->said, rows[i].words))
			fail_msg("%s: %s", rows[i].text, v->said);
		served_free(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains), cmocka_unit_test(places_and_their_order), cmocka_unit_test(what_conditions_see),
		cmocka_unit_test(access_and_faults_close), cmocka_unit_test(faults_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * mime_test.c - server/request/mime.c and mimemap.c: types by extension, what is inherited and undone, and what is denied.
 */
#include "served.h"

#include "request/mimemap.h"

static const char types[] =
	"# comment\ntext/html html htm\ntext/plain txt  asc\r\nimage/png\tpng .dot\napplication/x-tar tar\nnonsense\napplication/none\n"
	"application/pdf pdf # tail\n";

static struct served *site(const char *text)
{
	struct served *v = served_new();
	char whole[8192];

	served_file_make(v, "types", types);
	snprintf(whole, sizeof whole, "ServerName main.test\nDocumentRoot \"@DIR@/htdocs\"\nTypesConfig types\n%s", text);
	if (served_configure(v, whole))
		fail_msg("configuration refused: %s", v->said);
	return v;
}

static unsigned get(struct served *v, const char *name)
{
	char at[128], target[128];

	snprintf(at, sizeof at, "htdocs/%s", name);
	served_file_make(v, at, "x");
	snprintf(target, sizeof target, "/%s", name);
	return served_get(v, target);
}

static void a_file_of_types_is_read(void **state)
{
	struct served *v = site("");
	char folded[MIME_EXTENSION + 1], longest[100];
	uint32_t hash;

	(void)state;
	assert_int_equal(get(v, "a.HTML"), 200);
	assert_field(v, "Content-Type", "text/html");
	get(v, "a.asc");
	assert_field(v, "Content-Type", "text/plain");
	get(v, "a.dot");
	assert_field(v, "Content-Type", "image/png");
	get(v, "a.tail");
	assert_null(v->last->type);
	get(v, ".html");
	assert_null(v->last->type);
	get(v, "html");
	assert_null(v->last->type);
	assert_string_equal(mime_type_of(v->last, "/x.y/b.pdf"), "application/pdf");
	assert_null(mime_type_of(v->last, "/x.pdf/b"));
	memset(longest, 'e', sizeof longest);
	assert_false(mime_fold((struct text){ longest, sizeof longest }, folded, &hash));
	assert_false(mime_fold((struct text){ "", 0 }, folded, &hash));
	served_free(v);
}

static void the_shipped_list_is_the_built_in_one(void **state)
{
	static char file[32768];
	int fd = open("conf/etc/mime.types", O_RDONLY | O_CLOEXEC);
	ssize_t n;
	char *p = file;

	(void)state;
	assert_true(fd >= 0);
	n = read(fd, file, sizeof file - 1);
	close(fd);
	assert_true(n > 0);
	file[n] = '\0';
	while (*p == '#')
		p = strchr(p, '\n') + 1;
	assert_string_equal(p, mime_shipped);
}

static void each_extension_counts(void **state)
{
	struct served *v = site(
		"AddType text/x-special .special\nAddType text/html .h1 h2\nAddType \"text/x-c; charset=koi8-r\" .c\n"
		"AddCharset UTF-8 .utf8\nAddDefaultCharset ISO-8859-1\nAddEncoding x-gzip .gz\nAddLanguage de .de\nAddLanguage fr .fr\n"
		"DefaultLanguage en\n"
		"<Directory \"@DIR@/htdocs/forced\">\nForceType image/gif\n</Directory>\n"
		"<Directory \"@DIR@/htdocs/forced/not\">\nForceType None\n</Directory>\n");

	(void)state;
	served_folder(v, "htdocs/forced");
	served_folder(v, "htdocs/forced/not");
	get(v, "a.special");
	assert_field(v, "Content-Type", "text/x-special");
	get(v, "a.h2");
	assert_field(v, "Content-Type", "text/html; charset=ISO-8859-1");
	get(v, "a.html.utf8");
	assert_field(v, "Content-Type", "text/html; charset=utf-8");
	get(v, "a.utf8.html");
	assert_field(v, "Content-Type", "text/html; charset=utf-8");
	get(v, "a.c");
	assert_field(v, "Content-Type", "text/x-c; charset=koi8-r");
	get(v, "forced/a.txt");
	assert_field(v, "Content-Type", "image/gif");
	get(v, "forced/not/a.txt");
	assert_field(v, "Content-Type", "text/plain; charset=ISO-8859-1");
	get(v, "a.tar.gz");
	assert_field(v, "Content-Type", "application/x-tar");
	assert_field(v, "Content-Encoding", "x-gzip");
	get(v, "a.html.de.fr");
	assert_field(v, "Content-Language", "de,fr");
	get(v, "a.txt");
	assert_field(v, "Content-Language", "en");
	get(v, "a.html.unknown");
	assert_field(v, "Content-Type", "text/html; charset=ISO-8859-1");
	served_free(v);
}

static void removals_undo_what_is_inherited(void **state)
{
	struct served *v = site(
		"AddType text/x-up .up\nAddEncoding gzip .gz\nAddHandler nosuch .run\n"
		"<Directory \"@DIR@/htdocs/d\">\nRemoveType .up .html\nRemoveEncoding .gz\nRemoveHandler .run\nAddType text/x-new .up2\n</Directory>\n"
		"<Directory \"@DIR@/htdocs/d/e\">\nAddType text/x-again .up\n</Directory>\n"
		"<Directory \"@DIR@/htdocs/both\">\nRemoveType .t\nAddType text/x-t .t\nAddLanguage de .l\nRemoveLanguage .l\n"
		"AddHandler nosuch .h\nRemoveHandler .h\n</Directory>\n");

	(void)state;
	served_folder(v, "htdocs/d");
	served_folder(v, "htdocs/d/e");
	get(v, "a.up");
	assert_field(v, "Content-Type", "text/x-up");
	get(v, "d/a.up");
	assert_null(served_field(v, "Content-Type"));
	get(v, "d/a.html");             /* not TypesConfig's either, as in Apache */
	assert_null(served_field(v, "Content-Type"));
	get(v, "d/a.gz");
	assert_null(served_field(v, "Content-Encoding"));
	assert_int_equal(get(v, "d/a.run"), 200);
	assert_int_equal(get(v, "a.run"), 403);
	get(v, "d/e/a.up");
	assert_field(v, "Content-Type", "text/x-again");
	served_folder(v, "htdocs/both");        /* what removes counts, wherever it stands in the section */
	get(v, "both/a.t.l");
	assert_null(served_field(v, "Content-Type"));
	assert_null(served_field(v, "Content-Language"));
	assert_int_equal(get(v, "both/a.h"), 200);
	served_free(v);
}

static void what_would_run_is_denied(void **state)
{
	struct served *v = site(
		"AddHandler cgi-script .cgi\nAddType application/x-httpd-php .php\nAddOutputFilter INCLUDES .shtml\n"
		"AddOutputFilter DEFLATE .txt\nAddOutputFilterByType INCLUDES application/pdf\nAddOutputFilterByType DEFLATE text/html\n"
		"AddHandler own .own\n"
		"<Location /script>\nSetHandler cgi-script\n</Location>\n<Location /script/plain>\nSetHandler None\n</Location>\n"
		"<Location /asked>\nSetHandler %{tolower:OWN}\n</Location>\n<Location /asked/none>\nSetHandler \"%{tolower:NO}ne\"\n</Location>\n"
		"<Location /asked/nobody>\nSetHandler %{env:NOBODY}\n</Location>\n"
		"<Location /filter>\nSetOutputFilter DEFLATE;INCLUDES\n</Location>\n<Location /filter/plain>\nSetOutputFilter none\n</Location>\n");
	static const struct { const char *name; unsigned status; } rows[] = {
		{ "a.cgi", 403 }, { "a.cgi.txt", 403 }, { "a.php", 403 }, { "a.php.txt", 200 }, { "a.shtml", 403 }, { "a.txt", 200 },
		{ "a.html", 200 }, { "a.pdf", 403 }, { "a.own", 200 }, { "script/x.txt", 403 }, { "script/plain/x.txt", 200 },
		{ "filter/x.txt", 403 }, { "filter/plain/x.txt", 200 }, { "cgi", 200 },
		{ "asked/none/x.txt", 200 }, { "asked/nobody/x.txt", 403 }, { "asked/x.txt", 200 },
	};

	(void)state;
	for (const char *const *d = (const char *const[]){ "script", "script/plain", "filter", "filter/plain", "asked", "asked/none",
	     "asked/nobody", NULL }; *d; d++) {
		char at[64];

		snprintf(at, sizeof at, "htdocs/%s", *d);
		served_folder(v, at);
	}
	served_log(v);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = get(v, rows[i].name);

		if (status != rows[i].status)
			fail_msg("%s: %u", rows[i].name, status);
	}
	assert_string_equal(v->last->handler->name, "own");
	assert_non_null(strstr(served_log(v), "\"cgi-script\" of test.conf:4"));
	assert_non_null(strstr(v->said, "N 4: "));
	assert_non_null(strstr(v->said, "N 6: "));
	assert_int_equal(get(v, "script/x.txt"), 403);
	assert_int_equal(served_get(v, "/script/absent"), 403);
	assert_int_equal(get(v, "a.own"), 200);
	assert_string_equal(v->last->handler->name, "own");
	served_free(v);
}

/* The lines that said how programs are run may stand in an <IfModule> whose module is not here: their source stays in all the same. */
static void sources_stay_in_where_nothing_is_said(void **state)
{
	static const struct { const char *name; unsigned status; } rows[] = {
		{ "a.php", 403 }, { "a.PHP", 403 }, { "a.php7", 403 }, { "a.phtml", 403 }, { "a.phar", 403 }, { "a.phps", 403 }, { "a.php.bak", 403 },
		{ "a.cgi", 403 }, { "a.fcgi", 403 }, { "a.php.html", 200 }, { "php", 200 }, { ".php", 200 }, { "a.phpx", 200 }, { "text/a.php", 200 },
		{ "forced/a.php", 200 }, { "taken/a.php", 200 }, { "handled/a.php", 200 }, { "handled/a.cgi", 200 },
	};
	struct served *v = site(
		"<IfModule mod_php7.c>\nAddType application/x-httpd-php .php\n</IfModule>\n"
		"<Location /text>\nAddType text/plain .php\n</Location>\n<Location /forced>\nForceType text/plain\n</Location>\n"
		"<Location /taken>\nRemoveType .php\n</Location>\n<Location /handled>\nSetHandler default-handler\n</Location>\n");

	(void)state;
	for (const char *const *d = (const char *const[]){ "text", "forced", "taken", "handled", NULL }; *d; d++) {
		char at[64];

		snprintf(at, sizeof at, "htdocs/%s", *d);
		served_folder(v, at);
	}
	served_log(v);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = get(v, rows[i].name);

		if (status != rows[i].status)
			fail_msg("%s: %u", rows[i].name, status);
	}
	assert_int_equal(get(v, "a.php7"), 403);
	assert_non_null(strstr(served_log(v), "a.php7 denied: its type application/x-httpd-php stands for a program"));
	served_free(v);
}

static void bad_lines_are_refused(void **state)
{
	static const struct { const char *line, *word; } rows[] = {
		{ "TypesConfig absent.types", "absent.types" }, { "AddType texthtml .x", "texthtml" }, { "AddType text/html", "AddType" },
		{ "AddCharset \"a b\" .x", "a b" }, { "AddDefaultCharset \"u;x\"", "u;x" }, { "ForceType gif", "gif" },
		{ "SetHandler \"expr=%{X}\"", "xpression" }, { "AddType text/html .", "extension" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_new();

		if (served_configure(v, rows[i].line) == 0)
			fail_msg("%s: accepted", rows[i].line);
		if (!strstr(v->said, rows[i].word))
			fail_msg("%s: %s", rows[i].line, v->said);
		served_free(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_types_is_read), cmocka_unit_test(the_shipped_list_is_the_built_in_one),
		cmocka_unit_test(each_extension_counts), cmocka_unit_test(removals_undo_what_is_inherited),
		cmocka_unit_test(what_would_run_is_denied),
		cmocka_unit_test(sources_stay_in_where_nothing_is_said), cmocka_unit_test(bad_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * htaccess_test.c - server/request/htaccess.c: what AllowOverride lets in, changes of a file, faults, limits, and how long
 * what was read lives. Includes the .c for the cache.
 */
#include "request/htaccess.c"

#include "served.h"

#define ALL "<Directory \"@DIR@/htdocs\">\nAllowOverride All\n</Directory>\n"

static void write_in(struct served *v, const char *folder, const char *text)
{
	char name[128];

	snprintf(name, sizeof name, "htdocs/%s/.htaccess", folder);
	served_file_make(v, name, text);
}

/* A folder with a page x.txt and, unless NULL, a per-directory file. */
static void folder(struct served *v, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof path, "htdocs/%s", name);
	served_folder(v, path);
	snprintf(path, sizeof path, "htdocs/%s/x.txt", name);
	served_file_make(v, path, "x");
	if (text)
		write_in(v, name, text);
}

static struct htaccess *latest(const struct served *v)
{
	return list_entry(v->site->files->used.prev, struct htaccess, used);
}

static void the_log_says(struct served *v, const char *words)
{
	const char *log = served_log(v);

	if (!strstr(log, words)) {
		print_error("not in the log: %s\n%s\n", words, log);
		fail();
	}
}

static void each_folder_on_the_way_counts(void **state)
{
	struct served *v = served_site(ALL "<Directory \"@DIR@/htdocs/a/b\">\nHeader set X-2 directory\nHeader set X-3 directory\n</Directory>\n"
				       "<Files \"x.txt\">\nHeader set X-4 files\n</Files>\n<Location \"/a\">\nHeader set X-5 location\n</Location>\n");

	(void)state;
	served_file_make(v, "htdocs/.htaccess", "Header set X-0 top\n");
	folder(v, "a", "Header set X-1 a\nHeader set X-2 a\nHeader set X-4 a\nHeader set X-5 a\n<Files x.txt>\nHeader set X-6 inner\n</Files>\n");
	folder(v, "a/b", "Header set X-3 b\n");
	assert_int_equal(served_get(v, "/a/b/x.txt"), 200);
	for (const char *const *line = (const char *const[]){ "X-0: top\n", "X-1: a\n", "X-2: directory\n", "X-3: b\n", "X-4: files\n", "X-5: location\n",
							     "X-6: inner\n", NULL }; *line; line++)
		if (!strstr(v->head, *line))
			fail_msg("%s is not in\n%s", *line, v->head);
	assert_int_equal(v->site->files->n, 3);
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	assert_non_null(strstr(v->head, "X-2: a\n"));
	assert_int_equal(v->site->files->n, 3);
	served_file_make(v, "htdocs/a/b/.htaccess", "Require all denied\n");
	assert_int_equal(served_get(v, "/a/b"), 403);           /* its own file counts before the slash is added */
	served_free(v);
}

static void changes_count_at_the_next_request(void **state)
{
	struct served *v = served_site(ALL);
	struct htaccess *old;

	(void)state;
	folder(v, "a", "Header set X-A one\n");
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	assert_non_null(strstr(v->head, "X-A: one"));
	old = latest(v);
	htaccess_get(old);                      /* a request in flight */
	write_in(v, "a", "Header set X-A two\n");       /* of the same size, in the same tick */
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	assert_non_null(strstr(v->head, "X-A: two"));
	assert_false(old->kept);
	assert_int_equal(old->references, 1);   /* not even a merged set holds it */
	assert_non_null(strstr(old->text, "one"));
	htaccess_put(old);
	old = latest(v);
	write_in(v, "a", "Header set X-A two\n");
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	assert_ptr_equal(latest(v), old);       /* the same text is not read anew */
	served_file_make(v, "htdocs/.htaccess", "Require all denied\n");
	assert_int_equal(served_get(v, "/a/x.txt"), 403);
	assert_int_equal(unlink(served_path(v, "htdocs/.htaccess")), 0);
	assert_int_equal(unlink(served_path(v, "htdocs/a/.htaccess")), 0);
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	assert_null(strstr(v->head, "X-A"));
	served_free(v);
}

static void a_settled_file_is_only_looked_at(void **state)
{
	struct timespec then[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };
	struct stamp s = { .ctime.tv_sec = 1000000, .mtime.tv_sec = 1000000 };
	struct served *v = served_site(ALL);
	struct htaccess *h;

	(void)state;
	folder(v, "a", "Header set X-A one\n");
	assert_int_equal(utimensat(AT_FDCWD, served_path(v, "htdocs/a/.htaccess"), then, 0), 0);
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	h = latest(v);
	assert_false(h->settled);               /* its inode has only just changed */
	h->settled = true;
	h->length = 0;                          /* reading it again would tell */
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	assert_ptr_equal(latest(v), h);
	assert_true(is_settled(&s));
	clock_gettime(CLOCK_REALTIME, &s.ctime);
	assert_false(is_settled(&s));
	s.ctime.tv_sec += 100000;               /* another machine's clock */
	assert_false(is_settled(&s));
	served_free(v);
}

static void what_is_allowed(void **state)
{
	static const struct { const char *allow, *text; unsigned status; const char *words; } rows[] = {
		{ "AllowOverride None", "Frobnicate", 200, NULL },
		{ "AllowOverride FileInfo", "AddType a/b .c", 200, NULL },
		{ "AllowOverride AuthConfig", "AddType a/b .c", 500, "AllowOverride FileInfo" },
		{ "AllowOverride AuthConfig", "Require all granted", 200, NULL },
		{ "AllowOverride FileInfo", "Require all granted", 500, "/.htaccess:1: Require is not allowed here" },
		{ "AllowOverride FileInfo", "\n<Files x>\nRequire all granted\n</Files>", 500, ":3: Require is not allowed here" },
		{ "AllowOverride FileInfo", "<Files x>\nAddType a/b .c\n</Files>", 200, NULL },
		{ "AllowOverride FileInfo", "<Limit GET>\nRequire all granted\n</Limit>", 500, ":2: Require" },
		{ "AllowOverride AuthConfig", "<Limit GET>\nRequire all denied\n</Limit>", 403, NULL },
		{ "AllowOverride AuthConfig", "<RequireAny>\nRequire all denied\n</RequireAny>", 403, NULL },
		{ "AllowOverride FileInfo", "<RequireAny>\nRequire all denied\n</RequireAny>", 500, "<RequireAny>" },
		{ "AllowOverride Indexes", "DirectoryIndex x", 200, NULL },
		{ "AllowOverride Options", "Options None", 200, NULL },
		{ "AllowOverride FileInfo", "Options None", 500, "AllowOverride Options" },
		{ "AllowOverride Options=Indexes,MultiViews", "Options +Indexes -MultiViews", 200, NULL },
		{ "AllowOverride Options=Indexes,MultiViews", "Options None", 200, NULL },
		{ "AllowOverride Options=Indexes,MultiViews", "Options +ExecCGI", 500, "the option +ExecCGI is not allowed here" },
		{ "AllowOverride Options=Indexes,MultiViews", "Options All", 500, "All" },
		{ "AllowOverride None\nAllowOverrideList Header", "Header set A b", 200, NULL },
		{ "AllowOverride None\nAllowOverrideList Header", "AddType a/b .c", 500, "AddType is not allowed here" },
		{ "AllowOverride Limit Nonfatal=Override", "AddType a/b .c\nServerName x\n<Directory />\n</Directory>", 200, NULL },
		{ "AllowOverride Limit Nonfatal=Override", "Frobnicate", 500, "Frobnicate" },
		{ "AllowOverride Limit Nonfatal=Unknown", "Frobnicate\n<Frob x>\n</Frob>", 200, NULL },
		{ "AllowOverride Limit Nonfatal=Unknown", "AddType a/b .c", 500, "AddType" },
		{ "AllowOverride FileInfo Nonfatal=All", "Frobnicate\nServerName x\nAddType", 500, "AddType" },
		{ "AllowOverride All", "ServerName x", 500, "ServerName" },
		{ "AllowOverride All", "AllowOverride None", 500, "AllowOverride is not allowed" },
		{ "AllowOverride All", "<Location />\n</Location>", 500, "<Location> is not allowed" },
		{ "AllowOverride All", "Include /etc/passwd", 500, "Include is not allowed" },
		{ "AllowOverride All", "Define A b", 500, "Define is not allowed" },
		{ "AllowOverride All", "<Files x>", 500, "<Files> is not closed" },
		{ "AllowOverride All", "<IfDefine NO>\nFrobnicate\n</IfDefine>\n<IfDirective Frob>\nFrob\n</IfDirective>", 200, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[256];
		struct served *v;

		snprintf(text, sizeof text, "<Directory \"@DIR@/htdocs/a\">\n%s\n</Directory>\n", rows[i].allow);
		v = served_site(text);
		folder(v, "a", rows[i].text);
		if (served_get(v, "/a/x.txt") != rows[i].status)
			fail_msg("%s with \"%s\": %u, not %u\n%s", rows[i].allow, rows[i].text, v->status, rows[i].status, served_log(v));
		if (rows[i].words)
			the_log_says(v, rows[i].words);
		served_free(v);
	}
}

static void faults_are_told_once_as_errors(void **state)
{
	struct served *v = served_site(ALL);

	(void)state;
	folder(v, "a", "# fine\n\nHeader set X \\\n 1\nFrobnicate yes\n");
	assert_int_equal(served_get(v, "/a/x.txt"), 500);
	the_log_says(v, "BH0650: ");
	assert_int_equal(served_get(v, "/a/x.txt"), 500);
	assert_null(strstr(served_log(v), "BH0650"));
	assert_int_equal(served_get(v, "/a/"), 500);
	the_log_says(v, "/.htaccess:5: unknown directive Frobnicate");
	write_in(v, "a", "Frobnicate\n");
	assert_int_equal(served_get(v, "/a/none"), 500);
	the_log_says(v, "BH0650: ");
	served_free(v);
}

static void what_cannot_be_read_closes_the_folder(void **state)
{
	struct served *v = served_site(ALL);

	(void)state;
	folder(v, "a", NULL);
	folder(v, "b", NULL);
	folder(v, "c", "Require all granted\n");
	folder(v, "d", "Require all denied\n");
	assert_int_equal(mkdir(served_path(v, "htdocs/a/.htaccess"), 0755), 0);
	assert_int_equal(mkfifo(served_path(v, "htdocs/b/.htaccess"), 0644), 0);
	assert_int_equal(served_get(v, "/a/x.txt"), 403);
	the_log_says(v, "BH0654: (21)Is a directory");
	assert_int_equal(served_get(v, "/b/x.txt"), 403);
	if (geteuid() == 0) {
		assert_int_equal(chmod(served_path(v, "htdocs/c/.htaccess"), 0600), 0);
		assert_int_equal(seteuid(65534), 0);
		assert_int_equal(served_get(v, "/c/x.txt"), 403);
		assert_int_equal(seteuid(0), 0);
		the_log_says(v, "(13)Permission denied");
	}
	folder(v, "e", NULL);
	assert_int_equal(symlink("../d/.htaccess", served_path(v, "htdocs/e/.htaccess")), 0);
	assert_int_equal(served_get(v, "/e/x.txt"), 403);
	folder(v, "f", NULL);
	assert_int_equal(symlink("nothing", served_path(v, "htdocs/f/.htaccess")), 0);
	assert_int_equal(served_get(v, "/f/x.txt"), 200);
	served_free(v);
}

static void hostile_files_are_bounded(void **state)
{
	struct served *v = served_site(ALL);
	size_t n = HTACCESS_SIZE_MAX + 1;
	char *text = malloc(n + 1);
	int fd;

	(void)state;
	assert_non_null(text);
	memset(text, '#', n);
	text[n] = '\0';
	folder(v, "a", text);
	assert_int_equal(served_get(v, "/a/x.txt"), 500);
	the_log_says(v, "BH0655");
	text[n - 1] = '\0';
	write_in(v, "a", text);
	assert_int_equal(served_get(v, "/a/x.txt"), 200);

	n = 0;                                  /* little text, large patterns */
	while (n + 80 < HTACCESS_SIZE_MAX)
		n += (size_t)snprintf(text + n, 80, "SetEnvIf Host \"(a{1,999}){1,30}\" A\n");
	write_in(v, "a", text);
	assert_int_equal(served_get(v, "/a/x.txt"), 500);
	the_log_says(v, "more memory than a per-directory file may take");
	assert_true(latest(v)->memory < HTACCESS_MEMORY_MAX + 1024 * 1024);
	free(text);

	fd = open(served_path(v, "htdocs/a/.htaccess"), O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "Header set A b\n\0Require all denied\n", 35), 35);
	close(fd);
	assert_int_equal(served_get(v, "/a/x.txt"), 500);
	the_log_says(v, "/.htaccess:2: the line holds a NUL byte");
	served_free(v);
}

static void few_are_kept(void **state)
{
	struct served *v = served_site(ALL);
	const unsigned many = HTACCESS_KEPT + 20;
	char name[64];

	(void)state;
	for (unsigned i = 0; i < many; i++) {
		snprintf(name, sizeof name, "f%u", i);
		folder(v, name, "Header set X-A b\n");
	}
	for (unsigned i = 0; i < many; i++) {
		snprintf(name, sizeof name, "/f%u/x.txt", i);
		assert_int_equal(served_get(v, name), 200);
		assert_true(v->site->files->n <= HTACCESS_KEPT);
	}
	assert_int_equal(v->site->files->n, HTACCESS_KEPT);
	assert_int_equal(served_get(v, "/f0/x.txt"), 200);
	assert_non_null(strstr(v->head, "X-A: b"));
	served_free(v);
}

static void names_of_the_file(void **state)
{
	struct served *v = served_site("AccessFileName .settings .more\n" ALL);

	(void)state;
	folder(v, "a", "Frobnicate\n");
	served_file_make(v, "htdocs/a/.more", "Header set X-A more\nHeader set X-B more\n");
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	assert_non_null(strstr(v->head, "X-A: more"));
	served_file_make(v, "htdocs/a/.settings", "Header set X-A settings\n");
	assert_int_equal(served_get(v, "/a/x.txt"), 200);
	assert_non_null(strstr(v->head, "X-A: settings"));
	assert_null(strstr(v->head, "X-B"));
	served_free(v);
}

/* A structure of a host would outlive the file that is to fill it. */
static void no_directive_fills_a_host(void **state)
{
	(void)state;
	for (struct conf_module *const *m = served_modules; *m; m++)
		for (const struct conf_directive *d = (*m)->directives; d && d->name; d++)
			if (d->contexts & CONF_HTACCESS) {
				if (d->scope != CONF_OF_SECTION && d->args != CONF_SECTION)
					fail_msg("%s", d->name);
				if (!d->override)
					fail_msg("%s has no group of AllowOverride", d->name);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_folder_on_the_way_counts), cmocka_unit_test(changes_count_at_the_next_request),
		cmocka_unit_test(a_settled_file_is_only_looked_at), cmocka_unit_test(what_is_allowed), cmocka_unit_test(faults_are_told_once_as_errors),
		cmocka_unit_test(what_cannot_be_read_closes_the_folder), cmocka_unit_test(hostile_files_are_bounded), cmocka_unit_test(few_are_kept),
		cmocka_unit_test(names_of_the_file), cmocka_unit_test(no_directive_fills_a_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

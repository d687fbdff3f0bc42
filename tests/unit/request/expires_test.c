/*
 * expires_test.c - server/request/expires.c: times as they are written, and which responses get them.
 */
#include "served.h"

static void times(void **state)
{
	static const struct { const char *time; long age; } rows[] = {       /* age: of content changed 1000 seconds ago; -1: refused */
		{ "A60", 60 }, { "A0", 0 }, { "M3600", 2600 }, { "M60", 0 }, { "A-5", 0 }, { "\"access plus 1 month\"", 2592000 },
		{ "\"access plus 1 year 1 week 1 day 1 hour 1 minute 1 second\"", 31536000 + 604800 + 86400 + 3600 + 60 + 1 },
		{ "\"now plus 2 DAYS\"", 172800 }, { "\"Access 3 hours\"", 10800 }, { "\"access\"", 0 }, { "\"modification plus 1 hour\"", 2600 },
		{ "\"modification\"", 0 }, { "\"access plus\"", 0 }, { "\"access  plus  10   seconds\"", 10 },
		{ "soon", -1 }, { "x1", -1 }, { "A", -1 }, { "A1x", -1 }, { "\"access plus 1\"", -1 }, { "\"access plus one day\"", -1 },
		{ "\"access plus 1 fortnight\"", -1 }, { "\"access plus 99999999999999999999 days\"", -1 }, { "\"access plus 99999 years\"", -1 },
		{ "\"access plus 1 day plus 1 day\"", -1 }, { "\"\"", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_new();
		struct timespec changed[2] = { { .tv_sec = time(NULL) - 1000 }, { .tv_sec = time(NULL) - 1000 } };
		char text[400];
		long age = -1;
		bool refused;

		served_file_make(v, "htdocs/a.txt", "x");
		assert_int_equal(utimensat(AT_FDCWD, served_path(v, "htdocs/a.txt"), changed, 0), 0);
		snprintf(text, sizeof text, "ServerName x.test\nDocumentRoot \"@DIR@/htdocs\"\nExpiresActive On\nExpiresDefault %s\n", rows[i].time);
		refused = served_configure(v, text) != 0;
		if (refused != (rows[i].age < 0))
			fail_msg("%s: %s", rows[i].time, v->said);
		if (!refused) {
			struct request *r = served_request(v, "GET", "/a.txt", "");
			time_t now = time(NULL);

			r->section = v->site->main->section;
			r->modified = now - 1000;
			assert_int_equal(expires_apply(r, now), 0);
			struct text control = fields_get(&r->out, "Cache-Control");
			if (!control.p || sscanf(control.p, "max-age=%ld", &age) != 1 || age != rows[i].age)
				fail_msg("%s: %ld", rows[i].time, age);
			assert_int_equal(fields_count(&r->out, "Expires"), 1);
		}
		served_free(v);
	}
}

static void which_responses(void **state)
{
	static const struct {
		const char *type, *field, *value;
		unsigned status;
		time_t modified;
		const char *control;
	} rows[] = {
		{ "text/css; charset=x", NULL, NULL, 200, -1, "max-age=10" }, { "TEXT/CSS", NULL, NULL, 200, -1, "max-age=10" },
		{ "image/png", NULL, NULL, 200, -1, "max-age=20" }, { "image/gif", NULL, NULL, 200, -1, "max-age=30" },
		{ "text/html", NULL, NULL, 200, -1, "max-age=40" }, { NULL, NULL, NULL, 200, -1, "max-age=40" }, { "image", NULL, NULL, 200, -1, "max-age=40" },
		{ "text/plain", NULL, NULL, 200, -1, NULL }, { "text/plain", NULL, NULL, 200, 0, "max-age=0" },
		{ "text/css", NULL, NULL, 404, -1, NULL }, { "text/css", NULL, NULL, 500, -1, NULL }, { "text/css", NULL, NULL, 302, -1, "max-age=10" },
		{ "text/css", "Expires", "0", 200, -1, NULL }, { "text/css", "Cache-Control", "public", 200, -1, "public, max-age=10" },
		{ "text/html", "Content-Type", "text/css", 200, -1, "max-age=10" },
	};
	struct served *v = served_site("ExpiresActive On\nExpiresDefault A40\nExpiresByType image/* A30\nExpiresByType image/png A99\nExpiresByType image/png A20\n"
				       "ExpiresByType text/css A10\nExpiresByType text/plain M5\n");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct request *r = served_request(v, "GET", "/", "");
		struct text control;

		r->section = v->site->main->section;
		r->type = rows[i].type;
		r->status = rows[i].status;
		r->modified = rows[i].modified;
		if (rows[i].field)
			fields_add_copy(&r->out, rows[i].field, rows[i].value);
		assert_int_equal(expires_apply(r, 1000000), 0);
		control = fields_get(&r->out, "Cache-Control");
		if (rows[i].control ? !text_is(control, rows[i].control) : control.p != NULL)
			fail_msg("row %zu: %.*s", i, (int)control.n, control.p ? control.p : "");
	}
	served_free(v);
}

static void sections(void **state)
{
	struct served *v = served_new();

	(void)state;
	served_file_make(v, "types", "text/html html\ntext/css css\n");
	assert_int_equal(served_configure(v, "ServerName x.test\nDocumentRoot \"@DIR@/htdocs\"\nTypesConfig types\nExpiresActive On\nExpiresByType text/html A1\n"
					  "ExpiresDefault A2\nExpiresByType text/css A8\n<Location /off>\nExpiresActive Off\n</Location>\n"
					  "<Location /in>\nExpiresByType text/html A3\nExpiresDefault A4\n</Location>\n"
					  "<Files own>\nHeader set Cache-Control no-store\n</Files>\n"), 0);
	for (const char *const *d = (const char *const[]){ "off", "in", NULL }; *d; d++) {
		char at[64];

		snprintf(at, sizeof at, "htdocs/%s", *d);
		served_folder(v, at);
	}
	static const struct { const char *name, *control; } rows[] = {
		{ "a.html", "max-age=1" }, { "a.css", "max-age=8" }, { "a", "max-age=2" }, { "off/a.html", NULL }, { "in/a.html", "max-age=3" },
		{ "in/a.css", "max-age=8" }, { "in/a", "max-age=4" }, { "own", "no-store" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char at[64];

		snprintf(at, sizeof at, "htdocs/%s", rows[i].name);
		served_file_make(v, at, "x");
		assert_int_equal(served_get(v, at + 6), 200);
		const char *control = served_field(v, "Cache-Control");
		if (rows[i].control ? !control || strcmp(control, rows[i].control) : control != NULL)
			fail_msg("%s: %s", rows[i].name, control ? control : "none");
	}
	assert_int_equal(served_get(v, "/none"), 404);
	assert_null(served_field(v, "Expires"));
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(times), cmocka_unit_test(which_responses), cmocka_unit_test(sections) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

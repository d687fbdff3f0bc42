/*
 * coding_test.c - server/filter/coding.c: what Accept-Encoding asks for, and what becomes of the fields of a coded response.
 */
#include "tests/unit/request/served.h"

static void weights(void **state)
{
	static const struct { const char *field; unsigned gzip, br; } rows[] = {
		{ "gzip", 1000, 0 }, { "GZip", 1000, 0 }, { "x-gzip", 1000, 0 }, { "gzip, br", 1000, 1000 }, { "gzip;q=0", 0, 0 },
		{ "gzip;q=0.000, br;q=0.5", 0, 500 }, { "gzip ; q=0.001", 1, 0 }, { "gzip;Q=0.25", 250, 0 }, { "br;q=1.000", 0, 1000 },
		{ "gzipped, brotli", 0, 0 }, { "", 0, 0 }, { "identity", 0, 0 }, { "*", 0, 0 }, { "gzip;q=x", 1000, 0 }, { "gzip;q=0.1234", 1000, 0 },
		{ "gzip;x=y;q=0.3", 300, 0 }, { "gzip;q=0, x-gzip", 1000, 0 }, { ",,gzip,,", 1000, 0 }, { "br;q=0.5;", 0, 500 }, { ";q=1", 0, 0 },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fields in;
		unsigned gzip, br;

		fields_init(&in, a);
		fields_add(&in, TEXT("Accept-Encoding"), text_of(rows[i].field));
		gzip = coding_accepted(&in, "gzip", "x-gzip");
		br = coding_accepted(&in, "br", NULL);
		if (gzip != rows[i].gzip || br != rows[i].br)
			fail_msg("\"%s\": %u %u", rows[i].field, gzip, br);
	}
	arena_free(a);
}

static const struct coding gzip = { .name = "gzip", .off = "no-gzip", .force = "force-gzip", .html_only = "gzip-only-text/html", .suffix = "-gzip" };

struct row {
	const char *accept, *type, *encoding, *out, *value, *env, *env_value;
	unsigned status;
	int64_t length;
	int joins;
	const char *vary;
};

static void who_joins(void **state)
{
	static const struct row rows[] = {
		{ "gzip", "text/html", NULL, NULL, NULL, NULL, NULL, 200, 100, 1, "Accept-Encoding" },
		{ "br", "text/html", NULL, NULL, NULL, NULL, NULL, 200, 100, 0, "Accept-Encoding" },
		{ "br", "text/html", NULL, NULL, NULL, "force-gzip", "", 200, 100, 1, "Accept-Encoding" },
		{ "gzip", "text/html", NULL, NULL, NULL, NULL, NULL, 404, 100, 1, "Accept-Encoding" },
		{ "gzip", "text/html", NULL, NULL, NULL, NULL, NULL, 206, 100, 0, NULL },
		{ "gzip", "text/html", NULL, NULL, NULL, NULL, NULL, 200, 0, 0, NULL },
		{ "gzip", "text/html", NULL, NULL, NULL, NULL, NULL, 200, -1, 1, "Accept-Encoding" },
		{ "gzip", "text/html", "gzip", NULL, NULL, NULL, NULL, 200, 100, 0, NULL },
		{ "gzip", "text/html", "identity", NULL, NULL, NULL, NULL, 200, 100, 1, "Accept-Encoding" },
		{ "gzip", "text/html", NULL, "Content-Encoding", "br", NULL, NULL, 200, 100, 0, NULL },
		{ "gzip", "text/html", NULL, "Content-Range", "bytes 0-1/2", NULL, NULL, 200, 100, 0, NULL },
		{ "gzip", "text/html", NULL, "Cache-Control", "public, no-transform", NULL, NULL, 200, 100, 0, NULL },
		{ "gzip", "text/html", NULL, "Vary", "Cookie", NULL, NULL, 200, 100, 1, "Cookie, Accept-Encoding" },
		{ "gzip", "text/html", NULL, "Vary", "accept-encoding", NULL, NULL, 200, 100, 1, "accept-encoding" },
		{ "gzip", "text/html", NULL, "Vary", "*", NULL, NULL, 200, 100, 1, "*" },
		{ "gzip", "text/html", NULL, NULL, NULL, "no-gzip", "", 200, 100, 0, NULL },
		{ "gzip", "text/html", NULL, NULL, NULL, "dont-vary", "1", 200, 100, 1, NULL },
		{ "gzip", "text/html; charset=x", NULL, NULL, NULL, "gzip-only-text/html", "1", 200, 100, 1, "Accept-Encoding" },
		{ "gzip", "text/css", NULL, NULL, NULL, "gzip-only-text/html", "1", 200, 100, 0, NULL },
		{ "gzip", "text/css", NULL, NULL, NULL, "gzip-only-text/html", "0", 200, 100, 1, "Accept-Encoding" },
		{ "gzip", "text/css", NULL, "Content-Type", "text/html", "gzip-only-text/html", "1", 200, 100, 1, "Accept-Encoding" },
	};
	struct served *v = served_site("");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *w = &rows[i];
		struct request *r = served_request(v, "GET", "/", "");
		struct text vary;
		int joins;

		fields_add_copy(&r->in, "Accept-Encoding", w->accept);
		fields_add(&r->out, TEXT("Accept-Ranges"), TEXT("bytes"));
		fields_add(&r->out, TEXT("Content-MD5"), TEXT("x"));
		if (w->out)
			fields_add_copy(&r->out, w->out, w->value);
		if (w->env)
			fields_add_copy(&r->env, w->env, w->env_value);
		r->type = w->type;
		r->encoding = w->encoding;
		r->status = w->status;
		r->length = w->length;
		r->etag = "\"a\"";
		joins = coding_joins(r, &gzip, CODING_SUFFIX);
		vary = fields_get(&r->out, "Vary");
		if (joins != w->joins || (w->vary ? !text_is(vary, w->vary) : vary.p != NULL))
			fail_msg("row %zu: %d, \"%.*s\"", i, joins, (int)vary.n, vary.p ? vary.p : "");
		assert_string_equal(r->etag, joins ? "\"a-gzip\"" : "\"a\"");
		assert_int_equal(r->length, joins ? -1 : w->length);
		assert_int_equal(fields_count(&r->out, "Accept-Ranges"), !joins);
		assert_int_equal(fields_count(&r->out, "Content-MD5"), !joins);
		if (joins)
			assert_string_equal(r->encoding, "gzip");
	}
	served_free(v);
}

static void tags(void **state)
{
	static const struct { const char *own, *field; enum coding_etag how; const char *after, *field_after; } rows[] = {
		{ "\"a\"", NULL, CODING_SUFFIX, "\"a-x\"", NULL }, { "W/\"a\"", NULL, CODING_SUFFIX, "W/\"a-x\"", NULL },
		{ "\"a\"", NULL, CODING_NO_CHANGE, "\"a\"", NULL }, { "\"a\"", NULL, CODING_REMOVE, NULL, NULL }, { NULL, NULL, CODING_SUFFIX, NULL, NULL },
		{ NULL, "\"f\"", CODING_SUFFIX, NULL, "\"f-x\"" }, { NULL, "\"f\"", CODING_REMOVE, NULL, NULL }, { NULL, "odd", CODING_SUFFIX, NULL, NULL },
	};
	struct served *v = served_site("");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct request *r = served_request(v, "GET", "/", "");
		struct text field;

		r->etag = rows[i].own;
		if (rows[i].field)
			fields_add_copy(&r->out, "ETag", rows[i].field);
		assert_int_equal(coding_alter_etag(r, "-x", rows[i].how), 0);
		field = fields_get(&r->out, "ETag");
		if ((rows[i].after ? !r->etag || strcmp(r->etag, rows[i].after) : r->etag != NULL) ||
		    (rows[i].field_after ? !text_is(field, rows[i].field_after) : field.p != NULL))
			fail_msg("row %zu: %s", i, r->etag ? r->etag : "none");
	}
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(weights), cmocka_unit_test(who_joins), cmocka_unit_test(tags) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

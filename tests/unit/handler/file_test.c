/*
 * file_test.c - server/handler/file.c, welcome.c and registry.c: files with their validators and ranges, methods, the
 * built-in page.
 */
#define SERVED_HANDLERS
#include "tests/unit/request/served.h"

#include "handler/file.h"
#include "handler/welcome.h"

static char digits[1001];

static struct served *site(const char *text)
{
	struct served *v = served_site(text);
	struct timespec when[2] = { { 1000000000, 0 }, { 1000000000, 0 } };

	for (unsigned i = 0; i < 250; i++)
		snprintf(digits + 4 * i, 5, "%04u", i);
	served_file_make(v, "htdocs/d.txt", digits);
	served_file_make(v, "htdocs/empty.txt", "");
	assert_int_equal(utimensat(AT_FDCWD, served_path(v, "htdocs/d.txt"), when, 0), 0);
	return v;
}

static void get_and_head_agree(void **state)
{
	struct served *v = site("");
	char head[8192];

	(void)state;
	assert_int_equal(served_get(v, "/d.txt"), 200);
	assert_string_equal(v->body, digits);
	assert_field(v, "Content-Length", "1000");
	assert_field(v, "Content-Type", "text/plain");
	assert_field(v, "ETag", "\"3e8-38d7ea4c68000\"");
	assert_field(v, "Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT");
	assert_field(v, "Accept-Ranges", "bytes");
	assert_int_equal(v->last->fd, -1);      /* the stream has it */
	strcpy(head, strchr(v->head, '\n'));
	assert_int_equal(served_ask(v, "HEAD", "/d.txt", ""), 200);
	assert_string_equal(strchr(v->head, '\n'), head);
	assert_int_equal(v->n, 0);
	assert_int_equal(served_get(v, "/empty.txt"), 200);
	assert_field(v, "Content-Length", "0");
	served_free(v);
}

static void tags_by_directive(void **state)
{
	struct served *v = site(
		"<Location /d.txt/none>\nFileETag None\n</Location>\n<Files d.txt>\nFileETag Size\n</Files>\n"
		"<Files empty.txt>\nFileETag None\n</Files>\n");
	struct request *r;

	(void)state;
	served_get(v, "/d.txt");
	assert_field(v, "ETag", "\"3e8\"");
	served_get(v, "/empty.txt");
	assert_null(served_field(v, "ETag"));
	served_free(v);
	v = site("");
	served_file_make(v, "htdocs/new.txt", "x");
	r = served_request(v, "GET", "/new.txt", "");
	clock_gettime(CLOCK_REALTIME, &r->received);
	r->received.tv_sec -= 5;                /* the file has changed since the request came */
	phases_run(r);
	assert_int_equal(strncmp(served_field(v, "ETag"), "W/\"1-", 5), 0);
	served_free(v);
}

static void methods(void **state)
{
	struct served *v = site("");
	static const struct { const char *method, *target; unsigned status; } rows[] = {
		{ "PUT", "/d.txt", 405 }, { "DELETE", "/d.txt", 405 }, { "POST", "/d.txt", 200 }, { "POST", "/none", 404 },
		{ "PUT", "/none", 405 }, { "FROB", "/d.txt", 501 }, { "GET", "/none", 404 }, { "GET", "/d.txt/more", 404 },
		{ "OPTIONS", "/d.txt", 200 }, { "OPTIONS", "/none", 200 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = served_ask(v, rows[i].method, rows[i].target, "");

		if (status != rows[i].status)
			fail_msg("%s %s: %u", rows[i].method, rows[i].target, status);
		if (status == 405 || status == 501 || strcmp(rows[i].method, "OPTIONS") == 0)
			assert_field(v, "Allow", "GET,POST,OPTIONS,HEAD,TRACE");
	}
	served_free(v);
}

static void preconditions(void **state)
{
	struct served *v = site("");
	static const struct { const char *fields; unsigned status; } rows[] = {
		{ "If-None-Match: \"3e8-38d7ea4c68000\"\r\n", 304 }, { "If-None-Match: *\r\n", 304 }, { "If-Match: \"other\"\r\n", 412 },
		{ "If-Match: *\r\n", 200 }, { "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n", 412 },
		{ "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\nRange: bytes=0-3\r\n", 304 },
		{ "If-Match: \"other\"\r\nRange: bytes=5000-\r\n", 412 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = served_ask(v, "GET", "/d.txt", rows[i].fields);

		if (status != rows[i].status)
			fail_msg("%s: %u", rows[i].fields, status);
		if (status == 304) {
			assert_int_equal(v->n, 0);
			assert_field(v, "ETag", "\"3e8-38d7ea4c68000\"");
		}
	}
	served_free(v);
}

static void one_range(void **state)
{
	struct served *v = site("");
	static const struct { const char *fields; unsigned status, from, n; const char *told; } rows[] = {
		{ "Range: bytes=0-9\r\n", 206, 0, 10, "bytes 0-9/1000" }, { "Range: bytes=990-\r\n", 206, 990, 10, "bytes 990-999/1000" },
		{ "Range: bytes=-5\r\n", 206, 995, 5, "bytes 995-999/1000" }, { "Range: bytes=996-5000\r\n", 206, 996, 4, "bytes 996-999/1000" },
		{ "Range: bytes=5-5\r\n", 206, 5, 1, "bytes 5-5/1000" }, { "Range: bytes=-2000\r\n", 206, 0, 1000, "bytes 0-999/1000" },
		{ "Range: bytes=1000-\r\n", 416, 0, 0, "bytes */1000" }, { "Range: bytes=-0\r\n", 416, 0, 0, "bytes */1000" },
		{ "Range: lines=1-2\r\n", 200, 0, 1000, NULL }, { "Range: bytes=9-3\r\n", 200, 0, 1000, NULL },
		{ "Range: bytes=x-y\r\n", 200, 0, 1000, NULL }, { "Range: bytes=\r\n", 200, 0, 1000, NULL },
		{ "Range: bytes=-\r\n", 200, 0, 1000, NULL }, { "Range: bytes=0 - 9\r\n", 200, 0, 1000, NULL },
		{ "Range: bytes=0-9,5-20\r\n", 206, 0, 21, "bytes 0-20/1000" }, { "Range: bytes=10-19,0-9,\r\n", 206, 0, 20, "bytes 0-19/1000" },
		{ "Range: bytes=0-9,x-y\r\n", 200, 0, 1000, NULL }, { "Range: bytes=2000-,1000-\r\n", 416, 0, 0, "bytes */1000" },
		{ "Range: bytes=2000-,0-3\r\n", 206, 0, 4, "bytes 0-3/1000" }, { "Range: bytes=0-900,950-\r\nIf-Range: \"x\"\r\n", 200, 0, 1000, NULL },
		{ "Range: bytes=99999999999999999999-\r\n", 200, 0, 1000, NULL },
		{ "Range: bytes=0-3\r\nIf-Range: \"3e8-38d7ea4c68000\"\r\n", 206, 0, 4, "bytes 0-3/1000" },
		{ "Range: bytes=0-3\r\nIf-Range: \"other\"\r\n", 200, 0, 1000, NULL },
		{ "Range: bytes=0-3\r\nIf-Range: Sun, 09 Sep 2001 01:46:40 GMT\r\n", 206, 0, 4, "bytes 0-3/1000" },
		{ "Range: bytes=0-3\r\nIf-Range: Sun, 09 Sep 2001 01:46:39 GMT\r\n", 200, 0, 1000, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = served_ask(v, "GET", "/d.txt", rows[i].fields);

		if (status != rows[i].status)
			fail_msg("%s: %u", rows[i].fields, status);
		if (status != 416) {
			assert_int_equal(v->n, rows[i].n);
			assert_memory_equal(v->body, digits + rows[i].from, rows[i].n);
		}
		if (rows[i].told)
			assert_field(v, "Content-Range", rows[i].told);
		else
			assert_null(served_field(v, "Content-Range"));
	}
	assert_int_equal(served_ask(v, "HEAD", "/d.txt", "Range: bytes=0-9\r\n"), 200);
	served_free(v);
}

/* Parts of several blocks, and a client that takes little at a time. */
static void several_ranges(void **state)
{
	struct served *v = site("AddDefaultCharset utf-8\n<Files few.txt>\nMaxRanges 2\n</Files>\n<Files none.txt>\nMaxRanges none\n</Files>\n");
	const char *type, *boundary;
	char want[1024];

	(void)state;
	assert_int_equal(served_ask(v, "GET", "/d.txt", "Range: bytes=0-3,500-503,-4\r\n"), 206);
	type = served_field(v, "Content-Type");
	assert_non_null(strstr(type, "multipart/byteranges; boundary="));
	boundary = strchr(type, '=') + 1;
	snprintf(want, sizeof want, "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-3/1000\r\n\r\n0000"
		 "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 500-503/1000\r\n\r\n0125"
		 "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 996-999/1000\r\n\r\n0249\r\n--%s--\r\n",
		 boundary, boundary, boundary, boundary);
	assert_int_equal(v->n, strlen(want));
	assert_memory_equal(v->body, want, v->n);
	assert_null(served_field(v, "Content-Range"));
	served_file_make(v, "htdocs/few.txt", "0123456789");
	served_file_make(v, "htdocs/none.txt", "0123456789");
	assert_int_equal(served_ask(v, "GET", "/few.txt", "Range: bytes=0-0,3-3\r\n"), 206);
	assert_int_equal(served_ask(v, "GET", "/few.txt", "Range: bytes=0-0,3-3,6-6\r\n"), 200);
	assert_int_equal(served_ask(v, "GET", "/none.txt", "Range: bytes=0-0\r\n"), 200);
	assert_field(v, "Accept-Ranges", "none");
	assert_int_equal(served_ask(v, "GET", "/empty.txt", "Range: bytes=0-\r\n"), 200);      /* of nothing there is no part */
	served_free(v);
}

static void path_info_and_error_documents(void **state)
{
	struct served *v = site("<Files d.txt>\nAcceptPathInfo On\n</Files>\nErrorDocument 404 /d.txt\n");

	(void)state;
	assert_int_equal(served_get(v, "/d.txt/more"), 200);
	assert_int_equal(served_ask(v, "GET", "/none", "If-None-Match: *\r\nRange: bytes=0-3\r\n"), 404);
	assert_string_equal(v->body, digits);   /* neither condition nor range is about the error's page */
	served_free(v);
}

static void the_welcome_page(void **state)
{
	struct served *v = site("<Location />\nSetHandler bulkhead-welcome\n</Location>\n");

	(void)state;
	assert_int_equal(served_get(v, "/"), 200);
	assert_field(v, "Content-Type", "text/html; charset=utf-8");
	assert_non_null(strstr(v->body, "not encrypted"));
	assert_non_null(strstr(v->body, "curl http://main.test/"));
	assert_null(strstr(v->body, "src="));
	v->client.secure = true;
	assert_int_equal(served_ask(v, "GET", "/", "Host: localhost:8443\r\n"), 200);
	assert_non_null(strstr(v->body, "TLSv1.3"));
	assert_non_null(strstr(v->body, "https://localhost:8443/"));
	assert_int_equal(served_get(v, "/other"), 404);
	assert_int_equal(served_ask(v, "POST", "/", ""), 405);
	assert_int_equal(served_ask(v, "HEAD", "/", ""), 200);
	served_free(v);
}

static void handlers_have_names(void **state)
{
	static const struct handler mine = { .name = "mine" }, file = { .name = "default-handler" };

	(void)state;
	assert_ptr_equal(handler_find("default-handler"), &file_handler);
	assert_ptr_equal(handler_find("bulkhead-welcome"), &welcome_handler);
	assert_null(handler_find("mine"));
	handler_register(&mine);
	handler_register(&file);
	assert_ptr_equal(handler_find("mine"), &mine);
	assert_ptr_equal(handler_find("default-handler"), &file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_and_head_agree), cmocka_unit_test(tags_by_directive), cmocka_unit_test(methods),
		cmocka_unit_test(preconditions), cmocka_unit_test(one_range), cmocka_unit_test(several_ranges),
		cmocka_unit_test(path_info_and_error_documents),
		cmocka_unit_test(the_welcome_page), cmocka_unit_test(handlers_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * response_test.c - server/request/response.c: fields, preconditions, pages, ErrorDocument, redirects.
 */
#include "served.h"

#include "http/condition.h"

static void every_response_has_date_and_server_first(void **state)
{
	struct served *v = served_site("ServerTokens Prod\n");
	time_t when;

	(void)state;
	served_file_make(v, "htdocs/a.txt", "a");
	assert_int_equal(served_get(v, "/a.txt"), 200);
	assert_int_equal(strncmp(v->head, "Date: ", 6), 0);
	assert_int_equal(http_date_parse(text_of(served_field(v, "Date")), &when), 0);
	assert_true(labs((long)(when - time(NULL))) <= 2);
	assert_field(v, "Server", "Bulkhead");
	assert_int_equal(served_get(v, "/none"), 404);
	assert_int_equal(strncmp(v->head, "Date: ", 6), 0);
	served_free(v);
}

static void server_by_tokens(void **state)
{
	static const struct { const char *tokens, *server; } rows[] = {
		{ "Prod", "Bulkhead" }, { "Major", "Bulkhead/0" }, { "Minor", "Bulkhead/0.1" }, { "Min", "Bulkhead/0.1" },
		{ "OS", "Bulkhead/0.1 (Unix)" }, { "Full", "Bulkhead/0.1 (Unix)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char line[64];
		struct served *v;

		snprintf(line, sizeof line, "ServerTokens %s\n", rows[i].tokens);
		v = served_site(line);
		served_get(v, "/none");
		assert_field(v, "Server", rows[i].server);
		served_free(v);
	}
}

static void pages_are_whole_and_escaped(void **state)
{
	struct served *v = served_site("ServerSignature EMail\nServerAdmin \"a&b@example.org\"\n");

	(void)state;
	assert_int_equal(served_get(v, "/%3Cscript%3E"), 404);
	assert_field(v, "Content-Type", "text/html; charset=utf-8");
	assert_non_null(strstr(v->body, "<title>404 Not Found</title>"));
	assert_non_null(strstr(v->body, "a&amp;b@example.org"));
	assert_non_null(strstr(v->body, "Bulkhead/0.1 (Unix) at "));
	assert_null(strstr(v->body, "<script>"));
	assert_int_equal(atoi(served_field(v, "Content-Length")), v->n);
	assert_int_equal(served_ask(v, "HEAD", "/none", ""), 404);
	assert_int_equal(v->n, 0);
	assert_true(atoi(served_field(v, "Content-Length")) > 0);
	served_free(v);
	v = served_site("");
	served_get(v, "/none");
	assert_null(strstr(v->body, "<address>"));
	served_free(v);
}

static void statuses_bring_their_fields(void **state)
{
	struct served *v = served_site("");
	struct request *r;

	(void)state;
	r = served_request(v, "PUT", "/x", "");
	r->host = v->site->main;
	r->section = r->host->section;
	r->path = "/x";
	r->type = "image/png";
	r->encoding = "gzip";
	fields_add_copy(&r->out, "X-Of-The-File", "1");
	fields_add_copy(&r->always, "X-Kept", "1");
	response_error(r, 405);
	assert_int_equal(v->status, 405);
	assert_field(v, "Allow", "GET,POST,OPTIONS,HEAD");
	assert_field(v, "X-Kept", "1");
	assert_null(served_field(v, "X-Of-The-File"));
	assert_null(served_field(v, "Content-Encoding"));
	assert_non_null(strstr(v->body, "The method PUT is not allowed"));
	assert_true(r->keepalive);

	r = served_request(v, "GET", "/x", "");
	r->host = v->site->main;        /* as conn/ calls it for a head that is none: no sections, no path */
	response_error(r, 503);
	assert_field(v, "Retry-After", "10");
	assert_false(r->keepalive);

	r = served_request(v, "GET", "/x", "");
	r->host = v->site->main;
	response_error_text(r, 400, "You speak HTTP <here>");
	assert_int_equal(v->status, 400);
	assert_non_null(strstr(v->body, "You speak HTTP &lt;here&gt;"));

	r = served_request(v, "GET", "/x", "");
	r->host = v->site->main;
	r->head_sent = true;
	response_error(r, 500);
	assert_non_null(v->aborted);
	assert_int_equal(v->heads, 0);
	served_free(v);
}

static void error_documents(void **state)
{
	struct served *v = served_site(
		"ErrorDocument 404 \"nothing <b>here</b>\"\n"
		"<Location /local>\nErrorDocument 404 /sorry.html\n</Location>\n"
		"<Location /far>\nErrorDocument 404 http://elsewhere.test/lost\n</Location>\n"
		"<Location /loop>\nErrorDocument 404 /absent.html\n</Location>\n<Location /absent.html>\nErrorDocument 404 /absent.html\n</Location>\n"
		"<Location /default>\nErrorDocument 404 default\n</Location>\n"
		"<Location /closed>\nRequire all denied\nErrorDocument 403 /none-of-it\n</Location>\n"
		"<Location /told>\nErrorDocument 404 \"no %{escape:%{REQUEST_URI}} (%{REQUEST_STATUS})\"\n</Location>\n"
		"<Location /to>\nErrorDocument 404 /%{tolower:SORRY}.html\n</Location>\n"
		"<Location /dumb>\nErrorDocument 404 \"%{file:/none/such}\"\n</Location>\n");
	struct request *r;

	(void)state;
	served_file_make(v, "htdocs/sorry.html", "sorry");
	assert_int_equal(served_get(v, "/none"), 404);
	assert_string_equal(v->body, "nothing <b>here</b>");
	assert_int_equal(served_get(v, "/local/none?q"), 404);
	assert_string_equal(v->body, "ok");
	assert_string_equal(v->last->path, "/sorry.html");
	assert_true(text_is(request_env(v->last, "REDIRECT_STATUS"), "404"));
	assert_true(text_is(request_env(v->last, "REDIRECT_URL"), "/local/none"));
	assert_int_equal(v->last->original->status, 404);
	assert_int_equal(served_get(v, "/far/none"), 302);
	assert_field(v, "Location", "http://elsewhere.test/lost");
	assert_int_equal(served_get(v, "/loop/none"), 404);
	assert_int_equal(served_get(v, "/told/a%20b"), 404);
	assert_string_equal(v->body, "no /told/a%20b (404)");
	assert_int_equal(served_get(v, "/to/x"), 404);
	assert_string_equal(v->last->path, "/sorry.html");
	assert_int_equal(served_get(v, "/dumb/x"), 404);        /* no answer: the built-in page */
	assert_non_null(strstr(v->body, "404 Not Found"));
	assert_int_equal(served_get(v, "/default/none"), 404);
	assert_null(strstr(v->body, "nothing"));
	assert_int_equal(served_get(v, "/closed/x"), 403);      /* not the 404 of its document */
	assert_non_null(strstr(v->body, "403 Forbidden"));
	assert_int_equal(served_ask(v, "HEAD", "/local/none", ""), 404);
	assert_int_equal(v->n, 0);
	r = served_request(v, "POST", "/local/none", "Content-Length: 1\r\n");
	phases_run(r);
	assert_int_equal(v->status, 404);
	assert_int_equal(v->stream.request->method_id, HTTP_GET);
	served_free(v);
}

static void allow_outlives_an_error_document(void **state)
{
	struct served *v = served_site("TraceEnable off\nErrorDocument 405 /sorry.html\n");

	(void)state;
	served_file_make(v, "htdocs/sorry.html", "sorry");
	assert_int_equal(served_ask(v, "TRACE", "/x", ""), 405);
	assert_string_equal(v->body, "ok");
	assert_non_null(strstr(served_field(v, "Allow"), "GET"));
	served_free(v);
}

static void preconditions(void **state)
{
	struct served *v = served_site("Header set Cache-Control max-age=60\n");
	static const struct { const char *method, *fields; unsigned status; } rows[] = {
		{ "GET", "If-None-Match: \"tag\"\r\n", 304 }, { "HEAD", "If-None-Match: \"tag\"\r\n", 304 },
		{ "GET", "If-None-Match: \"other\"\r\n", 200 }, { "GET", "If-Match: \"other\"\r\n", 412 },
		{ "GET", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n", 304 },
		{ "GET", "If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n", 200 },
		{ "GET", "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 200 }, { "GET", "If-None-Match: *, \"other\"\r\n", 304 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct request *r = served_request(v, rows[i].method, "/x", rows[i].fields);
		int rc;

		r->host = v->site->main;
		r->section = r->host->section;
		r->path = "/x";
		r->etag = "\"tag\"";
		r->modified = 1000000000;
		r->type = "text/plain";
		r->language = "de";
		r->length = 7;
		rc = response_start(r);
		assert_int_equal(v->status, rows[i].status);
		assert_int_equal(rc, rows[i].status == 200 ? 0 : 1);
		if (rows[i].status == 412)
			continue;
		assert_field(v, "ETag", "\"tag\"");
		assert_field(v, "Cache-Control", "max-age=60");
		assert_field(v, "Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT");
		if (rows[i].status == 304) {
			assert_int_equal(v->ends, 1);
			assert_null(served_field(v, "Content-Type"));
			assert_null(served_field(v, "Content-Language"));
			assert_null(served_field(v, "Content-Length"));
			assert_true(r->no_body);
		}
	}
	served_free(v);
}

static void origins(void **state)
{
	static const struct { const char *lines, *fields; bool secure; const char *origin; } rows[] = {
		{ "", "Host: here.test\r\n", false, "http://here.test" },
		{ "", "Host: here.test:8080\r\n", false, "http://here.test:8080" },
		{ "", "Host: here.test:80\r\n", false, "http://here.test" },
		{ "", "Host: [::1]:99\r\n", false, "http://[::1]:99" },
		{ "", "Host: here.test\r\n", true, "https://here.test" },
		{ "", "Host: here.test:8443\r\n", true, "https://here.test:8443" },
		{ "UseCanonicalName On\n", "Host: here.test:1\r\n", false, "http://main.test" },
		{ "UseCanonicalName On\n", "Host: here.test:1\r\n", true, "https://main.test" },
		{ "ServerName named.test:81\nUseCanonicalName On\n", "Host: here.test\r\n", false, "http://named.test:81" },
		{ "ServerName named.test:81\n", "Host: here.test\r\n", false, "http://here.test:81" },
		{ "ServerName named.test:81\n", "Host: here.test:5\r\n", false, "http://here.test:5" },
		{ "ServerName https://named.test\n", "Host: here.test\r\n", false, "https://here.test" },
		{ "ServerName http://named.test:81\nUseCanonicalName On\n", "Host: here.test\r\n", true, "https://named.test:81" },
		{ "ServerName named.test:81\nUseCanonicalName DNS\n", "Host: here.test:5\r\n", false, "http://named.test:5" },
		{ "UseCanonicalPhysicalPort On\n", "Host: here.test\r\n", true, "https://here.test:8443" },
		{ "UseCanonicalPhysicalPort On\n", "Host: here.test:99\r\n", true, "https://here.test:99" },
		{ "UseCanonicalPhysicalPort On\nServerName n.test:81\n", "Host: here.test\r\n", true, "https://here.test:8443" },
		{ "UseCanonicalPhysicalPort On\nUseCanonicalName On\nServerName n.test:81\n", "Host: here.test:5\r\n", true, "https://n.test:81" },
		{ "UseCanonicalPhysicalPort On\nUseCanonicalName On\nServerName n.test\n", "Host: here.test:5\r\n", true, "https://n.test:8443" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct served *v = served_site(rows[i].lines);
		struct request *r;

		v->client.secure = rows[i].secure;
		served_ask(v, "GET", "/", rows[i].fields);
		r = v->last;
		if (strcmp(response_origin(r), rows[i].origin) != 0)
			fail_msg("row %zu: %s", i, response_origin(r));
		served_free(v);
	}
}

static void redirects_carry_no_control_bytes(void **state)
{
	struct served *v = served_site("");
	struct request *r = served_request(v, "GET", "/", "");

	(void)state;
	r->host = v->site->main;
	r->section = r->host->section;
	response_redirect(r, 302, "http://x.test/\r\nX: y");
	assert_int_equal(v->status, 500);
	assert_null(served_field(v, "Location"));
	r = served_request(v, "GET", "/", "");
	r->host = v->site->main;
	r->section = r->host->section;
	response_redirect(r, 301, "http://x.test/?a=\"<b>");
	assert_int_equal(v->status, 301);
	assert_non_null(strstr(v->body, "href=\"http://x.test/?a=&quot;&lt;b&gt;\""));
	served_free(v);
}

static void slow_clients_get_the_whole_text(void **state)
{
	struct served *v = served_site("");
	struct request *r = served_request(v, "GET", "/", "");
	char text[1000];
	unsigned turns = 0;

	(void)state;
	memset(text, 'x', sizeof text);
	r->host = v->site->main;
	r->section = r->host->section;
	v->room = 300;
	response_text(r, 200, "text/plain", text, sizeof text);
	memset(text, '-', sizeof text);         /* the caller's memory is his again */
	for (; !v->ends && turns < 10; turns++)
		r->handler->writable(r);
	assert_int_equal(v->ends, 1);
	assert_int_equal(v->n, sizeof text);
	assert_int_equal(strspn(v->body, "x"), sizeof text);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_response_has_date_and_server_first), cmocka_unit_test(server_by_tokens),
		cmocka_unit_test(pages_are_whole_and_escaped), cmocka_unit_test(statuses_bring_their_fields), cmocka_unit_test(error_documents),
		cmocka_unit_test(allow_outlives_an_error_document), cmocka_unit_test(preconditions), cmocka_unit_test(origins),
		cmocka_unit_test(redirects_carry_no_control_bytes), cmocka_unit_test(slow_clients_get_the_whole_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

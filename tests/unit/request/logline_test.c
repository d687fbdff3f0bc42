/*
 * logline_test.c - server/request/logline.c: what each item of a LogFormat stands for.
 */
#include "served.h"

#include "log/format.h"
#include "request/logline.h"

static struct logline at = { .kept = 3 };

/* The line without its end. */
static const char *line_of(struct served *v, const char *format)
{
	static char text[4096];
	struct err e = { 0 };
	struct log_access access = { .format = log_format_new(v->arena, format, &e) };
	struct buf b;

	if (!access.format)
		fail_msg("%s: %s", format, e.text);
	buf_init(&b, text, sizeof text);
	at.now_us = (uint64_t)v->last->started_us + 1234567;
	logline_render(&access, v->last, &at, &b);
	assert_true(b.n > 0 && text[b.n - 1] == '\n');
	text[b.n - 1] = '\0';
	return text;
}

static struct served *site(const char *text)
{
	struct served *v = served_site(text);

	served_file_make(v, "htdocs/a.html", "hello");
	return v;
}

static void items_of_a_request(void **state)
{
	struct served *v = site("SetEnv MADE made\nHeader note Content-Type kind\n");
	static const struct { const char *format, *line; } rows[] = {
		{ "%a %{c}a %h %{c}h %A", "192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 127.0.0.1" },
		{ "%b %B", "2 2" }, { "%D %T %{s}T %{ms}T %{us}T", "1234567 1 1 1234 1234567" },
		{ "%H %m %q %U %r", "HTTP/1.1 GET ?x=y&z=1 /a.html GET /a.html?x=y&z=1 HTTP/1.1" },
		{ "%s %>s", "200 200" }, { "%k %L %l %u", "3 - - -" }, { "%v %V", "main.test other.test" },
		{ "%p %{canonical}p %{local}p %{remote}p", "80 80 80 5555" },
		{ "%{X-In}i %{None}i", "in -" }, { "%{Content-Type}o %{Content-Length}o %{None}o", "text/html 2 -" },
		{ "%{MADE}e %{NONE}e", "made -" }, { "%{CRUMB}C %{a}C %{none}C %{empty}C", "c b - -" }, { "%{kind}n %{none}n", "text/html -" },
		{ "%R %X", "- +" }, { "%%", "%" }, { "%{HTTPS}x %{REQUEST_METHOD}x %{SSL_PROTOCOL}x %{version}c", "off GET - -" },
		{ "%400{X-In}i %!400{X-In}i %200,304{X-In}i", "- in in" },
	};
	char expected[600];

	(void)state;
	assert_int_equal(served_ask(v, "GET", "/a.html?x=y&z=1", "Host: other.test:81\r\nX-In: in\r\nCookie: a=b; crumb=c; d=e; empty=\r\n"), 200);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(line_of(v, rows[i].format), rows[i].line);
	assert_string_equal(line_of(v, "%f"), served_path(v, "htdocs/a.html"));
	snprintf(expected, sizeof expected, "%d", (int)getpid());
	assert_string_equal(line_of(v, "%P"), expected);
	snprintf(expected, sizeof expected, "%llu %llu %llu", (unsigned long long)v->stream.in_bytes,
		 (unsigned long long)(v->stream.head_bytes + 2), (unsigned long long)(v->stream.in_bytes + v->stream.head_bytes + 2));
	assert_string_equal(line_of(v, "%I %O %S"), expected);
	at.aborted = true;
	assert_string_equal(line_of(v, "%X"), "X");
	at.aborted = false;
	v->last->keepalive = false;
	assert_string_equal(line_of(v, "%X"), "-");
	served_free(v);
}

static void times(void **state)
{
	struct served *v = site("");

	(void)state;
	assert_int_equal(setenv("TZ", "UTC-2", 1), 0);
	tzset();
	served_get(v, "/a.html");
	v->last->received = (struct timespec){ 1000000000, 123456789 };
	assert_string_equal(line_of(v, "%t"), "[09/Sep/2001:03:46:40 +0200]");
	assert_string_equal(line_of(v, "%{%Y-%m-%dT%H:%M:%S}t"), "2001-09-09T03:46:40");
	assert_string_equal(line_of(v, "%{sec}t %{msec}t %{usec}t %{msec_frac}t %{usec_frac}t"),
			    "1000000000 1000000000123 1000000000123456 123 123456");
	assert_string_equal(line_of(v, "%{begin:sec}t"), "1000000000");
	assert_true(strtoull(line_of(v, "%{end:sec}t"), NULL, 10) >= (unsigned long long)time(NULL) - 2);
	served_free(v);
}

static void redirects_have_a_first_and_a_last(void **state)
{
	struct served *v = site("ErrorDocument 404 /a.html\n");

	(void)state;
	assert_int_equal(served_get(v, "/none?q"), 404);
	assert_string_equal(line_of(v, "%s %>s %U %>U %r"), "404 404 /none /a.html GET /none?q HTTP/1.1");
	served_free(v);
}

/* As Apache: a type without parameters, the first of a name, what goes with every status before the rest. */
static void fields_of_a_response(void **state)
{
	struct served *v = site("AddDefaultCharset utf-8\nHeader add X-Two 1\nHeader add X-Two 2\nHeader set X-Both out\nHeader always set X-Both always\n"
				"Header add Set-Cookie a=1\nHeader add Set-Cookie b=2\n");

	(void)state;
	served_get(v, "/a.html");
	assert_string_equal(line_of(v, "%{Content-Type}o %{X-Two}o %{X-Both}o %{Set-Cookie}o"), "text/html 1 always a=1, b=2");
	assert_string_equal(line_of(v, "%{X}^ti %{X}^to"), "- -");
	served_free(v);
}

static void tls_variables(void **state)
{
	struct served *v = site("");

	(void)state;
	v->client.secure = true;
	served_get(v, "/a.html");
	assert_string_equal(line_of(v, "%{SSL_PROTOCOL}x %{SSL_CIPHER}x %{version}c %{cipher}c %{SSL_NONE}x"),
			    "TLSv1.3 TLS_AES_128_GCM_SHA256 TLSv1.3 TLS_AES_128_GCM_SHA256 -");
	served_free(v);
}

static void nothing_breaks_the_line(void **state)
{
	struct served *v = site("");

	(void)state;
	served_ask(v, "GET", "/a%0aFORGED%0d", "User-Agent: a\"b\\c\tend\r\n");
	assert_string_equal(line_of(v, "\"%U\" \"%{User-Agent}i\""), "\"/a\\nFORGED\\r\" \"a\\\"b\\\\c\\tend\"");
	served_free(v);
}

static void lines_by_variable(void **state)
{
	struct served *v = site("SetEnvIf Request_URI html image\n");
	struct log_access access = { .env = "image" };

	(void)state;
	served_get(v, "/a.html");
	assert_true(logline_wanted(&access, v->last));
	access.env_not = true;
	assert_false(logline_wanted(&access, v->last));
	served_get(v, "/none");
	assert_true(logline_wanted(&access, v->last));
	access.env = NULL;
	assert_true(logline_wanted(&access, v->last));
	served_free(v);
}

/* A head that was refused has neither target nor host of its own. */
static void what_was_never_a_request(void **state)
{
	struct served *v = site("");
	struct request *r = served_request(v, "GET", "/", "");

	(void)state;
	r->host = v->site->main;
	r->line = r->method = (struct text){ NULL, 0 };
	r->in.n = 0;
	response_error(r, 400);
	v->last = r;
	assert_string_equal(line_of(v, "%r %m %H %U %q %f %v %V %>s"), "- - - -  - main.test main.test 400");
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_of_a_request), cmocka_unit_test(times), cmocka_unit_test(redirects_have_a_first_and_a_last),
		cmocka_unit_test(fields_of_a_response), cmocka_unit_test(tls_variables), cmocka_unit_test(nothing_breaks_the_line), cmocka_unit_test(lines_by_variable),
		cmocka_unit_test(what_was_never_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

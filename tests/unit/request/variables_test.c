/*
 * variables_test.c - covers server/request/variables.c and varfile.c: each name and what it stands for, functions that need a request, Vary,
 * files and look-ups, what is refused in a per-directory file.
 */
#include "served.h"

#include "request/variables.h"

static const char conf[] =
	"ServerAdmin me@example.test\nServerName www.example.test\nSetEnvIf X-A . seen=here\n<Location /closed>\nRequire all denied\n</Location>\n"
	"Alias /led \"@DIR@/other\"\n<Directory \"@DIR@\">\nRequire all granted\n</Directory>\n";

static struct conf_call *call_of(struct served *v, bool htaccess)
{
	static struct reading reading;
	static struct conf_target target;
	static const struct conf_directive directive = { .name = "Test" };
	static const struct conf_node node = { .name = "Test", .args = "" };
	static struct conf_call call;

	reading = (struct reading){ .site = v->site, .host = v->site->main, .arena = v->arena, .htaccess = htaccess };
	target = (struct conf_target){ .owner = &reading };
	call = (struct conf_call){ .directive = &directive, .node = &node, .target = &target, .env = &v->env };
	return &call;
}

static const char *text_for(struct served *v, struct request *r, const char *text)
{
	struct expr *x = variables_text(call_of(v, false), text);

	if (!x)
		fail_msg("%s: %s", text, v->said);
	return variables_string(r, x);
}

static int truth_of(struct served *v, struct request *r, const char *text)
{
	struct expr *x = variables_condition(call_of(v, false), text);

	if (!x)
		fail_msg("%s: %s", text, v->said);
	return variables_true(r, x);
}

static void names(void **state)
{
	static const struct { const char *text, *value; } rows[] = {
		{ "%{HTTP_HOST} %{http_host} %{HTTP_USER_AGENT} %{HTTP_COOKIE}", "www.test www.test own a=b" }, { "%{HTTP_ACCEPT}%{HTTP_FORWARDED}", "" },
		{ "%{REQUEST_METHOD} %{REQUEST_SCHEME} %{REQUEST_URI} %{DOCUMENT_URI}", "GET http /a b.txt /a b.txt" }, { "%{QUERY_STRING}", "q=1" },
		{ "%{THE_REQUEST}", "GET /a%20b.txt?q=1 HTTP/1.1" }, { "%{SERVER_PROTOCOL} %{SERVER_PROTOCOL_VERSION}", "HTTP/1.1 1001" },
		{ "%{SERVER_PROTOCOL_VERSION_MAJOR}.%{SERVER_PROTOCOL_VERSION_MINOR}", "1.1" }, { "%{SERVER_ADMIN}", "me@example.test" },
		{ "%{SERVER_NAME} %{SERVER_PORT}", "www.test 80" }, { "%{IS_SUBREQ} %{HTTPS} %{HTTP2} %{IPV6}", "false off off off" },
		{ "%{REMOTE_USER}%{REMOTE_IDENT}%{AUTH_TYPE}%{PATH_INFO}%{CONTEXT_PREFIX}", "" }, { "%{API_VERSION}", "20120211" },
		{ "%{REQUEST_STATUS} %{CONTENT_TYPE}", "200 text/plain" }, { "%{SSL_PROTOCOL}%{SSL_CLIENT_S_DN_CN}", "" }, { "%{env:seen} %{reqenv:seen}%{v:none}", "here here" },
		{ "%{req:X-A} %{HTTP:x-a}%{req:none}", "some some" }, { "%{note:none}%{osenv:NO_SUCH_VARIABLE}", "" }, { "%{osenv:BULKHEAD_TEST}", "of the system" },
		{ "%{env:BULKHEAD_TEST}", "of the system" }, { "%{resp:X-None}", "" },
	};
	struct served *v = served_site(conf);
	struct request *r;
	char root[128];

	(void)state;
	setenv("BULKHEAD_TEST", "of the system", 1);
	served_file_make(v, "htdocs/a b.txt", "text");
	assert_int_equal(served_ask(v, "GET", "/a%20b.txt?q=1", "Host: www.test\r\nX-A: some\r\nUser-Agent: own\r\nCookie: a=b\r\n"), 200);
	r = v->last;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *got = text_for(v, r, rows[i].text);

		if (!got || strcmp(got, rows[i].value) != 0)
			fail_msg("%s: \"%s\"", rows[i].text, got ? got : "no answer");
	}
	snprintf(root, sizeof root, "%s/htdocs", v->dir);
	assert_string_equal(text_for(v, r, "%{DOCUMENT_ROOT}"), root);
	assert_string_equal(text_for(v, r, "%{CONTEXT_DOCUMENT_ROOT}"), root);
	assert_non_null(strstr(text_for(v, r, "%{REQUEST_FILENAME}"), "/htdocs/a b.txt"));
	assert_int_equal(truth_of(v, r, "%{TIME} =~ /^20[0-9]{12}$/ && %{LAST_MODIFIED} =~ /^20[0-9]{12}$/ && %{TIME_WDAY} in {0,1,2,3,4,5,6}"), 1);
	assert_int_equal(truth_of(v, r, "%{TIME_YEAR}.%{TIME_MON}.%{TIME_DAY} -le %{TIME_YEAR}.'1231' && %{TIME_HOUR} -lt 24"), 1);
	assert_int_equal(truth_of(v, r, "-n %{SERVER_SOFTWARE} && -z %{REQUEST_LOG_ID} && -n %{REMOTE_PORT} && %{REMOTE_ADDR} == %{CONN_REMOTE_ADDR}"), 1);
	assert_true(variables_known("SSL_ANYTHING") && variables_known("request_uri") && !variables_known("SSL_") && !variables_known("HTTP_X_A"));
	assert_null(variables_get(r, "NOBODY").p);
	served_folder(v, "other");
	served_file_make(v, "other/x.txt", "x");
	assert_int_equal(served_ask(v, "GET", "/led/x.txt", "Host: www.test\r\n"), 200);
	snprintf(root, sizeof root, "/led %s/other", v->dir);
	assert_string_equal(text_for(v, v->last, "%{CONTEXT_PREFIX} %{CONTEXT_DOCUMENT_ROOT}"), root);
	served_free(v);
}

/* What a condition asks of the request stands in Vary; texts, Host and req_novary do not put it there. */
static void vary(void **state)
{
	struct served *v = served_site(conf);
	struct expr *quiet;
	struct request *r;

	(void)state;
	r = served_request(v, "GET", "/", "X-A: some\r\n");
	r->host = v->site->main;
	assert_int_equal(truth_of(v, r, "req('X-A') == 'some' && -z %{HTTP_ACCEPT} && -z http('x-a') || -n req('X-B')"), 0);
	assert_true(text_is(fields_combined(&r->out, "Vary"), "X-A, Accept, X-B"));
	truth_of(v, r, "-n %{HTTP_HOST} || -n req_novary('X-C') || -n req('Host')");
	text_for(v, r, "%{req:X-D}");
	quiet = variables_condition(call_of(v, false), "-n req('X-E')");
	variables_no_vary(quiet);
	assert_int_equal(variables_true(r, quiet), 0);
	assert_true(text_is(fields_combined(&r->out, "Vary"), "X-A, Accept, X-B"));
	served_free(v);
}

static void files(void **state)
{
	static const struct { const char *text; int answer; } rows[] = {
		{ "-f '@/htdocs/a.txt'", 1 }, { "-f '@/htdocs'", 0 }, { "-d '@/htdocs'", 1 }, { "-e '@/none'", 0 }, { "-s '@/htdocs/a.txt'", 1 },
		{ "-s '@/htdocs/empty'", 0 }, { "-L '@/htdocs/link'", 1 }, { "-h '@/htdocs/a.txt'", 0 }, { "-x '@/htdocs'", 1 }, { "-f ''", 0 },
		{ "filesize('@/htdocs/a.txt') -eq 4", 1 }, { "filesize('@/htdocs') -eq 0", 1 }, { "filemod('@/htdocs/a.txt') -gt 1000", 1 },
		{ "file('@/htdocs/a.txt') == 'text'", 1 }, { "file('@/none') == ''", -1 }, { "file('@/htdocs') == ''", -1 }, { "! -z file('/dev/zero')", -1 },
		{ "-U '/a.txt'", 1 }, { "-U '/closed/x'", 0 }, { "-U 'a.txt'", 1 }, { "-U '/../../x'", 0 }, { "-U '/closed/../a.txt'", 1 }, { "-U '/a.txt?x'", 1 },
		{ "-F '@/htdocs/a.txt'", 1 }, { "-F '@/htdocs/none'", 0 }, { "-F '@/htdocs'", 0 }, { "-F '/etc/passwd'", 0 }, { "-F '@/htdocsa.txt'", 0 },
	};
	struct served *v = served_site(conf);
	char path[128];

	(void)state;
	served_file_make(v, "htdocs/a.txt", "text");
	served_file_make(v, "htdocs/empty", "");
	snprintf(path, sizeof path, "%s/htdocs/link", v->dir);
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(served_ask(v, "GET", "/a.txt", "Host: www.test\r\n"), 200);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *at = strchr(rows[i].text, '@');
		char text[256];
		int got;

		snprintf(text, sizeof text, "%.*s%s%s", (int)(at ? at - rows[i].text : 0), rows[i].text, at ? v->dir : "", at ? at + 1 : rows[i].text);
		got = truth_of(v, v->last, text);
		if (got != rows[i].answer)
			fail_msg("%s: %d", text, got);
	}
	served_free(v);
}

/* A tenant's file may test for files, and read none with the server's rights. */
static void per_directory_files(void **state)
{
	struct served *v = served_site(conf);

	(void)state;
	assert_non_null(variables_condition(call_of(v, true), "-f '/etc/passwd' && filesize('/x') -eq 0"));
	assert_null(variables_condition(call_of(v, true), "file('/etc/passwd') =~ /root/"));
	assert_non_null(strstr(v->said, "column 1"));
	assert_null(variables_text(call_of(v, true), "%{file:/etc/passwd}"));
	assert_non_null(variables_condition(call_of(v, false), "file('/etc/passwd') =~ /root/"));
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names), cmocka_unit_test(vary), cmocka_unit_test(files), cmocka_unit_test(per_directory_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * page_test.c - server/ssi/: pages through the filter INCLUDES, with real files: conditions of both grammars, variables, what is included,
 * bounds. The stream takes as little at a time as a test wants. Programs have tests of the whole server.
 */
#define SERVED_HANDLERS
#define SERVED_MORE_MODULES &ssi_module,
#include "ssi/ssi.h"

#include "tests/unit/request/served.h"

#include "handler/file.h"
#include "request/filter.h"

#define ERROR "[an error occurred while processing this directive]"
#define CONF "<Directory \"@DIR@/htdocs\">\nOptions +Includes\nSetOutputFilter INCLUDES\n</Directory>\n"
#define OF_FOLDER(lines) "<Directory \"@DIR@/htdocs\">\n" lines "</Directory>\n"

static struct served *site(const char *more)
{
	char text[4096];

	snprintf(text, sizeof text, CONF "%s", more);
	ssi_register();
	return served_site(text);
}

/* What becomes of /page.html, which has this text; `room` bytes go out at a time. */
static const char *page_with(struct served *v, const char *target, const char *text, size_t room)
{
	unsigned turns = 0;
	struct request *r;

	served_file_make(v, "htdocs/page.html", text);
	r = served_request(v, "GET", target, "");
	v->room = room;
	phases_run(r);
	while (!v->ends && !v->aborted) {
		r = v->stream.request;
		if (filter_writable(&v->stream) && r->handler->writable)
			r->handler->writable(r);
		if (++turns > 100000)
			fail_msg("%s does not end", target);
	}
	assert_null(v->aborted);
	v->body[v->n] = '\0';
	return v->body;
}

static const char *page(struct served *v, const char *text)
{
	return page_with(v, "/page.html", text, 0);
}

static void elements(void **state)
{
	static const struct { const char *text, *becomes; } rows[] = {
		{ "plain", "plain" },
		{ "<!--#echo var=\"DOCUMENT_NAME\" -->|<!--#echo var=\"DOCUMENT_URI\" -->", "page.html|/page.html" },
		{ "<!--#echo var=\"none\" -->", "(none)" },
		{ "<!--#set var=\"a\" value=\"<b>\" --><!--#echo var=\"a\" -->", "&lt;b&gt;" },
		{ "<!--#set var=\"a\" value=\"<b>\" --><!--#echo encoding=\"none\" var=\"a\" -->", "<b>" },
		{ "<!--#set var=\"a\" value=\"1\" --><!--#set var=\"b\" value=\"$a${a}2\\$a\" --><!--#echo var=\"b\" -->", "112$a" },
		{ "<!--#config errmsg=\"oh\" --><!--#nothing -->", "oh" },
		{ "<!--#config echomsg=\"?\" --><!--#echo var=\"x\" -->", "?" },
		{ "<!--#echo -->|<!--#set var=\"a\" -->|<!--#echo war=\"a\" -->", ERROR "|" ERROR "|" ERROR },
		{ "<!--#include virtual=\"/part.txt\" -->", "part" },
		{ "<!--#include file=\"part.txt\" -->", "part" },
		{ "<!--#include file=\"/part.txt\" -->|<!--#include file=\"../htdocs/part.txt\" -->", ERROR "|" ERROR },
		{ "<!--#include file=\"./part.txt\" -->|<!--#include file=\"x/.././/part.txt\" -->|<!--#fsize file=\"./part.txt\" -->", "part|part|  4 " },
		{ "<!--#include file=\"x/../../part.txt\" -->|<!--#include file=\"x/..\" -->|<!--#include file=\"part.txt/\" -->", ERROR "|" ERROR "|" ERROR },
		{ "<!--#set var=\"a\" value=\"1\" --><!--#echo encoding=\"hex\" var=\"a\" -->|<!--#set decoding=\"hex\" var=\"a\" value=\"2\" --><!--#echo var=\"a\" -->", ERROR "|" ERROR "1" },
		{ "<!--#config -->", ERROR },
		{ "<!--#include virtual=\"/none\" -->", ERROR },
		{ "<!--#include virtual=\"/none\" onerror=\"/part.txt\" -->", "part" },
		{ "<!--#include virtual=\"/page.html\" -->", ERROR },
		{ "<!--#include virtual=\"/inner.html\" --><!--#echo var=\"of_inner\" -->", "[outer]yes" },
		{ "<!--#config sizefmt=\"bytes\" --><!--#fsize file=\"part.txt\" -->", "4" },
	};
	struct served *v = site("");

	(void)state;
	served_file_make(v, "htdocs/part.txt", "part");
	served_file_make(v, "htdocs/inner.html", "<!--#set var=\"of_inner\" value=\"yes\" -->[outer]");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (size_t room = 0; room < 3; room++)
			if (strcmp(page_with(v, "/page.html", rows[i].text, room), rows[i].becomes) != 0)
				fail_msg("%s: %s, not %s", rows[i].text, v->body, rows[i].becomes);
	served_free(v);
}

struct condition { const char *text; char is; };        /* y, n or e: an error */

static void conditions(struct served *v, const struct condition *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char text[1024];
		const char *got;

		snprintf(text, sizeof text, "<!--#set var=\"a\" value=\"apple pie\" --><!--#set var=\"empty\" value=\"\" --><!--#if expr=\"%s\" -->y<!--#else -->n<!--#endif -->", rows[i].text);
		got = page(v, text);
		/* A fault says so, and nothing else is shown. */
		if (rows[i].is == 'e' ? strcmp(got, ERROR) != 0 : got[0] != rows[i].is || got[1])
			fail_msg("%s: %s, not %c", rows[i].text, got, rows[i].is);
	}
}

static void conditions_of_today(void **state)
{
	static const struct condition rows[] = {
		{ "v('a') = 'apple pie'", 'y' }, { "v('a') != 'apple pie'", 'n' }, { "v('a') =~ /^app/", 'y' }, { "v('none') =~ /./", 'n' }, { "true && !false", 'y' },
		{ "-n v('empty')", 'n' }, { "-z v('empty')", 'y' }, { "%{REQUEST_METHOD} = 'GET'", 'y' }, { "1 -lt 2", 'y' }, { "v('a') = ", 'e' }, { "(true", 'e' },
		{ "-A '/page.html'", 'y' }, { "! -A '/page.html'", 'n' },
	};
	struct served *v = site("");

	(void)state;
	conditions(v, rows, sizeof rows / sizeof rows[0]);
	served_free(v);
}

static void conditions_of_before(void **state)
{
	char deep[512] = "";
	static const struct condition rows[] = {
		{ "$a", 'y' }, { "$none", 'n' }, { "!$none", 'y' }, { "!!$a", 'y' }, { "$a = apple pie", 'y' }, { "$a = 'apple pie'", 'y' }, { "apple pie == $a", 'y' }, { "$a != x", 'y' },
		{ "$a = /^apple/", 'y' }, { "$a != /pie$/", 'n' }, { "$a = /PIE/", 'n' }, { "a < b", 'y' }, { "b <= a", 'n' }, { "b > a && b >= b", 'y' }, { "x || $none && $none", 'n' },
		{ "($none && $none) || x", 'y' }, { "${a} = apple pie", 'y' }, { "\\$a = '$a'", 'n' }, { "$empty", 'n' }, { "$empty = ''", 'y' },
		{ "$empty = x", 'n' }, { "x =", 'e' }, { "= x", 'e' }, { "<", 'e' }, { "/x/", 'e' },
		{ "", 'e' }, { "()", 'e' }, { "(x", 'e' }, { "x)", 'e' }, { "x &&", 'e' }, { "&& x", 'e' }, { "'x", 'e' }, { "x = /y", 'e' }, { "x = /(/", 'e' }, { "x < /y/", 'e' },
		{ "-A /page.html", 'y' }, { "-A /other.html && x", 'y' }, { "!-A /page.html", 'n' }, { "-A", 'e' },
	};
	struct served *v = site(OF_FOLDER("SSILegacyExprParser on\n"));

	(void)state;
	conditions(v, rows, sizeof rows / sizeof rows[0]);
	for (unsigned n = 60; n <= 70; n += 10) {
		struct condition one = { deep, n < 64 ? 'y' : 'e' };

		memset(deep, '(', n);
		deep[n] = 'x';
		memset(deep + n + 1, ')', n);
		deep[2 * n + 1] = '\0';
		conditions(v, &one, 1);
	}
	assert_string_equal(page(v, "<!--#set var=\"a\" value=\"key=val\" --><!--#if expr=\"$a = /(.*)=(.*)/\" --><!--#echo var=\"1\" -->,<!--#echo var=\"2\" --><!--#endif -->"), "key,val");
	served_free(v);
}

static void branches(void **state)
{
	static const struct { const char *text, *becomes; } rows[] = {
		{ "<!--#if expr=\"false\" -->1<!--#elif expr=\"true\" -->2<!--#elif expr=\"true\" -->3<!--#else -->4<!--#endif -->5", "25" },
		{ "<!--#if expr=\"true\" -->1<!--#if expr=\"false\" -->2<!--#else -->3<!--#endif -->4<!--#endif -->", "134" },
		{ "<!--#if expr=\"false\" --><!--#if expr=\"true\" -->2<!--#else -->3<!--#endif --><!--#nonsense --><!--#include virtual=\"/none\" -->4<!--#endif -->5", "5" },
		{ "<!--#if expr=\"false\" -->1<!--#set var=\"a\" value=\"x\" --><!--#endif --><!--#echo var=\"a\" -->", "(none)" },
		{ "<!--#if expr=\"(\" -->1<!--#else -->2<!--#endif -->3", ERROR "3" },
		{ "<!--#if expr=\"false\" -->1<!--#elif -->2<!--#else -->3<!--#endif -->4", ERROR "4" },
		{ "<!--#if expr=\"true\" -->1", "1" },
		{ "<!--#if expr=\"false\" -->1<!--#else -->2", "2" },
	};
	struct served *v = site("");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(page(v, rows[i].text), rows[i].becomes) != 0)
			fail_msg("%s: %s, not %s", rows[i].text, v->body, rows[i].becomes);
	served_free(v);
}

static void settings(void **state)
{
	struct served *v = site("SSIStartTag \"{{\"\nSSIEndTag \"}}\"\nSSIErrorMsg oops\nSSIUndefinedEcho -\n");

	(void)state;
	assert_string_equal(page(v, "{{echo var=\"x\"}}{{wrong}}<!--#echo var=\"x\" -->"), "-oops<!--#echo var=\"x\" -->");
	assert_null(served_field(v, "Last-Modified"));
	assert_null(served_field(v, "ETag"));
	assert_null(served_field(v, "Content-Length"));
	served_free(v);
	v = site(OF_FOLDER("SSILastModified on\nSSIETag on\n"));
	page(v, "x");
	assert_non_null(served_field(v, "Last-Modified"));
	assert_non_null(served_field(v, "ETag"));
	served_free(v);
}

static void without_the_option_it_is_a_file(void **state)
{
	struct served *v = site("<Files page.html>\nOptions -Includes\n</Files>\n");

	(void)state;
	assert_string_equal(page(v, "<!--#echo var=\"DATE_GMT\" -->"), "<!--#echo var=\"DATE_GMT\" -->");
	assert_non_null(strstr(served_log(v), "BH0730"));
	served_free(v);
}

static void what_is_included_may_be_long(void **state)
{
	struct served *v = site("");
	char *big = malloc(40001), *whole = malloc(40004);

	(void)state;
	for (size_t i = 0; i < 40000; i++)
		big[i] = (char)('a' + (i * 7 ^ i >> 5) % 26);
	big[40000] = '\0';
	served_file_make(v, "htdocs/big.txt", big);
	snprintf(whole, 40004, "<%s>", big);
	for (size_t room = 0; room <= 30000; room += 10000)
		assert_string_equal(page_with(v, "/page.html", "<<!--#include virtual=\"/big.txt\" -->>", room), whole);
	free(big);
	free(whole);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements), cmocka_unit_test(conditions_of_today), cmocka_unit_test(conditions_of_before), cmocka_unit_test(branches),
		cmocka_unit_test(settings), cmocka_unit_test(without_the_option_it_is_a_file), cmocka_unit_test(what_is_included_may_be_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

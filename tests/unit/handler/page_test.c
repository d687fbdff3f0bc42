/*
 * page_test.c - pages made in memory: all of it comes, in pieces of any size, escaped, with its length; what is too long is an error.
 */
#define SERVED_HANDLERS
#include "handler/page.h"
#include "tests/unit/request/served.h"

static size_t wanted;           /* lines that the handler makes */

static void make(struct request *r)
{
	struct page *p = page_new(r);

	assert_non_null(p);
	for (size_t i = 0; i < wanted; i++) {
		page_printf(p, "%zu ", i);
		page_htmls(p, "<a&b>\"");
		page_puts(p, "\n");
		buf_puts(page_room(p, 100), "room\n");
	}
	page_send(p, "text/plain");
}

static const struct handler handler = { .name = "maker", .start = make, .writable = page_writable };

static void check(const struct served *v)
{
	const char *at = v->body;
	char line[64];

	for (size_t i = 0; i < wanted; i++) {
		int n = snprintf(line, sizeof line, "%zu &lt;a&amp;b&gt;&quot;\nroom\n", i);

		if (strncmp(at, line, (size_t)n) != 0)
			fail_msg("line %zu is %.40s", i, at);
		at += n;
	}
	assert_int_equal(*at, 0);
	assert_int_equal(at - v->body, v->n);
}

static void all_of_it(void **state)
{
	static const size_t lines[] = { 0, 1, 2, 400, 1500 }, rooms[] = { 0, 1, 7, 4096, 20000 };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned k = 0; k < 5; k++) {
			struct served *v = served_site("SetHandler maker\n");
			char length[32];

			wanted = lines[i];
			v->room = rooms[k];
			phases_run(served_request(v, "GET", "/", ""));
			for (unsigned turns = 0; !v->ends && turns < 100000; turns++)
				page_writable(v->stream.request);
			assert_int_equal(v->ends, 1);
			check(v);
			snprintf(length, sizeof length, "%zu", v->n);
			assert_field(v, "Content-Length", length);
			served_free(v);
		}
	}
}

static void head_only_and_too_long(void **state)
{
	struct served *v = served_site("SetHandler maker\n");

	(void)state;
	wanted = 100;
	assert_int_equal(served_ask(v, "HEAD", "/", ""), 200);
	assert_int_equal(v->n, 0);
	wanted = PAGE_MOST / 20;
	assert_int_equal(served_get(v, "/"), 500);
	served_free(v);
}

static void words_of_the_query(void **state)
{
	struct served *v = served_site("SetHandler maker\n");
	struct request *r = served_request(v, "GET", "/", "");

	(void)state;
	assert_null(page_asked(r, "auto").p);
	r->query = "a=1&AUTO&refresh=7&x=&auto=2";
	assert_string_equal(page_asked(r, "auto").p, "");
	assert_int_equal(page_asked(r, "auto").n, 0);
	assert_true(text_is(page_asked(r, "refresh"), "7"));
	assert_non_null(page_asked(r, "x").p);
	assert_null(page_asked(r, "aut").p);
	r->query = "";
	assert_null(page_asked(r, "auto").p);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it), cmocka_unit_test(head_only_and_too_long), cmocka_unit_test(words_of_the_query),
	};

	handler_register(&handler);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

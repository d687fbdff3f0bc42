/*
 * redirect_test.c - look-ups: what another path would come to, without a byte of answer; their bounds; taking their place.
 */
#include "served.h"

static struct served *site_with_files(const char *text)
{
	struct served *v = served_site(text);

	served_folder(v, "htdocs/shut");
	served_folder(v, "htdocs/d");
	served_file_make(v, "htdocs/a.html", "a");
	served_file_make(v, "htdocs/d/index.html", "index");
	return v;
}

static void a_look_up_tells_what_would_be_answered(void **state)
{
	struct served *v = site_with_files("Redirect /away http://elsewhere.test/x\n<Location /shut>\nRequire all denied\n</Location>\n"
					   "<Location /a.html>\nSetHandler own\n</Location>\n");
	static const struct { const char *path; unsigned status; bool found; } rows[] = {
		{ "/a.html", 0, true }, { "/none", 0, false }, { "/shut/x", 403, false }, { "/away", 302, false }, { "/d/", 0, true }, { "/d", 301, true },
	};
	struct request *r = served_request(v, "GET", "/", "");

	(void)state;
	phases_use_host(r, v->site->main);
	r->path = "/";
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned status = 1;
		struct request *sub = phases_lookup(r, rows[i].path, NULL, 0, &status);
		assert_non_null(sub);
		if (status != rows[i].status || sub->found != rows[i].found)
			fail_msg("%s: status %u, found %d", rows[i].path, status, sub->found);
	}
	assert_int_equal(v->heads, 0);
	assert_int_equal(v->ends, 0);
	assert_ptr_equal(v->stream.request, r);
	served_free(v);
}

static void the_index_is_what_the_folder_becomes(void **state)
{
	struct served *v = site_with_files("");
	unsigned status;
	struct request *sub, *r = served_request(v, "GET", "/d/", "");
	int fd;

	(void)state;
	phases_use_host(r, v->site->main);
	r->path = "/d/";
	sub = phases_lookup(r, "/d/", NULL, 0, &status);
	assert_int_equal(status, 0);
	assert_string_equal(sub->path, "/d/index.html");
	assert_true(sub->fd >= 0);
	fd = sub->fd;
	phases_adopt(r, sub);
	assert_int_equal(sub->fd, -1);
	assert_int_equal(r->fd, fd);
	assert_string_equal(r->path, "/d/index.html");
	served_forget(v);
	openfile_forget();
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	served_free(v);
}

static void quiet_look_ups_leave_no_line(void **state)
{
	struct served *v = site_with_files("<Location /shut>\nRequire all denied\n</Location>\n");
	struct request *r = served_request(v, "GET", "/", "");
	unsigned status;

	(void)state;
	phases_use_host(r, v->site->main);
	r->path = "/";
	served_log(v);
	phases_lookup(r, "/shut/x", NULL, LOOKUP_QUIET, &status);
	assert_int_equal(status, 403);
	assert_string_equal(served_log(v), "");
	phases_lookup(r, "/shut/x", NULL, 0, &status);
	assert_int_equal(status, 403);
	assert_non_null(strstr(served_log(v), "BH0310"));
	served_free(v);
}

static void they_are_bounded_in_depth(void **state)
{
	struct served *v = site_with_files("LimitInternalRecursion 10 3\n");
	struct request *r = served_request(v, "GET", "/", "");
	unsigned status = 0, depth = 0;

	(void)state;
	phases_use_host(r, v->site->main);
	r->path = "/";
	while (r && depth < 20) {
		r = phases_lookup(r, "/a.html", NULL, 0, &status);
		depth += r != NULL;
	}
	assert_int_equal(depth, 3);
	assert_int_equal(status, 500);
	assert_non_null(strstr(served_log(v), "LimitInternalRecursion allows 3"));
	served_free(v);
}

static void ids_are_of_one_request(void **state)
{
	struct served *v = site_with_files("SetEnvIf Host . seen\nHeader set X-Id %{UNIQUE_ID}e\n");
	char first[64];

	(void)state;
	v->client.id = 7;
	served_get(v, "/a.html");
	snprintf(first, sizeof first, "%s", served_field(v, "X-Id"));
	assert_int_equal(strlen(first), 30);
	assert_int_equal(strspn(first, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@-"), 30);
	assert_string_equal(request_id(v->last), first);
	v->client.requests++;
	served_get(v, "/a.html");
	assert_string_not_equal(served_field(v, "X-Id"), first);
	v->client.requests--;
	v->client.id++;
	served_get(v, "/a.html");
	assert_string_not_equal(served_field(v, "X-Id"), first);
	served_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_up_tells_what_would_be_answered), cmocka_unit_test(the_index_is_what_the_folder_becomes),
		cmocka_unit_test(quiet_look_ups_leave_no_line), cmocka_unit_test(they_are_bounded_in_depth),
		cmocka_unit_test(ids_are_of_one_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

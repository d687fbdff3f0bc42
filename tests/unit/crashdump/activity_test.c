/*
 * activity_test.c - the activity record: what is kept and what never is, its bounds, and reading while another process
 * writes or was killed inside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crashdump/activity.h"
#include "crashdump/print.h"

static void keeps_a_request(void **state)
{
	struct activity a;
	struct activity_record r;
	struct activity_event events[ACTIVITY_EVENTS];

	(void)state;
	activity_reset(&a, 100);
	activity_begin(&a, 101, 9, "https", "[2001:db8::1]:5000", NULL);
	activity_phase(&a, "head");
	activity_request(&a, 102, "POST", 4, "/a/b?secret=1", 13);
	activity_host(&a, "www.example.org");
	activity_handler(&a, "file");
	activity_phase(&a, "send");
	assert_true(activity_read(&a, &r));
	assert_int_equal(r.connection, 9);
	assert_int_equal(r.began, 101);
	assert_int_equal(r.request_began, 102);
	assert_string_equal(r.what, "https");
	assert_string_equal(r.peer, "[2001:db8::1]:5000");
	assert_string_equal(r.host, "www.example.org");
	assert_string_equal(r.phase, "send");
	assert_string_equal(r.handler, "file");
	assert_string_equal(r.method, "POST");
	assert_string_equal(r.path, "/a/b");
	assert_null(memmem(&a, sizeof a, "secret", 6));
	assert_int_equal(activity_read_events(&a, events), 1);
	assert_int_equal(events[0].code, ACTIVITY_REQUEST);
	assert_int_equal(events[0].number, 1);
	assert_int_equal(a.requests, 1);
	activity_end(&a);
	assert_true(activity_read(&a, &r));
	assert_int_equal(r.connection, 0);
	assert_string_equal(r.path, "");
	assert_string_equal(r.peer, "");
}

static void cuts_what_is_too_long(void **state)
{
	struct activity a;
	struct activity_record r;
	char path[2000];

	(void)state;
	memset(path, 'p', sizeof path);
	activity_reset(&a, 0);
	activity_begin(&a, 0, 1, "http", path[0] == 'p' ? "198.51.100.7" : NULL, NULL);
	activity_request(&a, 0, path, sizeof path, path, sizeof path);
	assert_true(activity_read(&a, &r));
	assert_int_equal(strlen(r.method), sizeof r.method - 1);
	assert_int_equal(strlen(r.path), sizeof r.path - 1);
	activity_request(&a, 0, NULL, 0, NULL, 0);
	assert_true(activity_read(&a, &r));
	assert_string_equal(r.path, "");
}

static void keeps_the_last_events_in_order(void **state)
{
	struct activity a;
	struct activity_event events[ACTIVITY_EVENTS];

	(void)state;
	activity_reset(&a, 0);
	assert_int_equal(activity_read_events(&a, events), 0);
	for (uint32_t i = 0; i < 100; i++)
		activity_event(&a, 1000 + i, ACTIVITY_ACCEPT, i);
	assert_int_equal(activity_read_events(&a, events), ACTIVITY_EVENTS);
	for (uint32_t i = 0; i < ACTIVITY_EVENTS; i++) {
		assert_int_equal(events[i].number, 36 + i);
		assert_int_equal(events[i].time, 1036 + i);
	}
}

/* The writer ended between the two stores of the sequence number. */
static void gives_up_on_a_writer_killed_inside(void **state)
{
	struct activity a;
	struct activity_record r;

	(void)state;
	activity_reset(&a, 0);
	activity_begin(&a, 0, 5, "http", "192.0.2.9", NULL);
	activity_change(&a);
	memset(a.now.path, 'x', sizeof a.now.path);             /* not even its end is there */
	assert_false(activity_read(&a, &r));
	assert_int_equal(strlen(r.path), sizeof r.path - 1);
	activity_phase(&a, "next");                             /* the next change mends the sequence */
	assert_true(activity_read(&a, &r));
}

static void never_reads_half_a_change(void **state)
{
	struct activity *a = mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct activity_record r;
	unsigned whole = 0;
	pid_t writer;

	(void)state;
	assert_true(a != MAP_FAILED);
	activity_reset(a, 0);
	writer = fork();
	if (!writer) {
		char text[64];

		for (unsigned i = 0; ; i++) {
			memset(text, 'a' + (int)(i % 26), sizeof text - 1);
			text[sizeof text - 1] = '\0';
			activity_begin(a, i, i + 1, "http", text, text);
			for (volatile int pause = 0; pause < 2000; pause++)
				;
		}
	}
	while (!activity_read(a, &r) || !r.connection)
		sched_yield();                  /* until the writer is at work */
	for (unsigned i = 0; i < 20000; i++) {
		if (!activity_read(a, &r) || !r.connection)
			continue;
		whole++;
		assert_string_equal(r.peer, r.host);
		for (size_t j = 1; r.peer[j]; j++)
			assert_int_equal(r.peer[j], r.peer[0]);
		assert_int_equal(r.peer[0], 'a' + (int)(r.began % 26));
	}
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	munmap(a, sizeof *a);
	assert_true(whole > 100);
}

static void each_code_has_a_word(void **state)
{
	(void)state;
	for (uint32_t code = 0; code < ACTIVITY_CODES; code++)
		assert_non_null(activity_code_name(code));
	assert_string_equal(activity_code_name(ACTIVITY_CODES), "?");
	assert_string_equal(activity_code_name(UINT32_MAX), "?");
}

static void request_as_text(void **state)
{
	struct activity a;
	char text[200];

	(void)state;
	activity_reset(&a, 0);
	print_request(text, sizeof text, &a);
	assert_string_equal(text, "");
	activity_begin(&a, 0, 12, "http", "192.0.2.9:80", NULL);
	print_request(text, sizeof text, &a);
	assert_string_equal(text, "connection 12 for 192.0.2.9:80");
	activity_request(&a, 0, "GET", 3, "/\r\n\x1b[2J\xff", 8);
	print_request(text, sizeof text, &a);
	assert_string_equal(text, "GET /\\x0d\\x0a\\x1b[2J\\xff for 192.0.2.9:80");
	print_request(text, 12, &a);
	assert_string_equal(text, "GET /\\x0d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_a_request),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(keeps_the_last_events_in_order),
		cmocka_unit_test(gives_up_on_a_writer_killed_inside),
		cmocka_unit_test(never_reads_half_a_change),
		cmocka_unit_test(each_code_has_a_word),
		cmocka_unit_test(request_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

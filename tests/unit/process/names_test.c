/* names_test.c - the memory of the resolver and its bounds, and look-ups in the hosts file of the machine. */
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "process/names.h"

static int64_t now_ms;
static unsigned looks;
static ssize_t gives;

static int64_t fake_clock(void)
{
	return now_ms;
}

/* Answers with the question and the number of the look-up; what begins with '-' has no name, with '!' no answer. */
static ssize_t fake_look(const char *question, char answer[LOOKUP_ANSWER])
{
	looks++;
	if (gives) {
		memset(answer, 0, (size_t)gives);
		return gives;
	}
	if (*question == '-' || *question == '!')
		return *question == '-' ? 0 : -1;
	return snprintf(answer, LOOKUP_ANSWER, "%s/%u", question, looks) + 1;
}

static int begin(void **state)
{
	now_ms = 1000000;
	looks = 0;
	gives = 0;
	*state = names_new(fake_look, fake_clock);
	return *state ? 0 : -1;
}

static int end(void **state)
{
	names_free(*state);
	return 0;
}

static void check_answer(struct names *n, const char *question, const char *expected)
{
	char answer[LOOKUP_ANSWER];

	assert_int_equal(names_ask(n, question, answer), strlen(expected) + 1);
	assert_string_equal(answer, expected);
}

static void answers_are_remembered_for_a_while(void **state)
{
	char answer[LOOKUP_ANSWER];

	check_answer(*state, "a", "a/1");
	check_answer(*state, "a", "a/1");
	now_ms += NAMES_GOOD_MS - 1;
	check_answer(*state, "a", "a/1");
	now_ms += 1;
	check_answer(*state, "a", "a/2");
	check_answer(*state, "a", "a/2");
	for (const char *const *bad = (const char *const[]){ "-x", "!x", NULL }; *bad; bad++) {
		looks = 0;
		assert_int_equal(names_ask(*state, *bad, answer), **bad == '-' ? 0 : -1);
		now_ms += NAMES_BAD_MS - 1;
		assert_int_equal(names_ask(*state, *bad, answer), **bad == '-' ? 0 : -1);
		assert_int_equal(looks, 1);
		now_ms += 1;
		names_ask(*state, *bad, answer);
		assert_int_equal(looks, 2);
	}
}

/* One more than there is room for costs the one whose time is over first, no other. */
static void memory_is_bounded(void **state)
{
	char question[32], answer[LOOKUP_ANSWER];

	for (unsigned i = 0; i <= NAMES_MOST; i++) {
		snprintf(question, sizeof question, "q%u", i);
		names_ask(*state, question, answer);
		now_ms++;
	}
	assert_int_equal(looks, NAMES_MOST + 1);
	check_answer(*state, "q1", "q1/2");
	check_answer(*state, "q1024", "q1024/1025");
	assert_int_equal(looks, NAMES_MOST + 1);
	check_answer(*state, "q0", "q0/1026");
}

static void lengths_are_bounded(void **state)
{
	char question[LOOKUP_QUESTION + 1], answer[LOOKUP_ANSWER];

	memset(question, 'q', sizeof question);
	question[LOOKUP_QUESTION] = '\0';
	assert_int_equal(names_ask(*state, question, answer), -1);
	assert_int_equal(looks, 0);
	question[LOOKUP_QUESTION - 1] = '\0';
	assert_true(names_ask(*state, question, answer) > LOOKUP_QUESTION);
	assert_true(names_ask(*state, question, answer) > LOOKUP_QUESTION);
	assert_int_equal(looks, 1);
	gives = LOOKUP_ANSWER;
	for (int i = 0; i < 3; i++)
		assert_int_equal(names_ask(*state, "full", answer), LOOKUP_ANSWER);
	assert_int_equal(looks, 2);
}

static void hosts_file_is_asked(void **state)
{
	char answer[LOOKUP_ANSWER];
	bool found = false;
	ssize_t n;

	(void)state;
	names_prepare();
	if (!gethostbyname("localhost")) {      /* a bare folder of Debian has no hosts file */
		print_message("localhost has no address on this machine\n");
		skip();
	}
	assert_string_equal(getenv("RES_OPTIONS"), "timeout:2 attempts:1");
	n = names_look("localhost", answer);
	assert_true(n > 0 && n <= LOOKUP_ANSWER && answer[n - 1] == '\0');
	for (const char *p = answer; p < answer + n; p += strlen(p) + 1)
		found |= strcmp(p, "127.0.0.1") == 0;
	assert_true(found);
	n = names_look("127.0.0.1", answer);    /* the first name there is, on some machines another */
	assert_true(n > 1 && strlen(answer) + 1 == (size_t)n);
	assert_int_equal(names_look("192.0.2.1", answer) > 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_are_remembered_for_a_while, begin, end),
		cmocka_unit_test_setup_teardown(memory_is_bounded, begin, end),
		cmocka_unit_test_setup_teardown(lengths_are_bounded, begin, end),
		cmocka_unit_test(hosts_file_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

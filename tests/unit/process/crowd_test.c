/* crowd_test.c - the memory in which connections are counted by address, as the master makes it and as the next program takes it over. */
#include <gcrypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/crowd.h"
#include "process/handover.h"

/* The descriptor that crowd_hand_over names, as a number of its own. */
static int handed_over(void)
{
	struct err e = { .text = "" };
	char text[256] = "";
	FILE *to = handover_begin(&e);
	int fd = -1;

	assert_non_null(to);
	crowd_hand_over(to);
	fflush(to);
	assert_true(pread(fileno(to), text, sizeof text - 1, 0) > 0);
	assert_non_null(strstr(text, "\ncrowd "));
	fd = dup(atoi(strstr(text, "\ncrowd ") + sizeof "\ncrowd " - 1));
	handover_drop(to);
	return fd;
}

static void test_counts_and_secret_go_over(void **state)
{
	struct err e = { .text = "" };
	struct crowd mine, other;
	uint64_t secret[2];
	int fd;

	(void)state;
	assert_int_equal(crowd_create(4, -1, &e), 0);
	/* Whoever asks libgcrypt for the secret at this point has it write to syslog that it is not ready. */
	assert_false(gcry_control(GCRYCTL_ANY_INITIALIZATION_P));
	crowd_clear(2);
	fd = handed_over();
	assert_int_equal(crowd_child(2, &mine, &e), 0);
	memcpy(secret, mine.head->secret, sizeof secret);
	assert_true(secret[0] || secret[1]);
	atomic_store(&mine.own->open[77], 3);

	assert_int_equal(crowd_create(4, fd, &e), 0);
	crowd_clear(1);
	assert_int_equal(crowd_child(1, &other, &e), 0);
	assert_memory_equal(other.head->secret, secret, sizeof secret);
	assert_int_equal(atomic_load(&other.head->used), 3);
	assert_int_equal(atomic_load(&other.columns[2].open[77]), 3);
	assert_int_equal(atomic_load(&other.own->open[77]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_counts_and_secret_go_over) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

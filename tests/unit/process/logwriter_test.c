/*
 * logwriter_test.c - the logger's look at a ring (server/process/logwriter.c) whose child was taken over and writes to it while it is read:
 * it costs that child's lines, and holds up no other's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "log/ring.h"

/* The child is as fast as can be: it moves its end each time before the logger looks. */
static unsigned looks;
static uint64_t step;

static int take_and_move(struct ring *r, uint64_t *pos, struct ring_record *out)
{
	_Atomic uint64_t *head = (_Atomic uint64_t *)(void *)r;

	if (++looks < 1000000)          /* so that the test ends even if the look does not */
		atomic_fetch_add(head, step);
	return ring_take(r, pos, out);
}

#define ring_take take_and_move
#include "process/logwriter.c"
#undef ring_take

static void a_ring_that_never_ends_is_left_for_the_next_one(void **state)
{
	static const uint64_t steps[] = { 8, 16, 24, 4096 };
	struct err e = { .text = "" };
	struct shared_slot s;

	(void)state;
	assert_int_equal(shared_create(1, &e), 0);
	control = -1;
	shared_slot(0, &s);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		bool any = false;

		step = steps[i];
		looks = 0;
		assert_false(drain_ring(0, RING_PACED, &any));
		assert_true(any);
		assert_true(looks < 10000);
		step = 0;
		assert_true(drain_ring(0, RING_PACED, &any));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_ring_that_never_ends_is_left_for_the_next_one) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

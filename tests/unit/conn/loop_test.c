/*
 * loop_test.c - server/conn/loop.c: deadlines in order, moved lazily, together, cleared; descriptors removed within a turn, or gathered.
 */
#include "conn/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

struct item {
	struct deadline d;
	int number;
};
static int order[256], fired;

static void due(struct deadline *d)
{
	order[fired++] = ((struct item *)(void *)d)->number;
}

static void deadlines_come_in_order(void **state)
{
	struct loop *l = loop_new();
	struct item items[100];
	int64_t now = loop_now(l);

	(void)state;
	fired = 0;
	for (int i = 0; i < 100; i++) {
		items[i] = (struct item){ .d = { .due = due, .at = INT64_MAX }, .number = (i * 37) % 100 };
		deadline_set(l, &items[i].d, now + items[i].number / 4);
	}
	while (fired < 100)
		assert_int_equal(loop_turn(l), 0);
	for (int i = 1; i < 100; i++)
		assert_true(order[i - 1] / 4 <= order[i] / 4);
	loop_free(l);
}

static void a_deadline_moves_both_ways_and_can_be_cleared(void **state)
{
	struct loop *l = loop_new();
	struct item later = { .d = { .due = due, .at = INT64_MAX }, .number = 1 }, sooner = { .d = { .due = due, .at = INT64_MAX }, .number = 2 },
		    never = { .d = { .due = due, .at = INT64_MAX }, .number = 3 };
	int64_t now = loop_now(l);

	(void)state;
	fired = 0;
	deadline_set(l, &later.d, now + 5);
	deadline_set(l, &later.d, now + 60);
	deadline_set(l, &sooner.d, now + 5000);
	deadline_set(l, &sooner.d, now + 20);
	deadline_set(l, &never.d, now + 10);
	deadline_clear(l, &never.d);
	deadline_clear(l, &never.d);
	while (fired < 2)
		loop_turn(l);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 1);
	assert_true(loop_now(l) >= now + 60);
	loop_free(l);
}

/* Those of thousands of idle connections must not wake the loop one by one. */
static void far_deadlines_come_together_and_never_early(void **state)
{
	struct loop *l = loop_new();
	struct item items[60];
	int64_t now = loop_now(l);
	int turns = 0;

	(void)state;
	fired = 0;
	for (int i = 0; i < 60; i++) {
		items[i] = (struct item){ .d = { .due = due, .at = INT64_MAX }, .number = i };
		deadline_set(l, &items[i].d, now + 400 + i);
		assert_in_range(items[i].d.at, now + 400 + i, now + 400 + i + (400 + i) / 8);
		deadline_set(l, &items[i].d, now + 3600000 + i);
		assert_in_range(items[i].d.at, now + 3600000 + i, now + 3601024 + i);
		deadline_set(l, &items[i].d, now + 400 + i);
	}
	for (; fired < 60; turns++)
		loop_turn(l);
	/* Spans of 32 ms; a turn that is due may find that the clock is not yet there. */
	assert_true(turns <= 2 * 4);
	assert_true(loop_now(l) >= now + 459);
	loop_free(l);
}

struct end {
	struct watch w;
	struct loop *l;
	struct end *other;
	int seen;
};

static void remove_other(struct watch *w, uint32_t events)
{
	struct end *e = (struct end *)(void *)w;

	assert_true(events & EPOLLIN);
	e->seen++;
	loop_remove(e->l, &e->other->w);
}

/* Both are ready in one turn; the first to be handled removes the other, which must then not be called. */
static void a_removed_descriptor_is_not_called_in_the_same_turn(void **state)
{
	struct loop *l = loop_new();
	int a[2], b[2];
	struct end first = { .l = l }, second = { .l = l };

	(void)state;
	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	first.w = (struct watch){ .fd = a[0], .ready = remove_other };
	second.w = (struct watch){ .fd = b[0], .ready = remove_other };
	first.other = &second;
	second.other = &first;
	assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
	assert_int_equal(loop_watch(l, &first.w, EPOLLIN), 0);
	assert_int_equal(loop_watch(l, &second.w, EPOLLIN), 0);
	loop_turn(l);
	assert_int_equal(first.seen + second.seen, 1);
	loop_free(l);
}

static void listeners_come_first(void **state)
{
	(void)state;
	struct loop *l = loop_new();
	struct end later = { .l = l }, first = { .l = l };
	int a[2], b[2];

	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	later.w = (struct watch){ .fd = a[0], .ready = remove_other };
	first.w = (struct watch){ .fd = b[0], .ready = remove_other, .first = true };
	later.other = &first;
	first.other = &later;
	loop_watch(l, &later.w, EPOLLIN);
	loop_watch(l, &first.w, EPOLLIN);
	assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
	loop_turn(l);
	assert_int_equal(first.seen, 1);
	assert_int_equal(later.seen, 0);
	loop_free(l);
}

static int gathered, handled, late;

static void count_gathered(struct watch *w)
{
	(void)w;
	gathered++;
	late += handled;
}

static void count_handled(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	handled++;
}

static void all_are_gathered_before_one_is_handled(void **state)
{
	struct loop *l = loop_new();
	struct watch w[3];
	int p[3][2];

	(void)state;
	gathered = handled = late = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipe(p[i]), 0);
		w[i] = (struct watch){ .fd = p[i][i == 2], .ready = count_handled, .gather = count_gathered };
		loop_watch(l, &w[i], i == 2 ? EPOLLOUT : EPOLLIN);
	}
	loop_turn(l);                           /* one alone, and not for reading */
	assert_int_equal(gathered, 0);
	assert_int_equal(handled, 1);
	handled = 0;
	assert_int_equal(write(p[0][1], "x", 1) + write(p[1][1], "x", 1), 2);
	loop_turn(l);
	assert_int_equal(gathered, 2);
	assert_int_equal(handled, 3);
	assert_int_equal(late, 0);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deadlines_come_in_order),
		cmocka_unit_test(a_deadline_moves_both_ways_and_can_be_cleared),
		cmocka_unit_test(far_deadlines_come_together_and_never_early),
		cmocka_unit_test(a_removed_descriptor_is_not_called_in_the_same_turn),
		cmocka_unit_test(listeners_come_first),
		cmocka_unit_test(all_are_gathered_before_one_is_handled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

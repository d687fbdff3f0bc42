/*
 * loop.c - epoll and the heap of deadlines. Runs in children and under -X.
 */
#include "conn/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 64               /* handled a turn */
#define COARSEST 1024           /* ms, a power of two: deadlines that are far away are as late as that at most … */
#define FINE 128                /* … and nearer ones than this come exactly */
#define LONGEST 3600000         /* ms; an epoll_wait without a deadline is woken by events alone, this only bounds int */

struct loop {
	int epoll;
	int64_t now;
	struct deadline **heap;         /* [1 … n] */
	unsigned n, cap;
	struct epoll_event *events;     /* of this turn, so that loop_remove can forget what is still to come */
	int count;
	_Atomic uint64_t *busy;
};

int64_t loop_clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		free(l);
		return NULL;
	}
	l->now = loop_clock_us() / 1000;
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	close(l->epoll);
	free(l->heap);
	free(l);
}

int64_t loop_now(const struct loop *l)
{
	return l->now;
}

/* ------------------------------------------------------------------------------------------------ descriptors */

int loop_watch(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	int op = !w->events ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

	if (events == w->events)
		return 0;
	if (epoll_ctl(l->epoll, op, w->fd, &ev) < 0)
		return -1;
	w->events = events;
	return 0;
}

static bool forget_events(struct loop *l, const struct watch *w)
{
	bool any = false;

	for (int i = 0; i < l->count; i++)
		if (l->events[i].data.ptr == w) {
			l->events[i].data.ptr = NULL;
			any = true;
		}
	return any;
}

bool loop_remove(struct loop *l, struct watch *w)
{
	loop_watch(l, w, 0);
	return forget_events(l, w);
}

void loop_close(struct loop *l, struct watch *w)
{
	forget_events(l, w);
	close(w->fd);
	w->fd = -1;
	w->events = 0;
}

/* ------------------------------------------------------------------------------------------------ deadlines */

static void place(struct loop *l, unsigned i, struct deadline *d)
{
	l->heap[i] = d;
	d->place = i;
}

static void sift_up(struct loop *l, struct deadline *d)
{
	unsigned i = d->place;

	for (; i > 1 && l->heap[i / 2]->sorted_at > d->sorted_at; i /= 2)
		place(l, i, l->heap[i / 2]);
	place(l, i, d);
}

static void sift_down(struct loop *l, struct deadline *d)
{
	unsigned i = d->place, child;

	while ((child = i * 2) <= l->n) {
		if (child < l->n && l->heap[child + 1]->sorted_at < l->heap[child]->sorted_at)
			child++;
		if (l->heap[child]->sorted_at >= d->sorted_at)
			break;
		place(l, i, l->heap[child]);
		i = child;
	}
	place(l, i, d);
}

static int insert(struct loop *l, struct deadline *d)
{
	if (l->n + 1 >= l->cap) {
		unsigned cap = l->cap ? l->cap * 2 : 64;
		struct deadline **heap = reallocarray(l->heap, cap, sizeof *heap);

		if (!heap)
			return -1;
		l->heap = heap;
		l->cap = cap;
	}
	d->sorted_at = d->at;
	d->place = ++l->n;
	sift_up(l, d);
	return 0;
}

static void take_out(struct loop *l, struct deadline *d)
{
	unsigned i = d->place;
	struct deadline *last = l->heap[l->n--];

	d->place = 0;
	if (last == d)
		return;
	last->place = i;
	sift_up(l, last);
	sift_down(l, last);
}

/*
 * Thousands of connections that idle would wake the loop for each of them. So what is due is due together: at the end of a
 * span of an eighth of its time, of a second at most, counted from the clock's zero.
 */
static int64_t together(int64_t at, int64_t left)
{
	int64_t span = COARSEST;

	if (at == INT64_MAX || left < FINE)
		return at;
	if (left / 8 < COARSEST)
		span = INT64_C(1) << (63 - __builtin_clzll((uint64_t)left / 8));
	return (at + span - 1) & ~(span - 1);
}

int deadline_set(struct loop *l, struct deadline *d, int64_t at)
{
	at = together(at, at - l->now);
	d->at = at;
	if (!d->place)
		return at == INT64_MAX ? 0 : insert(l, d);
	if (at < d->sorted_at) {
		d->sorted_at = at;
		sift_up(l, d);
	}
	return 0;
}

void deadline_clear(struct loop *l, struct deadline *d)
{
	if (d->place)
		take_out(l, d);
	d->at = INT64_MAX;
}

/* Handles what is due, moves what was only put off. */
static void run_due(struct loop *l)
{
	while (l->n && l->heap[1]->sorted_at <= l->now) {
		struct deadline *d = l->heap[1];

		if (d->at > l->now && d->at != INT64_MAX) {
			d->sorted_at = d->at;
			sift_down(l, d);
			continue;
		}
		take_out(l, d);
		if (d->at != INT64_MAX) {
			d->at = INT64_MAX;
			d->due(d);
		}
	}
}

static int wait_ms(const struct loop *l)
{
	if (!l->n)
		return -1;
	int64_t left = l->heap[1]->sorted_at - l->now;
	return left <= 0 ? 0 : left > LONGEST ? LONGEST : (int)left;
}

/* ------------------------------------------------------------------------------------------------ a turn */

static void handle(struct loop *l, bool first)
{
	for (int i = 0; i < l->count; i++) {
		struct epoll_event *ev = &l->events[i];
		struct watch *w = ev->data.ptr;

		if (!w || w->first != first)
			continue;
		ev->data.ptr = NULL;
		w->ready(w, ev->events);
	}
}

/* Once for all that are to be handled: they are in `events` still. */
static void gather(struct loop *l)
{
	for (int i = 0; i < l->count; i++) {
		struct watch *w = l->events[i].data.ptr;

		if (w && !w->first && w->gather && l->events[i].events == EPOLLIN)
			w->gather(w);
	}
}

void loop_show(struct loop *l, _Atomic uint64_t *busy)
{
	l->busy = busy;
}

static void show(struct loop *l, int64_t busy)
{
	if (l->busy)
		atomic_store_explicit(l->busy, (uint64_t)busy, memory_order_relaxed);
}

int loop_turn(struct loop *l)
{
	struct epoll_event events[EVENTS];

	l->events = events;
	show(l, 0);
	l->count = epoll_wait(l->epoll, events, EVENTS, wait_ms(l));
	if (l->count < 0) {
		l->count = 0;
		if (errno != EINTR)
			return -1;
	}
	l->now = loop_clock_us() / 1000;
	show(l, l->now);
	handle(l, true);
	if (l->count > 1)
		gather(l);
	handle(l, false);
	l->count = 0;
	run_due(l);
	return 0;
}

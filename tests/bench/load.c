/*
 * load.c - many connections in one process over epoll. A connection whose operation failed rests for 10 ms
 * before it begins the next one, so that a server that is gone does not make this program spin.
 */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SWEEP_NS 10000000u /* between two looks at all connections; also the rest after a failure */
#define EVENTS 256

int load_open(struct load *l, unsigned connections)
{
	l->conns = calloc(connections, sizeof *l->conns);
	l->nconns = connections;
	l->env.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!l->conns || l->env.epoll < 0)
		return -1;
	for (unsigned i = 0; i < connections; i++)
		l->conns[i].fd = -1;
	return 0;
}

void load_close(struct load *l)
{
	free(l->conns);
	if (l->env.epoll >= 0)
		close(l->env.epoll);
}

/* Keeps the counts of busy and resting connections right around a call that may end an operation. */
static void after(struct load *l, const struct conn *c)
{
	if (c->state == CONN_IDLE || c->state == CONN_RESTING)
		l->active--;
	if (c->state == CONN_RESTING)
		l->resting++;
}

static void sweep(struct load *l, uint64_t now)
{
	for (unsigned i = 0; i < l->nconns; i++) {
		struct conn *c = &l->conns[i];

		if (c->state == CONN_RESTING && now >= c->step_ns + SWEEP_NS) {
			c->state = CONN_IDLE;
			l->resting--;
		} else if (c->state != CONN_IDLE && c->state != CONN_RESTING) {
			conn_check_time(c, now);
			after(l, c);
		}
	}
}

/* How many more may begin now. */
static uint64_t due(const struct load *l, const struct bounds *b, uint64_t begun, uint64_t now)
{
	uint64_t n = UINT64_MAX, by_rate;

	if (now >= b->end_ns)
		return 0;
	if (b->operations)
		n = b->operations - begun;
	if (b->per_ns > 0) {
		by_rate = 1 + (uint64_t)((double)(now - l->env.begin_ns) * b->per_ns);
		by_rate = by_rate > begun ? by_rate - begun : 0;
		if (by_rate < n)
			n = by_rate;
	}
	return n;
}

static void wait_events(struct load *l, int ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(l->env.epoll, events, EVENTS, ms);

	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;

		if (c->state != CONN_IDLE && c->state != CONN_RESTING) {
			conn_event(c);
			after(l, c);
		}
	}
}

/* Begins up to n operations on idle connections; how many. While filling session number `begun` is made. */
static uint64_t begin(struct load *l, uint64_t n, uint64_t begun)
{
	struct store *store = l->env.store;
	uint64_t done = 0;
	unsigned session = 0;

	for (unsigned i = 0; i < l->nconns && done < n && l->active + l->resting < l->nconns; i++) {
		struct conn *c = &l->conns[i];

		if (c->state != CONN_IDLE)
			continue;
		if (l->env.filling)
			session = (unsigned)(begun + done);
		else if (store)
			session = store_next(store);
		conn_start(c, &l->env, session);
		l->active++;
		after(l, c);
		done++;
	}
	return done;
}

/* A server that fails this often in a row while the sessions are made is gone. */
static bool hopeless(struct load *l)
{
	const struct stats *s = l->env.stats;

	if (!l->env.filling)
		return false;
	if (s->succeeded != l->succeeded) {
		l->succeeded = s->succeeded;
		l->failed = s->failed;
	}
	return s->failed - l->failed >= 10 + l->nconns;
}

bool load_run(struct load *l, const struct bounds *b)
{
	uint64_t begun = 0, now = now_ns(), next_sweep = now + SWEEP_NS, n;

	while (!atomic_load_explicit(l->stop, memory_order_relaxed)) {
		n = due(l, b, begun, now);
		if (l->active + l->resting < l->nconns)
			begun += begin(l, n, begun);
		if (l->active == 0 && (now >= b->end_ns || (b->operations && begun >= b->operations)))
			return true;
		if (hopeless(l))
			return false;
		wait_events(l, b->per_ns > 0 ? 1 : 10);
		now = now_ns();
		if (now >= next_sweep) {
			sweep(l, now);
			next_sweep = now + SWEEP_NS;
		}
	}
	for (unsigned i = 0; i < l->nconns; i++)
		conn_abandon(&l->conns[i]);
	l->active = l->resting = 0;
	return true;
}

bool load_fill(struct load *l)
{
	bool answers;

	l->env.filling = true;
	l->env.begin_ns = now_ns();
	answers = load_run(l, &(struct bounds){ .operations = l->env.store->n, .end_ns = UINT64_MAX });
	l->env.filling = false;
	return answers;
}

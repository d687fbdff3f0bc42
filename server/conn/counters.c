/*
 * counters.c - what a child counts of itself beyond a plain sum: where its connections are, its times. Runs in the children, and
 * under -X.
 */
#include "conn/counters.h"

#include <sys/resource.h>

#include "conn/internal.h"

static enum conn_place place_of(const struct conn *c)
{
	switch (c->state) {
	case CONN_PEEK:
		return PLACE_FRESH;
	case CONN_HANDSHAKE:
		return PLACE_HANDSHAKE;
	case CONN_HEAD:
		return c->own.client.requests ? PLACE_KEEPALIVE : PLACE_READING;
	case CONN_REQUEST:
		return c->own.asking ? PLACE_ASKING : c->blocked || c->wire_left.n ? PLACE_WRITING : PLACE_WORKING;
	case CONN_BYE: case CONN_LINGER:
		break;
	}
	return PLACE_CLOSING;
}

static void move(struct conn *c, enum conn_place to)
{
	struct conn_counters *n = c->server->o.counters;

	if (to == c->place)
		return;
	counter_move32(&n->places[c->place], -1);
	counter_move32(&n->places[to], 1);
	c->place = to;
}

void conn_count_place(struct conn *c)
{
	move(c, place_of(c));
}

void conn_count_gone(struct conn *c)
{
	move(c, PLACE_NONE);
}

void count_times(struct conn_counters *c, int64_t now)
{
	static int64_t taken = INT64_MIN;
	struct rusage u;

	if (now / 1000 == taken || getrusage(RUSAGE_SELF, &u) < 0)
		return;
	taken = now / 1000;
	atomic_store_explicit(&c->cpu_user_us, (uint64_t)u.ru_utime.tv_sec * 1000000 + (uint64_t)u.ru_utime.tv_usec, memory_order_relaxed);
	atomic_store_explicit(&c->cpu_system_us, (uint64_t)u.ru_stime.tv_sec * 1000000 + (uint64_t)u.ru_stime.tv_usec, memory_order_relaxed);
}

/*
 * counters.c - what a child counts of itself beyond a plain sum: where its connections are, its times. Runs in the children, and
 * under -X.
 */
#include "conn/counters.h"

#include <string.h>
#include <sys/resource.h>

#include "conn/internal.h"
#include "request/handler.h"

#define TIMES_MS 1000

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

static bool is_under_way(enum conn_place p)
{
	return p == PLACE_WORKING || p == PLACE_ASKING || p == PLACE_WRITING;
}

/* ------------------------------------------------------------------------------------------------ requests that are shown */

static void cut(char *to, size_t room, struct text from)
{
	size_t n = from.n < room ? from.n : room - 1;

	if (n)
		memcpy(to, from.p, n);
	to[n] = '\0';
}

static struct conn_shown *free_one(const struct conn_server *s)
{
	for (unsigned i = 0; s->o.shown && i < CONN_SHOWN; i++)
		if (atomic_load_explicit(&s->o.shown[i].place, memory_order_relaxed) == PLACE_NONE)
			return &s->o.shown[i];
	return NULL;
}

static void write_shown(struct conn_shown *e, const struct asker *a, enum conn_place place)
{
	const struct request *r = a->client.request;
	const struct host *host = r->host ? r->host : a->c->host;
	uint32_t sequence = atomic_load_explicit(&e->sequence, memory_order_relaxed) | 1;
	struct text path = r->target;
	const char *query;

	if (path.n && (query = memchr(path.p, '?', path.n)))
		path.n = (size_t)(query - path.p);
	atomic_store_explicit(&e->sequence, sequence, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	e->since = (uint64_t)r->started_us / 1000;
	cut(e->peer, sizeof e->peer, text_of(a->client.peer_text));
	cut(e->host, sizeof e->host, text_of(host->name));
	cut(e->method, sizeof e->method, r->method);
	cut(e->handler, sizeof e->handler, text_of(r->handler ? r->handler->name : NULL));
	cut(e->path, sizeof e->path, path);
	atomic_store_explicit(&e->place, place, memory_order_relaxed);
	atomic_store_explicit(&e->sequence, sequence + 1, memory_order_release);
}

void asker_show(struct asker *a)
{
	enum conn_place place = a->asking ? PLACE_ASKING : a->c->blocked || a->c->wire_left.n ? PLACE_WRITING : PLACE_WORKING;

	if (a->shown) {
		atomic_store_explicit(&a->shown->place, place, memory_order_relaxed);
		return;
	}
	a->shown = a->client.request ? free_one(a->c->server) : NULL;
	if (a->shown)
		write_shown(a->shown, a, place);
}

void asker_hide(struct asker *a)
{
	if (a->shown)
		atomic_store_explicit(&a->shown->place, PLACE_NONE, memory_order_relaxed);
	a->shown = NULL;
}

/* ------------------------------------------------------------------------------------------------ places */

static void move(struct conn *c, enum conn_place to)
{
	struct conn_counters *n = c->server->o.counters;

	if (to == c->place)
		return;
	if (!is_under_way(to))
		asker_hide(&c->own);
	counter_move32(&n->places[c->place], -1);
	counter_move32(&n->places[to], 1);
	c->place = to;
}

void conn_count_place(struct conn *c)
{
	move(c, place_of(c));
}

void conn_count_turn(struct conn *c)
{
	conn_count_place(c);
	if (is_under_way(c->place) && !c->gone)
		asker_show(&c->own);            /* nothing of HTTP/2, whose requests are its streams' */
}

void conn_count_gone(struct conn *c)
{
	move(c, PLACE_NONE);
}

void count_times(struct conn_counters *c, int64_t now)
{
	static int64_t due = INT64_MIN;
	struct rusage u;

	if (now < due || getrusage(RUSAGE_SELF, &u) < 0)
		return;
	due = now < INT64_MAX - TIMES_MS ? now + TIMES_MS : now;
	atomic_store_explicit(&c->cpu_user_us, (uint64_t)u.ru_utime.tv_sec * 1000000 + (uint64_t)u.ru_utime.tv_usec, memory_order_relaxed);
	atomic_store_explicit(&c->cpu_system_us, (uint64_t)u.ru_stime.tv_sec * 1000000 + (uint64_t)u.ru_stime.tv_usec, memory_order_relaxed);
}

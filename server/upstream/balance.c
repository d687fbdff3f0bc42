/*
 * balance.c - which member of a balancer is next, and who is left alone. Runs in the children; what they know of each other lies in the
 * workers' cells, numbers that each changes by itself: two children that choose at the same moment may choose the same one.
 */
#include "handler/upstream.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)
#define ADD(x, v) atomic_fetch_add_explicit(&(x), (v), memory_order_relaxed)

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A time that lies further off than retry= was not written by one of us. */
static bool in_error(const struct proxy_worker *w, int64_t now)
{
	int64_t until = w->cell ? LOAD(w->cell->ill_until) : 0;

	return !(w->status & PROXY_IGNORES_ERRORS) && until > now && until <= now + w->retry;
}

static bool takes(const struct proxy_worker *w, int64_t now)
{
	if (w->status & (PROXY_DISABLED | PROXY_STOPPED | PROXY_IN_ERROR | PROXY_ILL))
		return false;
	if (w->cell && LOAD(w->cell->ill))
		return false;
	return !in_error(w, now);
}

bool upstream_takes(const struct proxy_worker *w)
{
	return takes(w, now_ms());
}

void upstream_failed(const struct proxy_worker *w)
{
	if (w->cell && w->retry > 0)
		STORE(w->cell->ill_until, now_ms() + w->retry);
}

void upstream_well(const struct proxy_worker *w)
{
	if (w->cell && LOAD(w->cell->ill_until))
		STORE(w->cell->ill_until, 0);
}

void upstream_busy(const struct proxy_worker *w, int more)
{
	if (w->cell)
		ADD(w->cell->busy, more);
}

void upstream_traffic(const struct proxy_worker *w, uint64_t bytes)
{
	if (w->cell)
		ADD(w->cell->traffic, bytes);
}

static bool was_tried(const struct proxy_worker *w, const struct proxy_worker *const *tried, unsigned ntried)
{
	for (unsigned i = 0; i < ntried; i++)
		if (tried[i] == w)
			return true;
	return false;
}

struct choice { const struct proxy_worker *const *tried; unsigned ntried; int64_t now; bool standby; int64_t set; };

static bool is_candidate(const struct proxy_worker *w, const struct choice *c)
{
	bool standby = w->status & (PROXY_STANDBY | PROXY_SPARE);

	return standby == c->standby && (w->set > 0 ? w->set : 0) == c->set && !(w->status & PROXY_DRAINS) && takes(w, c->now) &&
	       !was_tried(w, c->tried, c->ntried);
}

/* Whether a goes before b, where the method has more than turns to go by. */
static int compare(const struct proxy_balancer *b, const struct proxy_worker *x, const struct proxy_worker *y)
{
	uint64_t left, right;

	if (b->method == PROXY_BY_BUSYNESS) {
		int32_t busy[2] = { LOAD(x->cell->busy), LOAD(y->cell->busy) };

		left = (uint64_t)(busy[0] > 0 ? busy[0] : 0) * (uint64_t)y->factor;
		right = (uint64_t)(busy[1] > 0 ? busy[1] : 0) * (uint64_t)x->factor;
	} else if (b->method == PROXY_BY_TRAFFIC) {
		left = LOAD(x->cell->traffic) / (uint64_t)x->factor;
		right = LOAD(y->cell->traffic) / (uint64_t)y->factor;
	} else {
		return 0;
	}
	return left < right ? -1 : left > right;
}

/* Each gets its share of turns; the one with the most goes, and pays for all. */
static const struct proxy_worker *by_turns(const struct proxy_balancer *b, const struct choice *c)
{
	const struct proxy_worker *best = NULL;
	int32_t total = 0, top = 0;

	for (const struct proxy_member *m = b->members; m; m = m->next) {
		const struct proxy_worker *w = m->worker;
		int32_t score;
		int order;

		if (!is_candidate(w, c))
			continue;
		score = ADD(w->cell->score, (int32_t)w->factor) + (int32_t)w->factor;
		total += (int32_t)w->factor;
		if (score > 1000000 || score < -1000000)        /* never by itself: begin anew */
			STORE(w->cell->score, 0);
		order = best ? compare(b, w, best) : -1;
		if (order < 0 || (order == 0 && score > top)) {
			best = w;
			top = score;
		}
	}
	if (best) {
		ADD(best->cell->score, -total);
		ADD(best->cell->elected, 1);
	}
	return best;
}

static const struct proxy_worker *of_route(const struct proxy_balancer *b, const char *route, const struct choice *c)
{
	for (const struct proxy_member *m = b->members; m; m = m->next)
		if (m->worker->route && strcmp(m->worker->route, route) == 0 && takes(m->worker, c->now) && !was_tried(m->worker, c->tried, c->ntried))
			return m->worker;
	return NULL;
}

/* The one of the route; else the one that redirect= of those with the route names. */
static const struct proxy_worker *by_route(const struct proxy_balancer *b, const char *route, const struct choice *c)
{
	const struct proxy_worker *w = of_route(b, route, c);

	for (const struct proxy_member *m = b->members; m && !w; m = m->next)
		if (m->worker->route && m->worker->redirect && strcmp(m->worker->route, route) == 0)
			w = of_route(b, m->worker->redirect, c);
	return w;
}

/* Where all have failed, and none is left by its own state alone, they are asked all the same. */
static bool recover(const struct proxy_balancer *b, const struct choice *c)
{
	bool any = false;

	if (b->forcerecovery == 0 || c->ntried)
		return false;
	for (const struct proxy_member *m = b->members; m; m = m->next)
		if (in_error(m->worker, c->now)) {
			upstream_well(m->worker);
			any = true;
		}
	return any;
}

static const struct proxy_worker *choose(const struct proxy_balancer *b, struct choice *c)
{
	const struct proxy_worker *w;

	for (int standby = 0; standby < 2; standby++)
		for (int64_t set = 0; set < 100; set++) {
			c->standby = standby;
			c->set = set;
			if ((w = by_turns(b, c)))
				return w;
		}
	return NULL;
}

const struct proxy_worker *upstream_pick(const struct proxy_balancer *b, const char *route, const struct proxy_worker *const *tried, unsigned ntried,
					 bool *moved)
{
	struct choice c = { .tried = tried, .ntried = ntried, .now = now_ms() };
	const struct proxy_worker *w = route ? by_route(b, route, &c) : NULL;

	*moved = route && !w;
	if (w) {
		ADD(w->cell->elected, 1);
		return w;
	}
	if (route && b->nofailover == 1)
		for (const struct proxy_member *m = b->members; m; m = m->next)
			if (m->worker->route && strcmp(m->worker->route, route) == 0)
				return NULL;
	w = choose(b, &c);
	return !w && recover(b, &c) ? choose(b, &c) : w;
}

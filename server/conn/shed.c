/*
 * shed.c - all connections that a child may have are open, and clients wait at the listeners, which tells that no other child
 * has room either: who has not asked anything goes first, then who idles between two requests, then whose body comes too slowly or who takes
 * nothing of an answer. Slow clients by the thousand so cost others a moment, and not the time limits of RequestReadTimeout, Timeout and
 * KeepAliveTimeout. Who is being answered, and takes it, stays. Where a child has one
 * connection alone, that is kept as it is: there the number of children follows the load, and each is for one client.
 */
#include "conn/internal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "log/log.h"
#include "upstream/pool.h"

#define FIRST_LOOK_MS 20
#define LOOK_MS 100
#define IDLE_AFTER_MS 100               /* full for so long: another child, if one may be added, would be there */
#define FRESH_MS 1000                   /* so long anybody may take to ask */
#define HELD_MS 2000                    /* so long anybody may hold up an answer: longer than a lost segment takes to come again */
#define STUCK_MS 3000                   /* full for so long, and nobody may go: told */
#define TELL_MS 10000                   /* between two lines about it */

static bool somebody_waits(const struct conn_server *s)
{
	for (unsigned i = 0; i < s->o.nlisteners; i++) {
		struct pollfd p = { .fd = s->listeners[i].watch.fd, .events = POLLIN };

		if (p.fd >= 0 && poll(&p, 1, 0) > 0)
			return true;
	}
	return false;
}

enum kind { SLOW, IDLE, HELD };

/* Who waits for another turn waits for room, too: epoll tells of it only where there is much. */
static bool takes_nothing(const struct conn *c)
{
	struct pollfd p = { .fd = c->watch.fd, .events = POLLOUT };

	return c->blocked || c->wire_left.n || (c->again && poll(&p, 1, 0) == 0);
}

/* Since when it has been of the kind; 0: it stays. */
static int64_t may_go_since(const struct conn *c, int64_t now, enum kind kind)
{
	int64_t since = 0, most = 0;

	switch (c->place) {
	case PLACE_FRESH: case PLACE_HANDSHAKE: case PLACE_READING:
		if (kind == SLOW) {
			since = c->head_began ? c->head_began : c->opened_at;
			most = FRESH_MS;
		}
		break;
	case PLACE_KEEPALIVE:
		if (kind == IDLE)
			since = c->sent_at;
		break;
	case PLACE_WORKING: case PLACE_WRITING:
		if (kind == HELD && c->speech) {
			since = takes_nothing(c) ? c->sent_at : c->speech->held_up(c);
			most = HELD_MS;
		}
		break;
	case PLACE_CLOSING:                     /* its last answer is not taken; or it lingers, which is soon over */
		if (kind == HELD && c->state == CONN_BYE) {
			since = c->sent_at;
			most = HELD_MS;
		}
		break;
	default:
		break;
	}
	return since < now - most ? since : 0;
}

struct candidate { struct conn *c; int64_t since; };

static int by_age(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->since < y->since ? -1 : x->since > y->since;
}

static void let_go(struct conn *c, enum kind kind)
{
	if (kind == HELD)
		output_forget(c);
	if (kind != IDLE) {
		conn_cut(c);
		return;
	}
	if (c->speech->dismiss)
		c->speech->dismiss(c);
	else
		conn_bye(c);
	conn_turn(c);
}

/* Closes up to `most` of a kind, the oldest first. How many. */
static unsigned close_some(struct conn_server *s, enum kind kind, unsigned most)
{
	struct candidate *all = most ? calloc(s->open, sizeof *all) : NULL;
	int64_t now = loop_now(s->loop);
	unsigned n = 0;

	if (!all)
		return 0;
	list_each(i, &s->conns) {
		struct conn *c = list_entry(i, struct conn, item);
		int64_t since = may_go_since(c, now, kind);

		if (since && n < s->open)
			all[n++] = (struct candidate){ c, since };
	}
	qsort(all, n, sizeof *all, by_age);
	n = n < most ? n : most;
	for (unsigned i = 0; i < n; i++)
		let_go(all[i].c, kind);
	free(all);
	return n;
}

/* All are being answered. Where one server behind keeps most of them waiting that is said, with what bounds it. */
static void tell_stuck(struct conn_server *s)
{
	unsigned used;
	const struct proxy_worker *w = pool_busiest(&used);
	char behind[512] = "";

	if (w && used >= (s->o.limit + 1) / 2)
		snprintf(behind, sizeof behind, "; %u wait for %s: max= with acquire= of its line bounds how many places it may have, timeout= for how long", used, w->name);
	log_warnx(NULL, LOG_MPM, "BH0916", "all %u connections of this child are taken by requests that are being answered, and clients wait until one is through%s "
		  "(MaxRequestWorkers)", s->o.limit, behind);
	s->stuck_told = loop_now(s->loop) + TELL_MS;
}

static void look(struct deadline *d)
{
	struct conn_server *s = (struct conn_server *)(void *)((char *)d - offsetof(struct conn_server, full));
	unsigned most = (s->o.limit + 7) / 8, slow, idle = 0, held = 0;

	if (s->draining || s->listening)
		return;
	deadline_set(s->loop, d, loop_now(s->loop) + LOOK_MS);
	if (s->open < s->o.limit)               /* not so many that accept.c listens by itself, but they need not wait */
		accept_start(s);
	if (s->listening || !somebody_waits(s))
		return;
	slow = close_some(s, SLOW, most);
	if (loop_now(s->loop) >= s->full_since + IDLE_AFTER_MS) {
		idle = close_some(s, IDLE, most - slow);
		held = close_some(s, HELD, most - slow - idle);
	}
	s->shed_slow += slow;
	s->shed_idle += idle;
	s->shed_held += held;
	if (slow + idle + held && loop_now(s->loop) >= s->shed_told) {
		log_warnx(NULL, LOG_MPM, "BH0851", "all %u connections of this child are taken, and clients wait: closed %u that had not asked anything yet, %u idle ones, and %u "
			  "that held up their own request or answer (MaxRequestWorkers, MaxConnectionsPerAddress)", s->o.limit, s->shed_slow, s->shed_idle, s->shed_held);
		s->shed_slow = s->shed_idle = s->shed_held = 0;
		s->shed_told = loop_now(s->loop) + TELL_MS;
	} else if (!(slow + idle + held) && loop_now(s->loop) >= s->full_since + STUCK_MS && loop_now(s->loop) >= s->stuck_told) {
		tell_stuck(s);
	}
}

void shed_init(struct conn_server *s)
{
	s->full = (struct deadline){ .due = look, .at = INT64_MAX };
}

void shed_full(struct conn_server *s)
{
	if (s->o.limit == 1)
		return;
	s->full_since = loop_now(s->loop);
	deadline_set(s->loop, &s->full, s->full_since + FIRST_LOOK_MS);
}

/*
 * scoreboard.c - reads the slots for the status page (handler/status.h), in the children and in -X. What other children write there
 * is read as numbers and texts that may be anything.
 */
#include "process/scoreboard.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/activity.h"
#include "handler/status.h"

static struct {
	const struct shared_head *head;
	struct shared_slot *slots;      /* of each, its counters and activity: pages mapped for reading */
	unsigned n;
	/* -X */
	const struct conn_counters *counters;
	const struct activity *activity;
	int64_t started;
} board;

static uint64_t get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static uint32_t get32(const _Atomic uint32_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static void add_sums(struct status_sums *to, const struct status_sums *s)
{
	to->accepted += s->accepted;
	to->requests += s->requests;
	to->bytes += s->bytes;
	to->handshakes += s->handshakes;
	to->resumed += s->resumed;
	to->failures += s->failures;
}

static void copy(char *to, size_t room, const char *from, size_t length)
{
	size_t n = strnlen(from, length);

	if (n > room - 1)
		n = room - 1;
	memcpy(to, from, n);
	to[n] = '\0';
}

static void take_activity(const struct activity *a, struct status_child *c)
{
	struct activity_record r;
	int64_t now = shared_now();

	if (!activity_read(a, &r) || !r.request_began)
		return;
#define COPY(to, from) copy(c->to, sizeof(c->to), r.from, sizeof(r.from))
	COPY(peer, peer);
	COPY(host, host);
	COPY(method, method);
	COPY(path, path);
	COPY(handler, handler);
	COPY(phase, phase);
#undef COPY
	c->since_ms = now > (int64_t)r.request_began ? now - (int64_t)r.request_began : 0;
}

static char letter_of(const struct status_child *c)
{
	if (!c->ready)
		return 'S';
	return c->draining ? 'G' : c->places.working ? 'W' : '_';
}

static void take_child(const struct conn_counters *counters, const struct activity *activity, struct status_child *c)
{
	c->places.total = get32(&counters->open);
	c->places.working = get32(&counters->active);
	c->limit = get32(&counters->limit);
	c->draining = get32(&counters->draining) != 0;
	c->sums = (struct status_sums){ .accepted = get(&counters->accepted), .requests = get(&counters->requests), .bytes = get(&counters->bytes_out),
					.handshakes = get(&counters->handshakes), .resumed = get(&counters->resumed),
					.failures = get(&counters->handshake_failures) };
	c->since_ms = -1;
	if (c->places.working)
		take_activity(activity, c);
	c->letter = letter_of(c);
}

/* ------------------------------------------------------------------------------------------------ all of it */

static void count_child(struct status *s, const struct status_child *c)
{
	add_sums(&s->sums, &c->sums);
	s->places.total += c->places.total;
	s->places.working += c->places.working;
	s->busy += c->places.working;
	if (!c->draining && c->limit > c->places.working)
		s->idle += c->limit - c->places.working;
	s->stopping += c->draining;
	s->letters[c->place] = c->letter;
}

static void take_clock(struct status *s, int64_t started)
{
	struct sysinfo info;

	s->now = time(NULL);
	s->started = s->restarted = started;
	s->uptime = s->now > started ? s->now - started : 0;
	if (sysinfo(&info) == 0)
		for (int i = 0; i < 3; i++)
			s->load[i] = (double)info.loads[i] / (1 << SI_LOAD_SHIFT);
}

/* 0, or -1: no memory. */
static int make_room(struct arena *a, unsigned places, struct status *s)
{
	memset(s, 0, sizeof(*s));
	s->nplaces = places;
	s->letters = arena_zalloc(a, places + 1);
	s->children = arena_array(a, places ? places : 1, sizeof(*s->children));
	if (!s->letters || !s->children)
		return -1;
	memset(s->letters, '.', places);
	return 0;
}

static int take(struct arena *a, const struct site *site, struct status *s)
{
	unsigned used = get32(&board.head->used);
	const struct shared_past *p = &board.head->past;

	(void)site;
	if (make_room(a, used < board.n ? used : board.n, s) < 0)
		return -1;
	take_clock(s, board.head->started);
	s->sums = (struct status_sums){ .accepted = get(&p->accepted), .requests = get(&p->requests), .bytes = get(&p->bytes_out),
					.handshakes = get(&p->handshakes), .resumed = get(&p->resumed), .failures = get(&p->failures) };
	for (unsigned i = 0; i < s->nplaces; i++) {
		const struct shared_slot *slot = &board.slots[i];
		struct status_child *c = &s->children[s->nchildren];

		memset(c, 0, sizeof(*c));
		c->place = i;
		c->pid = get32(slot->pid);
		if (!c->pid)
			continue;
		c->generation = get32(slot->generation);
		c->ready = get32(slot->ready) != 0;
		take_child(slot->counters, slot->activity, c);
		count_child(s, c);
		s->nchildren++;
	}
	return 0;
}

int scoreboard_open(struct err *e)
{
	board.slots = shared_view(&board.head, &board.n, e);
	if (!board.slots)
		return -1;
	status_show(take);
	return 0;
}

void scoreboard_retire(const struct shared_slot *s)
{
	struct shared_past *p = &shared_head()->past;
	struct conn_counters *c = s->counters;

	counter_add(&p->accepted, get(&c->accepted));
	counter_add(&p->requests, get(&c->requests));
	counter_add(&p->bytes_out, get(&c->bytes_out));
	counter_add(&p->handshakes, get(&c->handshakes));
	counter_add(&p->resumed, get(&c->resumed));
	counter_add(&p->failures, get(&c->handshake_failures));
	memset(c, 0, sizeof(*c));
}

/* ------------------------------------------------------------------------------------------------ -X */

static int take_single(struct arena *a, const struct site *site, struct status *s)
{
	struct status_child *c;

	(void)site;
	if (make_room(a, 1, s) < 0)
		return -1;
	take_clock(s, board.started);
	c = s->children;
	memset(c, 0, sizeof(*c));
	c->pid = (uint32_t)getpid();
	c->ready = true;
	take_child(board.counters, board.activity, c);
	count_child(s, c);
	s->nchildren = 1;
	return 0;
}

void scoreboard_single(const struct conn_counters *counters, const struct activity *activity)
{
	board.counters = counters;
	board.activity = activity;
	board.started = time(NULL);
	status_show(take_single);
}

/*
 * scoreboard.c - reads the slots for the status page (handler/status.h), in the children and in -X. What other children write there
 * is read as numbers and texts that may be anything.
 */
#include "process/scoreboard.h"

#include <string.h>
#include <sys/mman.h>
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

static void take_sums(const struct conn_counters *c, struct status_sums *s)
{
	*s = (struct status_sums){ get(&c->accepted), get(&c->requests), get(&c->bytes_out), get(&c->handshakes), get(&c->resumed), get(&c->handshake_failures) };
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

	c->since_ms = -1;
	if (!activity_read(a, &r) || !r.request_began)
		return;
#define COPY(to, from) copy(c->to, sizeof(c->to), r.from, sizeof(r.from))
	COPY(peer, peer);
	COPY(host, host);
	COPY(method, method);
	COPY(path, path);
	COPY(phase, phase);
#undef COPY
	c->since_ms = now > (int64_t)r.request_began ? now - (int64_t)r.request_began : 0;
}

static void take_child(const struct conn_counters *counters, const struct activity *activity, struct status_child *c)
{
	c->open = get32(&counters->open);
	c->active = get32(&counters->active);
	c->limit = get32(&counters->limit);
	c->draining = get32(&counters->draining) != 0;
	take_sums(counters, &c->sums);
	take_activity(activity, c);
	if (!c->active)
		c->since_ms = -1;
}

/* ------------------------------------------------------------------------------------------------ children */

static unsigned places(void)
{
	unsigned used = get32(&board.head->used);

	return used < board.n ? used : board.n;
}

static void child(unsigned i, struct status_child *c)
{
	const struct shared_slot *s = &board.slots[i];

	memset(c, 0, sizeof(*c));
	c->pid = get32(s->pid);
	if (!c->pid)
		return;
	c->generation = get32(s->generation);
	c->ready = get32(s->ready) != 0;
	take_child(s->counters, s->activity, c);
}

static void past(struct status_sums *s)
{
	const struct shared_past *p = &board.head->past;

	*s = (struct status_sums){ get(&p->accepted), get(&p->requests), get(&p->bytes_out), get(&p->handshakes), get(&p->resumed), get(&p->failures) };
}

static int64_t started(void)
{
	return board.head->started;
}

int scoreboard_open(struct err *e)
{
	static const struct status_source source = { places, child, past, started };

	board.slots = shared_view(&board.head, &board.n, e);
	if (!board.slots)
		return -1;
	status_show(&source);
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

static unsigned one_place(void)
{
	return 1;
}

static void this_process(unsigned i, struct status_child *c)
{
	(void)i;
	memset(c, 0, sizeof(*c));
	c->pid = (uint32_t)getpid();
	c->ready = true;
	take_child(board.counters, board.activity, c);
}

static void no_past(struct status_sums *s)
{
	*s = (struct status_sums){ 0 };
}

static int64_t begun(void)
{
	return board.started;
}

void scoreboard_single(const struct conn_counters *counters, const struct activity *activity)
{
	static const struct status_source source = { one_place, this_process, no_past, begun };

	board.counters = counters;
	board.activity = activity;
	board.started = time(NULL);
	status_show(&source);
}

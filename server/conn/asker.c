/*
 * asker.c - what a request and its answer have in common in HTTP/1 and HTTP/2: who asks, its memory, its methods, its access
 * lines. Runs in the children.
 */
#include "conn/internal.h"

#include <time.h>
#include <unistd.h>

#include "log/format.h"
#include "log/target.h"
#include "request/logline.h"

#define RING_WAIT_MS 1000               /* how long a full ring may hold this child up */
#define LINE_SIZE 16384
#define ARENA_BLOCK 16384               /* an ordinary request needs no second one */
#define ARENA_MOST ((size_t)64 << 20)   /* bytes that the rules of a site may make of a request: then it is answered with 503 */

/* ------------------------------------------------------------------------------------------------ who asks */

void asker_init(struct asker *a, struct conn *c)
{
	a->c = c;
	list_init(&a->chans);
	list_init(&a->waits);
}

void asker_forget(struct asker *a, bool all)
{
	if (all)
		asker_hide(a);
	chans_close(a);
	lookup_forget(a, all);
	work_forget(a);
}

struct arena *asker_arena(struct conn_server *s)
{
	struct arena *a = s->spares ? s->spare[--s->spares] : arena_new(ARENA_BLOCK);

	if (a)
		arena_limit(a, ARENA_MOST);
	return a;
}

void asker_arena_back(struct conn_server *s, struct arena *a)
{
	if (a && s->spares < SPARE_ARENAS) {
		arena_reset(a);
		s->spare[s->spares++] = a;
	} else {
		arena_free(a);
	}
}

/* ------------------------------------------------------------------------------------------------ the request */

void asker_fill(struct conn *c, struct request *r, struct stream *s, struct asker *a, const struct request_head *head)
{
	r->stream = s;
	r->client = &a->client;
	r->site = c->server->o.site;
	r->activity = c->server->o.activity;
	r->host = (struct host *)(uintptr_t)c->host;
	r->line = head->line;
	r->method = head->method;
	r->method_id = head->method_id;
	r->target = head->target;
	r->major = head->major;
	r->minor = head->minor;
	r->in = head->fields;
	r->started_us = loop_clock_us();
	clock_gettime(CLOCK_REALTIME, &r->received);
	r->came = c->came;
}

bool asker_method(const struct conn_settings *set, const struct request *r)
{
	bool found = r->method_id != HTTP_OTHER || !set->registered;

	for (const struct method_name *m = set->methods; m && !found; m = m->next)
		found = text_is(r->method, m->name);
	return found;
}

int64_t asker_read_limit(const struct asker *a, int64_t began, int64_t heard, uint64_t bytes, int64_t low, int64_t high, int64_t rate)
{
	int64_t limit = low;

	if (!low)
		return heard + a->settings->timeout;
	if (rate)
		limit += (int64_t)(bytes < INT64_MAX / 1000 ? bytes * 1000 : INT64_MAX) / rate;
	if (high && limit > high)
		limit = high;
	return began + limit;
}

int64_t asker_slow_since(const struct asker *a, int64_t began, int64_t heard, uint64_t bytes)
{
	int64_t due = asker_read_limit(a, began, heard, bytes, 1, 0, a->settings->read_body_rate);

	return a->settings->read_body_rate && due < loop_now(a->c->server->loop) ? began : heard;
}

/* ------------------------------------------------------------------------------------------------ the access log */

static void put_line(struct conn_server *s, unsigned target, const char *line, size_t n)
{
	static const uint64_t one = 1;
	struct iovec iov = { (void *)(uintptr_t)line, n };
	static bool full;

	if (!s->o.ring) {
		s->o.put_line(target, line, n);
		return;
	}
	/* A ring that stays full (no logger, a full disk) holds this child up for a second, once: then lines are counted, not kept. */
	for (int waited = 0; ring_put(s->o.ring, target, &iov, 1) < 0; waited += 5) {
		if (full || waited >= RING_WAIT_MS) {
			full = true;
			ring_drop(s->o.ring);
			counter_add(&s->o.counters->log_dropped, 1);
			return;
		}
		if (s->o.ring_wake >= 0 && write(s->o.ring_wake, &one, sizeof one) < 0)
			waited += 5;
		struct timespec pause = { 0, 5000000 };
		nanosleep(&pause, NULL);
	}
	full = false;
}

void asker_log(struct conn *c, struct request *r, bool aborted)
{
	static char line[LINE_SIZE];
	const struct log_host *logs = host_config(r->host ? r->host : c->host, &log_module);
	struct logline l = { .now_us = (uint64_t)loop_clock_us(), .aborted = aborted, .kept = r->client->requests - 1 };

	count_request(c->server->o.counters, c->server->o.rows, r->host ? r->host->row : c->host->row, r->status,
		      r->stream->head_bytes + r->stream->body_bytes, l.now_us > (uint64_t)r->started_us ? l.now_us - (uint64_t)r->started_us : 0);
	for (const struct log_access *a = logs->access; a; a = a->next) {
		struct buf b;

		if (!logline_wanted(a, r))
			continue;
		buf_init(&b, line, sizeof line - 1);
		logline_render(a, r, &l, &b);
		if (b.full)
			line[b.n - 1] = '\n';
		put_line(c->server, a->target, line, b.n);
	}
}

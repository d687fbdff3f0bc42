/*
 * server.c - the server of a child: its buffers and descriptors, how many connections it has, its turns, and its end: by
 * drain, by a stop, or because the master is gone. Runs in the children, and under -X.
 */
#include "conn/internal.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/ipc.h"
#include "log/log.h"
#include "request/openfiles.h"
#include "upstream/pool.h"

#define ORPHAN_MS 5000                  /* what may still be finished when the master is gone */
#define TURN_MESSAGES 64                /* of a helper */
#define KEEP_MEMORY (4 << 20)           /* bytes that malloc keeps between turns, rather than give them back and have them anew */

static void wake_master(struct conn_server *s)
{
	static const uint64_t one = 1;

	if (s->o.busy_wake >= 0 && write(s->o.busy_wake, &one, sizeof one) < 0 && errno != EAGAIN)
		log_debugx(NULL, LOG_MPM, NULL, "the master could not be woken");
}

void conn_count_open(struct conn_server *s, unsigned open_now)
{
	bool busy = (uint64_t)open_now * 8 >= (uint64_t)s->o.limit * 7;

	s->open = open_now;
	counter_set32(&s->o.counters->open, open_now);
	if (busy != s->busy)
		wake_master(s);
	s->busy = busy;
}

void conn_drain(struct conn_server *s)
{
	if (s->draining)
		return;
	s->draining = true;
	counter_set32(&s->o.counters->draining, 1);
	wake_master(s);
	if (s->o.activity)
		activity_event(s->o.activity, (uint64_t)loop_now(s->loop), ACTIVITY_DRAIN, s->open);
	accept_stop(s);
	if (s->o.drain_ms)
		deadline_set(s->loop, &s->drain_end, loop_now(s->loop) + s->o.drain_ms);
	/* Nobody has asked anything yet on HTTP/1's; whoever is about to may do so until KeepAliveTimeout, and is answered. */
	list_each(i, &s->conns) {
		struct conn *c = list_entry(i, struct conn, item);

		if (c->speech && c->speech->drain) {
			c->speech->drain(c);
			conn_turn(c);
		}
	}
}

static void drain_over(struct deadline *d)
{
	struct conn_server *s = (struct conn_server *)(void *)((char *)d - offsetof(struct conn_server, drain_end));

	if (s->open)
		log_infox(NULL, LOG_MPM, "BH0508", "%u connections are still open at the end of the time for finishing: they are closed", s->open);
	s->ended = true;
}

static void sum_up(void)
{
	char text[512];
	enum log_level level = LOG_L_INFO;

	if (*tls_failures_summary(text, sizeof text, &level))
		log_put(NULL, LOG_SSL, level, "BH0512", 0, "more connections failed before their first request, without a line of their own: %s", text);
}

static void untold_due(struct deadline *d)
{
	(void)d;
	sum_up();
}

static void master_gone(struct watch *w, uint32_t events)
{
	struct conn_server *s = (struct conn_server *)(void *)((char *)w - offsetof(struct conn_server, master));

	(void)events;
	loop_remove(s->loop, w);
	log_errorx(NULL, LOG_MPM, "BH0509", "the master process is gone: this child finishes what is under way and ends");
	conn_drain(s);
	deadline_set(s->loop, &s->drain_end, loop_now(s->loop) + ORPHAN_MS);
}

static void control_rings(struct watch *w, uint32_t events)
{
	struct conn_server *s = (struct conn_server *)(void *)((char *)w - offsetof(struct conn_server, control));
	char bytes[64];

	(void)events;
	if (read(w->fd, bytes, sizeof bytes) < 0 && errno != EAGAIN && errno != EINTR)
		loop_remove(s->loop, w);
}

void conn_hear(struct conn_server *s, struct watch *w, void (*take)(struct conn_server *s, const struct ipc_message *m))
{
	static struct ipc_message m;            /* large */

	for (int i = 0; i < TURN_MESSAGES; i++) {
		int rc = ipc_recv(w->fd, &m);

		if (rc < 0 && errno == EBADMSG)
			continue;
		if (rc < 0)
			return;
		if (rc == 0) {                  /* master and helper are both gone */
			loop_remove(s->loop, w);
			w->fd = -1;
			return;
		}
		ipc_drop_fds(&m);
		take(s, &m);
	}
}

struct conn_server *conn_new(const struct conn_options *o, struct err *e)
{
	struct conn_server *s = calloc(1, sizeof *s);

	if (!s)
		goto nomem;
	s->o = *o;
	list_init(&s->conns);
	list_init(&s->programs);
	list_init(&s->asking);
	s->reserve = -1;
	s->drain_end = (struct deadline){ .due = drain_over, .at = INT64_MAX };
	s->untold = (struct deadline){ .due = untold_due, .at = INT64_MAX };
	s->master = (struct watch){ .fd = o->master, .ready = master_gone };
	s->control = (struct watch){ .fd = o->control, .ready = control_rings, .first = true };
	s->resolver = (struct watch){ .fd = o->resolver, .ready = lookup_answers };
	s->checker = (struct watch){ .fd = o->checker, .ready = check_answers };
	for (unsigned i = 0; i < CONN_SPAWNERS; i++)
		s->spawners[i] = (struct spawner){ .watch = { .fd = o->spawners ? o->spawners[i] : -1, .ready = spawn_answers }, .server = s, .account = i };
	s->spawn_poll = (struct deadline){ .due = spawn_poll, .at = INT64_MAX };
	s->in = malloc(IN_SIZE);
	s->raw = malloc(RAW_SIZE);
	s->stage = malloc(RECORD_SIZE);
	s->wire = malloc(WIRE_SIZE);
	s->ahead = malloc(AHEAD_SIZE);
	s->loop = loop_new();
	if (!s->in || !s->raw || !s->stage || !s->wire || !s->ahead || !s->loop)
		goto nomem;
	if (o->client_fds) {
		s->free_slots = calloc(o->nclient_fds, sizeof *s->free_slots);
		if (!s->free_slots)
			goto nomem;
		for (unsigned i = o->nclient_fds; i-- > 0;)
			s->free_slots[s->nfree++] = i;
	}
	mallopt(M_TRIM_THRESHOLD, KEEP_MEMORY);
	pool_init(s->loop);
	if (accept_init(s, e) < 0 || work_init(s, e) < 0)
		goto fail;
	counter_set32(&o->counters->limit, o->limit);
	tls_count_in(&o->counters->tls);
	return s;
nomem:
	err_set(e, "out of memory for the serving loop");
fail:
	conn_free(s);
	return NULL;
}

void conn_free(struct conn_server *s)
{
	if (!s)
		return;
	list_each(i, &s->conns)
		conn_close(list_entry(i, struct conn, item));
	health_fini();
	pool_free();
	spawn_fini(s);
	work_fini(s);
	if (s->reserve >= 0)
		close(s->reserve);
	loop_free(s->loop);
	while (s->spares)
		arena_free(s->spare[--s->spares]);
	free(s->listeners);
	free(s->free_slots);
	free(s->in);
	free(s->raw);
	free(s->stage);
	free(s->wire);
	free(s->ahead);
	free(s);
}

int conn_run(struct conn_server *s)
{
	static const uint64_t one = 1;
	struct watch *const others[] = { &s->master, &s->control, &s->resolver, &s->checker };

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i]->fd >= 0)
			loop_watch(s->loop, others[i], EPOLLIN);
	addresses_init(s->loop, s->o.site, lookup_addresses, s);
	for (unsigned i = 0; i < CONN_SPAWNERS; i++)
		if (s->spawners[i].watch.fd >= 0)
			loop_watch(s->loop, &s->spawners[i].watch, EPOLLIN);
	health_init(s->loop, s->o.site);
	loop_show(s->loop, &s->o.counters->busy);
	accept_start(s);
	if (s->o.ready)
		s->o.ready(s->o.ready_ctx);
	while (!s->ended && !(s->draining && !s->open)) {
		/* Before it sleeps: nothing else would take what it has logged. */
		if (s->o.ring && s->o.ring_wake >= 0 && ring_wants_wake(s->o.ring) && write(s->o.ring_wake, &one, sizeof one) < 0 && errno != EAGAIN)
			log_debugx(NULL, LOG_CORE, NULL, "the logger could not be woken");
		openfile_turn();
		if (loop_turn(s->loop) < 0) {
			log_error(NULL, LOG_CORE, "BH0511", "the event loop failed");
			return 1;
		}
		atomic_store_explicit(&s->o.counters->turn, (uint64_t)loop_now(s->loop), memory_order_relaxed);
		count_times(s->o.counters, loop_now(s->loop));
		accept_worked(s);
		if (s->o.stop && *s->o.stop)
			break;
		if (s->o.drain && *s->o.drain)
			conn_drain(s);
	}
	sum_up();
	count_times(s->o.counters, INT64_MAX);
	return 0;
}

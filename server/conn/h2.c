/*
 * h2.c - HTTP/2 on a connection: its session and the turns of its streams. Runs in the children.
 *
 * A turn is: streams that something has come for are run, bytes of the client are given to nghttp2, what streams have to say is sent;
 * and again until nothing moves. A stream is run, and its handler called, from h2.c's run only, never out of a callback of nghttp2:
 * callbacks note what came and wake the stream.
 *
 *   stream: head → request (waits ⇄ handler ⇄ body, answer) → sent → closed by nghttp2, or given up: RST_STREAM
 */
#include "conn/h2.h"

#include <stdlib.h>

#include "base/effort.h"
#include "request/filter.h"
#include "request/phases.h"
#include "request/response.h"

#define STEPS 64                        /* of one stream before the others have theirs */
#define DRAIN_MS 1000                   /* between the two GOAWAYs: requests that are on their way are still answered (RFC 9113, 6.8) */

/* ------------------------------------------------------------------------------------------------ streams */

void h2_wake(struct h2_stream *st)
{
	if (list_empty(&st->ready))
		list_append(&st->h->ready, &st->ready);
}

struct h2_stream *h2_stream_new(struct h2 *h, int32_t id)
{
	struct conn *c = h->c;
	struct arena *a = asker_arena(c->server);
	struct h2_stream *st = a ? arena_zalloc(a, sizeof *st) : NULL;

	if (!st) {
		asker_arena_back(c->server, a);
		return NULL;
	}
	st->arena = a;
	st->h = h;
	st->id = id;
	st->file = -1;
	st->stream.ops = &h2_stream_ops;
	st->began = st->heard_at = st->moved_at = loop_now(c->server->loop);
	asker_init(&st->asker, c);
	st->asker.settings = c->settings;
	list_init(&st->ready);
	list_append(&h->streams, &st->item);
	counter_add(&c->server->o.counters->h2_streams, 1);
	counter_move32(&c->server->o.counters->h2_streams_open, 1);
	h->open++;
	return st;
}

void h2_stream_free(struct h2_stream *st)
{
	struct h2 *h = st->h;
	struct conn *c = h->c;

	list_remove(&st->item);
	list_remove(&st->ready);
	h->buffered -= st->out_n - st->out_at;
	free(st->out);
	free(st->in.p);
	free(st->held.p);
	asker_arena_back(c->server, st->arena);
	counter_move32(&c->server->o.counters->h2_streams_open, -1);
	if (!--h->open)
		h->idle_since = loop_now(c->server->loop);
	if (!h->open && c->state == CONN_REQUEST)
		conn_state(c, CONN_HEAD);
}

/* The last of a stream: its handlers are told, its line is written, what nghttp2 has of it goes. */
static void finish(struct h2_stream *st)
{
	struct h2 *h = st->h;
	struct request *r = st->stream.request;
	enum handler_end how = st->sent ? HANDLER_DONE : HANDLER_ABORTED;

	if (!st->sent) {
		st->aborted = true;
		counter_add(&h->c->server->o.counters->h2_resets, 1);
	}
	if (r) {
		if (r->waits)
			r->status = 403;        /* for the log: nothing was granted */
		filter_over(&st->stream);
		phases_over(r, how);
		h2_log(st);
	}
	asker_forget(&st->asker, true);
	h2_close_file(st);
	if (st->in.n)
		nghttp2_session_consume_connection(h->session, st->in.n);
	nghttp2_session_set_stream_user_data(h->session, st->id, NULL);
	if (!st->closed && !h->over)
		nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, st->id, st->sent ? NGHTTP2_NO_ERROR : st->reason);
	st->stream.request = NULL;
	h2_stream_free(st);
}

void h2_abort_all(struct h2 *h)
{
	list_each(i, &h->streams)
		finish(list_entry(i, struct h2_stream, item));
}

static void note_stream(const struct h2_stream *st)
{
	struct activity *a = st->h->c->server->o.activity;
	const struct request *r = st->stream.request;

	if (a && r)
		activity_resume(a, (uint64_t)r->started_us / 1000, r->method.p, r->method.n, r->target.p, r->target.n, r->handler ? r->handler->name : NULL);
}

/* One step of a stream's request. False: it waits. */
static bool step(struct h2_stream *st)
{
	struct request *r = st->stream.request;

	if (!r) {
		if (!st->whole)
			return false;
		h2_begin_request(st);
		return true;
	}
	if (r->waits && (st->asker.asking || st->asker.working))
		return false;
	if (r->waits) {
		phases_resume(r);
		return true;
	}
	if (!st->ended && st->wants_room) {
		if (st->file >= 0 || !h2_room(st))
			/* While the client takes no more bytes, nothing else is done for it. */
			return st->tunnel && (chans_run(&st->asker) || h2_body(st));
		st->wants_room = false;
		if (st->stream.filter && !filter_writable(&st->stream))
			return true;
		r = st->stream.request;
		if (r->handler && r->handler->writable) {
			r->handler->writable(r);
			return true;
		}
	} else if (!st->ended && chans_run(&st->asker)) {
		return true;
	}
	return h2_body(st);
}

/* Goes on with a stream; it may be gone afterwards. */
static void run_stream(struct h2_stream *st)
{
	struct conn *c = st->h->c;

	note_stream(st);
	for (unsigned i = 0; i < STEPS; i++) {
		if (st->closed || st->aborted) {
			finish(st);
			return;
		}
		if (!step(st))
			return;
		if (c->gone)
			return;
		if (c->again)
			break;
	}
	h2_wake(st);
}

/* Each that is ready now, once. True: there was one. */
static bool run_ready(struct h2 *h)
{
	struct conn *c = h->c;
	bool any = false;

	for (unsigned n = h->open; n && !list_empty(&h->ready) && !c->gone && !c->again; n--) {
		struct h2_stream *st = list_entry(h->ready.next, struct h2_stream, ready);

		list_remove(&st->ready);
		run_stream(st);
		any = true;
		if (effort_tired()) {
			c->again = true;
			break;
		}
	}
	return any;
}

/* What handlers have written must not wait in a filter for what they write later. True: something came out. */
static bool flush_filters(struct h2 *h)
{
	size_t before = h->buffered;

	list_each(i, &h->streams) {
		struct h2_stream *st = list_entry(i, struct h2_stream, item);

		if (st->stream.request && st->stream.filter && !st->ended && !st->aborted)
			filter_idle(&st->stream);
	}
	return h->buffered != before;
}

/* ------------------------------------------------------------------------------------------------ the session */

void h2_goaway(struct h2 *h, uint32_t code)
{
	if (h->over)
		return;
	h->over = h->told = true;
	if (nghttp2_session_terminate_session(h->session, code) != 0)
		conn_break(h->c, "out of memory");
}

static void starved(struct h2 *h)
{
	log_warnx(&h->c->own.client.about, LOG_HTTP2, "BH0806", "connection %llu of HTTP/2 ends: memory ran out, or it wanted more than one connection may have",
		  (unsigned long long)h->c->own.client.id);
	conn_break(h->c, NULL);
}

static void failed(struct h2 *h, int error)
{
	struct conn *c = h->c;

	switch (error) {
	case NGHTTP2_ERR_FLOODED:
	case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
		h2_flooded(h, error);
		break;
	case NGHTTP2_ERR_NOMEM:
		starved(h);
		break;
	default:
		log_infox(&c->own.client.about, LOG_HTTP2, "BH0805", "connection %llu of HTTP/2 ends: %s", (unsigned long long)c->own.client.id,
			  nghttp2_strerror(error));
		h->told = true;
		h2_goaway(h, NGHTTP2_PROTOCOL_ERROR);
	}
}

/* The client ended its side: what it has asked for in full is still answered. */
static void ended(struct h2 *h)
{
	h->eof = true;
	list_each(i, &h->streams) {
		struct h2_stream *st = list_entry(i, struct h2_stream, item);

		if (!st->remote_done)
			h2_abort(st, NGHTTP2_CANCEL);
	}
}

/* Who sends no more opens no window any more: what waits for that would wait until Timeout. */
static void give_up_stalled(struct h2 *h)
{
	bool shut = nghttp2_session_get_remote_window_size(h->session) <= 0;

	list_each(i, &h->streams) {
		struct h2_stream *st = list_entry(i, struct h2_stream, item);

		if ((st->out_n > st->out_at || st->file >= 0) && (shut || nghttp2_session_get_stream_remote_window_size(h->session, st->id) <= 0))
			h2_abort(st, NGHTTP2_CANCEL);
	}
}

/* Gives nghttp2 what has come. False: nothing had. */
static bool receive(struct h2 *h)
{
	struct conn *c = h->c;
	struct conn_server *s = c->server;
	ssize_t n;

	if (h->eof || h->over || c->gone)
		return false;
	if (s->in_at == s->in_n && !h->paused) {
		n = input_more(c);
		if (n == 0)
			ended(h);
		if (n <= 0)
			return n == 0;
	}
	h->begun = 0;
	h->paused = false;
	n = nghttp2_session_mem_recv(h->session, (const uint8_t *)s->in + s->in_at, s->in_n - s->in_at);
	if (n < 0)
		failed(h, (int)n);
	s->in_at = n < 0 ? s->in_n : s->in_at + (size_t)n;
	return true;
}

/* ------------------------------------------------------------------------------------------------ draining */

/* RFC 9113, 6.8: first a GOAWAY that refuses nothing yet, then the one that tells what is still answered. */
static void drain(struct conn *c)
{
	struct h2 *h = c->h2;

	if (h->drain != H2_OPEN || h->over)
		return;
	h->drain = H2_NOTICED;
	h->drain_at = loop_now(c->server->loop) + DRAIN_MS;
	if (nghttp2_submit_shutdown_notice(h->session) != 0)
		conn_break(c, "out of memory");
}

/* A request that is on its way is not lost: GOAWAY tells the client that it may come again. */
static void dismiss(struct conn *c)
{
	if (!c->h2->over)
		h2_goaway(c->h2, NGHTTP2_NO_ERROR);
	c->lingers = false;
}

static void drain_on(struct h2 *h)
{
	if (h->drain != H2_NOTICED || loop_now(h->c->server->loop) < h->drain_at || h->over)
		return;
	h->drain = H2_FINAL;
	if (nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0) != 0)
		conn_break(h->c, "out of memory");
}

/* ------------------------------------------------------------------------------------------------ driving */

/* Requests that are not over at the end of a turn. */
static void show_streams(const struct h2 *h)
{
	list_each(i, &h->streams)
		asker_show(&list_entry(i, struct h2_stream, item)->asker);
}

static bool is_over(const struct h2 *h)
{
	if (h->over || (h->eof && !h->open))
		return true;
	return !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
}

static void run(struct conn *c)
{
	struct h2 *h = c->h2;
	bool moved = true;

	drain_on(h);
	while (moved && !c->gone && !c->again && !c->blocked) {
		moved = run_ready(h);
		if (!c->again && !c->gone)
			moved |= receive(h);
		if (!c->gone && h2_send(h) < 0)
			conn_break(c, "its session is broken");
		if (h->eof)
			give_up_stalled(h);
		moved |= !list_empty(&h->ready);
		if (!moved && !c->gone && !c->again && !c->blocked)
			moved = flush_filters(h);
		if (h->starved && !c->gone)
			starved(h);
	}
	if (!c->gone && h->open)
		show_streams(h);
	if (c->gone || (c->blocked && !h->over) || !is_over(h))
		return;
	h2_abort_all(h);
	c->server->in_at = c->server->in_n;
	conn_bye(c);
}

static bool reads(const struct conn *c)
{
	return !c->h2->eof;
}

static void note(const struct conn *c, struct activity *a)
{
	(void)c;
	activity_phase(a, "h2");
}

static void wake(struct asker *a)
{
	if (a != &a->c->own)
		h2_wake((struct h2_stream *)(void *)((char *)a - offsetof(struct h2_stream, asker)));
}

static void over(struct conn *c)
{
	struct h2 *h = c->h2;

	h->over = true;
	h2_abort_all(h);
	counter_move32(&c->server->o.counters->h2_open, -1);
	nghttp2_session_del(h->session);
	free(h);
	c->h2 = NULL;
	c->speech = NULL;
}

const struct speech h2_speech = {
	.run = run, .timeout = h2_timeout, .due = h2_due, .reads = reads, .note = note, .wake = wake, .drain = drain, .dismiss = dismiss, .held_up = h2_held_up, .end = over,
};

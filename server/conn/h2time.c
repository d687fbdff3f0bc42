/*
 * h2time.c - the time limits of HTTP/2: each stream has its own, and a connection without one waits for the next as in HTTP/1. Runs
 * in the children.
 */
#include "conn/h2.h"

#include <sys/epoll.h>

#include "request/response.h"

static int64_t patience(const struct h2_stream *st)
{
	return st->h->set->timeout == CONF_UNSET ? st->asker.settings->timeout : st->h->set->timeout;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Whether the client has to take bytes before the stream can go on. */
static bool wants_taking(const struct h2_stream *st)
{
	return st->out_n > st->out_at || st->file >= 0 || (st->ended && !st->sent);
}

static int64_t stream_due(const struct h2_stream *st)
{
	const struct conn_settings *set = st->asker.settings;

	if (st->asker.asking)
		return st->asker.lookup_until;
	if (st->asker.working)
		return st->asker.work_until;
	if (!st->whole)
		return asker_read_limit(&st->asker, st->began, st->heard_at, st->head.size, set->read_header, set->read_header_max, set->read_header_rate);
	if (!st->stream.request || !list_empty(&st->ready))
		return INT64_MAX;               /* it is about to run */
	if (wants_taking(st))
		return later(st->moved_at, st->heard_at) + patience(st);
	if (st->tunnel)
		return INT64_MAX;
	if (st->reading && !st->body_done)
		return asker_read_limit(&st->asker, st->body_began, st->heard_at, st->body_total, set->read_body, set->read_body_max, set->read_body_rate);
	if (chans_any(&st->asker))
		return INT64_MAX;
	return later(st->moved_at, st->heard_at) + patience(st);
}

/* Nobody has asked anything since: as long as for the head of a first request, or of the next. */
static int64_t idle_due(const struct h2 *h)
{
	const struct conn_settings *set = h->c->settings;

	if (!h->c->own.client.requests)
		return h->idle_since + (set->read_header ? set->read_header : set->timeout);
	return h->idle_since + (set->keepalive ? set->keepalive_timeout : 0);
}

int64_t h2_due(const struct conn *c)
{
	const struct h2 *h = c->h2;
	int64_t at = h->drain == H2_NOTICED ? h->drain_at : INT64_MAX;

	if (c->blocked || c->wire_left.n || c->again)
		return later(c->sent_at, c->got_at) + c->settings->timeout;
	if (!h->open && at > idle_due(h))
		at = idle_due(h);
	list_each(i, &h->streams) {
		int64_t due = stream_due(list_entry(i, struct h2_stream, item));

		if (due < at)
			at = due;
	}
	return at;
}

/* As speech->held_up, of one stream. */
static int64_t stream_held_up(const struct h2_stream *st)
{
	const struct asker *a = &st->asker;

	if (a->asking || a->working || !list_empty(&st->ready))
		return 0;
	if (!st->whole)
		return st->began;
	if (wants_taking(st))
		return later(st->moved_at, st->heard_at);
	if (st->tunnel || !st->reading || st->body_done)
		return 0;
	return asker_slow_since(a, st->body_began, st->heard_at, st->body_total);
}

int64_t h2_held_up(const struct conn *c)
{
	int64_t since = 0;

	list_each(i, &c->h2->streams) {
		int64_t held = stream_held_up(list_entry(i, struct h2_stream, item));

		if (!held)
			return 0;
		since = later(since, held);
	}
	return since;
}

/* ------------------------------------------------------------------------------------------------ what comes of it */

static void handler_timeout(struct h2_stream *st)
{
	struct request *r = st->stream.request;

	log_warnx(&st->asker.client.about, LOG_HTTP, "BH0524", "the handler of %s gave nothing within Timeout (%lld s): %s", r->path ? r->path : "a request",
		  (long long)(patience(st) / 1000), st->started ? "the stream ends" : "answered with 504");
	st->moved_at = loop_now(st->h->c->server->loop);        /* what takes its place has its own time: nothing is due again at once */
	if (st->started)
		h2_abort(st, NGHTTP2_INTERNAL_ERROR);
	else
		response_error(r, 504);
}

static void late(struct h2_stream *st)
{
	struct asker *a = &st->asker;

	if (a->asking) {
		lookup_over(a);
	} else if (a->working) {
		work_over(a);
	} else if (!st->whole) {
		log_infox(&a->client.about, LOG_HTTP2, "BH0803", "the head of a request of HTTP/2 did not come within the time of RequestReadTimeout or Timeout: the "
			  "connection ends");
		st->h->told = true;
		h2_goaway(st->h, NGHTTP2_PROTOCOL_ERROR);       /* nothing else can come before the rest of it */
	} else if (wants_taking(st)) {
		if (!st->h->told_slow)
			log_infox(&a->client.about, LOG_HTTP2, "BH0804", "the client took nothing of a stream within Timeout or H2StreamTimeout (%lld s): it is "
				  "reset, as all of this connection will be that stand still as long", (long long)(patience(st) / 1000));
		st->h->told_slow = true;
		h2_abort(st, NGHTTP2_CANCEL);
	} else if (st->reading && !st->body_done) {
		h2_refuse_body(st, 408, "its body did not come within the time of RequestReadTimeout or Timeout");
	} else {
		handler_timeout(st);
	}
	h2_wake(st);
}

void h2_timeout(struct conn *c)
{
	struct h2 *h = c->h2;
	int64_t now = loop_now(c->server->loop);

	if (c->watch.events & EPOLLOUT) {       /* room is what was waited for */
		log_infox(&c->own.client.about, LOG_HTTP, "BH0523", "the client took or gave no byte within Timeout (%lld s): the connection ends",
			  (long long)(c->settings->timeout / 1000));
		output_forget(c);
		conn_break(c, NULL);
		return;
	}
	list_each(i, &h->streams) {
		struct h2_stream *st = list_entry(i, struct h2_stream, item);

		if (stream_due(st) <= now)
			late(st);
	}
	if (!h->open && idle_due(h) <= now && !h->over)
		h2_goaway(h, NGHTTP2_NO_ERROR);
	h2_speech.run(c);
}

/*
 * h1time.c - the time limits of HTTP/1: when what a connection waits for is due, and what comes of it when it is late. Runs in the
 * children.
 */
#include "conn/h1.h"

#include <sys/epoll.h>

#include "request/response.h"

/* ms: when the client last gave or took bytes, or the state was entered. A long upload sends nothing back, and is no silence. */
static int64_t last_heard(const struct conn *c)
{
	return c->got_at > c->sent_at ? c->got_at : c->sent_at;
}

static int64_t read_limit(const struct conn *c, int64_t began, uint64_t bytes, int64_t low, int64_t high, int64_t rate)
{
	return asker_read_limit(&c->own, began, last_heard(c), bytes, low, high, rate);
}

int64_t h1_due(const struct conn *c)
{
	const struct conn_settings *set = c->settings;
	const struct h1 *h = c->h1;

	if (c->own.asking)
		return c->own.lookup_until;
	if (c->own.working)
		return c->own.work_until;
	if (c->late.asks)
		return c->late.until;
	if (c->blocked || c->wire_left.n)
		return c->sent_at + set->timeout;
	if (c->again)
		return last_heard(c) + set->timeout;
	if (h->tunnel && !h->ended)        /* the handler knows how long it may be silent */
		return INT64_MAX;
	if (c->state == CONN_HEAD && !c->head_began)
		return c->sent_at + set->keepalive_timeout;
	if (c->state == CONN_HEAD)
		return read_limit(c, c->head_began, c->server->in_n - c->server->in_at, set->read_header, set->read_header_max, set->read_header_rate);
	if (h1_speech.reads(c))
		return read_limit(c, h->body_began, h->body.total, set->read_body, set->read_body_max, set->read_body_rate);
	if (chans_any(&c->own))           /* the handler knows whom it waits for */
		return INT64_MAX;
	return last_heard(c) + set->timeout;
}

int64_t h1_held_up(const struct conn *c)
{
	const struct h1 *h = c->h1;

	if (!h->stream.request || c->own.asking || c->own.working || c->late.asks || c->again || h->tunnel)
		return 0;
	return h1_speech.reads(c) ? asker_slow_since(&c->own, h->body_began, last_heard(c), h->body.total) : 0;
}

static void handler_timeout(struct h1 *h)
{
	struct request *r = h->stream.request;

	log_warnx(&h->c->own.client.about, LOG_HTTP, "BH0524", "the handler of %s gave nothing within Timeout (%lld s): %s", r->path ? r->path : "a request",
		  (long long)(h->c->settings->timeout / 1000), h->started ? "the connection ends" : "answered with 504");
	r->keepalive = false;
	h->c->sent_at = loop_now(h->c->server->loop);   /* what takes its place has its own time: nothing is due again at once */
	if (h->started)
		h->aborted = true;
	else
		response_error(r, 504);
}

static void client_timeout(struct conn *c)
{
	log_infox(&c->own.client.about, LOG_HTTP, "BH0523", "the client took or gave no byte within Timeout (%lld s): the connection ends",
		  (long long)(c->settings->timeout / 1000));
	if (c->h1->stream.request)
		c->h1->aborted = true;
	else
		conn_break(c, NULL);
}

void h1_timeout(struct conn *c)
{
	struct h1 *h = c->h1;

	if (c->own.asking) {
		lookup_over(&c->own);
	} else if (c->late.asks) {
		certificate_timeout(c);
	} else if (c->own.working) {
		work_over(&c->own);
	} else if (c->watch.events & EPOLLOUT) {        /* room is what was waited for */
		output_forget(c);
		client_timeout(c);
	} else if (c->state == CONN_HEAD) {
		h1_late_head(h);
	} else if (!h1_speech.reads(c)) {
		handler_timeout(h);
	} else if (h->ended) {
		h->body_done = h->closes = c->lingers = true;   /* answered, but the body that nobody wanted never came */
	} else if (!h->started) {
		h1_refuse_body(h, 408, "its body did not come within the time of RequestReadTimeout or Timeout");
	} else {
		client_timeout(c);
	}
	h1_speech.run(c);
}

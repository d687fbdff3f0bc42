/*
 * chan.c - descriptors of programs and backends beside a connection's own: request/chan.h in the child's loop. A descriptor
 * that became ready is taken out of epoll until its handler has used that up, so that one whose client takes no bytes costs
 * nothing; what it brings is handled in a turn of its connection (chans_run).
 */
#include "conn/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "upstream/link.h"

struct conn_chan {
	struct chan chan;               /* first: what its owner knows */
	struct watch own, *watch;       /* the link's, where there is one: a kept connection stays in epoll from request to request */
	struct deadline deadline;
	struct list item;               /* asker->chans */
	struct asker *a;
	struct conn *c;
	unsigned wanted, has;           /* CHAN_* */
	unsigned muted;                 /* told twice without being used up: not waited for until it is */
	struct link *link;              /* a server behind; NULL: a pipe */
};

static struct conn_chan *chan_of(struct chan *c)
{
	return (struct conn_chan *)(void *)c;
}

/* Waits for what is wanted. A failure of epoll shows as if it were there: read or write then tell. */
static void arm(struct conn_chan *h)
{
	unsigned waited = h->wanted & ~h->muted;
	uint32_t events = (waited & CHAN_READ ? EPOLLIN : 0) | (waited & CHAN_WRITE ? EPOLLOUT : 0);

	if (loop_watch(h->c->server->loop, h->watch, events) < 0)
		h->has |= waited;
}

static void is_ready(struct conn_chan *h, uint32_t events)
{
	unsigned news = (events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CHAN_READ : 0) | (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? CHAN_WRITE : 0);

	h->muted |= h->has & news;
	h->has |= news;
	if (h->muted)
		arm(h);
	asker_turn(h->a);
}

static void ready(struct watch *w, uint32_t events)
{
	is_ready((struct conn_chan *)(void *)((char *)w - offsetof(struct conn_chan, own)), events);
}

static void link_ready(struct watch *w, uint32_t events)
{
	is_ready(((struct link *)(void *)((char *)w - offsetof(struct link, watch)))->user, events);
}

static void late(struct deadline *d)
{
	struct conn_chan *h = (struct conn_chan *)(void *)((char *)d - offsetof(struct conn_chan, deadline));

	h->has |= CHAN_LATE;
	asker_turn(h->a);
}

static void want(struct chan *c, unsigned events)
{
	struct conn_chan *h = chan_of(c);

	h->wanted = events & (CHAN_READ | CHAN_WRITE);
	arm(h);
}

static void used_up(struct conn_chan *h, unsigned what)
{
	h->has &= ~what;
	h->muted &= ~what;
	arm(h);
}

/* What is read counts to the connection's share of a turn, whether or not it is sent on. */
static ssize_t chan_in(struct chan *c, void *p, size_t n)
{
	struct conn_chan *h = chan_of(c);
	struct conn_server *s = h->c->server;
	ssize_t got;

	if (s->turn_in >= TURN_BYTES) {
		h->c->again = true;
		return CHAN_AGAIN;
	}
	do
		got = h->link ? link_read(h->link, p, n) : read(h->own.fd, p, n);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return CHAN_BROKEN;
	if (got < 0 || (got > 0 && (size_t)got < n && !(h->link && h->link->tls)))      /* TLS gives a record at a time */
		used_up(h, CHAN_READ);
	if (got < 0)
		return CHAN_AGAIN;
	s->turn_in += (size_t)got;
	return got;
}

static ssize_t chan_out(struct chan *c, const void *p, size_t n)
{
	struct conn_chan *h = chan_of(c);
	ssize_t done;

	do
		done = h->link ? link_write(h->link, p, n) : write(h->own.fd, p, n);
	while (done < 0 && errno == EINTR);
	if (done < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return CHAN_BROKEN;
	if (done < 0 || ((size_t)done < n && !(h->link && h->link->tls)))
		used_up(h, CHAN_WRITE);
	return done < 0 ? CHAN_AGAIN : done;
}

static void hang_up(struct chan *c)
{
	if (chan_of(c)->link)                   /* a pipe is closed instead */
		link_hang_up(chan_of(c)->link);
}

static void set_deadline(struct chan *c, int64_t ms)
{
	struct conn_chan *h = chan_of(c);

	h->has &= ~(unsigned)CHAN_LATE;
	if (ms == CHAN_TIMEOUT)
		ms = h->a->settings->timeout;
	if (deadline_set(h->c->server->loop, &h->deadline, ms < 0 ? INT64_MAX : loop_now(h->c->server->loop) + ms) < 0)
		conn_break(h->c, "out of memory");
}

static void shut(struct chan *c)
{
	struct conn_chan *h = chan_of(c);

	loop_remove(h->c->server->loop, h->watch);
	deadline_clear(h->c->server->loop, &h->deadline);
	if (h->link)
		backend_closed(h->link);
	else if (h->own.fd >= 0)
		close(h->own.fd);
	list_remove(&h->item);
	free(h);
}

static const struct chan_ops ops = { .want = want, .read = chan_in, .write = chan_out, .hang_up = hang_up, .deadline = set_deadline, .close = shut };

static struct conn_chan *make(struct stream *s)
{
	struct conn_chan *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->chan.ops = &ops;
	h->own = (struct watch){ .fd = -1, .ready = ready };
	h->watch = &h->own;
	h->deadline = (struct deadline){ .due = late, .at = INT64_MAX };
	h->a = asker_of(s->request->client);
	h->c = h->a->c;
	list_append(&h->a->chans, &h->item);
	return h;
}

struct chan *chan_open(struct stream *s, int fd)
{
	struct conn_chan *h;

	if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return NULL;
	if (!(h = make(s)))
		return NULL;
	h->own.fd = fd;
	return &h->chan;
}

struct chan *chan_open_link(struct stream *s, struct link *l)
{
	struct conn_chan *h = make(s);

	if (!h)
		return NULL;
	h->link = l;
	h->watch = &l->watch;
	l->watch.ready = link_ready;
	l->user = h;
	return &h->chan;
}

struct link *chan_take_link(struct chan *c)
{
	struct conn_chan *h = chan_of(c);
	struct link *l = h->link;

	deadline_clear(h->c->server->loop, &h->deadline);
	list_remove(&h->item);
	free(h);
	return l;
}

void chan_used(struct chan *c, unsigned what)
{
	used_up(chan_of(c), what);
}

bool chans_run(struct asker *a)
{
	list_each(i, &a->chans) {
		struct conn_chan *h = list_entry(i, struct conn_chan, item);
		unsigned events = h->has & (h->wanted | CHAN_LATE);

		if (!events)
			continue;
		/* To the end: one that always has something must not hold the others up. */
		list_remove(&h->item);
		list_append(&a->chans, &h->item);
		h->has &= ~(unsigned)CHAN_LATE;
		if (h->chan.event)
			h->chan.event(&h->chan, events);
		return true;
	}
	return spawn_events(a);
}

bool chans_any(const struct asker *a)
{
	return !list_empty(&a->chans);
}

void chans_close(struct asker *a)
{
	list_each(i, &a->chans)
		shut(&list_entry(i, struct conn_chan, item)->chan);
	spawn_forget(a);
}

/*
 * pool.c - idle connections to servers behind, by worker, and who waits where max= of them are in use. Runs in the children, each for
 * itself; all lists are bounded.
 *
 * An idle connection is watched: a server that closes it, or says anything unasked, has it closed at once, and it is looked at once more when it
 * is taken, so that what is taken has been quiet until then.
 *
 * Who waits gets the place of a connection that ends, in order of coming: the place is counted as in use from then on, so that nobody
 * who comes later has it first.
 */
#include "upstream/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define IDLE_MOST 64                    /* of one worker, where max= does not say */
#define IDLE_MS 60000                   /* where ttl= does not say */

struct idle { const struct proxy_worker *worker; struct list links, waiters; unsigned n, used, waiting; bool begun; };

static struct {
	struct loop *loop;
	struct idle *workers;           /* by worker's id */
} pool;

void pool_init(struct loop *l)
{
	pool.loop = l;
}

static struct idle *idle_of(const struct proxy_worker *w)
{
	struct idle *i;

	if (!w->cell || !pool.loop)
		return NULL;
	if (!pool.workers && !(pool.workers = calloc(PROXY_WORKERS, sizeof *pool.workers)))
		return NULL;
	i = &pool.workers[w->id];
	if (!i->begun) {
		list_init(&i->links);
		list_init(&i->waiters);
	}
	i->begun = true;
	i->worker = w;
	return i;
}

/* ------------------------------------------------------------------------------------------------ connections */

void pool_close(struct link *l)
{
	if (pool.loop)
		loop_remove(pool.loop, &l->watch);
	link_close(l);
}

static void drop(struct link *l)
{
	struct idle *i = idle_of(l->worker);

	deadline_clear(pool.loop, &l->deadline);
	if (i)
		i->n--;
	pool_close(l);
}

static void spoke(struct watch *w, uint32_t events)
{
	(void)events;
	drop((struct link *)(void *)((char *)w - offsetof(struct link, watch)));
}

static void expired(struct deadline *d)
{
	drop((struct link *)(void *)((char *)d - offsetof(struct link, deadline)));
}

/* Still there, and silent. */
static bool lives(const struct link *l)
{
	char byte;

	return recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

struct link *pool_take(const struct proxy_worker *w, unsigned tls_id)
{
	struct idle *i = idle_of(w);

	if (!i)
		return NULL;
	for (struct list *at = i->links.prev, *before; at != &i->links; at = before) {
		struct link *l = list_entry(at, struct link, item);

		before = at->prev;
		if (l->tls_id != tls_id)
			continue;
		if (!lives(l)) {
			drop(l);
			continue;
		}
		deadline_clear(pool.loop, &l->deadline);
		list_remove(&l->item);
		i->n--;
		return l;
	}
	return NULL;
}

void pool_put(struct link *l)
{
	const struct proxy_worker *w = l->worker;
	struct idle *i = idle_of(w);
	int64_t now = pool.loop ? loop_now(pool.loop) : 0, ms = w->ttl > 0 ? w->ttl : IDLE_MS;

	if (!i || i->n >= (w->max > 0 ? (unsigned)w->max : IDLE_MOST)) {
		pool_close(l);
		return;
	}
	l->watch.ready = spoke;
	l->deadline = (struct deadline){ .due = expired, .at = INT64_MAX };
	list_append(&i->links, &l->item);
	i->n++;
	if (loop_watch(pool.loop, &l->watch, EPOLLIN) < 0 || deadline_set(pool.loop, &l->deadline, now + ms) < 0)
		drop(l);
}

/* ------------------------------------------------------------------------------------------------ max= */

static bool is_full(const struct proxy_worker *w, const struct idle *i)
{
	return w->max > 0 && i->used >= (uint64_t)w->max;
}

bool pool_full(const struct proxy_worker *w)
{
	const struct idle *i = idle_of(w);

	return i && (is_full(w, i) || i->waiting);
}

bool pool_wait(const struct proxy_worker *w, struct pool_waiter *p)
{
	struct idle *i = idle_of(w);

	if (!i || i->waiting >= POOL_WAITERS)
		return false;
	p->waits = true;
	list_append(&i->waiters, &p->item);
	i->waiting++;
	return true;
}

void pool_leave(const struct proxy_worker *w, struct pool_waiter *p)
{
	struct idle *i = idle_of(w);

	if (p->waits && i) {
		list_remove(&p->item);
		i->waiting--;
	}
	p->waits = false;
}

void pool_count(const struct proxy_worker *w, int more)
{
	struct idle *i = idle_of(w);

	if (!i)
		return;
	i->used += (unsigned)more;
	if (more < 0 && i->waiting && !is_full(w, i)) {
		struct pool_waiter *first = list_entry(i->waiters.next, struct pool_waiter, item);

		pool_leave(w, first);
		i->used++;
		first->granted(first);
	}
}

const struct proxy_worker *pool_busiest(unsigned *used)
{
	const struct idle *most = NULL;

	for (unsigned k = 0; pool.workers && k < PROXY_WORKERS; k++) {
		const struct idle *i = &pool.workers[k];

		if (i->used + i->waiting > (most ? most->used + most->waiting : 0))
			most = i;
	}
	*used = most ? most->used + most->waiting : 0;
	return most ? most->worker : NULL;
}

void pool_free(void)
{
	for (unsigned k = 0; pool.workers && k < PROXY_WORKERS; k++) {
		struct idle *i = &pool.workers[k];

		while (i->begun && !list_empty(&i->links))
			drop(list_entry(i->links.next, struct link, item));
	}
	free(pool.workers);
	memset(&pool, 0, sizeof pool);
	addresses_fini();
	secure_forget();
}

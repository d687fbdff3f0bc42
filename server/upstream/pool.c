/*
 * pool.c - idle connections to servers behind, by worker, and the addresses of their names, which the resolver was asked for
 * (handler/proxy.c). Runs in the children, each for itself; all lists are bounded.
 *
 * An idle connection is watched: a server that closes it, or says anything unasked, has it closed at once, so that what is
 * taken has been quiet until then.
 */
#include "upstream/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define IDLE_MOST 64                    /* of one worker, where max= does not say */
#define IDLE_MS 60000                   /* where ttl= does not say */
#define NAME_MS 60000                   /* how long addresses hold */
#define NO_NAME_MS 5000                 /* and that there are none */
#define NAMES 256

struct idle { struct list links; unsigned n, used; bool begun; };
struct name { char host[256]; int64_t until; unsigned n; struct addr at[POOL_ADDRESSES]; };

static struct {
	struct loop *loop;
	struct idle *workers;           /* by worker's id */
	struct name *names;
	unsigned nnames, next_name;
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
	if (!i->begun)
		list_init(&i->links);
	i->begun = true;
	return i;
}

/* ------------------------------------------------------------------------------------------------ connections */

static void drop(struct link *l)
{
	struct idle *i = idle_of(l->worker);

	loop_remove(pool.loop, &l->watch);
	deadline_clear(pool.loop, &l->deadline);
	if (i)
		i->n--;
	link_close(l);
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
		loop_remove(pool.loop, &l->watch);
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

	if (!i || i->n >= (w->max > 0 ? (unsigned)w->max : IDLE_MOST) || !lives(l)) {
		link_close(l);
		return;
	}
	l->watch = (struct watch){ .fd = l->fd, .ready = spoke };
	l->deadline = (struct deadline){ .due = expired, .at = INT64_MAX };
	list_append(&i->links, &l->item);
	i->n++;
	if (loop_watch(pool.loop, &l->watch, EPOLLIN | EPOLLRDHUP) < 0 || deadline_set(pool.loop, &l->deadline, now + ms) < 0)
		drop(l);
}

unsigned pool_in_use(const struct proxy_worker *w)
{
	const struct idle *i = idle_of(w);

	return i ? i->used : 0;
}

void pool_count(const struct proxy_worker *w, int more)
{
	struct idle *i = idle_of(w);

	if (i)
		i->used += (unsigned)more;
}

void pool_free(void)
{
	for (unsigned k = 0; pool.workers && k < PROXY_WORKERS; k++) {
		struct idle *i = &pool.workers[k];

		while (i->begun && !list_empty(&i->links))
			drop(list_entry(i->links.next, struct link, item));
	}
	free(pool.workers);
	free(pool.names);
	memset(&pool, 0, sizeof pool);
	secure_forget();
}

/* ------------------------------------------------------------------------------------------------ names */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct name *name_find(const char *host)
{
	for (unsigned i = 0; i < pool.nnames; i++)
		if (strcmp(pool.names[i].host, host) == 0)
			return &pool.names[i];
	return NULL;
}

static bool needs_name(const struct proxy_worker *w)
{
	return !w->socket && !w->addr.len;
}

const char *upstream_question(const struct proxy_worker *w)
{
	const struct name *n = needs_name(w) ? name_find(w->host) : NULL;

	if (!needs_name(w) || strlen(w->host) >= sizeof n->host)
		return NULL;
	return n && n->until > now_ms() ? NULL : w->host;
}

/* The one that was asked for longest goes where there are too many. */
static struct name *name_new(const char *host)
{
	struct name *n;

	if (!pool.names && !(pool.names = calloc(NAMES, sizeof *pool.names)))
		return NULL;
	n = &pool.names[pool.nnames < NAMES ? pool.nnames++ : pool.next_name++ % NAMES];
	memset(n, 0, sizeof *n);
	memcpy(n->host, host, strlen(host) + 1);
	return n;
}

void upstream_answer(const struct proxy_worker *w, struct text addresses)
{
	struct name *n;

	if (strlen(w->host) >= sizeof n->host || !((n = name_find(w->host)) || (n = name_new(w->host))))
		return;
	if (!addresses.n && n->n) {             /* the old ones are better than none */
		n->until = now_ms() + NO_NAME_MS;
		return;
	}
	n->n = 0;
	for (const char *p = addresses.p; p && p < addresses.p + addresses.n && n->n < POOL_ADDRESSES; p += strlen(p) + 1)
		if (addr_parse(&n->at[n->n], p, 0) == 0)
			n->n++;
	n->until = now_ms() + (n->n ? NAME_MS : NO_NAME_MS);
}

bool pool_address(const struct proxy_worker *w, unsigned at, struct addr *a)
{
	const struct name *n;

	if (!needs_name(w)) {
		*a = w->addr;
		return at == 0;
	}
	n = name_find(w->host);
	if (!n || at >= n->n)
		return false;
	*a = n->at[at];
	addr_set_port(a, w->port);
	return true;
}

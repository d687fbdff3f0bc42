/*
 * work.c - slow work (hashes of passwords) done by threads, so that a child's other connections do not wait for it. Runs in
 * the children, and under -X.
 *
 * The threads are made before the sandbox closes, which then counts for them too (process/sandbox.c), and only where the
 * configuration may ask for passwords. They block every signal but those of a fault, so that a fault there is reported like
 * any other. They touch an item's work and the pool under its lock, never a connection: who waits for an item is
 * known to the loop alone. A child that ends waits for the one hash that each of them is at.
 */
#include "conn/internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "request/host.h"

#define THREADS 2
#define STACK (512 * 1024)

/* A work on its way: in the queue, in a thread's hands, or in the row of those that are done. */
struct work_item {
	struct client_work *work;
	struct asker *asker;            /* whose request waits for it; NULL = nobody's. The loop's own */
	struct work_item *next;
};

struct work_pool {
	struct watch watch;             /* an eventfd: something is done */
	struct conn_server *server;
	pthread_mutex_t lock;           /* over all below */
	pthread_cond_t more;
	struct work_item *first, *last; /* the queue */
	unsigned waiting;               /* its length */
	unsigned idle;                  /* threads that wait for something to do */
	struct work_item *done;         /* the last first */
	bool ends;
	pthread_t threads[THREADS];
	unsigned n;
};

/* ------------------------------------------------------------------------------------------------ in a thread */

static struct work_item *next_item(struct work_pool *p)
{
	struct work_item *i;

	p->idle++;
	while (!p->first && !p->ends)
		pthread_cond_wait(&p->more, &p->lock);
	p->idle--;
	if (p->ends)
		return NULL;
	i = p->first;
	p->first = i->next;
	p->waiting--;
	return i;
}

static void *thread_main(void *arg)
{
	struct work_pool *p = arg;
	struct work_item *i;

	pthread_mutex_lock(&p->lock);
	while ((i = next_item(p))) {
		pthread_mutex_unlock(&p->lock);
		i->work->run(i->work);
		pthread_mutex_lock(&p->lock);
		i->next = p->done;
		p->done = i;
		if (eventfd_write(p->watch.fd, 1) < 0)
			errno = 0;      /* it is full, and so rings already */
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ in the loop */

static void item_free(struct work_item *i)
{
	i->work->free(i->work);
	free(i);
}

static void take_done(struct watch *w, uint32_t events)
{
	struct work_pool *p = (struct work_pool *)(void *)((char *)w - offsetof(struct work_pool, watch));
	struct work_item *i, *next;
	eventfd_t rings;

	(void)events;
	if (eventfd_read(w->fd, &rings) < 0)
		return;
	pthread_mutex_lock(&p->lock);
	i = p->done;
	p->done = NULL;
	pthread_mutex_unlock(&p->lock);
	for (; i; i = next) {
		struct asker *a = i->asker;

		next = i->next;
		if (!a) {
			item_free(i);
			continue;
		}
		i->work->next = a->worked;
		a->worked = i->work;
		a->working = NULL;
		free(i);
		asker_turn(a);          /* a may be gone, and others that wait with it only lose their a (work_forget) */
	}
}

int work_ask(struct client *client, struct client_work *w, unsigned most)
{
	struct asker *a = asker_of(client);
	struct conn_server *s = a->c->server;
	struct work_pool *p = s->works;
	struct work_item *i;
	bool full;

	errno = !p ? ENOSYS : a->work_late ? ETIMEDOUT : EBUSY;
	if (!p || a->work_late || a->working)
		return -1;
	i = calloc(1, sizeof *i);
	if (!i) {
		errno = EAGAIN;
		return -1;
	}
	i->work = w;
	i->asker = a;
	pthread_mutex_lock(&p->lock);
	full = p->waiting >= most + p->idle;    /* a thread that is about to wake takes one */
	if (!full) {
		if (p->first)
			p->last->next = i;
		else
			p->first = i;
		p->last = i;
		p->waiting++;
		pthread_cond_signal(&p->more);
	}
	pthread_mutex_unlock(&p->lock);
	if (full) {
		free(i);
		errno = EAGAIN;
		return -1;
	}
	a->working = i;
	if (!a->work_until)
		a->work_until = loop_now(s->loop) + a->settings->timeout;
	return 0;
}

struct client_work *work_done(struct client *client)
{
	return asker_of(client)->worked;
}

void work_over(struct asker *a)
{
	if (a->working)
		a->working->asker = NULL;
	a->working = NULL;
	a->work_late = true;
}

void work_forget(struct asker *a)
{
	struct client_work *next;

	work_over(a);
	a->work_late = false;
	a->work_until = 0;
	for (struct client_work *w = a->worked; w; w = next) {
		next = w->next;
		w->free(w);
	}
	a->worked = NULL;
}

/* ------------------------------------------------------------------------------------------------ begin and end */

static int start_threads(struct work_pool *p)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };
	sigset_t blocked, before;
	pthread_attr_t attr;
	int rc = 0;

	sigfillset(&blocked);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		sigdelset(&blocked, faults[i]);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);        /* a thread is born with the mask of its maker */
	while (p->n < THREADS && (rc = pthread_create(&p->threads[p->n], &attr, thread_main, p)) == 0)
		p->n++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	errno = rc;
	return rc ? -1 : 0;
}

int work_init(struct conn_server *s, struct err *e)
{
	struct work_pool *p;

	if (s->o.limit <= 1 || !s->o.site || !s->o.site->asks_passwords)
		return 0;
	p = s->works = calloc(1, sizeof *p);
	if (!p)
		return err_set(e, "out of memory for the serving loop");
	p->server = s;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->watch = (struct watch){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = take_done };
	if (p->watch.fd < 0 || loop_watch(s->loop, &p->watch, EPOLLIN) < 0)
		return err_sys(e, "no descriptor for the threads that look at passwords");
	if (start_threads(p) < 0)
		return err_sys(e, "no threads for looking at passwords");
	return 0;
}

void work_fini(struct conn_server *s)
{
	struct work_pool *p = s->works;
	struct work_item *i, *next;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->ends = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned t = 0; t < p->n; t++)
		pthread_join(p->threads[t], NULL);
	for (i = p->first; i; i = next) {
		next = i->next;
		item_free(i);
	}
	for (i = p->done; i; i = next) {
		next = i->next;
		item_free(i);
	}
	if (p->watch.fd >= 0) {
		loop_remove(s->loop, &p->watch);
		close(p->watch.fd);
	}
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
	s->works = NULL;
}

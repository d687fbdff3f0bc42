/*
 * accept.c - the listeners in a child. They are shared by all children and waited for with EPOLLEXCLUSIVE, which wakes
 * the first sleeper in the order of EPOLL_CTL_ADD, always the same one: so each child takes itself to the end of that
 * order every 16 accepts.
 *
 * A wake-up may be lost: with a child that dies before its accept, or that becomes full in the turn in which two listeners
 * woke it. Whoever adds a listener then hears of who waits there, since adding looks at the queue. So the master, or that
 * child, rings (conn_options.look), and all children add their listeners anew; one that works does so every second besides. Nothing ticks.
 */
#include "conn/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log/log.h"
#include "request/openfiles.h"

#define REQUEUE_ACCEPTS 16
#define REQUEUE_MS 1000                 /* of a child that works */
#define EMFILE_PAUSE_MS 100
#define EMFILE_TELL_MS 60000            /* between two lines about it: descriptors come and go */
#define MANY 64                         /* from so many open connections on a further one may have no more than … */
#define UNSENT_MOST (256 * 1024)        /* … bytes in the kernel beyond what its client has room for */
#define FDS_FOR_FILES 16                /* kept free of sockets: without them open connections could not be answered */

static void ready(struct watch *w, uint32_t events);

static void add(struct listener *l)
{
	loop_watch(l->server->loop, &l->watch, EPOLLIN | EPOLLEXCLUSIVE);
	l->accepted = 0;
}

static void requeue(struct listener *l)
{
	loop_watch(l->server->loop, &l->watch, 0);
	add(l);
}

static void requeue_all(struct conn_server *s)
{
	if (!s->listening)
		return;
	for (unsigned i = 0; i < s->o.nlisteners; i++)
		requeue(&s->listeners[i]);
	s->requeued = loop_now(s->loop);
}

void accept_worked(struct conn_server *s)
{
	if (loop_now(s->loop) - s->requeued >= REQUEUE_MS)
		requeue_all(s);
}

/* Edges alone are heard, so that all hear each ring, and nobody has to read it. */
static void look_rings(struct watch *w, uint32_t events)
{
	(void)events;
	requeue_all((struct conn_server *)(void *)((char *)w - offsetof(struct conn_server, look)));
}

void accept_start(struct conn_server *s)
{
	if (s->listening || s->draining)
		return;
	for (unsigned i = 0; i < s->o.nlisteners; i++)
		add(&s->listeners[i]);
	s->listening = true;
	s->requeued = loop_now(s->loop);
}

static void pause_listeners(struct conn_server *s)
{
	static const uint64_t one = 1;
	bool lost = false;

	if (!s->listening)
		return;
	for (unsigned i = 0; i < s->o.nlisteners; i++)
		lost |= loop_remove(s->loop, &s->listeners[i].watch);
	s->listening = false;
	if (lost && s->o.look >= 0 && write(s->o.look, &one, sizeof one) < 0 && errno != EAGAIN)
		log_debugx(NULL, LOG_MPM, NULL, "other children could not be told that a client waits");
}

void accept_resume_if_room(struct conn_server *s)
{
	if (s->open <= s->o.limit - (s->o.limit + 7) / 8 && !s->resume.place)
		accept_start(s);
}

void accept_stop(struct conn_server *s)
{
	pause_listeners(s);
	deadline_clear(s->loop, &s->resume);
	for (unsigned i = 0; i < s->o.nlisteners; i++) {
		if (s->listeners[i].watch.fd >= 0)
			close(s->listeners[i].watch.fd);
		s->listeners[i].watch.fd = -1;
	}
}

/*
 * No descriptor is left. Others may have some: stand back for a moment. One client is told by the reserve, so that
 * nobody waits for ever where all children are in this state.
 */
static void out_of_descriptors(struct listener *l)
{
	struct conn_server *s = l->server;
	int err = errno;

	if (!s->told_emfile && loop_now(s->loop) >= s->emfile_told) {
		log_put(NULL, LOG_MPM, LOG_L_ERROR, "BH0500", err, "no descriptor is left for a new connection; open ones go on: "
			"raise the limit of open files (ulimit -n, LimitNOFILE=) or lower MaxRequestWorkers");
		s->emfile_told = loop_now(s->loop) + EMFILE_TELL_MS;
	}
	s->told_emfile = true;
	openfile_forget();
	if (s->reserve >= 0) {
		close(s->reserve);
		int fd = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	pause_listeners(s);
	deadline_set(s->loop, &s->resume, loop_now(s->loop) + EMFILE_PAUSE_MS);
}

static void resume_due(struct deadline *d)
{
	struct conn_server *s = (struct conn_server *)(void *)((char *)d - offsetof(struct conn_server, resume));

	accept_resume_if_room(s);
}

/*
 * The kernel would take megabytes for each client, and they are sealed before: a thousand who ask for large files and read none of them would
 * keep this child from all others. Where there are few, fewer and larger pieces are cheaper.
 */
static void bound_unsent(const struct conn_server *s, int fd)
{
	int most = UNSENT_MOST;

	if (s->open >= MANY)
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

static void ready(struct watch *w, uint32_t events)
{
	struct listener *l = (struct listener *)(void *)((char *)w - offsetof(struct listener, watch));
	struct conn_server *s = l->server;
	struct addr peer = { .len = sizeof peer.ss }, local = { .len = sizeof local.ss };

	(void)events;
	int fd = accept4(w->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= s->most_fds) {
		close(fd);
		fd = -1;
		errno = EMFILE;
	}
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			out_of_descriptors(l);
		return;                 /* another child was quicker, or the client has gone */
	}
	s->told_emfile = false;
	if (l->one_address || getsockname(fd, &local.sa, &local.len) < 0)
		local = l->addr;
	addr_unmap(&peer);
	addr_unmap(&local);
	s->accepted++;
	counter_add(&s->o.counters->accepted, 1);
	if (++l->accepted >= REQUEUE_ACCEPTS)
		requeue(l);
	bound_unsent(s, fd);
	conn_open(s, fd, &peer, &local);
	if (s->o.max_connections && s->accepted >= s->o.max_connections)
		conn_drain(s);
	else if (s->open >= s->o.limit) {
		pause_listeners(s);
		shed_full(s);
	}
}

/* What would be the same for each connection, asked and set once: accepted sockets inherit TCP_NODELAY. */
static void prepare(struct listener *l)
{
	struct addr bound = { .len = sizeof bound.ss };
	int one = 1, transparent = 0;
	socklen_t n = sizeof transparent;

	setsockopt(l->watch.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (getsockname(l->watch.fd, &bound.sa, &bound.len) < 0 || addr_is_any(&bound))
		return;
	/* A transparent one, of a service manager, accepts what was sent to other addresses, too. */
	if (bound.sa.sa_family == AF_INET6)
		getsockopt(l->watch.fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &transparent, &n);
	else
		getsockopt(l->watch.fd, IPPROTO_IP, IP_TRANSPARENT, &transparent, &n);
	if (transparent)
		return;
	l->addr = bound;
	l->one_address = true;
}

int accept_init(struct conn_server *s, struct err *e)
{
	struct rlimit files;

	s->listeners = calloc(s->o.nlisteners ? s->o.nlisteners : 1, sizeof *s->listeners);
	if (!s->listeners)
		return err_set(e, "out of memory");
	for (unsigned i = 0; i < s->o.nlisteners; i++)
		s->listeners[i] = (struct listener){
			.watch = { .fd = s->o.listeners[i].fd, .ready = ready, .first = true }, .server = s, .addr = s->o.listeners[i].addr };
	for (unsigned i = 0; i < s->o.nlisteners; i++)
		prepare(&s->listeners[i]);
	s->look = (struct watch){ .fd = s->o.look, .ready = look_rings };
	if (s->o.look >= 0)
		loop_watch(s->loop, &s->look, EPOLLIN | EPOLLET);
	s->resume = (struct deadline){ .due = resume_due, .at = INT64_MAX };
	shed_init(s);
	s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	/* A descriptor is the lowest free number, so that it tells how many are left. */
	s->most_fds = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < INT_MAX ? (int)files.rlim_cur - FDS_FOR_FILES : INT_MAX;
	return 0;
}

/*
 * link.c - sockets to servers behind. Runs in the children, whose sandbox allows socket() and connect() only where the configuration
 * names such servers.
 */
#include "upstream/link.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int socket_for(const struct proxy_worker *w, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, size = (int)w->receive_size;

	if (fd < 0)
		return -1;
	if (family != AF_UNIX) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (w->keepalive == 1)
			setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	}
	if (size > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return fd;
}

static int begin(const struct proxy_worker *w, int fd, const struct addr *to)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (!w->socket)
		return connect(fd, &to->sa, to->len);
	if (strlen(w->socket) >= sizeof un.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(un.sun_path, w->socket);
	return connect(fd, (struct sockaddr *)&un, sizeof un);
}

struct link *link_open(const struct proxy_worker *w, const struct addr *to, bool *pending)
{
	struct link *l = calloc(1, sizeof *l);
	int saved;

	if (!l)
		return NULL;
	list_init(&l->item);
	l->worker = w;
	l->fd = socket_for(w, w->socket ? AF_UNIX : to->sa.sa_family);
	l->watch.fd = l->fd;
	*pending = false;
	if (l->fd >= 0 && begin(w, l->fd, to) == 0)
		return l;
	if (l->fd >= 0 && errno == EINPROGRESS) {
		*pending = true;
		return l;
	}
	saved = errno;                          /* EAGAIN of a unix socket: its queue is full */
	link_close(l);
	errno = saved;
	return NULL;
}

int link_error(struct link *l)
{
	int error = 0;
	socklen_t n = sizeof error;

	return getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 ? errno : error;
}

ssize_t link_read(struct link *l, void *p, size_t n)
{
	return l->tls ? secure_read(l->tls, p, n) : recv(l->fd, p, n, 0);
}

ssize_t link_write(struct link *l, const void *p, size_t n)
{
	return l->tls ? secure_write(l->tls, p, n) : send(l->fd, p, n, MSG_NOSIGNAL);
}

void link_hang_up(struct link *l)
{
	if (l->tls)
		secure_hang_up(l->tls);
	shutdown(l->fd, SHUT_WR);
}

void link_close(struct link *l)
{
	if (!l)
		return;
	if (l->tls)
		secure_free(l->tls);
	if (l->fd >= 0)
		close(l->fd);
	list_remove(&l->item);
	free(l);
}

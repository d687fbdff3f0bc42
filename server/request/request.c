/*
 * request.c - the request object itself: made by conn/ (and by internal redirects), in a child.
 */
#include "request/request.h"

#include <unistd.h>

struct request *request_new(struct arena *a)
{
	struct request *r = arena_zalloc(a, sizeof *r);

	if (!r)
		return NULL;
	r->arena = a;
	r->fd = -1;
	r->status = 200;
	r->length = -1;
	r->modified = -1;
	r->hostname = "";
	fields_init(&r->in, a);
	fields_init(&r->env, a);
	fields_init(&r->out, a);
	fields_init(&r->always, a);
	return r;
}

struct text request_env(const struct request *r, const char *name)
{
	return fields_get(&r->env, name);
}

void request_close(struct request *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

int request_take(struct request *r)
{
	int fd = r->fd;

	r->fd = -1;
	return fd;
}

static void close_fd(void *arg)
{
	request_close(arg);
}

int request_keep(struct request *r)
{
	if (!r->fd_kept && arena_cleanup(r->arena, close_fd, r) != 0)
		return -1;
	r->fd_kept = true;
	return 0;
}

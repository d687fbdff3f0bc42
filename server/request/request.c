/*
 * request.c - the request object itself: made by conn/ (and by internal redirects), in a child.
 */
#include "request/request.h"

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

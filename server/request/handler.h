/*
 * handler.h - what makes a response's content. request/phases.c and conn/ call it; handler/ provides it. (It lies here
 * by the rule that an interface lies in the room that uses it.)
 *
 * start() is called at the end of the phases. It either answers at once, or returns and goes on in body()/writable().
 * A handler that fails before its head is sent calls response_error(r, status).
 */
#ifndef BULKHEAD_REQUEST_HANDLER_H
#define BULKHEAD_REQUEST_HANDLER_H

#include "base/text.h"

struct request;
enum handler_end { HANDLER_DONE, HANDLER_ABORTED };     /* the response left whole; the client went or a limit struck */

struct handler {
	const char *name;                                       /* as SetHandler and AddHandler name it */
	unsigned (*prepare)(struct request *r);                 /* before start: 0, a status, or PHASE_WAIT, then it is called again. May be NULL */
	void (*start)(struct request *r);
	void (*body)(struct request *r, struct text data);      /* after stream_read(true); an absent text is the end. May be NULL */
	void (*writable)(struct request *r);                    /* room again after a short stream_write, or a file sent. May be NULL */
	void (*ended)(struct request *r, enum handler_end how); /* last call; free what is not of the arena. May be NULL */
};

/* Before any child is forked. */
void handler_register(const struct handler *h);
const struct handler *handler_find(const char *name);

#endif

/*
 * tell.h - what a request meets in the configuration, told in lines: host, sections, rules, file, access, type, handler, fields, each
 * with the line of the configuration that decides. Nothing is served. "bulkhead explain" (cli/explain.c) and the handler "server-info"
 * share it: the first in a process of its own, the second in a child, between two turns of its loop.
 */
#ifndef BULKHEAD_HANDLER_TELL_H
#define BULKHEAD_HANDLER_TELL_H

#include "conf/conf.h"
#include "http/uri.h"
#include "request/phases.h"
#include "request/request.h"

#define TELL_LINES 4096                 /* directives of which it is said what they replace */
#define TELL_LOG 32768                  /* bytes of messages that one phase may log; more is cut */

/* The caller's part comes first; the rest is tell.c's own. Zero it. */
struct tell {
	/* Takes a line: a word for what it is about, and the text, which may hold what clients and configuration wrote: escape it. */
	void (*line)(void *ctx, unsigned depth, const char *title, const char *text);
	void *ctx;
	const struct conf_tree *tree;   /* each section's directives are told, too; NULL = its place is enough */

	struct stream stream;
	struct buf log;                 /* what the phases logged since the last line */
	unsigned status;                /* of the last phase of the last request that is not a look-up */
	bool head;                      /* a head was made */
	const char *file;               /* the name that was told last */
	const struct host *host;        /* whose directives were told last */
	struct tell_line *lines, *of_host;      /* directives told of the request at hand, the last first; those of its host */
	unsigned nlines;
};

struct tell_question {
	const struct site *site;
	struct client *client;          /* of nobody else: with its own struct client_ops, none of which may make the request wait */
	const char *method, *authority; /* the value of Host */
	struct text path, query;        /* as in a request line; the query may be absent */
	const char *const *fields;      /* "Name: value", ended by NULL; may be NULL */
};

/* An answer to the questions of who asks for nobody's connection: HTTPS and SSL_TLS_SNI alone. */
extern const struct client_ops tell_client_ops;

/* NULL, or why that is no request. Memory: an arena of its own, freed at the end. Not within itself. */
const char *tell_request(struct tell *t, const struct tell_question *q);

/* The arguments of a directive, with what looks like a password, a key or a token left out. Of the arena; NULL on ENOMEM. */
const char *tell_args(struct arena *a, const struct conf_node *n);

#endif

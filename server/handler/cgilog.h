/*
 * cgilog.h - what programs say on their standard error, in the error log; and ScriptLog: an entry for each program that could not be
 * run, or whose answer had no head that could be read.
 */
#ifndef BULKHEAD_HANDLER_CGILOG_H
#define BULKHEAD_HANDLER_CGILOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "conf/conf.h"
#include "request/chan.h"

struct request;

/* ScriptLog ScriptLogLength ScriptLogBuffer, as a host has them. */
struct cgilog_settings {
	const char *name;               /* NULL = none */
	struct conf_pos pos;
	int64_t length, buffer;         /* CONF_UNSET = not set */
	unsigned target;                /* log/target.h */
};
/* NULL: the request's host has no ScriptLog. */
const struct cgilog_settings *cgilog_settings(const struct request *r);

#define CGILOG_LINE 2048                /* of standard error in one line of the log */
#define CGILOG_ERRORS 4096              /* of it in an entry */
struct cgilog {
	struct request *r;
	char line[CGILOG_LINE];         /* of standard error, so far */
	size_t line_n;
	char *body, *errors;            /* of the arena, with a ScriptLog alone: what the program got, and said on standard error */
	size_t body_n, errors_n;
};

void cgilog_begin(struct cgilog *l, struct request *r);
/* Standard error, line by line. False: it has ended. */
bool cgilog_read(struct cgilog *l, struct chan *err);
/* All that is left of it; err may be NULL. */
void cgilog_rest(struct cgilog *l, struct chan *err);
/* A part of the request's body goes to the program. */
void cgilog_body(struct cgilog *l, struct text data);
/* Entries of ScriptLog: a program that is not run, and why; one whose head is none, `head` being all that it wrote so far. */
void cgilog_not_run(struct request *r, unsigned status, const char *why);
void cgilog_bad_head(struct cgilog *l, unsigned status, struct text head);

#endif

/*
 * errorformat.h - ErrorLogFormat: strings compiled once, in the master; rendered for each message by whoever logs it.
 */
#ifndef BULKHEAD_LOG_ERRORFORMAT_H
#define BULKHEAD_LOG_ERRORFORMAT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "log/log.h"

/* A message on its way to the log. */
struct log_event {
	const struct log_about *about;
	const char *subject;                    /* %m */
	enum log_level level;
	const char *id;                         /* "BH0123" or NULL */
	int errnum;                             /* 0 = none */
	const char *where;                      /* LOG_HERE */
	const char *message;                    /* NULL: a line about a connection or request, which has none, and no level */
	const char *host;                       /* %v */
};

struct log_errorformat;
/* What a host has of them; each may be NULL. Of the last two every one is a line of its own, once a connection or request. */
struct log_errorformats {
	const struct log_errorformat *message, *connection, *request;
};

/* NULL with *e naming the item at fault. */
struct log_errorformat *log_errorformat_new(struct arena *a, const char *text, struct err *e);
/* Whether it holds %M. */
bool log_errorformat_tells(const struct log_errorformat *f);
/* Puts f behind the last of a row of formats. */
void log_errorformat_append(const struct log_errorformat **row, struct log_errorformat *f);
const struct log_errorformat *log_errorformat_next(const struct log_errorformat *f);
/*
 * The line, without a newline, and whatever the values hold without any other: control bytes are escaped. False: there is
 * nothing to be logged (an item with '+' had no value).
 */
bool log_errorformat_render(const struct log_errorformat *f, const struct log_event *ev, struct buf *out);

/* The words of an errno; the id and the text of a message, control bytes shown. */
const char *log_errno_words(int errnum);
void log_put_message(struct buf *b, const struct log_event *ev);

#endif

/*
 * format.h - LogFormat strings of mod_log_config: compiled once, rendered for each request. Knows no request: what an
 * item stands for comes from a callback. Compiled in the master, rendered in the children.
 */
#ifndef BULKHEAD_LOG_FORMAT_H
#define BULKHEAD_LOG_FORMAT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

/*
 * %[!status,…][<|>][{arg}]x: the callback gets x, arg (NULL if none), and whether '<' (the original request) or '>'
 * (the final one) was written; without either the item's own default has been filled in. It writes the value RAW to b
 * (format.c escapes it) and returns true, or false for "-".
 */
#define LOG_FIRST_BYTE '1'              /* %^FB */
struct log_item {
	char code;                      /* 'h', 's' …; '^': a trailer field; LOG_FIRST_BYTE */
	bool final;                     /* '>' */
	const char *arg;
};
struct log_values {
	void *ctx;
	bool (*value)(void *ctx, const struct log_item *item, struct buf *b);
	unsigned status;                /* for the status conditions */
};
struct log_format;

/* NULL with *e naming the item at fault. */
struct log_format *log_format_new(struct arena *a, const char *text, struct err *e);
/* Renders one line with its newline. Values are escaped as Apache's; literal text is not. */
void log_format_render(const struct log_format *f, const struct log_values *v, struct buf *out);
/* Whether some item has this code: so that costly values are gathered only where they are logged. */
bool log_format_uses(const struct log_format *f, char code);

#endif

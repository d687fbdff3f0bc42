/*
 * err.h - an error that explains itself: where, what, and how to mend it.
 *
 * A fallible constructor takes a struct err * that the caller owns (may be NULL); the first error set wins,
 * so that the cause is kept while callers unwind. The error is logged once, by who can say what it means. Any
 * process; not for signal handlers.
 */
#ifndef BULKHEAD_BASE_ERR_H
#define BULKHEAD_BASE_ERR_H

#include <stdarg.h>
#include <stdio.h>

struct err {
	char file[256];     /* configuration file or other file concerned; "" = none */
	unsigned line;      /* 0 = none */
	char text[768];     /* what is wrong: a sentence without full stop; "" = no error */
	char remedy[512];   /* the directive or command that mends it; "" = none */
};

/* Sets the sentence, unless one is set already. Returns -1, so that `return err_set(e, …)` reads well. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As err_set, with ": " and the words of the current errno appended. */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Names the place, unless one is named already. Returns -1. */
int err_at(struct err *e, const char *file, unsigned line);
/* Names the remedy, unless one is named already. Returns -1. */
int err_remedy(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);
/* "file:line: text; remedy" into buf, always terminated; returns buf. */
char *err_print(const struct err *e, char *buf, size_t n);

#endif

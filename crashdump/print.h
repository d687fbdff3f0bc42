/*
 * print.h - texts of reports, inside crashdump/: bounded output, cleaned of everything that is not printable ASCII,
 * and the names of signals and codes. Master and job; not for signal handlers.
 */
#ifndef BULKHEAD_CRASHDUMP_PRINT_H
#define BULKHEAD_CRASHDUMP_PRINT_H

#include <signal.h>
#include <stddef.h>

#include "crashdump/activity.h"

/* A growing text in a buffer of fixed room; the first piece that does not fit sets `full`, and
 * it and all after it are left out. */
struct print {
	char *text;
	size_t length, room;
	bool full;
};

void print_add(struct print *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends bytes from outside: what is not printable ASCII becomes \xNN. */
void print_bytes(struct print *p, const char *bytes, size_t length);
/* The same for a whole text into `to`, cut to fit. */
void print_clean(char *to, size_t room, const char *from);
/* "GET /path for 192.0.2.1 on www.example.org, phase send", or "" when nothing was being worked on. */
void print_request(char *to, size_t room, const struct activity *a);
/* "SIGSEGV", or "signal 40" in a buffer of its own. */
const char *print_signal(int signal);
/* "SEGV_MAPERR" and its like; "" when there is no name. */
const char *print_code(int signal, int code);

#endif

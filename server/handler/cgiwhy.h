/*
 * cgiwhy.h - why a program does not run, or ended, for cgi.c.
 */
#ifndef BULKHEAD_HANDLER_CGIWHY_H
#define BULKHEAD_HANDLER_CGIWHY_H

#include <stdbool.h>

#include "handler/spawn.h"
#include "request/request.h"

/* 0: r's file may be run. Else the status to answer with; the log says why. */
unsigned cgi_refuses(struct request *r);
/* It was not run: the log says why. The status to answer with. */
unsigned cgi_tell_not_run(struct request *r, enum spawn_stage stage, int errnum);
/* Why r's file cannot be executed, by errno, and what to do. */
const char *cgi_why_not_executed(struct request *r, int errnum);
/* How a program ended (a status as of waitpid, -1 with its spawner), to be put behind a sentence; "" where that says nothing. */
const char *cgi_end_words(struct request *r, bool ended, int status);

#endif

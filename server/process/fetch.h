/*
 * fetch.h - one question by HTTP, for a job: POST to an http:// address, the answer whole in memory, with limits of time and
 * size. What comes is a stranger's: only a job without rights calls fetch_post.
 */
#ifndef BULKHEAD_PROCESS_FETCH_H
#define BULKHEAD_PROCESS_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct fetch_url {
	char host[256];                 /* without brackets */
	char port[6];
	char target[2048];              /* from the slash on */
	char field[280];                /* of the field Host */
};
/* 0, or -1 with *e: no http://, or no address. */
int fetch_parse(const char *url, struct fetch_url *u, struct err *e);
/*
 * An answer as far as it has come, `end`: no more will come. 1: whole, *body and *len tell where its content lies (chunks
 * are joined in place); 0: more must come; -1 with *e: no answer, or none with 200.
 */
int fetch_answer(char *text, size_t n, bool end, char **body, size_t *len, struct err *e);
struct fetch_question {
	struct fetch_url url;
	const char *type, *accept;      /* media types */
	const void *body;
	size_t n;
	int64_t time_ms;                /* for everything */
	/* What remedies name; NULL: those of stapling. */
	const char *url_directive, *time_directive;
};
/*
 * In steps: begin blocks for the look-up of the name alone. Then, each time that fd is ready for *events or `due` (ms) has come:
 * go. 1 = there is the answer, 0 = not yet (the descriptor may be another), -1 with *e. NULL with *e.
 */
struct fetch;
struct fetch *fetch_begin(const struct fetch_question *q, char *buf, size_t room, struct err *e);
int fetch_fd(const struct fetch *f, short *events);
int64_t fetch_due(const struct fetch *f);
int fetch_go(struct fetch *f, char **body, size_t *len, struct err *e);
void fetch_end(struct fetch *f);
/* The whole at once. buf of `room` bytes takes head and content. 0 with *body and *len in it, or -1 with *e. */
int fetch_post(const struct fetch_question *q, char *buf, size_t room, char **body, size_t *len, struct err *e);

#endif

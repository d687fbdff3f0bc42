/*
 * mask.h - takes secrets out of texts that go into a bundle. Strict rather than clever: what looks like a secret, or
 * stands where one may stand, is replaced by [hidden]. Pure.
 */
#ifndef BULKHEAD_CRASHDUMP_TOOLMASK_H
#define BULKHEAD_CRASHDUMP_TOOLMASK_H

#include <stdbool.h>
#include <stddef.h>

#define TOOLMASK_HIDDEN "[hidden]"

/* A growing text (malloc); `failed`: out of memory, and what follows is lost. Zero is an empty one. */
struct toolmask_text {
	char *text;
	size_t n, room;
	unsigned hidden;                /* how often something was replaced */
	bool failed;
};

void toolmask_add(struct toolmask_text *t, const char *bytes, size_t n);
/* A configuration: comments, private keys and passwords go, directives that may carry secrets lose their values. Lines keep
 * their numbers; joined lines stand on the first. */
void toolmask_config(const char *text, size_t n, struct toolmask_text *out);
/* Lines of a log or of a report: queries, Authorization and Cookie values, credentials in URLs, keys, what looks random. */
void toolmask_log(const char *text, size_t n, struct toolmask_text *out);
/* The next word of a line as the configuration's language has it, with its quotes; false: there is none. *at moves behind. */
bool toolmask_word(const char **at, const char *end, const char **word, size_t *n);

#endif

/*
 * lookup.h - questions to the resolver, as conn/lookup.c asks and process/resolver.c answers them: over base/ipc.h, each with
 * an id that the answer repeats.
 */
#ifndef BULKHEAD_CONN_LOOKUP_H
#define BULKHEAD_CONN_LOOKUP_H

#include <stdint.h>
#include <sys/types.h>

#define LOOKUP_LIMIT_MS 5000            /* the longest that a request waits for names, all its questions together */
#define LOOKUP_QUESTION 256             /* an address or a name, with its NUL */
#define LOOKUP_ANSWER 4096              /* strings, each with its NUL */

enum lookup_message {
	LOOKUP_MSG_ASK = 1,             /* struct lookup_question, as far as its text goes */
	LOOKUP_MSG_ANSWER,              /* what request/client.h says of an answer */
	LOOKUP_MSG_FAILED,              /* nothing: there is no answer at present */
};
struct lookup_question {
	int64_t until;                  /* ms of CLOCK_MONOTONIC: nobody waits for the answer any more */
	char text[LOOKUP_QUESTION];
};

/* Blocks. The length of the answer (0: nothing by that name or address), or -1: there is none at present. */
typedef ssize_t lookup_now(const char *question, char answer[LOOKUP_ANSWER]);

#endif

/*
 * check.h - questions whether certificates of clients are revoked, as conn/check.c puts them and process/checker.c answers them:
 * over base/ipc.h, each with an id that the answer repeats. What a question and an answer say is tls/ocsp.h's.
 */
#ifndef BULKHEAD_CONN_CHECK_H
#define BULKHEAD_CONN_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "tls/ocsp.h"

#define CHECK_MARGIN_MS 2000            /* beyond SSLOCSPResponderTimeout, until a child waits no longer */

enum check_message {
	CHECK_MSG_ASK = 1,              /* struct check_question, as far as its text goes */
	CHECK_MSG_ANSWER,               /* struct check_answer */
};
struct check_question {
	int64_t until;                  /* ms of CLOCK_MONOTONIC: nobody waits for the answer any more */
	unsigned char text[TLS_QUESTION_MAX];
};
struct check_answer {
	int32_t answer;                 /* enum tls_check */
	char words[TLS_CHECK_WORDS];
};

/* Blocks. */
typedef void check_now(const void *text, size_t n, struct check_answer *out);

#endif

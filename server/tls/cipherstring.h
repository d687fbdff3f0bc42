/*
 * cipherstring.h - OpenSSL's cipher strings, evaluated on our own table of suites. Pure.
 */
#ifndef BULKHEAD_TLS_CIPHERSTRING_H
#define BULKHEAD_TLS_CIPHERSTRING_H

#include "base/err.h"
#include "tls/suites.h"

struct suite_list {
	const struct suite *at[SUITES_MAX];
	unsigned n;
};

/* What an administrator should hear although the string is good: called for each such word. */
typedef void cipher_say(void *ctx, const char *word, const char *why);

/* Our own order below 1.3: AES-128-GCM first, ChaCha20, which costs ten times as much here, last. */
extern const char cipher_default[];
/* What is appended to it where TLS 1.0 or 1.1 is allowed, for which it holds nothing. */
extern const char cipher_default_old[];
extern const char cipher_default13[];

/*
 * "ECDHE+AESGCM:HIGH:!aNULL:@STRENGTH": words with and without + - !, joined by +; colons, commas, blanks, semicolons between them.
 * Names of what no longer exists anywhere (EXP, SSLv2, RC4 …) choose nothing, as in OpenSSL. 0, or -1 with *e naming the
 * word that cannot be honoured, or that nothing is left. `say` may be NULL.
 */
int cipherstring_eval(const char *text, struct suite_list *out, cipher_say *say, void *ctx, struct err *e);
/* The list for TLS 1.3: names of its suites only. */
int cipherstring_eval13(const char *text, struct suite_list *out, struct err *e);

#endif

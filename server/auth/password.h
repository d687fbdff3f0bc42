/*
 * password.h - passwords against hashes, as htpasswd and the system's own files have them: bcrypt, SHA-512/256-crypt, yescrypt,
 * MD5-crypt and DES by libcrypt, $apr1$ and {SHA} by libgcrypt. No files, no requests; any thread (after password_init).
 */
#ifndef BULKHEAD_AUTH_PASSWORD_H
#define BULKHEAD_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

enum password_kind {
	PASSWORD_UNKNOWN,               /* no hash that is known here: plain text perhaps; it matches nothing */
	PASSWORD_QUICK,                 /* microseconds */
	PASSWORD_SLOW,                  /* milliseconds, or more: made to be slow */
	PASSWORD_DEAR,                  /* a hash that says it takes longer, or more memory, than one login may: matches nothing */
};

/* Makes libgcrypt ready, if nobody has; from the main thread, before other threads use this. */
void password_init(void);
enum password_kind password_kind(const char *hash);
/* Whether it is the password of the hash. Compares in constant time, and leaves nothing of it in memory. */
bool password_matches(const char *password, const char *hash);
/* Whether n bytes are the same, in a time that does not tell where they differ. */
bool password_same(const void *a, const void *b, size_t n);

#endif

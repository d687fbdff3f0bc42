/*
 * secret.h - memory for secrets: locked where the limits allow, kept out of core dumps and (optionally) of
 * forked children, wiped when freed. Whole pages: for few, long-lived things.
 */
#ifndef BULKHEAD_BASE_SECRET_H
#define BULKHEAD_BASE_SECRET_H

#include <stddef.h>

enum { SECRET_NOFORK = 1 };             /* children do not see it (MADV_DONTFORK) */

/*
 * n zeroed bytes between guard pages. NULL with errno: never memory that a core would contain. Free with
 * secret_free.
 */
void *secret_alloc(size_t n, unsigned flags);
void secret_free(void *p, size_t n);    /* wipes; n as allocated; NULL is fine */
void secret_wipe(void *p, size_t n);    /* not optimised away */
/* n bytes from the kernel's generator, never blocking once its pool is ready. 0 or -1. */
int secret_random(void *p, size_t n);
/*
 * Makes libgcrypt ready where nobody has: without it the first hash writes to syslog, for which a sandbox kills the process.
 * Not in the master before the session cache, which wants more of it (shmcache/seal.c). From the main thread.
 */
void secret_hash_init(void);

#endif

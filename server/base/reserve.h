/*
 * reserve.h - memory for libraries that do not survive an allocation that fails: where malloc has none, it comes from a reserve
 * that each process has. Who took some of it ends soon what it was for, and gives it back.
 */
#ifndef BULKHEAD_BASE_RESERVE_H
#define BULKHEAD_BASE_RESERVE_H

#include <stddef.h>

#define RESERVE_SIZE ((size_t)256 << 10)

/* As malloc, realloc and free. NULL: the reserve has not so much left either. */
void *reserve_malloc(size_t n);
void *reserve_realloc(void *p, size_t n);
void reserve_free(void *p);
size_t reserve_usable(const void *p);   /* bytes that p may hold; 0 for NULL */
size_t reserve_taken(void);             /* bytes of the reserve that are in use: not 0 = malloc has failed */
/* GMP, of which GnuTLS makes its keys, ends the process when it gets no memory. At the start of a program, once. */
void reserve_for_arithmetic(void);

#endif

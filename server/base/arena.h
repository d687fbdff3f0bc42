/*
 * arena.h - memory of a request, a connection or a generation: allocated piece by piece, freed whole.
 * One owner, one thread. Every function may be called in any process, none in a signal handler.
 */
#ifndef BULKHEAD_BASE_ARENA_H
#define BULKHEAD_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

/* A new arena whose blocks are `block` bytes (0 = 4096). NULL with errno ENOMEM. Free with arena_free. */
struct arena *arena_new(size_t block);
/* n bytes aligned for any object, not zeroed; n = 0 gives a valid pointer. NULL with errno ENOMEM. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc, alloc_size(2)));
/* The same, zeroed. */
void *arena_zalloc(struct arena *a, size_t n) __attribute__((malloc, alloc_size(2)));
/* n elements of size bytes, zeroed; the product is checked. */
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_join(struct arena *a, const char *first, const char *second);
void *arena_memdup(struct arena *a, const void *p, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * Calls fn(arg) when the arena is reset or freed, last registered first. 0, or -1 (ENOMEM; fn was not kept).
 */
int arena_cleanup(struct arena *a, void (*fn)(void *), void *arg);
/* Gives everything back but the first block, so that a kept-alive connection mallocs nothing anew. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);           /* NULL is fine */
/* Bytes handed out since the last reset, and those charged: for limits. */
size_t arena_used(const struct arena *a);
/* More than `most` bytes in all are not given: ENOMEM. For memory whose amount a client or a tenant has a say in. */
void arena_limit(struct arena *a, size_t most);
/* Counts memory that lies elsewhere and lives as long as the arena. */
void arena_charge(struct arena *a, size_t n);

#endif

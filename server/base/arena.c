/*
 * arena.c - a bump allocator over a chain of blocks. It owns every byte it handed out, in whichever process;
 * the arena itself and its first block are one malloc, and what does not fit into a quarter of a block gets a
 * block of its own, so that one large object does not waste the rest of a block.
 *
 * Under AddressSanitizer what is not handed out is poisoned and each object has a red zone behind it.
 */
#include "base/arena.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define RED_ZONE 16
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define RED_ZONE 0
#endif

#define ALIGN _Alignof(max_align_t)
#define BLOCK_DEFAULT 4096
#define BLOCK_MIN 256

struct block {
	struct block *next;
	size_t cap, n;                          /* bytes of data[], bytes of it given away */
	_Alignas(max_align_t) unsigned char data[];
};
struct cleanup {
	struct cleanup *next;
	void (*fn)(void *);
	void *arg;
};
struct arena {
	struct block *now;                      /* small objects come from here; the chain ends at the first */
	struct block *large;                    /* blocks of one object each */
	struct cleanup *cleanups;               /* last registered first */
	size_t used, most, block;
	_Alignas(max_align_t) struct block first;
};

static void block_init(struct block *b, size_t cap, struct block *next)
{
	b->next = next;
	b->cap = cap;
	b->n = 0;
	ASAN_POISON_MEMORY_REGION(b->data, cap);
}

static struct block *block_new(size_t cap, struct block *next)
{
	size_t size;
	struct block *b;

	if (!size_add(cap, sizeof *b, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	b = malloc(size);
	if (b)
		block_init(b, cap, next);
	return b;
}

static void block_free(struct block *b)
{
	ASAN_UNPOISON_MEMORY_REGION(b->data, b->cap);
	free(b);
}

struct arena *arena_new(size_t block)
{
	struct arena *a;
	size_t size, cap;

	if (block == 0)
		block = BLOCK_DEFAULT;
	cap = block < BLOCK_MIN ? BLOCK_MIN : block & ~(ALIGN - 1);
	if (!size_add(cap, sizeof *a, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	a = malloc(size);
	if (!a)
		return NULL;
	a->large = NULL;
	a->cleanups = NULL;
	a->used = 0;
	a->most = SIZE_MAX;
	a->block = cap;
	a->now = &a->first;
	block_init(&a->first, cap, NULL);
	return a;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct block *b = a->now;
	size_t size;
	void *p;

	if (!size_add(n ? n : 1, RED_ZONE + ALIGN - 1, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	size &= ~(ALIGN - 1);
	if (size > a->most || a->used > a->most - size) {
		errno = ENOMEM;
		return NULL;
	}
	if (size > b->cap - b->n) {
		b = size > a->block / 4 ? block_new(size, a->large) : block_new(a->block, a->now);
		if (!b)
			return NULL;
		if (size > a->block / 4)
			a->large = b;
		else
			a->now = b;
	}
	p = b->data + b->n;
	b->n += size;
	a->used += size;
	ASAN_UNPOISON_MEMORY_REGION(p, n ? n : 1);
	return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);
	return p ? memset(p, 0, n) : NULL;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t all;

	if (!size_mul(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return arena_zalloc(a, all);
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_memdup(a, s, strlen(s) + 1);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	size_t size;
	char *p;

	if (!size_add(n, 1, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	p = arena_alloc(a, size);
	if (p) {
		if (n)                          /* an absent text has no pointer to copy from */
			memcpy(p, s, n);
		p[n] = '\0';
	}
	return p;
}

char *arena_join(struct arena *a, const char *first, const char *second)
{
	size_t n = strlen(first), m = strlen(second), size;
	char *p;

	if (!size_add(n, m, &size) || !size_add(size, 1, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	p = arena_alloc(a, size);
	if (p)
		stpcpy(stpcpy(p, first), second);
	return p;
}

void *arena_memdup(struct arena *a, const void *p, size_t n)
{
	void *copy = arena_alloc(a, n);
	if (copy && n)
		memcpy(copy, p, n);
	return copy;
}

static __attribute__((format(printf, 2, 0))) char *print(struct arena *a, const char *fmt, va_list ap)
{
	char small[512], *p;
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof small, fmt, ap);
	if (n < 0) {
		p = NULL;
	} else if ((size_t)n < sizeof small) {
		p = arena_memdup(a, small, (size_t)n + 1);
	} else {
		p = arena_alloc(a, (size_t)n + 1);
		if (p)
			vsnprintf(p, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = print(a, fmt, ap);
	va_end(ap);
	return p;
}

int arena_cleanup(struct arena *a, void (*fn)(void *), void *arg)
{
	struct cleanup *c = arena_alloc(a, sizeof *c);
	if (!c)
		return -1;
	c->fn = fn;
	c->arg = arg;
	c->next = a->cleanups;
	a->cleanups = c;
	return 0;
}

/*
 * A cleanup may still read what lies in the arena, even register another: blocks go after the last one has
 * run.
 */
static void run_cleanups(struct arena *a)
{
	while (a->cleanups) {
		struct cleanup *c = a->cleanups;
		a->cleanups = c->next;
		c->fn(c->arg);
	}
}

void arena_reset(struct arena *a)
{
	run_cleanups(a);
	while (a->large) {
		struct block *b = a->large;
		a->large = b->next;
		block_free(b);
	}
	while (a->now != &a->first) {
		struct block *b = a->now;
		a->now = b->next;
		block_free(b);
	}
	block_init(&a->first, a->first.cap, NULL);
	a->used = 0;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	arena_reset(a);
	ASAN_UNPOISON_MEMORY_REGION(a->first.data, a->first.cap);
	free(a);
}

void arena_charge(struct arena *a, size_t n)
{
	a->used += n;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

void arena_limit(struct arena *a, size_t most)
{
	a->most = most;
}

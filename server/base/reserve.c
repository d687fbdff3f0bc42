/*
 * reserve.c - the memory that is left when malloc has none, in every process a piece of its own: pages that nobody touched cost nothing.
 * It is given away in rows of chunks, the first that fits. What is given back is wiped, since GMP reckons with keys in it.
 */
#include "base/reserve.h"

#include <gmp.h>
#include <malloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 512
#define CHUNKS (RESERVE_SIZE / CHUNK)

static _Alignas(64) unsigned char pool[RESERVE_SIZE];
static uint16_t rows[CHUNKS];           /* at the first chunk of a row how many it has; at others, and at free ones, 0 */
static _Atomic size_t taken;            /* chunks */
static atomic_flag lock = ATOMIC_FLAG_INIT;     /* held for microseconds, by threads of one process */

static void enter(void)
{
	while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
		sched_yield();
}

static void leave(void)
{
	atomic_flag_clear_explicit(&lock, memory_order_release);
}

static bool is_ours(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)pool && (uintptr_t)p < (uintptr_t)pool + sizeof pool;
}

static size_t chunk_of(const void *p)
{
	return (size_t)((const unsigned char *)p - pool) / CHUNK;
}

static void *take(size_t n)
{
	size_t want = (n ? n - 1 : 0) / CHUNK + 1, at = 0;
	void *found = NULL;

	if (n > RESERVE_SIZE)
		return NULL;
	enter();
	for (size_t i = 0; i < CHUNKS && i + 1 - at <= want; i++) {
		if (rows[i]) {
			i += rows[i] - 1u;
			at = i + 1;
		} else if (i + 1 - at == want) {
			rows[at] = (uint16_t)want;
			found = pool + at * CHUNK;
			taken += want;
			break;
		}
	}
	leave();
	return found;
}

static void give_back(void *p)
{
	size_t at = chunk_of(p);

	explicit_bzero(p, (size_t)rows[at] * CHUNK);
	enter();
	taken -= rows[at];
	rows[at] = 0;
	leave();
}

void *reserve_malloc(size_t n)
{
	void *p = malloc(n);

	return p ? p : take(n);
}

size_t reserve_usable(const void *p)
{
	return !p ? 0 : is_ours(p) ? (size_t)rows[chunk_of(p)] * CHUNK : malloc_usable_size((void *)(uintptr_t)p);
}

size_t reserve_taken(void)
{
	return taken * CHUNK;
}

void reserve_free(void *p)
{
	if (is_ours(p))
		give_back(p);
	else
		free(p);
}

void *reserve_realloc(void *p, size_t n)
{
	size_t have = reserve_usable(p);
	void *grown;

	if (!p)
		return reserve_malloc(n);
	if (!is_ours(p) && (grown = realloc(p, n ? n : 1)))
		return grown;
	if (n <= have)
		return p;
	grown = reserve_malloc(n);
	if (grown) {
		memcpy(grown, p, have);
		reserve_free(p);
	}
	return grown;
}

/* ------------------------------------------------------------------------------------------------ GMP */

/* It takes no NULL: what the reserve has not either ends the process, as it would without one. */
static void *number_malloc(size_t n)
{
	void *p = reserve_malloc(n);

	if (!p)
		abort();
	return p;
}

static void *number_realloc(void *p, size_t before, size_t n)
{
	(void)before;
	p = reserve_realloc(p, n);
	if (!p)
		abort();
	return p;
}

static void number_free(void *p, size_t n)
{
	(void)n;
	reserve_free(p);
}

void reserve_for_arithmetic(void)
{
	mp_set_memory_functions(number_malloc, number_realloc, number_free);
}

/*
 * entries.h - keys and data for tests of the cache, unit and fault tests alike: put, get, drop by number.
 */
#ifndef TESTS_SHMCACHE_ENTRIES_H
#define TESTS_SHMCACHE_ENTRIES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shmcache/shmcache.h"

/* A key and data that follow from a number, so that content tells which entry it is. */
static inline void key_of(uint64_t n, unsigned char key[SHMCACHE_KEY])
{
	for (size_t i = 0; i < SHMCACHE_KEY; i += 8) {
		uint64_t x = (n * 4 + i / 8 + 1) * 0x9e3779b97f4a7c15u;

		x ^= x >> 29;
		memcpy(key + i, &x, 8);
	}
}

static inline void data_of(uint64_t n, uint32_t turn, unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (unsigned char)((n * 31 + turn * 7 + i) ^ (n >> 8) ^ (turn >> 8));
}

static inline int put(struct shmcache *c, uint64_t n, uint32_t turn, size_t len, uint32_t ttl)
{
	unsigned char key[SHMCACHE_KEY], data[SHMCACHE_MAX_DATA + 64];

	key_of(n, key);
	data_of(n, turn, data, len);
	return shmcache_store(c, key, data, len, ttl);
}

/* 1 there and right, 0 a miss, -1 there and wrong. */
static inline int get(struct shmcache *c, uint64_t n, uint32_t turn, size_t want)
{
	unsigned char key[SHMCACHE_KEY], data[SHMCACHE_MAX_DATA], right[SHMCACHE_MAX_DATA];
	size_t len;

	key_of(n, key);
	if (shmcache_fetch(c, key, data, sizeof(data), &len) == 0)
		return 0;
	data_of(n, turn, right, want);
	return len == want && memcmp(data, right, len) == 0 ? 1 : -1;
}

static inline void drop(struct shmcache *c, uint64_t n)
{
	unsigned char key[SHMCACHE_KEY];

	key_of(n, key);
	shmcache_remove(c, key);
}

#endif

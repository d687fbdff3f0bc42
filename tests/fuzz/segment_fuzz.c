/*
 * segment_fuzz.c - fuzzes the session cache's memory (shmcache/), which a child that was taken over may scribble over
 * while others, and the administrator's bulkhead-cache, go on with it. An input is a byte of manner, then patches: two
 * bytes of place, one of length, so many bytes. Manner 0: the shards of a living cache are patched, and a child works
 * with it; 1: a saved copy is, header and all, and is looked at. Holds:
 * - what is found is what was stored; what is stored now is found; each shard mends itself;
 * - a look at a copy ends, and never tells of more entries than there is room for.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>

#include "shmcache/internal.h"
#include "tests/fuzz/folder.h"

enum { ENTRIES = 24, LENGTH = 300 };

static struct shmcache *cache;
static unsigned char *whole;            /* the segment as it was */
static size_t size;

static void key_of(unsigned n, unsigned char key[SHMCACHE_KEY])
{
	memset(key, 0, SHMCACHE_KEY);
	for (unsigned i = 0; i < 8; i++)
		key[i] = (unsigned char)(n * 0x9e3779b1u >> i);
	key[9] = (unsigned char)n;
}

static size_t content(unsigned n, unsigned char data[LENGTH])
{
	memset(data, (int)('a' + n % 26), LENGTH);
	return 20 + n * 37 % (LENGTH - 20);
}

static int put(unsigned n)
{
	unsigned char key[SHMCACHE_KEY], data[LENGTH];
	size_t length = content(n, data);

	key_of(n, key);
	return shmcache_store(cache, key, data, length, 600);
}

/* 1: it is there, and right. */
static int get(unsigned n)
{
	unsigned char key[SHMCACHE_KEY], data[LENGTH], got[SHMCACHE_MAX_DATA];
	size_t length = content(n, data), len = 0;
	int rc;

	key_of(n, key);
	rc = shmcache_fetch(cache, key, got, sizeof got, &len);
	CHECK(rc == 0 || (rc == 1 && len == length && memcmp(got, data, len) == 0));
	return rc;
}

static void start(void)
{
	struct shmcache_lock_options lock = { .kind = SHMCACHE_LOCK_OFD };
	struct shmcache_plan plan;
	struct shmcache_err e;
	char lockfile[64], name[64];

	folder_make();
	snprintf(lockfile, sizeof lockfile, "%s/lock", folder);
	snprintf(name, sizeof name, "/bulkhead-fuzz-%ld", (long)getpid());
	lock.lockfile = lockfile;
	CHECK(shmcache_plan(16384, 0, &plan, &e) == 0);
	cache = shmcache_create(&plan, name, &lock, &e);
	CHECK(cache && shmcache_child_init(cache, &e) == 0);
	for (unsigned i = 0; i < ENTRIES; i++)
		CHECK(put(i) == 0);
	get(ENTRIES - 1);
	size = cache->plan.segment;
	whole = malloc(size);
	CHECK(whole);
	memcpy(whole, cache->base, size);
	shmcache_unlink(cache);
}

static void patch(unsigned char *at, size_t room, const uint8_t *data, size_t n)
{
	while (n > 3) {
		size_t place = ((size_t)data[0] << 8 | data[1]) % room, many = data[2];

		data += 3;
		n -= 3;
		many = many < n ? many : n;
		for (size_t i = 0; i < many; i++)
			at[(place + i) % room] = data[i];
		data += many;
		n -= many;
	}
}

static void work(const uint8_t *data, size_t n)
{
	unsigned char *shards = (unsigned char *)cache->base + SHMC_SHARDS, key[SHMCACHE_KEY];
	struct shmcache_counters sums;

	memcpy(shards, whole + SHMC_SHARDS, size - SHMC_SHARDS);
	patch(shards, size - SHMC_SHARDS, data, n);
	for (unsigned i = 0; i < ENTRIES; i++)
		get(i);
	key_of(3, key);
	shmcache_remove(cache, key);
	CHECK(get(3) == 0);
	for (unsigned i = ENTRIES; i < ENTRIES + 4; i++)
		CHECK(put(i) == 0);
	shmcache_counters(cache, &sums);
	for (unsigned i = 0; i < cache->plan.shards; i++) {
		CHECK(shmcache_check(cache, i, true) >= 0);
		CHECK(shmcache_check(cache, i, false) == 0);
	}
	for (unsigned i = ENTRIES; i < ENTRIES + 4; i++)
		CHECK(put(i) == 0 && get(i) == 1);
}

static int count(void *ctx, const struct shmcache_entry *e)
{
	(void)e;
	++*(unsigned *)ctx;
	return 0;
}

static void tell(void *ctx, unsigned shard, unsigned invariant, const char *what)
{
	(void)shard;
	CHECK(invariant > 0 && what && *what);
	++*(unsigned *)ctx;
}

static void look(const uint8_t *data, size_t n)
{
	unsigned char *copy = malloc(size);
	int fd = memfd_create("copy", MFD_CLOEXEC), to = memfd_create("saved", MFD_CLOEXEC);
	struct shmcache_occupancy use;
	struct shmcache_counters sums;
	struct shmcache_holder holder[4];
	struct shmcache_err e = { .text = "" };
	struct shmcache_info info;
	struct shmcache *c;
	unsigned found = 0;

	CHECK(copy && fd >= 0 && to >= 0);
	memcpy(copy, whole, size);
	patch(copy, size, data, n);
	CHECK(write(fd, copy, size) == (ssize_t)size);
	free(copy);
	c = shmcache_attach(fd, &e);
	CHECK(c || *e.text);
	if (c) {
		shmcache_info(c, &info);
		CHECK(memchr(info.name, '\0', SHMC_NAME) && memchr(info.lockfile, '\0', SHMC_PATH));
		shmcache_counters(c, &sums);
		shmcache_walk(c, count, &found);
		CHECK(found <= size / 16);
		shmcache_occupancy(c, &use);
		shmcache_verify(c, tell, &found);
		shmcache_holders(c, holder, 4);
		shmcache_copy(c, to, &e);
		shmcache_close(c);
	}
	close(fd);
	close(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!cache)
		start();
	if (n > 1 && data[0] & 1)
		look(data + 1, n - 1);
	else if (n > 1)
		work(data + 1, n - 1);
	return 0;
}

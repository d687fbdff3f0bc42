/*
 * Looking from outside: attach, walk, occupancy, holders, verify and copy, on a cache that works, one that is being
 * written, one with planted damage, and files in which any byte may be anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "fixture.h"

/* A second handle, as a tool has it. */
static struct shmcache *attached(const struct shmcache *c)
{
	struct shmcache_err err;
	struct shmcache *a = shmcache_attach(c->segfd, &err);

	if (a == NULL)
		fail_msg("%s (%s)", err.text, err.remedy);
	return a;
}

struct seen {
	size_t n, live;
	uint64_t bytes;
	struct shmcache_entry last;
	int stop_after;
};

static int see(void *ctx, const struct shmcache_entry *e)
{
	struct seen *s = ctx;

	s->n++;
	s->live += e->live;
	s->bytes += e->bytes;
	s->last = *e;
	return s->stop_after != 0 && (int)s->n == s->stop_after ? 7 : 0;
}

static void tells_what_the_header_says(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 512000), *a = attached(c);
	struct shmcache_info i;

	(void)state;
	shmcache_info(a, &i);
	assert_int_equal(i.version, SHMC_VERSION);
	assert_true(i.created > 1700000000 && i.created <= time(NULL));
	assert_string_equal(i.name, f.name);
	assert_string_equal(i.lockfile, f.lockfile);
	assert_int_equal(i.kind, SHMCACHE_LOCK_OFD);
	assert_int_equal(i.timeout_ms, 50);
	assert_int_equal(i.copied, 0);
	assert_true(i.alone);
	assert_memory_equal(shmcache_geometry(a), shmcache_geometry(c), sizeof(struct shmcache_plan));
	/* the instance's byte is free as soon as the master lets go */
	assert_true(i.lives);
	shmcache_close(c);
	shmcache_info(a, &i);
	assert_false(i.lives);
	shmcache_close(a);
	shm_unlink(f.name);
	fixture_fini(&f);
}

static void tells_of_a_resize(void **state)
{
	struct fixture f;
	struct shmcache_info one, two;
	struct shmcache_plan plan;
	struct shmcache *c, *a, *b;
	int fds[SHMCACHE_FDS];

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	a = attached(c);
	assert_int_equal(shmcache_plan(131072, 0, &plan, &f.err), 0);
	assert_int_equal(shmcache_resize(c, &plan, &f.err), 0);
	b = attached(c);
	shmcache_info(a, &one);
	shmcache_info(b, &two);
	assert_true(one.alone && one.lives);
	assert_false(two.alone);
	assert_true(two.lives);
	assert_string_not_equal(one.name, two.name);
	assert_string_equal(one.lockfile, two.lockfile);
	shmcache_fds(c, fds);
	assert_true(fds[3] >= 0);
	shmcache_resized(c);
	shmcache_info(b, &two);
	assert_true(two.alone);
	shmcache_close(a);
	shmcache_close(b);
	fixture_end(&f, c);
}

static void walks_over_what_is_there(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 512000), *a = attached(c);
	struct shmcache_occupancy o;
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(shmcache_walk(a, see, &s), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(shmcache_occupancy(a, &o), 0);
	assert_int_equal(o.shortest, 0);
	assert_int_equal(put(c, 1, 0, 356, 100), 0);
	assert_int_equal(shmcache_walk(a, see, &s), 0);
	assert_int_equal(s.n, 1);
	assert_true(s.last.live);
	assert_int_equal(s.last.len, 356);
	assert_int_equal(s.last.bytes, 416);
	assert_int_equal(s.last.freq, 0);
	assert_in_range(s.last.ttl, 80, 100);
	assert_int_equal(get(c, 1, 0, 356), 1);
	s.n = 0;
	shmcache_walk(a, see, &s);
	assert_int_equal(s.last.freq, 1);

	for (uint64_t n = 2; n < 52; n++)
		assert_int_equal(put(c, n, 0, 200, 1000 + (uint32_t)n), 0);
	assert_int_equal(put(c, 100, 0, 200, 1), 0);
	drop(c, 2);
	for (uint32_t was = shmc_now(); shmc_now() < was + 1;)
		usleep(10000);
	s = (struct seen){ 0 };
	assert_int_equal(shmcache_walk(a, see, &s), 0);
	assert_int_equal(s.n, 52);
	assert_int_equal(s.live, 50);
	assert_int_equal(shmcache_occupancy(a, &o), 0);
	assert_int_equal(o.ring[0].entries + o.ring[1].entries, 50);
	assert_int_equal(o.ring[0].dead + o.ring[1].dead, 256);
	assert_int_equal(o.ring[0].expired + o.ring[1].expired, 256);
	assert_int_equal(o.ring[0].live + o.ring[1].live, 416 + 49 * 256);
	for (int r = 0; r < 2; r++)
		assert_int_equal(o.ring[r].live + o.ring[r].expired + o.ring[r].dead + o.ring[r].free, o.ring[r].bytes);
	assert_int_equal(o.slots_used, 51);
	assert_in_range(o.shortest, 60, 100);
	assert_in_range(o.longest, 1020, 1051);
	/* the visitor ends it */
	s = (struct seen){ .stop_after = 3 };
	assert_int_equal(shmcache_walk(a, see, &s), 7);
	assert_int_equal(s.n, 3);
	shmcache_close(a);
	fixture_end(&f, c);
}

static void names_who_is_inside(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 512000), *a = attached(c);
	struct shmcache_holder h[2];

	(void)state;
	assert_int_equal(shmcache_holders(a, h, 2), 0);
	for (uint32_t i = 1; i < 4; i++)
		shmc_put(&shmc_shard_at(c, i)->owner, 1000 + i);
	assert_int_equal(shmcache_holders(a, h, 2), 3);
	assert_int_equal(h[0].shard, 1);
	assert_int_equal(h[1].pid, 1002);
	shmc_put(&shmc_shard_at(c, 0)->owner, UINT64_MAX);
	assert_int_equal(shmcache_holders(a, h, 1), 4);
	assert_int_equal(h[0].pid, 0);
	shmcache_close(a);
	fixture_end(&f, c);
}

/* ------------------------------------------------------------------------------------------------ verify */

struct told {
	unsigned n, invariant, shard;
	char what[256];
};

static void hear(void *ctx, unsigned shard, unsigned invariant, const char *what)
{
	struct told *t = ctx;

	t->n++;
	t->shard = shard;
	t->invariant = invariant;
	snprintf(t->what, sizeof(t->what), "%s", what);
}

static uint64_t *used_slot(struct shmcache *c, struct shmc_shard_head *h, unsigned nth)
{
	for (size_t i = 0; i < (size_t)c->plan.buckets * SHMC_BUCKET; i++)
		if (h->slots[i] != 0 && nth-- == 0)
			return &h->slots[i];
	fail_msg("no slot is used");
	return NULL;
}


static uint64_t hash_of_slot(struct shmcache *c, struct shmc_shard_head *h, uint64_t v)
{
	unsigned ring = shmc_slot_ring(v);
	uint64_t w[4];

	shmc_ring_read(shmc_ring_at(c, h, ring), c->plan.ring_units[ring], shmc_slot_pos(v), 0, w, 4);
	return w[0];
}

/* Names an entry a second time, one whose buckets have room. */
static void name_twice(struct shmcache *c, struct shmc_shard_head *h)
{
	for (unsigned n = 0;; n++) {
		uint64_t v = *used_slot(c, h, n), hash = hash_of_slot(c, h, v);

		for (unsigned i = 0; i < 2 * SHMC_BUCKET; i++)
			if (*shmc_slot_at(c, h, hash, i) == 0) {
				*shmc_slot_at(c, h, hash, i) = v;
				return;
			}
	}
}

enum damage {
	TAIL_PAST_HEAD, HEAD_TOO_FAR, RING_BYTES, SHORT_MAXREC, SLOT_OUTSIDE, SLOT_BETWEEN, SLOT_TAG, SLOT_BUCKET, SLOT_TWICE,
	MAXREC_WILD, OWNER_WILD, POSITION_WILD, DAMAGES,
};

static void plant(struct shmcache *c, struct shmc_shard_head *h, enum damage d)
{
	uint64_t *slot = used_slot(c, h, 0), v = *slot, hash = hash_of_slot(c, h, v);
	unsigned ring = shmc_slot_ring(v);
	uint64_t *words = shmc_ring_at(c, h, ring);

	switch (d) {
	case TAIL_PAST_HEAD: h->ring[0].tail = h->ring[0].head + 1; break;
	case HEAD_TOO_FAR: h->ring[1].head = h->ring[1].tail + c->plan.ring_units[1] + 1; break;
	case RING_BYTES: words[(shmc_slot_pos(v) % c->plan.ring_units[ring]) * 2 + 1] ^= 1; break;
	case SHORT_MAXREC: h->maxrec = 4; break;
	case SLOT_OUTSIDE: *slot = shmc_slot(0, hash, ring, h->ring[ring].head); break;
	case SLOT_BETWEEN: *slot = v + 1; break;
	case SLOT_TAG: *slot = v ^ (uint64_t)1 << 50; break;
	case SLOT_BUCKET:
		for (size_t i = 0; i < (size_t)c->plan.buckets * SHMC_BUCKET; i++)
			if (h->slots[i] == 0 && i / SHMC_BUCKET != shmc_bucket(c, hash, 0) &&
			    i / SHMC_BUCKET != shmc_bucket(c, hash, 1)) {
				h->slots[i] = v;
				*slot = 0;
				return;
			}
		fail_msg("no other bucket has room");
		break;
	case SLOT_TWICE: name_twice(c, h); break;
	case MAXREC_WILD: h->maxrec = UINT64_MAX; break;
	case OWNER_WILD: h->owner = (uint64_t)1 << 40; break;
	case POSITION_WILD: h->ring[0].tail = h->ring[0].head = 3; break;
	default: fail_msg("unknown");
	}
}

static void verify_finds_each_damage(void **state)
{
	static const unsigned invariant[DAMAGES] = {
		[TAIL_PAST_HEAD] = 1, [HEAD_TOO_FAR] = 1, [RING_BYTES] = 2, [SHORT_MAXREC] = 2, [SLOT_OUTSIDE] = 3,
		[SLOT_BETWEEN] = 3, [SLOT_TAG] = 3, [SLOT_BUCKET] = 3, [SLOT_TWICE] = 4, [MAXREC_WILD] = 6, [OWNER_WILD] = 7,
		[POSITION_WILD] = 8,
	};
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 512000), *a = attached(c);
	struct shmc_shard_head *h = shmc_shard_at(c, 2);
	size_t n = c->plan.shard_bytes;
	void *good = malloc(n);

	(void)state;
	assert_non_null(good);
	/* enough that main has entries too */
	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal(put(c, i, 0, 100 + i % 300, 100), 0);
	memcpy(good, h, n);
	for (unsigned d = 0; d < DAMAGES; d++) {
		struct told t = { 0 };
		bool heard = false;

		assert_int_equal(shmcache_verify(a, hear, &t), 0);
		plant(c, h, d);
		assert_true(shmcache_verify(a, hear, &t) > 0);
		if (d == RING_BYTES)    /* the chain, and the slot that names the entry */
			heard = t.invariant == 2 || t.invariant == 3;
		if (t.invariant != invariant[d] && !heard)
			fail_msg("damage %u is told as I%u: %s", d, t.invariant, t.what);
		assert_int_equal(t.shard, 2);
		assert_true(strlen(t.what) > 20);
		assert_true(shmcache_verify(a, NULL, NULL) > 0);
		memcpy(h, good, n);
	}
	free(good);
	shmcache_close(a);
	fixture_end(&f, c);
}

/* The reserve of main (I6): used up by who is inside it is allowed, else not. */
static void the_reserve_counts_when_nobody_is_inside(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536), *a = attached(c);
	struct shmc_shard_head *h = shmc_shard_at(c, 0);
	struct told t = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 2000; i++)
		assert_int_equal(put(c, i, 0, 100 + i % 300, 100), 0);
	/* as if its longest entry were as long as possible */
	h->maxrec = SHMC_HEAD_UNITS + c->plan.max_data / SHMC_UNIT;
	assert_int_equal(shmcache_verify(a, hear, &t), 1);
	assert_int_equal(t.invariant, 6);
	h->owner = (uint64_t)getpid();
	assert_int_equal(shmcache_verify(a, hear, &t), 0);
	h->owner = 0;
	shmcache_close(a);
	fixture_end(&f, c);
}

/* ------------------------------------------------------------------------------------------------ while others write */

static pid_t writer(struct shmcache *c)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct shmcache_err err;

		if (shmcache_child_init(c, &err) < 0)
			_exit(1);
		for (uint64_t n = 0;; n++) {
			(void)put(c, n % 4000, 0, 100 + n % 400, 100);
			(void)get(c, (n * 7) % 4000, 0, 0);
			if (n % 5 == 0)
				drop(c, (n * 3) % 4000);
		}
	}
	return pid;
}

static int memory_file(void)
{
	int fd = memfd_create("copy", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void a_living_cache_is_seen_whole(void **state)
{
	struct fixture f;
	struct shmcache *c, *a;
	pid_t pid[2];

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 512000, SHMCACHE_LOCK_OFD);
	a = attached(c);
	for (int i = 0; i < 2; i++)
		pid[i] = writer(c);
	for (int i = 0; i < 60; i++) {
		struct shmcache_occupancy o;
		struct told t = { 0 };
		struct seen s = { 0 };
		int n = shmcache_verify(a, hear, &t), fd;

		if (n != 0)
			fail_msg("%d violations, the last is I%u: %s", n, t.invariant, t.what);
		assert_int_equal(shmcache_walk(a, see, &s), 0);
		assert_int_equal(shmcache_occupancy(a, &o), 0);
		if (i % 10 == 0) {
			struct shmcache *b;
			struct shmcache_err err;

			fd = memory_file();
			assert_int_equal(shmcache_copy(a, fd, &err), 0);
			b = shmcache_attach(fd, &err);
			assert_non_null(b);
			assert_int_equal(shmcache_verify(b, hear, &t), 0);
			shmcache_close(b);
			close(fd);
		}
	}
	for (int i = 0; i < 2; i++) {
		kill(pid[i], SIGKILL);
		assert_int_equal(ended(pid[i]), 256 + SIGKILL);
	}
	shmcache_close(a);
	fixture_end(&f, c);
}

static void a_stopped_holder_stops_nobody_who_looks(void **state)
{
	struct fixture f;
	struct shmcache *c, *a;
	struct shmcache_holder h;
	struct told t = { 0 };
	int status;
	pid_t pid;

	(void)state;
	fixture_init(&f);
	c = fixture_create(&f, 65536, SHMCACHE_LOCK_OFD);
	a = attached(c);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct shmc_shard s;

		if (shmcache_child_init(c, NULL) < 0 || shmc_shard_enter(c, 0, &s) < 0)
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(shmcache_holders(a, &h, 1), 1);
	assert_int_equal(h.pid, pid);
	assert_int_equal(shmcache_verify(a, hear, &t), 0);
	kill(pid, SIGKILL);
	assert_int_equal(ended(pid), 256 + SIGKILL);
	/* dead inside: still told, and still whole */
	assert_int_equal(shmcache_holders(a, &h, 1), 1);
	assert_int_equal(shmcache_verify(a, hear, &t), 0);
	shmcache_close(a);
	fixture_end(&f, c);
}

/* ------------------------------------------------------------------------------------------------ copies and rubbish */

static void a_copy_keeps_all_but_the_seeds(void **state)
{
	struct shmcache_seed seed = { .id = 5, .not_before = 1, .not_after = INT64_MAX };
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 512000), *a = attached(c), *b;
	unsigned char page[SHMC_SHARDS - SHMC_TICKETS], zeros[sizeof(page)] = { 0 };
	struct shmcache_counters one, two;
	struct shmcache_info i;
	struct shmcache_err err;
	struct seen s = { 0 }, again = { 0 };
	int fd = memory_file();

	(void)state;
	assert_int_equal(shmcache_ticket_put(c, &seed, 2), 0);
	for (uint64_t n = 0; n < 300; n++)
		assert_int_equal(put(c, n, 0, 300, 100), 0);
	assert_int_equal(get(c, 299, 0, 300), 1);
	assert_int_equal(shmcache_copy(a, fd, &err), 0);
	b = shmcache_attach(fd, &err);
	if (b == NULL)
		fail_msg("%s", err.text);
	/* its clock stands still */
	for (uint32_t was = shmc_now(); shmc_now() < was + 1;)
		usleep(10000);
	shmcache_info(b, &i);
	assert_true(i.copied > 1700000000 && i.copied <= time(NULL));
	assert_string_equal(i.name, f.name);
	assert_int_equal(shmcache_verify(b, NULL, NULL), 0);
	shmcache_walk(a, see, &s);
	shmcache_walk(b, see, &again);
	assert_int_equal(again.live, 300);
	assert_int_equal(again.bytes, s.bytes);
	assert_in_range(again.last.ttl, 80, 100);
	assert_true(again.last.ttl > s.last.ttl);
	assert_in_range(s.last.ttl, 60, 99);
	assert_true(i.alone);
	shmcache_counters(a, &one);
	shmcache_counters(b, &two);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_int_equal(pread(fd, page, sizeof(page), SHMC_TICKETS), sizeof(page));
	assert_int_equal(page[offsetof(struct shmc_seeds, alone)], 1);
	page[offsetof(struct shmc_seeds, alone)] = 0;
	assert_memory_equal(page, zeros, sizeof(page));
	shmcache_close(b);
	close(fd);
	/* a place without room */
	fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(shmcache_copy(a, fd, &err), -1);
	assert_int_equal(errno, ENOSPC);
	assert_non_null(strstr(err.text, "No space left"));
	close(fd);
	shmcache_close(a);
	fixture_end(&f, c);
}

static void refuses(int fd, const char *because)
{
	struct shmcache_err err;
	struct shmcache *a = shmcache_attach(fd, &err);

	if (a != NULL)
		fail_msg("attached, but: %s", because);
	if (strstr(err.text, because) == NULL)
		fail_msg("'%s' does not say '%s'", err.text, because);
	assert_null(shmcache_attach(fd, NULL));
}

static void write_u32(int fd, uint32_t v, size_t at)
{
	assert_int_equal(pwrite(fd, &v, sizeof(v), (off_t)at), sizeof(v));
}

static void what_is_no_cache_is_refused(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 65536);
	int fd = memory_file(), pair[2];
	char text[64];

	(void)state;
	refuses(fd, "no session cache");
	assert_int_equal(write(fd, "BHSH", 4), 4);
	refuses(fd, "no session cache");
	assert_int_equal(ftruncate(fd, 0), 0);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(shmcache_copy(c, fd, NULL), 0);
	assert_int_equal(ftruncate(fd, 5000), 0);
	refuses(fd, "cut off after 5000");
	assert_int_equal(ftruncate(fd, 40000), 0);
	refuses(fd, "is 40000 bytes long and says that it has");
	assert_int_equal(ftruncate(fd, (off_t)c->plan.segment), 0);
	write_u32(fd, SHMC_VERSION + 7, offsetof(struct shmc_header, version));
	write_u32(fd, SHMC_VERSION + 6, offsetof(struct shmc_header, oldest));
	snprintf(text, sizeof(text), "has layout %u, this program reads %u", SHMC_VERSION + 7, SHMC_VERSION);
	refuses(fd, text);
	write_u32(fd, SHMC_VERSION, offsetof(struct shmc_header, version));
	write_u32(fd, SHMC_OLDEST, offsetof(struct shmc_header, oldest));
	write_u32(fd, 3, offsetof(struct shmc_header, shards));
	refuses(fd, "header is damaged");
	write_u32(fd, 0, offsetof(struct shmc_header, shards));         /* and yet shards have a size */
	refuses(fd, "header is damaged");
	close(fd);
	assert_int_equal(pipe(pair), 0);
	refuses(pair[0], "no file");
	close(pair[0]);
	close(pair[1]);
	fixture_end(&f, c);
}

static void look_at_all(int fd)
{
	struct shmcache *a = shmcache_attach(fd, NULL);
	struct shmcache_occupancy o;
	struct shmcache_counters n;
	struct shmcache_holder h[4];
	struct shmcache_info i;
	struct told t;
	struct seen s = { 0 };

	if (a == NULL)
		return;
	shmcache_info(a, &i);
	assert_true(strlen(i.name) < SHMC_NAME && strlen(i.lockfile) < SHMC_PATH);
	(void)shmcache_walk(a, see, &s);
	(void)shmcache_occupancy(a, &o);
	(void)shmcache_holders(a, h, 4);
	(void)shmcache_verify(a, hear, &t);
	shmcache_counters(a, &n);
	shmcache_close(a);
}

/* Any byte of the header with other values, and thousands of scribbles over the rest: never a crash, never an endless loop. */
static void scribbled_files_are_looked_at_in_peace(void **state)
{
	struct fixture f;
	struct shmcache *c = fixture_open(&f, 16384);
	int fd = memory_file();
	size_t size = c->plan.segment;
	unsigned char *m;
	uint64_t dice = 88172645463325252u;

	(void)state;
	for (uint64_t n = 0; n < 200; n++)
		assert_int_equal(put(c, n, 0, 100 + n, 100), 0);
	assert_int_equal(shmcache_copy(c, fd, NULL), 0);
	m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(m != MAP_FAILED);
	for (size_t at = 0; at < sizeof(struct shmc_header); at++) {
		static const unsigned char flips[] = { 0x01, 0x80, 0xff, 0x7e };

		for (size_t k = 0; k < (at < 160 ? sizeof(flips) : 1); k++) {
			m[at] ^= flips[k];
			look_at_all(fd);
			m[at] ^= flips[k];
		}
	}
	for (size_t at = 0; at < offsetof(struct shmc_header, name); at += 4) {
		static const uint32_t values[] = { 0, 1, UINT32_MAX, 1u << 31 };

		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
			uint32_t was;

			memcpy(&was, m + at, sizeof(was));
			memcpy(m + at, &values[k], sizeof(was));
			look_at_all(fd);
			memcpy(m + at, &was, sizeof(was));
		}
	}
	for (int round = 0; round < 4000; round++) {
		unsigned char was[16];
		size_t at, n;

		dice ^= dice << 13;
		dice ^= dice >> 7;
		dice ^= dice << 17;
		n = 1 + dice % sizeof(was);
		/* every second one in the positions */
		at = round % 2 == 0 ? SHMC_SHARDS + (dice >> 8) % 48 : SHMC_SHARDS + (dice >> 8) % (size - SHMC_SHARDS - n);
		memcpy(was, m + at, n);
		memset(m + at, (int)(dice >> 56), n);
		look_at_all(fd);
		if (round % 100 != 99)          /* now and then it stays */
			memcpy(m + at, was, n);
	}
	munmap(m, size);
	close(fd);
	fixture_end(&f, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_the_header_says), cmocka_unit_test(tells_of_a_resize),
		cmocka_unit_test(walks_over_what_is_there),
		cmocka_unit_test(names_who_is_inside), cmocka_unit_test(verify_finds_each_damage),
		cmocka_unit_test(the_reserve_counts_when_nobody_is_inside), cmocka_unit_test(a_living_cache_is_seen_whole),
		cmocka_unit_test(a_stopped_holder_stops_nobody_who_looks), cmocka_unit_test(a_copy_keeps_all_but_the_seeds),
		cmocka_unit_test(what_is_no_cache_is_refused), cmocka_unit_test(scribbled_files_are_looked_at_in_peace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * segment.c - the segment's life: its geometry, its making, its adoption after exec, its name, its end; and
 * what a child does with it after fork. The master runs all but shmcache_child_init and shmcache_close.
 *
 * What a process uses of the geometry is its own copy: a header scribbled over by a process gone wild hurts
 * nobody that runs, and does not pass the header's mac at the next adoption.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/internal.h"

enum {
	AVERAGE = 356,                          /* bytes of a TLS 1.2 session */
	WANTED_SHARDS = 16,                     /* so many as soon as each has SMALL_SHARD bytes */
	SMALL_SHARD = 64 << 10,
	LARGE_SHARD = 4 << 20,                  /* checked within half a millisecond after a holder's death */
	TIMEOUT_MS = 50,
};

int shmc_fail(struct shmcache_err *e, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL || e->text[0] != '\0')
		return -1;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	snprintf(e->remedy, sizeof(e->remedy), "%s", remedy);
	return -1;
}

void shmc_clear(struct shmcache_err *e)
{
	if (e != NULL)
		e->text[0] = e->remedy[0] = '\0';
}

/* ------------------------------------------------------------------------------------------------ geometry */

/* A slot for each 5/8 of an average entry: buckets of eight are then seldom full before the rings are. */
static void plan_shard(struct shmcache_plan *p, size_t record)
{
	size_t room = p->shard_bytes - sizeof(struct shmc_shard_head);
	size_t each = record * 5 / 8;
	size_t slots = room / ((each < 64 ? 64 : each) + sizeof(uint64_t));
	size_t units;

	p->buckets = slots < SHMC_BUCKET ? 1 : (uint32_t)(slots / SHMC_BUCKET);
	units = (room - (size_t)p->buckets * SHMC_BUCKET * sizeof(uint64_t)) / SHMC_UNIT;
	p->ring_units[PROBATION] = (uint32_t)(units / 2);
	p->ring_units[MAIN] = (uint32_t)(units - units / 2);
	/* main must hold an entry and the reserve for a copy of another, and still be a ring */
	p->max_data = (p->ring_units[MAIN] / 4 - SHMC_HEAD_UNITS) * (size_t)SHMC_UNIT;
	if (p->max_data > SHMCACHE_MAX_DATA)
		p->max_data = SHMCACHE_MAX_DATA;
}

int shmcache_plan(size_t bytes, size_t avg_data, struct shmcache_plan *p, struct shmcache_err *e)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), unit = SHMC_UNIT, record, shards = 1;

	shmc_clear(e);
	memset(p, 0, sizeof(*p));
	p->bytes = bytes;
	p->avg_data = avg_data == 0 ? AVERAGE : avg_data;
	p->segment = SHMC_SHARDS;
	if (p->avg_data > SHMCACHE_MAX_DATA)
		return shmc_fail(e, "give the length of a usual entry", "entries of %zu bytes are too long, %d are possible",
		                 avg_data, SHMCACHE_MAX_DATA);
	if (bytes == 0)
		return 0;
	if (bytes < SHMCACHE_MIN_BYTES)
		return shmc_fail(e, "give at least 8192 bytes; 512000 hold about a thousand sessions",
		                 "a cache of %zu bytes is too small", bytes);
	if (bytes > SHMCACHE_MAX_BYTES)
		return shmc_fail(e, "give at most 1073741824 bytes; that is two million sessions",
		                 "a cache of %zu bytes is too large", bytes);
	while (shards < WANTED_SHARDS && bytes / (shards * 2) >= SMALL_SHARD)
		shards *= 2;
	while (bytes / shards > LARGE_SHARD)
		shards *= 2;
	p->shards = (uint32_t)shards;
	p->shard_bytes = (uint32_t)(bytes / shards) & ~63u;
	record = (SHMC_HEAD_UNITS * unit) + (p->avg_data + unit - 1) / unit * unit;
	plan_shard(p, record);
	if (p->avg_data <= p->max_data)         /* main's reserve is one of them */
		p->sessions = shards * (p->ring_units[PROBATION] / (record / unit) + p->ring_units[MAIN] / (record / unit) - 1);
	p->segment = (SHMC_SHARDS + shards * p->shard_bytes + page - 1) / page * page;
	return 0;
}

struct shmc_shard_head *shmc_shard_at(const struct shmcache *c, uint32_t i)
{
	return (struct shmc_shard_head *)(c->base + SHMC_SHARDS + (size_t)i * c->plan.shard_bytes);
}

uint64_t *shmc_ring_at(const struct shmcache *c, struct shmc_shard_head *h, unsigned ring)
{
	uint64_t *first = h->slots + (size_t)c->plan.buckets * SHMC_BUCKET;

	return ring == PROBATION ? first : first + (size_t)c->plan.ring_units[PROBATION] * 2;
}

/* No entry; positions start at the ring's size, so that no slot in use is 0. */
static void shard_born(const struct shmcache *c, struct shmc_shard_head *h)
{
	for (unsigned r = 0; r < 2; r++) {
		shmc_put(&h->ring[r].tail, c->plan.ring_units[r]);
		shmc_put(&h->ring[r].head, c->plan.ring_units[r]);
	}
}

const struct shmcache_plan *shmcache_geometry(const struct shmcache *c)
{
	return &c->plan;
}

const char *shmcache_name(const struct shmcache *c)
{
	return c->name;
}

/* ------------------------------------------------------------------------------------------------ making */

struct shmcache *shmc_handle_new(struct shmcache_err *e)
{
	/* Not of the heap: a process that ruined its own still gives its locks up when it crashes. */
	struct shmcache *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED) {
		shmc_fail(e, "", "no memory for the cache");
		return NULL;
	}
	c->segfd = c->lockfd = c->keyfd = c->lock = -1;
	c->master = getpid();
	return c;
}

static int in_use(const char *name, const char *lockfile, struct shmcache_err *e)
{
	long pid = shmc_instance_pid(lockfile);
	char who[32] = "";

	if (pid > 0)
		snprintf(who, sizeof(who), " with pid %ld", pid);
	return shmc_fail(e, "stop it, or choose another name",
	                 "shared memory object %s is in use by an instance%s, whose lockfile is %s", name, who, lockfile);
}

/* Removes the object of a dead instance. -1: it is a living one's, or a stranger's. */
static int remove_left_over(const struct shmcache *c, const char *name, struct shmcache_err *e)
{
	int fd = shm_open(name, O_RDONLY | O_NOFOLLOW, 0);
	struct shmc_header h;
	struct stat st;
	bool readable;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno != EACCES)
		return shmc_fail(e, "remove it, or choose another name", "shared memory object %s is there already: %s", name,
		                 strerror(errno));
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid()) {
		if (fd >= 0)
			close(fd);
		return shmc_fail(e, "remove it, or choose another name",
		                 "shared memory object %s is there already and belongs to another user", name);
	}
	readable = pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && h.magic == SHMC_MAGIC &&
	           memchr(h.lockfile, '\0', sizeof(h.lockfile)) != NULL;
	close(fd);
	/* Our own lockfile's instance byte is ours by now: who made the object with it is dead. */
	if (readable && (h.lock_dev != c->lock_dev || h.lock_ino != c->lock_ino) &&
	    shmc_instance_lives(h.lockfile, h.lock_dev, h.lock_ino))
		return in_use(name, h.lockfile, e);
	return shm_unlink(name) == 0 || errno == ENOENT
	               ? 0
	               : shmc_fail(e, "", "removing shared memory object %s: %s", name, strerror(errno));
}

/* The segment's descriptor; *named tells whether it has the name. -1 with *e. */
static int segment_open(const struct shmcache *c, const char *name, bool *named, struct shmcache_err *e)
{
	int fd;

	*named = true;
	for (int i = 0; i < SHMC_TRIES && name[0] != '\0'; i++) {
		fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		if (fd >= 0)
			return fd;
		if (errno == EEXIST) {
			if (remove_left_over(c, name, e) < 0)
				return -1;
			continue;
		}
		break;
	}
	if (name[0] != '\0' &&
	    (errno == EMFILE || errno == ENFILE || errno == EEXIST || errno == EINVAL || errno == ENAMETOOLONG))
		return shmc_fail(e, "", "making shared memory object %s: %s", name, strerror(errno));
	/*
	 * No /dev/shm, or none for us: nameless memory does as well, but for the tool that looks for the
	 * name.
	 */
	*named = false;
	fd = memfd_create("shmcache", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return shmc_fail(e, "mount a tmpfs on /dev/shm", "no shared memory: %s", strerror(errno));
	return fd;
}

/* Every page now: memory that is only promised ends in SIGBUS. */
static int allocate(const struct shmcache *c, bool named, struct shmcache_err *e)
{
	struct statvfs fs = { .f_frsize = 0 };
	int why;

	do
		why = posix_fallocate(c->segfd, 0, (off_t)c->plan.segment);
	while (why == EINTR);
	errno = why;                            /* posix_fallocate leaves it alone; a resize tells it */
	if (why == ENOSPC && named && fstatvfs(c->segfd, &fs) == 0 && fs.f_blocks > 0)
		return shmc_fail(e, "make the cache smaller, or enlarge it (mount -o remount,size=… /dev/shm)",
		                 "%zu bytes for the cache cannot be had: /dev/shm has %llu bytes free of %llu", c->plan.segment,
		                 (unsigned long long)fs.f_bavail * fs.f_frsize, (unsigned long long)fs.f_blocks * fs.f_frsize);
	if (why != 0)
		return shmc_fail(e, "make the cache smaller, or enlarge it (mount -o remount,size=… /dev/shm)",
		                 "%zu bytes for the cache cannot be had in shared memory: %s", c->plan.segment, strerror(why));
	if (fchmod(c->segfd, 0600) < 0 ||
	    (!named && fcntl(c->segfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0))
		return shmc_fail(e, "", "closing the cache's memory to others: %s", strerror(errno));
	return 0;
}

static int map(struct shmcache *c, struct shmcache_err *e)
{
	void *p = mmap(NULL, c->plan.segment, PROT_READ | PROT_WRITE, MAP_SHARED, c->segfd, 0);

	if (p == MAP_FAILED)
		return shmc_fail(e, "make the cache smaller", "mapping the cache: %s", strerror(errno));
	(void)madvise(p, c->plan.segment, MADV_DONTDUMP);
	c->base = p;
	return 0;
}

static int header_write(struct shmcache *c, struct shmcache_err *e)
{
	const struct shmcache_plan *p = &c->plan;
	struct shmc_header h;

	memset(&h, 0, sizeof(h));
	h.magic = SHMC_MAGIC;
	h.version = SHMC_VERSION;
	h.oldest = SHMC_OLDEST;
	h.created = (uint64_t)time(NULL);
	h.bytes = p->bytes;
	h.segment = p->segment;
	h.max_data = p->max_data;
	h.sessions = p->sessions;
	h.avg_data = p->avg_data;
	h.shards = p->shards;
	h.shard_bytes = p->shard_bytes;
	h.buckets = p->buckets;
	h.ring_units[PROBATION] = p->ring_units[PROBATION];
	h.ring_units[MAIN] = p->ring_units[MAIN];
	h.lock_kind = c->kind;
	h.timeout_ms = c->timeout_ms;
	h.lock_base = c->lock_base;
	h.lock_dev = c->lock_dev;
	h.lock_ino = c->lock_ino;
	snprintf(h.name, sizeof(h.name), "%s", c->name);
	snprintf(h.lockfile, sizeof(h.lockfile), "%s", c->lockfile);
	if (shmc_header_mac(c->keyfd, &h, h.mac) < 0)
		return shmc_fail(e, "", "the cache's key cannot be read");
	memcpy(c->base, &h, sizeof(h));
	return 0;
}

int shmc_segment_make(struct shmcache *c, const char *name, struct shmcache_err *e)
{
	bool named;

	c->segfd = segment_open(c, name, &named, e);
	if (c->segfd < 0)
		return -1;
	if (named)
		snprintf(c->name, sizeof(c->name), "%s", name);
	if (allocate(c, named, e) < 0 || map(c, e) < 0)
		return -1;
	for (uint32_t i = 0; i < c->plan.shards; i++) {
		shard_born(c, shmc_shard_at(c, i));
		if (c->kind == SHMCACHE_LOCK_ROBUST && shmc_mutex_born(shmc_shard_at(c, i)) < 0)
			return shmc_fail(e, "choose another kind of lock", "this system has no robust mutexes: %s",
			                 strerror(errno));
	}
	return header_write(c, e);
}

static int options_take(struct shmcache *c, const struct shmcache_lock_options *lock, struct shmcache_err *e)
{
	if (strlen(lock->lockfile) >= sizeof(c->lockfile))
		return shmc_fail(e, "choose a shorter path", "the lockfile's path is longer than %d bytes", SHMC_PATH - 1);
	snprintf(c->lockfile, sizeof(c->lockfile), "%s", lock->lockfile);
	c->kind = lock->kind;
	c->timeout_ms = lock->timeout_ms == 0 ? TIMEOUT_MS : lock->timeout_ms;
	return 0;
}

struct shmcache *shmcache_create(const struct shmcache_plan *plan, const char *name,
                                 const struct shmcache_lock_options *lock, struct shmcache_err *e)
{
	struct shmcache *c;
	char twin[SHMC_NAME];

	shmc_clear(e);
	if (name[0] != '/' || name[1] == '\0' || strchr(name + 1, '/') != NULL ||
	    strlen(name) + strlen(SHMC_TWIN) >= sizeof(twin)) {
		shmc_fail(e, "give a name such as /bulkhead-1f3c", "'%s' is no name of a shared memory object", name);
		return NULL;
	}
	if (shmc_gcrypt_init(e) < 0 || (c = shmc_handle_new(e)) == NULL)
		return NULL;
	c->plan = *plan;
	if (options_take(c, lock, e) < 0)
		goto fail;
	c->lockfd = shmc_lockfile_open(c->lockfile, &c->lock_dev, &c->lock_ino, e);
	if (c->lockfd < 0)
		goto fail;
	/* A dead instance may have left two. One that cannot go, or is another's, matters at the next resize only. */
	snprintf(twin, sizeof(twin), "%s" SHMC_TWIN, name);
	(void)remove_left_over(c, twin, NULL);
	c->keyfd = shmc_key_new(e);
	if (c->keyfd < 0 || shmc_segment_make(c, name, e) < 0)
		goto fail;
	shmc_release(&shmc_seeds_of(c)->alone, 1);
	return c;
fail:
	shmcache_unlink(c);
	shmcache_close(c);
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ adopting */

/* The mac says that we wrote it; this says that we can live with it. */
static bool plan_of_header(const struct shmc_header *h, struct shmcache_plan *p)
{
	uint64_t shard = sizeof(struct shmc_shard_head) + (uint64_t)h->buckets * SHMC_BUCKET * sizeof(uint64_t) +
	                 ((uint64_t)h->ring_units[PROBATION] + h->ring_units[MAIN]) * SHMC_UNIT;
	uint64_t longest = SHMC_HEAD_UNITS + (h->max_data + SHMC_UNIT - 1) / SHMC_UNIT;

	if (h->lock_base != 0 && h->lock_base != SHMC_MAX_SHARDS)
		return false;
	if (h->shards > SHMC_MAX_SHARDS || (h->shards & (h->shards - 1)) != 0 || h->max_data > SHMCACHE_MAX_DATA)
		return false;
	if (h->segment < SHMC_SHARDS + (uint64_t)h->shards * h->shard_bytes)
		return false;
	if (h->shards > 0 && (shard > h->shard_bytes || h->buckets == 0 || h->shard_bytes % 64 != 0 ||
	                      longest > h->ring_units[PROBATION] || 2 * longest > h->ring_units[MAIN]))
		return false;
	*p = (struct shmcache_plan){
		.bytes = h->bytes, .segment = h->segment, .max_data = h->max_data, .sessions = h->sessions,
		.avg_data = h->avg_data, .shards = h->shards, .shard_bytes = h->shard_bytes, .buckets = h->buckets,
		.ring_units = { h->ring_units[PROBATION], h->ring_units[MAIN] },
	};
	return true;
}

static int header_read(struct shmcache *c, int segfd, int lockfd, int keyfd, struct shmcache_err *e)
{
	static const char anew[] = "start with an empty cache";
	unsigned char mac[SHMC_MAC];
	struct shmc_header h;
	struct stat seg, lock;

	if (fstat(segfd, &seg) < 0 || fstat(lockfd, &lock) < 0 || pread(segfd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		return shmc_fail(e, anew, "the cache handed over cannot be read: %s", strerror(errno));
	if (h.magic != SHMC_MAGIC)
		return shmc_fail(e, anew, "what was handed over is no cache");
	if (h.version < SHMC_OLDEST || h.oldest > SHMC_VERSION)
		return shmc_fail(e, anew, "the cache handed over has layout %u, this program reads %u", h.version,
		                 SHMC_VERSION);
	if (shmc_header_mac(keyfd, &h, mac) < 0 || memcmp(mac, h.mac, sizeof(mac)) != 0)
		return shmc_fail(e, anew, "the cache handed over is damaged or has another key");
	if (!plan_of_header(&h, &c->plan) || (uint64_t)seg.st_size != h.segment)
		return shmc_fail(e, anew, "the cache handed over is %lld bytes long and says %llu", (long long)seg.st_size,
		                 (unsigned long long)h.segment);
	if (lock.st_dev != h.lock_dev || lock.st_ino != h.lock_ino)
		return shmc_fail(e, anew, "the lockfile handed over is not the cache's");
	c->lock_base = h.lock_base;
	c->lock_dev = h.lock_dev;
	c->lock_ino = h.lock_ino;
	c->kind = h.lock_kind;
	c->timeout_ms = h.timeout_ms;
	snprintf(c->name, sizeof(c->name), "%s", h.name);
	snprintf(c->lockfile, sizeof(c->lockfile), "%s", h.lockfile);
	return 0;
}

static void cloexec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

/* The segment before, while the program before was resizing; one that does not fit is let go of. */
static void adopt_older(struct shmcache *c, int segfd, int lockfd, int keyfd)
{
	struct shmcache *o = segfd < 0 ? NULL : shmc_handle_new(NULL);

	if (o != NULL && shmc_load(&shmc_seeds_of(c)->alone) == 0 && header_read(o, segfd, lockfd, keyfd, NULL) == 0 &&
	    o->lock_base != c->lock_base) {
		o->segfd = segfd;
		if (map(o, NULL) == 0) {
			cloexec(segfd);
			c->older = o;
			return;
		}
		o->segfd = -1;
	}
	if (segfd >= 0)
		close(segfd);
	shmcache_close(o);
	shmc_release(&shmc_seeds_of(c)->alone, 1);
}

struct shmcache *shmcache_adopt(const int fds[SHMCACHE_FDS], struct shmcache_err *e)
{
	int segfd = fds[0], lockfd = fds[1], keyfd = fds[2];
	struct shmcache *c;

	shmc_clear(e);
	if (shmc_gcrypt_init(e) < 0 || (c = shmc_handle_new(e)) == NULL)
		return NULL;
	if (header_read(c, segfd, lockfd, keyfd, e) < 0)
		goto fail;
	if (shmc_instance_take(lockfd) < 0) {
		shmc_fail(e, "stop the other instance", "lockfile %s is in use by another process", c->lockfile);
		goto fail;
	}
	c->segfd = segfd;
	if (map(c, e) < 0)
		goto fail;
	c->lockfd = lockfd;
	c->keyfd = keyfd;
	cloexec(segfd);
	cloexec(lockfd);
	cloexec(keyfd);
	adopt_older(c, fds[3], lockfd, keyfd);
	return c;
fail:
	c->segfd = -1;                          /* the caller's still */
	shmcache_close(c);
	return NULL;
}

void shmcache_fds(const struct shmcache *c, int fds[SHMCACHE_FDS])
{
	fds[0] = c->segfd;
	fds[1] = c->lockfd;
	fds[2] = c->keyfd;
	fds[3] = c->older == NULL ? -1 : c->older->segfd;
}

/* ------------------------------------------------------------------------------------------------ child */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * Maps the head anew from a description that cannot write: what was mapped from one that can, the process itself could
 * make writable again.
 */
static bool head_readonly(const struct shmcache *c)
{
	char proc[64];
	void *p = MAP_FAILED;
	int fd;

	if (SHMC_SHARDS % (size_t)sysconf(_SC_PAGESIZE) != 0)
		return false;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", c->segfd);
	fd = open(proc, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		p = mmap(c->base, SHMC_SHARDS, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
		close(fd);
	}
	if (p == MAP_FAILED)
		return mprotect(c->base, SHMC_SHARDS, PROT_READ) == 0;
	(void)madvise(p, SHMC_SHARDS, MADV_DONTDUMP);
	return true;
}

/*
 * A child that is not the master at once has no use for what the master holds, nor for writing to the head.
 */
static void let_go(struct shmcache *c)
{
	if (getpid() == c->master)
		return;
	c->readonly_head = head_readonly(c);
	close_fd(&c->segfd);
	close_fd(&c->lockfd);
	close_fd(&c->keyfd);
	if (c->older != NULL)
		let_go(c->older);
}

int shmcache_child_init(struct shmcache *c, struct shmcache_err *e)
{
	int r = -1;

	shmc_clear(e);
	if (c->cipher != NULL)
		return shmc_fail(e, "", "the cache is in use in this process already");
	if (c->keyfd < 0 || c->lockfd < 0)
		return shmc_fail(e, "", "the cache's descriptors are closed already");
	c->self = getpid();
	if (shmc_fork_page(c, e) == 0 && (c->plan.shards == 0 || shmc_lock_init(c, e) == 0) &&
	    shmc_cipher_open(c->keyfd, &c->cipher, c->hash_key, e) == 0)
		r = 0;
	let_go(c);
	return r;
}

/* ------------------------------------------------------------------------------------------------ end */

static bool same_object(int a, int b)
{
	struct stat s, t;

	return fstat(a, &s) == 0 && fstat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

void shmc_segment_unlink(const struct shmcache *c)
{
	int fd;

	/* A name may be another's by now: only what is ours goes. */
	if (c->name[0] == '\0' || c->segfd < 0 || (fd = shm_open(c->name, O_RDONLY | O_NOFOLLOW, 0)) < 0)
		return;
	if (same_object(fd, c->segfd))
		(void)shm_unlink(c->name);
	close(fd);
}

void shmcache_unlink(struct shmcache *c)
{
	struct stat st;

	shmc_segment_unlink(c);
	if (c->older != NULL)
		shmc_segment_unlink(c->older);
	if (c->lockfd >= 0 && lstat(c->lockfile, &st) == 0 && st.st_dev == c->lock_dev && st.st_ino == c->lock_ino)
		(void)unlink(c->lockfile);
}

void shmcache_close(struct shmcache *c)
{
	if (c == NULL)
		return;
	shmcache_close(c->older);
	gcry_cipher_close(c->cipher);
	if (c->fork != NULL)
		munmap(c->fork, (size_t)sysconf(_SC_PAGESIZE));
	if (c->base != NULL)
		munmap(c->base, c->plan.segment);
	close_fd(&c->lock);
	close_fd(&c->segfd);
	close_fd(&c->lockfd);
	close_fd(&c->keyfd);
	explicit_bzero(c, sizeof(*c));
	munmap(c, sizeof(*c));
}

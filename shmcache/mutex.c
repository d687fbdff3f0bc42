/*
 * mutex.c - the lockfile: one byte a shard, and one far byte that says the instance lives; or, instead of the shards'
 * bytes, robust mutexes in the shards.
 *
 * The master opens the file and holds the instance's byte; each child opens a description of its own and
 * locks the shards' bytes with it. The kernel frees both whenever their holder ends. Record locks of one
 * description do not exclude each other: that is why a child must not use the master's, and why it must not
 * fork.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/internal.h"

int (*shmc_statfs)(const char *path, struct statfs *s) = statfs;

/* The name of a file system whose locks another machine keeps (or that keeps none), NULL for a local one. */
static const char *network_fs(unsigned long magic)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = {
		{ 0x6969, "NFS" }, { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB" }, { 0x517b, "SMB" }, { 0x01021997, "9p" },
		{ 0x65735546, "FUSE" }, { 0x5346414f, "AFS" }, { 0x6b414653, "AFS" }, { 0x00c36400, "Ceph" },
		{ 0x73757245, "Coda" }, { 0x01161970, "GFS2" }, { 0x7461636f, "OCFS2" }, { 0x0bd00bd0, "Lustre" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].magic == (magic & 0xffffffff))
			return known[i].name;
	return NULL;
}

static int refuse_network(const char *path, struct shmcache_err *e)
{
	char dir[SHMC_PATH];
	struct statfs s;
	const char *slash = strrchr(path, '/'), *fs;

	if (path[0] != '/' || slash[1] == '\0' || strlen(path) >= sizeof(dir))
		return shmc_fail(e, "give the absolute path of a file, for example below /run", "lockfile '%s' cannot be used",
		                 path);
	snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (shmc_statfs(dir, &s) < 0)
		return shmc_fail(e, "make the folder, or give the lockfile another place, for example below /run",
		                 "folder %s of the lockfile: %s", dir, strerror(errno));
	fs = network_fs((unsigned long)s.f_type);
	if (fs != NULL)
		return shmc_fail(e, "put the lockfile on a local file system, for example below /run",
		                 "lockfile %s lies on %s, where locks are slow, or stay behind, or are none", path, fs);
	return 0;
}

static struct flock record(short type, off_t byte, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = len };
}

static void note_pid(int fd)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	/* Only a help for people and for the error above: a full disk is no reason to stop. */
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		return;
}

int shmc_instance_take(int fd)
{
	struct flock l = record(F_WRLCK, SHMC_INSTANCE, 1);

	if (fcntl(fd, F_OFD_SETLK, &l) < 0)
		return -1;
	note_pid(fd);
	return 0;
}

bool shmc_instance_lives(const char *path, uint64_t dev, uint64_t ino)
{
	struct flock l = record(F_WRLCK, SHMC_INSTANCE, 1);
	struct stat st;
	bool lives = false;
	int fd;

	/*
	 * A child gone wild may have written the path: a device is not opened, and nobody's lock counts on what
	 * is no lockfile of ours.
	 */
	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 07777) != 0600)
		return false;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino && fcntl(fd, F_OFD_GETLK, &l) == 0)
		lives = l.l_type != F_UNLCK;
	close(fd);
	return lives;
}

/* The pid that the holder wrote into the lockfile; 0 where it is not known or gone. */
static long holder(int fd)
{
	char text[32];
	char proc[64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	pid = strtol(text, NULL, 10);
	if (pid <= 0)
		return 0;
	snprintf(proc, sizeof(proc), "/proc/%ld", pid);
	return access(proc, F_OK) == 0 ? pid : 0;
}

long shmc_instance_pid(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	long pid = fd < 0 ? 0 : holder(fd);

	if (fd >= 0)
		close(fd);
	return pid;
}

static int in_use(int fd, const char *path, struct shmcache_err *e)
{
	int why = errno;
	long pid = holder(fd);

	if (why != EAGAIN && why != EACCES)
		return shmc_fail(e, "put the lockfile on another file system, for example below /run", "locking %s: %s", path,
		                 strerror(why));
	if (pid > 0)
		return shmc_fail(e, "stop that process, or give this instance a lockfile of its own",
		                 "lockfile %s is in use by the process with pid %ld", path, pid);
	return shmc_fail(e, "stop the other instance (fuser names it), or give this one a lockfile of its own",
	                 "lockfile %s is in use by another process", path);
}

/* As the server before left it. Whoever names another file by mistake must not lose what is in it. */
static bool holds_at_most_a_pid(int fd, off_t size)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	ssize_t digits = 0;

	if (n < 0 || n != size)
		return false;
	while (digits < n && text[digits] >= '0' && text[digits] <= '9')
		digits++;
	return n == 0 || (digits > 0 && (digits == n || (digits == n - 1 && text[digits] == '\n')));
}

/* Is it a file that only we can have meant? A stranger's could be locked by him for ever. */
static int suits(int fd, const char *path, struct stat *st, struct shmcache_err *e)
{
	if (fstat(fd, st) < 0)
		return shmc_fail(e, "", "%s: %s", path, strerror(errno));
	if (!S_ISREG(st->st_mode))
		return shmc_fail(e, "give the path of a file", "lockfile %s is not a plain file", path);
	if (st->st_uid != geteuid())
		return shmc_fail(e, "remove it, or choose a folder that nobody else may write",
		                 "lockfile %s belongs to another user (uid %u)", path, (unsigned)st->st_uid);
	if (!holds_at_most_a_pid(fd, st->st_size))
		return shmc_fail(e, "give the path of a file that does not exist yet: the lockfile is written and removed by the server",
		                 "%s cannot be the lockfile: it holds something else", path);
	if ((st->st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
		return shmc_fail(e, "", "setting the mode of %s: %s", path, strerror(errno));
	return 0;
}

static const char *open_remedy(int why)
{
	switch (why) {
	case EISDIR: return "give the path of a file";
	case ELOOP: return "it is a symbolic link, which somebody else may have put there: remove it, or give the lockfile another place";
	case ENOSPC: return "make room on that file system, or give the lockfile another place";
	default: return "make the folder writable for this user, or give the lockfile another place";
	}
}

int shmc_lockfile_open(const char *path, uint64_t *dev, uint64_t *ino, struct shmcache_err *e)
{
	struct stat st, named;

	if (refuse_network(path, e) < 0)
		return -1;
	/*
	 * Another instance that ends takes the name away: what we locked must still be what the path names.
	 */
	for (int i = 0; i < SHMC_TRIES; i++) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

		if (fd < 0)
			return shmc_fail(e, open_remedy(errno), "opening lockfile %s: %s", path, strerror(errno));
		if (suits(fd, path, &st, e) < 0) {
			close(fd);
			return -1;
		}
		if (shmc_instance_take(fd) < 0) {
			in_use(fd, path, e);
			close(fd);
			return -1;
		}
		if (stat(path, &named) == 0 && named.st_dev == st.st_dev && named.st_ino == st.st_ino) {
			*dev = st.st_dev;
			*ino = st.st_ino;
			return fd;
		}
		close(fd);
	}
	return shmc_fail(e, "find what removes it", "lockfile %s vanishes again and again", path);
}

/* ------------------------------------------------------------------------------------------------ child */

static int same_file(int fd, const struct shmcache *c)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == c->lock_dev && st.st_ino == c->lock_ino;
}

/* A fresh description of the very same file; -1 where neither /proc nor the path leads there. */
static int own_description(const struct shmcache *c)
{
	char proc[64];
	int fd;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", c->lockfd);
	fd = open(proc, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = open(c->lockfile, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	/* The path may name a file that was made anew meanwhile: its locks would exclude nobody. */
	if (fd >= 0 && !same_file(fd, c)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* ------------------------------------------------------------------------------------------------ robust mutexes */

int shmc_mutex_born(struct shmc_shard_head *h)
{
	pthread_mutexattr_t a;
	int why = pthread_mutexattr_init(&a);

	if (why == 0) {
		(void)pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
		if ((why = pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED)) == 0 &&
		    (why = pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST)) == 0)
			why = pthread_mutex_init(&h->mutex, &a);
		pthread_mutexattr_destroy(&a);
	}
	errno = why;
	return why == 0 ? 0 : -1;
}

/*
 * The type of such a mutex, to tell one that was written over: of most other types one would be had, and its holder's
 * death would leave it locked for ever.
 */
static int mutex_kind(void)
{
	struct shmc_shard_head *model = calloc(1, sizeof(*model));
	int kind = -1;

	if (model != NULL && shmc_mutex_born(model) == 0) {
		kind = model->mutex.__data.__kind;
		pthread_mutex_destroy(&model->mutex);
	}
	free(model);
	return kind;
}

/*
 * Whoever died with it leaves it to the next (EOWNERDEAD); whether he died inside, `owner` says. One that cannot be had
 * any more is as one that is held for ever.
 */
static int try_mutex(struct shmcache *c, struct shmc_shard_head *h)
{
	int why;

	if (__atomic_load_n(&h->mutex.__data.__kind, __ATOMIC_RELAXED) == c->mutex_kind) {
		c->inside = h;
		why = pthread_mutex_trylock(&h->mutex);
		if (why == EOWNERDEAD)
			why = pthread_mutex_consistent(&h->mutex);
		if (why == 0)
			return 0;
		c->inside = NULL;
	}
	errno = EAGAIN;
	return -1;
}

/*
 * In a signal handler, where pthread_mutex_unlock may not be called, least of all in the middle of itself: what the kernel
 * does at the holder's death, and only if it is ours.
 */
static void release_mutex(const struct shmcache *c)
{
	struct shmc_shard_head *h = c->inside;
	int was, *word;

	if (h == NULL)
		return;
	word = &h->mutex.__data.__lock;
	was = __atomic_load_n(word, __ATOMIC_RELAXED);
	if ((was & FUTEX_TID_MASK) == syscall(SYS_gettid))
		(void)__atomic_compare_exchange_n(word, &was, (was & (int)FUTEX_WAITERS) | FUTEX_OWNER_DIED, false,
		                                  __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------------------------------------ locking */

int shmc_lock_init(struct shmcache *c, struct shmcache_err *e)
{
	if (c->kind == SHMCACHE_LOCK_ROBUST) {
		c->how = c->kind;
		c->mutex_kind = mutex_kind();
		return c->mutex_kind >= 0 ? 0 : shmc_fail(e, "choose another kind of lock", "this system has no robust mutexes");
	}
	c->lock = own_description(c);
	c->how = c->kind;
	if (c->lock >= 0)
		return 0;
	if (c->kind == SHMCACHE_LOCK_FLOCK)
		return shmc_fail(e, "mount /proc, or choose another kind of lock than flock",
		                 "the lockfile %s cannot be opened anew, and flock locks of one description exclude nobody",
		                 c->lockfile);
	/*
	 * Classic locks belong to the process, not to the description, and exclude the others' OFD locks as
	 * well.
	 */
	c->lock = fcntl(c->lockfd, F_DUPFD_CLOEXEC, 0);
	c->how = SHMCACHE_LOCK_FCNTL;
	return c->lock >= 0 ? 0 : shmc_fail(e, "", "no descriptor for the lockfile: %s", strerror(errno));
}

static int try_lock(struct shmcache *c, uint32_t shard, struct shmc_shard_head *h)
{
	struct flock l = record(F_WRLCK, (off_t)c->lock_base + shard, 1);

	switch (c->how) {
	case SHMCACHE_LOCK_FLOCK: return flock(c->lock, LOCK_EX | LOCK_NB);
	case SHMCACHE_LOCK_FCNTL: return fcntl(c->lock, F_SETLK, &l);
	case SHMCACHE_LOCK_ROBUST: return try_mutex(c, h);
	default: return fcntl(c->lock, F_OFD_SETLK, &l);
	}
}

static uint64_t microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/*
 * Held for a microsecond as a rule: first only give way, then sleep. ppoll, since sandboxes know it where
 * they forbid nanosleep.
 */
static void pause_for(unsigned round)
{
	static const long ns[] = { 20000, 100000, 1000000 };
	struct timespec t = { .tv_sec = 0 };

	if (round < 3) {
		sched_yield();
		return;
	}
	t.tv_nsec = ns[round - 3 < 2 ? round - 3 : 2];
	ppoll(NULL, 0, &t, NULL);
}

static void count_wait(struct shmc_shard_head *h, uint64_t us)
{
	unsigned i = 0;

	for (uint64_t limit = 1; i < 7 && us >= limit; limit *= 4)
		i++;
	shmc_count(h, N_WAITS + i);
}

static void note_wait(struct shmcache *c, uint32_t shard, uint64_t us, bool given_up)
{
	c->wait.n++;
	c->wait.shard = shard;
	c->wait.us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
	c->wait.given_up = given_up;
}

/* Who is inside, as far as he has signed in; else who was the last time that was looked. */
static void note_owner(struct shmcache *c, struct shmc_shard_head *h)
{
	uint64_t pid = shmc_load(&h->owner);

	if (pid != 0 && pid <= INT_MAX)
		c->wait.owner = (pid_t)pid;
}

void shmcache_last_wait(const struct shmcache *c, struct shmcache_wait *out)
{
	*out = c->wait;
}

static int give_up(struct shmcache *c, uint32_t shard, struct shmc_shard_head *h, uint64_t us)
{
	note_wait(c, shard, us, true);
	shmc_count(h, N_LOCK_TIMEOUT);
	errno = ETIMEDOUT;
	return -1;
}

/*
 * A holder that is stopped in a debugger costs one full wait a second, not one a store. On a busy machine a wait may end in
 * vain as well: there somebody has stored since, or somebody else is inside.
 */
static bool still_stuck(const struct shmcache *c, uint32_t shard, const struct shmc_shard_head *h, uint64_t now)
{
	const struct shmc_stuck *k = &c->stuck[shard];

	return now < k->until && shmc_load(&h->owner) == k->owner && shmc_load(&h->ring[PROBATION].head) == k->head;
}

int shmc_lock(struct shmcache *c, uint32_t shard, struct shmc_shard_head *h)
{
	uint64_t start, now;

	if (try_lock(c, shard, h) == 0) {
		c->stuck[shard].until = 0;
		return 0;
	}
	shmc_count(h, N_LOCK_BUSY);
	c->wait.owner = 0;
	note_owner(c, h);
	start = now = microseconds();
	for (unsigned round = 0; now - start < (uint64_t)c->timeout_ms * 1000; round++) {
		if (round >= 3 && still_stuck(c, shard, h, now))
			return give_up(c, shard, h, now - start);
		pause_for(round);
		if (try_lock(c, shard, h) == 0) {
			c->stuck[shard].until = 0;
			now = microseconds();
			count_wait(h, now - start);
			note_wait(c, shard, now - start, false);
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
			errno = EIO;
			return -1;
		}
		note_owner(c, h);
		now = microseconds();
	}
	c->stuck[shard] = (struct shmc_stuck){
		.until = now + 1000000, .owner = shmc_load(&h->owner), .head = shmc_load(&h->ring[PROBATION].head),
	};
	return give_up(c, shard, h, now - start);
}

void shmc_unlock(struct shmcache *c, uint32_t shard)
{
	struct flock l = record(F_UNLCK, (off_t)c->lock_base + shard, 1);

	switch (c->how) {
	case SHMCACHE_LOCK_FLOCK: (void)flock(c->lock, LOCK_UN); break;
	case SHMCACHE_LOCK_FCNTL: (void)fcntl(c->lock, F_SETLK, &l); break;
	case SHMCACHE_LOCK_ROBUST:
		(void)pthread_mutex_unlock(&shmc_shard_at(c, shard)->mutex);
		c->inside = NULL;
		break;
	default: (void)fcntl(c->lock, F_OFD_SETLK, &l); break;
	}
}

void shmcache_crash_release(const struct shmcache *c)
{
	struct flock l = record(F_UNLCK, 0, SHMC_LOCK_BYTES);
	int saved = errno;

	if (c != NULL)
		release_mutex(c);
	if (c != NULL && c->lock >= 0) {
		if (c->how == SHMCACHE_LOCK_FLOCK)
			(void)flock(c->lock, LOCK_UN);
		else
			(void)fcntl(c->lock, c->how == SHMCACHE_LOCK_FCNTL ? F_SETLK : F_OFD_SETLK, &l);
	}
	errno = saved;
}

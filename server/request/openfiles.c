/*
 * openfiles.c - descriptors of small files, kept in a table by the hash of their names; one that meets another there takes its
 * place. Runs in the children, from one thread.
 *
 * A descriptor is shared by the table and the requests that read it (with offsets of their own), so that it is counted: the last
 * one closes it. Only what lies on a device is kept: a file system of another kind (st_dev without a major number: the
 * network's, above all) may answer stat from memory where opening would have asked.
 */
#include "request/openfiles.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FDS 4096                        /* larger numbers are not kept */

static struct kept {
	char *path;                     /* NULL = free */
	struct stat st;
	time_t used;
	uint64_t looked, read;          /* moments of st and of content; 0 = never */
	char *content;                  /* st.st_size bytes, or NULL */
	bool shared;                    /* st was given out without a look of its own */
	int fd;
} table[OPENFILES_MOST];
static uint32_t users[FDS];             /* of a descriptor that is, or was, in the table: requests, and the table itself */
static uint8_t kept_in[FDS];             /* where in the table it is, if it is */
static uint64_t moment = 1, turn_began = 1;     /* a turn, or a read of a client's bytes, each makes the next */
static unsigned n_kept;
static time_t swept;

static unsigned place_of(const char *path)
{
	size_t n = strlen(path);
	uint64_t hash = n, part;

	for (; n; path += sizeof part) {
		part = 0;
		memcpy(&part, path, n < sizeof part ? n : sizeof part);
		hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
		n -= n < sizeof part ? n : sizeof part;
	}
	return hash % OPENFILES_MOST;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
	       a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

void openfile_turn(void)
{
	turn_began = ++moment;
}

uint64_t openfile_came(void)
{
	return ++moment;
}

/* What was found out at that moment of this turn is true for bytes that came before it. */
static bool holds(uint64_t at, uint64_t came)
{
	return came && at >= came && at >= turn_began;
}

void openfile_close(int fd)
{
	if (fd < FDS && fd >= 0 && users[fd] && --users[fd])
		return;
	close(fd);
}

static void drop(struct kept *k)
{
	openfile_close(k->fd);
	free(k->path);
	free(k->content);
	k->path = k->content = NULL;
	n_kept--;
}

bool openfile_forget(void)
{
	bool closed = false;

	for (unsigned i = 0; i < OPENFILES_MOST && n_kept; i++)
		if (table[i].path) {
			closed |= users[table[i].fd] == 1;
			drop(&table[i]);
		}
	return closed;
}

/* Once a second. */
static void sweep(time_t now)
{
	if (now == swept)
		return;
	swept = now;
	for (unsigned i = 0; i < OPENFILES_MOST && n_kept; i++)
		if (table[i].path && (table[i].used + OPENFILES_IDLE < now || table[i].used > now))
			drop(&table[i]);
}

/* st as the name leads to it; false: it is another file by now, or none. */
static bool look(struct kept *k, uint64_t came)
{
	struct stat st;

	k->shared = holds(k->looked, came);
	if (k->shared)
		return true;
	k->looked = moment;
	return stat(k->path, &st) == 0 && same_file(&st, &k->st);
}

int openfile_take(const char *path, time_t now, uint64_t came, struct stat *st)
{
	int saved = errno;
	struct kept *k;

	if (!n_kept)
		return -1;
	sweep(now);
	k = &table[place_of(path)];
	if (!k->path || strcmp(k->path, path) != 0)
		return -1;
	if (users[k->fd] == UINT32_MAX || !look(k, came)) {
		drop(k);
		errno = saved;
		return -1;
	}
	*st = k->st;
	k->used = now;
	users[k->fd]++;
	return k->fd;
}

/* Where a look is shared, so is content: kept when the second request reads it. */
ssize_t openfile_read(int fd, void *to, size_t n, off_t at, uint64_t came)
{
	struct kept *k = fd >= 0 && fd < FDS ? &table[kept_in[fd]] : NULL;
	ssize_t got;

	if (!k || !k->path || k->fd != fd || !k->shared || !came)
		return pread(fd, to, n, at);
	if (k->content && holds(k->read, came) && at >= 0 && at <= k->st.st_size) {
		size_t left = (size_t)(k->st.st_size - at);

		memcpy(to, k->content + at, n < left ? n : left);
		return (ssize_t)(n < left ? n : left);
	}
	k->read = 0;
	got = pread(fd, to, n, at);
	if (at || got <= 0 || got != k->st.st_size || got > OPENFILES_CONTENT || !(k->content || (k->content = malloc((size_t)got))))
		return got;
	memcpy(k->content, to, (size_t)got);
	k->read = moment;
	return got;
}

void openfile_offer(const char *path, int fd, const struct stat *st, time_t now, unsigned most)
{
	struct kept *k;

	if (!most || fd < 0 || fd >= FDS || users[fd] || !S_ISREG(st->st_mode) || st->st_size > OPENFILES_SIZE || !major(st->st_dev))
		return;
	if (st->st_ctim.tv_sec + OPENFILES_SETTLED > now || st->st_mtim.tv_sec + OPENFILES_SETTLED > now)
		return;
	sweep(now);
	k = &table[place_of(path)];
	if (k->path)
		drop(k);
	if (n_kept >= most || !(k->path = strdup(path)))
		return;
	k->st = *st;
	k->used = now;
	k->looked = moment;
	k->read = 0;
	k->shared = false;
	k->fd = fd;
	kept_in[fd] = (uint8_t)(k - table);
	users[fd] = 2;
	n_kept++;
}

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
	int fd;
} table[OPENFILES_MOST];
static uint32_t users[FDS];             /* of a descriptor that is, or was, in the table: requests, and the table itself */
static unsigned n_kept;
static time_t swept;

static unsigned place_of(const char *path)
{
	uint32_t hash = 2166136261u;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619u;
	return (hash ^ hash >> 16) % OPENFILES_MOST;
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
	k->path = NULL;
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

int openfile_take(const char *path, time_t now, struct stat *st)
{
	int saved = errno;
	struct kept *k;

	if (!n_kept)
		return -1;
	sweep(now);
	k = &table[place_of(path)];
	if (!k->path || strcmp(k->path, path) != 0)
		return -1;
	if (stat(path, st) < 0 || !same_file(st, &k->st) || users[k->fd] == UINT32_MAX) {
		drop(k);
		errno = saved;
		return -1;
	}
	k->used = now;
	users[k->fd]++;
	return k->fd;
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
	k->fd = fd;
	users[fd] = 2;
	n_kept++;
}

/*
 * staplefile.c - OCSP answers on disk. Each is written under another name and renamed, so that no half of one is ever read.
 * Runs in the master and under -X.
 */
#include "process/staplefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/log.h"

#define NAME_ROOM 80

/* The folder, made where it is missing; -1: there is none, which is no fault of anybody who staples nothing. */
static int open_folder(const char *state_dir, bool make)
{
	int above = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	if (above < 0)
		return -1;
	if (make)
		mkdirat(above, "ocsp", 0700);
	fd = openat(above, "ocsp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	close(above);
	return fd;
}

static const char *name_of(const unsigned char id[STAPLE_ID], const char *end, char buf[NAME_ROOM])
{
	char *at = buf;

	for (unsigned i = 0; i < STAPLE_ID; i++)
		at += snprintf(at, 3, "%02x", id[i]);
	snprintf(at, (size_t)(buf + NAME_ROOM - at), "%s", end);
	return buf;
}

static bool put_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

void staple_file_put(const char *state_dir, const unsigned char id[STAPLE_ID], const void *answer, size_t n)
{
	char name[NAME_ROOM], new[NAME_ROOM];
	int folder = open_folder(state_dir, n > 0), fd;
	bool good;

	if (folder < 0)
		return;
	name_of(id, ".der", name);
	name_of(id, ".new", new);
	if (!n) {
		unlinkat(folder, name, 0);
		close(folder);
		return;
	}
	unlinkat(folder, new, 0);
	fd = openat(folder, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	good = fd >= 0 && put_all(fd, answer, n);
	if (fd >= 0 && close(fd) < 0)
		good = false;
	if (!good || renameat(folder, new, folder, name) < 0) {
		log_debugx(NULL, LOG_SSL, NULL, "an OCSP answer is not kept in %s/ocsp", state_dir);
		unlinkat(folder, new, 0);
	}
	close(folder);
}

size_t staple_file_get(const char *state_dir, const unsigned char id[STAPLE_ID], unsigned char buf[STAPLE_MAX], int64_t *saved)
{
	char name[NAME_ROOM];
	int folder = open_folder(state_dir, false), fd;
	struct stat st;
	size_t n = 0;

	if (folder < 0)
		return 0;
	fd = openat(folder, name_of(id, ".der", name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	close(folder);
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022) && st.st_size > 0 && st.st_size <= STAPLE_MAX) {
		ssize_t got = read(fd, buf, STAPLE_MAX);
		n = got == st.st_size ? (size_t)got : 0;
		*saved = st.st_mtime;
	}
	close(fd);
	return n;
}

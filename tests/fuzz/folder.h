/*
 * folder.h - a folder of a fuzz target's own below /tmp, which is removed when the process ends by itself, and no network: what
 * a configuration under test could lead to is not reached. For targets whose server serves files.
 */
#ifndef BULKHEAD_TESTS_FUZZ_FOLDER_H
#define BULKHEAD_TESTS_FUZZ_FOLDER_H

#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[32];
static pid_t folder_owner;

static int folder_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

static void folder_remove(void)
{
	if (getpid() == folder_owner)
		nftw(folder, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file in it, over what was there, or a folder where the name ends with a slash. */
static inline void folder_put(const char *name, const void *data, size_t n)
{
	char path[256];
	int length = snprintf(path, sizeof path, "%s/%s", folder, name), fd;

	CHECK(length > 0 && (size_t)length < sizeof path);
	if (path[length - 1] == '/') {
		CHECK(mkdir(path, 0755) == 0);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	CHECK(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	close(fd);
}

static void folder_make(void)
{
	strcpy(folder, "/tmp/bulkhead-fuzz-XXXXXX");
	CHECK(mkdtemp(folder) && chmod(folder, 0755) == 0);
	folder_owner = getpid();
	atexit(folder_remove);
	if (unshare(CLONE_NEWNET) != 0)
		unshare(CLONE_NEWUSER | CLONE_NEWNET);  /* where neither is allowed the corpora lead nowhere either */
}

#endif

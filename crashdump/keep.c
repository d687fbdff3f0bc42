/*
 * keep.c - the bound of reports in a folder. Runs in the job as the children's user, before a report is written. The folder
 * may be one where others write: only names of our own form are looked at, of regular files of our own, by the folder's
 * descriptor.
 */
#include "crashdump/keep.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES_MAX 16384       /* names that are looked at */
#define REPORTS_MAX 4096
#define LEFT_OVER_S 60

struct kept {
	char name[64];
	struct timespec time;
	uint64_t signature;
	bool gone;
};

static const char crashes[] = "bulkhead-crash-", lives[] = "bulkhead-live-";

/* bulkhead-crash-YYYYMMDD-HHMMSS-PID.txt, -2 … -9 perhaps behind the pid */
static bool is_report(const char *name, const char *stem)
{
	size_t n = strlen(stem);

	if (strncmp(name, stem, n) != 0)
		return false;
	while (isdigit((unsigned char)name[n]) || name[n] == '-')
		n++;
	return !strcmp(name + n, ".txt") && n + 4 < sizeof ((struct kept *)NULL)->name;
}

static bool is_temporary(const char *name)
{
	size_t n = strlen(name);
	char inner[64];

	if (name[0] != '.' || n < 6 || n - 5 >= sizeof inner || strcmp(name + n - 4, ".new") != 0)
		return false;
	memcpy(inner, name + 1, n - 5);
	inner[n - 5] = '\0';
	return is_report(inner, crashes) || is_report(inner, lives);
}

/* The second line, whatever it is: reports with the same one are of the same fault. */
static uint64_t signature_of(int fd)
{
	uint64_t hash = 0xcbf29ce484222325;
	char head[2048];
	ssize_t n = read(fd, head, sizeof head);
	const char *at = n > 0 ? memchr(head, '\n', (size_t)n) : NULL;

	while (at && ++at < head + n && *at != '\n')
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3;
	return hash;
}

static bool take(int dir_fd, const char *name, struct kept *out)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	bool ours;

	if (fd < 0)
		return false;
	ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
	if (ours) {
		snprintf(out->name, sizeof out->name, "%.63s", name);
		out->time = st.st_mtim;
		out->signature = signature_of(fd);
		out->gone = false;
	}
	close(fd);
	return ours;
}

static void remove_left_over(int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    st.st_mtime + LEFT_OVER_S < time(NULL))
		unlinkat(dir_fd, name, 0);
}

static unsigned list(int dir_fd, const char *stem, struct kept *all)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	unsigned n = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	for (unsigned i = 0; i < ENTRIES_MAX && n < REPORTS_MAX && (e = readdir(dir)); i++) {
		if (is_report(e->d_name, stem))
			n += take(dir_fd, e->d_name, &all[n]);
		else if (is_temporary(e->d_name))
			remove_left_over(dir_fd, e->d_name);
	}
	closedir(dir);
	return n;
}

static int by_time(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	if (x->time.tv_sec != y->time.tv_sec)
		return x->time.tv_sec < y->time.tv_sec ? -1 : 1;
	if (x->time.tv_nsec != y->time.tv_nsec)
		return x->time.tv_nsec < y->time.tv_nsec ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* A later one of the same fault is there. */
static bool has_later(const struct kept *all, unsigned n, unsigned i)
{
	for (unsigned k = i + 1; k < n; k++)
		if (!all[k].gone && all[k].signature == all[i].signature)
			return true;
	return false;
}

static unsigned thin_out(int dir_fd, struct kept *all, unsigned n, unsigned left, unsigned most, bool same)
{
	for (unsigned i = 0; i < n && left > most; i++) {
		if (all[i].gone || (same && all[i].signature != all[n - 1].signature) || !has_later(all, n, i))
			continue;
		if (unlinkat(dir_fd, all[i].name, 0) == 0) {
			all[i].gone = true;
			left--;
		}
	}
	return left;
}

unsigned keep_reports(int dir_fd, unsigned most)
{
	struct kept *all = calloc(REPORTS_MAX, sizeof *all);
	unsigned n = all ? list(dir_fd, crashes, all) : 0, left = n;

	if (n > most) {
		qsort(all, n, sizeof *all, by_time);
		left = thin_out(dir_fd, all, n, left, most, true);
		left = thin_out(dir_fd, all, n, left, most, false);
	}
	free(all);
	return left;
}

void keep_live(int dir_fd, unsigned most)
{
	struct kept *all = calloc(REPORTS_MAX, sizeof *all);
	unsigned n = all ? list(dir_fd, lives, all) : 0;

	if (n > most) {
		qsort(all, n, sizeof *all, by_time);
		for (unsigned i = 0; i < n - most; i++)
			unlinkat(dir_fd, all[i].name, 0);
	}
	free(all);
}

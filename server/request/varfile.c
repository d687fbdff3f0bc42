/*
 * varfile.c - what expressions ask of files. Runs in the children, which may read what their rights allow; a path is the
 * administrator's, perhaps with parts of a request in it.
 */
#include "request/varfile.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "request/core.h"
#include "request/phases.h"

static const struct text nothing = { NULL, 0 };

bool varfile_test(char op, const char *path)
{
	bool link = op == 'L' || op == 'h';
	struct stat st;

	if ((link ? lstat(path, &st) : stat(path, &st)) != 0)
		return false;
	switch (op) {
	case 'd': return S_ISDIR(st.st_mode);
	case 'e': return true;
	case 'f': return S_ISREG(st.st_mode);
	case 's': return S_ISREG(st.st_mode) && st.st_size > 0;
	case 'x': return st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH);
	default: return link && S_ISLNK(st.st_mode);
	}
}

/* ------------------------------------------------------------------------------------------------ look-ups */

/* Below the request's folder where it does not begin with a slash; in normal form, its query split off. NULL: no path. */
static char *url_path(struct request *r, const char *word, const char **query)
{
	const char *mark = strchr(word, '?'), *slash = r->path ? strrchr(r->path, '/') : NULL;
	struct text path = { word, mark ? (size_t)(mark - word) : strlen(word) };
	char *whole, *out = NULL;

	*query = mark ? mark + 1 : NULL;
	whole = arena_printf(r->arena, "%.*s%.*s", *word == '/' || !slash ? 0 : (int)(slash + 1 - r->path), r->path ? r->path : "",
			     (int)path.n, path.p);
	if (!whole || *whole != '/' || uri_normalize(r->arena, text_of(whole), core_uri_flags(r->host), &out) != URI_OK)
		return NULL;
	return out;
}

/* What is left of a file's name behind DocumentRoot; NULL: it lies elsewhere. */
static const char *below_root(struct request *r, const char *file)
{
	const char *root = core_document_root(r->host);
	size_t n = root ? strlen(root) : 0;

	if (n == 0 || strncmp(file, root, n) != 0)
		return NULL;
	return file[n] == '/' ? file + n : n == 1 ? file : NULL;
}

bool varfile_reachable(struct request *r, char op, const char *word, const char **failed)
{
	const char *query = NULL, *path;
	struct request *sub;
	unsigned status;
	bool found;

	for (const struct request *up = r->parent; up; up = up->parent)
		if (up->path && r->path && strcmp(up->path, r->path) == 0)
			return false;           /* it would look itself up without end */
	path = op == 'F' ? below_root(r, word) : url_path(r, word, &query);
	if (!path)
		return false;
	sub = phases_lookup(r, path, query, LOOKUP_QUIET, &status);
	if (!sub || status == PHASE_WAIT) {
		*failed = sub ? "the name service would have to be asked for the path that it looks up" : "its path cannot be looked up";
		return false;
	}
	found = sub->found && S_ISREG(sub->st.st_mode);
	request_close(sub);
	return op == 'F' ? status == 0 && found : status < 400;
}

/* ------------------------------------------------------------------------------------------------ contents */

static ssize_t read_whole(int fd, char *p, size_t n)
{
	size_t got = 0;
	ssize_t more = 1;

	while (got < n && more != 0) {
		more = read(fd, p + got, n - got);
		if (more < 0 && errno != EINTR)
			return -1;
		got += more > 0 ? (size_t)more : 0;
	}
	return (ssize_t)got;
}

struct text varfile_contents(struct arena *a, const char *path, const char **failed)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct text t = nothing;
	struct stat st;
	ssize_t n;
	char *p;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		*failed = "the file that it names cannot be read";
	} else if (st.st_size > VARFILE_MOST) {
		*failed = "the file that it names has more than a mebibyte";
	} else if (!(p = arena_alloc(a, (size_t)st.st_size + 1)) || (n = read_whole(fd, p, (size_t)st.st_size)) < 0) {
		*failed = "the file that it names cannot be read";
	} else {
		p[n] = '\0';
		t = (struct text){ p, (size_t)n };
	}
	if (fd >= 0)
		close(fd);
	return t;
}

struct text varfile_size(struct arena *a, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return TEXT("0");
	return text_of(arena_printf(a, "%lld", (long long)st.st_size));
}

struct text varfile_modified(struct arena *a, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return TEXT("0");
	return text_of(arena_printf(a, "%lld", (long long)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000));
}

/* ------------------------------------------------------------------------------------------------ owners */

struct text varfile_user(struct arena *a, uid_t id)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd pw, *found = NULL;
	struct text t = nothing;
	char buf[1024];

	while (f && fgetpwent_r(f, &pw, buf, sizeof buf, &found) == 0)
		if (pw.pw_uid == id) {
			t = text_of(arena_strdup(a, pw.pw_name));
			break;
		}
	if (f)
		fclose(f);
	return t;
}

struct text varfile_group(struct arena *a, gid_t id)
{
	FILE *f = fopen("/etc/group", "re");
	struct group gr, *found = NULL;
	struct text t = nothing;
	char buf[8192];

	while (f && fgetgrent_r(f, &gr, buf, sizeof buf, &found) == 0)
		if (gr.gr_gid == id) {
			t = text_of(arena_strdup(a, gr.gr_name));
			break;
		}
	if (f)
		fclose(f);
	return t;
}

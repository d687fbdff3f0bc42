/*
 * userfile.c - files of users and groups, read for one look. Runs in the children. A file that is replaced by renaming (as
 * htpasswd and editors do) is always seen whole; one that is written in place may be seen half.
 */
#include "auth/userfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/effort.h"
#include "base/secret.h"

static int read_all(struct userfile *f, int fd)
{
	size_t room = (size_t)f->st.st_size;

	f->p = malloc(room + 1);
	if (!f->p)
		return -1;
	while (f->n < room) {
		ssize_t got = read(fd, f->p + f->n, room - f->n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		f->n += (size_t)got;
	}
	return 0;
}

int userfile_open(struct userfile *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), saved = 0;   /* a pipe must not hold a child up */

	*f = (struct userfile){ .p = NULL };
	if (fd < 0)
		return -1;
	if (effort_spent())             /* many files, or one for many rules */
		saved = ETIME;
	else if (fstat(fd, &f->st) < 0)
		saved = errno;
	else if (!S_ISREG(f->st.st_mode))
		saved = EINVAL;
	else if (f->st.st_size > (off_t)USERFILE_LARGEST)
		saved = EFBIG;
	else if (read_all(f, fd) < 0)
		saved = errno;
	close(fd);
	if (!saved)
		return 0;
	userfile_close(f);
	errno = saved;
	return -1;
}

bool userfile_line(struct userfile *f, struct text *line)
{
	while (f->at < f->n) {
		const char *from = f->p + f->at, *end = memchr(from, '\n', f->n - f->at);
		size_t n = end ? (size_t)(end - from) : f->n - f->at;

		f->at += n + 1;
		if (n && from[n - 1] == '\r')
			n--;
		*line = text_trim((struct text){ from, n });
		if (line->n && line->p[0] != '#')
			return true;
	}
	return false;
}

void userfile_close(struct userfile *f)
{
	if (f->p)
		secret_wipe(f->p, f->n);
	free(f->p);
	f->p = NULL;
	f->n = f->at = 0;
}

static bool take_hash(struct text hash, struct userfile_entry *e)
{
	if (hash.n >= sizeof e->hash || memchr(hash.p, '\0', hash.n))
		return false;
	memcpy(e->hash, hash.p, hash.n);
	e->hash[hash.n] = '\0';
	return true;
}

enum userfile_found userfile_find(const char *path, const char *user, const char *realm, struct userfile_entry *e)
{
	struct text line, name, place, hash;
	struct userfile f;
	bool found = false;

	e->hash[0] = '\0';
	if (userfile_open(&f, path) != 0)
		return USERFILE_ERROR;
	e->st = f.st;
	while (!found && userfile_line(&f, &line)) {
		struct text rest = line;

		if (!text_split(&rest, ':', &name) || (realm && !text_split(&rest, ':', &place)) || !text_split(&rest, ':', &hash))
			continue;
		found = text_is(name, user) && (!realm || text_is(place, realm));
		if ((found || !e->hash[0]) && !take_hash(hash, e))
			found = false;
	}
	userfile_close(&f);
	return found ? USERFILE_FOUND : USERFILE_NONE;
}

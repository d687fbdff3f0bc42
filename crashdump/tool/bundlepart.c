/*
 * bundlepart.c - the parts of a bundle: masked texts with the names that they have in the archive, notes on what was left out.
 */
#include "crashdump/tool/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void bundle_printf(struct toolmask_text *t, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->failed = true;
		return;
	}
	toolmask_add(t, text, (size_t)n);
	free(text);
}

struct toolmask_text *bundle_add(struct bundle *b, const char *fmt, ...)
{
	static struct toolmask_text nowhere;
	char *name = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&name, fmt, ap) < 0)
		name = NULL;
	va_end(ap);
	if (b->entries == b->room) {
		unsigned room = 2 * b->room + 16;
		void *grown = realloc(b->entry, room * sizeof *b->entry);

		if (grown) {
			b->entry = grown;
			b->room = room;
		}
	}
	/* Unpacking must stay below the bundle's folder. */
	for (char *up = name; up && (up = strstr(up, ".."));)
		*up = '_';
	if (!name || b->entries == b->room) {
		free(name);
		b->failed = true;
		nowhere.failed = true;
		return &nowhere;
	}
	b->entry[b->entries] = (struct bundle_entry){ .name = name };
	return &b->entry[b->entries++].text;
}

void bundle_left_out(struct bundle *b, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) >= 0) {
		toolmask_log(text, strlen(text), &b->left_out);
		free(text);
	}
	va_end(ap);
}

static size_t read_all(int fd, char *to, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, to + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

char *bundle_read(const char *path, int flags, size_t most, bool tail, size_t *n)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	struct stat st;
	char *text = NULL, *line;
	int error = 0;

	*n = 0;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0)
		error = errno;
	else if (!S_ISREG(st.st_mode))
		error = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	else if (!tail && (size_t)st.st_size > most)
		error = EFBIG;
	else if (!(text = malloc(most + 1)))
		error = ENOMEM;
	if (text) {
		bool cut = tail && (size_t)st.st_size > most && lseek(fd, -(off_t)most, SEEK_END) > 0;

		*n = read_all(fd, text, most);
		if (cut) {
			line = memchr(text, '\n', *n);
			*n = line ? *n - (size_t)(line + 1 - text) : 0;
			memmove(text, line ? line + 1 : text, *n);
		}
		text[*n] = '\0';
	}
	close(fd);
	errno = error;
	return text;
}

/*
 * err.c - filling in and printing a struct err. Runs in any process; allocates nothing, so that "out of
 * memory" can be said too.
 */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

static void put_once(char *at, size_t cap, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

/* The first words win: what callers add while they unwind is less close to the cause. */
static void put_once(char *at, size_t cap, const char *fmt, va_list ap)
{
	if (at[0] == '\0')
		vsnprintf(at, cap, fmt, ap);
}

int err_set(struct err *e, const char *fmt, ...)
{
	if (e) {
		int saved = errno;
		va_list ap;
		va_start(ap, fmt);
		put_once(e->text, sizeof e->text, fmt, ap);
		va_end(ap);
		errno = saved;
	}
	return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	if (e && e->text[0] == '\0') {
		int saved = errno;
		size_t n;
		struct buf b;
		va_list ap;
		va_start(ap, fmt);
		put_once(e->text, sizeof e->text, fmt, ap);
		va_end(ap);
		n = strlen(e->text);
		buf_init(&b, e->text + n, sizeof e->text - n);
		buf_puts(&b, ": ");
		buf_puts(&b, strerror(saved));
		errno = saved;
	}
	return -1;
}

int err_at(struct err *e, const char *file, unsigned line)
{
	if (e && e->file[0] == '\0' && file) {
		struct buf b;
		buf_init(&b, e->file, sizeof e->file);
		buf_puts(&b, file);
		e->line = line;
	}
	return -1;
}

int err_remedy(struct err *e, const char *fmt, ...)
{
	if (e) {
		int saved = errno;
		va_list ap;
		va_start(ap, fmt);
		put_once(e->remedy, sizeof e->remedy, fmt, ap);
		va_end(ap);
		errno = saved;
	}
	return -1;
}

void err_clear(struct err *e)
{
	if (e) {
		e->file[0] = e->text[0] = e->remedy[0] = '\0';
		e->line = 0;
	}
}

char *err_print(const struct err *e, char *buf, size_t n)
{
	struct buf b;
	buf_init(&b, buf, n);
	if (e->file[0]) {
		buf_puts(&b, e->file);
		if (e->line)
			buf_printf(&b, ":%u", e->line);
		buf_puts(&b, ": ");
	}
	buf_puts(&b, e->text[0] ? e->text : "unknown error");
	if (e->remedy[0]) {
		buf_puts(&b, "; ");
		buf_puts(&b, e->remedy);
	}
	return buf;
}

/*
 * cgilog.c - standard error of programs, and ScriptLog. Runs in the children; lines and entries go to the logger as all log lines do,
 * and the logger keeps to ScriptLogLength.
 *
 * An entry is one record of the log ring, so that those of several children never mix; what would make it longer is left out.
 */
#include "handler/cgilog.h"

#include <string.h>
#include <time.h>

#include "log/log.h"
#include "request/request.h"

void cgilog_begin(struct cgilog *l, struct request *r)
{
	const struct cgilog_settings *s = cgilog_settings(r);

	*l = (struct cgilog){ .r = r };
	if (!s)
		return;
	l->errors = arena_alloc(r->arena, CGILOG_ERRORS);
	l->body = s->buffer > 0 && r->has_body ? arena_alloc(r->arena, (size_t)s->buffer) : NULL;
}

static void keep(char *to, size_t *n, size_t room, const char *p, size_t more)
{
	if (!to || *n >= room || !more)         /* the end of a body has no bytes, and no place */
		return;
	more = more < room - *n ? more : room - *n;
	memcpy(to + *n, p, more);
	*n += more;
}

void cgilog_body(struct cgilog *l, struct text data)
{
	if (l->body)
		keep(l->body, &l->body_n, (size_t)cgilog_settings(l->r)->buffer, data.p, data.n);
}

static void put_line(struct cgilog *l)
{
	while (l->line_n && (l->line[l->line_n - 1] == '\r' || l->line[l->line_n - 1] == '\n'))
		l->line_n--;
	if (l->line_n)
		log_errorx(&l->r->client->about, LOG_CGI, "BH0668", "%.*s: said by %s", (int)l->line_n, l->line, l->r->filename);
	l->line_n = 0;
}

bool cgilog_read(struct cgilog *l, struct chan *err)
{
	char part[2048];
	ssize_t got;

	while ((got = chan_read(err, part, sizeof part)) > 0) {
		keep(l->errors, &l->errors_n, CGILOG_ERRORS, part, (size_t)got);
		for (ssize_t i = 0; i < got; i++) {
			if (part[i] != '\n')
				l->line[l->line_n++] = part[i];
			if (part[i] == '\n' || l->line_n == sizeof l->line)
				put_line(l);
		}
	}
	return got == CHAN_AGAIN;
}

void cgilog_rest(struct cgilog *l, struct chan *err)
{
	if (err)
		cgilog_read(l, err);
	put_line(l);
}

/* ------------------------------------------------------------------------------------------------ ScriptLog */

struct entry { char text[RING_LINE - 64]; struct buf b; };

/* "%% [time] request line", "%% status file" */
static void put_head(struct entry *e, const struct request *r, unsigned status)
{
	time_t now = time(NULL);
	struct tm tm;
	char when[64];

	buf_init(&e->b, e->text, sizeof e->text - 1);
	localtime_r(&now, &tm);
	strftime(when, sizeof when, "%a %b %d %H:%M:%S %Y", &tm);
	buf_printf(&e->b, "%%%% [%s] %.*s ", when, (int)r->method.n, r->method.p);
	buf_put_log(&e->b, text_of(r->path));
	if (r->query) {
		buf_putc(&e->b, '?');
		buf_put_log(&e->b, text_of(r->query));
	}
	buf_printf(&e->b, " HTTP/%u.%u\n%%%% %u %s\n", r->major, r->minor, status, r->filename ? r->filename : "-");
}

static void put_part(struct entry *e, const char *title, const char *p, size_t n)
{
	if (!n)
		return;
	buf_puts(&e->b, title);
	buf_put(&e->b, p, n);
	if (p[n - 1] != '\n')
		buf_putc(&e->b, '\n');
}

/* One that was cut ends with its line all the same. */
static void put(struct entry *e, const struct cgilog_settings *s)
{
	size_t n = e->b.n < sizeof e->text - 1 ? e->b.n : sizeof e->text - 1;

	if (n && e->text[n - 1] != '\n')
		e->text[n++] = '\n';
	log_raw(s->target, e->text, n);
}

void cgilog_not_run(struct request *r, unsigned status, const char *why)
{
	const struct cgilog_settings *s = cgilog_settings(r);
	static struct entry e;

	if (!s)
		return;
	put_head(&e, r, status);
	buf_printf(&e.b, "%%%%error\n%s\n", why);
	put(&e, s);
}

/* How much of what it wrote are lines of a head. */
static size_t head_lines(struct text t)
{
	size_t n = 0;

	while (n < t.n) {
		const char *line = t.p + n, *eol = memchr(line, '\n', t.n - n);
		size_t length = eol ? (size_t)(eol - line) : t.n - n;
		const char *colon = memchr(line, ':', length);

		if (!colon || colon == line || memchr(line, ' ', (size_t)(colon - line)) || memchr(line, '\t', (size_t)(colon - line)))
			break;
		n += length + (eol != NULL);
	}
	return n;
}

void cgilog_bad_head(struct cgilog *l, unsigned status, struct text head)
{
	const struct cgilog_settings *s = cgilog_settings(l->r);
	size_t n = head_lines(head);
	static struct entry e;

	if (!s)
		return;
	put_head(&e, l->r, status);
	buf_puts(&e.b, "%request\n");
	for (unsigned i = 0; i < l->r->in.n; i++) {
		const struct field *f = &l->r->in.at[i];
		bool secret = text_is_nocase(f->name, "Authorization") || text_is_nocase(f->name, "Proxy-Authorization");

		buf_printf(&e.b, "%.*s: ", (int)f->name.n, f->name.p);
		if (secret)
			buf_puts(&e.b, "(left out)");
		else
			buf_put_log(&e.b, f->value);
		buf_putc(&e.b, '\n');
	}
	put_part(&e, "\n", l->body, l->body_n);
	buf_puts(&e.b, "%response\n");
	put_part(&e, "", head.p, n);
	put_part(&e, "%stdout\n", head.p + n, head.n - n);
	put_part(&e, "%stderr\n", l->errors, l->errors_n);
	put(&e, s);
}

/*
 * cgihead.c - the head of a program's answer: lines that end in LF or CRLF, then an empty one. Runs in the children. What a
 * program writes is checked as strictly as what a client sends: nothing of it can break out of its field.
 */
#include "handler/cgihead.h"

#include <string.h>
#include <strings.h>

#include "http/condition.h"
#include "http/head.h"

size_t cgihead_end(const char *p, size_t n, size_t seen)
{
	size_t at = seen > 2 ? seen - 2 : 0;

	if (n >= 1 && p[0] == '\n')
		return 1;
	if (n >= 2 && p[0] == '\r' && p[1] == '\n')
		return 2;
	while (at < n) {
		const char *lf = memchr(p + at, '\n', n - at);

		if (!lf)
			return 0;
		at = (size_t)(lf - p) + 1;
		if (at < n && p[at] == '\n')
			return at + 1;
		if (at + 1 < n && p[at] == '\r' && p[at + 1] == '\n')
			return at + 2;
	}
	return 0;
}

static int bad(struct arena *a, struct cgihead *h, struct text line, const char *why)
{
	h->why = why;
	h->line = arena_strndup(a, line.p, line.n < 60 ? line.n : 60);
	return -1;
}

/* "404 Not here", "404". */
static int take_status(struct arena *a, struct cgihead *h, struct text value, struct text line)
{
	struct text number = { value.p, value.n < 3 ? value.n : 3 };
	uint64_t status;

	if (!http_is_value(value))              /* a status line was not looked at before */
		return bad(a, h, line, "its status holds control characters");
	if (text_u64(number, 999, &status) != 0 || status < 100 || (value.n > 3 && value.p[3] != ' ' && value.p[3] != '\t'))
		return bad(a, h, line, "its status is no number from 100 to 999");
	if (status < 200)
		return bad(a, h, line, "its status is one that comes before an answer");
	h->status = (unsigned)status;
	if (value.n > 4)
		h->reason = arena_strndup(a, value.p + 4, value.n - 4);
	return 0;
}

/* Fields that are not handed on as they are. What has no place here is the server's own: how the connection goes on. */
enum known { TYPE, ENCODING, LOCATION, ETAG, RANGE, LENGTH, MODIFIED, STATUS, CONNECTION, DROPPED, OTHER };
static enum known known(struct text name)
{
	static const struct { const char *name; enum known known; } names[] = {
		{ "Content-Type", TYPE }, { "Content-Encoding", ENCODING }, { "Location", LOCATION }, { "ETag", ETAG }, { "Content-Range", RANGE }, { "Content-Length", LENGTH },
		{ "Last-Modified", MODIFIED }, { "Status", STATUS }, { "Connection", CONNECTION }, { "Keep-Alive", DROPPED },
		{ "Transfer-Encoding", DROPPED }, { "Trailer", DROPPED }, { "Upgrade", DROPPED }, { "Date", DROPPED }, { "Server", DROPPED },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (text_is_nocase(name, names[i].name))
			return names[i].known;
	return OTHER;
}

static int take_field(struct arena *a, struct cgihead *h, struct text name, struct text value, struct text line)
{
	char *copy = arena_strndup(a, value.p, value.n);
	uint64_t n;

	if (!copy)
		return bad(a, h, line, "memory ran out");
	switch (known(name)) {
	case TYPE:
		h->type = copy;
		return 0;
	case ENCODING:
		h->encoding = copy;
		return 0;
	case LOCATION:
		h->location = copy;
		return 0;
	case ETAG:
		h->etag = copy;
		return 0;
	case RANGE:
		h->range = copy;
		return 0;
	case LENGTH:
		if (text_u64(value, INT64_MAX, &n) != 0)
			return bad(a, h, line, "its Content-Length is no number");
		h->length = (int64_t)n;
		return 0;
	case MODIFIED:                  /* a date that is none tells nothing */
		if (http_date_parse(value, &h->modified) != 0)
			h->modified = -1;
		return 0;
	case STATUS:
		return take_status(a, h, value, line);
	case CONNECTION:
		h->close |= text_is_nocase(value, "close");
		return 0;
	case DROPPED:
		return 0;
	case OTHER:
		break;
	}
	char *own = arena_strndup(a, name.p, name.n);
	if (!own || fields_add(&h->fields, (struct text){ own, name.n }, (struct text){ copy, value.n }) < 0)
		return bad(a, h, line, "memory ran out");
	return 0;
}

static int take_line(struct arena *a, struct cgihead *h, struct text line)
{
	const char *colon = memchr(line.p, ':', line.n);
	struct text name, value;

	if (!colon)
		return bad(a, h, line, "a line of it has no colon");
	name = (struct text){ line.p, (size_t)(colon - line.p) };
	while (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t'))
		name.n--;
	value = text_trim((struct text){ colon + 1, line.n - (size_t)(colon + 1 - line.p) });
	if (!http_is_token(name))
		return bad(a, h, line, "what stands before a colon is no name of a field");
	if (!http_is_value(value))
		return bad(a, h, line, "a value holds control characters");
	return take_field(a, h, name, value, line);
}

/* "HTTP/1.1 200 OK" */
static bool is_status_line(struct text line)
{
	return line.n >= 12 && strncasecmp(line.p, "HTTP/", 5) == 0 && memchr(line.p, ' ', line.n);
}

enum cgihead_result cgihead_parse(struct arena *a, const char *p, size_t n, bool with_line, struct cgihead *h)
{
	const char *end = p + n;

	*h = (struct cgihead){ .length = -1, .modified = -1 };
	fields_init(&h->fields, a);
	for (bool first = true; p < end; first = false) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		struct text line = { p, (size_t)((lf ? lf : end) - p) };
		int rc;

		p += line.n + (lf != NULL);
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (!line.n)
			return CGIHEAD_DONE;
		if (first && with_line && is_status_line(line)) {
			const char *blank = memchr(line.p, ' ', line.n);
			rc = take_status(a, h, text_trim((struct text){ blank, line.n - (size_t)(blank - line.p) }), line);
		} else {
			rc = take_line(a, h, line);
		}
		if (rc < 0)
			return CGIHEAD_BAD;
	}
	return CGIHEAD_DONE;
}

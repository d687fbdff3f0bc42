/*
 * responsehead.c - reads heads of answers of servers behind. Pure; runs in the children, on bytes that such a server sends, which
 * may be in anybody's hands.
 */
#include "http/responsehead.h"

static enum head_result bad(struct response_head *h, const char *why)
{
	h->why = why;
	return HEAD_BAD;
}

/* Where the empty line behind the head ends; 0: not yet. */
static size_t head_end(const char *p, size_t n)
{
	const char *found = memmem(p, n, "\r\n\r\n", 4);

	return found ? (size_t)(found - p) + 4 : 0;
}

/* "HTTP/1.1 200 OK" */
static enum head_result status_line(struct text line, struct response_head *h)
{
	const char *p = line.p;

	if (line.n < 12 || memcmp(p, "HTTP/", 5) != 0 || p[6] != '.' || p[5] < '0' || p[5] > '9' || p[7] < '0' || p[7] > '9' || p[8] != ' ')
		return bad(h, "its first line is no status line of HTTP/1");
	h->major = (unsigned)(p[5] - '0');
	h->minor = (unsigned)(p[7] - '0');
	if (h->major != 1)
		return bad(h, "its version is not HTTP/1");
	for (int i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return bad(h, "its status is no number of three figures");
		h->status = h->status * 10 + (unsigned)(p[i] - '0');
	}
	if (h->status < 100 || h->status > 599 || (line.n > 12 && p[12] != ' '))
		return bad(h, "its status is no number from 100 to 599");
	h->reason = line.n > 13 ? (struct text){ p + 13, line.n - 13 } : (struct text){ 0 };
	return http_is_value(h->reason) ? HEAD_DONE : bad(h, "its status line holds control characters");
}

static const char *field_of(struct text line, struct text *name, struct text *value)
{
	const char *colon = memchr(line.p, ':', line.n);

	if (*line.p == ' ' || *line.p == '\t')
		return "a line that goes on with the one before it (obsolete folding)";
	if (!colon)
		return "a line without a colon among its fields";
	*name = (struct text){ line.p, (size_t)(colon - line.p) };
	*value = text_trim((struct text){ colon + 1, line.n - name->n - 1 });
	if (!http_is_token(*name))
		return "a name of a field that is none, or a blank before a colon";
	return http_is_value(*value) ? NULL : "a control character, or a bare CR or LF, in a field";
}

/* The line from *at to its CRLF, within the head. */
static struct text take_line(const char *p, size_t end, size_t *at)
{
	const char *found = memmem(p + *at, end - *at, "\r\n", 2);
	struct text line = { p + *at, (size_t)(found - p) - *at };

	*at += line.n + 2;
	return line;
}

enum head_result response_head_parse(const char *p, size_t n, enum response_bad how, struct response_head *h, size_t *used)
{
	static const char begin[] = "HTTP/1.";
	size_t end = head_end(p, n < RESPONSE_HEAD_MOST ? n : RESPONSE_HEAD_MOST), at = 0, first = n < sizeof begin - 1 ? n : sizeof begin - 1;

	h->status = 0;
	h->why = NULL;
	if (memcmp(p, begin, first) != 0)
		return bad(h, "its first line is no status line of HTTP/1");
	if (!end)
		return n >= RESPONSE_HEAD_MOST ? bad(h, "its head is longer than 64 KiB") : HEAD_MORE;
	if (status_line(take_line(p, end, &at), h) != HEAD_DONE)
		return HEAD_BAD;
	while (at < end - 2) {
		size_t start = at;
		struct text name, value, line = take_line(p, end, &at);
		const char *why = field_of(line, &name, &value);

		if (why && how == RESPONSE_BAD_IS_BODY) {
			*used = start;
			return HEAD_DONE;
		}
		if (why && how == RESPONSE_BAD_REFUSED)
			return bad(h, why);
		if (!why && h->fields.n == RESPONSE_FIELDS_MOST)
			return bad(h, "it has more than 500 fields");
		if (!why && fields_add(&h->fields, name, value) != 0)
			return bad(h, "no memory for its fields");
	}
	*used = end;
	return HEAD_DONE;
}

static int refuse(struct response_framing *f, const char *why)
{
	f->why = why;
	return -1;
}

int response_framing(const struct response_head *h, bool head, struct response_framing *f)
{
	unsigned codings = fields_count(&h->fields, "Transfer-Encoding"), lengths = fields_count(&h->fields, "Content-Length");
	bool none = head || h->status < 200 || h->status == 204 || h->status == 304;

	*f = (struct response_framing){ .end = RESPONSE_UNTIL_CLOSE };
	if (codings && lengths)
		return refuse(f, "it has both Transfer-Encoding and Content-Length");
	if (codings && (codings > 1 || !text_is_nocase(fields_get(&h->fields, "Transfer-Encoding"), "chunked")))
		return refuse(f, "its Transfer-Encoding is not chunked");
	if (codings && h->minor == 0)
		return refuse(f, "it has Transfer-Encoding in HTTP/1.0");
	if (lengths > 1 || (lengths && text_u64(fields_get(&h->fields, "Content-Length"), INT64_MAX, &f->length) != 0))
		return refuse(f, "its Content-Length is repeated, or no number");
	f->end = codings ? RESPONSE_CHUNKED : lengths ? RESPONSE_LENGTH : RESPONSE_UNTIL_CLOSE;
	if (none) {
		f->doubtful = !head && h->status != 304 && (codings || f->length);
		f->end = RESPONSE_NO_BODY;
	}
	return 0;
}

/*
 * headlenient.c - request heads as HttpProtocolOptions Unsafe and Allow0.9 let them pass: lines that end in LF alone, several blanks between
 * words, a blank before a colon, folded fields, control bytes in values; and requests of HTTP/0.9. Pure; runs in the children.
 *
 * What frames a message stays as strict as ever: body.c reads the fields that come out of here. NUL never passes, a bare CR becomes
 * a blank, and a field's name is always a token, so that nobody behind us can read other fields than we do.
 */
#include "http/head.h"

#define EMPTY_LINES_MAX 8

static enum head_result bad(struct request_head *h, unsigned status, const char *reason)
{
	h->status = status;
	h->reason = reason;
	return HEAD_BAD;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The line at *at without its end; *at moves behind that. False: it is not whole. */
static bool next_line(const char *p, size_t n, size_t *at, struct text *line)
{
	const char *lf = memchr(p + *at, '\n', n - *at);
	size_t length;

	if (!lf)
		return false;
	length = (size_t)(lf - p) - *at;
	if (length && lf[-1] == '\r')
		length--;
	*line = (struct text){ p + *at, length };
	*at = (size_t)(lf - p) + 1;
	return true;
}

/* Takes the next word off *rest. */
static struct text word(struct text *rest)
{
	struct text w;

	while (rest->n && is_blank(*rest->p))
		*rest = (struct text){ rest->p + 1, rest->n - 1 };
	w = (struct text){ rest->p, 0 };
	while (w.n < rest->n && !is_blank(rest->p[w.n]))
		w.n++;
	*rest = (struct text){ rest->p + w.n, rest->n - w.n };
	return w;
}

static bool is_target(struct text t)
{
	for (size_t i = 0; i < t.n; i++)
		if ((unsigned char)t.p[i] <= ' ' || t.p[i] == 0x7f)
			return false;
	return t.n > 0;
}

/* "HTTP/1.1" */
static bool read_version(struct text t, struct request_head *h)
{
	if (t.n != 8 || memcmp(t.p, "HTTP/", 5) != 0 || t.p[5] < '0' || t.p[5] > '9' || t.p[6] != '.' || t.p[7] < '0' || t.p[7] > '9')
		return false;
	h->major = (unsigned)(t.p[5] - '0');
	h->minor = (unsigned)(t.p[7] - '0');
	return true;
}

static enum head_result read_request_line(struct text line, unsigned flags, struct request_head *h)
{
	struct text rest = line, version;

	h->line = line;
	h->method = word(&rest);
	h->target = word(&rest);
	version = word(&rest);
	rest = text_trim(rest);
	if (!http_is_token(h->method) || h->method.n > 32)
		return bad(h, h->method.n > 32 ? 501 : 400, "the first word is no method: this is not HTTP");
	h->method_id = http_method_find(h->method);
	if (!is_target(h->target))
		return bad(h, 400, "the request line has no target, or one with control characters");
	if (rest.n)
		return bad(h, 400, "the request line has more than three words");
	if (version.n == 0) {
		if (!(flags & HEAD_OLD) || h->method_id != HTTP_GET)
			return bad(h, 400, "the request line has no version (HTTP/0.9 is not spoken)");
		h->major = 0;
		h->minor = 9;
		return HEAD_DONE;
	}
	if (!read_version(version, h))
		return bad(h, 400, "the last word of the request line is no HTTP version");
	return h->major == 1 ? HEAD_DONE : bad(h, 505, "the version is not HTTP/1");
}

/* A value without blanks at its ends; bare CRs are blanks. Absent on ENOMEM. */
static struct text clean(struct arena *a, struct text value)
{
	char *copy;

	value = text_trim(value);
	if (!value.n)
		return (struct text){ "", 0 };
	if (!memchr(value.p, '\r', value.n))
		return value;
	copy = arena_strndup(a, value.p, value.n);
	for (size_t i = 0; copy && i < value.n; i++)
		if (copy[i] == '\r')
			copy[i] = ' ';
	return (struct text){ copy, value.n };
}

/* Joins a folded line to the last field. */
static enum head_result fold(struct arena *a, struct text line, struct request_head *h)
{
	struct field *last = h->fields.n ? &h->fields.at[h->fields.n - 1] : NULL;
	struct text more = clean(a, line);
	const char *joined;

	if (!last)
		return bad(h, 400, "the first field line begins with a blank");
	joined = more.p ? arena_printf(a, "%.*s %.*s", (int)last->value.n, last->value.p, (int)more.n, more.p) : NULL;
	if (!joined)
		return bad(h, 503, "out of memory for the fields");
	last->value = text_of(joined);
	return HEAD_DONE;
}

static enum head_result add_field(struct arena *a, struct text line, struct request_head *h)
{
	struct text value = line, name;

	if (memchr(line.p, '\0', line.n))
		return bad(h, 400, "a NUL in a field line");
	if (is_blank(*line.p))
		return fold(a, line, h);
	if (!text_split(&value, ':', &name) || !value.p)
		return bad(h, 400, "a field line without a colon");
	name = text_trim(name);
	if (!http_is_token(name))
		return bad(h, 400, "a field line without a name, or with a character that no field name has");
	value = clean(a, value);
	if (!value.p || fields_add(&h->fields, name, value) != 0)
		return bad(h, 503, "out of memory for the fields");
	return HEAD_DONE;
}

static enum head_result read_fields(struct arena *a, const char *p, size_t n, size_t at, const struct head_limits *limits,
	struct request_head *h, size_t *used)
{
	struct text line;

	while (next_line(p, n, &at, &line)) {
		enum head_result r;

		if (line.n == 0) {
			*used = at;
			return HEAD_DONE;
		}
		if (line.n > limits->field)
			return bad(h, 431, "a field line is longer than LimitRequestFieldSize");
		if (limits->fields && h->fields.n == limits->fields && !is_blank(*line.p))
			return bad(h, 431, "more fields than LimitRequestFields");
		if ((r = add_field(a, line, h)) != HEAD_DONE)
			return r;
	}
	return n - at > limits->field + 1 ? bad(h, 431, "a field line is longer than LimitRequestFieldSize") : HEAD_MORE;
}

/* An HTTP/0.9 request is whole with its line; whatever else is judged by the strict reader. */
static bool is_old(const char *p, size_t n, struct text *line, size_t *at)
{
	struct text rest;

	*at = 0;
	if (!next_line(p, n, at, line))
		return false;
	rest = *line;
	return text_is(word(&rest), "GET") && is_target(word(&rest)) && text_trim(rest).n == 0;
}

enum head_result head_parse_lenient(struct arena *a, const char *p, size_t n, const struct head_limits *limits, unsigned flags,
	struct request_head *h, size_t *used)
{
	size_t at = 0;
	struct text line = { NULL, 0 };
	enum head_result r;

	if (!(flags & HEAD_UNSAFE) && !(flags & HEAD_OLD && is_old(p, n, &line, &at)))
		return head_parse_request(p, n, limits, h, used);
	h->line = h->method = h->target = (struct text){ NULL, 0 };
	h->method_id = HTTP_OTHER;
	h->major = h->minor = h->status = 0;
	h->reason = NULL;
	h->fields.n = 0;
	*used = 0;
	at = 0;
	for (unsigned empty = 0; next_line(p, n, &at, &line) && line.n == 0; line.p = NULL)
		if (++empty > EMPTY_LINES_MAX)
			return bad(h, 400, "too many empty lines before the request line");
	if (!line.p || line.n == 0)
		return n - at > limits->line + 1 ? bad(h, 414, "the request line is longer than LimitRequestLine") : HEAD_MORE;
	if (line.n > limits->line)
		return bad(h, 414, "the request line is longer than LimitRequestLine");
	r = read_request_line(line, flags, h);
	if (r != HEAD_DONE)
		return r;
	if (h->major == 0) {
		*used = at;
		return HEAD_DONE;
	}
	return read_fields(a, p, n, at, limits, h, used);
}

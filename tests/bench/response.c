/*
 * response.c - a reader of HTTP/1.x responses (RFC 9112) for a client that only wants to know the status,
 * where the response ends and whether the connection goes on.
 */
#include "response.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

#define HEAD_MAX 65536u

void response_begin(struct response *r)
{
	r->state = RESPONSE_STATUS;
	r->status = 0;
	r->close = r->chunked = r->sized = false;
	r->left = r->head = r->n = 0;
}

static enum response_state status_line(struct response *r)
{
	const char *l = r->line;

	if (r->n < 12 || strncmp(l, "HTTP/1.", 7) != 0 || (l[7] != '0' && l[7] != '1') || l[8] != ' ')
		return RESPONSE_BAD;
	if (l[9] < '1' || l[9] > '5' || !isdigit((unsigned char)l[10]) || !isdigit((unsigned char)l[11]) ||
	    (l[12] != ' ' && l[12] != '\0'))
		return RESPONSE_BAD;
	r->status = (l[9] - '0') * 100 + (l[10] - '0') * 10 + (l[11] - '0');
	r->close = l[7] == '0';
	return RESPONSE_FIELDS;
}

static enum response_state behind_head(struct response *r)
{
	if (r->status < 200) {          /* an interim response: the real one follows */
		response_begin(r);
		return RESPONSE_STATUS;
	}
	if (r->status == 204 || r->status == 304)
		return RESPONSE_DONE;
	if (r->chunked)
		return RESPONSE_CHUNK_SIZE;
	if (!r->sized) {
		r->close = true;
		return RESPONSE_TO_END;
	}
	return r->left ? RESPONSE_BODY : RESPONSE_DONE;
}

/* Whether a comma-separated list names a word. */
static bool lists(struct text value, const char *word)
{
	struct text part;

	while (text_split(&value, ',', &part))
		if (text_is_nocase(text_trim(part), word))
			return true;
	return false;
}

static enum response_state field(struct response *r)
{
	struct text value = { r->line, r->n }, name;

	if (r->n == 0)
		return behind_head(r);
	text_split(&value, ':', &name);
	if (!value.p)
		return RESPONSE_BAD;
	value = text_trim(value);
	if (text_is_nocase(name, "Content-Length")) {
		if (text_u64(value, UINT64_MAX, &r->left) < 0)
			return RESPONSE_BAD;
		r->sized = true;
	} else if (text_is_nocase(name, "Transfer-Encoding")) {
		r->chunked = r->chunked || lists(value, "chunked");
	} else if (text_is_nocase(name, "Connection")) {
		if (lists(value, "close"))
			r->close = true;
		else if (lists(value, "keep-alive"))
			r->close = false;
	}
	return RESPONSE_FIELDS;
}

static enum response_state chunk_size(struct response *r)
{
	struct text rest = { r->line, r->n }, size;

	text_split(&rest, ';', &size);
	if (text_hex64(text_trim(size), INT64_MAX, &r->left) < 0)
		return RESPONSE_BAD;
	return r->left ? RESPONSE_CHUNK : RESPONSE_TRAILER;
}

static enum response_state line_read(struct response *r)
{
	if (r->n > 0 && r->line[r->n - 1] == '\r')
		r->n--;
	r->line[r->n] = '\0';
	switch (r->state) {
	case RESPONSE_STATUS:     return status_line(r);
	case RESPONSE_FIELDS:     return field(r);
	case RESPONSE_CHUNK_SIZE: return chunk_size(r);
	case RESPONSE_CHUNK_END:  return r->n == 0 ? RESPONSE_CHUNK_SIZE : RESPONSE_BAD;
	case RESPONSE_TRAILER:    return r->n == 0 ? RESPONSE_DONE : RESPONSE_TRAILER;
	default:                  return RESPONSE_BAD;
	}
}

/* Takes a line or a part of one; how much was taken. */
static size_t take_line(struct response *r, const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);
	size_t part = end ? (size_t)(end - p) : n, room = sizeof r->line - 1 - r->n;

	memcpy(r->line + r->n, p, part < room ? part : room);
	r->n += part < room ? part : room;
	r->head += part + 1;
	if (r->head > HEAD_MAX && r->state < RESPONSE_BODY) {
		r->state = RESPONSE_BAD;
	} else if (end) {
		r->state = line_read(r);
		r->n = 0;
	}
	return end ? part + 1 : n;
}

static size_t take_body(struct response *r, size_t n)
{
	if (n < r->left) {
		r->left -= n;
		return n;
	}
	n = (size_t)r->left;
	r->state = r->state == RESPONSE_CHUNK ? RESPONSE_CHUNK_END : RESPONSE_DONE;
	return n;
}

enum response_state response_feed(struct response *r, const char *p, size_t n)
{
	while (n > 0 && r->state != RESPONSE_BAD) {
		size_t taken = n;

		if (r->state == RESPONSE_DONE)
			r->state = RESPONSE_BAD;
		else if (r->state == RESPONSE_BODY || r->state == RESPONSE_CHUNK)
			taken = take_body(r, n);
		else if (r->state != RESPONSE_TO_END)
			taken = take_line(r, p, n);
		p += taken;
		n -= taken;
	}
	return r->state;
}

bool response_end(struct response *r)
{
	if (r->state != RESPONSE_TO_END)
		return r->state == RESPONSE_DONE;
	r->state = RESPONSE_DONE;
	return true;
}

/*
 * records.c - writes requests in the forms of FastCGI, SCGI and uwsgi, and reads FastCGI's records. Runs in the children, on what
 * backends send.
 */
#include "handler/records.h"

#include <stdio.h>
#include <string.h>

enum { BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, STDERR = 7 };     /* FastCGI, 8 */
#define RESPONDER 1
#define KEEP_CONN 1
#define ID 1
#define LENGTH_MOST INT32_MAX

/* ------------------------------------------------------------------------------------------------ FastCGI: requests */

static void put_head(unsigned char *h, unsigned type, size_t n)
{
	h[0] = 1;
	h[1] = (unsigned char)type;
	h[2] = 0;
	h[3] = ID;
	h[4] = (unsigned char)(n >> 8);
	h[5] = (unsigned char)n;
	h[6] = h[7] = 0;
}

void fcgi_stdin(unsigned char h[FCGI_HEAD], size_t n)
{
	put_head(h, STDIN, n);
}

static size_t length_size(size_t n)
{
	return n < 128 ? 1 : 4;
}

static unsigned char *put_length(unsigned char *p, size_t n)
{
	if (n < 128) {
		*p++ = (unsigned char)n;
		return p;
	}
	*p++ = (unsigned char)(n >> 24 | 0x80);
	*p++ = (unsigned char)(n >> 16);
	*p++ = (unsigned char)(n >> 8);
	*p++ = (unsigned char)n;
	return p;
}

/* Bytes of all name-value pairs; SIZE_MAX: one is too long. */
static size_t pairs_size(const struct fields *v)
{
	size_t all = 0;

	for (unsigned i = 0; i < v->n; i++) {
		size_t name = v->at[i].name.n, value = v->at[i].value.n;

		if (name > LENGTH_MOST || value > LENGTH_MOST || !size_add(all, length_size(name) + length_size(value), &all) ||
		    !size_add(all, name, &all) || !size_add(all, value, &all))
			return SIZE_MAX;
	}
	return all;
}

static void put_pairs(unsigned char *p, const struct fields *v)
{
	for (unsigned i = 0; i < v->n; i++) {
		const struct field *f = &v->at[i];

		p = put_length(put_length(p, f->name.n), f->value.n);
		memcpy(p, f->name.p, f->name.n);
		p += f->name.n;
		if (f->value.n)
			memcpy(p, f->value.p, f->value.n);
		p += f->value.n;
	}
}

struct text fcgi_request(struct arena *a, const struct fields *variables, bool keep)
{
	static const struct text none = { NULL, 0 };
	size_t n = pairs_size(variables), records, all;
	unsigned char *pairs, *out, *p;

	if (n >= SIZE_MAX / 2)
		return none;
	records = (n + FCGI_CONTENT - 1) / FCGI_CONTENT;
	all = FCGI_HEAD + 8 + n + (records + 1) * FCGI_HEAD;
	pairs = arena_alloc(a, n);
	out = arena_alloc(a, all);
	if (!pairs || !out)
		return none;
	put_pairs(pairs, variables);
	p = out;
	put_head(p, BEGIN_REQUEST, 8);
	memcpy(p + FCGI_HEAD, (const unsigned char[8]){ 0, RESPONDER, keep ? KEEP_CONN : 0 }, 8);
	p += FCGI_HEAD + 8;
	for (size_t at = 0; at < n;) {
		size_t part = n - at < FCGI_CONTENT ? n - at : FCGI_CONTENT;

		put_head(p, PARAMS, part);
		memcpy(p + FCGI_HEAD, pairs + at, part);
		p += FCGI_HEAD + part;
		at += part;
	}
	put_head(p, PARAMS, 0);
	return (struct text){ (const char *)out, all };
}

/* ------------------------------------------------------------------------------------------------ SCGI, uwsgi */

struct text scgi_request(struct arena *a, const struct fields *variables, uint64_t length)
{
	char first[64], count[24];
	size_t nfirst = (size_t)snprintf(first, sizeof(first), "CONTENT_LENGTH%c%llu%cSCGI%c1", '\0', (unsigned long long)length, '\0', '\0') + 1;
	size_t n = nfirst, ncount;
	char *out, *p;

	for (unsigned i = 0; i < variables->n; i++)
		if (!text_is(variables->at[i].name, "CONTENT_LENGTH"))
			n += variables->at[i].name.n + variables->at[i].value.n + 2;
	ncount = (size_t)snprintf(count, sizeof(count), "%zu:", n);
	if (!(out = arena_alloc(a, ncount + n + 1)))
		return (struct text){ NULL, 0 };
	memcpy(out, count, ncount);
	memcpy(out + ncount, first, nfirst);
	p = out + ncount + nfirst;
	for (unsigned i = 0; i < variables->n; i++) {
		const struct field *f = &variables->at[i];

		if (text_is(f->name, "CONTENT_LENGTH"))
			continue;
		memcpy(p, f->name.p, f->name.n);
		p += f->name.n;
		*p++ = '\0';
		if (f->value.n)
			memcpy(p, f->value.p, f->value.n);
		p += f->value.n;
		*p++ = '\0';
	}
	*p++ = ',';
	return (struct text){ out, (size_t)(p - out) };
}

static unsigned char *put_short(unsigned char *p, size_t n)
{
	*p++ = (unsigned char)n;
	*p++ = (unsigned char)(n >> 8);
	return p;
}

struct text uwsgi_request(struct arena *a, const struct fields *variables, bool *too_long)
{
	size_t n = 0;
	unsigned char *out, *p;

	*too_long = false;
	for (unsigned i = 0; i < variables->n; i++)
		if (!size_add(n, variables->at[i].name.n + variables->at[i].value.n + 4, &n))
			n = SIZE_MAX / 2;
	if (n > UWSGI_MOST) {
		*too_long = true;
		return (struct text){ NULL, 0 };
	}
	if (!(out = arena_alloc(a, n + 4)))
		return (struct text){ NULL, 0 };
	p = out;
	*p++ = 0;                       /* modifier1: a WSGI request */
	p = put_short(p, n);
	*p++ = 0;                       /* modifier2 */
	for (unsigned i = 0; i < variables->n; i++) {
		const struct field *f = &variables->at[i];

		p = put_short(p, f->name.n);
		memcpy(p, f->name.p, f->name.n);
		p = put_short(p + f->name.n, f->value.n);
		if (f->value.n)
			memcpy(p, f->value.p, f->value.n);
		p += f->value.n;
	}
	return (struct text){ (const char *)out, (size_t)(p - out) };
}

/* ------------------------------------------------------------------------------------------------ FastCGI: answers */

static enum fcgi_event bad(struct fcgi_reader *r, const char *why)
{
	r->why = why;
	return FCGI_BAD;
}

static enum fcgi_event judge_head(struct fcgi_reader *r)
{
	unsigned type = r->head[1], id = (unsigned)r->head[2] << 8 | r->head[3];

	if (r->head[0] != 1)
		return bad(r, "its first byte is no version of FastCGI");
	r->content = (uint32_t)r->head[4] << 8 | r->head[5];
	r->padding = r->head[6];
	if (id != ID)
		return id == 0 ? FCGI_MORE : bad(r, "it speaks of another request");
	if (type != STDOUT && type != STDERR && type != END_REQUEST)
		return bad(r, "it sends a record that no answer has");
	if (type == END_REQUEST && r->content != sizeof(r->end))
		return bad(r, "its record of the end has not 8 bytes");
	return FCGI_MORE;
}

/* n > 0 bytes of the content of the record at hand. */
static enum fcgi_event take_content(struct fcgi_reader *r, const char *p, size_t n, struct text *data)
{
	unsigned type = r->head[1];

	if (r->head[3] != ID)
		type = 0;
	if (type == END_REQUEST)
		memcpy(r->end + sizeof(r->end) - r->content, p, n);
	r->content -= (uint32_t)n;
	*data = (struct text){ p, n };
	return type == STDOUT ? FCGI_STDOUT : type == STDERR ? FCGI_STDERR : FCGI_MORE;
}

/* A record is whole. */
static void finish_record(struct fcgi_reader *r)
{
	if (r->head[3] == ID && r->head[1] == END_REQUEST) {
		r->over = true;
		r->status = (uint32_t)r->end[0] << 24 | (uint32_t)r->end[1] << 16 | (uint32_t)r->end[2] << 8 | r->end[3];
		r->refused = r->end[4];
	}
	r->have = 0;
}

enum fcgi_event fcgi_read(struct fcgi_reader *r, const char *p, size_t n, size_t *used, struct text *data)
{
	size_t i = 0;

	*data = (struct text){ NULL, 0 };
	*used = 0;
	while (!r->why && !r->over && i < n) {
		size_t left = n - i, part;
		enum fcgi_event e = FCGI_MORE;

		if (r->have < FCGI_HEAD) {
			r->head[r->have++] = (unsigned char)p[i++];
			if (r->have == FCGI_HEAD && judge_head(r) == FCGI_BAD)
				break;
		} else if (r->content) {
			part = left < r->content ? left : r->content;
			e = take_content(r, p + i, part, data);
			i += part;
		} else {
			part = left < r->padding ? left : r->padding;
			r->padding -= (uint32_t)part;
			i += part;
		}
		if (r->have == FCGI_HEAD && !r->content && !r->padding)
			finish_record(r);
		if (e != FCGI_MORE) {
			*used = i;
			return e;
		}
	}
	*used = i;
	return r->why ? FCGI_BAD : r->over ? FCGI_END : FCGI_MORE;
}

/*
 * streamhead.c - request heads of HTTP/2 from their names and values. Pure; runs in the children.
 */
#include "http/streamhead.h"

#define FIELD_EXTRA 32                  /* RFC 9113, 6.5.2 */
#define LINE_EXTRA 11                   /* two blanks and the version */

static void refuse(struct stream_head *h, unsigned status, const char *reason)
{
	if (!h->status) {
		h->status = status;
		h->reason = reason;
	}
}

void stream_head_init(struct stream_head *h, struct arena *a, const struct head_limits *limits)
{
	*h = (struct stream_head){ .arena = a, .limits = *limits };
	fields_init(&h->fields, a);
}

/* With a NUL behind it, as readers of texts may look at the byte that follows. */
static struct text copy(struct stream_head *h, struct text t)
{
	char *p = t.n ? arena_strndup(h->arena, t.p, t.n) : NULL;

	if (!p && t.n)
		refuse(h, 503, "out of memory for the fields");
	return (struct text){ t.n ? p : "", p ? t.n : 0 };
}

/* The same for both. 0 or -1. */
static int add_field(struct stream_head *h, struct text name, struct text value)
{
	char *p = arena_alloc(h->arena, name.n + value.n + 2), *v = p + name.n + 1;

	if (!p)
		return -1;
	memcpy(p, name.p, name.n);
	p[name.n] = '\0';
	if (value.n)
		memcpy(v, value.p, value.n);
	v[value.n] = '\0';
	return fields_add(&h->fields, (struct text){ p, name.n }, (struct text){ v, value.n });
}

static struct text *pseudo(struct stream_head *h, struct text name)
{
	return text_is(name, ":method") ? &h->method : text_is(name, ":path") ? &h->path : text_is(name, ":scheme") ? &h->scheme :
	       text_is(name, ":authority") ? &h->authority : text_is(name, ":protocol") ? &h->protocol : NULL;
}

/* Grows by doubling: however small the pieces, what they cost stays in proportion. */
static void add_cookie(struct stream_head *h, struct text value)
{
	size_t n = h->cookie.p ? h->cookie.n + 2 + value.n : value.n, cap = 2 * n + 64;
	char *p = (char *)(uintptr_t)h->cookie.p;

	if (!p || n >= h->cookie_cap) {
		p = arena_alloc(h->arena, cap);
		if (!p) {
			refuse(h, 503, "out of memory for the fields");
			return;
		}
		if (h->cookie.p && h->cookie.n)
			memcpy(p, h->cookie.p, h->cookie.n);
		h->cookie_cap = cap;
	}
	if (h->cookie.p) {
		p[h->cookie.n] = ';';
		p[h->cookie.n + 1] = ' ';
	}
	if (value.n)
		memcpy(p + n - value.n, value.p, value.n);
	p[n] = '\0';
	h->cookie = (struct text){ p, n };
}

void stream_head_add(struct stream_head *h, struct text name, struct text value)
{
	struct text *at = name.n && name.p[0] == ':' ? pseudo(h, name) : NULL;
	bool cookie = text_is(name, "cookie");

	h->size += name.n + value.n + FIELD_EXTRA;
	if (h->size > STREAM_HEAD_MOST)
		refuse(h, 431, "its head is longer than 64 KiB");
	if (h->status)
		return;
	if (!http_is_value(value)) {
		refuse(h, 400, "a control character in a field value");
	} else if (at) {
		*at = copy(h, value);
	} else if (!http_is_token(name)) {
		refuse(h, 400, "a character that no field name has");
	} else if (name.n + value.n + 2 > h->limits.field || (cookie && h->cookie.p && h->cookie.n + name.n + value.n + 4 > h->limits.field)) {
		refuse(h, 431, "a field line is longer than LimitRequestFieldSize");
	} else if (cookie) {
		add_cookie(h, value);           /* one field, in however many pieces it came */
	} else if (h->limits.fields && h->fields.n == h->limits.fields) {
		refuse(h, 431, "more fields than LimitRequestFields");
	} else if (add_field(h, name, value) != 0) {
		refuse(h, 503, "out of memory for the fields");
	}
}

static enum head_result bad(const struct stream_head *h, struct request_head *out)
{
	out->status = h->status;
	out->reason = h->reason;
	return HEAD_BAD;
}

/* RFC 9113, 8.3.1: where both are there they must say the same. */
static void use_authority(struct stream_head *h)
{
	struct text host = fields_find(&h->fields, TEXT("host"));

	if (fields_count_of(&h->fields, TEXT("host")) > 1)
		refuse(h, 400, "it has several Host fields");
	else if (h->authority.p && host.p && !text_eq_nocase(host, h->authority))
		refuse(h, 400, "its Host field is not its :authority");
	else if (h->authority.p && !host.p && fields_add(&h->fields, TEXT("Host"), h->authority) != 0)
		refuse(h, 503, "out of memory for the fields");
}

/* RFC 8441: what a WebSocket of HTTP/1 would have asked. */
static void unfold_connect(struct stream_head *h)
{
	h->method = TEXT("GET");
	if (fields_add(&h->fields, TEXT("Upgrade"), h->protocol) != 0 || fields_add(&h->fields, TEXT("Connection"), TEXT("Upgrade")) != 0)
		refuse(h, 503, "out of memory for the fields");
}

enum head_result stream_head_finish(struct stream_head *h, struct request_head *out)
{
	bool connect = text_is(h->method, "CONNECT") && !h->protocol.p;
	char *line;
	size_t n;

	*out = (struct request_head){ .major = 2, .minor = 0 };
	if (h->protocol.p)
		unfold_connect(h);
	if (connect)
		h->path = h->authority;
	use_authority(h);
	if (h->cookie.p && fields_add(&h->fields, TEXT("Cookie"), h->cookie) != 0)
		refuse(h, 503, "out of memory for the fields");
	if (!h->status && h->scheme.p && !text_is_nocase(h->scheme, "http") && !text_is_nocase(h->scheme, "https"))
		refuse(h, 400, "its :scheme is neither http nor https");
	n = h->method.n + h->path.n + LINE_EXTRA;
	if (n > h->limits.line)
		refuse(h, 414, "its method and :path are longer than LimitRequestLine");
	out->method = h->method;
	out->method_id = http_method_find(h->method);
	out->target = h->path;
	out->fields = h->fields;
	line = n <= h->limits.line + LINE_EXTRA ? arena_alloc(h->arena, n + 1) : NULL;
	if (line) {
		struct buf b;

		buf_init(&b, line, n + 1);
		buf_put(&b, h->method.p, h->method.n);
		buf_putc(&b, ' ');
		buf_put(&b, h->path.p, h->path.n);
		buf_puts(&b, " HTTP/2.0");
		out->line = (struct text){ line, b.n };
	} else if (n <= h->limits.line) {
		refuse(h, 503, "out of memory for the fields");
	}
	for (size_t i = 0; i < h->path.n && !h->status; i++)
		if ((unsigned char)h->path.p[i] <= ' ' || h->path.p[i] == 0x7f)
			refuse(h, 400, "a control character in :path");
	return h->status ? bad(h, out) : HEAD_DONE;
}

/*
 * proxyfields.c - the fields of requests to servers behind and of their answers. Runs in the children.
 *
 * What goes out is made of parsed names and values alone, which hold no line end: http/head.c and http/responsehead.c see to that for what
 * came, is_sendable() here for what the configuration's own directives made.
 */
#include "handler/proxyfields.h"

#include <string.h>
#include <strings.h>

#include "base/version.h"
#include "request/response.h"

bool proxy_hop_by_hop(const struct fields *f, struct text name)
{
	static const char *const names[] = { "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Trailers", "Transfer-Encoding", "Upgrade",
					     "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info" };
	struct text list, member;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (text_is_nocase(name, names[i]))
			return true;
	for (unsigned i = 0; i < f->n; i++) {
		if (!text_is_nocase(f->at[i].name, "Connection"))
			continue;
		for (list = f->at[i].value; fields_list_next(&list, &member);)
			if (text_eq_nocase(member, name))
				return true;
	}
	return false;
}

static bool is_sendable(const struct field *f)
{
	return http_is_token(f->name) && http_is_value(f->value);
}

static void put_field(struct buf *b, const char *name, struct text value)
{
	buf_puts(b, name);
	buf_puts(b, ": ");
	buf_put(b, value.p, value.n);
	buf_puts(b, "\r\n");
}

static void put_line(struct buf *b, const struct field *f)
{
	buf_put(b, f->name.p, f->name.n);
	buf_puts(b, ": ");
	buf_put(b, f->value.p, f->value.n);
	buf_puts(b, "\r\n");
}

/* ------------------------------------------------------------------------------------------------ the request */

const char *proxy_upgrade(const struct request *r, const struct proxy_worker *w)
{
	bool ws = strncmp(w->scheme, "ws", 2) == 0;
	const char *allowed = w->upgrade ? w->upgrade : ws ? "websocket" : NULL;
	struct text list = fields_combined(&r->in, "Upgrade"), member;

	if (ws && w->upgrade && strcasecmp(w->upgrade, "none") == 0)    /* of such a URL it means that nothing is checked */
		allowed = "any";
	if (!allowed || r->has_body || request_is_old(r) || !fields_has_token(&r->in, "Connection", "upgrade"))
		return NULL;
	while (fields_list_next(&list, &member))
		if (strcasecmp(allowed, "any") == 0 || text_is_nocase(member, allowed))
			return http_is_token(member) ? arena_strndup(r->arena, member.p, member.n) : NULL;
	return NULL;
}

static size_t fields_size(const struct fields *f)
{
	size_t n = 0;

	for (unsigned i = 0; i < f->n; i++)
		n += f->at[i].name.n + f->at[i].value.n + 8;
	return n;
}

/* What is written by put_own, or not at all. */
static bool is_own(struct request *r, struct text name, bool adds, bool via)
{
	static const char *const always[] = { "Host", "Content-Length", "Expect", "Max-Forwards" };
	static const char *const added[] = { "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Server" };

	(void)r;
	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		if (text_is_nocase(name, always[i]))
			return true;
	for (size_t i = 0; adds && i < sizeof added / sizeof *added; i++)
		if (text_is_nocase(name, added[i]))
			return true;
	return via && text_is_nocase(name, "Via");
}

static void put_joined(struct request *r, struct buf *b, const char *name, struct text own)
{
	struct text have = fields_combined(&r->in, name);

	if (!own.n || !http_is_value(own))
		return;
	buf_puts(b, name);
	buf_puts(b, ": ");
	if (have.n) {
		buf_put(b, have.p, have.n);
		buf_puts(b, ", ");
	}
	buf_put(b, own.p, own.n);
	buf_puts(b, "\r\n");
}

static const char *via_of(struct request *r, unsigned major, unsigned minor, bool full)
{
	unsigned port = response_port(r);
	bool usual = port == (strcmp(response_scheme(r), "https") == 0 ? 443 : 80);
	const char *name = r->host->name && *r->host->name ? r->host->name : response_host(r), *number = usual ? "" : arena_printf(r->arena, ":%u", port);

	return arena_printf(r->arena, "%u.%u %s%s%s", major, minor, name ? name : "localhost", number ? number : "", full ? " (Bulkhead/" BULKHEAD_VERSION ")" : "");
}

static void put_via(struct request *r, struct buf *b)
{
	enum proxy_via via = proxy_via(r);
	const char *own = via == PROXY_VIA_ON || via == PROXY_VIA_FULL ? via_of(r, r->major, r->minor, via == PROXY_VIA_FULL) : NULL;

	if (own)
		put_joined(r, b, "Via", text_of(own));
}

static void put_host(struct proxy_try *t, struct buf *b)
{
	struct request *r = t->r;
	struct text host = fields_get(&r->in, "Host");

	if (!proxy_preserves_host(r) || !host.n)
		host = text_of(t->worker->authority);
	put_field(b, "Host", host);
}

static void put_forwards(struct request *r, struct buf *b)
{
	struct text field = fields_get(&r->in, "Max-Forwards");
	uint64_t n;

	if (field.n && text_u64(field, INT32_MAX, &n) == 0)
		buf_printf(b, "Max-Forwards: %llu\r\n", (unsigned long long)(n ? n - 1 : 0));
	else if (!field.n && proxy_max_forwards(r) > 0)
		buf_printf(b, "Max-Forwards: %lld\r\n", (long long)proxy_max_forwards(r));
}

static void put_framing(struct request *r, const struct proxy_ask *ask, struct buf *b)
{
	if (ask->chunked)
		buf_puts(b, "Transfer-Encoding: chunked\r\n");
	else if (r->has_body || fields_get(&r->in, "Content-Length").p)
		buf_printf(b, "Content-Length: %llu\r\n", (unsigned long long)(r->has_body ? r->body_length : 0));
	if (ask->expects)
		buf_puts(b, "Expect: 100-continue\r\n");
	if (ask->upgrade)
		buf_printf(b, "Upgrade: %s\r\nConnection: Upgrade\r\n", ask->upgrade);
	else if (ask->close)
		buf_puts(b, "Connection: close\r\n");
	else if (ask->old)
		buf_puts(b, "Connection: keep-alive\r\n");
}

static void put_forwarded(struct request *r, struct buf *b)
{
	put_joined(r, b, "X-Forwarded-For", text_of(r->client->peer_text));
	put_joined(r, b, "X-Forwarded-Host", fields_get(&r->in, "Host"));
	put_joined(r, b, "X-Forwarded-Server", text_of(r->host->name));
}

struct text proxy_request_head(struct proxy_try *t, const struct proxy_ask *ask)
{
	struct request *r = t->r;
	const struct proxy_to *to = r->proxy;
	const char *path = proxy_path(t, false);
	bool adds = proxy_adds_headers(r), via = proxy_via(r) != PROXY_VIA_OFF;
	size_t cap = 1024 + r->method.n + (path ? strlen(path) : 0) + (to->query ? strlen(to->query) : 0) + strlen(t->worker->authority) +
		     2 * fields_size(&r->in) + (r->host->name ? 3 * strlen(r->host->name) : 0) + (r->hostname ? strlen(r->hostname) : 0);
	char *p = path ? arena_alloc(r->arena, cap) : NULL;
	struct buf b;

	if (!p)
		return (struct text){ 0 };
	buf_init(&b, p, cap);
	buf_put(&b, r->method.p, r->method.n);
	buf_putc(&b, ' ');
	buf_puts(&b, path);
	if (to->query) {
		buf_putc(&b, '?');
		buf_puts(&b, to->query);
	}
	buf_puts(&b, ask->old ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
	put_host(t, &b);
	for (unsigned i = 0; i < r->in.n; i++) {
		const struct field *f = &r->in.at[i];

		if (!is_own(r, f->name, adds, via) && !proxy_hop_by_hop(&r->in, f->name) && is_sendable(f))
			put_line(&b, f);
	}
	if (adds)
		put_forwarded(r, &b);
	put_via(r, &b);
	put_forwards(r, &b);
	put_framing(r, ask, &b);
	buf_puts(&b, "\r\n");
	return b.full ? (struct text){ 0 } : (struct text){ b.p, b.n };
}

/* ------------------------------------------------------------------------------------------------ the answer */

static int take_field(struct request *r, const struct response_head *h, const struct field *f)
{
	if (text_is_nocase(f->name, "Content-Length") || proxy_hop_by_hop(&h->fields, f->name))
		return 0;
	if (text_is_nocase(f->name, "Content-Encoding")) {
		const char *have = r->encoding;

		r->encoding = have ? arena_printf(r->arena, "%s, %.*s", have, (int)f->value.n, f->value.p) : arena_strndup(r->arena, f->value.p, f->value.n);
		return r->encoding ? 0 : -1;
	}
	if (text_is_nocase(f->name, "Content-Type") && !(r->type = arena_strndup(r->arena, f->value.p, f->value.n)))
		return -1;
	if (text_is_nocase(f->name, "Via") && proxy_via(r) == PROXY_VIA_BLOCK)
		return 0;
	return fields_add(&r->out, f->name, f->value);
}

int proxy_take_head(struct request *r, const struct response_head *h)
{
	enum proxy_via via = proxy_via(r);
	const char *own;

	r->status = h->status;
	r->reason = h->reason.n ? arena_strndup(r->arena, h->reason.p, h->reason.n) : NULL;
	r->type = r->charset = r->encoding = r->language = r->etag = NULL;
	r->modified = -1;
	r->foreign = true;
	for (unsigned i = 0; i < h->fields.n; i++)
		if (take_field(r, h, &h->fields.at[i]) != 0)
			return -1;
	if (via == PROXY_VIA_ON || via == PROXY_VIA_FULL) {
		struct text have = fields_combined(&r->out, "Via");

		own = via_of(r, h->major, h->minor, via == PROXY_VIA_FULL);
		if (own && have.n)
			own = arena_printf(r->arena, "%.*s, %s", (int)have.n, have.p, own);
		if (!own || fields_set(&r->out, "Via", own) != 0)
			return -1;
	}
	return proxy_reverse(r, &r->out);
}

struct text proxy_interim_head(struct request *r, const struct response_head *h, const char *upgrade)
{
	size_t cap = 256 + h->reason.n + fields_size(&h->fields) + (upgrade ? strlen(upgrade) : 0);
	char *p = arena_alloc(r->arena, cap);
	struct buf b;

	if (!p)
		return (struct text){ 0 };
	buf_init(&b, p, cap);
	buf_printf(&b, "HTTP/1.1 %u ", h->status);
	buf_put(&b, h->reason.p, h->reason.n);
	buf_puts(&b, "\r\n");
	for (unsigned i = 0; i < h->fields.n; i++)
		if (!text_is_nocase(h->fields.at[i].name, "Content-Length") && !proxy_hop_by_hop(&h->fields, h->fields.at[i].name))
			put_line(&b, &h->fields.at[i]);
	if (upgrade)
		buf_printf(&b, "Upgrade: %s\r\nConnection: Upgrade\r\n", upgrade);
	buf_puts(&b, "\r\n");
	return (struct text){ b.p, b.n };
}

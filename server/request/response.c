/*
 * response.c - the meaning of a response: status, fields, preconditions, error pages, ErrorDocument, redirects. Runs in the
 * children; the wire form is conn/'s.
 *
 * r->out goes out with successes, r->always with everything. A page that the server makes by itself (an error, a redirect)
 * empties r->out first, so that what was meant for the file does not describe the page.
 */
#include "request/response.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/version.h"
#include "http/condition.h"
#include "http/head.h"
#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/expires.h"
#include "request/filter.h"
#include "request/handler.h"
#include "request/headers.h"
#include "request/mime.h"
#include "request/phases.h"
#include "request/variables.h"

/* ------------------------------------------------------------------------------------------------ small things */

/* Formatted once a second; each call's text is good until the next second. */
static struct text date_now(time_t *now)
{
	static char text[HTTP_DATE];
	static time_t when;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	if (ts.tv_sec != when || !*text) {
		when = ts.tv_sec;
		http_date(when, text);
	}
	*now = when;
	return text_of(text);
}

const char *response_server(const struct host *h)
{
	static const char *const by_tokens[] = {
		[CORE_TOKENS_PROD] = "Bulkhead", [CORE_TOKENS_MAJOR] = "Bulkhead/0", [CORE_TOKENS_MINOR] = "Bulkhead/" BULKHEAD_VERSION,
		[CORE_TOKENS_MIN] = "Bulkhead/" BULKHEAD_VERSION, [CORE_TOKENS_OS] = "Bulkhead/" BULKHEAD_VERSION " (Unix)",
		[CORE_TOKENS_FULL] = "Bulkhead/" BULKHEAD_VERSION " (Unix)",
	};
	int tokens = h ? core_host_of(h)->tokens : CORE_TOKENS_FULL;

	return by_tokens[tokens < CORE_TOKENS_PROD || tokens > CORE_TOKENS_FULL ? CORE_TOKENS_FULL : tokens];
}

/* The name the client wrote, as a port may stand beside it; false: it wrote none. */
static bool name_asked(const struct request *r, struct text *port)
{
	struct text host = { 0 }, field;

	*port = (struct text){ NULL, 0 };
	if (r->uri.form == URI_ABSOLUTE && r->uri.host.n) {
		*port = r->uri.port;
		return true;
	}
	field = fields_get(&r->in, "Host");
	return field.n && uri_parse_host(field, &host, port) == 0 && host.n;
}

static int canonical_name(const struct request *r)
{
	return r->section ? core_section_of(r)->canonical_name : CORE_CANONICAL_OFF;
}

const char *response_scheme(const struct request *r)
{
	bool secure = r->client->secure || (r->host && r->host->scheme && strcmp(r->host->scheme, "https") == 0);

	return secure ? "https" : "http";
}

/*
 * By UseCanonicalName: the client's, unless that is On; the host's; where UseCanonicalPhysicalPort is On the connection's,
 * before the host's for Off, after it for On; else that of the scheme.
 */
unsigned response_port(const struct request *r)
{
	unsigned host = r->host ? r->host->port : 0, local = 0;
	struct text asked;
	uint64_t n;

	if (r->section && core_section_of(r)->canonical_port == 1)
		local = addr_port(&r->client->local);
	if (canonical_name(r) != CORE_CANONICAL_ON) {
		if (name_asked(r, &asked) && asked.n && text_u64(asked, 65535, &n) == 0 && n)
			return (unsigned)n;
		host = local ? local : host;
	}
	if (host || local)
		return host ? host : local;
	return strcmp(response_scheme(r), "https") == 0 ? 443 : 80;
}

const char *response_host(struct request *r)
{
	struct text asked;
	char address[ADDR_TEXT];

	if (canonical_name(r) <= CORE_CANONICAL_OFF && r->hostname && *r->hostname && name_asked(r, &asked))
		return r->hostname;
	if (r->host && r->host->name && *r->host->name)
		return r->host->name;
	return arena_strdup(r->arena, addr_ip(&r->client->local, address));
}

const char *response_origin(struct request *r)
{
	const char *scheme = response_scheme(r), *name = response_host(r);
	unsigned number = response_port(r);
	char port[16] = "";

	if (!name)
		return NULL;
	if (number != (strcmp(scheme, "https") == 0 ? 443 : 80))
		snprintf(port, sizeof(port), ":%u", number);
	if (strchr(name, ':') && *name != '[')
		return arena_printf(r->arena, "%s://[%s]%s", scheme, name, port);
	return arena_printf(r->arena, "%s://%s%s", scheme, name, port);
}

/* ------------------------------------------------------------------------------------------------ the head */

static inline int add(struct request *r, const char *name, struct text value)
{
	return fields_add(&r->out, text_of(name), value);
}

static int add_date(struct request *r, const char *name, time_t t)
{
	static char text[HTTP_DATE];            /* the last one: often it is the same again */
	static time_t when = -1;
	char *copy;

	if (t != when)
		http_date(t, text);
	when = t;
	copy = arena_memdup(r->arena, text, sizeof text);
	return copy ? add(r, name, (struct text){ copy, sizeof text - 1 }) : -1;
}

static int add_type(struct request *r)
{
	const char *charset = r->charset, *value = r->type;

	if (!charset && !strstr(r->type, "charset="))
		charset = mime_default_charset(r, r->type);
	if (charset && !(value = arena_printf(r->arena, "%s; charset=%s", r->type, charset)))
		return -1;
	return add(r, "Content-Type", text_of(value));
}

/* The fields that describe the representation, where the handler has not set them itself. */
static int describe(struct request *r, time_t now)
{
	int rc = 0;

	if (r->modified != -1 && !fields_get(&r->out, "Last-Modified").p)
		rc |= add_date(r, "Last-Modified", r->modified < now ? r->modified : now);
	if (r->etag && !fields_get(&r->out, "ETag").p)
		rc |= add(r, "ETag", text_of(r->etag));
	if (r->status == 304)
		return rc;
	if (r->type && !fields_get(&r->out, "Content-Type").p)
		rc |= add_type(r);
	if (r->encoding && !fields_get(&r->out, "Content-Encoding").p)
		rc |= add(r, "Content-Encoding", text_of(r->encoding));
	if (r->language && !fields_get(&r->out, "Content-Language").p)
		rc |= add(r, "Content-Language", text_of(r->language));
	return rc;
}

/* Date and Server come first, and are the server's alone: no directive changes them. */
static int sign(struct request *r, struct text date)
{
	struct field *at;

	bool dated = r->foreign && fields_get(&r->out, "Date").p, named = r->foreign && fields_get(&r->out, "Server").p;

	if (dated && named)
		return 0;
	if (r->foreign)                         /* what is missing alone */
		return (dated ? 0 : add(r, "Date", date)) | (named ? 0 : add(r, "Server", text_of(response_server(r->site ? r->site->main : r->host))));
	fields_remove(&r->out, "Date");
	fields_remove(&r->out, "Server");
	if (add(r, "Date", date) < 0 || add(r, "Server", text_of(response_server(r->site ? r->site->main : r->host))) < 0)
		return -1;
	at = r->out.at;
	if (r->out.n > 2) {
		struct field first = at[r->out.n - 2], second = at[r->out.n - 1];

		memmove(at + 2, at, (r->out.n - 2) * sizeof(*at));
		at[0] = first;
		at[1] = second;
	}
	return 0;
}

/* RFC 9110, 15.4.5: what tells about the content that is not sent goes away; validators and caching stay. */
static void not_modified(struct request *r)
{
	static const char *const gone[] = { "Content-Type", "Content-Encoding", "Content-Language", "Content-Range" };

	r->status = 304;
	r->length = -1;
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		fields_remove(&r->out, gone[i]);
}

/* What goes with every status outlives an internal redirect: Allow of a 405 whose page is an ErrorDocument. */
static void inherit_always(struct request *r)
{
	for (const struct request *o = r->original; o; o = o->original)
		for (unsigned i = 0; i < o->always.n; i++)
			fields_add(&r->always, o->always.at[i].name, o->always.at[i].value);
}

/* Who answers takes -1 for a stream that is gone, and does no more: so it has to be. */
static int out_of_memory(struct request *r)
{
	stream_abort(r->stream, "out of memory");
	return -1;
}

/* The list with the members of `values` that it does not hold yet. */
static void put_members(struct buf *list, struct text values)
{
	struct text member, have, one;

	while (fields_list_next(&values, &member)) {
		bool there = false;

		for (have = (struct text){ list->p, list->n }; !there && fields_list_next(&have, &one);)
			there = text_eq_nocase(one, member);
		if (there)
			continue;
		if (list->n)
			buf_puts(list, ", ");
		buf_put(list, member.p, member.n);
	}
}

/* Handlers, filters, rules and Header lines all add to Vary: it goes out as one line that names each field once. */
static int unite_vary(struct request *r)
{
	struct text out = fields_combined(&r->out, "Vary"), always = fields_combined(&r->always, "Vary");
	struct buf list;
	char *room;

	if (!out.n && !always.n)
		return 0;
	room = arena_alloc(r->arena, 2 * (out.n + always.n) + 1);
	if (!room)
		return -1;
	buf_init(&list, room, 2 * (out.n + always.n) + 1);
	put_members(&list, always);
	put_members(&list, out);
	fields_remove(&r->always, "Vary");
	return fields_set(&r->out, "Vary", room);
}

static int start(struct request *r, bool own)
{
	time_t now;
	struct text date = date_now(&now);

	inherit_always(r);
	if (r->method_id == HTTP_HEAD || r->status == 204 || r->status == 304)
		r->no_body = true;
	if (describe(r, now) < 0 || expires_apply(r, now) < 0)
		return out_of_memory(r);
	headers_response(r, own);
	if (r->status == 304 || r->status == 204) {
		fields_remove(&r->out, "Content-Type");
		r->length = -1;
	}
	if (unite_vary(r) < 0 || sign(r, date) < 0)
		return out_of_memory(r);
	r->phase = PHASE_RESPONSE;
	log_debugx(&r->client->about, LOG_CORE, NULL, "%.*s %s is answered with %u: host %s, %s %s", (int)r->method.n, r->method.p ? r->method.p : "",
		   r->path ? r->path : "-", r->status, r->host && r->host->name ? r->host->name : "-", r->found ? "file" : "no file,",
		   r->found ? r->filename : r->handler ? r->handler->name : "no handler");
	if (r->filters && !r->no_body)
		filter_install(r);
	return stream_head(r->stream);
}

int response_start(struct request *r)
{
	struct validators v = { .etag = text_of(r->etag), .modified = r->modified, .exists = true };
	unsigned status = 0;
	time_t now;

	if (r->head_sent)
		return -1;
	if ((status = filter_choose(r)) != 0) {
		response_error(r, status);
		return 1;
	}
	if (r->status == 200 && (r->etag || r->modified != -1)) {
		date_now(&now);
		status = condition_check(&r->in, r->method_id, &v, now);
	}
	if (status == 412) {
		response_error(r, 412);
		return 1;
	}
	if (status == 304) {
		not_modified(r);
		if (start(r, false) < 0)
			return -1;
		stream_end(r->stream);
		return 1;
	}
	return start(r, false);
}

/* ------------------------------------------------------------------------------------------------ texts from memory */

struct page {
	char *p;
	size_t n;
};

static void page_write(struct request *r)
{
	struct page *page = r->handler_data;

	while (page->n) {
		struct iovec iov = { page->p, page->n };
		ssize_t took = stream_write(r->stream, &iov, 1);

		if (took <= 0)                  /* 0: no room, writable() comes; -1: gone */
			return;
		page->p += took;
		page->n -= (size_t)took;
	}
	stream_end(r->stream);
}

/* The handler of a page, so that a slow client is served like any other. */
static const struct handler page_handler = { .name = "page", .start = page_write, .writable = page_write };

static void send_page(struct request *r, const char *type, const char *body, size_t n, bool own)
{
	struct page *page = arena_alloc(r->arena, sizeof(*page));
	char *copy = arena_memdup(r->arena, body, n);

	if (!page || !copy) {
		stream_abort(r->stream, "no memory");
		return;
	}
	*page = (struct page){ copy, n };
	if (r->begun && r->handler == r->begun)
		r->begun_data = r->handler_data;
	r->handler = &page_handler;
	r->handler_data = page;
	r->type = type;
	r->charset = NULL;
	r->length = (int64_t)n;
	if ((own ? start(r, true) : response_start(r)) != 0)
		return;
	if (r->no_body)
		stream_end(r->stream);
	else
		page_write(r);
}

void response_text(struct request *r, unsigned status, const char *type, const char *body, size_t n)
{
	r->status = status;
	send_page(r, type, body, n, false);
}

/* ------------------------------------------------------------------------------------------------ error pages */

static const char *sentence_of(const struct request *r, unsigned status, char *buf, size_t n)
{
	switch (status) {
	case 400: return "Your browser sent a request that this server could not understand.";
	case 401: return "This server could not verify that you are authorized to access this document: no credentials came, or the "
			 "wrong ones.";
	case 403: return "You don't have permission to access this resource.";
	case 404: return "The requested URL was not found on this server.";
	case 405:
		snprintf(buf, n, "The method %.*s is not allowed for this URL.", (int)(r->method.n < 32 ? r->method.n : 32),
			 r->method.p ? r->method.p : "");
		return buf;
	case 408: return "The request did not arrive within the time that this server waits for one.";
	case 410: return "This resource is no longer available here, and there is no forwarding address.";
	case 411: return "A request with this method must tell the length of its content.";
	case 412: return "The precondition of the request does not hold for this URL.";
	case 413: return "The content of the request is larger than this server takes.";
	case 414: return "The requested URL is longer than this server takes.";
	case 415: return "The media type of the request's content is not supported here.";
	case 416: return "None of the ranges asked for lies within this resource.";
	case 417: return "The expectation of the request cannot be met.";
	case 421: return "The connection was made for another host name, whose TLS settings differ from those of this one.";
	case 431: return "The fields of the request are larger than this server takes.";
	case 500: return "The server met an error or a misconfiguration and could not complete your request. Its error log says more.";
	case 501: return "This method is not supported by this server.";
	case 502: return "The server received no valid answer from a server behind it.";
	case 503: return "The server cannot answer right now. Please try again in a while.";
	case 504: return "A server behind this one did not answer in time.";
	case 505: return "This version of HTTP is not supported by this server.";
	default: return status < 500 ? "The request cannot be answered as it came." : "The server could not complete the request.";
	}
}

void response_signature(struct request *r, struct buf *b)
{
	const struct core_section *c = r->section ? core_section_of(r) : NULL;
	const char *admin, *name;

	if (!c || c->signature <= CORE_SIGNATURE_OFF)
		return;
	admin = core_host_of(r->host)->admin;
	name = r->hostname && *r->hostname ? r->hostname : r->host->name ? r->host->name : "";
	buf_puts(b, "<address>");
	buf_puts(b, response_server(r->site ? r->site->main : r->host));
	buf_puts(b, " at ");
	if (c->signature == CORE_SIGNATURE_EMAIL && admin) {
		buf_puts(b, "<a href=\"mailto:");
		buf_put_html(b, text_of(admin));
		buf_puts(b, "\">");
	}
	buf_put_html(b, text_of(name));
	if (c->signature == CORE_SIGNATURE_EMAIL && admin)
		buf_puts(b, "</a>");
	buf_printf(b, " port %u</address>\n", addr_port(&r->client->local));
}

/* A whole page; `extra` is HTML behind the sentence, or NULL. In a buffer of the arena. */
static void send_html(struct request *r, unsigned status, const char *sentence, const char *extra)
{
	size_t cap = 2048 + strlen(sentence) * 6 + (extra ? strlen(extra) : 0) + (size_t)6 * 512;
	char *p = arena_alloc(r->arena, cap);
	struct buf b;

	if (!p) {
		stream_abort(r->stream, "no memory");
		return;
	}
	buf_init(&b, p, cap);
	buf_printf(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>%u %s</title>\n"
		   "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:12vh auto;padding:0 1.5em}"
		   "h1{font-size:1.6em;font-weight:600}address{font-size:.8em;opacity:.7;border-top:1px solid;padding-top:.6em;margin-top:3em}"
		   "</style>\n</head>\n<body>\n<h1>%u %s</h1>\n<p>", status, http_phrase(status), status, http_phrase(status));
	buf_put_html(&b, text_of(sentence));
	buf_puts(&b, "</p>\n");
	if (extra)
		buf_puts(&b, extra);
	response_signature(r, &b);
	buf_puts(&b, "</body>\n</html>\n");
	send_page(r, "text/html; charset=utf-8", p, b.n, true);
}

/* Forgets what described the file; what is sent with every status stays. */
static void forget(struct request *r)
{
	r->out.n = 0;
	r->foreign = false;
	r->reason = NULL;
	r->type = r->charset = r->encoding = r->language = r->etag = NULL;
	r->modified = -1;
	r->length = -1;
	r->no_body = false;
	r->filters = NULL;
	r->filtered = true;                     /* pages of the server itself are not filtered, as in Apache */
}

/* After these the rest of what the client sends cannot be trusted, or is not worth waiting for. */
static bool ends_connection(unsigned status)
{
	return status == 400 || status == 408 || status == 411 || status == 413 || status == 414 || status == 431 || status == 500 ||
	       status == 501 || status == 503 || status == 505;
}

/* The first error of a chain: an error document that fails itself is no news to the client. */
static unsigned first_error(const struct request *r, unsigned status)
{
	for (const struct request *o = r->original; o; o = o->original)
		if (o->status >= 400)
			status = o->status;
	return status;
}

static void fail(struct request *r, unsigned status, const char *sentence)
{
	const struct core_errordoc *doc;
	const char *value;
	char buf[96];

	if (r->head_sent) {
		stream_abort(r->stream, "an error after the response had begun");
		return;
	}
	if (status < 400 || status > 599)
		status = 500;
	if (r->runs) {                          /* who made it says so in a page of its own */
		r->status = status;
		stream_abort(r->stream, "it is answered with an error");
		return;
	}
	forget(r);
	r->status = status;
	if (ends_connection(status))
		r->keepalive = false;
	if (status == 405 && !fields_get(&r->always, "Allow").p)
		fields_add(&r->always, TEXT("Allow"), TEXT("GET,POST,OPTIONS,HEAD"));
	doc = r->section && !sentence ? core_error_document(r, status) : NULL;
	value = !doc ? NULL : doc->expr ? variables_string(r, doc->expr) : doc->value;
	if (!value)                             /* an expression without an answer: the built-in page */
		doc = NULL;
	if (doc && doc->kind == CORE_DOCUMENT_PATH) {
		phases_redirect(r, value, status);
		return;
	}
	if (doc && doc->kind == CORE_DOCUMENT_URL && status != 401) {   /* a redirect would hide the challenge */
		response_redirect(r, 302, value);
		return;
	}
	r->status = status = first_error(r, status);
	if (status == 503 && !fields_get(&r->always, "Retry-After").p)
		fields_add(&r->out, TEXT("Retry-After"), TEXT("10"));
	if (doc && doc->kind == CORE_DOCUMENT_TEXT)
		send_page(r, "text/html; charset=utf-8", value, strlen(value), true);
	else
		send_html(r, status, sentence ? sentence : sentence_of(r, status, buf, sizeof(buf)), NULL);
}

void response_error(struct request *r, unsigned status)
{
	fail(r, status, NULL);
}

void response_error_text(struct request *r, unsigned status, const char *sentence)
{
	fail(r, status, sentence);
}

static void redirect_to(struct request *r, unsigned status, const char *where, bool in_full)
{
	const char *origin = "", *location;
	struct buf b;
	size_t cap;
	char *link;

	if (r->head_sent) {
		stream_abort(r->stream, "a redirect after the response had begun");
		return;
	}
	if (first_error(r, 0)) {                /* an error document that leads away answers nothing */
		fail(r, first_error(r, 0), NULL);
		return;
	}
	if (*where == '/' && in_full && !(origin = response_origin(r)))
		origin = "";
	location = arena_printf(r->arena, "%s%s", origin, where);
	if (!location || !http_is_value(text_of(location))) {
		fail(r, 500, NULL);
		return;
	}
	forget(r);
	r->status = status;
	fields_add(&r->out, TEXT("Location"), text_of(location));
	if (r->runs) {
		stream_abort(r->stream, "it leads elsewhere");
		return;
	}
	cap = strlen(location) * 6 + 64;
	if (!(link = arena_alloc(r->arena, cap))) {
		stream_abort(r->stream, "no memory");
		return;
	}
	buf_init(&b, link, cap);
	buf_puts(&b, "<p><a href=\"");
	buf_put_html(&b, text_of(location));
	buf_puts(&b, "\">Go there</a></p>\n");
	send_html(r, status, "The document is found at another place.", link);
}

void response_redirect(struct request *r, unsigned status, const char *where)
{
	redirect_to(r, status, where, true);
}

void response_redirect_here(struct request *r, unsigned status, const char *where)
{
	redirect_to(r, status, where, where[0] == '/' && where[1] == '/');      /* which would be another host's name */
}

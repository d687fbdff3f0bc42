/*
 * status.c - the handler "server-status": a page, or with ?auto lines "Name: value" as Apache's. Runs in the children. No query, no
 * cookie and no field of any request is shown: only method, path, host and address, and these only with ExtendedStatus On.
 */
#include "handler/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "base/version.h"
#include "request/host.h"
#include "request/request.h"
#include "request/response.h"

#define ROW_BYTES 4096                  /* of one child on the page: five texts, escaped */
#define PLACES_MOST 1024                /* children that are shown one by one */

struct status_settings { int extended; };   /* -1 = unset */

static status_taker *taker;

void status_show(status_taker *take)
{
	taker = take;
}

bool status_extended(const struct site *site)
{
	const struct status_settings *h = host_config(site->main, &status_module);

	return h->extended != 0;
}

bool status_there(void)
{
	return taker != NULL;
}

int status_take(struct arena *a, const struct site *site, struct status *s)
{
	return taker(a, site, s);
}

/* ------------------------------------------------------------------------------------------------ for programs */

static void put_rate(struct buf *b, const char *name, uint64_t n, uint64_t by)
{
	if (by)
		buf_printf(b, "%s: %.6g\n", name, (double)n / (double)by);
}

static void put_lines(struct buf *b, struct request *r, const struct status *v)
{
	const struct status_sums *s = &v->sums;

	buf_printf(b, "%s\nServerVersion: %s\nServerUptimeSeconds: %" PRId64 "\n", response_host(r), response_server(r->host), v->uptime);
	buf_printf(b, "Total Accesses: %" PRIu64 "\nTotal kBytes: %" PRIu64 "\nUptime: %" PRId64 "\n", s->requests, s->bytes / 1024, v->uptime);
	put_rate(b, "ReqPerSec", s->requests, (uint64_t)v->uptime);
	put_rate(b, "BytesPerSec", s->bytes, (uint64_t)v->uptime);
	put_rate(b, "BytesPerReq", s->bytes, s->requests);
	buf_printf(b, "BusyWorkers: %" PRIu64 "\nIdleWorkers: %" PRIu64 "\nProcesses: %u\nConnsTotal: %" PRIu64 "\n", v->busy, v->idle, v->nchildren, v->places.total);
	buf_printf(b, "TLSHandshakes: %" PRIu64 "\nTLSResumed: %" PRIu64 "\nTLSFailed: %" PRIu64 "\n", s->handshakes, s->resumed, s->failures);
	buf_printf(b, "Scoreboard: %s\n", v->letters);
}

/* ------------------------------------------------------------------------------------------------ for people */

static const char page_head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<title>Server status</title>\n<style>:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em}"
	"table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #8884;vertical-align:top}"
	"td.n,th.n{text-align:right}pre{font-size:1.1em;overflow-wrap:anywhere;white-space:pre-wrap}dt{float:left;clear:left;width:14em;opacity:.75}dd{margin:0 0 0 14em}"
	".wide{overflow-x:auto}</style>\n</head>\n<body>\n";

static void put_item(struct buf *b, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void put_item(struct buf *b, const char *name, const char *fmt, ...)
{
	char value[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	buf_printf(b, "<dt>%s</dt><dd>", name);
	buf_put_html(b, text_of(value));
	buf_puts(b, "</dd>\n");
}

static void put_sums(struct buf *b, struct request *r, const struct status *v)
{
	const struct status_sums *s = &v->sums;
	int64_t t = v->uptime;

	buf_puts(b, "<dl>\n");
	put_item(b, "Server version", "%s", response_server(r->host));
	put_item(b, "Server uptime", "%" PRId64 " days %" PRId64 " hours %" PRId64 " minutes %" PRId64 " seconds", t / 86400, t / 3600 % 24, t / 60 % 60, t % 60);
	put_item(b, "Requests", "%" PRIu64 " (%.3g a second)", s->requests, t ? (double)s->requests / (double)t : 0.0);
	put_item(b, "Traffic", "%" PRIu64 " KiB (%.3g a second)", s->bytes / 1024, t ? (double)s->bytes / 1024 / (double)t : 0.0);
	put_item(b, "Connections", "%" PRIu64 " open, %" PRIu64 " of them at work; room for %" PRIu64 " more", v->places.total, v->busy, v->idle);
	put_item(b, "TLS handshakes", "%" PRIu64 ", %" PRIu64 " of them resumed; %" PRIu64 " failed", s->handshakes, s->resumed, s->failures);
	buf_puts(b, "</dl>\n");
}

static void put_child(struct buf *b, const struct status_child *c, bool extended)
{
	const char *const texts[] = { c->peer, c->host, c->method, c->path, c->phase };

	buf_printf(b, "<tr><td class=\"n\">%u</td><td class=\"n\">%u</td><td>%c</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64
		   "</td><td class=\"n\">%" PRIu64 "</td>", c->pid, c->generation, c->letter, c->places.total, c->places.working, c->sums.requests, c->sums.bytes / 1024);
	if (extended && c->since_ms >= 0)
		buf_printf(b, "<td class=\"n\">%" PRId64 "</td>", c->since_ms);
	else if (extended)
		buf_puts(b, "<td></td>");
	for (unsigned i = 0; extended && i < sizeof(texts) / sizeof(texts[0]); i++) {
		buf_puts(b, "<td>");
		buf_put_html(b, text_of(texts[i]));
		buf_puts(b, "</td>");
	}
	buf_puts(b, "</tr>\n");
}

static void put_page(struct buf *b, struct request *r, const struct status *v, bool extended)
{
	unsigned shown = v->nchildren < PLACES_MOST ? v->nchildren : PLACES_MOST;

	buf_puts(b, page_head);
	buf_puts(b, "<h1>Server status of ");
	buf_put_html(b, text_of(response_host(r)));
	buf_puts(b, "</h1>\n");
	put_sums(b, r, v);
	buf_printf(b, "<pre>%s</pre>\n<p>A letter a place: _ waits, W works, S starts, G finishes what is under way, . is free.</p>\n"
		   "<div class=\"wide\"><table>\n<tr><th class=\"n\">PID</th><th class=\"n\">Generation</th><th>State</th><th class=\"n\">Open</th><th class=\"n\">At work</th>"
		   "<th class=\"n\">Requests</th><th class=\"n\">KiB</th>%s</tr>\n", v->letters,
		   extended ? "<th class=\"n\">ms</th><th>Client</th><th>Host</th><th>Method</th><th>Path</th><th>Phase</th>" : "");
	for (unsigned i = 0; i < shown; i++)
		put_child(b, &v->children[i], extended);
	buf_puts(b, "</table></div>\n");
	response_signature(r, b);
	buf_puts(b, "</body>\n</html>\n");
}

/* ------------------------------------------------------------------------------------------------ the request */

static bool asked_for(const struct request *r, const char *word, struct text *value)
{
	struct text rest = text_of(r->query), part;

	while (text_split(&rest, '&', &part)) {
		struct text name;

		*value = part;
		text_split(value, '=', &name);
		if (text_is_nocase(name, word))
			return true;
	}
	return false;
}

/* ?refresh=N: the page asks for itself again every N seconds. */
static void refresh(struct request *r)
{
	struct text value;
	char number[24];
	uint64_t n;

	if (!asked_for(r, "refresh", &value))
		return;
	if (!value.n || text_u64(value, 86400, &n) != 0 || n == 0)
		n = 10;
	snprintf(number, sizeof(number), "%" PRIu64, n);
	fields_add_copy(&r->out, "Refresh", number);
}

static void start(struct request *r)
{
	const struct status_settings *h = host_config(r->site->main, &status_module);
	struct status v;
	struct text value;
	bool lines;
	size_t room;
	struct buf b;
	char *p;

	if (r->method_id != HTTP_GET && r->method_id != HTTP_HEAD) {
		response_error(r, 405);
		return;
	}
	if (!status_there()) {
		response_error_text(r, 503, "The status can be shown where SetHandler server-status stands in the server's own configuration, not in a "
				    "per-directory file.");
		return;
	}
	if (status_take(r->arena, r->site, &v) != 0) {
		response_error(r, 503);
		return;
	}
	lines = asked_for(r, "auto", &value);
	room = sizeof(page_head) + 8192 + strlen(v.letters) + (lines ? 0 : (size_t)(v.nchildren < PLACES_MOST ? v.nchildren : PLACES_MOST) * ROW_BYTES);
	if (!(p = arena_alloc(r->arena, room))) {
		response_error(r, 503);
		return;
	}
	buf_init(&b, p, room);
	if (lines)
		put_lines(&b, r, &v);
	else
		put_page(&b, r, &v, h->extended != 0);
	refresh(r);
	fields_add(&r->out, TEXT("Cache-Control"), TEXT("no-store"));
	response_text(r, 200, lines ? "text/plain; charset=utf-8" : "text/html; charset=utf-8", b.p, b.n);
}

const struct handler status_handler = { .name = "server-status", .start = start };

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	struct status_settings *h = conf_alloc(env, sizeof(*h));

	h->extended = CONF_UNSET;
	return h;
}

static const struct conf_directive directives[] = {
	{ "ExtendedStatus", "whether the status page tells what each child works on", "On", .contexts = CONF_SERVER, .args = CONF_FLAG,
	  .scope = CONF_OF_HOST, .set = conf_set_flag, .offset = offsetof(struct status_settings, extended) },
	{ "SeeRequestTail", "which end of long paths is shown", "Off", .contexts = CONF_SERVER, .args = CONF_FLAG, .scope = CONF_OF_HOST,
	  .set = conf_set_notice, .extra = "paths are shown from their beginning, up to 383 bytes" },
	{ .name = NULL },
};

struct conf_module status_module = {
	.name = "status_module",
	.source = "mod_status.c",
	.directives = directives,
	.create_host = create_host,
};

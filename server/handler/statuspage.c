/*
 * statuspage.c - the status for people: one page, which needs nothing from elsewhere and no script; with ?live a script of ours plots
 * beside the tables. Runs in the children. What clients wrote (paths, methods) is escaped.
 */
#include "handler/statusform.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "handler/assets.h"
#include "request/response.h"

/* ------------------------------------------------------------------------------------------------ small things */

/* 1536 → "1.5 KiB"; buf has 32 bytes. */
static const char *amount(uint64_t bytes, char *buf)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double n = (double)bytes;
	unsigned i = 0;

	for (; n >= 1000 && i < 6; i++)
		n /= 1024;
	snprintf(buf, 32, i == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[i]);
	return buf;
}

/* Milliseconds in three figures; buf has 32 bytes. */
static const char *millis(double us, char *buf)
{
	double ms = us / 1000;

	snprintf(buf, 32, ms >= 100 ? "%.0f ms" : ms >= 10 ? "%.1f ms" : "%.2f ms", ms);
	return buf;
}

static double part(uint64_t n, uint64_t of)
{
	return of ? 100.0 * (double)n / (double)of : 0;
}

/* "2026-11-25 12:00 UTC"; buf has 64 bytes. */
static const char *moment(int64_t when, char *buf)
{
	time_t t = (time_t)when;
	struct tm tm;

	if (when <= 0 || !gmtime_r(&t, &tm) || !strftime(buf, 64, "%Y-%m-%d %H:%M UTC", &tm))
		snprintf(buf, 64, "?");
	return buf;
}

/* A row of a list; `key`: what the script puts new values into, NULL = nothing. */
static void item(struct page *p, const char *name, const char *key, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void item(struct page *p, const char *name, const char *key, const char *fmt, ...)
{
	char value[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	page_printf(p, "<dt>%s</dt><dd%s%s%s>", name, key ? " id=\"" : "", key ? key : "", key ? "\"" : "");
	page_htmls(p, value);
	page_puts(p, "</dd>\n");
}

static void number_cell(struct page *p, uint64_t n)
{
	page_printf(p, "<td class=\"n\">%" PRIu64 "</td>", n);
}

static void cell(struct page *p, const char *text)
{
	page_puts(p, "<td>");
	page_htmls(p, text);
	page_puts(p, "</td>");
}

static void section(struct page *p, const char *id, const char *title)
{
	page_printf(p, "<section aria-labelledby=\"h-%s\">\n<h2 id=\"h-%s\">%s</h2>\n", id, id, title);
}

static void table(struct page *p, const char *const *heads, unsigned n)
{
	page_puts(p, "<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr>");
	for (unsigned i = 0; i < n; i++)            /* '#' before a title: its column holds numbers */
		page_printf(p, *heads[i] == '#' ? "<th scope=\"col\" class=\"n\">%s</th>" : "<th scope=\"col\">%s</th>", heads[i] + (*heads[i] == '#'));
	page_puts(p, "</tr></thead>\n<tbody>\n");
}

static void table_end(struct page *p)
{
	page_puts(p, "</tbody>\n</table></div>\n");
}

/* ------------------------------------------------------------------------------------------------ the server */

static void put_head(struct page *p, const struct status_view *v)
{
	page_puts(p, "<header>\n<h1>Status of ");
	page_htmls(p, response_host(v->r));
	page_puts(p, "</h1>\n<p class=\"soft\">");
	page_htmls(p, response_server(v->r->site->main));
	page_printf(p, ", generation <span id=\"generation\">%u</span></p>\n<nav aria-label=\"Forms of this page\">", v->s->generation);
	page_puts(p, v->live ? "<a href=\"?\">Without plots</a>" : "<a href=\"?live\">Live</a>");
	page_puts(p, " <a href=\"?json\">JSON</a> <a href=\"?prometheus\">Prometheus</a> <a href=\"?auto\">Plain</a></nav>\n</header>\n<main>\n");
}

static void put_sums(struct page *p, const struct status_view *v)
{
	const struct status *s = v->s;
	const struct status_sums *a = &s->sums;
	double uptime = s->uptime > 0 ? (double)s->uptime : 1;
	char one[32], two[32], when[64], text[96];

	section(p, "server", "Server");
	page_puts(p, "<dl>\n");
	item(p, "Server uptime", "uptime", "%s, since %s", status_duration(s->uptime, text), moment(s->started, when));
	item(p, "Configuration", NULL, "in use since %s; %" PRIu64 " graceful and %" PRIu64 " other restarts", moment(s->restarted, when), s->graceful_restarts,
	     s->hard_restarts);
	item(p, "Requests", "requests", "%" PRIu64 " (%.3g a second)", a->requests, (double)a->requests / uptime);
	item(p, "Traffic", "traffic", "%s (%s a second)", amount(a->bytes, one), amount((uint64_t)((double)a->bytes / uptime), two));
	item(p, "Connections", "connections", "%" PRIu64 " open, %" PRIu64 " of them at work; room for %" PRIu64 " more", s->places.total, s->busy, s->idle);
	item(p, "HTTP/2", "h2", "%" PRIu64 " connections with %" PRIu64 " streams open; %" PRIu64 " streams in all, %" PRIu64 " broken off", s->places.h2,
	     s->places.h2_streams, a->h2_streams, a->h2_resets);
	item(p, "TLS handshakes", "handshakes", "%" PRIu64 ", %.1f %% of them resumed; %" PRIu64 " failed", a->handshakes, part(a->resumed, a->handshakes), a->failures);
	item(p, "Processor", "cpu", "%.1f s, %.1f %% of one since the start", (double)(a->cpu_user_us + a->cpu_system_us) / 1e6,
	     (double)(a->cpu_user_us + a->cpu_system_us) / 1e4 / uptime);
	item(p, "Load of the machine", "load", "%.2f %.2f %.2f", s->load[0], s->load[1], s->load[2]);
	item(p, "Log lines lost", "lost", "%" PRIu64, a->log_dropped);
	page_puts(p, "</dl>\n</section>\n");
}

static void put_live(struct page *p)
{
	section(p, "live", "Live");
	page_puts(p, "<p id=\"live-state\" role=\"status\" class=\"soft\">Plots need the script of this page. The tables below are complete without it.</p>\n"
		  "<div id=\"plots\" class=\"plots\"></div>\n</section>\n");
}

/* ------------------------------------------------------------------------------------------------ children */

static void put_child(struct page *p, const struct status_view *v, const struct status_child *c)
{
	const char *const texts[] = { c->peer, c->host, c->method, c->path, c->handler, c->phase };
	char buf[32];

	page_printf(p, "<tr><th scope=\"row\" class=\"n\">%u</th>", c->pid);
	number_cell(p, c->generation);
	page_printf(p, "<td>%c</td>", c->letter);
	number_cell(p, c->places.total);
	number_cell(p, c->places.working);
	number_cell(p, c->sums.requests);
	page_printf(p, "<td class=\"n\">%s</td><td class=\"n\">%.2f</td>", amount(c->sums.bytes, buf), (double)(c->sums.cpu_user_us + c->sums.cpu_system_us) / 1e6);
	if (v->extended && c->since_ms >= 0)
		page_printf(p, "<td class=\"n\">%" PRId64 "</td>", c->since_ms);
	else if (v->extended)
		page_puts(p, "<td></td>");
	for (unsigned i = 0; v->extended && i < sizeof(texts) / sizeof(texts[0]); i++)
		cell(p, c->since_ms >= 0 ? texts[i] : "");
	page_puts(p, "</tr>\n");
}

static void put_children(struct page *p, const struct status_view *v)
{
	static const char *const heads[] = { "#PID", "#Generation", "State", "#Open", "#At work", "#Requests", "#Sent", "#CPU s",
					     "#ms", "Client", "Host", "Method", "Path", "Handler", "Phase" };
	const struct status *s = v->s;
	bool any = false;

	section(p, "children", "Children");
	page_printf(p, "<p><span id=\"living\">%u</span> live, %u of them only finish what is under way.", s->nchildren, s->stopping);
	for (unsigned i = 0; i < s->ends.n; i++) {
		if (!s->ends.at[i].n)
			continue;
		page_printf(p, "%s %" PRIu64 " %s", any ? "," : " Ended:", s->ends.at[i].n, s->ends.at[i].name);
		any = true;
	}
	page_puts(p, any ? ".</p>\n<pre class=\"letters\" id=\"letters\">" : "</p>\n<pre class=\"letters\" id=\"letters\">");
	page_htmls(p, s->letters);
	page_puts(p, "</pre>\n<p class=\"soft\">A letter a place: _ waits, S starts, R reads a request, W works, K waits for a further request, D waits for the name service, "
		  "C closes, L logs, G finishes what is under way, I ends since it is not needed, . is free.</p>\n");
	if (!v->notable) {
		table(p, heads, v->extended ? 15 : 8);
		for (unsigned i = 0; i < s->nchildren && i < STATUS_CHILDREN_SHOWN; i++)
			put_child(p, v, &s->children[i]);
		table_end(p);
		if (s->nchildren > STATUS_CHILDREN_SHOWN)
			page_printf(p, "<p>%u more are not shown.</p>\n", s->nchildren - STATUS_CHILDREN_SHOWN);
	}
	page_puts(p, "</section>\n");
}

static void put_requests(struct page *p, const struct status *s)
{
	static const char *const heads[] = { "#Seconds", "#PID", "Client", "Host", "Method", "Path", "Handler", "Phase" };

	if (!s->nrequests)
		return;
	section(p, "longest", "Longest requests under way");
	table(p, heads, sizeof(heads) / sizeof(heads[0]));
	for (unsigned i = 0; i < s->nrequests; i++) {
		const struct status_request *q = &s->requests[i];
		const char *const texts[] = { q->peer, q->host, q->method, q->path, q->handler, q->phase ? q->phase : "" };

		page_printf(p, "<tr><td class=\"n\">%.1f</td><td class=\"n\">%u</td>", (double)(q->since_ms < 0 ? 0 : q->since_ms) / 1000, q->pid);
		for (unsigned k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
			cell(p, texts[k]);
		page_puts(p, "</tr>\n");
	}
	table_end(p);
	page_puts(p, "</section>\n");
}

/* ------------------------------------------------------------------------------------------------ hosts */

static void put_host(struct page *p, const struct status *s, const struct status_host *h)
{
	char buf[32], when[64];
	bool soon = h->current && h->certificate_expires > 0 && h->certificate_expires < s->now + (int64_t)14 * 86400;

	page_puts(p, "<tr><th scope=\"row\">");
	page_htmls(p, h->name);
	page_puts(p, h->current ? "</th>" : " <span class=\"soft\">(before)</span></th>");
	number_cell(p, h->requests);
	for (unsigned i = 1; i < STATUS_CLASSES; i++)
		number_cell(p, h->classes[i]);
	page_printf(p, "<td class=\"n\">%s</td>", amount(h->bytes, buf));
	for (unsigned i = 0; i < 3; i++)
		page_printf(p, "<td class=\"n\">%s</td>", h->requests ? millis(histogram_quantile(h->latency, i == 0 ? 0.5 : i == 1 ? 0.9 : 0.99), buf) : "");
	if (h->current && h->certificate_expires > 0)
		page_printf(p, "<td%s>%.10s</td>", soon ? " class=\"bad\"" : "", moment(h->certificate_expires, when));
	else
		page_puts(p, "<td></td>");
	page_printf(p, h->current && h->staple == STATUS_STAPLE_MISSING ? "<td class=\"bad\">missing%s</td></tr>\n" : "<td>%s</td></tr>\n",
		    h->current && h->staple == STATUS_STAPLE_THERE ? moment(h->staple_until, when) : "");
}

static void put_hosts(struct page *p, const struct status *s)
{
	static const char *const heads[] = { "Host", "#Requests", "#2xx", "#3xx", "#4xx", "#5xx", "#Sent", "#Half within", "#90 % within", "#99 % within",
					     "Certificate until", "Staple until" };

	section(p, "hosts", "Hosts");
	table(p, heads, sizeof(heads) / sizeof(heads[0]));
	for (unsigned i = 0; i < s->nhosts; i++)
		put_host(p, s, &s->hosts[i]);
	table_end(p);
	page_puts(p, "</section>\n");
}

/* ------------------------------------------------------------------------------------------------ TLS */

static void put_counts(struct page *p, const char *title, const struct status_counts *c)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < c->n; i++)
		all += c->at[i].n;
	if (!all)
		return;
	page_printf(p, "<div><h3>%s</h3>\n<table><tbody>\n", title);
	for (unsigned i = 0; i < c->n; i++) {
		if (!c->at[i].n)
			continue;
		page_puts(p, "<tr><th scope=\"row\">");
		page_htmls(p, c->at[i].name);
		page_printf(p, "</th><td class=\"n\">%" PRIu64 "</td><td class=\"n soft\">%.1f %%</td></tr>\n", c->at[i].n, part(c->at[i].n, all));
	}
	page_puts(p, "</tbody></table></div>\n");
}

static void put_tls(struct page *p, const struct status *s)
{
	if (!s->sums.handshakes && !s->sums.failures)
		return;
	section(p, "tls", "TLS");
	page_puts(p, "<div class=\"columns\">\n");
	put_counts(p, "Versions", &s->tls.versions);
	put_counts(p, "Kinds of handshake", &s->tls.kinds);
	put_counts(p, "Suites", &s->tls.suites);
	put_counts(p, "Failures", &s->tls.failures);
	page_puts(p, "</div>\n</section>\n");
}

static void put_waits(struct page *p, const struct status_cache *c)
{
	bool any = false;

	for (unsigned i = 0; i < STATUS_WAITS; i++) {
		if (!c->waits[i])
			continue;
		page_printf(p, any ? ", %" PRIu64 : "<dt>Waits for it</dt><dd>%" PRIu64, c->waits[i]);
		if (c->wait_us[i] == UINT64_MAX)
			page_puts(p, " longer");
		else
			page_printf(p, " up to %" PRIu64 " µs", c->wait_us[i]);
		any = true;
	}
	page_puts(p, any ? "</dd>\n" : "");
}

static void put_cache(struct page *p, const struct status_cache *c)
{
	uint64_t of = c->sessions ? c->sessions : 1;
	char buf[32];

	if (!c->there)
		return;
	section(p, "cache", "Session cache");
	page_puts(p, "<dl>\n<dt>Filled</dt><dd>");
	page_printf(p, "<meter id=\"filled-meter\" min=\"0\" max=\"100\" value=\"%.1f\"></meter> <span id=\"filled\">%" PRIu64 " sessions, %.1f %% of some %" PRIu64
		    "</span></dd>\n", part(c->live, of), c->live, part(c->live, of), c->sessions);
	item(p, "Size", NULL, "%s in %" PRIu64 " shards", amount(c->bytes, buf), c->shards);
	item(p, "Looked up", "looked", "%" PRIu64 " found, %" PRIu64 " not", c->hits, c->misses);
	item(p, "Stored", NULL, "%" PRIu64 "; %" PRIu64 " replaced, %" PRIu64 " had to make room, %" PRIu64 " expired, %" PRIu64 " taken out, %" PRIu64 " too long",
	     c->stores, c->replaced, c->evicted, c->expired, c->removed, c->oversize);
	item(p, "Lock", NULL, "%" PRIu64 " stores found it taken, %" PRIu64 " gave up", c->lock_busy, c->lock_timeout);
	put_waits(p, c);
	item(p, "Repairs", NULL, "%" PRIu64 " after deaths, %" PRIu64 " shards emptied, %" PRIu64 " bad seals", c->repairs, c->resets, c->badtag);
	page_puts(p, "</dl>\n</section>\n");
}

static void put_keys(struct page *p, const struct status_keys *k)
{
	char one[32], two[32];

	if (!k->isolated && !k->operations)
		return;
	section(p, "keys", "Private keys");
	page_puts(p, "<dl>\n");
	item(p, "Held by", NULL, k->isolated ? "processes of their own, of which %" PRIu64 " died and were replaced" : "the children themselves", k->restarts);
	item(p, "Operations", "operations", "%" PRIu64 "; %" PRIu64 " failed, %" PRIu64 " late; %" PRIu64 " children wait now", k->operations, k->failed, k->late, k->waiting);
	if (status_total(k->wait))
		item(p, "Time for one", NULL, "half within %s, 99 %% within %s", millis(histogram_quantile(k->wait, 0.5), one),
		     millis(histogram_quantile(k->wait, 0.99), two));
	page_puts(p, "</dl>\n</section>\n");
}

/* ------------------------------------------------------------------------------------------------ the rest */

static void put_crashes(struct page *p, const struct status *s)
{
	static const char *const heads[] = { "Fingerprint", "#Crashes", "#Signal", "Last" };
	char when[64];

	section(p, "crashes", "Crashes");
	if (!s->ncrashes) {
		page_puts(p, "<p id=\"crashes\">None.</p>\n</section>\n");
		return;
	}
	table(p, heads, 4);
	for (unsigned i = 0; i < s->ncrashes; i++) {
		const struct status_crash *c = &s->crashes[i];

		page_printf(p, "<tr><th scope=\"row\"><code>%016" PRIx64 "</code></th><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%u</td><td>%s</td></tr>\n", c->fingerprint,
			    c->n, c->signal, moment(c->last, when));
	}
	table_end(p);
	page_puts(p, "<p class=\"soft\">bulkhead-crash list shows the reports.</p>\n</section>\n");
}

static void put_backends(struct page *p, const struct status_view *v)
{
	static const char *const heads[] = { "Balancer", "Address", "Route", "State", "#Factor", "#Set", "#Busy", "#Elected", "#Sent" };
	const struct status *s = v->s;
	char buf[32];

	if (!s->nbackends)
		return;
	section(p, "backends", "Servers behind");
	table(p, heads, sizeof(heads) / sizeof(heads[0]));
	for (unsigned i = 0; i < s->nbackends; i++) {
		const struct status_backend *b = &s->backends[i];

		page_puts(p, "<tr>");
		cell(p, b->balancer ? b->balancer : "");
		cell(p, status_clean(v->r->arena, b->url));
		cell(p, b->route ? b->route : "");
		page_printf(p, b->takes ? "<td>%s" : "<td class=\"bad\">%s", b->state);
		if (b->retry_ms > 0)
			page_printf(p, ", again in %" PRId64 " s", b->retry_ms / 1000 + 1);
		page_printf(p, "</td><td class=\"n\">%.2f</td><td class=\"n\">%" PRId64 "</td>", (double)b->factor / 100, b->set);
		number_cell(p, b->busy);
		number_cell(p, b->elected);
		page_printf(p, "<td class=\"n\">%s</td></tr>\n", amount(b->bytes, buf));
	}
	table_end(p);
	page_puts(p, "</section>\n");
}

void status_put_page(struct page *p, const struct status_view *v)
{
	const struct status *s = v->s;

	assets_begin(p, v->r, "Server status", v->live);
	put_head(p, v);
	if (v->live)
		put_live(p);
	put_sums(p, v);
	put_children(p, v);
	if (v->extended && !v->notable)
		put_requests(p, s);
	put_hosts(p, s);
	put_tls(p, s);
	page_puts(p, "<div class=\"pair\">\n");
	put_cache(p, &s->cache);
	put_keys(p, &s->keys);
	page_puts(p, "</div>\n");
	put_backends(p, v);
	put_crashes(p, s);
	page_puts(p, "</main>\n");
	if (v->live)
		assets_script(p);
	assets_end(p, v->r);
}

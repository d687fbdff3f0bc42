/*
 * status.c - the handler "server-status": takes what process/scoreboard.c knows and chooses the form: a page for people, lines as
 * Apache's, JSON, Prometheus's text (statusform.h). Runs in the children. No query, no cookie and no field of any request is shown:
 * only method, path, host and address, and these only with ExtendedStatus On.
 */
#include "handler/status.h"

#include <inttypes.h>
#include <stdio.h>

#include "handler/statusform.h"
#include "request/mime.h"
#include "request/response.h"

struct status_section { int format; };      /* -1 = unset */
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

/* ------------------------------------------------------------------------------------------------ the request */

/* ?refresh=N: the page asks for itself again every N seconds. */
static void refresh(struct request *r)
{
	struct text value = page_asked(r, "refresh");
	char number[24];
	uint64_t n;

	if (!value.p)
		return;
	if (!value.n || text_u64(value, 86400, &n) != 0 || n == 0)
		n = 10;
	snprintf(number, sizeof(number), "%" PRIu64, n);
	fields_add_copy(&r->out, "Refresh", number);
}

/* What the request asks for, else what StatusFormat says of the place. */
static enum status_format format_of(const struct request *r)
{
	static const struct { const char *word; enum status_format format; } words[] = {
		{ "auto", STATUS_AUTO }, { "json", STATUS_JSON }, { "prometheus", STATUS_PROMETHEUS }, { "live", STATUS_HTML }, { "notable", STATUS_HTML },
	};
	const struct status_section *s = request_config(r, &status_module);

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (page_asked(r, words[i].word).p)
			return words[i].format;
	return s->format == CONF_UNSET ? STATUS_HTML : (enum status_format)s->format;
}

static bool may_show(struct request *r)
{
	if (r->method_id != HTTP_GET && r->method_id != HTTP_HEAD) {
		fields_set(&r->always, "Allow", "GET,HEAD,OPTIONS");
		response_error(r, 405);
		return false;
	}
	if (status_there() && mime_handler_trusted(r))
		return true;
	response_error_text(r, 503, "The status can be shown where SetHandler server-status stands in the server's own configuration, not in a "
			    "per-directory file or by a rule of rewriting.");
	return false;
}

static void start(struct request *r)
{
	static const char *const types[] = {
		[STATUS_HTML] = "text/html; charset=utf-8", [STATUS_AUTO] = "text/plain; charset=utf-8", [STATUS_JSON] = "application/json",
		[STATUS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
	};
	const struct status_settings *h = host_config(r->site->main, &status_module);
	struct status s;
	struct status_view v = { .r = r, .s = &s, .extended = h->extended != 0, .live = page_asked(r, "live").p, .notable = page_asked(r, "notable").p };
	enum status_format format = format_of(r);
	struct page *p;
	int rc = 0;

	if (!may_show(r))
		return;
	if (status_take(r->arena, r->site, &s) != 0 || !(p = page_new(r))) {
		response_error(r, 503);
		return;
	}
	fields_add(&r->out, TEXT("Cache-Control"), TEXT("no-store"));
	refresh(r);
	if (format == STATUS_JSON)
		rc = status_put_json(p, &v);
	else if (format == STATUS_AUTO)
		status_put_auto(p, &v);
	else if (format == STATUS_PROMETHEUS)
		status_put_metrics(p, &v);
	else
		status_put_page(p, &v);
	if (rc != 0)
		response_error(r, 503);
	else
		page_send(p, types[format]);
}

const struct handler status_handler = { .name = "server-status", .start = start, .writable = page_writable };

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	struct status_settings *h = conf_alloc(env, sizeof(*h));

	h->extended = CONF_UNSET;
	return h;
}

static void *create_section(struct conf_env *env)
{
	struct status_section *s = conf_alloc(env, sizeof(*s));

	s->format = CONF_UNSET;
	return s;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct status_section *outer = base;
	struct status_section *m = conf_alloc(env, sizeof(*m));

	*m = *(const struct status_section *)over;
	CONF_INHERIT(m, outer, format, CONF_UNSET);
	return m;
}

static const struct conf_choice formats[] = {
	{ "html", STATUS_HTML }, { "auto", STATUS_AUTO }, { "json", STATUS_JSON }, { "prometheus", STATUS_PROMETHEUS }, { NULL, 0 },
};

static const struct conf_directive directives[] = {
	{ "ExtendedStatus", "whether the status page tells what each child works on", "On", .contexts = CONF_SERVER, .args = CONF_FLAG,
	  .scope = CONF_OF_HOST, .set = conf_set_flag, .offset = offsetof(struct status_settings, extended) },
	{ "SeeRequestTail", "which end of long paths is shown", "Off", .contexts = CONF_SERVER, .args = CONF_FLAG, .scope = CONF_OF_HOST,
	  .set = conf_set_notice, .extra = "paths are shown from their beginning, up to 383 bytes" },
	{ "StatusFormat", "what the status page answers with where the request names no form", "html", .contexts = CONF_ANY, .args = CONF_TAKE, .min = 1, .max = 1,
	  .scope = CONF_OF_SECTION, .set = conf_set_choice, .offset = offsetof(struct status_section, format), .extra = formats },
	{ .name = NULL },
};

struct conf_module status_module = {
	.name = "status_module",
	.source = "mod_status.c",
	.directives = directives,
	.create_host = create_host,
	.create_section = create_section,
	.merge_section = merge_section,
};

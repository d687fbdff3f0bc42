/*
 * phases.c - the phases of a request in their order, from its target to its handler. Runs in the children.
 *
 * Each phase is a row of the table; it goes on, has answered, or names a status.
 */
#include "request/phases.h"

#include <string.h>

#include "crashdump/activity.h"
#include "log/target.h"
#include "request/access.h"
#include "request/actions.h"
#include "request/core.h"
#include "request/env.h"
#include "request/filter.h"
#include "request/handler.h"
#include "request/headers.h"
#include "request/map.h"
#include "request/methods.h"
#include "request/mime.h"
#include "request/negotiate.h"
#include "request/remoteip.h"
#include "request/response.h"
#include "request/rewrite.h"
#include "request/sections.h"
#include "request/walk.h"

#define ALLOWED "GET, HEAD, POST, OPTIONS"

/* ---------------------------------------------------------------------------------------------- host */

static unsigned bad(struct request *r, const char *why)
{
	log_infox(&r->client->about, LOG_HTTP, "BH0301", "request refused with 400: %s", why);
	r->keepalive = false;
	if (!r->path && r->uri.path.n)          /* for the access log */
		r->path = arena_strndup(r->arena, r->uri.path.p, r->uri.path.n);
	return 400;
}

/* What is logged from now on: as the host says, and LogLevel in the sections that apply. */
static void use_levels(struct request *r)
{
	const struct site *s = r->site;

	if (log_module.index < s->nmodules && s->modules[log_module.index] == &log_module) {
		const struct log_host *logs = host_config(r->host, &log_module);
		r->client->about.settings = log_settings_within(&logs->settings, r->section[log_module.index], &r->client->levels);
	}
}

void phases_use_host(struct request *r, struct host *h)
{
	r->host = h;
	r->section = h->section;
	use_levels(r);
	if (r->activity)
		activity_host(r->activity, h->name);
}

/* By the name asked for; without one by ServerPath, then the host whose certificate was shown, or the first of the address. */
static struct host *host_of(const struct request *r)
{
	struct host *by_path;

	if (*r->hostname)
		return host_by_name(r->site, &r->client->local, text_of(r->hostname));
	by_path = host_by_path(r->site, &r->client->local, r->uri.path);
	if (by_path)
		return by_path;
	return r->client->tls_host ? (struct host *)(uintptr_t)r->client->tls_host : host_default(r->site, &r->client->local);
}

/* The name asked for, lower case, without the dot at its end. */
static const char *name_of(struct request *r, struct text host)
{
	char *name;

	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	name = arena_strndup(r->arena, host.n ? host.p : "", host.n);
	for (char *p = name; p && *p; p++)
		*p = (char)ascii_lower((unsigned char)*p);
	return name;
}

static bool wants_host(const struct request *r)
{
	return r->major > 1 || (r->major == 1 && r->minor >= 1);
}

/* An empty Host, of HTTP/1.1, or a colon without a port: legal in RFC 9110, but Apache refuses them. */
static bool names_nothing(const struct request *r)
{
	struct text field = fields_get(&r->in, "Host");

	return field.n ? field.p[field.n - 1] == ':' : wants_host(r);
}

/* RFC 9112, 3.2.2: what the target names takes the place of the field, also for rules and programs. */
static int host_of_target(struct request *r)
{
	const struct uri *u = &r->uri;
	bool literal = memchr(u->host.p, ':', u->host.n) != NULL;
	const char *value = arena_printf(r->arena, literal ? "[%.*s]%s%.*s" : "%.*s%s%.*s", (int)u->host.n, u->host.p, u->port.n ? ":" : "",
					 (int)u->port.n, u->port.n ? u->port.p : "");

	return value ? fields_set(&r->in, "Host", value) : -1;
}

/* RFC 9112, 3.2 and 3.3: one Host field; the target's own name goes before it. */
static unsigned phase_host(struct request *r)
{
	unsigned fields = fields_count(&r->in, "Host");
	struct text host = { NULL, 0 }, port;

	if (uri_parse(r->target, r->method_id, &r->uri) != 0)
		return bad(r, "its target is no origin-form, absolute-form or \"*\"");
	if (fields > 1)
		return bad(r, "it has several Host fields");
	if (fields == 0 && wants_host(r))
		return bad(r, "it has no Host field");
	if (fields && uri_parse_host(fields_get(&r->in, "Host"), &host, &port) != 0)
		return bad(r, "its Host field is no host name");
	if (r->uri.form == URI_AUTHORITY) {
		fields_set(&r->always, "Allow", ALLOWED);
		return 405;
	}
	if (r->uri.form == URI_ABSOLUTE) {
		if (!text_is_nocase(r->uri.scheme, "http") && !text_is_nocase(r->uri.scheme, "https"))
			return bad(r, "its target has a scheme that is neither http nor https");
		host = r->uri.host;
		if (host_of_target(r) != 0)
			return 503;
	} else if (fields && names_nothing(r)) {
		return bad(r, "its Host field is empty, or has nothing behind its colon");
	}
	r->hostname = name_of(r, host);
	if (!r->hostname)
		return 503;
	phases_use_host(r, host_of(r));
	if (core_host_of(r->host)->strict_host == 1 && *r->hostname && !host_has_name(r->host, text_of(r->hostname)))
		return bad(r, "no host at this address has the name that it asks for (StrictHostCheck)");
	if (remoteip_run(r) != 0)
		return 503;
	unsigned refused = r->client->secure ? client_refuses(r->client, r->host) : 0;
	if (refused == 421)
		log_infox(&r->client->about, LOG_SSL, "BH0302",
			  "request for %s refused with 421: the connection was made for %s, whose TLS settings do not cover it", r->host->name,
			  r->client->tls_host ? r->client->tls_host->name : "another host");
	else if (refused)
		log_infox(&r->client->about, LOG_SSL, "BH0309",
			  "request for %s refused with 403: the client named no host in TLS (SNI), and SSLStrictSNIVHostCheck is on there", r->host->name);
	if (refused)
		return refused;
	headers_early(r);
	return 0;
}

/* ---------------------------------------------------------------------------------------------- target */

/* The request as it came, but for what it would give away (RFC 9110, 9.3.8). */
static unsigned trace(struct request *r)
{
	static const char *const secret[] = { "Authorization", "Cookie", "Proxy-Authorization" };
	size_t cap = r->line.n + 5;
	struct buf b;
	char *p;

	if (core_host_of(r->host)->trace == CORE_TRACE_OFF) {
		fields_set(&r->always, "Allow", ALLOWED);
		return 405;
	}
	if (r->has_body)
		return 413;
	for (unsigned i = 0; i < r->in.n; i++)
		cap += r->in.at[i].name.n + r->in.at[i].value.n + 4;
	p = arena_alloc(r->arena, cap);
	if (!p)
		return 503;
	buf_init(&b, p, cap);
	buf_put(&b, r->line.p, r->line.n);
	buf_puts(&b, "\r\n");
	for (unsigned i = 0; i < r->in.n; i++) {
		bool hide = false;
		for (size_t k = 0; k < sizeof secret / sizeof secret[0]; k++)
			hide |= text_is_nocase(r->in.at[i].name, secret[k]);
		if (hide)
			continue;
		buf_put(&b, r->in.at[i].name.p, r->in.at[i].name.n);
		buf_puts(&b, ": ");
		buf_put(&b, r->in.at[i].value.p, r->in.at[i].value.n);
		buf_puts(&b, "\r\n");
	}
	buf_puts(&b, "\r\n");
	response_text(r, 200, "message/http", p, b.n);
	return PHASE_ANSWERED;
}

/* OPTIONS *: what the server as a whole can do. */
static unsigned options_of_server(struct request *r)
{
	bool with_trace = core_host_of(r->host)->trace != CORE_TRACE_OFF;

	fields_set(&r->out, "Allow", with_trace ? ALLOWED ", TRACE" : ALLOWED);
	r->length = 0;
	if (response_start(r) == 0)
		stream_end(r->stream);
	return PHASE_ANSWERED;
}

static bool expects_the_possible(const struct request *r)
{
	struct text all, one;

	if (r->major == 1 && r->minor == 0)
		return true;                    /* RFC 9110, 10.1.1: not of HTTP/1.0 */
	all = fields_combined(&r->in, "Expect");
	while (fields_list_next(&all, &one))
		if (!text_is_nocase(one, "100-continue"))
			return false;
	return true;
}

static unsigned phase_uri(struct request *r)
{
	char *path = NULL;

	r->path = r->uri.form == URI_ASTERISK ? "*" : arena_strndup(r->arena, r->uri.path.p, r->uri.path.n);
	r->query = r->uri.query.p ? arena_strndup(r->arena, r->uri.query.p, r->uri.query.n) : NULL;
	if (!r->path || (r->uri.query.p && !r->query))
		return 503;
	if (!expects_the_possible(r))
		return 417;
	if (r->uri.form == URI_ASTERISK) {
		env_early(r);
		return 0;
	}
	switch (uri_normalize(r->arena, r->uri.path, core_uri_flags(r->host), &path)) {
	case URI_OK:
		break;
	case URI_NO_MEMORY:
		return 503;
	case URI_NOT_FOUND:
		log_infox(&r->client->about, LOG_CORE, "BH0303", "%s answered with 404: it holds an encoded slash, and AllowEncodedSlashes is off", r->path);
		return 404;
	case URI_BAD:
		return bad(r, "its path holds a bad %-escape or a NUL, or leads above the root");
	}
	r->path = path;
	env_early(r);
	return 0;
}

/* ---------------------------------------------------------------------------------------------- sections and files */

static unsigned unmerged(struct request *r)
{
	log_errorx(&r->client->about, LOG_CORE, "BH0304",
		   "%s answered with 500: its sections could not be merged (a pattern of a section met its limits, or memory ran out)", r->path);
	return 500;
}

static unsigned phase_location(struct request *r)
{
	if (sections_location(r) != 0)
		return unmerged(r);
	use_levels(r);
	return 0;
}

/* TRACE and OPTIONS * end here: rules of rewriting and Redirect may refuse them before. */
static unsigned phase_map(struct request *r)
{
	unsigned status = map_run(r);

	if (!status && r->uri.form == URI_ASTERISK && !r->original)
		return options_of_server(r);
	return !status && r->method_id == HTTP_TRACE ? trace(r) : status;
}

static unsigned phase_directory(struct request *r)
{
	unsigned status = r->filename ? walk_run(r) : 0;

	if (status)
		return status;
	if (sections_apply(r) != 0)
		return unmerged(r);
	use_levels(r);
	return 0;
}

static unsigned phase_access(struct request *r)
{
	unsigned status;

	if (!r->parent && !r->waits)            /* what was asked for counts, not what is looked up for it, as in Apache */
		env_sections(r);
	if (r->env_unknown) {
		log_errorx(&r->client->about, LOG_CORE, "BH0782", "%s answered with 500: a pattern of SetEnvIf or BrowserMatch met its limits, so that rules which "
			   "ask for its variables cannot be told; write it without nested repeats", r->path);
		return 500;
	}
	status = r->waits ? 0 : methods_check(r);
	if (!status)
		status = access_run(r);
	if (status)
		return status;
	if (r->has_body && r->body_length != UINT64_MAX && r->body_length > core_body_limit(r)) {
		log_infox(&r->client->about, LOG_CORE, "BH0305", "%s answered with 413: a body of %llu bytes is more than LimitRequestBody (%llu) allows",
			  r->path, (unsigned long long)r->body_length, (unsigned long long)core_body_limit(r));
		return 413;
	}
	return 0;
}

static unsigned phase_type(struct request *r)
{
	bool done = false;
	unsigned status = r->proxy ? 0 : multiviews_run(r, &done);

	return status || done || r->proxy ? status : mime_run(r);
}

static unsigned start(struct request *r)
{
	unsigned status = r->handler->prepare ? r->handler->prepare(r) : 0;

	if (status)
		return status;
	if (r->activity)
		activity_handler(r->activity, r->handler->name);
	access_fake(r);
	headers_request(r);
	if (filter_input(r) < 0)
		return 503;
	if (r->client->ops->begins && !r->parent && !r->original)
		r->client->ops->begins(r);
	r->begun = r->handler;
	r->handler->start(r);
	return PHASE_ANSWERED;
}

void phases_over(struct request *r, enum handler_end how)
{
	for (; r; r = r->original) {
		if (!r->begun || !r->begun->ended)
			continue;
		if (r->handler != r->begun)
			r->handler_data = r->begun_data;
		r->begun->ended(r, how);
	}
}

void phases_start(struct request *r, bool chosen)
{
	const struct action *action = chosen ? NULL : actions_find(r);
	unsigned status = action ? actions_run(r, action) : 0;

	if (!status)
		status = start(r);
	if (status != PHASE_ANSWERED)
		response_error(r, status == PHASE_WAIT ? 503 : status); /* nobody comes back to it here */
}

static unsigned phase_handler(struct request *r)
{
	const struct action *action = actions_find(r);
	unsigned status = action || r->proxy ? 0 : mime_check(r);

	if (!status)
		status = filter_check(r);
	if (status)
		return status;
	if (!r->waits)
		env_late(r);
	status = map_redirect(r);
	if (!status && !r->proxy)
		status = walk_index(r);
	if (!status && action && !r->parent)
		status = actions_run(r, action);
	if (status)
		return status;
	if (!r->handler)
		r->handler = handler_find("default-handler");
	if (!r->handler) {
		log_errorx(&r->client->about, LOG_CORE, "BH0306", "%s answered with 500: this program has no default handler", r->path);
		return 500;
	}
	if ((r->parent && !r->runs) || r->explained)
		return 0;
	return start(r);
}

/* ---------------------------------------------------------------------------------------------- the table */

static const struct {
	activity_word name;
	unsigned (*run)(struct request *r);
} phases[PHASES] = {
	[PHASE_HOST] = { "host", phase_host },
	[PHASE_URI] = { "uri", phase_uri },
	[PHASE_REWRITE_HOST] = { "rewrite-host", rewrite_host },
	[PHASE_LOCATION] = { "location", phase_location },
	[PHASE_MAP] = { "map", phase_map },
	[PHASE_DIRECTORY] = { "directory", phase_directory },
	[PHASE_ACCESS] = { "access", phase_access },
	[PHASE_AUTHENTICATION] = { "authentication", access_user_run },
	[PHASE_TYPE] = { "type", phase_type },
	[PHASE_REWRITE_DIRECTORY] = { "rewrite-directory", rewrite_directory },
	[PHASE_HANDLER] = { "handler", phase_handler },
	[PHASE_RESPONSE] = { "response", NULL },
};

const char *phase_name(enum phase p)
{
	return (unsigned)p < PHASES ? phases[p].name : "?";
}

static phases_watcher *watcher;

void phases_watch(phases_watcher *w)
{
	watcher = w;
}

bool phases_watched(void)
{
	return watcher != NULL;
}

static unsigned run(struct request *r, enum phase from)
{
	unsigned status = 0;

	for (enum phase p = from; p < PHASE_RESPONSE && !status; p++) {
		r->phase = p;
		if (r->activity)
			activity_phase_word(r->activity, &phases[p].name);
		status = phases[p].run(r);
		r->waits = status == PHASE_WAIT;        /* what a phase does once it does while this is not set yet */
		if (watcher)
			watcher(r, p, status);
	}
	return status;
}

/* An error document that cannot be had leaves the status it was to answer. */
static void finish(struct request *r, unsigned status)
{
	if (status == PHASE_ANSWERED || status == PHASE_WAIT || status == 0)
		return;
	if (r->original && r->status >= 400)
		status = r->status;
	response_error(r, status);
}

unsigned phases_from(struct request *r, enum phase from)
{
	unsigned status = run(r, from);

	if (r->parent)                          /* a look-up's LogLevel ends with it */
		use_levels(r->parent);
	if ((!r->parent || r->runs) && !r->explained)
		finish(r, status);
	return status;
}

void phases_run(struct request *r)
{
	phases_use_host(r, r->host ? r->host : host_default(r->site, &r->client->local));
	phases_from(r, PHASE_HOST);
}

void phases_resume(struct request *r)
{
	r->came = 0;                            /* what it waited for may have changed files */
	phases_from(r, r->phase);
}

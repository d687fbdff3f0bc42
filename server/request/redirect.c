/*
 * redirect.c - requests that are made of others: internal redirects, which answer in their place, and look-ups, which only
 * tell what another path would come to. Runs in the children.
 */
#include "request/phases.h"

#include <string.h>

#include "base/effort.h"
#include "crashdump/activity.h"
#include "request/core.h"
#include "request/env.h"
#include "request/openfiles.h"
#include "request/response.h"

/* ---------------------------------------------------------------------------------------------- internal redirects */

/* REDIRECT_URL: the path, or by QualifyRedirectURL the whole address. */
static int url_handed_on(const struct request *from, struct request *to)
{
	const char *path = from->path ? from->path : "", *origin = "", *url;

	if (core_section_of(from)->qualify_url == 1 && !(origin = response_origin((struct request *)(uintptr_t)from)))
		return -1;
	url = arena_printf(to->arena, "%s%s", origin, path);
	return url ? fields_add_copy(&to->env, "REDIRECT_URL", url) : -1;
}

/* What the first request knew is handed on as REDIRECT_…, as Apache does; its method to the document of an error, which is got. */
static int env_handed_on(const struct request *from, struct request *to, bool document)
{
	int failed = 0;
	char status[8];
	struct buf b;

	for (unsigned i = 0; i < from->env.n; i++) {
		const struct field *f = &from->env.at[i];
		char *name = arena_printf(to->arena, "REDIRECT_%.*s", (int)f->name.n, f->name.p);
		failed |= !name || fields_add(&to->env, text_of(name), f->value) != 0;
	}
	buf_init(&b, status, sizeof status);
	buf_printf(&b, "%u", to->status);
	failed |= fields_add_copy(&to->env, "REDIRECT_STATUS", status);
	failed |= url_handed_on(from, to);
	if (document && !from->original)
		failed |= fields_add(&to->env, TEXT("REDIRECT_REQUEST_METHOD"), from->method) != 0;
	if (from->query)
		failed |= fields_add_copy(&to->env, "REDIRECT_QUERY_STRING", from->query);
	return failed ? -1 : 0;
}

/* Where an ErrorDocument, or a program's Location, leads: its path in normal form, its query; a fragment is passed over. */
static int document_target(struct request *to, const char *url)
{
	size_t n = strcspn(url, "?#");
	const char *query = url[n] == '?' ? url + n + 1 : NULL;
	char *path = NULL;

	if (uri_normalize(to->arena, (struct text){ url, n }, core_uri_flags(to->host), &path) != URI_OK || !path)
		return -1;
	to->path = path;
	to->query = query ? arena_strndup(to->arena, query, strcspn(query, "#")) : NULL;
	return 0;
}

/* The stream of a look-up, which leads nowhere; and what it came to. */
struct lookup {
	struct stream stream;           /* first: a request's stream is found to be one by its parent */
	unsigned status;
};

/* What every request that is made of r knows: who asks, of which host, and how it came. */
static struct request *made_of(struct request *r)
{
	struct request *to = request_new(r->arena);

	if (!to)
		return NULL;
	to->stream = r->stream;
	to->client = r->client;
	to->site = r->site;
	to->activity = r->activity;
	to->parent = r->parent;
	to->runs = r->runs;
	to->lookups = r->lookups;
	to->quiet = r->quiet;
	to->explained = r->explained;
	to->redirects = r->redirects;
	to->line = r->line;
	to->method = r->method;
	to->method_id = r->method_id;
	to->target = r->target;
	to->major = r->major;
	to->minor = r->minor;
	to->raw = r->raw && r->major == 0;      /* HTTP/0.9; not a line that could not be read, which has no version either */
	to->received = r->received;
	to->started_us = r->started_us;
	to->keepalive = r->keepalive;
	to->uri = r->uri;
	to->hostname = r->hostname;
	phases_use_host(to, r->host);
	for (unsigned i = 0; i < r->in.n; i++)
		if (fields_add(&to->in, r->in.at[i].name, r->in.at[i].value) != 0)
			return NULL;
	return to;
}

static void as_get(struct request *r)
{
	r->method = TEXT("GET");
	r->method_id = HTTP_GET;
}

static struct request *redirected(struct request *r, unsigned keep_status)
{
	struct request *to = made_of(r);

	if (!to)
		return NULL;
	to->original = r;
	to->redirects++;
	if (keep_status && r->method_id != HTTP_HEAD)
		as_get(to);
	to->has_body = !keep_status && r->has_body;
	to->body_length = to->has_body ? r->body_length : 0;
	to->status = keep_status ? keep_status : r->original && r->status >= 400 ? r->status : 200;     /* an error document led elsewhere is one still */
	struct text vary = fields_get(&r->out, "Vary");         /* what rules of rewriting have told caches */
	if (!keep_status && vary.p && fields_add(&to->out, TEXT("Vary"), vary) != 0)
		return NULL;
	return env_handed_on(r, to, keep_status != 0) == 0 ? to : NULL;
}

void phases_redirect(struct request *r, const char *path, unsigned keep_status)
{
	struct request *to;

	if (r->parent && !r->runs && keep_status)           /* nobody will see the page */
		return;
	if (r->redirects >= core_redirect_limit(r->host)) {
		log_errorx(&r->client->about, LOG_CORE, "BH0307",
			   "%s answered with 500: it was redirected inside the server %u times, as often as LimitInternalRecursion allows", r->path, r->redirects);
		response_error(r, 500);
		return;
	}
	to = redirected(r, keep_status);
	if (!to) {
		stream_abort(r->stream, "out of memory");
		return;
	}
	if (r->activity)
		activity_phase(r->activity, "redirect");
	r->stream->request = to;
	to->path = path;
	to->query = r->query;
	if (keep_status && document_target(to, path) != 0) {
		log_errorx(&r->client->about, LOG_CORE, "BH0308", "the ErrorDocument %s is no path: the built-in page is sent", path);
		to->path = r->path ? r->path : "/";
		response_error(to, keep_status);
		return;
	}
	env_early(to);
	unsigned status = phases_from(to, PHASE_REWRITE_HOST);
	if (to->parent && !to->runs && to->stream->request == to)            /* not redirected once more */
		((struct lookup *)(void *)to->stream)->status = status;
}

/* ---------------------------------------------------------------------------------------------- look-ups */

static int nowhere_head(struct stream *s)
{
	s->request->head_sent = true;
	return 0;
}

static ssize_t nowhere_write(struct stream *s, const struct iovec *iov, int n)
{
	ssize_t all = 0;

	(void)s;
	for (int i = 0; i < n; i++)
		all += (ssize_t)iov[i].iov_len;
	return all;
}

static int nowhere_file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	(void)s;
	(void)offset;
	(void)length;
	openfile_close(fd);
	return 0;
}

static void nowhere_end(struct stream *s) { (void)s; }
static void nowhere_read(struct stream *s, bool on) { (void)s; (void)on; }

static void nowhere_abort(struct stream *s, const char *reason)
{
	(void)reason;
	s->request->status = 500;
}

static const struct stream_ops nowhere = {
	.head = nowhere_head, .write = nowhere_write, .file = nowhere_file, .end = nowhere_end, .read = nowhere_read, .abort = nowhere_abort,
};

static struct request *lookup_new(struct request *r, const char *path, const char *query, unsigned flags)
{
	struct lookup *l = arena_zalloc(r->arena, sizeof(*l));
	struct request *sub = l ? made_of(r) : NULL;

	if (!sub)
		return NULL;
	l->stream.ops = &nowhere;
	l->stream.request = sub;
	sub->stream = &l->stream;
	sub->parent = r;
	sub->runs = false;
	sub->lookups = r->lookups + 1;
	sub->quiet = r->quiet || (flags & LOOKUP_QUIET);
	sub->index = flags & LOOKUP_INDEX;
	sub->redirects = 0;
	as_get(sub);
	sub->path = path;
	sub->query = query;
	for (unsigned i = 0; i < r->env.n; i++)
		if (fields_add(&sub->env, r->env.at[i].name, r->env.at[i].value) != 0)
			return NULL;
	return sub;
}

struct request *phases_lookup(struct request *r, const char *path, const char *query, unsigned flags, unsigned *status)
{
	struct request *sub;
	struct lookup *l;

	*status = 500;
	if (r->lookups >= core_lookup_limit(r->host)) {
		log_errorx(&r->client->about, LOG_CORE, "BH0314", "%s was not looked up: it would be the look-up %u within others, and "
			   "LimitInternalRecursion allows %u", path, r->lookups + 1, core_lookup_limit(r->host));
		return NULL;
	}
	if (effort_spent()) {
		if (effort_told())
			return NULL;
		log_errorx(&r->client->about, LOG_CORE, "BH0780", "%s was not looked up for %s: the request has worked for %d s; shorten the lists of names, rules "
			   "and conditions that lead to look-ups there", path, r->path ? r->path : "-", EFFORT_MOST_MS / 1000);
		return NULL;
	}
	if (!(sub = lookup_new(r, path, query, flags)))
		return NULL;
	l = (struct lookup *)(void *)sub->stream;
	unsigned came_to = phases_from(sub, PHASE_REWRITE_HOST);
	if (l->stream.request == sub)           /* else phases_redirect knows */
		l->status = came_to;
	sub = l->stream.request;
	*status = l->status == PHASE_ANSWERED ? sub->status : l->status;
	if (r->activity)
		activity_phase(r->activity, phase_name(r->phase));
	return sub;
}

struct request *phases_beside(struct request *r)
{
	struct request *sub = lookup_new(r, r->path, r->query, 0);

	if (!sub)
		return NULL;
	sub->filename = r->filename;
	sub->path_info = r->path_info;
	sub->section = r->section;
	sub->st = r->st;
	sub->found = r->found;
	sub->context_prefix = r->context_prefix;
	sub->context_root = r->context_root;
	sub->user = r->user;
	sub->auth_type = r->auth_type;
	sub->authn = r->authn;
	return sub;
}

void phases_adopt(struct request *r, struct request *sub)
{
	r->path = sub->path;
	r->query = sub->query;
	r->filename = sub->filename;
	r->path_info = sub->path_info;
	r->folders = sub->folders;
	r->scripted = sub->scripted;
	r->context_prefix = sub->context_prefix;
	r->context_root = sub->context_root;
	r->type_handler = sub->type_handler;
	request_close(r);
	r->fd = request_take(sub);
	if (r->fd >= 0 && request_keep(r) != 0)
		request_close(r);
	r->st = sub->st;
	r->found = sub->found;
	r->index = sub->index;
	r->section = sub->section;
	r->user = sub->user;
	r->auth_type = sub->auth_type;
	r->authn = sub->authn;
	r->type = sub->type;
	r->charset = sub->charset;
	r->encoding = sub->encoding;
	r->language = sub->language;
	r->named_filters = sub->named_filters;
	r->named_input = sub->named_input;
	r->handler = sub->handler;
	r->handler_data = sub->handler_data;
	r->env = sub->env;
	for (unsigned i = 0; i < sub->out.n; i++)
		fields_add(&r->out, sub->out.at[i].name, sub->out.at[i].value);
	for (unsigned i = 0; i < sub->always.n; i++)
		fields_add(&r->always, sub->always.at[i].name, sub->always.at[i].value);
}

/*
 * rewrite.c - the rules at work: a list of them applied to a request, in the order of the text, and what comes of it. Runs in
 * the children.
 *
 * While a list runs r->filename is the path (of a host's rules) or the file's name (of a folder's) as the rules have made it
 * so far, and r->query the query: variables, expressions and maps see them so. What a rule needs was compiled before; a
 * rule that does not match allocates nothing.
 *
 * The order of things is mod_rewrite's: pattern first, then conditions, then substitution, variables and cookies.
 */
#include "request/rewriterule.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "http/head.h"
#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/phases.h"
#include "request/response.h"

#define WORK_LIMIT ((size_t)8 << 20)    /* bytes that the rules of one list may use: a loop of rules ends there */
#define STEP_LIMIT 1000000              /* rules looked at in one list, rounds included */

/* What outlives the list: in r->rewritten. */
struct rewritten {
	bool end;                               /* [END] was met */
	const char *type, *handler;             /* [T], [H]; NULL = none */
};

enum outcome { NO_MATCH, MATCHED, NO_SUBSTITUTION, FAILED };
enum result { UNCHANGED, CHANGED, CHANGED_NOESCAPE, ANSWER, BROKEN };

void rewrite_tell(const struct rewriting *w, int level, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_put(&w->r->client->about, LOG_REWRITE, (enum log_level)(LOG_L_DEBUG + level), NULL, 0, "[%s%s] %s%s%s%s", w->sub ? "subreq" : "initial",
		w->r->redirects ? "/redir" : "", w->directory ? "[perdir " : "", w->directory ? w->directory : "", w->directory ? "] " : "", text);
}

static const char *file_of(const struct rewrite_rule *rule)
{
	return rule->pos.file ? rule->pos.file : "-";
}

static struct rewritten *rewritten_of(struct request *r)
{
	if (!r->rewritten)
		r->rewritten = arena_zalloc(r->arena, sizeof(struct rewritten));
	return r->rewritten;
}

const char *rewrite_forced_type(const struct request *r)
{
	return r->rewritten ? r->rewritten->type : NULL;
}

const char *rewrite_forced_handler(const struct request *r)
{
	return r->rewritten ? r->rewritten->handler : NULL;
}

/* [END] counts for all that comes of the request inside the server. */
static bool ended(const struct request *r)
{
	for (; r; r = r->original)
		if (r->rewritten && r->rewritten->end)
			return true;
	return false;
}

/* ---------------------------------------------------------------------------------------------- one rule */

/* What patterns see: with what is left behind the file, without the folder of the rules. */
static int set_uri(struct rewriting *w)
{
	struct request *r = w->r;
	const char *uri = r->filename;
	size_t n;

	if (w->directory) {
		if (r->path_info && *r->path_info && !(uri = arena_join(r->arena, uri, r->path_info)))
			return -1;
		if (uri != r->filename)
			rewrite_trace(w, 3, "add path info postfix: %s -> %s", r->filename, uri);
		n = strlen(w->directory);
		if (strncmp(uri, w->directory, n) == 0) {
			rewrite_trace(w, 3, "strip per-dir prefix: %s -> %s", uri, uri + n);
			uri += n;
		}
	}
	w->uri = text_of(uri);
	return 0;
}

/* Tells caches which fields of the request the conditions looked at. */
static int put_vary(struct rewriting *w)
{
	for (unsigned i = 0; i < w->nvary; i++) {
		struct text have = fields_combined(&w->r->out, "Vary");
		const char *all;

		if (fields_has_token(&w->r->out, "Vary", w->vary[i]))
			continue;
		all = have.n ? arena_printf(w->r->arena, "%.*s, %s", (int)have.n, have.p, w->vary[i]) : w->vary[i];
		if (!all || !http_is_value(text_of(all)) || fields_set(&w->r->out, "Vary", all) != 0)
			return -1;
	}
	return 0;
}

/* 1, 0, -1 */
static int conditions_hold(struct rewriting *w, const struct rewrite_rule *rule)
{
	for (const struct rewrite_cond *c = rule->conds; c; c = c->next) {
		unsigned before = w->nvary;
		int rc = rewrite_cond_holds(w, c);

		if (rc < 0)
			return -1;
		if (c->flags & REWRITE_C_NOVARY || (!rc && c->flags & REWRITE_C_OR))
			w->nvary = before;
		if (!rc && !(c->flags & REWRITE_C_OR))
			return 0;
		while (rc && c->flags & REWRITE_C_OR && c->next)        /* the rest of the alternatives */
			c = c->next;
	}
	return 1;
}

static int set_variables(struct rewriting *w, const struct rewrite_rule *rule)
{
	for (const struct rewrite_item *i = rule->env; i; i = i->next) {
		const char *name = rewrite_expand_string(w, i->text, NULL, NULL), *colon;
		char *bare;

		if (!name)
			return -1;
		if (*name == '!') {
			fields_remove(&w->r->env, name + 1);
			rewrite_trace(w, 5, "unsetting env variable '%s'", name + 1);
			continue;
		}
		colon = strchr(name, ':');
		bare = arena_strndup(w->r->arena, name, colon ? (size_t)(colon - name) : strlen(name));
		if (!bare || fields_set(&w->r->env, bare, colon ? colon + 1 : "") != 0)
			return -1;
		rewrite_trace(w, 5, "setting env variable '%s' to '%s'", bare, colon ? colon + 1 : "");
	}
	for (const struct rewrite_item *i = rule->cookies; i; i = i->next) {
		const char *cookie = rewrite_expand_string(w, i->text, NULL, NULL);

		if (!cookie || rewrite_cookie(w, cookie) != 0)
			return -1;
	}
	return 0;
}

static int force_one(struct rewriting *w, const struct rewrite_text *t, const struct rewrite_rule *rule, const char **where, const char *what)
{
	const char *value;
	char *lower;

	if (!t)
		return 0;
	value = rewrite_expand_string(w, t, rule, NULL);
	lower = value ? arena_strdup(w->r->arena, value) : NULL;
	if (!lower)
		return -1;
	for (char *p = lower; *p; p++)
		*p = (char)ascii_lower((unsigned char)*p);
	if (!*lower || !http_is_value(text_of(lower)))
		return 0;
	rewrite_trace(w, 2, "remember %s to have %s '%s'", w->r->filename, what, lower);
	*where = lower;
	return 0;
}

static int force(struct rewriting *w, const struct rewrite_rule *rule)
{
	struct rewritten *d = rule->type || rule->handler ? rewritten_of(w->r) : NULL;

	if (!rule->type && !rule->handler)
		return 0;
	if (!d)
		return -1;
	return force_one(w, rule->type, rule, &d->type, "MIME-type") == 0 ? force_one(w, rule->handler, rule, &d->handler, "Content-handler") : -1;
}

/* "http://this-host/path" is the path: where the name is one of the host's own, and the port the one it is known by. */
static int reduce(struct rewriting *w)
{
	struct request *r = w->r;
	const char *scheme = r->client->secure ? "https://" : "http://", *host = r->filename + strlen(scheme), *end, *rest;
	struct text name;
	uint64_t port = r->client->secure ? 443 : 80, own = r->host->port ? r->host->port : addr_port(&r->client->local);

	if (strncasecmp(r->filename, scheme, strlen(scheme)) != 0)
		return 0;
	end = host + strcspn(host, "/:");
	name = (struct text){ host, (size_t)(end - host) };
	rest = end + strcspn(end, "/");
	if (*end == ':' && text_u64((struct text){ end + 1, (size_t)(rest - end - 1) }, 65535, &port) != 0)
		return 0;
	if (!name.n || port != own || !host_has_name(r->host, name))
		return 0;
	rewrite_trace(w, 3, "reduce %s -> %s", r->filename, *rest ? rest : "/");
	r->filename = *rest ? rest : "/";
	w->reduced = !(w->host->options & REWRITE_O_LEGACY_PREFIX);
	return 0;
}

static int qualify(struct rewriting *w)
{
	struct request *r = w->r;
	const char *origin;

	if (rewrite_scheme(r->filename, NULL))
		return 0;
	origin = response_origin(r);
	r->filename = origin ? arena_printf(r->arena, "%s%s%s", origin, *r->filename == '/' ? "" : "/", r->filename) : NULL;
	return r->filename ? 0 : -1;
}

/* The result of a substitution that begins with no slash and no scheme belongs to the folder, or to the root. */
static const char *put_folder(struct rewriting *w, const struct rewrite_rule *rule, const char *path, bool *added)
{
	const char *prefix = w->directory ? w->directory : rule->flags & REWRITE_F_REDIRECT ? NULL : "/";

	if (*path == '/' || !prefix || rewrite_scheme(path, NULL))
		return path;
	*added = true;
	rewrite_trace(w, 3, "add %s prefix: %s -> %s%s", w->directory ? "per-dir" : "root", path, prefix, path);
	return arena_join(w->r->arena, prefix, path);
}

static enum outcome no_memory(struct rewriting *w)
{
	w->status = 503;
	return FAILED;
}

/* Puts what the rule made in the place of the path. */
static enum outcome substitute(struct rewriting *w, const struct rewrite_rule *rule, const char *to)
{
	struct request *r = w->r;
	bool added = false;
	char *path;

	to = put_folder(w, rule, to, &added);
	path = to ? arena_strdup(r->arena, to) : NULL;
	if (!path)
		return no_memory(w);
	if (w->directory && rule->flags & REWRITE_F_DPI)
		r->path_info = NULL;
	if (rewrite_split_query(w, path, rule) != 0)
		return no_memory(w);
	r->filename = path;
	if (rule->flags & REWRITE_F_REDIRECT) {
		if (qualify(w) != 0)
			return no_memory(w);
		rewrite_trace(w, 2, "explicitly forcing redirect with %s", r->filename);
		w->status = rule->status;
		return MATCHED;
	}
	reduce(w);
	if (rewrite_scheme(r->filename, NULL)) {
		rewrite_trace(w, 2, "implicitly forcing redirect (rc=%u) with %s", rule->status, r->filename);
		w->status = rule->status;
		return MATCHED;
	}
	if (!added && !(rule->flags & REWRITE_F_UNC) && strncmp(rule->substitution, "//", 2) != 0)
		while (r->filename[0] == '/' && r->filename[1] == '/')
			r->filename++;
	return force(w, rule) == 0 ? MATCHED : FAILED;
}

static enum outcome unsafe_mark(struct rewriting *w, const struct rewrite_rule *rule)
{
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0613", "%s answered with 403: a \"?\" that came encoded (%%3f) in the request would begin the query "
		   "by the rule of %s:%u; [UnsafeAllow3F] lets it, [B] keeps it encoded", w->r->path, file_of(rule), rule->pos.line);
	w->status = 403;
	return FAILED;
}

static enum outcome pattern_limit(struct rewriting *w, const struct rewrite_rule *rule)
{
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0611", "%s answered with 500: the pattern \"%s\" of %s:%u met its limits, so that what it "
		   "guards cannot be told; write it without nested repeats", w->r->path, rule->pattern, file_of(rule), rule->pos.line);
	w->status = 500;
	return FAILED;
}

static enum outcome rule_apply(struct rewriting *w, const struct rewrite_rule *rule)
{
	const char *to = NULL;
	int mark = -1, rc = regex_run(rule->regex, w->uri, &w->rule);

	if (w->traced >= 3)
		rewrite_tell(w, 3, "applying pattern '%s' to uri '%.*s': %s (%s:%u)", rule->pattern, (int)w->uri.n, w->uri.p,
			     (rc == 1) != !!(rule->flags & REWRITE_F_NOT) ? "matched" : "not matched", file_of(rule), rule->pos.line);
	if (rc < 0)
		return pattern_limit(w, rule);
	if ((rc == 1) == !!(rule->flags & REWRITE_F_NOT))
		return NO_MATCH;
	if (rc == 0)
		w->rule.count = 0;
	w->cond.count = 0;
	w->nvary = 0;
	if (rule->conds && (rc = conditions_hold(w, rule)) <= 0)
		return rc == 0 ? NO_MATCH : FAILED;
	if (w->nvary && put_vary(w) != 0)
		return no_memory(w);
	if (rule->to) {
		to = rewrite_expand_string(w, rule->to, rule, rule->flags & REWRITE_F_ALLOW_3F ? NULL : &mark);
		if (!to)
			return FAILED;
		rewrite_trace(w, 2, "rewrite '%.*s' -> '%s'", (int)w->uri.n, w->uri.p, to);
		if (mark == 1)
			return unsafe_mark(w, rule);
	}
	if (set_variables(w, rule) != 0)
		return w->status || w->wait ? FAILED : no_memory(w);
	if (to)
		return substitute(w, rule, to);
	if (rule->flags & REWRITE_F_STATUS)
		rewrite_trace(w, 2, "forcing responsecode %u for %s", rule->status, w->r->filename);
	return force(w, rule) == 0 ? NO_SUBSTITUTION : FAILED;
}

/* ---------------------------------------------------------------------------------------------- a list of rules */

static enum result broken(struct rewriting *w, const struct rewrite_rule *rule, const char *why)
{
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0614", "%s answered with 500: the rules lead in a circle: %s (RewriteRule %s of %s:%u)", w->r->path,
		   why, rule->pattern, file_of(rule), rule->pos.line);
	w->status = 500;
	return BROKEN;
}

static enum result failed(struct rewriting *w)
{
	if (!w->wait && !w->status)
		w->status = 503;
	return BROKEN;
}

static enum result list_apply(struct rewriting *w, const struct rewrite_list *list)
{
	size_t used = arena_used(w->r->arena);
	enum result result = UNCHANGED;
	unsigned steps = 0, round = 1;

	for (unsigned i = 0; i < list->n; i++) {
		const struct rewrite_rule *rule = list->at[i];
		enum outcome out;

		if (++steps > STEP_LIMIT)
			return broken(w, rule, "they were looked at a million times");
		if (w->sub && rule->flags & (REWRITE_F_NOSUBREQ | REWRITE_F_REDIRECT))
			continue;
		if (!w->uri.p && set_uri(w) != 0)
			return failed(w);
		out = rule_apply(w, rule);
		if (out == FAILED)
			return failed(w);
		if (out == NO_MATCH) {          /* the rest of a chain goes with its first */
			while (i + 1 < list->n && list->at[i]->flags & REWRITE_F_CHAIN)
				i++;
			continue;
		}
		if (out == MATCHED) {
			w->last = rule;
			result = rule->flags & REWRITE_F_NOESCAPE ? CHANGED_NOESCAPE : CHANGED;
			w->uri.p = NULL;        /* made anew for the next rule */
		}
		if (strlen(w->r->filename) > REWRITE_PATH || arena_used(w->r->arena) - used > WORK_LIMIT)
			return broken(w, rule, "the path, or the memory they use, grows beyond its limit");
		if (rule->flags & REWRITE_F_STATUS) {
			w->status = rule->status;
			return ANSWER;
		}
		if (rule->flags & REWRITE_F_PASS) {
			rewrite_trace(w, 2, "forcing '%s' to get passed through to the phases behind", w->r->filename);
			w->pass = true;
			return CHANGED;
		}
		if (rule->flags & REWRITE_F_END) {
			rewrite_trace(w, 8, "rule has END flag, no further rewriting for this request");
			if (!rewritten_of(w->r))
				return failed(w);
			w->r->rewritten->end = true;
			break;
		}
		if (rule->flags & REWRITE_F_LAST)
			break;
		if (rule->flags & REWRITE_F_NEXT) {
			if (++round >= rule->rounds)
				return broken(w, rule, "[N] began them anew as often as it may");
			i = UINT_MAX;           /* from the first on */
			continue;
		}
		i += rule->skip;
	}
	return result;
}

static void begin(struct rewriting *w, struct request *r)
{
	*w = (struct rewriting){ .r = r, .host = host_config(r->host, &rewrite_module), .section = request_config(r, &rewrite_module),
				 .sub = r->parent != NULL };
	while (w->traced < 8 && log_enabled(&r->client->about, LOG_REWRITE, (enum log_level)(LOG_L_DEBUG + w->traced + 1)))
		w->traced++;
}

/* ---------------------------------------------------------------------------------------------- answers */

/* A status of [R=…], [F], [G]. One below 300 is an answer with nothing in it. */
static unsigned answer(struct request *r, unsigned status)
{
	if (status >= 300)
		return status;
	response_text(r, status, "text/plain", "", 0);
	return PHASE_ANSWERED;
}

static bool has_controls(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return true;
	return false;
}

static unsigned refuse_controls(struct rewriting *w, const char *what)
{
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0615", "%s answered with 403: the %s that the rule of %s:%u made holds blanks or control characters; [B] "
		   "encodes what a pattern captured", w->r->path, what, w->last ? file_of(w->last) : "-", w->last ? w->last->pos.line : 0);
	return 403;
}

/* Sends the client to what was made. */
static unsigned redirect(struct rewriting *w, enum result result, const char *old_query)
{
	struct request *r = w->r;
	const char *where = w->made, *query = r->query;
	bool keep = result == CHANGED_NOESCAPE;

	if (!keep) {
		rewrite_trace(w, 1, "escaping %s for redirect", where);
		where = rewrite_escape_url(r->arena, where, rewrite_scheme(where, NULL));
	}
	if (query && !keep && !(old_query && strcmp(query, old_query) == 0))
		query = uri_escape_path(r->arena, query);
	if (where && query)
		where = arena_printf(r->arena, "%s?%s", where, query);
	if (!where || (r->query && !query))
		return 503;
	if (!http_is_value(text_of(where)) || strpbrk(where, "\r\n"))
		return refuse_controls(w, "Location");
	if (w->status < 300 || w->status > 399)
		w->status = 302;
	rewrite_trace(w, 1, "redirect to %s [REDIRECT/%u]", where, w->status);
	response_redirect(r, w->status, where);
	return PHASE_ANSWERED;
}

static unsigned above_root(struct rewriting *w)
{
	if (errno == ENOMEM)
		return 503;
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0616", "%s answered with 403: the rule of %s:%u made a path that leads above the root: %s",
		   w->r->path, w->last ? file_of(w->last) : "-", w->last ? w->last->pos.line : 0, w->made);
	return 403;
}

/* ---------------------------------------------------------------------------------------------- rules of a host */

/* SCRIPT_URL and SCRIPT_URI: the path that was asked for, for programs. */
static int set_script(struct request *r)
{
	struct text url = request_env(r, "REDIRECT_SCRIPT_URL");
	const char *origin = response_origin(r), *uri;

	if (!url.p)
		url = text_of(r->path);
	uri = origin ? arena_printf(r->arena, "%s%.*s", origin, (int)url.n, url.p) : NULL;
	if (!uri)
		return -1;
	fields_remove(&r->env, "SCRIPT_URL");
	fields_remove(&r->env, "SCRIPT_URI");
	return fields_add(&r->env, TEXT("SCRIPT_URL"), url) == 0 ? fields_add(&r->env, TEXT("SCRIPT_URI"), text_of(uri)) : -1;
}

static bool below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return n && strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]);
}

/*
 * Whether a path is one of the file system: its first component is there, and the rule means it: it says so itself, or the
 * path lies in DocumentRoot. A request cannot bring such a path along.
 */
static bool is_file_path(struct rewriting *w, const char *path)
{
	size_t n = strcspn(path + 1, "/") + 1;
	char first[NAME_MAX + 2];
	struct stat st;

	if (w->reduced || n <= 1 || n >= sizeof first)
		return false;
	memcpy(first, path, n);
	first[n] = '\0';
	if (stat(first, &st) != 0)
		return false;
	if (w->host->options & REWRITE_O_PREFIX_STAT || !w->last || w->last->flags & REWRITE_F_PREFIX_STAT)
		return true;
	if (strncmp(w->last->substitution, first, n) == 0 || below(path, core_document_root(w->r->host)))
		return true;
	/* "%{DOCUMENT_ROOT}/../x": the rule itself leads out of it */
	return strstr(w->last->substitution, "/..") && below(w->made, core_document_root(w->r->host));
}

static unsigned local_path(struct rewriting *w)
{
	struct request *r = w->r;
	bool keep_slashes = core_uri_flags(r->host) & URI_SLASH_NOMERGE;
	const char *path;

	if (*w->made != '/')
		return 400;
	path = rewrite_clean(r->arena, w->made, keep_slashes);
	if (!path)
		return above_root(w);
	if (w->pass) {
		r->path = path;
		return 0;
	}
	rewrite_trace(w, 2, "local path result: %s", path);
	if (!is_file_path(w, path)) {
		path = arena_join(r->arena, core_document_root(r->host), host_below_path(r->host, path));
		if (!path)
			return 503;
		rewrite_trace(w, 2, "prefixed with document_root to %s", path);
	}
	rewrite_trace(w, 1, "go-ahead with %s [OK]", path);
	r->filename = path;
	return 0;
}

static unsigned host_result(struct rewriting *w, enum result result, const char *old_query)
{
	struct request *r = w->r;
	bool elsewhere = rewrite_scheme(w->made, NULL) > 0;

	if (result == UNCHANGED) {
		rewrite_trace(w, 1, "pass through %s", w->made);
		return 0;
	}
	if (r->query && !(elsewhere && result != CHANGED_NOESCAPE) && has_controls(r->query))
		return refuse_controls(w, "query");
	if (result == ANSWER)
		return answer(r, w->status);
	return elsewhere ? redirect(w, result, old_query) : local_path(w);
}

unsigned rewrite_host(struct request *r)
{
	const struct rewrite_host *h = host_config(r->host, &rewrite_module);
	const struct rewrite_section *s = request_config(r, &rewrite_module);
	const char *query = r->query;
	struct rewriting w;
	enum result result;

	if (s->engine != 1 || !h->touched)
		return 0;
	begin(&w, r);
	if (ended(r)) {
		rewrite_trace(&w, 8, "no further rewriting due to END flag");
		return 0;
	}
	if (!(s->options & REWRITE_O_ANYURI) && *r->path != '/')
		return 0;
	if (set_script(r) != 0)
		return 503;
	if (h->rules.n == 0)
		return 0;
	r->filename = w.first_name = r->path;
	rewrite_trace(&w, 2, "init rewrite engine with requested uri %s", r->path);
	result = list_apply(&w, &h->rules);
	w.made = r->filename;
	r->filename = NULL;
	if (result == BROKEN) {
		r->query = query;
		return w.wait ? PHASE_WAIT : w.status;
	}
	return host_result(&w, result, query);
}

/* ---------------------------------------------------------------------------------------------- rules of a folder */

/* What [T] and [H] said takes the place of what the name says. 0, or 403 where there is no such handler. */
static unsigned forced(struct request *r)
{
	const struct rewritten *d = r->rewritten;

	if (d && d->type) {
		r->type = d->type;
		r->charset = NULL;
	}
	if (!d || !d->handler)
		return 0;
	r->type_handler = NULL;
	r->handler = handler_find(d->handler);
	if (r->handler)
		return 0;
	log_errorx(&r->client->about, LOG_REWRITE, "BH0619", "%s denied: the handler \"%s\" of a rule's [H] does not exist in this release, and the source is not "
		   "sent instead", r->path, d->handler);
	r->refused = "its handler does not exist in this release";
	return 403;
}

/* The URL path of what the rules made. NULL on ENOMEM. */
static const char *url_of_result(struct rewriting *w)
{
	struct request *r = w->r;
	const char *file = w->made, *url;

	if (w->section->base) {
		url = rewrite_put_prefix(r->arena, file, w->directory, w->section->base);
		if (url != file) {
			rewrite_trace(w, 2, "replace prefix %s with %s: %s -> %s", w->directory, w->section->base, file, url ? url : "");
			return url;
		}
	} else if (below(file, core_document_root(r->host)) && file[strlen(core_document_root(r->host))] == '/') {
		url = file + strlen(core_document_root(r->host));
		rewrite_trace(w, 2, "strip document_root prefix: %s -> %s", file, url);
		return url;
	}
	if (!r->context_root || w->section->options & REWRITE_O_IGNORE_CONTEXT)
		return file;
	url = rewrite_put_prefix(r->arena, file, r->context_root, r->context_prefix);
	if (url != file)
		rewrite_trace(w, 2, "replace context docroot %s with context prefix %s", r->context_root, r->context_prefix);
	return url;
}

static unsigned redirect_inside(struct rewriting *w)
{
	struct request *r = w->r;
	const char *url = url_of_result(w);
	char *normal = NULL;

	if (r->parent && !r->found)             /* of an index file that is not there, as in Apache: a rule makes none of it */
		return 0;
	if (!url)
		return 503;
	switch (uri_normalize(r->arena, text_of(url), core_uri_flags(r->host), &normal)) {
	case URI_OK:
		break;
	case URI_NO_MEMORY:
		return 503;
	case URI_NOT_FOUND:
		return 404;
	case URI_BAD:
		return 400;
	}
	rewrite_trace(w, 1, "internal redirect with %s [INTERNAL REDIRECT]", url);
	if (r->redirects >= core_redirect_limit(r->host))
		log_errorx(&r->client->about, LOG_REWRITE, "BH0617", "%s: the rules of %s have led it elsewhere %u times, at last by %s:%u; where they lead in a circle, "
			   "put \"RewriteCond %%{ENV:REDIRECT_STATUS} ^$\" before that rule, or [END] into it", r->path, w->directory, r->redirects,
			   w->last ? file_of(w->last) : "-", w->last ? w->last->pos.line : 0);
	phases_redirect(r, normal, 0);
	return PHASE_ANSWERED;
}

/* In a redirect the folder's name becomes its URL path. */
static int base_of_redirect(struct rewriting *w)
{
	const char *path = strchr(w->made + rewrite_scheme(w->made, NULL), '/'), *url;

	if (!w->section->base || !path || !path[1])
		return 0;
	url = rewrite_put_prefix(w->r->arena, path, w->directory, w->section->base);
	if (url && url != path) {
		rewrite_trace(w, 2, "replace prefix %s with %s", w->directory, w->section->base);
		w->made = arena_printf(w->r->arena, "%.*s%s", (int)(path - w->made), w->made, url);
	}
	return url && w->made ? 0 : -1;
}

static unsigned directory_result(struct rewriting *w, enum result result, const char *old_query)
{
	struct request *r = w->r;
	bool elsewhere = rewrite_scheme(w->made, NULL) > 0;

	if (result == UNCHANGED) {
		rewrite_trace(w, 1, "pass through %s", w->made);
		return forced(r);
	}
	if (r->query && !(elsewhere && result != CHANGED_NOESCAPE) && has_controls(r->query))
		return refuse_controls(w, "query");
	if (result == ANSWER)
		return answer(r, w->status);
	if (elsewhere)
		return base_of_redirect(w) == 0 ? redirect(w, result, old_query) : 503;
	rewrite_trace(w, 2, "local path result: %s", w->made);
	if (*w->made != '/')
		return 400;
	if (strcmp(w->made, w->first_name) == 0) {
		rewrite_trace(w, 1, "initial URL equal rewritten URL: %s [IGNORING REWRITE]", w->made);
		return forced(r);
	}
	return redirect_inside(w);
}

/* A folder asked for without its slash: its name without one, as it came. NULL on ENOMEM. */
static const char *name_as_asked(struct request *r)
{
	size_t n = strlen(r->filename), p = strlen(r->path);

	if (r->found && S_ISDIR(r->st.st_mode) && n > 1 && r->filename[n - 1] == '/' && p && r->path[p - 1] != '/')
		return arena_strndup(r->arena, r->filename, n - 1);
	return r->filename;
}

/* The folder of the name, where the rules stand in a section of no folder. NULL on ENOMEM. */
static const char *folder_of(struct request *r)
{
	const char *slash = strrchr(r->filename, '/');

	return arena_strndup(r->arena, r->filename, slash ? (size_t)(slash - r->filename) + 1 : 0);
}

static bool is_folder_itself(const char *name, const char *directory)
{
	size_t n = strlen(name);

	return strncmp(name, directory, n) == 0 && strcmp(directory + n, "/") == 0;
}

static unsigned links_needed(const struct request *r)
{
	log_errorx(&r->client->about, LOG_REWRITE, "BH0618", "%s answered with 403: RewriteEngine is on for %s, where Options has neither FollowSymLinks nor "
		   "SymLinksIfOwnerMatch: rules can lead as far as links do, so that they need one of these", r->path, r->filename);
	return 403;
}

unsigned rewrite_directory(struct request *r)
{
	const struct rewrite_section *s = request_config(r, &rewrite_module);
	const char *query = r->query, *name = r->filename, *path_info = r->path_info;
	struct rewriting w;
	enum result result;

	if (s->engine != 1 || (!s->directory && s->rules.n == 0) || !name || *name != '/')
		return forced(r);
	begin(&w, r);
	w.directory = s->directory ? s->directory : folder_of(r);
	w.first_name = name_as_asked(r);
	if (!w.directory || !w.first_name)
		return 503;
	if (!(s->options & REWRITE_O_NOSLASH) && is_folder_itself(w.first_name, w.directory))
		return forced(r);
	if (ended(r)) {
		rewrite_trace(&w, 8, "no further rewriting due to END flag");
		return forced(r);
	}
	if (!(core_options(core_section_of(r)) & (CORE_OPT_FOLLOW | CORE_OPT_OWNER)))
		return links_needed(r);
	r->filename = w.first_name;
	result = list_apply(&w, &s->rules);
	w.made = r->filename;
	r->filename = name;
	if (result != BROKEN)
		return directory_result(&w, result, query);
	r->query = query;
	r->path_info = path_info;
	return w.wait ? PHASE_WAIT : w.status;
}

/*
 * run.c - a list of rules applied to a request, in the order of the text. Runs in the children.
 *
 * While a list runs r->filename is the path (of a host's rules) or the file's name (of a folder's) as the rules have made it
 * so far, and r->query the query: variables, expressions and maps see them so. What a rule needs was compiled before; a
 * rule that does not match allocates nothing.
 *
 * The order of things is mod_rewrite's: pattern first, then conditions, then substitution, variables and cookies.
 */
#include "rewrite/rule.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "http/head.h"
#include "log/log.h"
#include "request/response.h"

#define WORK_LIMIT ((size_t)8 << 20)    /* bytes that the rules of one list may use: a loop of rules ends there */
#define STEP_LIMIT 1000000              /* rules and conditions looked at in one list, rounds included */
#define TIME_LIMIT 1000                 /* ms a list may take: the child's other connections wait for it */
#define STEPS_A_LOOK 32                 /* between two looks at the clock */

enum outcome { NO_MATCH, MATCHED, NO_SUBSTITUTION, FAILED };

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

const char *rewrite_file_of(const struct rewrite_rule *rule)
{
	return rule->pos.file ? rule->pos.file : "-";
}

static struct rewritten *rewritten_of(struct request *r)
{
	if (!r->rewritten)
		r->rewritten = arena_zalloc(r->arena, sizeof(struct rewritten));
	return r->rewritten;
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

/* Whether the list has used up what it may: a pattern that goes back and forth takes a millisecond, and may come often. */
static bool spent(struct rewriting *w)
{
	struct timespec now;
	int64_t ms;

	if (++w->steps % STEPS_A_LOOK)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (!w->until_ms)
		w->until_ms = ms + TIME_LIMIT;
	return ms > w->until_ms || w->steps > STEP_LIMIT;
}

static enum rewrite_result tell_spent(struct rewriting *w, const struct rewrite_rule *rule)
{
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0614", "%s answered with 500: the rules lead in a circle, or take too long: a second, or a million "
		   "steps, were not enough (RewriteRule %s of %s:%u)", w->r->path, rule->pattern, rewrite_file_of(rule), rule->pos.line);
	w->status = 500;
	return REWRITE_BROKEN;
}

/* 1, 0, -1 */
static int conditions_hold(struct rewriting *w, const struct rewrite_rule *rule)
{
	for (const struct rewrite_cond *c = rule->conds; c; c = c->next) {
		unsigned before = w->nvary;
		int rc;

		if (spent(w)) {
			tell_spent(w, rule);
			return -1;
		}
		rc = rewrite_cond_holds(w, c);
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
	if (rule->flags & REWRITE_F_PROXY) {
		if (qualify(w) != 0)
			return no_memory(w);
		rewrite_trace(w, 2, "forcing proxy-throughput with %s", r->filename);
		w->proxy = true;
		return MATCHED;
	}
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
		   "by the rule of %s:%u; [UnsafeAllow3F] lets it, [B] keeps it encoded", w->r->path, rewrite_file_of(rule), rule->pos.line);
	w->status = 403;
	return FAILED;
}

static enum outcome pattern_limit(struct rewriting *w, const struct rewrite_rule *rule)
{
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0611", "%s answered with 500: the pattern \"%s\" of %s:%u met its limits, so that what it "
		   "guards cannot be told; write it without nested repeats", w->r->path, rule->pattern, rewrite_file_of(rule), rule->pos.line);
	w->status = 500;
	return FAILED;
}

static enum outcome rule_apply(struct rewriting *w, const struct rewrite_rule *rule)
{
	const char *to = NULL;
	int mark = -1, rc = regex_run(rule->regex, w->uri, &w->rule);

	if (w->traced >= 3)
		rewrite_tell(w, 3, "applying pattern '%s' to uri '%.*s': %s (%s:%u)", rule->pattern, (int)w->uri.n, w->uri.p,
			     (rc == 1) != !!(rule->flags & REWRITE_F_NOT) ? "matched" : "not matched", rewrite_file_of(rule), rule->pos.line);
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

static enum rewrite_result broken(struct rewriting *w, const struct rewrite_rule *rule, const char *why)
{
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0614", "%s answered with 500: the rules lead in a circle: %s (RewriteRule %s of %s:%u)", w->r->path,
		   why, rule->pattern, rewrite_file_of(rule), rule->pos.line);
	w->status = 500;
	return REWRITE_BROKEN;
}

static enum rewrite_result failed(struct rewriting *w)
{
	if (!w->wait && !w->status)
		w->status = 503;
	return REWRITE_BROKEN;
}

enum rewrite_result rewrite_list_apply(struct rewriting *w, const struct rewrite_list *list)
{
	size_t used = arena_used(w->r->arena);
	enum rewrite_result result = REWRITE_UNCHANGED;
	unsigned round = 1;

	for (unsigned i = 0; i < list->n; i++) {
		const struct rewrite_rule *rule = list->at[i];
		enum outcome out;

		if (spent(w))
			return tell_spent(w, rule);
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
			result = rule->flags & REWRITE_F_NOESCAPE ? REWRITE_CHANGED_AS_IS : REWRITE_CHANGED;
			w->uri.p = NULL;        /* made anew for the next rule */
		}
		if (strlen(w->r->filename) > REWRITE_PATH || arena_used(w->r->arena) - used > WORK_LIMIT)
			return broken(w, rule, "the path, or the memory they use, grows beyond its limit");
		if (rule->flags & REWRITE_F_STATUS) {
			w->status = rule->status;
			return REWRITE_ANSWER;
		}
		if (out == MATCHED && w->proxy)
			break;
		if (rule->flags & REWRITE_F_PASS) {
			rewrite_trace(w, 2, "forcing '%s' to get passed through to the phases behind", w->r->filename);
			w->pass = true;
			return REWRITE_CHANGED;
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

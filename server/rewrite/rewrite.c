/*
 * rewrite.c - the two phases of rewriting: the rules of the host before anything is mapped, those of the folder when access is
 * decided; and what comes of what they made: a file, another path, a redirect, a status. Runs in the children.
 */
#include "rewrite/rule.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "http/head.h"
#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/phases.h"
#include "request/proxy.h"
#include "request/response.h"
#include "request/walk.h"

/* [END] counts for all that comes of the request inside the server. */
static bool ended(const struct request *r)
{
	for (; r; r = r->original)
		if (r->rewritten && r->rewritten->end)
			return true;
	return false;
}

static void begin(struct rewriting *w, struct request *r)
{
	*w = (struct rewriting){ .r = r, .host = host_config(r->host, &rewrite_module), .section = request_config(r, &rewrite_module),
				 .sub = r->parent != NULL };
	while (w->traced < 8 && log_enabled(&r->client->about, LOG_REWRITE, (enum log_level)(LOG_L_DEBUG + w->traced + 1)))
		w->traced++;
}

/*
 * A list that waits for the program of a map is run again from its first rule: what the rules have set of the request is as it was
 * before, so that nothing is done twice, and a condition sees what it saw.
 */
struct before { struct fields env, out, always; };

static int keep(const struct rewriting *w, struct before *b)
{
	struct fields *const from[] = { &w->r->env, &w->r->out, &w->r->always }, *const to[] = { &b->env, &b->out, &b->always };

	*b = (struct before){ 0 };
	for (size_t i = 0; rewrite_maps_ask(w->host) && i < sizeof from / sizeof *from; i++) {
		fields_init(to[i], w->r->arena);
		for (unsigned k = 0; k < from[i]->n; k++)
			if (fields_add(to[i], from[i]->at[k].name, from[i]->at[k].value) != 0)
				return -1;
	}
	return 0;
}

static void put_back(const struct rewriting *w, const struct before *b)
{
	if (!w->wait || !rewrite_maps_ask(w->host))
		return;
	w->r->env = b->env;
	w->r->out = b->out;
	w->r->always = b->always;
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
		   "encodes what a pattern captured", w->r->path, what, w->last ? rewrite_file_of(w->last) : "-", w->last ? w->last->pos.line : 0);
	return 403;
}

/* Sends the client to what was made. */
static unsigned redirect(struct rewriting *w, enum rewrite_result result, const char *old_query)
{
	struct request *r = w->r;
	const char *where = w->made, *query = r->query;
	bool keep = result == REWRITE_CHANGED_AS_IS;

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

/* [P]: another server answers. */
static unsigned lead_to_server(struct rewriting *w, enum rewrite_result result)
{
	rewrite_trace(w, 1, "go-ahead with proxy request %s [OK]", w->made);
	return proxy_url(w->r, w->made, w->r->query, result == REWRITE_CHANGED_AS_IS, w->last ? &w->last->pos : NULL);
}

static unsigned above_root(struct rewriting *w)
{
	if (errno == ENOMEM)
		return 503;
	log_errorx(&w->r->client->about, LOG_REWRITE, "BH0616", "%s answered with 403: the rule of %s:%u made a path that leads above the root: %s",
		   w->r->path, w->last ? rewrite_file_of(w->last) : "-", w->last ? w->last->pos.line : 0, w->made);
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

static unsigned host_result(struct rewriting *w, enum rewrite_result result, const char *old_query)
{
	struct request *r = w->r;
	bool elsewhere = rewrite_scheme(w->made, NULL) > 0;

	if (result == REWRITE_UNCHANGED) {
		rewrite_trace(w, 1, "pass through %s", w->made);
		return 0;
	}
	if (r->query && !(elsewhere && result != REWRITE_CHANGED_AS_IS) && has_controls(r->query))
		return refuse_controls(w, "query");
	if (result == REWRITE_ANSWER)
		return answer(r, w->status);
	if (w->proxy)
		return lead_to_server(w, result);
	return elsewhere ? redirect(w, result, old_query) : local_path(w);
}

unsigned rewrite_host(struct request *r)
{
	const struct rewrite_host *h = host_config(r->host, &rewrite_module);
	const struct rewrite_section *s = request_config(r, &rewrite_module);
	const char *query = r->query;
	struct rewriting w;
	struct before before;
	enum rewrite_result result;

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
	if (keep(&w, &before) != 0)
		return 503;
	r->filename = w.first_name = r->path;
	rewrite_trace(&w, 2, "init rewrite engine with requested uri %s", r->path);
	result = rewrite_list_apply(&w, &h->rules);
	w.made = r->filename;
	r->filename = NULL;
	if (result == REWRITE_BROKEN) {
		r->query = query;
		put_back(&w, &before);
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
	if (walk_adds_slash(r)) {
		rewrite_trace(w, 1, "%s is a folder without its slash: it is redirected there, and not to %s", r->path, w->made);
		return forced(r);
	}
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
			   w->last ? rewrite_file_of(w->last) : "-", w->last ? w->last->pos.line : 0);
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

static unsigned directory_result(struct rewriting *w, enum rewrite_result result, const char *old_query)
{
	struct request *r = w->r;
	bool elsewhere = rewrite_scheme(w->made, NULL) > 0;

	if (result == REWRITE_UNCHANGED) {
		rewrite_trace(w, 1, "pass through %s", w->made);
		return forced(r);
	}
	if (r->query && !(elsewhere && result != REWRITE_CHANGED_AS_IS) && has_controls(r->query))
		return refuse_controls(w, "query");
	if (result == REWRITE_ANSWER)
		return answer(r, w->status);
	if (w->proxy)
		return lead_to_server(w, result);
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
	struct before before;
	enum rewrite_result result;

	if (s->engine != 1 || (!s->directory && s->rules.n == 0) || !name || *name != '/')
		return forced(r);
	begin(&w, r);
	w.directory = s->directory ? s->directory : folder_of(r);
	w.first_name = name_as_asked(r);
	if (!w.directory || !w.first_name || keep(&w, &before) != 0)
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
	result = rewrite_list_apply(&w, &s->rules);
	w.made = r->filename;
	r->filename = name;
	if (result != REWRITE_BROKEN)
		return directory_result(&w, result, query);
	r->query = query;
	r->path_info = path_info;
	put_back(&w, &before);
	return w.wait ? PHASE_WAIT : w.status;
}

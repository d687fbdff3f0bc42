/*
 * map.c - from a path to a place in the file system: mod_alias and DocumentRoot. The lists are compiled in the master;
 * a child runs them in order: a Redirect of a <Location> that names no path answers, else the first Redirect that matches,
 * else the first Alias that matches leads, else DocumentRoot. A virtual host's own come before the main server's. The other
 * Redirects of sections wait until access is decided.
 */
#include "request/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/regex.h"
#include "http/head.h"
#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/phases.h"
#include "request/proxy.h"
#include "request/response.h"
#include "request/sections.h"
#include "request/variables.h"
#include "request/userdir.h"
#include "request/vhostalias.h"

/* Alias or Redirect: matched by the prefix or the pattern; target NULL: a status alone ("gone"). */
struct rule {
	const char *prefix;             /* NULL: a pattern, or (with regex NULL) everything in its section */
	const struct regex *regex;
	const char *target;
	const struct expr *text;        /* of a rule without a path: the target where it holds variables */
	unsigned status;                /* of a Redirect */
	bool script;                    /* ScriptAlias */
	struct conf_pos pos;
	const char *directive;
	struct rule *next;
};

struct rules {
	struct rule *first, *last;
};

struct alias_host {
	struct rules redirects, aliases;
};

struct alias_section {
	struct rules redirects;
	const struct rule *alias;       /* the innermost Alias of a <Location>; NULL = none */
	int preserve, relative;         /* AliasPreservePath, RedirectRelative */
};

/* ------------------------------------------------------------------------------------------------ setters */

static void rules_append(struct rules *l, struct rule *r)
{
	if (l->last)
		l->last->next = r;
	else
		l->first = r;
	l->last = r;
}

static struct rule *rule_new(struct conf_call *call)
{
	struct rule *r = conf_alloc(call->env, sizeof(*r));

	r->pos = call->node->pos;
	r->directive = call->directive->name;
	return r;
}

/* A pattern lives in the arena of the site: env->ctx is not known to be one, so the reader's site is asked. */
static int set_regex(struct conf_call *call, struct rule *r, const char *pattern)
{
	struct reading *reading = call->target->owner;
	struct err e = { 0 };

	r->regex = regex_new(reading->arena, pattern, REGEX_DOTALL, &e);
	if (!r->regex)
		return conf_fail(call, NULL, "\"%s\" is no regular expression: %s", pattern, e.text);
	return 0;
}

static bool match_form(const struct conf_call *call)
{
	return strstr(call->directive->name, "Match") != NULL;
}

static void *create_section(struct conf_env *env);

/* Alias FILE inside a <Location>: for all of it, with variables. */
static int set_alias_here(struct conf_call *call, const char *file)
{
	void **section = &call->target->section[call->module->index];
	struct rule *r = rule_new(call);

	if (!*section)
		*section = create_section(call->env);
	r->script = strncmp(call->directive->name, "Script", 6) == 0;
	r->target = *file == '%' ? conf_strdup(call->env, file) : conf_path(call->env, file);
	r->text = variables_text(call, r->target);
	if (reading_of(call)->section && !reading_of(call)->section->regex)
		r->prefix = reading_of(call)->section->pattern;
	((struct alias_section *)*section)->alias = r;
	return r->text ? 0 : -1;
}

static int set_alias(struct conf_call *call, void *config, int argc, char **argv)
{
	struct alias_host *h = config;
	struct rule *r = rule_new(call);
	size_t np = strlen(argv[0]), nt;

	(void)argc;
	if (call->context & CONF_SECTIONS)
		return conf_fail(call, "write the file alone, in a <Location>, or both words outside of the section",
				 "takes no path inside a section");
	r->script = strncmp(call->directive->name, "Script", 6) == 0;
	r->target = conf_path(call->env, argv[1]);
	nt = strlen(r->target);
	if (match_form(call)) {
		if (set_regex(call, r, argv[0]) < 0)
			return -1;
	} else {
		r->prefix = conf_strdup(call->env, argv[0]);
		if (np && argv[0][np - 1] == '/' && np > 1 && nt && r->target[nt - 1] != '/')
			conf_warn(call, "end both in a slash, or neither", "%s ends in a slash, %s does not: %sx would be %sx",
				  argv[0], argv[1], argv[0], argv[1]);
		for (const struct rule *o = h->aliases.first; o; o = o->next)
			if (o->prefix && strcmp(o->prefix, r->prefix) == 0) {
				conf_warn(call, "remove one of the two", "%s is already led elsewhere by %s in %s:%u, which wins",
					  argv[0], o->directive, o->pos.file ? o->pos.file : "-", o->pos.line);
				break;
			}
	}
	rules_append(&h->aliases, r);
	return 0;
}

/* "permanent", "temp", "seeother", "gone" or a number; 0 = none of them. */
static unsigned redirect_status(const char *word)
{
	static const struct { const char *word; unsigned status; } words[] = {
		{ "permanent", 301 }, { "temp", 302 }, { "seeother", 303 }, { "gone", 410 },
	};
	uint64_t n;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(word, words[i].word) == 0)
			return words[i].status;
	return text_u64(text_of(word), 99999, &n) == 0 ? (unsigned)n : 0;
}

static bool is_url(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	return n > 0 && s[n] == ':';
}

static int check_redirect(struct conf_call *call, const struct rule *r)
{
	bool moves = r->status >= 300 && r->status < 400;

	if (r->status < 300 || r->status > 599)
		return conf_fail(call, "use permanent, temp, seeother, gone or a number from 300 to 599", "%u is no status it can answer",
				 r->status);
	if (moves && !r->target)
		return conf_fail(call, "add the URL to go to", "the URL is missing");
	if (!moves && r->target)
		return conf_fail(call, "leave the URL out, or use a status from 300 to 399", "status %u goes to no URL", r->status);
	if (r->target && *r->target != '/' && !is_url(r->target) && !r->text && !(match_form(call) && strchr(r->target, '$')))
		return conf_fail(call, "write https://host/path or a path that begins with a slash", "\"%s\" is no URL", r->target);
	if (r->target && !http_is_value(text_of(r->target)))
		return conf_fail(call, NULL, "the URL holds control characters");
	return 0;
}

/* Redirect [status] [path] URL; the path may be left out in a section. */
static int set_redirect(struct conf_call *call, void *config, int argc, char **argv)
{
	bool in_section = call->context & (CONF_SECTIONS | CONF_HTACCESS);
	const char *name = call->directive->name, *from = NULL;
	struct rule *r = rule_new(call);
	int i = 0;

	r->status = strcmp(name, "RedirectPermanent") == 0 ? 301 : 302;
	if (strcmp(name, "Redirect") == 0 || strcmp(name, "RedirectMatch") == 0) {
		unsigned status = argv[0][0] != '/' ? redirect_status(argv[0]) : 0;

		if (status) {
			r->status = status;
			i++;
		} else if (argc == 3) {
			return conf_fail(call, "use permanent, temp, seeother, gone or a number from 300 to 599",
					 "\"%s\" is no status", argv[0]);
		}
	}
	if (argc - i == 2) {
		from = argv[i];
		r->target = conf_strdup(call->env, argv[i + 1]);
	} else if (argc - i == 1 && r->status >= 300 && r->status < 400) {
		if (!in_section || match_form(call))
			return conf_fail(call, "write: Redirect /path https://host/path", "a path and a URL are needed");
		r->target = conf_strdup(call->env, argv[i]);
		if (strpbrk(argv[i], "%$\\") && !(r->text = variables_text(call, argv[i])))
			return -1;
	} else if (argc - i == 1) {
		from = argv[i];
	} else if (argc - i != 0 || !in_section) {
		return conf_fail(call, "write: Redirect [status] /path https://host/path", "wrong number of words");
	}
	if (check_redirect(call, r) < 0)
		return -1;
	if (from && r->target && strstr(r->target, "%{"))
		conf_warn(call, "write the URL alone, in a <Location>", "a URL behind a path holds no variables: \"%s\" is sent as it stands", r->target);
	if (from && match_form(call)) {
		if (set_regex(call, r, from) < 0)
			return -1;
	} else if (from) {
		r->prefix = conf_strdup(call->env, from);
	}
	if (in_section)
		rules_append(&((struct alias_section *)config)->redirects, r);
	else
		rules_append(&((struct alias_host *)call->target->host[call->module->index])->redirects, r);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ merging */

/* Copies: a list belongs to one structure. */
static void rules_join(struct conf_env *env, struct rules *to, const struct rules *from)
{
	for (const struct rule *r = from->first; r; r = r->next) {
		struct rule *copy = conf_alloc(env, sizeof(*copy));

		*copy = *r;
		copy->next = NULL;
		rules_append(to, copy);
	}
}

static void *create_host(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct alias_host));
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct alias_host *b = base, *o = over;
	struct alias_host *m = create_host(env);

	rules_join(env, &m->redirects, &o->redirects);
	rules_join(env, &m->redirects, &b->redirects);
	rules_join(env, &m->aliases, &o->aliases);
	rules_join(env, &m->aliases, &b->aliases);
	return m;
}

static void *create_section(struct conf_env *env)
{
	struct alias_section *s = conf_alloc(env, sizeof(*s));

	s->preserve = s->relative = CONF_UNSET;
	return s;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct alias_section *b = base, *o = over;
	struct alias_section *m = create_section(env);

	rules_join(env, &m->redirects, &o->redirects);
	rules_join(env, &m->redirects, &b->redirects);
	m->alias = o->alias ? o->alias : b->alias;
	m->preserve = o->preserve != CONF_UNSET ? o->preserve : b->preserve;
	m->relative = o->relative != CONF_UNSET ? o->relative : b->relative;
	return m;
}

/* ------------------------------------------------------------------------------------------------ at a request */

/*
 * The part of the path behind the prefix, or NULL: a prefix ends where a segment ends ("/pics" is not the beginning of
 * "/picsy"); one with a slash at its end wants that slash. A slash stands for any number of them, so that nothing slips by
 * a rule where they are not merged.
 */
const char *map_behind_prefix(const char *path, const char *prefix)
{
	const char *at = prefix;

	while (*at) {
		if (*at != '/') {
			if (*path++ != *at++)
				return NULL;
			continue;
		}
		if (*path != '/')
			return NULL;
		at += strspn(at, "/");
		path += strspn(path, "/");
	}
	if (at > prefix && at[-1] == '/')
		return path;
	return *path == '\0' || *path == '/' ? path : NULL;
}

/* What an expression makes a URL of: its path may hold anything, its query and fragment stand as they are. NULL: no answer. */
static const char *escaped_target(struct request *r, const struct expr *x)
{
	const char *url = variables_string(r, x), *path, *end, *escaped;

	if (!url)
		return NULL;
	path = strstr(url, "://");
	path = path && strcspn(url, "/?#") > (size_t)(path - url) ? strpbrk(path + 3, "/?#") : url;
	if (!path)
		return url;
	end = path + strcspn(path, "?#");
	escaped = arena_strndup(r->arena, path, (size_t)(end - path));
	escaped = escaped ? uri_escape_path(r->arena, escaped) : NULL;
	return escaped ? arena_printf(r->arena, "%.*s%s%s", (int)(path - url), url, escaped, end) : NULL;
}

/* 1 and where it leads, 0 no match, -1 no memory, a pattern's limit, or an expression without an answer. */
static int rule_apply(struct request *r, const struct rule *rule, bool escape, const char **where)
{
	struct regex_match m;
	const char *rest;
	int rc;

	*where = NULL;
	if (rule->text) {
		*where = escaped_target(r, rule->text);
		if (*where && **where != '/' && !is_url(*where)) {
			log_errorx(&r->client->about, LOG_ALIAS, "BH0601", "%s answered with 500: what %s of %s:%u comes to is neither a URL nor a path: %.200s",
				   r->path, rule->directive, rule->pos.file ? rule->pos.file : "-", rule->pos.line, *where);
			return -1;
		}
		return *where ? 1 : -1;
	}
	if (!rule->regex) {
		rest = rule->prefix ? map_behind_prefix(r->path, rule->prefix) : "";
		if (!rest)
			return 0;
		if (!rule->target)
			return 1;
		if (escape && *rest && !(rest = uri_escape_path(r->arena, rest)))
			return -1;
		*where = *rest ? arena_join(r->arena, rule->target, rest) : rule->target;
		return *where ? 1 : -1;
	}
	rc = regex_run(rule->regex, text_of(r->path), &m);
	if (rc <= 0 || !rule->target)
		return rc;
	for (int i = 0; escape && i < m.count && i < REGEX_CAPTURES; i++) {
		char *copy;

		if (!m.at[i].p)
			continue;
		copy = arena_strndup(r->arena, m.at[i].p, m.at[i].n);
		copy = copy ? uri_escape_path(r->arena, copy) : NULL;
		if (!copy)
			return -1;
		m.at[i] = text_of(copy);
	}
	*where = regex_expand(r->arena, rule->target, &m);
	return *where ? 1 : -1;
}

static unsigned redirect(struct request *r, const struct rule *rule, const char *where)
{
	const struct alias_section *s = request_config(r, &alias_module);

	if (*where != '/' && !is_url(where)) {          /* a part of the path that is no path itself */
		log_errorx(&r->client->about, LOG_ALIAS, "BH0698", "%s answered with 500: what %s of %s:%u comes to is neither a path nor a URL: %.200s",
			   r->path, rule->directive, rule->pos.file ? rule->pos.file : "-", rule->pos.line, where);
		return 500;
	}
	(s->relative == 1 ? response_redirect_here : response_redirect)(r, rule->status, where);
	return PHASE_ANSWERED;
}

/* bare: only those that name no path. */
static unsigned run_redirects(struct request *r, const struct rules *l, bool bare)
{
	for (const struct rule *rule = l->first; rule; rule = rule->next) {
		const char *where;
		int rc;

		if (bare && (rule->prefix || rule->regex))
			continue;
		rc = rule_apply(r, rule, true, &where);
		if (rc < 0)
			return 500;
		if (rc == 0)
			continue;
		r->mapped_at = &rule->pos;
		if (!where)
			return rule->status;
		if (r->query && !strchr(where, '?'))
			where = arena_printf(r->arena, "%s?%s", where, r->query);
		if (!where)
			return 500;
		return redirect(r, rule, where);
	}
	return 0;
}

/* Whether a segment is ".." */
static bool climbs(const char *path)
{
	for (const char *p = strstr(path, ".."); p; p = strstr(p + 1, ".."))
		if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
			return true;
	return false;
}

/*
 * Without "//", "/./" and the ".." that the configuration itself may hold, so that <Directory> sections match. In place
 * in a copy of the arena. NULL on ENOMEM.
 */
static const char *tidy(struct request *r, const char *path)
{
	char *copy, *to;

	if (!strstr(path, "//") && !strstr(path, "/."))
		return path;
	if (!(copy = arena_strdup(r->arena, path)))
		return NULL;
	to = copy;
	for (const char *p = copy; *p;) {
		size_t n = strcspn(p + 1, "/") + 1;     /* a slash and its segment */

		if (n == 1 && p[1])
			;                               /* "//": the next slash counts */
		else if (n == 2 && p[1] == '.')
			to += p[2] ? 0 : (*to = '/', 1);
		else if (n == 3 && p[1] == '.' && p[2] == '.') {
			while (to > copy && *--to != '/')
				;
			to += p[3] ? 0 : (*to = '/', 1);
		} else {
			memmove(to, p, n);
			to += n;
		}
		p += n;
	}
	if (to == copy)
		*to++ = '/';
	*to = '\0';
	return copy;
}

unsigned map_redirect(struct request *r)
{
	const struct alias_section *s = request_config(r, &alias_module);

	return s->redirects.first ? run_redirects(r, &s->redirects, false) : 0;
}

/* What no Alias leads: a user's folder, a folder made of the host's name, DocumentRoot. */
static unsigned map_host(struct request *r)
{
	unsigned status = userdir_run(r);

	if (!status && !r->filename)
		status = vhostalias_run(r);
	if (status)
		return status;
	if (!r->filename)
		r->filename = arena_join(r->arena, core_document_root(r->host), host_below_path(r->host, r->path));
	if (r->filename)
		r->filename = tidy(r, r->filename);
	return r->filename ? 0 : 500;
}

/* The Alias of a <Location>: all of it is one file, or with AliasPreservePath what lies behind the section's path stands behind it. */
static unsigned map_here(struct request *r, const struct rule *rule, bool preserve)
{
	const char *where = variables_string(r, rule->text), *rest = preserve && rule->prefix ? map_behind_prefix(r->path, rule->prefix) : NULL;

	if (!where)
		return 500;
	if (*where != '/') {
		log_errorx(&r->client->about, LOG_ALIAS, "BH0601", "%s answered with 500: what %s of %s:%u comes to is no absolute path: %.200s",
			   r->path, rule->directive, rule->pos.file ? rule->pos.file : "-", rule->pos.line, where);
		return 500;
	}
	if (climbs(where) && !climbs(rule->target))
		return 403;                     /* pieces of the request have come together as ".." */
	if (rule->script && !(r->handler = handler_find("cgi-script")))
		return 403;                     /* never the source instead */
	r->scripted = rule->script;
	if (rest) {
		r->context_prefix = rule->prefix;
		r->context_root = where;
		where = arena_join(r->arena, where, rest);
	}
	r->filename = where ? tidy(r, where) : NULL;
	return r->filename ? 0 : 500;
}

void map_visit(const struct host *h, void (*each)(void *ctx, const char *directive, const char *target, const struct conf_pos *pos), void *ctx)
{
	for (const struct rule *rule = ((const struct alias_host *)host_config(h, &alias_module))->aliases.first; rule; rule = rule->next)
		if (!rule->regex && rule->target)
			each(ctx, rule->directive, rule->target, &rule->pos);
}

unsigned map_run(struct request *r)
{
	const struct alias_host *h = host_config(r->host, &alias_module);
	const struct alias_section *s = request_config(r, &alias_module);       /* of <Location> alone as yet */
	unsigned status;

	if (!r->path || *r->path != '/' || r->filename || r->proxy)     /* a rule of rewriting may have named the file, or another server */
		return 0;
	if ((status = proxy_map(r)) != 0 || r->proxy)
		return status;
	if (s->redirects.first && (status = run_redirects(r, &s->redirects, true)) != 0)
		return status;
	if (h->redirects.first && (status = run_redirects(r, &h->redirects, false)) != 0)
		return status;
	if (s->alias)
		return map_here(r, s->alias, s->preserve == 1);
	for (const struct rule *rule = h->aliases.first; rule; rule = rule->next) {
		const char *where;
		int rc = rule_apply(r, rule, false, &where);

		if (rc < 0)
			return 500;
		if (rc == 0 || !where)          /* an Alias always has a target */
			continue;
		r->mapped_at = &rule->pos;
		if (rule->script && !(r->handler = handler_find("cgi-script")))
			return 403;             /* never the source instead */
		r->scripted = rule->script;
		if (rule->regex && climbs(where) && !climbs(rule->target))
			return 403;             /* pieces of the path have come together as ".." */
		if (rule->prefix) {
			r->context_prefix = rule->prefix;
			r->context_root = rule->target;
		}
		r->filename = tidy(r, where);
		return r->filename ? 0 : 500;
	}
	return map_host(r);
}

/* How much of a target is the same for all requests. */
static size_t fixed_part(const struct rule *rule)
{
	size_t n = strlen(rule->target);

	if (!rule->regex)
		return n;
	n = strcspn(rule->target, "$\\");
	while (n && rule->target[n] && rule->target[n - 1] != '/')
		n--;
	return n;
}

bool map_leads(const struct host *h, const char *path, bool scripts)
{
	const struct alias_host *a = host_config(h, &alias_module);

	for (const struct rule *rule = a->aliases.first; rule; rule = rule->next) {
		size_t n;
		char *target;
		const char *rest;

		if ((scripts && !rule->script) || !rule->target)
			continue;
		if (!path)
			return true;
		n = fixed_part(rule);
		while (n > 1 && rule->target[n - 1] == '/')
			n--;                    /* a slash at the end may stand behind a program: what follows is its PATH_INFO */
		target = n > 1 ? strndup(rule->target, n) : NULL;
		rest = target ? map_behind_prefix(path, target) : NULL;
		free(target);
		if (rest)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------------------ directives */

#define ALIAS .contexts = CONF_RSRC | CONF_SECTIONS, .args = CONF_TAKE, .min = 1, .max = 2, .scope = CONF_OF_HOST, .set = set_alias_words
#define REDIRECT(least, most) .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .args = CONF_TAKE, .min = (least), .max = (most), \
	.scope = CONF_OF_SECTION, .set = set_redirect

static int set_alias_words(struct conf_call *call, void *config, int argc, char **argv)
{
	if (argc < 2 && call->context == CONF_LOCATION && !match_form(call))
		return set_alias_here(call, argv[0]);
	if (argc < 2)
		return conf_fail(call, "write: Alias /path /folder", call->context & CONF_SECTIONS ? "without a path it works in <Location> alone" :
				 "a path and a folder are needed");
	return set_alias(call, config, argc, argv);
}

static const struct conf_directive directives[] = {
	{ "Alias", "leads a path to a file or folder", NULL, ALIAS },
	{ "AliasMatch", "leads what matches a regular expression to a file or folder", NULL, ALIAS },
	{ "ScriptAlias", "leads a path to a folder of programs", NULL, ALIAS },
	{ "ScriptAliasMatch", "leads what matches a regular expression to programs", NULL, ALIAS },
	{ "AliasPreservePath", "whether Alias of a <Location> keeps what lies behind the section's path", "Off", .contexts = CONF_RSRC | CONF_SECTIONS,
	  .args = CONF_FLAG, .scope = CONF_OF_SECTION, .set = conf_set_flag, .offset = offsetof(struct alias_section, preserve) },
	{ "RedirectRelative", "whether a redirect to a path names it alone", "Off", .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .args = CONF_FLAG,
	  .scope = CONF_OF_SECTION, .set = conf_set_flag, .offset = offsetof(struct alias_section, relative) },
	{ "Redirect", "answers a path with a redirect or a status", NULL, REDIRECT(1, 3) },
	{ "RedirectMatch", "answers what matches a regular expression with a redirect or a status", NULL, REDIRECT(1, 3) },
	{ "RedirectPermanent", "Redirect 301", NULL, REDIRECT(2, 2) },
	{ "RedirectTemp", "Redirect 302", NULL, REDIRECT(2, 2) },
	{ .name = NULL },
};

struct conf_module alias_module = {
	.name = "alias_module",
	.source = "mod_alias.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
	.create_section = create_section,
	.merge_section = merge_section,
};

/*
 * proxymap.c - which requests go to another server, and with what path: ProxyPass, rules of rewriting, handlers named "proxy:…". Lines are
 * read by the master; requests are looked at in the children.
 *
 * The path that is sent is always made anew of the decoded one, or (nocanon) is the one that came, looked through for what no
 * path holds: no byte of a request becomes a line end or a blank of the next.
 */
#include "request/proxyread.h"

#include <string.h>
#include <strings.h>

#include "log/log.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/map.h"
#include "request/sections.h"

/* ------------------------------------------------------------------------------------------------ ProxyPass */

/* The URL before what a rule makes of the request, and NULL where the host is among that. */
static const char *constant_part(struct conf_env *env, const char *url, bool pattern)
{
	size_t n = pattern ? strcspn(url, "$?") : strcspn(url, "?");
	const char *slashes = strstr(url, "://"), *host_end = slashes ? slashes + 3 + strcspn(slashes + 3, "/") : url + strlen(url);

	if (url[n] == '$' && url + n < host_end)
		return NULL;
	return conf_printf(env, "%.*s", (int)n, url);
}

static int set_target(struct conf_call *call, struct proxy_rule *rule, struct proxy_host *h, const char *url)
{
	const char *constant;

	rule->target = conf_strdup(call->env, url);
	constant = constant_part(call->env, url, rule->regex || rule->interpolates);
	if (proxy_is_balancer(url))
		return !constant || proxy_balancer_make(call, h, url) ? 0 : -1;
	if (constant && !(rule->worker = proxy_worker_make(call, h, constant)))
		return -1;
	return 0;
}

static int set_words(struct conf_call *call, struct proxy_rule *rule, struct proxy_host *h, int argc, char **argv)
{
	struct proxy_balancer *b = proxy_is_balancer(rule->target) ? proxy_balancer_find(h, rule->target + 11, strcspn(rule->target + 11, "/?")) : NULL;

	for (int i = 0; i < argc; i++) {
		if (strcasecmp(argv[i], "nocanon") == 0 || strcasecmp(argv[i], "mapping=encoded") == 0)
			rule->nocanon = true;
		else if (strcasecmp(argv[i], "noquery") == 0)
			rule->noquery = true;
		else if (strcasecmp(argv[i], "mapping=servlet") == 0)
			rule->servlet = true;
		else if (strcasecmp(argv[i], "mapping=decoded") == 0 || strcasecmp(argv[i], "interpolate") == 0)
			continue;
		else if (strncasecmp(argv[i], "mapping=", 8) == 0)
			return conf_fail(call, "write decoded, encoded or servlet", "\"%s\" is no way of mapping", argv[i]);
		else if (!rule->worker && !b)
			return conf_fail(call, "name the host itself", "a URL whose host is made of the request takes no keys");
		else if (proxy_set_key(call, rule->worker, b, argv[i]) < 0)
			return -1;
	}
	return 0;
}

static const char how[] = "write: ProxyPass /path http://host:port/path, or in a <Location> the URL alone; \"!\" for what is not handed on";

int proxy_set_pass(struct conf_call *call, void *config, int argc, char **argv)
{
	struct proxy_host *h = config;
	struct proxy_rule *rule = conf_alloc(call->env, sizeof *rule), **tail = &h->rules;
	bool here = call->context == CONF_LOCATION, match = strcasecmp(call->directive->name, "ProxyPassMatch") == 0;
	const struct section *sec = here ? reading_of(call)->section : NULL;
	struct err e = { .text = "" };

	rule->pos = call->node->pos;
	if (!here && argc < 2)
		return conf_fail(call, how, "a path and a URL are needed");
	if (here) {
		rule->regex = sec->regex;
		rule->prefix = sec->regex || sec->wild ? NULL : sec->pattern;
	} else if (match) {
		rule->regex = regex_new(reading_of(call)->arena, argv[0], REGEX_DOTALL, &e);
		if (!rule->regex)
			return conf_fail(call, NULL, "\"%s\" is no regular expression: %s", argv[0], e.text);
	} else {
		rule->prefix = conf_strdup(call->env, argv[0]);
		if (*argv[0] != '/')
			return conf_fail(call, how, "\"%s\" is no path", argv[0]);
	}
	argv += !here;
	argc -= !here;
	for (int i = 1; i < argc; i++)
		rule->interpolates |= strcasecmp(argv[i], "interpolate") == 0;
	if (strcmp(argv[0], "!") != 0 && (set_target(call, rule, h, argv[0]) < 0 || set_words(call, rule, h, argc - 1, argv + 1) < 0))
		return -1;
	proxy_needed(call);
	if (here) {
		void **section = &call->target->section[call->module->index];

		if (!*section)
			*section = proxy_module.create_section(call->env);
		((struct proxy_section *)*section)->rule = rule;
		return 0;
	}
	while (*tail)
		tail = &(*tail)->next;
	*tail = rule;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ where a request leads */

/* %-encodes all that no path holds as it stands. `keep`: "%2F" stays, as AllowEncodedSlashes NoDecode has left it. */
static char *escape(struct arena *a, const char *path, bool keep)
{
	static const char hex[] = "0123456789ABCDEF", plain[] = "-._~!$&'()*+,;=:@/";
	char *out = arena_alloc(a, 3 * strlen(path) + 1), *to = out;

	for (const char *p = path; out && *p; p++) {
		unsigned char c = (unsigned char)*p;
		bool slash = keep && c == '%' && p[1] == '2' && (p[2] == 'F' || p[2] == 'f');

		if (slash || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr(plain, c)) {
			*to++ = *p;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	if (out)
		*to = '\0';
	return out;
}

static bool is_clean(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

static const char *file_of(const struct conf_pos *pos)
{
	return pos && pos->file ? pos->file : "-";
}

static unsigned unclean(struct request *r, const struct conf_pos *pos)
{
	log_errorx(&r->client->about, LOG_PROXY, "BH0740", "%s answered with 403: the URL that the line of %s:%u makes of it holds blanks or control characters, which would "
		   "end the request line of the server behind; [B] in a RewriteRule encodes what a pattern captured", r->path, file_of(pos), pos ? pos->line : 0);
	return 403;
}

static unsigned forbidden(struct request *r, const char *url)
{
	log_errorx(&r->client->about, LOG_PROXY, "BH0741", "%s answered with 500: %.200s cannot be asked: no ProxyPass, BalancerMember, RewriteRule with [P] or "
		   "handler \"proxy:…\" stands in the configuration itself, so that children may not connect", r->path, url);
	return 500;
}

bool proxy_wanted(const struct site *s)
{
	unsigned i = proxy_module.index;

	return i < s->nmodules && s->modules[i] == &proxy_module && proxy_main(s) && proxy_main(s)->needed;
}

/* Puts all together. url: whole, decoded but where raw_path stands for its path. */
static unsigned lead(struct request *r, struct proxy_to *to, const char *url, const char *path, const char *raw_path)
{
	bool keep = core_uri_flags(r->host) & URI_SLASH_KEEP;

	to->url = url;
	to->decoded = path;
	to->raw = raw_path != NULL;
	to->path = raw_path ? raw_path : escape(r->arena, path, keep);
	if (!to->path)
		return 503;
	if (!is_clean(to->path) || (to->query && !is_clean(to->query)))
		return unclean(r, to->pos);
	if (!proxy_wanted(r->site))
		return forbidden(r, url);
	r->handler = handler_find("proxy-server");
	if (!r->handler)
		return 500;
	r->proxy = to;
	r->mapped_at = to->pos;
	return 0;
}

static bool is_prefix(const struct proxy_worker *w, const struct proxy_url *u, const char *socket)
{
	size_t n = strlen(w->path);

	if (!text_is_nocase(u->scheme, w->scheme) || !text_is_nocase(u->host, w->host) || u->port != w->port || !w->socket != !socket)
		return false;
	return (!socket || strcmp(w->socket, socket) == 0) && strncmp(u->path, w->path, n) == 0;
}

/* What is known of the server: the longest URL of the configuration that this one begins with; else one for this request. */
static const struct proxy_worker *worker_for(struct request *r, const struct proxy_url *u, const char *socket)
{
	const struct proxy_host *h = host_config(r->host, &proxy_module);
	const struct proxy_worker *found = NULL;
	struct proxy_worker *w;

	for (const struct proxy_member *m = h->workers; m; m = m->next)
		if (is_prefix(m->worker, u, socket) && (!found || strlen(m->worker->path) > strlen(found->path)))
			found = m->worker;
	if (found)
		return found;
	w = arena_zalloc(r->arena, sizeof *w);
	if (!w)
		return NULL;
	*w = (struct proxy_worker){
		.scheme = arena_strndup(r->arena, u->scheme.p, u->scheme.n), .host = arena_strndup(r->arena, u->host.p, u->host.n),
		.authority = arena_strndup(r->arena, u->authority.p, u->authority.n), .path = "", .socket = socket, .port = u->port,
		.timeout = -1, .connect_timeout = -1, .ttl = -1, .address_ttl = -1, .ping = -1, .acquire = -1, .flush_wait = -1, .io_size = -1, .receive_size = -1, .max = -1,
		.keepalive = -1, .flush = -1, .reuse = PROXY_KEEP_NEVER, .factor = 100,
	};
	w->secure = text_is_nocase(u->scheme, "https") || text_is_nocase(u->scheme, "wss");
	if (!w->scheme || !w->host || !w->authority)
		return NULL;
	for (char *p = (char *)(uintptr_t)w->scheme; *p; p++)
		*p = (char)ascii_lower((unsigned char)*p);
	w->name = arena_printf(r->arena, "%s://%s", w->scheme, w->authority);
	if (!socket && addr_parse(&w->addr, w->host, w->port) < 0)
		w->addr.len = 0;
	return w->name ? w : NULL;
}

static unsigned bad_url(struct request *r, const char *url, const char *why, const struct conf_pos *pos)
{
	log_errorx(&r->client->about, LOG_PROXY, "BH0742", "%s answered with 500: what the line of %s:%u makes of it, %.200s, cannot be asked: %s", r->path, file_of(pos),
		   pos ? pos->line : 0, url, why);
	return 500;
}

static unsigned lead_to_balancer(struct request *r, struct proxy_to *to, const char *url, const char *raw_path)
{
	const struct proxy_host *h = host_config(r->host, &proxy_module);
	const char *path = url + 11 + strcspn(url + 11, "/");

	to->balancer = proxy_balancer_find(h, url + 11, (size_t)(path - url - 11));
	if (!to->balancer || !to->balancer->members)
		return bad_url(r, url, "this balancer has no member; say BalancerMember in its <Proxy> section", to->pos);
	return lead(r, to, url, path, raw_path);
}

/* worker: known already, or NULL. raw_path: NULL, or what stands for the path. */
static unsigned lead_to_url(struct request *r, struct proxy_to *to, const char *url, const char *raw_path)
{
	struct proxy_url u;
	const char *why, *socket = NULL, *plain = url;

	if (proxy_is_balancer(url))
		return lead_to_balancer(r, to, url, raw_path);
	if (!proxy_parse_url(url, &u, &why))
		return bad_url(r, url, why, to->pos);
	if (!proxy_default_port(u.scheme))
		return bad_url(r, url, "its scheme is not spoken here", to->pos);
	if (u.socket) {
		socket = arena_strndup(r->arena, u.socket, u.socket_n);
		plain = u.scheme.p;
		if (!socket)
			return 503;
		if (!to->worker && (*socket != '/' || u.socket_n > 107))
			return bad_url(r, url, "the file of unix: must be absolute, and at most 107 bytes", to->pos);
	}
	if (!to->worker && !(to->worker = worker_for(r, &u, socket)))
		return 503;
	return lead(r, to, plain, *u.path ? u.path : "/", raw_path);
}

/* Splits a query off that the line itself holds; the request's own stands behind it. False: no memory. */
static bool own_query(struct request *r, struct proxy_to *to, char *url)
{
	char *mark = strchr(url, '?');

	if (!mark)
		return true;
	*mark++ = '\0';
	to->query = to->query && *to->query ? arena_printf(r->arena, "%s&%s", mark, to->query) : mark;
	return to->query != NULL;
}

static unsigned no_answer(struct request *r, const struct proxy_rule *rule)
{
	log_errorx(&r->client->about, LOG_PROXY, "BH0743", "%s answered with 500: the pattern of ProxyPassMatch of %s:%u met its limits, or memory ran out", r->path,
		   file_of(&rule->pos), rule->pos.line);
	return 500;
}

/* The path as it came, behind the rule's prefix; NULL: it has none there. */
static const char *raw_rest(struct request *r, const struct proxy_rule *rule)
{
	const char *raw = r->original ? NULL : arena_strndup(r->arena, r->uri.path.p, r->uri.path.n);

	return raw ? map_behind_prefix(raw, rule->prefix) : NULL;
}

static const char *path_of(const char *url)
{
	const char *slashes = strstr(url, "://"), *path = slashes ? strchr(slashes + 3, '/') : NULL;

	return path ? path : "/";
}

/*
 * The path as a servlet container reads it: parameters (";a=b") belong to their part and count neither for the prefix nor for "..". What is behind the
 * prefix, with its parameters; NULL: the prefix does not fit, or *no_memory.
 */
static const char *servlet_rest(struct request *r, const char *prefix, bool *no_memory)
{
	size_t n = strlen(r->path), at = 0, bare_at = 0;
	char *full = arena_alloc(r->arena, n + 2), *bare = arena_alloc(r->arena, n + 2);
	const char *rest;
	unsigned slashes = 0;

	*no_memory = !full || !bare;
	if (*no_memory)
		return NULL;
	for (const char *p = r->path, *end; *p; p = end) {
		size_t name = 1 + strcspn(p + 1, "/;");

		end = p + 1 + strcspn(p + 1, "/");
		if ((name == 2 && p[1] == '.') || (name == 3 && p[1] == '.' && p[2] == '.')) {
			for (; name == 3 && at && full[at - 1] != '/'; at--)
				;
			for (; name == 3 && bare_at && bare[bare_at - 1] != '/'; bare_at--)
				;
			at -= name == 3 && at;
			bare_at -= name == 3 && bare_at;
			if (*end)
				continue;
			name = 1;       /* it ends so: a folder */
		}
		memcpy(bare + bare_at, p, name);
		bare_at += name;
		memcpy(full + at, p, name == 1 ? 1 : (size_t)(end - p));
		at += name == 1 ? 1 : (size_t)(end - p);
	}
	full[at] = bare[bare_at] = '\0';
	rest = map_behind_prefix(bare, prefix);
	if (!rest)
		return NULL;
	/* The same slash of the path with parameters, counted from its end. */
	for (const char *p = rest; *p; p++)
		slashes += *p == '/';
	if (*rest != '/' && rest > bare && rest[-1] == '/')
		slashes++;
	for (n = at; slashes && n; n--)
		slashes -= full[n - 1] == '/';
	if (*rest != '/' && rest > bare && rest[-1] == '/')
		return full + n + 1;
	return *rest ? full + n : full + at;
}

/* 1: it leads (or not: "!"), *status tells how it went. 0: it is not for this rule. */
static int rule_apply(struct request *r, const struct proxy_rule *rule, unsigned *status)
{
	struct regex_match m;
	struct proxy_to *to;
	const char *rest = r->path, *raw = NULL, *target;
	bool no_memory = false;
	char *url;
	int rc = 1;

	*status = 503;
	if (rule->regex)
		rc = regex_run(rule->regex, text_of(r->path), &m);
	else if (rule->prefix && rule->servlet)
		rc = (rest = servlet_rest(r, rule->prefix, &no_memory)) != NULL;
	else if (rule->prefix)
		rc = (rest = map_behind_prefix(r->path, rule->prefix)) != NULL;
	if (no_memory)
		return 1;
	*status = rc < 0 ? no_answer(r, rule) : 0;
	if (rc <= 0 || !rule->target)
		return rc != 0;
	*status = 503;
	to = arena_zalloc(r->arena, sizeof *to);
	target = proxy_interpolate(r, rule->target, rule->interpolates);
	if (!target)
		return 1;
	url = rule->regex ? regex_expand(r->arena, target, &m) : arena_join(r->arena, target, rest);
	/* A URL that takes nothing out of the path gets all of it, as in Apache. */
	if (url && rule->regex && strcmp(url, target) == 0 && !strchr(target, '?'))
		url = arena_join(r->arena, target, r->path);
	if (!to || !url)
		return 1;
	*to = (struct proxy_to){ .worker = rule->worker, .pos = &rule->pos, .query = rule->noquery ? NULL : r->query };
	if (rule->regex && strchr(target, '?') && !own_query(r, to, url))
		return 1;
	if (rule->nocanon && rule->prefix && (raw = raw_rest(r, rule)) && !(raw = arena_join(r->arena, path_of(target), raw)))
		return 1;
	*status = lead_to_url(r, to, url, raw);
	return 1;
}

unsigned proxy_map(struct request *r)
{
	const struct proxy_host *h;
	const struct proxy_section *s;
	unsigned status;

	if (!proxy_wanted(r->site))
		return 0;
	h = host_config(r->host, &proxy_module);
	s = request_config(r, &proxy_module);
	if ((!h->rules && !s->rule) || request_env(r, "no-proxy").p)
		return 0;
	if (s->rule && rule_apply(r, s->rule, &status))
		return status;
	for (const struct proxy_rule *rule = h->rules; rule; rule = rule->next)
		if (rule_apply(r, rule, &status))
			return status;
	return 0;
}

unsigned proxy_url(struct request *r, const char *url, const char *query, bool raw, const struct conf_pos *pos)
{
	struct proxy_to *to = arena_zalloc(r->arena, sizeof *to);
	const char *plain = strncasecmp(url, "unix:", 5) == 0 && strchr(url, '|') ? strchr(url, '|') + 1 : url;

	if (!to)
		return 503;
	*to = (struct proxy_to){ .query = query, .pos = pos };
	return lead_to_url(r, to, url, raw ? path_of(plain) : NULL);
}

/* What the members of a balancer speak, or who is named by a URL. */
static bool speaks_http(const struct request *r, const char *url)
{
	const struct proxy_balancer *b;

	if (proxy_is_balancer(url)) {
		b = proxy_balancer_find(host_config(r->host, &proxy_module), url + 11, strcspn(url + 11, "/?"));
		if (!b || !b->members)
			return true;
		url = b->members->worker->scheme;
	}
	return strncasecmp(url, "http", 4) == 0 || strncasecmp(url, "ws", 2) == 0;
}

/* As Apache, which puts the file's name behind the URL: programs behind FastCGI want it. Others get the path that was asked for. */
unsigned proxy_by_handler(struct request *r, const char *name)
{
	const char *url = name + strlen("proxy:"), *behind, *bar = strchr(url, '|'), *plain = bar ? bar + 1 : url;
	bool http = speaks_http(r, plain);
	size_t n = strlen(url);

	behind = http || !r->filename ? r->path : r->path_info ? arena_join(r->arena, r->filename, r->path_info) : r->filename;
	if (!behind)
		return 503;
	while (n && url[n - 1] == '/' && *behind == '/')
		n--;
	url = arena_printf(r->arena, "%.*s%s", (int)n, url, behind);
	return url ? proxy_url(r, url, r->query, false, r->mapped_at) : 503;
}

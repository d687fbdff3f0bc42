/*
 * info.c - the handler "server-info": the configuration as it was read, by module; and with ?url= what a request for that address meets
 * (tell.h). Runs in the children, which hold the configuration's text as the master read it.
 *
 * What looks like a password or a key in a directive is left out. Per-directory files cannot name the handler: their author is a tenant.
 */
#include "handler/info.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/version.h"
#include "handler/assets.h"
#include "handler/page.h"
#include "handler/tell.h"
#include "log/log.h"
#include "request/core.h"
#include "request/mime.h"
#include "request/response.h"

struct remark { const char *module, *html; const struct remark *next; };
struct info_host { const struct remark *remarks; };

/* ------------------------------------------------------------------------------------------------ the configuration's text */

static void put_place(struct page *p, const struct conf_pos *pos)
{
	page_puts(p, " <span class=\"soft\">");
	page_htmls(p, pos->file ? pos->file : "");
	page_printf(p, ":%u</span>\n", pos->line);
}

static void put_node(struct page *p, struct request *r, const struct conf_node *n, unsigned depth)
{
	const char *args = tell_args(r->arena, n);

	page_printf(p, "%*s", (int)(depth * 4), "");
	page_htmls(p, n->name);
	page_puts(p, args && *args ? " " : "");
	page_htmls(p, args ? args : "");
	page_puts(p, n->section ? "&gt;" : "");
	put_place(p, &n->pos);
}

/* Whose each directive is, as far as it was asked: finding it in all tables for each of many lines would hold the child up. */
#define KNOWN 4096
struct known { const char *name; const struct conf_module *module; };

static const struct conf_module *module_of(struct known *known, const struct request *r, const char *name)
{
	uint32_t hash = 5381;
	struct known *k;

	for (const char *c = name; *c; c++)
		hash = hash * 33 + (uint32_t)ascii_lower((unsigned char)*c);
	k = &known[hash % KNOWN];
	if (!k->name || strcasecmp(k->name, name) != 0) {
		k->name = name;
		k->module = NULL;
		conf_find(r->site->modules, name, &k->module);
	}
	return k->module;
}

static bool mentions(struct known *k, const struct request *r, const struct conf_node *n, const struct conf_module *m);
static bool any_mentions(struct known *k, const struct request *r, const struct conf_node *n, const struct conf_module *m)
{
	for (; n; n = n->next)
		if (mentions(k, r, n, m))
			return true;
	return false;
}

/* Whether a line, or one within it, is of that module; NULL = of any. */
static bool mentions(struct known *k, const struct request *r, const struct conf_node *n, const struct conf_module *m)
{
	return !m || module_of(k, r, n->name) == m || any_mentions(k, r, n->child, m);
}

/* The lines of a module, within the sections they stand in; NULL = all of them. */
static void put_nodes(struct page *p, struct request *r, struct known *k, const struct conf_node *n, const struct conf_module *m, unsigned depth)
{
	for (; n; n = n->next) {
		if (!mentions(k, r, n, m))
			continue;
		put_node(p, r, n, depth);
		if (!n->section)
			continue;
		put_nodes(p, r, k, n->child, m, depth + 1);
		page_printf(p, "%*s&lt;/", (int)(depth * 4), "");
		page_htmls(p, n->name + 1);
		page_puts(p, "&gt;\n");
	}
}

static const struct conf_node *lines_of(const struct request *r)
{
	return r->site->tree ? r->site->tree->first : NULL;
}

/* ------------------------------------------------------------------------------------------------ the page's parts */

static void put_row(struct page *p, const char *name, const char *value)
{
	page_printf(p, "<dt>%s</dt><dd>", name);
	page_htmls(p, value);
	page_puts(p, "</dd>\n");
}

static void put_server(struct page *p, struct request *r)
{
	char number[32];

	page_puts(p, "<section>\n<h2 id=\"server\">Server</h2>\n<dl>\n");
	put_row(p, "Version", "Bulkhead/" BULKHEAD_VERSION ", reads the configuration of Apache " BULKHEAD_APACHE);
	put_row(p, "Module magic number", BULKHEAD_MMN);
	put_row(p, "Name and port", arena_printf(r->arena, "%s:%u", response_host(r), response_port(r)));
	put_row(p, "Server root", r->site->env && r->site->env->root ? r->site->env->root : "");
	put_row(p, "Model", "processes, each with many connections");
	snprintf(number, sizeof(number), "%u", r->site->nhosts);
	put_row(p, "Hosts", number);
	snprintf(number, sizeof(number), "%zu bits", sizeof(void *) * 8);
	put_row(p, "Architecture", number);
	page_puts(p, "</dl>\n</section>\n");
}

static void put_list(struct page *p, const struct request *r)
{
	page_puts(p, "<section>\n<h2 id=\"list\">Modules</h2>\n<ul class=\"names\">\n");
	for (struct conf_module *const *m = r->site->modules; *m; m++)
		if ((*m)->name[0] != '(')
			page_printf(p, "<li><a href=\"?%s\">%s</a></li>\n", (*m)->source, (*m)->source);
	page_puts(p, "</ul>\n</section>\n");
}

static void put_phases(struct page *p)
{
	page_puts(p, "<section>\n<h2 id=\"hooks\">Phases of a request</h2>\n<ol>\n");
	for (unsigned i = 0; i < PHASE_RESPONSE; i++)
		page_printf(p, "<li>%s</li>\n", phase_name((enum phase)i));
	page_puts(p, "</ol>\n</section>\n");
}

static void put_config(struct page *p, struct request *r)
{
	page_puts(p, "<section>\n<h2 id=\"config\">Configuration</h2>\n<pre>");
	put_nodes(p, r, NULL, lines_of(r), NULL, 0);
	page_puts(p, "</pre>\n</section>\n");
}

static void put_module(struct page *p, struct request *r, struct known *k, const struct conf_module *m)
{
	const struct info_host *h = host_config(r->host, &info_module);
	const char *before = "";

	page_printf(p, "<section>\n<h2 id=\"%s\">%s</h2>\n<dl>\n<dt>Name</dt><dd>%s</dd>\n<dt>Directives</dt><dd>", m->source, m->source, m->name);
	for (const struct conf_directive *d = m->directives; d && d->name; d++) {
		page_puts(p, before);
		page_htmls(p, d->name);
		page_puts(p, d->args == CONF_SECTION ? "&gt;" : "");
		before = ", ";
	}
	page_puts(p, *before ? "</dd>\n" : "none</dd>\n");
	for (const struct remark *i = h->remarks; i; i = i->next)
		if (strcasecmp(i->module, m->source) == 0 || strcasecmp(i->module, m->name) == 0)
			page_printf(p, "<dt>Remark</dt><dd>%s</dd>\n", i->html);
	page_puts(p, "</dl>\n");
	if (any_mentions(k, r, lines_of(r), m)) {
		page_puts(p, "<pre>");
		put_nodes(p, r, k, lines_of(r), m, 0);
		page_puts(p, "</pre>\n");
	}
	page_puts(p, "</section>\n");
}

static void put_form(struct page *p, struct request *r, const char *url)
{
	page_puts(p, "<form method=\"get\">\n<label>What does a request meet? <input name=\"url\" placeholder=\"/path or https://host/path\" value=\"");
	page_htmls(p, url ? url : "");
	page_puts(p, "\"></label> <button>Explain</button>\n</form>\n<nav>");
	page_puts(p, "<a href=\"");
	page_htmls(p, r->uri.path.n ? arena_strndup(r->arena, r->uri.path.p, r->uri.path.n) : "/");
	page_puts(p, "\">All</a> <a href=\"?server\">Server</a> <a href=\"?list\">Modules</a> <a href=\"?config\">Configuration</a> <a href=\"?hooks\">Phases</a></nav>\n");
}

/* ------------------------------------------------------------------------------------------------ what a request meets */

/* What a form makes of a text, undone. NULL: bad, or it holds what no address does. */
static char *decoded(struct arena *a, struct text t)
{
	char *out = arena_alloc(a, t.n + 1), *to = out;

	for (size_t i = 0; out && i < t.n; i++) {
		uint64_t c = (unsigned char)t.p[i];

		if (c == '%') {
			if (t.n - i < 3 || text_hex64((struct text){ t.p + i + 1, 2 }, 255, &c) != 0)
				return NULL;
			i += 2;
		}
		if (c <= ' ' || c == 127)
			return NULL;
		*to++ = (char)c;
	}
	if (out)
		*to = '\0';
	return out;
}

struct telling { struct page *page; bool plain; };

static void put_told(void *ctx, unsigned depth, const char *title, const char *text)
{
	struct telling *t = ctx;

	if (depth > 8)
		depth = 8;
	if (t->plain) {
		page_printf(t->page, "%*s%-*s ", (int)(depth * 4), "", 12, title);
		page_puts(t->page, text);
		page_puts(t->page, "\n");
		return;
	}
	page_printf(t->page, "<tr class=\"d%u%s\"><th scope=\"row\">", depth, !*title ? " line" : *title == ' ' ? " log" : "");
	page_htmls(t->page, title);
	page_puts(t->page, "</th><td>");
	page_htmls(t->page, text + (*title ? 0 : strspn(text, " ")));
	page_puts(t->page, "</td></tr>\n");
}

/* NULL, or why the address cannot be asked for. The connection is thought to be the one that brought this request. */
static const char *tell_url(struct request *r, struct telling *to, const char *url)
{
	struct client c = { .ops = &tell_client_ops, .local = r->client->local, .secure = r->client->secure, .id = 1, .requests = 1 };
	struct tell *t = arena_zalloc(r->arena, sizeof(*t));
	struct tell_question q = { .site = r->site, .client = &c, .method = "GET" };
	struct uri u;

	if (!t)
		return "there is no memory for it";
	if (uri_parse(text_of(url), HTTP_GET, &u) != 0 || (u.form != URI_ABSOLUTE && u.form != URI_ORIGIN))
		return "write a path such as /a/b, or an address such as https://www.example.com/a/b";
	c.arrived = c.connected = r->client->peer;
	client_is(&c, &r->client->peer);
	c.about.peer = &c.peer;
	q.authority = r->hostname && *r->hostname ? r->hostname : "localhost";
	if (u.form == URI_ABSOLUTE) {
		c.secure = text_is_nocase(u.scheme, "https");
		q.authority = arena_strndup(r->arena, u.host.p, u.host.n);
	}
	if (q.authority && strchr(q.authority, ':') && *q.authority != '[')
		q.authority = arena_printf(r->arena, "[%s]", q.authority);
	if (!q.authority)
		return "there is no memory for it";
	if (c.secure) {
		c.sni = u.form == URI_ABSOLUTE ? u.host : text_of(r->hostname);
		c.tls_host = host_by_name(r->site, &c.local, c.sni);
	}
	q.path = u.path;
	q.query = u.query;
	t->line = put_told;
	t->ctx = to;
	t->tree = r->site->tree;
	return tell_request(t, &q);
}

static bool has_word(const struct request *r, const char *word)
{
	return page_asked(r, word).p != NULL;
}

static void explain(struct page *p, struct request *r, struct text asked)
{
	struct telling to = { .page = p, .plain = has_word(r, "text") };
	char *url = decoded(r->arena, asked);
	const char *why;

	if (!to.plain) {
		assets_begin(p, r, "What a request meets", false);
		page_puts(p, "<header><h1>What a request meets</h1></header>\n<main>\n");
		put_form(p, r, url);
		page_puts(p, "<div class=\"wide\"><table class=\"told\">\n");
	}
	why = url ? tell_url(r, &to, url) : "it holds a bad %-escape, a blank or a control character";
	if (why)
		put_told(&to, 0, "no request", why);
	if (!to.plain) {
		page_puts(p, "</table></div>\n</main>\n");
		assets_end(p, r);
	}
	page_send(p, to.plain ? "text/plain; charset=utf-8" : "text/html; charset=utf-8");
}

/* ------------------------------------------------------------------------------------------------ the request */

static const struct conf_module *module_named(const struct request *r, const char *name)
{
	for (struct conf_module *const *m = r->site->modules; *m; m++)
		if ((*m)->name[0] != '(' && (strcasecmp((*m)->source, name) == 0 || strcasecmp((*m)->name, name) == 0))
			return *m;
	return NULL;
}

static void put_all(struct page *p, struct request *r, struct known *k)
{
	put_server(p, r);
	put_list(p, r);
	put_phases(p);
	for (struct conf_module *const *m = r->site->modules; *m; m++)
		if ((*m)->name[0] != '(')
			put_module(p, r, k, *m);
}

static void put_asked(struct page *p, struct request *r, struct known *k)
{
	const struct conf_module *m = r->query ? module_named(r, r->query) : NULL;

	if (has_word(r, "config"))
		put_config(p, r);
	else if (has_word(r, "server"))
		put_server(p, r);
	else if (has_word(r, "list"))
		put_list(p, r);
	else if (has_word(r, "hooks"))
		put_phases(p);
	else if (m)
		put_module(p, r, k, m);
	else if (r->query && *r->query)
		page_puts(p, "<p>There is no module of that name.</p>\n");
	else
		put_all(p, r, k);
}

static bool may_show(struct request *r)
{
	if (mime_handler_trusted(r))
		return true;
	log_errorx(&r->client->about, LOG_CORE, "BH0840", "%s denied: server-info is shown only where SetHandler or AddHandler names it in the server's own "
		   "configuration, not in a per-directory file or by a rule of rewriting", r->path);
	response_error(r, 403);
	return false;
}

static void start(struct request *r)
{
	struct text url = page_asked(r, "url");
	struct known *k;
	struct page *p;

	if (r->method_id != HTTP_GET && r->method_id != HTTP_HEAD) {
		fields_set(&r->always, "Allow", "GET,HEAD,OPTIONS");
		response_error(r, 405);
		return;
	}
	if (!may_show(r))
		return;
	k = arena_array(r->arena, KNOWN, sizeof(*k));
	if (!k || !(p = page_new(r))) {
		response_error(r, 503);
		return;
	}
	fields_add(&r->out, TEXT("Cache-Control"), TEXT("no-store"));
	if (url.n) {
		explain(p, r, url);
		return;
	}
	assets_begin(p, r, "Server information", false);
	page_puts(p, "<header><h1>Server information</h1></header>\n<main>\n");
	put_form(p, r, NULL);
	put_asked(p, r, k);
	page_puts(p, "</main>\n");
	assets_end(p, r);
	page_send(p, "text/html; charset=utf-8");
}

const struct handler info_handler = { .name = "server-info", .start = start, .writable = page_writable };

/* ------------------------------------------------------------------------------------------------ directives */

static int set_remark(struct conf_call *call, void *config, int argc, char **argv)
{
	struct info_host *h = config;
	struct remark *new = conf_alloc(call->env, sizeof(*new));

	(void)argc;
	*new = (struct remark){ conf_strdup(call->env, argv[0]), conf_strdup(call->env, argv[1]), h->remarks };
	h->remarks = new;
	return 0;
}

static void *create_host(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct info_host));
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct info_host *outer = base, *inner = over;
	struct info_host *m = create_host(env);

	*m = inner->remarks ? *inner : *outer;
	return m;
}

static const struct conf_directive directives[] = {
	{ "AddModuleInfo", "a remark about a module, in HTML, for the handler server-info", NULL, .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 2, .max = 2,
	  .scope = CONF_OF_HOST, .set = set_remark },
	{ .name = NULL },
};

struct conf_module info_module = {
	.name = "info_module",
	.source = "mod_info.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
};

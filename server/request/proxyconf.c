/*
 * proxyconf.c - the directives of mod_proxy and its kin: the table, the structures, what holds where nothing is said. Read by the master;
 * asked in the children.
 */
#include "request/proxyread.h"

#include <string.h>
#include <strings.h>

#include "expr/expr.h"
#include "request/chan.h"
#include "request/sections.h"

/* ------------------------------------------------------------------------------------------------ structures */

static void *create_host(struct conf_env *env)
{
	struct proxy_host *h = conf_alloc(env, sizeof *h);

	h->via = h->bad = h->inherit = h->inherit_balancers = CONF_UNSET;
	h->timeout = h->io_size = h->receive_size = h->max_forwards = -1;
	proxy_tls_clear(&h->tls);
	return h;
}

#define TAKE(member, unset) m->member = o->member != (unset) ? o->member : b->member

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct proxy_host *b = base, *o = over;
	struct proxy_host *m = create_host(env);

	TAKE(inherit, CONF_UNSET);
	TAKE(inherit_balancers, CONF_UNSET);
	m->rules = m->inherit != 0 ? CONF_CHAIN(env, b->rules, o->rules) : o->rules;
	m->balancers = m->inherit_balancers != 0 ? CONF_CHAIN(env, b->balancers, o->balancers) : o->balancers;
	m->workers = CONF_CHAIN(env, o->workers, b->workers);
	m->places = CONF_CHAIN(env, b->places, o->places);
	m->checks = o->checks ? o->checks : b->checks;
	TAKE(via, CONF_UNSET);
	TAKE(bad, CONF_UNSET);
	TAKE(timeout, -1);
	TAKE(io_size, -1);
	TAKE(receive_size, -1);
	TAKE(max_forwards, -1);
	proxy_tls_merge(&m->tls, &b->tls, &o->tls);
	m->all = b->all;
	m->nall = b->nall;
	m->cells = b->cells;
	m->needed = b->needed;
	return m;
}

static void *create_section(struct conf_env *env)
{
	struct proxy_section *s = conf_alloc(env, sizeof *s);

	s->preserve_host = s->add_headers = s->override = s->expect = s->interpolate = CONF_UNSET;
	return s;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct proxy_section *b = base, *o = over;
	struct proxy_section *m = create_section(env);

	TAKE(rule, NULL);
	m->reversals = CONF_CHAIN(env, o->reversals, b->reversals);
	m->cookie_domains = CONF_CHAIN(env, o->cookie_domains, b->cookie_domains);
	m->cookie_paths = CONF_CHAIN(env, o->cookie_paths, b->cookie_paths);
	TAKE(preserve_host, CONF_UNSET);
	TAKE(add_headers, CONF_UNSET);
	TAKE(expect, CONF_UNSET);
	TAKE(interpolate, CONF_UNSET);
	TAKE(override, CONF_UNSET);
	m->override_codes = o->override != CONF_UNSET ? o->override_codes : b->override_codes;
	return m;
}

/* Health checks name their conditions, which may stand behind them. */
static int bind_checks(struct conf_env *env, struct proxy_host *h)
{
	for (const struct proxy_member *m = h->workers; m; m = m->next) {
		struct proxy_worker *w = m->worker;

		for (const struct proxy_hcexpr *c = h->checks; c && w->check.expr_name && !w->check.expr; c = c->next)
			if (strcmp(c->name, w->check.expr_name) == 0)
				w->check.expr = c->expr;
		if (w->check.expr_name && !w->check.expr) {
			conf_report(env, CONF_ERROR, &w->pos, "define it: ProxyHCExpr name {condition}", "hcexpr=%s: there is no condition of that name", w->check.expr_name);
			return -1;
		}
	}
	return 0;
}

static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	struct proxy_host *h = config;

	(void)host_name;
	for (struct proxy_member *m = h->workers; m; m = m->next)
		if (m->worker->receive_size < 0)
			m->worker->receive_size = h->receive_size;
	return bind_checks(env, h) < 0 ? -1 : proxy_tls_finish(env, h);
}

/* ------------------------------------------------------------------------------------------------ setters */

/* The URL of the <Proxy> section that a line stands in; NULL: it stands in none. */
static const char *section_url(struct conf_call *call)
{
	const struct section *sec = call->context & CONF_SECTIONS ? reading_of(call)->section : NULL;

	return sec && sec->kind == SECTION_PROXY && !sec->regex ? sec->pattern : NULL;
}

static int set_member(struct conf_call *call, void *config, int argc, char **argv)
{
	struct proxy_host *h = config;
	const char *url = section_url(call);
	struct proxy_balancer *b;
	struct proxy_worker *w;
	int i = 0;

	if (!url)
		url = argv[i++];
	if (!proxy_is_balancer(url) || i == argc)
		return conf_fail(call, "write it in a <Proxy \"balancer://name\"> section: BalancerMember http://host:port", "it belongs to no balancer");
	b = proxy_balancer_make(call, h, url);
	w = b ? proxy_worker_make(call, h, argv[i]) : NULL;
	if (!w)
		return -1;
	w->member = true;
	proxy_append(call->env, &b->members, w);
	b->nmembers++;
	while (++i < argc)
		if (proxy_set_key(call, w, NULL, argv[i]) < 0)
			return -1;
	return 0;
}

static int set_set(struct conf_call *call, void *config, int argc, char **argv)
{
	struct proxy_host *h = config;
	const char *url = section_url(call);
	struct proxy_balancer *b = NULL;
	struct proxy_worker *w = NULL;
	int i = 0;

	if (!url)
		url = argv[i++];
	if (proxy_is_balancer(url))
		b = proxy_balancer_make(call, h, url);
	else
		w = proxy_worker_make(call, h, url);
	if (!b && !w)
		return -1;
	for (; i < argc; i++)
		if (proxy_set_key(call, w, b, argv[i]) < 0)
			return -1;
	return 0;
}

static int set_override(struct conf_call *call, void *config, int argc, char **argv)
{
	struct proxy_section *s = config;
	int *codes = conf_alloc(call->env, ((size_t)argc + 1) * sizeof *codes);
	uint64_t n;

	if (strcasecmp(argv[0], "on") != 0 && strcasecmp(argv[0], "off") != 0)
		return conf_fail(call, "write On, Off, or On with statuses behind it", "\"%s\" is neither On nor Off", argv[0]);
	s->override = strcasecmp(argv[0], "on") == 0;
	s->override_codes = NULL;
	for (int i = 1; i < argc; i++) {
		if (text_u64(text_of(argv[i]), 599, &n) != 0 || n < 400)
			return conf_fail(call, NULL, "\"%s\" is no status from 400 to 599", argv[i]);
		codes[i - 1] = (int)n;
		s->override_codes = codes;
	}
	return 0;
}

static bool is_check_variable(const char *name)
{
	return strcmp(name, "REQUEST_STATUS") == 0;
}

static bool is_check_function(const char *name)
{
	return strcmp(name, "hc") == 0 || strcmp(name, "resp") == 0;
}

static const struct expr_names check_names = { .variable = is_check_variable, .function = is_check_function, .no_files = true, .no_contents = true };

static int set_check(struct conf_call *call, void *config, int argc, char **argv)
{
	struct proxy_host *h = config;
	struct proxy_hcexpr *c = conf_alloc(call->env, sizeof *c);
	const char *rest = argv[0], *name = conf_word(call->env, &rest);
	size_t n = strlen(rest);
	struct err e = { .text = "" };

	(void)argc;
	if (!name || n < 2 || rest[0] != '{' || rest[n - 1] != '}')
		return conf_fail(call, "write: ProxyHCExpr ok {%{REQUEST_STATUS} =~ /^[23]/}", "a name and a condition in braces are needed");
	c->name = name;
	c->expr = expr_compile(reading_of(call)->arena, conf_printf(call->env, "%.*s", (int)n - 2, rest + 1), EXPR_CONDITION, &check_names, &e);
	c->next = h->checks;
	h->checks = c;
	return c->expr ? 0 : conf_fail(call, *e.remedy ? e.remedy : NULL, "%s", e.text);
}

static int set_requests(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config, (void)argc;
	if (strcmp(argv[0], "off") == 0)
		return 0;
	return conf_fail(call, "take the line out: ProxyPass needs none; whoever wants a forward proxy takes a program made for it, such as Squid",
			 "a forward proxy, which asks any server for any client, is not offered");
}

static const char forward[] = "take the line out: it belongs to forward proxies, which are not offered; what ProxyPass names alone is asked";
static const char manager[] = "the states of workers are kept until the server is restarted";
static const char no_page[] = "the status page shows servers behind in any case";
static const char one_way[] = "WebSocket is always spoken as On says";
static const char no_bind[] = "take the line out, and let the routing table choose the address (ip route replace NETWORK src ADDRESS): children may not bind any";
static const char no_sendfile[] = "let the application send the file itself, or a Location with a path of this server";

static const struct conf_choice vias[] = { { "off", PROXY_VIA_OFF }, { "on", PROXY_VIA_ON }, { "full", PROXY_VIA_FULL }, { "block", PROXY_VIA_BLOCK }, { NULL, 0 } };
static const struct conf_choice bads[] = {
	{ "iserror", PROXY_BAD_ERROR }, { "ignore", PROXY_BAD_IGNORE }, { "startbody", PROXY_BAD_START_BODY }, { NULL, 0 },
};

#define PASS(least) .contexts = CONF_RSRC | CONF_LOCATION, .args = CONF_TAKE, .min = (least), .max = 0, .set = proxy_set_pass
#define HOST(member) .contexts = CONF_RSRC, .offset = offsetof(struct proxy_host, member)
#define PLACE .contexts = CONF_ANY, .scope = CONF_OF_SECTION
#define FLAG(member) PLACE, .args = CONF_FLAG, .set = conf_set_flag, .offset = offsetof(struct proxy_section, member)
#define ONE .args = CONF_TAKE, .min = 1, .max = 1
#define REFUSED .contexts = CONF_RSRC, .args = CONF_RAW, .set = conf_set_refused, .extra = forward
#define TLS .contexts = CONF_RSRC | CONF_DIRECTORY, .args = CONF_TAKE, .min = 1, .set = proxy_set_tls

static const struct conf_directive directives[] = {
	{ "ProxyPass", "hands a path on to another server", NULL, PASS(1) },
	{ "ProxyPassMatch", "hands on what matches a regular expression", NULL, PASS(1) },
	{ "ProxyPassReverse", "says the addresses of a server behind as those of this one", NULL, PLACE, .args = CONF_TAKE, .min = 1, .max = 3, .set = proxy_set_reverse },
	{ "ProxyPassReverseCookieDomain", "the same of the domain in cookies", NULL, PLACE, .args = CONF_TAKE, .min = 2, .max = 3, .set = proxy_set_cookie },
	{ "ProxyPassReverseCookiePath", "the same of the path in cookies", NULL, PLACE, .args = CONF_TAKE, .min = 2, .max = 3, .set = proxy_set_cookie },
	{ "ProxyPreserveHost", "whether the server behind gets the Host that the client sent", "Off", FLAG(preserve_host) },
	{ "ProxyAddHeaders", "whether X-Forwarded-For, -Host and -Server are added", "On", FLAG(add_headers) },
	{ "Proxy100Continue", "whether Expect: 100-continue is handed on", "On", FLAG(expect) },
	{ "ProxyErrorOverride", "whether errors of servers behind get the pages of this one", "Off", PLACE, .args = CONF_TAKE, .min = 1, .max = 0, .set = set_override },
	{ "<Proxy", "what holds for requests that go to a URL", NULL, .contexts = CONF_RSRC, .args = CONF_SECTION, .min = 1, .set = sections_set_proxy },
	{ "<ProxyMatch", "the same for what matches a regular expression", NULL, .contexts = CONF_RSRC, .args = CONF_SECTION, .min = 1, .set = sections_set_proxy },
	{ "ProxySet", "keys of a worker or balancer", NULL, .contexts = CONF_RSRC | CONF_DIRECTORY, .args = CONF_TAKE, .min = 1, .max = 0, .set = set_set },
	{ "BalancerMember", "adds a server to a balancer", NULL, .contexts = CONF_RSRC | CONF_DIRECTORY, .args = CONF_TAKE, .min = 1, .max = 0, .set = set_member },
	{ "ProxyVia", "whether Via names this server", "Off", HOST(via), ONE, .set = conf_set_choice, .extra = vias },
	{ "ProxyBadHeader", "what comes of an answer with a line that is no field", "IsError", HOST(bad), ONE, .set = conf_set_choice, .extra = bads },
	{ "ProxyTimeout", "how long a server behind may be silent", "Timeout", HOST(timeout), ONE, .set = conf_set_seconds, .low = 1, .high = 2147483 },
	{ "ProxyIOBufferSize", "bytes that are read of an answer at once", "8192", HOST(io_size), ONE, .set = conf_set_number, .low = 512, .high = 65536 },
	{ "ProxyReceiveBufferSize", "the kernel's buffer for what comes from servers behind", "0", HOST(receive_size), ONE, .set = conf_set_number, .high = 1 << 30 },
	{ "ProxyMaxForwards", "the Max-Forwards of requests without one", "-1", HOST(max_forwards), ONE, .set = conf_set_number, .low = -1, .high = 1000 },
	{ "ProxyHCExpr", "a named condition of health checks", NULL, .contexts = CONF_RSRC, .args = CONF_RAW, .min = 1, .set = set_check },
	{ "ProxyHCTemplate", "keys of health checks under a name", NULL, .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 2, .max = 0, .set = proxy_set_template },
	{ "ProxyHCTPsize", "accepted: health checks need no threads", NULL, .contexts = CONF_SERVER, ONE, .set = conf_set_notice, .extra = "health checks need no threads" },
	{ "ProxyStatus", "accepted: the status page shows servers behind in any case", "Off", .contexts = CONF_RSRC, ONE, .set = conf_set_notice, .extra = no_page },
	{ "BalancerPersist", "accepted: states end with a restart", "Off", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_notice, .extra = manager },
	{ "BalancerGrowth", "accepted: members come from the configuration alone", "5", .contexts = CONF_RSRC, ONE, .set = conf_set_notice, .extra = manager },
	{ "BalancerInherit", "whether a host knows the balancers of the main server", "On", HOST(inherit_balancers), .args = CONF_FLAG, .set = conf_set_flag },
	{ "ProxyPassInherit", "whether a host has the ProxyPass lines of the main server", "On", HOST(inherit), .args = CONF_FLAG, .set = conf_set_flag },
	{ "ProxyPassInterpolateEnv", "whether ${NAME} in lines with the word interpolate is replaced", "Off", FLAG(interpolate) },
	{ "ProxyWebsocketFallbackToProxyHttp", "accepted: there is one way for WebSocket", "On", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = conf_set_notice,
	  .extra = one_way },
	{ "ProxySourceAddress", "refused: children may bind no address", NULL, .contexts = CONF_RSRC, .args = CONF_RAW, .set = conf_set_refused, .extra = no_bind },
	{ "ProxySCGISendfile", "refused: programs behind name no files", NULL, .contexts = CONF_ANY, .args = CONF_RAW, .set = conf_set_refused, .extra = no_sendfile },
	{ "ProxyRequests", "refused when On: there is no forward proxy", "Off", .contexts = CONF_RSRC, .args = CONF_FLAG, .set = set_requests },
	{ "ProxyRemote", "refused: of forward proxies", NULL, REFUSED }, { "ProxyRemoteMatch", "refused: of forward proxies", NULL, REFUSED },
	{ "ProxyBlock", "refused: of forward proxies", NULL, REFUSED }, { "ProxyDomain", "refused: of forward proxies", NULL, REFUSED },
	{ "NoProxy", "refused: of forward proxies", NULL, REFUSED }, { "AllowCONNECT", "refused: of forward proxies", NULL, REFUSED },
	{ "SSLProxyEngine", "whether servers behind are asked over TLS", "off", TLS, .max = 1 },
	{ "SSLProxyProtocol", "the versions of TLS for servers behind", "all", TLS, .max = 0 },
	{ "SSLProxyCipherSuite", "the cipher suites for servers behind", NULL, TLS, .max = 2 },
	{ "SSLProxyVerify", "whether an authority must have signed the certificates of servers behind", "none", TLS, .max = 1 },
	{ "SSLProxyVerifyDepth", "how many authorities may stand between", "1", TLS, .max = 1 },
	{ "SSLProxyCACertificateFile", "the authorities of servers behind", NULL, TLS, .max = 1 },
	{ "SSLProxyCACertificatePath", "a folder of them", NULL, TLS, .max = 1 },
	{ "SSLProxyCARevocationFile", "lists of what they have revoked", NULL, TLS, .max = 1 },
	{ "SSLProxyCARevocationPath", "a folder of these", NULL, TLS, .max = 1 },
	{ "SSLProxyCARevocationCheck", "whether such lists are looked at", "none", TLS, .max = 2 },
	{ "SSLProxyCheckPeerName", "whether the certificate must be for the host of the URL", "on", TLS, .max = 1 },
	{ "SSLProxyCheckPeerCN", "the same, where SSLProxyCheckPeerName is off", "on", TLS, .max = 1 },
	{ "SSLProxyCheckPeerExpire", "whether the certificate must not be too old", "on", TLS, .max = 1 },
	{ "SSLProxyMachineCertificateFile", "the certificate and key that servers behind are shown", NULL, TLS, .max = 1 },
	{ "SSLProxyMachineCertificatePath", "a folder of these", NULL, TLS, .max = 1 },
	{ "SSLProxyMachineCertificateChainFile", "authorities between it and the root", NULL, TLS, .max = 1 },
	{ .name = NULL },
};

struct conf_module proxy_module = {
	.name = "proxy_module",
	.source = "mod_proxy.c",
	.aka = "proxy_http_module mod_proxy_http.c proxy_balancer_module mod_proxy_balancer.c proxy_wstunnel_module mod_proxy_wstunnel.c "
	       "proxy_hcheck_module mod_proxy_hcheck.c lbmethod_byrequests_module mod_lbmethod_byrequests.c lbmethod_bytraffic_module "
	       "mod_lbmethod_bytraffic.c lbmethod_bybusyness_module mod_lbmethod_bybusyness.c slotmem_shm_module mod_slotmem_shm.c "
	       "watchdog_module mod_watchdog.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
	.create_section = create_section,
	.merge_section = merge_section,
	.finish_host = finish_host,
};

/* ------------------------------------------------------------------------------------------------ what holds */

const char *proxy_interpolate(struct request *r, const char *text, bool interpolates)
{
	const struct proxy_section *s = request_config(r, &proxy_module);
	const char *out = "", *open, *close;

	if (!interpolates || s->interpolate != 1)
		return text;
	while (out && (open = strstr(text, "${")) && (close = strchr(open, '}'))) {
		const char *name = arena_strndup(r->arena, open + 2, (size_t)(close - open - 2));
		struct text value = name ? request_env(r, name) : (struct text){ 0 };

		out = name ? arena_printf(r->arena, "%s%.*s%.*s", out, (int)(open - text), text, (int)value.n, value.n ? value.p : "") : NULL;
		text = close + 1;
	}
	return out && *out ? arena_join(r->arena, out, text) : out ? text : NULL;
}

static const struct proxy_section *section_of(const struct request *r)
{
	return request_config(r, &proxy_module);
}

static const struct proxy_host *host_of(const struct request *r)
{
	return host_config(r->host, &proxy_module);
}

bool proxy_preserves_host(const struct request *r)
{
	return section_of(r)->preserve_host == 1;
}

bool proxy_adds_headers(const struct request *r)
{
	return section_of(r)->add_headers != 0;
}

bool proxy_passes_expect(const struct request *r)
{
	return section_of(r)->expect != 0;
}

bool proxy_overrides(const struct request *r, unsigned status)
{
	const struct proxy_section *s = section_of(r);

	if (s->override != 1 || status < 400)
		return false;
	for (const int *c = s->override_codes; c && *c; c++)
		if ((unsigned)*c == status)
			return true;
	return !s->override_codes;
}

enum proxy_via proxy_via(const struct request *r)
{
	return host_of(r)->via < 0 ? PROXY_VIA_OFF : (enum proxy_via)host_of(r)->via;
}

enum proxy_bad proxy_bad_header(const struct request *r)
{
	return host_of(r)->bad < 0 ? PROXY_BAD_ERROR : (enum proxy_bad)host_of(r)->bad;
}

int64_t proxy_timeout(const struct request *r, const struct proxy_worker *w)
{
	if (w && w->timeout >= 0)
		return w->timeout;
	return host_of(r)->timeout > 0 ? host_of(r)->timeout : CHAN_TIMEOUT;
}

int64_t proxy_max_forwards(const struct request *r)
{
	return host_of(r)->max_forwards;
}

const struct proxy_tls *proxy_tls(const struct host *h, const struct proxy_worker *w)
{
	if (w->tls && (w->tls_own || !h))
		return w->tls;
	return &((const struct proxy_host *)host_config(h, &proxy_module))->tls;
}

const struct proxy_balancer *proxy_balancers(const struct host *h)
{
	const struct proxy_host *p = host_config(h, &proxy_module);

	return p ? p->balancers : NULL;
}

const struct proxy_worker *proxy_worker_at(const struct site *s, unsigned id)
{
	const struct proxy_host *m = proxy_main(s);

	return m && id < m->nall ? m->all[id] : NULL;
}

/*
 * proxyworker.c - the servers behind as the configuration names them: URLs, their keys and values (retry=, status=, …), balancers and their
 * members. Runs in the master; URLs of rules are taken apart in the children.
 */
#include "request/proxyread.h"

#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "http/head.h"
#include "http/uri.h"
#include "request/sections.h"

/* ------------------------------------------------------------------------------------------------ URLs */

static const struct { const char *scheme; uint16_t port; bool secure; } schemes[] = {
	{ "http", 80, false }, { "https", 443, true }, { "ws", 80, false }, { "wss", 443, true }, { "fcgi", 8000, false }, { "scgi", 4000, false },
	{ "uwsgi", 3031, false }, { "ajp", 8009, false },
};

uint16_t proxy_default_port(struct text scheme)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (text_is_nocase(scheme, schemes[i].scheme))
			return schemes[i].port;
	return 0;
}

static bool is_secure(struct text scheme)
{
	return text_is_nocase(scheme, "https") || text_is_nocase(scheme, "wss");
}

bool proxy_parse_url(const char *url, struct proxy_url *u, const char **why)
{
	const char *colon, *end, *bar;
	struct text host = { 0 }, port = { 0 };
	uint64_t number;

	*u = (struct proxy_url){ 0 };
	*why = "it is no URL such as http://host:8080/path";
	if (strncasecmp(url, "unix:", 5) == 0) {
		bar = strchr(url, '|');
		*why = "behind the file of unix: a | and a URL must follow, such as unix:/run/app.sock|http://localhost/";
		if (!bar || bar == url + 5)
			return false;
		u->socket = url + 5;
		u->socket_n = (size_t)(bar - u->socket);
		url = bar + 1;
	}
	colon = strstr(url, ":");
	if (!colon || colon == url)
		return false;
	u->scheme = (struct text){ url, (size_t)(colon - url) };
	if (u->socket && colon[1] == '\0')      /* unix:FILE|http: */
		colon = "://localhost";
	if (strncmp(colon, "://", 3) != 0)
		return false;
	url = colon + 3;
	end = url + strcspn(url, "/?#");
	u->authority = (struct text){ url, (size_t)(end - url) };
	u->path = end;
	*why = "its host is no name and no address";
	if (memchr(url, '@', u->authority.n)) {
		*why = "it holds a user or a password, which are not sent on";
		return false;
	}
	if (!u->authority.n || uri_parse_host(u->authority, &host, &port) != 0 || !host.n)
		return false;
	u->host = host;
	u->port = proxy_default_port(u->scheme);
	if (port.n && text_u64(port, 65535, &number) == 0)
		u->port = (uint16_t)number;
	return true;
}

/* ------------------------------------------------------------------------------------------------ workers */

struct proxy_host *proxy_main(const struct site *s)
{
	return s->main->config[proxy_module.index];
}

static struct proxy_host *main_of(struct conf_call *call)
{
	void **at = &reading_of(call)->site->main->config[proxy_module.index];

	if (!*at)
		*at = proxy_module.create_host(call->env);
	return *at;
}

void proxy_needed(struct conf_call *call)
{
	if (!reading_of(call)->htaccess)
		main_of(call)->needed = true;
}

static void unmap(void *cells)
{
	munmap(cells, PROXY_WORKERS * sizeof(struct proxy_cell));
}

/* Room for all that may come: pages that nobody writes to cost nothing. */
static int make_cells(struct conf_call *call, struct proxy_host *m)
{
	void *p = mmap(NULL, PROXY_WORKERS * sizeof(struct proxy_cell), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || arena_cleanup(reading_of(call)->arena, unmap, p) != 0)
		return conf_fail(call, NULL, "no memory for what the children know of the servers behind");
	m->cells = p;
	m->all = conf_alloc(call->env, PROXY_WORKERS * sizeof *m->all);
	return 0;
}

static void set_defaults(struct proxy_worker *w)
{
	w->timeout = w->connect_timeout = w->ttl = w->address_ttl = w->ping = w->acquire = w->flush_wait = w->io_size = w->receive_size = -1;
	w->max = w->keepalive = w->flush = -1;
	w->retry = 60000;
	w->factor = 100;
	w->check.interval = 30000;
	w->check.passes = w->check.fails = 1;
}

static char *lower(struct conf_env *env, struct text t)
{
	char *s = conf_printf(env, "%.*s", (int)t.n, t.p);

	for (char *p = s; *p; p++)
		*p = (char)ascii_lower((unsigned char)*p);
	return s;
}

struct proxy_worker *proxy_worker_find(const struct proxy_host *h, const char *url)
{
	for (const struct proxy_member *m = h->workers; m; m = m->next)
		if (strcmp(m->worker->name, url) == 0)
			return m->worker;
	return NULL;
}

void proxy_append(struct conf_env *env, struct proxy_member **list, struct proxy_worker *w)
{
	struct proxy_member *m = conf_alloc(env, sizeof *m);

	while (*list)
		list = &(*list)->next;
	m->worker = w;
	*list = m;
}

static const char no_forward[] = "only http, https, ws, wss, fcgi, scgi and uwsgi are spoken with servers behind";

struct proxy_worker *proxy_worker_make(struct conf_call *call, struct proxy_host *h, const char *url)
{
	struct proxy_host *m = main_of(call);
	struct proxy_worker *w = proxy_worker_find(h, url);
	struct proxy_url u;
	const char *why;

	if (w)
		return w;
	if (!proxy_parse_url(url, &u, &why)) {
		conf_fail(call, NULL, "\"%s\" cannot be asked: %s", url, why);
		return NULL;
	}
	if (!proxy_default_port(u.scheme)) {
		conf_fail(call, no_forward, "\"%s\": the scheme %.*s is not spoken here", url, (int)u.scheme.n, u.scheme.p);
		return NULL;
	}
	if (text_is_nocase(u.scheme, "ajp"))    /* taken, so that the rest of a configuration can be brought along */
		conf_warn(call, "let the application server speak http and write its http:// address", "AJP is not spoken here: what leads to %s is answered with 500", url);
	if (!m->cells && make_cells(call, m) < 0)
		return NULL;
	if (m->nall == PROXY_WORKERS) {
		conf_fail(call, NULL, "more than %d servers behind are named", PROXY_WORKERS);
		return NULL;
	}
	w = conf_alloc(call->env, sizeof *w);
	set_defaults(w);
	w->name = conf_strdup(call->env, url);
	w->scheme = lower(call->env, u.scheme);
	w->host = lower(call->env, u.host);
	w->authority = conf_printf(call->env, "%.*s", (int)u.authority.n, u.authority.p);
	w->path = conf_printf(call->env, "%.*s", (int)strcspn(u.path, "?#"), u.path);
	w->socket = u.socket ? conf_path(call->env, conf_printf(call->env, "%.*s", (int)u.socket_n, u.socket)) : NULL;
	if (w->socket && strlen(w->socket) > 107) {
		conf_fail(call, "use a shorter path: the kernel takes 107 bytes", "the name of the socket is too long");
		return NULL;
	}
	w->port = u.port;
	w->secure = is_secure(u.scheme);
	if (!w->socket && addr_parse(&w->addr, w->host, w->port) < 0) {
		w->addr.len = 0;
		reading_of(call)->site->asks_names = true;
	}
	w->pos = call->node->pos;
	w->id = m->nall;
	w->cell = &m->cells[m->nall];
	m->all[m->nall++] = w;
	m->needed = true;
	proxy_append(call->env, &h->workers, w);
	return w;
}

/* ------------------------------------------------------------------------------------------------ balancers */

bool proxy_is_balancer(const char *url)
{
	return strncasecmp(url, "balancer://", 11) == 0;
}

struct proxy_balancer *proxy_balancer_find(const struct proxy_host *h, const char *name, size_t n)
{
	struct proxy_balancer *found = NULL;

	for (struct proxy_balancer *b = h->balancers; b; b = b->next)
		if (text_is_nocase((struct text){ name, n }, b->name) && (!found || !found->members))
			found = b;
	return found;
}

static size_t balancer_name(const char *url)
{
	return strcspn(url + 11, "/?");
}

struct proxy_balancer *proxy_balancer_make(struct conf_call *call, struct proxy_host *h, const char *url)
{
	size_t n = balancer_name(url);
	struct proxy_balancer *b, **tail = &h->balancers;

	if (!n) {
		conf_fail(call, "write balancer://name", "\"%s\" names no balancer", url);
		return NULL;
	}
	b = proxy_balancer_find(h, url + 11, n);
	if (b)
		return b;
	while (*tail)
		tail = &(*tail)->next;
	*tail = b = conf_alloc(call->env, sizeof *b);
	b->name = lower(call->env, (struct text){ url + 11, n });
	b->method = b->nofailover = b->forcerecovery = b->scolon = b->timeout_fails = -1;
	b->attempts = b->timeout = -1;
	return b;
}

/* ------------------------------------------------------------------------------------------------ keys */

enum key_kind { KEY_SECONDS, KEY_MS, KEY_NUMBER, KEY_FACTOR, KEY_FLAG, KEY_TEXT, KEY_STATUS, KEY_METHOD, KEY_CODES, KEY_STICKY, KEY_REUSE, KEY_FLUSH,
		KEY_SEPARATOR, KEY_EXPR, KEY_CHECK, KEY_TEMPLATE, KEY_UPGRADE, KEY_NOTHING };
struct key { const char *name; enum key_kind kind; size_t offset; int64_t low, high; };
#define WORKER(member) offsetof(struct proxy_worker, member)
#define BALANCER(member) offsetof(struct proxy_balancer, member)

static const struct key worker_keys[] = {
	{ "timeout", KEY_SECONDS, WORKER(timeout), 1, 2147483 }, { "connectiontimeout", KEY_SECONDS, WORKER(connect_timeout), 0, 2147483 },
	{ "retry", KEY_SECONDS, WORKER(retry), 0, 2147483 }, { "ttl", KEY_SECONDS, WORKER(ttl), 0, 2147483 },
	{ "ping", KEY_SECONDS, WORKER(ping), 0, 2147483 }, { "acquire", KEY_MS, WORKER(acquire), 1, 2147483 },
	{ "flushwait", KEY_MS, WORKER(flush_wait), 0, 100000 }, { "max", KEY_NUMBER, WORKER(max), 1, 1000000 },
	{ "min", KEY_NOTHING, 0, 0, 0 }, { "smax", KEY_NOTHING, 0, 0, 0 }, { "addressttl", KEY_SECONDS, WORKER(address_ttl), 0, 2147483 },
	{ "keepalive", KEY_FLAG, WORKER(keepalive), 0, 0 }, { "disablereuse", KEY_REUSE, 0, 0, 0 }, { "enablereuse", KEY_REUSE, 1, 0, 0 },
	{ "flushpackets", KEY_FLUSH, 0, 0, 0 }, { "flusher", KEY_NOTHING, 0, 0, 0 }, { "iobuffersize", KEY_NUMBER, WORKER(io_size), 512, 65536 },
	{ "receivebuffersize", KEY_NUMBER, WORKER(receive_size), 0, 1 << 30 }, { "responsefieldsize", KEY_NOTHING, 0, 0, 0 },
	{ "loadfactor", KEY_FACTOR, WORKER(factor), 0, 0 }, { "lbset", KEY_NUMBER, WORKER(set), 0, 99 }, { "route", KEY_TEXT, WORKER(route), 0, 63 },
	{ "redirect", KEY_TEXT, WORKER(redirect), 0, 63 }, { "status", KEY_STATUS, 0, 0, 0 }, { "secret", KEY_TEXT, WORKER(secret), 0, 63 },
	{ "upgrade", KEY_UPGRADE, WORKER(upgrade), 0, 63 }, { "hcmethod", KEY_CHECK, WORKER(check.method), 0, 15 },
	{ "hctemplate", KEY_TEMPLATE, 0, 0, 0 },
	{ "hcuri", KEY_TEXT, WORKER(check.uri), 0, 1023 }, { "hcinterval", KEY_SECONDS, WORKER(check.interval), 1, 86400 },
	{ "hcpasses", KEY_NUMBER, WORKER(check.passes), 1, 1000 }, { "hcfails", KEY_NUMBER, WORKER(check.fails), 1, 1000 },
	{ "hcexpr", KEY_EXPR, WORKER(check.expr_name), 0, 63 }, { .name = NULL },
};
static const struct key balancer_keys[] = {
	{ "lbmethod", KEY_METHOD, BALANCER(method), 0, 0 }, { "maxattempts", KEY_NUMBER, BALANCER(attempts), 0, 99 },
	{ "nofailover", KEY_FLAG, BALANCER(nofailover), 0, 0 }, { "stickysession", KEY_STICKY, 0, 0, 0 },
	{ "stickysessionsep", KEY_SEPARATOR, BALANCER(separator), 0, 0 }, { "scolonpathdelim", KEY_FLAG, BALANCER(scolon), 0, 0 },
	{ "timeout", KEY_SECONDS, BALANCER(timeout), 0, 2147483 }, { "failonstatus", KEY_CODES, BALANCER(fail_on), 0, 0 },
	{ "failontimeout", KEY_FLAG, BALANCER(timeout_fails), 0, 0 }, { "forcerecovery", KEY_FLAG, BALANCER(forcerecovery), 0, 0 },
	{ "nonce", KEY_NOTHING, 0, 0, 0 }, { "growth", KEY_NOTHING, 0, 0, 0 }, { .name = NULL },
};

static const struct key *key_find(const struct key *keys, const char *name, size_t n)
{
	for (; keys->name; keys++)
		if (text_is_nocase((struct text){ name, n }, keys->name))
			return keys;
	return NULL;
}

/* "+D-H", "D" */
static int read_status(struct conf_call *call, struct proxy_worker *w, const char *value)
{
	static const struct { char letter; unsigned bit; } letters[] = {
		{ 'd', PROXY_DISABLED }, { 's', PROXY_STOPPED }, { 'i', PROXY_IGNORES_ERRORS }, { 'h', PROXY_STANDBY }, { 'e', PROXY_IN_ERROR },
		{ 'n', PROXY_DRAINS }, { 'c', PROXY_ILL }, { 'r', PROXY_SPARE },
	};
	bool on = true;

	for (; *value; value++) {
		unsigned bit = 0;

		if (*value == '+' || *value == '-') {
			on = *value == '+';
			continue;
		}
		for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
			if (letters[i].letter == ascii_lower((unsigned char)*value))
				bit = letters[i].bit;
		if (!bit)
			return conf_fail(call, "use D, S, I, H, R, E, N or C, each with + or - before it", "'%c' is no state of a worker", *value);
		w->status = on ? w->status | bit : w->status & ~bit;
	}
	return 0;
}

static int read_codes(struct conf_call *call, const int **out, const char *value)
{
	struct text rest = text_of(value), word;
	int *codes = conf_alloc(call->env, (strlen(value) / 2 + 2) * sizeof *codes), n = 0;
	uint64_t code;

	while (text_split(&rest, ',', &word)) {
		if (text_u64(text_trim(word), 599, &code) != 0 || code < 100)
			return conf_fail(call, "write statuses such as 500,503", "\"%s\" is no list of statuses", value);
		codes[n++] = (int)code;
	}
	*out = codes;
	return 0;
}

static int read_method(struct conf_call *call, int *out, const char *value)
{
	static const char *const names[] = { "byrequests", "bytraffic", "bybusyness" };

	for (int i = 0; i < 3; i++)
		if (strcasecmp(value, names[i]) == 0) {
			*out = i;
			return 0;
		}
	return conf_fail(call, "use byrequests, bytraffic or bybusyness", "\"%s\" is no method of a balancer here", value);
}

static int read_flag(struct conf_call *call, const char *key, const char *value, int *out)
{
	if (strcasecmp(value, "on") != 0 && strcasecmp(value, "off") != 0)
		return conf_fail(call, "write on or off", "%s=%s is neither on nor off", key, value);
	*out = strcasecmp(value, "on") == 0;
	return 0;
}

static int read_number(struct conf_call *call, const struct key *k, const char *value, int64_t *out)
{
	uint64_t n, unit = k->kind == KEY_SECONDS ? 1000 : 1, most = (uint64_t)k->high * unit;
	int rc = k->kind == KEY_NUMBER ? text_u64(text_of(value), most, &n) : text_duration_ms(text_of(value), unit, most, &n);

	if (rc != 0 || (k->low && n == 0) || (k->kind == KEY_NUMBER && n < (uint64_t)k->low))
		return conf_fail(call, NULL, "%s=%s is no number from %lld to %lld%s", k->name, value, (long long)k->low, (long long)k->high,
				 k->kind == KEY_SECONDS ? " (seconds; or with ms)" : k->kind == KEY_MS ? " (milliseconds)" : "");
	*out = (int64_t)n;
	return 0;
}

static int read_factor(struct conf_call *call, const char *value, int64_t *out)
{
	char *end;
	double f = strtod(value, &end);

	if (*end || end == value || !(f >= 1 && f <= 100))
		return conf_fail(call, NULL, "loadfactor=%s is no number from 1 to 100", value);
	*out = (int64_t)(f * 100 + 0.5);
	return 0;
}

static int read_text(struct conf_call *call, const struct key *k, const char *value, const char **out)
{
	if (strlen(value) > (size_t)k->high || !http_is_value(text_of(value)))
		return conf_fail(call, NULL, "%s= is longer than %lld characters, or holds some that cannot be sent", k->name, (long long)k->high);
	*out = conf_strdup(call->env, value);
	return 0;
}

static int read_check(struct conf_call *call, const struct key *k, const char *value, const char **out)
{
	static const char *const methods[] = { "NONE", "TCP", "OPTIONS", "HEAD", "GET", "OPTIONS11", "HEAD11", "GET11" };

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (strcasecmp(value, methods[i]) == 0) {
			*out = methods[i];
			return 0;
		}
	return conf_fail(call, "use NONE, TCP, OPTIONS, HEAD or GET, the last three also with 11 behind them; CPING belongs to AJP, and no program is started for a check",
			 "%s=%s is no health check here", k->name, value);
}

/* The host that is read; the main server where that is. */
static struct proxy_host *host_of(struct conf_call *call)
{
	return call->target->host[proxy_module.index];
}

static const struct proxy_template *template_find(const struct proxy_host *h, const char *name)
{
	const struct proxy_template *t = h ? h->templates : NULL;

	while (t && strcasecmp(t->name, name) != 0)
		t = t->next;
	return t;
}

static int use_template(struct conf_call *call, struct proxy_worker *w, const char *name)
{
	const struct proxy_template *t = template_find(host_of(call), name);
	int rc = 0;

	if (!t && !(t = template_find(main_of(call), name)))
		return conf_fail(call, "write before it: ProxyHCTemplate name hcmethod=GET …", "hctemplate=%s: there is no template of that name", name);
	for (int i = 0; i < t->n && rc == 0; i++)
		rc = proxy_set_key(call, w, NULL, t->words[i]);
	return rc;
}

int proxy_set_template(struct conf_call *call, void *config, int argc, char **argv)
{
	struct proxy_template *t = conf_alloc(call->env, sizeof *t);
	struct proxy_host *h = config;

	t->name = conf_strdup(call->env, argv[0]);
	t->words = conf_alloc(call->env, (size_t)argc * sizeof *t->words);
	for (int i = 1; i < argc; i++) {
		if (strncasecmp(argv[i], "hc", 2) != 0 || strncasecmp(argv[i], "hctemplate", 10) == 0)
			return conf_fail(call, "only hcmethod, hcuri, hcinterval, hcpasses, hcfails and hcexpr stand in a template", "\"%s\" is no key of a health check", argv[i]);
		t->words[t->n++] = conf_strdup(call->env, argv[i]);
	}
	t->next = h->templates;
	h->templates = t;
	return 0;
}

static int set_key(struct conf_call *call, void *config, const struct key *k, const char *value)
{
	void *at = (char *)config + k->offset;
	struct proxy_worker *w = config;
	struct proxy_balancer *b = config;
	int on = 0;

	switch (k->kind) {
	case KEY_SECONDS: case KEY_MS: case KEY_NUMBER:
		return read_number(call, k, value, at);
	case KEY_FACTOR:
		return read_factor(call, value, at);
	case KEY_FLAG:
		return read_flag(call, k->name, value, at);
	case KEY_TEXT: case KEY_EXPR:
		return read_text(call, k, value, at);
	case KEY_UPGRADE:
		if (!http_is_token(text_of(value)))
			return conf_fail(call, "write websocket, ANY or NONE", "%s=%s names no protocol", k->name, value);
		return read_text(call, k, value, at);
	case KEY_CHECK:
		return read_check(call, k, value, at);
	case KEY_TEMPLATE:
		return use_template(call, w, value);
	case KEY_STATUS:
		return read_status(call, w, value);
	case KEY_METHOD:
		return read_method(call, at, value);
	case KEY_CODES:
		return read_codes(call, at, value);
	case KEY_SEPARATOR:
		*(char *)at = *value;
		return 0;
	case KEY_STICKY:
		b->sticky = conf_printf(call->env, "%.*s", (int)strcspn(value, "|"), value);
		b->sticky_path = strchr(value, '|') ? conf_strdup(call->env, strchr(value, '|') + 1) : b->sticky;
		return 0;
	case KEY_REUSE:
		if (read_flag(call, k->name, value, &on) < 0)
			return -1;
		w->reuse = on == (int)k->offset ? PROXY_KEEP_ALWAYS : PROXY_KEEP_NEVER;
		return 0;
	case KEY_FLUSH:
		w->flush = strcasecmp(value, "on") == 0;
		return 0;
	case KEY_NOTHING:
		return 0;
	}
	return 0;
}

int proxy_set_key(struct conf_call *call, struct proxy_worker *w, struct proxy_balancer *b, const char *word)
{
	const char *equals = strchr(word, '=');
	size_t n = equals ? (size_t)(equals - word) : strlen(word);
	const struct key *k = b ? key_find(balancer_keys, word, n) : NULL;
	int rc = 0;

	if (!equals)
		return conf_fail(call, "write key=value", "\"%s\" is no key with a value", word);
	if (k)
		return set_key(call, b, k, equals + 1);
	k = key_find(worker_keys, word, n);
	if (!k)
		return conf_fail(call, "bulkhead.conf(5) lists the keys under ProxyPass", "the key \"%.*s\" is unknown", (int)n, word);
	if (w)
		return set_key(call, w, k, equals + 1);
	for (struct proxy_member *m = b ? b->members : NULL; m && rc == 0; m = m->next)
		rc = set_key(call, m->worker, k, equals + 1);
	return rc;
}

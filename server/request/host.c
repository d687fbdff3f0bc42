/*
 * host.c - the sites of a configuration: <VirtualHost>, ServerName, ServerAlias, and which host answers a request. The
 * master fills and finishes a site; children only look hosts up.
 *
 * Hosts that share an address form a set, in order of the text. A request meets the set that fits its local address
 * most closely: address and port, address, port, anything. Within it the first host with the name answers, a
 * wildcard counting no less than a plain name; without such a host the set's first. The main server answers where no
 * set fits, and never by its name.
 */
#include "request/host.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "request/htaccess.h"
#include "request/sections.h"

#define NAME_MAX_LENGTH 255

struct set_name {
	const char *name;               /* plain, or a pattern */
	unsigned order;                 /* of its host in the set */
};

struct host_set {
	struct host_addr at;
	struct host **hosts;            /* in order of the text */
	unsigned n;
	struct set_name *names;         /* plain names, sorted by name, then order */
	unsigned nnames;
	struct set_name *wild;          /* patterns, by order */
	unsigned nwild;
	struct host_set *next;
};

/* ---------------------------------------------------------------------------------------------- structures */

static void **host_structures(struct conf_module *const *modules, struct conf_env *env)
{
	unsigned n = 0;
	void **config;

	while (modules[n])
		n++;
	config = conf_alloc(env, (n + 1) * sizeof *config);
	for (unsigned i = 0; i < n; i++)
		config[i] = modules[i]->create_host ? modules[i]->create_host(env) : NULL;
	return config;
}

struct site *site_new(struct arena *a, struct conf_module *const *modules, struct conf_env *env)
{
	struct site *s = conf_alloc(env, sizeof *s);

	s->arena = a;
	s->modules = modules;
	s->env = env;
	s->nmodules = conf_modules_number(modules);
	s->main = conf_alloc(env, sizeof *s->main);
	s->main->config = host_structures(modules, env);
	s->main->section = sections_structures(modules, env);
	s->nhosts = 1;
	return s;
}

/* A structure that its module does not merge is process-wide: the main server's holds everywhere. */
static void merge_onto(const struct site *s, struct host *h, struct conf_env *env)
{
	for (unsigned i = 0; i < s->nmodules; i++) {
		const struct conf_module *m = s->modules[i];
		h->config[i] = m->merge_host ? m->merge_host(env, s->main->config[i], h->config[i]) : s->main->config[i];
		h->section[i] = m->merge_section ? m->merge_section(env, s->main->section[i], h->section[i]) : s->main->section[i];
	}
}

static void modules_finish(const struct site *s, struct host *h, struct conf_env *env)
{
	for (unsigned i = 0; i < s->nmodules; i++)
		if (s->modules[i]->finish_host && s->modules[i]->finish_host(env, h->config[i], h->name) != 0 && env->errors == 0)
			conf_report(env, CONF_ERROR, NULL, NULL, "%s refuses the configuration of %s", s->modules[i]->name, h->name);
}

/* ---------------------------------------------------------------------------------------------- <VirtualHost> */

static void addr_add(struct conf_call *call, struct host *h, const struct host_addr *at)
{
	struct host_addr *grown = conf_alloc(call->env, (h->naddrs + 1) * sizeof *grown);

	if (h->naddrs)
		memcpy(grown, h->addrs, h->naddrs * sizeof *grown);
	grown[h->naddrs++] = *at;
	h->addrs = grown;
}

/* A host name stands for all its addresses. One that has none is told, and the host goes without: as Apache. */
static void resolve(struct conf_call *call, struct host *h, const char *name, bool any_port, uint16_t port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int failed = strpbrk(name, "*?") ? EAI_NONAME : getaddrinfo(name, NULL, &hints, &found);

	if (failed) {
		conf_warn(call, "write the address itself, or \"*\"; a name is looked up once, at start",
			  "the host name \"%s\" cannot be resolved (%s): it is ignored here", name, gai_strerror(failed));
		return;
	}
	for (struct addrinfo *i = found; i; i = i->ai_next) {
		struct host_addr at = { .any_port = any_port, .word = name };
		if (i->ai_addrlen > sizeof at.addr.ss)
			continue;
		memcpy(&at.addr.ss, i->ai_addr, i->ai_addrlen);
		at.addr.len = i->ai_addrlen;
		addr_set_port(&at.addr, port);
		addr_add(call, h, &at);
	}
	freeaddrinfo(found);
}

static int port_parse(struct conf_call *call, const char *word, const char *port, struct host_addr *at, uint16_t *out)
{
	uint64_t n = 0;

	if (strcmp(port, "*") == 0) {
		at->any_port = true;
		return 0;
	}
	if (text_u64(text_of(port), 65535, &n) != 0 || n == 0)
		return conf_fail(call, "an address ends in a port from 1 to 65535, \":*\" or nothing",
				 "\"%s\" has the port \"%s\", which is none", word, port);
	*out = (uint16_t)n;
	return 0;
}

/* One word of <VirtualHost>: "*:443", "_default_", "192.0.2.1:80", "[2001:db8::1]:443", "www.example.org:80". */
static int address_parse(struct conf_call *call, struct host *h, const char *word)
{
	struct host_addr at = { .any_port = true };
	char *host = conf_strdup(call->env, word), *port = NULL;
	uint16_t number = 0, main_port = ((struct reading *)call->target->owner)->site->main->port;
	struct addr whole;

	if (host[0] == '[') {
		char *end = strchr(host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return conf_fail(call, "write \"[2001:db8::1]:443\"", "\"%s\" is no address", word);
		port = end[1] ? end + 2 : NULL;
		end[1] = '\0';
	} else if (addr_parse(&whole, host, 0) != 0) {          /* "::1" without brackets has colons but no port */
		port = strrchr(host, ':');
		if (port)
			*port++ = '\0';
	}
	if (port) {
		at.any_port = false;
		if (port_parse(call, word, port, &at, &number) != 0)
			return -1;
	}
	at.word = host;
	if (!port && main_port && strcmp(host, "*") != 0 && !text_is_nocase(text_of(host), "_default_")) {
		at.any_port = false;            /* that of a ServerName further up, as in Apache */
		number = main_port;
	}
	if (strcmp(host, "*") == 0 || text_is_nocase(text_of(host), "_default_")) {
		at.any_ip = true;
		if (addr_parse(&at.addr, "*", number) != 0)
			return conf_fail(call, NULL, "\"%s\" is no address", word);
	} else if (addr_parse(&at.addr, host, number) == 0) {
		at.any_ip = addr_is_any(&at.addr);
	} else if (host[0] == '[' || host[0] == '\0' || strpbrk(host, ":/[]") || strspn(host, "0123456789") == strlen(host)) {
		return conf_fail(call, "write \"*:443\", \"192.0.2.1:443\", \"[2001:db8::1]:443\" or a host name",
				 "\"%s\" is no address", word);
	} else {
		resolve(call, h, host, at.any_port, number);
		return 0;
	}
	addr_add(call, h, &at);
	return 0;
}

int host_set_virtual_host(struct conf_call *call, void *config, int argc, char **argv)
{
	struct reading inner = *(struct reading *)call->target->owner;
	struct site *s = inner.site;
	struct host *h = conf_alloc(call->env, sizeof *h), **tail = &s->hosts;
	struct conf_target target = *call->target;
	const char *rest = argc ? argv[0] : "", *word;
	unsigned words = 0;
	int result = 0;

	(void)config;
	h->pos = call->node->pos;
	while ((word = conf_word(call->env, &rest))) {
		words++;
		if (address_parse(call, h, word) != 0)
			result = -1;
	}
	if (words == 0)
		result = conf_fail(call, "write <VirtualHost *:443>", "no address is given");
	if (h->naddrs)                  /* until a ServerName says another, or none */
		h->port = h->addrs[0].any_port ? s->main->port : addr_port(&h->addrs[0].addr);
	h->config = host_structures(s->modules, call->env);
	h->section = sections_structures(s->modules, call->env);
	h->number = s->nhosts++;
	while (*tail)
		tail = &(*tail)->next;
	*tail = h;

	inner.host = h;
	inner.section = NULL;
	target.host = h->config;
	target.section = h->section;
	target.owner = &inner;
	if (conf_apply(call->node->child, s->modules, CONF_HOST, &target, call->env) != 0)
		result = -1;
	return result;
}

/* ---------------------------------------------------------------------------------------------- names */

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)ascii_lower((unsigned char)*s);
}

static bool name_is_plain(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || strchr("\"'/\\<>,;@#%&=+!$(){}|^`~", *s) || *s == 127)
			return false;
	return true;
}

/* [scheme://]name[:port] */
int host_set_name(struct conf_call *call, void *config, int argc, char **argv)
{
	struct host *h = ((struct reading *)call->target->owner)->host;
	char *name = conf_strdup(call->env, argv[0]), *sep = strstr(name, "://"), *port;
	struct addr literal;
	uint64_t n = 0;

	(void)config;
	(void)argc;
	h->scheme = NULL;
	h->port = 0;
	lower(name);
	if (sep) {
		*sep = '\0';
		if (strcmp(name, "http") != 0 && strcmp(name, "https") != 0)
			return conf_fail(call, "write http://name:port or https://name:port", "the scheme \"%s\" is not known", name);
		h->scheme = name;
		name = sep + 3;
	}
	port = strrchr(name, ':');
	if (port && !strchr(port, ']') && addr_parse(&literal, name, 0) != 0) {
		*port++ = '\0';
		if (text_u64(text_of(port), 65535, &n) != 0 || n == 0)
			return conf_fail(call, NULL, "\"%s\": the port \"%s\" is not a number from 1 to 65535", argv[0], port);
		h->port = (uint16_t)n;
	}
	if (name[0] == '[' && name[strlen(name) - 1] == ']') {
		name[strlen(name) - 1] = '\0';
		name++;
	}
	if (!*name || strlen(name) > NAME_MAX_LENGTH || !name_is_plain(name) || strpbrk(name, "*?"))
		return conf_fail(call, "ServerName takes one plain name; further names and wildcards are ServerAlias's",
				 "\"%s\" is no host name", argv[0]);
	if (name[strlen(name) - 1] == '.' && name[1])
		name[strlen(name) - 1] = '\0';
	h->name = name;
	h->named = true;
	return 0;
}

int host_set_alias(struct conf_call *call, void *config, int argc, char **argv)
{
	struct host *h = ((struct reading *)call->target->owner)->host;
	char *name = conf_strdup(call->env, argv[0]);
	unsigned n = 0;

	(void)config;
	(void)argc;
	lower(name);
	if (!*name || strlen(name) > NAME_MAX_LENGTH || !name_is_plain(name)) {
		conf_warn(call, "names stand side by side, separated by blanks", "\"%s\" is no host name: nobody will ever ask for it", argv[0]);
		return 0;
	}
	if (name[strlen(name) - 1] == '.' && name[1])
		name[strlen(name) - 1] = '\0';
	while (h->aliases && h->aliases[n])
		n++;
	if ((n & (n + 1)) == 0) {               /* room ends at 1, 3, 7, … names and the NULL behind them */
		const char **grown = conf_alloc(call->env, 2 * (n + 1) * sizeof *grown);
		if (n)
			memcpy(grown, h->aliases, n * sizeof *grown);
		h->aliases = grown;
	}
	h->aliases[n] = name;
	return 0;
}

int host_set_path(struct conf_call *call, void *config, int argc, char **argv)
{
	struct host *h = ((struct reading *)call->target->owner)->host;
	char *path = conf_strdup(call->env, argv[0]);
	size_t n = strlen(path);

	(void)config;
	(void)argc;
	if (path[0] != '/')
		return conf_fail(call, "write ServerPath /path", "\"%s\" does not begin with a slash", argv[0]);
	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	h->path = path;
	return 0;
}

/* ---------------------------------------------------------------------------------------------- sets */

static bool addr_equal(const struct host_addr *a, const struct host_addr *b)
{
	if (a->any_ip != b->any_ip || a->any_port != b->any_port)
		return false;
	if (!a->any_port && addr_port(&a->addr) != addr_port(&b->addr))
		return false;
	return a->any_ip || addr_same_ip(&a->addr, &b->addr);
}

static void set_join(struct site *s, const struct host_addr *at, struct host *h, struct conf_env *env)
{
	struct host_set **i = &s->sets, *set;

	while (*i && !addr_equal(&(*i)->at, at))
		i = &(*i)->next;
	if (!*i) {
		*i = conf_alloc(env, sizeof **i);
		(*i)->at = *at;
		(*i)->hosts = conf_alloc(env, s->nhosts * sizeof *(*i)->hosts);
	}
	set = *i;
	if (set->n == 0 || set->hosts[set->n - 1] != h)         /* an address named twice in one tag */
		set->hosts[set->n++] = h;
}

static int compare_names(const void *pa, const void *pb)
{
	const struct set_name *a = pa, *b = pb;
	int order = strcmp(a->name, b->name);

	return order ? order : (a->order > b->order) - (a->order < b->order);
}

static void set_name_add(struct host_set *set, const char *name, unsigned order)
{
	if (strpbrk(name, "*?"))
		set->wild[set->nwild++] = (struct set_name){ name, order };
	else
		set->names[set->nnames++] = (struct set_name){ name, order };
}

static void set_index(struct host_set *set, struct conf_env *env)
{
	size_t all = 0;

	for (unsigned i = 0; i < set->n; i++) {
		all++;
		for (const char **a = set->hosts[i]->aliases; a && *a; a++)
			all++;
	}
	set->names = conf_alloc(env, all * sizeof *set->names);
	set->wild = conf_alloc(env, all * sizeof *set->wild);
	for (unsigned i = 0; i < set->n; i++) {
		set_name_add(set, set->hosts[i]->name, i);
		for (const char **a = set->hosts[i]->aliases; a && *a; a++)
			set_name_add(set, *a, i);
	}
	qsort(set->names, set->nnames, sizeof *set->names, compare_names);
	for (unsigned i = 1; i < set->nnames; i++) {
		const struct host *first = set->hosts[set->names[i - 1].order], *second = set->hosts[set->names[i].order];
		if (first != second && first->named && second->named && strcmp(set->names[i - 1].name, set->names[i].name) == 0)
			conf_report(env, CONF_WARNING, &second->pos, "give one of them another name, or take it away",
				    "the name %s on this address belongs to the virtual host at %s:%u, which stands first: this one never answers to it",
				    set->names[i].name, first->pos.file, first->pos.line);
	}
}

static void main_name(struct site *s, struct conf_env *env)
{
	char name[NAME_MAX_LENGTH + 1];

	if (s->main->name)
		return;
	if (gethostname(name, sizeof name) != 0 || !name[0])
		strcpy(name, "localhost");
	name[sizeof name - 1] = '\0';
	lower(name);
	s->main->name = conf_strdup(env, name);
	conf_report(env, CONF_NOTICE, NULL, "set ServerName to the name that clients use",
		    "no ServerName is set outside of virtual hosts: this machine's name, %s, stands in for it", s->main->name);
}

int site_finish(struct site *s, struct conf_env *env)
{
	unsigned before = env->errors;

	main_name(s, env);
	modules_finish(s, s->main, env);
	sections_finish(s, s->main, env);
	for (struct host *h = s->hosts; h; h = h->next) {
		if (!h->name)
			h->name = s->main->name;
		merge_onto(s, h, env);
		modules_finish(s, h, env);
		sections_finish(s, h, env);
		for (unsigned i = 0; i < h->naddrs; i++)
			set_join(s, &h->addrs[i], h, env);
	}
	for (struct host_set *set = s->sets; set; set = set->next)
		set_index(set, env);
	s->files = htaccess_cache_new(s->arena, s->nsections);
	s->cache = sections_cache_new(s->arena);
	if (!s->cache || !s->files)
		conf_report(env, CONF_ERROR, NULL, NULL, "out of memory for the sections");
	return env->errors == before ? 0 : -1;
}

/* ---------------------------------------------------------------------------------------------- looking up */

/* How closely a set fits: 4 address and port, 3 address, 2 port, 1 anything, 0 not at all. */
static unsigned set_fits(const struct host_set *set, const struct addr *local)
{
	if (!set->at.any_port && addr_port(&set->at.addr) != addr_port(local))
		return 0;
	if (!set->at.any_ip && !addr_same_ip(&set->at.addr, local))
		return 0;
	return 1 + (set->at.any_port ? 0u : 1u) + (set->at.any_ip ? 0u : 2u);
}

static const struct host_set *set_find(const struct site *s, const struct addr *local)
{
	const struct host_set *best = NULL;
	unsigned closest = 0;

	for (const struct host_set *set = s->sets; set; set = set->next) {
		unsigned fits = set_fits(set, local);
		if (fits > closest) {
			closest = fits;
			best = set;
		}
	}
	return best;
}

struct host *host_default(const struct site *s, const struct addr *local)
{
	const struct host_set *set = set_find(s, local);

	return set ? set->hosts[0] : s->main;
}

/* Lower case, without a trailing dot, terminated. False if it is longer than a name can be. */
static bool name_normal(struct text name, char *buf)
{
	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > NAME_MAX_LENGTH)
		return false;
	for (size_t i = 0; i < name.n; i++)
		buf[i] = (char)ascii_lower((unsigned char)name.p[i]);
	buf[name.n] = '\0';
	return true;
}

/* Nobody has the name: the first whose <VirtualHost> is written with it, else the first. */
static struct host *host_by_word(const struct host_set *set, const char *name)
{
	for (unsigned i = 0; i < set->n; i++)
		for (unsigned k = 0; k < set->hosts[i]->naddrs; k++) {
			const struct host_addr *at = &set->hosts[i]->addrs[k];
			if (addr_equal(at, &set->at) && text_is_nocase(text_of(at->word), name))
				return set->hosts[i];
		}
	return set->hosts[0];
}

struct host *host_by_name(const struct site *s, const struct addr *local, struct text name)
{
	const struct host_set *set = set_find(s, local);
	char normal[NAME_MAX_LENGTH + 1];
	unsigned low = 0, high, first;

	if (!set)
		return s->main;
	if (set->n == 1 || !name.p || !name_normal(name, normal))
		return set->hosts[0];
	high = set->nnames;
	while (low < high) {                    /* the first entry that is not less: of equal names the earliest host's */
		unsigned middle = low + (high - low) / 2;
		if (strcmp(set->names[middle].name, normal) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	first = low < set->nnames && strcmp(set->names[low].name, normal) == 0 ? set->names[low].order : set->n;
	for (unsigned i = 0; i < set->nwild && set->wild[i].order < first; i++)
		if (wild_match(set->wild[i].name, normal, false))
			first = set->wild[i].order;
	return first < set->n ? set->hosts[first] : host_by_word(set, normal);
}

/* The length of the host's ServerPath where the path begins with it, in whole components; else 0. */
static size_t path_begins(const struct host *h, struct text path)
{
	size_t n = h->path ? strlen(h->path) : 0;

	if (n < 2 || path.n < n || memcmp(path.p, h->path, n) != 0)
		return 0;
	return path.n == n || path.p[n] == '/' ? n : 0;
}

struct host *host_by_path(const struct site *s, const struct addr *local, struct text path)
{
	const struct host_set *set = set_find(s, local);

	for (unsigned i = 0; set && i < set->n; i++)
		if (path_begins(set->hosts[i], path))
			return set->hosts[i];
	return NULL;
}

const char *host_below_path(const struct host *h, const char *path)
{
	return path + path_begins(h, text_of(path));
}

bool host_has_name(const struct host *h, struct text name)
{
	char normal[NAME_MAX_LENGTH + 1];

	if (!name.p || !name_normal(name, normal))
		return false;
	if (h->name && strcmp(h->name, normal) == 0)
		return true;
	for (const char **a = h->aliases; a && *a; a++)
		if (strpbrk(*a, "*?") ? wild_match(*a, normal, false) : strcmp(*a, normal) == 0)
			return true;
	return false;
}

void host_visit(const struct site *s, void (*visit)(void *ctx, const char *address, const struct host *h, bool is_default, bool only), void *ctx)
{
	for (const struct host_set *set = s->sets; set; set = set->next) {
		char ip[ADDR_TEXT], address[ADDR_TEXT + 16];
		struct buf b;

		buf_init(&b, address, sizeof address);
		addr_ip(&set->at.addr, ip);
		if (set->at.any_ip)
			buf_putc(&b, '*');
		else
			buf_printf(&b, strchr(ip, ':') ? "[%s]" : "%s", ip);
		if (set->at.any_port)
			buf_puts(&b, ":*");
		else
			buf_printf(&b, ":%u", addr_port(&set->at.addr));
		for (unsigned i = 0; i < set->n; i++)
			visit(ctx, address, set->hosts[i], i == 0, set->n == 1);
	}
}

/*
 * remoteip.c - mod_remoteip: an address from a field is believed as long as whoever added it is a proxy we know. Lists are
 * read in the master, fields judged in the children.
 */
#include "request/remoteip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/head.h"

#define LIST_MOST (1024 * 1024)         /* bytes of a file of proxies */

struct proxy {
	struct prefix prefix;
	bool internal;                  /* may tell of addresses of private networks */
};

struct proxies { struct proxy *at; unsigned n; };

struct remoteip_host {
	const char *header;             /* RemoteIPHeader; NULL = none */
	const char *proxies_header;
	struct proxies believed;        /* none at all: everybody is, but not as internal */
	int protocol;                   /* -1 = unset */
	struct proxies exempt;          /* RemoteIPProxyProtocolExceptions */
};

/* ------------------------------------------------------------------------------------------------ requests */

static const struct proxy *proxy_of(const struct proxies *l, const struct addr *a)
{
	for (unsigned i = 0; i < l->n; i++)
		if (prefix_match(&l->at[i].prefix, a))
			return &l->at[i];
	return NULL;
}

/* Addresses that mean something within a network only: told by a proxy that is not internal they are nobody's. */
static bool is_private(const struct addr *a)
{
	static const char *const blocks[] = { "10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16" };
	struct prefix p;

	if (a->sa.sa_family == AF_INET6)
		return (a->in6.sin6_addr.s6_addr[0] & 0xe0) != 0x20;    /* not of 2000::/3 */
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		if (prefix_parse(&p, blocks[i]) == 0 && prefix_match(&p, a))
			return true;
	return false;
}

/* The last word of a list; the list is shortened by it. False: nothing is left. */
static bool last_word(struct text *list, struct text *word)
{
	const char *comma = list->n ? memrchr(list->p, ',', list->n) : NULL;

	if (!list->n)
		return false;
	*word = comma ? (struct text){ comma + 1, (size_t)(list->p + list->n - comma - 1) } : *list;
	list->n -= word->n + (comma != NULL);
	*word = text_trim(*word);
	return true;
}

static bool parse_address(struct text word, struct addr *a)
{
	char name[ADDR_TEXT];

	if (word.n == 0 || word.n >= sizeof(name) || memchr(word.p, '*', word.n) || memchr(word.p, '%', word.n) || memchr(word.p, '\0', word.n))
		return false;
	memcpy(name, word.p, word.n);
	name[word.n] = '\0';
	if (addr_parse(a, name, 0) != 0)
		return false;
	addr_unmap(a);
	return true;
}

/* How far a list is believed: *who is the client then; the list is what is left of it, `through` the proxies on the way. */
static bool follow(const struct remoteip_host *h, struct text *list, struct addr *who, struct buf *through)
{
	bool moved = false;

	for (;;) {
		const struct proxy *by = proxy_of(&h->believed, who);
		struct text before = *list, word;
		bool internal = by && by->internal;
		char name[ADDR_TEXT];
		struct addr a;

		if ((h->believed.n && !by) || !last_word(list, &word))
			break;
		if (!parse_address(word, &a) || (!internal && is_private(&a))) {
			*list = before;
			break;
		}
		if (!internal)
			buf_printf(through, "%s%s", through->n ? ", " : "", addr_ip(who, name));
		*who = a;
		moved = true;
	}
	return moved;
}

unsigned remoteip_run(struct request *r)
{
	const struct remoteip_host *h = host_config(r->host, &remoteip_module);
	struct client *c = r->client;
	struct text list;
	char proxies[512], *left = NULL;
	struct addr who = c->arrived;
	struct buf through;

	if (!h->header)
		return 0;
	list = fields_combined(&r->in, h->header);
	buf_init(&through, proxies, sizeof(proxies));
	if (!list.p || !follow(h, &list, &who, &through))
		return 0;
	if (list.n && !(left = arena_strndup(r->arena, list.p, list.n)))
		return 503;
	fields_remove(&r->in, h->header);
	if (left && fields_add_copy(&r->in, h->header, left) != 0)
		return 503;
	if (h->proxies_header) {
		fields_remove(&r->in, h->proxies_header);
		if (through.n && fields_add_copy(&r->in, h->proxies_header, proxies) != 0)
			return 503;
	}
	if (through.n && request_note(r, "remoteip-proxy-ip-list", proxies) != 0)
		return 503;
	client_is(c, &who);
	return 0;
}

bool remoteip_expected(const struct host *h, const struct addr *peer)
{
	const struct remoteip_host *c = host_config(h, &remoteip_module);

	return c->protocol == 1 && !proxy_of(&c->exempt, peer);
}

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	struct remoteip_host *h = conf_alloc(env, sizeof(*h));

	h->protocol = CONF_UNSET;
	return h;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct remoteip_host *b = base, *o = over;
	struct remoteip_host *m = conf_alloc(env, sizeof(*m));

	m->header = o->header ? o->header : b->header;
	m->proxies_header = o->proxies_header ? o->proxies_header : b->proxies_header;
	m->believed = o->believed.n ? o->believed : b->believed;
	m->protocol = o->protocol != CONF_UNSET ? o->protocol : b->protocol;
	m->exempt = o->exempt.n ? o->exempt : b->exempt;
	return m;
}

static void append(struct conf_env *env, struct proxies *l, const struct prefix *p, bool internal)
{
	struct proxy *more = conf_alloc(env, (l->n + 1) * sizeof(*more));

	for (unsigned i = 0; i < l->n; i++)
		more[i] = l->at[i];
	more[l->n] = (struct proxy){ *p, internal };
	l->at = more;
	l->n++;
}

static bool is_internal(const struct conf_call *call)
{
	return strstr(call->directive->name, "Internal") != NULL;
}

static int set_proxy(struct conf_call *call, void *config, int argc, char **argv)
{
	struct remoteip_host *h = config;
	bool exempt = strstr(call->directive->name, "Exceptions") != NULL;
	struct prefix p;

	(void)argc;
	if (prefix_parse(&p, argv[0]) != 0)
		return conf_fail(call, "write an address or a network, such as 10.1.2.3 or 10.1.0.0/16; names are not looked up",
				 "\"%s\" is neither", argv[0]);
	append(call->env, exempt ? &h->exempt : &h->believed, &p, is_internal(call));
	return 0;
}

/* A line of a file: NULL after a report. */
static int add_line(struct conf_call *call, struct remoteip_host *h, const char *path, unsigned number, char *line)
{
	struct prefix p;

	line[strcspn(line, "#\r\n")] = '\0';
	for (char *word = strtok_r(line, " \t", &line); word; word = strtok_r(NULL, " \t", &line)) {
		if (prefix_parse(&p, word) != 0)
			return conf_fail(call, "write an address or a network in each line", "\"%s\" in line %u of %s is neither", word, number, path);
		append(call->env, &h->believed, &p, is_internal(call));
	}
	return 0;
}

static int set_proxy_list(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *path = conf_path(call->env, argv[0]);
	int fd = call->env->open(call->env->ctx, path), rc = 0;
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char line[256];
	size_t all = 0;

	(void)argc;
	if (!f) {
		if (fd >= 0)
			close(fd);
		return conf_fail(call, "make the file, an address or network in each line", "%s cannot be read: %s", path, strerror(errno));
	}
	for (unsigned n = 1; rc == 0 && fgets(line, sizeof(line), f); n++) {
		all += strlen(line);
		if (all > LIST_MOST)
			rc = conf_fail(call, "name networks in place of addresses", "%s is longer than a mebibyte", path);
		else if (!strchr(line, '\n') && !feof(f))
			rc = conf_fail(call, "write an address or a network in each line", "line %u of %s is longer than %zu bytes", n, path, sizeof(line) - 2);
		else
			rc = add_line(call, config, path, n, line);
	}
	fclose(f);
	return rc;
}

static int set_header(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	if (!http_is_token(text_of(argv[0])))
		return conf_fail(call, "write the name of a header field, such as X-Forwarded-For", "\"%s\" is no name of one", argv[0]);
	*(const char **)(void *)((char *)config + call->directive->offset) = conf_strdup(call->env, argv[0]);
	return 0;
}

#define HOSTS .contexts = CONF_RSRC, .scope = CONF_OF_HOST
#define HEADER(field) HOSTS, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_header, .offset = offsetof(struct remoteip_host, field)

static const struct conf_directive directives[] = {
	{ "RemoteIPHeader", "the field that names the client behind a proxy", NULL, HEADER(header) },
	{ "RemoteIPProxiesHeader", "the field that gets the proxies on the way", NULL, HEADER(proxies_header) },
	{ "RemoteIPInternalProxy", "proxies that may tell of private addresses", NULL, HOSTS, .args = CONF_ITERATE, .set = set_proxy },
	{ "RemoteIPTrustedProxy", "proxies that are believed about public addresses", NULL, HOSTS, .args = CONF_ITERATE, .set = set_proxy },
	{ "RemoteIPInternalProxyList", "a file of RemoteIPInternalProxy", NULL, HOSTS, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_proxy_list },
	{ "RemoteIPTrustedProxyList", "a file of RemoteIPTrustedProxy", NULL, HOSTS, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_proxy_list },
	{ "RemoteIPProxyProtocol", "whether connections begin with a PROXY header", "Off", HOSTS, .args = CONF_FLAG, .set = conf_set_flag,
	  .offset = offsetof(struct remoteip_host, protocol) },
	{ "RemoteIPProxyProtocolExceptions", "who connects without a PROXY header even so", NULL, HOSTS, .args = CONF_ITERATE, .set = set_proxy },
	{ .name = NULL },
};

struct conf_module remoteip_module = {
	.name = "remoteip_module",
	.source = "mod_remoteip.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
};

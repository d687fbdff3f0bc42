/*
 * vhostalias.c - the folder of a host made of its name or address: mod_vhost_alias. Patterns are checked in the master and
 * filled in in the children, with what the client asked for: a piece of a name never holds a slash and never is "." or "..".
 */
#include "request/vhostalias.h"

#include <string.h>
#include <strings.h>

#include "request/handler.h"
#include "request/host.h"
#include "request/response.h"

#define PATTERN_PLACE 4096              /* the longest folder's name */

enum kind { OF_UNSET, OF_NOTHING, OF_NAME, OF_ADDRESS };

struct place { enum kind kind; const char *pattern; };
struct vhostalias_host { struct place root, scripts; };

/* ------------------------------------------------------------------------------------------------ patterns */

/* One number of a directive %N.M: 0 all; n from the front, -n from the end; plus: with all that follow (or go before). */
struct pick { unsigned n; bool from_end, plus; };

/* Reads one; NULL where it is none. */
static const char *read_pick(const char *p, struct pick *k)
{
	*k = (struct pick){ 0 };
	if (*p == '-') {
		k->from_end = true;
		p++;
	}
	if (*p < '0' || *p > '9' || (k->from_end && *p == '0'))
		return NULL;
	k->n = (unsigned)(*p++ - '0');
	if (*p == '+') {
		k->plus = true;
		p++;
	}
	return p;
}

/* A whole directive behind its percent sign: the parts, and the letters of them. Where it ends, or NULL. */
static const char *read_directive(const char *p, struct pick *part, struct pick *letter)
{
	*letter = (struct pick){ 0 };
	if (!(p = read_pick(p, part)))
		return NULL;
	return *p == '.' && (p[1] == '-' || (p[1] >= '0' && p[1] <= '9')) ? read_pick(p + 1, letter) : p;
}

/* The parts between dots that a pick means; absent where there are none. */
static struct text parts_of(struct text name, const struct pick *k)
{
	unsigned dots = 0, first, last;
	size_t from = 0, to = name.n;

	if (k->n == 0)
		return name;
	for (size_t i = 0; i < name.n; i++)
		dots += name.p[i] == '.';
	if (k->n > dots + 1)
		return (struct text){ NULL, 0 };
	first = k->from_end ? (k->plus ? 0 : dots + 1 - k->n) : k->n - 1;
	last = k->from_end ? dots + 1 - k->n : k->plus ? dots : k->n - 1;
	dots = 0;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] != '.')
			continue;
		dots++;
		if (dots == first)
			from = i + 1;
		if (dots == last + 1) {
			to = i;
			break;
		}
	}
	return (struct text){ name.p + from, to - from };
}

static struct text letters_of(struct text part, const struct pick *k)
{
	size_t at;

	if (k->n == 0 || !part.p)
		return part;
	if (k->n > part.n)
		return (struct text){ NULL, 0 };
	at = k->from_end ? part.n - k->n : k->n - 1;
	if (!k->plus)
		return (struct text){ part.p + at, 1 };
	return k->from_end ? (struct text){ part.p, at + 1 } : (struct text){ part.p + at, part.n - at };
}

/* As the name of a folder: lower case; what could lead elsewhere, and what is not there, is "_". */
static void put_piece(struct buf *b, struct text t)
{
	if (!t.p || t.n == 0 || text_is(t, ".") || text_is(t, "..") || memchr(t.p, '/', t.n) || memchr(t.p, '\0', t.n)) {
		buf_puts(b, "_");
		return;
	}
	for (size_t i = 0; i < t.n; i++) {
		char c = (char)ascii_lower((unsigned char)t.p[i]);
		buf_put(b, &c, 1);
	}
}

/* NULL: too long, or no memory. */
static const char *filled_in(struct request *r, const char *pattern, struct text name)
{
	char *to = arena_alloc(r->arena, PATTERN_PLACE);
	struct pick part, letter;
	struct buf b;

	if (!to)
		return NULL;
	buf_init(&b, to, PATTERN_PLACE);
	for (const char *p = pattern; *p;) {
		size_t n = strcspn(p, "%");

		buf_put(&b, p, n);
		p += n;
		if (!*p)
			break;
		if (p[1] == '%')
			buf_puts(&b, "%");
		else if (p[1] == 'p')
			buf_printf(&b, "%u", response_port(r));
		if (p[1] == '%' || p[1] == 'p') {
			p += 2;
			continue;
		}
		p = read_directive(p + 1, &part, &letter);
		if (!p)                         /* checked when it was read */
			return NULL;
		put_piece(&b, letters_of(parts_of(name, &part), &letter));
	}
	return b.full ? NULL : to;
}

/* ------------------------------------------------------------------------------------------------ requests */

/* The folder of one directive. NULL: too long. */
static const char *folder_of(struct request *r, const struct place *p)
{
	char address[ADDR_TEXT];
	const char *name = p->kind == OF_NAME ? response_host(r) : addr_ip(&r->client->local, address);

	return name ? filled_in(r, p->pattern, text_of(name)) : NULL;
}

unsigned vhostalias_run(struct request *r)
{
	static const char programs[] = "/cgi-bin/";
	const struct vhostalias_host *h = host_config(r->host, &vhost_alias_module);
	bool script = h->scripts.kind > OF_NOTHING && strncmp(r->path, programs, sizeof(programs) - 1) == 0;
	const struct place *p = script ? &h->scripts : &h->root;
	const char *folder;

	if (p->kind <= OF_NOTHING)
		return 0;
	folder = folder_of(r, p);
	if (!folder)
		return 404;
	r->filename = arena_join(r->arena, folder, script ? r->path + sizeof(programs) - 2 : r->path);
	if (!r->filename)
		return 503;
	if (script && !(r->handler = handler_find("cgi-script")))
		return 403;
	r->scripted = script;
	return 0;
}

bool vhostalias_runs(const struct host *h, const char *path)
{
	const struct place *p = &((const struct vhostalias_host *)host_config(h, &vhost_alias_module))->scripts;
	size_t n = p->kind > OF_NOTHING ? strcspn(p->pattern, "%") : 0;

	while (n && p->pattern[n - 1] != '/')
		n--;
	return p->kind > OF_NOTHING && (!path || (n > 1 && strncmp(path, p->pattern, n) == 0));
}

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct vhostalias_host));
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct vhostalias_host *b = base, *o = over;
	struct vhostalias_host *m = conf_alloc(env, sizeof(*m));

	m->root = o->root.kind != OF_UNSET ? o->root : b->root;
	m->scripts = o->scripts.kind != OF_UNSET ? o->scripts : b->scripts;
	return m;
}

static int set_place(struct conf_call *call, void *config, int argc, char **argv)
{
	struct vhostalias_host *h = config;
	struct place *to = strstr(call->directive->name, "Script") ? &h->scripts : &h->root;
	size_t n = strlen(argv[0]);
	struct pick part, letter;

	(void)argc;
	to->kind = strcasecmp(call->directive->name + strlen(call->directive->name) - 2, "IP") == 0 ? OF_ADDRESS : OF_NAME;
	if (text_is_nocase(text_of(argv[0]), "none")) {
		to->kind = OF_NOTHING;
		return 0;
	}
	if (argv[0][0] != '/')
		return conf_fail(call, "write a path from the root of the file system on, such as /srv/%0/docs, or none",
				 "\"%s\" is no absolute path", argv[0]);
	for (const char *p = strchr(argv[0], '%'); p; p = strchr(p, '%')) {
		if (p[1] == '%' || p[1] == 'p') {
			p += 2;
			continue;
		}
		if (!read_directive(p + 1, &part, &letter))
			return conf_fail(call, "write %0 for the whole name, %1 to %9 and %-1 to %-9 for its parts, %1.1 for a letter of one, "
					 "a + behind a number for all that follow, %p for the port, %% for a percent sign",
					 "\"%s\" is none of the forms of a percent sign", p);
		p++;
	}
	if (n > 1 && argv[0][n - 1] == '/')
		argv[0][n - 1] = '\0';
	to->pattern = conf_strdup(call->env, argv[0]);
	return 0;
}

#define PLACE .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1, .max = 1, .scope = CONF_OF_HOST, .set = set_place

static const struct conf_directive directives[] = {
	{ "VirtualDocumentRoot", "DocumentRoot made of the name of the host", NULL, PLACE },
	{ "VirtualDocumentRootIP", "DocumentRoot made of the address of the server", NULL, PLACE },
	{ "VirtualScriptAlias", "folder of programs made of the name of the host", NULL, PLACE },
	{ "VirtualScriptAliasIP", "folder of programs made of the address of the server", NULL, PLACE },
	{ .name = NULL },
};

struct conf_module vhost_alias_module = {
	.name = "vhost_alias_module",
	.source = "mod_vhost_alias.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
};

/*
 * paths.c - what the children of a configuration need to read, and where they connect. One table says of each directive that
 * names a file or folder which children open by themselves what follows of it; what master, helpers or programs open is none
 * of this. Runs where a configuration is read.
 *
 * No legitimate configuration may break. So a folder stands for the one that it lies in: administrators put another in its place, and
 * a rule of the kernel holds for what lay there when the child began. And where a line can lead anywhere (symbolic links,
 * per-directory files, rules that make paths), every file but the secrets may be read; the line is told at the start.
 */
#include "process/paths.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "request/proxyread.h"


struct finding {
	struct config *cfg;
	struct paths *p;
	const struct conf_node *node;
	char **words;                   /* of its line */
	unsigned n;
	bool named;                     /* SandboxPaths names the folders: lines that lead anywhere are the administrator's concern */
	bool links_off;                 /* at the top level or in <Directory "/"> symbolic links are not followed */
};

static const char *text(struct finding *f, const char *a, const char *b)
{
	return conf_printf(&f->cfg->env, "%s%s", a, b);
}

static void cannot(struct finding *f, struct paths_reason *r, const char *why)
{
	if (r->text)
		return;
	r->text = why;
	if (f->node)
		r->pos = f->node->pos;
}

static void anywhere(struct finding *f, const char *why)
{
	if (!f->named)
		cannot(f, &f->p->files, why);
}

static const char **grown(struct finding *f, const char **list, unsigned n)
{
	const char **more;

	if (n & (n - 1) || (n && n < 8))        /* room for the next power of two from 8 on */
		return list;
	more = conf_alloc(&f->cfg->env, (n ? 2 * (size_t)n : 8) * sizeof *more);
	if (n)
		memcpy(more, list, n * sizeof *more);
	return more;
}

static void add(struct finding *f, const char ***list, unsigned *n, const char *path)
{
	for (unsigned i = 0; i < *n; i++)
		if (!strcmp((*list)[i], path))
			return;
	*list = grown(f, *list, *n);
	(*list)[(*n)++] = path;
}

static void give(struct finding *f, const char *folder)
{
	struct landlock_wants *w = &f->p->wants;

	add(f, &w->folders, &w->nfolders, folder);
	add(f, &w->kept, &w->nkept, folder);
}

/* ------------------------------------------------------------------------------------------------ folders */

static bool is_link(struct finding *f, const char *path)
{
	struct stat st;

	return lstat(text(f, f->cfg->process->chroot_dir ? f->cfg->process->chroot_dir : "", path), &st) == 0 && S_ISLNK(st.st_mode);
}

static bool is_there(struct finding *f, const char *path)
{
	struct stat st;

	return stat(text(f, f->cfg->process->chroot_dir ? f->cfg->process->chroot_dir : "", path), &st) == 0;
}

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		slash[slash == path ? 1 : 0] = 0;
}

/* The folder or file that children read there; what is made of the request is cut off. */
static void reads(struct finding *f, const char *name)
{
	char *path = conf_path(&f->cfg->env, name), *end = path + strcspn(path, "$%*?[");
	size_t n;

	if (*end) {
		*end = 0;
		cut_last(path);
	}
	for (n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = 0;
	for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = 0;
		if (is_link(f, path))
			anywhere(f, text(f, path, " is a symbolic link, which may lead elsewhere later"));
		if (!slash)
			break;
		*slash = '/';
	}
	if (f->named) {
		if (path[1])
			give(f, path);
		return;
	}
	do
		cut_last(path);
	while (path[1] && !is_there(f, path));
	if (!path[1])
		anywhere(f, text(f, name, " lies in the root folder, or nothing of its path is there yet"));
	give(f, path);
}

static void reads_file(struct finding *f, const char *name)
{
	char *path = conf_path(&f->cfg->env, name);

	if (f->named) {                 /* editors put a new file in the place of the old one */
		cut_last(path);
		give(f, path);
	} else {
		reads(f, name);
	}
}

/* ------------------------------------------------------------------------------------------------ ports */

static void add_port(struct finding *f, unsigned port)
{
	struct landlock_wants *w = &f->p->wants;
	uint16_t *more;

	for (unsigned k = 0; k < w->nports; k++)
		if (w->ports[k] == port)
			return;
	if (!(w->nports & (w->nports - 1))) {   /* room for the next power of two */
		more = conf_alloc(&f->cfg->env, (w->nports ? 2 * (size_t)w->nports : 1) * sizeof *more);
		if (w->nports)
			memcpy(more, w->ports, w->nports * sizeof *more);
		w->ports = more;
	}
	((uint16_t *)(uintptr_t)w->ports)[w->nports++] = (uint16_t)port;
}

/* A URL of a server behind, with what may stand before it ("proxy:"). */
static void connects(struct finding *f, const char *url)
{
	const char *mark = strstr(url, "://"), *host = mark ? mark + 3 : "", *scheme = mark, *colon = NULL;
	size_t n = strcspn(host, "/?# \"'|>,");
	unsigned usual = 0, port = 0;
	uint64_t given = 0;

	while (scheme && scheme > url && isalnum((unsigned char)scheme[-1]))
		scheme--;
	if (scheme && scheme > url && scheme[-1] == '|')
		return;                 /* unix:/path|scheme://host: no port */
	if (scheme && mark - scheme == 8 && !strncasecmp(scheme, "balancer", 8))
		return;                 /* its members tell */
	for (size_t k = 0; k < n; k++)
		if (host[k] == ':')
			colon = host + k;
		else if (host[k] == ']')
			colon = NULL;
	if (scheme)
		usual = proxy_default_port((struct text){ scheme, (size_t)(mark - scheme) });
	if (colon && text_u64((struct text){ colon + 1, n - (size_t)(colon + 1 - host) }, 65535, &given) == 0)
		port = (unsigned)given;
	else if (!colon && !memchr(host, '$', n) && !memchr(host, '%', n))
		port = usual;
	if (usual && port)
		add_port(f, port);
	else
		cannot(f, &f->p->ports, "the port is made of the request or not known");
}

/* ------------------------------------------------------------------------------------------------ directives */

static void on_folder(struct finding *f) { if (f->n) reads(f, f->words[0]); }
static void on_file(struct finding *f) { if (f->n) reads_file(f, f->words[0]); }
static void on_last(struct finding *f) { if (f->n) reads(f, f->words[f->n > 1 ? 1 : 0]); }

static void on_secret(struct finding *f)
{
	if (f->n && !strstr(f->words[0], "pkcs11:"))
		add(f, &f->p->wants.secrets, &f->p->wants.nsecrets, conf_path(&f->cfg->env, f->words[0]));
}

static void on_pattern(struct finding *f)
{
	if (f->n && strcasecmp(f->words[0], "none"))
		reads(f, f->words[0]);
}

static void on_homes(struct finding *f)
{
	if (f->n && strncasecmp(f->words[0], "disabled", 8))
		anywhere(f, "users' folders may lie anywhere");
}

static void on_options(struct finding *f)
{
	const struct conf_node *at = f->node->parent;
	bool top = !at || (!strcasecmp(at->name, "<Directory") && !at->parent && (!strcmp(at->args, "/") || !strcmp(at->args, "\"/\""))), follows = false,
	     off = f->n > 0;

	for (unsigned i = 0; i < f->n; i++) {
		const char *word = f->words[i], *name = word + (*word == '+' || *word == '-');
		bool links = !strcasecmp(name, "FollowSymLinks") || !strcasecmp(name, "SymLinksIfOwnerMatch") || !strcasecmp(name, "All");

		follows |= links && *word != '-';
		off &= name == word || (*word == '-' && links);
	}
	if (follows)
		anywhere(f, "symbolic links are followed, wherever they lead");
	else if (top && off)
		f->links_off = true;
}

static void on_override(struct finding *f)
{
	static const char *const harmless[] = { "None", "Limit", "Indexes", "Nonfatal=All", "Nonfatal=Override", "Nonfatal=Unknown" };

	for (unsigned i = 0; i < f->n; i++) {
		size_t k = 0;

		while (k < sizeof harmless / sizeof *harmless && strcasecmp(f->words[i], harmless[k]))
			k++;
		if (k == sizeof harmless / sizeof *harmless) {
			anywhere(f, "per-directory files may name any file");
			cannot(f, &f->p->ports, "per-directory files may name servers");
		}
	}
}

static bool has_flag(const char *flags, const char *one, const char *other)
{
	for (const char *at = flags ? flags + (*flags == '[') : ""; *at; at += *at == ',') {
		size_t n;

		at += strspn(at, " \t");
		n = strcspn(at, ",] \t=");
		if ((n == strlen(one) && !strncasecmp(at, one, n)) || (n == strlen(other) && !strncasecmp(at, other, n)))
			return true;
		at += strcspn(at, ",");
	}
	return false;
}

static void on_rule(struct finding *f)
{
	static const char root[] = "%{DOCUMENT_ROOT}/";
	const char *to = f->n > 1 ? f->words[1] : "-", *flags = f->n > 2 ? f->words[2] : NULL, *path = to, *end;
	const char *handler = flags ? strstr(flags, "proxy:") : NULL;    /* [H=proxy:…] */
	size_t n = strcspn(to, ":/");

	if (handler)
		connects(f, conf_printf(&f->cfg->env, "%.*s", (int)(strlen(handler) - (handler[strlen(handler) - 1] == ']')), handler));
	if (has_flag(flags, "P", "proxy")) {
		connects(f, to);
		return;
	}
	if (!strcmp(to, "-") || has_flag(flags, "PT", "passthrough") || has_flag(flags, "R", "redirect") || (!strncmp(to + n, "://", 3) && n))
		return;
	if (!strncasecmp(to, root, sizeof root - 1))
		path = to + sizeof root - 2;
	end = path + 1 + strcspn(*path ? path + 1 : path, "/?");
	if (path == to && (*to == '$' || *to == '%' || (*to == '/' && to[1] && (memchr(to, '$', (size_t)(end - to)) || memchr(to, '%', (size_t)(end - to))))))
		anywhere(f, "the rule makes paths of what the request says");
	else if (path == to && *to == '/' && to[1] && is_there(f, conf_printf(&f->cfg->env, "%.*s", (int)(end - to), to)))
		anywhere(f, "the rule leads to a path of the file system");
}

static void on_map(struct finding *f)
{
	static const char *const kinds[] = { "txt:", "rnd:", "dbm:", "dbm=" };

	for (size_t i = 0; f->n > 1 && i < sizeof kinds / sizeof *kinds; i++)
		if (!strncasecmp(f->words[1], kinds[i], strlen(kinds[i])) && strchr(f->words[1], ':'))
			reads_file(f, strchr(f->words[1], ':') + 1);
}

static void on_proxy(struct finding *f)
{
	for (unsigned i = 0; i < f->n; i++)
		if (strstr(f->words[i], "://"))
			connects(f, f->words[i]);
}

static void on_handler(struct finding *f)
{
	if (f->n && !strncasecmp(f->words[0], "proxy:", 6))
		connects(f, f->words[0]);
	else if (f->n && strchr(f->words[0], '%'))
		cannot(f, &f->p->ports, "the handler is made of the request");
}

static void on_here(struct finding *f)
{
	for (unsigned i = 0; i < f->n; i++)
		if (!strcasecmp(f->words[i], "off")) {
			f->p->wants.off = true;
		} else if (strcasecmp(f->words[i], "roots") && strcasecmp(f->words[i], "auto")) {
			give(f, conf_path(&f->cfg->env, f->words[i]));
		}
}

static const struct row {
	const char *name;
	void (*found)(struct finding *f);
} rows[] = {
	{ "DocumentRoot", on_folder },
	{ "Alias", on_last }, { "AliasMatch", on_last }, { "ScriptAlias", on_last }, { "ScriptAliasMatch", on_last },
	{ "VirtualDocumentRoot", on_pattern }, { "VirtualDocumentRootIP", on_pattern }, { "VirtualScriptAlias", on_pattern }, { "VirtualScriptAliasIP", on_pattern },
	{ "UserDir", on_homes },
	{ "Options", on_options }, { "AllowOverride", on_override }, { "AllowOverrideList", on_override },
	{ "RewriteRule", on_rule }, { "RewriteMap", on_map },
	{ "AuthUserFile", on_file }, { "AuthGroupFile", on_file },
	{ "SSLCertificateKeyFile", on_secret }, { "SSLSessionTicketKeyFile", on_secret }, { "SSLProxyMachineCertificateFile", on_secret },
	{ "SSLProxyMachineCertificatePath", on_secret },
	{ "ProxyPass", on_proxy }, { "ProxyPassMatch", on_proxy }, { "BalancerMember", on_proxy }, { "<Proxy", on_proxy }, { "<ProxyMatch", on_proxy },
	{ "SetHandler", on_handler }, { "AddHandler", on_handler },
	{ "SandboxPaths", on_here },
};

/* Words of expressions, wherever they stand, that open a file. Lists of accounts are replaced as a whole when one changes. */
static const struct { const char *word, *why; } expressions[] = {
	{ "file(", "an expression reads a file" },
	{ "SCRIPT_USER", "names of accounts are looked up" }, { "SCRIPT_GROUP", "names of accounts are looked up" },
	{ "file-owner", "names of accounts are looked up" }, { "file-group", "names of accounts are looked up" },
};

static void split(struct finding *f)
{
	const char *rest = f->node->args;

	f->words = conf_alloc(&f->cfg->env, (strlen(rest) + 1) * sizeof *f->words);
	for (f->n = 0; (f->words[f->n] = conf_word(&f->cfg->env, &rest)); f->n++)
		;
}

static void look(struct finding *f, const struct conf_node *first)
{
	for (f->node = first; f->node; f->node = f->node->next) {
		const struct conf_node *node = f->node;

		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
			if (!strcasecmp(node->name, rows[i].name)) {
				split(f);
				rows[i].found(f);
			}
		for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
			if (strstr(node->args, expressions[i].word))
				anywhere(f, expressions[i].why);
		look(f, node->child);
		f->node = node;
	}
}

/* SandboxPaths stands at the top level. */
static bool names_folders(const struct conf_node *n)
{
	bool named = false;

	for (; n; n = n->next)
		if (!strcasecmp(n->name, "SandboxPaths"))
			named = strcasecmp(n->args, "auto") && strcasecmp(n->args, "off");
	return named;
}

static void add_secrets(struct finding *f)
{
	static const char *const everywhere[] = { "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssl/private", "/root" };
	struct landlock_wants *w = &f->p->wants;

	for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++)
		add(f, &w->secrets, &w->nsecrets, everywhere[i]);
	add(f, &w->secrets, &w->nsecrets, f->cfg->process->state_dir);
}

const struct paths *paths_find(struct config *cfg)
{
	struct paths *p = conf_alloc(&cfg->env, sizeof *p);
	struct finding f = { .cfg = cfg, .p = p, .named = names_folders(cfg->tree->first) };

	look(&f, cfg->tree->first);
	f.node = NULL;
	if (!f.links_off)
		anywhere(&f, "symbolic links are followed where no Options says otherwise, wherever they lead");
	add_secrets(&f);
	p->wants.everything = p->files.text != NULL;
	p->wants.any_port = p->ports.text != NULL;
	return p;
}

int paths_set(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	for (int i = 0; i < argc; i++) {
		bool word = !strcasecmp(argv[i], "auto") || !strcasecmp(argv[i], "off");

		if (word && argc > 1)
			return conf_fail(call, "write auto, off, roots, or folders", "%s stands alone", argv[i]);
		if (!word && strcasecmp(argv[i], "roots") && *argv[i] != '/')
			return conf_fail(call, "write auto, off, roots, or folders that begin with a slash", "\"%s\" is neither a word of it nor an absolute path", argv[i]);
	}
	return 0;
}

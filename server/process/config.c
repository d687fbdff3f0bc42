/*
 * config.c - the one hub that knows every room's directive table: reads a configuration into one object. Runs in the
 * master, in checking jobs and on the command line; touches no socket and starts nothing.
 */
#include "process/config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "auth/authn.h"
#include "auth/compat.h"
#include "base/version.h"
#include "conn/conn.h"
#include "filter/coding.h"
#include "handler/asis.h"
#include "handler/autoindex.h"
#include "handler/info.h"
#include "handler/proxyapp.h"
#include "handler/status.h"
#include "handler/cgi.h"
#include "process/absent.h"
#include "process/settings.h"
#include "request/access.h"
#include "request/actions.h"
#include "request/core.h"
#include "request/env.h"
#include "request/expires.h"
#include "request/filter.h"
#include "request/headers.h"
#include "request/map.h"
#include "request/methods.h"
#include "request/mime.h"
#include "request/negotiate.h"
#include "request/proxy.h"
#include "request/remoteip.h"
#include "request/rewrite.h"
#include "request/speling.h"
#include "request/userdir.h"
#include "request/variables.h"
#include "request/vhostalias.h"
#include "request/walk.h"
#include "ssi/ssi.h"
#include "tls/policy.h"

/* In the order of -M. */
struct conf_module *const config_modules[] = {
	&core_module,
	&process_module,
	&conn_module,
	&h2_module,
	&log_module,
	&tls_module,
	&authz_core_module,
	&authn_module,
	&access_compat_module,
	&alias_module,
	&dir_module,
	&mime_module,
	&negotiation_module,
	&rewrite_module,
	&headers_module,
	&env_module,
	&setenvif_module,
	&userdir_module,
	&vhost_alias_module,
	&speling_module,
	&remoteip_module,
	&autoindex_module,
	&status_module,
	&info_module,
	&filter_module,
	&deflate_module,
	&brotli_module,
	&zstd_module,
	&expires_module,
	&allowmethods_module,
	&cgi_module,
	&asis_module,
	&ssi_module,
	&proxy_module,
	&proxy_fcgi_module,
	&actions_module,
	&harmless_module,
	NULL
};

/* Memory that ran out while reading: back to config_read, which gives everything back. */
struct guarded {
	struct config cfg;              /* first: what others see */
	jmp_buf no_memory;
	bool reading;                   /* no_memory leads somewhere */
};

_Noreturn static void no_memory(struct guarded *g)
{
	static const char text[] = "bulkhead: out of memory while the configuration was made ready\n";

	if (g->reading)
		longjmp(g->no_memory, 1);
	if (write(2, text, sizeof text - 1) < 0)
		_exit(70);
	_exit(71);
}

/* ------------------------------------------------------------------------------------------------ surroundings of conf/ */

static void *env_alloc(void *ctx, size_t n)
{
	struct guarded *g = ctx;
	void *p = arena_zalloc(g->cfg.arena, n);

	if (!p)
		no_memory(g);
	return p;
}

static int env_open(void *ctx, const char *path)
{
	(void)ctx;
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);        /* nothing that is included may hold the start up */
}

static void env_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	struct config *cfg = ctx;
	struct config_report *r = env_alloc(ctx, sizeof *r), **link = &cfg->reports;

	r->severity = severity;
	r->pos = pos ? *pos : (struct conf_pos){ 0 };
	r->sentence = arena_strdup(cfg->arena, sentence);
	r->remedy = remedy && *remedy ? arena_strdup(cfg->arena, remedy) : NULL;
	if (!r->sentence || (remedy && *remedy && !r->remedy))
		no_memory(ctx);
	while (*link)
		link = &(*link)->next;
	*link = r;
	*(severity == CONF_ERROR ? &cfg->errors : severity == CONF_WARNING ? &cfg->warnings : &cfg->notices) += 1;
}

static bool env_left_out(void *ctx, const char *module, const char *name, const char *args, const struct conf_pos *pos)
{
	struct config *cfg = ctx;

	return settings_left_out(&cfg->env, module, name, args, pos);
}

static bool named(const char *list, const char *name)
{
	struct text rest = text_of(list), word;

	while (text_split(&rest, ' ', &word))
		if (text_is(word, name))
			return true;
	return false;
}

bool config_has_module(const char *name)
{
	for (struct conf_module *const *m = config_modules; *m; m++)
		if (!strcmp((*m)->name, name) || !strcmp((*m)->source, name) || ((*m)->aka && named((*m)->aka, name)))
			return true;
	return false;
}

static bool env_has_module(void *ctx, const char *name)
{
	(void)ctx;
	return config_has_module(name);
}

static bool env_has_directive(void *ctx, const char *name)
{
	(void)ctx;
	return conf_find(config_modules, name, NULL) != NULL;
}

static const char *env_unknown(void *ctx, const char *name)
{
	(void)ctx;
	return absent_remedy(name);
}

void config_report_add(struct config *cfg, enum conf_severity severity, const struct conf_pos *pos, const char *remedy, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	env_report(cfg, severity, pos, text, remedy);
}

/* ------------------------------------------------------------------------------------------------ reading */

static void add_define(struct conf_env *env, const char *word)
{
	struct conf_define *d = conf_alloc(env, sizeof *d);

	d->name = conf_strdup(env, word);       /* "-D A=1" defines a name with an equals sign, as in Apache */
	d->next = env->defines;
	env->defines = d;
}

/* The arguments of all -C, or all -c: a text of so many lines, so that a section may span several. */
static void read_lines(struct config *cfg, struct conf_tree *into, const char *const *lines, const char *option)
{
	const char *text = "";

	for (; lines && *lines; lines++)
		text = conf_printf(&cfg->env, "%s%s\n", text, *lines);
	if (*text)
		conf_join(into, conf_read_text(text, option, &cfg->env));
}

static void read_tree(struct config *cfg, const struct config_source *src)
{
	struct conf_tree *tree = conf_read_text("", "", &cfg->env);

	read_lines(cfg, tree, src->before, "-C");
	if (src->text)
		conf_join(tree, conf_read_text(src->text, cfg->file, &cfg->env));
	else
		conf_join(tree, conf_read(cfg->file, &cfg->env));
	read_lines(cfg, tree, src->after, "-c");
	cfg->tree = tree;
	cfg->root = cfg->env.root;
}

static void enable_tls(struct host *h)
{
	void *policy = host_config(h, &tls_module);

	if (!tls_policy_decided(policy) && tls_policy_has_certificate(policy))
		tls_policy_enable(policy);
}

/* "Listen 443 https" turns TLS on for its hosts that have a certificate and say nothing of SSLEngine, as in Apache. */
static void enable_by_listen(struct config *cfg)
{
	for (unsigned i = 0; i < cfg->process->nlistens; i++) {
		const struct config_listen *l = &cfg->process->listens[i];

		if (!l->https)
			continue;
		for (struct host *h = cfg->site->hosts; h; h = h->next)
			for (unsigned k = 0; k < h->naddrs; k++)
				if (host_addr_meets(&h->addrs[k], &l->addr))
					enable_tls(h);
		/* The text of a line is its own: all of them are of this one. */
		if (!cfg->site->hosts && cfg->process->listens[0].text == l->text && cfg->process->listens[cfg->process->nlistens - 1].text == l->text)
			enable_tls(cfg->site->main);
	}
}

static void apply(struct config *cfg)
{
	cfg->site = site_new(cfg->arena, config_modules, &cfg->env);
	cfg->site->tree = cfg->tree;
	struct reading reading = { .site = cfg->site, .host = cfg->site->main, .arena = cfg->arena };
	struct conf_target target = { .host = cfg->site->main->config, .section = cfg->site->main->section, .owner = &reading };

	log_targets_use(&cfg->targets, cfg->arena);
	log_names_use(&variables_names);
	log_modules_use(absent_known);
	conf_apply(cfg->tree->first, config_modules, CONF_SERVER, &target, &cfg->env);
	/* After a fault the rest would be judged by half a configuration. */
	if (!cfg->errors)
		site_finish(cfg->site, &cfg->env);
	cfg->process = host_config(cfg->site->main, &process_module);
	if (!cfg->errors)
		enable_by_listen(cfg);
	settings_finish(cfg);
}

static const char *main_file(struct config *cfg, const struct config_source *src)
{
	if (src->text)
		return conf_strdup(&cfg->env, src->file ? src->file : "built-in configuration");
	if (!src->file)
		return conf_path(&cfg->env, src->root ? "conf/bulkhead.conf" : BULKHEAD_SYSCONFDIR "/bulkhead.conf");
	return conf_path(&cfg->env, src->file);
}

struct config *config_read(const struct config_source *src)
{
	struct arena *arena = arena_new(65536);
	struct guarded *g = arena ? arena_zalloc(arena, sizeof *g) : NULL;

	if (!g || setjmp(g->no_memory)) {
		arena_free(arena);
		return NULL;
	}
	g->reading = true;
	struct config *cfg = &g->cfg;
	cfg->arena = arena;
	cfg->env = (struct conf_env){
		.ctx = g, .report = env_report, .has_module = env_has_module, .left_out = env_left_out, .has_directive = env_has_directive, .alloc = env_alloc,
		.open = env_open, .unknown = env_unknown, .root = src->root ? src->root : BULKHEAD_SYSCONFDIR,
		.version = BULKHEAD_APACHE, .dump_includes = src->dump_includes,
	};
	ssi_register();
	conf_modules_number(config_modules);
	for (const char *const *d = src->defines; d && *d; d++)
		add_define(&cfg->env, *d);
	cfg->file = main_file(cfg, src);
	read_tree(cfg, src);
	apply(cfg);
	g->reading = false;
	return cfg;
}

static bool same_nodes(const struct conf_node *a, const struct conf_node *b, struct conf_pos *where)
{
	for (; a && b; a = a->next, b = b->next) {
		if (a->section != b->section || strcmp(a->name, b->name) != 0 || strcmp(a->args, b->args) != 0)
			break;
		if (!same_nodes(a->child, b->child, where))
			return false;
	}
	if (a || b)
		*where = b ? b->pos : a->pos;
	return !a && !b;
}

bool config_same_text(const struct config *a, const struct config *b, struct conf_pos *where)
{
	return same_nodes(a->tree->first, b->tree->first, where);
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	if (cfg->site)
		for (struct host *h = cfg->site->main; h; h = h == cfg->site->main ? cfg->site->hosts : h->next)
			tls_policy_free(host_config(h, &tls_module));
	log_targets_close(&cfg->targets);
	arena_free(cfg->arena);
}

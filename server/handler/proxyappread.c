/*
 * proxyappread.c - the directives of FastCGI servers behind, and the variables that they shape. The directives are read by the
 * master and for per-directory files; the variables are made in the children.
 */
#include "handler/proxyapp.h"

#include <string.h>
#include <strings.h>

#include "handler/cgienv.h"
#include "request/env.h"
#include "request/variables.h"

enum { TYPE_UNSET, TYPE_FPM, TYPE_GENERIC };

/* ProxyFCGISetEnvIf CONDITION [!]NAME [VALUE] */
struct rule {
	const struct expr *condition, *value;   /* value NULL: the variable goes away */
	const char *name;
	const struct rule *next;
};

struct app_section {
	int type;
	int redirects;                  /* ProxySCGIInternalRedirect */
	const struct rule *rules;
};

bool proxyapp_leads_on(const struct request *r, const char *scheme)
{
	const struct app_section *s = request_config(r, &proxy_fcgi_module);

	return strcmp(scheme, "scgi") != 0 || s->redirects != 0;
}

/* The file alone where what stands behind it is known: it has a variable of its own. NULL on ENOMEM. */
static const char *without_info(struct request *r, const char *path)
{
	size_t n = strlen(path), info = r->path_info ? strlen(r->path_info) : 0;

	if (!r->found || !info || info >= n || strcmp(path + n - info, r->path_info) != 0)
		return path;
	return arena_strndup(r->arena, path, n - info);
}

int proxyapp_variables(struct request *r, const char *scheme, const char *authority, const char *path, struct fields *out)
{
	const struct app_section *s = request_config(r, &proxy_fcgi_module);
	bool fcgi = strcmp(scheme, "fcgi") == 0;
	const char *file = path = without_info(r, path);

	env_for_programs(r);
	if (!path || cgienv_fill(r, out) < 0)
		return -1;
	/* php-fpm knows Apache by this form, and then takes file and PATH_INFO apart itself. */
	if (fcgi && s->type != TYPE_GENERIC && !(file = arena_printf(r->arena, "proxy:fcgi://%s%s%s", authority, *path == '/' ? "" : "/", path)))
		return -1;
	if (fcgi && (fields_remove(out, "SCRIPT_FILENAME"), fields_add(out, TEXT("SCRIPT_FILENAME"), text_of(file))) < 0)
		return -1;
	for (const struct rule *rule = fcgi ? s->rules : NULL; rule; rule = rule->next) {
		int holds = variables_true(r, rule->condition);
		const char *value;

		if (holds < 0)
			return -1;
		if (!holds)
			continue;
		fields_remove(out, rule->name);
		value = rule->value ? variables_string(r, rule->value) : NULL;
		if (rule->value && (!value || fields_add(out, text_of(rule->name), text_of(value)) < 0))
			return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_section(struct conf_env *env)
{
	struct app_section *s = conf_alloc(env, sizeof *s);

	s->redirects = CONF_UNSET;
	return s;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct app_section *b = base, *o = over;
	struct app_section *m = conf_alloc(env, sizeof *m);

	m->type = o->type ? o->type : b->type;
	m->redirects = o->redirects != CONF_UNSET ? o->redirects : b->redirects;
	m->rules = CONF_CHAIN(env, b->rules, o->rules);
	return m;
}

static int set_rule(struct conf_call *call, void *config, int argc, char **argv)
{
	struct app_section *s = config;
	struct rule *rule = conf_alloc(call->env, sizeof *rule);
	const struct rule **end = &s->rules;
	bool unset = argv[1][0] == '!';

	if (!argv[1][unset] || (unset && argc > 2))
		return conf_fail(call, "write a condition, a name and a value; or a condition and !NAME to take a variable away", "\"%s\" is no name here", argv[1]);
	rule->condition = variables_condition(call, argv[0]);
	rule->name = conf_strdup(call->env, argv[1] + unset);
	if (!unset)
		rule->value = variables_text(call, argc > 2 ? argv[2] : "");
	if (!rule->condition || (!unset && !rule->value))
		return -1;
	while (*end)
		end = (const struct rule **)(uintptr_t)&(*end)->next;
	*end = rule;
	return 0;
}

static const struct conf_choice types[] = { { "FPM", TYPE_FPM }, { "GENERIC", TYPE_GENERIC }, { NULL, 0 } };

#define PLACE .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .scope = CONF_OF_SECTION

static const struct conf_directive directives[] = {
	{ "ProxyFCGIBackendType", "what kind of FastCGI servers stand behind", "FPM", PLACE, .args = CONF_TAKE, .min = 1, .max = 1, .set = conf_set_choice,
	  .offset = offsetof(struct app_section, type), .extra = types },
	{ "ProxySCGIInternalRedirect", "whether a Location with a path, of an SCGI server, leads on inside this server", "On", .contexts = CONF_ANY, .scope = CONF_OF_SECTION,
	  .args = CONF_FLAG, .set = conf_set_flag, .offset = offsetof(struct app_section, redirects) },
	{ "ProxyFCGISetEnvIf", "variables for FastCGI servers behind, by a condition", NULL, PLACE, .args = CONF_TAKE, .min = 2, .max = 3, .set = set_rule },
	{ .name = NULL },
};

struct conf_module proxy_fcgi_module = {
	.name = "proxy_fcgi_module",
	.source = "mod_proxy_fcgi.c",
	.aka = "proxy_scgi_module mod_proxy_scgi.c proxy_uwsgi_module mod_proxy_uwsgi.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

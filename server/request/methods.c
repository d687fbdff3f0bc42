/*
 * methods.c - AllowMethods: a list of methods, all others are answered with 405. The setter runs where a configuration is read, the
 * check in the children. GET includes HEAD.
 */
#include "request/methods.h"

#include <string.h>
#include <strings.h>

#include "log/log.h"

struct methods_section {
	const char *names;              /* "GET,POST", as Allow has them; "" = reset; NULL = not said */
};

static int set_methods(struct conf_call *call, void *config, int argc, char **argv)
{
	struct methods_section *s = config;
	const char *names = "";

	if (argc == 1 && strcasecmp(argv[0], "reset") == 0) {
		s->names = "";
		return 0;
	}
	for (int i = 0; i < argc; i++) {
		if (strcasecmp(argv[i], "reset") == 0)
			return conf_fail(call, "write reset alone", "reset does not go with names of methods");
		if (!http_is_token(text_of(argv[i])))
			return conf_fail(call, "write names such as GET POST OPTIONS, or reset", "\"%s\" is no method", argv[i]);
		names = conf_printf(call->env, "%s%s%s%s", names, *names ? "," : "", argv[i], strcmp(argv[i], "GET") == 0 ? ",HEAD" : "");
	}
	s->names = names;
	return 0;
}

static void *create_section(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct methods_section));
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct methods_section *b = base, *o = over;
	struct methods_section *m = conf_alloc(env, sizeof(*m));

	m->names = o->names ? o->names : b->names;
	return m;
}

unsigned methods_check(struct request *r)
{
	const struct methods_section *s = request_config(r, &allowmethods_module);
	struct text rest = text_of(s ? s->names : NULL), one;

	if (!rest.n)
		return 0;
	while (text_split(&rest, ',', &one))
		if (text_eq(one, r->method))
			return 0;
	if (!r->quiet)
		log_infox(&r->client->about, LOG_AUTHZ, "BH0682", "%s answered with 405: AllowMethods takes %s alone there", r->path, s->names);
	r->refused = "AllowMethods does not name the method";
	fields_set(&r->always, "Allow", s->names);
	return 405;
}

static const struct conf_directive directives[] = {
	{ "AllowMethods", "the methods that are taken; reset: all", "reset", .contexts = CONF_SECTIONS, .scope = CONF_OF_SECTION,
	  .args = CONF_TAKE, .min = 1, .max = 0, .set = set_methods },
	{ .name = NULL },
};

struct conf_module allowmethods_module = {
	.name = "allowmethods_module", .source = "mod_allowmethods.c", .directives = directives, .create_section = create_section,
	.merge_section = merge_section,
};

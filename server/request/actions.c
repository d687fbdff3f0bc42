/*
 * actions.c - Action and Script: what the server has no handler for is led, by a redirect inside of it, to a program that
 * gets the path as its PATH_INFO. Read by the master, run in the children.
 */
#include "request/actions.h"

#include <string.h>
#include <strings.h>

#include "http/head.h"
#include "log/log.h"
#include "request/handler.h"
#include "request/mime.h"
#include "request/phases.h"

struct action {
	const char *name;               /* a type, a handler, or (method) a method */
	const char *script;             /* NULL: "none", there is none any more */
	bool method, virtual;           /* virtual: whether or not there is a file */
	const struct action *next;      /* said before */
};
struct actions { const struct action *first; };

static void *create_section(struct conf_env *env)
{
	return conf_alloc(env, sizeof(struct actions));
}

/* The inner ones are found first. */
static void append(struct conf_env *env, struct actions *to, const struct action *a)
{
	struct action *copy;

	if (!a)
		return;
	append(env, to, a->next);
	copy = conf_alloc(env, sizeof *copy);
	*copy = *a;
	copy->next = to->first;
	to->first = copy;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	struct actions *m = create_section(env);

	*m = *(const struct actions *)base;
	append(env, m, ((const struct actions *)over)->first);
	return m;
}

static int set_action(struct conf_call *call, void *config, int argc, char **argv)
{
	struct actions *s = config;
	struct action *a = conf_alloc(call->env, sizeof *a);

	a->method = strcasecmp(call->directive->name, "Script") == 0;
	a->name = conf_strdup(call->env, argv[0]);
	a->script = !a->method && strcasecmp(argv[1], "none") == 0 ? NULL : conf_strdup(call->env, argv[1]);
	if (a->script && *a->script != '/')
		return conf_fail(call, "write the URL path of a program, such as /cgi-bin/show", "\"%s\" is no path", argv[1]);
	if (a->method && http_method_find(text_of(argv[0])) == HTTP_OTHER)
		return conf_fail(call, "write GET, POST, PUT, DELETE or another registered method, in capitals", "\"%s\" is no method that is known here", argv[0]);
	if (argc > 2 && strcasecmp(argv[2], "virtual") != 0)
		return conf_fail(call, "write virtual, or nothing, behind the path", "\"%s\" is not known here", argv[2]);
	a->virtual = argc > 2;
	a->next = s->first;
	s->first = a;
	return 0;
}

#define LINE .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .args = CONF_TAKE, .scope = CONF_OF_SECTION, .set = set_action

static const struct conf_directive directives[] = {
	{ "Action", "the program that answers for files of a type or handler", NULL, LINE, .min = 2, .max = 3 },
	{ "Script", "the program that answers requests with a method that nothing else answers", NULL, .contexts = CONF_ANY,
	  .args = CONF_TAKE, .scope = CONF_OF_SECTION, .set = set_action, .min = 2, .max = 2 },
	{ .name = NULL },
};

struct conf_module actions_module = {
	.name = "actions_module",
	.source = "mod_actions.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

/* A type counts without its parameters. */
static bool is_named(const char *what, const char *name)
{
	size_t n = what ? strcspn(what, "; ") : 0;

	return n && strlen(name) == n && strncasecmp(what, name, n) == 0;
}

/* HEAD is a GET; a GET is meant only where it asks something. */
static bool is_method(const struct request *r, const char *method)
{
	bool get = r->method_id == HTTP_GET || r->method_id == HTTP_HEAD;

	return get ? r->query && strcmp(method, "GET") == 0 : text_is(r->method, method);
}

const struct action *actions_find(const struct request *r)
{
	const struct actions *s = request_config(r, &actions_module);
	const char *handler = mime_handler_name(r);

	if (!s->first || (r->handler && r->handler != handler_find("default-handler")))
		return NULL;
	for (const struct action *a = s->first; a; a = a->next)
		if (a->method && is_method(r, a->name))
			return a;
	for (const struct action *a = s->first; a; a = a->next)
		if (!a->method && is_named(handler ? handler : r->type, a->name))
			return a->script ? a : NULL;
	return NULL;
}

unsigned actions_run(struct request *r, const struct action *a)
{
	const char *path;

	if (!a->method && !a->virtual && !r->found) {
		log_infox(&r->client->about, LOG_CGI, "BH0674", "file does not exist: %s; the Action for %s answers for files that do, unless it is virtual",
			  r->filename ? r->filename : r->path, a->name);
		return 404;
	}
	path = arena_join(r->arena, a->script, r->path);
	if (!path || (!a->method && fields_set(&r->env, "HANDLER", a->name) < 0))
		return 503;
	phases_redirect(r, path, 0);
	return PHASE_ANSWERED;
}

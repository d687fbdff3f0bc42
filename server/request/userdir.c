/*
 * userdir.c - /~name/ leads to a folder of that user: mod_userdir. Read in the master, run in the children.
 *
 * A folder below a home needs the account's home: it is looked up in /etc/passwd, line by line. Other name services
 * (LDAP, NIS) are not asked, since their answers may take long and need sockets that a child must not have; there an absolute
 * pattern ("/home/" followed by a star and "/www") does without a look-up.
 */
#include "request/userdir.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "http/uri.h"
#include "request/phases.h"
#include "request/response.h"

#define NAME_MOST 255                   /* of a user's name */
#define ACCOUNTS "/etc/passwd"

enum enabled { EVERYONE_UNSET = -1, EVERYONE_OFF, EVERYONE_ON };

struct names { const char **at; unsigned n; };

struct userdir_host {
	const char **patterns;          /* in order; ended by NULL; NULL = no UserDir names a place */
	enum enabled everyone;          /* "disabled" alone, or "enabled" alone */
	struct names on, off;           /* the names behind "enabled" and "disabled" */
};

/* ------------------------------------------------------------------------------------------------ requests */

static bool holds(const struct names *l, const char *name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (strcmp(l->at[i], name) == 0)
			return true;
	return false;
}

static bool counts_for(const struct userdir_host *h, const char *name)
{
	if (holds(&h->off, name))
		return false;
	return h->everyone != EVERYONE_OFF || holds(&h->on, name);
}

/* The home of a local account; NULL = there is no such account, or no memory. */
static const char *home_of(struct arena *a, const char *name)
{
	FILE *f = fopen(ACCOUNTS, "re");
	const char *home = NULL;
	struct passwd pw, *found;
	char text[1024];

	while (f && !home && fgetpwent_r(f, &pw, text, sizeof(text), &found) == 0)
		if (strcmp(pw.pw_name, name) == 0 && pw.pw_dir[0] == '/')
			home = arena_strdup(a, pw.pw_dir);
	if (f)
		fclose(f);
	return home;
}

/* What a pattern comes to for a name: a folder or an address, without the rest of the path. NULL = none. */
static const char *place_of(struct arena *a, const char *pattern, const char *name)
{
	const char *star = strchr(pattern, '*'), *home;

	if (star)
		return arena_printf(a, "%.*s%s%s", (int)(star - pattern), pattern, name, star + 1);
	if (*pattern == '/' || strstr(pattern, "://"))
		return arena_printf(a, "%s%s%s", pattern, pattern[strlen(pattern) - 1] == '/' ? "" : "/", name);
	home = home_of(a, name);
	return home ? arena_printf(a, "%s/%s", home, pattern) : NULL;
}

static unsigned redirect_to(struct request *r, const char *place, const char *rest)
{
	const char *tail = uri_escape_path(r->arena, rest);
	const char *where = tail ? arena_printf(r->arena, "%s%s%s%s", place, tail, r->query ? "?" : "", r->query ? r->query : "") : NULL;

	if (!where)
		return 503;
	response_redirect(r, 302, where);
	return PHASE_ANSWERED;
}

static bool is_there(const char *place)
{
	struct stat st;

	return stat(place, &st) == 0;
}

unsigned userdir_run(struct request *r)
{
	const struct userdir_host *h = host_config(r->host, &userdir_module);
	const char *rest, *name;
	size_t n;

	if (!h->patterns || r->path[0] != '/' || r->path[1] != '~')
		return 0;
	n = strcspn(r->path + 2, "/");
	rest = r->path + 2 + n;
	if (n == 0 || n > NAME_MOST || r->path[2] == '.')       /* "." and "..", which are no names, among them */
		return 0;
	name = arena_strndup(r->arena, r->path + 2, n);
	if (!name)
		return 503;
	if (!counts_for(h, name))
		return 0;
	for (const char *const *p = h->patterns; *p; p++) {
		const char *place = place_of(r->arena, *p, name);

		if (!place)
			continue;
		if (strstr(*p, "://"))
			return redirect_to(r, place, rest);
		if (p[1] && !is_there(place))   /* the last one counts even so: a 404 names it in the log */
			continue;
		r->filename = arena_join(r->arena, place, rest);
		return r->filename ? 0 : 503;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_host(struct conf_env *env)
{
	struct userdir_host *h = conf_alloc(env, sizeof(*h));

	h->everyone = EVERYONE_UNSET;
	return h;
}

static struct names joined(struct conf_env *env, const struct names *a, char *const *more, unsigned n)
{
	struct names l = { conf_alloc(env, (a->n + n + 1) * sizeof(*l.at)), 0 };

	for (unsigned i = 0; i < a->n; i++)
		l.at[l.n++] = a->at[i];
	for (unsigned i = 0; i < n; i++)
		l.at[l.n++] = conf_strdup(env, more[i]);
	return l;
}

static struct names both(struct conf_env *env, const struct names *a, const struct names *b)
{
	return joined(env, a, (char *const *)(uintptr_t)b->at, b->n);
}

/* Names that the main server disables stay so in its hosts. */
static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	const struct userdir_host *b = base, *o = over;
	struct userdir_host *m = conf_alloc(env, sizeof(*m));

	m->patterns = o->patterns ? o->patterns : b->patterns;
	m->everyone = o->everyone != EVERYONE_UNSET ? o->everyone : b->everyone;
	m->on = both(env, &b->on, &o->on);
	m->off = both(env, &b->off, &o->off);
	return m;
}

static int set_patterns(struct conf_call *call, struct userdir_host *h, int argc, char **argv)
{
	h->patterns = conf_alloc(call->env, ((size_t)argc + 1) * sizeof(*h->patterns));
	for (int i = 0; i < argc; i++) {
		const char *star = strchr(argv[i], '*');

		if (star && argv[i][0] != '/' && !strstr(argv[i], "://"))
			return conf_fail(call, "write /home/*/public_html, or the name of a folder below the home such as public_html",
					 "\"%s\" has a star, and is neither an absolute path nor an address", argv[i]);
		if (star && strchr(star + 1, '*'))
			return conf_fail(call, "write one star, where the user's name goes", "\"%s\" has two stars", argv[i]);
		h->patterns[i] = conf_strdup(call->env, argv[i]);
	}
	return 0;
}

static int set_userdir(struct conf_call *call, void *config, int argc, char **argv)
{
	struct userdir_host *h = config;
	bool on = text_is_nocase(text_of(argv[0]), "enabled"), off = text_is_nocase(text_of(argv[0]), "disabled");
	struct names *l = on ? &h->on : &h->off;

	if (!on && !off)
		return set_patterns(call, h, argc, argv);
	if (argc == 1)
		h->everyone = on ? EVERYONE_ON : EVERYONE_OFF;
	else
		*l = joined(call->env, l, argv + 1, (unsigned)argc - 1);
	return 0;
}

static const struct conf_directive directives[] = {
	{ "UserDir", "the folders that /~name/ leads to, and for whom", NULL, .contexts = CONF_RSRC, .args = CONF_TAKE, .min = 1,
	  .scope = CONF_OF_HOST, .set = set_userdir },
	{ .name = NULL },
};

struct conf_module userdir_module = {
	.name = "userdir_module",
	.source = "mod_userdir.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
};

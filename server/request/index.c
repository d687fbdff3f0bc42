/*
 * index.c - mod_dir, in the children: the slash behind a folder's name, its index file, FallbackResource. Runs when access,
 * type and handler of the folder itself are decided.
 */
#include "request/walk.h"

#include <string.h>

#include "http/uri.h"
#include "log/log.h"
#include "request/core.h"
#include "request/handler.h"
#include "request/host.h"
#include "request/phases.h"
#include "request/response.h"
#include "request/speling.h"

struct dir_section {
	const char **index;             /* DirectoryIndex; ended by NULL; empty: disabled; NULL = unset */
	unsigned nindex;
	int slash, check_handler;       /* -1 = unset */
	int index_redirect;             /* status; 0 = off, -1 = unset */
	const char *fallback;           /* FallbackResource: from the root on, or as written; "" = disabled, NULL = unset */
};

static unsigned add_slash(struct request *r)
{
	const char *path = uri_escape_path(r->arena, r->path), *where;

	where = path ? arena_printf(r->arena, "%s/%s%s", path, r->query ? "?" : "", r->query ? r->query : "") : NULL;
	if (!where)
		return 503;
	response_redirect(r, 301, where);
	return PHASE_ANSWERED;
}

/* What the look-ups for an index came to. */
struct search {
	unsigned names;                 /* how many there are */
	unsigned refused;               /* the last status that was neither success nor 404; 0 = none */
};

/* Whether what was looked up can answer in the folder's place. */
static bool answers(const struct request *sub, unsigned status)
{
	return sub && status == 0 && sub->found && S_ISREG(sub->st.st_mode);
}

static unsigned redirect_to_index(struct request *r, unsigned status, const char *path)
{
	path = uri_escape_path(r->arena, path);         /* without the query, as Apache */
	if (!path)
		return 503;
	response_redirect(r, status, path);
	return PHASE_ANSWERED;
}

/* What a look-up was refused with is the folder's answer where no other name could change it. 0: try the next. */
static unsigned refused(struct request *r, struct search *s, struct request *sub, unsigned status)
{
	if (status == PHASE_WAIT)
		return status;
	if (sub && status >= 300 && status < 400 && fields_get(&sub->out, "Location").p) {
		struct text where = fields_get(&sub->out, "Location");
		const char *location = arena_strndup(r->arena, where.p, where.n);
		if (!location)
			return 503;
		response_redirect(r, status, location);
		return PHASE_ANSWERED;
	}
	if (sub && s->names == 1 && (status == 401 || status == 406)) {
		for (unsigned i = 0; i < sub->always.n; i++)
			fields_add(&r->always, sub->always.at[i].name, sub->always.at[i].value);
		r->refused = sub->refused;
		return status;
	}
	if (status && status != 404) {
		s->refused = status;
		r->refused = sub ? sub->refused : NULL;
	}
	return 0;
}

/* One name of DirectoryIndex. PHASE_ANSWERED, a status, PHASE_WAIT; 0: r is that file now (*done), or it is not there. */
static unsigned try_index(struct request *r, const struct dir_section *d, const char *name, struct search *s, bool *done)
{
	const char *path = *name == '/' ? name : arena_printf(r->arena, "%s%s", r->path, name);
	struct request *sub;
	unsigned status;

	if (!path)
		return 503;
	if (strcmp(r->path, path) == 0)
		return 0;
	sub = phases_lookup(r, path, r->query, LOOKUP_INDEX, &status);
	if (!answers(sub, status)) {
		if (sub)
			request_close(sub);
		return refused(r, s, sub, status);
	}
	if (d->index_redirect > 0)
		return redirect_to_index(r, (unsigned)d->index_redirect, sub->path);
	phases_adopt(r, sub);
	*done = true;
	return 0;
}

static unsigned no_index(struct request *r, const struct dir_section *d)
{
	static const char *const none[] = { "index.html", NULL };
	const char *const *names = d->index ? (const char *const *)d->index : none;
	char buf[256];
	struct buf b;

	buf_init(&b, buf, sizeof(buf));
	for (; *names; names++)
		buf_printf(&b, "%s%s", b.n ? "," : "", *names);
	log_errorx(&r->client->about, LOG_DIR, "BH0427", "%s cannot be shown: it holds no index file (%s), and Options has no "
		   "Indexes", r->filename, b.n ? buf : "none is configured");
	r->refused = "no index file";
	return 403;
}

/* One without a slash at its beginning is meant from the folder of the path that was asked for, as in Apache. NULL: it leads nowhere. */
static const char *fallback_path(struct request *r, const char *fallback)
{
	const char *slash = strrchr(r->path, '/');
	char *folder, *whole, *path = NULL;

	if (*fallback == '/')
		return fallback;
	if (r->parent || !slash)                /* a path that was itself made so: it would go on without end */
		return NULL;
	folder = arena_strndup(r->arena, r->path, (size_t)(slash - r->path) + 1);
	folder = folder ? uri_escape_path(r->arena, folder) : NULL;
	whole = folder ? arena_join(r->arena, folder, fallback) : NULL;
	return whole && uri_normalize(r->arena, text_of(whole), 0, &path) == URI_OK ? path : NULL;
}

/* FallbackResource: for what is not there, and for a folder that has none of the index files that it might have. It counts only as a file. PHASE_WAIT, or 0. */
static unsigned fall_back(struct request *r, const struct dir_section *d, bool *done)
{
	const char *path = d->fallback && *d->fallback ? fallback_path(r, d->fallback) : NULL;
	struct request *sub;
	unsigned status;

	if (!path || strcmp(path, r->path) == 0)
		return 0;
	sub = phases_lookup(r, path, r->query, 0, &status);
	if (answers(sub, status)) {
		phases_adopt(r, sub);
		*done = true;
	} else if (sub) {
		request_close(sub);
	}
	return status == PHASE_WAIT ? status : 0;
}

static bool reads(const struct request *r)
{
	return r->method_id == HTTP_GET || r->method_id == HTTP_HEAD;
}

/* A folder asked for by its name with the slash. */
static unsigned walk_folder(struct request *r, const struct dir_section *d, bool own)
{
	static const char *const standard[] = { "index.html", NULL };
	const char *const *names = d->index ? (const char *const *)d->index : standard;
	struct search s = { 0 };
	unsigned status = 0;
	bool done = false;

	while (names[s.names])
		s.names++;
	for (; *names && !status && !done; names++)     /* whatever the method: a program behind it may know more than GET */
		status = try_index(r, d, *names, &s, &done);
	if (!status && !done && !own && s.names)
		status = fall_back(r, d, &done);
	if (status || done || own)
		return status;
	if (s.refused)
		return s.refused;
	if (!reads(r))
		return 0;                       /* the default handler says what may be asked for */
	if (core_options(core_section_of(r)) & CORE_OPT_INDEXES)
		r->handler = handler_find("httpd/unix-directory");
	return r->handler ? 0 : no_index(r, d);
}

bool walk_adds_slash(const struct request *r)
{
	const struct dir_section *d = request_config(r, &dir_module);
	size_t n = strlen(r->path);

	return r->found && S_ISDIR(r->st.st_mode) && !r->path_info && (n == 0 || r->path[n - 1] != '/') && d->slash != 0;
}

unsigned walk_index(struct request *r)
{
	const struct dir_section *d = request_config(r, &dir_module);
	bool own = r->handler && strcmp(r->handler->name, "default-handler") != 0, done = false;
	size_t n;

	if (!r->found && !own) {
		unsigned status = speling_run(r);
		if (!status)
			status = fall_back(r, d, &done);
		return status;
	}
	if (!r->found || !S_ISDIR(r->st.st_mode) || r->path_info)
		return 0;
	if (walk_adds_slash(r))
		return add_slash(r);
	n = strlen(r->path);
	if (n == 0 || r->path[n - 1] != '/')
		return own ? 0 : no_index(r, d);
	return own && d->check_handler == 1 ? 0 : walk_folder(r, d, own);
}

/* ------------------------------------------------------------------------------------------------ directives */

static void *create_section(struct conf_env *env)
{
	struct dir_section *d = conf_alloc(env, sizeof(*d));

	d->slash = d->check_handler = d->index_redirect = CONF_UNSET;
	return d;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct dir_section *b = base, *o = over;
	struct dir_section *m = conf_alloc(env, sizeof(*m));

	*m = *(o->index ? o : b);
	m->slash = o->slash != CONF_UNSET ? o->slash : b->slash;
	m->check_handler = o->check_handler != CONF_UNSET ? o->check_handler : b->check_handler;
	m->index_redirect = o->index_redirect != CONF_UNSET ? o->index_redirect : b->index_redirect;
	m->fallback = o->fallback ? o->fallback : b->fallback;
	return m;
}

/*
 * A path from the root as the configuration names it, in the normal form that sections know; NULL after a report. A query
 * is cut off.
 */
static const char *normal_path(struct conf_call *call, const char *path)
{
	struct reading *reading = call->target->owner;
	const char *mark = strchr(path, '?');
	char *normal = NULL;

	if (uri_normalize(reading->arena, (struct text){ path, mark ? (size_t)(mark - path) : strlen(path) }, 0, &normal) != URI_OK || !normal) {
		conf_fail(call, "write a path from the root on, such as /index.html, or the name of a file below the folder",
			  "\"%s\" holds a bad %%-escape, or leads above the root or the folder", path);
		return NULL;
	}
	if (mark)
		conf_note(call, NULL, "the query in \"%s\" is left out: what is found there gets the client's own", path);
	return normal;
}

static int set_index(struct conf_call *call, void *config, int argc, char **argv)
{
	struct dir_section *d = config;
	unsigned old = d->nindex, n = 0;
	const char **list;

	if (argc == 1 && text_is_nocase(text_of(argv[0]), "disabled")) {
		d->index = conf_alloc(call->env, sizeof(*d->index));
		d->nindex = 0;
		return 0;
	}
	list = conf_alloc(call->env, (old + (unsigned)argc + 1) * sizeof(*list));
	for (; n < old; n++)
		list[n] = d->index[n];
	for (int i = 0; i < argc; i++) {
		bool absolute = argv[i][0] == '/';
		const char *path = normal_path(call, absolute ? argv[i] : conf_printf(call->env, "/%s", argv[i]));

		if (!path)
			return -1;
		list[n++] = absolute ? path : path + 1;
	}
	d->index = list;
	d->nindex = n;
	return 0;
}

static int set_index_redirect(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct { const char *word; int status; } words[] = {
		{ "off", 0 }, { "on", 302 }, { "temp", 302 }, { "permanent", 301 }, { "seeother", 303 },
	};
	struct dir_section *d = config;
	uint64_t n;

	(void)argc;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (text_is_nocase(text_of(argv[0]), words[i].word)) {
			d->index_redirect = words[i].status;
			return 0;
		}
	}
	if (text_u64(text_of(argv[0]), 399, &n) < 0 || n < 300)
		return conf_fail(call, "use On, Off, permanent, temp, seeother or a number from 300 to 399", "\"%s\" is none of them", argv[0]);
	d->index_redirect = (int)n;
	return 0;
}

static int set_fallback(struct conf_call *call, void *config, int argc, char **argv)
{
	struct dir_section *d = config;

	(void)argc;
	if (text_is_nocase(text_of(argv[0]), "disabled")) {
		d->fallback = "";
		return 0;
	}
	if (argv[0][0] != '/') {
		d->fallback = conf_printf(call->env, "%.*s", (int)strcspn(argv[0], "?"), argv[0]);
		if (!*d->fallback)
			return conf_fail(call, "write a path from the root on, such as /index.html, or disabled", "\"%s\" is no name of a file", argv[0]);
		return 0;
	}
	d->fallback = normal_path(call, argv[0]);
	return d->fallback ? 0 : -1;
}

#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_INDEXES, .scope = CONF_OF_SECTION

static const struct conf_directive directives[] = {
	{ "DirectoryIndex", "the files looked for in a folder, in order", "index.html", EVERYWHERE, .args = CONF_TAKE, .min = 1,
	  .set = set_index },
	{ "DirectorySlash", "whether a folder's name without a slash is redirected", "On", EVERYWHERE, .args = CONF_FLAG,
	  .set = conf_set_flag, .offset = offsetof(struct dir_section, slash) },
	{ "DirectoryCheckHandler", "whether a handler of its own keeps a folder from its index", "Off", EVERYWHERE, .args = CONF_FLAG,
	  .set = conf_set_flag, .offset = offsetof(struct dir_section, check_handler) },
	{ "DirectoryIndexRedirect", "whether the index is redirected to", "Off", EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = set_index_redirect },
	{ "FallbackResource", "the path that answers for files that are not there", "disabled", EVERYWHERE, .args = CONF_TAKE, .min = 1,
	  .max = 1, .set = set_fallback },
	{ .name = NULL },
};

struct conf_module dir_module = {
	.name = "dir_module",
	.source = "mod_dir.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

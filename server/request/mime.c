/*
 * mime.c - what a file is, by the extensions of its name: mod_mime, and core's ForceType, SetHandler and AddDefaultCharset.
 * Runs in children, which look names up; the tables are mimeread.c's.
 *
 * Every extension counts by itself ("a.html.de.gz": type, language, coding); a later one wins where both give the same
 * thing. The first part of a name is never an extension. Case does not matter.
 *
 * What would run code and does not exist here denies the file (403): its source must not go out. Filters are filter.c's.
 * That of PHP and CGI programs stays in even where no line speaks of them: those that did may stand in an <IfModule> of
 * the module that ran them, which is not here.
 */
#include "request/mime.h"

#include <string.h>
#include <strings.h>

#include "http/head.h"
#include "log/log.h"
#include "request/filter.h"
#include "request/handler.h"
#include "request/variables.h"
#include "request/mimemap.h"
#include "request/mimetable.h"

/* Those that were given to pages with elements, before there were filters: the handler of such pages takes them. */
static bool type_is_page(const char *type)
{
	return strcasecmp(type, "text/x-server-parsed-html") == 0 || strcasecmp(type, "text/x-server-parsed-html3") == 0;
}

/* That of programs where nothing but their name tells them: not taken for what somebody wrote (type_handler). */
static const char program_of_name[] = "application/x-httpd-cgi";

/* The handler that a type has had since before there were handlers; NULL: none. */
static const struct handler *type_handler(const char *type)
{
	if (type && type_is_page(type))
		return handler_find("server-parsed");
	return type && type != program_of_name && strcasecmp(type, program_of_name) == 0 ? handler_find("cgi-script") : NULL;
}

/* Types, by name only, whose files are programs or hold code: they are never sent as they are. */
static bool type_is_code(const char *type)
{
	return strncasecmp(type, "application/x-httpd-", 20) == 0 || type_is_page(type);
}

/* The type of an extension, folded, that nothing gives one and that only programs have; NULL: none. */
static const char *program_type(const char *folded)
{
	static const struct { const char *ext, *type; } programs[] = {
		{ "php", "application/x-httpd-php" }, { "php3", "application/x-httpd-php" }, { "php4", "application/x-httpd-php" },
		{ "php5", "application/x-httpd-php" }, { "php7", "application/x-httpd-php" }, { "php8", "application/x-httpd-php" },
		{ "phtml", "application/x-httpd-php" }, { "pht", "application/x-httpd-php" }, { "phar", "application/x-httpd-php" },
		{ "phps", "application/x-httpd-php-source" }, { "cgi", program_of_name }, { "fcgi", program_of_name },
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (strcmp(folded, programs[i].ext) == 0)
			return programs[i].type;
	return NULL;
}

static unsigned deny(struct request *r, const struct code *c)
{
	log_errorx(&r->client->about, LOG_MIME, "BH0440",
		   "%s denied: the handler \"%s\" of %s:%u does not exist in this release, and the source is not sent instead",
		   r->path, c->name, c->pos.file ? c->pos.file : "the configuration", c->pos.line);
	r->refused = "its handler does not exist in this release";
	return 403;
}

static const char *join_list(struct request *r, const char *list, const char *between, const char *word)
{
	return list ? arena_printf(r->arena, "%s%s%s", list, between, word) : word;
}

struct found {
	const struct code *handler;
	bool failed;                    /* no memory */
};

/* Whether an extension means something to MultiviewsMatch. */
static bool is_matched(const struct mime_section *s, const struct ext *e)
{
	if (s->match & MATCH_ANY)
		return true;
	return e && (e->charset || e->encoding || e->language || (e->handler && s->match & MATCH_HANDLERS) || ((e->output || e->input) && s->match & MATCH_FILTERS));
}

/* Goes through the extensions of a file's name. */
static void by_name(struct request *r, const struct mime_section *s, const struct mimemap *types, struct found *f)
{
	const char *joined = s->path_info == 1 && r->path_info ? arena_join(r->arena, r->filename, r->path_info) : NULL;
	const char *whole = joined ? joined : r->filename, *slash = strrchr(whole, '/'), *name = slash ? slash + 1 : whole;
	struct text rest = text_of(name), part;
	char folded[MIME_EXTENSION + 1];
	uint32_t hash;

	while (rest.n && *rest.p == '.')
		rest = (struct text){ rest.p + 1, rest.n - 1 };
	text_split(&rest, '.', &part);  /* the base name */
	while (text_split(&rest, '.', &part)) {
		const struct ext *e = NULL;
		const char *type = NULL;

		if (mime_fold(part, folded, &hash)) {
			e = ext_find(s, folded, hash);
			type = e && (e->type || e->dropped & DROP_TYPE) ? e->type : mimemap_find(types, folded, hash);
			if (!type && !is_matched(s, e))
				r->unmatched = (size_t)(part.p - name);
			if (!type && !(e && e->dropped & DROP_TYPE))
				type = program_type(folded);
		} else {
			r->unmatched = (size_t)(part.p - name);
		}
		r->type = type ? type : r->type;
		if (e && e->type && e->type_charset)
			r->charset = e->type_charset;
		if (!e)
			continue;
		r->charset = e->charset ? e->charset : r->charset;
		if (e->language)
			r->language = join_list(r, r->language, ",", e->language);
		if (e->encoding)
			r->encoding = join_list(r, r->encoding, ", ", e->encoding);
		f->handler = e->handler && !e->handler->none ? e->handler : f->handler;
		r->named_filters = filter_names_join(r->arena, r->named_filters, e->output, &f->failed);
		r->named_input = filter_names_join(r->arena, r->named_input, e->input, &f->failed);
	}
}

/* SetHandler, where variables name it: *none where they say so. NULL: they have no answer, or no memory. */
static const struct code *handler_asked(struct request *r, const struct code *c, bool *none)
{
	const char *name = variables_string(r, c->expr);
	struct code *made = name ? arena_memdup(r->arena, c, sizeof *c) : NULL;
	char *folded = made ? arena_strdup(r->arena, name) : NULL;

	if (!folded)
		return NULL;
	for (char *p = folded; *p && strncmp(name, "proxy:unix", 10) != 0; p++)
		*p = (char)ascii_lower((unsigned char)*p);
	*none = strcmp(folded, "none") == 0;
	made->name = folded;
	made->handler = handler_find(folded);
	return made;
}

unsigned mime_run(struct request *r)
{
	const struct mime_section *s = request_config(r, &mime_module);
	const struct mime_host *h = host_config(r->host, &mime_module);
	bool directory = r->found && S_ISDIR(r->st.st_mode);
	const struct code *handler = s->handler;
	bool none = handler && handler->none;
	struct found f = { 0 };

	if (r->filename && !directory)
		by_name(r, s, h->types->map, &f);
	if (f.failed)
		return 503;
	if (handler && handler->expr && !(handler = handler_asked(r, handler, &none)))
		return 500;
	if (s->force_type && *s->force_type && !directory) {
		r->type = s->force_type;
		r->charset = s->force_charset;
	}
	if (handler && !none)
		f.handler = handler;
	if (!r->language && s->language && r->filename && !directory)
		r->language = s->language;
	r->type_handler = f.handler;
	if (f.handler && f.handler->handler)
		r->handler = f.handler->handler;
	else if (!f.handler && type_handler(r->type))
		r->handler = type_handler(r->type);
	return 0;
}

const char *mime_handler_name(const struct request *r)
{
	return r->type_handler ? r->type_handler->name : NULL;
}

bool mime_handler_trusted(const struct request *r)
{
	return r->type_handler && !r->type_handler->tenant && r->handler && r->type_handler->handler == r->handler;
}

unsigned mime_check(struct request *r)
{
	if (!r->found && r->parent)                     /* a name of DirectoryIndex that is not there keeps nothing back */
		return 0;
	if (r->type_handler && !r->type_handler->handler)
		return deny(r, r->type_handler);
	if (r->found && S_ISDIR(r->st.st_mode))         /* its index is looked at when it is found */
		return 0;
	if (!r->handler && !r->type_handler)            /* a rule's [T] */
		r->handler = type_handler(r->type);
	if (r->found && r->type && !r->handler && type_is_code(r->type)) {
		log_errorx(&r->client->about, LOG_MIME, "BH0441",
			   "%s denied: its type %s stands for a program, no handler runs it, and the source is not sent instead; "
			   "PHP runs in php-fpm: SetHandler \"proxy:unix:/run/php/php-fpm.sock|fcgi://localhost\"; CGI by ScriptAlias or AddHandler cgi-script; "
			   "ForceType text/plain in a <Files> section lets it be read as it is", r->path, r->type);
		r->refused = "its type stands for a program, and no handler runs it";
		return 403;
	}
	return 0;
}

const char *mime_type_of(const struct request *r, const char *name)
{
	const struct mime_section *s = request_config(r, &mime_module);
	const struct mime_host *h = host_config(r->host, &mime_module);
	const char *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
	char folded[MIME_EXTENSION + 1];
	const struct ext *e;
	uint32_t hash;

	if (!dot || (slash && dot < slash) || !mime_fold(text_of(dot + 1), folded, &hash))
		return NULL;
	e = ext_find(s, folded, hash);
	if (e && (e->type || e->dropped & DROP_TYPE))
		return e->type;
	return mimemap_find(h->types->map, folded, hash);
}

const char *mime_default_charset(const struct request *r, const char *type)
{
	const struct mime_section *s = r->section ? request_config(r, &mime_module) : NULL;

	if (!s || !s->default_charset || !*s->default_charset)
		return NULL;
	return strncasecmp(type, "text/plain", 10) == 0 || strncasecmp(type, "text/html", 9) == 0 ? s->default_charset : NULL;
}

/*
 * mimeread.c - the directives of mod_mime, and core's ForceType, SetHandler, AddDefaultCharset: what they come
 * to in tables by extension, and how sections merge. Runs wherever a configuration is read.
 */
#include "request/mime.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "request/filter.h"
#include "request/handler.h"
#include "request/proxy.h"
#include "request/variables.h"
#include "request/mimemap.h"
#include "request/mimetable.h"

/* ------------------------------------------------------------------------------------------------ table of extensions */

static void exts_grow(struct conf_env *env, struct mime_section *s, unsigned cap)
{
	struct ext *exts = conf_alloc(env, cap * sizeof(*exts));

	for (unsigned i = 0; i < s->cap; i++)
		if (s->exts[i].name)
			*ext_slot(exts, cap, s->exts[i].name, s->exts[i].hash) = s->exts[i];
	s->exts = exts;
	s->cap = cap;
}

/* The entry of an extension, made where there is none. `name` is folded and long-lived, or copied if `copy`. */
static struct ext *ext_make(struct conf_env *env, struct mime_section *s, const char *name, uint32_t hash, bool copy)
{
	struct ext *e;

	if ((s->n + 1) * 2 > s->cap)
		exts_grow(env, s, s->cap ? s->cap * 2 : 16);
	e = ext_slot(s->exts, s->cap, name, hash);
	if (!e->name) {
		e->name = copy ? conf_strdup(env, name) : name;
		e->hash = hash;
		s->n++;
	}
	return e;
}

static struct ext *ext_of_word(struct conf_call *call, struct mime_section *s, const char *word)
{
	char folded[MIME_EXTENSION + 1];
	uint32_t hash;

	if (!mime_fold(text_of(*word == '.' ? word + 1 : word), folded, &hash)) {
		conf_fail(call, "write an extension such as .html", "\"%s\" is no file name extension", word);
		return NULL;
	}
	return ext_make(call->env, s, folded, hash, true);
}

static void ext_drop(struct ext *e, unsigned dropped)
{
	if (dropped & DROP_TYPE)
		e->type = e->type_charset = NULL;
	if (dropped & DROP_CHARSET)
		e->charset = NULL;
	if (dropped & DROP_ENCODING)
		e->encoding = NULL;
	if (dropped & DROP_LANGUAGE)
		e->language = NULL;
	if (dropped & DROP_HANDLER)
		e->handler = NULL;
	if (dropped & DROP_OUTPUT)
		e->output = NULL;
	if (dropped & DROP_INPUT)
		e->input = NULL;
}

/* Behind each Add…: where the same section removes it, above or below, that is what counts, as in Apache. */
static int ext_added(struct ext *e)
{
	ext_drop(e, e->dropped);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ setters: types */

/* A value as Apache keeps it: in lower case. */
static char *lower(struct conf_call *call, const char *value)
{
	char *copy = conf_strdup(call->env, value);

	for (char *p = copy; *p; p++)
		*p = (char)ascii_lower((unsigned char)*p);
	return copy;
}

/* Splits "text/html; charset=utf-8" into the type and the charset; other parameters stay with the type. */
static int split_type(struct conf_call *call, const char *value, const char **type, const char **charset)
{
	char *copy = conf_strdup(call->env, value), *semi, *p;

	*charset = NULL;
	semi = strchr(copy, ';');
	if (!strchr(copy, '/') || !http_is_value(text_of(copy)))
		return conf_fail(call, "write type/subtype, for example text/html", "\"%s\" is no media type", value);
	if (semi) {
		for (p = semi + 1; *p == ' ' || *p == '\t'; p++)
			;
		if (text_starts(text_of(p), "charset=") && !strchr(p, ';')) {
			p += strlen("charset=");
			if (*p == '"' && p[1] && p[strlen(p) - 1] == '"') {
				p[strlen(p) - 1] = '\0';
				p++;
			}
			*charset = p;
			*semi = '\0';
			while (semi > copy && (semi[-1] == ' ' || semi[-1] == '\t'))
				*--semi = '\0';
		}
	}
	*type = copy;
	return 0;
}

static int set_add_type(struct conf_call *call, void *config, int argc, char **argv)
{
	const char *type, *charset;
	struct ext *e;

	(void)argc;
	if (split_type(call, lower(call, argv[0]), &type, &charset) < 0 || !(e = ext_of_word(call, config, argv[1])))
		return -1;
	e->type = type;
	e->type_charset = charset;
	return ext_added(e);
}

static int set_force_type(struct conf_call *call, void *config, int argc, char **argv)
{
	struct mime_section *s = config;

	(void)argc;
	if (text_is_nocase(text_of(argv[0]), "none")) {
		s->force_type = "";
		s->force_charset = NULL;
		return 0;
	}
	return split_type(call, argv[0], &s->force_type, &s->force_charset);
}

static int set_default_type(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	if (!text_is_nocase(text_of(argv[0]), "none"))
		conf_note(call, "use ForceType or AddType", "has no effect, as in Apache 2.4: files of an unknown type get none");
	return 0;
}

/* AddCharset, AddEncoding, AddLanguage: extra = the member's place in struct ext. */
static int set_add_word(struct conf_call *call, void *config, int argc, char **argv)
{
	struct ext *e = ext_of_word(call, config, argv[1]);
	const char *word = argv[0];

	(void)argc;
	if (!e)
		return -1;
	if (!http_is_token(text_of(word)))
		return conf_fail(call, NULL, "\"%s\" cannot stand in a header field", word);
	*(const char **)(void *)((char *)e + call->directive->low) = lower(call, word);
	return ext_added(e);
}

/* RemoveType and its kin: low = DROP_* bit. */
static int set_remove(struct conf_call *call, void *config, int argc, char **argv)
{
	struct ext *e = ext_of_word(call, config, argv[0]);

	(void)argc;
	if (!e)
		return -1;
	e->dropped |= (unsigned)call->directive->low;
	return ext_added(e);
}

static int set_default_charset(struct conf_call *call, void *config, int argc, char **argv)
{
	struct mime_section *s = config;

	(void)argc;
	if (text_is_nocase(text_of(argv[0]), "off"))
		s->default_charset = "";
	else if (text_is_nocase(text_of(argv[0]), "on"))
		s->default_charset = "iso-8859-1";
	else if (http_is_token(text_of(argv[0])))
		s->default_charset = conf_strdup(call->env, argv[0]);
	else
		return conf_fail(call, "write On, Off or a charset such as UTF-8", "\"%s\" is no charset", argv[0]);
	return 0;
}

static int set_types_config(struct conf_call *call, void *config, int argc, char **argv)
{
	struct mime_host *h = config;
	const char *path = conf_path(call->env, argv[0]);
	struct mimemap *m;

	(void)argc;
	m = mimemap_read(call->env, path);
	if (!m && errno == ENOENT)
		return conf_fail(call, "name a file of media types, such as /etc/mime.types (package media-types), or leave the "
				 "directive out: a list is built in", "%s does not exist", path);
	if (!m)
		return conf_fail(call, NULL, "%s cannot be read: %s", path, strerror(errno));
	if (mimemap_count(m) == 0)
		conf_warn(call, "each line holds a type and its extensions: text/html html htm", "%s names no file extension", path);
	h->types->map = m;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ setters: handlers, filters */

static struct code *code_new(struct conf_call *call, const char *name)
{
	struct code *c = conf_alloc(call->env, sizeof(*c));

	c->directive = call->directive->name;
	c->name = conf_strdup(call->env, name);
	c->pos = call->node->pos;
	c->tenant = (unsigned)call->context & CONF_HTACCESS;
	return c;
}

static const struct code *handler_code(struct conf_call *call, const char *name)
{
	struct code *c = code_new(call, name);

	c->none = text_is_nocase(text_of(name), "none");
	if (!c->none && !(c->handler = handler_find(name)))
		conf_note(call, NULL, "the handler \"%s\" does not exist in this release: what it is set for is denied with 403", name);
	if (strcmp(name, "server-status") == 0 && !((unsigned)call->context & CONF_HTACCESS))
		reading_of(call)->site->shows_status = true;
	return c;
}

static int set_handler(struct conf_call *call, void *config, int argc, char **argv)
{
	(void)argc;
	if (strncasecmp(argv[0], "proxy:", 6) == 0)
		proxy_needed(call);
	if (strpbrk(argv[0], "%$\\")) {
		struct code *c = code_new(call, argv[0]);
		((struct mime_section *)config)->handler = c;
		return (c->expr = variables_text(call, argv[0])) ? 0 : -1;
	}
	((struct mime_section *)config)->handler = handler_code(call, argv[0]);
	return 0;
}

static int set_add_handler(struct conf_call *call, void *config, int argc, char **argv)
{
	struct ext *e = ext_of_word(call, config, argv[1]);

	(void)argc;
	if (!e)
		return -1;
	e->handler = handler_code(call, lower(call, argv[0]));
	return ext_added(e);
}

/* AddOutputFilter, AddInputFilter (low: input): in place of what was said before for the extension. */
static int set_add_filter(struct conf_call *call, void *config, int argc, char **argv)
{
	struct ext *e = ext_of_word(call, config, argv[1]);
	bool input = call->directive->low;

	(void)argc;
	if (!e)
		return -1;
	*(input ? &e->input : &e->output) = filter_names_read(call, argv[0], input);
	return ext_added(e);
}

static int set_match(struct conf_call *call, void *config, int argc, char **argv)
{
	static const struct { const char *word; unsigned bit; } words[] = {
		{ "NegotiatedOnly", MATCH_NEGOTIATED }, { "Any", MATCH_ANY }, { "Handlers", MATCH_HANDLERS }, { "Filters", MATCH_FILTERS },
	};
	struct mime_section *s = config;

	s->match = 0;
	for (int i = 0; i < argc; i++) {
		unsigned bit = 0;

		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
			bit |= strcasecmp(argv[i], words[k].word) == 0 ? words[k].bit : 0;
		if (!bit || (argc > 1 && bit & (MATCH_ANY | MATCH_NEGOTIATED)))
			return conf_fail(call, "write NegotiatedOnly, Any, or Handlers and Filters", "\"%s\" is none of these, or stands not alone", argv[i]);
		s->match |= bit;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------ merging */

static void *create_host(struct conf_env *env)
{
	struct mime_host *h = conf_alloc(env, sizeof(*h));

	h->types = conf_alloc(env, sizeof(*h->types));
	return h;
}

static void *merge_host(struct conf_env *env, const void *base, const void *over)
{
	struct mime_host *m = conf_alloc(env, sizeof(*m));

	(void)over;
	*m = *(const struct mime_host *)base;
	return m;
}

/* Where no TypesConfig was given: /etc/mime.types, or the shipped list. */
static int finish_host(struct conf_env *env, void *config, const char *host_name)
{
	struct mime_host *h = config;

	(void)host_name;
	if (!h->types->map)
		h->types->map = mimemap_read(env, "/etc/mime.types");
	if (!h->types->map)
		h->types->map = mimemap_parse(env, text_of(mime_shipped));
	return 0;
}

static void *create_section(struct conf_env *env)
{
	struct mime_section *s = conf_alloc(env, sizeof(*s));

	s->path_info = CONF_UNSET;
	return s;
}

static void ext_inherit(struct ext *to, const struct ext *over)
{
	ext_drop(to, over->dropped);
	if (over->type) {
		to->type = over->type;
		to->type_charset = over->type_charset;
	}
	to->charset = over->charset ? over->charset : to->charset;
	to->encoding = over->encoding ? over->encoding : to->encoding;
	to->language = over->language ? over->language : to->language;
	to->handler = over->handler ? over->handler : to->handler;
	to->output = over->output ? over->output : to->output;
	to->input = over->input ? over->input : to->input;
	to->dropped |= over->dropped;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct mime_section *b = base, *o = over;
	struct mime_section *m = conf_alloc(env, sizeof(*m));

	*m = *b;
	if (o->n) {                     /* else both may share the table: nobody changes a merged one */
		m->exts = NULL;
		m->cap = m->n = 0;
		for (unsigned i = 0; i < b->cap; i++)
			if (b->exts[i].name)
				*ext_make(env, m, b->exts[i].name, b->exts[i].hash, false) = b->exts[i];
		for (unsigned i = 0; i < o->cap; i++)
			if (o->exts[i].name)
				ext_inherit(ext_make(env, m, o->exts[i].name, o->exts[i].hash, false), &o->exts[i]);
	}
	if (o->force_type) {
		m->force_type = o->force_type;
		m->force_charset = o->force_charset;
	}
	m->match = o->match ? o->match : b->match;
	m->path_info = o->path_info != CONF_UNSET ? o->path_info : b->path_info;
	m->language = o->language ? o->language : b->language;
	m->default_charset = o->default_charset ? o->default_charset : b->default_charset;
	m->handler = o->handler ? o->handler : b->handler;
	return m;
}

/* ------------------------------------------------------------------------------------------------ directives */

#define EVERYWHERE .contexts = CONF_ALL, .override = CONF_OR_FILEINFO, .scope = CONF_OF_SECTION
#define NOTICE(why) .args = CONF_TAKE, .min = 1, .set = conf_set_notice, .extra = (why)

static const char no_magic[] = "types are told by the name of a file alone";

static const struct conf_directive directives[] = {
	{ "TypesConfig", "the file of media types", "/etc/mime.types", .contexts = CONF_SERVER, .args = CONF_TAKE, .min = 1, .max = 1,
	  .scope = CONF_OF_HOST, .set = set_types_config },
	{ "AddType", "the media type of files with these extensions", NULL, EVERYWHERE, .args = CONF_ITERATE2, .set = set_add_type },
	{ "RemoveType", "undoes inherited AddType", NULL, EVERYWHERE, .args = CONF_ITERATE, .set = set_remove, .low = DROP_TYPE },
	{ "ForceType", "one media type for all files", "none", EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_force_type },
	{ "DefaultType", "without effect, as in Apache 2.4", "none", EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_default_type },
	{ "AddCharset", "the charset of files with these extensions", NULL, EVERYWHERE, .args = CONF_ITERATE2, .set = set_add_word,
	  .low = (int64_t)offsetof(struct ext, charset) },
	{ "RemoveCharset", "undoes inherited AddCharset", NULL, EVERYWHERE, .args = CONF_ITERATE, .set = set_remove, .low = DROP_CHARSET },
	{ "AddDefaultCharset", "the charset of text/plain and text/html that have none", "Off", EVERYWHERE, .args = CONF_TAKE, .min = 1,
	  .max = 1, .set = set_default_charset },
	{ "AddEncoding", "the content coding of files with these extensions", NULL, EVERYWHERE, .args = CONF_ITERATE2, .set = set_add_word,
	  .low = (int64_t)offsetof(struct ext, encoding) },
	{ "RemoveEncoding", "undoes inherited AddEncoding", NULL, EVERYWHERE, .args = CONF_ITERATE, .set = set_remove, .low = DROP_ENCODING },
	{ "AddLanguage", "the language of files with these extensions", NULL, EVERYWHERE, .args = CONF_ITERATE2, .set = set_add_word,
	  .low = (int64_t)offsetof(struct ext, language) },
	{ "RemoveLanguage", "undoes inherited AddLanguage", NULL, EVERYWHERE, .args = CONF_ITERATE, .set = set_remove, .low = DROP_LANGUAGE },
	{ "DefaultLanguage", "the language of files without one", NULL, EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1,
	  .set = conf_set_string, .offset = offsetof(struct mime_section, language) },
	{ "SetHandler", "the handler of all files", "none", EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 1, .set = set_handler },
	{ "AddHandler", "the handler of files with these extensions", NULL, EVERYWHERE, .args = CONF_ITERATE2, .set = set_add_handler },
	{ "RemoveHandler", "undoes inherited AddHandler", NULL, EVERYWHERE, .args = CONF_ITERATE, .set = set_remove, .low = DROP_HANDLER },
	{ "AddOutputFilter", "the filters of files with these extensions", NULL, EVERYWHERE, .args = CONF_ITERATE2, .set = set_add_filter },
	{ "RemoveOutputFilter", "undoes inherited AddOutputFilter", NULL, EVERYWHERE, .args = CONF_ITERATE, .set = set_remove,
	  .low = DROP_OUTPUT },
	{ "AddInputFilter", "the filters of request bodies, by extensions", NULL, EVERYWHERE, .args = CONF_ITERATE2, .set = set_add_filter, .low = 1 },
	{ "RemoveInputFilter", "undoes inherited AddInputFilter", NULL, EVERYWHERE, .args = CONF_ITERATE, .set = set_remove, .low = DROP_INPUT },
	{ "ModMimeUsePathInfo", "whether what is left behind a file counts as its name", "Off", .contexts = CONF_SECTIONS, .scope = CONF_OF_SECTION,
	  .args = CONF_FLAG, .set = conf_set_flag, .offset = offsetof(struct mime_section, path_info) },
	{ "MultiviewsMatch", "which extensions MultiViews knows", "NegotiatedOnly", EVERYWHERE, .args = CONF_TAKE, .min = 1, .max = 2, .set = set_match },
	{ "MimeMagicFile", "types by content", NULL, .contexts = CONF_RSRC, .scope = CONF_OF_HOST, NOTICE(no_magic) },
	{ .name = NULL },
};

struct conf_module mime_module = {
	.name = "mime_module",
	.source = "mod_mime.c",
	.directives = directives,
	.create_host = create_host,
	.merge_host = merge_host,
	.finish_host = finish_host,
	.create_section = create_section,
	.merge_section = merge_section,
};

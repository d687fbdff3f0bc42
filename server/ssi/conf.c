/*
 * conf.c - mod_include's directives, and the handler server-parsed. Read by the master and, for per-directory files, in children.
 */
#include "ssi/ssi.h"

#include <string.h>

#include "handler/file.h"
#include "ssi/page.h"

static void *create_section(struct conf_env *env)
{
	struct ssi_section *s = conf_alloc(env, sizeof *s);

	s->access = s->etag = s->modified = s->legacy = s->xbithack = CONF_UNSET;
	return s;
}

static void *merge_section(struct conf_env *env, const void *base, const void *over)
{
	const struct ssi_section *b = base, *o = over;
	struct ssi_section *m = conf_alloc(env, sizeof *m);

	m->start = o->start ? o->start : b->start;
	m->end = o->end ? o->end : b->end;
	m->error = o->error ? o->error : b->error;
	m->time = o->time ? o->time : b->time;
	m->undefined = o->undefined ? o->undefined : b->undefined;
	m->access = o->access == CONF_UNSET ? b->access : o->access;
	m->etag = o->etag == CONF_UNSET ? b->etag : o->etag;
	m->modified = o->modified == CONF_UNSET ? b->modified : o->modified;
	m->legacy = o->legacy == CONF_UNSET ? b->legacy : o->legacy;
	m->xbithack = o->xbithack == CONF_UNSET ? b->xbithack : o->xbithack;
	return m;
}

static int set_tag(struct conf_call *call, void *config, int argc, char **argv)
{
	size_t n = strlen(argv[0]);

	if (!n || n > SSI_TAG)
		return conf_fail(call, NULL, "a tag has between 1 and %d bytes", SSI_TAG);
	return conf_set_string(call, config, argc, argv);
}

static const struct conf_choice hacks[] = { { "off", XBITHACK_OFF }, { "on", XBITHACK_ON }, { "full", XBITHACK_FULL }, { NULL, 0 } };

#define SECTION(member) .scope = CONF_OF_SECTION, .offset = offsetof(struct ssi_section, member)
#define WORD .args = CONF_TAKE, .min = 1, .max = 1
#define FLAG(group) .contexts = CONF_SECTIONS | CONF_HTACCESS, .override = group, .args = CONF_FLAG, .set = conf_set_flag
#define TAG .contexts = CONF_ALL, .override = CONF_OR_OPTIONS, WORD, .set = set_tag
#define ANYWHERE .contexts = CONF_ALL, .override = CONF_OR_ANY, WORD, .set = conf_set_string

static const struct conf_directive directives[] = {
	{ "SSIStartTag", "what an element begins with", "<!--#", TAG, SECTION(start) },
	{ "SSIEndTag", "what it ends with", "-->", TAG, SECTION(end) },
	{ "SSIErrorMsg", "what stands in place of an element that fails", "[an error occurred while processing this directive]", ANYWHERE, SECTION(error) },
	{ "SSITimeFormat", "how dates are written, as strftime does it", "%A, %d-%b-%Y %H:%M:%S %Z", ANYWHERE, SECTION(time) },
	{ "SSIUndefinedEcho", "what echo says of a variable that is not set", "(none)", ANYWHERE, SECTION(undefined) },
	{ "SSIAccessEnable", "whether conditions may ask with -A what a client may have", "On", FLAG(CONF_OR_LIMIT), SECTION(access) },
	{ "SSIETag", "whether pages with elements have an entity tag", "Off", FLAG(CONF_OR_OPTIONS), SECTION(etag) },
	{ "SSILastModified", "whether they have a date", "Off", FLAG(CONF_OR_OPTIONS), SECTION(modified) },
	{ "SSILegacyExprParser", "whether conditions are read as before Apache 2.4", "Off", FLAG(CONF_OR_LIMIT), SECTION(legacy) },
	{ "XBitHack", "whether HTML files that may be executed are read as pages: off, on, full", "Off", .contexts = CONF_ALL, .override = CONF_OR_OPTIONS, WORD,
	  .set = conf_set_choice, .extra = hacks, SECTION(xbithack) },
	{ .name = NULL },
};

struct conf_module ssi_module = {
	.name = "include_module",
	.source = "mod_include.c",
	.directives = directives,
	.create_section = create_section,
	.merge_section = merge_section,
};

/* The file as it is: that its elements are read is the filter's (page.c: implied). */
static void start(struct request *r)
{
	file_handler.start(r);
}

const struct handler ssi_handler = { .name = "server-parsed", .start = start };

void ssi_register(void)
{
	static bool done;

	if (!done) {
		filter_register(&ssi_filter);
		handler_register(&ssi_handler);
	}
	done = true;
}

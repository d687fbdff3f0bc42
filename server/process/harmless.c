/*
 * harmless.c - directives of modules that are not here whose absence lets nobody in and changes no file's content. They are
 * accepted wherever Apache takes them, and named once at -t, so that a distribution's own module files need no editing. <IfModule>
 * is false for their modules all the same.
 */
#include "process/settings.h"

static const char buffering[] = "what a handler gives is passed on as it comes";

#define ROW(n, why) { .name = n, .help = "Accepted: it has no effect in this release", .contexts = CONF_ALL, .args = CONF_RAW, \
		.override = CONF_OR_INDEXES | CONF_OR_FILEINFO, .set = conf_set_notice, .extra = why }

static const struct conf_directive directives[] = {
	ROW("BufferSize", buffering),
	{ 0 }
};

/* Not a name that <IfModule> or LoadModule could ask for. */
struct conf_module harmless_module = { .name = "(harmless)", .source = "(absent)", .directives = directives };

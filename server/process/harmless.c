/*
 * harmless.c - directives of Apache that have no place here, and whose absence lets nobody in and changes no file's content. They are
 * accepted wherever Apache takes them, and named once at -t, so that a distribution's own module files need no editing. <IfModule>
 * is false for their modules all the same.
 */
#include "process/settings.h"

static const char buffering[] = "what a handler gives is passed on as it comes";
static const char buffers[] = "buffers have their size by what they hold";
static const char threads[] = "a child is one process without threads; ConnectionsPerChild says how many connections it serves";

#define ROW(n, why) { .name = n, .help = "Accepted: it has no effect here", .contexts = CONF_ALL, .args = CONF_RAW, \
		.override = CONF_OR_INDEXES | CONF_OR_FILEINFO, .set = conf_set_notice, .extra = why }

static const struct conf_directive directives[] = {
	ROW("BufferSize", buffering), ROW("FlushMaxThreshold", buffering), ROW("FlushMaxPipelined", buffering), ROW("ReadBufferSize", buffers),
	ROW("StartThreads", threads),
	ROW("EnableExceptionHook", "every crash is reported; see CoreDumpDirectory and CrashReportLimit"),
	ROW("GprofDir", "processes are looked at from outside: perf, or bulkhead-crash live"),
	ROW("MergeTrailers", "fields behind a body never change what its head said"),
	ROW("WatchdogInterval", "no thread looks at times whether there is something to do"),
	{ 0 }
};

/* Not a name that <IfModule> or LoadModule could ask for. */
struct conf_module harmless_module = { .name = "(harmless)", .source = "(absent)", .directives = directives };

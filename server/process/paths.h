/*
 * paths.h - how far a configuration lets its children reach: which folders they need to read, which files are secrets, to
 * which ports they connect. Found from the configuration's text, once, where it is read; kept by the kernel (landlock.h).
 */
#ifndef BULKHEAD_PROCESS_PATHS_H
#define BULKHEAD_PROCESS_PATHS_H

#include "process/config.h"
#include "process/landlock.h"

/* Why something could not be bounded: the first line that makes it so. text NULL: it is bounded. */
struct paths_reason {
	const char *text;
	struct conf_pos pos;            /* file NULL = no line, but what is so without one */
};

struct paths {
	struct landlock_wants wants;
	struct paths_reason files, ports;
};

/* Of a configuration without errors; lives in its arena. Looks which folders there are, and opens none. */
const struct paths *paths_find(struct config *cfg);

/* The setter of SandboxPaths: checks its words; paths_find reads them. */
conf_setter paths_set;

#endif

/*
 * corefile.h - reads a core file into a snapshot, as if the crash handler had made it: then symbols.c finds the frames.
 * Inside crashdump/; run it in a process that may die: a core may have been made up.
 */
#ifndef BULKHEAD_CRASHDUMP_COREFILE_H
#define BULKHEAD_CRASHDUMP_COREFILE_H

#include "crashdump/snapshot.h"

/* The thread that got the signal. `program` is the path by which to find the program's file now; NULL: by the path that
 * the core names. Fills all of `out` but the activity; module[0] is the program's, with no id where the core does not hold
 * it. Returns 0, or -1 with why it is no core that can be read. */
int corefile_snapshot(int fd, const char *program, struct crash_snapshot *out, const char **why);

#endif

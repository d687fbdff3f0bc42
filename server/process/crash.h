/*
 * crash.h - after a child crashed: what its crash slot tells goes to the log at once, a job writes the report. Master.
 */
#ifndef BULKHEAD_PROCESS_CRASH_H
#define BULKHEAD_PROCESS_CRASH_H

#include <sys/types.h>

#include "process/config.h"

/*
 * For EVERY child that ended, so that no crash slot stays taken. `crashed`: by a signal of its own making. The report is
 * begun as soon as a job may run; its line is logged when it is there.
 */
void crash_reaped(const struct config *cfg, pid_t pid, int status, bool crashed);
/* Says at start what stands in the way of cores. */
void crash_check_cores(const struct config *cfg);

#endif

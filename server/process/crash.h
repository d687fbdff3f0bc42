/*
 * crash.h - crash slots, and what follows a crash: what its crash slot tells goes to the log at once, a job writes the report.
 * Master.
 */
#ifndef BULKHEAD_PROCESS_CRASH_H
#define BULKHEAD_PROCESS_CRASH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "process/config.h"

/*
 * Pairs of crash slots (shared.h). Taken before a child's fork; -1: there is none, then a crash leaves no report. Given back
 * by crash_untaken where the fork failed, else by crash_reaped, which is called for EVERY child that ended.
 */
int crash_take(void);
void crash_untaken(int pair);
/*
 * The pair that a child of the program before has in the crash slots that were taken over: the same, or -1. Reports of such are written
 * by that program's file, until crash_adopt_over.
 */
int crash_adopt(int pair);
void crash_adopt_over(void);
/*
 * `how`: how the master saw it end. Its line is logged at once where its crash slot tells something; where a report is due
 * (CrashReportLimit), it is begun as soon as a job may run, and logged when it is there. Returns the crash's fingerprint: the
 * same for the same fault; 0 = not known.
 */
enum crash_how {
	CRASH_NONE,                     /* no crash */
	CRASH_CRASHED,                  /* by a signal of its own making */
	CRASH_HUNG,                     /* told by the master to abort, since it did not go on */
};
uint64_t crash_reaped(const struct config *cfg, int pair, pid_t pid, int status, enum crash_how how);
/* The child says that it has taken a live snapshot: a report of it is made, then it may take the next one. */
void crash_live(const struct config *cfg, int pair, pid_t pid);
/* Whether the child has taken its snapshot and dies: what is left is the kernel's work. */
bool crash_dies(int pair, pid_t pid);
/*
 * For the master's loop: whether CoreDumpDirectory has room for another core (CoreDumpLimit), which children are told. When
 * to look again; INT64_MAX = at the next crash.
 */
int64_t crash_tick(const struct config *cfg, int64_t now);
/* Whether there are as many cores as there may be. */
bool crash_no_cores(void);
/* Which crashes had their reports, for the program that is executed next; and taken over from the one before (handover.h). */
void crash_hand_over(FILE *to);
void crash_take_over(void);
/* Says at start what stands in the way of cores. */
void crash_check_cores(const struct config *cfg);

#endif

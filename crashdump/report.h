/*
 * report.h - the text of a report for a snapshot that is not a crash of our own, inside crashdump/.
 */
#ifndef BULKHEAD_CRASHDUMP_REPORT_H
#define BULKHEAD_CRASHDUMP_REPORT_H

#include "crashdump/crashdump.h"
#include "crashdump/snapshot.h"
#include "crashdump/symbols.h"

/* A whole report, as docs/crash-report-format.md says (malloc); dir_fd and dir are not used. NULL with errno. */
char *report_text(const struct crash_snapshot *s, const struct crash_report_options *options, const struct crash_trace *trace);

#endif

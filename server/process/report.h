/*
 * report.h - the reports of a configuration in the error log, by the master.
 */
#ifndef BULKHEAD_PROCESS_REPORT_H
#define BULKHEAD_PROCESS_REPORT_H

#include <stdbool.h>

#include "base/err.h"
#include "process/config.h"
#include "process/job.h"

/* What was reported of a configuration after its first `skip` reports. The first error also goes into *e, unless e is NULL. */
void report_config(const struct config *cfg, unsigned skip, struct err *e);
/* How many reports there are so far: the `skip` of those that come. */
unsigned report_count(const struct config *cfg);
/* What a checking job found; quiet: only that there was no verdict. mild: faults are warnings, since nobody waits for them. */
void report_check(const struct job_result *r, bool quiet, bool mild);
/* What stands between the processes is less than it could be: no root, no sandbox, no accounts of their own. */
void report_accounts(const struct config *cfg);
/* How far children reach by a configuration. `before`: what was said of that one is not said again; NULL = none. */
void report_reach(const struct config *cfg, const struct config *before);

#endif

/*
 * upgrade.h - another program in place of this one, in the same process: USR2, and by itself after a storm of crashes. What
 * is said to the next program, the probe that it must pass, and what this one does when it is the next. Master only, but for
 * the first and the last part.
 *
 *   upgrade_probe → upgrade_answer → upgrade_exec ≡ upgrade_begin → upgrade_take_over → … serves → upgrade_settle
 *                                                              └ upgrade_failed: back to the program before
 */
#ifndef BULKHEAD_PROCESS_UPGRADE_H
#define BULKHEAD_PROCESS_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "process/generation.h"
#include "process/job.h"

/* First of all in main: notes how this program was called. True: it was executed in place of another, which left it a server. */
bool upgrade_begin(char **argv);
/* Where it took over, and cannot: back to the program before. Returns only where nothing was taken over. */
void upgrade_failed(const struct err *e);

/* ------------------------------------------------------------------------------------------------ the next program */

/*
 * Runs the program that now lies where this one came from, as a check: `done` gets its answer. It sees the sockets of g, so that it
 * can say whether it would have all that its configuration listens on. 0 or -1 with *e.
 */
int upgrade_probe(const struct generation *g, job_done *done, struct err *e);
/* Whether it can take over; if not, says why. */
bool upgrade_answer(const struct job_result *r);
/*
 * Executes the program that was probed; `fresh`: this very one, for a new layout of its memory. No generation but g lives, and no job runs. Returns
 * only where that failed: -1 with *e, and all is as before.
 */
int upgrade_exec(const struct generation *g, const char *pid_file, int pid_fd, bool fresh, struct err *e);

/* ------------------------------------------------------------------------------------------------ a storm of crashes */

/* A child that served has crashed. */
void upgrade_crashed(void);
/* There were so many that this program should be executed anew. Asks at most every ten seconds. */
bool upgrade_storm(int64_t now);
/* When that is to be asked; INT64_MAX = at an event. */
int64_t upgrade_storm_due(int64_t now);
/* It could not be now: it is asked for again after a while. True: that was not yet said. */
bool upgrade_storm_put_off(int64_t now);

/* ------------------------------------------------------------------------------------------------ as the next program */

/* At the master's start. *pid_file is the caller's to free, *pid_fd the lock's. 0, or -1 with *e. */
int upgrade_take_over(char **pid_file, int *pid_fd, struct err *e);
/* It serves: says so, and what was before may go. False: it took nothing over. */
bool upgrade_settle(void);

/* ------------------------------------------------------------------------------------------------ as the one that is probed */

/*
 * The command line's "--probe=SOCKETS" (their descriptors, with commas): says what this program can take over, and what is wrong
 * with the configuration. The exit code.
 */
int upgrade_probed(struct config *cfg, const char *sockets, void (*check)(struct config *cfg));
#define UPGRADE_PROBE "probe"

#endif

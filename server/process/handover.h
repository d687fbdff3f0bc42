/*
 * handover.h - what one program leaves to the next that is executed in its place, in the same process: a table of named
 * descriptors and texts in a memfd, and the way back. Master only; the next program may be of another version.
 *
 * A line is NAME DESCRIPTOR TEXT. Whoever reads takes the names that it knows; a name's text may grow at its end only.
 *
 *   giving      f = handover_begin(&e); handover_put(f, "listener", fd, …) …; handover_exec(f, fd, argv, &e) returns only if it failed
 *   taking      main: handover_arrive() before all else; then handover_next; at last handover_settle()
 *
 * From arrive to settle a crash, a hang of two minutes, an exit and handover_back lead to the program of before, which takes
 * over what it left as if it were the next one; all descriptors of the table stay open for it until then.
 */
#ifndef BULKHEAD_PROCESS_HANDOVER_H
#define BULKHEAD_PROCESS_HANDOVER_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

#define HANDOVER_VERSION 1              /* of the lines and of what the probe says (upgrade.c) */

FILE *handover_begin(struct err *e);
/* fd -1: a text alone. The descriptor is borrowed. */
void handover_put(FILE *to, const char *name, int fd, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/*
 * Executes `program` (a descriptor of it) with this table. Closes `to`. Returns only where that failed: -1 with *e, and nothing
 * is changed. A line "back" must name a descriptor of the program that gives.
 */
int handover_exec(FILE *to, int program, char **argv, struct err *e);
/* Instead: forgets what was to be given. */
void handover_drop(FILE *to);

/* Whether this program was executed in place of another. False: all below finds nothing and does nothing. */
bool handover_arrive(char **argv);
bool handover_pending(void);            /* arrived, not yet settled */

struct handover_line {
	const char *name, *text;
	int fd;                         /* close-on-exec; owned by the table until settle, then by whoever took it; -1 = none */
	bool taken;                     /* by handover_claim: settle does not close it */
};
/* The next line of that name behind `after` (NULL: the first), or NULL. */
const struct handover_line *handover_next(const struct handover_line *after, const char *name);
/* Its descriptor is the caller's from now on (but open for the way back until settle). NULL: -1. */
int handover_claim(const struct handover_line *l);
/* How often programs came here and could not take over; *why is the last one's reason. */
unsigned handover_failures(const char **why);
/* Back to the program before. Returns only if there is none, or it cannot be executed. */
void handover_back(const char *why);
/* In what was forked meanwhile: its crashes, and its end, lead nowhere else. */
void handover_forked(void);
/* All that was left is taken over: there is no way back any more. Closes what nobody took. */
void handover_settle(void);

#endif

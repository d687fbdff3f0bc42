/*
 * spawnrun.h - programs that run: begun, ended by group, reaped. In the spawner, and under -X in the one process.
 */
#ifndef BULKHEAD_PROCESS_SPAWNRUN_H
#define BULKHEAD_PROCESS_SPAWNRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "conn/spawnproto.h"
#include "request/host.h"

#define SPAWN_MOST 1024                 /* programs at a time */
#define SPAWN_SHARE (SPAWN_MOST / 2)    /* of them, one child's: who has taken one over leaves the others room */

/*
 * `groups`: SPAWN_MOST process groups that run, for a successor; NULL = kept for nobody. The site tells which programs may
 * run, and which variables that could lead a program astray it sets itself. 0, or -1 with `e`.
 */
int spawnrun_init(const struct site *site, pid_t *groups, struct err *e);
/* All that is started is an account's own (request/account.h): suEXEC's checks hold for each order. */
void spawnrun_as(const struct account *a);
/* A successor: what a dead spawner left running is killed. */
void spawnrun_kill_left(void);
/*
 * `owner`: whose order it is; an order as conn/spawnproto.h has it. Takes none of the descriptors. SPAWN_OK, or where it failed;
 * what fails in the program's own process is told at its end.
 */
enum spawn_stage spawnrun_start(int owner, uint32_t id, const void *order, size_t n, const int fds[3], int *errnum);
/* Programs of the spawner's own, by its configuration: as if this owner had ordered them, in the folder /. They have begun, or not. */
#define SPAWN_OWN (-2)
enum spawn_stage spawnrun_own(uint32_t id, const char *const *argv, const int fds[3], int *errnum);
/* It is needed no longer: handler/spawn.h. */
void spawnrun_over(int owner, uint32_t id, bool kill);
/* A child is gone: all its programs are killed. */
void spawnrun_owner_gone(int owner);
/* The next that has ended and was not told yet: of that owner, or of SPAWN_ANY. */
#define SPAWN_ANY (-4)
struct spawn_end {
	int owner, status;              /* a status as of waitpid */
	uint32_t id;
	enum spawn_stage stage;         /* not SPAWN_OK: it never began; `errnum` says why */
	int errnum;
};
bool spawnrun_ended(int whose, struct spawn_end *end);
/* Kills what was told to end and did not; reaps. When it is due again, ms of CLOCK_MONOTONIC; INT64_MAX = at an event. */
int64_t spawnrun_tick(int64_t now);
/* Descendants of programs that were left to this process. */
void spawnrun_reap_adopted(void);
/* The end of the spawner: kills all, also what has left its group. */
void spawnrun_kill_all(void);
/* -X: the same, without waiting. */
void spawnrun_kill_running(void);

extern const struct spawn_direct spawnrun_direct;

#endif

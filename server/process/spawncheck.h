/*
 * spawncheck.h - what a program must be to run as an account of its own: suEXEC's checks. In the spawners.
 */
#ifndef BULKHEAD_PROCESS_SPAWNCHECK_H
#define BULKHEAD_PROCESS_SPAWNCHECK_H

#include <stdbool.h>

#include "handler/spawn.h"

struct site;
struct account;
/* SPAWN_CHECK_OK, or the first that does not hold. `dir` is the folder of `path`. */
enum spawn_check spawncheck(const struct site *s, const struct account *a, const char *path, const char *dir);
/* Whether a variable may be in the environment of such a program: those of CGI, no others. */
bool spawncheck_variable(const char *variable);

#endif

/*
 * spawner.h - the process that starts programs for a generation's children (CGI): one a generation, only where its
 * configuration lets programs run. Each child has a socket of its own to it (conn/spawnproto.h).
 */
#ifndef BULKHEAD_PROCESS_SPAWNER_H
#define BULKHEAD_PROCESS_SPAWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/config.h"

struct generation;
struct spawner;

/* Whether the configuration needs one. */
bool spawner_wanted(const struct config *cfg);
/* NULL with *e. */
struct spawner *spawner_start(const struct config *cfg, struct err *e);
/* A socket for a child: its own end in *child, not blocking, the spawner's in *kept. 0 or -1. */
int spawner_attach(struct spawner *v, int *child, int *kept);
/* True if the pid was the spawner: it is replaced, at once unless it was young for the second time. */
bool spawner_reaped(struct spawner *v, const struct generation *g, pid_t pid, int status, int64_t now);
/* Tries again what is due. When it is due next: spawner_due (INT64_MAX = nothing). */
void spawner_tick(struct spawner *v, const struct generation *g, int64_t now);
int64_t spawner_due(const struct spawner *v);
/* Lets it end (it does when its control socket closes: all its programs with it), and frees. */
void spawner_end(struct spawner *v);

#endif

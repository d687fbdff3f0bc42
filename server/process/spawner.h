/*
 * spawner.h - the process that starts programs for a generation's children (CGI): one a generation, only where its
 * configuration lets programs run. Each child has a socket of its own to it (conn/spawnproto.h); all its programs end with it.
 */
#ifndef BULKHEAD_PROCESS_SPAWNER_H
#define BULKHEAD_PROCESS_SPAWNER_H

#include "process/helper.h"

extern const struct helper_kind spawner_kind;

#endif

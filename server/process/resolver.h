/*
 * resolver.h - the process that asks the name service for a generation's children (Require host, Require forward-dns): one a
 * generation, only where its configuration needs names. Each child has a socket of its own to it (conn/lookup.h).
 */
#ifndef BULKHEAD_PROCESS_RESOLVER_H
#define BULKHEAD_PROCESS_RESOLVER_H

#include "process/helper.h"

extern const struct helper_kind resolver_kind;

#endif

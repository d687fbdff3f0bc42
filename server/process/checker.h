/*
 * checker.h - the process that asks OCSP responders about certificates of clients (SSLOCSPEnable) for a generation's children:
 * one a generation, only where a host wants it. Each child has a socket of its own to it (conn/check.h). It alone connects to
 * responders and parses what they say; it shares nothing, and holds no key.
 */
#ifndef BULKHEAD_PROCESS_CHECKER_H
#define BULKHEAD_PROCESS_CHECKER_H

#include <stdbool.h>

#include "conn/check.h"
#include "process/helper.h"

extern const struct helper_kind checker_kind;
bool checker_wanted(const struct config *cfg);
/* For -X: asks in the process itself, and waits. NULL: no host wants it. */
check_now *checker_direct(const struct config *cfg);

#endif

/*
 * classify.h - what kind of crash it is, and its signature, inside crashdump/. The job.
 */
#ifndef BULKHEAD_CRASHDUMP_CLASSIFY_H
#define BULKHEAD_CRASHDUMP_CLASSIFY_H

#include "crashdump/print.h"
#include "crashdump/snapshot.h"
#include "crashdump/symbols.h"

/* A word of docs/crash-report-format.md, section "class". */
const char *classify(const struct crash_snapshot *s, const struct crash_trace *t);
/* Signal and the five innermost telling frames, without addresses: the same for the same fault in every process and after
 * every restart. */
void classify_signature(const struct crash_snapshot *s, const struct crash_trace *t, struct print *out);

/* The same for the same fault of the same program, from the raw frames alone: cheap, for the master. Never 0. */
uint64_t classify_fingerprint(const struct crash_snapshot *s);

#endif

/*
 * scan.h - words of a snapshot's stack, and the return addresses among them, inside crashdump/. The job only.
 */
#ifndef BULKHEAD_CRASHDUMP_SCAN_H
#define BULKHEAD_CRASHDUMP_SCAN_H

#include <elfutils/libdwfl.h>

#include "crashdump/snapshot.h"

/* The word at an address of the stack; false: outside the slice. */
bool scan_word(const struct crash_snapshot *s, uint64_t address, uint64_t *out);
/* Whether the address lies in executable memory. */
bool scan_is_code(const struct crash_snapshot *s, uint64_t address);
/* From *sp on, the next word that a call may have left, and where it lies; false: there is none. It may be stale. */
bool scan_next(Dwfl *dwfl, const struct crash_snapshot *s, uint64_t *sp, uint64_t *word);

#endif

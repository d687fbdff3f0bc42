/*
 * unwind.h - program counters of the interrupted code by libunwind's local stepping, inside crashdump/.
 */
#ifndef BULKHEAD_CRASHDUMP_UNWIND_H
#define BULKHEAD_CRASHDUMP_UNWIND_H

#include <stdint.h>

/* Once in each process, after stray descriptors were closed: libunwind keeps a pipe, to whose number it writes. */
void unwind_warm(void);
/* Signal handler: stores up to `max` program counters, innermost first, and counts each in *count as it goes, so that a
 * fault on the way leaves what was found. No malloc, no names: naming hangs when malloc's lock is held. */
void unwind_interrupted(void *context, uint64_t *pcs, unsigned max, uint32_t *count);

#endif

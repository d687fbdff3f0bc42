/*
 * callsite.h - recognises call instructions by their bytes, inside crashdump/. The job.
 */
#ifndef BULKHEAD_CRASHDUMP_CALLSITE_H
#define BULKHEAD_CRASHDUMP_CALLSITE_H

#include <stdbool.h>

#define CALLSITE_BYTES 8                /* the longest call with a byte to spare */

/* Whether the bytes in front of an address end in a call instruction. */
bool callsite_before(const unsigned char b[CALLSITE_BYTES]);

#endif

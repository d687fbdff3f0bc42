/*
 * tailcalls.h - functions that left by a jump into the next one, and so have no frame on the stack. The job only.
 */
#ifndef BULKHEAD_CRASHDUMP_TAILCALLS_H
#define BULKHEAD_CRASHDUMP_TAILCALLS_H

#include <elfutils/libdwfl.h>
#include <stdint.h>

#define TAILCALLS_MAX 16

/*
 * `inner` is an address in the function of a frame, `back` the return address in its caller's. Writes, innermost first, the
 * addresses behind the jumps of the functions between them, and returns how many: 0 where the caller called that function
 * itself, or where the debug information does not tell. Of several ways only what they have in common.
 */
unsigned tailcalls_find(Dwfl *dwfl, uint64_t inner, uint64_t back, uint64_t out[TAILCALLS_MAX]);

#endif

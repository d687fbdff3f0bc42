/*
 * staplefile.h - OCSP answers on disk, so that a server that is stopped and started has them at once: a file a certificate in
 * DefaultStateDir/ocsp, root's and for root alone. Master, and -X. What cannot be read or written is a loss of time only.
 */
#ifndef BULKHEAD_PROCESS_STAPLEFILE_H
#define BULKHEAD_PROCESS_STAPLEFILE_H

#include <stddef.h>
#include <stdint.h>

#include "tls/staple.h"

/* Replaces the file of that certificate; n 0: removes it. */
void staple_file_put(const char *state_dir, const unsigned char id[STAPLE_ID], const void *answer, size_t n);
/*
 * The bytes that were kept, not looked at: whoever uses them checks them as if they had just come. *saved is when (s since
 * 1970). Their number, or 0: none, or a file that others than the server's own account could have written.
 */
size_t staple_file_get(const char *state_dir, const unsigned char id[STAPLE_ID], unsigned char buf[STAPLE_MAX], int64_t *saved);

#endif

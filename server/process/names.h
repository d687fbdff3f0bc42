/*
 * names.h - look-ups in the name service of the machine (hosts file, DNS: nsswitch.conf), and a memory of their answers.
 * Blocks: only for the resolver, and -X.
 */
#ifndef BULKHEAD_PROCESS_NAMES_H
#define BULKHEAD_PROCESS_NAMES_H

#include <stdint.h>

#include "conn/lookup.h"

#define NAMES_MOST 1024                 /* answers remembered at once */
#define NAMES_GOOD_MS 60000             /* how long one is … */
#define NAMES_BAD_MS 10000              /* … and that there is no name, or no answer */

/* Bounds the time of look-ups in DNS for this process, and loads what libc would load later. */
void names_prepare(void);
/*
 * An address: its name, if the name leads back to the address (as HostnameLookups double of Apache). A name: its addresses.
 */
lookup_now names_look;

struct names;
/* clock: ms. NULL: no memory. */
struct names *names_new(lookup_now *look, int64_t (*clock)(void));
/* As a lookup_now, with memory. A question that is too long has no answer. */
ssize_t names_ask(struct names *n, const char *question, char answer[LOOKUP_ANSWER]);
void names_free(struct names *n);

#endif

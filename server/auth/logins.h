/*
 * logins.h - what a child remembers of logins: passwords that were found to be good, for a short time and only as a MAC, and
 * addresses whose logins failed too often. Bounded tables, made at their first use; one thread.
 */
#ifndef BULKHEAD_AUTH_LOGINS_H
#define BULKHEAD_AUTH_LOGINS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define LOGINS_MAC 32

struct logins_settings {
	int64_t keep_ms;                /* AuthPasswordCache: how long; 0 = nothing is kept */
	int64_t entries;                /* and how many at most */
	int64_t failures;               /* AuthFailureLimit: so many in a minute; 0 = no limit */
};
#define LOGINS_WINDOW_MS 60000

/*
 * The name under which "this password has this hash" is known: keyed with a random number of this child, in memory that no
 * core holds. False: no memory for that; nothing is kept then. Since it covers the hash as it stands in the file, a changed
 * file needs no notice: another hash is another name, and a user who is gone is not looked for.
 */
bool logins_mac(const char *user, const char *password, const char *hash, unsigned char mac[LOGINS_MAC]);
bool logins_known(const unsigned char mac[LOGINS_MAC]);
void logins_remember(const struct logins_settings *s, const unsigned char mac[LOGINS_MAC]);

/* A login from that address failed. True: with this one it has reached the limit. */
bool logins_failed(const struct logins_settings *s, const struct addr *peer);
/* Whether its logins are to be refused without a look. Seconds until that ends, at least 1; 0 = no. */
unsigned logins_refused(const struct logins_settings *s, const struct addr *peer);

#endif

/*
 * keys.h - which private keys a configuration needs, and the way from there to working TLS hosts. The keys themselves
 * are parsed by a keyholder, or by this process where it is one that may: -X, -t, and the checking job.
 */
#ifndef BULKHEAD_PROCESS_KEYS_H
#define BULKHEAD_PROCESS_KEYS_H

#include <stdbool.h>

#include "base/err.h"
#include "process/config.h"
#include "tls/key.h"
#include "tls/policy.h"

/* Key files of a generation, each once; the index is the key's id in every keyholder. */
struct keys {
	struct tls_key_file *files;
	const struct host **hosts;      /* the first that uses each */
	struct key_ref *refs;           /* as the first keyholder reported them */
	int *fds; /* kept open, so that a replaced keyholder reads the very same file; -1 = none */
	unsigned n;
};
/* Collects the files of all TLS hosts. 0 or -1 (ENOMEM). Free with keys_close. */
int keys_collect(struct keys *k, struct config *cfg);
/* Master, as root: opens them. 0, or -1 with faults reported to cfg. */
int keys_open(struct keys *k, struct config *cfg);
void keys_close(struct keys *k);

/* Finishes every TLS host with the references loaded. 0, or -1 with faults reported to cfg. */
int keys_finish_hosts(struct keys *k, struct config *cfg);
/*
 * All of the above with the keys parsed in THIS process: -X, -t and the checking job. 0 and *store (NULL: no TLS host),
 * or -1 with faults reported to cfg. locked NULL: encrypted keys are opened by what phrases.h knows. Else: they stay
 * closed, with a notice, and *locked counts them.
 */
int keys_load_direct(struct config *cfg, struct key_store **store, unsigned *locked);

/* Once, before the first fork: what the TLS library wants to be done and tested in the master. Says what is lost. */
void keys_prepare(void);

bool keys_tls_wanted(const struct config *cfg);
/* Some key or certificate is named by the URI of a PKCS#11 token. */
bool keys_on_tokens(const struct config *cfg);
const struct tls_cache_settings *keys_cache_settings(const struct config *cfg);

#endif

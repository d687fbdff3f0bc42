/*
 * watch.h - certificate files that change: the master learns of it by inotify and restarts the server gracefully, so that
 * whoever renews certificates needs no hook. Master only; it parses nothing by this.
 *
 * What is watched is what the TLS hosts of a configuration name: certificates, chains, keys, ticket keys, authorities and
 * lists of revoked certificates; links on the way to them and what these lead to. SSLCertificateWatch off: nothing.
 */
#ifndef BULKHEAD_PROCESS_WATCH_H
#define BULKHEAD_PROCESS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "process/config.h"

/* For a generation that is being made, before it reads any of the files: notes how they are. */
void watch_prepare(const struct config *cfg);
/* That generation serves: from now on its files are watched, the ones before are forgotten. */
void watch_settle(int64_t now);

/* The descriptor to wait for; -1 = none for now. */
int watch_fd(int64_t now);
void watch_input(int64_t now);
/* When watch_tick is due. INT64_MAX unless something has changed, or files have to be looked at by the clock. */
int64_t watch_due(int64_t now);
/* Whether files are others than the serving generation has read, and have been quiet: the server is to restart. */
bool watch_tick(int64_t now);

/* What has changed, for messages: "certificate of HOST changed (FILE)". */
const char *watch_words(void);
/* Whether an answer of the check that followed is another than the last one: what is wrong is said once. */
bool watch_is_news(const char *answer);
/* That restart came to nothing: it is tried again at the next change, and after a while. Returns after how many seconds. */
int watch_failed(int64_t now);
/* What the restart brought: says until when the new certificate is valid. */
void watch_tell(const struct config *cfg);

#endif

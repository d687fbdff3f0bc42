/*
 * service.h - what the master tells a service manager (systemd, or another with its protocol), and what it is given by one. In a
 * build without libsystemd, and without a manager, all of it does nothing. Master only.
 *
 * NOTIFY_SOCKET and WATCHDOG_* stay in the environment, so that the program that is executed next (upgrade.h) has them; the
 * sockets (LISTEN_*) are taken once.
 */
#ifndef BULKHEAD_PROCESS_SERVICE_H
#define BULKHEAD_PROCESS_SERVICE_H

#include <stdint.h>

#include "base/err.h"

/* The sockets that the manager opened, for listen_open (listen_given). 0, or -1 with *e: one is of a kind that is not served. */
int service_sockets(struct err *e);
/* It serves, as those words say. */
void service_ready(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* It begins what ends by service_ready: a restart or an upgrade. */
void service_reloading(void);
void service_stopping(void);
/* A sign of life, where the manager wants one. When the next is due; INT64_MAX = it wants none. */
int64_t service_tick(int64_t now);

#endif

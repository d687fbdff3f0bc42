/*
 * listen.h - listening sockets: bound by the master, shared by all children, kept over restarts by their address.
 */
#ifndef BULKHEAD_PROCESS_LISTEN_H
#define BULKHEAD_PROCESS_LISTEN_H

#include "base/addr.h"
#include "base/err.h"
#include "process/config.h"

struct listener {
	unsigned refs;                  /* generations that use it */
	int fd;                         /* non-blocking, close-on-exec */
	struct addr addr;               /* as the kernel has it */
};
struct listen_set {
	struct listener **at;
	unsigned n;
};
/*
 * Opens what the settings list; sockets of `old` (NULL = none) with the same address are taken over. 0, or -1 with *e
 * naming the Listen's line and, where /proc tells, who has the port; then nothing new stays open. wait_ms: how long to
 * wait for a port that orphans of a dead server still hold.
 */
int listen_open(const struct process_settings *s, const struct listen_set *old, int wait_ms,
		struct listen_set *out, struct err *e);
/* Gives the set back; a socket that no other set uses is closed. */
void listen_close(struct listen_set *set);
/* Who listens on that port: "pid 12 (nginx)" in buf (64 bytes), or NULL where /proc does not tell. */
const char *listen_holder(uint16_t port, char *buf, pid_t *pid);

#endif

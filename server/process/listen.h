/*
 * listen.h - listening sockets: bound by the master, shared by all children, kept over restarts by their address.
 */
#ifndef BULKHEAD_PROCESS_LISTEN_H
#define BULKHEAD_PROCESS_LISTEN_H

#include <stdio.h>

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
/*
 * A socket that was there before this program: of the program that was executed before it, or of the service manager. Takes
 * fd; listen_open finds it by its address, as those of `old`. 0, or -1 with *e: it is no listening stream socket of TCP.
 */
int listen_given(int fd, struct err *e);
/* The first generation is made: closes those that no Listen named, and calls `told` for each with its address. */
void listen_given_end(void (*told)(const char *address));
/* For the program that is executed next (handover.h). */
void listen_hand_over(const struct listen_set *set, FILE *to);
/* Gives the set back; a socket that no other set uses is closed. */
void listen_close(struct listen_set *set);
/* Who listens on that port: "pid 12 (nginx)" in buf (64 bytes), or NULL where /proc does not tell. */
const char *listen_holder(uint16_t port, char *buf, pid_t *pid);

#endif

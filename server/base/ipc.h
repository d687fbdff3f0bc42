/*
 * ipc.h - messages between the roles: SOCK_SEQPACKET, one message a packet, with a type, an id and up to 8
 * descriptors. Both ends are ours, yet each treats the other as hostile: lengths and counts are checked.
 */
#ifndef BULKHEAD_BASE_IPC_H
#define BULKHEAD_BASE_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPC_MAX_DATA 16384
#define IPC_MAX_FDS 8

struct ipc_head {
	uint32_t type;          /* the protocol's own */
	uint32_t id;            /* pairs an answer with its question */
};
struct ipc_message {
	struct ipc_head head;
	size_t len;
	int fds[IPC_MAX_FDS];   /* received with MSG_CMSG_CLOEXEC; the receiver owns them */
	unsigned nfds;
	unsigned char data[IPC_MAX_DATA];
};

/* A connected pair, close-on-exec. 0 or -1. */
int ipc_pair(int fd[2]);
/* One message; fds are borrowed. 0, or -1: EAGAIN (full, non-blocking end), EMSGSIZE, EPIPE … */
int ipc_send(int fd, uint32_t type, uint32_t id, const void *data, size_t len, const int *fds, unsigned nfds);
/*
 * One message. 1 received, 0 the other end is gone, -1: EAGAIN, EBADMSG (malformed or cut: descriptors
 * closed).
 */
int ipc_recv(int fd, struct ipc_message *m);
/* The same with a limit in ms; -1 with ETIMEDOUT. */
int ipc_recv_wait(int fd, struct ipc_message *m, int timeout_ms);
/* Closes the descriptors of a message that nobody took. */
void ipc_drop_fds(struct ipc_message *m);
/* Whether the message has this type and a length within [min, max] and no descriptors. */
bool ipc_is(const struct ipc_message *m, uint32_t type, size_t min, size_t max);

#endif

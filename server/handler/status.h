/*
 * status.h - "server-status": what the server is doing, for people and for programs (mod_status). What it shows comes through
 * struct status_source, which process/scoreboard.c fills.
 */
#ifndef BULKHEAD_HANDLER_STATUS_H
#define BULKHEAD_HANDLER_STATUS_H

#include "conf/conf.h"
#include "request/handler.h"

extern const struct handler status_handler;

/* ExtendedStatus SeeRequestTail */
extern struct conf_module status_module;

/* Sums over children: of those that live, or of all there ever were. */
struct status_sums {
	uint64_t accepted, requests, bytes, handshakes, resumed, failures;
};

/* One child, and what it works on in its present turn. Texts are cut to fit; "" = not known. */
struct status_child {
	uint32_t pid;                           /* 0: nobody has this place */
	uint32_t generation;
	uint32_t open, active, limit;           /* connections: now, of these in a handshake or request, at most */
	bool ready, draining;
	struct status_sums sums;
	char peer[64], host[128], method[24], path[384], phase[24];
	int64_t since_ms;                       /* since the request at hand began; -1 = there is none */
};

struct status_source {
	unsigned (*places)(void);               /* of children, free ones included */
	void (*child)(unsigned i, struct status_child *c);
	void (*past)(struct status_sums *s);    /* of children that are gone */
	int64_t (*started)(void);               /* time() of the server's start */
};

/* Once in each child. NULL: nothing can be shown, since no line outside of per-directory files names the handler. */
void status_show(const struct status_source *s);

#endif

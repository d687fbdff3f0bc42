/*
 * link.h - one connection to a server behind: TCP or unix socket, with TLS or without. For upstream/ and conn/backend.c, in the child's
 * loop; nothing here blocks.
 */
#ifndef BULKHEAD_UPSTREAM_LINK_H
#define BULKHEAD_UPSTREAM_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "conn/loop.h"
#include "handler/upstream.h"

struct secure;
struct link {
	int fd;
	struct secure *tls;             /* NULL: plain */
	const struct proxy_worker *worker;      /* valid as long as this is not in the pool, or worker->cell is not NULL */
	unsigned tls_id;                /* proxy_tls.id; 0 = plain */
	int64_t born;                   /* ms */
	struct watch watch;             /* of whoever has it: the chan of a request, the pool while it is idle; pool_close takes it out */
	void *user;                     /* the chan's */
	/* The pool's, while it is idle. */
	struct deadline deadline;
	struct list item;
};

/* A socket whose connection is under way (*pending) or there. NULL with errno. */
struct link *link_open(const struct proxy_worker *w, const struct addr *to, bool *pending);
/* 0, or the errno with which it failed: once a pending one is writable. */
int link_error(struct link *l);
/* As read and write: -1 with errno (EAGAIN; EPROTO: TLS broke), 0 from reading: the end. */
ssize_t link_read(struct link *l, void *p, size_t n);
ssize_t link_write(struct link *l, const void *p, size_t n);
void link_hang_up(struct link *l);      /* nothing more is written */
void link_close(struct link *l);

/* secure.c: TLS. Begins it; 0, or -1 with a sentence in why. */
#define SECURE_WHY 256
int secure_start(struct link *l, const struct proxy_tls *settings, char why[SECURE_WHY]);
enum secure_step { SECURE_DONE, SECURE_READ, SECURE_WRITE, SECURE_FAILED };
enum secure_step secure_step(struct link *l, char why[SECURE_WHY]);
ssize_t secure_read(struct secure *s, void *p, size_t n);
ssize_t secure_write(struct secure *s, const void *p, size_t n);
void secure_hang_up(struct secure *s);
void secure_free(struct secure *s);
void secure_forget(void);               /* credentials of the process */

#endif

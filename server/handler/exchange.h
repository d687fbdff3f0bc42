/*
 * exchange.h - a request and the server behind that answers it, whatever is spoken between: what either side has not taken yet, who is
 * waited for, and the one way to end. A protocol's own structure begins with it. In the children.
 *
 *   (GATHER →) CONNECT → HEAD → BODY → OVER            request out, the head of the answer in, then its body as it comes
 *                          ├→ TUNNEL → OVER            bytes both ways (HTTP's 101)
 *                          └→ DRAIN → OVER             a body that nobody gets
 *
 * The request's body goes out at the same time. Each direction holds at most what one read brought: while the client takes no more, the
 * server behind is not read; while that takes no more, the body is not read.
 *
 * A request that can be repeated without harm, and of which nothing but its head was sent, is sent once more where a kept connection
 * ends before the first byte of an answer: the server behind had closed it. Nothing else is ever sent twice.
 */
#ifndef BULKHEAD_HANDLER_EXCHANGE_H
#define BULKHEAD_HANDLER_EXCHANGE_H

#include "handler/held.h"
#include "handler/proxy.h"

enum exchange_state { EXCHANGE_GATHER, EXCHANGE_CONNECT, EXCHANGE_HEAD, EXCHANGE_BODY, EXCHANGE_TUNNEL, EXCHANGE_DRAIN, EXCHANGE_OVER };

struct exchange;
struct exchange_ops {
	/* The connection is there: once for each server that is tried. Puts the head of the request into x->out, then exchange_go. */
	void (*ready)(struct exchange *x);
	/* Body bytes in the protocol's form; an absent text is their end. 0, or -1: no memory. */
	int (*send)(struct exchange *x, struct text data);
	/* Bytes of the server behind; it has closed the connection. */
	void (*take)(struct exchange *x, const char *p, size_t n);
	void (*closed)(struct exchange *x);
	/* What is the protocol's own is freed, and said; NULL: nothing is. */
	void (*release)(struct exchange *x);
};

struct exchange {
	struct proxy_try t;             /* first */
	struct request *r;
	const struct exchange_ops *ops;
	enum exchange_state state;
	struct held out;                /* for the server behind: the head, then of the body */
	struct held in;                 /* for the client */
	bool body_ended, body_used;     /* all of the request's body has come; some of it has */
	bool waits;                     /* for 100: the body is not read yet */
	int64_t ping;                   /* ms, ping=: without 100 by then it counts as ill; 0: the body is sent all the same after a while */
	bool deaf;                      /* the server behind reads no more of the request */
	bool heard;                     /* it has said something */
	bool ended;                     /* its answer is whole: no more is read */
	bool repeated;
	char *head;                     /* of the answer, by malloc, while it is gathered */
	size_t head_n;
};

/* One of `size` bytes, zeroed, as r's. NULL: answered with 503. Then exchange_connect. */
struct exchange *exchange_new(struct request *r, size_t size, const struct exchange_ops *ops);
void exchange_connect(struct exchange *x);
/* The head is in x->out: it goes, and the body behind it. */
void exchange_go(struct exchange *x);
/* The body is asked for: it was held back for 100. */
void exchange_begin_body(struct exchange *x);

/* Bytes for the server behind: sent, or held. 0, or -1: no memory. */
int exchange_send(struct exchange *x, const char *p, size_t n);
/* What is held goes. False: some is left, or nobody reads it. */
bool exchange_flush(struct exchange *x);
/* Bytes for the client. False: over. */
bool exchange_put(struct exchange *x, const char *p, size_t n);
/* What the client had not taken. False: it still has not, or it is over. */
bool exchange_drain(struct exchange *x);
/* Waits for whoever is to do something now. Silence counts only where it is the server's behind. */
void exchange_pace(struct exchange *x);

/* The head of the answer is in r->status and r->out: it goes to the client. False: over. */
bool exchange_answer(struct exchange *x);
/* failonstatus= of the balancer. */
void exchange_note_status(struct exchange *x, unsigned status);
/* ProxyErrorOverride: our page in place of theirs, whose fields are f. What 401 asks for comes along. */
void exchange_override(struct exchange *x, unsigned status, const struct fields *f, bool reusable);

/* The ends; each may come at any time, and only the first counts. */
void exchange_release(struct exchange *x, bool reusable);
void exchange_fail(struct exchange *x, unsigned status);
void exchange_bad(struct exchange *x, const char *why);         /* 502, logged */
/* True: it has been sent once more. */
bool exchange_repeat(struct exchange *x);

/* For struct handler. */
void exchange_body(struct request *r, struct text data);
void exchange_over(struct request *r, enum handler_end how);

#endif

/*
 * client.h - who speaks: what request/, handler/ and log lines may know of a connection. Filled by conn/, which knows
 * sockets and TLS; so that %{SSL_PROTOCOL}x, Require ip and 421 need neither here.
 */
#ifndef BULKHEAD_REQUEST_CLIENT_H
#define BULKHEAD_REQUEST_CLIENT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/text.h"
#include "log/log.h"

struct host;
struct client;
struct request;
struct spawn_spec;
struct upstream;
struct spawned;
struct stream;

/* What is known in answer to a question to the name service. */
enum client_knows {
	CLIENT_UNASKED,
	CLIENT_KNOWS,
	CLIENT_FAILED,                          /* it was asked, and no answer could be had */
};

/*
 * Slow work that a thread does while the request waits. `run` is called there and touches nothing but its object; `free`
 * gives it back, in the loop, when the request is over or nobody waits any more.
 */
struct client_work {
	void (*run)(struct client_work *w);
	void (*free)(struct client_work *w);
	struct client_work *next;               /* the one that was done before, for the same request */
};

enum { CLIENT_EXPORTS_VARIABLES = 1, CLIENT_EXPORTS_CERTIFICATES = 2 };

struct client_ops {
	/* An SSL_* (or HTTPS) variable of the connection; absent text where it has no value. */
	struct text (*variable)(struct client *c, const char *name, struct arena *a);
	/*
	 * The at-th value, from 0, of an extension of the client's certificate (an OID, or a name as subjectAltName) as text;
	 * absent behind the last.
	 */
	struct text (*extension)(struct client *c, const char *oid, unsigned at, struct arena *a);
	/*
	 * 0, or why this connection may not ask for that host: 421 where its TLS policy is not at least that of the host
	 * (RFC 9110, 15.5.20), 403 where the host wants to be named in TLS and was not (SSLStrictSNIVHostCheck).
	 */
	unsigned (*refuses)(struct client *c, const struct host *host);
	/*
	 * What the merged sections of a request (request.h) ask of TLS: 0, or 403 with the reason in *why (SSLVerifyClient), or
	 * PHASE_WAIT: the client is being asked for its certificate, or 413: its body would have to be kept meanwhile.
	 * *user becomes the name of the client (SSLUserName), where there is one. Variables look as SSLOptions there say.
	 */
	unsigned (*place)(struct client *c, void *const *section, struct arena *a, const char **user, const char **why);
	/*
	 * A question is an address as text, answered with its names (lower case; only such as lead back to the address), or a
	 * name, answered with its addresses. The answer is a row of strings, each with its NUL. Kept for this request.
	 */
	enum client_knows (*knows)(struct client *c, const char *question, struct text *answer);
	/* Asks what is not known. True: the request has to wait, phases_resume is called; false: `knows` tells at once. */
	bool (*ask)(struct client *c, const char *question);
	/*
	 * Hands slow work to a thread: 0 = *w is taken, and the request has to wait (PHASE_WAIT, once a phase). Else -1, *w is
	 * the caller's, and errno says why: EAGAIN (`most` works wait already), EBUSY (this request
	 * waits for another: PHASE_WAIT), ETIMEDOUT (this request has waited long enough),
	 * ENOSYS (there are no threads: do it yourself).
	 */
	int (*work)(struct client *c, struct client_work *w, unsigned most);
	/* What was done so for this request; the last first. Look for yours by `run`. */
	struct client_work *(*worked)(struct client *c);
	/* SSLOptions of the merged sections: +FakeBasicAuth: the subject of a good certificate, "/C=DE/CN=x"; NULL = none. */
	const char *(*subject)(struct client *c, void *const *section, struct arena *a);
	bool (*strict)(struct client *c, void *const *section);         /* +StrictRequire */
	/* What SSLOptions of these sections lets programs see of TLS: CLIENT_EXPORTS_* bits. */
	unsigned (*exports)(struct client *c, void *const *section);
	/* The handler of a client's own request is about to start: what goes before the answer goes now (early hints). */
	void (*begins)(struct request *r);
	/* Programs: handler/spawn.h. NULL where there are none. */
	int (*spawn)(struct stream *s, const struct spawn_spec *spec, struct spawned *p);
	void (*spawn_over)(struct stream *s, struct spawned *p, bool kill);
	/* Servers behind: handler/upstream.h. NULL where there are none. */
	int (*upstream_get)(struct stream *s, unsigned flags, struct upstream *u);
	void (*upstream_put)(struct upstream *u, bool reusable);
};

struct client {
	const struct client_ops *ops;
	struct addr peer, local;                /* peer: who asks, for rules, logs and programs */
	char peer_text[ADDR_TEXT];              /* address alone */
	struct addr arrived;                    /* peer as the connection knows it: a field of the request may say better (remoteip.h) */
	struct addr connected;                  /* the other end of the socket: %{c}a; a PROXY header may say who stands behind it */
	bool secure;                            /* inside TLS */
	struct text sni;                        /* the name the client asked for in TLS; absent if none */
	const struct host *tls_host;            /* the host whose certificate was shown; NULL in plain HTTP */
	uint64_t id;                            /* of the connection, unique in its child */
	unsigned requests;                      /* on this connection, this one included */
	bool nokeepalive;                       /* env nokeepalive: close after this response */
	struct log_about about;                 /* for messages: peer and settings of the host in use */
	struct log_settings levels;             /* of the section in use, where `about` points to them: they outlive the request and its look-ups */
	struct request *request;                /* the one from the client that is being answered, for messages; NULL = none. Set by conn/ */
	struct client *whole;                   /* HTTP/2: the connection as one, where this is one of its streams; NULL: this is it */
	char log_id[17];                        /* of the connection, there alone: "" until something was logged about it (logline.h) */
};

/* The connection, whichever of its streams this is. */
static inline const struct client *client_whole(const struct client *c)
{
	return c->whole ? c->whole : c;
}

/* From now on this is who asks. */
static inline void client_is(struct client *c, const struct addr *who)
{
	if (c->peer.len == who->len && c->peer_text[0] && memcmp(&c->peer.ss, &who->ss, who->len) == 0)
		return;                         /* the same: each request of a connection comes here */
	c->peer = *who;
	addr_ip(who, c->peer_text);
}
static inline struct text client_variable(struct client *c, const char *name, struct arena *a)
{
	return c->ops->variable ? c->ops->variable(c, name, a) : (struct text){ 0 };
}
static inline struct text client_extension(struct client *c, const char *oid, unsigned at, struct arena *a)
{
	return c->ops->extension ? c->ops->extension(c, oid, at, a) : (struct text){ 0 };
}
static inline unsigned client_refuses(struct client *c, const struct host *h)
{
	return c->ops->refuses ? c->ops->refuses(c, h) : 0;
}
static inline unsigned client_place(struct client *c, void *const *section, struct arena *a, const char **user, const char **why)
{
	return c->ops->place ? c->ops->place(c, section, a, user, why) : 0;
}
static inline enum client_knows client_knows(struct client *c, const char *question, struct text *answer)
{
	return c->ops->knows ? c->ops->knows(c, question, answer) : CLIENT_FAILED;
}
static inline bool client_ask(struct client *c, const char *question)
{
	return c->ops->ask && c->ops->ask(c, question);
}
static inline int client_work(struct client *c, struct client_work *w, unsigned most)
{
	if (c->ops->work)
		return c->ops->work(c, w, most);
	errno = ENOSYS;
	return -1;
}
static inline struct client_work *client_worked(struct client *c)
{
	return c->ops->worked ? c->ops->worked(c) : NULL;
}
static inline const char *client_subject(struct client *c, void *const *section, struct arena *a)
{
	return c->ops->subject ? c->ops->subject(c, section, a) : NULL;
}
static inline bool client_strict(struct client *c, void *const *section)
{
	return c->ops->strict && c->ops->strict(c, section);
}
static inline unsigned client_exports(struct client *c, void *const *section)
{
	return c->ops->exports ? c->ops->exports(c, section) : 0;
}

#endif

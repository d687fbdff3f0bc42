/*
 * proxy.h - requests that other servers answer (mod_proxy and its kin): which, where they lead, and what was said about the
 * servers behind: workers, and balancers of several. Read by the master; looked up in the children, which share struct
 * proxy_cell of each worker. Who connects is upstream/'s and conn/'s concern, who speaks is handler/'s.
 */
#ifndef BULKHEAD_REQUEST_PROXY_H
#define BULKHEAD_REQUEST_PROXY_H

#include <stdatomic.h>

#include "base/addr.h"
#include "conf/conf.h"
#include "request/request.h"

#define PROXY_WORKERS 4096              /* of one configuration */

extern struct conf_module proxy_module;

/* States of a worker: status= by the configuration; PROXY_ILL by health checks. */
enum {
	PROXY_DISABLED = 1, PROXY_STOPPED = 2, PROXY_IGNORES_ERRORS = 4, PROXY_STANDBY = 8, PROXY_IN_ERROR = 16, PROXY_DRAINS = 32, PROXY_ILL = 64,
	PROXY_SPARE = 128,
};

/*
 * What all children of a configuration know of a worker, in memory that they share. No lock: each number is changed by itself, and
 * a child that dies leaves at most a number that is one too high. Readers believe none of them further than that.
 */
struct proxy_cell {
	_Atomic int64_t ill_until;              /* ms of CLOCK_MONOTONIC: left alone until then after a failure; 0 = it is well */
	_Atomic uint32_t ill;                   /* PROXY_ILL: health checks have failed */
	_Atomic int32_t score;                  /* byrequests: who is next */
	_Atomic int32_t busy;                   /* requests under way */
	_Atomic uint64_t elected, traffic;      /* requests, bytes both ways */
	_Atomic int64_t check_due;              /* ms: when its health is asked for next */
	_Atomic uint32_t fails, passes;         /* health checks in a row */
	_Atomic uint32_t nameless;              /* it was told that its name has no address */
};

enum proxy_keep { PROXY_KEEP_DEFAULT, PROXY_KEEP_NEVER, PROXY_KEEP_ALWAYS };

struct expr;
/* One server behind, as a URL of the configuration names it. Times in ms, -1 = not said. */
struct proxy_worker {
	const char *name;               /* the URL: for logs and comparison */
	const char *scheme;             /* lower case */
	const char *host;               /* lower case, without brackets */
	const char *authority;          /* for Host: the port only where it was written */
	const char *path;               /* of the URL; "" where it has none */
	const char *socket;             /* unix: its file; NULL = TCP */
	struct addr addr;               /* of a numeric host; len 0: a name */
	uint16_t port;
	bool secure;                    /* TLS: https, wss */
	bool member;                    /* of a balancer */
	int64_t timeout, connect_timeout, retry, ttl, address_ttl, ping, acquire, flush_wait;
	int64_t max, factor, set;       /* connections of a child; loadfactor in hundredths; lbset */
	int64_t io_size, receive_size;
	int reuse;                      /* enum proxy_keep */
	int keepalive, flush;
	const char *route, *redirect, *secret, *upgrade, *flushing;
	unsigned status;                /* as configured */
	const struct proxy_tls *tls;    /* of its host or <Proxy> section; NULL: of the host that the request is for */
	bool tls_own;                   /* a <Proxy> section says it */
	struct {
		const char *method, *uri, *expr_name;
		const struct expr *expr;
		int64_t interval, passes, fails;
	} check;
	struct proxy_cell *cell;        /* NULL: of a URL that a rule made: nothing is known of it */
	unsigned id;                    /* from 0; what each child keeps for itself is numbered so */
	struct conf_pos pos;
};

enum proxy_method { PROXY_BY_REQUESTS, PROXY_BY_TRAFFIC, PROXY_BY_BUSYNESS };
struct proxy_member { struct proxy_worker *worker; struct proxy_member *next; };
struct proxy_balancer {
	const char *name;               /* lower case, without "balancer://" */
	struct proxy_member *members;   /* in order of the text */
	unsigned nmembers;
	int method;                     /* enum proxy_method */
	const char *sticky, *sticky_path;       /* the cookie, the parameter of URLs; NULL = none */
	char separator;                 /* before the route */
	int nofailover, forcerecovery, scolon, timeout_fails;
	int64_t attempts, timeout;
	const int *fail_on;             /* failonstatus; ended by 0 */
	const char *nonce, *redirect;
	struct proxy_balancer *next;
};

/* How a backend's certificate is checked and what it is shown: SSLProxy*. Files' contents are read by the master. */
struct proxy_tls {
	int engine;
	int verify;                     /* 0 none, 1 optional, 2 require */
	int check_name, check_cn, check_expire, crl_check;
	int64_t depth;
	const char *protocols;
	const char *ca_file, *ca_path, *crl_file, *crl_path, *machine_file, *machine_path, *machine_chain;
	struct text ca, crl, machine;   /* what the files hold: PEM */
	unsigned id;                    /* of the configuration: what children make of it is kept by this */
};

/* Where a request leads: r->proxy. */
struct proxy_to {
	const struct proxy_worker *worker;      /* NULL: to be picked of the balancer */
	const struct proxy_balancer *balancer;  /* NULL = none */
	const char *url;                /* whole, without query: for <Proxy> and logs */
	const char *decoded;            /* the path at the worker as it is meant: for programs (FastCGI) */
	const char *path;               /* the same as it is sent, %-encoded. Of a balancer: behind the member's URL */
	const char *query;              /* NULL = none */
	bool raw;                       /* nocanon: the path is as it came, and holds the query */
	const struct conf_pos *pos;     /* the line that led there; NULL = none */
};

/* PHASE_MAP: 0 and perhaps r->proxy and r->handler; else a status. */
unsigned proxy_map(struct request *r);
/*
 * The same for a URL that a rule made, "http://…" or "unix:…|http://…", path not encoded unless `raw`. 0, or a status (logged): no such scheme,
 * characters that are in no URL, or children may not connect here (proxy_wanted).
 */
unsigned proxy_url(struct request *r, const char *url, const char *query, bool raw, const struct conf_pos *pos);
/* SetHandler "proxy:URL" led here: fills r->proxy. The path of a FastCGI-like scheme is the file, of others the request's own. */
unsigned proxy_by_handler(struct request *r, const char *name);
/* For setters: children have to connect by such a line. */
void proxy_needed(struct conf_call *call);

/* Changes Location, Content-Location, URI, Destination and Set-Cookie of a backend's answer by ProxyPassReverse and its kin. 0 or -1. */
int proxy_reverse(struct request *r, struct fields *f);

/* Of the request's host and sections, with their defaults. */
bool proxy_preserves_host(const struct request *r);
bool proxy_adds_headers(const struct request *r);
bool proxy_overrides(const struct request *r, unsigned status);
bool proxy_passes_expect(const struct request *r);
enum proxy_via { PROXY_VIA_OFF, PROXY_VIA_ON, PROXY_VIA_FULL, PROXY_VIA_BLOCK };
enum proxy_via proxy_via(const struct request *r);
enum proxy_bad { PROXY_BAD_ERROR, PROXY_BAD_IGNORE, PROXY_BAD_START_BODY };
enum proxy_bad proxy_bad_header(const struct request *r);
/* ms to wait for the backend; CHAN_TIMEOUT (0) where nobody said */
int64_t proxy_timeout(const struct request *r, const struct proxy_worker *w);
int64_t proxy_max_forwards(const struct request *r);            /* -1 = not said */
/* For a connection to w: of its <Proxy> section, else of the host (NULL: of the host that names the worker). */
const struct proxy_tls *proxy_tls(const struct host *h, const struct proxy_worker *w);
/* All workers of a site, for upstream/: from the main server's and the hosts' lists, by id. */
const struct proxy_worker *proxy_worker_at(const struct site *s, unsigned id);
/* A host's balancers, the main server's among them; NULL = none. */
const struct proxy_balancer *proxy_balancers(const struct host *h);
/* Whether children of the site may connect to others. */
bool proxy_wanted(const struct site *s);

#endif

/*
 * status.h - "server-status": what the server is doing, for people and for programs (mod_status). What it shows comes as one
 * struct status, which process/scoreboard.c fills from the memory that all children share.
 *
 *   status_take(r->arena, r->site, &s)      0: s is filled; all it points to lives as long as the arena or the process
 *
 * Sums are over all children there ever were since the server's start, dead ones included: they never grow smaller, and outlive
 * kills and graceful restarts. Exceptions say so: gauges, and what belongs to the session cache or to the present configuration.
 * Every number that a child writes may be anything where the child was taken over: sums wrap, they do not overflow. Texts of
 * requests are the client's: escape them. There is never a query, a field of a request or an address's port among them.
 */
#ifndef BULKHEAD_HANDLER_STATUS_H
#define BULKHEAD_HANDLER_STATUS_H

#include "base/arena.h"
#include "base/histogram.h"
#include "conf/conf.h"
#include "request/handler.h"

struct site;

extern const struct handler status_handler;

/* ExtendedStatus SeeRequestTail */
extern struct conf_module status_module;

/* What can be counted of one child or of all. Times in microseconds. */
struct status_sums {
	uint64_t accepted;                      /* connections */
	uint64_t requests;
	uint64_t bytes;                         /* sent, of TLS and HTTP, as they left */
	uint64_t duration_us;                   /* of the requests that are over, from the head's end to the last byte given to the socket */
	uint64_t cpu_user_us, cpu_system_us;
	uint64_t handshakes, resumed, failures; /* TLS: finished ones, of these resumed; those that failed */
	uint64_t h2_connections, h2_streams, h2_resets; /* HTTP/2; resets: streams that either side broke off */
	uint64_t log_dropped;                   /* lines of logs that found no room */
};

/* Where connections are. Gauges. */
struct status_places {
	uint64_t total;
	uint64_t fresh;                         /* have not said anything */
	uint64_t handshake;                     /* of TLS is under way */
	uint64_t reading;                       /* the first request's head is awaited */
	uint64_t working;                       /* a request is being handled */
	uint64_t asking;                        /* … and waits for the name service */
	uint64_t writing;                       /* … and waits for its client to take more */
	uint64_t keepalive;                     /* wait for a further request */
	uint64_t closing;
	uint64_t h2, h2_streams;                /* of all: those that speak HTTP/2, and their open streams */
};

/* One living child, and what it works on in its present turn. Texts are cut to fit; "" = not known. */
struct status_child {
	uint32_t place;                         /* its letter is status.letters[place] */
	uint32_t pid;
	uint32_t generation;
	char letter;
	uint32_t limit;                         /* connections at once, at most */
	bool ready, draining;
	struct status_places places;
	struct status_sums sums;                /* since it was forked */
	/*
	 * Of the connection that has its turn at this moment, else of the request that it has had for the longest time; "" and -1 where
	 * there is neither, and where ExtendedStatus is Off.
	 */
	char peer[64], host[128], method[24], path[384], handler[24], phase[24];
	int64_t since_ms;                       /* since the request at hand began; -1 = there is none */
};

/* A request that takes longer than a turn: a program, a server behind, a long answer, a slow client. */
#define STATUS_REQUESTS 256
struct status_request {
	uint32_t pid;
	const char *phase;                      /* "handler", "writing" (the client takes no more), "names" */
	int64_t since_ms;
	char peer[48], host[48], method[12], handler[20], path[112];
};

struct status_count { const char *name; uint64_t n; };
struct status_counts { const struct status_count *at; unsigned n; };

struct status_tls {
	struct status_counts versions;          /* finished handshakes: "TLSv1.3" */
	struct status_counts kinds;             /* "full", "id" (from the session cache), "ticket" */
	struct status_counts suites;            /* OpenSSL's names; only those that came */
	struct status_counts failures;          /* by reason, all reasons: "no common protocol"; also first bytes of other protocols, and no bytes in time */
};

/* The processes that hold private keys. */
struct status_keys {
	bool isolated;                          /* there are such processes (SSLPrivateKeyIsolation); else children sign themselves */
	uint64_t waiting;                       /* gauge: children that wait for an answer now */
	uint64_t operations, failed, late;      /* asked by children; of these in vain; of these not answered within SSLKeyTimeout */
	uint64_t wait_us;                       /* all of them together */
	uint64_t wait[HISTOGRAM_BUCKETS];       /* how long each took */
	uint64_t restarts;                      /* holders that died and were replaced */
};

/* The TLS session cache. Counts since it was made, with its present size. */
#define STATUS_WAITS 8
struct status_cache {
	bool there;                             /* false: nothing else is filled */
	uint64_t bytes, sessions;               /* its size; how many of average size it holds */
	uint64_t shards, slots;                 /* slots: places in the index, all shards together */
	uint64_t live;                          /* gauge: sessions now */
	uint64_t hits, misses, stores, replaced, evicted, expired, removed, oversize;
	uint64_t lock_busy, lock_timeout, repairs, resets, badtag;
	uint64_t waits[STATUS_WAITS];           /* stores that waited for the lock, by time: up to … */
	uint64_t wait_us[STATUS_WAITS];         /* … so many us each; UINT64_MAX for the last */
};

enum status_staple { STATUS_STAPLE_UNWANTED, STATUS_STAPLE_MISSING, STATUS_STAPLE_THERE };
enum { STATUS_1XX, STATUS_2XX, STATUS_3XX, STATUS_4XX, STATUS_5XX, STATUS_CLASSES };
/* A virtual host, by name and port. Those beyond STATUS_HOSTS are one: "others". Hosts of configurations before stay as long as there is room. */
#define STATUS_HOSTS 63
struct status_host {
	char name[128];                         /* "www.example.org:443"; "others" */
	bool current;                           /* it is one of the configuration in use */
	uint64_t requests, bytes, duration_us;  /* that are over */
	uint64_t classes[STATUS_CLASSES];       /* responses by class of their status */
	uint64_t latency[HISTOGRAM_BUCKETS];    /* durations; base/histogram.h */
	/* Of the present configuration. */
	int64_t certificate_expires;            /* seconds since 1970, the first of its certificates to do so; -1 = it has none */
	enum status_staple staple;              /* the oldest of its OCSP answers */
	int64_t staple_since, staple_until;     /* seconds since 1970: when it came (0 = not known), and until when it is used */
};

/* A kind of crash, told by what the crash report calls its fingerprint. */
struct status_crash {
	uint64_t fingerprint;                   /* 0: all others */
	uint32_t signal;                        /* of the last one */
	uint64_t n;
	int64_t last;                           /* seconds since 1970 */
};

/* A server behind. Counts since this configuration came into use. */
struct status_backend {
	const char *balancer;                   /* "name" of "balancer://name"; NULL = of none */
	const char *url;                        /* as configured */
	const char *route;                      /* NULL = none */
	const char *state;                      /* "Ok", "Err", "Ill", "Dis", "Stop", "Drain", "Stby", "Spare", as balancer-manager's */
	bool takes;                             /* it takes requests now */
	int64_t retry_ms;                       /* after a failure: until it is tried again; 0 = it is not waited for */
	int64_t factor, set;                    /* loadfactor in hundredths; lbset */
	uint64_t busy;                          /* gauge: requests under way */
	uint64_t elected, bytes;                /* elected: requests of balancers' members */
};

struct status {
	int64_t now, started, restarted;        /* seconds since 1970: this moment, the server's start, its present generation's beginning */
	int64_t uptime;                         /* seconds, never negative */
	uint32_t generation;                    /* that serves */
	uint64_t graceful_restarts, hard_restarts;
	double load[3];                         /* of the machine: 1, 5, 15 minutes */

	uint32_t nplaces;                       /* of children */
	char *letters;                          /* nplaces of them and a NUL, as Apache's scoreboard: _ S R W K D C L G I . */
	struct status_child *children;          /* those that live */
	unsigned nchildren;

	struct status_sums sums;
	struct status_places places;
	struct status_request *requests;        /* the longest first; STATUS_REQUESTS at most, and 16 of a child. None where ExtendedStatus is Off */
	unsigned nrequests;
	uint64_t busy, idle;                    /* connections that are at work; room for further ones in children that take any */
	unsigned stopping;                      /* children that finish what is under way */
	struct status_counts ends;              /* of children: "normal", "sick", "fatal", "crash", "sandbox", "killed", "hang" */

	struct status_tls tls;
	struct status_keys keys;
	struct status_cache cache;
	struct status_host *hosts;
	unsigned nhosts;
	struct status_crash *crashes;           /* newest first */
	unsigned ncrashes;
	struct status_backend *backends;        /* members of a balancer follow each other */
	unsigned nbackends;
};

/* 0, or -1: no memory. Only where status_there. */
int status_take(struct arena *a, const struct site *site, struct status *s);
/* False: nothing can be shown, since no line outside of per-directory files names the handler. */
bool status_there(void);
/* ExtendedStatus: whether requests are shown. */
bool status_extended(const struct site *site);

/* For the provider, once in each child. */
typedef int status_taker(struct arena *a, const struct site *site, struct status *s);
void status_show(status_taker *take);

#endif

/*
 * proxyread.h - for proxyworker.c, proxyconf.c, proxymap.c and proxyreverse.c alone: what the lines of the configuration come to.
 */
#ifndef BULKHEAD_REQUEST_PROXYREAD_H
#define BULKHEAD_REQUEST_PROXYREAD_H

#include <stdlib.h>

#include "base/regex.h"
#include "request/proxy.h"

struct proxy_rule {
	const char *prefix;             /* NULL: a pattern, or everything in its section */
	const struct regex *regex;
	const char *target;             /* NULL: "!" */
	struct proxy_worker *worker;    /* NULL: a balancer, or the host is made of the request */
	bool nocanon, noquery;
	bool interpolates;              /* ${NAME} in the target, where ProxyPassInterpolateEnv is on */
	bool servlet;                   /* parameters of the path's parts (";a=b") do not count for the prefix */
	struct conf_pos pos;
	struct proxy_rule *next;
};

struct proxy_reversal {
	const char *ours, *theirs;
	const struct regex *regex;      /* of a <LocationMatch>: `ours` is no path */
	bool interpolates;
	struct proxy_reversal *next;
};

struct proxy_hcexpr { const char *name; const struct expr *expr; struct proxy_hcexpr *next; };
struct proxy_template { const char *name; char **words; int n; struct proxy_template *next; };
/* SSLProxy* of a <Proxy> section. */
struct proxy_place { const struct section *section; struct proxy_tls tls; struct proxy_place *next; };

struct proxy_host {
	struct proxy_rule *rules;       /* in order of the text, the main server's first */
	struct proxy_member *workers;
	struct proxy_balancer *balancers;
	struct proxy_tls tls;
	struct proxy_place *places;
	struct proxy_hcexpr *checks;
	struct proxy_template *templates;
	int via, bad, inherit, inherit_balancers;
	int64_t timeout, io_size, receive_size, max_forwards;
	/* Of the main server alone: */
	struct proxy_worker **all;      /* by id */
	unsigned nall;
	struct proxy_cell *cells;
	bool needed;                    /* children have to connect */
};

struct proxy_section {
	const struct proxy_rule *rule;  /* ProxyPass of a <Location> */
	struct proxy_reversal *reversals, *cookie_domains, *cookie_paths;
	int preserve_host, add_headers, override, expect, interpolate;
	const int *override_codes;      /* ended by 0; NULL = all */
};

/* The parts of "[unix:FILE|]scheme://host[:port][/path]"; they borrow it. */
struct proxy_url { const char *socket; size_t socket_n; struct text scheme, host, authority; uint16_t port; const char *path; };
/* False: it is none: *why. */
bool proxy_parse_url(const char *url, struct proxy_url *u, const char **why);
uint16_t proxy_default_port(struct text scheme);                /* 0: not a scheme that is spoken here */
struct proxy_host *proxy_main(const struct site *s);

/* For setters: NULL after a report. `h`: of the host that is read. */
struct proxy_worker *proxy_worker_make(struct conf_call *call, struct proxy_host *h, const char *url);
struct proxy_worker *proxy_worker_find(const struct proxy_host *h, const char *url);
bool proxy_is_balancer(const char *url);
struct proxy_balancer *proxy_balancer_make(struct conf_call *call, struct proxy_host *h, const char *url);
struct proxy_balancer *proxy_balancer_find(const struct proxy_host *h, const char *name, size_t n);
void proxy_append(struct conf_env *env, struct proxy_member **list, struct proxy_worker *w);
/* "key=value" of a worker, or where b is not NULL of a balancer (w NULL: then of all its members, too). 0 or -1. */
int proxy_set_key(struct conf_call *call, struct proxy_worker *w, struct proxy_balancer *b, const char *word);
/* ProxyHCTemplate; hctemplate= */
conf_setter proxy_set_template;
/* proxytls.c: SSLProxy*. */
conf_setter proxy_set_tls;
void proxy_tls_clear(struct proxy_tls *t);                      /* nothing is said */
void proxy_tls_merge(struct proxy_tls *m, const struct proxy_tls *b, const struct proxy_tls *o);
int proxy_tls_finish(struct conf_env *env, struct proxy_host *h);
/* The text with ${NAME} in it replaced by what the request has for NAME, where ProxyPassInterpolateEnv is on. NULL on ENOMEM. */
const char *proxy_interpolate(struct request *r, const char *text, bool interpolates);
/* proxymap.c, proxyreverse.c */
conf_setter proxy_set_pass, proxy_set_reverse, proxy_set_cookie;

#endif

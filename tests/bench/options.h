/*
 * options.h - what the command line of bulkhead-bench asks for. The manual page has the meaning, the defaults
 * and the limits of each option.
 */
#ifndef BULKHEAD_BENCH_OPTIONS_H
#define BULKHEAD_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum resume { RESUME_ANY, RESUME_NONE, RESUME_ID, RESUME_TICKET };
enum order { ORDER_TURN, ORDER_RANDOM, ORDER_ZIPF };

struct options {
	char host[256], port[6];    /* of the URL; an IPv6 address without its brackets */
	char path[2048];            /* with its query */
	char to_host[256], to_port[6];  /* --connect; the URL's when it is not given */
	const char *url;            /* borrowed from the command line, as the others here */
	const char *name;           /* --sni or the URL's host: sent, verified, and the Host field */
	const char *ca;             /* NULL = the system's */
	bool insecure, any_name, json, quiet, tls12, tls13;
	bool help;
	enum resume resume;
	enum order order;
	unsigned connections, processes, sessions;
	uint64_t operations;        /* 0 = as many as the time allows */
	uint64_t time_ms, timeout_ms;
	uint64_t requests;          /* a connection */
	uint64_t rate;              /* operations a second, 0 = as many as possible */
	double allow_loss;          /* percent */
};

/* 0, or -1 with a sentence in *e. */
int options_parse(struct options *o, int argc, char **argv, struct err *e);
extern const char options_usage[];
const char *resume_name(enum resume r);
const char *order_name(enum order o);

#endif

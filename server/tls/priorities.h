/*
 * priorities.h - GnuTLS's priorities, each text made once and shared by all hosts: a host has one for every suite.
 * Made in the master (making one costs 17 us and may open files), used in children.
 */
#ifndef BULKHEAD_TLS_PRIORITIES_H
#define BULKHEAD_TLS_PRIORITIES_H

#include "tls/host.h"

/* The priority of one suite below 1.3, with the host's protocols and groups. Give back with priority_put. NULL with *e. */
gnutls_priority_t priority_of_suite(const struct tls_policy *p, const struct suite *s, struct err *e);
/* TLS 1.3 with all its suites and groups, these ones first. */
gnutls_priority_t priority_of_tls13(const struct tls_policy *p, unsigned first_suite, unsigned first_group, struct err *e);
/* What a session begins with, before its ClientHello decides. */
gnutls_priority_t priority_of_start(struct err *e);
void priority_put(gnutls_priority_t p);                 /* NULL is fine */

#endif

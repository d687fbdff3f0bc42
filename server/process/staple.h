/*
 * staple.h - OCSP answers for the certificates of all hosts: asked for by jobs, kept by the master in a table that children
 * read (tls/staple.h), renewed before they run out. The answers outlive generations: a graceful restart keeps those of
 * certificates that stay, and files
 * (staplefile.h) keep them over a stop and start. Master only, but for -X.
 */
#ifndef BULKHEAD_PROCESS_STAPLE_H
#define BULKHEAD_PROCESS_STAPLE_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "process/config.h"

/* For a generation whose hosts are finished, before its children are forked: gives its certificates their cells. 0 or -1 with *e. */
int staples_prepare(const struct config *cfg, struct err *e);
/* That generation serves: its certificates are looked after from now on, no others. */
void staples_settle(const struct process_settings *p);
/* When which answer is due, for the program that is executed next; and taken over from the one before (handover.h). */
void staples_hand_over(FILE *to);
void staples_take_over(void);
/* -X, in place of the clock: looks at those that were kept, and asks once for those that are missing, one after the other. */
void staples_direct(void);
/* Starts jobs for what is due. When to look again (ms of CLOCK_MONOTONIC). */
int64_t staples_tick(const struct process_settings *p, int64_t now);

#endif

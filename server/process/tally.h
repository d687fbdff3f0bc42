/*
 * tally.h - what outlives children for the status page: what those did that are gone, which host is counted in which row, how children
 * ended, restarts. Written by the master alone, read by children that show a status page (scoreboard.c); under -X the one process has
 * a tally of its own.
 *
 * `sequence` is odd while sums move from a child to the tally, or a row gets another host: whoever reads begins anew then.
 */
#ifndef BULKHEAD_PROCESS_TALLY_H
#define BULKHEAD_PROCESS_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conn/counters.h"
#include "process/config.h"
#include "process/policy.h"

struct shared_slot;

#define TALLY_ENDS (POLICY_KILLED + 2)  /* of children: enum policy_end, and hangs */
#define TALLY_HANG (POLICY_KILLED + 1)
#define TALLY_CRASHES 32                /* kinds of crashes; [0] is for all that have no place */

struct tally_crash {
	_Atomic uint64_t fingerprint, n;
	_Atomic int64_t last;           /* seconds since 1970 */
	_Atomic uint32_t signal;
};
struct tally_host {
	char name[128];                 /* "" = free */
	uint32_t users;                 /* generations and hosts of theirs that count here: the master's own */
};

struct tally {
	_Atomic uint32_t sequence;
	_Atomic uint32_t generation;    /* that serves */
	_Atomic int64_t since;          /* when it began to; seconds since 1970 */
	_Atomic uint64_t graceful, hard, key_restarts;
	_Atomic uint64_t ends[TALLY_ENDS];
	struct tally_crash crashes[TALLY_CRASHES];
	struct tally_host hosts[CONN_ROWS];     /* the last one is all others */
	struct conn_counters past;      /* sums of children that are gone */
	struct conn_row rows[CONN_ROWS];        /* the same by host */
};

/* A configuration comes into use: its hosts get their rows. And goes: when no child of it lives. */
void tally_hosts(const struct config *cfg);
void tally_hosts_over(const struct config *cfg);
/* The tally is that of the program before, whose children count on in the rows that its hosts had; until none of them lives. */
void tally_adopt(void);
void tally_adopt_over(void);
/* Counts what a child did that is gone, and clears its counters. Again: nothing. */
void tally_retire(const struct shared_slot *s);
/* A child ended. */
void tally_end(enum policy_end how, bool hung);
void tally_crash(uint64_t fingerprint, int signal);
/* The generation with that number serves from now on. */
void tally_serves(uint32_t generation);
void tally_restart(bool hard);
void tally_key_restart(void);
/* -X: the process's own; made once. */
struct tally *tally_single(void);

#endif

/*
 * keyholder.h - the processes that hold a generation's private keys: started and fed by the master, asked by the
 * children over a socket of their own each. Child slot i is served by keyholder i mod n.
 */
#ifndef BULKHEAD_PROCESS_KEYHOLDER_H
#define BULKHEAD_PROCESS_KEYHOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/config.h"
#include "tls/key.h"

struct generation;
struct keyholders;

/* Starts n keyholders, has the keys loaded and finishes the TLS hosts. NULL with *e or faults reported in cfg. */
struct keyholders *keyholders_start(struct config *cfg, unsigned n, struct err *e);
/* A socket for a child in that slot: its own end in *child, the keyholder's in *kept. 0 or -1. */
int keyholders_attach(struct keyholders *k, unsigned slot, int *child, int *kept);
/* In the child that has that slot and that end: all it needs to ask. */
void keyholders_link(const struct keyholders *k, unsigned slot, int fd, struct key_link *link);
/* SSLPrivateKeyIsolation off: children have the keys, none of these processes lives on. */
bool keyholders_direct(const struct keyholders *k);
/* In a child then, before it closes and gives up anything: the keys, by way of its end. NULL with *e. */
struct key_store *keyholders_load(const struct keyholders *k, int fd, struct err *e);
/* True if the pid was one of them: it is replaced, at once the first time. */
bool keyholders_reaped(struct keyholders *k, const struct generation *g, pid_t pid, int status, int64_t now);
/* Looks into complaints of children, ends a keyholder that hangs, tries again what is due. When it is due next: keyholders_due (INT64_MAX = nothing). */
void keyholders_tick(struct keyholders *k, const struct generation *g, int64_t now);
int64_t keyholders_due(const struct keyholders *k);
/* Those that live, for the program that is executed next (handover.h). */
void keyholders_hand_over(const struct keyholders *k, FILE *to);
/* Lets them end (they do when their control socket closes), and frees. */
void keyholders_end(struct keyholders *k);

#endif

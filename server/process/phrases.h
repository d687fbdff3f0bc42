/*
 * phrases.h - the pass phrases of encrypted private keys: asked for once, before the first fork of a server, and kept in one
 * page that is locked, in no core, and in no process forked from the one that has it. Keyholders get them by message.
 */
#ifndef BULKHEAD_PROCESS_PHRASES_H
#define BULKHEAD_PROCESS_PHRASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "process/config.h"

#define PHRASES_ROOM 4096               /* bytes of all phrases, each with its zero */
#define PHRASE_LONGEST 1024

/*
 * Asks for the phrases of all keys that need one, as SSLPassPhraseDialog says; each phrase is tried on the next keys first.
 * Keys are parsed in a process that does nothing else; confined: with a keyholder's rights and sandbox (not under -X). 0, also where nothing had to be asked or a key file is faulty in
 * another way, which is said later; -1 with *e: no phrase for a key.
 */
int phrases_ask(struct config *cfg, bool confined, struct err *e);
/* With true before the fork that goes to the background: the page comes along; with false in the process that then serves. */
void phrases_carry(bool across);
/* n bytes of texts, each with its zero; n = 0: none. */
const char *phrases_list(size_t *n);
/*
 * For the program that is executed next: through a pipe, which is memory of the kernel's, never written to a disk or a core. The
 * descriptor is the caller's to close; -1: there are none, or (with *e) it cannot be made.
 */
int phrases_hand_over(FILE *to, struct err *e);
/* Takes over what the program before had; leaves the pipe as it is, for the way back. 0 or -1 with *e. */
int phrases_take_over(struct err *e);
/* -t, where encrypted keys were met: reports a program that could not be asked. */
void phrases_check(struct config *cfg);

#endif

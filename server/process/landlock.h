/*
 * landlock.h - how far a process reaches: which folders it may read, which one it may write to, to which ports it may
 * connect, and that it can neither signal nor look into processes outside. By the kernel's Landlock, where it has that; each
 * kernel holds as much as its version knows. Called by role.c; the children's folders are found by paths.c.
 */
#ifndef BULKHEAD_PROCESS_LANDLOCK_H
#define BULKHEAD_PROCESS_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum landlock_reach {
	LANDLOCK_NONE,                  /* not bounded here */
	LANDLOCK_NOTHING,               /* no file, no port */
	LANDLOCK_READ,                  /* reads every file, connects, writes none, listens nowhere */
	LANDLOCK_JOB,                   /* reads every file, makes and removes files in one folder, no port */
	LANDLOCK_CHILD,                 /* as struct landlock_wants says */
};

/* All paths absolute and meant inside ChrootDir. What is not there is passed over. */
struct landlock_wants {
	bool off;                       /* SandboxPaths off */
	bool everything;                /* every file but the secrets; else the folders */
	const char **folders;
	unsigned nfolders;
	const char **secrets;           /* never read. One that the account may not read in any case, or that lies in `kept`, costs nothing */
	unsigned nsecrets;
	const char **kept;              /* folders that are given whole, whatever secrets lie in them */
	unsigned nkept;
	bool any_port;                  /* else these */
	const uint16_t *ports;
	unsigned nports;
};

/* For the thread that calls and those that it makes, for good. no_new_privs must be set. `wants` for LANDLOCK_CHILD; `folder`: a descriptor; files
 * may be made there (and by a child where the kernel puts cores). -1 = nowhere. 0, also where the kernel has no Landlock; -1 with *e: the process is not bounded. */
int landlock_enter(enum landlock_reach reach, const struct landlock_wants *wants, int folder, struct err *e);
/* NULL, or what this kernel does not hold: a sentence, for the log at start. `buf` has room for n bytes. */
const char *landlock_missing(char *buf, size_t n);

#endif

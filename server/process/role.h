/*
 * role.h - how a process gives up what it must not have: the same visible order of steps in every role, one table row a
 * role (role.c). After role_enter there is no way back.
 */
#ifndef BULKHEAD_PROCESS_ROLE_H
#define BULKHEAD_PROCESS_ROLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "process/landlock.h"

enum role {
	ROLE_CHILD,             /* serves */
	ROLE_KEYHOLDER,         /* holds private keys */
	ROLE_TOKENS,            /* the same, with keys on PKCS#11 tokens: its modules want more calls */
	ROLE_RESOLVER,          /* asks the name service */
	ROLE_CHECKER,           /* asks OCSP responders about clients' certificates */
	ROLE_SPAWNER,           /* starts programs */
	ROLE_LOGGER,            /* writes the logs */
	ROLE_JOB,               /* one-shot, as the children's user */
	ROLE_MOVER,             /* one-shot, as the children's user, with the session cache alone */
	ROLE_FETCH,             /* one-shot, as the children's user, asks others over the network */
	ROLE_CHECK,             /* one-shot, root that can only read */
	ROLE_PROBE,             /* one-shot, executes another program as the master would: root */
	ROLE_DIRECT,            /* -X: everything in one process */
	ROLES
};

struct role_wants {
	const int *keep; /* descriptors beyond 0, 1, 2 that stay open; -1 entries are skipped */
	unsigned nkeep;
	const char *user;               /* for its supplementary groups; NULL = none */
	uid_t uid;                      /* (uid_t)-1: stay who we are */
	gid_t gid;
	const char *chroot_dir;         /* NULL = none */
	const char *work_dir;           /* inside the chroot; NULL = "/" */
	bool cores;                     /* RLIMIT_CORE as high as it goes, else 0 */
	uint64_t files, memory;         /* RLIMIT_NOFILE at least, RLIMIT_AS; 0 = as it is */
	pid_t master;                   /* who must be the parent; 0 = not asked */
	bool connects;                  /* ROLE_CHILD: it asks other servers */
	const struct landlock_wants *paths;     /* ROLE_CHILD: how far it reaches; NULL = not bounded */
	int writes;                     /* ROLE_JOB: a descriptor among `keep` of the folder that it writes to; 0 = none */
	bool watch_parent;              /* no pidfd to watch the master by: ask for a signal at its death */
	/* Step 2: opens what the later steps hide. Step 10: whatever must run before the sandbox. Either may be NULL. */
	int (*open_hidden)(void *ctx, struct err *e);
	int (*warm)(void *ctx, struct err *e);
	void *ctx;
	const int *calls; /* system calls allowed besides the role's table, ended by -1; NULL = none */
};

/* Runs the role's steps in order. 0, or -1 with *e: the process must end (its rights are in an unknown state). */
int role_enter(enum role role, const struct role_wants *w, struct err *e);
/*
 * fork() for a role: in the new process the master's signals are at their defaults or ignored, it has its name, and no
 * signal is blocked but, in ROLE_CHILD, TERM and QUIT until it has handlers for them. As fork().
 */
pid_t role_fork(enum role role);
const char *role_name(enum role role);
/* The account for a helper role: `name` (NULL: `fallback`) if it exists, else the children's. True: it was found. */
bool role_account(const char *name, const char *fallback, uid_t *uid, gid_t *gid);

/* Exit codes of roles that could not begin: told to the master. */
#define ROLE_EXIT_FATAL 78              /* configuration or rights: trying again will not help */
#define ROLE_EXIT_SICK 71               /* no memory, no descriptors: later perhaps */

#endif

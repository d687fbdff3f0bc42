/*
 * spawn.h - programs for handlers: started by the spawner (process/spawner.c), asked through conn/spawn.c; under -X started
 * directly. A child itself executes nothing, and the spawner runs only what the configuration allows (request/scripts.h).
 */
#ifndef BULKHEAD_HANDLER_SPAWN_H
#define BULKHEAD_HANDLER_SPAWN_H

#include "request/chan.h"
#include "request/client.h"
#include "request/request.h"

/* Bounds of the kernel or of the configuration for one program: soft and hard; -1 = as the server has them. */
struct spawn_limits {
	int64_t cpu[2];                 /* RLimitCPU, seconds */
	int64_t memory[2];              /* RLimitMEM, bytes */
	int64_t processes[2];           /* RLimitNPROC */
};

struct spawn_spec {
	const char *path;               /* absolute; it runs in the folder of its file */
	bool shell;                     /* /bin/sh is run in its place: exec of server-side includes, for the page `path` */
	const char *const *args;        /* behind argv[0], which is the file's name; ended by NULL */
	const char *const *env;         /* "NAME=value"; ended by NULL */
	struct spawn_limits limits;
};

/* Where it failed, if it did. */
enum spawn_stage {
	SPAWN_OK,
	SPAWN_BUSY,                     /* the spawner has too much to do, or no memory */
	SPAWN_GONE,                     /* the spawner died over it */
	SPAWN_REFUSED,                  /* the configuration does not allow this program */
	SPAWN_LIMITS,                   /* a limit cannot be set: errnum */
	SPAWN_FOLDER,                   /* its folder cannot be entered: errnum */
	SPAWN_EXEC,                     /* it cannot be executed: errnum */
	SPAWN_UNSAFE,                   /* it may not run as the host's account: errnum is an enum spawn_check */
	SPAWN_STAGES
};

/* What does not hold of a program that is to run as the account of its host (SuexecUserGroup). */
enum spawn_check {
	SPAWN_CHECK_OK, SPAWN_CHECK_PLACE, SPAWN_CHECK_REACH, SPAWN_CHECK_LINK, SPAWN_CHECK_FOLDER_WRITABLE, SPAWN_CHECK_WRITABLE, SPAWN_CHECK_SETUID,
	SPAWN_CHECK_OWNER, SPAWN_CHECK_FOLDER_OWNER, SPAWN_CHECKS
};

struct spawned {
	struct chan *in, *out, *err;    /* the program's 0, 1 and 2; the caller closes them, or they go with the stream */
	void *ctx;
	/* In a turn of the connection. It did not begin: the chans read as ended. */
	void (*failed)(struct spawned *p, enum spawn_stage stage, int errnum);
	/* It has ended, with a status as waitpid gives it; -1: it died with the spawner. Its descendants may go on. */
	void (*ended)(struct spawned *p, int status);
};

/* Begins it; fills p->in, out, err; p lives until spawn_over. 0, or -1: no descriptors, no memory or a full queue (503). */
static inline int spawn_program(struct request *r, const struct spawn_spec *spec, struct spawned *p)
{
	return r->client->ops->spawn ? r->client->ops->spawn(r->stream, spec, p) : -1;
}
/*
 * The request needs it no longer. What still runs gets SIGTERM, and SIGKILL three seconds later: the program alone where
 * its answer was whole, as in Apache; with `kill` all it has started, too.
 */
static inline void spawn_over(struct request *r, struct spawned *p, bool kill)
{
	if (r->client->ops->spawn_over)
		r->client->ops->spawn_over(r->stream, p, kill);
}

#endif

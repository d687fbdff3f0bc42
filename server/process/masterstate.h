/*
 * masterstate.h - what the two halves of the master share: its life (master.c) and its restarts (restart.c). For these files alone.
 */
#ifndef BULKHEAD_PROCESS_MASTERSTATE_H
#define BULKHEAD_PROCESS_MASTERSTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "process/generation.h"
#include "process/job.h"
#include "process/master.h"

enum master_state { STARTING, SERVING, CHECKING, MAKING_ROOM, RENEWING, STOPPING, STATES };
enum master_event {
	EV_STOP,                        /* TERM, INT */
	EV_DRAIN,                       /* WINCH, QUIT */
	EV_RESTART,                     /* USR1, HUP, USR2: master.hard and master.asked say which */
	EV_CHECKED, EV_REFUSED,         /* the checking job's verdict */
	EV_ROOM,                        /* the oldest generation is gone */
	EV_READY, EV_STILLBORN,         /* the newest generation serves, or never will */
	EV_EMPTY,                       /* no generation is left */
	EVENTS
};

/* What a restart is for. */
enum master_wish {
	WISH_RESTART,
	WISH_FILES,                     /* by itself: certificate files have changed */
	WISH_UPGRADE,                   /* USR2: the program that lies at this one's path is executed */
	WISH_FRESH,                     /* by itself: this program is executed anew, after a storm of crashes */
};

struct master {
	const struct config_source *src;
	const struct master_options *o;
	enum master_state state;
	struct generation *now, *next, *old;
	bool hard;                      /* this restart ends old connections at once */
	enum master_wish wish;
	bool quiet;                     /* what it comes to was said already */
	bool again, again_hard;         /* asked for while one was under way */
	enum master_wish again_wish, asked;    /* asked: by the signal that is being taken */
	int64_t jobs_until;             /* MAKING_ROOM before an exec: how long jobs are waited for */
	bool ended;
	int code;                       /* exit code */
	int ready_fd, pid_fd, signals;
	char *pid_file;
	int64_t wake_after;
	struct job_check check;
	char failure[2200];             /* why the start failed */
};
extern struct master master;

/* What state × event comes to. */
void master_event(enum master_event ev);

/* -------------------------------------------------------------------------------------------- restart.c */

void restart_begin(void);                               /* for master.wish */
/* What USR1 does, but for nothing else than the sake of certificate files, or of another layout of memory. */
void restart_by_itself(enum master_wish wish);
void restart_remember(void);                            /* one is under way: one more follows */
void restart_make_room(void);                           /* the check has passed */
bool restart_room(int64_t now);                         /* the next generation may be made, or the next program executed */
void restart_renew(void);                               /* makes it, executes it */
void restart_refused(void);                             /* it came to nothing */
void restart_done(void);                                /* the next generation serves */
void restart_stillborn(void);                           /* … or never will */
void restart_over(void);                                /* serves again; begins what was asked for meanwhile */

#endif

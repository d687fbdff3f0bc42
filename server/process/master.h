/*
 * master.h - the server's life as a whole, called by the command line: the master with its children, or one process.
 *
 *   cfg = config_read(&source);                     the command line prints its reports and goes no further on errors
 *   daemon_detach(&o.ready_fd, &code, &e);          unless -D FOREGROUND (o.ready_fd = -1 then)
 *   return master_run(&source, cfg, &o);
 *
 * Both functions load keys and certificates themselves and take the pid file; what goes wrong before the server serves is
 * said on standard error (through ready_fd when detached) and in the error log once that is open.
 */
#ifndef BULKHEAD_PROCESS_MASTER_H
#define BULKHEAD_PROCESS_MASTER_H

#include <stdbool.h>

#include "process/config.h"

struct master_options {
	bool foreground;                /* -D FOREGROUND: no detaching was done, standard error stays */
	int ready_fd;                   /* of daemon_detach; -1 = none */
	/*
	 * Further checks of a configuration that was read, by config_report_add: the command line's start-up checks. Called
	 * in the checking job of a restart, with keys and certificates loaded. May be NULL.
	 */
	void (*check)(struct config *cfg);
};

/* Serves until it is told to stop. Takes cfg. Returns the exit code. */
int master_run(const struct config_source *src, struct config *cfg, const struct master_options *o);

/* -X: the same configuration served by this one process, no fork, standard streams as they are. Takes cfg. */
int single_run(struct config *cfg);

#endif

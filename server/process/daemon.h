/*
 * daemon.h - going to the background and being the only one: detaching with a readiness pipe, the pid file behind a
 * lock of its open file description. Used by the command line and the master.
 */
#ifndef BULKHEAD_PROCESS_DAEMON_H
#define BULKHEAD_PROCESS_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Forks; the child becomes the leader of a session of its own. In the child: 0, and *ready_fd for daemon_ready. In the
 * parent: 1 once the child has spoken or died, *code is its exit code, what it said is on standard error. -1: no fork.
 */
int daemon_detach(int *ready_fd, int *code, struct err *e);
/* The child tells the waiting parent its exit code and a text for the terminal ("" = none), and closes. fd -1 is fine. */
void daemon_ready(int fd, int code, const char *text);
/* Descriptors 0 to 2 become /dev/null where they are not open. Before anything else is opened. */
void daemon_fill_stdio(void);
/* Standard streams to /dev/null, so that no terminal or pipe is held by a server in the background. */
void daemon_null_stdio(void);

/*
 * Takes the pid file: creates it, locks it, writes the own pid. Returns the descriptor, which must be kept open (and
 * closed in every fork that lives on), or -1 with *e; *running is the pid of the living owner, or 0. What a dead server
 * left is taken over, where one is just dying within a second; a symbolic link is refused.
 */
int pidfile_take(const char *path, pid_t *running, struct err *e);
/* Whether a living server holds that file. 1 and *pid, 0: none (no file, or a stale one), -1 with *e. Waits up to a second
 * for the end of one that was killed. */
int pidfile_running(const char *path, pid_t *pid, struct err *e);
/* Removes it if it is still ours (or empties it where that is all it may), and closes. */
void pidfile_release(const char *path, int fd);

#endif

/*
 * singlecrash.h - -X: a crash's report without a master. For single.c and the command line.
 */
#ifndef BULKHEAD_PROCESS_SINGLECRASH_H
#define BULKHEAD_PROCESS_SINGLECRASH_H

#include "base/err.h"
#include "process/config.h"

struct activity;

/* Before rights are dropped: what cannot be opened later. What fails costs reports, not the service. */
void singlecrash_open(const struct config *cfg);
/* After that: the crash handler. The activity and the nfds client descriptors (-1 = none) must stay. */
void singlecrash_install(struct activity *activity, const volatile int *fds, unsigned nfds);
/* What the crashing process executes this program for, with the arguments behind SINGLECRASH_WORD. The exit code. */
#define SINGLECRASH_WORD "--write-crash-report"
#define SINGLECRASH_WORDS 3
int singlecrash_main(char **words);

#endif

/*
 * ways.h - ways to crash, for bulkhead-crash test.
 */
#ifndef BULKHEAD_CRASHDUMP_TOOLWAYS_H
#define BULKHEAD_CRASHDUMP_TOOLWAYS_H

struct toolway {
	const char *name;               /* NULL ends the table */
	int signal;                     /* that the kernel must name in the end */
	const char *what;
	void (*crash)(void);
};

extern const struct toolway toolways[];
/* Crashes in that way, two calls deep. */
void toolways_crash(const struct toolway *way);

#endif

/*
 * fault_ways.h - ways to crash, for the fault injector (fault_handler.c).
 */
#ifndef TESTS_SYSTEM_FAULT_WAYS_H
#define TESTS_SYSTEM_FAULT_WAYS_H

#include <stdbool.h>
#include <stddef.h>

struct fault_way {
	const char *name;               /* NULL ends the table */
	void (*crash)(void);
};

extern const struct fault_way fault_ways[];
/* By its name; NULL: there is none. */
const struct fault_way *fault_way_find(const char *name, size_t n);
/* Crashes in that way, below so many calls of fault_level (at most 1000). */
void fault_crash(const struct fault_way *way, unsigned depth);

#endif

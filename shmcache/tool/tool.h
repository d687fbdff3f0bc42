/*
 * tool.h - what the files of the program bulkhead-cache share: its commands, how it finds a segment, how it speaks.
 *
 * A command is a function that gets its own arguments, argv[0] being its name, and returns the exit status. It says
 * what is wrong through tool_fail or tool_misused and returns what they return; main flushes standard output and
 * checks that everything could be written. Nothing here is part of the library.
 */
#ifndef SHMCACHE_TOOL_H
#define SHMCACHE_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "shmcache/shmcache.h"

enum {                                  /* exit statuses, as in the manual */
	TOOL_GOOD = 0,
	TOOL_VIOLATED = 1,              /* verify found violations; bench: a measure that did not come out */
	TOOL_TROUBLE = 2,               /* used wrongly, not found, not allowed, unreadable, not written */
};

struct tool_command {
	const char *name;
	const char *arguments;          /* as the usage shows them */
	const char *summary;            /* half a line */
	const char *options;            /* a line each, "" = none */
	int (*run)(int argc, char **argv);
};

int tool_stat(int argc, char **argv);           /* stat.c */
int tool_list(int argc, char **argv);           /* other.c */
int tool_verify(int argc, char **argv);         /* other.c */
int tool_copy(int argc, char **argv);           /* other.c */
int tool_bench(int argc, char **argv);          /* bench.c */

/* ------------------------------------------------------------------------------------------------ main.c */

/* "bulkhead-cache: what" on standard error, the remedy ("" = none) on the next line. Returns TOOL_TROUBLE. */
int tool_fail(const char *remedy, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, with "see 'bulkhead-cache help COMMAND'" as the remedy. */
int tool_misused(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What getopt_long answered '?' or ':' to (its opterr is 0), as a sentence. */
int tool_bad_option(char **argv, int answer);
/* A whole number from min to max, or -1 after saying what is wrong. */
long tool_number(const char *command, const char *option, const char *text, long min, long max);
/* Copies a text that came from a segment; what a terminal could take for a command becomes '?'. Returns `to`. */
char *tool_clean(const char *from, char *to, size_t n);
/* One line of JSON on standard output; takes the value. 0, or -1: it could not be written. */
int tool_print_json(json_t *value);

/* ------------------------------------------------------------------------------------------------ find.c */

/* A segment that was found and looked at. */
struct tool_target {
	struct shmcache *cache;
	struct shmcache_info info;
	char label[160];                /* how to call it: its name, or the file's */
	bool saved;                     /* a file, not the memory that a server uses or left */
};

/*
 * Attaches to what the arguments behind the options name: nothing = the only instance, else one word. 0, or -1 after
 * saying what is wrong. Close with tool_close.
 */
int tool_open(const char *command, int argc, char **argv, struct tool_target *t);
void tool_close(struct tool_target *t);

#endif

/*
 * tool.h - what the files of the program bulkhead-crash share: its commands, the folder of reports, how it speaks.
 *
 * A command is a function that gets its own arguments, argv[0] being its name, and returns the exit status. It says what
 * is wrong through tool_fail or tool_misused and returns what they return; main flushes standard output and checks that
 * everything could be written. Nothing here is part of the library.
 */
#ifndef BULKHEAD_CRASHDUMP_TOOL_H
#define BULKHEAD_CRASHDUMP_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "crashdump/readreport.h"
#include "crashdump/snapshot.h"

#define TOOL_FOLDER BULKHEAD_STATEDIR "/crash"

enum {                                  /* exit statuses, as in the manual */
	TOOL_GOOD = 0,
	TOOL_BAD = 1,                   /* test: the report is not complete; backtrace: no frame, or the wrong program */
	TOOL_TROUBLE = 2                /* used wrongly, not found, not allowed, unreadable, not written */
};

struct tool_command {
	const char *name;
	const char *arguments;          /* as the usage shows them */
	const char *summary;            /* half a line */
	const char *options;            /* a line each, "" = none */
	int (*run)(int argc, char **argv);
};

int tool_list(int argc, char **argv);           /* list.c */
int tool_show(int argc, char **argv);           /* show.c */
int tool_backtrace(int argc, char **argv);      /* core.c */
int tool_watch(int argc, char **argv);          /* watch.c */
int tool_live(int argc, char **argv);           /* live.c */
int tool_bundle(int argc, char **argv);         /* bundle.c */
int tool_test(int argc, char **argv);           /* rehearse.c */

/* ------------------------------------------------------------------------------------------------------------ main.c */

/* "bulkhead-crash: what" on standard error, the remedy ("" = none) on the next line. Returns TOOL_TROUBLE. */
int tool_fail(const char *remedy, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, with "see 'bulkhead-crash help COMMAND'" as the remedy. */
int tool_misused(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What getopt_long answered '?' or ':' to (its opterr is 0). */
int tool_bad_option(char **argv, int answer);
/* JSON on standard output; takes the value. Returns TOOL_GOOD or what tool_fail returns. */
int tool_print_json(json_t *value);
/* What to write around emphasised text: both are "" where the output is no terminal, or NO_COLOR is set. */
struct tool_style {
	const char *bold, *red, *dim, *plain;
};
const struct tool_style *tool_style(void);
/* A word for a shell: as it stands where that is harmless, else in single quotes. Static memory, two at a time. */
const char *tool_quoted(const char *text);

/* ---------------------------------------------------------------------------------------------------- folder.c */

/* Opens the folder of reports (NULL: TOOL_FOLDER); a descriptor, or -1 after saying what is wrong. */
int tool_folder(const char *dir);
/* Opens the report that a word means: NULL or "newest", a process's number, a file's name in the folder, or a path.
 * `name` gets its file's name. 0, or -1 after saying what is wrong. */
int tool_find(const char *dir, const char *word, struct readreport *out, char name[READREPORT_NAME]);
/* Why readreport_open failed, as a clause. */
const char *tool_why_unreadable(int error);
/* The text of a path from outside, printable; static memory. */
const char *tool_printable(const char *text);

/* ------------------------------------------------------------------------------------------------------ show.c */

/* The headline: what happened to whom, where, and for which request. One line without its end. */
void tool_headline(const struct readreport *r, FILE *out);
/* The whole, with the file's name; more: 0, 1 with registers, 2 with the map of memory; -1 without what to do next. */
void tool_show_report(const struct readreport *r, const char *name, int more);
/* The frames alone, below the headline; more: 0, 1 with registers. */
void tool_show_frames(const struct readreport *r, int more);

/* ------------------------------------------------------------------------------------------------------ json.c */

/* All of a report, as docs/crash-report-format.md says. NULL: out of memory. */
json_t *tool_report_json(const struct readreport *r, const char *name);
/* {"function": …, "file": …, "line": …, "module": …}: what readreport_where found. */
json_t *tool_where_json(const struct readreport *r);

/* ----------------------------------------------------------------------------------------------------- helper.c */

/* A process for what may go wrong: it runs as that user and group (where we are root), in a session of its own, with
 * limits of time and memory, nothing on its standard input, and its output into a pipe. */
struct tool_helper {
	uid_t uid;
	gid_t gid;
	unsigned seconds;
	unsigned megabytes;             /* of address space; 0 = as ours */
	int (*run)(void *arg);          /* in the new process; what it returns is its exit status */
	void *arg;
	FILE *out;                      /* its output goes here as it comes, made harmless for a terminal; NULL: it is kept */
	size_t most;                    /* bytes that are kept */
};
/* Runs it to its end. Returns its wait status, or -1 with errno (ETIMEDOUT: it was stopped). *kept (malloc, terminated;
 * may be NULL when out is given) gets the output. */
int tool_helper(const struct tool_helper *helper, char **kept, size_t *length);
/* Runs a program with nothing but PATH, HOME and LC_ALL in its environment; for `run`. Returns only when it cannot. */
int tool_exec(const char *const *argv);

#endif

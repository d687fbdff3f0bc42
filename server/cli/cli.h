/*
 * cli.h - what the files of the command line share. Runs once, in the administrator's terminal, before anything is forked.
 */
#ifndef BULKHEAD_CLI_CLI_H
#define BULKHEAD_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "process/config.h"

/* control.c: -k to a running server. */
/* `word` of -k. Returns -1: the caller starts a server (start, or restart of none); else the exit code. */
int control_signal(const char *word, const struct config *cfg);
bool control_known(const char *word);
bool control_stops(const char *word);

/* dump.c: what the options -v -V -l -L -M -S -t -h print. */
void dump_version(void);
void dump_build(void);
void dump_compiled(void);
void dump_directives(void);
void dump_modules(void);
void dump_settings(const struct config *cfg);
void dump_hosts(const struct config *cfg);
void dump_includes(const struct config *cfg);
void dump_help(FILE *to);
/* A configuration's reports, each with its place and its mend, to standard error. */
enum dump_show { DUMP_ERRORS_AND_WARNINGS, DUMP_ALL };
void dump_reports(const struct config *cfg, enum dump_show show);

/* check.c: what is looked at before a start, at -t, and in the job that checks a restart (process/master.h). */
struct check_options {
	bool no_roots;                  /* -T: DocumentRoots are not looked at */
};
extern struct check_options check_options;
/* Paths as the children's user, ports, cores: adds its findings to the configuration's reports. */
void check_config(struct config *cfg);
/* Keys and certificates as well, parsed in this process: for -t. */
void check_keys(struct config *cfg);

/* ciphers.c: "bulkhead ciphers [-v] [-ciphersuites list] [string]": the words after "ciphers". The exit code. */
int ciphers_main(char **words);

/* explain.c: "bulkhead explain URL": what a request meets. The words from "explain" on. The exit code. */
int explain_main(int argc, char **argv);

/* demo.c: a server that runs from nothing (make run). */
/*
 * Makes the folder and a certificate where they are missing. The configuration's text of the folder, NULL after it has
 * said what is wrong.
 */
const char *demo_configuration(const char *folder);
/* What the administrator sees once it serves. */
void demo_greeting(const char *folder);

#endif

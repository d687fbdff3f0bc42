/*
 * main.c - bulkhead-crash: what an administrator asks about crashes. This file owns the table of commands, the help, the
 * messages and what all commands print with. The program is run by hand and needs no running server; where it reads what
 * a broken process left, it does so as that process's account.
 */
#include "crashdump/tool/tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef BULKHEAD_VERSION
#define BULKHEAD_VERSION "unknown"
#endif

static int help(int argc, char **argv);

#define OPTION_D "  -d DIR         the folder of reports; without it " TOOL_FOLDER "\n"

static const struct tool_command commands[] = {
	{ "list", "[-a] [--since TIME] [--json]", "the crashes, grouped by signature, newest first",
	  OPTION_D
	  "  -a             each report by itself, not grouped\n"
	  "  --since TIME   only from then on: 2026-11-25, 2026-11-25T16:00:00 (UTC), or so long ago: 30m, 2h, 7d\n"
	  "  --json         for programs\n", tool_list },
	{ "show", "[-v] [--json] [REPORT | PID | newest]", "one report: what happened, where, for whom, what to do",
	  OPTION_D
	  "  -v             with registers and code bytes; -vv also with the map of memory\n"
	  "  --json         all keys, for programs\n"
	  "  REPORT is a file's name in the folder, or a path; PID is the process that died\n", tool_show },
	{ "backtrace", "[-v] [--gdb | --json] CORE [PROGRAM]", "the frames of a core file, without gdb or with it",
	  "  -v             with registers\n"
	  "  --gdb          by gdb: arguments and variables too, as far as the core holds them\n"
	  "  --json         as show --json\n"
	  "  PROGRAM is the program that crashed, where the core's own path of it does not lead to it any more\n", tool_backtrace },
	{ "watch", "[-d DIR]", "tells each crash as it comes, until Ctrl-C", OPTION_D, tool_watch },
	{ "live", "[-d DIR] [--keep] PID", "what a child is doing now; it goes on serving",
	  OPTION_D
	  "  --keep         leave the report, bulkhead-live-….txt, in the folder\n", tool_live },
	{ "bundle", "[-d DIR] [-f CONFIG] [-o FILE]", "what a bug report needs, without secrets, as one tar.gz",
	  "  -d DIR         the folder of reports; without it the CoreDumpDirectory of the configuration, else\n"
	  "                 " TOOL_FOLDER "\n"
	  "  -f CONFIG      the configuration; without it " BULKHEAD_SYSCONFDIR "/bulkhead.conf\n"
	  "  -o FILE        the archive; without it bulkhead-bundle-YYYYMMDD-HHMMSS.tar.gz in the working folder\n", tool_bundle },
	{ "test", "[-d DIR] [WAY | list]", "a rehearsal: a scratch process crashes, its report is shown",
	  "  -d DIR         leave report and core in this folder, as its owner; without it a scratch folder is used and removed\n"
	  "  WAY            how to crash, without it null; 'test list' names them\n", tool_test },
	{ "help", "[COMMAND]", "this text, or a command's options", "", help },
};
#define COMMANDS (sizeof commands / sizeof commands[0])

/* -------------------------------------------------------------------------------------------------------- messages */

int tool_fail(const char *remedy, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("bulkhead-crash: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (*remedy)
		fprintf(stderr, "    %s\n", remedy);
	return TOOL_TROUBLE;
}

int tool_misused(const char *command, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "bulkhead-crash %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n    see 'bulkhead-crash help %s'\n", command);
	return TOOL_TROUBLE;
}

int tool_bad_option(char **argv, int answer)
{
	const char *word = argv[optind > 1 ? optind - 1 : 1];

	if (answer == ':')
		return tool_misused(argv[0], "%s needs a value", tool_printable(word));
	if (optopt && optopt < 128 && strncmp(word, "--", 2) != 0)
		return tool_misused(argv[0], "there is no option -%c", optopt);
	return tool_misused(argv[0], "there is no option %s", tool_printable(word));
}

int tool_print_json(json_t *value)
{
	int failed = !value || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) < 0 || putchar('\n') == EOF;

	json_decref(value);
	return failed ? tool_fail("", "the JSON could not be made or written: %s", strerror(errno ? errno : ENOMEM))
		      : TOOL_GOOD;
}

const struct tool_style *tool_style(void)
{
	static const struct tool_style plain = { "", "", "", "" };
	static const struct tool_style coloured = { "\033[1m", "\033[1;31m", "\033[2m", "\033[0m" };
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	if (!isatty(STDOUT_FILENO) || (no && *no) || !term || !strcmp(term, "dumb"))
		return &plain;
	return &coloured;
}

const char *tool_quoted(const char *text)
{
	static char memory[2][2048];
	static unsigned turn;
	char *out = memory[turn++ % 2], *at = out, *end = out + sizeof memory[0] - 6;

	if (*text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-") == strlen(text)) {
		snprintf(out, sizeof memory[0], "%s", text);
		return out;
	}
	*at++ = '\'';
	for (; *text && at < end; text++) {
		if (*text == '\'') {
			memcpy(at, "'\\''", 4);
			at += 4;
		} else {
			*at++ = *text;
		}
	}
	*at++ = '\'';
	*at = '\0';
	return out;
}

/* -------------------------------------------------------------------------------------------------------- commands */

static const struct tool_command *command_named(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void usage(FILE *out)
{
	fputs("Usage: bulkhead-crash COMMAND [option ...]\n\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\n  'bulkhead-crash help COMMAND' tells a command's options; bulkhead-crash(8) tells all.\n"
	      "  Reports lie in CoreDumpDirectory; without -d that is " TOOL_FOLDER ".\n", out);
}

static int help(int argc, char **argv)
{
	const struct tool_command *c;

	if (argc < 2) {
		usage(stdout);
		return TOOL_GOOD;
	}
	if (!(c = command_named(argv[1])))
		return tool_fail("'bulkhead-crash help' names them", "there is no command %s", tool_printable(argv[1]));
	printf("bulkhead-crash %s %s\n    %s\n%s%s", c->name, c->arguments, c->summary, *c->options ? "\n" : "", c->options);
	return TOOL_GOOD;
}

int main(int argc, char **argv)
{
	const struct tool_command *c;
	int status;

	opterr = 0;
	if (argc < 2) {
		usage(stderr);
		return TOOL_TROUBLE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("bulkhead-crash " BULKHEAD_VERSION ", crash-report 1");
		return TOOL_GOOD;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		argv[1] = (char *)(uintptr_t)"help";
	if (!(c = command_named(argv[1])))
		return tool_fail("'bulkhead-crash help' names them", "there is no command %s", tool_printable(argv[1]));
	status = c->run(argc - 1, argv + 1);
	if (fflush(stdout) == EOF || ferror(stdout))
		return tool_fail("", "standard output could not be written: %s", strerror(errno));
	return status;
}

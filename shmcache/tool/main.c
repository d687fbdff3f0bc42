/*
 * main.c - the program bulkhead-cache: its table of commands, its help, and how it says what is wrong. It looks at a
 * session cache from outside and changes nothing in it.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/internal.h"
#include "shmcache/tool/tool.h"

static int help(int argc, char **argv);

static const struct tool_command commands[] = {
	{ "stat", "[options] [WHICH]", "size, use, ages, counters, waits for locks, who is inside",
	  "  --json               one object, for programs\n"
	  "  --watch [SECONDS]    again and again, with rates, until Ctrl-C; a number that follows is SECONDS\n"
	  "  -w SECONDS           the same\n", tool_stat },
	{ "list", "[options] [WHICH]", "a line for each entry: no IDs, no secrets",
	  "  --all                dead and expired ones too\n"
	  "  --json               an object a line, for programs\n"
	  "  --sort ttl|size|heat soonest to expire, largest or most used first\n"
	  "  -n N                 at most N of them\n", tool_list },
	{ "verify", "[-q] [WHICH]", "check all invariants; exit status 1 if one is violated",
	  "  -q                   say nothing, only the exit status\n", tool_verify },
	{ "copy", "FILE [WHICH]", "write a copy for stat, list and verify to read later", "", tool_copy },
	{ "bench", "[options] [WHAT...]", "measure caches made for the purpose",
	  "  WHAT                 of cost, lock, density, policy; all without it\n"
	  "  --full               all sizes, processes and kinds of lock: a quarter of an hour\n"
	  "  --json               one object, for programs\n"
	  "  -p, --processes LIST how many at once, with commas between\n"
	  "  -s, --sessions LIST  how many the caches hold\n"
	  "  -k, --kinds LIST     of ofd, fcntl, flock, robust\n"
	  "  -r, --rounds N       the best of so many counts\n"
	  "  -t, --time MS        of a round\n", tool_bench },
	{ "help", "[COMMAND]", "this text, or that of a command", "", help },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const char which[] =
	"\nWHICH is the name of a shared memory object (bulkhead-1f3c...), the pid of a server or of one of its\n"
	"children, or a file: a copy. Without it the only instance on this machine is taken.\n";

/* ------------------------------------------------------------------------------------------------ saying */

static void say(const char *remedy, const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("bulkhead-cache: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	if (remedy[0] != '\0')
		fprintf(stderr, "  %s\n", remedy);
}

int tool_fail(const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(remedy, fmt, ap);
	va_end(ap);
	return TOOL_TROUBLE;
}

int tool_misused(const char *command, const char *fmt, ...)
{
	char remedy[80];
	va_list ap;

	snprintf(remedy, sizeof(remedy), "see 'bulkhead-cache help %s'", command);
	va_start(ap, fmt);
	say(remedy, fmt, ap);
	va_end(ap);
	return TOOL_TROUBLE;
}

int tool_bad_option(char **argv, int answer)
{
	/* getopt has passed a long option; a short one is in optopt */
	const char *last = optind > 0 ? argv[optind - 1] : "";

	if (strncmp(last, "--", 2) == 0)
		return tool_misused(argv[0],
		                    answer == ':' ? "option %s needs a value"
		                                  : "option %s is unknown, or takes no value",
		                    last);
	return tool_misused(argv[0], answer == ':' ? "option -%c needs a value" : "option -%c is unknown", optopt);
}

long tool_number(const char *command, const char *option, const char *text, long min, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < min || n > max) {
		tool_misused(command, "'%s' is no value for %s: give a number from %ld to %ld", text, option, min,
		             max);
		return -1;
	}
	return n;
}

char *tool_clean(const char *from, char *to, size_t n)
{
	size_t i;

	for (i = 0; i + 1 < n && from[i] != '\0'; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
	return to;
}

int tool_print_json(json_t *value)
{
	int r;

	if (value == NULL)
		return tool_fail("", "no memory for the output"), -1;
	r = json_dumpf(value, stdout, JSON_COMPACT);
	json_decref(value);
	return r == 0 && putchar('\n') != EOF ? 0 : -1;
}

/* ------------------------------------------------------------------------------------------------ help, version */

static const struct tool_command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void usage(FILE *to)
{
	fputs("usage: bulkhead-cache COMMAND [options] [WHICH]\n\nLooks at the session cache of a Bulkhead server.\n\n",
	      to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-7s %-18s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
	fputs(which, to);
	fputs("Options of a command: 'bulkhead-cache help COMMAND'. The manual: bulkhead-cache(8).\n", to);
}

static int no_command(const char *name)
{
	return tool_fail("the commands are stat, list, verify, copy, bench and help", "there is no command '%s'",
	                 name);
}

static int help(int argc, char **argv)
{
	const struct tool_command *c;

	if (argc > 2)
		return tool_misused("help", "help takes one command at most");
	if (argc < 2) {
		usage(stdout);
		return TOOL_GOOD;
	}
	c = find(argv[1]);
	if (c == NULL)
		return no_command(argv[1]);
	printf("usage: bulkhead-cache %s %s\n\n%s\n", c->name, c->arguments, c->summary);
	if (c->options[0] != '\0')
		printf("\n%s", c->options);
	if (strstr(c->arguments, "WHICH") != NULL)
		fputs(which, stdout);
	return TOOL_GOOD;
}

static int version(void)
{
	printf("bulkhead-cache: reads and checks session caches of layout %u\n", SHMC_VERSION);
	return TOOL_GOOD;
}

/* ------------------------------------------------------------------------------------------------ main */

/* What was printed is only worth its exit status if it was written. */
static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout) && fclose(stdout) == 0)
		return status;
	if (errno == EPIPE)
		return status;
	return tool_fail("make room, or give the output another place", "writing the output: %s", strerror(errno));
}

static int run(int argc, char **argv)
{
	const struct tool_command *c;

	if (argc < 2) {
		usage(stderr);
		return TOOL_TROUBLE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return help(1, argv);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return version();
	if (argv[1][0] == '-')
		return tool_fail("a command comes first; see 'bulkhead-cache help'", "option %s is unknown here",
		                 argv[1]);
	c = find(argv[1]);
	if (c == NULL)
		return no_command(argv[1]);
	if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))
		return help(2, argv);
	opterr = 0;
	return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	/* A reader that has had enough ends us without a word, also where a parent ignored the signal. */
	(void)signal(SIGPIPE, SIG_DFL);
	return finish(run(argc, argv));
}

/*
 * core.c - bulkhead-crash backtrace: the frames of a core file, by elfutils as in reports, or by gdb. A core may have
 * been made up by whoever took the process over, so both read it as the account that owns it.
 */
#include "crashdump/tool/tool.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crashdump/corefile.h"
#include "crashdump/report.h"
#include "crashdump/symbols.h"

#define GDB_SECONDS 60

struct task {
	const char *core, *program;     /* paths; program: given, or NULL */
	int core_fd, program_fd;        /* program_fd: -1 = by the path in the core */
	bool json;
	int more;
	struct stat st;                 /* of the core */
};

/* ------------------------------------------------------------------------------------------------------- the worker */

/* `error`: why there is no fd. */
static void print_id(int fd, int error)
{
	Elf *elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ_MMAP, NULL);
	const unsigned char *id = NULL;
	ssize_t n = elf ? dwelf_elf_gnu_build_id(elf, (const void **)&id) : 0;

	for (ssize_t i = 0; i < n && i < SNAPSHOT_ID; i++)
		printf("%02x", id[i]);
	printf("%s", n > 0 ? "" : elf && elf_kind(elf) == ELF_K_ELF ? "none" :
	       fd >= 0 ? "no-elf" : error == EACCES ? "closed" : "missing");
	elf_end(elf);
}

/* Prints the program's build-id, "build-id: " and the core's, then the report. */
static int work(void *arg)
{
	struct task *t = arg;
	static struct crash_snapshot snapshot, *const s = &snapshot;
	static struct crash_trace trace;
	struct crash_report_options options = { .core = t->core, .status = 0 };
	const char *why;
	char *text;

	if (corefile_snapshot(t->core_fd, t->program, s, &why) < 0) {
		printf("!%s\n", why);
		fflush(stdout);
		return 1;
	}
	options.status = s->signal & 127;
	if (t->program_fd < 0)
		t->program_fd = open(s->executable, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	print_id(t->program_fd, errno);
	putchar('\n');
	symbols_program(t->program_fd);
	symbols_trace(s, &trace);
	text = report_text(s, &options, &trace);
	if (!text)
		return 1;
	if (!s->stack_length)
		printf("!no-stack\n");
	fputs(text, stdout);
	return fflush(stdout) ? 1 : 0;
}

/* ------------------------------------------------------------------------------------------------------------- gdb */

struct gdb {
	const char *gdb, *program, *core;
};

static int run_gdb(void *arg)
{
	const struct gdb *g = arg;
	const char *argv[] = { g->gdb, "-nx", "-q", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off",
			       "-ex", "bt full 64", g->program, g->core, NULL };

	if (access(g->program, R_OK) < 0) {
		printf("bulkhead-crash: the core's owner may not read %s: %s\n", g->program, strerror(errno));
		fflush(stdout);
		return 1;
	}
	return tool_exec(argv);
}

static int by_gdb(const struct task *t, const char *program)
{
	static const char *const places[] = { "/usr/bin/gdb", "/usr/local/bin/gdb", "/bin/gdb" };
	struct gdb g = { .program = program, .core = t->core };
	char *core = realpath(t->core, NULL);
	int status;

	for (size_t i = 0; i < sizeof places / sizeof places[0] && !g.gdb; i++)
		if (access(places[i], X_OK) == 0)
			g.gdb = places[i];
	if (!g.gdb || !core) {
		free(core);
		return g.gdb ? tool_fail("", "%s: %s", tool_printable(t->core), strerror(errno))
			     : tool_fail("install it (apt-get install gdb), or leave --gdb out", "gdb is not installed");
	}
	g.core = core;
	status = tool_helper(&(struct tool_helper){ .uid = t->st.st_uid, .gid = t->st.st_gid, .seconds = GDB_SECONDS,
						    .megabytes = 4096, .run = run_gdb, .arg = &g, .out = stdout }, NULL, NULL);
	free(core);
	if (status == -1)
		return tool_fail("", errno == ETIMEDOUT ? "gdb was stopped after %d s" : "gdb could not be run (%d)",
				 errno == ETIMEDOUT ? GDB_SECONDS : errno);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return tool_fail("", "gdb did not end well (%s %d)", WIFEXITED(status) ? "exit" : "signal",
				 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return TOOL_GOOD;
}

/* ---------------------------------------------------------------------------------------------------------- result */

/* 0: the program is the one that made the core, or that cannot be told; else an exit status, after saying why. */
static int compare(const struct task *t, const char *id, const struct readreport *r, bool must)
{
	const char *in_core = readreport_value(r, "build-id"), *program = readreport_value(r, "executable");

	if (!strcmp(id, in_core) && strcmp(id, "none") != 0)
		return 0;
	if (!strcmp(id, "closed")) {
		tool_fail("name it, then it is opened by you: bulkhead-crash backtrace CORE PROGRAM", "the core's owner may not read %s",
			  tool_printable(program));
		return must ? TOOL_BAD : 0;
	}
	if (!strcmp(id, "no-elf") || (!strcmp(id, "missing") && must)) {
		tool_fail("name the program that crashed: bulkhead-crash backtrace CORE PROGRAM", "%s is no program, or not there",
			  tool_printable(program));
		return TOOL_BAD;
	}
	if (!strcmp(in_core, "none") || !strcmp(id, "none") || !strcmp(id, "missing")) {
		fprintf(stderr, "bulkhead-crash: whether %s is the program that made the core cannot be told: %s\n",
			tool_printable(program), !strcmp(in_core, "none") ? "the core holds no build-id" :
			!strcmp(id, "none") ? "the program has no build-id" : "the program is not there");
		return 0;
	}
	tool_fail("give the program that crashed: bulkhead-crash backtrace CORE PROGRAM",
		  "%s is not the program that made %s\n    build-id of the program: %s\n    build-id in the core:    %s",
		  tool_printable(program), tool_printable(t->core), id, in_core);
	return must ? TOOL_BAD : 0;
}

static int use(const struct task *t, const char *id, const char *text, size_t n, bool gdb, bool no_stack)
{
	struct readreport r;
	int status;

	if (readreport_parse(text, n, &r) < 0) {
		readreport_free(&r);
		return tool_fail("", "%s could not be read: the reading process did not come to its end", tool_printable(t->core));
	}
	status = compare(t, id, &r, t->program || gdb);
	if (!status && gdb) {
		status = by_gdb(t, readreport_value(&r, "executable"));
	} else if (!status && t->json) {
		status = tool_print_json(tool_report_json(&r, t->core));
	} else if (!status) {
		tool_show_frames(&r, t->more);
		if (no_stack)
			puts("\nThe core holds no stack, so there are no callers: it was cut (RLIMIT_CORE, a full disk), or the\n"
			     "process could not tell its secrets apart (core-excludes in its report).");
		if (!*readreport_value(&r, "frame"))
			status = TOOL_BAD;
	}
	readreport_free(&r);
	return status;
}

static int read_core(struct task *t, bool gdb)
{
	char *text = NULL, *report;
	size_t n = 0;
	int status = tool_helper(&(struct tool_helper){ .uid = t->st.st_uid, .gid = t->st.st_gid, .seconds = 60,
							.megabytes = 4096, .run = work, .arg = t, .most = READREPORT_BYTES },
				 &text, &n);
	bool no_stack = false;

	if (text && (*text == '!' || !strchr(text, '\n'))) {
		const char *why = *text == '!' ? tool_printable(text + 1) : status == -1 ? strerror(errno) :
				  "the reading process did not come to its end";

		status = tool_fail("", "%s cannot be read: %.*s", tool_printable(t->core),
				   (int)strcspn(why, "\\"), why);
	} else if (text) {
		report = strchr(text, '\n');
		*report++ = '\0';
		if (!strncmp(report, "!no-stack\n", 10)) {
			no_stack = true;
			report += 10;
		}
		status = use(t, tool_printable(text), report, n - (size_t)(report - text), gdb, no_stack);
	} else {
		status = tool_fail("", "%s cannot be read: %s", tool_printable(t->core), strerror(errno));
	}
	free(text);
	return status;
}

/* A regular file and no link: the folder may be one where everybody can write. */
static int open_core(struct task *t)
{
	t->core_fd = open(t->core, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (t->core_fd < 0)
		return tool_fail("", "%s cannot be opened: %s", tool_printable(t->core), tool_why_unreadable(errno));
	if (fstat(t->core_fd, &t->st) < 0 || !S_ISREG(t->st.st_mode))
		return tool_fail("", "%s is no regular file", tool_printable(t->core));
	return TOOL_GOOD;
}

int tool_backtrace(int argc, char **argv)
{
	static const struct option longs[] = { { "gdb", no_argument, NULL, 'g' }, { "json", no_argument, NULL, 'j' },
					       { NULL, 0, NULL, 0 } };
	struct task t = { .core_fd = -1, .program_fd = -1 };
	bool gdb = false;
	char *program = NULL;
	int c, status;

	while ((c = getopt_long(argc, argv, ":v", longs, NULL)) != -1)
		switch (c) {
		case 'g': gdb = true; break;
		case 'j': t.json = true; break;
		case 'v': t.more++; break;
		default: return tool_bad_option(argv, c);
		}
	if (argc - optind < 1 || argc - optind > 2)
		return tool_misused(argv[0], argc == optind ? "name the core" : "a core and a program at most");
	t.core = argv[optind];
	if (argc - optind == 2) {
		t.program_fd = open(argv[optind + 1], O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (t.program_fd < 0 || !(program = realpath(argv[optind + 1], NULL)))
			return tool_fail("", "%s cannot be opened: %s", tool_printable(argv[optind + 1]), strerror(errno));
		t.program = program;
	}
	status = open_core(&t);
	if (status == TOOL_GOOD)
		status = read_core(&t, gdb);
	if (t.core_fd >= 0)
		close(t.core_fd);
	if (t.program_fd >= 0)
		close(t.program_fd);
	free(program);
	return status;
}

/*
 * live.c - bulkhead-crash live: asks a child of a running server for a snapshot of itself, waits for the report that
 * the server makes of it, shows it and removes it. The child goes on serving. Who is asked is looked at first: the signal
 * would end a process that does not expect it.
 */
#include "crashdump/tool/tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/crashdump.h"

#define LIVE_WAIT  10000        /* ms for the report; it takes a tenth of a second, the second one in a second a second */
#define LIVE_LOOK  20
#define LIVE_AGAIN 1100         /* ms after which the child is asked again: it passes over what comes too early */

struct live {
	const char *dir;
	pid_t pid;
	bool keep;
	int dir_fd;
	char before[READREPORT_NAME], name[READREPORT_NAME];    /* the newest report of that child before, and after */
};

/* ------------------------------------------------------------------------------------------------- who is asked */

/* A line of /proc/PID/status into `value`; false: there is none, or no such process. */
static bool status_line(pid_t pid, const char *key, char *value, size_t room)
{
	char path[48], line[512];
	size_t length = strlen(key);
	bool found = false;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	if (!(f = fopen(path, "re")))
		return false;
	while (!found && fgets(line, sizeof line, f))
		if (!strncmp(line, key, length) && line[length] == ':') {
			line[strcspn(line, "\n")] = '\0';
			snprintf(value, room, "%s", line + length + 1 + strspn(line + length + 1, " \t"));
			found = true;
		}
	fclose(f);
	return found;
}

/* The children of a master, as words. */
static void children_of(pid_t master, char *out, size_t room)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	size_t length = 0;

	out[0] = '\0';
	while (proc && (e = readdir(proc))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		char name[32], parent[32];

		if (pid <= 0 || !status_line(pid, "Name", name, sizeof name) || strcmp(name, "bulkhead-child") != 0 ||
		    !status_line(pid, "PPid", parent, sizeof parent) || strtol(parent, NULL, 10) != master || length + 16 > room)
			continue;
		length += (size_t)snprintf(out + length, room - length, "%s%d", length ? ", " : "", (int)pid);
	}
	if (proc)
		closedir(proc);
}

static int not_a_child(pid_t pid, const char *name)
{
	static const struct { const char *name, *what; } roles[] = {
		{ "bulkhead-keys", "a keyholder" }, { "bulkhead-log", "the logger" }, { "bulkhead-names", "the resolver" },
		{ "bulkhead-job", "a job" }, { "bulkhead-move", "a job" }, { "bulkhead-check", "the check of a configuration" },
	};
	char children[512];

	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
		if (!strcmp(name, roles[i].name))
			return tool_fail("only processes called bulkhead-child can be looked at so", "process %d is %s of a server, not a child",
					 (int)pid, roles[i].what);
	children_of(pid, children, sizeof children);
	if (*children)
		return tool_fail("", "process %d is the master; its children are %s", (int)pid, children);
	return tool_fail("'pgrep bulkhead-child' names the children", "process %d (%s) is no child of a Bulkhead server", (int)pid, tool_printable(name));
}

/* 0, or an exit status after saying what is wrong. */
static int examine(pid_t pid)
{
	char name[32], caught[32], state[32];
	uint64_t mask;

	if (!status_line(pid, "Name", name, sizeof name))
		return tool_fail("'pgrep bulkhead-child' names the children", "there is no process %d", (int)pid);
	if (strcmp(name, "bulkhead-child") != 0)
		return not_a_child(pid, name);
	if (status_line(pid, "State", state, sizeof state) && strchr("TtZX", state[0]))
		return tool_fail(state[0] == 'T' ? "'kill -CONT PID' lets it go on" : "", "process %d cannot answer: its state is %s", (int)pid, state);
	mask = status_line(pid, "SigCgt", caught, sizeof caught) ? strtoull(caught, NULL, 16) : 0;
	if (!(mask & 1ull << (CRASH_LIVE_SIGNAL - 1)))
		return tool_fail("it is just starting, it has no crash handler (BH0105), or it runs under a debugger",
				 "process %d does not listen to this signal", (int)pid);
	return 0;
}

/* ---------------------------------------------------------------------------------------------------- the report */

static int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* bulkhead-live-YYYYMMDD-HHMMSS-PID.txt, perhaps -2 … -9 behind the number. */
static bool is_name(const char *name, pid_t pid)
{
	static const char head[] = "bulkhead-live-";
	char crash[READREPORT_NAME];
	struct readreport_file file;

	if (strncmp(name, head, sizeof head - 1) != 0 || strlen(name) + 2 > sizeof crash)
		return false;
	snprintf(crash, sizeof crash, "bulkhead-crash-%s", name + sizeof head - 1);
	return readreport_is_name(crash, &file) && file.pid == pid;
}

/* By the time in the name, then by the number behind the pid: -2 … -9 are later than none. */
static bool later(const char *a, const char *b)
{
	int order = strncmp(a, b, sizeof "bulkhead-live-YYYYMMDD-HHMMSS" - 1);

	if (order || strlen(a) == strlen(b))
		return (order ? order : strcmp(a, b)) > 0;
	return strlen(a) > strlen(b);
}

static void newest(const struct live *l, char out[READREPORT_NAME])
{
	int fd = openat(l->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	out[0] = '\0';
	while (dir && (e = readdir(dir)))
		if (is_name(e->d_name, l->pid) && later(e->d_name, out))
			snprintf(out, READREPORT_NAME, "%.*s", READREPORT_NAME - 1, e->d_name);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

/* Sends the signal and waits. 0 with the report open, or an exit status after saying what is wrong. */
static int ask(struct live *l, struct readreport *r)
{
	int64_t end = clock_ms() + LIVE_WAIT, again = 0;

	while (clock_ms() < end) {
		if (clock_ms() >= again) {
			if (kill(l->pid, CRASH_LIVE_SIGNAL) < 0)
				return tool_fail(errno == EPERM ? "try as root" : "", "process %d could not be asked: %s", (int)l->pid,
						 errno == EPERM ? "you may not send it signals" : strerror(errno));
			again = clock_ms() + LIVE_AGAIN;
		}
		nanosleep(&(struct timespec){ .tv_nsec = LIVE_LOOK * 1000000 }, NULL);
		newest(l, l->name);
		if (!l->name[0] || !strcmp(l->name, l->before))
			continue;
		again = INT64_MAX;
		if (readreport_open(l->dir_fd, l->name, r) == 0 && r->state == READREPORT_COMPLETE)
			return 0;
		readreport_free(r);
	}
	return tool_fail("is this its CoreDumpDirectory (-d DIR)? is it root, or its own account, that asks? else its error log says why",
			 "process %d left no report in %s within %d s", (int)l->pid, tool_printable(l->dir ? l->dir : TOOL_FOLDER), LIVE_WAIT / 1000);
}

static int perform(struct live *l)
{
	struct readreport r = { .text = NULL };
	int status = examine(l->pid);

	if (status)
		return status;
	newest(l, l->before);
	if ((status = ask(l, &r)))
		return status;
	tool_show_report(&r, l->keep ? l->name : "(removed; --keep keeps it)", 0);
	readreport_free(&r);
	if (!l->keep && unlinkat(l->dir_fd, l->name, 0) < 0)
		return tool_fail("", "%s could not be removed: %s", l->name, strerror(errno));
	return TOOL_GOOD;
}

int tool_live(int argc, char **argv)
{
	static const struct option longs[] = { { "keep", no_argument, NULL, 'k' }, { NULL, 0, NULL, 0 } };
	struct live l = { .dir_fd = -1 };
	const char *word;
	int c, status;

	while ((c = getopt_long(argc, argv, ":d:", longs, NULL)) != -1) {
		if (c == 'd')
			l.dir = optarg;
		else if (c == 'k')
			l.keep = true;
		else
			return tool_bad_option(argv, c);
	}
	if (argc - optind != 1)
		return tool_misused(argv[0], "it takes the number of one process");
	word = argv[optind];
	l.pid = strspn(word, "0123456789") == strlen(word) && strlen(word) < 10 ? (pid_t)atoi(word) : 0;
	if (l.pid <= 0)
		return tool_misused(argv[0], "%s is no number of a process", tool_printable(word));
	if ((l.dir_fd = tool_folder(l.dir)) < 0)
		return TOOL_TROUBLE;
	status = perform(&l);
	close(l.dir_fd);
	return status;
}

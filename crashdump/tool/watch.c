/*
 * watch.c - bulkhead-crash watch: follows the folder of reports and tells each crash in a line as its report becomes
 * complete. A raw record that stays raw is told after a while too: the step that finds names came to nothing.
 */
#include "crashdump/tool/tool.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define PENDING 64              /* raw records that are waited for at a time */
#define PATIENCE 35             /* seconds: the job that completes a report has 30 */

static struct pending {
	struct readreport_file file;
	time_t due;             /* monotonic; 0 = free */
} pending[PENDING];
static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = signal;
}

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static struct pending *pending_for(const char *name)
{
	struct pending *free = NULL;

	for (unsigned i = 0; i < PENDING; i++) {
		if (pending[i].due && !strcmp(pending[i].file.name, name))
			return &pending[i];
		if (!pending[i].due)
			free = &pending[i];
	}
	return free;
}

static void tell(const struct readreport *r, const char *name)
{
	const struct tool_style *style = tool_style();

	fputs(style->red, stdout);
	tool_headline(r, stdout);
	printf("%s\n", style->plain);
	if (r->state != READREPORT_COMPLETE)
		printf("    %sincomplete (%s)%s\n", style->bold, readreport_state_word(r->state), style->plain);
	printf("    %s%s%s\n", style->dim, name, style->plain);
	fflush(stdout);
}

/* A report was written or took its name; `last`: what is there now is all that will come. */
static void look(int fd, const struct readreport_file *file, bool last)
{
	struct pending *p = pending_for(file->name);
	struct readreport r;
	bool good = readreport_open(fd, file->name, &r) == 0;

	if (good && (last || r.state == READREPORT_COMPLETE)) {
		tell(&r, file->name);
		if (p)
			p->due = 0;
	} else if (!last && p) {
		p->file = *file;
		if (!p->due)
			p->due = now() + PATIENCE;
	}
	readreport_free(&r);
}

static void look_at_late(int fd)
{
	for (unsigned i = 0; i < PENDING; i++)
		if (pending[i].due && pending[i].due <= now()) {
			struct readreport_file file = pending[i].file;

			pending[i].due = 0;
			look(fd, &file, true);
		}
}

/* false: the folder is gone. */
static bool take_events(int watch, int fd)
{
	char room[16384] __attribute__((aligned(8)));
	ssize_t n = read(watch, room, sizeof room);

	for (char *at = room; n > 0 && at < room + n;) {
		struct inotify_event *e = (struct inotify_event *)(void *)at;
		struct readreport_file file;

		if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))
			return false;
		if (e->len && readreport_is_name(e->name, &file))
			look(fd, &file, false);
		at += sizeof *e + e->len;
	}
	return true;
}

static int follow(int watch, int fd, const char *name)
{
	struct pollfd p = { .fd = watch, .events = POLLIN };
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	while (!stop) {
		int n = poll(&p, 1, 1000);

		if (n < 0 && errno != EINTR)
			return tool_fail("", "%s cannot be followed: %s", name, strerror(errno));
		if (n > 0 && !take_events(watch, fd))
			return tool_fail("start again when it is back", "%s was removed or moved away", name);
		look_at_late(fd);
		if (ferror(stdout))
			return TOOL_TROUBLE;
	}
	return TOOL_GOOD;
}

int tool_watch(int argc, char **argv)
{
	const char *dir = NULL, *name;
	int c, fd, watch, status;

	while ((c = getopt_long(argc, argv, ":d:", (struct option[]){ { NULL, 0, NULL, 0 } }, NULL)) != -1) {
		if (c != 'd')
			return tool_bad_option(argv, c);
		dir = optarg;
	}
	if (optind < argc)
		return tool_misused(argv[0], "%s is one word too many; the folder is named by -d", tool_printable(argv[optind]));
	if ((fd = tool_folder(dir)) < 0)
		return TOOL_TROUBLE;
	name = tool_printable(dir ? dir : TOOL_FOLDER);
	watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch < 0 || inotify_add_watch(watch, dir ? dir : TOOL_FOLDER, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF |
					   IN_MOVE_SELF | IN_ONLYDIR) < 0) {
		status = tool_fail("", "%s cannot be followed: %s", name, strerror(errno));
	} else {
		printf("Waiting for crashes in %s; Ctrl-C ends it.\n", name);
		fflush(stdout);
		status = follow(watch, fd, name);
	}
	if (watch >= 0)
		close(watch);
	close(fd);
	return status;
}

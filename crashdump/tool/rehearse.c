/*
 * rehearse.c - bulkhead-crash test: a rehearsal. A scratch process with the server's own crash handler crashes in a
 * chosen way, the server's own report job reads its snapshot, and the report is shown: what works here works in the server
 * too, on this machine, with its limits and its core_pattern.
 */
#include "crashdump/tool/tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/crashdump.h"
#include "crashdump/print.h"
#include "crashdump/tool/ways.h"

#ifndef BULKHEAD_VERSION
#define BULKHEAD_VERSION "unknown"
#endif

#define NOBODY 65534

struct rehearsal {
	const struct toolway *way;
	char dir[4096];
	bool scratch;                   /* the folder is ours and goes away again */
	int dir_fd;
	uid_t uid;                      /* as whom the process crashes */
	gid_t gid;
	void *pool;
	struct page {
		struct activity activity;
		uint64_t crashed_us;
		bool may_core;          /* its hard limit of cores is not 0 */
		int failed;             /* errno of what kept the process from crashing as it should */
		int taken;              /* what crash_install returned */
	} *page;
	pid_t pid;
	int status;
	uint64_t ended_us, reported_us;
	bool written;
	char answer[1024], core[4200];
	bool has_core;
};

static uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ------------------------------------------------------------------------------------------- the process that crashes */

static _Noreturn void crash(struct rehearsal *r)
{
	struct crash_options options = { .pool = r->pool, .activity = &r->page->activity, .role = "rehearsal" };
	struct activity *a = &r->page->activity;
	struct rlimit core;
	uint64_t now;

	if (getrlimit(RLIMIT_CORE, &core) == 0) {
		core.rlim_cur = core.rlim_max;
		setrlimit(RLIMIT_CORE, &core);
		r->page->may_core = core.rlim_max > 0;
	}
	if (fchdir(r->dir_fd) < 0 || crash_files_open(&options.files) < 0)
		r->page->failed = errno;
	if (geteuid() == 0 && r->uid != 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(r->gid, r->gid, r->gid) < 0 || setresuid(r->uid, r->uid, r->uid) < 0)) {
		r->page->failed = errno;
		_exit(1);
	}
	r->page->taken = crash_install(&options);
	now = clock_us() / 1000;
	activity_reset(a, now);
	activity_event(a, now, ACTIVITY_ACCEPT, 5);
	activity_begin(a, now, 1, "https", "192.0.2.1:4711", "www.example.org");
	activity_request(a, now, "GET", 3, "/rehearsal?not=kept", 19);
	activity_handler(a, "file");
	activity_phase(a, "handler");
	r->page->crashed_us = clock_us();
	toolways_crash(r->way);
	_exit(1);
}

/* ------------------------------------------------------------------------------------------------------------ the job */

static int job(void *arg)
{
	struct rehearsal *r = arg;
	bool core = crash_core_find(r->dir_fd, r->dir, r->pid, r->status, r->core, sizeof r->core) == 0;
	struct crash_report_options options = {
		.dir_fd = r->dir_fd, .dir = r->dir, .status = r->status, .core = core ? r->core : NULL,
		.core_reason = core ? NULL : r->core, .version = "Bulkhead/" BULKHEAD_VERSION,
	};
	int result;

	/* The limit stops the kernel only where it would write the core itself. */
	if (!core && !r->page->may_core && !strstr(r->core, "core_pattern"))
		snprintf(r->core, sizeof r->core, "the hard limit RLIMIT_CORE is 0");
	result = crash_report(r->pool, crash_pool_find(r->pool, r->pid), &options, r->answer, sizeof r->answer);
	printf("%c%s\n%s\n", core ? 'y' : 'n', r->core, r->answer);
	return fflush(stdout) || result ? 1 : 0;
}

static void write_report(struct rehearsal *r)
{
	char *text = NULL, *line;
	int status = tool_helper(&(struct tool_helper){ .uid = r->uid, .gid = r->gid, .seconds = 30, .megabytes = 2048,
							.run = job, .arg = r, .most = 16384 }, &text, NULL);

	r->reported_us = clock_us();
	r->written = status == 0;
	if (text && *text && (line = strchr(text, '\n'))) {
		*line = '\0';
		r->has_core = *text == 'y';
		snprintf(r->core, sizeof r->core, "%s", text + 1);
		line[1 + strcspn(line + 1, "\n")] = '\0';
		snprintf(r->answer, sizeof r->answer, "%s", line + 1);
	} else {
		snprintf(r->answer, sizeof r->answer, "the job that writes reports %s",
			 status == -1 && errno == ETIMEDOUT ? "was stopped after 30 s" : "did not come to its end");
	}
	free(text);
}

/* --------------------------------------------------------------------------------------------------------- the folder */

/* As root the crash happens as the account that the folder belongs to; that of the server's children, where it is known. */
static int open_folder(struct rehearsal *r, const char *dir)
{
	const char *tmp = getenv("TMPDIR");
	struct stat st;

	if (dir) {
		snprintf(r->dir, sizeof r->dir, "%s", dir);
		if ((r->dir_fd = tool_folder(dir)) < 0)
			return -1;
	} else {
		r->uid = r->gid = NOBODY;
		if (stat(TOOL_FOLDER, &st) == 0 && st.st_uid != 0) {
			r->uid = st.st_uid;
			r->gid = st.st_gid;
		}
		snprintf(r->dir, sizeof r->dir, "%s/bulkhead-rehearsal-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
		r->scratch = true;
		if (!mkdtemp(r->dir) || (r->dir_fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
		    (geteuid() == 0 && fchown(r->dir_fd, r->uid, r->gid) < 0)) {
			tool_fail("name another folder by -d DIR", "no scratch folder %s: %s", tool_printable(r->dir), strerror(errno));
			return -1;
		}
	}
	if (fstat(r->dir_fd, &st) < 0)
		return -1;
	r->uid = st.st_uid;
	r->gid = st.st_gid;
	return 0;
}

static void leave_folder(struct rehearsal *r)
{
	int fd = r->scratch && r->dir_fd >= 0 ? openat(r->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(r->dir_fd, e->d_name, 0);
	if (dir) {
		closedir(dir);
		rmdir(r->dir);
	}
	if (r->dir_fd >= 0)
		close(r->dir_fd);
}

/* --------------------------------------------------------------------------------------------------------- the result */

static void say_obstacle(void *ctx, const char *sentence, const char *remedy)
{
	(void)ctx;
	printf("  %-18s %s%s%s\n", "cores", sentence, remedy ? "; mend: " : "", remedy ? remedy : "");
}

static const char *account_of(uid_t uid)
{
	const struct passwd *p = getpwuid(uid);

	return p ? p->pw_name : "an account without a name";
}

static void print_facts(const struct rehearsal *r, const struct crash_summary *s)
{
	printf("A scratch process was made to crash: %s (%s).\n\n", r->way->name, r->way->what);
	printf("  %-18s %s (uid %u)\n", "account", account_of(geteuid() ? geteuid() : r->uid), geteuid() ? geteuid() : r->uid);
	printf("  %-18s %s%s\n", "the kernel says", WIFSIGNALED(r->status) ? print_signal(WTERMSIG(r->status)) : "it did not die of a signal",
	       WIFSIGNALED(r->status) && WCOREDUMP(r->status) ? ", core dumped" : "");
	if (s->pid)
		printf("  %-18s %.1f ms in the dying process\n", "snapshot", s->handler_us / 1000.0);
	printf("  %-18s %.1f ms from the crash to its end%s\n", "death", (double)(r->ended_us - r->page->crashed_us) / 1000,
	       r->has_core ? ", the core among it" : "");
	if (r->reported_us)
		printf("  %-18s %.1f ms later\n", "report", (double)(r->reported_us - r->ended_us) / 1000);
	if (*r->core)
		printf("  %-18s %s%s\n", "core", r->has_core ? "" : "none: ", tool_printable(r->core));
	crash_core_check(r->dir, say_obstacle, NULL);
	if (r->scratch)
		printf("  %-18s %s is removed again; -d DIR keeps report and core\n", "folder", tool_printable(r->dir));
	putchar('\n');
}

static int find_report(const struct rehearsal *r, struct readreport *out, char name[READREPORT_NAME])
{
	struct readreport_file *files;
	ssize_t n = readreport_folder(r->dir_fd, &files);
	int result = -1;

	for (ssize_t i = 0; i < n; i++)
		if (files[i].pid == r->pid) {
			memcpy(name, files[i].name, READREPORT_NAME);
			if ((result = readreport_open(r->dir_fd, name, out)) < 0)
				readreport_free(out);
			break;
		}
	free(files);
	return result;
}

static int show_result(struct rehearsal *r)
{
	struct crash_summary s = { .pid = 0 };
	int slot = crash_pool_find(r->pool, r->pid), status = TOOL_BAD;
	char name[READREPORT_NAME];
	struct readreport report;

	if (slot >= 0)
		crash_pool_summary(r->pool, slot, &s);
	print_facts(r, &s);
	if (slot < 0)
		return tool_fail("", "the crash handler left no snapshot"), TOOL_BAD;
	if (find_report(r, &report, name) < 0)
		return tool_fail("", "there is no report: %s", tool_printable(r->answer)), TOOL_BAD;
	tool_show_report(&report, name, r->scratch ? -1 : 0);
	if (report.state != READREPORT_COMPLETE || !r->written)
		tool_fail("", "the report is not complete: %s", tool_printable(r->answer));
	else if (!WIFSIGNALED(r->status) || WTERMSIG(r->status) != r->way->signal)
		tool_fail("", "the signal should have been %s", print_signal(r->way->signal));
	else
		status = TOOL_GOOD;
	if (!status)
		puts("\nThe report is complete: a crash of the server would leave one like it.");
	readreport_free(&report);
	return status;
}

static int perform(struct rehearsal *r)
{
	fflush(stdout);
	r->pid = fork();
	if (r->pid == 0)
		crash(r);
	if (r->pid < 0)
		return tool_fail("", "no process could be made: %s", strerror(errno));
	while (waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
		;
	r->ended_us = clock_us();
	if (r->page->failed)
		return tool_fail("", "the scratch process could not get ready: %s", strerror(r->page->failed));
	if (r->page->taken <= 0)
		return tool_fail("run it without debugger and valgrind", "the crash handler stands back for a debugger");
	if (crash_pool_find(r->pool, r->pid) >= 0)
		write_report(r);
	return show_result(r);
}

/* ----------------------------------------------------------------------------------------------------------- command */

static void *shared_memory(size_t n)
{
	void *mem = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static const struct toolway *way_named(const char *name)
{
	for (const struct toolway *w = toolways; w->name; w++)
		if (!strcmp(w->name, name))
			return w;
	return NULL;
}

int tool_test(int argc, char **argv)
{
	struct rehearsal r = { .dir_fd = -1 };
	const char *dir = NULL, *name;
	int c, status = TOOL_TROUBLE;

	while ((c = getopt_long(argc, argv, ":d:", (struct option[]){ { NULL, 0, NULL, 0 } }, NULL)) != -1) {
		if (c != 'd')
			return tool_bad_option(argv, c);
		dir = optarg;
	}
	if (argc - optind > 1)
		return tool_misused(argv[0], "one way at a time");
	name = optind < argc ? argv[optind] : "null";
	if (!strcmp(name, "list")) {
		for (const struct toolway *w = toolways; w->name; w++)
			printf("%-16s %-8s %s\n", w->name, print_signal(w->signal), w->what);
		return TOOL_GOOD;
	}
	if (!(r.way = way_named(name)))
		return tool_fail("'bulkhead-crash test list' names them", "there is no way to crash called %s", tool_printable(name));
	r.pool = shared_memory(crash_pool_size(1));
	r.page = shared_memory(sizeof *r.page);
	if (!r.pool || !r.page || crash_pool_init(r.pool, 1) < 0)
		return tool_fail("", "no memory for the rehearsal: %s", strerror(errno));
	if (open_folder(&r, dir) == 0)
		status = perform(&r);
	leave_folder(&r);
	return status;
}

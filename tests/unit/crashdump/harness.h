/*
 * harness.h - runs one crash as the server would: a child that is armed, drops its uid and crashes; a parent that reaps
 * it and finds the snapshot; a job, forked and unprivileged too, that writes the report. As an ordinary user all is done
 * under one uid. Static, since each test program is one file.
 */
#ifndef TEST_CRASHDUMP_HARNESS_H
#define TEST_CRASHDUMP_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/crashdump.h"
#include "crashdump/snapshot.h"

#define HARNESS_SLOTS 2
#define HARNESS_USER  33        /* www-data */

struct run {
	void (*crash)(void);            /* in the child, after it was armed */
	void (*release)(void);
	void (*shutdown_clients)(void); /* instead of the clients' descriptors */
	unsigned watchdog_s;
	bool sandbox;                   /* seccomp: crash_system_calls alone, and the job's list for the job */
	void (*meddle)(struct crash_snapshot *);        /* in the parent, before the job */
	bool without_map;               /* as where /proc is not there: no descriptor of the map */
	bool unarmed;                   /* no handler: the kernel's default */
	int signal_after_ms;            /* the parent sends SIGSEGV after so long; 0 = never */
};

struct outcome {
	char dir[64];
	pid_t pid;
	int status;                     /* of the child */
	int slot;                       /* -1: no snapshot */
	struct crash_summary summary;
	int job_status;
	char answer[1024];
	char core[320];                 /* path, or the reason why there is none */
	bool has_core;
	char *report;                   /* text, or NULL; freed by harness_done */
	bool client_eof;                /* the client saw the end though a descriptor of its connection was still open */
	unsigned released;              /* calls of harness_release */
};

/* Shared with the children. */
static struct shared { struct activity activity; _Atomic unsigned released; } *shared;
static void *pool;

#ifdef BULKHEAD_SANITIZE
/* The sanitizer's own handlers would win otherwise, as is right; one test proves that ours leaves foreign ones alone. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:handle_sigtrap=0:"
	       "use_sigaltstack=0:detect_leaks=0:disable_coredump=0";
}
#endif

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline int harness_setup(void **state)
{
	(void)state;
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pool = mmap(NULL, crash_pool_size(HARNESS_SLOTS), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED || pool == MAP_FAILED ? -1 : crash_pool_init(pool, HARNESS_SLOTS);
}

static inline void harness_release(void)
{
	shared->released++;
}

static inline void drop_uid(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) || setresgid(HARNESS_USER, HARNESS_USER, HARNESS_USER) ||
	    setresuid(HARNESS_USER, HARNESS_USER, HARNESS_USER))
		_exit(90);
}

/* Everything that is not in the list gives SIGSYS. */
static inline void enter_sandbox(const int *calls)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);

	for (const int *call = calls; *call >= 0; call++)
		if (!ctx || seccomp_rule_add(ctx, SCMP_ACT_ALLOW, *call, 0) < 0)
			_exit(91);
	if (seccomp_load(ctx) < 0)
		_exit(92);
}

/* cmocka has handlers of its own. */
static inline void default_signals(void)
{
	for (int i = 1; i < SIGRTMIN; i++)
		signal(i, SIG_DFL);
}

static inline void child(const struct run *run, const char *dir, int client)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int clients[3] = { -1, client, -1 };
	struct crash_options options = {
		.pool = pool, .activity = &shared->activity, .release = run->release,
		.shutdown_clients = run->shutdown_clients, .client_fds = clients, .client_count = 3, .watchdog_s = run->watchdog_s, .role = "child", .slot = 7, .generation = 3,
	};

	default_signals();
	setrlimit(RLIMIT_CORE, &unlimited);
	if (chdir(dir) < 0)
		_exit(93);
	if (!run->unarmed && crash_files_open(&options.files) < 0)
		_exit(94);
	if (run->without_map) {
		close(options.files.maps);
		options.files.maps = -1;
	}
	drop_uid();
	if (!run->unarmed && crash_install(&options) <= 0)
		_exit(95);
	activity_reset(&shared->activity, now_ms());
	activity_begin(&shared->activity, now_ms(), 42, "https", "192.0.2.1:4711", "www.example.org");
	activity_request(&shared->activity, now_ms(), "GET", 3, "/shop?card=kept-secret", 22);
	activity_handler(&shared->activity, "file");
	activity_phase(&shared->activity, "send");
	if (run->sandbox)
		enter_sandbox(crash_system_calls);
	run->crash();
	_exit(96);
}

/* The job: unprivileged, only the directory's descriptor and the pool. */
static inline void job(const struct outcome *o, bool sandbox, int dir_fd, int out)
{
	struct crash_report_options options = {
		.dir_fd = dir_fd, .dir = o->dir, .status = o->status, .version = "Test/1.0",
	};
	char text[2][1024] = { "", "" };
	bool core;
	int result;

	default_signals();
	drop_uid();
	if (sandbox)
		enter_sandbox(crash_report_system_calls);
	core = crash_core_find(dir_fd, o->dir, o->pid, o->status, text[1], 320) == 0;
	if (core)
		options.core = text[1];
	else
		options.core_reason = text[1];
	result = o->slot >= 0 ? crash_report(pool, o->slot, &options, text[0], sizeof text[0]) : 0;
	if (write(out, text, sizeof text) != sizeof text)
		_exit(97);
	_exit(result ? 98 : core);
}

static inline void run_job(struct outcome *o, bool sandbox, int dir_fd)
{
	char text[2][1024] = { "", "" };
	int fds[2];
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	assert_return_code(pipe(fds), errno);
	pid = fork();
	if (!pid)
		job(o, sandbox, dir_fd, fds[1]);
	close(fds[1]);
	while (got < sizeof text && (n = read(fds[0], (char *)text + got, sizeof text - got)) > 0)
		got += (size_t)n;
	close(fds[0]);
	waitpid(pid, &o->job_status, 0);
	memcpy(o->answer, text[0], sizeof o->answer);
	memcpy(o->core, text[1], sizeof o->core);
	o->has_core = WIFEXITED(o->job_status) && WEXITSTATUS(o->job_status) == 1;
}

static inline char *read_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	*size = (size_t)read(fd, text, (size_t)st.st_size);
	text[*size] = '\0';
	close(fd);
	return text;
}

static inline void load_report(struct outcome *o)
{
	const char *at = strstr(o->answer, "; report ");
	char path[256];
	size_t size;

	if (!at || sscanf(at, "; report %255[^;]", path) != 1)
		return;
	o->report = read_file(path, &size);
}

static inline void send_later(pid_t pid, int ms)
{
	if (!ms)
		return;
	poll(NULL, 0, ms);
	kill(pid, SIGSEGV);
}

static inline struct outcome harness_run(const struct run *run)
{
	struct outcome o = { .slot = -1 };
	int sockets[2], dir_fd;
	char byte;

	strcpy(o.dir, "/tmp/crashdump-test-XXXXXX");
	assert_non_null(mkdtemp(o.dir));
	if (geteuid() == 0)
		assert_return_code(chown(o.dir, HARNESS_USER, HARNESS_USER), errno);
	dir_fd = open(o.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(dir_fd, errno);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), errno);
	shared->released = 0;
	o.pid = fork();
	if (!o.pid)
		child(run, o.dir, sockets[1]);
	send_later(o.pid, run->signal_after_ms);
	assert_int_equal(waitpid(o.pid, &o.status, 0), o.pid);
	/* Our copy of the child's end is open: only a shutdown() can have ended the stream. */
	o.client_eof = recv(sockets[0], &byte, 1, MSG_DONTWAIT) == 0;
	close(sockets[0]);
	close(sockets[1]);
	o.released = shared->released;
	o.slot = crash_pool_find(pool, o.pid);
	if (o.slot >= 0)
		assert_int_equal(crash_pool_summary(pool, o.slot, &o.summary), 0);
	if (run->meddle && o.slot >= 0)
		run->meddle((struct crash_snapshot *)(void *)((char *)pool + SNAPSHOT_STRIDE * (unsigned)o.slot));
	run_job(&o, run->sandbox, dir_fd);
	load_report(&o);
	crash_pool_free(pool, o.slot);
	close(dir_fd);
	return o;
}

static inline void harness_done(struct outcome *o)
{
	char command[128];

	free(o->report);
	snprintf(command, sizeof command, "rm -rf '%s'", o->dir);
	assert_int_equal(system(command), 0);
}

/* The value of the report's first line with that key, in static memory; "" when it is not there. */
static inline const char *harness_value(const struct outcome *o, const char *key)
{
	static char value[1024];
	size_t length = strlen(key);

	value[0] = '\0';
	for (const char *at = o->report; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (!strncmp(at, key, length) && at[length] == ':') {
			snprintf(value, sizeof value, "%s", at[length + 1] == ' ' ? at + length + 2 : "");
			value[strcspn(value, "\n")] = '\0';
			break;
		}
	return value;
}

/* Whether the report's frames hold these functions in this order (others may stand between). */
static inline bool harness_frames(const struct outcome *o, const char *const names[8])
{
	const char *at = o->report;

	for (unsigned i = 0; i < 8 && names[i]; i++) {
		char with_offset[64], alone[64];
		const char *frame = at, *hit = NULL;

		snprintf(with_offset, sizeof with_offset, " %s+0x", names[i]);
		snprintf(alone, sizeof alone, " %s ", names[i]);        /* an inlined one has no offset */
		while (!hit && frame && (frame = strstr(frame, "\nframe: "))) {
			const char *stop = strchr(frame + 1, '\n');
			const char *a = strstr(frame, with_offset), *b = strstr(frame, alone);

			if ((a && a < stop) || (b && b < stop))
				hit = stop;
			frame = stop;
		}
		if (!hit)
			return false;
		at = hit;
	}
	return true;
}

static inline bool harness_file_has(const char *path, const void *bytes, size_t n)
{
	size_t size = 0;
	char *text = read_file(path, &size);
	bool has = text && memmem(text, size, bytes, n);

	free(text);
	return has;
}

/* Whether the kernel writes cores to the working directory here. */
static inline bool harness_cores_work(void)
{
	char pattern[256] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, pattern, sizeof pattern - 1);
	struct rlimit limit;

	close(fd);
	return n > 1 && pattern[0] != '|' && !strchr(pattern, '/') && getrlimit(RLIMIT_CORE, &limit) == 0 &&
	       limit.rlim_max != 0;
}

#endif

/*
 * daemon.c - going to the background, the readiness pipe, the pid file. The parent of daemon_detach is the command the
 * administrator typed; everything else runs in the master (or in -X).
 */
#include "process/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_TEXT 8192
#define DYING_MS 1000                   /* how long a killed server may hold its lock */
#define EXITING 0x4                     /* the kernel's PF_EXITING, in the flags of /proc/PID/stat */

void daemon_fill_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

void daemon_null_stdio(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* Reads "code text NUL". Not until the end of the pipe: children of the server might hold that for long. */
static int wait_ready(int fd, pid_t pid)
{
	char text[READY_TEXT];
	size_t n = 0;
	int status = 0;

	while (n < sizeof text - 1) {
		ssize_t got = read(fd, text + n, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (text[n] == '\0') {
			char *words;
			long code = strtol(text, &words, 10);
			words += *words == ' ';
			if (*words)
				fprintf(stderr, "%s%s", words, words[strlen(words) - 1] == '\n' ? "" : "\n");
			return code < 0 || code > 255 ? 1 : (int)code;
		}
		n++;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		fprintf(stderr, "bulkhead: the server died at its start: signal %d (%s)\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "bulkhead: the server ended at its start with code %d and said nothing\n",
			WEXITSTATUS(status));
	return 1;
}

int daemon_detach(int *ready_fd, int *code, struct err *e)
{
	int fd[2];
	pid_t pid;

	daemon_fill_stdio();
	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_sys(e, "no pipe to wait for the server with");
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		err_sys(e, "cannot go to the background");
		close(fd[0]);
		close(fd[1]);
		return -1;
	}
	if (pid == 0) {
		close(fd[0]);
		setsid();
		*ready_fd = fd[1];
		return 0;
	}
	close(fd[1]);
	*code = wait_ready(fd[0], pid);
	close(fd[0]);
	return 1;
}

void daemon_ready(int fd, int code, const char *text)
{
	char line[READY_TEXT];
	int n;

	if (fd < 0)
		return;
	n = snprintf(line, sizeof line - 1, "%d %s", code, text);
	if (n < 0 || (size_t)n > sizeof line - 2)
		n = (int)sizeof line - 2;
	line[n] = '\0';
	for (size_t at = 0; at <= (size_t)n;) {
		ssize_t put = write(fd, line + at, (size_t)n + 1 - at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			break;
		at += (size_t)put;
	}
	close(fd);
}

/* ------------------------------------------------------------------------------------------------ the pid file */

/* 1 taken, 0 another has it, -1 no such lock here. Locks of the description: they fall only with its last descriptor. */
static int lock_file(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 1;
	return errno == EAGAIN || errno == EACCES ? 0 : -1;
}

static pid_t read_pid(int fd)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	long pid;

	if (n <= 0)
		return 0;
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid < INT32_MAX ? (pid_t)pid : 0;
}

static bool kill_is_pending(pid_t pid)
{
	char name[64], line[256];
	unsigned long long pending;
	bool found = false;
	FILE *f;

	snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
	f = fopen(name, "re");
	while (f && !found && fgets(line, sizeof line, f))
		if (sscanf(line, "SigPnd: %llx", &pending) == 1 || sscanf(line, "ShdPnd: %llx", &pending) == 1)
			found = pending >> (SIGKILL - 1) & 1;
	if (f)
		fclose(f);
	return found;
}

/*
 * Whether it lives, and has not begun to end: a process that was killed holds its files, and so its lock, until the
 * kernel has taken its memory down.
 */
static bool lives(pid_t pid)
{
	char name[64], text[512], *after;
	unsigned long flags;
	char state;
	size_t n;
	FILE *f;

	snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
	f = fopen(name, "re");
	if (!f)
		return kill(pid, 0) == 0 || errno == EPERM;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	after = strrchr(text, ')');
	/* It ended since; else nothing is known against it. */
	if (!after)
		return kill(pid, 0) == 0 || errno == EPERM;
	if (sscanf(after, ") %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2)
		return true;
	return state != 'Z' && state != 'X' && !(flags & EXITING) && !kill_is_pending(pid);
}

/* A lock without a living owner goes in a moment: a killed server's, or that of one that starts and writes its pid next. */
static bool nap(int *waited_ms)
{
	if (*waited_ms >= DYING_MS)
		return false;
	nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	*waited_ms += 10;
	return true;
}

/* The lock is held, and by nobody who could be signalled. */
static int no_owner(const char *path, pid_t pid, struct err *e)
{
	if (pid)
		err_set(e, "the pid file %s is locked by some process, but the server that it names (pid %d) is dead", path, (int)pid);
	else
		err_set(e, "the pid file %s is locked by some process, but holds no pid", path);
	return err_remedy(e, "end the process that has it open (fuser %s), or name another file by PidFile", path);
}

/* Whether the name still leads to the open file: another server may have removed it while we waited. */
static bool same_file(const char *path, int fd)
{
	struct stat a, b;

	return lstat(path, &a) == 0 && fstat(fd, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_pidfile(const char *path, struct err *e)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644);

	if (fd < 0 && errno == ENOENT) {
		char parent[4096];
		const char *slash = strrchr(path, '/');
		snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
		if (*parent && mkdir(parent, 0755) == 0)
			fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
				  0644);
		else
			errno = ENOENT;
	}
	if (fd < 0) {
		int saved = errno;
		if (saved == ELOOP) {
			err_set(e,
				"the pid file %s is a symbolic link, which whoever made it could lead anywhere",
				path);
			return err_remedy(e, "rm %s, or name another file by PidFile", path);
		}
		err_sys(e, "cannot open the pid file %s", path);
		return saved == EACCES
			       ? err_remedy(
					 e,
					 "start as root, or name a file by PidFile in a folder that you may write")
			       : err_remedy(e, "make its folder, or name another file by PidFile");
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		err_set(e, "the pid file %s is not a plain file", path);
		return err_remedy(e, "name another file by PidFile");
	}
	return fd;
}

int pidfile_take(const char *path, pid_t *running, struct err *e)
{
	int fd, got, n, waited = 0;
	pid_t owner = 0;
	char text[32];

	for (;;) {
		*running = 0;
		fd = open_pidfile(path, e);
		if (fd < 0)
			return -1;
		got = lock_file(fd);
		if (got < 0 || (got == 1 && same_file(path, fd)))
			break;
		if (got == 0) {
			owner = read_pid(fd);
			*running = owner && lives(owner) ? owner : 0;
			if (*running || !nap(&waited))
				break;
		}
		close(fd);
	}
	if (got != 1) {
		if (got < 0)
			err_sys(e, "cannot lock the pid file %s", path);
		close(fd);
		if (got == 0 && !*running)
			return no_owner(path, owner, e);
		if (got == 0)
			err_set(e, "already running (pid %d)", (int)*running);
		return err_remedy(e, "stop it by -k stop, or give this one another PidFile (now %s)", path);
	}
	n = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		err_sys(e, "cannot write the pid file %s", path);
		close(fd);
		return -1;
	}
	return fd;
}

/* 1 held by *pid (0: it holds no number), 0 free, -1 with *e. */
static int look(const char *path, pid_t *pid, struct err *e)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY), result;

	*pid = 0;
	if (fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		return err_sys(e, "cannot read the pid file %s", path);
	}
	if (fcntl(fd, F_OFD_GETLK, &l) < 0)
		result = err_sys(e, "cannot ask for the lock of the pid file %s", path);
	else if ((result = l.l_type != F_UNLCK))
		*pid = read_pid(fd);
	close(fd);
	return result;
}

int pidfile_running(const char *path, pid_t *pid, struct err *e)
{
	int waited = 0, held;

	while ((held = look(path, pid, e)) == 1 && !(*pid && lives(*pid)))
		if (!nap(&waited))
			return no_owner(path, *pid, e);
	return held;
}

void pidfile_release(const char *path, int fd)
{
	if (fd < 0)
		return;
	/* In a folder of root a process that gave up root (-X) cannot remove it: emptied, it names nobody either. */
	if (read_pid(fd) == getpid() && same_file(path, fd) && unlink(path) < 0 && ftruncate(fd, 0) < 0)
		errno = 0;              /* it stays as a stale one: its lock is free, which is what counts */
	close(fd);
}

/*
 * helper.c - runs for bulkhead-crash what may fail, hang or be led astray by what it reads, in a process that has no
 * rights to lose: the account that wrote the file, no terminal, bounded time and memory.
 */
#include "crashdump/tool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CANNOT_BEGIN 120                /* exit status: its rights could not be dropped */

static void limit(int what, rlim_t most)
{
	struct rlimit r = { most, most };

	setrlimit(what, &r);
}

static _Noreturn void begin(const struct tool_helper *h, int out)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(CANNOT_BEGIN);
	if (geteuid() == 0 && h->uid != 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(h->gid, h->gid, h->gid) < 0 || setresuid(h->uid, h->uid, h->uid) < 0))
		_exit(CANNOT_BEGIN);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	limit(RLIMIT_CPU, h->seconds);
	limit(RLIMIT_CORE, 0);
#ifndef BULKHEAD_SANITIZE               /* a sanitizer's shadow alone is larger than any limit */
	if (h->megabytes)
		limit(RLIMIT_AS, (rlim_t)h->megabytes << 20);
#endif
	_exit(h->run(h->arg));
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* To a terminal goes only what cannot steer it. */
static void write_clean(FILE *out, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n' || c == '\t' || (c >= ' ' && c <= '~'))
			putc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
	fflush(out);
}

struct kept {
	char *text;
	size_t length, room;
};

static void keep(struct kept *k, const char *bytes, size_t n, size_t most)
{
	if (k->length + n > most)
		n = most - k->length;
	if (k->length + n + 1 > k->room) {
		void *grown = realloc(k->text, k->room = 2 * (k->length + n) + 4096);

		if (!grown)
			return;
		k->text = grown;
	}
	memcpy(k->text + k->length, bytes, n);
	k->length += n;
	k->text[k->length] = '\0';
}

/* Reads until the end; false: the time is over. */
static bool listen_to(const struct tool_helper *h, int fd, struct kept *k)
{
	int64_t end = now_ms() + (int64_t)h->seconds * 1000;
	char bytes[4096];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end - now_ms();
		ssize_t n;

		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return false;
		if (!p.revents)
			continue;
		if ((n = read(fd, bytes, sizeof bytes)) == 0)
			return true;
		if (n < 0)
			continue;
		if (h->out)
			write_clean(h->out, bytes, (size_t)n);
		else
			keep(k, bytes, (size_t)n, h->most);
	}
}

int tool_helper(const struct tool_helper *h, char **kept, size_t *length)
{
	struct kept k = { .text = calloc(1, 1), .room = 1 };
	int fds[2], status = -1;
	bool in_time;
	pid_t pid;

	fflush(stdout);
	if (!k.text || pipe2(fds, O_CLOEXEC) < 0) {
		free(k.text);
		return -1;
	}
	if ((pid = fork()) == 0)
		begin(h, fds[1]);
	close(fds[1]);
	in_time = pid > 0 && listen_to(h, fds[0], &k);
	close(fds[0]);
	if (pid > 0 && !in_time)
		kill(pid, SIGKILL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (kept)
		*kept = k.text;
	else
		free(k.text);
	if (length)
		*length = k.length;
	if (pid > 0 && in_time)
		return status;
	errno = pid > 0 ? ETIMEDOUT : EAGAIN;
	return -1;
}

int tool_exec(const char *const *argv)
{
	static const char *const environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
						   "HOME=/nonexistent", "LC_ALL=C", NULL };

	execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)environment);
	return errno == ENOENT ? 127 : 126;
}

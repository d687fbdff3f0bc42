/*
 * bundlesystem.c - what a bundle says of the machine and the program: versions, libraries, kernel, limits.
 */
#include "crashdump/tool/tool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "crashdump/tool/bundle.h"

#define SERVERS_MAX 16

static void add_file(struct toolmask_text *t, const char *title, const char *path)
{
	size_t n = 0;
	char *text = bundle_read(path, 0, 65536, false, &n);

	bundle_printf(t, "%s%s: ", n && memchr(text, '\n', n - 1) ? "\n" : "", title);
	if (text)
		bundle_printf(t, "%s%.*s", memchr(text, '\n', n ? n - 1 : 0) ? "\n" : "", (int)n, text);
	else
		bundle_printf(t, "cannot be read: %s\n", strerror(errno));
	free(text);
}

/* ------------------------------------------------------------------------------------------------------- the program */

/* Beside this program, else where it would be installed. */
static char *find_server(void)
{
	static const char *const places[] = { "/usr/local/sbin/bulkhead", "/usr/sbin/bulkhead" };
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
	char *slash;

	path[n < 0 ? 0 : n] = '\0';
	if ((slash = strrchr(path, '/'))) {
		strcpy(slash + 1, "bulkhead");
		if (access(path, X_OK) == 0)
			return strdup(path);
	}
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (access(places[i], X_OK) == 0)
			return strdup(places[i]);
	return NULL;
}

static int run_command(void *arg)
{
	return tool_exec(arg);
}

static char *output_of(const char *const *argv, size_t *n)
{
	char *text = NULL;

	tool_helper(&(struct tool_helper){ .uid = geteuid(), .gid = getegid(), .seconds = 10, .run = run_command,
					   .arg = (void *)(uintptr_t)argv, .most = 65536 }, &text, n);
	return text;
}

/* "libgnutls.so.30 => /lib/x86_64-linux-gnu/libgnutls.so.30 (0x…)": the file's own name has the whole version. */
static void add_library(struct toolmask_text *t, char *line)
{
	char *path = strchr(line, '/'), *end = path ? strchr(path, ' ') : NULL, *real;

	if (!end)
		return;
	*end = '\0';
	real = realpath(path, NULL);
	bundle_printf(t, "%s%s%s\n", path, real && strcmp(real, path) != 0 ? " -> " : "", real && strcmp(real, path) != 0 ? real : "");
	free(real);
}

static void add_program(struct bundle *b, const char *server)
{
	const char *const version[] = { server, "-V", NULL }, *const libraries[] = { "/usr/bin/ldd", server, NULL };
	struct toolmask_text *t = bundle_add(b, "version.txt");
	size_t n = 0;
	char *text = output_of(version, &n), *rest;

	bundle_printf(t, "%s -V:\n%s\n", server, text ? text : "");
	free(text);
	t = bundle_add(b, "libraries.txt");
	bundle_printf(t, "What %s links with; libc %s, %s\n\n", server, gnu_get_libc_version(), gnu_get_libc_release());
	text = rest = output_of(libraries, &n);
	for (char *line; rest && (line = strsep(&rest, "\n"));)
		add_library(t, line);
	free(text);
}

/* -------------------------------------------------------------------------------------------------------- the machine */

/* Limits of the servers that run. */
static void add_running(struct toolmask_text *t, const char *server)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	unsigned count = 0;

	while (proc && server && count < SERVERS_MAX && (e = readdir(proc))) {
		char path[300], exe[4096], title[64];
		ssize_t n;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%s/exe", e->d_name);
		n = readlink(path, exe, sizeof exe - 1);
		exe[n < 0 ? 0 : n] = '\0';
		if (strcmp(exe, server) != 0)
			continue;
		snprintf(title, sizeof title, "limits of process %.16s", e->d_name);
		snprintf(path, sizeof path, "/proc/%s/limits", e->d_name);
		add_file(t, title, path);
		count++;
	}
	if (proc)
		closedir(proc);
	bundle_printf(t, "\nprocesses of the server: %u%s\n", count, count == SERVERS_MAX ? " or more" : "");
}

void bundle_system(struct bundle *b)
{
	static const struct { const char *title, *path; } files[] = {
		{ "kernel.core_pattern", "/proc/sys/kernel/core_pattern" }, { "kernel.core_uses_pid", "/proc/sys/kernel/core_uses_pid" },
		{ "fs.suid_dumpable", "/proc/sys/fs/suid_dumpable" }, { "fs.file-max", "/proc/sys/fs/file-max" },
		{ "net.core.somaxconn", "/proc/sys/net/core/somaxconn" },
		{ "kernel.yama.ptrace_scope", "/proc/sys/kernel/yama/ptrace_scope" }, { "load", "/proc/loadavg" },
		{ "limits of this program", "/proc/self/limits" }, { "memory", "/proc/meminfo" },
		{ "os-release", "/etc/os-release" },
	};
	struct toolmask_text *t;
	char *server = find_server();
	struct utsname u;

	if (server)
		add_program(b, server);
	else
		bundle_left_out(b, "version.txt, libraries.txt: the program bulkhead is neither beside this one nor in /usr/sbin");
	t = bundle_add(b, "system.txt");
	if (uname(&u) == 0)
		bundle_printf(t, "kernel: %s %s %s %s\n", u.sysname, u.release, u.version, u.machine);
	bundle_printf(t, "processors: %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		add_file(t, files[i].title, files[i].path);
	add_running(t, server);
	free(server);
}

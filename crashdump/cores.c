/*
 * cores.c - core files: will the kernel write one into a directory, and if not why; and which one it wrote. The master
 * asks at start and -t, the job looks for the file as the children's user.
 */
#include "crashdump/crashdump.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CORES_KERNEL
#define CORES_KERNEL "/proc/sys/kernel"
#endif
#define FREE_LEAST (100u << 20) /* bytes on the folder's file system: fewer are told of */
#define FRESH_S 900             /* a core that is older is another's: of a process that had the same pid */
#define ENTRIES_MAX 4096        /* names of a directory that are looked at for a core */

static const char cores_mend[] = "sysctl -w kernel.core_pattern=core.%p";

/* One line of a file of /proc without its end; "" when it cannot be read. */
static void read_line(const char *path, char *out, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, out, n - 1);

	if (fd >= 0)
		close(fd);
	out[got < 0 ? 0 : got] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static void read_pattern(char *out, size_t n)
{
	read_line(CORES_KERNEL "/core_pattern", out, n);
}

static bool uses_pid(const char *pattern)
{
	char text[16];

	read_line(CORES_KERNEL "/core_uses_pid", text, sizeof text);
	return strstr(pattern, "%p") || strstr(pattern, "%P") || strcmp(text, "0") != 0;
}

/* Why a core does not come into the working directory; false: it does. `out` gets a clause. any_limit: this process's own
 * limit says nothing. */
static bool obstacle(const char *pattern, bool any_limit, char *out, size_t n)
{
	struct rlimit limit;

	if (pattern[0] == '|')
		snprintf(out, n, "the kernel pipes cores to \"%.160s\" (kernel.core_pattern)", pattern + 1);
	else if (!pattern[0])
		snprintf(out, n, "kernel.core_pattern is empty or cannot be read");
	else if (strchr(pattern, '/'))
		snprintf(out, n, "the kernel writes cores to \"%.160s\" (kernel.core_pattern)", pattern);
	else if (!any_limit && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0)
		snprintf(out, n, "the hard limit RLIMIT_CORE is 0");
	else
		return false;
	return true;
}

/* Where what the kernel's pipe feeds keeps its cores, for two that are common. */
static const char *pipe_keeps(const char *pattern)
{
	if (strstr(pattern, "systemd-coredump"))
		return "coredumpctl list bulkhead";
	return strstr(pattern, "apport") ? "ls /var/lib/apport/coredump /var/crash" : NULL;
}

int crash_core_check(const char *dir, void (*say)(void *ctx, const char *sentence, const char *remedy), void *ctx)
{
	char pattern[256], text[512];
	struct rlimit limit;
	int count = 0;

	read_pattern(pattern, sizeof pattern);
	if (!pattern[0] || pattern[0] == '|' || strchr(pattern, '/')) {
		char why[256];

		obstacle(pattern, false, why, sizeof why);
		snprintf(text, sizeof text, "no core files will be written to %s: %s", dir, why);
		if (pattern[0] == '|' && pipe_keeps(pattern))
			snprintf(why, sizeof why, "%s, or look for them where they go: %s", cores_mend, pipe_keeps(pattern));
		else
			snprintf(why, sizeof why, "%s", cores_mend);
		say(ctx, text, why);
		count++;
	}
	/* A pipe is fed whatever the limit is. The hard limit counts: children raise theirs to it. */
	if (pattern[0] != '|' && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0) {
		snprintf(text, sizeof text, "no core files will be written to %s: the hard limit RLIMIT_CORE is 0", dir);
		say(ctx, text, "ulimit -c unlimited before the start, or LimitCORE=infinity in the service's unit");
		count++;
	} else if (pattern[0] != '|' && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max < (16u << 20)) {
		snprintf(text, sizeof text, "core files in %s will be cut at %llu bytes by the hard limit RLIMIT_CORE", dir,
			 (unsigned long long)limit.rlim_max);
		say(ctx, text, "ulimit -c unlimited before the start, or LimitCORE=infinity in the service's unit");
		count++;
	}
	return count;
}

bool crash_core_where(const char *dir, char *out, size_t n)
{
	char pattern[256];

	read_pattern(pattern, sizeof pattern);
	if (obstacle(pattern, false, out, n))
		return false;
	if (strchr(pattern, '%'))
		snprintf(out, n, "cores of crashed children go to %s, named by kernel.core_pattern \"%.64s\"", dir, pattern);
	else if (uses_pid(pattern))
		snprintf(out, n, "cores of crashed children go to %s/%.64s.PID", dir, pattern);
	else
		snprintf(out, n, "cores of crashed children go to %s/%.64s.PID; since the kernel gives all one name, of crashes at the same moment one core "
			 "remains (%s mends that)", dir, pattern, cores_mend);
	return true;
}

/* In a process of its own, which becomes the user as children do: they enter the folder before that. Exits with an errno. */
static _Noreturn void try_folder(const char *dir, const struct crash_core_user *u)
{
	char name[64];
	int fd;

	snprintf(name, sizeof name, ".bulkhead-core-test-%d", (int)getpid());
	if (chdir(dir) < 0)
		_exit(errno);
	if (u->become && (setgroups(1, &u->gid) < 0 || setgid(u->gid) < 0 || setuid(u->uid) < 0))
		_exit(0);                       /* that is told elsewhere */
	if (access(".", W_OK | X_OK) < 0)
		_exit(errno);
	if (u->only_look)
		_exit(0);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		_exit(errno);
	_exit(unlink(name) < 0 ? errno : 0);
}

int crash_core_folder(const char *dir, const struct crash_core_user *u, void (*say)(void *ctx, const char *sentence, const char *remedy),
		      void *ctx)
{
	char text[512], mend[320];
	struct statvfs space;
	struct stat st = { .st_mode = 0 };
	int count = 0, status = 0;
	pid_t pid;

	int gone = lstat(dir, &st) < 0 ? errno : 0;

	if (gone == ENOENT)
		return 0;                       /* the start makes it */
	if (gone == ENOTDIR || (!gone && !S_ISDIR(st.st_mode))) {
		snprintf(text, sizeof text, "neither reports nor cores will be written to %.256s: it is no folder%s", dir,
			 S_ISLNK(st.st_mode) ? ", but a symbolic link, and none is followed here" : "");
		say(ctx, text, "name a folder as CoreDumpDirectory; where there is none yet, the start makes it");
		return 1;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		try_folder(dir, u);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status)) {
		snprintf(text, sizeof text, "neither reports nor cores will be written to %.256s: the user %.64s cannot create a file there (%s)", dir, u->name,
			 strerror(WEXITSTATUS(status)));
		snprintf(mend, sizeof mend, "install -d -m 700 -o %.32s %.250s", u->name, dir);
		say(ctx, text, mend);
		count++;
	}
	if (statvfs(dir, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < FREE_LEAST) {
		snprintf(text, sizeof text, "cores may be cut: only %llu MB are free in %.256s",
			 (unsigned long long)((uint64_t)space.f_bavail * space.f_frsize >> 20), dir);
		say(ctx, text, "make room there, name another CoreDumpDirectory, or lower CoreDumpLimit");
		count++;
	}
	return count;
}

/* -------------------------------------------------------------------------------------------------- finding the file */

/* The process whose core this is, by its own notes; 0 when it is no core. */
static pid_t core_pid(Elf *elf)
{
	size_t count;
	GElf_Phdr ph;

	if (!elf || elf_kind(elf) != ELF_K_ELF || elf_getphdrnum(elf, &count))
		return 0;
	for (size_t i = 0; i < count; i++) {
		GElf_Nhdr note;
		size_t at = 0, name, desc;
		Elf_Data *data;

		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_NOTE ||
		    !(data = elf_getdata_rawchunk(elf, (int64_t)ph.p_offset, ph.p_filesz, ELF_T_NHDR)))
			continue;
		while ((at = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
			struct elf_prpsinfo info;

			if (note.n_type != NT_PRPSINFO || note.n_descsz < sizeof info)
				continue;
			memcpy(&info, (char *)data->d_buf + desc, sizeof info);
			return info.pr_pid;
		}
	}
	return 0;
}

/* Whether the file is a core of that process: a stranger's file, or another crash's, is left alone. */
static bool is_core_of(int dir_fd, const char *name, pid_t pid)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	bool ours = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_mtime + FRESH_S >= time(NULL) &&
	    elf_version(EV_CURRENT) != EV_NONE) {
		Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);

		ours = core_pid(elf) == pid;
		elf_end(elf);
	}
	close(fd);
	return ours;
}

/* For patterns with more than a pid: the file that begins like the pattern and is this process's core. */
static bool search(int dir_fd, const char *pattern, pid_t pid, char *name, size_t n)
{
	size_t literal = strcspn(pattern, "%");
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool found = false;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (unsigned i = 0; i < ENTRIES_MAX && !found && (e = readdir(dir)); i++) {
		if (strncmp(e->d_name, pattern, literal) != 0 || !is_core_of(dir_fd, e->d_name, pid))
			continue;
		snprintf(name, n, "%s", e->d_name);
		found = true;
	}
	closedir(dir);
	return found;
}

/* The next crash would write over a name without number: it becomes core.PID, or core.PID-2 … where that is taken. */
static void take_name(int dir_fd, const char *dir, const char *pattern, pid_t pid, char *out, size_t n)
{
	char mine[320];

	for (unsigned i = 1; i < 10 && !uses_pid(pattern); i++) {
		char more[8] = "";

		if (i > 1)
			snprintf(more, sizeof more, "-%u", i);
		snprintf(mine, sizeof mine, "%.256s.%d%s", pattern, (int)pid, more);
		if (renameat2(dir_fd, pattern, dir_fd, mine, RENAME_NOREPLACE) == 0) {
			snprintf(out, n, "%s/%s", dir, mine);
			return;
		}
		if (errno != EEXIST)
			break;
	}
	snprintf(out, n, "%s/%s", dir, pattern);
}

int crash_core_find(int dir_fd, const char *dir, pid_t pid, int status, char *out, size_t n)
{
	char pattern[256], name[320];

	read_pattern(pattern, sizeof pattern);
	if (obstacle(pattern, true, out, n)) {
		size_t said = strlen(out);

		if (pattern[0] == '|' && strstr(pattern, "systemd-coredump"))
			snprintf(out + said, n - said, "; coredumpctl info %d tells of it", (int)pid);
		else if (pattern[0] == '|' && pipe_keeps(pattern))
			snprintf(out + said, n - said, "; see %s", pipe_keeps(pattern));
		return -1;
	}
	if (WIFSIGNALED(status) && !WCOREDUMP(status)) {
		snprintf(out, n, "the kernel wrote none (a full disk, a directory that the user cannot write, or a sandbox)");
		return -1;
	}
	/* A name that all cores have is looked at first: core.PID may be left of a process of long ago. */
	if (!strchr(pattern, '%') && is_core_of(dir_fd, pattern, pid)) {
		take_name(dir_fd, dir, pattern, pid, out, n);
		return 0;
	}
	snprintf(name, sizeof name, "%.256s.%d", strchr(pattern, '%') ? "core" : pattern, (int)pid);
	if (is_core_of(dir_fd, name, pid) || (strchr(pattern, '%') && search(dir_fd, pattern, pid, name, sizeof name))) {
		snprintf(out, n, "%s/%s", dir, name);
		return 0;
	}
	if (!uses_pid(pattern))
		snprintf(out, n, "another process wrote its core to the same name: kernel.core_pattern \"%.64s\" has no %%p (%s)", pattern,
			 cores_mend);
	else
		snprintf(out, n, "it is not in %s under the name that kernel.core_pattern \"%.64s\" gives", dir, pattern);
	return -1;
}

/* ---------------------------------------------------------------------------------------------------- how many there are */

/* Nothing is believed but the first bytes; those who may write here are not trusted: no FIFO holds us up. */
static bool is_some_core(int dir_fd, const char *name, uid_t owner)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	unsigned char head[EI_NIDENT + 2] = { 0 };
	struct stat st;
	bool core;

	if (fd < 0)
		return false;
	core = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == owner && read(fd, head, sizeof head) == (ssize_t)sizeof head &&
	       !memcmp(head, ELFMAG, SELFMAG) && head[EI_NIDENT] + head[EI_NIDENT + 1] == ET_CORE;
	close(fd);
	return core;
}

int crash_core_count(int dir_fd, uid_t owner)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char pattern[256];
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	read_pattern(pattern, sizeof pattern);
	for (unsigned i = 0; i < ENTRIES_MAX && (e = readdir(dir)); i++)
		if ((!strncmp(e->d_name, "core", 4) || !strncmp(e->d_name, pattern, strcspn(pattern, "%"))) &&
		    (e->d_type == DT_REG || e->d_type == DT_UNKNOWN))
			count += is_some_core(dir_fd, e->d_name, owner);
	closedir(dir);
	return count;
}

bool crash_core_surplus(int dir_fd, unsigned limit, char *core, size_t n)
{
	const char *name = strrchr(core, '/');
	int count = crash_core_count(dir_fd, geteuid());

	if (count < 0 || (unsigned)count <= limit || !name || unlinkat(dir_fd, name + 1, 0) < 0)
		return false;
	snprintf(core, n, "it was removed, since there are %u already (CoreDumpLimit)", limit);
	return true;
}

/*
 * landlock.c - rules of paths and ports for the process that calls, by system call: libc and the headers of older systems
 * do not know it. Runs in every role that role.c's table names, after it has dropped its rights.
 *
 * A rule holds for a folder with all below it and cannot be taken back further down. So a secret is kept back by giving what
 * lies beside it, entry by entry, in each folder on the way to it. What comes into such a folder later is not given. Therefore
 * this is done for secrets that the account could read at all, and never in the folders of which files are served.
 */
#include "process/landlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the kernel has them; <linux/landlock.h> of the system may be older. */
#define CALL_CREATE   444
#define CALL_ADD      445
#define CALL_RESTRICT 446
#define ASK_VERSION   1u
#define RULE_PATH     1
#define RULE_PORT     2

enum {
	WRITE_FILE = 1 << 1, READ_FILE = 1 << 2, READ_DIR = 1 << 3, REMOVE_FILE = 1 << 5, MAKE_REG = 1 << 8, TRUNCATE = 1 << 14,
	FIRST_ACCESS = (1 << 13) - 1,   /* version 1 */
	REFER = 1 << 13,                /* version 2: links and renames between folders */
	IOCTL_DEV = 1 << 15,            /* version 5 */
	BIND = 1, CONNECT = 2,          /* version 4 */
	ABSTRACT_SOCKETS = 1, SIGNALS = 2,      /* version 6 */
};

struct ruleset {
	uint64_t files, net, scope;
};

struct rule_path {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

struct rule_port {
	uint64_t access, port;
};

#define DEPTH_MOST 32
#define ENTRIES_MOST 4096               /* of a folder beside a secret; one with more is given whole */

/* 0: none, with errno. */
static int version(void)
{
	long v = syscall(CALL_CREATE, NULL, 0, ASK_VERSION);

	return v > 0 ? (int)v : 0;
}

const char *landlock_missing(char *buf, size_t n)
{
	static const struct { int since; const char *what; } parts[] = {
		{ 3, "cutting files" }, { 4, "connections" }, { 6, "signals" },
	};
	size_t used = 0;
	int v = version();

#ifdef BULKHEAD_SANITIZE
	return NULL;                    /* sandbox_missing says it of all that it leaves out */
#endif
	if (!v) {
		snprintf(buf, n, "%s: accounts and file modes alone bound which files a process that is taken over reads",
			 errno == EOPNOTSUPP ? "Landlock is switched off (the kernel's option lsm= does not name landlock)"
			 : errno == ENOSYS   ? "this kernel has no Landlock, or this container forbids it"
					     : "this container forbids Landlock");
		return buf;
	}
	for (size_t i = 0; i < sizeof parts / sizeof *parts && used < n; i++)
		if (v < parts[i].since)
			used += (size_t)snprintf(buf + used, n - used, "%s%s", used ? ", " : "", parts[i].what);
	if (!used)
		return NULL;
	if (used < n)
		snprintf(buf + used, n - used, ": this kernel's Landlock (version %d) does not bound these; a newer kernel does", v);
	return buf;
}

/* ------------------------------------------------------------------------------------------------ paths */

/* Whether a path is a folder or lies below it. */
static bool within(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n && folder[n - 1] == '/')
		n--;
	return strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]);
}

static int allow_open(int set, int fd, uint64_t access, const char *name, struct err *e)
{
	struct rule_path rule = { .access = access, .fd = fd };
	struct stat st;

	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.access &= READ_FILE | WRITE_FILE | TRUNCATE;
	return rule.access && syscall(CALL_ADD, set, RULE_PATH, &rule, 0) < 0 ? err_sys(e, "no rule for %s", name) : 0;
}

/* 0 too where there is no such file. */
static int allow_path(int set, const char *path, uint64_t access, struct err *e)
{
	int fd = open(path, O_PATH | O_CLOEXEC), rc;

	if (fd < 0)
		return 0;
	rc = allow_open(set, fd, access, path, e);
	close(fd);
	return rc;
}

/* What is to be kept back: real paths of secrets that could be read, and lie in no folder that is given whole. */
struct secrets {
	char **paths;
	unsigned n;
};

static void find_secrets(const struct landlock_wants *w, struct secrets *s)
{
	s->n = 0;
	s->paths = w->nsecrets ? calloc(w->nsecrets, sizeof *s->paths) : NULL;
	for (unsigned i = 0; s->paths && i < w->nsecrets; i++) {
		char *real = access(w->secrets[i], R_OK) == 0 ? realpath(w->secrets[i], NULL) : NULL;
		bool kept = !real;

		for (unsigned k = 0; k < w->nkept && !kept; k++)
			kept = within(real, w->kept[k]) || within(w->kept[k], real);
		if (kept)
			free(real);
		else
			s->paths[s->n++] = real;
	}
}

static void drop_secrets(struct secrets *s)
{
	for (unsigned i = 0; i < s->n; i++)
		free(s->paths[i]);
	free(s->paths);
}

/* The folder, if it can be given entry by entry. */
static DIR *open_to_cut(const char *path, unsigned depth)
{
	DIR *d = depth < DEPTH_MOST ? opendir(path) : NULL;
	unsigned n = 0;

	while (d && n <= ENTRIES_MOST && readdir(d))
		n++;
	if (d && n <= ENTRIES_MOST) {
		rewinddir(d);
		return d;
	}
	if (d)
		closedir(d);
	return NULL;
}

/* Reading of a folder and all below it but the secrets. */
static int allow_reading(int set, const char *path, const struct secrets *s, unsigned depth, struct err *e)
{
	const struct dirent *entry;
	bool cut = false;
	int rc = 0;
	DIR *d;

	for (unsigned i = 0; i < s->n; i++) {
		if (within(path, s->paths[i]))
			return 0;
		cut |= within(s->paths[i], path);
	}
	d = cut ? open_to_cut(path, depth) : NULL;
	if (!d)                         /* nothing to keep back, or too much lies beside it, or it cannot be seen */
		return allow_path(set, path, READ_FILE | READ_DIR, e);
	rc = allow_path(set, path, READ_DIR, e);
	while (rc == 0 && (entry = readdir(d))) {
		char below[PATH_MAX];

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || entry->d_type == DT_LNK)
			continue;
		if ((size_t)snprintf(below, sizeof below, "%s/%s", path[1] ? path : "", entry->d_name) < sizeof below)
			rc = allow_reading(set, below, s, depth + 1, e);
	}
	closedir(d);
	return rc;
}

/* What libraries open besides: time zones, names of errors, the lists of random numbers and of algorithms, parts of libc. */
static const char *const always[] = {
	"/dev/null", "/dev/urandom", "/dev/random", "/etc/localtime", "/usr/share/zoneinfo", "/etc/gnutls", "/etc/gcrypt", "/etc/ld.so.cache",
	"/etc/passwd", "/etc/group", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/proc/self", "/sys/devices/system/cpu",
};

static int allow_child(int set, const struct landlock_wants *w, struct err *e)
{
	struct secrets secrets;
	int rc = 0;

	find_secrets(w, &secrets);
	if (w->everything)
		rc = allow_reading(set, "/", &secrets, 0, e);
	for (size_t i = 0; i < sizeof always / sizeof *always && rc == 0; i++)
		rc = allow_path(set, always[i], READ_FILE | READ_DIR, e);
	for (unsigned i = 0; i < w->nfolders && rc == 0; i++) {
		char *real = realpath(w->folders[i], NULL);     /* secrets are compared by their real paths */

		rc = allow_reading(set, real ? real : w->folders[i], &secrets, 0, e);
		free(real);
	}
	drop_secrets(&secrets);
	for (unsigned i = 0; i < w->nports && !w->any_port && rc == 0; i++) {
		struct rule_port rule = { CONNECT, w->ports[i] };

		if (syscall(CALL_ADD, set, RULE_PORT, &rule, 0) < 0 && errno != EINVAL)
			rc = err_sys(e, "no rule for port %u", (unsigned)w->ports[i]);
	}
	return rc;
}

/* Where the kernel writes a core, if it is in a folder of the machine's own: the rules bind what it writes for the process, too. */
static int allow_cores(int set, int folder, uint64_t handled, struct err *e)
{
	const uint64_t access = (WRITE_FILE | MAKE_REG | TRUNCATE) & handled;
	char pattern[256] = "", *slash;
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, pattern, sizeof pattern - 1);

	if (fd >= 0)
		close(fd);
	pattern[strcspn(pattern, "%")] = 0;
	slash = n > 0 && *pattern == '/' ? strrchr(pattern, '/') : NULL;
	if (slash && slash > pattern) {
		*slash = 0;
		if (allow_path(set, pattern, access, e) < 0)
			return -1;
	}
	return allow_open(set, folder, access, "the folder of cores", e);
}

/* ------------------------------------------------------------------------------------------------ the rules of a process */

/* What is bounded at all: where a bit is not set, the kernel leaves that alone. */
static struct ruleset bounded(int v, bool connects, bool local)
{
	struct ruleset r = { .files = FIRST_ACCESS };

	r.files |= v >= 2 ? REFER : 0;
	r.files |= v >= 3 ? TRUNCATE : 0;
	r.files |= v >= 5 ? IOCTL_DEV : 0;
	if (v >= 4)
		r.net = BIND | (connects ? 0 : CONNECT);
	if (v >= 6)
		r.scope = SIGNALS | (local ? 0 : ABSTRACT_SOCKETS);
	return r;
}

int landlock_enter(enum landlock_reach reach, const struct landlock_wants *w, int folder, struct err *e)
{
	int v = version(), set, rc = 0;
	struct ruleset r;

#ifdef BULKHEAD_SANITIZE
	return 0;                       /* its reports read /proc, and programs by any path */
#endif
	if (!v || reach == LANDLOCK_NONE || (reach == LANDLOCK_CHILD && (!w || w->off)))
		return 0;
	r = bounded(v, reach == LANDLOCK_READ || (reach == LANDLOCK_CHILD && w->any_port), reach == LANDLOCK_READ);
	set = (int)syscall(CALL_CREATE, &r, v >= 6 ? sizeof r : v >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t), 0);
	if (set < 0)
		return err_sys(e, "Landlock takes no rules");
	if (reach == LANDLOCK_READ || reach == LANDLOCK_JOB)
		rc = allow_path(set, "/", READ_FILE | READ_DIR, e);
	else if (reach == LANDLOCK_CHILD)
		rc = allow_child(set, w, e);
	if (rc == 0 && folder >= 0 && reach == LANDLOCK_JOB)
		rc = allow_open(set, folder, (WRITE_FILE | MAKE_REG | REMOVE_FILE | TRUNCATE) & r.files, "the folder of reports", e);
	else if (rc == 0 && folder >= 0)
		rc = allow_cores(set, folder, r.files, e);
	if (rc == 0 && syscall(CALL_RESTRICT, set, 0) < 0)
		rc = err_sys(e, "Landlock's rules cannot be set");
	close(set);
	return rc;
}

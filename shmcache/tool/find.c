/*
 * find.c - finds the segment that the user means: the only instance, a name, a process, or a file. Everything is
 * opened for reading only.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shmcache/tool/tool.h"

#define SHM "/dev/shm/"
#define PREFIX "bulkhead-"

/* ------------------------------------------------------------------------------------------------ attaching */

/* A file that is cut off while it is mapped. */
static void cut_off(int signal_number)
{
	static const char text[] = "bulkhead-cache: the cache became shorter while it was looked at\n";

	(void)signal_number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(TOOL_TROUBLE);
	_exit(TOOL_TROUBLE);
}

/* Whether fd is memory that servers use or have left, rather than a file that holds a copy of it. */
static bool in_memory(int fd, const struct shmcache_info *i)
{
	struct stat st, shm;
	bool same;
	int named;

	if (i->copied != 0 || fstat(fd, &st) < 0)
		return false;
	if (st.st_nlink == 0)                   /* a memfd, or an object whose name is gone */
		return true;
	named = i->name[0] == '/' ? shm_open(i->name, O_RDONLY | O_NOFOLLOW, 0) : -1;
	if (named < 0)
		return false;
	same = fstat(named, &shm) == 0 && shm.st_dev == st.st_dev && shm.st_ino == st.st_ino;
	close(named);
	return same;
}

/* Takes fd. 0, or -1 with *e filled. */
static int take(int fd, const char *label, struct tool_target *t, struct shmcache_err *e)
{
	t->cache = shmcache_attach(fd, e);
	if (t->cache != NULL) {
		shmcache_info(t->cache, &t->info);
		t->saved = !in_memory(fd, &t->info);
		(void)tool_clean(label, t->label, sizeof(t->label));
	}
	close(fd);
	return t->cache != NULL ? 0 : -1;
}

void tool_close(struct tool_target *t)
{
	shmcache_close(t->cache);
	t->cache = NULL;
}

static const char *user_of(uid_t uid, char *text, size_t n)
{
	const struct passwd *p = getpwuid(uid);

	if (p != NULL)
		snprintf(text, n, "%s", p->pw_name);
	else
		snprintf(text, n, "user %u", (unsigned)uid);
	return text;
}

/* What opening `what` (its path for stat) failed with. Returns -1. */
static int not_opened(const char *what, const char *path, const char *where)
{
	int why = errno;
	struct stat st;
	char user[80];

	if ((why == EACCES || why == EPERM) && stat(path, &st) == 0)
		tool_fail("run bulkhead-cache as that user, or as root: sudo bulkhead-cache ...",
		          "%s belongs to %s (mode %04o) and may not be read", what,
		          user_of(st.st_uid, user, sizeof(user)), (unsigned)st.st_mode & 07777);
	else if (why == ENOENT)
		tool_fail(where, "%s is not there", what);
	else
		tool_fail("", "opening %s: %s", what, strerror(why));
	return -1;
}

/* ------------------------------------------------------------------------------------------------ by name or file */

static int open_name(const char *name, struct tool_target *t)
{
	char path[300], what[300], label[300];
	struct shmcache_err e;
	int fd;

	name += name[0] == '/';
	snprintf(label, sizeof(label), "/%s", name);
	snprintf(path, sizeof(path), SHM "%s", name);
	snprintf(what, sizeof(what), "shared memory object /%s", name);
	fd = shm_open(label, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return not_opened(what, path,
		                  "'ls " SHM PREFIX "*' shows what is there; for a file give its path, as ./NAME");
	if (take(fd, label, t, &e) == 0)
		return 0;
	tool_fail(e.remedy, "%s: %s", what, e.text);
	return -1;
}

static int open_file(const char *path, struct tool_target *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct shmcache_err e;

	if (fd < 0)
		return not_opened(path, path, "give the path of a copy that 'bulkhead-cache copy' wrote");
	if (take(fd, path, t, &e) == 0)
		return 0;
	tool_fail(e.remedy, "%s: %s", path, e.text);
	return -1;
}

/* ------------------------------------------------------------------------------------------------ by process */

/* Of two segments of one server the one that a resize makes is meant, else the younger one. */
static bool better(const struct tool_target *a, const struct tool_target *b)
{
	if (b->cache == NULL || a->info.alone != b->info.alone)
		return b->cache == NULL || !a->info.alone;
	return a->info.created > b->info.created;
}

/* Looks whether what an entry of /proc leads to is a segment; keeps the best in *t. False: it could not be opened. */
static bool consider(const char *proc, const char *target, pid_t pid, struct tool_target *t)
{
	struct tool_target new = { .cache = NULL };
	char label[300];
	int fd;

	if (strncmp(target, SHM, strlen(SHM)) != 0 && strncmp(target, "/memfd:shmcache", 15) != 0)
		return true;
	fd = open(proc, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	if (target[1] == 'm')
		snprintf(label, sizeof(label), "memory of process %ld", (long)pid);
	else
		snprintf(label, sizeof(label), "/%.*s", (int)strcspn(target + strlen(SHM), " "),
		         target + strlen(SHM));
	if (take(fd, label, &new, NULL) == 0 && better(&new, t)) {
		/* Where its lockfile cannot be seen, as from outside of its container, the process itself is the proof. */
		if (access(new.info.lockfile, F_OK) < 0)
			new.info.lives = true;
		tool_close(t);
		*t = new;
	} else {
		tool_close(&new);
	}
	return true;
}

static int look_at_descriptors(pid_t pid, struct tool_target *t)
{
	char dir[64], path[400], target[300];
	struct dirent *d;
	DIR *all;

	snprintf(dir, sizeof(dir), "/proc/%ld/fd", (long)pid);
	all = opendir(dir);
	if (all == NULL)
		return -1;
	while ((d = readdir(all)) != NULL) {
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		(void)consider(path, target, pid, t);
	}
	closedir(all);
	return 0;
}

/* A child has only the mapping. */
static void look_at_mappings(pid_t pid, struct tool_target *t)
{
	char path[120], line[600];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/maps", (long)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		char *target = strchr(line, '/'), *space = strchr(line, ' ');

		if (target == NULL || space == NULL)
			continue;
		target[strcspn(target, "\n")] = '\0';
		*space = '\0';
		snprintf(path, sizeof(path), "/proc/%ld/map_files/%.60s", (long)pid, line);
		/* without the capability for map_files, the name does as well */
		if (!consider(path, target, pid, t))
			(void)consider(target, target, pid, t);
	}
	fclose(f);
}

/* A zombie maps nothing any more. */
static bool ended(pid_t pid)
{
	char path[64], line[512] = "";
	const char *state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return true;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	state = strrchr(line, ')');
	return state == NULL || (state[1] == ' ' && (state[2] == 'Z' || state[2] == 'X'));
}

static int open_pid(pid_t pid, struct tool_target *t)
{
	char what[64], proc[64];

	snprintf(what, sizeof(what), "process %ld", (long)pid);
	snprintf(proc, sizeof(proc), "/proc/%ld", (long)pid);
	if (look_at_descriptors(pid, t) < 0)
		return not_opened(what, proc,
		                  "give the pid of a running server; for a file of that name write ./ before it");
	if (t->cache == NULL)
		look_at_mappings(pid, t);
	if (t->cache != NULL)
		return 0;
	if (ended(pid))
		tool_fail("give the name of what it left (ls /dev/shm/bulkhead-*), or the pid of a running server", "%s has ended", what);
	else
		tool_fail("give the pid of a Bulkhead server or of one of its children", "%s has no session cache", what);
	return -1;
}

/* ------------------------------------------------------------------------------------------------ the only one */

enum { SHOWN = 20 };

struct candidates {
	unsigned n, living, others;             /* segments; of them alive; objects that could not be read */
	struct tool_target best;                /* of the living, or the only one */
	char lockfile[1100];                    /* of the living */
	bool one_instance;                      /* all living ones have one lockfile: a resize is under way */
	char text[SHOWN][300];
	unsigned shown;
};

/* A line for when the user has to choose; the living ones come first. */
static void __attribute__((format(printf, 3, 4))) show(struct candidates *all, bool living, const char *fmt, ...)
{
	unsigned at = living && all->living < SHOWN ? all->living : all->shown;
	va_list ap;

	if (at == SHOWN)
		return;
	if (at < all->shown && all->shown < SHOWN)
		memcpy(all->text[all->shown], all->text[at], sizeof(all->text[0]));
	if (all->shown < SHOWN)
		all->shown++;
	va_start(ap, fmt);
	vsnprintf(all->text[at], sizeof(all->text[0]), fmt, ap);
	va_end(ap);
}

static void add_candidate(struct candidates *all, const char *name)
{
	struct tool_target t = { .cache = NULL };
	struct shmcache_err e;
	char label[300], when[40] = "";
	struct tm tm;
	time_t made;
	bool living;
	int fd;

	snprintf(label, sizeof(label), "/%s", name);
	fd = shm_open(label, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0 || take(fd, label, &t, &e) < 0) {
		all->others++;
		show(all, false, "  %.80s: %.200s", label, fd < 0 ? strerror(errno) : e.text);
		return;
	}
	made = (time_t)t.info.created;
	if (localtime_r(&made, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	all->n++;
	living = t.info.lives && !t.saved;
	show(all, living, "  %.80s: %s, made %s", label,
	     living ? "alive" : t.saved ? "a copy" : "left over by a server that is dead", when);
	if (living) {
		if (all->living++ == 0)
			snprintf(all->lockfile, sizeof(all->lockfile), "%s", t.info.lockfile);
		else if (strcmp(all->lockfile, t.info.lockfile) != 0)
			all->one_instance = false;
	}
	if (all->best.cache == NULL || (living && (all->living == 1 || better(&t, &all->best)))) {
		tool_close(&all->best);
		all->best = t;
	} else {
		tool_close(&t);
	}
}

/* What nobody uses any more, and what this program cannot read, does not stand in the way of the one that lives. */
static int open_only(struct tool_target *t)
{
	struct candidates all = { .one_instance = true };
	struct dirent *d;
	DIR *dir = opendir(SHM);

	while (dir != NULL && (d = readdir(dir)) != NULL)
		if (strncmp(d->d_name, PREFIX, strlen(PREFIX)) == 0)
			add_candidate(&all, d->d_name);
	if (dir != NULL)
		closedir(dir);
	if ((all.n == 1 && all.others == 0) || (all.living > 0 && all.one_instance)) {
		*t = all.best;
		return 0;
	}
	tool_close(&all.best);
	if (all.n + all.others == 0) {
		tool_fail("start a server; or give its pid, if its cache is memory without a name",
		          "no session cache is here: there is no " SHM PREFIX "*");
		return -1;
	}
	if (all.n == 0 && geteuid() != 0)
		tool_fail("give one of these names; where it may not be read: sudo bulkhead-cache ...",
		          "no session cache here can be read:");
	else
		tool_fail("give one of these names:", "%u session caches are here, %u of them alive",
		          all.n + all.others, all.living);
	for (unsigned i = 0; i < all.shown; i++)
		fprintf(stderr, "%s\n", all.text[i]);
	if (all.n + all.others > all.shown)
		fprintf(stderr, "  and %u more\n", all.n + all.others - all.shown);
	return -1;
}

/* ------------------------------------------------------------------------------------------------ which */

static bool is_number(const char *text)
{
	if (strlen(text) > 9 || *text == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (!isdigit((unsigned char)*text))
			return false;
	return true;
}

int tool_open(const char *command, int argc, char **argv, struct tool_target *t)
{
	struct stat st;
	const char *word;
	char path[300];

	memset(t, 0, sizeof(*t));
	(void)signal(SIGBUS, cut_off);
	if (argc == 0)
		return open_only(t);
	if (argc > 1) {
		tool_misused(command, "one name, pid or file is enough: '%s' is too much", argv[1]);
		return -1;
	}
	word = argv[0];
	if (is_number(word))
		return open_pid((pid_t)strtol(word, NULL, 10), t);
	if (word[0] == '\0' || strcmp(word, "/") == 0 || strchr(word + 1, '/') != NULL)
		return open_file(word, t);
	/* a bare word: an object, else a file of that name */
	snprintf(path, sizeof(path), SHM "%.200s", word + (word[0] == '/'));
	if (lstat(path, &st) < 0 && lstat(word, &st) == 0)
		return open_file(word, t);
	return open_name(word, t);
}

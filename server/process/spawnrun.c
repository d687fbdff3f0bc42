/*
 * spawnrun.c - programs that run. Each is a session and a process group of its own, and begins with nothing of the server's:
 * no descriptor but its three, no blocked or ignored signal, the limits and variables of its order. Its leader stays
 * unreaped until nobody needs it any more, so that the number of its group cannot become another's meanwhile.
 *
 * An order comes from a child that may have been taken over: the path must be one the configuration allows, the folder is
 * the file's, and variables that make a program run or load something else pass only where the configuration sets them.
 */
#include "process/spawnrun.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "process/shared.h"
#include "request/env.h"
#include "request/scripts.h"

#define GRACE_MS 3000                   /* from SIGTERM to SIGKILL, as Apache */
#define TREE_MOST 512                   /* descendants that are looked for */

struct program {
	struct list item;
	int owner;
	uint32_t id;
	pid_t pid;                      /* also its session and group */
	unsigned place;                 /* in run.groups */
	bool exited, told, over, tree;
	int status;
	int64_t kill_at;                /* INT64_MAX = not told to end */
};

static struct {
	const struct site *site;
	pid_t *groups;
	unsigned n;
	struct list programs;
} run = { .programs = LIST_INIT(run.programs) };

void spawnrun_init(const struct site *site, pid_t *groups)
{
	run.site = site;
	run.groups = groups;
}

/* ------------------------------------------------------------------------------------------------ an order */

struct order {
	struct spawn_limits limits;
	const char *path;
	char **argv, **envp;
	char *dir;
};

/* Variables by which a program is made to run or load other code, or to look elsewhere for it. */
static bool leads_astray(const char *name, size_t n)
{
	static const char *const words[] = {
		"PATH", "ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "PS4", "IFS", "CDPATH", "GCONV_PATH", "LOCPATH", "NLSPATH", "HOSTALIASES",
		"LOCALDOMAIN", "RES_OPTIONS", "PERLLIB", "PERLIO", "PHPRC", "PHP_INI_SCAN_DIR", "CLASSPATH", "TERMINFO", "TERMCAP", "TERMINFO_DIRS",
		"TERMPATH", "PAGER", "EDITOR", "VISUAL", "HOME", "TMPDIR", "SHELL", NULL
	};
	static const char *const beginnings[] = {
		"LD_", "BASH_FUNC_", "GLIBC_", "MALLOC_", "PERL5", "PYTHON", "RUBY", "NODE_", "JAVA_", "_JAVA", "JDK_", "GIT_", "LUA_", "TCL", "R_", NULL
	};

	for (int i = 0; words[i]; i++)
		if (strlen(words[i]) == n && memcmp(words[i], name, n) == 0)
			return true;
	for (int i = 0; beginnings[i]; i++)
		if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

static bool passes(const char *variable)
{
	const char *equals = strchr(variable, '=');
	char name[128];
	size_t n;

	if (!equals || equals == variable)
		return false;
	n = (size_t)(equals - variable);
	if (!leads_astray(variable, n))
		return true;
	if (n >= sizeof name)
		return false;
	memcpy(name, variable, n);
	name[n] = '\0';
	return env_names(run.site, name);
}

/* The next string; NULL: the order ends before it does. */
static char *take_string(char **at, const char *end)
{
	char *s = *at, *nul = s < end ? memchr(s, '\0', (size_t)(end - s)) : NULL;

	if (!nul)
		return NULL;
	*at = nul + 1;
	return s;
}

static int take_words(struct order *o, uint32_t nargs, uint32_t nenv, char **at, const char *end)
{
	const char *path = getenv("PATH");
	bool has_path = false;
	uint32_t kept = 0;
	char *s;

	for (uint32_t i = 0; i < nargs; i++)
		if (!(o->argv[i + 1] = take_string(at, end)))
			return -1;
	for (uint32_t i = 0; i < nenv; i++) {
		if (!(s = take_string(at, end)))
			return -1;
		if (!passes(s))
			continue;
		has_path |= strncmp(s, "PATH=", 5) == 0;
		o->envp[kept++] = s;
	}
	if (!has_path) {
		static char own[4096];
		snprintf(own, sizeof own, "PATH=%s", path && *path && strlen(path) < sizeof own - 8 ? path : "/usr/local/bin:/usr/bin:/bin");
		o->envp[kept] = own;
	}
	return 0;
}

static void order_free(struct order *o)
{
	free(o->argv);
	free(o->envp);
	free(o->dir);
}

/* `copy` is the order's bytes, to be cut up. 0 or -1: it is malformed, or memory ran out. */
static int order_read(struct order *o, char *copy, size_t n)
{
	struct spawn_order head;
	char *at = copy + sizeof head, *slash;

	if (n < sizeof head)
		return -1;
	memcpy(&head, copy, sizeof head);
	if (head.nargs > SPAWN_WORDS || head.nenv > SPAWN_WORDS)
		return -1;
	o->limits = head.limits;
	o->path = take_string(&at, copy + n);
	slash = o->path ? strrchr(o->path, '/') : NULL;
	if (!slash || *o->path != '/')
		return -1;
	o->argv = calloc(head.nargs + 2, sizeof *o->argv);
	o->envp = calloc(head.nenv + 2, sizeof *o->envp);
	o->dir = slash == o->path ? strdup("/") : strndup(o->path, (size_t)(slash - o->path));
	if (!o->argv || !o->envp || !o->dir)
		return -1;
	o->argv[0] = slash + 1;
	return take_words(o, head.nargs, head.nenv, &at, copy + n);
}

/* ------------------------------------------------------------------------------------------------ beginning */

struct outcome { enum spawn_stage stage; int errnum; };

static bool bound(int resource, const int64_t limit[2])
{
	struct rlimit l;

	if (limit[0] < 0)
		return true;
	if (getrlimit((__rlimit_resource_t)resource, &l) < 0)
		return false;
	l.rlim_cur = (rlim_t)limit[0] < l.rlim_max ? (rlim_t)limit[0] : l.rlim_max;
	if (limit[1] >= 0 && (rlim_t)limit[1] < l.rlim_max)
		l.rlim_max = (rlim_t)limit[1];
	if (l.rlim_cur > l.rlim_max)
		l.rlim_cur = l.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &l) == 0;
}

static void close_rest(void)
{
	if (syscall(SYS_close_range, 3u, ~0u, 0) == 0)
		return;
	long most = sysconf(_SC_OPEN_MAX);
	for (int fd = 3; fd < most && fd < 1 << 20; fd++)
		close(fd);
}

/* Between vfork and exec: the memory is the parent's, so nothing is changed there but the outcome. */
static _Noreturn void become(const struct order *o, const int *fds, pid_t parent, volatile struct outcome *out)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	close_rest();
	umask(022);
	out->stage = SPAWN_LIMITS;
	if (!bound(RLIMIT_CPU, o->limits.cpu) || !bound(RLIMIT_AS, o->limits.memory) || !bound(RLIMIT_NPROC, o->limits.processes)) {
		out->errnum = errno;
		_exit(127);
	}
	out->stage = SPAWN_FOLDER;
	if (chdir(o->dir) < 0) {
		out->errnum = errno;
		_exit(127);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(o->path, o->argv, o->envp);
	out->stage = SPAWN_EXEC;
	out->errnum = errno;
	_exit(127);
}

static __attribute__((noinline)) pid_t launch(const struct order *o, const int *fds, volatile struct outcome *out)
{
	pid_t parent = getpid(), pid;

	pid = vfork();
	if (pid == 0)
		become(o, fds, parent, out);
	return pid;
}

/* Signals wait: a handler must not run in memory that two processes share. */
static pid_t begin(const struct order *o, const int *fds, struct outcome *result)
{
	volatile struct outcome out = { SPAWN_BUSY, 0 };
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = launch(o, fds, &out);
	if (pid < 0)
		out.errnum = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid > 0 && out.errnum) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		pid = -1;
	}
	*result = (struct outcome){ out.stage, out.errnum };
	return pid;
}

static int free_place(void)
{
	static unsigned next;

	if (!run.groups)
		return run.n < SPAWN_MOST ? 0 : -1;
	for (unsigned i = 0; i < SPAWN_MOST; i++) {
		unsigned place = (next + i) % SPAWN_MOST;
		if (!run.groups[place]) {
			next = place + 1;
			return (int)place;
		}
	}
	return -1;
}

static enum spawn_stage start(const struct order *o, struct program *p, const int *fds, int *errnum)
{
	struct outcome out;
	int place = free_place();

	if (place < 0)
		return SPAWN_BUSY;
	p->pid = begin(o, fds, &out);
	if (p->pid < 0) {
		*errnum = out.errnum;
		return out.stage;
	}
	p->place = (unsigned)place;
	if (run.groups)
		run.groups[place] = p->pid;
	return SPAWN_OK;
}

enum spawn_stage spawnrun_start(int owner, uint32_t id, const void *order, size_t n, const int fds[3], int *errnum)
{
	struct program *p = calloc(1, sizeof *p);
	char *copy = malloc(n + 1);
	struct order o = { .path = NULL };
	enum spawn_stage stage = SPAWN_BUSY;

	*errnum = 0;
	if (p && copy) {
		memcpy(copy, order, n);
		if (order_read(&o, copy, n) < 0 || !scripts_allowed(run.site, o.path))
			stage = SPAWN_REFUSED;
		else
			stage = start(&o, p, fds, errnum);
	}
	order_free(&o);
	free(copy);
	if (stage != SPAWN_OK) {
		free(p);
		return stage;
	}
	p->owner = owner;
	p->id = id;
	p->kill_at = INT64_MAX;
	list_append(&run.programs, &p->item);
	run.n++;
	return SPAWN_OK;
}

/* ------------------------------------------------------------------------------------------------ descendants */

/* The children of a process, as far as there is room. */
static unsigned children_of(pid_t pid, pid_t *out, unsigned room)
{
	char path[64];
	unsigned n = 0;
	FILE *f;
	int child;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	while (f && n < room && fscanf(f, "%d", &child) == 1)
		out[n++] = child;
	if (f)
		fclose(f);
	return n;
}

/* The group, and descendants that have left it but still hang on it. */
static void kill_tree(pid_t pid, int number)
{
	pid_t found[TREE_MOST] = { pid };
	unsigned n = 1;

	for (unsigned i = 0; i < n; i++)
		n += children_of(found[i], found + n, TREE_MOST - n);
	kill(-pid, number);
	for (unsigned i = 1; i < n; i++)
		if (getpgid(found[i]) != pid)
			kill(found[i], number);
}

static struct program *program_of(pid_t pid)
{
	list_each(i, &run.programs) {
		struct program *p = list_entry(i, struct program, item);
		if (p->pid == pid)
			return p;
	}
	return NULL;
}

void spawnrun_reap_adopted(void)
{
	pid_t found[TREE_MOST];
	unsigned n = children_of(getpid(), found, TREE_MOST);

	for (unsigned i = 0; i < n; i++)
		if (!program_of(found[i]))
			waitpid(found[i], NULL, WNOHANG);
}

void spawnrun_kill_left(void)
{
	for (unsigned i = 0; run.groups && i < SPAWN_MOST; i++) {
		if (run.groups[i] > 1)
			kill(-run.groups[i], SIGKILL);
		run.groups[i] = 0;
	}
}

void spawnrun_kill_running(void)
{
	list_each(i, &run.programs)
		kill_tree(list_entry(i, struct program, item)->pid, SIGKILL);
}

void spawnrun_kill_all(void)
{
	pid_t found[TREE_MOST];
	unsigned n;

	spawnrun_kill_running();
	/* What had left its program came to us, or does so when its parent is dead. */
	for (int round = 0; round < 4 && (n = children_of(getpid(), found, TREE_MOST)); round++) {
		for (unsigned i = 0; i < n; i++)
			kill(found[i], SIGKILL);
		for (unsigned i = 0; i < n; i++)
			waitpid(found[i], NULL, 0);
	}
}

/* ------------------------------------------------------------------------------------------------ ends */

static void stop(struct program *p, bool kill_all)
{
	p->over = true;
	if (p->kill_at != INT64_MAX)
		return;
	if (kill_all) {
		p->tree = true;
		kill_tree(p->pid, SIGTERM);
	} else if (!p->exited) {
		kill(p->pid, SIGTERM);
	}
	if (kill_all || !p->exited)
		p->kill_at = shared_now() + GRACE_MS;
}

void spawnrun_over(int owner, uint32_t id, bool kill_all)
{
	list_each(i, &run.programs) {
		struct program *p = list_entry(i, struct program, item);
		if (p->owner == owner && p->id == id)
			stop(p, kill_all);
	}
}

void spawnrun_owner_gone(int owner)
{
	list_each(i, &run.programs) {
		struct program *p = list_entry(i, struct program, item);
		if (p->owner == owner) {
			p->owner = -1;
			p->told = true;
			stop(p, true);
		}
	}
}

/* Looks, and leaves it unreaped. */
static void look(struct program *p)
{
	siginfo_t info = { .si_pid = 0 };

	if (p->exited || waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
		return;
	p->exited = true;
	p->status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
}

static void bury(struct program *p)
{
	waitpid(p->pid, NULL, 0);
	if (run.groups)
		run.groups[p->place] = 0;
	list_remove(&p->item);
	free(p);
	run.n--;
}

bool spawnrun_ended(int *owner, uint32_t *id, int *status)
{
	list_each(i, &run.programs) {
		struct program *p = list_entry(i, struct program, item);

		look(p);
		if (!p->exited || p->told)
			continue;
		p->told = true;
		*owner = p->owner;
		*id = p->id;
		*status = p->status;
		return true;
	}
	return false;
}

int64_t spawnrun_tick(int64_t now)
{
	int64_t due = INT64_MAX;

	list_each(i, &run.programs) {
		struct program *p = list_entry(i, struct program, item);

		look(p);
		if (p->kill_at <= now) {
			if (p->tree)
				kill_tree(p->pid, SIGKILL);
			else
				kill(p->pid, SIGKILL);
			p->tree = false;
			p->kill_at = INT64_MAX - 1;     /* told for the last time */
		}
		if (p->over && p->exited && !p->tree)
			bury(p);
		else if (p->kill_at < due && p->kill_at != INT64_MAX - 1)
			due = p->kill_at;
	}
	return due;
}

/* ------------------------------------------------------------------------------------------------ -X */

static enum spawn_stage direct_run(uint32_t id, const void *order, size_t n, const int fds[3], int *errnum)
{
	return spawnrun_start(0, id, order, n, fds, errnum);
}

static void direct_over(uint32_t id, bool kill_all)
{
	spawnrun_over(0, id, kill_all);
	spawnrun_tick(shared_now());
}

static bool direct_poll(uint32_t *id, int *status)
{
	int owner;

	spawnrun_tick(shared_now());
	return spawnrun_ended(&owner, id, status);
}

const struct spawn_direct spawnrun_direct = { .run = direct_run, .over = direct_over, .poll = direct_poll };

/*
 * spawnrun.c - programs that run. Each is a session and a process group of its own, and begins with nothing of the server's:
 * no descriptor but its three, no blocked or ignored signal, the limits and variables of its order. Its leader stays
 * unreaped until nobody needs it any more, so that the number of its group cannot become another's meanwhile.
 *
 * Nobody waits for the exec of a child's order: where the programs that run already keep the processors busy, it takes its
 * turn beside them. What kept one from beginning stands in shared memory, and is told in place of its end.
 *
 * An order comes from a child that may have been taken over: the path must be one the configuration allows, the folder is
 * the file's, and variables that make a program run or load something else pass only where the configuration sets them.
 */
#include "process/spawnrun.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/shared.h"
#include "process/spawncheck.h"
#include "process/spawnmap.h"
#include "request/env.h"
#include "request/scripts.h"

#define GRACE_MS 3000                   /* from SIGTERM to SIGKILL, as Apache */
#define TREE_MOST 512                   /* descendants that are looked for */

/* Why it did not begin; SPAWN_OK: it has, or is about to. */
struct outcome { enum spawn_stage stage; int errnum; };

struct program {
	pid_t pid;                      /* also its session and group; 0 = nothing runs here */
	int owner;
	uint32_t id;
	bool exited, told, over, tree;
	int status;
	int64_t kill_at;                /* INT64_MAX = not told to end */
};

static struct {
	const struct site *site;
	const struct account *account;  /* NULL = User */
	pid_t *groups;                  /* the same pids, for a successor; NULL = for nobody */
	struct outcome *outcomes;       /* of each place; written until the exec, so shared */
	struct program at[SPAWN_MOST];
	unsigned used;                  /* nothing ever ran from here on */
} run;

#define each_program(p) (struct program *p = run.at; p < run.at + run.used; p++) if (p->pid)

int spawnrun_init(const struct site *site, pid_t *groups, struct err *e)
{
	void *p = mmap(NULL, SPAWN_MOST * sizeof *run.outcomes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return err_sys(e, "no memory for programs");
	run.outcomes = p;
	run.site = site;
	run.groups = groups;
	return 0;
}

void spawnrun_as(const struct account *a)
{
	run.account = a;
}

/* ------------------------------------------------------------------------------------------------ an order */

struct order {
	struct spawn_limits limits;
	const char *path;
	char **argv, **envp;
	char *dir;
	bool shell;                     /* /bin/sh for the page `path` */
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
	if (run.account)
		return spawncheck_variable(variable);
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
		if (run.account)
			path = NULL;
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
	o->shell = head.shell == 1;
	o->path = take_string(&at, copy + n);
	slash = o->path ? strrchr(o->path, '/') : NULL;
	if (!slash || *o->path != '/')
		return -1;
	o->argv = calloc(head.nargs + 2, sizeof *o->argv);
	o->envp = calloc(head.nenv + 2, sizeof *o->envp);
	o->dir = slash == o->path ? strdup("/") : strndup(o->path, (size_t)(slash - o->path));
	if (!o->argv || !o->envp || !o->dir)
		return -1;
	o->argv[0] = o->shell ? (char *)(uintptr_t)"sh" : slash + 1;
	return take_words(o, head.nargs, head.nenv, &at, copy + n);
}

/* ------------------------------------------------------------------------------------------------ beginning */

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

struct birth {
	const struct order *order;
	const int *fds;
	pid_t parent;
	struct outcome *out;            /* in shared memory */
};

static _Noreturn void not_begun(const struct birth *b, enum spawn_stage stage)
{
	*b->out = (struct outcome){ stage, errno };
	_exit(127);
}

/* Between clone and exec. The memory may be the parent's, which waits then, so nothing is changed there but the outcome. */
static int become(void *arg)
{
	struct birth *b = arg;
	const struct order *o = b->order;
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != b->parent)
		_exit(127);
	for (int i = 0; i < 3; i++)
		dup2(b->fds[i], i);
	close_rest();
	umask(022);
	if (!bound(RLIMIT_CPU, o->limits.cpu) || !bound(RLIMIT_AS, o->limits.memory) || !bound(RLIMIT_NPROC, o->limits.processes))
		not_begun(b, SPAWN_LIMITS);
	if (chdir(o->dir) < 0)
		not_begun(b, SPAWN_FOLDER);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(o->shell ? "/bin/sh" : o->path, o->argv, o->envp);
	not_begun(b, SPAWN_EXEC);
}

/*
 * On a stack of its own. `wait`: as vfork does, until it has begun or not. Signals are blocked meanwhile: a handler of ours
 * must not run in what is not yet the program.
 */
static pid_t begin(const struct order *o, const int *fds, bool wait, struct outcome *out)
{
	static _Alignas(64) char stack[65536];
	struct birth b = { .order = o, .fds = fds, .parent = getpid(), .out = out };
	sigset_t all, before;
	pid_t pid;

	*out = (struct outcome){ SPAWN_OK, 0 };
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = clone(become, stack + sizeof stack, (wait ? CLONE_VM | CLONE_VFORK : 0) | SIGCHLD, &b);
	if (pid < 0)
		*out = (struct outcome){ SPAWN_BUSY, errno };
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid > 0 && wait && out->stage != SPAWN_OK) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		pid = -1;
	}
	return pid;
}

/* NULL: none is free, or the child has its share. */
static struct program *free_place(int owner)
{
	unsigned has = 0;

	for each_program(p)
		has += p->owner == owner;
	if (has >= SPAWN_SHARE && owner != SPAWN_OWN)
		return NULL;
	for (struct program *p = run.at; p < run.at + SPAWN_MOST; p++)
		if (!p->pid)
			return p;
	return NULL;
}

static enum spawn_stage start(struct program *p, int owner, uint32_t id, const struct order *o, const int *fds, bool wait, int *errnum)
{
	size_t place = (size_t)(p - run.at);
	struct outcome *out = &run.outcomes[place];
	pid_t pid = begin(o, fds, wait, out);

	if (pid < 0) {
		*errnum = out->errnum;
		return out->stage;
	}
	*p = (struct program){ .pid = pid, .owner = owner, .id = id, .kill_at = INT64_MAX };
	if (place >= run.used)
		run.used = (unsigned)place + 1;
	if (run.groups)
		run.groups[place] = pid;
	return SPAWN_OK;
}

static enum spawn_stage take_order(int owner, uint32_t id, const void *order, size_t n, const int fds[3], bool wait, int *errnum)
{
	struct program *p = free_place(owner);
	char *copy = p ? malloc(n + 1) : NULL;
	struct order o = { .path = NULL };
	enum spawn_stage stage = SPAWN_BUSY;

	*errnum = 0;
	if (copy) {
		memcpy(copy, order, n);
		if (order_read(&o, copy, n) < 0 || !(o.shell ? scripts_shell(run.site, o.path) : scripts_allowed(run.site, o.path)))
			stage = SPAWN_REFUSED;
		else if (run.account && (*errnum = (int)spawncheck(run.site, run.account, o.path, o.dir)) != SPAWN_CHECK_OK)
			stage = SPAWN_UNSAFE;
		else
			stage = start(p, owner, id, &o, fds, wait, errnum);
	}
	order_free(&o);
	free(copy);
	return stage;
}

enum spawn_stage spawnrun_start(int owner, uint32_t id, const void *order, size_t n, const int fds[3], int *errnum)
{
	return take_order(owner, id, order, n, fds, false, errnum);
}

enum spawn_stage spawnrun_own(uint32_t id, const char *const *argv, const int fds[3], int *errnum)
{
	static char root[] = "/";
	struct program *p = free_place(SPAWN_OWN);
	struct order o = { .limits = { { -1, -1 }, { -1, -1 }, { -1, -1 } }, .path = argv[0], .argv = (char **)(uintptr_t)argv, .envp = environ, .dir = root };

	return p ? start(p, SPAWN_OWN, id, &o, fds, true, errnum) : SPAWN_BUSY;
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
	for each_program(p)
		if (p->pid == pid)
			return p;
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
	for each_program(p)
		kill_tree(p->pid, SIGKILL);
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
	for each_program(p) {
		if (p->owner == owner && p->id == id)
			stop(p, kill_all);
	}
}

void spawnrun_owner_gone(int owner)
{
	for each_program(p) {
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
		run.groups[p - run.at] = 0;
	p->pid = 0;
}

bool spawnrun_ended(int whose, struct spawn_end *end)
{
	for each_program(p) {
		look(p);
		if (!p->exited || p->told || (whose != SPAWN_ANY && p->owner != whose))
			continue;
		p->told = true;
		*end = (struct spawn_end){ .owner = p->owner, .id = p->id, .status = p->status, .stage = run.outcomes[p - run.at].stage,
					   .errnum = run.outcomes[p - run.at].errnum };
		return true;
	}
	return false;
}

int64_t spawnrun_tick(int64_t now)
{
	int64_t due = INT64_MAX;

	for each_program(p) {
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
	return take_order(0, id, order, n, fds, true, errnum);
}

static void direct_over(uint32_t id, bool kill_all)
{
	spawnrun_over(0, id, kill_all);
	spawnrun_tick(shared_now());
}

static bool direct_poll(uint32_t *id, int *status)
{
	struct spawn_end end;

	spawnrun_tick(shared_now());
	while (spawnrun_ended(SPAWN_OWN, &end))
		spawnmap_ended(end.id, end.status);
	if (!spawnrun_ended(0, &end))
		return false;
	*id = end.id;
	*status = end.status;
	return true;
}

const struct spawn_direct spawnrun_direct = { .run = direct_run, .over = direct_over, .poll = direct_poll, .ask = spawnmap_now };

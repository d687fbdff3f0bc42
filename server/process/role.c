/*
 * role.c - how each process gives up what it must not have. One table row a role, one list of steps in one order, so
 * that roles can be compared line by line. The order is not free: /proc/self/coredump_filter cannot be opened after the
 * uid changed, hard limits cannot rise then, the capability bounding set cannot shrink then, and setresuid clears the
 * signal that tells of the parent's death. Runs in every forked process before it does anything else.
 */
#include "process/role.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log/log.h"
#include "process/handover.h"
#include "process/sandbox.h"

enum step_bit {
	STDIO = 1 << 0,
	CLOSE = 1 << 1,
	HIDDEN = 1 << 2,
	LIMITS = 1 << 3,
	ROOT = 1 << 4,
	BOUNDING = 1 << 5,
	IDS = 1 << 6,
	NO_CAPS = 1 << 7,
	READ_CAP = 1 << 8,
	VERIFY = 1 << 9,
	PARENT = 1 << 10,
	WARM = 1 << 11,
	NO_NEW = 1 << 12,
	SANDBOX = 1 << 13,
	LOCKED = 1 << 14,
	PATHS = 1 << 15,
	CONFINED = STDIO | CLOSE | HIDDEN | LIMITS | ROOT | BOUNDING | IDS | NO_CAPS | VERIFY | PARENT |
		   WARM | NO_NEW | PATHS | SANDBOX,
};

static const struct role_row {
	const char *name, *comm;
	unsigned steps;
	enum sandbox sandbox;
	enum landlock_reach reach;
	int at_master_end;              /* the signal that a role asks for where it cannot watch the master */
} rows[ROLES] = {
	[ROLE_CHILD]     = { "child",     "bulkhead-child",  CONFINED,                                          SANDBOX_CHILD,     LANDLOCK_CHILD,   SIGQUIT },
	[ROLE_KEYHOLDER] = { "keyholder", "bulkhead-keys",   CONFINED | LOCKED,                                 SANDBOX_KEYHOLDER, LANDLOCK_NOTHING, 0 },
	[ROLE_TOKENS]    = { "keyholder", "bulkhead-keys",   CONFINED | LOCKED,                                 SANDBOX_TOKENS,    LANDLOCK_NONE,    0 },
	[ROLE_RESOLVER]  = { "resolver",  "bulkhead-names",  CONFINED,                                          SANDBOX_RESOLVER,  LANDLOCK_READ,    0 },
	[ROLE_CHECKER]   = { "checker",   "bulkhead-ocsp",   CONFINED,                                          SANDBOX_RESOLVER,  LANDLOCK_READ,    0 },
	/* Programs inherit what it gives up: they get neither filter nor no_new_privs, so that sendmail and its like work. */
	[ROLE_SPAWNER]   = { "spawner",   "bulkhead-spawn",  STDIO | CLOSE | LIMITS | ROOT | IDS | NO_CAPS | VERIFY | PARENT | WARM, SANDBOX_NONE, LANDLOCK_NONE,    0 },
	[ROLE_LOGGER]    = { "logger",    "bulkhead-log",    CONFINED,                                          SANDBOX_LOGGER,    LANDLOCK_NOTHING, 0 },
	[ROLE_JOB]       = { "job",       "bulkhead-job",    CONFINED,                                          SANDBOX_JOB,       LANDLOCK_JOB,     SIGKILL },
	[ROLE_MOVER]     = { "mover",     "bulkhead-move",   CONFINED,                                          SANDBOX_MOVER,     LANDLOCK_NOTHING, SIGKILL },
	[ROLE_FETCH]     = { "fetch",     "bulkhead-fetch",  CONFINED,                                          SANDBOX_FETCH,     LANDLOCK_READ,    SIGKILL },
	[ROLE_CHECK]     = { "check",     "bulkhead-check",  (CONFINED & ~(IDS | NO_CAPS | VERIFY)) | READ_CAP, SANDBOX_CHECK,     LANDLOCK_READ,    SIGKILL },
	[ROLE_PROBE]     = { "probe",     "bulkhead-probe",  STDIO | CLOSE | PARENT,                               SANDBOX_NONE,      LANDLOCK_NONE,    SIGKILL },
	[ROLE_DIRECT]    = { "server",    NULL,              HIDDEN | LIMITS | ROOT | IDS | VERIFY | WARM,         SANDBOX_NONE,      LANDLOCK_NONE,    0 },
};

const char *role_name(enum role role)
{
	return rows[role].name;
}

/* ------------------------------------------------------------------------------------------------ the steps */

/* 1. Standard streams lead nowhere. A build with sanitizers keeps standard error: their reports go there. */
static int step_stdio(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)row;
	(void)w;
	if (fd < 0)
		return err_sys(e, "cannot open /dev/null");
	dup2(fd, 0);
	dup2(fd, 1);
#ifndef BULKHEAD_SANITIZE
	dup2(fd, 2);
#endif
	if (fd > 2)
		close(fd);
	return 0;
}

static void close_between(unsigned first, unsigned last)
{
	if (first > last)
		return;
	if (syscall(SYS_close_range, first, last, 0) == 0)
		return;
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur != RLIM_INFINITY && last >= l.rlim_cur)
		last = (unsigned)l.rlim_cur;
	for (unsigned fd = first; fd <= last && fd < 1u << 20; fd++)
		close((int)fd);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* 1. Every descriptor that is not asked for goes: pid file, other children's sockets, the master's ends. */
static int step_close(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	int *keep = calloc(w->nkeep + 1, sizeof *keep);
	unsigned first = 3;

	(void)row;
	if (!keep)
		return err_set(e, "no memory");
	if (w->nkeep)
		memcpy(keep, w->keep, w->nkeep * sizeof *keep);
	qsort(keep, w->nkeep, sizeof *keep, by_number);
	for (unsigned i = 0; i < w->nkeep; i++) {
		if (keep[i] < (int)first)
			continue;
		close_between(first, (unsigned)keep[i] - 1);
		first = (unsigned)keep[i] + 1;
	}
	close_between(first, ~0u);
	free(keep);
	return 0;
}

/* 2. What later steps hide. */
static int step_hidden(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)row;
	return w->open_hidden ? w->open_hidden(w->ctx, e) : 0;
}

/* Raises soft and hard limit where that is allowed; what cannot be had is left: a container may forbid it. */
static void limit(int resource, rlim_t value)
{
	struct rlimit l = { value, value }, now;

	if (setrlimit((__rlimit_resource_t)resource, &l) == 0 ||
	    getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return;
	now.rlim_cur = value < now.rlim_max ? value : now.rlim_max;
	setrlimit((__rlimit_resource_t)resource, &now);
}

/* 3. Limits: cores only where a folder for them is set; memory that may be locked for the keyholder. */
static int step_limits(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	struct rlimit now;

	(void)e;
	limit(RLIMIT_CORE, w->cores ? RLIM_INFINITY : 0);
	if (w->files && getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur < w->files)
		limit(RLIMIT_NOFILE, w->files);
#ifndef BULKHEAD_SANITIZE
	if (w->memory)
		limit(RLIMIT_AS, w->memory);
#endif
	if (row->steps & LOCKED)
		limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	return 0;
}

static bool in_work_dir;        /* of the process that enters a role */

/* The C library looks for a zone that is not named again and again, and would not find it inside; one that is named it keeps. */
static void keep_zone(void)
{
	setenv("TZ", ":/etc/localtime", 0);
	tzset();
}

/* 4. Root and working directory. */
static int step_root(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)row;
	if (w->chroot_dir) {
		keep_zone();
		if (chdir(w->chroot_dir) < 0 || chroot(".") < 0) {
			err_sys(e, "cannot make %s the root folder of the %s", w->chroot_dir, row->name);
			return err_remedy(e, geteuid() ? "ChrootDir needs a start as root"
						       : "make the folder, or remove ChrootDir");
		}
	}
	in_work_dir = w->work_dir && chdir(w->work_dir) == 0;
	if (in_work_dir)
		return 0;
	/* A core folder that cannot be entered costs cores, not the service; the check at start names it. */
	return chdir("/") < 0 ? err_sys(e, "cannot change to the root folder") : 0;
}

/* 5. No program and no later call can bring a capability back. In some containers even this is forbidden: no harm. */
static int step_bounding(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)row;
	(void)w;
	(void)e;
	for (unsigned cap = 0; cap <= 63; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno == EINVAL)
			break;
	return 0;
}

/* The user's supplementary groups, root's own left out. */
static int set_groups(const char *user, gid_t gid, struct err *e)
{
	gid_t groups[256];
	int n = 256, kept = 0;

	if (!user || getgrouplist(user, gid, groups, &n) < 0) {
		groups[0] = gid;
		n = 1;
	}
	for (int i = 0; i < n; i++)
		if (groups[i] != 0 || gid == 0)
			groups[kept++] = groups[i];
	if (setgroups((size_t)kept, groups) < 0) {
		err_sys(e, "cannot set the groups of %s", user ? user : "the account");
		return err_remedy(
			e,
			"in a user namespace /proc/self/setgroups must be \"allow\" and /proc/self/gid_map must have the group");
	}
	return 0;
}

/* 6. Groups, then group, then user: real, effective and saved. */
static int step_ids(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)row;
	if (w->uid == (uid_t)-1)
		return 0;
	if (set_groups(w->user, w->gid, e) < 0)
		return -1;
	if (setresgid(w->gid, w->gid, w->gid) < 0)
		return err_sys(e, "cannot become group %u", (unsigned)w->gid);
	if (setresuid(w->uid, w->uid, w->uid) < 0) {
		int saved = errno;
		err_sys(e, "cannot become user %u", (unsigned)w->uid);
		return saved == EINVAL
			       ? err_remedy(e, "in a user namespace /proc/self/uid_map must have that user")
			       : -1;
	}
	return 0;
}

static int set_caps(uint64_t mask, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)(mask >> (32 * i));
	if (syscall(SYS_capset, &head, data) < 0)
		return err_sys(e, "cannot give up capabilities");
	return 0;
}

/* 7. No capability, whatever securebits were inherited. */
static int step_no_caps(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)row;
	(void)w;
	return set_caps(0, e);
}

/* 7. The checking job: may read what root may read, and fork a process that becomes the children's user. No more. */
static int step_read_cap(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)row;
	(void)w;
	return geteuid() == 0
		       ? set_caps(1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_SETUID | 1ull << CAP_SETGID, e)
		       : 0;
}

/* 8. The way back must be closed. */
static int step_verify(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	uid_t r, f, s;

	if (w->uid == (uid_t)-1 || w->uid == 0)
		return 0;
	if (setresuid(0, 0, 0) == 0 || setgroups(0, NULL) == 0)
		return err_set(e, "the %s could become root again after it gave up its rights", row->name);
	if (getresuid(&r, &f, &s) < 0 || r != w->uid || f != w->uid || s != w->uid)
		return err_set(e, "the %s is not the user %u that it should be", row->name, (unsigned)w->uid);
	return 0;
}

/* 9. A master that is gone is noticed, even if it went before we asked. */
static int step_parent(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	if (w->watch_parent && row->at_master_end)
		prctl(PR_SET_PDEATHSIG, row->at_master_end);
	if (w->master && getppid() != w->master)
		return err_set(e, "the master is gone");
	return 0;
}

static int by_byte(const void *a, const void *b)
{
	return *(const unsigned char *)a - *(const unsigned char *)b;
}

/* At the first row of more than a kilobyte glibc asks the kernel how much memory there is: a call that most roles may not make. */
static void warm_sorting(void)
{
	unsigned char row[2048] = { 1 };

	qsort(row, sizeof row, 1, by_byte);
}

/* 12. What must have been done once before calls are forbidden: time zone, random numbers, unwinding … */
static int step_warm(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)row;
	tzset();
	warm_sorting();
	return w->warm ? w->warm(w->ctx, e) : 0;
}

/* Keys never reach a swap device, nor memory of another process of the same user. */
static int step_locked(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	struct rlimit now;

	(void)row;
	(void)w;
	(void)e;
	prctl(PR_SET_DUMPABLE, 0);
#ifndef BULKHEAD_SANITIZE
	/* Under a limit every later allocation would fail at it. */
	if (getrlimit(RLIMIT_MEMLOCK, &now) == 0 && now.rlim_cur == RLIM_INFINITY)
		mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
#else
	(void)now;
#endif
	return 0;
}

/* 10. Filters and rules need it; threads that are made later have it from here. */
static int step_no_new_privs(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)row;
	(void)w;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_sys(e, "cannot forbid new privileges") : 0;
}

/* Which files and ports. Whoever cannot have such rules serves without, and says so. */
static int bound_reach(const struct role_row *row, const struct role_wants *w)
{
	struct err why = { .text = "" };
	int folder = -1, rc;
	char text[512];

	/* The account may not be able to walk to the folder of cores, but is in it. */
	if (row->reach == LANDLOCK_CHILD && in_work_dir)
		folder = open(".", O_PATH | O_CLOEXEC);
	else if (row->reach == LANDLOCK_JOB && w->writes > 0 && fcntl(w->writes, F_GETFD) >= 0)
		folder = w->writes;
	rc = landlock_enter(row->reach, w->paths, folder, &why);
	if (folder >= 0 && folder != w->writes)
		close(folder);
	if (rc < 0)
		log_warnx(NULL, LOG_CORE, "BH0902", "%s: this %s can reach what its account can", err_print(&why, text, sizeof text), row->name);
	return 0;
}

/* 11. The rules hold for the thread that sets them and for those that it makes later: a child makes threads when it warms up. */
static int step_paths_first(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)e;
	return row->reach == LANDLOCK_CHILD ? bound_reach(row, w) : 0;
}

/* 13. The others first open what they need. */
static int step_paths(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	(void)e;
	return row->reach != LANDLOCK_CHILD ? bound_reach(row, w) : 0;
}

/* 14. */
static int step_sandbox(const struct role_row *row, const struct role_wants *w, struct err *e)
{
	return sandbox_enter(row->sandbox == SANDBOX_CHILD && w->connects ? SANDBOX_ASKING : row->sandbox, w->calls, e);
}

static const struct step {
	unsigned bit;
	int (*run)(const struct role_row *, const struct role_wants *, struct err *);
} steps[] = {
	{ STDIO, step_stdio },
	{ CLOSE, step_close },
	{ HIDDEN, step_hidden },
	{ LIMITS, step_limits },
	{ ROOT, step_root },
	{ BOUNDING, step_bounding },
	{ IDS, step_ids },
	{ NO_CAPS, step_no_caps },
	{ READ_CAP, step_read_cap },
	{ VERIFY, step_verify },
	{ PARENT, step_parent },
	{ LOCKED, step_locked },
	{ NO_NEW, step_no_new_privs },
	{ PATHS, step_paths_first },
	{ WARM, step_warm },
	{ PATHS, step_paths },
	{ SANDBOX, step_sandbox },
};

int role_enter(enum role role, const struct role_wants *w, struct err *e)
{
	const struct role_row *row = &rows[role];

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if ((row->steps & steps[i].bit) && steps[i].run(row, w, e) < 0)
			return -1;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ birth */

pid_t role_fork(enum role role)
{
	static const int ignored[] = { SIGPIPE, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP };
	static const int plain[] = { SIGTERM, SIGQUIT, SIGCHLD, SIGALRM };
	sigset_t mask;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	handover_forked();
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		signal(plain[i], SIG_DFL);
	/* A child unblocks these itself once it has its handlers: told to drain before, it would die of the signal. */
	sigemptyset(&mask);
	if (role == ROLE_CHILD) {
		sigaddset(&mask, SIGTERM);
		sigaddset(&mask, SIGQUIT);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (rows[role].comm)
		prctl(PR_SET_NAME, rows[role].comm);
	return 0;
}

bool role_account(const char *name, const char *fallback, uid_t *uid, gid_t *gid)
{
	const struct passwd *pw = getpwnam(name ? name : fallback);

	if (!pw || pw->pw_uid == 0)
		return false;
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return true;
}

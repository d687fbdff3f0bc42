/*
 * sandbox.c - the system calls of each role, as libseccomp filters. A call that is not listed raises SIGSYS (RET_TRAP,
 * not KILL: the crash handler's report names the call). Runs in every role as its last step.
 */
#include "process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Memory, time, signals, the end: what every role and libc itself need. */
static const char *const common[] = {
	"brk", "munmap", "mremap", "madvise", "futex", "getrandom", "sched_yield", "getpid", "getppid", "gettid",
	"clock_gettime", "gettimeofday", "clock_nanosleep", "nanosleep", "restart_syscall", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "sigaltstack", "close", "read", "write", "readv", "writev", "exit", "exit_group", "getrusage",
	"ppoll", "poll", "fstat", "newfstatat", "statx", "rseq", "set_robust_list", "membarrier", NULL
};

/* Serving: sockets that exist already, epoll, reading files (openat2, whose flags a filter cannot see, is bounded by Landlock alone). */
static const char *const child[] = {
	"accept4", "accept", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown", "setsockopt", "getsockopt", "getsockname",
	"getpeername", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "sendfile", "pread64", "preadv",
	"preadv2", "lseek", "openat2", "stat", "lstat", "readlink", "readlinkat", "getdents64",
	"faccessat", "faccessat2", "access", "getcwd", "flock", "uname", "mincore", "pipe2", "alarm",
	"setitimer", "geteuid", "getuid", "getgid", "getegid", "mlock", "munlock", "sysinfo", NULL
};

/* Keys: messages over sockets that exist or come by message. Opens nothing: the key files are handed over. */
static const char *const keyholder[] = {
	"recvmsg", "sendmsg", "epoll_ctl", "epoll_wait", "epoll_pwait", "pread64", "lseek", "mlock", "mlock2", "munlock",
	"geteuid", "getuid", NULL
};

/*
 * Keys on tokens: what modules do that keep theirs in files (SoftHSM), in a daemon (pcscd) or in a box on the network. The
 * modules themselves are loaded before; their threads are clones.
 */
static const char *const tokens[] = {
	"recvmsg", "sendmsg", "epoll_ctl", "epoll_wait", "epoll_pwait", "pread64", "pwrite64", "lseek", "mlock", "mlock2", "munlock", "geteuid",
	"getuid", "getgid", "getegid", "openat", "open", "stat", "lstat", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
	"getdents64", "fsync", "fdatasync", "ftruncate", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "fchmod",
	"umask", "flock", "uname", "sysinfo", "statfs", "fstatfs", "connect", "sendto", "recvfrom", "sendmmsg", "setsockopt", "getsockopt",
	"getsockname", "getpeername", "shutdown", "clone", "clone3", "pipe2", "eventfd2", "select", "pselect6", "sched_getaffinity", "dup", NULL
};

/* Names: reads files such as /etc/hosts, and asks name servers. The job that asks responders does so, and then connects. */
static const char *const resolver[] = {
	"recvmsg", "sendmsg", "sendmmsg", "recvfrom", "sendto", "connect", "bind", "setsockopt", "getsockopt", "getsockname",
	"getpeername", "epoll_ctl", "epoll_wait", "epoll_pwait", "stat", "lstat", "readlink", "readlinkat", "faccessat", "faccessat2",
	"access", "lseek", "pread64", "uname", "select", "pselect6", "statfs", "fstatfs", "alarm", "setitimer", "geteuid", "getuid",
	"getgid", "getegid", NULL
};

/* Logs: descriptors that came by message. */
static const char *const logger[] = {
	"recvmsg", "sendmsg", "lseek", "ftruncate", NULL
};

/* One-shot work as the children's user: reads binaries and libraries, writes below the folder handed over. */
static const char *const job[] = {
	"openat", "openat2", "open", "stat", "lstat", "readlink", "readlinkat", "getdents64", "faccessat", "faccessat2",
	"access", "getcwd", "lseek", "pread64", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "renameat",
	"renameat2", "link", "linkat", "unlink", "unlinkat", "fchmod", "uname", "mincore", "pipe2", "alarm", "setitimer",
	"geteuid", "getuid", "getgid", "getegid", "dup", "fadvise64", "sysinfo", "fstatfs", "statfs", "flock", "umask", NULL
};

/* Sessions from one segment of the cache to the other: memory and locks, which are fcntl (below) or flock; qsort looks how
 * much memory there is. */
static const char *const mover[] = {
	"flock", "sysinfo", NULL
};

/*
 * The check of a configuration: root that can only read. Names of accounts may be asked of a local service; whether the
 * children's user reaches its paths is tried by a fork that becomes that user.
 */
static const char *const check[] = {
	"stat", "lstat", "readlink", "readlinkat", "getdents64", "faccessat", "faccessat2", "access", "getcwd",
	"lseek", "pread64", "uname", "geteuid", "getuid", "getgid", "getegid", "dup", "fadvise64", "sysinfo", "statfs",
	"fstatfs", "mprotect", "connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "setsockopt", "getsockopt",
	"getsockname", "getpeername", "bind", "ioctl", "prlimit64", "getrlimit", "sched_getaffinity",
	"pipe2", "clone", "clone3", "fork", "wait4", "setgroups", "setgid", "setuid", "setresgid", "setresuid", "capget",
	NULL
};

static const struct table {
	const char *name;
	const char *const *calls;
} tables[SANDBOXES] = {
	[SANDBOX_CHILD] = { "child", child },
	[SANDBOX_KEYHOLDER] = { "keyholder", keyholder },
	[SANDBOX_TOKENS] = { "keyholder with tokens", tokens },
	[SANDBOX_RESOLVER] = { "resolver", resolver },
	[SANDBOX_LOGGER] = { "logger", logger },
	[SANDBOX_JOB] = { "job", job },
	[SANDBOX_MOVER] = { "mover", mover },
	[SANDBOX_CHECK] = { "check", check },
	[SANDBOX_FETCH] = { "fetching job", resolver },
	[SANDBOX_ASKING] = { "child that asks servers behind", child },
};

const char *sandbox_missing(void)
{
#ifdef BULKHEAD_SANITIZE
	return "this program was built with sanitizers, which its sandbox would break: it runs without seccomp";
#else
	/* A filter that lies nowhere: EFAULT from whoever would take one. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL) == 0 || errno == EFAULT)
		return NULL;
	return errno == ENOSYS || errno == EINVAL ? "this kernel has no seccomp, or this container forbids it: the processes run without their lists of system calls"
						  : "this container forbids seccomp: the processes run without their lists of system calls";
#endif
}

/* Names that this processor does not have (open, alarm on arm64) are skipped. */
static int allow(scmp_filter_ctx ctx, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name), rc;

	if (nr == __NR_SCMP_ERROR || nr < 0)
		return 0;
	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
	return rc == -EEXIST ? 0 : rc;
}

static int allow_list(scmp_filter_ctx ctx, const char *const *names)
{
	int rc = 0;

	for (; *names && rc == 0; names++)
		rc = allow(ctx, *names);
	return rc;
}

/* Files are opened for reading only. */
static int allow_reading(scmp_filter_ctx ctx)
{
	const scmp_datum_t mask = O_ACCMODE | O_CREAT | O_TRUNC;
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, mask, O_RDONLY));

	if (rc == 0 && seccomp_syscall_resolve_name("open") >= 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, mask, O_RDONLY));
	return rc;
}

/* Calls whose arguments decide. */
static int allow_narrow(scmp_filter_ctx ctx, enum sandbox which)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	static const int fcntls[] = { F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETLK, F_GETLK, F_OFD_SETLK, F_OFD_GETLK, F_DUPFD_CLOEXEC };
	int rc = 0;

	for (size_t i = 0; i < sizeof fcntls / sizeof *fcntls && rc == 0; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)fcntls[i]));
	/* No new code. The check's name look-ups may load modules of libc. */
	if (rc == 0 && which != SANDBOX_CHECK)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0 && which != SANDBOX_CHECK)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0 && which == SANDBOX_CHECK)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 0);
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(rt_tgsigqueueinfo), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* A child may connect where the configuration names servers behind: streams, no other sockets. */
	for (unsigned i = 0; which == SANDBOX_ASKING && rc == 0 && i < 3; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
				      SCMP_A1(SCMP_CMP_EQ, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK), SCMP_A2(SCMP_CMP_EQ, 0));
	if (rc == 0 && which == SANDBOX_ASKING)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
	/* Why there is no core: limits may be read. Those of other processes of the same user may not be set. */
	if (rc == 0 && which == SANDBOX_JOB)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
	/* How many bytes an answer has. */
	if (rc == 0 && (which == SANDBOX_RESOLVER || which == SANDBOX_FETCH))
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONREAD));
	if (rc == 0 && which == SANDBOX_TOKENS)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_SETLKW));
	if (rc == 0 && (which == SANDBOX_CHILD || which == SANDBOX_ASKING))
		rc = allow_reading(ctx);
	if (rc || (which != SANDBOX_CHECK && which != SANDBOX_RESOLVER && which != SANDBOX_FETCH && which != SANDBOX_TOKENS))
		return rc;
	if (which != SANDBOX_TOKENS)
		rc = allow_reading(ctx);
	/* Listen and <VirtualHost> may name hosts: getaddrinfo asks the name service, and the kernel for its addresses. */
	for (unsigned i = 0; rc == 0 && i < sizeof families / sizeof *families; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	return rc;
}

/* The crash handler's needs, given by its own list; calls that are narrowed above stay narrow. */
static int allow_extra(scmp_filter_ctx ctx, const int *extra)
{
	int rc = 0;

	for (; extra && *extra >= 0 && rc == 0; extra++) {
		if (*extra == SCMP_SYS(prctl) || *extra == SCMP_SYS(tgkill) || *extra == SCMP_SYS(rt_tgsigqueueinfo) ||
		    *extra == SCMP_SYS(fcntl) || *extra == SCMP_SYS(mprotect) || *extra == SCMP_SYS(mmap))
			continue;
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, *extra, 0);
		if (rc == -EEXIST)
			rc = 0;
	}
	return rc;
}

int sandbox_enter(enum sandbox which, const int *extra, struct err *e)
{
	scmp_filter_ctx ctx;
	int rc;

	if (which == SANDBOX_NONE || sandbox_missing())
		return 0;
	ctx = seccomp_init(SCMP_ACT_TRAP);
	if (!ctx)
		return err_set(e, "no memory for the sandbox of the %s", tables[which].name);
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);   /* for the threads that are there (conn/work.c), too */
	if (rc == 0)
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc == 0)
		rc = allow_list(ctx, common);
	if (rc == 0)
		rc = allow_list(ctx, tables[which].calls);
	if (rc == 0)
		rc = allow_narrow(ctx, which);
	if (rc == 0)
		rc = allow_extra(ctx, extra);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc < 0) {
		errno = -rc;
		return err_sys(e, "the sandbox of the %s could not be set up", tables[which].name);
	}
	return 0;
}

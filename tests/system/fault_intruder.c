/*
 * fault_intruder.c - plays a child that somebody has taken over: code that runs inside it and tries what an attacker would.
 * Linked into the tests' server, and into the ordinary one with FAULTS=1; no other build has it.
 *
 *   SetHandler test-intruder   /any/path/ATTEMPT?ARGUMENT answers "done", or "refused: WHY", and X-Child: its pid. WHY is the name of an errno, or
 *                              "sandbox" where the call raised SIGSYS: like an attacker's, the code goes on after that
 *   /any/path/list             the names of all attempts, one a line, and whether they want an argument
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/openat2.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "process/shared.h"
#include "request/handler.h"
#include "request/request.h"
#include "request/response.h"
#include "shmcache/shmcache.h"

#define CALL(...) (int)syscall(__VA_ARGS__)

/* Each returns -1 with errno where it was refused. `arg` is what the query says: a path, a process, a port or PORT@ADDRESS. */
struct attempt {
	const char *name;
	int (*run)(const char *arg);
	const char *wants;              /* "" = nothing */
};

static sigjmp_buf refused;

static void on_refusal(int number)
{
	(void)number;
	siglongjmp(refused, 1);
}

static pid_t pid_of(const char *arg) { return (pid_t)strtol(arg, NULL, 10); }

static int kept(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

/* ------------------------------------------------------------------------------------------------ files */

static int try_read(const char *arg)
{
	char byte;
	int fd = CALL(SYS_openat, AT_FDCWD, arg, O_RDONLY | O_CLOEXEC), rc = fd < 0 || read(fd, &byte, 1) < 0 ? -1 : 0;

	return kept(fd) < 0 ? -1 : rc;
}

static int try_create(const char *arg) { return kept(CALL(SYS_openat, AT_FDCWD, arg, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)); }
static int try_change(const char *arg) { return kept(CALL(SYS_openat, AT_FDCWD, arg, O_WRONLY | O_CLOEXEC)); }

/* The call whose flags no filter sees. */
static int open_unseen(const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = flags & O_CREAT ? 0644 : 0 };

	return kept(CALL(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}

static int try_create_unseen(const char *arg) { return open_unseen(arg, O_WRONLY | O_CREAT); }
static int try_change_unseen(const char *arg) { return open_unseen(arg, O_WRONLY); }
static int try_cut_unseen(const char *arg) { return open_unseen(arg, O_RDONLY | O_TRUNC); }
static int try_cut(const char *arg) { return CALL(SYS_truncate, arg, 0); }
static int try_mkdir(const char *arg) { return CALL(SYS_mkdirat, AT_FDCWD, arg, 0755); }
static int try_unlink(const char *arg) { return CALL(SYS_unlinkat, AT_FDCWD, arg, 0); }
static int try_symlink(const char *arg) { return CALL(SYS_symlinkat, "/etc", AT_FDCWD, arg); }
static int try_link(const char *arg) { return CALL(SYS_linkat, AT_FDCWD, arg, AT_FDCWD, "/dev/shm/intruder", 0); }
static int try_rename(const char *arg) { return CALL(SYS_renameat2, AT_FDCWD, arg, AT_FDCWD, "/dev/shm/intruder", 0); }
static int try_chmod(const char *arg) { return CALL(SYS_fchmodat, AT_FDCWD, arg, 0777); }
static int try_mount(const char *arg) { return CALL(SYS_mount, "none", arg, "tmpfs", 0, NULL); }
static int try_chroot(const char *arg) { return CALL(SYS_chroot, arg); }

/* ------------------------------------------------------------------------------------------------ other processes */

static int try_memory(const char *arg)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)&refused, 1 };      /* the same address: it was forked */

	return CALL(SYS_process_vm_readv, pid_of(arg), &here, 1, &there, 1, 0);
}

static int open_of(const char *arg, const char *file, int flags)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid_of(arg), file);
	return CALL(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
}

static int try_memory_file(const char *arg) { return kept(open_of(arg, "mem", O_RDWR)); }
static int try_environment(const char *arg) { return kept(open_of(arg, "environ", O_RDONLY)); }
static int try_descriptor(const char *arg) { return kept(open_of(arg, "fd/0", O_RDONLY)); }
static int try_root_of(const char *arg) { return kept(open_of(arg, "root/etc/passwd", O_RDONLY)); }
static int try_ptrace(const char *arg) { return CALL(SYS_ptrace, PTRACE_ATTACH, pid_of(arg), NULL, NULL); }
static int try_kill(const char *arg) { return CALL(SYS_kill, pid_of(arg), SIGKILL); }
static int try_tgkill(const char *arg) { return CALL(SYS_tgkill, pid_of(arg), pid_of(arg), SIGKILL); }
static int try_tkill(const char *arg) { return CALL(SYS_tkill, pid_of(arg), SIGKILL); }
static int try_stop(const char *arg) { return CALL(SYS_kill, pid_of(arg), SIGSTOP); }

static int try_pidfd_kill(const char *arg)
{
	int fd = open_of(arg, "", O_RDONLY | O_DIRECTORY), rc = fd < 0 ? -1 : CALL(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	int saved = errno;

	kept(fd);
	errno = saved;
	return rc;
}

static int try_pidfd(const char *arg) { return kept(CALL(SYS_pidfd_open, pid_of(arg), 0)); }
static int try_limits(const char *arg)
{
	struct rlimit none = { 0, 0 };

	return CALL(SYS_prlimit64, pid_of(arg), RLIMIT_NOFILE, &none, NULL);
}
static int try_priority(const char *arg) { return CALL(SYS_setpriority, PRIO_PROCESS, pid_of(arg), 19); }

static int try_queue(const char *arg)
{
	siginfo_t info = { .si_signo = SIGKILL, .si_code = SI_QUEUE };

	return CALL(SYS_rt_sigqueueinfo, pid_of(arg), SIGKILL, &info);
}

/* ------------------------------------------------------------------------------------------------ programs, rights */

static char *const no_words[] = { (char *)"true", NULL };
static int try_exec(const char *arg) { (void)arg; return CALL(SYS_execve, "/bin/true", no_words, no_words + 1); }

static int try_exec_fd(const char *arg)
{
	int fd = CALL(SYS_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	return CALL(SYS_execveat, fd, "", no_words, no_words + 1, AT_EMPTY_PATH);
}

static int try_fork(const char *arg)
{
	int pid = CALL(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	(void)arg;
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : 0;
}

static int try_setuid(const char *arg) { (void)arg; return CALL(SYS_setresuid, 0, 0, 0); }
static int try_unshare(const char *arg) { (void)arg; return CALL(SYS_unshare, CLONE_NEWUSER); }
static int try_setns(const char *arg) { int fd = open_of(arg, "ns/mnt", O_RDONLY); return CALL(SYS_setns, fd < 0 ? 0 : fd, 0); }
static int try_module(const char *arg) { (void)arg; return CALL(SYS_init_module, "", 0, ""); }
static int try_keyctl(const char *arg) { (void)arg; return CALL(SYS_keyctl, 0, -3, 1, 0, 0); }
static int try_bpf(const char *arg) { union bpf_attr a = { 0 }; (void)arg; return CALL(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a); }
static int try_perf(const char *arg) { static char a[128]; (void)arg; return CALL(SYS_perf_event_open, a, 0, -1, -1, 0); }
static int try_uring(const char *arg) { static char a[128]; (void)arg; return kept(CALL(SYS_io_uring_setup, 1, a)); }
static int try_userfault(const char *arg) { (void)arg; return kept(CALL(SYS_userfaultfd, UFFD_USER_MODE_ONLY)); }
static int try_memfd(const char *arg) { (void)arg; return kept(CALL(SYS_memfd_create, "intruder", 0)); }
static int try_personality(const char *arg) { (void)arg; return CALL(SYS_personality, 0x0400000); }
static int try_seccomp(const char *arg) { (void)arg; return CALL(SYS_prctl, PR_SET_SECCOMP, 2, NULL, 0, 0); }
static int try_own_name(const char *arg) { (void)arg; return CALL(SYS_prctl, PR_SET_NAME, "innocent", 0, 0, 0); }
static int try_terminal(const char *arg) { (void)arg; return CALL(SYS_ioctl, 0, TIOCSTI, "x"); }

static int try_code(const char *arg)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	if (p == MAP_FAILED)
		return -1;
	munmap(p, 4096);
	return 0;
}

static int try_code_later(const char *arg)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	return p == MAP_FAILED ? -1 : CALL(SYS_mprotect, p, 4096, PROT_READ | PROT_EXEC);
}

/* ------------------------------------------------------------------------------------------------ the network */

static int try_connect(const char *arg)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)pid_of(arg)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *where = strchr(arg, '@');
	int fd = CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (where)
		inet_pton(AF_INET, where + 1, &to.sin_addr);
	int rc = fd < 0 ? -1 : CALL(SYS_connect, fd, &to, sizeof to), saved = errno;

	kept(fd);
	errno = saved;
	return rc < 0 && saved != EINPROGRESS ? -1 : 0;
}

static int try_local(const char *arg)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = CALL(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc, saved;

	snprintf(to.sun_path, sizeof to.sun_path, "%s", arg);
	rc = fd < 0 ? -1 : CALL(SYS_connect, fd, &to, sizeof to);
	saved = errno;
	kept(fd);
	errno = saved;
	return rc;
}

static int try_listen(const char *arg)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)arg;
	return fd < 0 || CALL(SYS_bind, fd, &any, sizeof any) < 0 || CALL(SYS_listen, fd, 1) < 0 ? -1 : kept(fd);
}

/* A connection by a protocol that rules of ports do not know. */
static int try_multipath(const char *arg) { (void)arg; return kept(CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 262)); }
static int try_datagram(const char *arg) { (void)arg; return kept(CALL(SYS_socket, AF_INET, SOCK_DGRAM, 0)); }
static int try_raw(const char *arg) { (void)arg; return kept(CALL(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
static int try_packet(const char *arg) { (void)arg; return kept(CALL(SYS_socket, AF_PACKET, SOCK_RAW, 0)); }
static int try_netlink(const char *arg) { (void)arg; return kept(CALL(SYS_socket, AF_NETLINK, SOCK_RAW, 0)); }

/* ------------------------------------------------------------------------------------------------ what it shares */

/* A session under a key of its choice: that of any host, if it knows its label and an ID. */
static int try_forge(const char *arg)
{
	unsigned char key[SHMCACHE_KEY] = { 1 };

	return shmcache_store(shared.cache, key, arg, strlen(arg) + 1, 60);
}

static int try_fill(const char *arg)
{
	static const char data[1000] = { 1 };
	unsigned char key[SHMCACHE_KEY] = { 2 };

	(void)arg;
	for (unsigned i = 0; i < 20000; i++) {
		memcpy(key + 1, &i, sizeof i);
		memcpy(key + 16, &i, sizeof i);
		if (shmcache_store(shared.cache, key, data, sizeof data, 600) < 0)
			return -1;
	}
	return 0;
}

static const struct attempt attempts[] = {
	{ "read", try_read, "path" }, { "create", try_create, "path" }, { "change", try_change, "path" }, { "cut", try_cut, "path" },
	{ "create-unseen", try_create_unseen, "path" }, { "change-unseen", try_change_unseen, "path" }, { "cut-unseen", try_cut_unseen, "path" },
	{ "mkdir", try_mkdir, "path" }, { "unlink", try_unlink, "path" }, { "symlink", try_symlink, "path" }, { "link", try_link, "path" },
	{ "rename", try_rename, "path" }, { "chmod", try_chmod, "path" }, { "mount", try_mount, "path" }, { "chroot", try_chroot, "path" },
	{ "memory", try_memory, "process" }, { "memory-file", try_memory_file, "process" }, { "environment", try_environment, "process" },
	{ "descriptor", try_descriptor, "process" }, { "root-of", try_root_of, "process" }, { "ptrace", try_ptrace, "process" },
	{ "kill", try_kill, "process" }, { "tgkill", try_tgkill, "process" }, { "tkill", try_tkill, "process" }, { "stop", try_stop, "process" },
	{ "pidfd", try_pidfd, "process" }, { "pidfd-kill", try_pidfd_kill, "process" }, { "queue", try_queue, "process" },
	{ "limits", try_limits, "process" }, { "priority", try_priority, "process" }, { "setns", try_setns, "process" },
	{ "exec", try_exec, "" }, { "exec-fd", try_exec_fd, "" }, { "fork", try_fork, "" }, { "setuid", try_setuid, "" }, { "unshare", try_unshare, "" },
	{ "module", try_module, "" }, { "keyctl", try_keyctl, "" }, { "bpf", try_bpf, "" }, { "perf", try_perf, "" }, { "io-uring", try_uring, "" },
	{ "userfaultfd", try_userfault, "" }, { "memfd", try_memfd, "" }, { "personality", try_personality, "" }, { "filter", try_seccomp, "" },
	{ "name", try_own_name, "" }, { "terminal", try_terminal, "" }, { "code", try_code, "" }, { "code-later", try_code_later, "" },
	{ "connect", try_connect, "port" }, { "local", try_local, "path" }, { "listen", try_listen, "" }, { "multipath", try_multipath, "" },
	{ "datagram", try_datagram, "" }, { "raw", try_raw, "" }, { "packet", try_packet, "" }, { "netlink", try_netlink, "" },
	{ "forge", try_forge, "" }, { "fill", try_fill, "" },
};
#define ATTEMPTS (sizeof attempts / sizeof *attempts)

static void run(struct request *r, const struct attempt *a)
{
	struct sigaction own = { .sa_handler = on_refusal, .sa_flags = SA_NODEFER }, before;
	static char child[32];
	char text[128];
	int rc;

	sigaction(SIGSYS, &own, &before);
	if (sigsetjmp(refused, 1)) {
		snprintf(text, sizeof text, "refused: sandbox\n");
	} else {
		errno = 0;
		rc = a->run(r->query ? r->query : "");
		if (rc < 0)
			snprintf(text, sizeof text, "refused: %s\n", errno ? strerrorname_np(errno) : "no reason");
		else
			snprintf(text, sizeof text, "done\n");
	}
	sigaction(SIGSYS, &before, NULL);
	snprintf(child, sizeof child, "%ld", (long)getpid());
	fields_set(&r->out, "X-Child", child);
	response_text(r, 200, "text/plain", text, strlen(text));
}

static void list(struct request *r)
{
	static char text[4096];
	size_t n = 0;

	for (size_t i = 0; i < ATTEMPTS; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s %s\n", attempts[i].name, attempts[i].wants);
	response_text(r, 200, "text/plain", text, n);
}

static void intruder_start(struct request *r)
{
	const char *name = r->path ? strrchr(r->path, '/') : NULL;

	if (name && !strcmp(name, "/list")) {
		list(r);
		return;
	}
	for (size_t i = 0; name && i < ATTEMPTS; i++)
		if (!strcmp(name + 1, attempts[i].name)) {
			run(r, &attempts[i]);
			return;
		}
	response_text(r, 404, "text/plain", "no such attempt\n", 16);
}

static const struct handler intruder = { .name = "test-intruder", .start = intruder_start };

__attribute__((constructor)) static void register_intruder(void)
{
	handler_register(&intruder);
}

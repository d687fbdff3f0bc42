/*
 * faults.c - a library that is preloaded into the server by tests/system/faults_test.py, and makes calls fail as they do on a
 * machine where something has run out. The file that FAULTS_CONTROL names is mapped in every process, shared: what the test
 * writes there counts at once, in a sandbox too. All numbers are 8 bytes, in the order of enum what.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum what {
	PID,            /* whose memory runs out */
	SPARED,         /* allocations of it that succeed before the first that fails */
	FAILING,        /* allocations that fail then; 0: none, and nothing is counted */
	SEEN,           /* allocations that it asked for meanwhile */
	FAILED,         /* how many of them failed */
	WALL,           /* s that the wall clock is ahead of the true one */
	ACCEPTS,        /* accepts that fail, in whichever process */
	ACCEPT_ERROR,   /* with this error; 0: the process is killed before it accepts */
	FORKS,          /* forks that fail (EAGAIN) */
	LANDLOCK,       /* the version that the kernel has of it; below 0: all its calls fail, with this error; 0: as it is */
	RESTRICT,       /* landlock_restrict_self fails with this error */
	SECCOMP,        /* seccomp fails with this error */
	NUMBERS
};

static _Atomic int64_t none[NUMBERS];
static _Atomic int64_t *set = none;

__attribute__((constructor)) static void map(void)
{
	const char *path = getenv("FAULTS_CONTROL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		set = p;
	if (fd >= 0)
		close(fd);
}

/* One of a number that is counted down: whether it was left. */
static int take(enum what which)
{
	int64_t left = atomic_load(&set[which]);

	while (left > 0)
		if (atomic_compare_exchange_weak(&set[which], &left, left - 1))
			return 1;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ memory */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t k, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static int out(void)
{
	if (atomic_load_explicit(&set[FAILING], memory_order_relaxed) == 0 || atomic_load(&set[PID]) != getpid())
		return 0;
	atomic_fetch_add(&set[SEEN], 1);
	if (take(SPARED) || !take(FAILING))
		return 0;
	atomic_fetch_add(&set[FAILED], 1);
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n) { return out() ? NULL : __libc_malloc(n); }
void *calloc(size_t k, size_t n) { return out() ? NULL : __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { return n && out() ? NULL : __libc_realloc(p, n); }
void *memalign(size_t align, size_t n) { return out() ? NULL : __libc_memalign(align, n); }
void *aligned_alloc(size_t align, size_t n) { return out() ? NULL : __libc_memalign(align, n); }

void *reallocarray(void *p, size_t k, size_t n)
{
	size_t all;

	if (__builtin_mul_overflow(k, n, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, all);
}

int posix_memalign(void **p, size_t align, size_t n)
{
	void *got = memalign(align, n);

	if (!got)
		return ENOMEM;
	*p = got;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the wall clock */

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += (time_t)atomic_load_explicit(&set[WALL], memory_order_relaxed);
	return rc;
}

time_t time(time_t *out_time)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_REALTIME, &t);
	if (out_time)
		*out_time = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now = { 0 };

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*t = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
	return 0;
}

/* ------------------------------------------------------------------------------------------------ descriptors, processes */

int accept4(int fd, struct sockaddr *restrict peer, socklen_t *restrict n, int flags)
{
	if (take(ACCEPTS)) {
		if (!atomic_load(&set[ACCEPT_ERROR]))
			syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGKILL);
		errno = (int)atomic_load(&set[ACCEPT_ERROR]);
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, peer, n, flags);
}

pid_t fork(void)
{
	static pid_t (*real)(void);

	if (take(FORKS)) {
		errno = EAGAIN;
		return -1;
	}
	if (!real)
		real = (pid_t (*)(void))dlsym(RTLD_NEXT, "fork");
	return real();
}

/* ------------------------------------------------------------------------------------------------ kernels of before */

#define LANDLOCK_CREATE   444
#define LANDLOCK_ADD      445
#define LANDLOCK_RESTRICT 446

/* What landlock_create_ruleset of a version says to rules: newer structures are longer, and what stands there must be 0. */
static int too_new(int64_t version, const uint64_t *rules, size_t n)
{
	size_t known = version >= 6 ? 24 : version >= 4 ? 16 : 8;
	unsigned files = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;

	for (size_t at = known; at < n; at += 8)
		if (rules[at / 8])
			return E2BIG;
	return rules[0] >> files ? EINVAL : 0;
}

static int refusal(long number, const long a[6])
{
	int64_t version = atomic_load(&set[LANDLOCK]);

	if (number == SYS_seccomp)
		return (int)atomic_load(&set[SECCOMP]);
	if (number < LANDLOCK_CREATE || number > LANDLOCK_RESTRICT)
		return 0;
	if (version < 0)
		return (int)-version;
	if (number == LANDLOCK_RESTRICT)
		return (int)atomic_load(&set[RESTRICT]);
	if (!version)
		return 0;
	if (number == LANDLOCK_ADD)
		return a[1] == 2 && version < 4 ? EINVAL : 0;
	return a[2] ? 0 : too_new(version, (const uint64_t *)a[0], (size_t)a[1]);
}

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	va_list list;
	long a[6];
	int error;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	error = refusal(number, a);
	if (error) {
		errno = error;
		return -1;
	}
	if (number == LANDLOCK_CREATE && a[2] && atomic_load(&set[LANDLOCK]) > 0)
		return (long)atomic_load(&set[LANDLOCK]);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

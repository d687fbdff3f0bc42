/*
 * landlock_test.c - what a process reaches after landlock_enter: files in and beside the folders, secrets, ports, other
 * processes; and what happens where the kernel has none of it. Each case is a process of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "process/landlock.h"
#include "process/role.h"

static char dir[64] = "/tmp/bulkhead-landlock-XXXXXX";
static const char *const made[] = { "site/", "site/page", "keys/", "keys/key", "keys/other", "cores/", "sub/", "sub/deep/", "sub/deep/secret", "sub/deep/open", "sub/file" };
#define MADE (sizeof made / sizeof *made)

static const char *at(const char *name)
{
	static char paths[8][160];
	static unsigned next;
	char *p = paths[next++ % 8];

	snprintf(p, sizeof *paths, "%s/%s", dir, name);
	return p;
}

static int make(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < MADE; i++)
		if (made[i][strlen(made[i]) - 1] == '/' ? mkdir(at(made[i]), 0755) : mknod(at(made[i]), S_IFREG | 0644, 0))
			return -1;
	return 0;
}

static int clean(void **state)
{
	(void)state;
	unlink(at("cores/core"));
	for (size_t i = MADE; i--;)
		remove(at(made[i]));
	return rmdir(dir);
}

static int version(void)
{
	long v = syscall(444, NULL, 0, 1);

	return v > 0 ? (int)v : 0;
}

/* Whether it can be opened; what it says of why not is left in errno. */
static bool opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool refuses(const char *path, int flags) { return !opens(path, flags) && errno == EACCES; }

#define EXPECT(x) do { if (!(x)) { printf("%s:%d: %s (%s)\n", __FILE__, __LINE__, #x, strerror(errno)); fflush(NULL); _exit(1); } } while (0)

/* Runs it in a process that has no_new_privs. */
static void apart(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		run();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void enter(enum landlock_reach reach, const struct landlock_wants *w, int folder)
{
	struct err e = { .text = "" };

	EXPECT(landlock_enter(reach, w, folder, &e) == 0);
}

/* ------------------------------------------------------------------------------------------------ files */

static void folders(void)
{
	const char *list[] = { at("site"), at("not-there") };

	enter(LANDLOCK_CHILD, &(struct landlock_wants){ .folders = list, .nfolders = 2 }, open(at("cores"), O_PATH | O_CLOEXEC));
	EXPECT(opens(at("site/page"), O_RDONLY));
	EXPECT(opens(at("site"), O_RDONLY | O_DIRECTORY));
	EXPECT(opens("/dev/null", O_RDONLY));
	EXPECT(refuses(at("keys/key"), O_RDONLY));
	EXPECT(refuses(at("keys"), O_RDONLY | O_DIRECTORY));
	EXPECT(refuses("/etc/shadow", O_RDONLY));
	EXPECT(refuses(at("site/page"), O_WRONLY));
	EXPECT(refuses(at("site/new"), O_WRONLY | O_CREAT));
	EXPECT(opens(at("cores/core"), O_WRONLY | O_CREAT));
	EXPECT(refuses(at("cores/core"), O_RDONLY));
	EXPECT(mkdir(at("cores/folder"), 0755) < 0 && errno == EACCES);
	EXPECT(access(at("keys/key"), F_OK) == 0);      /* what is there can be seen; docs/security.md says so */
}

static void secrets(void)
{
	const char *list[] = { at("keys/key"), at("sub/deep/secret"), "/not/there", at("site/page") }, *kept[] = { at("site") };

	enter(LANDLOCK_CHILD, &(struct landlock_wants){ .everything = true, .secrets = list, .nsecrets = 4, .kept = kept, .nkept = 1 }, -1);
	EXPECT(refuses(at("keys/key"), O_RDONLY));
	EXPECT(refuses(at("sub/deep/secret"), O_RDONLY));
	EXPECT(opens(at("keys/other"), O_RDONLY));
	EXPECT(opens(at("sub/deep/open"), O_RDONLY));
	EXPECT(opens(at("sub/file"), O_RDONLY));
	EXPECT(opens(at("site/page"), O_RDONLY));       /* in a folder that is given whole */
	EXPECT(opens("/etc/passwd", O_RDONLY));
	EXPECT(opens("/etc", O_RDONLY | O_DIRECTORY));
	EXPECT(refuses(at("sub/file"), O_WRONLY));
}

/* A link does not lead to what it is not given; nor does one that a secret is named by. */
static void links(void)
{
	const char *list[] = { at("site/link") }, *folder[] = { dir };

	EXPECT(symlink("../keys/key", at("site/link")) == 0);
	enter(LANDLOCK_CHILD, &(struct landlock_wants){ .folders = folder, .nfolders = 1, .secrets = list, .nsecrets = 1 }, -1);
	EXPECT(refuses(at("site/link"), O_RDONLY));
	EXPECT(refuses(at("keys/key"), O_RDONLY));
	EXPECT(opens(at("keys/other"), O_RDONLY));
}

/* Reports are made, renamed and removed in their folder alone, by a descriptor. */
static void job(void)
{
	int folder = open(at("cores"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	enter(LANDLOCK_JOB, NULL, folder);
	EXPECT(opens(at("keys/key"), O_RDONLY));
	EXPECT(refuses(at("keys/key"), O_WRONLY));
	EXPECT(openat(folder, "new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0);
	EXPECT(renameat(folder, "new", folder, "report") == 0);
	EXPECT(unlinkat(folder, "report", 0) == 0);
	EXPECT(unlink(at("site/page")) < 0 && errno == EACCES);
}

static void nothing(void)
{
	enter(LANDLOCK_NOTHING, NULL, -1);
	EXPECT(refuses("/dev/null", O_RDONLY));
	EXPECT(refuses(at("site/page"), O_RDONLY));
}

static void reading(void)
{
	enter(LANDLOCK_READ, NULL, -1);
	EXPECT(opens(at("keys/key"), O_RDONLY));
	EXPECT(refuses(at("keys/key"), O_WRONLY));
	EXPECT(refuses("/dev/null", O_WRONLY));
}

static void unbounded(void)
{
	enter(LANDLOCK_CHILD, &(struct landlock_wants){ .off = true }, -1);
	enter(LANDLOCK_CHILD, NULL, -1);
	enter(LANDLOCK_NONE, NULL, -1);
	EXPECT(opens(at("site/page"), O_WRONLY));
}

static void test_files(void **state)
{
	(void)state;
	if (!version())
		skip();
	apart(folders);
	apart(secrets);
	apart(links);
	unlink(at("site/link"));
	apart(nothing);
	apart(job);
	apart(reading);
	apart(unbounded);
}

/* ------------------------------------------------------------------------------------------------ ports and signals */

static int listener(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 8) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static bool connects(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = connect(fd, (struct sockaddr *)&a, sizeof a), saved = errno;

	close(fd);
	errno = saved;
	return rc == 0;
}

static void ports(void)
{
	uint16_t one, other;

	listener(&one);
	listener(&other);
	enter(LANDLOCK_CHILD, &(struct landlock_wants){ .everything = true, .ports = &one, .nports = 1 }, -1);
	EXPECT(connects(one));
	EXPECT(!connects(other) && errno == EACCES);
}

static void every_port(void)
{
	uint16_t port;
	struct sockaddr_in a = { .sin_family = AF_INET };

	listener(&port);
	enter(LANDLOCK_CHILD, &(struct landlock_wants){ .everything = true, .any_port = true }, -1);
	EXPECT(connects(port));
	EXPECT(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a) < 0 && errno == EACCES);
}

static void others(void)
{
	pid_t other = fork();

	if (other == 0) {
		pause();
		_exit(0);
	}
	enter(LANDLOCK_NOTHING, NULL, -1);
	EXPECT(kill(other, 0) < 0 && errno == EPERM);
	EXPECT(kill(getpid(), 0) == 0);
}

/* So that the process that others() left is ended. */
static void outlive(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		others();
		_exit(0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	kill(-pid, SIGKILL);
	EXPECT(status == 0);
}

static void test_ports(void **state)
{
	(void)state;
	if (version() < 4)
		skip();
	apart(ports);
	apart(every_port);
}

static void test_others(void **state)
{
	(void)state;
	if (version() < 6)
		skip();
	apart(outlive);
}

/* ------------------------------------------------------------------------------------------------ threads */

static pthread_t looker;
static sem_t begin;

static void *look(void *ctx)
{
	(void)ctx;
	while (sem_wait(&begin) < 0)
		;
	return (void *)(uintptr_t)(refuses(at("keys/key"), O_RDONLY) && opens(at("site/page"), O_RDONLY));
}

static int start_thread(void *ctx, struct err *e)
{
	(void)ctx;
	return pthread_create(&looker, NULL, look, NULL) ? err_set(e, "no thread") : 0;
}

/* What a child's threads may do was settled before they were made: they are made while it warms up. */
static void child(void)
{
	const char *list[] = { at("site") };
	struct landlock_wants w = { .folders = list, .nfolders = 1 };
	struct err e = { .text = "" };
	void *bounded = NULL;

	sem_init(&begin, 0, 0);
	EXPECT(role_enter(ROLE_CHILD, &(struct role_wants){ .uid = (uid_t)-1, .paths = &w, .warm = start_thread }, &e) == 0);
	sem_post(&begin);
	if (pthread_join(looker, &bounded) || !bounded || !refuses(at("keys/key"), O_RDONLY))
		_exit(2);
}

static void test_threads(void **state)
{
	(void)state;
	if (!version())
		skip();
	apart(child);
}

/* ------------------------------------------------------------------------------------------------ where there is none */

static int answer;

static void without(void)
{
	static const struct { int error; const char *said; } cases[] = {
		{ ENOSYS, "no Landlock" }, { EOPNOTSUPP, "switched off" }, { EPERM, "container forbids" },
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	char text[512];

	EXPECT(ctx && seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)cases[answer].error), 444, 0) == 0 && seccomp_load(ctx) == 0);
	const char *said = landlock_missing(text, sizeof text);
	EXPECT(said && strstr(said, cases[answer].said));
	enter(LANDLOCK_NOTHING, NULL, -1);
	EXPECT(opens(at("site/page"), O_RDONLY));
}

/* Rules can be made, but not set: the process is told. */
static void half(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	struct err e = { .text = "" };

	EXPECT(ctx && seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), 446, 0) == 0 && seccomp_load(ctx) == 0);
	EXPECT(landlock_enter(LANDLOCK_NOTHING, NULL, -1, &e) < 0 && strstr(e.text, "cannot be set"));
}

static void test_absent(void **state)
{
	(void)state;
	for (answer = 0; answer < 3; answer++)
		apart(without);
	if (version())
		apart(half);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files), cmocka_unit_test(test_ports), cmocka_unit_test(test_others), cmocka_unit_test(test_threads), cmocka_unit_test(test_absent),
	};

#ifdef BULKHEAD_SANITIZE
	return 0;                       /* such a build has no such rules */
#endif
	return cmocka_run_group_tests(tests, make, clean);
}

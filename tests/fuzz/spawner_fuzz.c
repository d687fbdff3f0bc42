/*
 * spawner_fuzz.c - fuzzes what a child that was taken over can say to the spawner (server/process/spawner.c, spawnrun.c,
 * spawnmap.c, request/scripts.c). An input is records, each a message over the child's socket: a byte of type and
 * manner, two of length, so many bytes of data. No program is started: where one would be, its path, words and variables
 * are looked at. Holds:
 * - only what lies where the configuration lets programs run would be started, by its own name, with no variable that
 *   leads it astray;
 * - each order and each question has one answer, other messages none but PONG; no descriptor stays open, nothing of the
 *   child is left when it is gone.
 */
#include "tests/fuzz/served.h"

#include <sched.h>

static int not_started(int (*first)(void *), void *birth);

#define clone(first, top, flags, birth) ((void)(top), not_started(first, birth))
#define run programs
#define take_order program_order
#include "process/spawnrun.c"
#undef take_order
#undef run
#undef clone
#include "process/spawner.c"

static const char conf[] =
	"ServerName h.test\nDocumentRoot /nonexistent/site\nScriptAlias /cgi/ /nonexistent/cgi/\nSetEnv PYTHONPATH /x\n"
	"<Directory /nonexistent/exec>\nOptions +ExecCGI\nAddHandler cgi-script .cgi\n</Directory>\n"
	"<Directory /nonexistent/pages>\nOptions +Includes\n</Directory>\n";

enum { TYPE = 15, WITH_FDS = 16, WITH_ONE = 32, BARE = 64, FIX = 128 };         /* FIX: it says that it is all of an order */

static bool below(const char *path, const char *folder)
{
	return strncmp(path, folder, strlen(folder)) == 0;
}

/* What ScriptAlias leads to may be a program itself. */
static bool may_run_here(const char *path)
{
	return below(path, "/nonexistent/cgi/") || below(path, "/nonexistent/exec/") || !strcmp(path, "/nonexistent/cgi");
}

static int not_started(int (*first)(void *), void *birth)
{
	const struct order *o = ((struct birth *)birth)->order;
	unsigned paths = 0;

	CHECK(first == become && o->path[0] == '/' && o->argv[0]);
	if (o->shell)
		CHECK(below(o->path, "/nonexistent/pages/") && !strcmp(o->argv[0], "sh"));
	else
		CHECK(may_run_here(o->path) && !strcmp(o->argv[0], strrchr(o->path, '/') + 1));
	CHECK(!strstr(o->path, "/../") && (strlen(o->path) < 3 || strcmp(o->path + strlen(o->path) - 3, "/..") != 0));
	CHECK(below(o->path, o->dir));
	for (char **e = o->envp; *e; e++) {
		CHECK(strchr(*e, '=') && **e != '=');
		CHECK(!below(*e, "LD_") && !below(*e, "BASH_ENV=") && !below(*e, "PERL5LIB=") && !below(*e, "HOME="));
		paths += below(*e, "PATH=");
		CHECK(!below(*e, "PATH=") || !e[1]);    /* ours comes last */
	}
	CHECK(paths == 1);
	errno = EAGAIN;
	return -1;
}

static void start_spawner(void)
{
	struct err e = { .text = "" };

	served_start(conf);
	list_init(&self.customers);
	self.control = -1;
	self.epoll = epoll_create1(EPOLL_CLOEXEC);
	CHECK(self.epoll >= 0 && spawnrun_init(served.server->o.site, NULL, &e) == 0 && spawnmap_init(served.server->o.site, 0, self.epoll, say, &e) == 0);
}

/* How many answers of that type have come; none is of a type that is not for children. */
static unsigned answers(int child, uint32_t type)
{
	static struct ipc_message m;
	unsigned n = 0;

	while (ipc_recv(child, &m) == 1) {
		CHECK(m.nfds == 0 && (m.head.type == SPAWN_MSG_HELLO || m.head.type == SPAWN_MSG_PONG || m.head.type == SPAWN_MSG_FAILED));
		CHECK(m.head.type != SPAWN_MSG_FAILED || m.len == sizeof(struct spawn_failed));
		n += m.head.type == type;
	}
	return n;
}

static void say_to(int child, struct customer *c, uint8_t how, uint8_t *data, size_t n)
{
	static const int three[] = { 0, 1, 2 };
	struct spawn_part part = { 0, (uint32_t)(n - sizeof part) };
	unsigned fds = how & WITH_FDS ? 3 : how & WITH_ONE ? 1 : 0;
	uint32_t type = how & TYPE;

	if (how & BARE) {
		if (n)
			CHECK(send(child, data, n, 0) == (ssize_t)n);
		if (n)
			from_child(c);
		answers(child, 0);
		return;
	}
	if (how & FIX && n >= sizeof part)
		memcpy(data, &part, sizeof part);
	CHECK(ipc_send(child, type, 5, data, n, three, fds) == 0);
	from_child(c);
	CHECK(answers(child, type == SPAWN_MSG_RUN ? SPAWN_MSG_FAILED : SPAWN_MSG_PONG) == (type == SPAWN_MSG_RUN || type == SPAWN_MSG_PING));
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t copy[65536];
	struct customer *c;
	int pair[2], before;

	if (!served.server)
		start_spawner();
	before = next_fd();
	CHECK(ipc_pair(pair) == 0 && fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
	meet(pair[1]);
	CHECK(!list_empty(&self.customers));
	c = list_entry(self.customers.next, struct customer, item);
	CHECK(answers(pair[0], SPAWN_MSG_HELLO) == 1);
	while (n >= 3 && !list_empty(&self.customers)) {
		size_t length = (size_t)data[1] << 8 | data[2];

		length = length < n - 3 ? length : n - 3;
		length = length < IPC_MAX_DATA ? length : IPC_MAX_DATA;
		memcpy(copy, data + 3, length);
		say_to(pair[0], c, data[0], copy, length);
		data += 3 + length;
		n -= 3 + length;
	}
	close(pair[0]);
	if (!list_empty(&self.customers))
		from_child(c);
	CHECK(list_empty(&self.customers) && next_fd() == before);
	return 0;
}

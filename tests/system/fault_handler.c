/*
 * fault_handler.c - the fault injector: makes a child crash in a chosen way (fault_ways.c) at a chosen point of a chosen
 * request. Linked into the tests' server, and into the ordinary one with FAULTS=1; no other build has it.
 *
 *   SetHandler test-fault    /any/path/WAY/DEPTH crashes in the handler, so many calls deep
 *   /fault-at/PHASE/WAY/DEPTH  crashes in that phase of the request's way, whatever its handler is:
 *                            head (its bytes are being read), access, send (a system call's place), log (its access line)
 *   fault-WAY as the name that a ClientHello asks for: crashes in the handshake, below GnuTLS
 *
 * "log" and WAY "torn" crash inside the ring of log lines itself, with half a line in it. The points are calls between
 * files, which the linker leads here first (--wrap, GNUmakefile): the server's own code has nothing for it.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "http/head.h"
#include "log/ring.h"
#include "request/access.h"
#include "request/handler.h"
#include "request/request.h"
#include "request/response.h"
#include "tests/system/fault_ways.h"
#include "tls/hello.h"

enum head_result __real_head_parse_request(const char *p, size_t n, const struct head_limits *limits, struct request_head *h, size_t *used);
enum head_result __wrap_head_parse_request(const char *p, size_t n, const struct head_limits *limits, struct request_head *h, size_t *used);
unsigned __real_access_run(struct request *r);
unsigned __wrap_access_run(struct request *r);
ssize_t __real_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
int __real_ring_put(struct ring *r, unsigned target, const struct iovec *iov, int n);
int __wrap_ring_put(struct ring *r, unsigned target, const struct iovec *iov, int n);
int __real_hello_parse(struct text body, struct hello *h);
int __wrap_hello_parse(struct text body, struct hello *h);

static struct plan {
	char phase[16];                         /* "" = none */
	const struct fault_way *way;            /* NULL: torn */
	unsigned depth;
} plan;

/* WAY or WAY/DEPTH, up to the first byte that belongs to neither. */
static bool read_way(const char *p, size_t n, const struct fault_way **way, unsigned *depth)
{
	size_t length = 0, at;

	while (length < n && (p[length] == '-' || (p[length] >= 'a' && p[length] <= 'z') || (p[length] >= '0' && p[length] <= '9')))
		length++;
	*way = fault_way_find(p, length);
	*depth = 0;
	for (at = length + 1; length < n && p[length] == '/' && at < n && p[at] >= '0' && p[at] <= '9' && *depth < 1000; at++)
		*depth = *depth * 10 + (unsigned)(p[at] - '0');
	return *way || (length == 4 && !memcmp(p, "torn", 4));
}

static void crash_at(const char *phase)
{
	if (strcmp(plan.phase, phase) == 0 && plan.way)
		fault_crash(plan.way, plan.depth);
}

enum head_result __wrap_head_parse_request(const char *p, size_t n, const struct head_limits *limits, struct request_head *h, size_t *used)
{
	static const char mark[] = "/fault-at/";
	const char *line = memchr(p, '\n', n), *at = line ? memmem(p, (size_t)(line - p), mark, sizeof mark - 1) : NULL, *slash;

	plan = (struct plan){ .phase = "" };
	if (at) {
		at += sizeof mark - 1;
		slash = memchr(at, '/', (size_t)(line - at));
		if (slash && (size_t)(slash - at) < sizeof plan.phase && read_way(slash + 1, (size_t)(line - slash) - 1, &plan.way, &plan.depth))
			memcpy(plan.phase, at, (size_t)(slash - at));
	}
	crash_at("head");
	return __real_head_parse_request(p, n, limits, h, used);
}

unsigned __wrap_access_run(struct request *r)
{
	crash_at("access");
	return __real_access_run(r);
}

ssize_t __wrap_send(int fd, const void *p, size_t n, int flags)
{
	crash_at("send");
	return __real_send(fd, p, n, flags);
}

int __wrap_ring_put(struct ring *r, unsigned target, const struct iovec *iov, int n)
{
	struct iovec torn[2] = { iov[0], { (void *)16, 400 } };

	crash_at("log");
	if (!strcmp(plan.phase, "log"))
		return __real_ring_put(r, target, torn, 2);
	return __real_ring_put(r, target, iov, n);
}

int __wrap_hello_parse(struct text body, struct hello *h)
{
	static const char mark[] = "fault-";
	int result = __real_hello_parse(body, h);
	const char *at = result == 0 ? memmem(body.p, body.n, mark, sizeof mark - 1) : NULL;
	const struct fault_way *way;
	unsigned depth;

	if (at && read_way(at + sizeof mark - 1, (size_t)(body.p + body.n - at) - (sizeof mark - 1), &way, &depth) && way)
		fault_crash(way, depth);
	return result;
}

static void fault_start(struct request *r)
{
	const char *depth = r->path ? strrchr(r->path, '/') : NULL, *name = depth;
	const struct fault_way *way;

	while (name && name > r->path && name[-1] != '/')
		name--;
	way = name ? fault_way_find(name, (size_t)(depth - name)) : NULL;
	if (!way) {
		response_text(r, 404, "text/plain", "no such way\n", 12);
		return;
	}
	fault_crash(way, (unsigned)strtoul(depth + 1, NULL, 10));
	response_text(r, 200, "text/plain", "went on\n", 8);
}

static const struct handler fault = { .name = "test-fault", .start = fault_start };

__attribute__((constructor)) static void register_fault(void)
{
	handler_register(&fault);
}

/*
 * served.h - a child's server within a fuzz target (conn/): one connection at a time over a socket pair, turn by turn, and a
 * handler that does what the query of a request spells. Linked with all of the server, as root or not, without a master.
 *
 * The letters of a query, worked off from call to call of the handler; at the end of them it ends what it began:
 *   h head   w W write a little, much   f a file   e end   r R read on, off   . until it is called again   i an interim response
 *   l a length of 100 for the head   t trailers' worth of nothing: again   a abort   x an error page   u tunnel
 */
#ifndef BULKHEAD_TESTS_FUZZ_SERVED_H
#define BULKHEAD_TESTS_FUZZ_SERVED_H

#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/internal.h"
#include "conn/loop.h"
#include "log/log.h"
#include "process/config.h"
#include "request/handler.h"
#include "request/request.h"
#include "request/response.h"
#include "request/stream.h"

/* A configuration: /z is the same behind a filter. */
#define SERVED_H1 "ServerName h.test\nDocumentRoot /nonexistent\n<Location />\nSetHandler spelled\n</Location>\n" \
	"<Location /z>\nSetOutputFilter DEFLATE\n</Location>\n"
#define SERVED_H2 SERVED_H1 "Protocols h2c http/1.1\nH2WebSockets on\n"

static struct {
	struct conn_server *server;
	struct conn_counters counters;
	struct watch kick;              /* always readable: no turn waits */
	int client;                     /* our end of the connection; -1 = none */
	uint16_t port;                  /* that clients connect to; 0 = 80 */
	unsigned begun, ended;          /* requests that the handler was given, and was told the end of */
} served = { .client = -1 };

/* ------------------------------------------------------------------------------------------------ the handler */

struct spelled { const char *next; bool head, over; size_t body; };

static void spelled_write(struct request *r, size_t n)
{
	static char block[70000];
	struct spelled *h = r->handler_data;
	size_t most = h->body < n ? h->body : n;
	struct iovec iov = { block, r->length >= 0 ? most : n };
	ssize_t took = iov.iov_len ? stream_write(r->stream, &iov, 1) : 0;

	CHECK(took <= (ssize_t)iov.iov_len);
	if (took > 0 && r->length >= 0)
		h->body -= (size_t)took;
}

static void spelled_finish(struct request *r, struct spelled *h)
{
	if (!h->head && response_start(r) != 0)
		return;
	h->head = true;
	if (r->length >= 0 && h->body && r->status != 304) {
		spelled_write(r, h->body);
		if (h->body)
			return;                 /* what a length promised must be sent; the next call goes on */
	}
	h->over = true;
	stream_end(r->stream);
}

/* One letter. False: it has to wait, or all is over. */
static bool spelled_do(struct request *r, struct spelled *h, char letter)
{
	static const char early[] = "Link: </a>; rel=preload\r\n\r\n";
	struct iovec interim[] = { { (void *)(uintptr_t) "HTTP/1.1 103 Early Hints\r\n", 26 }, { (void *)(uintptr_t)early, sizeof early - 1 } };

	switch (letter) {
	case 'h':
		if (h->head)
			return true;
		h->head = true;
		return response_start(r) == 0;
	case 'l':
		if (!h->head) {
			r->length = 100;
			h->body = 100;
		}
		return true;
	case 'w':
	case 'W':
		if (h->head)
			spelled_write(r, letter == 'w' ? 100 : 70000);
		return true;
	case 'f':
		if (h->head && r->length < 0) {
			int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

			CHECK(fd >= 0);
			stream_file(r->stream, fd, 0, 90000);
		}
		return !h->head || r->length >= 0;
	case 'r':
	case 'R':
		stream_read(r->stream, letter == 'r');
		return true;
	case 'i':
		if (!h->head)
			stream_interim(r->stream, interim, 2);
		return true;
	case 't':
		stream_again(r->stream, true);
		return false;
	case 'u':
		if (!h->head && stream_tunnel(r->stream) == 0)
			h->head = true;
		return true;
	case 'e':
		spelled_finish(r, h);
		return false;
	case 'a':
		h->over = true;
		stream_abort(r->stream, "it was spelled");
		return false;
	case 'x':
		h->over = true;
		if (h->head)
			stream_abort(r->stream, "it was spelled");
		else
			response_error(r, 500);
		return false;
	default:
		return letter != '.';
	}
}

static void spelled_go(struct request *r)
{
	struct spelled *h = r->handler_data;

	if (!h || h->over)
		return;
	while (*h->next)
		if (!spelled_do(r, h, *h->next++))
			return;
	spelled_finish(r, h);
}

static void spelled_start(struct request *r)
{
	struct spelled *h = arena_zalloc(r->arena, sizeof *h);

	CHECK(h);
	served.begun++;
	*h = (struct spelled){ .next = r->query ? r->query : "" };
	r->handler_data = h;
	spelled_go(r);
}

static void spelled_body(struct request *r, struct text data)
{
	CHECK(r->has_body || !data.p);
	spelled_go(r);
}

static void spelled_ended(struct request *r, enum handler_end how)
{
	(void)r, (void)how;
	served.ended++;
}

static const struct handler spelled = { .name = "spelled", .start = spelled_start, .body = spelled_body, .writable = spelled_go, .ended = spelled_ended };

/* ------------------------------------------------------------------------------------------------ the server */

static void *served_alloc(void *ctx, size_t n)
{
	void *p = arena_zalloc(ctx, n);

	CHECK(p);
	return p;
}

static void served_report(void *ctx, enum conf_severity severity, const struct conf_pos *pos, const char *sentence, const char *remedy)
{
	(void)ctx, (void)severity, (void)pos, (void)remedy;
	fprintf(stderr, "configuration: %s\n", sentence);
}

static void served_line(unsigned target, const char *line, size_t n)
{
	(void)target, (void)line, (void)n;
}

static void served_kicked(struct watch *w, uint32_t events)
{
	(void)w, (void)events;
}

static void served_serve(const struct site *site)
{
	struct err e;

	served.server = conn_new(&(struct conn_options){ .site = site, .limit = 16, .counters = &served.counters, .put_line = served_line, .ring_wake = -1,
							 .master = -1, .control = -1, .busy_wake = -1, .resolver = -1, .checker = -1 }, &e);
	CHECK(served.server);
	served.kick = (struct watch){ .fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), .ready = served_kicked };
	CHECK(loop_watch(served.server->loop, &served.kick, EPOLLIN) == 0);
}

static inline void served_start(const char *conf)
{
	static const struct log_settings quiet = { .level = { [0 ... LOG_SUBJECTS - 1] = LOG_L_TRACE8 } };
	static struct log_targets targets;
	static struct reading reading;
	static struct conf_env env;             /* the site goes on with it */
	struct arena *a = arena_new(65536);
	struct conf_target target;
	struct site *site;

	env = (struct conf_env){ .ctx = a, .alloc = served_alloc, .report = served_report, .root = "/nonexistent" };
	log_open(&(struct log_sink){ .kind = LOG_SINK_FD, .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) }, &quiet);
	handler_register(&spelled);
	log_targets_use(&targets, a);
	conf_modules_number(config_modules);
	site = site_new(a, config_modules, &env);
	reading = (struct reading){ .site = site, .host = site->main, .arena = a };
	target = (struct conf_target){ .host = site->main->config, .section = site->main->section, .owner = &reading };
	conf_apply(conf_read_text(conf, "fuzz", &env)->first, config_modules, CONF_SERVER, &target, &env);
	CHECK(!env.errors && site_finish(site, &env) == 0);
	served_serve(site);
}

static inline void served_turns(int n)
{
	while (n-- > 0)
		CHECK(loop_turn(served.server->loop) == 0);
}

static inline void served_connect(void)
{
	int pair[2];
	struct addr peer, local;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	addr_parse(&peer, "192.0.2.1", 5555);
	addr_parse(&local, "127.0.0.1", served.port ? served.port : 80);
	served.client = pair[0];
	served.begun = served.ended = 0;
	conn_open(served.server, pair[1], &peer, &local);
}

/* What the server sent, as much as fits; 0: nothing now, -1: it has closed. */
static inline ssize_t served_read(void *to, size_t n)
{
	ssize_t got = recv(served.client, to, n, 0);

	return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
}

/* All of it, with turns of the server where it does not fit and `turns` allows them. How much was sent. */
static inline size_t served_send(const void *p, size_t n, int turns)
{
	size_t at = 0;

	while (at < n) {
		ssize_t put = send(served.client, (const char *)p + at, n - at, MSG_NOSIGNAL);

		if (put > 0)
			at += (size_t)put;
		else if (put == 0 || errno != EAGAIN || turns-- <= 0)
			break;
		else
			served_turns(1);
	}
	return at;
}

/* The client goes; nothing of the connection may stay, and each handler has heard of its request's end. */
static inline void served_close(void)
{
	close(served.client);
	served.client = -1;
	for (int i = 0; served.server->open; i++) {
		CHECK(i < 1000);
		served_turns(1);
	}
	CHECK(served.begun == served.ended);
}

#endif

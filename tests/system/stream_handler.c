/*
 * stream_handler.c - a handler for tests: streams in both directions through request/stream.h, as programs and backends
 * will. Linked into the tests' server only; chosen by SetHandler.
 *
 *   test-echo    sends the request's body back, chunk by chunk, reading no faster than the client takes
 *   test-stream  sends as many bytes as the query says (?n=1000000), length not told
 *   test-late    reads the request's body and then fails with 500; one that was begun and never ended is a leak
 *   test-late-count  how many of these have been begun and not ended
 *   test-silent  reads the request's body and never answers
 *   test-no-memory  answers with a head that no memory can hold
 *   test-crash   ends the process by the signal that the query names (?s=11), as a crash in a handler would
 *   test-hang    does not go on for as many milliseconds as the query says (?ms=500): it calculates; with deaf in it no
 *                signal but SIGKILL ends it either
 *   test-forbidden  makes a system call that no child may make
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "request/handler.h"
#include "request/request.h"
#include "request/response.h"

struct echo {
	char *held;                     /* taken from the client, not yet by the client */
	size_t n;
	bool ended;
};

static void echo_start(struct request *r)
{
	r->handler_data = arena_zalloc(r->arena, sizeof(struct echo));
	fields_set(&r->out, "Content-Type", "text/plain");
	if (!r->handler_data)
		return;
	if (r->has_body)
		stream_read(r->stream, true);   /* before the head, so that a client that waits for 100 (Continue) gets it */
	if (response_start(r) == 0 && !r->has_body)
		stream_end(r->stream);
}

static void echo_flush(struct request *r)
{
	struct echo *e = r->handler_data;
	struct iovec iov = { e->held, e->n };
	ssize_t took = e->n ? stream_write(r->stream, &iov, 1) : 0;

	if (took < 0)
		return;
	e->n -= (size_t)took;
	if (e->n)
		memmove(e->held, e->held + took, e->n);
	stream_read(r->stream, !e->n && !e->ended);
	if (!e->n && e->ended)
		stream_end(r->stream);
}

static void echo_body(struct request *r, struct text data)
{
	struct echo *e = r->handler_data;

	if (!data.p) {
		e->ended = true;
	} else {
		char *grown = realloc(e->held, e->n + data.n);

		if (!grown) {
			stream_abort(r->stream, "out of memory");
			return;
		}
		memcpy(grown + e->n, data.p, data.n);
		e->held = grown;
		e->n += data.n;
	}
	echo_flush(r);
}

static void echo_ended(struct request *r, enum handler_end how)
{
	struct echo *e = r->handler_data;

	(void)how;
	if (e)
		free(e->held);
}

static void stream_more(struct request *r)
{
	static char block[10000];
	size_t *left = r->handler_data;

	memset(block, 'x', sizeof block);
	while (*left) {
		size_t n = *left < sizeof block ? *left : sizeof block;
		struct iovec iov = { block, n };
		ssize_t took = stream_write(r->stream, &iov, 1);

		if (took < 0)
			return;
		*left -= (size_t)took;
		if ((size_t)took < n)
			return;
	}
	stream_end(r->stream);
}

static void stream_start(struct request *r)
{
	size_t *left = arena_zalloc(r->arena, sizeof *left);

	r->handler_data = left;
	if (!left || response_start(r) != 0)
		return;
	if (r->query && !strncmp(r->query, "n=", 2))
		*left = strtoul(r->query + 2, NULL, 10);
	stream_more(r);
}

static int late_now;

static void late_start(struct request *r)
{
	late_now++;
	r->handler_data = &late_now;
	stream_read(r->stream, true);
}

static void late_body(struct request *r, struct text data)
{
	if (!data.p)
		response_error(r, 500);
}

static void late_ended(struct request *r, enum handler_end how)
{
	(void)how;
	if (r->handler_data == &late_now)
		late_now--;
}

static void late_count(struct request *r)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%d", late_now);

	response_text(r, 200, "text/plain", text, (size_t)n);
}

static void silent_start(struct request *r)
{
	stream_read(r->stream, true);
}

static void silent_body(struct request *r, struct text data)
{
	(void)r;
	(void)data;
}

static void no_memory_start(struct request *r)
{
	fields_add(&r->out, TEXT("X-Endless"), (struct text){ "x", SIZE_MAX / 4 });
	if (response_start(r) == 0)
		stream_end(r->stream);
}

static void crash_start(struct request *r)
{
	int signal_number = r->query && !strncmp(r->query, "s=", 2) ? atoi(r->query + 2) : SIGSEGV;

	if (signal_number == SIGSEGV) {
		static volatile uintptr_t nowhere = 8;

		*(volatile int *)nowhere = 1;
	}
	raise(signal_number);
	__asm__ volatile("");           /* no tail call: this function stands in the backtrace */
}

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void hang_start(struct request *r)
{
	uint64_t ms = r->query && !strncmp(r->query, "ms=", 3) ? strtoull(r->query + 3, NULL, 10) : 3600000, until = clock_ms() + ms;
	sigset_t all;

	if (r->query && strstr(r->query, "deaf")) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
	}
	while (clock_ms() < until)
		;
	response_text(r, 200, "text/plain", "went on\n", 8);
}

/* Crashes where it is called again: for the body's second part, or for room when its answer could not leave at once. */
static void later_crash(struct request *r)
{
	raise(SIGSEGV);
	r->status = 500;                /* no tail call */
}

static void later_body(struct request *r, struct text data)
{
	(void)data;
	later_crash(r);
}

static void later_start(struct request *r)
{
	static char block[65536];
	struct iovec iov = { block, sizeof block };

	if (r->has_body) {
		stream_read(r->stream, true);
		return;
	}
	if (response_start(r) == 0)
		while (stream_write(r->stream, &iov, 1) == (ssize_t)sizeof block)
			;
}

static void forbidden_start(struct request *r)
{
	static const char *const arguments[] = { "/bin/true", NULL };

	syscall(SYS_execve, arguments[0], arguments, NULL);
	fields_set(&r->out, "X-Not-Refused", "yes");
	r->length = 0;
	if (response_start(r) == 0)
		stream_end(r->stream);
}

static const struct handler handlers[] = {
	{ .name = "test-echo", .start = echo_start, .body = echo_body, .writable = echo_flush, .ended = echo_ended },
	{ .name = "test-stream", .start = stream_start, .writable = stream_more },
	{ .name = "test-late", .start = late_start, .body = late_body, .ended = late_ended },
	{ .name = "test-late-count", .start = late_count },
	{ .name = "test-silent", .start = silent_start, .body = silent_body },
	{ .name = "test-no-memory", .start = no_memory_start },
	{ .name = "test-crash", .start = crash_start },
	{ .name = "test-hang", .start = hang_start },
	{ .name = "test-crash-later", .start = later_start, .body = later_body, .writable = later_crash },
	{ .name = "test-forbidden", .start = forbidden_start },
};

__attribute__((constructor)) static void register_all(void)
{
	for (unsigned i = 0; i < sizeof handlers / sizeof *handlers; i++)
		handler_register(&handlers[i]);
}

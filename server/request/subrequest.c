/*
 * subrequest.c - runs what was looked up into a buffer: a stream of its own between a handler and the content that another request makes.
 * Runs in the children, in turns of the connection of the request above: whoever takes the content drives the handler that makes it.
 */
#include "request/subrequest.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "request/filter.h"
#include "request/handler.h"
#include "request/openfiles.h"
#include "request/phases.h"

struct subrequest {
	struct stream *stream;          /* of the look-up, in the arena */
	struct stream *above;           /* of the request that it is made for */
	char *buffer;
	size_t at, n;
	bool room_wanted;               /* its handler, or a filter of it, is to be called when there is room */
	bool driven;                    /* that is being done: do not begin it inside of itself */
	bool ended, failed;
	int fd;                         /* the file that it is sending, or -1 */
	uint64_t file_at, file_left;
};

/* Who made it looks at it again. */
static void tell(struct subrequest *run)
{
	run->above->ops->again(run->above, false);
}

/* ------------------------------------------------------------------------------------------------ its stream */

static int sub_head(struct stream *s)
{
	s->request->head_sent = true;
	return s->sub->failed ? -1 : 0;
}

/* Moves what is there to the front, so that all room is behind it. */
static size_t room_of(struct subrequest *run)
{
	if (run->at) {
		memmove(run->buffer, run->buffer + run->at, run->n - run->at);
		run->n -= run->at;
		run->at = 0;
	}
	return SUBREQUEST_BUFFER - run->n;
}

static ssize_t sub_write(struct stream *s, const struct iovec *iov, int n)
{
	struct subrequest *run = s->sub;
	size_t room = room_of(run), taken = 0;

	if (run->failed)
		return -1;
	if (run->fd >= 0)                       /* it goes before */
		room = 0;
	for (int i = 0; i < n; i++) {
		size_t part = iov[i].iov_len < room ? iov[i].iov_len : room;

		if (part)
			memcpy(run->buffer + run->n, iov[i].iov_base, part);
		run->n += part;
		room -= part;
		taken += part;
		if (part < iov[i].iov_len) {
			run->room_wanted = true;
			break;
		}
	}
	s->body_bytes += taken;
	tell(run);
	return (ssize_t)taken;
}

static int sub_file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	struct subrequest *run = s->sub;

	if (run->failed || run->fd >= 0) {
		openfile_close(fd);
		return -1;
	}
	run->fd = fd;
	run->file_at = offset;
	run->file_left = length;
	tell(run);
	return 0;
}

static void sub_end(struct stream *s)
{
	s->sub->ended = true;
	tell(s->sub);
}

static void sub_read(struct stream *s, bool on)
{
	(void)s;
	(void)on;
}

static void sub_abort(struct stream *s, const char *reason)
{
	(void)reason;
	s->sub->failed = true;
	if (s->request->status < 300)
		s->request->status = 500;
	tell(s->sub);
}

static void sub_again(struct stream *s, bool later)
{
	s->sub->room_wanted = true;
	s->sub->above->ops->again(s->sub->above, later);
}

static const struct stream_ops sub_ops = {
	.head = sub_head, .write = sub_write, .file = sub_file, .end = sub_end, .read = sub_read, .abort = sub_abort, .again = sub_again,
};

/* ------------------------------------------------------------------------------------------------ driving it */

static void close_file(struct subrequest *run)
{
	if (run->fd >= 0)
		openfile_close(run->fd);
	run->fd = -1;
}

static void read_file(struct subrequest *run)
{
	size_t room = room_of(run);
	ssize_t got;

	if (!room)
		return;
	if (run->file_left) {
		do
			got = pread(run->fd, run->buffer + run->n, run->file_left < room ? (size_t)run->file_left : room, (off_t)run->file_at);
		while (got < 0 && errno == EINTR);
		if (got <= 0) {                 /* it became shorter, or cannot be read */
			run->failed = true;
			close_file(run);
			return;
		}
		run->n += (size_t)got;
		run->file_at += (uint64_t)got;
		run->file_left -= (uint64_t)got;
		run->stream->body_bytes += (uint64_t)got;
	}
	if (!run->file_left) {
		close_file(run);
		run->room_wanted = true;
	}
}

static void drive(struct subrequest *run)
{
	struct stream *s = run->stream;
	struct request *r;

	if (run->driven)
		return;
	run->driven = true;
	if (run->fd >= 0 && !run->failed)
		read_file(run);
	if (run->fd < 0 && run->room_wanted && !run->ended && !run->failed && room_of(run)) {
		run->room_wanted = false;
		r = s->request;
		if ((!s->filter || filter_writable(s)) && r->handler && r->handler->writable)
			r->handler->writable(r);
	}
	if (s->filter && !run->ended && !run->failed && run->n == run->at)
		filter_idle(s);
	run->driven = false;
}

enum subrequest_state subrequest_peek(struct subrequest *run, struct text *content)
{
	if (run->at == run->n)
		drive(run);
	*content = (struct text){ run->buffer + run->at, run->n - run->at };
	if (run->failed)
		return SUBREQUEST_FAILED;
	return run->ended && run->fd < 0 ? SUBREQUEST_DONE : SUBREQUEST_RUNS;
}

void subrequest_took(struct subrequest *run, size_t n)
{
	run->at += n;
	if (run->at == run->n)
		run->at = run->n = 0;
}

const struct request *subrequest_answer(const struct subrequest *run)
{
	return run->stream->request;
}

/* ------------------------------------------------------------------------------------------------ its life */

/* What was meant for the content above, or tells of its body. */
static void forget_fields(struct request *sub)
{
	static const char *const names[] = {
		"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range", "Content-Encoding", "Content-Language",
		"Content-Length", "Content-Location", "Content-MD5", "Content-Range", "Content-Type", "Transfer-Encoding", "Expect",
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		fields_remove(&sub->in, names[i]);
}

struct subrequest *subrequest_start(struct request *sub, bool chosen)
{
	struct subrequest *run = calloc(1, sizeof *run);

	if (!run || !(run->buffer = malloc(SUBREQUEST_BUFFER))) {
		free(run);
		return NULL;
	}
	run->stream = sub->stream;
	run->above = sub->parent->stream;
	run->fd = -1;
	sub->stream->ops = &sub_ops;
	sub->stream->sub = run;
	sub->stream->parent = run->above;
	sub->runs = true;
	forget_fields(sub);
	run->driven = true;                     /* who starts it looks at it behind this */
	phases_start(sub, chosen);
	run->driven = false;
	return run;
}

void subrequest_close(struct subrequest *run)
{
	if (!run)
		return;
	run->failed |= !run->ended;
	filter_over(run->stream);
	phases_over(run->stream->request, run->failed ? HANDLER_ABORTED : HANDLER_DONE);
	close_file(run);
	for (struct request *r = run->stream->request; r; r = r->original)
		request_close(r);
	run->stream->sub = NULL;
	free(run->buffer);
	free(run);
}

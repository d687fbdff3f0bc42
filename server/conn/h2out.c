/*
 * h2out.c - what goes out on HTTP/2: what a handler says through its stream becomes frames of DATA; heads are
 * h2head.c's. Runs in the children.
 *
 * Back-pressure: a stream takes what H2StreamMaxMemSize leaves for its connection; frames are made only where output.c has room. A frame
 * is laid down where its TLS record is gathered, so that many small ones share a record and a file is read into its place.
 *
 * The access line is committed before the last frame is laid down, as in HTTP/1.
 */
#include "conn/h2.h"

#include <stdlib.h>
#include <unistd.h>

#include "request/openfiles.h"

#define FRAME_HEAD 9                    /* RFC 9113, 4.1 */
#define FRAME_LEAST 1024                /* a frame is not cut to fewer bytes so that it fits into the record that is gathered */
#define OUT_LEAST 4096                  /* what each stream may have waiting, whatever the others have */
#define OUT_MOST 32768                  /* what one may have of the connection's share */
#define PADDING_MOST 256

void h2_log(struct h2_stream *st)
{
	if (!st->logged)
		asker_log(st->h->c, st->stream.request, st->aborted);
	st->logged = true;
}

void h2_close_file(struct h2_stream *st)
{
	if (st->file >= 0)
		openfile_close(st->file);
	st->file = -1;
}

void h2_abort(struct h2_stream *st, uint32_t reason)
{
	if (!st->aborted)
		st->reason = reason;
	st->aborted = true;
	h2_wake(st);
}

static bool is_gone(const struct h2_stream *st)
{
	return st->h->c->gone || st->aborted || st->closed || st->h->over;
}

/* There are bytes, or there is an end, for nghttp2 to fetch. */
static void resume(struct h2_stream *st)
{
	if (st->submitted && st->resting) {
		st->resting = false;
		nghttp2_session_resume_data(st->h->session, st->id);
	}
}

/* ------------------------------------------------------------------------------------------------ the head */

/* RFC 8441, 5: whoever asked for a tunnel reads every success as one. */
static bool misleads(const struct h2_stream *st, const struct request *r)
{
	return st->connect && !st->tunnel && r->status < 300;
}

static int head(struct stream *s)
{
	struct h2_stream *st = h2_of(s);
	struct request *r = s->request;

	if (is_gone(st) || st->started)
		return -1;
	st->started = r->head_sent = true;
	s->head_us = loop_clock_us();
	st->moved_at = loop_now(st->h->c->server->loop);
	if (st->asker.needs_http1) {
		h2_abort(st, NGHTTP2_HTTP_1_1_REQUIRED);
		return -1;
	}
	if (misleads(st, r)) {
		r->status = 501;
		r->no_body = true;
		r->length = -1;
		r->out.n = 0;
	}
	if (st->h->c->server->o.activity)
		activity_event(st->h->c->server->o.activity, (uint64_t)loop_now(st->h->c->server->loop), ACTIVITY_RESPONSE, r->status);
	st->form = r->no_body || r->length == 0 ? H2_NOTHING : r->length > 0 ? H2_LENGTH : H2_BODY;
	st->promised = st->form == H2_LENGTH ? (uint64_t)r->length : 0;
	return st->form == H2_NOTHING ? 0 : h2_head_submit(st);
}

/* ------------------------------------------------------------------------------------------------ the body */

int h2_keep(struct h2_stream *st, const char *p, size_t n)
{
	if (st->out_n + n > st->out_cap) {
		size_t have = st->out_n - st->out_at, cap = st->out_cap ? st->out_cap : 1024;
		char *grown;

		if (st->out_at)
			memmove(st->out, st->out + st->out_at, have);
		st->out_at = 0;
		st->out_n = have;
		while (cap < have + n)
			cap *= 2;
		grown = cap > st->out_cap ? realloc(st->out, cap) : st->out;
		if (!grown)
			return -1;
		st->out = grown;
		st->out_cap = cap;
	}
	memcpy(st->out + st->out_n, p, n);
	st->out_n += n;
	st->h->buffered += n;
	return 0;
}

size_t h2_room(const struct h2_stream *st)
{
	size_t have = st->out_n - st->out_at, most = (size_t)st->h->set->memory;
	size_t own = have < OUT_LEAST ? OUT_LEAST - have : 0;
	size_t shared = st->h->buffered < most ? most - st->h->buffered : 0;
	size_t more = have < OUT_MOST ? OUT_MOST - have : 0;

	if (shared > more)
		shared = more;
	return own > shared ? own : shared;
}

static size_t total_of(const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

static int give_up(struct h2_stream *st, const char *reason)
{
	log_infox(&st->asker.client.about, LOG_HTTP, "BH0520", "the response is cut short: %s", reason);
	h2_abort(st, NGHTTP2_INTERNAL_ERROR);
	return -1;
}

/* Takes bytes [0, n) of what iov holds. */
static int take(struct h2_stream *st, const struct iovec *iov, size_t n)
{
	for (; n; iov++) {
		size_t part = iov->iov_len < n ? iov->iov_len : n;
		const char *p = iov->iov_base;

		if (part && (st->raw ? h2_head_raw(st, p, part) : h2_keep(st, p, part)) < 0)
			return give_up(st, st->raw ? "its handler writes no head of HTTP that could be sent" : "out of memory");
		n -= part;
	}
	return 0;
}

/* Takes all, unless there is enough waiting: then wants_room, and writable() will come. */
static ssize_t write_body(struct stream *s, const struct iovec *iov, int n)
{
	struct h2_stream *st = h2_of(s);
	size_t given = total_of(iov, n), total = given, room;

	if (is_gone(st))
		return -1;
	if (st->file >= 0) {                                    /* it goes before */
		st->wants_room = true;
		return 0;
	}
	if (st->form == H2_LENGTH && total > st->promised)      /* more than the head has promised is not sent */
		total = (size_t)st->promised;
	if (st->form == H2_NOTHING || !total)
		return (ssize_t)given;
	room = h2_room(st);
	if (total > room) {
		st->wants_room = true;
		total = given = room;
	}
	if (!total)
		return 0;
	if (take(st, iov, total) < 0)
		return -1;
	if (st->form == H2_LENGTH)
		st->promised -= total;
	resume(st);
	return (ssize_t)given;
}

static int file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	struct h2_stream *st = h2_of(s);
	bool refused = is_gone(st) || st->file >= 0 || st->raw;

	if (st->form == H2_LENGTH && length > st->promised)
		length = st->promised;
	if (refused || st->form == H2_NOTHING || !length) {
		openfile_close(fd);
		st->wants_room = true;
		h2_wake(st);
		return refused ? -1 : 0;
	}
	st->file = fd;
	st->file_at = offset;
	st->file_left = length;
	if (st->form == H2_LENGTH)
		st->promised -= length;
	resume(st);
	return 0;
}

static void end(struct stream *s)
{
	struct h2_stream *st = h2_of(s);

	st->ended = true;
	if (is_gone(st))
		return;
	if (st->form == H2_LENGTH && st->promised) {
		give_up(st, "the handler ended before it had sent what Content-Length says");
	} else if (st->raw) {
		give_up(st, "its handler ended within the head that it writes itself");
	} else if (st->form == H2_NOTHING) {
		h2_head_submit(st);
	} else {
		resume(st);
	}
}

static void want_body(struct stream *s, bool on)
{
	struct h2_stream *st = h2_of(s);
	int64_t now = loop_now(st->h->c->server->loop);

	if (on == st->reading)
		return;
	st->reading = on;
	if (!on) {
		st->paused_at = now;
		return;
	}
	if (st->body_began)
		st->body_began += now - st->paused_at;
	if (st->expects && !st->started && !st->in.n && !is_gone(st))
		h2_head_continue(st);
	st->expects = false;
	h2_wake(st);
}

static void abort_stream(struct stream *s, const char *reason)
{
	give_up(h2_of(s), reason);
}

static void again(struct stream *s, bool later)
{
	struct h2_stream *st = h2_of(s);

	st->wants_room = true;
	st->h->c->again |= later;
	h2_wake(st);
}

static int interim(struct stream *s, const struct iovec *iov, int n)
{
	struct h2_stream *st = h2_of(s);
	size_t total = total_of(iov, n), at = 0;
	char *p = total ? arena_alloc(st->arena, total) : NULL;

	if (st->started || is_gone(st))
		return 0;
	for (int i = 0; p && i < n; at += iov[i++].iov_len)
		memcpy(p + at, iov[i].iov_base, iov[i].iov_len);
	return p ? h2_head_interim(st, p, total) : -1;
}

/* RFC 8441: what the client sends is body from now on, and what the handler writes begins with its 101. */
static int tunnel(struct stream *s)
{
	struct h2_stream *st = h2_of(s);
	struct request *r = s->request;

	if (!st->connect || st->started || is_gone(st) || s->filter)
		return -1;
	st->started = r->head_sent = st->raw = st->tunnel = true;
	st->form = H2_BODY;
	r->has_body = true;
	r->body_length = INT64_MAX;
	st->body_done = false;
	return 0;
}

const struct stream_ops h2_stream_ops = { head, write_body, file, end, want_body, abort_stream, again, interim, tunnel };

/* ------------------------------------------------------------------------------------------------ frames */

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* A frame, its head too, should fit into the record that is gathered, or fill one of its own. */
static ssize_t frame_size(nghttp2_session *session, uint8_t type, int32_t id, int32_t connection, int32_t stream, uint32_t peer, void *user)
{
	const struct h2 *h = user;
	const struct conn *c = h->c;
	size_t extra = FRAME_HEAD + (h->set->padding ? PADDING_MOST : 0);
	size_t most = c->tls && RECORD_SIZE - c->server->stage_n >= extra + FRAME_LEAST ? RECORD_SIZE - c->server->stage_n - extra : RECORD_SIZE - extra;

	(void)session;
	(void)type;
	(void)id;
	(void)connection;
	(void)stream;
	(void)peer;
	if (h->set->frame && most > (size_t)h->set->frame)
		most = (size_t)h->set->frame;
	return (ssize_t)most;
}

static ssize_t pad(nghttp2_session *session, const nghttp2_frame *frame, size_t most, void *user)
{
	const struct h2 *h = user;
	size_t n = frame->hd.length;

	(void)session;
	if (h->set->padding && frame->hd.type == NGHTTP2_DATA)
		n += arc4random_uniform(1u << h->set->padding);
	return (ssize_t)(n < most ? n : most);
}

/* How many bytes the next frame will have: they are moved in lay(). */
ssize_t h2_fetch(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *st = stream_of(session, id);
	uint64_t there;

	(void)buf;
	(void)source;
	(void)user;
	if (!st || st->aborted)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	there = st->out_n - st->out_at + st->file_left;
	if (!there && !st->ended) {
		st->resting = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (there > length)
		return (ssize_t)length;
	if (st->ended) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		st->stream.body_bytes += there;
		h2_log(st);
		st->stream.body_bytes -= there;
	}
	return (ssize_t)there;
}

/* Moves the next n bytes of the body to p. 0 or -1: the file cannot be read. */
static int move(struct h2_stream *st, char *p, size_t n)
{
	size_t part = st->out_n - st->out_at < n ? st->out_n - st->out_at : n;

	if (part)
		memcpy(p, st->out + st->out_at, part);
	st->out_at += part;
	st->h->buffered -= part;
	if (st->out_at == st->out_n)
		st->out_at = st->out_n = 0;
	while (part < n) {
		ssize_t got = openfile_read(st->file, p + part, n - part, (off_t)st->file_at, st->stream.request->came);

		if (got <= 0)
			return -1;
		st->file_at += (uint64_t)got;
		st->file_left -= (uint64_t)got;
		part += (size_t)got;
	}
	if (st->file >= 0 && !st->file_left) {
		h2_close_file(st);
		st->wants_room = true;
	}
	return 0;
}

static int lay(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head_bytes, size_t length, nghttp2_data_source *source, void *user)
{
	struct h2 *h = user;
	struct h2_stream *st = stream_of(session, frame->hd.stream_id);
	size_t padding = frame->data.padlen, at = FRAME_HEAD + (padding ? 1 : 0), whole = FRAME_HEAD + padding + length;
	char *p;

	(void)source;
	if (!st || st->aborted)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	p = output_lay(h->c, whole);
	if (!p)
		return h->c->gone ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_WOULDBLOCK;
	memcpy(p, head_bytes, FRAME_HEAD);
	if (padding) {
		p[FRAME_HEAD] = (char)(padding - 1);
		memset(p + at + length, 0, padding - 1);
	}
	if (move(st, p + at, length) < 0) {
		give_up(st, "the file became shorter, or cannot be read, while it was being sent");
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	output_laid(h->c, whole);
	st->stream.body_bytes += length;
	st->moved_at = loop_now(h->c->server->loop);
	h2_count_sent(h, length);
	if (!st->wants_room || st->ended)
		return 0;
	h2_wake(st);
	/* Its handler is asked for more before others of lower priority have their turn (RFC 9218, 10). */
	return st->out_n == st->out_at && st->file < 0 ? NGHTTP2_ERR_PAUSE : 0;
}

static ssize_t put(nghttp2_session *session, const uint8_t *p, size_t n, int flags, void *user)
{
	const struct h2 *h = user;

	(void)session;
	(void)flags;
	if (!output_space(h->c))
		return h->c->gone ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_WOULDBLOCK;
	return output_must(h->c, p, n) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : (ssize_t)n;
}

/* Who broke a stream, as the code that it is reset with tells. */
static void count_reset(struct h2 *h, uint32_t code)
{
	switch (code) {
	case NGHTTP2_PROTOCOL_ERROR: case NGHTTP2_FLOW_CONTROL_ERROR: case NGHTTP2_STREAM_CLOSED: case NGHTTP2_FRAME_SIZE_ERROR: case NGHTTP2_COMPRESSION_ERROR:
		h2_count_error(h);
		return;
	case NGHTTP2_REFUSED_STREAM:
		h2_count(h, H2_RESETS);
	}
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_stream *st;

	if (frame->hd.type == NGHTTP2_RST_STREAM)
		count_reset(user, frame->rst_stream.error_code);
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
		h2_tell_end(user, &frame->goaway);
	if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	st = stream_of(session, frame->hd.stream_id);
	if (!st)
		return 0;
	st->sent = true;
	if (!st->remote_done)                   /* nobody will read the rest of it (RFC 9113, 8.1) */
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
	return 0;
}

/* Without its head nothing of an answer can be sent, and nghttp2 leaves the stream open. An interim one is no more than missing. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
	struct h2_stream *st = frame->hd.type == NGHTTP2_HEADERS ? stream_of(session, frame->hd.stream_id) : NULL;

	(void)user;
	if (!st || (frame->headers.nvlen && *frame->headers.nva->value == '1'))
		return 0;
	if (error == NGHTTP2_ERR_FRAME_SIZE_ERROR)
		log_errorx(&st->asker.client.about, LOG_HTTP2, "BH0807", "%s: the head of its answer is longer than H2MaxHeaderBlockLen (64 KiB where that does not say) allows: "
			   "the stream is reset", st->stream.request && st->stream.request->path ? st->stream.request->path : "a request");
	h2_abort(st, NGHTTP2_INTERNAL_ERROR);
	return 0;
}

void h2_sender_set(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_send_callback(cb, put);
	nghttp2_session_callbacks_set_send_data_callback(cb, lay);
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb, frame_size);
	nghttp2_session_callbacks_set_select_padding_callback(cb, pad);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_not_sent);
}

int h2_send(struct h2 *h)
{
	return nghttp2_session_send(h->session) == 0 ? 0 : -1;
}

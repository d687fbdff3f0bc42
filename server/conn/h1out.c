/*
 * h1out.c - the wire form of HTTP/1 responses: what a handler says through its stream, the head's framing fields, chunks,
 * files, and the access line. Runs in the children.
 *
 * The order of a response's end is kept here: the access line is committed to the log ring BEFORE the last bytes are
 * handed to the socket, so that a client that has its answer has its line, whatever kills this process next.
 */
#include "conn/h1.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "request/openfiles.h"


static struct h1 *h1_of(struct stream *s)
{
	return (struct h1 *)(void *)((char *)s - offsetof(struct h1, stream));
}

/* ------------------------------------------------------------------------------------------------ the access log */

void h1_log(struct h1 *h)
{
	if (!h->logged)
		asker_log(h->c, h->stream.request, h->aborted);
	h->logged = true;
}

/* ------------------------------------------------------------------------------------------------ the head */

static void put_field(struct buf *b, struct text name, struct text value)
{
	size_t n = name.n + value.n + 4;
	char *p = b->p + b->n;

	if (n >= b->cap - b->n) {               /* never: head() has counted them */
		b->full = true;
		return;
	}
	p = mempcpy(p, name.p, name.n);
	p = mempcpy(p, ": ", 2);
	if (value.n)
		p = mempcpy(p, value.p, value.n);
	memcpy(p, "\r\n", 3);
	b->n += n;
}

static size_t fields_size(const struct fields *f)
{
	size_t n = 0;

	for (unsigned i = 0; i < f->n; i++)
		n += f->at[i].name.n + f->at[i].value.n + 4;
	return n;
}

/* Whether the connection can take another request after this response; what is left of the body decides with it. */
static bool stays_open(struct h1 *h, const struct request *r)
{
	struct conn *c = h->c;
	const struct conn_settings *set = c->settings;

	if (!r->keepalive || c->own.client.nokeepalive || c->server->draining || c->plain_on_tls || !set->keepalive || !set->keepalive_timeout)
		return false;
	if (set->max_requests && c->own.client.requests >= (uint64_t)set->max_requests)
		return false;
	if (h->body_done || h->reading)
		return true;
	return !h->expects && (h->body.kind == BODY_CHUNKED || h->body.left <= DISCARD_MAX);
}

static void choose_form(struct h1 *h, const struct request *r, bool old)
{
	h->promised = 0;
	if (r->no_body) {
		h->form = WIRE_NONE;
	} else if (r->length >= 0) {
		h->form = WIRE_LENGTH;
		h->promised = (uint64_t)r->length;
	} else if (!old) {
		h->form = WIRE_CHUNKED;
	} else {
		h->form = WIRE_CLOSE;
		h->closes = true;
	}
}

static void put_connection(struct h1 *h, const struct request *r, bool old, struct buf *b)
{
	const struct conn_settings *set = h->c->settings;

	if (h->closes) {
		buf_puts(b, "Connection: close\r\n");
	} else if (old || fields_has_token(&r->in, "Connection", "keep-alive")) {
		buf_puts(b, "Keep-Alive: timeout=");
		buf_put_u64(b, (uint64_t)(set->keepalive_timeout / 1000));
		if (set->max_requests) {        /* more than there were: stays_open */
			buf_puts(b, ", max=");
			buf_put_u64(b, (uint64_t)set->max_requests - h->c->own.client.requests);
		}
		buf_puts(b, "\r\nConnection: Keep-Alive\r\n");
	}
}

static int head(struct stream *s)
{
	struct h1 *h = h1_of(s);
	struct request *r = s->request;
	size_t cap = 512 + (r->reason ? strlen(r->reason) : 0) + fields_size(&r->out) + fields_size(&r->always);
	char *p = arena_alloc(r->arena, cap);
	bool claims_old = request_env(r, "force-response-1.0").p != NULL;
	bool old = r->minor == 0 || claims_old || request_env(r, "downgrade-1.0").p;
	struct buf b;

	if (!p) {                       /* who asked is told that the stream is gone, and does no more */
		s->ops->abort(s, "out of memory");
		return -1;
	}
	if (h->c->gone || h->started)
		return -1;
	h->started = r->head_sent = true;
	h->stream.head_us = loop_clock_us();
	h->closes = !stays_open(h, r);
	choose_form(h, r, old);
	if (r->raw) {
		h->form = WIRE_CLOSE;
		h->closes = true;
	}
	/* A client that expects more of the connection may be sending: closing under its bytes would cost it our answer. */
	if (h->closes && (h->client_stays || request_env(r, "ssl-accurate-shutdown").p))
		h->c->lingers = true;
	h->c->unclean = request_env(r, "ssl-unclean-shutdown").p != NULL;
	if (r->raw)
		return 0;
	s->said_close = h->closes;
	s->said_chunked = h->form == WIRE_CHUNKED;
	buf_init(&b, p, cap);
	buf_puts(&b, claims_old ? "HTTP/1.0 " : "HTTP/1.1 ");
	buf_put_u64(&b, r->status);
	buf_putc(&b, ' ');
	buf_puts(&b, r->reason ? r->reason : http_phrase(r->status));
	buf_puts(&b, "\r\n");
	for (unsigned i = 0; i < r->out.n; i++)
		put_field(&b, r->out.at[i].name, r->out.at[i].value);
	for (unsigned i = 0; i < r->always.n; i++)
		put_field(&b, r->always.at[i].name, r->always.at[i].value);
	if (r->length >= 0 && r->status != 204 && r->status != 304) {
		buf_puts(&b, "Content-Length: ");
		buf_put_u64(&b, (uint64_t)r->length);
		buf_puts(&b, "\r\n");
	}
	if (h->form == WIRE_CHUNKED)
		buf_puts(&b, "Transfer-Encoding: chunked\r\n");
	put_connection(h, r, old, &b);
	buf_puts(&b, "\r\n");
	s->head_bytes += b.n;
	if (h->c->server->o.activity)
		activity_event(h->c->server->o.activity, (uint64_t)loop_now(h->c->server->loop), ACTIVITY_RESPONSE, r->status);
	return output_must(h->c, b.p, b.n);
}

/* ------------------------------------------------------------------------------------------------ the body */

static size_t total_of(const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

/* Queues bytes [skip, skip + n) of what iov holds. */
static int put_slice(struct conn *c, const struct iovec *iov, size_t skip, size_t n)
{
	for (; n; iov++) {
		size_t from = skip < iov->iov_len ? skip : iov->iov_len, part = iov->iov_len - from < n ? iov->iov_len - from : n;

		if (output_must(c, (const char *)iov->iov_base + from, part) < 0)
			return -1;
		skip -= from;
		n -= part;
	}
	return 0;
}

static int chunk_open(struct h1 *h, uint64_t n)
{
	char line[20];

	return h->form == WIRE_CHUNKED ? output_must(h->c, line, chunk_head(n, line)) : 0;
}

static int chunk_close(struct h1 *h)
{
	return h->form == WIRE_CHUNKED ? output_must(h->c, CHUNK_END, 2) : 0;
}

/* Takes all, unless the socket is full or this turn has had its share: then wants_room, and writable() will come. */
static ssize_t write_body(struct stream *s, const struct iovec *iov, int n)
{
	struct h1 *h = h1_of(s);
	size_t given = total_of(iov, n), total = given, done = 0;

	if (h->c->gone || h->aborted)
		return -1;
	if (h->file >= 0) {                                     /* it goes before */
		h->wants_room = true;
		return 0;
	}
	if (h->form == WIRE_LENGTH && total > h->promised)      /* more than the head has promised is not sent */
		total = (size_t)h->promised;
	if (h->form == WIRE_NONE || !total)
		return (ssize_t)given;
	while (done < total) {
		size_t part = output_space(h->c);

		if (!part) {
			h->wants_room = true;
			break;
		}
		if (part > total - done)
			part = total - done;
		if (h->form == WIRE_LENGTH && part == h->promised) {
			s->body_bytes += part;
			h1_log(h);              /* these are the last bytes, and they are not sent yet */
			s->body_bytes -= part;
		}
		if (chunk_open(h, part) < 0 || put_slice(h->c, iov, done, part) < 0 || chunk_close(h) < 0)
			return -1;
		done += part;
		s->body_bytes += part;
		if (h->form == WIRE_LENGTH)
			h->promised -= part;
	}
	return h->c->gone ? -1 : (ssize_t)(done == total ? given : done);
}

static int file(struct stream *s, int fd, uint64_t offset, uint64_t length)
{
	struct h1 *h = h1_of(s);
	bool refused = h->c->gone || h->aborted || h->file >= 0;

	if (h->form == WIRE_LENGTH && length > h->promised)
		length = h->promised;
	if (refused || h->form == WIRE_NONE || !length) {
		openfile_close(fd);
		h->wants_room = true;
		return refused ? -1 : 0;
	}
	h->file = fd;
	h->file_at = offset;
	h->file_left = length;
	return chunk_open(h, length);
}

static void give_up(struct stream *s, const char *reason)
{
	struct h1 *h = h1_of(s);

	h->aborted = true;
	log_infox(&h->c->own.client.about, LOG_HTTP, "BH0520", "the response is cut short: %s", reason);
}

static void end(struct stream *s)
{
	struct h1 *h = h1_of(s);

	h->ended = true;
	if (h->file >= 0 || h->aborted)
		return;
	if (h->form == WIRE_LENGTH && h->promised)
		give_up(s, "the handler ended before it had sent what Content-Length says");
	else
		h1_log(h);
}

static void want_body(struct stream *s, bool on)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct h1 *h = h1_of(s);
	struct conn_server *server = h->c->server;
	int64_t now = loop_now(server->loop);

	if (on == h->reading)
		return;
	h->reading = on;
	if (!on) {
		h->paused_at = now;
		return;
	}
	if (h->body_began)
		h->body_began += now - h->paused_at;
	if (h->expects && !h->started) {
		h->expects = false;
		if (server->in_at == server->in_n)      /* else the client did not wait */
			output_must(h->c, go_on, sizeof go_on - 1);
	}
}

static void again(struct stream *s, bool later)
{
	struct h1 *h = h1_of(s);

	h->wants_room = true;
	h->c->again |= later;
}

static int interim(struct stream *s, const struct iovec *iov, int n)
{
	struct h1 *h = h1_of(s);

	if (h->started || h->c->gone || s->request->minor == 0)
		return 0;
	return put_slice(h->c, iov, 0, total_of(iov, n));
}

/* Whatever the client sends is body from now on, without an end of its own. */
static int tunnel(struct stream *s)
{
	struct h1 *h = h1_of(s);
	struct request *r = s->request;

	if (h->started || h->c->gone || !h->body_done || s->filter)
		return -1;
	h->started = r->head_sent = r->raw = true;
	h->form = WIRE_CLOSE;
	h->tunnel = h->closes = true;
	r->has_body = true;
	r->body_length = INT64_MAX;
	body_reader_init(&h->body, &(struct body_framing){ .kind = BODY_LENGTH, .length = INT64_MAX });
	h->body_done = false;
	return 0;
}

const struct stream_ops h1_stream_ops = { head, write_body, file, end, want_body, give_up, again, interim, tunnel };

/* ------------------------------------------------------------------------------------------------ sending */

void h1_close_file(struct h1 *h)
{
	if (h->file >= 0)
		openfile_close(h->file);
	h->file = -1;
}

bool h1_pump(struct h1 *h)
{
	struct conn *c = h->c;

	while (h->file >= 0 && !c->gone && !c->blocked && !c->again) {
		if (h->file_left <= TURN_BYTES && h->ended && h->form != WIRE_CHUNKED) {
			h->stream.body_bytes += h->file_left;
			h1_log(h);
			h->stream.body_bytes -= h->file_left;
		}
		ssize_t took = output_file(c, h->file, h->file_at, h->file_left, h->stream.request->came);
		if (took < 0) {
			give_up(&h->stream, "the file became shorter, or cannot be read, while it was being sent");
			h1_close_file(h);
			return false;
		}
		h->file_at += (uint64_t)took;
		h->file_left -= (uint64_t)took;
		h->stream.body_bytes += (uint64_t)took;
		h->promised -= h->promised < (uint64_t)took ? h->promised : (uint64_t)took;
		if (h->file_left)
			continue;
		h1_close_file(h);
		chunk_close(h);
		h->wants_room = true;
	}
	return h->file < 0;
}

bool h1_finish(struct h1 *h)
{
	if (!h1_pump(h))
		return false;
	if (h->form == WIRE_LENGTH && h->promised) {
		give_up(&h->stream, "the handler ended before it had sent what Content-Length says");
		return false;
	}
	h1_log(h);
	if (h->form == WIRE_CHUNKED)
		output_must(h->c, CHUNK_LAST, sizeof CHUNK_LAST - 1);
	h->form = WIRE_NONE;
	return true;
}

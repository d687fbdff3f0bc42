/*
 * output.c - bytes in and out of the connection whose turn it is. All large buffers are the server's: what a turn leaves
 * over is copied to the connection, so that idle ones own nothing.
 *
 *   in:   socket → raw → (TLS) → in        a plain connection reads straight into `in`
 *   out:  (stage → TLS →) wire → socket    `stage` fills one record, so that a head and a small body share it
 *
 * wire holds at most WIRE_FULL bytes before more is taken; sealing what stands in `stage` always fits behind that.
 */
#include "conn/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "request/openfiles.h"

#define SMALL_FILE 32768                /* read into the wire buffer rather than sent on its own */

/* ------------------------------------------------------------------------------------------------ left-overs */

static int keep(struct left *l, const char *p, size_t n)
{
	char *grown = n ? realloc(l->p, l->n + n) : l->p;

	if (n && !grown)
		return -1;
	if (n)
		memcpy(grown + l->n, p, n);
	l->p = grown;
	l->n += n;
	return 0;
}

static void drop(struct left *l)
{
	free(l->p);
	*l = (struct left){ 0 };
}

static size_t restore(struct left *l, char *to)
{
	size_t n = l->n;

	if (n)
		memcpy(to, l->p, n);
	drop(l);
	return n;
}

/*
 * Several clients are ready: what each has sent is read before the first is answered. So a look at a file, made for one of them, holds for
 * all (request/openfiles.h). Between two requests alone, where nothing else is in the buffers that could come before.
 */
void input_gather(struct conn *c)
{
	struct conn_server *s = c->server;
	ssize_t got;

	if (c->state != CONN_HEAD || c->ahead.n || c->eof || c->in_left.n || c->raw_left.n || c->wire_left.n || c->late.asks || c->late.held.n)
		return;
	if (AHEAD_SIZE - s->ahead_n < AHEAD_EACH)
		return;
	got = recv(c->watch.fd, s->ahead + s->ahead_n, AHEAD_EACH, 0);
	if (got <= 0)                           /* an end, or an error, is met again in its turn */
		return;
	c->ahead = (struct text){ s->ahead + s->ahead_n, (size_t)got };
	c->came = openfile_came();
	s->ahead_n += (size_t)got;
	s->ahead_held++;
}

void input_ungather(struct conn *c)
{
	struct conn_server *s = c->server;

	if (c->ahead.n && !--s->ahead_held)
		s->ahead_n = 0;
	c->ahead = (struct text){ NULL, 0 };
}

static void take_gathered(struct conn *c)
{
	struct conn_server *s = c->server;

	memcpy(c->tls ? s->raw : s->in, c->ahead.p, c->ahead.n);
	*(c->tls ? &s->raw_n : &s->in_n) = c->ahead.n;
	s->turn_in = c->ahead.n;
	s->drained_socket = c->ahead.n < AHEAD_EACH;
	c->got_at = loop_now(s->loop);
	input_ungather(c);
}

void input_begin(struct conn *c)
{
	struct conn_server *s = c->server;

	s->in_n = restore(&c->in_left, s->in);
	s->raw_n = restore(&c->raw_left, s->raw);
	s->in_at = s->raw_at = s->stage_n = s->wire_n = 0;
	s->turn_in = s->turn_out = 0;
	s->drained_socket = false;
	c->blocked = c->wire_left.n > 0;
	c->again = false;
	if (c->ahead.n)
		take_gathered(c);
}

void input_end(struct conn *c)
{
	struct conn_server *s = c->server;

	if (c->gone)
		return;
	if (keep(&c->in_left, s->in + s->in_at, s->in_n - s->in_at) < 0 || keep(&c->raw_left, s->raw + s->raw_at, s->raw_n - s->raw_at) < 0)
		conn_break(c, "out of memory");
}

/* ------------------------------------------------------------------------------------------------ in */

/* One recv into p. >0, 0 end, -1 nothing now, -2 broken. */
static ssize_t receive(struct conn *c, void *p, size_t n)
{
	struct conn_server *s = c->server;
	ssize_t got;

	if (s->drained_socket)
		return -1;
	if (c->eof)
		return 0;
	if (s->turn_in >= TURN_BYTES) {         /* as they come: TLS can wrap many bytes round few, or none */
		c->again = true;
		return -1;
	}
	do
		got = recv(c->watch.fd, p, n, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		s->drained_socket = true;
		return -1;
	}
	if (got < 0) {
		c->eof = true;
		conn_break(c, strerrordesc_np(errno));
		return -2;
	}
	if (!got)
		c->eof = true;
	else if ((size_t)got < n)
		s->drained_socket = true;
	s->turn_in += (size_t)got;
	c->got_at = loop_now(s->loop);
	c->came = openfile_came();
	return got;
}

static void compact(char *p, size_t *at, size_t *n)
{
	if (*at) {
		memmove(p, p + *at, *n - *at);
		*n -= *at;
		*at = 0;
	}
}

ssize_t input_raw(struct conn *c)
{
	struct conn_server *s = c->server;

	compact(s->raw, &s->raw_at, &s->raw_n);
	if (s->raw_n == RAW_SIZE)
		return -1;
	ssize_t got = receive(c, s->raw + s->raw_n, RAW_SIZE - s->raw_n);
	if (got > 0)
		s->raw_n += (size_t)got;
	return got;
}

static int send_wire(struct conn *c, int flags);

ssize_t input_more(struct conn *c)
{
	struct conn_server *s = c->server;
	ssize_t got;

	compact(s->in, &s->in_at, &s->in_n);
	if (s->in_n == IN_SIZE)
		return -1;
	if (c->late.held.n) {
		got = (ssize_t)certificate_held(c, s->in + s->in_n, IN_SIZE - s->in_n);
	} else if (c->tls) {
		size_t at;

		if (s->drained_socket && s->raw_at == s->raw_n && !tls_pending(c->tls))
			return -1;              /* as GnuTLS would find out, at length */
		do {                            /* GnuTLS may stop after a record without data though the next is there */
			at = s->pulled;
			got = tls_read(c->tls, s->in + s->in_n, IN_SIZE - s->in_n);
		} while (got == -1 && s->raw_at < s->raw_n && s->pulled != at);
		if (got == 0)
			c->eof = true;
		if (got == -2) {
			conn_break(c, tls_failure(c->tls));
			c->alerted = true;
		}
	} else if (s->raw_n > s->raw_at) {      /* what the peek has read */
		got = (ssize_t)(s->raw_n - s->raw_at);
		memcpy(s->in + s->in_n, s->raw + s->raw_at, (size_t)got);
		s->raw_at = s->raw_n = 0;
	} else {
		got = receive(c, s->in + s->in_n, IN_SIZE - s->in_n);
	}
	if (got > 0)
		s->in_n += (size_t)got;
	return got;
}

/* GnuTLS asks for 5 bytes and then for a record: it gets them from one large read. */
static ssize_t pull(void *ctx, void *buf, size_t n)
{
	struct conn *c = ctx;
	struct conn_server *s = c->server;

	if (s->raw_at == s->raw_n) {
		s->raw_at = s->raw_n = 0;
		ssize_t got = receive(c, s->raw, RAW_SIZE);
		if (got == 0)
			return 0;
		if (got < 0) {
			errno = got == -1 ? EAGAIN : ECONNRESET;
			return -1;
		}
		s->raw_n = (size_t)got;
	}
	if (n > s->raw_n - s->raw_at)
		n = s->raw_n - s->raw_at;
	memcpy(buf, s->raw + s->raw_at, n);
	s->raw_at += n;
	s->pulled += n;
	return (ssize_t)n;
}

/* ------------------------------------------------------------------------------------------------ out */

static ssize_t push(void *ctx, const struct iovec *iov, int n)
{
	struct conn *c = ctx;
	struct conn_server *s = c->server;
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (total > WIRE_SIZE - s->wire_n) {
		errno = EAGAIN;
		return -1;
	}
	for (int i = 0; i < n; i++) {
		memcpy(s->wire + s->wire_n, iov[i].iov_base, iov[i].iov_len);
		s->wire_n += iov[i].iov_len;
	}
	return (ssize_t)total;
}

const struct tls_io output_tls_io = { .ctx = NULL, .pull = pull, .push = push };

/* One send; moves what is left to the front. Sets blocked; -1 broken. */
static int send_part(struct conn *c, char *p, size_t *n, int flags)
{
	size_t at = 0;

	while (at < *n) {
		ssize_t done = send(c->watch.fd, p + at, *n - at, MSG_NOSIGNAL | MSG_DONTWAIT | flags);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			c->blocked = true;
			break;
		}
		if (done < 0) {
			conn_break(c, strerrordesc_np(errno));
			*n = 0;
			return -1;
		}
		at += (size_t)done;
	}
	if (at)
		c->sent_at = loop_now(c->server->loop);
	counter_add(&c->server->o.counters->bytes_out, at);
	if (at && at < *n)
		memmove(p, p + at, *n - at);
	*n -= at;
	return 0;
}

static int send_wire(struct conn *c, int flags)
{
	struct conn_server *s = c->server;

	if (c->wire_left.n) {
		if (send_part(c, c->wire_left.p, &c->wire_left.n, flags) < 0)
			return -1;
		if (c->wire_left.n)
			return 0;
		drop(&c->wire_left);
		c->blocked = false;
	}
	return s->wire_n ? send_part(c, s->wire, &s->wire_n, flags) : 0;
}

int output_seal(struct conn *c)
{
	struct conn_server *s = c->server;
	size_t at = 0;

	while (at < s->stage_n) {
		ssize_t done = tls_write(c->tls, s->stage + at, s->stage_n - at);

		if (done < 0) {
			conn_break(c, done == -2 ? tls_failure(c->tls) : "no room for a TLS record");
			s->stage_n = 0;
			return -1;
		}
		at += (size_t)done;
	}
	s->stage_n = 0;
	return 0;
}

/* Whether more may be queued; sends when the buffer is full. */
static bool room(struct conn *c)
{
	struct conn_server *s = c->server;

	if (c->gone)
		return false;
	if (s->wire_n >= WIRE_FULL)
		send_wire(c, 0);
	return !c->gone && s->wire_n < WIRE_FULL && !c->wire_left.n;
}

size_t output_put(struct conn *c, const void *p, size_t n)
{
	struct conn_server *s = c->server;
	const char *from = p;
	size_t taken = 0;

	while (taken < n && room(c)) {
		size_t free_bytes = c->tls ? RECORD_SIZE - s->stage_n : WIRE_FULL - s->wire_n;
		size_t part = n - taken < free_bytes ? n - taken : free_bytes;

		memcpy(c->tls ? s->stage + s->stage_n : s->wire + s->wire_n, from + taken, part);
		*(c->tls ? &s->stage_n : &s->wire_n) += part;
		taken += part;
		if (c->tls && s->stage_n == RECORD_SIZE && output_seal(c) < 0)
			break;
	}
	s->turn_out += taken;
	return taken;
}

size_t output_space(struct conn *c)
{
	struct conn_server *s = c->server;

	if (!room(c))
		return 0;
	if (s->turn_out >= TURN_BYTES) {
		c->again = true;
		return 0;
	}
	return WIRE_FULL - s->wire_n;
}

char *output_lay(struct conn *c, size_t n)
{
	struct conn_server *s = c->server;

	if (!output_space(c))
		return NULL;
	if (!c->tls)
		return s->wire + s->wire_n;     /* behind WIRE_FULL there is room for a record */
	if (RECORD_SIZE - s->stage_n < n && output_seal(c) < 0)
		return NULL;
	return s->stage + s->stage_n;
}

void output_laid(struct conn *c, size_t n)
{
	struct conn_server *s = c->server;

	*(c->tls ? &s->stage_n : &s->wire_n) += n;
	s->turn_out += n;
	if (c->tls && s->stage_n == RECORD_SIZE)
		output_seal(c);
}

int output_must(struct conn *c, const void *p, size_t n)
{
	struct conn_server *s = c->server;
	const char *from = p;

	while (n && !c->gone) {
		size_t taken = output_put(c, from, n);

		if (!taken) {                   /* the socket is full: what is queued moves to the connection, then there is room */
			if (output_flush(c) < 0)
				return -1;
			taken = n < RECORD_SIZE ? n : RECORD_SIZE;
			memcpy(c->tls ? s->stage : s->wire, from, taken);
			*(c->tls ? &s->stage_n : &s->wire_n) = taken;
		}
		from += taken;
		n -= taken;
	}
	return c->gone ? -1 : 0;
}

/* Reads file bytes into the buffer that is gathered. */
static ssize_t read_file(struct conn *c, int fd, uint64_t offset, uint64_t n, uint64_t came)
{
	struct conn_server *s = c->server;
	uint64_t taken = 0;

	while (taken < n && taken < TURN_BYTES && room(c)) {
		size_t free_bytes = c->tls ? RECORD_SIZE - s->stage_n : WIRE_FULL - s->wire_n;
		size_t part = n - taken < free_bytes ? (size_t)(n - taken) : free_bytes;
		ssize_t got = openfile_read(fd, c->tls ? s->stage + s->stage_n : s->wire + s->wire_n, part, (off_t)(offset + taken), came);

		if (got <= 0)
			return -1;
		*(c->tls ? &s->stage_n : &s->wire_n) += (size_t)got;
		taken += (uint64_t)got;
		if (c->tls && s->stage_n == RECORD_SIZE && output_seal(c) < 0)
			break;
	}
	return (ssize_t)taken;
}

static ssize_t send_file(struct conn *c, int fd, uint64_t offset, uint64_t n)
{
	off_t at = (off_t)offset;

	if (send_wire(c, MSG_MORE) < 0 || c->blocked)
		return 0;
	while (n && (uint64_t)at - offset < TURN_BYTES) {
		uint64_t most = TURN_BYTES - ((uint64_t)at - offset);
		ssize_t done = sendfile(c->watch.fd, fd, &at, (size_t)(n < most ? n : most));

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			c->blocked = true;
			break;
		}
		if (done < 0 && (errno == EPIPE || errno == ECONNRESET)) {
			conn_break(c, strerrordesc_np(errno));
			break;
		}
		if (done < 0 && (errno == EINVAL || errno == ENOSYS) && at == (off_t)offset)
			return read_file(c, fd, offset, n, 0);  /* a file system that cannot */
		if (done <= 0)
			return -1;
		n -= (uint64_t)done;
		c->sent_at = loop_now(c->server->loop);
		counter_add(&c->server->o.counters->bytes_out, (uint64_t)done);
	}
	return (ssize_t)((uint64_t)at - offset);
}

ssize_t output_file(struct conn *c, int fd, uint64_t offset, uint64_t n, uint64_t came)
{
	struct conn_server *s = c->server;
	ssize_t taken = 0;

	if (s->turn_out < TURN_BYTES)
		taken = c->tls || n <= SMALL_FILE ? read_file(c, fd, offset, n, came) : send_file(c, fd, offset, n);
	if (taken > 0)
		s->turn_out += (size_t)taken;
	if (taken >= 0 && (uint64_t)taken < n && !c->blocked)
		c->again = true;
	return taken;
}

int output_flush(struct conn *c)
{
	struct conn_server *s = c->server;

	if (c->gone)
		return -1;
	if (s->stage_n && output_seal(c) < 0)
		return -1;
	if (send_wire(c, 0) < 0)
		return -1;
	if (s->wire_n) {                        /* the socket is full */
		if (keep(&c->wire_left, s->wire, s->wire_n) < 0) {
			conn_break(c, "out of memory");
			return -1;
		}
		s->wire_n = 0;
	}
	return c->wire_left.n ? 1 : 0;
}

void output_forget(const struct conn *c)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

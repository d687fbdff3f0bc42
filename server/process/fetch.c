/*
 * fetch.c - one question by HTTP. Runs in a job with network rights alone; the job is killed where the name service takes
 * longer than the question may.
 */
#include "process/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "process/shared.h"

/* ------------------------------------------------------------------------------------------------ addresses */

int fetch_parse(const char *url, struct fetch_url *u, struct err *e)
{
	const char *at = url, *end, *colon;
	uint64_t port = 80;
	size_t n;

	*u = (struct fetch_url){ .port = "80" };
	if (strncasecmp(at, "http://", 7) != 0) {
		err_set(e, "%s is no address that begins with http://", url);
		return err_remedy(e, "responders are asked over plain HTTP: their answers are signed");
	}
	at += 7;
	for (const char *c = at; *c; c++)
		if (*c <= ' ' || *c > '~')
			return err_set(e, "the address has bytes that may not stand in one");
	end = at + strcspn(at, "/?#");
	n = strcspn(end, "#");
	if (end == at || memchr(at, '@', (size_t)(end - at)) || n + 2 > sizeof u->target || (size_t)(end - at) >= sizeof u->field)
		return err_set(e, "%.200s is no address of a host", url);
	snprintf(u->target, sizeof u->target, "%s%.*s", *end == '/' ? "" : "/", (int)n, end);
	snprintf(u->field, sizeof u->field, "%.*s", (int)(end - at), at);
	colon = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : at;
	if (*at == '[' && !colon)
		return err_set(e, "%.200s: a bracket is open", url);
	colon = memchr(colon, ':', (size_t)(end - colon));
	if (colon && text_u64((struct text){ colon + 1, (size_t)(end - colon - 1) }, 65535, &port) != 0)
		return err_set(e, "%.200s: the port is no number", url);
	n = (size_t)((colon ? colon : end) - at);
	if (*at == '[') {
		at++;
		n -= 2;
	}
	if (!n || n >= sizeof u->host)
		return err_set(e, "%.200s is no address of a host", url);
	memcpy(u->host, at, n);
	snprintf(u->port, sizeof u->port, "%u", (unsigned)port & 0xffff);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ the answer */

/* Joins chunks in place, where `move` is given; without, it only looks whether all are there. 1, 0: more must come, -1: nonsense. */
static int join_chunks(char *from, size_t n, bool move, size_t *len)
{
	size_t at = 0, to = 0;

	for (;;) {
		const char *line = from + at, *eol = memmem(line, n - at, "\r\n", 2);
		uint64_t size;
		size_t digits;

		if (!eol)
			return n - at > 64 ? -1 : 0;
		for (digits = 0; line + digits < eol && line[digits] != ';' && line[digits] != ' '; digits++)
			;
		if (text_hex64((struct text){ line, digits }, INT32_MAX, &size) != 0)
			return -1;
		at += (size_t)(eol - line) + 2;
		if (size == 0) {
			*len = to;
			return 1;
		}
		if (n - at < size + 2)
			return 0;
		if (move)
			memmove(from + to, from + at, size);
		to += size;
		at += size + 2;
	}
}

/* The value of a field of the head, without blanks around it; p NULL = not there. */
static struct text field(const char *head, size_t n, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = head, *end = head + n; at < end;) {
		const char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
		size_t line = (size_t)((eol ? eol : end) - at);

		if (line > length && at[length] == ':' && !strncasecmp(at, name, length))
			return text_trim((struct text){ at + length + 1, line - length - 1 });
		at += line + 2;
	}
	return (struct text){ 0 };
}

int fetch_answer(char *text, size_t n, bool end, char **body, size_t *len, struct err *e)
{
	char *blank = memmem(text, n, "\r\n\r\n", 4);
	struct text length, coding;
	size_t head, rest;
	uint64_t wanted;
	int rc;

	if (n >= 5 && memcmp(text, "HTTP/", 5) != 0)
		return err_set(e, "it does not speak HTTP");
	if (!blank)
		return end ? err_set(e, "it closed the connection without an answer") : 0;
	head = (size_t)(blank - text) + 2;
	if (head < 14 || text[8] != ' ' || memcmp(text + 9, "200", 3) != 0 || (text[12] != ' ' && text[12] != '\r'))
		return err_set(e, "it answers with \"%.*s\", not 200", (int)(strcspn(text, "\r") < 100 ? strcspn(text, "\r") : 100), text);
	*body = blank + 4;
	rest = n - head - 2;
	coding = field(text, head, "Transfer-Encoding");
	length = field(text, head, "Content-Length");
	if (coding.p) {
		if (!text_is_nocase(coding, "chunked"))
			return err_set(e, "it uses a transfer coding that was not asked for");
		rc = join_chunks(*body, rest, false, len);
		return rc > 0 ? join_chunks(*body, rest, true, len) : rc < 0 || end ? err_set(e, "its chunks are cut short or wrong") : 0;
	}
	if (length.p) {
		if (text_u64(length, INT32_MAX, &wanted) != 0)
			return err_set(e, "its Content-Length is no number");
		*len = (size_t)wanted;
		return rest >= wanted ? 1 : end ? err_set(e, "its answer is cut short") : 0;
	}
	*len = rest;
	return end;
}

/* ------------------------------------------------------------------------------------------------ the connection */

static int wait_for(int fd, short events, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - shared_now();
		int r = left <= 0 ? 0 : poll(&(struct pollfd){ .fd = fd, .events = events }, 1, (int)left);

		if (r > 0)
			return 0;
		if (r == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (errno != EINTR)
			return -1;
	}
}

static int connect_one(const struct addrinfo *a, int64_t deadline)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), why = 0;
	socklen_t n = sizeof why;

	if (fd < 0)
		return -1;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	if (errno == EINPROGRESS && wait_for(fd, POLLOUT, deadline) == 0) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n) == 0 && why == 0)
			return fd;
		errno = why;
	}
	why = errno;
	close(fd);
	errno = why;
	return -1;
}

/* Each address gets its share of what time is left. */
static int connect_any(const struct fetch_url *u, int64_t deadline, struct err *e)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list;
	int rc = getaddrinfo(u->host, u->port, &hints, &list), fd = -1, left = 0;

	if (rc) {
		err_set(e, "the name %s cannot be looked up: %s", u->host, gai_strerror(rc));
		return err_remedy(e, "see /etc/resolv.conf and the address; SSLStaplingForceURL names another");
	}
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		left++;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next, left--) {
		int64_t now = shared_now();

		fd = connect_one(a, now + (deadline - now) / left);
	}
	freeaddrinfo(list);
	if (fd >= 0)
		return fd;
	err_sys(e, "no connection to %s port %s", u->host, u->port);
	return err_remedy(e, "see whether the responder runs and a firewall lets the server out; SSLStaplingForceURL names another");
}

static int send_all(int fd, const char *p, size_t n, int64_t deadline)
{
	while (n) {
		ssize_t put = send(fd, p, n, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && (errno != EAGAIN || wait_for(fd, POLLOUT, deadline) < 0))
			return -1;
		if (put > 0) {
			p += put;
			n -= (size_t)put;
		}
	}
	return 0;
}

static int receive(int fd, char *buf, size_t room, int64_t deadline, char **body, size_t *len, struct err *e)
{
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(fd, buf + n, room - n, 0);
		int rc;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN && wait_for(fd, POLLIN, deadline) == 0)
			continue;
		if (got < 0) {
			err_sys(e, "no answer");
			return err_remedy(e, "see whether the responder is well; SSLStaplingResponderTimeout says how long it is waited for");
		}
		n += (size_t)got;
		rc = fetch_answer(buf, n, got == 0, body, len, e);
		if (rc)
			return rc < 0 ? -1 : 0;
		if (n == room)
			return err_set(e, "its answer is longer than %zu bytes", room);
	}
}

int fetch_post(const struct fetch_question *q, char *buf, size_t room, char **body, size_t *len, struct err *e)
{
	int64_t deadline = shared_now() + q->time_ms;
	char head[3072];
	int fd = connect_any(&q->url, deadline, e), n, rc = -1;

	if (fd < 0)
		return -1;
	n = snprintf(head, sizeof head,
		     "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nAccept: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		     q->url.target, q->url.field, q->type, q->accept, q->n);
	if (n < 0 || (size_t)n >= sizeof head)
		err_set(e, "the address is too long");
	else if (send_all(fd, head, (size_t)n, deadline) < 0 || send_all(fd, q->body, q->n, deadline) < 0)
		err_sys(e, "the request cannot be sent");
	else
		rc = receive(fd, buf, room, deadline, body, len, e);
	close(fd);
	return rc;
}

/*
 * fetch.c - one question by HTTP. Runs in a job with network rights alone (it is killed where the name service takes
 * longer than the question may), in the checker, several at a time, and in -X.
 */
#include "process/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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

struct fetch {
	const char *url_directive, *time_directive;
	struct fetch_url url;
	struct addrinfo *list, *at;     /* addresses; at: the one that is tried */
	int fd;
	bool connected;
	int64_t deadline, next;         /* next: when another address is tried */
	char *request;
	size_t n, sent;
	char *buf;
	size_t room, got;
};

static int no_connection(const struct fetch *f, struct err *e)
{
	err_sys(e, "no connection to %s port %s", f->url.host, f->url.port);
	return err_remedy(e, "see whether the responder runs and a firewall lets the server out; %s names another", f->url_directive);
}

/* Begins with the next address that can be begun with; each gets its share of what time is left. 0 or -1 with errno. */
static int connect_next(struct fetch *f)
{
	for (f->at = f->at ? f->at->ai_next : f->list; f->at; f->at = f->at->ai_next) {
		int64_t now = shared_now();
		int left = 0, why;

		for (const struct addrinfo *a = f->at; a; a = a->ai_next)
			left++;
		f->next = now + (f->deadline - now) / left;
		f->fd = socket(f->at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (f->fd < 0)
			continue;
		f->connected = connect(f->fd, f->at->ai_addr, f->at->ai_addrlen) == 0;
		if (f->connected || errno == EINPROGRESS)
			return 0;
		why = errno;
		close(f->fd);
		f->fd = -1;
		errno = why;
	}
	return -1;
}

static int make_request(struct fetch *f, const struct fetch_question *q)
{
	size_t room = 3072 + q->n;
	int n;

	f->request = malloc(room);
	n = f->request ? snprintf(f->request, 3072,
				  "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nAccept: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
				  q->url.target, q->url.field, q->type, q->accept, q->n) : -1;
	if (n < 0 || n >= 3072)
		return -1;
	memcpy(f->request + n, q->body, q->n);
	f->n = (size_t)n + q->n;
	return 0;
}

struct fetch *fetch_begin(const struct fetch_question *q, char *buf, size_t room, struct err *e)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct fetch *f = calloc(1, sizeof *f);
	int rc;

	if (f)
		f->fd = -1;
	if (!f || make_request(f, q) < 0) {
		err_set(e, f && f->request ? "the address is too long" : "no memory");
		goto fail;
	}
	f->url_directive = q->url_directive ? q->url_directive : "SSLStaplingForceURL";
	f->time_directive = q->time_directive ? q->time_directive : "SSLStaplingResponderTimeout";
	f->url = q->url;
	f->deadline = shared_now() + q->time_ms;
	f->buf = buf;
	f->room = room;
	rc = getaddrinfo(q->url.host, q->url.port, &hints, &f->list);
	if (rc) {
		f->list = NULL;
		err_set(e, "the name %s cannot be looked up: %s", q->url.host, gai_strerror(rc));
		err_remedy(e, "see /etc/resolv.conf and the address; %s names another", f->url_directive);
		goto fail;
	}
	if (connect_next(f) == 0)
		return f;
	no_connection(f, e);
fail:
	fetch_end(f);
	return NULL;
}

int fetch_fd(const struct fetch *f, short *events)
{
	*events = f->connected && f->sent == f->n ? POLLIN : POLLOUT;
	return f->fd;
}

int64_t fetch_due(const struct fetch *f)
{
	return !f->connected && f->next < f->deadline ? f->next : f->deadline;
}

/* Whether the connection stands. 1, 0: not yet, -1. */
static int connected(struct fetch *f, struct err *e)
{
	int why = 0;
	socklen_t n = sizeof why;
	struct pollfd p = { .fd = f->fd, .events = POLLOUT };

	if (f->connected)
		return 1;
	if (poll(&p, 1, 0) > 0) {
		if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &why, &n) == 0 && why == 0) {
			f->connected = true;
			return 1;
		}
	} else if (shared_now() < f->next) {
		return 0;
	} else {
		why = ETIMEDOUT;
	}
	close(f->fd);
	f->fd = -1;
	errno = why;
	return connect_next(f) == 0 ? 0 : no_connection(f, e);
}

static int receive(struct fetch *f, char **body, size_t *len, struct err *e)
{
	for (;;) {
		ssize_t got = recv(f->fd, f->buf + f->got, f->room - f->got, 0);
		int rc;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return 0;
		if (got < 0)
			return err_sys(e, "no answer");
		f->got += (size_t)got;
		rc = fetch_answer(f->buf, f->got, got == 0, body, len, e);
		if (rc)
			return rc;
		if (f->got == f->room)
			return err_set(e, "its answer is longer than %zu bytes", f->room);
	}
}

int fetch_go(struct fetch *f, char **body, size_t *len, struct err *e)
{
	int rc;

	if (f->connected && shared_now() >= f->deadline) {
		errno = ETIMEDOUT;
		err_sys(e, "no answer");
		return err_remedy(e, "see whether the responder is well; %s says how long it is waited for", f->time_directive);
	}
	if ((rc = connected(f, e)) <= 0)
		return rc;
	while (f->sent < f->n) {
		ssize_t put = send(f->fd, f->request + f->sent, f->n - f->sent, MSG_NOSIGNAL);

		if (put < 0 && errno == EAGAIN)
			return 0;
		if (put < 0 && errno != EINTR)
			return err_sys(e, "the request cannot be sent");
		if (put > 0)
			f->sent += (size_t)put;
	}
	return receive(f, body, len, e);
}

void fetch_end(struct fetch *f)
{
	if (!f)
		return;
	if (f->list)
		freeaddrinfo(f->list);
	if (f->fd >= 0)
		close(f->fd);
	free(f->request);
	free(f);
}

int fetch_post(const struct fetch_question *q, char *buf, size_t room, char **body, size_t *len, struct err *e)
{
	struct fetch *f = fetch_begin(q, buf, room, e);
	int rc = f ? 0 : -1;

	while (rc == 0 && (rc = fetch_go(f, body, len, e)) == 0) {
		struct pollfd p;
		int64_t left = fetch_due(f) - shared_now();

		p.fd = fetch_fd(f, &p.events);
		if (left > 0)
			poll(&p, 1, (int)left);
	}
	fetch_end(f);
	return rc < 0 ? -1 : 0;
}

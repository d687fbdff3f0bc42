/*
 * net.c - the network of bulkhead-cert check: one handshake with a server to see what it sends, and one plain GET for an
 * intermediate certificate that a certificate names. Bounded in time and size; trusts nothing that comes.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cert/tool/tool.h"

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0, or -1 with errno. The socket stays non-blocking: every wait has the deadline. */
static int wait_for(int fd, short events, int64_t end)
{
	for (;;) {
		struct pollfd p = { fd, events, 0 };
		int64_t left = end - now_ms();
		int r = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (r > 0)
			return 0;
		if (r == 0 || errno != EINTR) {
			errno = r == 0 ? ETIMEDOUT : errno;
			return -1;
		}
	}
}

static int connect_one(const struct addrinfo *a, int64_t end)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol), error = 0;
	socklen_t n = sizeof error;

	if (fd < 0)
		return -1;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	if (errno == EINPROGRESS && wait_for(fd, POLLOUT, end) == 0
	    && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0) {
		if (!error)
			return fd;
		errno = error;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int net_connect(const char *host, const char *port, int64_t end, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list, *a;
	int r = getaddrinfo(host, port, &hints, &list), fd = -1;

	if (r != 0) {
		err_set(e, "there is no address of %s: %s", host, gai_strerror(r));
		return err_remedy(e, "see what the name service says: getent hosts %s", host);
	}
	errno = ETIMEDOUT;
	for (a = list; a && fd < 0; a = a->ai_next)
		fd = connect_one(a, end);
	freeaddrinfo(list);
	if (fd < 0) {
		err_sys(e, "%s port %s cannot be reached", host, port);
		err_remedy(e, "is the server running, and does it listen there? ss -ltn on that machine tells");
	}
	return fd;
}

/* ------------------------------------------------------------------------------------------------ what a server sends */

static int shake(gnutls_session_t s, int fd, int64_t end, const char *host, const char *port, struct err *e)
{
	int r;

	for (;;) {
		r = gnutls_handshake(s);
		if (r == GNUTLS_E_SUCCESS)
			return 0;
		if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED) {
			if (wait_for(fd, gnutls_record_get_direction(s) ? POLLOUT : POLLIN, end) == 0)
				continue;
			return err_sys(e, "%s port %s did not finish the TLS handshake", host, port);
		}
		if (gnutls_error_is_fatal(r))
			break;
	}
	if (r == GNUTLS_E_FATAL_ALERT_RECEIVED) {
		const char *alert = gnutls_alert_get_name(gnutls_alert_get(s));
		return err_set(e, "%s port %s refused the TLS handshake: %s", host, port,
			       alert ? alert : "an alert");
	}
	err_set(e, "%s port %s does not speak TLS as expected: %s", host, port, gnutls_strerror(r));
	if (r == GNUTLS_E_UNEXPECTED_PACKET_LENGTH || r == GNUTLS_E_UNSUPPORTED_VERSION_PACKET
	    || r == GNUTLS_E_UNEXPECTED_PACKET)
		err_remedy(e, "it may be a port for plain HTTP: try port 443, or set SSLEngine on there");
	return -1;
}

static int take_chain(gnutls_session_t s, struct shown *out, const char *host, struct err *e)
{
	unsigned n = 0;
	const gnutls_datum_t *raw = gnutls_certificate_get_peers(s, &n);

	if (!raw || !n)
		return err_set(e, "%s sent no certificate", host);
	for (unsigned i = 0; i < n && out->chain.n < CERT_MAX_CHAIN; i++) {
		gnutls_x509_crt_t crt;

		if (gnutls_x509_crt_init(&crt) < 0)
			return err_set(e, "out of memory");
		if (gnutls_x509_crt_import(crt, &raw[i], GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crt_deinit(crt);
			return err_set(e, "%s sent a certificate that cannot be read", host);
		}
		out->chain.at[out->chain.n++] = crt;
	}
	return 0;
}

static void take_words(gnutls_session_t s, struct shown *out)
{
	gnutls_datum_t d = { 0 };
	char *suite = gnutls_session_get_desc(s);

	snprintf(out->protocol, sizeof out->protocol, "%s",
		 gnutls_protocol_get_name(gnutls_protocol_get_version(s)));
	snprintf(out->suite, sizeof out->suite, "%s", suite ? suite : "");
	gnutls_free(suite);
	if (gnutls_ocsp_status_request_get2(s, 0, &d) < 0 || !d.size)
		return;
	out->answer.data = gnutls_malloc(d.size);
	if (!out->answer.data)
		return;
	memcpy(out->answer.data, d.data, d.size);
	out->answer.size = d.size;
	out->stapled = true;
}

static int set_up(gnutls_session_t s, gnutls_certificate_credentials_t cred, const char *sni)
{
	int r = gnutls_priority_set_direct(s, "NORMAL:+VERS-TLS1.1:+VERS-TLS1.0:%VERIFY_ALLOW_BROKEN", NULL);

	if (r >= 0)
		r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred);
	if (r >= 0 && sni)
		r = gnutls_server_name_set(s, GNUTLS_NAME_DNS, sni, strlen(sni));
	gnutls_dh_set_prime_bits(s, 1024);
	return r;
}

int net_look(const char *host, const char *port, const char *sni, int seconds, struct shown *out, struct err *e)
{
	int64_t end = now_ms() + (int64_t)seconds * 1000;
	gnutls_certificate_credentials_t cred = NULL;
	gnutls_session_t s = NULL;
	int fd = net_connect(host, port, end, e), r;

	*out = (struct shown){ .stapled = false };
	if (fd < 0)
		return -1;
	if ((r = gnutls_certificate_allocate_credentials(&cred)) < 0
	    || (r = gnutls_init(&s, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL)) < 0
	    || (r = set_up(s, cred, sni)) < 0) {
		r = err_set(e, "no handshake can be made: %s", gnutls_strerror(r));
	} else {
		gnutls_transport_set_int(s, fd);
		r = shake(s, fd, end, host, port, e);
		if (r == 0) {
			take_words(s, out);
			r = take_chain(s, out, host, e);
			(void)gnutls_bye(s, GNUTLS_SHUT_WR);
		}
	}
	if (s)
		gnutls_deinit(s);
	if (cred)
		gnutls_certificate_free_credentials(cred);
	close(fd);
	return r;
}

/* ------------------------------------------------------------------------------------------------ one plain GET */

struct url {
	char host[256], port[8], path[1024];
};

static int split(const char *text, struct url *u)
{
	const char *p = text + 7, *slash = strchrnul(p, '/'), *colon;
	bool literal = *p == '[';
	const char *stop = literal ? memchr(p, ']', (size_t)(slash - p)) : NULL;

	if (strncasecmp(text, "http://", 7) != 0 || (literal && !stop))
		return -1;
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~')
			return -1;
	colon = literal ? (stop[1] == ':' ? stop + 1 : NULL) : memchr(p, ':', (size_t)(slash - p));
	snprintf(u->host, sizeof u->host, "%.*s",
		 (int)((literal ? stop
			: colon ? colon
				: slash)
		       - p - literal),
		 p + literal);
	snprintf(u->port, sizeof u->port, "%.*s", colon ? (int)(slash - colon - 1) : 2, colon ? colon + 1 : "80");
	if (snprintf(u->path, sizeof u->path, "%s", *slash ? slash : "/") >= (int)sizeof u->path)
		return -1;
	return *u->host && *u->port && strspn(u->port, "0123456789") == strlen(u->port) ? 0 : -1;
}

static int send_all(int fd, const char *p, size_t n, int64_t end)
{
	while (n) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		if (sent < 0 && wait_for(fd, POLLOUT, end) != 0)
			return -1;
		p += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

/* Until it closes: HTTP/1.0, so that no length has to be read. */
static int receive_all(int fd, gnutls_datum_t *out, int64_t end)
{
	out->data = gnutls_malloc(CERT_MAX_FILE);
	if (!out->data)
		return -1;
	for (;;) {
		ssize_t n = recv(fd, out->data + out->size, CERT_MAX_FILE - out->size, 0);

		if (n == 0 && out->size < CERT_MAX_FILE)
			return 0;
		if (n == 0)
			errno = EMSGSIZE;
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)
		    || (n < 0 && wait_for(fd, POLLIN, end) != 0))
			return -1;
		out->size += n > 0 ? (unsigned)n : 0;
	}
}

static int take_body(gnutls_datum_t *d, const char *url, struct err *e)
{
	const char *head = (const char *)d->data,
		   *body = d->size > 12 ? memmem(head, d->size, "\r\n\r\n", 4) : NULL;

	if (!body || strncmp(head, "HTTP/1.", 7) != 0)
		return err_set(e, "%s is answered with something that is not HTTP", url);
	if (strncmp(head + 9, "200", 3) != 0)
		return err_set(e, "%s is answered with %.3s", url, head + 9);
	d->size -= (unsigned)(body + 4 - head);
	memmove(d->data, body + 4, d->size);
	return 0;
}

int net_fetch(const char *url, int seconds, gnutls_datum_t *out, struct err *e)
{
	int64_t end = now_ms() + (int64_t)seconds * 1000;
	char request[1500];
	struct url u;
	int fd, n, r = -1;

	*out = (gnutls_datum_t){ 0 };
	if (split(url, &u) != 0) {
		err_set(e, "'%s' is not fetched: only http:// is", url);
		return err_remedy(e, "get it by hand: curl -O %s", url);
	}
	if ((fd = net_connect(u.host, u.port, end, e)) < 0)
		return -1;
	n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\nAccept: */*\r\n\r\n", u.path,
		     u.host);
	if (send_all(fd, request, (size_t)n, end) != 0 || receive_all(fd, out, end) != 0)
		err_sys(e, "%s cannot be fetched", url);
	else
		r = take_body(out, url, e);
	close(fd);
	if (r != 0) {
		gnutls_free(out->data);
		out->data = NULL;
		out->size = 0;
	}
	return r;
}

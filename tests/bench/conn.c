/*
 * conn.c - the life of one client connection as a switch over its states: connect, handshake, then for each
 * request send and read, for TLS 1.3 perhaps a wait for the ticket, and the end. Called by load.c, in the
 * measuring processes.
 */
#include "conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICKET_WAIT_NS 1000000000u /* for a ticket that comes after the last response */

static void release(struct conn *c, enum conn_state next)
{
	if (c->tls)
		gnutls_deinit(c->tls);
	if (c->fd >= 0)
		close(c->fd); /* leaves epoll by itself: the descriptor is never duplicated */
	c->tls = NULL;
	c->fd = -1;
	c->state = next;
}

static void count_at(const struct env *env, uint64_t *slots)
{
	uint64_t slot = (now_ns() - env->begin_ns) / env->slot_ns;

	slots[slot < STATS_SLOTS ? slot : STATS_SLOTS - 1]++;
}

static void fail(struct conn *c, enum fail why, int64_t code)
{
	struct env *env = c->env;

	stats_fail(env->stats, why, code);
	count_at(env, env->stats->failed_at);
	c->step_ns = now_ns();
	release(c, CONN_RESTING);
}

void conn_abandon(struct conn *c)
{
	release(c, CONN_IDLE);
}

static void watch(struct conn *c, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data = { .ptr = c } };

	if (c->events != events)
		epoll_ctl(c->env->epoll, EPOLL_CTL_MOD, c->fd, &ev);
	c->events = events;
}

/* ---------------------------------------------------------------- connect */

static void connect_failed(struct conn *c, int error)
{
	if (error == ECONNREFUSED)
		fail(c, FAIL_REFUSED, error);
	else
		fail(c, error == ETIMEDOUT ? FAIL_CONNECT_TIMEOUT : FAIL_CONNECT, error);
}

void conn_start(struct conn *c, struct env *env, unsigned session)
{
	const struct addr *to = &env->target->addr;
	struct epoll_event ev = { .events = EPOLLOUT, .data = { .ptr = c } };
	int on = 1;

	*c = (struct conn){
		.fd = -1, .env = env, .session = session, .state = CONN_CONNECTING, .events = EPOLLOUT
	};
	c->requests_left = env->filling ? 1 : env->options->requests;
	env->stats->started++;
	c->step_ns = now_ns();
	c->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		fail(c, FAIL_CONNECT, errno);
		return;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(c->fd, &to->sa, to->len) < 0 && errno != EINPROGRESS)
		connect_failed(c, errno);
	else if (epoll_ctl(env->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		fail(c, FAIL_CONNECT, errno);
}

/* ---------------------------------------------------------------- handshake */

static int saw_ticket(gnutls_session_t tls, unsigned type, unsigned when, unsigned incoming,
                      const gnutls_datum_t *message)
{
	struct conn *c = gnutls_session_get_ptr(tls);

	(void)type;
	(void)when;
	(void)message;
	if (incoming)
		c->env->stats->tickets++;
	return 0;
}

/* 0, or GnuTLS' error. */
static int prepare(struct conn *c)
{
	const struct options *o = c->env->options;
	const struct target *t = c->env->target;
	static const gnutls_datum_t http11 = { (unsigned char *)"http/1.1", 8 };
	unsigned flags = GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
	const struct session *s;
	int rc;

	if (o->resume == RESUME_ID)
		flags |= GNUTLS_NO_TICKETS;
	if ((rc = gnutls_init(&c->tls, flags)) < 0)
		return rc;
	gnutls_session_set_ptr(c->tls, c);
	if ((rc = gnutls_priority_set(c->tls, t->priority)) < 0 ||
	    (rc = gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, t->credentials)) < 0 ||
	    (rc = gnutls_alpn_set_protocols(c->tls, &http11, 1, 0)) < 0)
		return rc;
	if (!t->numeric && (rc = gnutls_server_name_set(c->tls, GNUTLS_NAME_DNS, o->name, strlen(o->name))) < 0)
		return rc;
	if (!o->insecure)
		gnutls_session_set_verify_cert(c->tls, o->any_name ? NULL : o->name, 0);
	gnutls_handshake_set_hook_function(c->tls, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET, GNUTLS_HOOK_POST,
	                                   saw_ticket);
	gnutls_handshake_set_timeout(c->tls, 0); /* ours is in conn_check_time */
	gnutls_transport_set_int(c->tls, c->fd);
	if (c->env->store && !c->env->filling) {
		s = &c->env->store->sessions[c->session];
		c->offered =
		    s->data.size > 0 && gnutls_session_set_data(c->tls, s->data.data, s->data.size) == 0;
	}
	return 0;
}

/* Keeps in words what is wrong with the first certificate that did not verify. */
static void note_certificate(const struct conn *c)
{
	struct stats *s = c->env->stats;
	unsigned status = gnutls_session_get_verify_cert_status(c->tls);
	gnutls_datum_t words;

	if (s->certificate[0] ||
	    gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &words, 0) < 0)
		return;
	while (words.size > 0 && strchr(". ", words.data[words.size - 1]))
		words.size--;
	snprintf(s->certificate, sizeof s->certificate, "%.*s", (int)words.size, (char *)words.data);
	gnutls_free(words.data);
}

static void handshake_failed(struct conn *c, int rc)
{
	struct stats *s = c->env->stats;

	switch (rc) {
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		s->alert[gnutls_alert_get(c->tls) & 0xff]++;
		fail(c, FAIL_ALERT, (int)gnutls_alert_get(c->tls));
		break;
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
	case GNUTLS_E_CERTIFICATE_ERROR:
		note_certificate(c);
		gnutls_alert_send_appropriate(c->tls, rc);
		fail(c, FAIL_CERTIFICATE, rc);
		break;
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR: fail(c, FAIL_HANDSHAKE_RESET, rc); break;
	default: fail(c, FAIL_HANDSHAKE, rc);
	}
}

/* Was the session that was asked for resumed? */
static void count_resumption(struct conn *c)
{
	struct env *env = c->env;
	struct stats *s = env->stats;

	c->resumed = gnutls_session_is_resumed(c->tls) != 0;
	if (!env->store || env->filling)
		return;
	s->asked++;
	if (c->resumed) {
		if (env->store->sessions[c->session].ticket)
			s->resumed_ticket++;
		else
			s->resumed_id++;
		return;
	}
	if (c->offered)
		s->declined++;
	else
		s->absent++;
	count_at(env, s->lost_at);
}

static void handshake_done(struct conn *c)
{
	struct stats *s = c->env->stats;
	uint64_t now = now_ns();

	hist_add(&s->handshake, (now - c->step_ns) / 1000);
	if (!s->about[0])
		snprintf(s->about, sizeof s->about, "%s %s",
		         gnutls_protocol_get_name(gnutls_protocol_get_version(c->tls)),
		         gnutls_cipher_get_name(gnutls_cipher_get(c->tls)));
	count_resumption(c);
}

/* ---------------------------------------------------------------- the end */

/* Keeps what the server gave for the next resumption. False when a ticket of 1.3 may still come. */
static bool keep_session(struct conn *c)
{
	struct env *env = c->env;
	bool ticket = gnutls_session_get_flags(c->tls) & GNUTLS_SFLAGS_SESSION_TICKET;
	bool tls13 = gnutls_protocol_get_version(c->tls) == GNUTLS_TLS1_3;
	gnutls_datum_t data = { NULL, 0 }, id = { NULL, 0 };

	if (!env->store)
		return true;
	if (!ticket) {
		if (c->resumed)
			return true; /* what was offered stays good */
		if (tls13)
			return false;
		if (env->options->resume == RESUME_TICKET || gnutls_session_get_id2(c->tls, &id) < 0 ||
		    id.size == 0)
			return true; /* nothing to keep */
	}
	if (gnutls_session_get_data2(c->tls, &data) == 0)
		store_put(env->store, c->session, data, ticket);
	return true;
}

static void finish(struct conn *c)
{
	c->env->stats->succeeded++;
	gnutls_bye(c->tls, GNUTLS_SHUT_WR);
	release(c, CONN_IDLE);
}

static void end(struct conn *c)
{
	if (keep_session(c)) {
		finish(c);
		return;
	}
	c->state = CONN_TICKET;
	c->step_ns = now_ns();
	watch(c, EPOLLIN);
}

/* ---------------------------------------------------------------- requests */

static void start_request(struct conn *c)
{
	response_begin(&c->response);
	c->state = CONN_SENDING;
	c->awaiting = true;
	c->step_ns = now_ns();
}

static void response_done(struct conn *c)
{
	struct stats *s = c->env->stats;

	s->requests++;
	c->requests_left--;
	c->answered = true;
	if (c->response.status >= 400) {
		s->status[c->response.status]++;
		keep_session(c);
		gnutls_bye(c->tls, GNUTLS_SHUT_WR);
		fail(c, FAIL_STATUS, c->response.status);
	} else if (c->requests_left == 0) {
		end(c);
	} else if (c->response.close) {
		s->short_connections++;
		end(c);
	} else {
		start_request(c);
	}
}

/* The connection ended, or broke, while a response was awaited. */
static void read_ended(struct conn *c, int rc)
{
	if ((rc == 0 || rc == GNUTLS_E_PREMATURE_TERMINATION) && response_end(&c->response))
		response_done(c);
	else if (rc == 0 || rc == GNUTLS_E_PREMATURE_TERMINATION || rc == GNUTLS_E_PULL_ERROR ||
	         rc == GNUTLS_E_PUSH_ERROR)
		fail(c, FAIL_RESET, rc);
	else
		fail(c, FAIL_TLS,
		     rc == GNUTLS_E_FATAL_ALERT_RECEIVED ? -1000 - (int)gnutls_alert_get(c->tls) : rc);
}

static bool again(ssize_t rc)
{
	return rc == GNUTLS_E_INTERRUPTED || rc == GNUTLS_E_WARNING_ALERT_RECEIVED ||
	       rc == GNUTLS_E_REHANDSHAKE;
}

/*
 * Reads what there is. True when the state changed, false when the socket is drained or the connection is over.
 */
static bool read_some(struct conn *c)
{
	static char buf[65536];
	struct stats *s = c->env->stats;
	ssize_t n;

	do
		n = gnutls_record_recv(c->tls, buf, sizeof buf);
	while (again(n));
	if (n == GNUTLS_E_AGAIN) {
		watch(c, EPOLLIN);
		return false;
	}
	if (n <= 0) {
		read_ended(c, (int)n);
		return false;
	}
	if (c->awaiting)
		hist_add(&s->first, (now_ns() - c->step_ns) / 1000);
	c->awaiting = false;
	s->bytes += (uint64_t)n;
	switch (response_feed(&c->response, buf, (size_t)n)) {
	case RESPONSE_BAD: fail(c, FAIL_RESPONSE, 0); return false;
	case RESPONSE_DONE: response_done(c); break;
	default: break;
	}
	return c->state != CONN_IDLE && c->state != CONN_RESTING;
}

/* True when the request is out. */
static bool send_request(struct conn *c)
{
	const struct target *t = c->env->target;
	bool last = c->requests_left == 1;
	ssize_t n;

	do
		n = gnutls_record_send(c->tls, last ? t->last : t->more, last ? t->nlast : t->nmore);
	while (again(n));
	if (n == GNUTLS_E_AGAIN) {
		watch(c, EPOLLOUT);
		return false;
	}
	if (n < 0) {
		fail(c, n == GNUTLS_E_PUSH_ERROR ? FAIL_RESET : FAIL_TLS, n);
		return false;
	}
	c->state = CONN_READING;
	return true;
}

/* Waits for the ticket after the last response: a server that closes without one gave none. */
static bool await_ticket(struct conn *c)
{
	char unwanted[256];
	ssize_t n;

	do
		n = gnutls_record_recv(c->tls, unwanted, sizeof unwanted);
	while (again(n));
	if (n != GNUTLS_E_AGAIN || keep_session(c))
		finish(c);
	return false;
}

static bool connected(struct conn *c)
{
	int error = 0, rc;
	socklen_t n = sizeof error;
	uint64_t now = now_ns();

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error) {
		connect_failed(c, error);
		return false;
	}
	hist_add(&c->env->stats->connect, (now - c->step_ns) / 1000);
	c->step_ns = now;
	c->state = CONN_HANDSHAKE;
	rc = prepare(c);
	if (rc < 0)
		fail(c, FAIL_HANDSHAKE, rc);
	return rc == 0;
}

static bool handshake(struct conn *c)
{
	int rc;

	do
		rc = gnutls_handshake(c->tls);
	while (again(rc));
	if (rc == GNUTLS_E_AGAIN) {
		watch(c, gnutls_record_get_direction(c->tls) ? EPOLLOUT : EPOLLIN);
		return false;
	}
	if (rc < 0) {
		handshake_failed(c, rc);
		return false;
	}
	handshake_done(c);
	start_request(c);
	return true;
}

void conn_event(struct conn *c)
{
	bool on = true;

	while (on) {
		switch (c->state) {
		case CONN_CONNECTING: on = connected(c); break;
		case CONN_HANDSHAKE:  on = handshake(c); break;
		case CONN_SENDING:    on = send_request(c); break;
		case CONN_READING:    on = read_some(c); break;
		case CONN_TICKET:     on = await_ticket(c); break;
		default:              on = false;
		}
	}
}

void conn_check_time(struct conn *c, uint64_t now)
{
	uint64_t limit = c->env->options->timeout_ms * 1000000u;

	if (c->state == CONN_TICKET && now > c->step_ns + TICKET_WAIT_NS)
		finish(c);
	else if (c->state == CONN_TICKET || now <= c->step_ns + limit)
		return;
	else if (c->state == CONN_CONNECTING)
		fail(c, FAIL_CONNECT_TIMEOUT, ETIMEDOUT);
	else if (c->state == CONN_HANDSHAKE)
		fail(c, FAIL_HANDSHAKE_TIMEOUT, 0);
	else if (c->state == CONN_SENDING || c->state == CONN_READING)
		fail(c, FAIL_TIMEOUT, 0);
}

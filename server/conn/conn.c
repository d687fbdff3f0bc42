/*
 * conn.c - the life of a child's connections: state × event.
 *
 *   state      readable            writable      deadline             goes to
 *   PEEK       first bytes         -             closes               HANDSHAKE, HEAD, BYE
 *   HANDSHAKE  tls_step            tls_step      closes               HEAD, BYE
 *   HEAD       head                -             408, or closes       REQUEST, BYE
 *   REQUEST    body                response      408, 504, or breaks  HEAD, BYE      (or it waits: lookup.c, work.c, certificate.c)
 *   BYE        -                   what is left  breaks               LINGER, closed
 *   LINGER     dropped             -             closed               closed
 *
 * Each event is one turn of one connection: left-overs in, work, flush, left-overs out, what to wait for next.
 */
#include "conn/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/effort.h"
#include "conn/h2conf.h"
#include "http/proxyheader.h"
#include "log/target.h"
#include "request/logline.h"
#include "request/openfiles.h"
#include "request/remoteip.h"

#define LINGER_MS 2000                  /* the longest wait for a client to close after us */

/* The alert for a client that speaks TLS to a plain port (RFC 8446, 6): fatal handshake_failure. */
static const char plain_port_alert[] = { 0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28 };

void conn_use_host(struct conn *c, const struct host *h)
{
	const struct log_host *logs = host_config(h, &log_module);

	c->host = h;
	c->settings = c->own.settings = host_config(h, &conn_module);
	if (!c->own.client.request)                 /* else the request says (LogLevel in its sections) */
		c->own.client.about.settings = &logs->settings;
}

/* ------------------------------------------------------------------------------------------------ states */

void conn_state(struct conn *c, enum conn_state state)
{
	c->state = state;
	c->sent_at = loop_now(c->server->loop);
	conn_count_place(c);
}

static void conn_due(struct conn *c, int64_t at)
{
	if (deadline_set(c->server->loop, &c->deadline, at) < 0)
		conn_break(c, "out of memory");
}

void conn_bye(struct conn *c)
{
	conn_state(c, CONN_BYE);
}

void conn_break(struct conn *c, const char *why)
{
	if (!c->gone && why)
		log_debugx(&c->own.client.about, LOG_HTTP, "BH0501", "connection %llu ends: %s", (unsigned long long)c->own.client.id, why);
	c->gone = true;
}

/* ------------------------------------------------------------------------------------------------ open and close */

static void turn(struct watch *w, uint32_t events);
static void gather(struct watch *w);
static void due(struct deadline *d);

static void claim_slot(struct conn *c)
{
	struct conn_server *s = c->server;

	c->slot = UINT32_MAX;
	if (s->nfree) {
		c->slot = s->free_slots[--s->nfree];
		s->o.client_fds[c->slot] = c->watch.fd;
	}
}

static void release_slot(struct conn *c)
{
	struct conn_server *s = c->server;

	if (c->slot != UINT32_MAX) {
		s->o.client_fds[c->slot] = -1;
		s->free_slots[s->nfree++] = c->slot;
	}
}

static uint64_t now_ms(const struct conn_server *s)
{
	return (uint64_t)loop_now(s->loop);
}

void conn_close(struct conn *c)
{
	struct conn_server *s = c->server;

	if (c->speech)
		c->speech->end(c);
	asker_forget(&c->own, true);
	conn_count_gone(c);
	crowd_leave(c);
	deadline_clear(s->loop, &c->deadline);
	release_slot(c);
	tls_free(c->tls);
	if (s->o.activity)
		activity_event(s->o.activity, now_ms(s), ACTIVITY_CLOSE, (uint32_t)c->watch.fd);
	loop_close(s->loop, &c->watch);
	certificate_forget(c);
	input_ungather(c);
	free(c->raw_left.p);
	free(c->in_left.p);
	free(c->wire_left.p);
	list_remove(&c->item);
	free(c);
	conn_count_open(s, s->open - 1);
	if (!s->open)                           /* nobody is there to ask again: no file, and no file system, is held */
		openfile_forget();
	accept_resume_if_room(s);
}

void conn_open(struct conn_server *s, int fd, const struct addr *peer, const struct addr *local)
{
	struct conn *c = calloc(1, sizeof *c);
	static uint64_t last_id;

	if (!c) {
		log_errorx(NULL, LOG_CORE, "BH0502", "no memory for a new connection: it is closed");
		close(fd);
		return;
	}
	c->server = s;
	c->watch = (struct watch){ .fd = fd, .ready = turn, .gather = gather };
	c->deadline = (struct deadline){ .due = due, .at = INT64_MAX };
	c->io = output_tls_io;
	c->io.ctx = c;
	asker_init(&c->own, c);
	c->own.client = (struct client){ .ops = &conn_client_ops, .local = *local, .arrived = *peer, .connected = *peer, .id = ++last_id };
	client_is(&c->own.client, peer);
	c->own.client.about = (struct log_about){ .peer = &c->own.client.peer, .ops = &logline_about, .of = &c->own.client };
	conn_use_host(c, host_default(s->o.site, local));
	c->proxied = remoteip_expected(c->host, peer);
	c->opened_at = loop_now(s->loop);
	list_append(&s->conns, &c->item);
	conn_count_open(s, s->open + 1);
	conn_count_place(c);
	claim_slot(c);
	if (s->o.activity)
		activity_event(s->o.activity, now_ms(s), ACTIVITY_ACCEPT, (uint32_t)fd);
	if (!c->proxied && !crowd_enter(c)) {
		c->gone = true;
		conn_close(c);
		return;
	}
	conn_due(c, loop_now(s->loop) + c->settings->read_handshake);
	turn(&c->watch, EPOLLIN);               /* often the first bytes are there already */
}

/* ------------------------------------------------------------------------------------------------ what each state does */

static const struct tls_policy *choose(void *ctx, struct text sni)
{
	struct conn *c = ctx;
	const struct host *first = host_default(c->server->o.site, &c->own.client.local);
	const struct host *h = sni.p ? host_by_name(c->server->o.site, &c->own.client.local, sni) : first;
	const void *policy = host_config(h, &tls_module);

	if (!tls_policy_enabled(policy))
		h = first;
	c->own.client.tls_host = h;
	conn_use_host(c, h);
	return host_config(h, &tls_module);
}

/* What the chosen host speaks, for ALPN. HTTP/1 always: whoever offers no more is served. */
static void applications(void *ctx, bool fits_h2, struct tls_applications *to)
{
	static const char *const names[2][2] = { { "http/1.1", "http/1.0" }, { "h2", NULL } };
	const struct conn *c = ctx;
	const struct protocols *p = &c->settings->protocols;
	const struct h2_settings *h2 = host_config(c->host, &h2_module);
	bool told[2] = { false, h2->modern == 1 && !fits_h2 };

	to->n = 0;
	to->by_client = !c->settings->honor_order;
	for (int i = 0; i <= p->n; i++) {
		int which = i < p->n && p->at[i] != PROTOCOL_HTTP1;

		if ((i < p->n && p->at[i] == PROTOCOL_H2C) || told[which])
			continue;
		told[which] = true;
		for (int k = 0; k < 2 && names[which][k]; k++)
			to->name[to->n++] = names[which][k];
	}
}

static void begin_http(struct conn *c)
{
	bool h2 = c->tls && text_is(tls_alpn(c->tls), "h2");

	conn_state(c, CONN_HEAD);
	c->head_began = loop_now(c->server->loop);
	if ((h2 ? h2_begin(c) : h1_begin(c)) < 0)
		conn_break(c, "out of memory");
}

static void note_activity(struct conn *c);

static void begin_handshake(struct conn *c)
{
	c->chooser = (struct tls_chooser){ .ctx = c, .choose = choose, .applications = applications };
	c->tls = tls_start(&c->io, &c->chooser);
	c->own.client.secure = true;
	conn_state(c, CONN_HANDSHAKE);
	note_activity(c);
	if (!c->tls)
		conn_break(c, "out of memory");
}

/* Whether the line about a failed handshake is written. Those that would be, but are too many, are summed up later. */
static bool failure_told(struct conn *c, enum tls_reason why, enum log_level level)
{
	struct conn_server *s = c->server;

	tls_count_failure(why);
	if (!log_enabled(&c->own.client.about, LOG_SSL, level))
		return false;
	if (tls_failure_told(why, level, loop_now(s->loop)))
		return true;
	deadline_set(s->loop, &s->untold, tls_failures_due());          /* without memory it is said at the end */
	return false;
}

static const char *rubbish_of(const unsigned char *p, size_t n)
{
	if (n >= 3 && p[0] & 0x80 && p[2] == 1)
		return "the hello of SSL 2 came, of a client twenty years old or a scanner: no such protocol is spoken here";
	return hello_peek(p, n) == HELLO_BAD ? "records of TLS came that begin no handshake: the connection is closed"
					     : "neither TLS nor HTTP came on a TLS port: the connection is closed";
}

/* The PROXY header that a balancer sends first. False: wait, or the connection is broken. */
static bool read_proxyheader(struct conn *c)
{
	struct conn_server *s = c->server;
	struct proxyheader h;

	switch (proxyheader_read(s->raw + s->raw_at, s->raw_n - s->raw_at, &h)) {
	case PROXYHEADER_MORE:
		return false;
	case PROXYHEADER_BAD:
		log_errorx(&c->own.client.about, LOG_HTTP, "BH0525", "no PROXY header came, as RemoteIPProxyProtocol wants here: %s; the connection is closed", h.wrong);
		conn_break(c, NULL);
		return false;
	case PROXYHEADER_DONE:
		break;
	}
	s->raw_at += h.length;
	c->proxied = false;
	if (h.known) {
		c->own.client.arrived = h.from;
		client_is(&c->own.client, &h.from);
	}
	if (!crowd_enter(c))
		conn_break(c, NULL);
	return !c->gone;
}

static void do_peek(struct conn *c)
{
	struct conn_server *s = c->server;
	bool tls = tls_policy_enabled(host_config(c->host, &tls_module));
	unsigned char alert[HELLO_ALERT];
	ssize_t got = input_raw(c);

	if (got == 0 || got == -2) {
		conn_break(c, "it was closed before it said anything");
		return;
	}
	if (c->proxied && !read_proxyheader(c))
		return;
	switch (peek_first(s->raw + s->raw_at, s->raw_n - s->raw_at, tls)) {
	case PEEK_MORE:
		return;
	case PEEK_TLS:
		begin_handshake(c);
		return;
	case PEEK_HTTP_ON_TLS:
		c->plain_on_tls = true;
		if (failure_told(c, TLS_R_PLAIN_HTTP, LOG_L_INFO))
			log_infox(&c->own.client.about, LOG_SSL, "BH0503", "plain HTTP on a TLS port: answered with 400 and the https:// link");
		begin_http(c);
		return;
	case PEEK_HTTP:
		begin_http(c);
		return;
	case PEEK_TLS_ON_PLAIN:
		if (failure_told(c, TLS_R_TLS_ON_PLAIN, LOG_L_INFO))
			log_infox(&c->own.client.about, LOG_SSL, "BH0504", "a TLS handshake on a port without TLS: the virtual host there has no \"SSLEngine on\"");
		output_must(c, plain_port_alert, sizeof plain_port_alert);
		break;
	case PEEK_RUBBISH:
		if (failure_told(c, TLS_R_NOT_TLS, LOG_L_INFO))
			log_infox(&c->own.client.about, LOG_SSL, "BH0505", "%s",
				  rubbish_of((const unsigned char *)s->raw + s->raw_at, s->raw_n - s->raw_at));
		hello_alert((const unsigned char *)s->raw + s->raw_at, s->raw_n - s->raw_at, alert);
		output_must(c, alert, sizeof alert);
		break;
	}
	c->lingers = true;
	conn_bye(c);
}

static void handshake_failed(struct conn *c)
{
	struct conn_server *s = c->server;
	enum log_level level;

	counter_add(&s->o.counters->handshake_failures, 1);
	if (s->o.activity)
		activity_event(s->o.activity, now_ms(s), ACTIVITY_TLS_FAILED, 0);
	level = tls_failure_level(c->tls);
	if (failure_told(c, tls_failure_reason(c->tls), level))
		log_put(&c->own.client.about, LOG_SSL, level, "BH0506", 0, "TLS handshake failed: %s", tls_failure(c->tls));
	c->orderly = true;                      /* the alert was our last word */
	c->lingers = true;
	conn_bye(c);
}

static void do_handshake(struct conn *c)
{
	struct conn_server *s = c->server;

	enum tls_result result;
	size_t at;

	if (c->check.waits)
		return;
	do {                                    /* GnuTLS may stop after a record though the next is there */
		at = s->pulled;
		result = tls_step(c->tls);
	} while ((result == TLS_READ && s->raw_at < s->raw_n && s->pulled != at) || (result == TLS_CHECK && !check_ask(c)));
	switch (result) {
	case TLS_DONE:
		c->own.client.sni = tls_sni(c->tls);
		counter_add(&s->o.counters->handshakes, 1);
		if (tls_resumed(c->tls))
			counter_add(&s->o.counters->resumed, 1);
		if (s->o.activity)
			activity_event(s->o.activity, now_ms(s), ACTIVITY_HANDSHAKE, tls_resumed(c->tls));
		begin_http(c);
		return;
	case TLS_READ:
		if (c->eof)
			conn_break(c, "the client went away in the handshake");
		return;
	case TLS_WRITE:
		c->again = true;                /* what is queued leaves at the end of the turn, then there is room */
		return;
	case TLS_CHECK:
		conn_due(c, c->check.until);
		return;
	case TLS_FAILED:
		handshake_failed(c);
	}
}

/* All is sent? Then our side is closed; whoever may still be sending is listened to for a moment. */
static void do_bye(struct conn *c)
{
	if (c->tls && !c->orderly) {
		if (output_seal(c) < 0)
			return;
		if (!c->unclean)
			tls_bye(c->tls);
		c->orderly = true;
	}
	if (output_flush(c) != 0)
		return;
	if (c->eof || !c->lingers) {
		c->gone = true;
		return;
	}
	shutdown(c->watch.fd, SHUT_WR);
	conn_state(c, CONN_LINGER);
	conn_due(c, loop_now(c->server->loop) + LINGER_MS);
}

static void do_linger(struct conn *c)
{
	struct conn_server *s = c->server;

	s->raw_at = s->raw_n = s->in_at = s->in_n = 0;
	for (int i = 0; i < 8; i++) {
		ssize_t got = recv(c->watch.fd, s->raw, RAW_SIZE, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			c->gone = true;
			return;
		}
		if (got < 0)
			return;
	}
}

/* ------------------------------------------------------------------------------------------------ a turn */

/* For a report, should this turn end badly: whose turn it is, and what it is about. */
static void note_activity(struct conn *c)
{
	static const char *const phases[] = {
		[CONN_PEEK] = "peek", [CONN_HANDSHAKE] = "handshake", [CONN_HEAD] = "head", [CONN_BYE] = "close",
		[CONN_LINGER] = "close",
	};
	struct activity *a = c->server->o.activity;

	if (!a)
		return;
	activity_begin(a, now_ms(c->server), c->own.client.id, c->own.client.secure ? "https" : "http", c->own.client.peer_text, c->host->name);
	if (c->state == CONN_REQUEST)
		c->speech->note(c, a);
	else
		activity_phase(a, phases[c->state]);
}

static void run_state(struct conn *c)
{
	if (c->state == CONN_PEEK)
		do_peek(c);
	if (c->state == CONN_HANDSHAKE && !c->gone)
		do_handshake(c);
	if (c->late.asks && !c->gone)
		certificate_run(c);
	if ((c->state == CONN_HEAD || c->state == CONN_REQUEST) && !c->gone)
		c->speech->run(c);
	if (c->state == CONN_BYE && !c->gone)
		do_bye(c);
	else if (c->state == CONN_LINGER && !c->gone)
		do_linger(c);
}

static bool duplex(const struct conn *c)
{
	return c->state == CONN_REQUEST && c->speech->duplex && c->speech->duplex(c);
}

static uint32_t wanted(const struct conn *c)
{
	uint32_t out = c->blocked || c->wire_left.n || c->again ? EPOLLOUT : 0;

	switch (c->state) {
	case CONN_PEEK: case CONN_HANDSHAKE: case CONN_LINGER:
		if (!c->check.waits)
			return out ? out : EPOLLIN;
		return out ? out : c->half_closed ? EPOLLET : EPOLLRDHUP;
	case CONN_HEAD: case CONN_REQUEST:
		if (out && duplex(c) && c->speech->reads(c))
			return out | EPOLLIN;
		if (out || c->speech->reads(c) || (c->late.asks && !c->check.waits))
			return out ? out : EPOLLIN;
		return c->half_closed ? EPOLLET : EPOLLRDHUP;   /* EPOLLET alone: only the end of both sides is told, once */
	case CONN_BYE:
		return EPOLLOUT;
	}
	return EPOLLIN;
}

/*
 * Where only the end of the client's side is waited for, bytes may be waited for on, too: most clients send nothing meanwhile, and two calls of the
 * kernel are saved. If some come, `unasked`, they are not.
 */
static uint32_t waited(const struct conn *c, bool unasked)
{
	uint32_t events = wanted(c);

	return events == EPOLLRDHUP && c->watch.events == EPOLLIN && !unasked ? EPOLLIN : events;
}

/* An alert behind the handshake is the last word, too: closing over bytes that the client still sends would take it away. */
static void end_by_alert(struct conn *c)
{
	if (c->speech)
		c->speech->end(c);
	asker_forget(&c->own, true);
	c->server->stage_n = 0;                 /* it can no longer be sealed */
	c->alerted = c->gone = false;
	c->orderly = c->lingers = true;
	conn_bye(c);
}

/* Ends a turn: sends, keeps what is left over, says what to wait for. The connection may be gone afterwards. */
static void end_turn(struct conn *c, bool unasked)
{
	struct conn_server *s = c->server;

	if (c->gone && c->alerted)
		end_by_alert(c);
	if (!c->gone && s->o.activity)
		activity_phase(s->o.activity, "send");
	if (!c->gone)
		output_flush(c);
	if (c->state == CONN_BYE && !c->gone && !c->wire_left.n)
		do_bye(c);
	if (!c->gone && (c->state == CONN_HEAD || c->state == CONN_REQUEST))
		conn_due(c, c->speech->due(c));
	if (!c->gone && c->state == CONN_BYE)
		conn_due(c, c->sent_at + c->settings->timeout);
	if (!c->gone)
		input_end(c);
	if (s->o.activity)
		activity_end(s->o.activity);
	conn_count_turn(c);
	if (!c->gone && loop_watch(s->loop, &c->watch, waited(c, unasked)) < 0)
		conn_break(c, strerrordesc_np(errno));
	if (c->gone)
		conn_close(c);
}

static void turn(struct watch *w, uint32_t events)
{
	struct conn *c = (struct conn *)(void *)((char *)w - offsetof(struct conn, watch));
	bool unasked = events & EPOLLIN && !(wanted(c) & EPOLLIN);

	effort_begin();
	input_begin(c);
	note_activity(c);
	if ((events & (EPOLLERR | EPOLLHUP)) && !(events & EPOLLIN))
		conn_break(c, "the client went away");
	if (!c->gone && c->wire_left.n && output_flush(c) == 1 && !duplex(c)) {
		end_turn(c, unasked);           /* still no room: nothing else until there is */
		return;
	}
	if (events & EPOLLRDHUP)                /* it may still read: some clients end their side behind their request */
		c->half_closed = true;
	if (!c->gone)
		run_state(c);
	end_turn(c, unasked);
}

static void gather(struct watch *w)
{
	input_gather((struct conn *)(void *)((char *)w - offsetof(struct conn, watch)));
}

void conn_cut(struct conn *c)
{
	effort_begin();
	input_begin(c);
	conn_break(c, NULL);
	end_turn(c, false);
}

void conn_turn(struct conn *c)
{
	turn(&c->watch, 0);
}

void asker_turn(struct asker *a)
{
	if (a->c->speech && a->c->speech->wake)
		a->c->speech->wake(a);
	conn_turn(a->c);
}

static void due(struct deadline *d)
{
	struct conn *c = (struct conn *)(void *)((char *)d - offsetof(struct conn, deadline));
	struct activity *a = c->server->o.activity;

	if (a)
		activity_event(a, now_ms(c->server), ACTIVITY_TIMEOUT, (uint32_t)c->state);
	effort_begin();
	input_begin(c);
	note_activity(c);
	switch (c->state) {
	case CONN_PEEK: case CONN_HANDSHAKE:
		if (c->check.waits) {           /* the handshake fails, with an alert */
			check_over(c);
			do_handshake(c);
			break;
		}
		if (failure_told(c, TLS_R_LATE, LOG_L_INFO))
			log_infox(&c->own.client.about, LOG_SSL, "BH0507", "no complete handshake or request within %lld s (RequestReadTimeout handshake=): closed",
				  (long long)(c->settings->read_handshake / 1000));
		conn_break(c, NULL);
		break;
	case CONN_HEAD: case CONN_REQUEST:
		c->speech->timeout(c);
		break;
	case CONN_BYE:
		output_forget(c);
		c->gone = true;
		break;
	case CONN_LINGER:
		c->gone = true;
		break;
	}
	end_turn(c, false);
}

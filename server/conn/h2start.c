/*
 * h2start.c - how HTTP/2 begins on a connection: chosen in TLS (ALPN), with prior knowledge (its preface comes first), or asked for by a
 * request of HTTP/1.1 (Upgrade: h2c, RFC 7540, 3.2). Runs in the children.
 */
#include "conn/h2.h"

#include <stdlib.h>
#include <strings.h>

#define TABLE 4096                      /* bytes of HPACK's table of our own heads */
#define CONNECTION_WINDOWS 4            /* the connection's window, in windows of a stream */
#define RESETS_MOST 100000              /* nghttp2's own bounds: ours (h2limit.c) strike first, and say why */
#define SETTINGS_PAYLOAD 256            /* of HTTP2-Settings, decoded */

/* ------------------------------------------------------------------------------------------------ the session */

/* One for all connections of the process. */
static nghttp2_session_callbacks *callbacks(void)
{
	static nghttp2_session_callbacks *all;

	if (!all && nghttp2_session_callbacks_new(&all) == 0) {
		h2_reader_set(all);
		h2_sender_set(all);
	}
	return all;
}

static nghttp2_option *options_of(const struct h2_settings *set)
{
	nghttp2_option *o;

	if (nghttp2_option_new(&o) != 0)
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(o, TABLE);
	nghttp2_option_set_builtin_recv_extension_type(o, NGHTTP2_PRIORITY_UPDATE);
	nghttp2_option_set_stream_reset_rate_limit(o, RESETS_MOST, RESETS_MOST);
	if (set->head)
		nghttp2_option_set_max_send_header_block_length(o, (size_t)set->head);
	return o;
}

static int session_new(struct h2 *h)
{
	nghttp2_option *o = options_of(h->set);
	nghttp2_mem mem;
	int rc = o && callbacks() ? nghttp2_session_server_new3(&h->session, callbacks(), h, o, h2_memory(h, &mem)) : -1;

	nghttp2_option_del(o);
	return rc;
}

static int say_settings(struct h2 *h)
{
	nghttp2_settings_entry e[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)h->set->streams },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)h->set->window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, STREAM_HEAD_MOST },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
	};
	size_t n = sizeof e / sizeof *e - (h->set->websockets == 1 ? 0 : 1);

	if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, e, n) != 0)
		return -1;
	return nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, (int32_t)h->set->window * CONNECTION_WINDOWS);
}

static struct h2 *session_open(struct conn *c)
{
	struct h2 *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->c = c;
	h->set = host_config(c->host, &h2_module);
	list_init(&h->streams);
	list_init(&h->ready);
	h->idle_since = loop_now(c->server->loop);
	if (session_new(h) == 0)
		return h;
	free(h);
	return NULL;
}

static void take_over(struct conn *c, struct h2 *h)
{
	if (c->speech)
		c->speech->end(c);
	c->h2 = h;
	c->speech = &h2_speech;
	counter_add(&c->server->o.counters->h2_connections, 1);
	counter_move32(&c->server->o.counters->h2_open, 1);
	c->lingers = true;              /* frames of the client may be on their way whenever we end */
	if (c->server->draining)
		h2_speech.drain(c);
}

int h2_begin(struct conn *c)
{
	struct h2 *h = session_open(c);

	if (!h)
		return -1;
	if (say_settings(h) != 0) {
		nghttp2_session_del(h->session);
		free(h);
		return -1;
	}
	take_over(c, h);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ prior knowledge */

/* Whether the connection's host lets this protocol begin that way, which without a word is so outside of TLS. */
static bool lets(const struct conn *c, int flag)
{
	return protocols_has(&c->settings->protocols, c->tls ? PROTOCOL_H2 : PROTOCOL_H2C) && (flag == CONF_UNSET ? !c->tls : flag == 1);
}

enum h2_preface h2_preface(const struct conn *c, const char *p, size_t n)
{
	const struct h2_settings *set = host_config(c->host, &h2_module);
	size_t whole = NGHTTP2_CLIENT_MAGIC_LEN;

	if (!n || c->own.client.requests || c->plain_on_tls || memcmp(p, NGHTTP2_CLIENT_MAGIC, n < whole ? n : whole) != 0)
		return H2_PREFACE_NOT;
	if (!lets(c, set->direct) || (c->tls && tls_alpn(c->tls).p))
		return H2_PREFACE_NOT;
	return n < whole ? H2_PREFACE_MORE : H2_PREFACE_WHOLE;
}

/* ------------------------------------------------------------------------------------------------ Upgrade */

/* base64url without padding (RFC 7540, 3.2.1). How many bytes, or -1. */
static ssize_t unpack(struct text t, unsigned char to[SETTINGS_PAYLOAD])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, have = 0;
	size_t n = 0;

	for (size_t i = 0; i < t.n; i++) {
		const char *d = t.p[i] ? strchr(digits, t.p[i]) : NULL;

		if (!d || n == SETTINGS_PAYLOAD)
			return -1;
		bits = bits << 6 | (unsigned)(d - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			to[n++] = (unsigned char)(bits >> have);
		}
	}
	return have < 6 ? (ssize_t)n : -1;
}

static bool asks(const struct conn *c, const struct request_head *head)
{
	const struct h2_settings *set = host_config(c->host, &h2_module);

	if (c->tls || c->plain_on_tls || head->major != 1 || head->minor < 1 || !lets(c, set->upgrade))
		return false;
	return fields_has_token(&head->fields, "Upgrade", "h2c") && fields_has_token(&head->fields, "Connection", "Upgrade")
	       && fields_has_token(&head->fields, "Connection", "HTTP2-Settings") && fields_count(&head->fields, "HTTP2-Settings") == 1
	       && !fields_count(&head->fields, "Content-Length") && !fields_count(&head->fields, "Transfer-Encoding");
}

/* Its head as one of HTTP/2. */
static int convert(struct h2_stream *st, const struct request_head *head)
{
	const struct head_limits none = { IN_SIZE, IN_SIZE, 0 };
	struct stream_head *to = &st->head;

	stream_head_init(to, st->arena, &none);
	stream_head_add(to, TEXT(":method"), head->method);
	stream_head_add(to, TEXT(":path"), head->target);
	for (unsigned i = 0; i < head->fields.n; i++) {
		struct text name = head->fields.at[i].name;

		if (!text_is_nocase(name, "Connection") && !text_is_nocase(name, "Upgrade") && !text_is_nocase(name, "HTTP2-Settings"))
			stream_head_add(to, name, head->fields.at[i].value);
	}
	return to->status == 503 ? -1 : 0;
}

bool h2_upgrade(struct conn *c, const struct request_head *head)
{
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
	unsigned char payload[SETTINGS_PAYLOAD];
	struct h2_stream *st = NULL;
	ssize_t n = asks(c, head) ? unpack(fields_get(&head->fields, "HTTP2-Settings"), payload) : -1;
	struct h2 *h = n >= 0 ? session_open(c) : NULL;

	if (!h)
		return false;
	if (nghttp2_session_upgrade2(h->session, payload, (size_t)n, text_is(head->method, "HEAD"), NULL) == 0)
		st = h2_stream_new(h, 1);
	if (!st || convert(st, head) < 0 || nghttp2_session_set_stream_user_data(h->session, 1, st) != 0 || say_settings(h) != 0) {
		if (st)
			h2_stream_free(st);
		nghttp2_session_del(h->session);
		free(h);
		return false;           /* without a word: it is answered in HTTP/1.1 */
	}
	output_must(c, answer, sizeof answer - 1);
	st->whole = st->remote_done = true;
	h2_wake(st);
	take_over(c, h);
	return true;
}

/*
 * certificate.c - a place asks for the client's certificate behind the handshake (tls/place.h). The request waits, its
 * connection goes on in turns of its own, others are not held up. What the client sends meanwhile (the request's body, the
 * next requests) is kept up to SSLRenegBufferSize. Runs in the children.
 */
#include <stdlib.h>
#include <string.h>

#include "conn/internal.h"
#include "request/phases.h"
#include "tls/place.h"
#include "tls/variables.h"

/* Too much came, or will: the client answers questions only when it has sent all. */
static unsigned too_much(struct conn *c, const char **why)
{
	log_infox(&c->own.client.about, LOG_SSL, "BH0513",
		  "request answered with 413: the client was to be asked for its certificate, and its body is longer than SSLRenegBufferSize (%zu bytes) "
		  "allows; raise it there, or ask in the handshake (SSLVerifyClient optional in the host)", c->late.most);
	*why = "SSLRenegBufferSize";
	c->late.over = false;
	h1_last(c);
	return 413;
}

static unsigned ask(struct conn *c, void *const *section, const char **why)
{
	c->late.most = tls_place_buffer(section[tls_module.index]);
	if (h1_body_over(c, c->late.most))
		return too_much(c, why);
	if (output_seal(c) < 0) {               /* answers to earlier requests go before the question */
		*why = "the connection is broken";
		return 403;
	}
	c->late.asks = true;
	c->late.until = loop_now(c->server->loop) + c->settings->read_handshake;
	certificate_run(c);
	if (c->late.asks || c->gone)
		return PHASE_WAIT;
	return c->late.over ? too_much(c, why) : 0;
}

/* RFC 9113, 9.2.3: nobody is asked behind the handshake, since it would not be known for which stream. The client may come again with HTTP/1.1. */
static unsigned not_here(struct conn *c, struct client *client, const char **why)
{
	log_infox(&client->about, LOG_SSL, "BH0801",
		  "stream reset with HTTP_1_1_REQUIRED: the client was to be asked for its certificate, which HTTP/2 forbids behind the handshake; ask in the handshake "
		  "(SSLVerifyClient in the host), or leave h2 out of Protocols of %s", c->host->name ? c->host->name : "this host");
	asker_of(client)->needs_http1 = true;
	*why = "a certificate cannot be asked for in HTTP/2";
	return 403;
}

unsigned certificate_place(struct client *client, void *const *section, struct arena *a, const char **user, const char **why)
{
	struct conn *c = conn_of(client);
	const void *rules = c->tls ? section[tls_module.index] : NULL;
	const char *name;
	struct text value;
	unsigned status;

	if (!c->tls)
		return 0;
	if (c->late.over)
		return too_much(c, why);
	tls_use_options(c->tls, tls_section_options(rules));
	for (;;) {
		switch (tls_place_look(c->tls, rules, a, why)) {
		case TLS_PLACE_REFUSED:
			return 403;
		case TLS_PLACE_ASKS:
			if (c->speech != &h1_speech)
				return not_here(c, client, why);
			if ((status = ask(c, section, why)) != 0)
				return status;
			continue;               /* the answer was there already */
		case TLS_PLACE_OPEN:
			break;
		}
		break;
	}
	name = tls_place_user(c->tls, rules);
	value = name ? tls_variable(c->tls, name, a) : (struct text){ 0 };
	if (value.n)
		*user = arena_strndup(a, value.p, value.n);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ what comes meanwhile */

static int keep(void *ctx, const void *p, size_t n)
{
	struct conn *c = ctx;
	const struct conn_server *s = c->server;
	char *grown;

	c->late.over |= c->late.held.n + (s->in_n - s->in_at) + n > c->late.most;
	grown = c->late.over ? NULL : realloc(c->late.held.p, c->late.held.n + n);
	if (!grown) {
		c->late.over = true;
		return -1;
	}
	memcpy(grown + c->late.held.n, p, n);
	c->late.held.p = grown;
	c->late.held.n += n;
	return 0;
}

size_t certificate_held(struct conn *c, char *to, size_t room)
{
	struct left *held = &c->late.held;
	size_t n = held->n - c->late.held_at;

	if (n > room)
		n = room;
	memcpy(to, held->p + c->late.held_at, n);
	c->late.held_at += n;
	if (c->late.held_at == held->n)
		certificate_forget(c);
	return n;
}

void certificate_forget(struct conn *c)
{
	free(c->late.held.p);
	c->late.held = (struct left){ 0 };
	c->late.held_at = 0;
}

/* ------------------------------------------------------------------------------------------------ driving */

void certificate_run(struct conn *c)
{
	struct conn_server *s = c->server;
	enum tls_result result;
	size_t at;

	if (c->check.waits)
		return;
	do {                                    /* GnuTLS may stop after a record though the next is there */
		at = s->pulled;
		result = tls_ask_step(c->tls, keep, c);
	} while ((result == TLS_READ && !c->late.over && s->raw_at < s->raw_n && s->pulled != at) || (result == TLS_CHECK && !check_ask(c)));
	if (c->late.over) {
		c->late.asks = false;
		certificate_forget(c);
		return;
	}
	switch (result) {
	case TLS_DONE:
		c->late.asks = false;
		return;
	case TLS_READ:
		if (c->eof)
			conn_break(c, "the client went away while it was asked for its certificate");
		break;
	case TLS_WRITE:
		c->again = true;
		break;
	case TLS_CHECK:
		c->late.until = c->check.until;
		break;
	case TLS_FAILED:
		log_infox(&c->own.client.about, LOG_SSL, "BH0514", "the client was asked for its certificate, and the connection failed: %s", tls_failure(c->tls));
		conn_break(c, NULL);
		c->alerted = true;
	}
	if (c->gone)
		c->late.asks = false;
}

/* Its answer may still come, and could no longer be told from a fault: the connection ends. */
void certificate_timeout(struct conn *c)
{
	if (c->check.waits) {
		check_over(c);
		certificate_run(c);
		return;
	}
	log_infox(&c->own.client.about, LOG_SSL, "BH0514", "the client was asked for its certificate and did not answer within %lld s (RequestReadTimeout handshake=)",
		  (long long)(c->settings->read_handshake / 1000));
	c->late.asks = false;
	h1_last(c);
}

/*
 * handshake.c - drives a handshake. The hook before GnuTLS reads the ClientHello decides everything from it: host,
 * version, suite, group, certificates, ALPN, ticket key. GnuTLS then finds only what was decided. Runs in children, the
 * set-up in the master.
 */
#include "tls/handshake.h"

#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "tls/choose.h"
#include "tls/clientcert.h"
#include "tls/counters.h"
#include "tls/priorities.h"
#include "tls/session.h"

#define HELLO_LONGEST 65536             /* RFC 8446 allows 16 MiB: nobody needs that */
#define RECORD_MAX 16384                /* RFC 8446, 5.1 */

static gnutls_priority_t start_priority;

int tls_init(struct err *e)
{
	unsigned char byte;

	/* Whatever GnuTLS opens or allocates once is done here, before children lose their rights. */
	if (gnutls_rnd(GNUTLS_RND_NONCE, &byte, 1) < 0)
		return err_set(e, "GnuTLS has no randomness");
	if (!start_priority && !(start_priority = priority_of_start(e)))
		return -1;
	return tickets_self_test(e);
}

void tls_child_init(struct shmcache *cache, const struct tls_cache_settings *settings)
{
	unsigned char byte;

	resume_init(cache, settings);
	tls_failures_limit((unsigned)settings->failure_lines);
	tickets_init(cache, resume_timeout());
	gnutls_rnd(GNUTLS_RND_NONCE, &byte, 1);         /* a fork's generator seeds itself anew: now, not in the first handshake */
}

struct tls *tls_of(gnutls_session_t session)
{
	return gnutls_session_get_ptr(session);
}

/* ------------------------------------------------------------------------------------------------ the hook */

static int refuse(struct tls *t, enum tls_fault fault, gnutls_alert_description_t alert)
{
	t->fault = fault;
	t->alert = (int)alert;
	return GNUTLS_E_NO_CIPHER_SUITES;       /* any fatal code: what is sent and said comes from the fault */
}

static int fail_setup(struct tls *t, int code)
{
	t->fault = TLS_F_SETUP;
	t->alert = GNUTLS_A_INTERNAL_ERROR;
	return code;
}

static int set_tickets(struct tls *t)
{
	const gnutls_datum_t *seed;

	if (t->policy->tickets == 0 || !(seed = tickets_seed(t->policy, t->tls13, t->hello->ticket_name)))
		return 0;
	return gnutls_session_ticket_enable_server(t->session, seed);
}

/* Whether the client's list of protocols, each with its length before it, has this one. */
static bool alpn_offers(struct text list, const char *name)
{
	for (size_t at = 0; at < list.n; at += 1 + (unsigned char)list.p[at]) {
		size_t n = (unsigned char)list.p[at];

		if (n < list.n - at && text_is((struct text){ list.p + at + 1, n }, name))
			return true;
	}
	return false;
}

static int set_alpn(struct tls *t, const struct tls_choice *c)
{
	gnutls_datum_t protocols[TLS_APPLICATIONS];
	struct tls_applications a = { .name = { "http/1.1", "http/1.0" }, .n = 2 };

	if (!t->hello->alpn.p)
		return 0;
	if (t->chooser->applications)
		t->chooser->applications(t->chooser->ctx, c->fits_h2, &a);
	for (unsigned i = 0; i < a.n; i++)
		protocols[i] = (gnutls_datum_t){ (unsigned char *)(uintptr_t)a.name[i], (unsigned)strlen(a.name[i]) };
	/*
	 * Nothing in common ends the handshake with no_application_protocol (RFC 7301, 3.2): what speaks another protocol is not
	 * to be answered in HTTP. A client that offers h2 speaks HTTP, and many go on in HTTP/1.1 when no protocol is chosen.
	 */
	return gnutls_alpn_set_protocols(t->session, protocols, a.n, (a.by_client ? 0u : (unsigned)GNUTLS_ALPN_SERVER_PRECEDENCE) |
					 (alpn_offers(t->hello->alpn, "h2") ? 0u : (unsigned)GNUTLS_ALPN_MANDATORY));
}

/* What RFC 8446 asks of a hello once it is one of 1.3 (4.1.2, 9.2), where GnuTLS answers otherwise; 0, or the alert. */
static int wrong13(const struct hello *h)
{
	if (!h->null_compression_only)
		return GNUTLS_A_ILLEGAL_PARAMETER;
	if (h->has_psk ? !h->has_psk_modes : !h->nsignatures || !h->ngroups)
		return GNUTLS_A_MISSING_EXTENSION;
	return 0;
}

static int decide(struct tls *t)
{
	struct tls_choice c;
	int r, alert;

	t->policy = t->chooser->choose(t->chooser->ctx, t->hello->sni);
	if (!t->policy || !t->policy->n)
		return refuse(t, TLS_F_NAME, GNUTLS_A_UNRECOGNIZED_NAME);
	switch (tls_choose(t->policy, t->hello, &c)) {
	case TLS_CHOSEN:
		break;
	case TLS_NO_VERSION:
		return refuse(t, TLS_F_VERSION, GNUTLS_A_PROTOCOL_VERSION);
	case TLS_NO_SUITE:
		return refuse(t, c.protocol == PROTO_TLS13 ? TLS_F_SUITE13 : TLS_F_SUITE, GNUTLS_A_HANDSHAKE_FAILURE);
	}
	t->tls13 = c.protocol == PROTO_TLS13;
	if (t->tls13 && (alert = wrong13(t->hello)) != 0)
		return refuse(t, TLS_F_HELLO, (gnutls_alert_description_t)alert);
	resume_setup(t);
	if ((r = gnutls_priority_set(t->session, c.priority)) < 0
	    || (r = gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, t->policy->credentials)) < 0
	    || (t->policy->anonymous && (r = gnutls_credentials_set(t->session, GNUTLS_CRD_ANON, t->policy->anonymous)) < 0)
	    || (r = set_alpn(t, &c)) < 0 || (r = set_tickets(t)) < 0)
		return fail_setup(t, r);
	clientcert_setup(t);
	return 0;
}

/* GnuTLS 3.7.9 agrees to max_fragment_length, then sends larger records all the same. */
static size_t record_max(const struct hello *h)
{
	return h->fragment_code >= 1 && h->fragment_code <= 4 && !h->has_record_limit ? (size_t)256 << h->fragment_code : RECORD_MAX;
}

/* A connection that waits for its next request is to cost little: what is needed no more goes. */
static void forget_hello(struct tls *t)
{
	free(t->hello);
	t->hello = NULL;
}

static int take_hello(struct tls *t, struct text body)
{
	char *name;

	if (!(t->hello = calloc(1, sizeof *t->hello)))
		return fail_setup(t, GNUTLS_E_MEMORY_ERROR);
	if (hello_parse(body, t->hello) != 0) {
		forget_hello(t);
		return refuse(t, TLS_F_HELLO, GNUTLS_A_DECODE_ERROR);
	}
	if (t->hello->illegal)
		return refuse(t, TLS_F_HELLO, GNUTLS_A_ILLEGAL_PARAMETER);
	t->record_max = record_max(t->hello);
	if (!t->hello->sni.n)
		return 0;
	if (!(name = malloc(t->hello->sni.n)))
		return fail_setup(t, GNUTLS_E_MEMORY_ERROR);
	memcpy(name, t->hello->sni.p, t->hello->sni.n);
	t->sni = t->hello->sni = (struct text){ name, t->hello->sni.n };
	return 0;
}

static int on_hello(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *msg)
{
	struct tls *t = tls_of(session);
	struct text empty = { 0 };
	int r;

	(void)type;
	if (!incoming || when != GNUTLS_HOOK_PRE)
		return 0;
	if (t->policy) {                        /* the second one after a retry changes nothing that was decided */
		t->retried = true;
		return 0;
	}
	if ((r = take_hello(t, (struct text){ (const char *)msg->data, msg->size })) < 0)
		return r;
	r = decide(t);
	/* The message goes when the hook returns. */
	t->hello->session_id = t->hello->alpn = t->hello->ticket_name = empty;
	return r;
}

/* ------------------------------------------------------------------------------------------------ driving */

struct tls *tls_start(const struct tls_io *io, const struct tls_chooser *chooser)
{
	struct tls *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->io = io;
	t->chooser = chooser;
	t->alert = t->alert_received = -1;
	/* For a question behind the handshake GnuTLS keeps all its messages, some KiB: not where nobody will be asked. */
	if (!start_priority || gnutls_init(&t->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_AUTO_SEND_TICKET |
					   (tls_policy_asks_later() ? (unsigned)GNUTLS_POST_HANDSHAKE_AUTH : 0u)) < 0) {
		free(t);
		return NULL;
	}
	gnutls_session_set_ptr(t->session, t);
	gnutls_priority_set(t->session, start_priority);
	gnutls_db_set_cache_expiration(t->session, (int)resume_timeout());      /* before any ticket key */
	gnutls_handshake_set_max_packet_length(t->session, HELLO_LONGEST);
	gnutls_handshake_set_hook_function(t->session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, on_hello);
	tls_record_setup(t);
	return t;
}

/* One ticket, after the client's Finished, for those that can use it (RFC 8446, 4.6.1). */
static bool ticket_due(const struct tls *t)
{
	return t->tls13 && t->policy->tickets != 0 && t->hello->psk_ke_modes;
}

static enum tls_result waiting(const struct tls *t)
{
	return gnutls_record_get_direction(t->session) ? TLS_WRITE : TLS_READ;
}

enum tls_result tls_step(struct tls *t)
{
	int r;

	while (t->state == TLS_S_HANDSHAKE) {
		r = gnutls_handshake(t->session);
		if (r == GNUTLS_E_AGAIN)
			return waiting(t);
		if (r == 0) {
			t->resumed = gnutls_session_is_resumed(t->session);
			if ((r = clientcert_done(t)) < 0)
				tls_fail(t, r);
			else
				t->state = TLS_S_CHECK;
		} else if (r == GNUTLS_E_WARNING_ALERT_RECEIVED ? !tls_warned(t) : gnutls_error_is_fatal(r)) {
			tls_fail(t, r);
		}
	}
	if (t->state == TLS_S_CHECK) {
		if (check_open(t))
			return TLS_CHECK;
		if ((r = clientcert_checked(t)) < 0)
			tls_fail(t, r);
		else
			t->state = ticket_due(t) ? TLS_S_TICKET : TLS_S_OPEN;
	}
	while (t->state == TLS_S_TICKET) {
		r = gnutls_session_ticket_send(t->session, 1, 0);
		if (r == GNUTLS_E_AGAIN)
			return TLS_WRITE;
		if (r == GNUTLS_E_INTERRUPTED)
			continue;
		if (r < 0 && r != GNUTLS_E_INVALID_REQUEST)
			tls_fail(t, r);
		else
			t->state = TLS_S_OPEN;          /* INVALID_REQUEST: there was no seed to seal one with */
	}
	if (t->state != TLS_S_OPEN)
		return TLS_FAILED;
	tls_count_done(t);
	forget_hello(t);
	return TLS_DONE;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	clientcert_free(t);
	check_free(t);
	forget_hello(t);
	free((char *)t->sni.p);
	gnutls_deinit(t->session);
	free(t);
}

/* ------------------------------------------------------------------------------------------------ questions */

const struct tls_policy *tls_policy_in_use(const struct tls *t)
{
	return t->policy;
}

struct text tls_sni(const struct tls *t)
{
	return t->sni;
}

bool tls_resumed(const struct tls *t)
{
	return t->resumed;
}

struct text tls_alpn(const struct tls *t)
{
	gnutls_datum_t name = { 0 };

	if (gnutls_alpn_get_selected_protocol(t->session, &name) < 0)
		return (struct text){ 0 };
	return (struct text){ (const char *)name.data, name.size };
}

/*
 * place.c - what a place demands of TLS, and the question for a certificate behind the handshake. Before TLS 1.3 that
 * question would be a renegotiation: there is none. Runs in children.
 */
#include "tls/place.h"

#include <errno.h>

#include "tls/clientcert.h"
#include "tls/session.h"

#define ROOM 16384                      /* bytes of HTTP taken out of GnuTLS at once: a record */

/* ------------------------------------------------------------------------------------------------ the demands */

static bool has_suite(const struct suite_list *l, const struct suite *s)
{
	for (unsigned i = 0; s && i < l->n; i++)
		if (l->at[i] == s)
			return true;
	return false;
}

/* Apache would negotiate anew for another suite; lists count for the protocols that they are about. */
static const char *suite_refused(struct tls *t, const struct tls_section *s, struct arena *a)
{
	const struct suite_list *l = t->tls13 ? s->suites13 : s->suites;
	const char *name = gnutls_ciphersuite_get(t->session);

	if (!l || has_suite(l, suite_by_name(text_of(name))))
		return NULL;
	return arena_printf(a, "the connection's cipher suite %s is not among those of SSLCipherSuite here; the host's own SSLCipherSuite chooses it", name);
}

/* verify NONE: the place asks for nothing, and sees only what is good. */
static struct cert_rules rules_of(const struct tls *t, const struct tls_section *s)
{
	struct cert_rules r = { TLS_VERIFY_NONE, t->policy->depth };

	if (s && s->verify > TLS_VERIFY_NONE)
		r.verify = s->verify;
	if (s && s->depth != CONF_UNSET) {
		r.depth = s->depth;
		if (s->verify == CONF_UNSET)
			r.verify = TLS_VERIFY_OPTIONAL;
	}
	return r;
}

/* One question a connection, unless a certificate must be there now and that was not said before. */
static bool worth_asking(const struct tls *t, const struct tls_section *s)
{
	if (t->client != TLS_CLIENT_NONE || t->late || s->verify <= TLS_VERIFY_NONE)
		return false;
	return t->asked <= TLS_VERIFY_NONE || (s->verify == TLS_VERIFY_REQUIRE && t->asked < TLS_VERIFY_REQUIRE);
}

static bool can_be_asked(const struct tls *t)
{
	return t->tls13 && t->policy->clients && gnutls_session_get_flags(t->session) & GNUTLS_SFLAGS_POST_HANDSHAKE_AUTH;
}

static const char *no_certificate(const struct tls *t, struct arena *a)
{
	if (t->asked > TLS_VERIFY_NONE)
		return "the client gave no certificate";
	return arena_printf(a, "a certificate of the client is required here, but it was not asked for one in the handshake, and %s; give the place a host of "
			    "its own with \"SSLVerifyClient require\", or write \"SSLVerifyClient optional\" into host %s",
			    !t->policy->clients ? "the host names no authorities (SSLCACertificateFile)" :
			    t->tls13 ? "cannot be asked later: it did not offer post-handshake authentication, as browsers do not" :
				       "before TLS 1.3 asking later takes a renegotiation, which is not done",
			    t->policy->name);
}

static const char *certificate_refused(struct tls *t, const struct tls_section *s, struct arena *a)
{
	const struct tls_peer *p;
	enum tls_client state = clientcert_state(t);

	if (t->late && t->client_why)
		return arena_printf(a, "the client's certificate does not count: %s (%d)%s%s; see %s", t->client_why->words, t->client_why->number,
				    t->check.words ? ", " : "", t->check.words ? t->check.words : "", t->client_why->look);
	if (s->verify == TLS_VERIFY_REQUIRE && state != TLS_CLIENT_GOOD)
		return state == TLS_CLIENT_GENEROUS ? "the client's certificate is of no known authority" : no_certificate(t, a);
	if (s->verify == TLS_VERIFY_OPTIONAL && state == TLS_CLIENT_GENEROUS)
		return "the client's certificate is of no known authority";
	if (s->depth != CONF_UNSET && state == TLS_CLIENT_GOOD && !t->late
	    && (!(p = clientcert_judged(t)) || p->verdict.depth > (unsigned)s->depth))
		return "the client's certificate has more authorities above it than SSLVerifyDepth allows";
	return NULL;
}

enum tls_placed tls_place_look(struct tls *t, const void *section_config, struct arena *a, const char **why)
{
	const struct tls_section *s = section_config;
	struct cert_rules rules = rules_of(t, s);

	if (t->late)
		clientcert_judge_late(t, &rules);
	if (!s)
		return TLS_PLACE_OPEN;
	if ((*why = suite_refused(t, s, a)))
		return TLS_PLACE_REFUSED;
	if (s->verify == TLS_VERIFY_NONE || (s->verify == CONF_UNSET && s->depth == CONF_UNSET))
		return TLS_PLACE_OPEN;
	if (worth_asking(t, s) && can_be_asked(t)) {
		t->asked = s->verify;
		return TLS_PLACE_ASKS;
	}
	*why = certificate_refused(t, s, a);
	return *why ? TLS_PLACE_REFUSED : TLS_PLACE_OPEN;
}

size_t tls_place_buffer(const void *section_config)
{
	const struct tls_section *s = section_config;

	return s && s->buffer != CONF_UNSET ? (size_t)s->buffer : TLS_RENEG_BUFFER;
}

/* What proves nothing names nobody. */
const char *tls_place_user(struct tls *t, const void *section_config)
{
	const struct tls_section *s = section_config;

	return s && s->user && clientcert_state(t) == TLS_CLIENT_GOOD ? s->user : NULL;
}

/* ------------------------------------------------------------------------------------------------ the question */

/* GnuTLS gives out what it has read before it reads on. */
static bool take_data(struct tls *t, int (*keep)(void *ctx, const void *p, size_t n), void *ctx)
{
	static char room[ROOM];
	bool kept = true;

	do {
		ssize_t n = gnutls_record_recv(t->session, room, sizeof room);

		if (n > 0 && keep(ctx, room, (size_t)n) < 0)
			kept = false;
	} while (kept && gnutls_record_check_pending(t->session));
	gnutls_memset(room, 0, sizeof room);
	return kept;
}

enum tls_result tls_ask_step(struct tls *t, int (*keep)(void *ctx, const void *p, size_t n), void *ctx)
{
	int r;

	if (t->state != TLS_S_OPEN)
		return TLS_FAILED;
	if (check_open(t))
		return TLS_CHECK;
	if (t->late)                            /* it came, and responders have been asked */
		return TLS_DONE;
	if (!t->asks)
		clientcert_ask(t);
	for (;;) {
		r = gnutls_reauth(t->session, 0);
		switch (r) {
		case 0:
			t->asks = false;
			clientcert_asked(t);
			return clientcert_late_check(t) ? TLS_CHECK : TLS_DONE;
		case GNUTLS_E_AGAIN:
			return gnutls_record_get_direction(t->session) ? TLS_WRITE : TLS_READ;
		case GNUTLS_E_INTERRUPTED:
			continue;
		case GNUTLS_E_GOT_APPLICATION_DATA:
			if (!take_data(t, keep, ctx))
				return TLS_READ;
			continue;
		case GNUTLS_E_WARNING_ALERT_RECEIVED:
			if (tls_warned(t))
				continue;
		}
		tls_fail(t, r);
		return TLS_FAILED;
	}
}

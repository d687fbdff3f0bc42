/*
 * diagnose.c - why a handshake failed, in one sentence for the log: what the client offered, what the host allows. GnuTLS's
 * codes do not tell (no version, suite, certificate or group in common are one code); the ClientHello and the policy do.
 * Runs in children.
 */
#include "tls/choose.h"
#include "tls/clientcert.h"
#include "tls/session.h"

#define SHOWN 12                        /* of a client's suites so many are named */

static char sentence[1024];

static void put_offer(struct buf *b, const struct hello *h, bool tls13)
{
	unsigned shown = 0;

	for (unsigned i = 0; i < h->nsuites && shown < SHOWN; i++) {
		const struct suite *s = suite_by_id(h->suites[i]);
		bool grease = (h->suites[i] & 0x0f0f) == 0x0a0a && h->suites[i] >> 8 == (h->suites[i] & 0xff);
		if (grease || h->suites[i] == 0x00ff || (s && (s->since == 0x0304) != tls13))
			continue;
		if (s)
			buf_printf(b, " %s", s->openssl);
		else
			buf_printf(b, " %04x", h->suites[i]);
		shown++;
	}
	if (shown == SHOWN)
		buf_puts(b, " ...");
}

static void put_list(struct buf *b, const struct suite_list *l)
{
	for (unsigned i = 0; i < l->n && i < SHOWN; i++)
		buf_printf(b, " %s", l->at[i]->openssl);
	if (l->n > SHOWN)
		buf_puts(b, " ...");
}

static void say_versions(struct buf *b, const struct tls *t)
{
	char offered[48], allowed[48];

	tls_protocol_words(tls_offered(&t->hello), offered);
	buf_printf(b, "no protocol in common: the client offers %s, host %s allows %s (SSLProtocol)",
		   offered[0] ? offered : "none known", t->policy->name,
		   tls_protocol_words((unsigned)t->policy->protocols, allowed));
}

static void say_suites(struct buf *b, const struct tls *t, bool tls13)
{
	buf_puts(b, "no cipher suite in common: the client offers");
	put_offer(b, &t->hello, tls13);
	buf_printf(b, "; host %s allows", t->policy->name);
	put_list(b, tls13 ? &t->policy->suites13 : &t->policy->suites);
	buf_printf(b, " (SSLCipherSuite%s, certificate: %s)", tls13 ? " TLSv1.3" : "",
		   gnutls_pk_get_name(t->policy->at[0].algorithm));
}

static bool group_in_common(const struct tls *t)
{
	for (unsigned i = 0; i < t->policy->ngroups; i++)
		for (unsigned k = 0; k < t->hello.ngroups; k++)
			if (t->policy->groups[i]->id == t->hello.groups[k])
				return true;
	return t->hello.ngroups == 0;
}

/* Certificate alerts are the client's word about our certificate (RFC 8446, 6.2). */
static void say_alert(struct buf *b, const struct tls *t)
{
	const char *name = gnutls_alert_get_name((gnutls_alert_description_t)t->alert_received);

	switch (t->alert_received) {
	case GNUTLS_A_BAD_CERTIFICATE:
	case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
	case GNUTLS_A_CERTIFICATE_REVOKED:
	case GNUTLS_A_CERTIFICATE_EXPIRED:
	case GNUTLS_A_CERTIFICATE_UNKNOWN:
	case GNUTLS_A_UNKNOWN_CA:
		buf_printf(b, "the client refused our certificate%s%s: %s", t->policy ? " of host " : "",
			   t->policy ? t->policy->name : "",
			   t->alert_received == GNUTLS_A_UNKNOWN_CA
				   ? "it does not know the authority (unknown CA)"
			   : name ? name
				  : "unknown reason");
		return;
	}
	buf_printf(b, "the client ended the handshake with the alert %d (%s)", t->alert_received,
		   name ? name : "unknown");
}

static void say_code(struct buf *b, const struct tls *t)
{
	bool chosen = t->policy && tls_hello(t);

	switch (t->code) {
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_PUSH_ERROR:
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_SESSION_EOF:
		buf_puts(b, "the client went away");
		return;
	case GNUTLS_E_PK_SIGN_FAILED:
		buf_printf(b, "host %s: the keyholder gave no signature", chosen ? t->policy->name : "?");
		return;
	case GNUTLS_E_UNEXPECTED_PACKET:
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
	case GNUTLS_E_RECORD_OVERFLOW:
		buf_printf(b, "what the client sends is no TLS: %s", gnutls_strerror(t->code));
		return;
	case GNUTLS_E_NO_CIPHER_SUITES:
	case GNUTLS_E_NO_COMMON_KEY_SHARE:
	case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
		if (chosen && !group_in_common(t)) {
			buf_printf(b, "no group for the key exchange in common with host %s", t->policy->name);
			return;
		}
		if (chosen) {
			buf_printf(
				b,
				"no certificate of host %s (%s) fits the signatures and curves that the client knows",
				t->policy->name, gnutls_pk_get_name(t->policy->at[0].algorithm));
			return;
		}
		break;
	}
	buf_printf(b, "%s", gnutls_strerror(t->code));
}

const char *tls_failure(const struct tls *t)
{
	struct buf b;

	buf_init(&b, sentence, sizeof sentence);
	switch (t->fault) {
	case TLS_F_HELLO:
		buf_puts(&b, "the ClientHello is malformed");
		return sentence;
	case TLS_F_NAME:
		if (t->hello.sni.n)
			buf_printf(&b, "no host for the name %.*s (SSLStrictSNIVHostCheck)",
				   (int)t->hello.sni.n, t->hello.sni.p);
		else
			buf_puts(&b, "the client asks for no host by name (SSLStrictSNIVHostCheck)");
		return sentence;
	case TLS_F_VERSION:
		say_versions(&b, t);
		return sentence;
	case TLS_F_SUITE:
	case TLS_F_SUITE13:
		say_suites(&b, t, t->fault == TLS_F_SUITE13);
		return sentence;
	case TLS_F_RENEGOTIATION:
		buf_puts(&b, "the client asks for a new handshake within the connection, which is not granted");
		return sentence;
	case TLS_F_SETUP:
		buf_printf(&b, "the session could not be set up: %s", gnutls_strerror(t->code));
		return sentence;
	case TLS_F_CLIENT:
		clientcert_explain(&b, t);
		return sentence;
	case TLS_F_NONE:
		break;
	}
	if (t->alert_received >= 0)
		say_alert(&b, t);
	else if (t->code)
		say_code(&b, t);
	return sentence;
}

bool tls_failure_quiet(const struct tls *t)
{
	return t->fault == TLS_F_NONE && t->alert_received < 0
	       && (t->code == GNUTLS_E_PREMATURE_TERMINATION || t->code == GNUTLS_E_PUSH_ERROR
		   || t->code == GNUTLS_E_PULL_ERROR || t->code == GNUTLS_E_SESSION_EOF);
}

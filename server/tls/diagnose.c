/*
 * diagnose.c - why a handshake failed, in one sentence for the log: what the client offered, what the host allows. GnuTLS's
 * codes do not tell (no version, suite, certificate or group in common are one code); the ClientHello and the policy do.
 * Runs in children.
 */
#include "tls/choose.h"
#include "tls/clientcert.h"
#include "tls/session.h"

#define SHOWN 12                        /* of each list so many are named */

static char sentence[2048];

/* RFC 8701: values that mean nothing. */
static bool grease(uint16_t v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

static void put_offer(struct buf *b, const struct hello *h, bool tls13)
{
	unsigned shown = 0;

	for (unsigned i = 0; i < h->nsuites && shown < SHOWN; i++) {
		const struct suite *s = suite_by_id(h->suites[i]);
		/* 00ff and 5600 are signals, no suites. */
		if (grease(h->suites[i]) || h->suites[i] == 0x00ff || h->suites[i] == 0x5600 || (s && (s->since == 0x0304) != tls13))
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

/* As administrators write it: X25519, P-256. */
static const char *group_name(uint16_t id)
{
	for (unsigned i = 0; i < TLS_GROUPS; i++)
		if (tls_groups[i].id == id)
			return tls_groups[i].names[tls_groups[i].names[0][0] == 'X' ? 0 : 1];
	return NULL;
}

static void put_groups(struct buf *b, const struct hello *h)
{
	for (unsigned i = 0, shown = 0; i < h->ngroups && shown < SHOWN; i++) {
		const char *name = group_name(h->groups[i]);
		if (grease(h->groups[i]))
			continue;
		if (name)
			buf_printf(b, " %s", name);
		else
			buf_printf(b, " %04x", h->groups[i]);
		shown++;
	}
}

static void put_signatures(struct buf *b, const struct hello *h)
{
	static const struct { uint16_t id; const char *name; } schemes[] = {
		{ 0x0403, "ECDSA+SHA256" }, { 0x0503, "ECDSA+SHA384" }, { 0x0603, "ECDSA+SHA512" }, { 0x0203, "ECDSA+SHA1" },
		{ 0x0401, "RSA+SHA256" }, { 0x0501, "RSA+SHA384" }, { 0x0601, "RSA+SHA512" }, { 0x0201, "RSA+SHA1" },
		{ 0x0804, "RSA-PSS+SHA256" }, { 0x0805, "RSA-PSS+SHA384" }, { 0x0806, "RSA-PSS+SHA512" },
		{ 0x0807, "Ed25519" }, { 0x0808, "Ed448" },
	};

	for (unsigned i = 0, shown = 0; i < h->nsignatures && shown < SHOWN; i++) {
		size_t k = 0;
		if (grease(h->signatures[i]))
			continue;
		while (k < sizeof schemes / sizeof *schemes && schemes[k].id != h->signatures[i])
			k++;
		if (k < sizeof schemes / sizeof *schemes)
			buf_printf(b, " %s", schemes[k].name);
		else
			buf_printf(b, " %04x", h->signatures[i]);
		shown++;
	}
}

static void put_certificates(struct buf *b, const struct tls_policy *p)
{
	for (unsigned i = 0; i < p->n; i++)
		buf_printf(b, "%s%s", i ? ", " : "", gnutls_pk_get_name(p->at[i].algorithm));
}

static void say_versions(struct buf *b, const struct tls *t)
{
	char offered[48], allowed[48];
	unsigned offer = tls_offered(t->hello);

	tls_protocol_words(offer, offered);
	buf_printf(b, "no protocol in common: the client offers %s, host %s allows %s (SSLProtocol); ",
		   offered[0] ? offered : t->hello->legacy_version == 0x0300 ? "SSLv3" : "none known", t->policy->name,
		   tls_protocol_words((unsigned)t->policy->protocols, allowed));
	if (offer > (unsigned)t->policy->protocols)
		buf_puts(b, "the client's are newer: add one to SSLProtocol");
	else if (offered[0])
		buf_puts(b, "update the client, or add its protocol to SSLProtocol if it must be served");
	else
		buf_puts(b, "the client must be updated");
}

/* Why none of the suites that were offered is taken, and what helps. */
static const char *cure_suites(const struct tls *t)
{
	bool known = false, kind = false, old = false;

	for (unsigned i = 0; i < t->hello->nsuites; i++) {
		const struct suite *s = suite_by_id(t->hello->suites[i]);
		if (!s || s->since == 0x0304 || s->auth == AUTH_NULL)
			continue;
		known = true;
		for (unsigned k = 0; k < t->policy->n; k++)
			kind |= (s->auth == AUTH_RSA) == (t->policy->at[k].algorithm == GNUTLS_PK_RSA
							  || t->policy->at[k].algorithm == GNUTLS_PK_RSA_PSS);
		for (unsigned k = 0; k < t->policy->suites.n; k++)
			old |= t->policy->suites.at[k] == s;
	}
	if (!known)
		return "all that the client offers is obsolete, anonymous or unknown here: it must be updated";
	if (!kind)
		return "the client's suites need a certificate of another kind: add one with its own SSLCertificateFile";
	if (old)
		return "what both have needs TLSv1.2: update the client";
	return "add one of the client's to SSLCipherSuite (see \"bulkhead ciphers\")";
}

static void say_suites(struct buf *b, const struct tls *t, bool tls13)
{
	buf_puts(b, "no cipher suite in common: the client offers");
	put_offer(b, t->hello, tls13);
	buf_printf(b, "; host %s allows", t->policy->name);
	put_list(b, tls13 ? &t->policy->suites13 : &t->policy->suites);
	buf_printf(b, " (SSLCipherSuite%s, certificate: ", tls13 ? " TLSv1.3" : "");
	put_certificates(b, t->policy);
	buf_printf(b, "); %s", tls13 ? "add one of the client's to SSLCipherSuite TLSv1.3" : cure_suites(t));
}

static bool group_in_common(const struct tls *t)
{
	for (unsigned i = 0; i < t->policy->ngroups; i++)
		for (unsigned k = 0; k < t->hello->ngroups; k++)
			if (t->policy->groups[i]->id == t->hello->groups[k])
				return true;
	return t->hello->ngroups == 0;
}

static void say_groups(struct buf *b, const struct tls *t)
{
	buf_printf(b, "no group for the key exchange in common with host %s: the client offers", t->policy->name);
	put_groups(b, t->hello);
	buf_puts(b, "; the host allows");
	for (unsigned i = 0; i < t->policy->ngroups; i++)
		buf_printf(b, " %s", group_name(t->policy->groups[i]->id));
	buf_puts(b, "; add one of the client's to \"SSLOpenSSLConfCmd Groups\"");
}

static void say_certificates(struct buf *b, const struct tls *t)
{
	buf_printf(b, "no certificate of host %s (", t->policy->name);
	put_certificates(b, t->policy);
	buf_puts(b, ") fits the signatures and curves that the client knows: signatures");
	put_signatures(b, t->hello);
	buf_puts(b, ", curves");
	put_groups(b, t->hello);
	buf_puts(b, "; add a certificate of another kind with its own SSLCertificateFile");
}

/* Certificate alerts are the client's word about our certificate (RFC 8446, 6.2). NULL: another alert. */
static const char *refusal(int alert)
{
	switch (alert) {
	case GNUTLS_A_UNKNOWN_CA:
		return "it does not know the authority (unknown CA): is an intermediate certificate missing in SSLCertificateFile, or is the "
		       "certificate self-signed?";
	case GNUTLS_A_CERTIFICATE_UNKNOWN:
		return "it does not accept it (certificate unknown), often because the name asked for is not in it, or the user declined it";
	case GNUTLS_A_BAD_CERTIFICATE:
		return "it finds it bad (bad certificate): the name asked for is not in it, the chain is incomplete or a signature is wrong";
	case GNUTLS_A_CERTIFICATE_EXPIRED:
		return "it holds it for expired or not yet valid (certificate expired): renew it, or the client's clock is wrong";
	case GNUTLS_A_CERTIFICATE_REVOKED:
		return "its authority has revoked it (certificate revoked): get another one";
	case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
		return "it cannot use such a certificate (unsupported certificate): its key or its purpose does not fit";
	}
	return NULL;
}

static void say_alert(struct buf *b, const struct tls *t)
{
	const char *name = gnutls_alert_get_name((gnutls_alert_description_t)t->alert_received), *why = refusal(t->alert_received);

	if (why)
		buf_printf(b, "the client refused our certificate%s%s: %s", t->policy ? " of host " : "", t->policy ? t->policy->name : "", why);
	else
		buf_printf(b, "the client ended the handshake%s%s with the alert %d (%s)", t->policy ? " with host " : "",
			   t->policy ? t->policy->name : "", t->alert_received, name ? name : "unknown");
}

/* What the code means once neither the hook nor an alert of the client explains it. */
static enum tls_reason reason_of_code(const struct tls *t)
{
	switch (t->code) {
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_PUSH_ERROR:
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_SESSION_EOF:
		return TLS_R_GONE;
	case GNUTLS_E_PK_SIGN_FAILED:
	case GNUTLS_E_MEMORY_ERROR:
	case GNUTLS_E_INTERNAL_ERROR:
		return TLS_R_SERVER;
	case GNUTLS_E_RECORD_OVERFLOW:
	case GNUTLS_E_DECRYPTION_FAILED:
	case GNUTLS_E_UNEXPECTED_PACKET:
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
	case GNUTLS_E_PARSING_ERROR:
	case GNUTLS_E_INVALID_REQUEST:          /* a point that is too long */
	case GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET:
	case GNUTLS_E_HANDSHAKE_TOO_LARGE:
	case GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER:
	case GNUTLS_E_ILLEGAL_PARAMETER:
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
		return TLS_R_MALFORMED;
	case GNUTLS_E_NO_CIPHER_SUITES:
	case GNUTLS_E_NO_COMMON_KEY_SHARE:
	case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
		if (t->policy && t->hello)
			return group_in_common(t) ? TLS_R_CERTIFICATE : TLS_R_GROUP;
	}
	return TLS_R_OTHER;
}

enum tls_reason tls_failure_reason(const struct tls *t)
{
	switch (t->fault) {
	case TLS_F_HELLO:
		return TLS_R_MALFORMED;
	case TLS_F_NAME:
		return TLS_R_NAME;
	case TLS_F_VERSION:
		return TLS_R_VERSION;
	case TLS_F_SUITE:
	case TLS_F_SUITE13:
		return TLS_R_SUITE;
	case TLS_F_RENEGOTIATION:
		return TLS_R_RENEGOTIATION;
	case TLS_F_SETUP:
		return TLS_R_SERVER;
	case TLS_F_CLIENT:
		return TLS_R_CLIENT_CERTIFICATE;
	case TLS_F_NONE:
		break;
	}
	if (t->alert_received >= 0)
		return refusal(t->alert_received) ? TLS_R_REFUSED : TLS_R_ALERT;
	return reason_of_code(t);
}

static void say_other(struct buf *b, int code)
{
	if (code == GNUTLS_E_NO_APPLICATION_PROTOCOL)
		buf_puts(b, "no application protocol in common: by ALPN the client offers neither http/1.1 nor http/1.0 nor h2, so it is no client of HTTP");
	else if (code == GNUTLS_E_INAPPROPRIATE_FALLBACK)
		buf_puts(b, "the client says that it speaks newer protocols and tries an older one (TLS_FALLBACK_SCSV): its first try was lost on the way, or "
			    "somebody between wants it weaker");
	else
		buf_printf(b, "%s", gnutls_strerror(code));
}

static void say_code(struct buf *b, const struct tls *t)
{
	const char *host = t->policy ? t->policy->name : "?";

	switch (reason_of_code(t)) {
	case TLS_R_GONE:
		buf_puts(b, "the client went away");
		break;
	case TLS_R_SERVER:
		if (t->code == GNUTLS_E_PK_SIGN_FAILED)
			buf_printf(b, "host %s: the keyholder gave no signature; its own lines in the log say why", host);
		else
			buf_printf(b, "host %s: %s", host, gnutls_strerror(t->code));
		break;
	case TLS_R_MALFORMED:
		buf_printf(b, "what the client sends breaks the protocol: %s", gnutls_strerror(t->code));
		break;
	case TLS_R_GROUP:
		say_groups(b, t);
		break;
	case TLS_R_CERTIFICATE:
		say_certificates(b, t);
		break;
	default:
		say_other(b, t->code);
	}
}

static void say_name(struct buf *b, const struct tls *t)
{
	if (t->sni.n)
		buf_printf(b, "no host for the name %.*s (SSLStrictSNIVHostCheck)", (int)t->sni.n, t->sni.p);
	else
		buf_puts(b, "the client asks for no host by name (SSLStrictSNIVHostCheck)");
}

const char *tls_failure(const struct tls *t)
{
	struct buf b;

	buf_init(&b, sentence, sizeof sentence);
	switch (t->fault) {
	case TLS_F_HELLO:
		buf_puts(&b, "the ClientHello is malformed");
		break;
	case TLS_F_NAME:
		say_name(&b, t);
		break;
	case TLS_F_VERSION:
		say_versions(&b, t);
		break;
	case TLS_F_SUITE:
	case TLS_F_SUITE13:
		say_suites(&b, t, t->fault == TLS_F_SUITE13);
		break;
	case TLS_F_RENEGOTIATION:
		buf_puts(&b, "the client asks for a new handshake within the connection, which is not granted");
		break;
	case TLS_F_SETUP:
		buf_printf(&b, "the session could not be set up: %s", gnutls_strerror(t->code));
		break;
	case TLS_F_CLIENT:
		clientcert_explain(&b, t);
		break;
	case TLS_F_NONE:
		if (t->alert_received >= 0)
			say_alert(&b, t);
		else if (t->code)
			say_code(&b, t);
	}
	return sentence;
}

enum log_level tls_failure_level(const struct tls *t)
{
	switch (tls_failure_reason(t)) {
	case TLS_R_GONE:
		return LOG_L_DEBUG;
	case TLS_R_SERVER:
		return LOG_L_WARN;
	case TLS_R_REFUSED:             /* two that a client seldom says of a sound certificate */
		return t->alert_received == GNUTLS_A_CERTIFICATE_EXPIRED || t->alert_received == GNUTLS_A_CERTIFICATE_REVOKED ? LOG_L_WARN
															      : LOG_L_INFO;
	default:
		return LOG_L_INFO;
	}
}

/*
 * variables.c - mod_ssl's variables of a connection, computed when they are asked for. Runs in children.
 */
#include "tls/variables.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/version.h"
#include "tls/clientcert.h"
#include "tls/names.h"
#include "tls/session.h"

static struct text copy(struct arena *a, const char *s)
{
	return s ? text_of(arena_strdup(a, s)) : (struct text){ 0 };
}

static struct text hex(struct arena *a, const unsigned char *p, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = arena_alloc(a, 2 * n + 1);

	if (!out)
		return (struct text){ 0 };
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
	return (struct text){ out, 2 * n };
}

/* ------------------------------------------------------------------------------------------------ the session */

static struct text protocol(struct tls *t, struct arena *a)
{
	(void)a;
	switch (gnutls_protocol_get_version(t->session)) {
	case GNUTLS_TLS1_3:
		return TEXT("TLSv1.3");
	case GNUTLS_TLS1_2:
		return TEXT("TLSv1.2");
	case GNUTLS_TLS1_1:
		return TEXT("TLSv1.1");
	case GNUTLS_TLS1_0:
		return TEXT("TLSv1");
	default:
		return (struct text){ 0 };
	}
}

static const struct suite *suite_in_use(struct tls *t)
{
	return suite_by_name(text_of(gnutls_ciphersuite_get(t->session)));
}

static struct text cipher(struct tls *t, struct arena *a)
{
	const struct suite *s = suite_in_use(t);

	return s ? text_of(s->openssl) : copy(a, gnutls_ciphersuite_get(t->session));
}

static struct text key_size(struct tls *t, struct arena *a)
{
	return text_of(arena_printf(a, "%zu", 8 * gnutls_cipher_get_key_size(gnutls_cipher_get(t->session))));
}

static struct text session_id(struct tls *t, struct arena *a)
{
	gnutls_datum_t id = { 0 };

	if (gnutls_session_get_id2(t->session, &id) < 0 || id.size == 0)
		return (struct text){ 0 };
	return hex(a, id.data, id.size);
}

static struct text resumed(struct tls *t, struct arena *a)
{
	(void)a;
	return t->resumed ? TEXT("Resumed") : TEXT("Initial");
}

static struct text secure_renegotiation(struct tls *t, struct arena *a)
{
	(void)a;
	return gnutls_safe_renegotiation_status(t->session) ? TEXT("true") : TEXT("false");
}

static struct text sni(struct tls *t, struct arena *a)
{
	(void)a;
	return t->sni;
}

static struct text library(struct tls *t, struct arena *a)
{
	(void)t;
	return text_of(arena_printf(a, "GnuTLS/%s", gnutls_check_version(NULL)));
}

static struct text always_on(struct tls *t, struct arena *a) { (void)t, (void)a; return TEXT("on"); }
static struct text always_false(struct tls *t, struct arena *a) { (void)t, (void)a; return TEXT("false"); }
static struct text always_null(struct tls *t, struct arena *a) { (void)t, (void)a; return TEXT("NULL"); }
static struct text interface(struct tls *t, struct arena *a)
{
	(void)t, (void)a;
	return TEXT("Bulkhead/" BULKHEAD_VERSION);
}

static const struct { const char *name; struct text (*value)(struct tls *t, struct arena *a); } session_variables[] = {
	{ "HTTPS", always_on }, { "SSL_PROTOCOL", protocol }, { "SSL_CIPHER", cipher }, { "SSL_CIPHER_USEKEYSIZE", key_size },
	{ "SSL_CIPHER_ALGKEYSIZE", key_size }, { "SSL_CIPHER_EXPORT", always_false }, { "SSL_SESSION_ID", session_id },
	{ "SSL_SESSION_RESUMED", resumed }, { "SSL_SECURE_RENEG", secure_renegotiation }, { "SSL_COMPRESS_METHOD", always_null },
	{ "SSL_TLS_SNI", sni }, { "SSL_VERSION_INTERFACE", interface }, { "SSL_VERSION_LIBRARY", library }, { "SSL_CLIENT_VERIFY", clientcert_verified },
};

/* ------------------------------------------------------------------------------------------------ a certificate */

/* The one that was shown; a resumed session shows none: then the first that the host has. */
static gnutls_x509_crt_t server_certificate(struct tls *t)
{
	const gnutls_datum_t *shown = gnutls_certificate_get_ours(t->session);

	if (!t->policy || !t->policy->n)
		return NULL;
	for (unsigned i = 0; shown && i < t->policy->n; i++) {
		const struct tls_certificate *c = &t->policy->at[i];
		if (c->leaf.size == shown->size && memcmp(c->leaf.data, shown->data, shown->size) == 0)
			return c->chain.at[0];
	}
	return t->policy->at[0].chain.at[0];
}

/* As OpenSSL prints times: "Nov 25 12:00:00 2026 GMT". */
static struct text date(time_t when, struct arena *a)
{
	struct tm tm;
	char text[40];

	if (when == (time_t)-1 || !gmtime_r(&when, &tm))
		return (struct text){ 0 };
	return copy(a, strftime(text, sizeof text, "%b %e %H:%M:%S %Y GMT", &tm) ? text : NULL);
}

static struct text serial(gnutls_x509_crt_t crt, struct arena *a)
{
	unsigned char number[64], *p = number;
	size_t n = sizeof number;

	if (gnutls_x509_crt_get_serial(crt, number, &n) < 0)
		return (struct text){ 0 };
	for (; n > 1 && *p == 0; n--)           /* DER's zero before a high bit */
		p++;
	return hex(a, p, n);
}

static struct text key_algorithm(gnutls_x509_crt_t crt)
{
	switch (cert_algorithm(crt, NULL)) {
	case GNUTLS_PK_RSA:
		return TEXT("rsaEncryption");
	case GNUTLS_PK_RSA_PSS:
		return TEXT("rsassaPss");
	case GNUTLS_PK_ECDSA:
		return TEXT("id-ecPublicKey");
	case GNUTLS_PK_EDDSA_ED25519:
		return TEXT("ED25519");
	case GNUTLS_PK_EDDSA_ED448:
		return TEXT("ED448");
	default:
		return (struct text){ 0 };
	}
}

static struct text signature_algorithm(gnutls_x509_crt_t crt)
{
	static const struct { gnutls_sign_algorithm_t algorithm; const char *name; } names[] = {
		{ GNUTLS_SIGN_RSA_SHA1, "sha1WithRSAEncryption" }, { GNUTLS_SIGN_RSA_SHA256, "sha256WithRSAEncryption" },
		{ GNUTLS_SIGN_RSA_SHA384, "sha384WithRSAEncryption" }, { GNUTLS_SIGN_RSA_SHA512, "sha512WithRSAEncryption" },
		{ GNUTLS_SIGN_ECDSA_SHA1, "ecdsa-with-SHA1" }, { GNUTLS_SIGN_ECDSA_SHA256, "ecdsa-with-SHA256" },
		{ GNUTLS_SIGN_ECDSA_SHA384, "ecdsa-with-SHA384" }, { GNUTLS_SIGN_ECDSA_SHA512, "ecdsa-with-SHA512" },
		{ GNUTLS_SIGN_RSA_PSS_SHA256, "rsassaPss" }, { GNUTLS_SIGN_RSA_PSS_SHA384, "rsassaPss" },
		{ GNUTLS_SIGN_RSA_PSS_SHA512, "rsassaPss" }, { GNUTLS_SIGN_EDDSA_ED25519, "ED25519" }, { GNUTLS_SIGN_EDDSA_ED448, "ED448" },
	};
	int algorithm = gnutls_x509_crt_get_signature_algorithm(crt);

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if ((int)names[i].algorithm == algorithm)
			return text_of(names[i].name);
	return (struct text){ 0 };
}

static struct text pem(gnutls_x509_crt_t crt, struct arena *a)
{
	gnutls_datum_t out = { 0 };
	struct text t = { 0 };

	if (gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out) >= 0)
		t = text_of(arena_strndup(a, (const char *)out.data, out.size));
	gnutls_free(out.data);
	return t;
}

/* "SAN_DNS_0": the n-th name of that kind. */
static struct text alternative_name(gnutls_x509_crt_t crt, unsigned kind, struct text number, struct arena *a)
{
	uint64_t wanted;
	char value[512];

	if (text_u64(number, 1000, &wanted) != 0)
		return (struct text){ 0 };
	for (unsigned i = 0; ; i++) {
		size_t n = sizeof value;
		int r = gnutls_x509_crt_get_subject_alt_name(crt, i, value, &n, NULL);
		if (r < 0 && r != GNUTLS_E_SHORT_MEMORY_BUFFER)
			return (struct text){ 0 };
		if (r == (int)kind && wanted-- == 0)
			return text_of(arena_strndup(a, value, n));
	}
}

static struct text rest_after(struct text name, const char *prefix)
{
	size_t n = strlen(prefix);

	return (struct text){ name.p + n, name.n - n };
}

/* RFC 4523, 2.1: what names a certificate exactly. */
static struct text exact_assertion(gnutls_x509_crt_t crt, struct arena *a)
{
	unsigned char number[64];
	char digits[160], *p = digits + sizeof digits;
	size_t n = sizeof number;
	struct text issuer = name_whole(crt, true, false, a);
	bool more = true;

	if (!issuer.p || gnutls_x509_crt_get_serial(crt, number, &n) < 0)
		return (struct text){ 0 };
	for (*--p = '\0'; more; ) {             /* by ten, over and over: the number has up to 20 bytes, or 64 */
		unsigned left = 0;
		more = false;
		for (size_t i = 0; i < n; i++) {
			left = left << 8 | number[i];
			number[i] = (unsigned char)(left / 10);
			left %= 10;
			more |= number[i] != 0;
		}
		*--p = (char)('0' + left);
	}
	return text_of(arena_printf(a, "{ serialNumber %s, issuer rdnSequence:\"%.*s\" }", p, (int)issuer.n, issuer.p));
}

static struct text days_left(gnutls_x509_crt_t crt, struct arena *a)
{
	time_t left = gnutls_x509_crt_get_expiration_time(crt) - time(NULL);

	return text_of(arena_printf(a, "%lld", left > 0 ? (long long)left / 86400 : 0));
}

/* What stands behind SSL_SERVER_ or SSL_CLIENT_. */
static struct text certificate_variable(const struct tls *t, gnutls_x509_crt_t crt, struct text name, struct arena *a)
{
	if (text_is(name, "S_DN") || text_is(name, "I_DN"))
		return name_whole(crt, name.p[0] == 'I', t->legacy_dn, a);
	if (text_starts(name, "S_DN_") || text_starts(name, "I_DN_"))
		return name_part(crt, name.p[0] == 'I', (struct text){ name.p + 5, name.n - 5 }, a);
	if (text_starts(name, "SAN_OTHER_msUPN_"))
		return alternative_name(crt, GNUTLS_SAN_OTHERNAME_MSUSERPRINCIPAL, rest_after(name, "SAN_OTHER_msUPN_"), a);
	if (text_starts(name, "SAN_OTHER_dnsSRV_"))
		return alternative_name(crt, GNUTLS_SAN_OTHERNAME_SRV, rest_after(name, "SAN_OTHER_dnsSRV_"), a);
	if (text_is(name, "CERT_RFC4523_CEA"))
		return exact_assertion(crt, a);
	if (text_is(name, "V_REMAIN"))
		return days_left(crt, a);
	if (text_starts(name, "SAN_DNS_"))
		return alternative_name(crt, GNUTLS_SAN_DNSNAME, rest_after(name, "SAN_DNS_"), a);
	if (text_starts(name, "SAN_Email_"))
		return alternative_name(crt, GNUTLS_SAN_RFC822NAME, rest_after(name, "SAN_Email_"), a);
	if (text_is(name, "M_VERSION"))
		return text_of(arena_printf(a, "%d", gnutls_x509_crt_get_version(crt)));
	if (text_is(name, "M_SERIAL"))
		return serial(crt, a);
	if (text_is(name, "V_START"))
		return date(gnutls_x509_crt_get_activation_time(crt), a);
	if (text_is(name, "V_END"))
		return date(gnutls_x509_crt_get_expiration_time(crt), a);
	if (text_is(name, "A_KEY"))
		return key_algorithm(crt);
	if (text_is(name, "A_SIG"))
		return signature_algorithm(crt);
	if (text_is(name, "CERT"))
		return pem(crt, a);
	return (struct text){ 0 };
}

static struct text client_variable(struct tls *t, struct text name, struct arena *a)
{
	const struct tls_peer *p = clientcert_peer(t);
	uint64_t i;

	if (!p)
		return (struct text){ 0 };
	if (!text_starts(name, "CERT_CHAIN_"))
		return certificate_variable(t, p->chain.at[0], name, a);
	/* Behind the client's own. */
	if (text_u64(rest_after(name, "CERT_CHAIN_"), CERT_MAX_CHAIN, &i) != 0 || i + 1 >= p->chain.n)
		return (struct text){ 0 };
	return pem(p->chain.at[i + 1], a);
}

/* Names of certificates; `row`: a number follows; `client`: the client's only. */
static const struct { const char *name; bool row, client; } certificate_names[] = {
	{ "M_VERSION", false, false }, { "M_SERIAL", false, false }, { "S_DN", false, false }, { "I_DN", false, false }, { "V_START", false, false }, { "V_END", false, false },
	{ "V_REMAIN", false, false }, { "A_KEY", false, false }, { "A_SIG", false, false }, { "CERT", false, false }, { "CERT_RFC4523_CEA", false, false },
	{ "CERT_CHAIN_", true, true }, { "SAN_DNS_", true, false }, { "SAN_Email_", true, false }, { "SAN_OTHER_msUPN_", true, false }, { "SAN_OTHER_dnsSRV_", true, false },
};

static bool certificate_known(struct text name, bool client)
{
	uint64_t n;

	if (text_starts(name, "S_DN_") || text_starts(name, "I_DN_"))
		return name_part_known((struct text){ name.p + 5, name.n - 5 });
	for (size_t i = 0; i < sizeof certificate_names / sizeof *certificate_names; i++) {
		if (certificate_names[i].client && !client)
			continue;
		if (certificate_names[i].row ? text_starts(name, certificate_names[i].name) && text_u64(rest_after(name, certificate_names[i].name), 1000, &n) == 0 :
					       text_is(name, certificate_names[i].name))
			return true;
	}
	return false;
}

bool tls_variable_known(const char *name)
{
	struct text asked = text_of(name);

	for (size_t i = 0; i < sizeof session_variables / sizeof *session_variables; i++)
		if (text_is(asked, session_variables[i].name))
			return true;
	if (text_starts(asked, "SSL_SERVER_"))
		return certificate_known(rest_after(asked, "SSL_SERVER_"), false);
	return text_starts(asked, "SSL_CLIENT_") && certificate_known(rest_after(asked, "SSL_CLIENT_"), true);
}

void tls_use_options(struct tls *t, unsigned options)
{
	t->legacy_dn = options & TLS_OPT_LEGACYDN;
}

struct text tls_variable(struct tls *t, const char *name, struct arena *a)
{
	struct text asked = text_of(name);
	gnutls_x509_crt_t crt;

	for (size_t i = 0; i < sizeof session_variables / sizeof *session_variables; i++)
		if (text_is(asked, session_variables[i].name))
			return session_variables[i].value(t, a);
	if (text_starts(asked, "SSL_SERVER_") && (crt = server_certificate(t)))
		return certificate_variable(t, crt, rest_after(asked, "SSL_SERVER_"), a);
	if (text_starts(asked, "SSL_CLIENT_"))
		return client_variable(t, rest_after(asked, "SSL_CLIENT_"), a);
	return (struct text){ 0 };
}

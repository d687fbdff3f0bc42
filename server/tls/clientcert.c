/*
 * clientcert.c - judges the certificate that a client gives, in the handshake: as OpenSSL does it, so that what Apache let
 * in or kept out stays so. The way to a root is built here, its depth counted, revocation looked up; signatures, names
 * and purposes are GnuTLS's to check. Runs in children.
 */
#include "tls/clientcert.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/session.h"

/* OpenSSL's numbers and words, as mod_ssl writes them into the log and SSL_CLIENT_VERIFY; its alerts, too. */
static const struct cert_reason
	no_certificate = { 0, "no certificate was given", GNUTLS_A_CERTIFICATE_REQUIRED, false, "SSLVerifyClient require" },
	unreadable = { 1, "unreadable certificate", GNUTLS_A_BAD_CERTIFICATE, false, "the client's certificate" },
	no_root = { 2, "unable to get issuer certificate", GNUTLS_A_UNKNOWN_CA, false, "SSLCACertificateFile: it must go up to a self-signed certificate" },
	no_crl = { 3, "unable to get certificate CRL", GNUTLS_A_UNKNOWN_CA, false, "SSLCARevocationFile: there is no list of that issuer" },
	bad_signature = { 7, "certificate signature failure", GNUTLS_A_DECRYPT_ERROR, false, "the client's certificate" },
	crl_signature = { 8, "CRL signature failure", GNUTLS_A_DECRYPT_ERROR, false, "SSLCARevocationFile: its list is not signed by that issuer" },
	too_early = { 9, "certificate is not yet valid", GNUTLS_A_BAD_CERTIFICATE, false, "the certificate and the machine's clock" },
	expired = { 10, "certificate has expired", GNUTLS_A_CERTIFICATE_EXPIRED, false, "the certificate: it must be renewed" },
	crl_too_early = { 11, "CRL is not yet valid", GNUTLS_A_BAD_CERTIFICATE, false, "SSLCARevocationFile and the machine's clock" },
	/* As in mod_ssl: the certificate itself may be good. */
	crl_expired = { 12, "CRL has expired", GNUTLS_A_CERTIFICATE_UNKNOWN, false, "SSLCARevocationFile: the issuer's new list must be fetched" },
	self_signed = { 18, "self-signed certificate", GNUTLS_A_UNKNOWN_CA, true, "SSLCACertificateFile: this certificate is not there" },
	strange_root = { 19, "self-signed certificate in certificate chain", GNUTLS_A_UNKNOWN_CA, true, "SSLCACertificateFile: this root is not there" },
	no_issuer = { 20, "unable to get local issuer certificate", GNUTLS_A_UNKNOWN_CA, true,
		      "SSLCACertificateFile: the issuer is not there, nor did the client bring it along" },
	too_long = { 22, "certificate chain too long", GNUTLS_A_UNKNOWN_CA, false, "SSLVerifyDepth" },
	revoked = { 23, "certificate revoked", GNUTLS_A_CERTIFICATE_REVOKED, false, "SSLCARevocationFile" },
	long_path = { 25, "path length constraint exceeded", GNUTLS_A_UNKNOWN_CA, false, "the authority's certificate (basicConstraints, nameConstraints)" },
	purpose = { 26, "unsuitable certificate purpose", GNUTLS_A_UNSUPPORTED_CERTIFICATE, false, "the certificate's extendedKeyUsage: clientAuth is needed" },
	unknown_extension = { 34, "unhandled critical extension", GNUTLS_A_BAD_CERTIFICATE, false, "the certificate's extensions" },
	weak = { 68, "CA signature digest algorithm too weak", GNUTLS_A_BAD_CERTIFICATE, false, "the certificate's key and signature" },
	no_authority = { 79, "invalid CA certificate", GNUTLS_A_UNKNOWN_CA, false, "the issuer's certificate: it is none of an authority" };

/* ------------------------------------------------------------------------------------------------ the way to a root */

static bool self_issued(gnutls_x509_crt_t crt)
{
	return gnutls_x509_crt_check_issuer(crt, crt);
}

static bool named(const struct tls_authorities *a, unsigned i, const gnutls_datum_t *dn)
{
	return a->names[i].size == dn->size && memcmp(a->names[i].data, dn->data, dn->size) == 0;
}

static bool trusted(const struct tls_authorities *a, gnutls_x509_crt_t crt)
{
	gnutls_datum_t dn = { 0 };
	bool found = false;

	if (gnutls_x509_crt_get_raw_dn(crt, &dn) < 0)
		return false;
	for (unsigned i = 0; i < a->n && !found; i++)
		found = named(a, i, &dn) && gnutls_x509_crt_equals(a->ca[i], crt);
	gnutls_free(dn.data);
	return found;
}

static bool valid_now(gnutls_x509_crt_t crt, time_t now)
{
	return gnutls_x509_crt_get_activation_time(crt) <= now && gnutls_x509_crt_get_expiration_time(crt) >= now;
}

static bool signed_by(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer)
{
	unsigned status = 0;

	return gnutls_x509_crt_verify(crt, &issuer, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS | GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS, &status) >= 0
	       && !(status & (GNUTLS_CERT_SIGNATURE_FAILURE | GNUTLS_CERT_SIGNER_NOT_FOUND));
}

/* Of several of the name (an authority with a new key, or a new certificate of the old one) the one whose key fits, then that is valid. */
static gnutls_x509_crt_t trusted_issuer(gnutls_x509_crt_t crt, const struct tls_authorities *a, time_t now)
{
	gnutls_x509_crt_t fit[CERT_MAX_CHAIN], best = NULL;
	gnutls_datum_t dn = { 0 };
	unsigned n = 0;

	if (gnutls_x509_crt_get_raw_issuer_dn(crt, &dn) < 0)
		return NULL;
	for (unsigned i = 0; i < a->n && n < CERT_MAX_CHAIN; i++)
		if (named(a, i, &dn) && gnutls_x509_crt_check_issuer(crt, a->ca[i]))
			fit[n++] = a->ca[i];
	gnutls_free(dn.data);
	if (n < 2)
		return n ? fit[0] : NULL;
	for (unsigned i = 0; i < n; i++)
		if (signed_by(crt, fit[i]) && (!best || (!valid_now(best, now) && valid_now(fit[i], now))))
			best = fit[i];
	return best;
}

static bool on_path(const struct tls_peer *p, gnutls_x509_crt_t crt)
{
	for (unsigned i = 0; i < p->n; i++)
		if (gnutls_x509_crt_equals(p->path[i], crt))
			return true;
	return false;
}

/* Of what the client brought the first of the name: signatures are looked at only where a trusted root is at the end. */
static gnutls_x509_crt_t first_issuer(gnutls_x509_crt_t crt, const struct cert_chain *chain)
{
	for (unsigned i = 1; i < chain->n; i++)
		if (gnutls_x509_crt_check_issuer(crt, chain->at[i]))
			return chain->at[i];
	return NULL;
}

/* What is trusted goes before what the client brought. */
static void build_path(struct tls_peer *p, const struct tls_authorities *a, time_t now)
{
	p->path[0] = p->chain.at[0];
	for (p->n = 1; p->n < CERT_MAX_CHAIN && !self_issued(p->path[p->n - 1]); p->n++) {
		gnutls_x509_crt_t last = p->path[p->n - 1], next = trusted_issuer(last, a, now);
		if (!next)
			next = first_issuer(last, &p->chain);
		if (!next || on_path(p, next))
			return;
		p->path[p->n] = next;
	}
}

static const struct cert_reason *trust_of(const struct tls_peer *p, const struct tls_authorities *a)
{
	gnutls_x509_crt_t last = p->path[p->n - 1];
	bool known = trusted(a, last);

	if (self_issued(last))
		return known ? NULL : p->n == 1 ? &self_signed : &strange_root;
	return known ? &no_root : &no_issuer;
}

/* ------------------------------------------------------------------------------------------------ revocation */

static bool list_signed(const struct tls_crl *l, gnutls_x509_crt_t issuer)
{
	unsigned status = 0;

	return gnutls_x509_crl_verify(l->crl, &issuer, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS | GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS, &status) >= 0
	       && !(status & (GNUTLS_CERT_SIGNATURE_FAILURE | GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_INSECURE_ALGORITHM));
}

static bool of_issuer(const struct tls_crl *l, gnutls_x509_crt_t crt)
{
	gnutls_datum_t dn = { 0 };
	bool same = gnutls_x509_crt_get_raw_issuer_dn(crt, &dn) >= 0 && dn.size == l->issuer.size && memcmp(dn.data, l->issuer.data, dn.size) == 0;

	gnutls_free(dn.data);
	return same;
}

/* One list is enough to revoke; to clear a certificate it takes a whole and valid one. */
static const struct cert_reason *revocation_of(const struct tls_policy *policy, gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer, time_t now)
{
	const struct tls_authorities *a = policy->clients;
	const struct cert_reason *why = policy->crl_lenient ? NULL : &no_crl;
	unsigned char number[256];
	struct crl_serial serial;
	size_t n = sizeof number;
	bool cleared = false;

	if (gnutls_x509_crt_get_serial(crt, number, &n) < 0)
		return &unreadable;
	crl_serial_of(number, n, &serial);
	for (unsigned i = 0; i < a->ncrl; i++) {
		const struct tls_crl *l = &a->crl[i];
		if (!of_issuer(l, crt))
			continue;
		if (!list_signed(l, issuer)) {
			why = &crl_signature;
			continue;
		}
		if (bsearch(&serial, l->serials, l->n, sizeof serial, crl_serial_compare))
			return &revoked;
		if (l->until != (time_t)-1 && l->until < now)
			why = &crl_expired;
		else if (l->from > now)
			why = &crl_too_early;
		else
			cleared |= !l->partial;
	}
	return cleared ? NULL : why;
}

static void check_revocation(const struct tls_policy *policy, struct tls_peer *p, time_t now)
{
	unsigned n = policy->crl_check == CRL_CHECK_CHAIN ? p->n : 1;

	for (unsigned i = 0; i < n && !p->verdict.why; i++) {
		p->verdict.why = revocation_of(policy, p->path[i], p->path[i + 1 < p->n ? i + 1 : i], now);
		p->verdict.at = i;
	}
}

/* ------------------------------------------------------------------------------------------------ the verdict */

static const struct cert_reason *reason_of(unsigned status)
{
	static const struct { unsigned bit; const struct cert_reason *why; } reasons[] = {
		{ GNUTLS_CERT_SIGNATURE_FAILURE, &bad_signature }, { GNUTLS_CERT_EXPIRED, &expired }, { GNUTLS_CERT_NOT_ACTIVATED, &too_early },
		{ GNUTLS_CERT_SIGNER_NOT_CA, &no_authority }, { GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, &long_path },
		{ GNUTLS_CERT_PURPOSE_MISMATCH, &purpose }, { GNUTLS_CERT_INSECURE_ALGORITHM, &weak },
		{ GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS, &unknown_extension }, { GNUTLS_CERT_SIGNER_NOT_FOUND, &no_issuer },
	};

	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (status & reasons[i].bit)
			return reasons[i].why;
	return &unreadable;
}

/* The way up was found before; GnuTLS is told its root alone, as it stops at the first certificate that it trusts. */
static const struct cert_reason *verify(struct tls_peer *p)
{
	gnutls_x509_trust_list_t root;
	gnutls_typed_vdata_st client = { .type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT };
	unsigned status = 0;
	int r;

	if (gnutls_x509_trust_list_init(&root, 1) < 0)
		return &unreadable;
	r = gnutls_x509_trust_list_add_cas(root, &p->path[p->n - 1], 1, 0) == 1 ? 0 : GNUTLS_E_MEMORY_ERROR;
	if (r == 0)
		r = gnutls_x509_trust_list_verify_crt2(root, p->path, p->n, &client, 1, GNUTLS_VERIFY_DO_NOT_ALLOW_UNSORTED_CHAIN, &status, NULL);
	gnutls_x509_trust_list_deinit(root, 0);
	if (r < 0)
		return &unreadable;
	return status ? reason_of(status & ~(unsigned)GNUTLS_CERT_INVALID) : NULL;
}

static void check_times(struct tls_peer *p, time_t now)
{
	for (unsigned i = p->n; i-- > 0 && !p->verdict.why;) {
		p->verdict.at = i;
		if (gnutls_x509_crt_get_expiration_time(p->path[i]) < now)
			p->verdict.why = &expired;
		else if (gnutls_x509_crt_get_activation_time(p->path[i]) > now)
			p->verdict.why = &too_early;
	}
}

static void judge(const struct tls_policy *policy, const struct cert_rules *rules, struct tls_peer *p)
{
	time_t now = time(NULL);
	const struct cert_reason *untrusted;

	build_path(p, policy->clients, now);
	p->verdict = (struct cert_verdict){ .depth = p->n - 1 };
	untrusted = trust_of(p, policy->clients);
	if (untrusted && rules->verify != TLS_VERIFY_OPTIONAL_NO_CA) {
		p->verdict.why = untrusted;
		p->verdict.at = p->n - 1;
		return;
	}
	check_times(p, now);
	if (!p->verdict.why && p->verdict.depth > (unsigned)rules->depth) {
		p->verdict.why = &too_long;
		p->verdict.at = p->verdict.depth;
	}
	if (p->verdict.why)
		return;
	p->verdict.at = untrusted ? p->n - 1 : 0;
	p->verdict.why = untrusted ? untrusted : verify(p);
	if (!p->verdict.why && policy->crl_check > CRL_CHECK_NONE)
		check_revocation(policy, p, now);
}

/* ------------------------------------------------------------------------------------------------ a connection */

static struct tls_peer *parse(struct tls *t)
{
	unsigned n = 0;
	const gnutls_datum_t *given = gnutls_certificate_get_peers(t->session, &n);
	struct tls_peer *p;

	if (!given || n == 0 || !(p = calloc(1, sizeof *p)))
		return NULL;
	for (; p->chain.n < n && p->chain.n < CERT_MAX_CHAIN; p->chain.n++) {
		gnutls_x509_crt_t *crt = &p->chain.at[p->chain.n];
		if (gnutls_x509_crt_init(crt) < 0)
			break;
		if (gnutls_x509_crt_import(*crt, &given[p->chain.n], GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crt_deinit(*crt);
			break;
		}
	}
	if (p->chain.n == 0) {
		free(p);
		return NULL;
	}
	return p;
}

static int refuse(struct tls *t, const struct cert_reason *why)
{
	t->fault = TLS_F_CLIENT;
	/* TLS 1.3 has an alert of its own for it (RFC 8446, 4.4.2.4); before, RFC 5246, 7.4.6. */
	t->alert = why == &no_certificate && !t->tls13 ? GNUTLS_A_HANDSHAKE_FAILURE : (int)why->alert;
	t->client_why = why;
	return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

static struct cert_rules rules_of_host(const struct tls_policy *p)
{
	return (struct cert_rules){ p->verify, p->depth };
}

/* GnuTLS calls it also where the client has no certificate. What comes behind the handshake is judged by the places. */
static int on_certificate(gnutls_session_t session)
{
	struct tls *t = tls_of(session);
	const struct cert_rules rules = rules_of_host(t->policy);
	unsigned n = 0;

	if (t->asks)
		return 0;
	if (!gnutls_certificate_get_peers(session, &n) || n == 0)
		return t->policy->verify == TLS_VERIFY_REQUIRE ? refuse(t, &no_certificate) : 0;
	clientcert_free(t);
	t->peer = parse(t);
	if (!t->peer)
		return refuse(t, &unreadable);
	judge(t->policy, &rules, t->peer);
	t->peer_judged = true;
	if (!t->peer->verdict.why) {
		t->client = TLS_CLIENT_GOOD;
		return 0;
	}
	if (t->policy->verify == TLS_VERIFY_OPTIONAL_NO_CA && t->peer->verdict.why->optional) {
		t->client = TLS_CLIENT_GENEROUS;
		return 0;
	}
	return refuse(t, t->peer->verdict.why);
}

void clientcert_setup(struct tls *t)
{
	t->asked = t->policy->verify;
	if (t->policy->verify == TLS_VERIFY_NONE)
		return;
	gnutls_certificate_server_set_request(t->session, GNUTLS_CERT_REQUEST);
	gnutls_session_set_verify_function(t->session, on_certificate);
}

/* The label keeps sessions of other rules away; that a session without a certificate opens nothing is seen to here once more. */
int clientcert_done(struct tls *t)
{
	unsigned n = 0;

	if (t->policy->verify == TLS_VERIFY_NONE)
		return 0;
	if (gnutls_certificate_get_peers(t->session, &n) && n) {
		/* In the first handshake on_certificate was there; what it found is in the session's label, but for one mode. */
		if (t->resumed && t->policy->verify != TLS_VERIFY_OPTIONAL_NO_CA)
			t->client = TLS_CLIENT_GOOD;
		else if (t->resumed)
			t->client = TLS_CLIENT_UNJUDGED;
		else if (t->client == TLS_CLIENT_NONE)
			return refuse(t, &unreadable);
	} else if (t->policy->verify == TLS_VERIFY_REQUIRE) {
		return refuse(t, &no_certificate);
	}
	if (t->client != TLS_CLIENT_NONE && tls_policy_ocsp(t->policy)) {
		const struct tls_peer *p = clientcert_judged(t);
		/* What counted when the session began may have run out since. */
		if (!p || (p->verdict.why && t->client == TLS_CLIENT_GOOD))
			return refuse(t, p ? p->verdict.why : &unreadable);
		check_begin(t);
	}
	return 0;
}

int clientcert_checked(struct tls *t)
{
	if (t->check.why)
		return refuse(t, t->check.why);
	clientcert_free(t);                     /* variables parse it again, where they are asked for: most connections idle */
	return 0;
}

void clientcert_ask(struct tls *t)
{
	t->asks = true;
	gnutls_certificate_server_set_request(t->session, GNUTLS_CERT_REQUEST);
	gnutls_session_set_verify_function(t->session, on_certificate);
}

void clientcert_asked(struct tls *t)
{
	unsigned n = 0;

	t->late = gnutls_certificate_get_peers(t->session, &n) && n;
	t->rules_known = false;
	clientcert_free(t);
}

bool clientcert_late_check(struct tls *t)
{
	const struct cert_rules widest = { TLS_VERIFY_REQUIRE, CERT_MAX_CHAIN };

	if (!t->late || !tls_policy_ocsp(t->policy))
		return false;
	clientcert_judge_late(t, &widest);
	return check_begin(t);
}

void clientcert_judge_late(struct tls *t, const struct cert_rules *rules)
{
	if (t->rules_known && t->rules.verify == rules->verify && t->rules.depth == rules->depth)
		return;
	t->rules = *rules;
	t->rules_known = true;
	t->client = TLS_CLIENT_NONE;
	t->client_why = &unreadable;
	clientcert_free(t);
	if (!(t->peer = parse(t)))
		return;
	judge(t->policy, rules, t->peer);
	t->peer_judged = true;
	t->client_why = t->peer->verdict.why ? t->peer->verdict.why : t->check.why;
	if (!t->client_why) {
		t->client = TLS_CLIENT_GOOD;
	} else if (rules->verify == TLS_VERIFY_OPTIONAL_NO_CA && t->client_why->optional) {
		t->client = TLS_CLIENT_GENEROUS;
		t->client_why = NULL;
	} else if (rules->verify == TLS_VERIFY_NONE) {
		t->client_why = NULL;
	}
}

/* One that came late and was refused is as if there were none: somebody else's name may be in it. */
const struct tls_peer *clientcert_peer(struct tls *t)
{
	if (t->late && t->client == TLS_CLIENT_NONE)
		return NULL;
	if (!t->peer)
		t->peer = parse(t);
	return t->peer;
}

const struct tls_peer *clientcert_judged(struct tls *t)
{
	const struct cert_rules rules = t->late ? t->rules : rules_of_host(t->policy);

	if (!clientcert_peer(t) || !t->policy->clients)
		return NULL;
	if (!t->peer_judged)
		judge(t->policy, &rules, t->peer);
	t->peer_judged = true;
	return t->peer;
}

void clientcert_free(struct tls *t)
{
	if (t->peer)
		cert_chain_free(&t->peer->chain);
	free(t->peer);
	t->peer = NULL;
	t->peer_judged = false;
}

enum tls_client clientcert_state(struct tls *t)
{
	const struct tls_peer *p;

	if (t->client == TLS_CLIENT_UNJUDGED && (p = clientcert_judged(t)))
		t->client = p->verdict.why ? TLS_CLIENT_GENEROUS : TLS_CLIENT_GOOD;
	return t->client;
}

struct text clientcert_verified(struct tls *t, struct arena *a)
{
	if (t->fault == TLS_F_CLIENT || (t->late && t->client_why))
		return text_of(arena_printf(a, "FAILED:%s", t->client_why->words));
	switch (clientcert_state(t)) {
	case TLS_CLIENT_GOOD:
		return TEXT("SUCCESS");
	case TLS_CLIENT_GENEROUS:
		return TEXT("GENEROUS");
	case TLS_CLIENT_NONE:
	case TLS_CLIENT_UNJUDGED:
		break;
	}
	return TEXT("NONE");
}

/* ------------------------------------------------------------------------------------------------ the log */

static void put_name(struct buf *b, gnutls_x509_crt_t crt, int (*name)(gnutls_x509_crt_t, gnutls_datum_t *, unsigned))
{
	gnutls_datum_t dn = { 0 };

	if (name(crt, &dn, 0) >= 0 && dn.size)
		buf_put_log(b, (struct text){ (const char *)dn.data, dn.size < 256 ? dn.size : 256 });
	else
		buf_puts(b, "(no name)");
	gnutls_free(dn.data);
}

static void put_time(struct buf *b, const char *word, time_t when)
{
	char text[40];
	struct tm tm;

	if (gmtime_r(&when, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S GMT", &tm))
		buf_printf(b, " (%s %s)", word, text);
}

/* Behind the directive the files that it names. */
static void put_look(struct buf *b, const struct tls_policy *p, const char *look)
{
	bool lists = strncmp(look, "SSLCARevocation", 15) == 0, authorities = strncmp(look, "SSLCACert", 9) == 0;
	const char *file = lists ? p->crl_file.path : p->ca_file.path, *folder = lists ? p->crl_path.path : p->ca_path.path;
	size_t directive = strcspn(look, ":");

	buf_printf(b, "; see %.*s", (int)directive, look);
	if ((lists || authorities) && (file || folder))
		buf_printf(b, " (%s%s%s)", file ? file : "", file && folder ? ", " : "", folder ? folder : "");
	buf_puts(b, look + directive);
}

void clientcert_explain(struct buf *b, const struct tls *t)
{
	const struct cert_reason *why = t->client_why;
	const struct tls_peer *p = t->peer;
	gnutls_x509_crt_t crt;

	if (!p || !p->verdict.why) {
		buf_printf(b, why == &no_certificate ? "host %s requires a certificate of the client, and it gave none (%s)" :
						       "host %s: the certificate of the client cannot be read (%s)", t->policy->name, why->look);
		return;
	}
	crt = p->path[p->verdict.at];
	buf_printf(b, "host %s refuses the client's certificate ", t->policy->name);
	put_name(b, p->chain.at[0], gnutls_x509_crt_get_dn3);
	buf_printf(b, ": %s (%d)", why->words, why->number);
	if (why == &too_long)
		buf_printf(b, ", %u authorities are above it and %d allowed", p->verdict.depth, t->policy->depth);
	if (p->verdict.at && why != &too_long) {
		buf_puts(b, " at ");
		put_name(b, crt, gnutls_x509_crt_get_dn3);
	}
	buf_puts(b, ", issued by ");
	put_name(b, crt, gnutls_x509_crt_get_issuer_dn3);
	if (why == &expired)
		put_time(b, "on", gnutls_x509_crt_get_expiration_time(crt));
	else if (why == &too_early)
		put_time(b, "before", gnutls_x509_crt_get_activation_time(crt));
	if (t->check.why && t->check.words)
		buf_printf(b, ", %s", t->check.words);
	put_look(b, t->policy, why->look);
}

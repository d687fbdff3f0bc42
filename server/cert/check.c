/*
 * check.c - what is wrong with a certificate and its chain. Pure but for the trust store, which its caller loads. Runs in the
 * server's command line, in the job that checks a restart, and in the tool.
 */
#include "cert/check.h"

#include <gnutls/x509-ext.h>
#include <string.h>

#define DAY 86400

const char *cert_fault_name(enum cert_fault fault)
{
	static const char *const names[CERT_FAULTS] = {
		[CERT_EXPIRED] = "expired",
		[CERT_NOT_YET] = "not-yet-valid",
		[CERT_EXPIRES] = "expires-soon",
		[CERT_NO_NAMES] = "no-names",
		[CERT_NAME_MISSING] = "name-missing",
		[CERT_ORDER] = "order",
		[CERT_UNRELATED] = "unrelated",
		[CERT_ISSUER_MISSING] = "issuer-missing",
		[CERT_SELF_SIGNED] = "self-signed",
		[CERT_ROOT_UNKNOWN] = "root-unknown",
		[CERT_ROOT_SENT] = "root-sent",
		[CERT_INVALID] = "invalid",
		[CERT_PURPOSE] = "purpose",
		[CERT_WEAK_KEY] = "weak-key",
		[CERT_WEAK_SIGNATURE] = "weak-signature",
		[CERT_MUST_STAPLE] = "must-staple",
		[CERT_STAPLE] = "staple",
		[CERT_PROTOCOL] = "protocol",
	};

	return names[fault];
}

struct cert_finding *cert_finding_add(struct cert_findings *f, enum cert_fault fault, unsigned at)
{
	static struct cert_finding spare;
	struct cert_finding *one = f->n < CERT_MAX_FINDINGS ? &f->at[f->n++] : &spare;

	*one = (struct cert_finding){ .fault = fault, .at = at };
	return one;
}

/* ------------------------------------------------------------------------------------------------ words */

static void clean(char *p)
{
	for (; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

static char *take_name(int r, gnutls_datum_t *d, char *buf)
{
	snprintf(buf, 256, "%.*s", r >= 0 && d->size ? (int)(d->size < 255 ? d->size : 255) : 1,
		 r >= 0 && d->size ? (const char *)d->data : "?");
	gnutls_free(d->data);
	clean(buf);
	return buf;
}

char *cert_subject(gnutls_x509_crt_t crt, char *buf)
{
	gnutls_datum_t d = { 0 };
	int r = gnutls_x509_crt_get_dn3(crt, &d, 0);

	return take_name(r, &d, buf);
}

static char *issuer_of(gnutls_x509_crt_t crt, char *buf)
{
	gnutls_datum_t d = { 0 };
	int r = gnutls_x509_crt_get_issuer_dn3(crt, &d, 0);

	return take_name(r, &d, buf);
}

/* "the certificate", or whose it is where it is not the host's own. buf has 300 bytes. */
static const char *whose(const struct cert_check *c, const struct cert_findings *f, unsigned at, char *buf)
{
	char name[256];

	if (!f->norder || at == f->order[0])
		return "the certificate";
	snprintf(buf, 300, "the certificate of %s", cert_subject(c->chain->at[at], name));
	return buf;
}

static char *date_of(time_t t, char *buf)
{
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(buf, 64, "%Y-%m-%d %H:%M UTC", &tm))
		snprintf(buf, 64, "?");
	return buf;
}

/* ------------------------------------------------------------------------------------------------ each by itself */

#define RENEW "have it renewed, put the new one there, and restart gracefully"

static void check_time(const struct cert_check *c, unsigned at, struct cert_findings *f)
{
	gnutls_x509_crt_t crt = c->chain->at[at];
	time_t from = gnutls_x509_crt_get_activation_time(crt), to = gnutls_x509_crt_get_expiration_time(crt);
	struct cert_finding *one;
	char buf[300], date[64];

	if (from != (time_t)-1 && c->now < from) {
		one = cert_finding_add(f, CERT_NOT_YET, at);
		snprintf(one->text, sizeof one->text, "%s in %s is not valid before %s: browsers refuse it",
			 whose(c, f, at, buf), c->file, date_of(from, date));
		snprintf(one->remedy, sizeof one->remedy, "is this machine's clock right? date shows it");
	}
	if (to == (time_t)-1 || to - c->now > (time_t)c->days * DAY)
		return;
	one = cert_finding_add(f, c->now > to ? CERT_EXPIRED : CERT_EXPIRES, at);
	if (c->now > to)
		snprintf(one->text, sizeof one->text, "%s in %s expired on %s: browsers refuse it",
			 whose(c, f, at, buf), c->file, date_of(to, date));
	else
		snprintf(one->text, sizeof one->text, "%s in %s expires on %s, in %ld days",
			 whose(c, f, at, buf), c->file, date_of(to, date), (long)((to - c->now) / DAY));
	snprintf(one->remedy, sizeof one->remedy, RENEW);
}

static void check_strength(const struct cert_check *c, unsigned at, struct cert_findings *f)
{
	gnutls_x509_crt_t crt = c->chain->at[at];
	struct cert_finding *one;
	unsigned bits = 0;
	int algorithm = gnutls_x509_crt_get_pk_algorithm(crt, &bits),
	    sign = gnutls_x509_crt_get_signature_algorithm(crt);
	const char *name = algorithm < 0 ? NULL : gnutls_pk_get_name((gnutls_pk_algorithm_t)algorithm);
	bool rsa = algorithm == GNUTLS_PK_RSA || algorithm == GNUTLS_PK_RSA_PSS;
	char buf[300];

	if (algorithm < 0 || algorithm == GNUTLS_PK_DSA || (rsa && bits < 2048)
	    || (algorithm == GNUTLS_PK_ECDSA && bits < 256)) {
		one = cert_finding_add(f, CERT_WEAK_KEY, at);
		snprintf(one->text, sizeof one->text, "%s in %s has a weak key: %s with %u bits",
			 whose(c, f, at, buf), c->file, name ? name : "unknown", bits);
		snprintf(one->remedy, sizeof one->remedy,
			 "have it made anew for a new key: bulkhead-cert csr NAME");
	}
	/* What a root signs itself with proves nothing, and so harms nothing. */
	if ((sign >= 0 && gnutls_sign_is_secure2((gnutls_sign_algorithm_t)sign, GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS))
	    || gnutls_x509_crt_check_issuer(crt, crt))
		return;
	one = cert_finding_add(f, CERT_WEAK_SIGNATURE, at);
	name = sign < 0 ? NULL : gnutls_sign_get_name((gnutls_sign_algorithm_t)sign);
	snprintf(one->text, sizeof one->text, "%s in %s has a weak signature (%s): clients refuse it",
		 whose(c, f, at, buf), c->file, name ? name : "unknown");
	snprintf(one->remedy, sizeof one->remedy, "have it signed anew by its authority, with SHA-256 or better");
}

/* ------------------------------------------------------------------------------------------------ the host's own */

/* The names that it has, as far as there is room. False: none that browsers look at. */
static bool names_of(gnutls_x509_crt_t crt, char *buf, size_t cap)
{
	size_t at = 0;
	bool any = false;

	buf[0] = '\0';
	for (unsigned i = 0; i < 1000; i++) {
		char name[256];
		size_t n = sizeof name - 1;
		int r = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &n, NULL);

		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		any |= r == GNUTLS_SAN_DNSNAME || r == GNUTLS_SAN_IPADDRESS;
		if (r != GNUTLS_SAN_DNSNAME || at + n + 8 > cap)
			continue;
		at += (size_t)snprintf(buf + at, cap - at, "%s%.*s", at ? ", " : "", (int)n, name);
	}
	clean(buf);
	return any;
}

static void check_names(const struct cert_check *c, unsigned leaf, struct cert_findings *f)
{
	struct cert_finding *one;
	char names[200];

	if (!names_of(c->chain->at[leaf], names, sizeof names)) {
		one = cert_finding_add(f, CERT_NO_NAMES, leaf);
		snprintf(
			one->text, sizeof one->text,
			"the certificate in %s holds no names (subjectAltName): browsers refuse it, they do not look at the common name",
			c->file);
		snprintf(one->remedy, sizeof one->remedy, "have one made with names: bulkhead-cert csr NAME...");
		return;
	}
	for (const char *const *name = c->names; name && *name; name++) {
		if (gnutls_x509_crt_check_hostname2(c->chain->at[leaf], *name, 0))
			continue;
		one = cert_finding_add(f, CERT_NAME_MISSING, leaf);
		snprintf(one->text, sizeof one->text,
			 "the certificate in %s does not cover the name %.100s%s%s: browsers refuse it there",
			 c->file, *name, *names ? ", but " : "", names);
		snprintf(one->remedy, sizeof one->remedy,
			 "have one made that names it too: bulkhead-cert csr NAME...");
	}
}

static bool must_staple(gnutls_x509_crt_t crt)
{
	gnutls_x509_tlsfeatures_t features;
	unsigned feature;
	bool yes = false;

	if (gnutls_x509_tlsfeatures_init(&features) < 0)
		return false;
	if (gnutls_x509_crt_get_tlsfeatures(crt, features, 0, NULL) >= 0)
		for (unsigned i = 0; gnutls_x509_tlsfeatures_get(features, i, &feature) >= 0; i++)
			yes |= feature == 5;
	gnutls_x509_tlsfeatures_deinit(features);
	return yes;
}

static void check_purpose(const struct cert_check *c, unsigned leaf, struct cert_findings *f)
{
	struct cert_finding *one;
	bool any = false, server = false;

	for (unsigned i = 0; i < 64; i++) {
		char oid[128];
		size_t n = sizeof oid;

		if (gnutls_x509_crt_get_key_purpose_oid(c->chain->at[leaf], i, oid, &n, NULL) < 0)
			break;
		any = true;
		server |= !strcmp(oid, GNUTLS_KP_TLS_WWW_SERVER) || !strcmp(oid, GNUTLS_KP_ANY);
	}
	if (any && !server) {
		one = cert_finding_add(f, CERT_PURPOSE, leaf);
		snprintf(
			one->text, sizeof one->text,
			"the certificate in %s is not for TLS servers (extended key usage): clients refuse it",
			c->file);
		snprintf(one->remedy, sizeof one->remedy,
			 "have one made for a server: bulkhead-cert csr NAME...");
	}
	if (must_staple(c->chain->at[leaf])) {
		one = cert_finding_add(f, CERT_MUST_STAPLE, leaf);
		one->hint = true;
		snprintf(one->text, sizeof one->text,
			 "the certificate in %s demands that the server staples an OCSP answer (must-staple)",
			 c->file);
		snprintf(one->remedy, sizeof one->remedy,
			 "SSLUseStapling on; without an answer clients refuse the connection");
	}
}

/* ------------------------------------------------------------------------------------------------ the chain */

static bool is_authority(gnutls_x509_crt_t crt)
{
	unsigned ca = 0;

	return gnutls_x509_crt_get_basic_constraints(crt, NULL, &ca, NULL) >= 0 && ca;
}

static bool self_issued(gnutls_x509_crt_t crt)
{
	return gnutls_x509_crt_check_issuer(crt, crt);
}

/* The host's own should be the first; where an authority is, it may stand behind. */
static unsigned find_leaf(const struct cert_chain *chain)
{
	if (is_authority(chain->at[0]))
		for (unsigned i = 1; i < chain->n; i++)
			if (!is_authority(chain->at[i]))
				return i;
	return 0;
}

static bool in_order(const struct cert_findings *f, unsigned at)
{
	for (unsigned i = 0; i < f->norder; i++)
		if (f->order[i] == at)
			return true;
	return false;
}

/* Who issued it, among those of the file that were not reached yet; the next one before others. */
static unsigned issuer_in(const struct cert_chain *chain, unsigned at, const struct cert_findings *f)
{
	for (unsigned i = 1; i <= chain->n; i++) {
		unsigned k = (at + i) % chain->n;

		if (!in_order(f, k) && gnutls_x509_crt_check_issuer(chain->at[at], chain->at[k]))
			return k;
	}
	return chain->n;
}

static void order_chain(const struct cert_check *c, struct cert_findings *f)
{
	unsigned at = find_leaf(c->chain), next;
	bool straight = at == 0;

	f->norder = 0;
	f->order[f->norder++] = at;
	while (!self_issued(c->chain->at[at]) && (next = issuer_in(c->chain, at, f)) < c->chain->n) {
		straight &= next == at + 1;
		f->order[f->norder++] = at = next;
	}
	if (!straight) {
		struct cert_finding *one = cert_finding_add(f, CERT_ORDER, f->order[0]);
		snprintf(one->text, sizeof one->text, "the certificates in %s are in the wrong order%s", c->file,
			 f->order[0] ? ": the host's own is not the first" : "");
		snprintf(one->remedy, sizeof one->remedy,
			 "the host's own first, then each one's issuer: bulkhead-cert check %s -o NEW",
			 c->file);
	}
}

static void tell_unrelated(const struct cert_check *c, struct cert_findings *f)
{
	for (unsigned i = 0; i < c->chain->n; i++) {
		char name[256];
		struct cert_finding *one;

		if (in_order(f, i))
			continue;
		one = cert_finding_add(f, CERT_UNRELATED, i);
		one->hint = true;
		snprintf(
			one->text, sizeof one->text,
			"the certificate of %s in %s did not issue any other there: clients have no use for it",
			cert_subject(c->chain->at[i], name), c->file);
		snprintf(one->remedy, sizeof one->remedy, "take it out of the file");
	}
}

static void read_aia(gnutls_x509_crt_t crt, char *out, size_t cap)
{
	gnutls_datum_t d = { 0 };

	for (unsigned i = 0; i < 32; i++) {
		int r = gnutls_x509_crt_get_authority_info_access(crt, i, GNUTLS_IA_CAISSUERS_URI, &d, NULL);

		if (r >= 0 && d.size < cap && d.size > 7 && !memcmp(d.data, "http", 4)) {
			snprintf(out, cap, "%.*s", (int)d.size, (const char *)d.data);
			clean(out);
			gnutls_free(d.data);
			return;
		}
		gnutls_free(d.data);
		d.data = NULL;
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return;
	}
}

static void tell_missing(const struct cert_check *c, unsigned at, struct cert_findings *f)
{
	struct cert_finding *one = cert_finding_add(f, CERT_ISSUER_MISSING, at);
	char name[256];

	read_aia(c->chain->at[at], one->url, sizeof one->url);
	snprintf(
		one->text, sizeof one->text,
		"the certificate of the issuer %s is neither in %s nor among the authorities that this system trusts: clients cannot verify the host's",
		issuer_of(c->chain->at[at], name), c->file);
	if (*one->url)
		snprintf(
			one->remedy, sizeof one->remedy,
			"put it behind the host's certificate; it is at %s: bulkhead-cert check --fetch %s -o NEW",
			one->url, c->file);
	else
		snprintf(
			one->remedy, sizeof one->remedy,
			"get it from the authority and put it behind the host's certificate; an authority of your own has to be known to the clients");
}

/* The chain ends in a certificate that signed itself. */
static void tell_root(const struct cert_check *c, unsigned at, bool trusted, struct cert_findings *f)
{
	struct cert_finding *one;
	char name[256];

	if (f->norder == 1 && trusted)
		return;
	one = cert_finding_add(f,
			       f->norder == 1 ? CERT_SELF_SIGNED
			       : trusted      ? CERT_ROOT_SENT
					      : CERT_ROOT_UNKNOWN,
			       at);
	one->hint = trusted;
	if (f->norder == 1)
		snprintf(
			one->text, sizeof one->text,
			"the certificate in %s is self-signed: only clients that were told to trust it accept it",
			c->file);
	else if (trusted)
		snprintf(one->text, sizeof one->text,
			 "the root %s is in %s: clients have it already and ignore this one",
			 cert_subject(c->chain->at[at], name), c->file);
	else
		snprintf(one->text, sizeof one->text,
			 "the chain in %s ends in the root %s, which this system does not trust", c->file,
			 cert_subject(c->chain->at[at], name));
	if (f->norder == 1 || !trusted)
		snprintf(
			one->remedy, sizeof one->remedy,
			"for the public: bulkhead-cert csr NAME, and have it signed; for your own clients: give them %s",
			f->norder == 1 ? "the certificate" : "the root");
	else
		snprintf(one->remedy, sizeof one->remedy, "it may be taken out of the file");
}

/* Signatures, path lengths, constraints, from the host's own to the anchor. */
static void verify(const struct cert_check *c, gnutls_x509_crt_t anchor, struct cert_findings *f)
{
	gnutls_x509_crt_t list[CERT_MAX_CHAIN];
	unsigned n = f->norder, status = 0;
	gnutls_datum_t words = { 0 };
	struct cert_finding *one;

	for (unsigned i = 0; i < n; i++)
		list[i] = c->chain->at[f->order[i]];
	if (!anchor)
		anchor = list[--n];
	if (!n
	    || gnutls_x509_crt_list_verify(list, n, &anchor, 1, NULL, 0,
					   (unsigned)(GNUTLS_VERIFY_DISABLE_TIME_CHECKS
						      | GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS
						      | GNUTLS_VERIFY_ALLOW_BROKEN),
					   &status)
		       < 0)
		return;
	status &= ~(unsigned)(GNUTLS_CERT_INSECURE_ALGORITHM | GNUTLS_CERT_SIGNER_NOT_FOUND);
	if (!(status & ~(unsigned)GNUTLS_CERT_INVALID))
		return;
	one = cert_finding_add(f, CERT_INVALID, f->order[0]);
	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &words, 0) < 0)
		words.data = NULL;
	snprintf(one->text, sizeof one->text, "the chain in %s does not hold: %.300s", c->file,
		 words.data ? (const char *)words.data : "a signature is wrong");
	for (size_t len = strlen(one->text); len && (one->text[len - 1] == ' ' || one->text[len - 1] == '.');
	     len--)
		one->text[len - 1] = '\0';
	gnutls_free(words.data);
	snprintf(
		one->remedy, sizeof one->remedy,
		"an issuer's certificate of the same name but another key, or of one that may not sign: get the right one from the authority");
}

static void check_chain(const struct cert_check *c, struct cert_findings *f)
{
	unsigned last = f->order[f->norder - 1];
	gnutls_x509_crt_t crt = c->chain->at[last], anchor = NULL;

	if (c->trust && gnutls_x509_trust_list_get_issuer(c->trust, crt, &anchor, GNUTLS_TL_GET_COPY) < 0)
		anchor = NULL;
	if (self_issued(crt)) {
		bool same = anchor && gnutls_x509_crt_equals(anchor, crt);
		if (c->trust)
			tell_root(c, last, same, f);
		verify(c, NULL, f);
	} else {
		if (!anchor && c->trust)
			tell_missing(c, last, f);
		verify(c, anchor, f);
	}
	if (anchor)
		gnutls_x509_crt_deinit(anchor);
}

void cert_check(const struct cert_check *c, struct cert_findings *out)
{
	out->n = out->norder = 0;
	if (!c->chain->n)
		return;
	order_chain(c, out);
	for (unsigned i = 0; i < out->norder; i++) {
		check_time(c, out->order[i], out);
		check_strength(c, out->order[i], out);
	}
	check_names(c, out->order[0], out);
	check_purpose(c, out->order[0], out);
	check_chain(c, out);
	tell_unrelated(c, out);
}

/* ------------------------------------------------------------------------------------------------ trust */

gnutls_x509_trust_list_t cert_trust_load(const char *file, struct err *e)
{
	gnutls_x509_trust_list_t trust;
	int r = gnutls_x509_trust_list_init(&trust, 0);

	if (r < 0) {
		err_set(e, "out of memory");
		return NULL;
	}
	r = file ? gnutls_x509_trust_list_add_trust_file(trust, file, NULL, GNUTLS_X509_FMT_PEM, 0, 0)
		 : gnutls_x509_trust_list_add_system_trust(trust, 0, 0);
	if (r > 0)
		return trust;
	gnutls_x509_trust_list_deinit(trust, 1);
	if (file) {
		err_set(e, "there is no authority in %s%s%s", file, r < 0 ? ": " : "",
			r < 0 ? gnutls_strerror(r) : "");
		err_remedy(e, "it must hold their certificates as PEM");
	} else {
		err_set(e, "this system has no store of trusted authorities%s%s", r < 0 ? ": " : "",
			r < 0 ? gnutls_strerror(r) : "");
		err_remedy(e, "install it: apt install ca-certificates");
	}
	return NULL;
}

void cert_trust_free(gnutls_x509_trust_list_t trust)
{
	if (trust)
		gnutls_x509_trust_list_deinit(trust, 1);
}

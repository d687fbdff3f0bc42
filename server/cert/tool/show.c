/*
 * show.c - the command show of bulkhead-cert: what is in files, in words or as JSON. Both come from one object, so that
 * they tell the same. Nothing of a private key but its public part is shown.
 */
#include <getopt.h>
#include <string.h>
#include <time.h>

#include "cert/tool/tool.h"

#define DAY 86400

/* ----------------------------------------------------------------------------------------------------- small parts */

/* JSON text of what came from a file. */
static json_t *text(const char *p, size_t n)
{
	char buf[4096];

	snprintf(buf, sizeof buf, "%.*s", (int)(n < sizeof buf ? n : sizeof buf - 1), p);
	return json_string(tool_clean(buf));
}

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static void set_datum(json_t *o, const char *key, int r, gnutls_datum_t *d)
{
	if (r >= 0 && d->data)
		set(o, key, text((const char *)d->data, d->size));
	gnutls_free(d->data);
	d->data = NULL;
}

static json_t *hex(const unsigned char *p, size_t n)
{
	char buf[3 * 64 + 1];
	size_t i;

	for (i = 0; i < n && i < 64; i++)
		snprintf(buf + 3 * i, 4, "%02x:", p[i]);
	buf[i ? 3 * i - 1 : 0] = '\0';
	return json_string(buf);
}

static json_t *moment(time_t t)
{
	char buf[64];
	struct tm tm;

	if (t == (time_t)-1 || !gmtime_r(&t, &tm))
		return json_string("never");
	strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

static json_t *days_to(time_t t)
{
	time_t left = t - time(NULL);

	/* Over for an hour is -1, not 0: 0 days left means that it ends today. */
	return t == (time_t)-1
		       ? json_null()
		       : json_integer((json_int_t)(left < 0 ? -((-left + DAY - 1) / DAY) : left / DAY));
}

static json_t *names(const struct san_list *l)
{
	json_t *a = json_array();
	char buf[300];

	for (unsigned i = 0; i < l->n; i++)
		json_array_append_new(a, json_string(san_text(&l->at[i], buf)));
	return a;
}

static const char *curve_words(gnutls_ecc_curve_t curve)
{
	switch (curve) {
	case GNUTLS_ECC_CURVE_SECP256R1: return "P-256";
	case GNUTLS_ECC_CURVE_SECP384R1: return "P-384";
	case GNUTLS_ECC_CURVE_SECP521R1: return "P-521";
	default: return gnutls_ecc_curve_get_name(curve);
	}
}

static void set_key(json_t *o, const struct item *it)
{
	gnutls_pubkey_t pub;
	gnutls_ecc_curve_t curve;
	unsigned char id[32];
	unsigned bits = 0;
	char buf[80];
	int algorithm;

	if (item_public(it, &pub) < 0)
		return;
	algorithm = gnutls_pubkey_get_pk_algorithm(pub, &bits);
	if (algorithm == GNUTLS_PK_ECDSA && gnutls_pubkey_export_ecc_raw2(pub, &curve, NULL, NULL, 0) >= 0
	    && curve_words(curve))
		snprintf(buf, sizeof buf, "ECDSA %s", curve_words(curve));
	else if (algorithm == GNUTLS_PK_EDDSA_ED25519)
		snprintf(buf, sizeof buf, "Ed25519");
	else
		snprintf(buf, sizeof buf, "%s %u bits", gnutls_pk_get_name((gnutls_pk_algorithm_t)algorithm),
			 bits);
	set(o, "key", json_string(buf));
	if (cert_pubkey_id(pub, id) == 0)
		set(o, "key-id", hex(id, sizeof id));
	gnutls_pubkey_deinit(pub);
}

static void set_signature(json_t *o, int algorithm)
{
	const char *name = algorithm >= 0 ? gnutls_sign_get_name((gnutls_sign_algorithm_t)algorithm) : NULL;

	set(o, "signature", json_string(name ? name : "unknown"));
}

/* ---------------------------------------------------------------------------------------------------- certificates */

static json_t *usage_words(unsigned usage)
{
	static const struct { unsigned bit; const char *words;
	} all[] = {
		{ GNUTLS_KEY_DIGITAL_SIGNATURE, "digital signature" },
		{ GNUTLS_KEY_NON_REPUDIATION, "non-repudiation" },
		{ GNUTLS_KEY_KEY_ENCIPHERMENT, "key encipherment" },
		{ GNUTLS_KEY_DATA_ENCIPHERMENT, "data encipherment" },
		{ GNUTLS_KEY_KEY_AGREEMENT, "key agreement" },
		{ GNUTLS_KEY_KEY_CERT_SIGN, "signs certificates" },
		{ GNUTLS_KEY_CRL_SIGN, "signs revocation lists" },
	};
	json_t *a = json_array();

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (usage & all[i].bit)
			json_array_append_new(a, json_string(all[i].words));
	return a;
}

static json_t *purposes(gnutls_x509_crt_t crt)
{
	static const struct { const char *oid, *words;
	} known[] = {
		{ GNUTLS_KP_TLS_WWW_SERVER, "TLS server" },
		{ GNUTLS_KP_TLS_WWW_CLIENT, "TLS client" },
		{ GNUTLS_KP_CODE_SIGNING, "code signing" },
		{ GNUTLS_KP_EMAIL_PROTECTION, "email" },
		{ GNUTLS_KP_TIME_STAMPING, "time stamping" },
		{ GNUTLS_KP_OCSP_SIGNING, "OCSP answers" },
		{ GNUTLS_KP_ANY, "any" },
	};
	json_t *a = json_array();

	for (unsigned i = 0;; i++) {
		char oid[128];
		const char *words = oid;
		size_t n = sizeof oid;

		if (gnutls_x509_crt_get_key_purpose_oid(crt, i, oid, &n, NULL) < 0)
			return a;
		for (size_t k = 0; k < sizeof known / sizeof *known; k++)
			if (!strcmp(oid, known[k].oid))
				words = known[k].words;
		json_array_append_new(a, json_string(words));
	}
}

static json_t *urls(gnutls_x509_crt_t crt, int what)
{
	json_t *a = json_array();
	gnutls_datum_t d = { 0 };

	for (unsigned i = 0; i < 32; i++) {
		int r = gnutls_x509_crt_get_authority_info_access(crt, i, what, &d, NULL);

		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (r >= 0)
			json_array_append_new(a, text((const char *)d.data, d.size));
		gnutls_free(d.data);
		d.data = NULL;
	}
	return a;
}

static bool must_staple(gnutls_x509_crt_t crt)
{
	gnutls_x509_tlsfeatures_t f;
	unsigned feature;
	bool yes = false;

	if (gnutls_x509_tlsfeatures_init(&f) < 0)
		return false;
	if (gnutls_x509_crt_get_tlsfeatures(crt, f, 0, NULL) >= 0)
		for (unsigned i = 0; gnutls_x509_tlsfeatures_get(f, i, &feature) >= 0; i++)
			yes |= feature == 5;
	gnutls_x509_tlsfeatures_deinit(f);
	return yes;
}

static void set_fingerprint(json_t *o, const char *key, gnutls_x509_crt_t crt, gnutls_digest_algorithm_t hash)
{
	unsigned char digest[64];
	size_t n = sizeof digest;

	if (gnutls_x509_crt_get_fingerprint(crt, hash, digest, &n) >= 0)
		set(o, key, hex(digest, n));
}

static void set_constraints(json_t *o, gnutls_x509_crt_t crt)
{
	unsigned usage, ca = 0;
	int length = -1;

	if (gnutls_x509_crt_get_key_usage(crt, &usage, NULL) >= 0)
		set(o, "usage", usage_words(usage));
	set(o, "purposes", purposes(crt));
	set(o, "authority",
	    json_boolean(gnutls_x509_crt_get_basic_constraints(crt, NULL, &ca, &length) >= 0 && ca));
	if (ca && length >= 0)
		set(o, "path-length", json_integer(length));
}

static void show_certificate(json_t *o, const struct item *it)
{
	gnutls_datum_t d = { 0 };
	struct san_list l;
	unsigned char serial[64];
	size_t n = sizeof serial;
	time_t to = gnutls_x509_crt_get_expiration_time(it->crt);

	set_datum(o, "subject", gnutls_x509_crt_get_dn3(it->crt, &d, 0), &d);
	san_of_crt(&l, it->crt);
	set(o, "names", names(&l));
	set_datum(o, "issuer", gnutls_x509_crt_get_issuer_dn3(it->crt, &d, 0), &d);
	set(o, "self-issued", json_boolean(gnutls_x509_crt_check_issuer(it->crt, it->crt)));
	if (gnutls_x509_crt_get_serial(it->crt, serial, &n) >= 0)
		set(o, "serial", hex(serial, n));
	set(o, "from", moment(gnutls_x509_crt_get_activation_time(it->crt)));
	set(o, "to", moment(to));
	set(o, "days-left", days_to(to));
	set_key(o, it);
	set_signature(o, gnutls_x509_crt_get_signature_algorithm(it->crt));
	set_fingerprint(o, "sha256", it->crt, GNUTLS_DIG_SHA256);
	set_fingerprint(o, "sha1", it->crt, GNUTLS_DIG_SHA1);
	set_constraints(o, it->crt);
	set(o, "must-staple", json_boolean(must_staple(it->crt)));
	set(o, "issuer-at", urls(it->crt, GNUTLS_IA_CAISSUERS_URI));
	set(o, "ocsp-at", urls(it->crt, GNUTLS_IA_OCSP_URI));
}

/* ------------------------------------------------------------------------------------------------------- the others */

static void show_request(json_t *o, const struct item *it)
{
	gnutls_datum_t d = { 0 };
	struct san_list l;
	unsigned left;

	set_datum(o, "subject", gnutls_x509_crq_get_dn3(it->csr, &d, 0), &d);
	san_of_csr(&l, it->csr, &left);
	set(o, "names", names(&l));
	set_key(o, it);
	set_signature(o, gnutls_x509_crq_get_signature_algorithm(it->csr));
	set(o, "signature-good", json_boolean(gnutls_x509_crq_verify(it->csr, 0) >= 0));
}

static void show_list(json_t *o, const struct item *it)
{
	json_t *revoked = json_array();
	gnutls_datum_t d = { 0 };
	time_t next = gnutls_x509_crl_get_next_update(it->crl);
	int count = gnutls_x509_crl_get_crt_count(it->crl);

	set_datum(o, "issuer", gnutls_x509_crl_get_issuer_dn3(it->crl, &d, 0), &d);
	set(o, "from", moment(gnutls_x509_crl_get_this_update(it->crl)));
	set(o, "to", moment(next));
	set(o, "days-left", days_to(next));
	set_signature(o, gnutls_x509_crl_get_signature_algorithm(it->crl));
	set(o, "revoked-count", json_integer(count));
	for (int i = 0; i < count && i < 1000; i++) {
		unsigned char serial[64];
		size_t n = sizeof serial;
		time_t when;

		if (gnutls_x509_crl_get_crt_serial(it->crl, (unsigned)i, serial, &n, &when) >= 0)
			json_array_append_new(revoked, json_pack("{s:o, s:o}", "serial", hex(serial, n), "at",
								 moment(when)));
	}
	set(o, "revoked", revoked);
}

static json_t *object_of(const struct item *it, const char *path, unsigned i, unsigned n)
{
	static const char *const forms[] = { [ITEM_CERT] = "certificate",
					     [ITEM_KEY] = "private key",
					     [ITEM_PUBLIC] = "public key",
					     [ITEM_CSR] = "request",
					     [ITEM_CRL] = "revocation list" };
	json_t *o = json_object();

	set(o, "file", text(path, strlen(path)));
	set(o, "number", json_integer(i + 1));
	set(o, "of", json_integer(n));
	set(o, "kind", json_string(forms[it->kind]));
	if (it->kind == ITEM_KEY) {
		set(o, "encrypted", json_boolean(it->encrypted));
		if (it->encrypted)
			set(o, "protection", json_string(it->protection));
	}
	if (it->crt)
		show_certificate(o, it);
	else if (it->csr)
		show_request(o, it);
	else if (it->crl)
		show_list(o, it);
	else
		set_key(o, it);
	return o;
}

/* ------------------------------------------------------------------------------------------------------------ text */

static void line(const char *name, const char *value)
{
	printf("    %-12s %s\n", name, value);
}

static void print_date(const json_t *o)
{
	const json_t *days = json_object_get(o, "days-left");
	long long left = json_integer_value(days);

	const char *from = json_string_value(json_object_get(o, "from")),
		   *to = json_string_value(json_object_get(o, "to"));

	printf("    %-12s %.10s %.5s to %.10s %.5s UTC", "valid", from, from + 11, to,
	       json_is_integer(days) ? to + 11 : "");
	if (json_is_integer(days))
		printf(left < 0 ? " (over for %lld days)" : " (%lld days left)", left < 0 ? -left : left);
	putchar('\n');
}

static void print_list(const char *name, const json_t *a)
{
	size_t i;
	json_t *v;

	if (!json_array_size(a))
		return;
	printf("    %-12s ", name);
	json_array_foreach(a, i, v)
		printf("%s%s", i ? ", " : "", json_string_value(v));
	putchar('\n');
}

static void print_revoked(const json_t *o)
{
	const json_t *a = json_object_get(o, "revoked");
	size_t i;
	json_t *v;

	printf("    %-12s %lld\n", "revoked", (long long)json_integer_value(json_object_get(o, "revoked-count")));
	json_array_foreach(a, i, v) if (i < 20)
		printf("    %-12s %s since %.10s\n", "", json_string_value(json_object_get(v, "serial")),
		       json_string_value(json_object_get(v, "at")));
}

static void print_text(const json_t *o)
{
	static const struct { const char *key, *name;
	} lines[] = {
		{ "subject", "subject" },      { "issuer", "issuer" },  { "serial", "serial" },
		{ "protection", "encrypted" }, { "key", "key" },        { "signature", "signature" },
		{ "key-id", "key id" },        { "sha256", "SHA-256" }, { "sha1", "SHA-1" },
	};
	const json_t *v;

	printf("%s: %s", json_string_value(json_object_get(o, "file")),
	       json_string_value(json_object_get(o, "kind")));
	if (json_integer_value(json_object_get(o, "of")) > 1)
		printf(", %lld of %lld", (long long)json_integer_value(json_object_get(o, "number")),
		       (long long)json_integer_value(json_object_get(o, "of")));
	putchar('\n');
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		if ((v = json_object_get(o, lines[i].key)))
			line(lines[i].name, json_string_value(v));
		if (i == 0)
			print_list("names", json_object_get(o, "names"));
		if (i == 2 && json_object_get(o, "from"))
			print_date(o);
	}
	print_list("use", json_object_get(o, "usage"));
	print_list("purposes", json_object_get(o, "purposes"));
	if (json_is_true(json_object_get(o, "authority")) && (v = json_object_get(o, "path-length")))
		printf("    %-12s yes, path length %lld\n", "authority", (long long)json_integer_value(v));
	else if (json_is_true(json_object_get(o, "authority")))
		line("authority", "yes");
	if (json_is_true(json_object_get(o, "must-staple")))
		line("must-staple", "yes: the server has to staple an OCSP answer");
	print_list("issuer at", json_object_get(o, "issuer-at"));
	print_list("OCSP at", json_object_get(o, "ocsp-at"));
	if ((v = json_object_get(o, "signature-good")))
		line("proof", json_is_true(v) ? "signed with its own key" : "THE SIGNATURE IS WRONG");
	if (json_object_get(o, "revoked"))
		print_revoked(o);
	if (json_is_true(json_object_get(o, "encrypted")) && !json_object_get(o, "key-id"))
		line("key id", "with --phrase-file FILE");
}

/* --------------------------------------------------------------------------------------------------------- command */

static int show_file(const char *path, struct phrase *p, json_t *all, struct err *e)
{
	struct items s;
	int r = items_read(&s, path, p->file ? p : NULL, e);

	for (unsigned i = 0; i < s.n && r == 0; i++)
		json_array_append_new(all, object_of(&s.at[i], s.path, i, s.n));
	items_free(&s);
	return r;
}

int tool_show(int argc, char **argv)
{
	static const struct option options[] = { { "json", 0, NULL, 'j' },
						 { "phrase-file", 1, NULL, 'p' },
						 { 0 } };
	struct phrase phrase = { 0 };
	json_t *all = json_array(), *o;
	bool json = false;
	int c, status = TOOL_GOOD;
	size_t i;

	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c != 'j' && c != 'p') {
			json_decref(all);
			return tool_bad_option(argv, c);
		}
		json |= c == 'j';
		phrase.file = c == 'p' ? optarg : phrase.file;
	}
	if (optind == argc)
		status = tool_misused(argv[0], "which FILE?");
	for (; optind < argc; optind++) {
		struct err e = { 0 };

		if (show_file(argv[optind], &phrase, all, &e) != 0)
			status = tool_err(&e);          /* the others are shown all the same */
	}
	phrase_free(&phrase);
	if (json) {
		c = tool_print_json(all);
		return status ? status : c;
	}
	json_array_foreach(all, i, o)
		print_text(o);
	json_decref(all);
	return status;
}
